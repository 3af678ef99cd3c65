//! Which hours are unlike all others: an isolation forest over how far each measure of an hour lies
//! above what was to be expected of the entity, learned of hours of all of them.
//!
//! Who does less is of no interest, nor is what is nothing to speak of: of a forest's score only
//! the share counts that comes from measures in which there was more, as far as that is much at
//! all. What is left is held against the hours that the forest was learned of. Beyond their rarest
//! hundredth it is extrapolated: what lies beyond a high value falls off like an exponential (the
//! simplest of the limits of J. Pickands, "Statistical Inference Using Extreme Order Statistics",
//! Annals of Statistics 1975).
//!
//! Not here: forests and samples (`learn`), when one is grown (`engine::refit`), what is a finding
//! (`isolation_forest`).

use serde::{Deserialize, Serialize};

use crate::base::log2::{BIT, log2};
use crate::base::time::Minute;
use crate::learn::Table;
use crate::learn::forest::{Forest, NEUTRAL, Settings};
use crate::learn::reservoir::Reservoir;

use super::super::activity::{MEASURES, WIDTH};
use super::super::ramp::{ONE, part};
use super::over::{Entry, Over};
use super::usual::short;

/// Hours that a forest is learned of, at most and at least.
const HOURS_MAX: usize = 4096;
const HOURS_MIN: usize = 1024;
/// Hours of entities that are offered of one hour: of a large network every so many-th.
const OFFERED_MAX: usize = 512;
/// After so many old ones begin to fade: two weeks of a large network.
const HORIZON: u64 = OFFERED_MAX as u64 * 24 * 14;
/// Days after which a forest is grown again, whatever came since.
const AGAIN_DAYS: i64 = 7;
/// The part of hours beyond which rarity is extrapolated: one in so many.
const TAIL: usize = 100;
const SEED: u64 = 0x69_736f_6c61_7469;
/// The least mean excess, in parts per million.
const EXCESS_MIN: u64 = 8000;
/// By so many 256ths of a bit what is rarer by e is rarer.
const E_BITS: u64 = 369;
/// Nothing is told to be rarer.
const BITS_MAX: i32 = 64 * BIT;
/// All of a share.
const WHOLE: u64 = 1024;

/// An hour as a forest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How far each measure lies more than a spread above what was to be expected, in 64ths of a
    /// spread; nothing of one of which not everything was seen. Then how much that is at all, of
    /// which 1024 is enough.
    row: [i16; 2 * WIDTH],
}

impl Seen {
    /// Of an entity's hour.
    #[must_use]
    pub fn of(entry: &Entry<'_>, over: &Over<'_>) -> Self {
        let mut row = [0; 2 * WIDTH];
        for at in (0..WIDTH).filter(|at| over.known.has(*at)) {
            row[at] = short((entry.above(at).0 - BIT).max(0) / 4);
            let much = MEASURES[at].much(over.span, entry.row[at]);
            row[WIDTH + at] = (much * WHOLE / ONE) as i16;
        }
        Self { row }
    }
}

/// A sample of hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    sample: Reservoir,
    /// When a forest was grown of it last: how many hours had been offered, and on which day.
    grown: Option<(u64, i64)>,
}

impl Default for Hours {
    fn default() -> Self {
        Self { sample: Reservoir::new(2 * WIDTH, HOURS_MAX, HORIZON, SEED), grown: None }
    }
}

impl Hours {
    /// Hours that are offered: of entities that are known, and those that are `good`, by their
    /// places.
    pub fn offered(over: &Over<'_>, good: impl Fn(usize) -> bool) -> Vec<Seen> {
        let is_good = |at: &usize| over.entries[*at].profile.is_known() && good(*at);
        let good: Vec<usize> = (0..over.entries.len()).filter(is_good).collect();
        let step = good.len().div_ceil(OFFERED_MAX).max(1);
        let first = over.number.unsigned_abs() as usize % step;
        let places = good.into_iter().skip(first).step_by(step);
        places.map(|at| Seen::of(&over.entries[at], over)).collect()
    }

    /// Takes an hour or not.
    pub fn take(&mut self, seen: &Seen) {
        self.sample.offer(&seen.row);
    }

    /// What a forest is grown from when a day is over; nothing where there are few hours, and
    /// nothing new for a week as long as there are not twice as many.
    pub fn grown(&mut self, day: i64) -> Option<Grow> {
        let (table, seen) = (self.sample.table(), self.sample.seen());
        let is_old = |(then, grown): (u64, i64)| seen / 2 >= then || day - grown >= AGAIN_DAYS;
        if table.len() < HOURS_MIN || !self.grown.is_none_or(is_old) {
            return None;
        }
        let grow = Grow { table: table.clone(), seed: day.unsigned_abs() };
        self.grown = Some((seen, day));
        Some(grow)
    }

    /// Whether it may have been saved.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_day = |(_, day): (u64, i64)| Minute::is_there(day);
        self.sample.table().width() == 2 * WIDTH && self.grown.is_none_or(is_day)
    }
}

/// What a forest is grown from: a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grow {
    table: Table,
    seed: u64,
}

