//! The accounts of all entities: by entity, by when they are due, by who goes first.
//!
//! An account stands in a slot, and what points to it names the slot. Nothing of that is seen
//! outside or saved: which slot an account got says nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::lookup::Places;
use crate::base::score::Points;
use crate::base::time::Minute;
use crate::record::Entity;

use super::account::{Account, Rank, View};
use super::policy::Policy;
use super::value::{Pending, Value, Values};

/// The place of an account.
pub(super) type Slot = u32;

/// Of the accounts one in so many is kept in order once one has to go.
const LOW: usize = 16;

/// All accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    slots: Vec<Option<Account>>,
    free: Vec<Slot>,
    index: Places,
    values: Values,
    queue: BTreeMap<Minute, Vec<Slot>>,
    /// Entries of the queue, also those that stand for nobody any more.
    queued: usize,
    low: Low,
}

/// Whose account stands in a slot.
fn entity_at(slots: &[Option<Account>], slot: Slot) -> Option<&Entity> {
    slots.get(slot as usize)?.as_ref().map(|account| &account.entity)
}

/// The accounts that go first. As long as none has to go, there is none in it.
#[derive(Clone, Debug, Default)]
struct Low {
    /// Every account of at most this rank is in the set.
    upto: Option<Rank>,
    set: BTreeSet<(Rank, Entity, Slot)>,
}

