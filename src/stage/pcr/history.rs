//! What an entity's hours and days in one channel were like: ratios and volumes, in few bytes.

use serde::{Deserialize, Serialize};

use crate::base::log2::BIT;

const HOURS: usize = 32;
const DAYS: usize = 14;
/// How many hours of history weigh as much as what is known of any host.
const PRIOR_HOURS: i64 = 8;

/// The last hours and days in which something was sent or received, oldest overwritten first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    /// log2 of sent by received in each hour, in 256ths of a bit.
    ratios: [i16; HOURS],
    /// log2 of what went to destinations that were new, in quarters of a bit.
    pushed: [u8; HOURS],
    days: [u8; DAYS],
    hours_count: u8,
    hours_next: u8,
    days_count: u8,
    days_next: u8,
    /// Suspicious hours since the last one that was learned.
    suspicious: u8,
}

impl Default for History {
    fn default() -> Self {
        Self {
            ratios: [0; HOURS],
            pushed: [0; HOURS],
            days: [0; DAYS],
            hours_count: 0,
            hours_next: 0,
            days_count: 0,
            days_next: 0,
            suspicious: 0,
        }
    }
}

/// What is usual, in 256ths of a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usual {
    pub(super) mean: i32,
    pub(super) spread: i32,
}

/// One suspicious hour in so many is learned: an attacker trains slowly, and a host that changed its
/// role for good is silent again after some weeks.
const LEARNED_ONE_IN: u8 = 8;

impl History {
    /// Learns an hour, but most of those that are suspicious.
    pub(super) fn hour(&mut self, ratio: i32, pushed: i32, is_suspicious: bool) {
        if is_suspicious {
            self.suspicious += 1;
            if self.suspicious < LEARNED_ONE_IN {
                return;
            }
            self.suspicious = 0;
        }
        let at = usize::from(self.hours_next) % HOURS;
        self.ratios[at] = ratio.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        self.pushed[at] = quarters(pushed);
        self.hours_next = ((at + 1) % HOURS) as u8;
        self.hours_count = (self.hours_count + 1).min(HOURS as u8);
    }

    /// Learns a day.
    pub(super) fn day(&mut self, pushed: i32) {
        let at = usize::from(self.days_next) % DAYS;
        self.days[at] = quarters(pushed);
        self.days_next = ((at + 1) % DAYS) as u8;
        self.days_count = (self.days_count + 1).min(DAYS as u8);
    }

    /// Median and robust spread (1.4826 times the median of distances), each drawn towards what is
    /// usual otherwise while there is little history: with n hours the weight of eight to n, on the
    /// mean and on the squared spread. No history is taken for steadier than `spread_min`.
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

    /// The most that went to new destinations in one hour, in 256ths of a bit: of so few hours it
    /// is the 99th percentile.
    pub(super) fn hour_max(&self) -> i32 {
        let count = usize::from(self.hours_count).min(HOURS);
        self.pushed[..count].iter().max().map_or(0, |max| i32::from(*max) * BIT / 4)
    }

    /// The same of one day, but for the last `but` days.
    pub(super) fn day_max(&self, but: usize) -> i32 {
        let older = (but..self.days()).map(|back| {
            let at = usize::from(self.days_next) + 2 * DAYS - 1 - back;
            i32::from(self.days[at % DAYS])
        });
        older.max().map_or(0, |max| max * BIT / 4)
    }

    /// Days that were learned.
    pub(super) fn days(&self) -> usize {
        usize::from(self.days_count).min(DAYS)
    }
}

/// 256ths of a bit as quarters.
fn quarters(log: i32) -> u8 {
    (log * 4 / BIT).clamp(0, 255) as u8
}

/// The lower median; 0 of nothing. Sorts.
fn median(values: &mut [i16]) -> i32 {
    values.sort_unstable();
    let Some(middle) = values.len().checked_sub(1) else { return 0 };
    i32::from(values[middle / 2])
}