impl Grow {
    /// Grows it.
    #[must_use]
    pub fn run(&self) -> Isolation {
        let mut table = Table::new(WIDTH);
        for row in self.table.rows() {
            table.push(&row[..WIDTH]);
        }
        let forest = Forest::fit(&table, Settings::default(), self.seed);
        let hours = table.len();
        let mut isolation = Isolation { forest, start: 0, excess: 1, most: 0, hours: hours as u32 };
        let scores = isolation.forest.scores(&table);
        let mut order: Vec<usize> = (0..hours).collect();
        order.sort_unstable_by_key(|at| (std::cmp::Reverse(scores[*at]), *at));
        // The hours that are worth most, the least of them first: no hour is worth more than its
        // score says, so most need not be looked at.
        let size = (hours / TAIL).max(1).min(hours);
        let mut tail: Vec<u64> = Vec::with_capacity(size + 1);
        for at in order {
            let least = tail.first().copied().filter(|_| tail.len() == size);
            if least.is_some_and(|least| u64::from(scores[at].saturating_sub(NEUTRAL)) <= least) {
                break;
            }
            let (worth, _) = isolation.worth(scores[at], self.table.row(at));
            tail.insert(tail.partition_point(|it| *it < worth), worth);
            if tail.len() > size {
                tail.remove(0);
            }
        }
        isolation.start = tail.first().copied().unwrap_or(ONE);
        isolation.most = tail.last().copied().unwrap_or(ONE);
        let beyond: u64 = tail.iter().map(|it| it - isolation.start).sum();
        let mean = beyond / tail.len().max(1) as u64;
        // No hour that was learned is rarer than one of them all, and where hardly any is worth
        // anything the tail says little.
        let bits = u64::from(log2(tail.len() as u64).unsigned_abs()).max(1);
        let least = (isolation.most - isolation.start) * E_BITS / bits;
        isolation.excess = mean.max(least).max(EXCESS_MIN);
        isolation
    }

    /// Whether it may have been saved.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.table.width() == 2 * WIDTH
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    forest: Forest,
    /// Where the tail begins, and by how much hours there lie beyond it in the mean.
    pub start: u64,
    excess: u64,
    /// The most that any of them is worth, in parts per million like the start.
    pub most: u64,
    /// How many hours it was learned of.
    pub hours: u32,
}

/// A measure that makes an hour rare, and how much.
pub type Part = (usize, u64);

/// How rare an hour is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rarity {
    /// The logarithm of one in so many, in 256ths of a bit; 0 where it is none of the rarest
    /// hundredth.
    pub bits: i32,
    /// What it is worth, in parts per million.
    pub worth: u64,
    /// What makes it so, the strongest first.
    pub parts: Vec<Part>,
}

impl Isolation {
    /// How rare each hour is.
    #[must_use]
    pub fn rarities(&self, hours: &[Seen]) -> Vec<Rarity> {
        let mut table = Table::new(WIDTH);
        for hour in hours {
            table.push(&hour.row[..WIDTH]);
        }
        let scores = self.forest.scores(&table);
        scores.iter().zip(hours).map(|(score, hour)| self.rarity(*score, hour)).collect()
    }

    fn rarity(&self, score: u32, hour: &Seen) -> Rarity {
        // What it is worth is no more than this.
        if u64::from(score.saturating_sub(NEUTRAL)) <= self.start {
            return Rarity::default();
        }
        let (worth, parts) = self.worth(score, &hour.row);
        let Some(beyond) = worth.checked_sub(self.start).filter(|beyond| *beyond > 0) else {
            return Rarity::default();
        };
        let more =
            i32::try_from(beyond * E_BITS / self.excess.max(1)).unwrap_or(i32::MAX).min(BITS_MAX);
        // log2 is that of one more.
        Rarity { bits: more + log2(TAIL as u64 - 1), worth, parts }
    }

    /// What the score of an hour is worth, in parts per million, and what makes it so.
    fn worth(&self, score: u32, row: &[i16]) -> (u64, Vec<Part>) {
        let Some(above) = score.checked_sub(NEUTRAL) else { return (0, Vec::new()) };
        let (excess, much) = row.split_at(WIDTH.min(row.len()));
        let credits = self.forest.attribution(excess);
        let credit = |at: usize| credits.get(at).map_or(0, |it| it.max(&0).unsigned_abs());
        let all: u64 = (0..WIDTH).map(credit).sum();
        let weight = |at: usize| {
            let much = much.get(at).map_or(0, |much| much.max(&0).unsigned_abs());
            credit(at) * u64::from(much).min(WHOLE) / WHOLE
        };
        let is_more = |at: &usize| excess.get(*at).is_some_and(|excess| *excess > 0);
        let mut parts: Vec<Part> = (0..WIDTH)
            .filter(is_more)
            .map(|at| (at, weight(at)))
            .filter(|(_, part)| *part > 0)
            .collect();
        parts.sort_by_key(|(at, part)| (std::cmp::Reverse(*part), *at));
        let more: u64 = parts.iter().map(|(_, part)| part).sum();
        let share = u128::from(more) * u128::from(ONE) / u128::from(all.max(1));
        (part(above.into(), share as u64), parts)
    }

