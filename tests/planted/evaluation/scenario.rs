//! What a scenario says, as values.
//!
//! Not here: how it is written down (`language`), the records it stands for (`expand`).

use std::net::Ipv4Addr;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Midnight of day 0, Monday the 4th of March 2024, UTC. Times of a scenario count from it.
pub(crate) const DAY_0: i64 = 1_709_510_400 * SECOND;

/// Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// From a time to another, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    pub(crate) fn holds(self, time: i64) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

/// A log and what is to be found in it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(super) seed: String,
    pub(super) flows: Vec<Flow>,
    /// Without a record of anybody, as if Zeek had been down.
    pub(super) gaps: Vec<Span>,
    /// Nothing is to be found where it is empty.
    pub(crate) truth: Vec<Expected>,
}

/// An alert that has to come.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) entity: String,
    pub(super) address: Ipv4Addr,
    pub(crate) channel: String,
    /// What the guilty connections carry away from the host.
    pub(crate) bytes: u64,
    /// Where the time of the alert belongs.
    pub(crate) between: Span,
    /// Where its window belongs.
    pub(crate) window: Span,
}

/// Connections that are alike.
#[derive(Debug)]
pub(super) struct Flow {
    /// The line that says so, which is also the seed of its dice.
    pub(super) text: String,
    pub(super) is_guilty: bool,
    pub(super) when: When,
    pub(super) from: Peers,
    pub(super) to: Peers,
    pub(super) port: u16,
    pub(super) proto: Proto,
    pub(super) service: String,
    pub(super) sent: Amount,
    pub(super) received: Amount,
    pub(super) duration: Range,
    pub(super) state: State,
    /// How many percent of the bytes Zeek did not see.
    pub(super) missed_percent: u64,
}

/// Moments.
#[derive(Debug)]
pub(super) struct When {
    pub(super) rhythm: Rhythm,
    pub(super) span: Span,
    /// Hours of each day, from midnight.
    pub(super) daily: Option<Span>,
    pub(super) days: Days,
    /// That anything happens at a moment.
    pub(super) chance_percent: u64,
    /// How many connections a moment has, and how far they are spread.
    pub(super) burst: Option<(Range, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// One moment in each interval of this length, anywhere in it.
    Every(i64),
    /// The span in so many intervals, one moment in each.
    Times(u64),
    /// The start of the span.
    Once,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Days {
    All,
    Weekdays,
    Weekends,
}

impl Days {
    pub(super) fn holds(self, time: i64) -> bool {
        let is_weekend = time.div_euclid(DAY).rem_euclid(7) >= 5;
        match self {
            Self::All => true,
            Self::Weekdays => !is_weekend,
            Self::Weekends => is_weekend,
        }
    }
}

/// Addresses in a row, and which of them a connection takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    pub(super) pick: Pick,
    pub(super) first: Ipv4Addr,
    pub(super) count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// As originators: each host does the whole line by itself.
    All,
    /// One of them each time, the first ones far more often than the last.
    Any,
    /// One after the other.
    Each,
}

impl Peers {
    pub(super) fn at(self, index: u64) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first) + index as u32)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proto {
    Tcp,
    Udp,
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    /// Of each connection.
    Range(Range),
    /// Of all connections that a host has by this line, together.
    Total(u64),
}

impl Amount {
    pub(super) const NONE: Self = Self::Range(Range { low: 0, high: 0 });
}

/// Zeek's `conn_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Sf,
    S0,
    Rej,
    Rsto,
    Rstr,
}

impl State {
    pub(super) const ALL: [(&str, Self); 5] = [
        ("SF", Self::Sf),
        ("S0", Self::S0),
        ("REJ", Self::Rej),
        ("RSTO", Self::Rsto),
        ("RSTR", Self::Rstr),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("OTH", |(name, _)| name)
    }

    /// That there was a connection at all.
    pub(super) fn is_established(self) -> bool {
        !matches!(self, Self::S0 | Self::Rej)
    }
}
