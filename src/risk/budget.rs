//! How many alerts a day may be: a bar that repeats have to reach when the day's alerts are used
//! up.
//!
//! - The budget is `per_thousand` alerts for every 1,000 hosts, and for the first 1,000 however few
//!   there are, never below [`ALERTS_A_DAY_MIN`], in 24 hours: this one and the 23 before it.
//! - While fewer went out, the bar is 0. Then it is the lowest of 0.05, 0.10, ... 0.95 that fewer
//!   alerts of these hours reached than the budget has, those counted that were held back. So the
//!   strong pass where many weak ones came, at once and not an hour later; and when the many stop,
//!   the bar falls with the hours.
//! - It is for repeats only: who asks it of the first alert of an incident does not look at the
//!   answer (`engine::alerting`).
//!
//! In any 24 hours at most 20 times the budget of repeats below 0.95 pass, whatever comes, since of
//! each twentieth only as many pass as the budget has, and about once the budget where the same
//! kind of alerts comes day after day; the tests hold both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::ALERTS_A_DAY_MIN;
use crate::base::score::Ppm;
use crate::base::time::Minute;

use super::hosts::{HostCount, hour};

/// Steps of the bar.
const STEPS: usize = 20;
/// One of them, in parts per million.
const STEP: u32 = 50_000;
/// Hours that count.
const HOURS: i64 = 24;

/// What the budget shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetState {
    /// What the score of a repeat has to reach now.
    pub bar: Ppm,
    /// Alerts that may go out in a day.
    pub per_day: u64,
    /// HostCount in the day before this hour, about.
    pub hosts: u64,
}

/// The alerts of one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    /// By the step that their score reaches.
    scores: [u64; STEPS],
    /// Of all of them, those that went out.
    emitted: u64,
}

