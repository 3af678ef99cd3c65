//! The features of `phishing`, `malicious-url` and `malicious-download`: what a URL is made of. One
//! row for all three, each with a model of its own.
//!
//! Characters of host and path, by which a model looks up how well known their n-grams are; hashes
//! of their words; the suffix; and measures. The scheme is not among them, nor `www.`: they tell
//! who collected a list, not what stands in it.

use super::characters::url_id;
use super::measures::ratio;
use super::suffix::{SUFFIX_WIDTH, fnv, suffix_ids};
use super::url::{Host, Url};
use super::{Element, FeatureDef, InputDef, Matrix, Row, link_measures};

/// Characters that are seen: of the host the last, of the path the first.
const HOST_WIDTH: usize = 64;
const PATH_WIDTH: usize = 128;
/// Words of the host and of the path that are seen.
const HOST_WORDS: usize = 12;
const PATH_WORDS: usize = 28;
/// Ids of words; 0 is none.
const WORD_IDS: u32 = 1 << 20;
/// Letters of a word that tell it apart.
const WORD_BYTES: usize = 24;

const INPUTS: &[InputDef] = &[
    InputDef { name: "host", element: Element::I32, width: HOST_WIDTH },
    InputDef { name: "path", element: Element::I32, width: PATH_WIDTH },
    InputDef { name: "host_words", element: Element::I32, width: HOST_WORDS },
    InputDef { name: "path_words", element: Element::I32, width: PATH_WORDS },
    InputDef { name: "suffix", element: Element::I32, width: SUFFIX_WIDTH },
    InputDef { name: "measures", element: Element::F32, width: link_measures::NAMES.len() },
];

/// What the model of `phishing` reads.
pub static PHISHING: FeatureDef = def("phishing");
/// What the model of `malicious-url` reads.
pub static MALICIOUS_URL: FeatureDef = def("malicious-url");
/// What the model of `malicious-download` reads of the URL; what else is known of a download is
/// weighed by rules (`stage`).
pub static MALICIOUS_DOWNLOAD: FeatureDef = def("malicious-download");

const fn def(detector: &'static str) -> FeatureDef {
    FeatureDef { detector, version: 2, inputs: INPUTS, measures: link_measures::NAMES }
}

/// Appends the row of `url`.
pub fn push(url: &Url, matrix: &mut Matrix) {
    assert_eq!(matrix.def().inputs, INPUTS, "rows of another detector");
    let host = shown_host(url);
    let path = url.path().to_lowercase();
    for (at, row) in matrix.grow().enumerate() {
        match row {
            Row::Ids(out) if at == 0 => {
                let skipped = host.chars().count().saturating_sub(HOST_WIDTH);
                fill(out, host.chars().skip(skipped).map(url_id));
            }
            Row::Ids(out) if at == 1 => fill(out, path.chars().map(url_id)),
            Row::Ids(out) if at == 2 => fill(out, words(&host).map(|word| word_id(word, 'h'))),
            Row::Ids(out) if at == 3 => fill(out, words(&path).map(|word| word_id(word, 'p'))),
            Row::Ids(out) => {
                if let Host::Name(name) = url.host() {
                    out.copy_from_slice(&suffix_ids(name));
                }
            }
            Row::Measures(out) => link_measures::measure(url, &host, out),
        }
    }
}

/// The host as people read it, without `www.` and port.
fn shown_host(url: &Url) -> String {
    let host = url.host_text();
    host.strip_prefix("www.").unwrap_or(host).to_owned()
}

fn fill(out: &mut [i32], ids: impl Iterator<Item = i32>) {
    for (slot, id) in out.iter_mut().zip(ids) {
        *slot = id;
    }
}

/// Words as people read them, between whatever is no letter and no digit.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The id of a word of a host or a path; runs of digits are one and the same.
fn word_id(word: &str, place: char) -> i32 {
    let mut text = String::with_capacity(WORD_BYTES + 4);
    text.push(place);
    let mut was_digit = false;
    for c in word.chars() {
        let is_digit = c.is_ascii_digit();
        if !(is_digit && was_digit) {
            text.push(if is_digit { '0' } else { c });
        }
        was_digit = is_digit;
        if text.len() > WORD_BYTES {
            break;
        }
    }
    (fnv(&text) % (WORD_IDS - 1) + 1).cast_signed()
}

/// A share of a text's characters.
pub(super) fn share(text: &str, is: impl Fn(char) -> bool) -> f32 {
    ratio(text.chars().filter(|c| is(*c)).count(), text.chars().count())
}
