//! The ledger of risk: evidence in, scores out that have to be told.
//!
//! The evidence of one minute is summed in bits, which commute; when the minute closes, the values
//! of its entities take them in (noisy-or). Between two minutes with evidence nothing is stored but
//! values and when they were that. Not here: what a score is made of (`account`).

use std::collections::BTreeMap;

use crate::base::limits::PENDING_MAX;
use crate::base::lookup::Lookup;
use crate::base::score::{Factor, Points};
use crate::base::time::Minute;
use crate::record::Entity;

use super::account::{Event, Pending, Share};
use super::accounts::{Accounts, Slot};
use super::bits::Bits;
use super::level::Level;
use super::policy::Policy;
use super::saved::Changed;

/// A score that has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub entity: Entity,
    /// At the end of this minute.
    pub minute: Minute,
    /// The score; the sum of the shares.
    pub score: Points,
    /// What was told before.
    pub previous: Points,
    /// Its level.
    pub level: Level,
    /// By how much the entity's risk counts.
    pub criticality: Factor,
    /// Modules that add something, the greatest first.
    pub shares: Vec<Share>,
}

/// Evidence of a minute that is not closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    index: Lookup<(Entity, usize), usize>,
    all: Vec<((Entity, usize), Pending)>,
}

impl Waiting {
    /// What waits for a module of an entity.
    pub(super) fn get(&self, key: &(Entity, usize)) -> Option<&Pending> {
        self.index.get(key).map(|at| &self.all[*at].1)
    }

    /// The same, to change, where there is none yet an empty one.
    pub(super) fn entry(&mut self, key: (Entity, usize)) -> &mut Pending {
        let at = self.index.get(&key).copied().unwrap_or(self.all.len());
        if at == self.all.len() {
            self.index.insert(key.clone(), at);
            self.all.push((key, Pending::default()));
        }
        &mut self.all[at].1
    }
}

/// The accounts of all entities.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) policy: Policy,
    /// Evidence of minutes that are not closed.
    pub(super) pending: BTreeMap<Minute, Waiting>,
    pub(super) accounts: Accounts,
    /// Accounts by the level that was told.
    pub(super) levels: BTreeMap<Level, u64>,
    evicted: u64,
    /// Evidence that waits, counted, and what found no room.
    pub(super) waiting: usize,
    dropped: u64,
    /// Accounts to look at in the minute that is being closed.
    touched: Vec<Slot>,
    /// What changed since the last [`Ledger::save`], if anybody saves.
    pub(super) changed: Option<Changed>,
}

impl Ledger {
    /// A ledger without entities.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            pending: BTreeMap::new(),
            accounts: Accounts::default(),
            levels: BTreeMap::new(),
            evicted: 0,
            waiting: 0,
            dropped: 0,
            touched: Vec::new(),
            changed: None,
        }
    }

    /// What it was told at the start.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes evidence that counts in `minute`, which must not be closed. Where there is no room for
    /// another entity it is counted instead.
    pub fn add(&mut self, minute: Minute, entity: Entity, module: usize, bits: Bits, event: Event) {
        if bits == Bits::default() {
            return;
        }
        let waiting = self.pending.entry(minute).or_default();
        let key = (entity, module);
        let is_new = waiting.get(&key).is_none();
        if is_new && self.waiting >= PENDING_MAX {
            self.dropped += 1;
            return;
        }
        if let Some(changed) = &mut self.changed {
            changed.pending.insert((minute, key.0.clone(), module));
        }
        self.waiting += usize::from(is_new);
        waiting.entry(key).add(bits, event);
    }

    /// The next minute that has to be closed, be it for its evidence or because a score fades.
    #[must_use]
    pub fn next(&self) -> Option<Minute> {
        let pending = self.pending.first_key_value().map(|(minute, _)| *minute);
        pending.into_iter().chain(self.accounts.next_due()).min()
    }

    /// Whether evidence waits for a minute to close.
    #[must_use]
    pub fn last_pending(&self) -> Option<Minute> {
        self.pending.last_key_value().map(|(minute, _)| *minute)
    }

    /// Entities that have an account.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.accounts.len()
    }

    /// Entities by the level that was told of them.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        let count = |level| (level, self.levels.get(&level).copied().unwrap_or_default());
        Level::ALL.into_iter().map(count).collect()
    }

    /// Entities that had to go.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Evidence that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Closes a minute: takes its evidence in and says which scores have to be told, in the order
    /// of the entities.
    pub fn close(&mut self, minute: Minute, out: &mut Vec<Change>) {
        let mut touched = std::mem::take(&mut self.touched);
        for ((entity, module), pending) in self.pending.remove(&minute).unwrap_or_default().all {
            self.waiting -= 1;
            let (slot, is_new) = self.accounts.open(&entity, &self.policy);
            if is_new {
                *self.levels.entry(Level::of(Points(0))).or_default() += 1;
            }
            if let Some(account) = self.accounts.get_mut(slot) {
                account.take(module, pending, minute, &self.policy);
            }
            touched.push(slot);
            if let Some(changed) = &mut self.changed {
                changed.pending.insert((minute, entity, module));
            }
        }
        self.accounts.take_due(minute, &mut touched);
        touched.sort_unstable();
        touched.dedup();
        let before = out.len();
        for slot in touched.drain(..) {
            self.look(slot, minute, out);
        }
        self.touched = touched;
        out[before..].sort_unstable_by(|a, b| a.entity.cmp(&b.entity));
        while self.accounts.len() > self.policy.entities_max {
            let Some(lowest) = self.accounts.lowest() else { break };
            self.remove(lowest);
            self.evicted += 1;
        }
        self.accounts.tidy();
    }

    /// Tells a score if it has to be told, and says when to look again.
    fn look(&mut self, slot: Slot, minute: Minute, out: &mut Vec<Change>) {
        let policy = &self.policy;
        let Some(account) = self.accounts.get_mut(slot) else { return };
        if let Some(changed) = &mut self.changed {
            changed.accounts.insert(account.entity.clone());
        }
        let score = account.score(minute, policy);
        let previous = account.told;
        let level = Level::of(score);
        let is_news = level != Level::of(previous)
            || score.0.abs_diff(previous.0) >= Points::ONE.0
            || (minute.closes_hour() && score >= Points::ONE);
        if is_news {
            let (entity, criticality) = (account.entity.clone(), account.criticality);
            let shares = account.shares(minute, policy);
            out.push(Change { entity, minute, score, previous, level, criticality, shares });
            account.told = score;
            *self.levels.entry(Level::of(previous)).or_default() -= 1;
            *self.levels.entry(level).or_default() += 1;
        }
        let due = account.next_look(minute, score, policy);
        let last = account.last();
        if score == Points(0) && due.is_none() {
            return self.remove(slot);
        }
        self.accounts.set_rank(slot, (score, last));
        self.accounts.set_due(slot, due);
    }

    fn remove(&mut self, slot: Slot) {
        let Some(account) = self.accounts.remove(slot) else { return };
        *self.levels.entry(Level::of(account.told)).or_default() -= 1;
        if let Some(changed) = &mut self.changed {
            changed.accounts.insert(account.entity);
        }
    }
}

