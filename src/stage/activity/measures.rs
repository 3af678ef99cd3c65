//! The measures: what is counted of an entity in an hour or a day, and what to think of each.

use crate::base::log2::{BIT, log2, whole_power};
use crate::record::Log;
use crate::record::schema::{ColumnId, RESP_H, RESP_P, conn, dns, files, http};

use super::super::ramp::ramp;
use super::window::{Sample, Span};

/// The number of measures.
pub const WIDTH: usize = 25;

/// The measures of one window, in the order of [`MEASURES`], each in the units of its scale.
pub type Row = [i16; WIDTH];

/// What a number of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// log2(1 + how many) in 256ths.
    Count,
    /// log2(1 + bytes) in 256ths.
    Bytes,
    /// A share, of which 1024 is all; of few it is drawn to nothing.
    Share,
}

/// Measures that see the same thing: of one aspect only the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// How much it opens.
    Busy,
    /// Whom and what it reaches for.
    Reach,
    /// What it does for others.
    Serve,
    /// What it sends.
    Give,
    /// What it takes.
    Take,
    /// Which names it asks for.
    Names,
    /// What its programs say they are.
    Programs,
    /// When it works.
    Time,
}

/// What is known of a measure before anything is known of an entity.
#[derive(Debug)]
pub struct Measure {
    /// Its name in reasons and profiles.
    pub name: &'static str,
    /// What it is.
    pub scale: Scale,
    /// What it sees.
    pub aspect: Aspect,
    /// The log that it comes from, and the columns.
    pub log: Log,
    /// See above.
    pub columns: &'static [ColumnId],
    /// The record that stands for it.
    pub sample: Sample,
    /// Nothing is taken for steadier than this.
    pub spread_min: i16,
    /// Below the first it is nothing to speak of, from the second on nothing is taken from a score:
    /// of an hour. For a day both are two bits higher, where it is a count or bytes.
    pub volume: (i16, i16),
    /// What it can say alone, in parts per million.
    pub weight: u32,
    /// A change that most of a group show at the same time is nobody's own, up to this: an update
    /// is everybody's, and so is a worm.
    pub shared_max: i16,
}

/// By how much a day is more than an hour.
const DAY_BITS: i32 = 2 * BIT;

impl Measure {
    /// Whether that is much at all in an hour or a day, in parts per million.
    #[must_use]
    pub fn much(&self, span: Span, value: i16) -> u64 {
        let more = match (span, self.scale) {
            (Span::Day, Scale::Count | Scale::Bytes) => DAY_BITS,
            _ => 0,
        };
        let (least, full) = (i32::from(self.volume.0) + more, i32::from(self.volume.1) + more);
        ramp(value.into(), (least, full))
    }
}

const fn bits(whole: i16) -> i16 {
    whole * BIT as i16
}

const COUNT: Measure = Measure {
    name: "",
    scale: Scale::Count,
    aspect: Aspect::Busy,
    log: Log::Conn,
    columns: &[],
    sample: Sample::Opened,
    spread_min: bits(1) / 2,
    volume: (0, 0),
    weight: 0,
    shared_max: bits(4),
};
const BYTES: Measure =
    Measure { scale: Scale::Bytes, spread_min: bits(1), sample: Sample::Sent, ..COUNT };
const SHARE: Measure = Measure { scale: Scale::Share, spread_min: 64, shared_max: 1024, ..COUNT };
const BYTES_OF: &[ColumnId] = &[conn::ORIG_BYTES, conn::RESP_BYTES];
const TO: &[ColumnId] = &[RESP_H];

/// A measure of bytes that are sent, and one of those that are received, by their channel.
const fn sent(name: &'static str, volume: (i16, i16)) -> Measure {
    Measure { name, aspect: Aspect::Give, columns: BYTES_OF, volume, weight: 750_000, ..BYTES }
}
const fn received(name: &'static str, volume: (i16, i16)) -> Measure {
    Measure { name, aspect: Aspect::Take, columns: BYTES_OF, volume, weight: 350_000, ..BYTES }
}

/// 1 MiB and 128 MiB; of what is taken, and of DNS.
const GIVEN: (i16, i16) = (bits(20), bits(27));
const TAKEN: (i16, i16) = (bits(26), bits(31));
const OVER_DNS: (i16, i16) = (bits(16), bits(22));

/// Their places in [`MEASURES`], of those that others name.
pub(in super::super) const CONNECTIONS: usize = 0;
pub(super) const ANSWERED: usize = 1;
pub(super) const PEERS: usize = 2;
pub(super) const INTERNAL: usize = 3;
pub(super) const PORTS: usize = 4;
pub(super) const NEW_PEERS: usize = 5;
pub(super) const FAILED: usize = 6;
pub(super) const CLIENTS: usize = 7;
pub(in super::super) const SENT: usize = 8;
pub(in super::super) const RECEIVED: usize = 12;
pub(super) const NAMES: usize = 16;
pub(super) const QUERIES: usize = 17;
pub(super) const NXDOMAIN: usize = 18;
pub(super) const AGENTS: usize = 19;
pub(super) const NEW_AGENTS: usize = 20;
pub(in super::super) const REQUESTS: usize = 21;
pub(super) const DOWNLOADS: usize = 22;
pub(super) const FAILURES: usize = 23;
pub(super) const ODD_HOURS: usize = 24;

