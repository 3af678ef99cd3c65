//! What is known of one entity, and its score at any minute:
//! R = min(100, criticality x sum over groups of min(budget, sum over modules of weight x value)).
//!
//! A module's *value* is a fraction in [0, 1] at the minute of its last evidence; at any later
//! minute it is decayed to it in one step, from the same numbers, whenever it is asked for. So a
//! score only fades until there is evidence again.

use serde::{Deserialize, Serialize};

use crate::base::hash::Id;
use crate::base::limits::EVIDENCE_MAX;
use crate::base::score::{Factor, Points, Ppm};
use crate::base::time::{MINUTE, Minute, Time};
use crate::record::Entity;

use super::bits::{Bits, ONE, decayed, to_ppm};
use super::level::Level;
use super::policy::Policy;
use super::sharing::share_out;
use super::uid::Uid;

/// An event behind a value. Of equally strong ones the first counts, told by what stands in the log
/// and not by where it stands, so that TSV and JSON of the same records name the same events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// Its `ts`.
    pub time: Time,
    /// Zeek's uid.
    pub uid: Uid,
    /// Its id.
    pub id: Id,
}

/// Events with their bits, the strongest first, at most [`EVIDENCE_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Strongest(Vec<(Bits, Event)>);

impl Strongest {
    /// Takes one in; of an event that comes twice the stronger counts.
    pub(super) fn keep(&mut self, item: (Bits, Event)) {
        if let Some(at) = self.0.iter().position(|(_, event)| event.id == item.1.id) {
            if item.0 <= self.0[at].0 {
                return;
            }
            self.0.remove(at);
        }
        let weaker = |other: &(Bits, Event)| {
            item.0.cmp(&other.0).then_with(|| other.1.cmp(&item.1)).is_gt()
        };
        let at = self.0.iter().position(weaker).unwrap_or(self.0.len());
        if at < EVIDENCE_MAX {
            self.0.truncate(EVIDENCE_MAX - 1);
            self.0.reserve_exact(1);
            self.0.insert(at, item);
        }
    }

    fn merge(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for item in other.0 {
            self.keep(item);
        }
    }
}

/// Evidence of one minute.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) bits: Bits,
    pub(super) evidence: Strongest,
}

impl Pending {
    /// Adds one piece of evidence.
    pub(super) fn add(&mut self, bits: Bits, event: Event) {
        self.bits = self.bits.plus(bits);
        self.evidence.keep((bits, event));
    }
}

/// The value of one module for one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Value {
    /// At the end of `at`.
    fraction: u64,
    at: i64,
    /// The strongest events behind it.
    evidence: Strongest,
}

impl Value {
    fn now(&self, minute: Minute, half_life_us: i64) -> Ppm {
        to_ppm(self.fraction_at(minute, half_life_us))
    }

    fn fraction_at(&self, minute: Minute, half_life_us: i64) -> u64 {
        let elapsed = minute.0.saturating_sub(self.at).max(0).unsigned_abs();
        decayed(
            self.fraction,
            elapsed.saturating_mul(MINUTE.unsigned_abs()),
            half_life_us.unsigned_abs(),
        )
    }

    fn take(&mut self, pending: Pending, minute: Minute, half_life_us: i64) {
        let now = self.fraction_at(minute, half_life_us);
        let rest = ONE - now;
        self.fraction =
            now + ((u128::from(rest) * u128::from(pending.bits.fraction())) >> 32) as u64;
        self.at = minute.0;
        self.evidence.merge(pending.evidence);
    }
}

/// What an account is worth: its score when it was looked at last, and when it had evidence last.
pub(super) type Rank = (Points, i64);

/// What is known of one entity.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) entity: Entity,
    /// By the module's group, then by the module.
    values: Vec<(usize, Value)>,
    /// The score of its last document.
    pub(super) told: Points,
    /// Its place in the order of eviction.
    pub(super) rank: Rank,
    /// When it is looked at again.
    pub(super) due: Option<Minute>,
    /// Where it stands in the queue: not after `due`.
    pub(super) queued: Option<Minute>,
    pub(super) criticality: Factor,
}

/// What one module adds to a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The module's place in the stage table.
    pub module: usize,
    /// Its part of the score.
    pub points: Points,
    /// Its value.
    pub value: Ppm,
    /// Events behind it, the strongest first.
    pub evidence: Vec<Id>,
}

impl Account {
    pub(super) fn new(entity: Entity, policy: &Policy) -> Self {
        let criticality = policy.criticality.of(&entity);
        Self {
            entity,
            values: Vec::new(),
            told: Points(0),
            rank: (Points(0), 0),
            due: None,
            queued: None,
            criticality,
        }
    }

