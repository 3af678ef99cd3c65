//! The value of a module for an entity, and the events behind it.
//!
//! A *value* is a fraction in [0, 1] at the minute of its last evidence; at any later minute it is
//! decayed to it in one step, from the same numbers, whenever it is asked for. The values of all
//! entities stand in one list, each in a place of the same size, so that a million entities take as
//! much as they need and nothing is allocated for a piece of evidence. Not here: what values come
//! to (`account`).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::base::hash::Id;
use crate::base::score::Ppm;
use crate::base::time::{MINUTE, Minute, Time};
use crate::record::Uid;

use super::bits::{Bits, ONE, decayed, to_ppm};
use super::few::Few;
use super::policy::Policy;

/// An event behind a value. Of equally strong ones the first counts, told by what stands in the log
/// and not by where it stands, so that TSV and JSON of the same records name the same events.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// Its `ts`.
    pub time: Time,
    /// Zeek's uid.
    pub uid: Uid,
    /// Its id.
    pub id: Id,
}

/// Events with their bits, the strongest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Strongest(Few<(Bits, Event)>);

impl Strongest {
    /// Takes one in; of an event that comes twice the stronger counts.
    pub(super) fn keep(&mut self, item: (Bits, Event)) {
        if let Some(at) = self.0.iter().position(|(_, event)| event.id == item.1.id) {
            if item.0 <= self.0[at].0 {
                return;
            }
            self.0.remove(at);
        }
        let is_weaker =
            |other: &(Bits, Event)| item.0.cmp(&other.0).then_with(|| other.1.cmp(&item.1)).is_gt();
        let at = self.0.iter().position(is_weaker).unwrap_or(self.0.len());
        self.0.insert(at, item);
    }

    fn merge(&mut self, mut other: Self) {
        for item in other.0.drain() {
            self.keep(item);
        }
    }

    /// Them.
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().map(|(_, event)| event)
    }

    /// Their ids.
    pub(super) fn ids(&self) -> Few<Id> {
        self.0.iter().map(|(_, event)| event.id).collect()
    }
}

/// Evidence of one minute.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pending {
    bits: Bits,
    evidence: Recently,
}

/// The strongest events of one minute: nearly always there is one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Strongest", into = "Strongest")]
enum Recently {
    #[default]
    None,
    One((Bits, Event)),
    Several(Box<Strongest>),
}

impl From<Recently> for Strongest {
    fn from(recently: Recently) -> Self {
        match recently {
            Recently::None => Self::default(),
            Recently::One(item) => Self(std::iter::once(item).collect()),
            Recently::Several(all) => *all,
        }
    }
}

impl From<Strongest> for Recently {
    fn from(all: Strongest) -> Self {
        match &*all.0 {
            [] => Self::None,
            [item] => Self::One(item.clone()),
            _ => Self::Several(Box::new(all)),
        }
    }
}

impl Pending {
    /// Adds one piece of evidence.
    pub(super) fn add(&mut self, bits: Bits, event: Event) {
        self.bits = self.bits.plus(bits);
        let item = (bits, event);
        if let Recently::Several(all) = &mut self.evidence {
            return all.keep(item);
        }
        if matches!(self.evidence, Recently::None) {
            self.evidence = Recently::One(item);
            return;
        }
        let mut all = Strongest::from(std::mem::take(&mut self.evidence));
        all.keep(item);
        self.evidence = Recently::Several(Box::new(all));
    }
}

/// The value of one module for one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Value {
    /// At the end of `at`.
    fraction: u64,
    pub(super) at: i64,
    /// The strongest events behind it.
    pub(super) evidence: Strongest,
    /// The module's place in the stage table.
    #[serde(skip)]
    pub(super) module: u16,
    /// The next one of the same entity.
    #[serde(skip)]
    next: Link,
}

impl Value {
    /// The strongest events behind it.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.evidence.events()
    }

    /// What it is at the end of `minute`.
    pub(super) fn now(&self, minute: Minute, half_life_us: i64) -> Ppm {
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

    /// Takes over what was saved; it stays where it is.
    pub(super) fn set(&mut self, saved: Self) {
        *self = Self { module: self.module, next: self.next, ..saved };
    }

    /// Takes in what a minute brought.
    pub(super) fn take(&mut self, pending: Pending, minute: Minute, half_life_us: i64) {
        let now = self.fraction_at(minute, half_life_us);
        let rest = ONE - now;
        self.fraction =
            now + ((u128::from(rest) * u128::from(pending.bits.fraction())) >> 32) as u64;
        self.at = minute.0;
        match pending.evidence {
            Recently::None => {}
            Recently::One(item) => self.evidence.keep(item),
            Recently::Several(all) => self.evidence.merge(*all),
        }
    }
}

/// The place of a value, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link(Option<NonZeroU32>);

/// The values of all entities, of each one in a chain: by the module's group, then by the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    all: Vec<Value>,
    free: Vec<Link>,
}

impl Values {
    /// The values of the chain that begins at `first`.
    pub(super) fn of(&self, first: Link) -> impl Iterator<Item = &Value> {
        std::iter::successors(self.get(first), |value| self.get(value.next))
    }

    fn get(&self, link: Link) -> Option<&Value> {
        self.all.get(link.0?.get() as usize - 1)
    }

    fn get_mut(&mut self, link: Link) -> Option<&mut Value> {
        self.all.get_mut(link.0?.get() as usize - 1)
    }

    /// The value of a module in the chain that begins at `first`; where there is none yet an empty
    /// one.
    pub(super) fn entry(&mut self, first: &mut Link, module: usize, policy: &Policy) -> &mut Value {
        let place = |module: u16| (policy.groups[usize::from(module)], module);
        let wanted = place(module as u16);
        let (mut before, mut at) = (Link::default(), *first);
        while let Some(value) = self.get(at).filter(|value| place(value.module) < wanted) {
            (before, at) = (at, value.next);
        }
        if self.get(at).is_none_or(|value| place(value.module) != wanted) {
            let value = Value { module: module as u16, next: at, ..Value::default() };
            at = self.insert(value);
            match self.get_mut(before) {
                Some(before) => before.next = at,
                None => *first = at,
            }
        }
        self.get_mut(at).expect("found or made above")
    }

    fn insert(&mut self, value: Value) -> Link {
        if let Some(link) = self.free.pop() {
            if let Some(place) = self.get_mut(link) {
                *place = value;
            }
            return link;
        }
        self.all.push(value);
        Link(NonZeroU32::new(self.all.len() as u32))
    }

    /// Gives the chain that begins at `first` away.
    pub(super) fn remove(&mut self, first: Link) {
        let mut at = first;
        while let Some(value) = self.get_mut(at) {
            let value = std::mem::take(value);
            self.free.push(at);
            at = value.next;
        }
    }

    /// Values that there are, also unused ones.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.all.len()
    }
}
