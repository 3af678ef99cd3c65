//! `dga`: a client that asks for names which an algorithm made.
//!
//! A window stage whose lane half also scores each name. The score of one name is a network's
//! (`onnx/dga.md`), and one name never alerts alone: many benign ones look generated, and those of
//! dictionary families look like any other. What gives a client away is that it asks for many such
//! names within an hour that nobody asked for before, most of which do not exist. So, in the entity
//! lane, the probabilities of the distinct registered domains of a client are added up (Elastic
//! sums them by source address as well), those that did not exist weighed up by Bayes' rule (Slips
//! counts NXDOMAIN answers by source). Names that are known here count for nothing: that several
//! clients ask for and that exist, or that somebody asked for on a day before.
//!
//! The lane's half is in `fold`, what is kept of clients in `client`, of names in `super::known`;
//! what is said of it in `verdict`. Names of this network, reverse zones and services are no
//! names to the features (`feature`).

mod client;
mod close;
mod fold;
#[cfg(test)]
mod tests;
mod verdict;

use crate::base::keys::{KeyDef, Kind};
use crate::base::time::{DAY, MINUTE};
use crate::feature::dga::DGA;
use crate::record::schema::{UID, dns, http, quic, ssl};
use crate::record::{Log, Technique};

use super::keys::{HALF_LIFE, LOCAL, alert, enabled, weight};
use super::{Build, Combine, StageDef};

pub(super) const STAGE: StageDef = StageDef {
    name: "dga",
    doc: "a client that asks for many names which an algorithm made (domain generation algorithm)",
    version: 1,
    reads: &[
        (Log::Dns, &[UID, dns::QUERY, dns::RCODE, dns::RCODE_NAME]),
        (Log::Http, &[UID, http::METHOD, http::HOST, http::URI]),
        (Log::Ssl, &[UID, ssl::SERVER_NAME]),
        (Log::Quic, &[UID, quic::SERVER_NAME]),
    ],
    techniques: TECHNIQUES,
    group: "command-and-control",
    keys: &[
        enabled("score names by how they are made, and clients by the names they ask for"),
        weight("60"),
        alert("0.6"),
        HALF_LIFE,
        KeyDef {
            name: "window",
            kind: Kind::Duration { min_us: MINUTE, max_us: DAY },
            default: Some(r#""1h""#),
            example: "",
            doc: "time within which the names of a client are added up",
        },
        KeyDef {
            name: "popular",
            kind: Kind::Integer { min: 2, max: 1000 },
            default: Some("5"),
            example: "",
            doc: "clients that make a name that exists a usual one",
        },
        LOCAL,
        KeyDef {
            name: "max_clients",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("10000"),
            example: "",
            doc: "clients whose odd names are kept; the one that asked for none for longest goes first",
        },
        KeyDef {
            name: "max_names",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("200000"),
            example: "",
            doc: "odd names of which is known who asked for them; likewise",
        },
    ],
    example: "enabled = true\nweight = 60\nalert = 0.6\nwindow = \"1h\"\npopular = 5\nlocal = [\"corp.example\"]\n",
    window_us: DAY,
    models: &[&DGA],
    build: Build::Window {
        fold: |settings, models| Box::new(fold::Names::new(settings, models)),
        close: |settings, models| Box::new(close::Clients::new(settings, models)),
        combine: Combine::Sum,
    },
};

const TECHNIQUES: &[Technique] =
    &[Technique { id: "T1568.002", name: "Domain Generation Algorithms" }];

/// A name that exists and is below this probability is nobody's reason, in parts per million.
const FLOOR: u32 = 20_000;

/// Names of one client that are kept, the strongest: as many certain ones leave no doubt.
const NAMES_MAX: usize = 64;

/// Distinct names of a client below which nothing is said: one name never alerts alone.
const NAMES_MIN: usize = 4;
