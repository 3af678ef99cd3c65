//! `http-oddities`: requests that no browser makes and answers that are not what their name says.
//!
//! A record stage. Five things are looked at, and their shares added up to at most 1:
//! - no `Host` in a request of HTTP/1.1, which RFC 9112 3.2 forbids (0.5; RITA counts the same);
//! - a body that is an executable, an archive or a script under the name of an image, a document or
//!   a text (0.5), where the answer was a success (RITA's MIME/URI mismatch);
//! - a client that calls itself almost as browsers do, as RITA's does (`Modzilla`, 0.4);
//! - a method beside the usual ones (0.2);
//! - an address where a name belongs in `Host` (0.2).

use crate::base::address::Addr;
use crate::base::keys::Settings;
use crate::base::limits::NAME_BYTES_MAX;
use crate::base::time::DAY;
use crate::model::Models;
use crate::record::schema::{ColumnId, UID, http};
use crate::record::{Batch, Log, Names, Technique};

use super::agents::is_misspelt;
use super::bodies::{Family, extension};
use super::input::{Finding, Input, Output};
use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::reasons::Sum;
use super::targets::asked;
use super::{Build, RecordStage, StageDef};

pub(super) const STAGE: StageDef = StageDef {
    name: "http-oddities",
    doc: "HTTP requests without a Host, to a bare address, by an unusual method or a misspelt browser, or with a body that is not what its name says",
    version: 2,
    reads: &[(
        Log::Http,
        &[
            UID,
            http::METHOD,
            http::HOST,
            http::URI,
            http::VERSION,
            http::STATUS_CODE,
            http::RESP_MIME_TYPES,
            http::USER_AGENT,
        ],
    )],
    techniques: WEB,
    keys: &[enabled("score odd HTTP requests"), weight("25"), alert("0.4"), HALF_LIFE],
    group: "web",
    example: "enabled = true\nweight = 25\nalert = 0.4\n",
    window_us: DAY,
    models: &[],
    build: Build::Record(build),
};

const WEB: &[Technique] = &[Technique { id: "T1071.001", name: "Web Protocols" }];
const MASQUERADE: &[Technique] = &[
    Technique { id: "T1071.001", name: "Web Protocols" },
    Technique { id: "T1036.008", name: "Masquerade File Type" },
];