/// All of them.
pub static MEASURES: [Measure; WIDTH] = [
    Measure { name: "connections", volume: (log(200), log(4000)), weight: 350_000, ..COUNT },
    Measure {
        name: "answered",
        aspect: Aspect::Serve,
        sample: Sample::Answered,
        volume: (log(50), log(1000)),
        weight: 300_000,
        ..COUNT
    },
    Measure {
        name: "peers",
        aspect: Aspect::Reach,
        columns: TO,
        volume: (log(20), log(120)),
        weight: 700_000,
        shared_max: bits(2),
        ..COUNT
    },
    Measure {
        name: "internal_peers",
        aspect: Aspect::Reach,
        columns: TO,
        volume: (log(8), log(40)),
        weight: 800_000,
        shared_max: bits(2),
        ..COUNT
    },
    Measure {
        name: "ports",
        aspect: Aspect::Reach,
        columns: &[RESP_P],
        volume: (log(8), log(40)),
        weight: 800_000,
        shared_max: bits(2),
        ..COUNT
    },
    Measure {
        name: "new_peers",
        aspect: Aspect::Reach,
        columns: TO,
        volume: (log(12), log(80)),
        weight: 650_000,
        shared_max: bits(2),
        ..COUNT
    },
    Measure {
        name: "failed_share",
        aspect: Aspect::Reach,
        columns: &[conn::CONN_STATE],
        sample: Sample::Failed,
        volume: (350, 800),
        weight: 450_000,
        shared_max: 512,
        ..SHARE
    },
    Measure {
        name: "clients",
        aspect: Aspect::Serve,
        columns: &[RESP_H],
        sample: Sample::Answered,
        volume: (log(2), log(8)),
        weight: 700_000,
        shared_max: bits(1),
        ..COUNT
    },
    sent("sent_dns", OVER_DNS),
    sent("sent_tls", GIVEN),
    sent("sent_http", GIVEN),
    sent("sent_other", GIVEN),
    received("received_dns", OVER_DNS),
    received("received_tls", TAKEN),
    received("received_http", TAKEN),
    received("received_other", TAKEN),
    Measure {
        name: "dns_names",
        aspect: Aspect::Names,
        log: Log::Dns,
        columns: &[dns::QUERY],
        sample: Sample::Named,
        volume: (log(100), log(800)),
        weight: 600_000,
        ..COUNT
    },
    Measure {
        name: "dns_queries",
        aspect: Aspect::Names,
        log: Log::Dns,
        columns: &[dns::QUERY],
        sample: Sample::Named,
        volume: (log(400), log(6000)),
        weight: 450_000,
        ..COUNT
    },
    Measure {
        name: "nxdomain_share",
        aspect: Aspect::Names,
        log: Log::Dns,
        columns: &[dns::RCODE],
        sample: Sample::Missing,
        volume: (300, 700),
        weight: 500_000,
        ..SHARE
    },
    Measure {
        name: "user_agents",
        aspect: Aspect::Programs,
        log: Log::Http,
        columns: &[http::USER_AGENT],
        sample: Sample::Asked,
        volume: (log(3), log(10)),
        weight: 400_000,
        ..COUNT
    },
    Measure {
        name: "new_user_agents",
        aspect: Aspect::Programs,
        log: Log::Http,
        columns: &[http::USER_AGENT],
        sample: Sample::Asked,
        volume: (0, log(3)),
        weight: 350_000,
        ..COUNT
    },
    Measure {
        name: "http_requests",
        log: Log::Http,
        columns: &[http::METHOD],
        sample: Sample::Asked,
        volume: (log(200), log(4000)),
        weight: 300_000,
        ..COUNT
    },
    Measure {
        name: "downloads",
        aspect: Aspect::Take,
        log: Log::Files,
        columns: &[files::MIME_TYPE],
        sample: Sample::Fetched,
        volume: (log(100), log(2000)),
        weight: 300_000,
        ..COUNT
    },
    Measure {
        name: "failures",
        aspect: Aspect::Reach,
        columns: &[conn::CONN_STATE],
        sample: Sample::Failed,
        volume: (log(20), log(150)),
        weight: 700_000,
        shared_max: bits(2),
        ..COUNT
    },
    Measure {
        name: "odd_hours",
        aspect: Aspect::Time,
        volume: (256, 768),
        weight: 650_000,
        shared_max: 1024,
        ..SHARE
    },
];

/// log2(1 + n) in 256ths, of small numbers, for the table.
const fn log(n: u64) -> i16 {
    // As `base::log2`, which is not const: 8 bits behind the point by squaring.
    let x = n + 1;
    let zeros = x.leading_zeros();
    let mut mantissa = (x << zeros) >> 32;
    let (mut rest, mut bit) = (0_i16, 8);
    while bit > 0 {
        bit -= 1;
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 != 0 {
            rest |= 1 << bit;
            mantissa >>= 1;
        }
    }
    (63 - zeros as i16) * 256 + rest
}

/// A count or bytes as a number of a row.
pub(super) fn counted(n: u64) -> i16 {
    i16::try_from(log2(n.saturating_add(1))).unwrap_or(i16::MAX)
}

/// `part` of `whole` as a number of a row: of eight the half of it.
pub(super) fn share(part: u64, whole: u64) -> i16 {
    let share = u128::from(part.min(whole)) * 1024 / (u128::from(whole) + 8);
    i16::try_from(share).unwrap_or(1024)
}

/// A number of a row as people count, in millionths: how many, how many bytes, which share.
#[must_use]
pub fn shown(measure: &Measure, value: i16) -> i64 {
    match measure.scale {
        Scale::Count | Scale::Bytes => {
            // Of counts the greatest that has this logarithm, since it was rounded down.
            let up = i32::from(measure.scale == Scale::Count);
            let whole = whole_power(i32::from(value.max(0)) + up).saturating_sub(1);
            i64::try_from(whole.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
        }
        Scale::Share => i64::from(value.max(0)) * 1_000_000 / 1024,
    }
}
