//! The ledger of risk: evidence in, scores out that have to be told.
//!
//! The evidence of one minute is summed in bits, which commute; when the minute closes, the values
//! of its entities take them in (noisy-or). Between two minutes with evidence nothing is stored but
//! values and when they were that. Not here: what a score is made of (`account`).

use std::collections::BTreeMap;

use crate::base::limits::{CHANGES_MAX, PENDING_MAX};
use crate::base::lookup::Places;
use crate::base::score::{Factor, Points};
use crate::base::time::Minute;
use crate::record::Entity;

use super::account::{Account, Share, View};
use super::accounts::{Accounts, Slot};
use super::alarm::Alarm;
use super::bits::Bits;
use super::level::Level;
use super::policy::Policy;
use super::saved::Changed;
use super::value::{Event, Pending, Value};

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
    /// Whether the score has reached the mark from which it is an alert.
    pub is_alert: bool,
}

/// Evidence of a minute that is not closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    index: Places,
    all: Vec<(Key, Pending)>,
}

/// An entity and a module.
type Key = (Entity, usize);

impl Waiting {
    fn at(&self, key: &Key) -> Option<u32> {
        self.index.get(key, |at| self.all.get(at as usize).map(|(key, _)| key))
    }

    /// What waits for a module of an entity.
    pub(super) fn get(&self, key: &Key) -> Option<&Pending> {
        self.at(key).map(|at| &self.all[at as usize].1)
    }

    /// The same, to change, where there is none yet an empty one.
    pub(super) fn entry(&mut self, key: Key) -> &mut Pending {
        let at = self.at(&key).unwrap_or_else(|| {
            let at = self.all.len() as u32;
            self.all.push((key, Pending::default()));
            let key_at = |at: u32| self.all.get(at as usize).map(|(key, _)| key);
            self.index.insert(&self.all[at as usize].0, at, key_at);
            at
        });
        &mut self.all[at as usize].1
    }
}

/// Why an account is looked at in the minute that is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Evidence, which stands there among that of the minute.
    Evidence(u32),
    /// It is due.
    Due(Slot),
}

