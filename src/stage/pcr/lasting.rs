//! What the profile of a host holds as usual of a channel: of all its days and of those like it,
//! where `history` has the last hours and two weeks.

use crate::base::log2::whole_power;

use super::super::activity::{RECEIVED, SENT, Span};
use super::super::profile::Held;
use super::super::traffic::PARTS;
use super::LEARNED_MIN;
use super::channel::{ALL, TABLE};
use super::history::Usual;
use super::peers::ratio;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lasting {
    /// The ratio of its days; nothing where they have too little in the channel for one. Hours in
    /// which a host idles have ratios of their own that say nothing of its role.
    pub(super) usual: Option<Usual>,
    /// The most that it sent in an hour, and on a day, as logarithms.
    pub(super) hour_most: i32,
    pub(super) day_most: i32,
    /// How much is known, in words.
    pub(super) history: String,
}

impl Lasting {
    pub(super) fn of(held: &Held<'_>, channel: usize) -> Self {
        let most = |span: Span| {
            parts(channel).map(|part| held.high(span, SENT + part)).max().unwrap_or_default().into()
        };
        Self {
            usual: usual(held, channel),
            hour_most: most(Span::Hour),
            day_most: most(Span::Day),
            history: held.history(Span::Hour),
        }
    }
}

/// The channels that a channel is made of.
fn parts(channel: usize) -> std::ops::Range<usize> {
    if channel == ALL { 0..PARTS } else { channel..channel + 1 }
}

/// Bytes of a day in some measures, and the spread of those that are most of them.
fn day(held: &Held<'_>, measures: impl Iterator<Item = usize>) -> Option<(u64, i32)> {
    let of = |measure: usize| {
        let one = held.expected(Span::Day, measure)?;
        let bytes = whole_power(one.centre.max(0).into()).saturating_sub(1);
        Some((bytes, i32::from(one.spread)))
    };
    let all: Vec<(u64, i32)> = measures.filter_map(of).collect();
    let sum = all.iter().fold(0_u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
    Some((sum, all.iter().max()?.1))
}

fn usual(held: &Held<'_>, channel: usize) -> Option<Usual> {
    let (sent, of_sent) = day(held, parts(channel).map(|part| SENT + part))?;
    let (received, of_received) = day(held, parts(channel).map(|part| RECEIVED + part))?;
    let of = &TABLE[channel];
    if sent.saturating_add(received) < LEARNED_MIN / of.smaller {
        return None;
    }
    let squared = |spread: i32| u64::from(spread.unsigned_abs()).pow(2);
    let spread = (squared(of_sent) + squared(of_received)).isqrt();
    let spread = i32::try_from(spread).unwrap_or(i32::MAX).max(of.spread_min);
    Some(Usual { mean: ratio(sent, received), spread })
}
