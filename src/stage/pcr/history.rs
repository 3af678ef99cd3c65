//! What an entity's hours and days in one channel were like, in few bytes.

use serde::{Deserialize, Serialize};

use crate::base::log2::{BIT, log2, whole_power};

const HOURS: usize = 32;
const DAYS: usize = 14;
/// How many hours of history weigh as much as what is usual otherwise.
const PRIOR_HOURS: i64 = 8;
/// One suspicious hour in so many is learned: an attacker trains slowly, and a host that changed
/// its role for good is silent again in the end.
const LEARNED_ONE_IN: u8 = 8;

/// The last hours and days in which something was sent or received, oldest overwritten first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    /// log2 of sent by received in each hour, in 256ths of a bit.
    ratios: [i16; HOURS],
    hours_count: u8,
    hours_next: u8,
    days: [Day; DAYS],
    days_count: u8,
    days_next: u8,
    /// The hour of today in which most was sent.
    today: Day,
    /// Suspicious hours since the last one that was learned.
    suspicious: u8,
}

/// A day, and the hour of it in which most was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// log2 of all that was sent, in quarters of a bit.
    sent: u8,
    /// The same of that hour, and its ratio.
    top: u8,
    ratio: i16,
}

/// What is usual, in 256ths of a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usual {
    pub(super) mean: i32,
    pub(super) spread: i32,
}

impl History {
    /// Learns an hour, but most of those that are suspicious.
    pub(super) fn hour(&mut self, ratio: i32, sent: u64, is_suspicious: bool) {
        if is_suspicious {
            self.suspicious += 1;
            if self.suspicious < LEARNED_ONE_IN {
                return;
            }
            self.suspicious = 0;
        }
        let ratio = ratio.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        let at = usize::from(self.hours_next) % HOURS;
        self.ratios[at] = ratio;
        self.hours_next = ((at + 1) % HOURS) as u8;
        self.hours_count = (self.hours_count + 1).min(HOURS as u8);
        let sent = quarters(log2(sent));
        if sent > self.today.top {
            (self.today.top, self.today.ratio) = (sent, ratio);
        }
    }

    /// Ends a day, on which so much was sent; learns it where it is a habit.
    pub(super) fn day(&mut self, sent: u64, is_habit: bool) {
        let day = Day { sent: quarters(log2(sent)), ..std::mem::take(&mut self.today) };
        if is_habit {
            let at = usize::from(self.days_next) % DAYS;
            self.days[at] = day;
            self.days_next = ((at + 1) % DAYS) as u8;
            self.days_count = (self.days_count + 1).min(DAYS as u8);
        }
    }

    /// Median and robust spread (1.4826 times the median of distances) of the ratio, each drawn
    /// towards what is usual otherwise while there is little history: with n hours the weight of
    /// eight to n, on the mean and on the squared spread. No history is taken for steadier than
    /// `spread_min`.
    pub(super) fn usual(&self, otherwise: Usual, spread_min: i32) -> Usual {
        let count = usize::from(self.hours_count).min(HOURS);
        let mut sorted = self.ratios;
        let sorted = &mut sorted[..count];
        let median = median(sorted);
        for ratio in sorted.iter_mut() {
            *ratio = (i32::from(*ratio) - median).abs().min(i32::from(i16::MAX)) as i16;
        }
        let spread = (self::median(sorted) * 14_826 / 10_000).max(spread_min);
        let (n, prior) = (count as i64, PRIOR_HOURS);
        let (mean, wide) = (i64::from(otherwise.mean), i64::from(otherwise.spread));
        let squared = |spread: i64| spread * spread;
        let variance = (prior * squared(wide) + n * squared(i64::from(spread))) / (prior + n);
        Usual {
            mean: ((prior * mean + n * i64::from(median)) / (prior + n)) as i32,
            spread: (variance.unsigned_abs().isqrt() as i32).max(1),
        }
    }

    /// How many hours and days are kept.
    pub(super) fn seen(&self) -> (u8, u8) {
        (self.hours_count, self.days_count)
    }

    /// Days that were learned, the last one first.
    fn days(&self) -> impl Iterator<Item = Day> {
        let count = usize::from(self.days_count).min(DAYS);
        (0..count).map(|back| self.days[(usize::from(self.days_next) + 2 * DAYS - 1 - back) % DAYS])
    }

    /// The most that was sent in an hour of the days before, as a logarithm: of two weeks' hours
    /// it is beyond the 99th percentile.
    pub(super) fn hour_most(&self) -> i32 {
        self.days().map(|day| log(day.top)).max().unwrap_or_default()
    }

    /// The most that was sent in a day.
    pub(super) fn day_most(&self) -> i32 {
        self.days().map(|day| log(day.sent)).max().unwrap_or_default()
    }

    /// All that was sent in the last `count` days, and what is usual of one more than so many: the
    /// days before them say, where there are at least two.
    pub(super) fn long(&self, count: usize) -> Option<(u64, i32)> {
        let bytes = |day: Day| whole_power(log(day.sent));
        let add = |sum: u64, more: u64| sum.saturating_add(more);
        let recent = self.days().take(count).map(bytes).fold(0, add);
        let (days, sum, most) = self.days().skip(count).fold((0, 0_u64, 0), |all, day| {
            (all.0 + 1, all.1.saturating_add(bytes(day)), all.2.max(log(day.sent)))
        });
        if days < 2 || self.days().count() < count {
            return None;
        }
        // Half a bit beyond the mean: five days together vary little.
        let usual = log2((sum / days).saturating_mul(count as u64 + 1)) + BIT / 2;
        Some((recent, usual.max(most)))
    }

    /// Whether an hour of the days before sent a quarter of `sent`, by its logarithm, and more, at
    /// nearly this ratio: then it is no new role.
    pub(super) fn has_precedent(&self, sent: i32, ratio: i32) -> bool {
        self.days().any(|day| log(day.top) >= sent - 2 * BIT && i32::from(day.ratio) >= ratio - BIT)
    }
}

/// 256ths of a bit as quarters.
fn quarters(log: i32) -> u8 {
    (log * 4 / BIT).clamp(0, 255) as u8
}

/// And back.
fn log(quarters: u8) -> i32 {
    i32::from(quarters) * BIT / 4
}

/// The lower median; 0 of nothing. Sorts.
fn median(values: &mut [i16]) -> i32 {
    values.sort_unstable();
    let Some(middle) = values.len().checked_sub(1) else { return 0 };
    i32::from(values[middle / 2])
}