impl Hour {
    fn add(&mut self, other: &Self) {
        for (sum, count) in self.scores.iter_mut().zip(other.scores) {
            *sum += count;
        }
        self.emitted += other.emitted;
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Budget {
    per_thousand: u64,
    kept: Kept,
    /// All hours of it together.
    day: Hour,
    /// Whether something changed since the last [`Budget::save`].
    is_changed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    now: i64,
    hosts: u64,
    hours: BTreeMap<i64, Hour>,
}

const KEY: &[u8] = b"ib";

impl Budget {
    /// `per_thousand` alerts a day for every 1,000 hosts.
    #[must_use]
    pub fn new(per_thousand: u64) -> Self {
        let kept = Kept { now: i64::MIN, hosts: 0, hours: BTreeMap::new() };
        Self { per_thousand, kept, day: Hour::default(), is_changed: false }
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        if std::mem::take(&mut self.is_changed) {
            sink(KEY, Some(&encode(&self.kept)));
        }
    }

    /// Takes back what [`Budget::save`] handed out.
    ///
    /// # Errors
    /// When it is not that.
    pub fn load(&mut self, value: &[u8]) -> Result<(), Damaged> {
        self.kept = decode(value)?;
        self.sum();
        Ok(())
    }

    fn sum(&mut self) {
        self.day = Hour::default();
        self.kept.hours.values().for_each(|hour| self.day.add(hour));
    }

    /// It is `open` now: where an hour began, the hosts are counted anew.
    pub fn advance(&mut self, open: Minute, hosts: &mut HostCount) {
        let now = hour(open);
        if now <= self.kept.now {
            return;
        }
        self.kept.now = now;
        self.kept.hosts = hosts.count_before(now);
        self.kept.hours = self.kept.hours.split_off(&now.saturating_sub(HOURS - 1));
        self.sum();
        self.is_changed = true;
    }

    /// What it shows of itself.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        BudgetState { bar: self.bar(), per_day: self.per_day(), hosts: self.kept.hosts }
    }

    fn per_day(&self) -> u64 {
        let share = self.per_thousand.saturating_mul(self.kept.hosts.max(1000)) / 1000;
        share.max(ALERTS_A_DAY_MIN)
    }

    /// What the score of a repeat has to reach now.
    #[must_use]
    pub fn bar(&self) -> Ppm {
        let per_day = self.per_day();
        if self.day.emitted < per_day {
            return Ppm::default();
        }
        let mut reached = 0;
        let mut bar = STEPS - 1;
        for step in (0..STEPS).rev() {
            reached += self.day.scores[step];
            if reached >= per_day {
                break;
            }
            bar = step;
        }
        Ppm::new(bar as u32 * STEP)
    }

    /// Counts an alert; whether it goes out or not, it came.
    pub fn note(&mut self, score: Ppm, is_emitted: bool) {
        let mut one = Hour { emitted: u64::from(is_emitted), ..Hour::default() };
        one.scores[((score.get() / STEP) as usize).min(STEPS - 1)] = 1;
        self.kept.hours.entry(self.kept.now).or_default().add(&one);
        self.day.add(&one);
        self.is_changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(budget: &mut Budget, hour: i64) {
        budget.advance(Minute(hour * 60), &mut HostCount::default());
    }

    /// A repeat comes: whether it goes out.
    fn repeat(budget: &mut Budget, ppm: u32) -> bool {
        let score = Ppm::new(ppm);
        let is_emitted = score >= budget.bar();
        budget.note(score, is_emitted);
        is_emitted
    }

    /// A thousand repeats an hour of one kind for three days, with a few strong ones.
    #[test]
    fn a_flood_uses_the_budget_up_and_the_strong_pass() {
        let mut budget = Budget::new(20);
        let (mut weak, mut strong) = ([0; 4], [0; 4]);
        for hour in 0..72 {
            at(&mut budget, hour);
            for _ in 0..1000 {
                weak[(hour / 24) as usize] += u64::from(repeat(&mut budget, 500_000));
            }
            if hour % 4 == 0 {
                strong[(hour / 24) as usize] += u64::from(repeat(&mut budget, 700_000));
            }
        }
        assert_eq!(weak, [20, 15, 15, 0], "beside the strong ones the day has room for these");
        assert_eq!(strong, [6, 6, 6, 0], "none of these is held back");
        // It stood above the flood, and no higher than needed.
        assert_eq!(budget.bar(), Ppm::new(550_000));
        at(&mut budget, 100);
        assert_eq!(budget.bar(), Ppm::new(0));
    }

    #[test]
    fn twenty_a_day_is_the_least_and_hosts_make_more() {
        let mut budget = Budget::new(0);
        for (hosts, per_thousand, expected) in [
            (0, 0, 20),
            (0, 50, 50),
            (999, 20, 20),
            (5000, 20, 100),
            (u64::MAX, u64::MAX, u64::MAX / 1000),
        ] {
            (budget.per_thousand, budget.kept.hosts) = (per_thousand, hosts);
            assert_eq!(budget.state().per_day, expected, "{hosts} {per_thousand}");
        }
    }

    #[test]
    fn the_surest_always_pass() {
        let mut budget = Budget::new(20);
        at(&mut budget, 0);
        assert!((0..1000).all(|_| repeat(&mut budget, 950_000)));
        assert!(!repeat(&mut budget, 949_999));
        assert_eq!(budget.bar(), Ppm::new(950_000));
    }

    fn alerts() -> impl Strategy<Value = Vec<(i64, u32)>> {
        // Rising scores are the worst that can come, so many are in order.
        let scores = prop_oneof![Just(0), 0..=1_000_000_u32, 400_000..600_000_u32];
        proptest::collection::vec((0..3_i64, scores), 0..2000).prop_flat_map(|mut items| {
            items[..].sort_by_key(|(gap, _)| *gap);
            (Just(items), any::<bool>()).prop_map(|(mut items, is_sorted)| {
                if is_sorted {
                    items.sort_by_key(|(_, ppm)| *ppm);
                }
                items
            })
        })
    }

    proptest! {
        #[test]
        fn no_day_has_more_than_twenty_budgets(items in alerts(), spread in 1..200_usize) {
            let mut budget = Budget::new(20);
            let (mut hour, mut emitted) = (0, Vec::new());
            for (index, (gap, ppm)) in items.into_iter().enumerate() {
                hour += if index % spread == 0 { gap } else { 0 };
                at(&mut budget, hour);
                if repeat(&mut budget, ppm) && ppm < 950_000 {
                    emitted.push(hour);
                }
            }
            for first in &emitted {
                let day = emitted.iter().filter(|hour| (*first..first + HOURS).contains(*hour));
                prop_assert!(day.count() <= 20 * 20);
            }
        }

        #[test]
        fn where_every_day_is_alike_about_one_budget_passes(
            kinds in proptest::collection::vec((0..950_000_u32, 1..40_usize), 1..6),
        ) {
            let mut budget = Budget::new(20);
            let mut emitted = [0; 5];
            for hour in 0..120 {
                at(&mut budget, hour);
                for &(ppm, count) in &kinds {
                    for _ in 0..count {
                        emitted[(hour / 24) as usize] += u64::from(repeat(&mut budget, ppm));
                    }
                }
            }
            // The first day takes what comes first, and then what is stronger.
            for day in &emitted[1..] {
                prop_assert!((20..=40).contains(day), "{emitted:?}");
            }
        }

        #[test]
        fn saved_and_loaded_it_goes_on(items in alerts(), restart in 0..2000_usize) {
            let run = |restart: usize| {
                let mut budget = Budget::new(20);
                let mut hour = 0;
                let mut answers = Vec::new();
                for (index, &(gap, ppm)) in items.iter().enumerate() {
                    if index == restart {
                        let mut again = Budget::new(20);
                        budget.save(&mut |_, value| again.load(value.unwrap()).unwrap());
                        budget = again;
                    }
                    hour += i64::from(index % 50 == 0) * gap;
                    at(&mut budget, hour);
                    answers.push((repeat(&mut budget, ppm), budget.state()));
                }
                answers
            };
            prop_assert_eq!(run(restart), run(usize::MAX));
        }
    }
}
