//! What is known of one entity, and its score at any minute:
//! R = min(100, criticality x sum over groups of min(budget, sum over modules of weight x value)).
//!
//! Between two minutes with evidence a score only fades. Not here: how a value fades (`value`).

use crate::base::hash::Id;
use crate::base::score::{Factor, Points, Ppm};
use crate::base::time::{MINUTE, Minute};
use crate::record::Entity;

use super::few::Few;
use super::level::Level;
use super::policy::Policy;
use super::sharing::share_out;
use super::value::{Link, Value, Values};

/// What an account is worth: its score when it was looked at last, and when it had evidence last.
pub(super) type Rank = (Points, i64);

/// What is known of one entity.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) entity: Entity,
    /// The first of its values.
    pub(super) first: Link,
    pub(super) criticality: Factor,
    /// The score of its last document.
    pub(super) told: Points,
    /// Its place in the order of eviction.
    pub(super) rank: Rank,
    /// When it is looked at again.
    pub(super) due: Option<Minute>,
    /// Where it stands in the queue: not after `due`.
    pub(super) queued: Option<Minute>,
}

impl Account {
    pub(super) fn new(entity: Entity, policy: &Policy) -> Self {
        let criticality = policy.criticality.of(&entity);
        Self {
            entity,
            first: Link::default(),
            criticality,
            told: Points(0),
            rank: (Points(0), 0),
            due: None,
            queued: None,
        }
    }
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
    pub evidence: Few<Id>,
}

/// An account with its values, for questions.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) account: &'a Account,
    pub(super) values: &'a Values,
    pub(super) policy: &'a Policy,
}

impl<'a> View<'a> {
    /// Its values.
    pub(super) fn values(self) -> impl Iterator<Item = &'a Value> {
        self.values.of(self.account.first)
    }

    /// When it had evidence last.
    pub(super) fn last(self) -> i64 {
        self.values().map(|value| value.at).max().unwrap_or(i64::MIN)
    }

    /// The score at the end of `minute`.
    pub(super) fn score(self, minute: Minute) -> Points {
        let (mut total, mut sum, mut group) = (0, 0, None);
        let within = |group: Option<usize>, sum: u64| {
            group.map_or(0, |group| self.policy.budgets[group].0.min(sum))
        };
        for value in self.values() {
            let at = usize::from(value.module);
            let own = Some(self.policy.groups[at]);
            if own != group {
                total += within(group, sum);
                (sum, group) = (0, own);
            }
            let module = &self.policy.modules[at];
            sum += module.points(value.now(minute, module.half_life_us));
        }
        total += within(group, sum);
        self.account.criticality.times(Points(total)).min(Points::MAX)
    }

    /// The parts of `score`, which is that of `minute`, the greatest first; they add up to it. A
    /// group above its budget, and then all of them, are scaled by the one sharing rule.
    pub(super) fn shares(self, minute: Minute, score: Points) -> Vec<Share> {
        let share = |value: &Value| {
            let (module, evidence) = (usize::from(value.module), value.evidence.ids());
            let of = &self.policy.modules[module];
            let value = value.now(minute, of.half_life_us);
            Share { module, points: Points(of.points(value)), value, evidence }
        };
        let mut shares: Vec<Share> = self.values().map(share).collect();
        let groups = &self.policy.groups;
        for group in shares.chunk_by_mut(|a, b| groups[a.module] == groups[b.module]) {
            let sum = group.iter().map(|share| share.points.0).sum();
            let budget = self.policy.budgets[groups[group[0].module]];
            share_out(group, budget.0.min(sum));
        }
        share_out(&mut shares, score.0);
        shares.retain(|share| share.points > Points(0));
        shares.sort_by_key(|share| (std::cmp::Reverse(share.points), share.module));
        shares
    }

    /// The next minute at which the score, which is `now` and only fades, has to be told again or
    /// falls below `rearm`, from where it may alert again, or else at which nothing is left of it.
    pub(super) fn next_look(
        self,
        minute: Minute,
        now: Points,
        rearm: Option<Points>,
    ) -> Option<Minute> {
        let hour = Minute((minute.0 + 1).div_euclid(60) * 60 + 59);
        let then = self.score(hour);
        if then >= Points::ONE {
            let fades = self.is_news(then, rearm).then(|| self.fades(minute, hour, rearm));
            return Some(fades.unwrap_or(hour));
        }
        // Forty half-lives leave nothing of a value.
        let modules = self.values().map(|value| &self.policy.modules[usize::from(value.module)]);
        let longest = modules.map(|module| module.half_life_us).max()?;
        let minutes = longest.saturating_add(MINUTE) / MINUTE;
        let end = Minute(minute.0.saturating_add(minutes.saturating_mul(40)));
        if self.is_news(self.score(end), rearm) {
            return Some(self.fades(minute, end, rearm));
        }
        (now > Points(0)).then_some(end)
    }

    /// Whether a score that faded has to be looked at: a point below what was told, on another
    /// level, or below the mark from which it may alert again.
    fn is_news(self, score: Points, rearm: Option<Points>) -> bool {
        let told = self.account.told;
        Level::of(score) != Level::of(told)
            || told.0.saturating_sub(score.0) >= Points::ONE.0
            || rearm.is_some_and(|rearm| score < rearm)
    }

    /// The first minute after `from` at which the score is news, which it is at `to`.
    fn fades(self, from: Minute, to: Minute, rearm: Option<Points>) -> Minute {
        let (mut low, mut high) = (from.0, to.0);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let is_news = self.is_news(self.score(Minute(middle)), rearm);
            if is_news { high = middle } else { low = middle }
        }
        Minute(high)
    }
}