    /// Whether it may have been saved.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.forest.width() == WIDTH
            && [self.start, self.excess, self.most].iter().all(|it| *it <= ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::{decode, encode};
    use crate::base::random::Random;

    /// An hour in which a measure may be a little above what was to be expected, and is much.
    fn hour(random: &mut Random) -> Seen {
        let mut row = [1024; 2 * WIDTH];
        for value in &mut row[..WIDTH] {
            // Most are as expected; sums of what is above have a tail that falls off.
            let dice = random.below(1000);
            *value = if dice < 800 { 0 } else { (dice as i16 - 800) / 4 };
        }
        Seen { row }
    }

    fn grown(count: usize) -> Option<Isolation> {
        let mut random = Random::new(7);
        let mut hours = Hours::default();
        (0..count).for_each(|_| hours.take(&hour(&mut random)));
        assert!(hours.is_sound());
        let again: Hours = decode(&encode(&hours)).unwrap();
        assert_eq!(again, hours);
        let grow = hours.grown(100)?;
        // Not again for a week, but for twice as many.
        assert_eq!(hours.grown(106), None);
        (0..count).for_each(|_| hours.take(&hour(&mut random)));
        assert!(hours.grown(106).is_some() && hours.grown(113).is_some());
        Some(grow.run())
    }

    #[test]
    fn few_hours_say_nothing_and_many_how_rare_another_is() {
        assert_eq!(grown(HOURS_MIN - 1), None);
        let isolation = grown(2000).unwrap();
        assert!(isolation.is_sound());
        let again: Isolation = decode(&encode(&isolation)).unwrap();
        let mut random = Random::new(8);
        let others: Vec<Seen> = (0..4000).map(|_| hour(&mut random)).collect();
        let rarities = isolation.rarities(&others);
        assert_eq!(again.rarities(&others), rarities, "saved");
        // Hours of the same kind: one in 100, give or take three deviations, is of the rarest
        // hundredth, and none is as rare as an alert.
        let rare = rarities.iter().filter(|it| it.bits > 0).count();
        assert!((15..90).contains(&rare), "{rare}");
        assert!(rarities.iter().all(|it| it.bits < 14 * BIT));
        // One that is odd in four ways is rarer, and these are why; where it is nothing to speak
        // of, or not more, it is none.
        let check = |much: i16, sign: i16| {
            let mut odd = others[0];
            for at in [2, 3, 5, 23] {
                (odd.row[at], odd.row[WIDTH + at]) = (sign * 900, much);
            }
            isolation.rarities(&[odd]).remove(0)
        };
        let rarity = check(1024, 1);
        assert!(rarity.bits > 14 * BIT, "{rarity:?}");
        let mut named: Vec<usize> = rarity.parts.iter().take(4).map(|(at, _)| *at).collect();
        named.sort_unstable();
        assert_eq!(named, [2, 3, 5, 23]);
        assert_eq!((check(0, 1).bits, check(1024, -1).bits), (0, 0));
        // No hour that was learned is rarer than one of them.
        let mut random = Random::new(7);
        let learned: Vec<Seen> = (0..2000).map(|_| hour(&mut random)).collect();
        let most = isolation.rarities(&learned).into_iter().map(|it| it.bits).max();
        assert!(most.is_some_and(|most| most > 10 * BIT && most < 23 * BIT / 2), "{most:?}");
    }

    /// Where nothing ever was beyond what is usual, a little of it is no alert, and much of it is.
    #[test]
    fn a_network_without_a_tail_is_not_certain_of_everything() {
        let mut table = Table::new(2 * WIDTH);
        (0..HOURS_MAX).for_each(|_| assert!(table.push(&[0; 2 * WIDTH])));
        let isolation = Grow { table, seed: 1 }.run();
        let check = |measures: &[usize], much: i16| {
            let mut row = [0; 2 * WIDTH];
            for at in measures {
                (row[*at], row[WIDTH + *at]) = (300, much);
            }
            isolation.rarities(&[Seen { row }]).remove(0).bits
        };
        assert!(check(&[2], 40) < 10 * BIT, "{}", check(&[2], 40));
        assert!(check(&[2, 3, 5, 23], 900) > 16 * BIT);
    }

    #[test]
    fn what_was_learned_of_nothing_or_of_the_same_is_defined() {
        for (rows, value) in [(0, 0), (1, 5), (2000, 0), (2000, i16::MAX)] {
            let mut table = Table::new(2 * WIDTH);
            (0..rows).for_each(|_| assert!(table.push(&[value; 2 * WIDTH])));
            let isolation = Grow { table, seed: 1 }.run();
            assert!(isolation.is_sound());
            for row in [[0; 2 * WIDTH], [i16::MAX; 2 * WIDTH], [i16::MIN; 2 * WIDTH]] {
                let rarity = isolation.rarities(&[Seen { row }]).remove(0);
                assert!((0..=BITS_MAX + 8 * BIT).contains(&rarity.bits), "{rarity:?}");
            }
        }
    }
}
