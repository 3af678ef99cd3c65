//! The kinds of traffic that are looked at apart, and what is usual of each.

use crate::record::Technique;

use super::super::traffic::PARTS;
use super::history::Usual;
use super::{OVER_DNS, OVER_WEB, TECHNIQUES};

/// All of them together, as one more channel.
pub(super) const ALL: usize = PARTS;
/// Channels.
pub(super) const CHANNELS: usize = PARTS + 1;

/// What is known of a channel before anything is known of an entity. Logarithms are of sent by
/// received, in 256ths of a bit.
pub(super) struct Channel {
    pub(super) name: &'static str,
    pub(super) techniques: &'static [Technique],
    /// What is usual of hosts of which nothing is known.
    pub(super) usual: Usual,
    /// No history is taken for steadier than this.
    pub(super) spread_min: i32,
    /// Spreads away from what is usual: below the first it is noise, from the second on a change.
    pub(super) shift: (i32, i32),
    /// The ratio of what one destination got: below the first it gives too, from the second on it
    /// only takes.
    pub(super) role: (i32, i32),
    /// By how much its volumes are smaller than those of others.
    pub(super) smaller: u64,
}

/// A host without history may be anything: a factor of eight either way, and thirty at twice that.
const ANY: Channel = Channel {
    name: "all",
    techniques: TECHNIQUES,
    usual: Usual { mean: 0, spread: 3 * 256 },
    spread_min: 128,
    shift: (3 * 256, 5 * 256),
    role: (150, 512),
    smaller: 1,
};

/// By their place.
pub(super) const TABLE: [Channel; CHANNELS] = [
    // An answer repeats its question, so even a tunnel hardly sends more than it receives, and
    // ordinary answers are two to four times as long.
    Channel {
        name: "dns",
        techniques: OVER_DNS,
        usual: Usual { mean: -300, spread: 192 },
        spread_min: 64,
        shift: (384, 768),
        role: (-160, -40),
        smaller: 20,
    },
    Channel { name: "tls", techniques: OVER_WEB, ..ANY },
    Channel { name: "http", techniques: OVER_WEB, ..ANY },
    Channel { name: "other", ..ANY },
    ANY,
];
