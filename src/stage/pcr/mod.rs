//! `pcr`: exfiltration, as a host that begins to give where it used to take.
//!
//! The producer-consumer ratio is (sent - received) / (sent + received) in bytes of applications,
//! from -1 (pure pull) over 0 to +1 (pure push) (C. Bullard and J. Gerth, "PCR: a new flow metric",
//! FloCon 2014). It belongs to a host over time, and the signal is a change of its role, not a
//! level.
//!
//! A window stage. Bytes are turned to the side of the entity, whether it opened the connection or
//! answered, and summed over a window before anything is divided; connections count when they end.
//! Windows are hours, days and five days, of DNS, TLS, HTTP, the rest and all together (`profile`).
//! What a window has to say is in `score`, what lasts of an entity in `history` and `peers`; what
//! profiles hold of it, and those like it, counts too (`lasting`).
//!
//! Not here: what an address is to others (`context`); a rise of volume without a change of role.

mod channel;
mod fold;
mod history;
mod hour;
mod lasting;
mod peers;
mod profile;
mod row;
mod score;
#[cfg(test)]
mod tests;

use crate::base::keys::{KeyDef, Kind, MIB};
use crate::base::time::DAY;
use crate::record::schema::{ORIG_H, RESP_H, RESP_P, UID, conn};
use crate::record::{Log, Technique};

use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::{Build, Combine, StageDef};

pub(super) const STAGE: StageDef = StageDef {
    name: "pcr",
    doc: "a host that begins to send where it used to receive, to a destination that is new to it or gets more than ever (producer-consumer ratio)",
    version: 2,
    reads: &[(
        Log::Conn,
        &[
            UID,
            ORIG_H,
            RESP_H,
            RESP_P,
            conn::PROTO,
            conn::SERVICE,
            conn::DURATION,
            conn::ORIG_BYTES,
            conn::RESP_BYTES,
            conn::MISSED_BYTES,
            conn::ORIG_IP_BYTES,
            conn::RESP_IP_BYTES,
        ],
    )],
    techniques: TECHNIQUES,
    group: "exfiltration",
    keys: &[
        enabled("score changes of the producer-consumer ratio"),
        weight("60"),
        alert("0.6"),
        HALF_LIFE,
        KeyDef {
            name: "max_entities",
            kind: Kind::Integer { min: 4, max: 10_000_000 },
            default: Some("100000"),
            example: "",
            doc: "hosts whose history is kept; strangers never drive out those that are known",
        },
        KeyDef {
            name: "volume_min",
            kind: Kind::Bytes { min: 1024, max: 1024 * 1024 * MIB },
            default: Some(r#""1MiB""#),
            example: "",
            doc: "bytes sent in a window that mean nothing; of DNS a twentieth",
        },
        KeyDef {
            name: "volume_full",
            kind: Kind::Bytes { min: 2048, max: 1024 * 1024 * MIB },
            default: Some(r#""100MiB""#),
            example: "",
            doc: "bytes from which the volume takes nothing from a score; of DNS a twentieth",
        },
    ],
    example: "enabled = true\nweight = 60\nalert = 0.6\nmax_entities = 100000\n",
    window_us: DAY,
    models: &[],
    build: Build::Window {
        fold: |_, _| Box::new(fold::Bytes::default()),
        close: |settings, _| Box::new(profile::Profiles::new(settings)),
        combine: Combine::Sum,
    },
};

/// Bytes of an hour below which a ratio is noise, as what machines say when nobody is there.
const LEARNED_MIN: u64 = 256 << 10;

const TECHNIQUES: &[Technique] =
    &[Technique { id: "T1048", name: "Exfiltration Over Alternative Protocol" }];
const OVER_DNS: &[Technique] = &[
    Technique { id: "T1048.003", name: "Exfiltration Over Unencrypted Non-C2 Protocol" },
    Technique { id: "T1071.004", name: "DNS" },
];
const OVER_WEB: &[Technique] = &[Technique { id: "T1567", name: "Exfiltration Over Web Service" }];
