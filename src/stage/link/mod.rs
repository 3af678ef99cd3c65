//! `phishing` and `malicious-url`: a client that asks for a site which looks like a trap.
//!
//! One implementation and two stages, each with a model of its own. The lane's half scores what a
//! row asks for, a URL or a name alone; that score is the row's label, and nothing but what was
//! asked for moves it. In the entity lane it becomes evidence of a client against a site, the
//! registered domain or the address: the strongest URL of the site counts, weighed by how well the
//! site is known here. A site that nobody asked for before says the most, one that is known for a
//! day less, and one that many clients ask for nothing.
//!
//! What a row asks for is read in `fold`; what is kept and said in `close`, what it is worth and
//! why in `verdict`. Not here: what a URL looks like (`feature::link`), what came back from it
//! (`malicious-download`).

mod close;
mod fold;
#[cfg(test)]
mod tests;
mod verdict;

pub(super) use verdict::hangs_on;

use std::borrow::Cow;

use crate::base::keys::{KeyDef, Kind};
use crate::base::time::DAY;
use crate::feature::FeatureDef;
use crate::feature::link;
use crate::record::schema::{RESP_P, UID, dns, http, quic, ssl};
use crate::record::{Log, Technique};

use super::keys::{HALF_LIFE, LOCAL, alert, enabled, weight};
use super::odds::ALERT;
use super::{Build, Combine, StageDef};

/// What tells the two apart.
#[derive(Debug)]
struct Detector {
    /// What its model reads.
    def: &'static FeatureDef,
    techniques: &'static [Technique],
    /// Whether a request that names no host is one to the address that answers. Programs leave it
    /// out; people, who are phished, use browsers, which do not.
    takes_address: bool,
}

static FOR_PHISHING: Detector = Detector {
    def: &link::PHISHING,
    techniques: &[Technique { id: "T1566.002", name: "Spearphishing Link" }],
    takes_address: false,
};

static FOR_MALICIOUS: Detector = Detector {
    def: &link::MALICIOUS_URL,
    techniques: &[Technique { id: "T1204.001", name: "Malicious Link" }],
    takes_address: true,
};

pub(super) const PHISHING: StageDef = StageDef {
    name: "phishing",
    doc: "a client that asks for a name or URL which is made to be taken for another",
    version: 1,
    reads: &[
        (Log::Dns, &[UID, dns::QUERY, dns::RCODE, dns::RCODE_NAME]),
        (Log::Http, &[UID, http::METHOD, http::HOST, http::URI]),
        (Log::Ssl, &[UID, ssl::SERVER_NAME]),
        (Log::Quic, &[UID, quic::SERVER_NAME]),
    ],
    techniques: FOR_PHISHING.techniques,
    group: "web",
    keys: &[
        enabled("score names and URLs by how they deceive, and clients by those they ask for"),
        weight("50"),
        alert(ALERT.0),
        HALF_LIFE,
        POPULAR,
        LOCAL,
        MAX_SITES,
        MAX_SAID,
    ],
    example: "enabled = true\nweight = 50\nalert = 0.6\npopular = 20\nlocal = [\"corp.example\"]\n",
    window_us: DAY,
    models: &[&link::PHISHING],
    build: Build::Window {
        fold: |settings, models| Box::new(fold::Links::new(&FOR_PHISHING, settings, models)),
        close: |settings, models| Box::new(close::Sites::new(&FOR_PHISHING, settings, models)),
        combine: Combine::Max,
    },
};

pub(super) const MALICIOUS_URL: StageDef = StageDef {
    name: "malicious-url",
    doc: "a client that asks for a URL like those of malware, exploits and their servers",
    version: 1,
    reads: &[(Log::Http, &[UID, RESP_P, http::METHOD, http::HOST, http::URI])],
    techniques: FOR_MALICIOUS.techniques,
    group: "web",
    keys: &[
        enabled("score URLs by what malware is fetched from, and clients by those they ask for"),
        weight("50"),
        alert(ALERT.0),
        HALF_LIFE,
        POPULAR,
        LOCAL,
        MAX_SITES,
        MAX_SAID,
    ],
    example: "enabled = true\nweight = 50\nalert = 0.6\npopular = 20\nlocal = [\"corp.example\"]\n",
    window_us: DAY,
    models: &[&link::MALICIOUS_URL],
    build: Build::Window {
        fold: |settings, models| Box::new(fold::Links::new(&FOR_MALICIOUS, settings, models)),
        close: |settings, models| Box::new(close::Sites::new(&FOR_MALICIOUS, settings, models)),
        combine: Combine::Max,
    },
};

const POPULAR: KeyDef = KeyDef {
    name: "popular",
    kind: Kind::Integer { min: 2, max: 1000 },
    default: Some("20"),
    example: "",
    doc: "clients that make a site a usual one",
};

const MAX_SITES: KeyDef = KeyDef {
    name: "max_sites",
    kind: Kind::Integer { min: 1, max: 10_000_000 },
    default: Some("200000"),
    example: "",
    doc: "odd sites of which is known who asked for them; the one not asked for for longest goes first",
};

const MAX_SAID: KeyDef = KeyDef {
    name: "max_said",
    kind: Kind::Integer { min: 1, max: 10_000_000 },
    default: Some("100000"),
    example: "",
    doc: "clients and sites of which is known what was said of them today; likewise",
};

/// Evidence below which a URL is nobody's reason and it is not remembered who asked for it, in
/// parts per million.
const FLOOR: u32 = 50_000;

/// Ends a text that was cut.
const CUT: char = '…';

/// A text of at most `max` bytes, which are more than those of [`CUT`].
fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    let end = text.floor_char_boundary(max.saturating_sub(CUT.len_utf8()));
    format!("{}{CUT}", text.get(..end).unwrap_or_default()).into()
}
