//! What can be taken out of a name or a URL, to see what its score hangs on.

use super::Name;
use super::url::{Host, Url};

/// Parts of a name at most, so that the work for a reason is bounded.
const PARTS_MAX: usize = 48;

/// Parts of the label of the registered domain, each with the name that is left without it: a third
/// of the label and two thirds of it, wherever they may begin.
#[must_use]
pub fn parts(name: &Name) -> Vec<(String, Name)> {
    let label: Vec<char> = name.shown_label().chars().collect();
    let mut found = Vec::new();
    for share in [3, 2] {
        let length = (label.len() * (4 - share) / 3).max(1);
        if length >= label.len() {
            continue;
        }
        let places = label.len() - length + 1;
        let step = places.div_ceil(PARTS_MAX / 2);
        for at in (0..places).step_by(step) {
            let part: String = label[at..at + length].iter().collect();
            let left: String = label[..at].iter().chain(&label[at + length..]).collect();
            if let Ok(left) = Name::parse(format!("{left}.{}", name.suffix()).as_bytes()) {
                found.push((part, left));
            }
        }
    }
    found
}

/// Segments of a path that are taken out.
const SEGMENTS_MAX: usize = 12;

/// Parts of a URL, each with the URL that is left without it: its path, its query, a segment, what
/// stands in front of the registered domain, a word of that, a port.
#[must_use]
pub fn url_parts(url: &Url) -> Vec<(String, Url)> {
    let mut found = Vec::new();
    let (host, path) = (url.host_text(), url.path());
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut out = |part: &str, left: String| {
        if let (false, Ok(left)) = (part.is_empty(), Url::parse_shown(&left)) {
            found.push((part.to_owned(), left));
        }
    };
    out(path, format!("{host}{port}"));
    let (segments, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    if !segments.is_empty() {
        out(query, format!("{host}{port}{segments}"));
    }
    for (at, segment) in segments.match_indices('/').take(SEGMENTS_MAX) {
        let rest = segments.get(at + segment.len()..).unwrap_or_default();
        let end = rest.find('/').unwrap_or(rest.len());
        let (part, rest) = rest.split_at(end);
        if part.len() + 1 < segments.len() {
            let before = segments.get(..at).unwrap_or_default();
            out(part, format!("{host}{port}{before}{rest}{query}"));
        }
    }
    out(&port, format!("{host}{path}"));
    let Host::Name(name) = url.host() else { return found };
    let front = host.strip_suffix(name.registered()).unwrap_or_default();
    if front != "www." {
        let registered = name.registered();
        out(front.trim_end_matches('.'), format!("{registered}{port}{path}"));
    }
    let words: Vec<&str> = name.label().split('-').collect();
    for at in (0..words.len()).take(SEGMENTS_MAX).filter(|_| words.len() > 1) {
        let left: Vec<&str> = [&words[..at], &words[at + 1..]].concat();
        out(words[at], format!("{front}{}.{}{port}{path}", left.join("-"), name.suffix()));
    }
    found
}