    /// Its values, by module.
    pub(super) fn values(&self) -> impl Iterator<Item = &(usize, Value)> {
        self.values.iter()
    }

    /// When it had evidence last.
    pub(super) fn last(&self) -> i64 {
        self.values.iter().map(|(_, value)| value.at).max().unwrap_or(i64::MIN)
    }

    /// The value of a module, to change.
    pub(super) fn value(&mut self, module: usize, policy: &Policy) -> &mut Value {
        let place = |module: usize| (policy.groups[module], module);
        let at = match self.values.binary_search_by_key(&place(module), |(it, _)| place(*it)) {
            Ok(at) => at,
            Err(at) => {
                self.values.reserve_exact(1);
                self.values.insert(at, (module, Value::default()));
                at
            }
        };
        &mut self.values[at].1
    }

    /// Takes in what a minute brought for a module.
    pub(super) fn take(&mut self, module: usize, pending: Pending, minute: Minute, policy: &Policy) {
        let half_life_us = policy.modules[module].half_life_us;
        self.value(module, policy).take(pending, minute, half_life_us);
    }

    /// The score at the end of `minute`.
    pub(super) fn score(&self, minute: Minute, policy: &Policy) -> Points {
        let (mut total, mut sum, mut group) = (0, 0, 0);
        for (module, value) in &self.values {
            if policy.groups[*module] != group {
                total += policy.budgets[group].0.min(sum);
                (sum, group) = (0, policy.groups[*module]);
            }
            let module = &policy.modules[*module];
            sum += module.points(value.now(minute, module.half_life_us));
        }
        total += policy.budgets.get(group).map_or(0, |budget| budget.0.min(sum));
        self.criticality.times(Points(total)).min(Points::MAX)
    }

    /// The parts of [`Account::score`], the greatest first; they add up to it. A group above its
    /// budget, and then all of them, are scaled by the one sharing rule.
    pub(super) fn shares(&self, minute: Minute, policy: &Policy) -> Vec<Share> {
        let now = |(module, value): &(usize, Value)| {
            value.now(minute, policy.modules[*module].half_life_us)
        };
        let mut points: Vec<u64> =
            self.values.iter().map(|it| policy.modules[it.0].points(now(it))).collect();
        let mut rest = points.as_mut_slice();
        for group in self.values.chunk_by(|a, b| policy.groups[a.0] == policy.groups[b.0]) {
            let (parts, others) = rest.split_at_mut(group.len());
            let sum: u64 = parts.iter().sum();
            share_out(parts, policy.budgets[policy.groups[group[0].0]].0.min(sum));
            rest = others;
        }
        share_out(&mut points, self.score(minute, policy).0);
        let shares = self.values.iter().zip(points).filter(|(_, points)| *points > 0);
        let share = |(it, points): (&(usize, Value), u64)| Share {
            module: it.0,
            points: Points(points),
            value: now(it),
            evidence: it.1.evidence.0.iter().map(|(_, event)| event.id).collect(),
        };
        let mut shares: Vec<Share> = shares.map(share).collect();
        shares.sort_by_key(|share| (std::cmp::Reverse(share.points), share.module));
        shares
    }

    /// The next minute at which the score, which is `now` and only fades, has to be told again, or
    /// else at which nothing is left of it.
    pub(super) fn next_look(&self, minute: Minute, now: Points, policy: &Policy) -> Option<Minute> {
        let hour = Minute((minute.0 + 1).div_euclid(60) * 60 + 59);
        let then = self.score(hour, policy);
        if then >= Points::ONE {
            let fades = self.is_news(then).then(|| self.fades(minute, hour, policy));
            return Some(fades.unwrap_or(hour));
        }
        // Forty half-lives leave nothing of a value.
        let longest = self.values.iter().map(|(module, _)| policy.modules[*module].half_life_us);
        let minutes = longest.max()?.saturating_add(MINUTE) / MINUTE;
        let end = Minute(minute.0.saturating_add(minutes.saturating_mul(40)));
        if self.is_news(self.score(end, policy)) {
            return Some(self.fades(minute, end, policy));
        }
        (now > Points(0)).then_some(end)
    }

    /// Whether a score that faded has to be told: a point below what was told, or on another level.
    fn is_news(&self, score: Points) -> bool {
        Level::of(score) != Level::of(self.told)
            || self.told.0.saturating_sub(score.0) >= Points::ONE.0
    }

    /// The first minute after `from` at which the score is news, which it is at `to`.
    fn fades(&self, from: Minute, to: Minute, policy: &Policy) -> Minute {
        let (mut low, mut high) = (from.0, to.0);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let is_news = self.is_news(self.score(Minute(middle), policy));
            if is_news { high = middle } else { low = middle }
        }
        Minute(high)
    }
}