/// Methods that are usual.
const METHODS: &[&[u8]] =
    &[b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT"];

struct Oddities;

fn build(_: &Settings, _: &Models) -> Box<dyn RecordStage> {
    Box::new(Oddities)
}

impl RecordStage for Oddities {
    fn score(&mut self, input: &Input<'_>, out: &mut Output) {
        for row in 0..input.batch.rows() {
            let found = odd(input.batch, row);
            if found.is_empty() {
                continue;
            }
            let mut sum = Sum::default();
            let mut subject = destination(input, row);
            for (oddity, seen) in &found {
                subject.push(b' ');
                subject.extend_from_slice(oddity.feature().as_bytes());
                let (expected, share) = oddity.expected();
                sum.add((oddity.feature(), oddity.columns()), seen, expected, share);
            }
            let (score, reasons) = sum.finish();
            out.score(row, score);
            let mismatch = found.iter().any(|(oddity, _)| *oddity == Oddity::Mime);
            let start = input.batch.ts(row).floor(DAY);
            let finding = Finding {
                subject,
                window: (start, start.plus(DAY)),
                score,
                reasons,
                techniques: if mismatch { MASQUERADE } else { WEB },
                names: names(input, row),
            };
            out.evidence(input, row, finding);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oddity {
    NoHost,
    Mime,
    Method,
    BareAddress,
    Agent,
}

impl Oddity {
    fn feature(self) -> &'static str {
        match self {
            Self::NoHost => "host_missing",
            Self::Mime => "mime_mismatch",
            Self::Method => "method",
            Self::BareAddress => "host_is_address",
            Self::Agent => "misspelt_browser",
        }
    }

    /// The columns that what was seen shows something of.
    fn columns(self) -> &'static [ColumnId] {
        match self {
            Self::NoHost | Self::BareAddress => &[http::HOST],
            Self::Mime => &[http::URI, http::RESP_MIME_TYPES],
            Self::Method => &[http::METHOD],
            Self::Agent => &[http::USER_AGENT],
        }
    }

    /// What is usual, and the share of the score in parts per million.
    fn expected(self) -> (&'static str, u32) {
        match self {
            Self::NoHost => ("a Host header", 500_000),
            Self::Mime => ("a body of the kind that its extension says", 500_000),
            Self::Method => ("GET, POST, HEAD, PUT, DELETE, OPTIONS, PATCH or CONNECT", 200_000),
            Self::BareAddress => ("a name", 200_000),
            Self::Agent => ("Mozilla", 400_000),
        }
    }
}

/// What is odd about a row, with what was seen.
fn odd(batch: &Batch, row: usize) -> Vec<(Oddity, std::borrow::Cow<'_, [u8]>)> {
    let mut found = Vec::new();
    // Without a method only the answer was seen, and nothing can be said of the request.
    if let Some(method) = batch.text(http::METHOD, row) {
        let host = batch.text(http::HOST, row).unwrap_or_default();
        let is_old = matches!(batch.text(http::VERSION, row), Some(b"0.9" | b"1.0") | None);
        if host.is_empty() && !is_old {
            found.push((Oddity::NoHost, b"".as_slice().into()));
        }
        if !METHODS.contains(&method) {
            found.push((Oddity::Method, method.into()));
        }
        if method != b"CONNECT" && is_address(host) {
            found.push((Oddity::BareAddress, host.into()));
        }
        let agent = batch.text(http::USER_AGENT, row).unwrap_or_default();
        if is_misspelt(agent) {
            found.push((Oddity::Agent, agent.into()));
        }
    }
    if let Some(seen) = mismatch(batch, row) {
        found.push((Oddity::Mime, seen.into_bytes().into()));
    }
    found
}

/// `.jpg is application/x-dosexec`, where body and name are at odds.
fn mismatch(batch: &Batch, row: usize) -> Option<String> {
    let status = batch.count(http::STATUS_CODE, row)?;
    if !(200..300).contains(&status) {
        return None;
    }
    let mime = batch.list(http::RESP_MIME_TYPES, row).flatten().next()?;
    let extension = extension(batch.text(http::URI, row)?)?;
    let named = Family::of_extension(extension)?;
    let lossy = String::from_utf8_lossy;
    let is_odd = Family::of_type(mime)?.is_disguised(named);
    is_odd.then(|| format!(".{} is {}", lossy(extension), lossy(mime)))
}

/// The name, or else the address, that a request was made to.
fn destination(input: &Input<'_>, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match (input.batch.text(http::HOST, row), input.sides[row].resp) {
        (Some(host), _) if !host.is_empty() => out.extend_from_slice(host),
        (_, Some(addr)) => addr.write(&mut out),
        _ => {}
    }
    out
}

/// The server and the client as the request names them.
fn names(input: &Input<'_>, row: usize) -> Names {
    let agent = input.batch.text(http::USER_AGENT, row).filter(|text| !text.is_empty());
    let agent = agent.map(|text| text.get(..NAME_BYTES_MAX).unwrap_or(text));
    let agent = agent.map(|text| String::from_utf8_lossy(text).into_owned());
    Names { domain: asked(input.batch, row), user_agent: agent, user: None }
}

/// Whether a `Host` is an address, with or without a port.
fn is_address(host: &[u8]) -> bool {
    let is_address = |text: &[u8]| Addr::parse(text).is_some();
    if let Some(rest) = host.strip_prefix(b"[") {
        return rest.split(|&byte| byte == b']').next().is_some_and(is_address);
    }
    // An address ends in a digit, a name seldom does: one look spares most parses.
    host.last().is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':')
        && (is_address(host) || host.split(|&byte| byte == b':').next().is_some_and(is_address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, expected) in [
            ("10.0.0.1", true),
            ("10.0.0.1:8080", true),
            ("[2001:db8::1]:80", true),
            ("2001:db8::1", true),
            ("example.com", false),
            ("a.b.c.d", false),
            ("", false),
        ] {
            assert_eq!(is_address(host.as_bytes()), expected, "{host}");
        }
    }
}