/// The minute that is being closed.
#[derive(Clone, Debug, Default)]
struct Closing {
    evidence: Waiting,
    /// What is left to look at, the first one last.
    looks: Vec<(Entity, Reason)>,
    due: Vec<Slot>,
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
    pub(super) alarm: Alarm,
    evicted: u64,
    /// Evidence that waits, counted, that of users once more, and what found no room.
    pub(super) waiting: usize,
    pub(super) waiting_users: usize,
    dropped: u64,
    closing: Closing,
    /// Room that closed minutes took, for those that come.
    spare: Waiting,
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
            alarm: Alarm::default(),
            evicted: 0,
            waiting: 0,
            waiting_users: 0,
            dropped: 0,
            closing: Closing::default(),
            spare: Waiting::default(),
            changed: None,
        }
    }

    /// What it was told at the start.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether evidence of a module of `entity` has room in `minute`. Anybody can make up
    /// addresses, and any client names of users, so that users get a quarter of the room, and those
    /// that nobody knew before half of what there is for their kind: none of that pushes out what
    /// is found of others.
    #[must_use]
    pub fn has_room(&self, minute: Minute, entity: &Entity, module: usize, is_known: bool) -> bool {
        let share = if is_known { 1 } else { 2 };
        let is_user = entity.addr().is_none();
        if self.waiting < PENDING_MAX / share
            && (!is_user || self.waiting_users < PENDING_MAX / 4 / share)
        {
            return true;
        }
        let key = (entity.clone(), module);
        self.pending.get(&minute).is_some_and(|waiting| waiting.get(&key).is_some())
    }

    /// Counts evidence that found no room.
    pub fn drop_one(&mut self) {
        self.dropped += 1;
    }

    /// Takes evidence that counts in `minute`, which must not be closed. Where there is no room for
    /// anybody it is counted instead.
    pub fn add(&mut self, minute: Minute, entity: Entity, module: usize, bits: Bits, event: Event) {
        if bits == Bits::default() {
            return;
        }
        if !self.has_room(minute, &entity, module, true) {
            return self.drop_one();
        }
        let spare = &mut self.spare;
        let waiting = self.pending.entry(minute).or_insert_with(|| std::mem::take(spare));
        let key = (entity, module);
        if let Some(changed) = &mut self.changed {
            changed.pending.insert((minute, key.0.clone(), module));
        }
        if waiting.get(&key).is_none() {
            self.waiting += 1;
            self.waiting_users += usize::from(key.0.addr().is_none());
        }
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

    /// Whether an entity has an account.
    #[must_use]
    pub fn knows(&self, entity: &Entity) -> bool {
        self.accounts.slot(entity).is_some()
    }

    /// Entities that have an account.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.accounts.len()
    }

    fn view(&self, entity: &Entity) -> Option<View<'_>> {
        self.accounts.view(self.accounts.slot(entity)?, &self.policy)
    }

    /// What the score of an entity is made of at the end of a minute, if it has one.
    #[must_use]
    pub fn shares(&self, entity: &Entity, minute: Minute) -> Option<Vec<Share>> {
        let view = self.view(entity)?;
        Some(view.shares(minute, view.score(minute)))
    }

    /// The strongest events that a module has of an entity.
    pub fn events(&self, entity: &Entity, module: usize) -> impl Iterator<Item = &Event> {
        let values = self.view(entity).into_iter().flat_map(View::values);
        values.filter(move |value| usize::from(value.module) == module).flat_map(Value::events)
    }

    /// How an entity stands at the end of `minute`, against what was told of it last.
    #[must_use]
    pub fn standing(&self, entity: &Entity, minute: Minute) -> Option<Change> {
        let view = self.view(entity)?;
        let score = view.score(minute);
        Some(Change {
            entity: entity.clone(),
            minute,
            score,
            previous: view.account.told,
            level: Level::of(score),
            criticality: view.account.criticality,
            shares: view.shares(minute, score),
            is_alert: false,
        })
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
    /// of the entities; if that are very many then some of them, and `true`: call again for the
    /// rest.
    pub fn close(&mut self, minute: Minute, out: &mut Vec<Change>) -> bool {
        if self.closing.looks.is_empty() {
            self.begin(minute);
        }
        let enough = out.len() + CHANGES_MAX;
        while let Some((entity, reason)) = self.closing.looks.pop() {
            let is_last = self.closing.looks.last().is_none_or(|(next, _)| *next != entity);
            let slot = match reason {
                Reason::Evidence(at) => self.take(entity, at, minute),
                Reason::Due(slot) => slot,
            };
            if is_last {
                self.look(slot, minute, out);
            }
            if out.len() >= enough && !self.closing.looks.is_empty() {
                return true;
            }
        }
        self.end();
        false
    }

    /// Collects the accounts to look at.
    fn begin(&mut self, minute: Minute) {
        let Closing { evidence, looks, due } = &mut self.closing;
        *evidence = self.pending.remove(&minute).unwrap_or_default();
        let users = evidence.all.iter().filter(|((entity, _), _)| entity.addr().is_none()).count();
        self.waiting -= evidence.all.len();
        self.waiting_users -= users;
        looks.extend(
            (0..)
                .zip(&evidence.all)
                .map(|(at, ((entity, _), _))| (entity.clone(), Reason::Evidence(at))),
        );
        self.accounts.take_due(minute, due);
        for slot in due.drain(..) {
            let account = self.accounts.view(slot, &self.policy).map(|view| view.account);
            looks.extend(account.map(|account| (account.entity.clone(), Reason::Due(slot))));
        }
        looks.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Takes in what a minute brought for one module of an entity; the slot of its account.
    fn take(&mut self, entity: Entity, at: u32, minute: Minute) -> Slot {
        let ((_, module), pending) = &mut self.closing.evidence.all[at as usize];
        let (module, pending) = (*module, std::mem::take(pending));
        if let Some(changed) = &mut self.changed {
            changed.pending.insert((minute, entity.clone(), module));
        }
        let slot = self.accounts.slot(&entity).unwrap_or_else(|| {
            *self.levels.entry(Level::of(Points(0))).or_default() += 1;
            self.accounts.insert(Account::new(entity, &self.policy))
        });
        self.accounts.take(slot, (module, pending), minute, &self.policy);
        slot
    }

    /// Makes room where there are too many entities, and keeps that of the minute for others.
    fn end(&mut self) {
        while self.accounts.len() > self.policy.entities_max {
            let Some(lowest) = self.accounts.lowest() else { break };
            self.remove(lowest);
            self.evicted += 1;
        }
        self.accounts.tidy();
        let mut closed = std::mem::take(&mut self.closing.evidence);
        if closed.all.capacity() > self.spare.all.capacity() {
            closed.all.clear();
            closed.index.clear();
            self.spare = closed;
        }
    }

    /// Tells a score if it has to be told, and says when to look again.
    fn look(&mut self, slot: Slot, minute: Minute, out: &mut Vec<Change>) {
        let Some(view) = self.accounts.view(slot, &self.policy) else { return };
        if let Some(changed) = &mut self.changed {
            changed.accounts.insert(view.account.entity.clone());
        }
        let score = view.score(minute);
        let (previous, level) = (view.account.told, Level::of(score));
        let is_alert = self.alarm.look(&view.account.entity, score, self.policy.marks);
        let is_news = is_alert
            || level != Level::of(previous)
            || score.0.abs_diff(previous.0) >= Points::ONE.0
            || (minute.closes_hour() && score >= Points::ONE);
        if is_news {
            let (entity, criticality) = (view.account.entity.clone(), view.account.criticality);
            let shares = view.shares(minute, score);
            out.push(Change {
                entity,
                minute,
                score,
                previous,
                level,
                criticality,
                shares,
                is_alert,
            });
            *self.levels.entry(Level::of(previous)).or_default() -= 1;
            *self.levels.entry(level).or_default() += 1;
            self.accounts.set_told(slot, score);
        }
        let Some(view) = self.accounts.view(slot, &self.policy) else { return };
        let is_high = self.alarm.is_high(&view.account.entity);
        let rearm = is_high.then_some(self.policy.marks.rearm);
        let (due, last) = (view.next_look(minute, score, rearm), view.last());
        if score == Points(0) && due.is_none() {
            return self.remove(slot);
        }
        self.accounts.set_rank(slot, (score, last));
        self.accounts.set_due(slot, due);
    }

    fn remove(&mut self, slot: Slot) {
        let Some(account) = self.accounts.remove(slot) else { return };
        self.alarm.forget(&account.entity);
        *self.levels.entry(Level::of(account.told)).or_default() -= 1;
        if let Some(changed) = &mut self.changed {
            changed.accounts.insert(account.entity);
        }
    }
}
