//! What is usual of one measure: centre, spread, and the most there was.
//!
//! Centre and spread are running M-estimates (P. Huber, "Robust estimation of a location
//! parameter", 1964): a value moves the centre by a fraction of its distance, and counts as at most
//! two spreads away, so that no single hour moves it far and many of them move it at a speed with
//! a bound. In logarithms, so in factors.

use serde::{Deserialize, Serialize};

use crate::base::log2::BIT;

/// See the module; in the units of the measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// The middle.
    pub centre: i16,
    /// 1.25 times the mean distance from there: of a normal distribution the standard deviation.
    pub spread: i16,
    /// The most that was learned; falls towards the centre by a half in some six weeks.
    pub high: i16,
}

/// How fast is learned.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// One window counts for no less than one in so many.
    pub slowest: i32,
    /// Nothing is taken for steadier than this.
    pub spread_min: i16,
}

/// What a centre and a spread weigh that were learned elsewhere, in windows of one's own: the
/// centre of a newcomer is soon its own, how much it varies is not known for long (as NetWitness
/// has it: 15).
const PRIOR_CENTRE: i32 = 8;
const PRIOR_SPREAD: u64 = 15;
/// The spread of who may be anybody, and what that weighs.
const ANY: i16 = 2 * BIT as i16;
const ANY_SPREAD: u64 = 5;
/// Windows in which what is learned first counts in full.
const FIRST: u16 = 8;

/// What is usual of a crowd, of whose members each has a centre of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prior {
    /// The middle one of these centres.
    pub centre: i16,
    /// The spread of a member.
    pub within: i16,
    /// That of the centres.
    pub between: i16,
}

impl Prior {
    /// Of the members' own.
    #[must_use]
    pub fn of(members: &[Usual]) -> Self {
        let median = |of: &dyn Fn(&Usual) -> i16| {
            let mut all: Vec<i16> = members.iter().map(of).collect();
            let middle = all.len() / 2;
            if all.is_empty() { 0 } else { *all.select_nth_unstable(middle).1 }
        };
        let centre = median(&|usual| usual.centre);
        let apart = |usual: &Usual| (i32::from(usual.centre) - i32::from(centre)).abs();
        let between = i32::from(median(&|usual| short(apart(usual)))) * 3 / 2;
        Self { centre, within: median(&|usual| usual.spread), between: short(between) }
    }
}

/// What is expected of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The middle.
    pub centre: i16,
    /// The spread, at least 1.
    pub spread: i16,
}

impl Usual {
    /// Learns a window after `learned` others; one counts for no less than one in `slowest`. Where
    /// the value before is told, the spread is that between neighbours: a slow change then is none
    /// of it (as in charts of individual values: W. Shewhart, 1931).
    pub fn learn(&mut self, (value, before): (i16, Option<i16>), learned: u16, pace: Pace) {
        let Pace { slowest, spread_min } = pace;
        if learned == 0 {
            (self.centre, self.spread) = (value, spread_min);
            return;
        }
        let (centre, spread) = (i32::from(self.centre), i32::from(self.spread));
        let reach = spread.max(i32::from(spread_min)) * if learned < FIRST { 8 } else { 2 };
        let away = (i32::from(value) - centre).clamp(-reach, reach);
        let part = (i32::from(learned) + 1).min(slowest);
        self.centre = short(centre + away / part);
        let apart = match before {
            // Of two values that vary the difference varies by a root of two more.
            Some(before) => (i32::from(value) - i32::from(before)).abs().min(reach) * 7 / 10,
            None => away.abs(),
        };
        self.spread = short(spread + (apart * 5 / 4 - spread) / part);
    }

    /// So much there was, season and all.
    pub fn reach(&mut self, value: i16) {
        self.high = self.high.max(value);
    }

    /// A day went by.
    pub fn fade(&mut self) {
        let above = i32::from(self.high) - i32::from(self.centre);
        self.high = short(i32::from(self.high) - above.max(0) / 64);
    }

