//! `malicious-download`: a file that a client fetched and that should not come from there.
//!
//! A window stage that joins two logs. `http` knows what was asked for, whom, and by whom; `files`
//! what was seen of the body. Both name the file by its fuid, and either may come first: so rows
//! wait in the entity lane for the other side, for `wait` at most and `max_open` of them, and are
//! judged together; what finds no other side is judged alone. Whether two rows are of one file is
//! told by the client and the fuid: a file that comes over several connections has one fuid and
//! several uids.
//!
//! A URL's probability is a model's (`onnx/malicious-download.md`). The rest are rules, each of
//! which makes the odds so many times as high or low (`rules`): the lists that a model could learn
//! from say of the bodies of their benign files what they were, and of those of the malicious ones
//! nothing, so that a model would learn who collected them.
//!
//! The lane's half is in `fold`, one side of a download in `part`, what waits in `waiting`, what is
//! said of it in `verdict`.

mod close;
mod fold;
mod part;
mod rules;
#[cfg(test)]
mod tests;
mod verdict;
mod waiting;

use crate::base::keys::{KeyDef, Kind};
use crate::base::time::{DAY, HOUR, MINUTE};
use crate::feature::link::MALICIOUS_DOWNLOAD;
use crate::record::schema::{RESP_P, UID, files, http};
use crate::record::{Log, Technique};

use super::keys::{HALF_LIFE, LOCAL, alert, enabled, weight};
use super::odds::ALERT;
use super::{Build, Combine, StageDef};

pub use rules::{Facts, Judge, Judged, Rule, Shows};

pub(super) const STAGE: StageDef = StageDef {
    name: "malicious-download",
    doc: "a client that fetches a program, a script or an archive that should not come from there",
    version: 1,
    reads: &[
        (
            Log::Http,
            &[
                UID,
                RESP_P,
                http::METHOD,
                http::HOST,
                http::URI,
                http::USER_AGENT,
                http::STATUS_CODE,
                http::RESPONSE_BODY_LEN,
                http::RESP_FUIDS,
                http::RESP_FILENAMES,
                http::RESP_MIME_TYPES,
            ],
        ),
        (
            Log::Files,
            &[
                UID,
                files::FUID,
                files::CONN_UIDS,
                files::MIME_TYPE,
                files::FILENAME,
                files::IS_ORIG,
                files::SEEN_BYTES,
                files::MISSING_BYTES,
            ],
        ),
    ],
    techniques: TECHNIQUES,
    group: "web",
    keys: &[
        enabled("score what clients download"),
        weight("60"),
        alert(ALERT.0),
        HALF_LIFE,
        KeyDef {
            name: "wait",
            kind: Kind::Duration { min_us: MINUTE, max_us: HOUR },
            default: Some(r#""5m""#),
            example: "",
            doc: "time that a row of http or files waits for the other side of its download",
        },
        KeyDef {
            name: "popular",
            kind: Kind::Integer { min: 2, max: 1000 },
            default: Some("20"),
            example: "",
            doc: "clients that make a site a usual one to download from",
        },
        LOCAL,
        KeyDef {
            name: "max_open",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("100000"),
            example: "",
            doc: "rows that wait; the one that waits longest is judged alone and goes first",
        },
        KeyDef {
            name: "max_sites",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("100000"),
            example: "",
            doc: "sites of which is known who downloads from them; the one not asked for longest goes first",
        },
        KeyDef {
            name: "max_said",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("100000"),
            example: "",
            doc: "clients and sites of which is known what was said of them today; likewise",
        },
    ],
    example: "enabled = true\nweight = 60\nalert = 0.6\nwait = \"5m\"\nlocal = [\"corp.example\"]\n",
    window_us: DAY,
    models: &[&MALICIOUS_DOWNLOAD],
    build: Build::Window {
        fold: |settings, models| Box::new(fold::Downloads::new(settings, models)),
        close: |settings, models| Box::new(close::Judged::new(settings, models)),
        // Of rows that say the same the one with more to say stands for them.
        combine: Combine::Max,
    },
};

const TECHNIQUES: &[Technique] = &[
    Technique { id: "T1105", name: "Ingress Tool Transfer" },
    Technique { id: "T1204.002", name: "Malicious File" },
];