impl Accounts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Slots, values or entries of the queue, whichever are most, also unused ones.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let queue = self.queue.values().map(Vec::len).sum();
        self.slots.len().max(self.values.room()).max(queue)
    }

    /// The slot of an entity's account.
    pub(super) fn slot(&self, entity: &Entity) -> Option<Slot> {
        self.index.get(entity, |slot| entity_at(&self.slots, slot))
    }

    /// The account in a slot, to change.
    fn get_mut(&mut self, slot: Slot) -> Option<&mut Account> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The account in a slot, with its values.
    pub(super) fn view<'a>(&'a self, slot: Slot, policy: &'a Policy) -> Option<View<'a>> {
        let account = self.slots.get(slot as usize)?.as_ref()?;
        Some(View { account, values: &self.values, policy })
    }

    /// Gives an account of an entity without one a slot, and its place in the queue.
    pub(super) fn insert(&mut self, mut account: Account) -> Slot {
        let (entity, rank, due) = (account.entity.clone(), account.rank, account.due.take());
        let slot = self.free.pop().unwrap_or(self.slots.len() as Slot);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot as usize] = Some(account);
        self.index.insert(&entity, slot, |slot| entity_at(&self.slots, slot));
        self.low.insert(rank, &entity, slot);
        self.set_due(slot, due);
        slot
    }

    /// Takes in what a minute brought for a module.
    pub(super) fn take(
        &mut self,
        slot: Slot,
        (module, pending): (usize, Pending),
        minute: Minute,
        policy: &Policy,
    ) {
        let Some(value) = self.value(slot, module, policy) else { return };
        value.take(pending, minute, policy.modules[module].half_life_us);
    }

    /// Sets the value of a module as it was saved.
    pub(super) fn set_value(&mut self, slot: Slot, module: usize, saved: Value, policy: &Policy) {
        if let Some(value) = self.value(slot, module, policy) {
            value.set(saved);
        }
    }

    fn value(&mut self, slot: Slot, module: usize, policy: &Policy) -> Option<&mut Value> {
        let account = self.slots.get_mut(slot as usize)?.as_mut()?;
        Some(self.values.entry(&mut account.first, module, policy))
    }

    /// Takes an account out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Account> {
        let entity = entity_at(&self.slots, slot)?;
        self.index.remove(entity, |slot| entity_at(&self.slots, slot));
        let account = self.slots[slot as usize].take()?;
        self.free.push(slot);
        self.values.remove(account.first);
        self.low.remove(account.rank, &account.entity, slot);
        Some(account)
    }

    /// Says which score was told.
    pub(super) fn set_told(&mut self, slot: Slot, score: Points) {
        if let Some(account) = self.get_mut(slot) {
            account.told = score;
        }
    }

    /// Gives an account another place in the order of eviction.
    pub(super) fn set_rank(&mut self, slot: Slot, rank: Rank) {
        let Some(account) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        let before = std::mem::replace(&mut account.rank, rank);
        if before != rank {
            self.low.remove(before, &account.entity, slot);
            self.low.insert(rank, &account.entity, slot);
        }
    }

    /// The account that goes first: that of the least rank, of equals the least entity.
    pub(super) fn lowest(&mut self) -> Option<Slot> {
        if self.low.set.is_empty() {
            let all = || self.slots.iter().flatten();
            let mut ranks: Vec<Rank> = all().map(|account| account.rank).collect();
            let count = (ranks.len() / LOW).max(1);
            let (_, upto, _) = (!ranks.is_empty()).then(|| ranks.select_nth_unstable(count - 1))?;
            self.low.upto = Some(*upto);
            for (slot, account) in self.slots.iter().enumerate() {
                let Some(account) = account else { continue };
                self.low.insert(account.rank, &account.entity, slot as Slot);
            }
        }
        self.low.set.first().map(|(_, _, slot)| *slot)
    }

    /// The next minute at which an account is due.
    pub(super) fn next_due(&self) -> Option<Minute> {
        self.queue.first_key_value().map(|(minute, _)| *minute)
    }

    /// Says when an account is looked at again. It stays where it stands in the queue if that is
    /// early enough.
    pub(super) fn set_due(&mut self, slot: Slot, due: Option<Minute>) {
        let Some(account) = self.get_mut(slot) else { return };
        account.due = due;
        let Some(due) = due else { return };
        if account.queued.is_none_or(|queued| queued > due) {
            account.queued = Some(due);
            self.queue.entry(due).or_default().push(slot);
            self.queued += 1;
        }
    }

    /// Takes the accounts that are due up to `minute` out of the queue.
    pub(super) fn take_due(&mut self, minute: Minute, out: &mut Vec<Slot>) {
        while let Some(first) = self.queue.first_entry().filter(|first| *first.key() <= minute) {
            let (queued, slots) = first.remove_entry();
            self.queued -= slots.len();
            for slot in slots {
                let Some(account) = self.get_mut(slot).filter(|it| it.queued == Some(queued))
                else {
                    continue;
                };
                account.queued = None;
                match account.due {
                    Some(due) if due <= minute => {
                        account.due = None;
                        out.push(slot);
                    }
                    later => self.set_due(slot, later),
                }
            }
        }
    }

    /// Removes from the front of the queue what stands there for nobody, so that
    /// [`Accounts::next_due`] is true, and from all of it when there is too much of that.
    pub(super) fn tidy(&mut self) {
        if self.queued > 2 * self.len() + 1024 {
            self.queue.clear();
            self.queued = 0;
            for slot in 0..self.slots.len() as Slot {
                let Some(account) = self.get_mut(slot) else { continue };
                account.queued = None;
                let due = account.due;
                self.set_due(slot, due);
            }
        }
        while let Some(mut first) = self.queue.first_entry() {
            let minute = *first.key();
            let Some(slot) = first.get_mut().pop() else {
                first.remove();
                continue;
            };
            self.queued -= 1;
            let Some(account) = self.get_mut(slot).filter(|it| it.queued == Some(minute)) else {
                continue;
            };
            account.queued = None;
            let due = account.due;
            self.set_due(slot, due);
            if due == Some(minute) {
                return;
            }
        }
    }
}

impl Low {
    fn insert(&mut self, rank: Rank, entity: &Entity, slot: Slot) {
        if self.upto.is_some_and(|upto| rank <= upto) {
            self.set.insert((rank, entity.clone(), slot));
        }
    }

    fn remove(&mut self, rank: Rank, entity: &Entity, slot: Slot) {
        if self.upto.is_some_and(|upto| rank <= upto) {
            self.set.remove(&(rank, entity.clone(), slot));
        }
    }
}