    /// What is expected after `learned` windows, of one of a crowd. Nothing is taken for steadier
    /// than `spread_min`.
    #[must_use]
    pub fn expected(&self, learned: u16, prior: Option<&Prior>, spread_min: i16) -> Expected {
        let n = i32::from(learned);
        let centre = match prior {
            Some(prior) => {
                let sum = PRIOR_CENTRE * i32::from(prior.centre) + n * i32::from(self.centre);
                sum / (PRIOR_CENTRE + n)
            }
            None => i32::from(self.centre),
        };
        let squared = |spread: i16| u64::from(spread.max(spread_min).unsigned_abs()).pow(2);
        let n = u64::from(learned);
        let (wide, weight) = match prior {
            // Which of the crowd it is shows with its first windows.
            Some(prior) => {
                let between = u64::from(prior.between.unsigned_abs()) * PRIOR_CENTRE as u64;
                let left = between / (PRIOR_CENTRE as u64 + n);
                (squared(prior.within) + left * left, PRIOR_SPREAD)
            }
            None => (squared(ANY), ANY_SPREAD),
        };
        let variance = (weight * wide + n * squared(self.spread)) / (weight + n);
        let spread = i32::try_from(variance.isqrt()).unwrap_or(i32::MAX);
        Expected { centre: short(centre), spread: short(spread).max(1) }
    }
}

/// Held inside of what a measure may be.
pub(super) fn short(value: i32) -> i16 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(values: &[i16]) -> Usual {
        let mut usual = Usual::default();
        for (n, value) in values.iter().enumerate() {
            usual.learn((*value, None), n as u16, PACE);
        }
        usual
    }

    const PACE: Pace = Pace { slowest: 32, spread_min: 64 };

    #[test]
    fn a_steady_measure_is_found_and_few_wild_values_change_nothing() {
        // 1,000 and up to 200 away, with one in ten at 10,000.
        let values = |wild: bool| -> Vec<i16> {
            let value = |n: i16| 1000 + (n * 73) % 401 - 200;
            (0..400).map(|n| if wild && n % 10 == 9 { 10_000 } else { value(n) }).collect()
        };
        let (calm, wild) = (after(&values(false)), after(&values(true)));
        assert!((calm.centre - 1000).abs() < 40, "{calm:?}");
        assert!((80..200).contains(&calm.spread), "{calm:?}");
        assert!((wild.centre - calm.centre).abs() < 80, "{wild:?}");
        assert!(wild.spread < 2 * calm.spread, "{wild:?}");
    }

    #[test]
    fn a_new_entity_is_as_the_others_until_it_is_known() {
        let prior = Prior { centre: 2000, within: 300, between: 400 };
        let own =
            |n: u16| Usual { centre: 1000, spread: 100, high: 0 }.expected(n, Some(&prior), 64);
        assert_eq!(own(0), Expected { centre: 2000, spread: 500 });
        assert_eq!(own(8).centre, 1500);
        assert!(own(1000).centre < 1010 && own(1000).spread < 110, "{:?}", own(1000));
        assert_eq!(Usual::default().expected(0, None, 64).spread, ANY);
    }

    proptest! {
        /// Whatever comes, nothing overflows, and from the ninth window on one moves the centre by
        /// no more than two spreads in nine.
        #[test]
        fn no_window_moves_it_far(values in proptest::collection::vec(any::<i16>(), 1..60)) {
            let mut usual = Usual::default();
            for (n, value) in values.iter().enumerate() {
                let before = usual;
                usual.learn((*value, values.get(n / 2).copied()), n as u16, PACE);
                if n >= usize::from(FIRST) {
                    let moved = i32::from(usual.centre) - i32::from(before.centre);
                    let spread = i32::from(before.spread.max(64));
                    prop_assert!(moved.abs() <= 2 * spread / 9 + 1, "{:?} {:?}", before, usual);
                }
                usual.fade();
                let prior = Prior::of(&[before, usual]);
                prop_assert!(usual.expected(n as u16, Some(&prior), 64).spread >= 1);
            }
        }
    }
}
