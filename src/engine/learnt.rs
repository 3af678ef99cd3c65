//! What is learned of many in the entity lane: what is usual of crowds, and, where a judge asks for
//! it, groups of peers and which hours are unlike others, both anew at the end of each day.
//!
//! Not here: profiles and windows of entities (`activity`), how it is learned (`stage::profile`).

use std::collections::BTreeMap;

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::time::{DAY, HOUR, MINUTE, Minute};
use crate::record::Entity;
use crate::stage::Wants;
use crate::stage::profile::{
    Crowds, Fit, Fitted, GroupId, Hours, Isolation, Learnt, Over, Peers, Profile, Seen, Shifts,
};

use super::refit::{Refit, Work};

/// Minutes from the end of a day to when what was learned from it comes in.
const REFIT_MINUTES: i64 = HOUR / MINUTE;

const CROWDS_KEY: &[u8] = b"vc";
const PEERS_KEY: &[u8] = b"vg";
const HOURS_KEY: &[u8] = b"vh";
const ISOLATION_KEY: &[u8] = b"vi";
const REFIT_KEY: &[u8] = b"vr";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Learning {
    wants: Wants,
    crowds: Crowds,
    peers: Peers,
    hours: Hours,
    isolation: Option<Isolation>,
    refit: Option<Refit>,
    /// What panicked since it was asked for.
    failed: Wants,
    changed: Changed,
}

/// What changed since the last [`Learning::save`].
#[derive(Debug, Default)]
struct Changed {
    crowds: bool,
    peers: bool,
    hours: bool,
    isolation: bool,
    refit: bool,
}

impl Learning {
    pub(super) fn new(wants: Wants) -> Self {
        Self { wants, ..Self::default() }
    }

    /// What judges look at.
    pub(super) fn learnt(&self) -> Learnt<'_> {
        let Self { crowds, peers, isolation, .. } = self;
        Learnt { crowds, peers, isolation: isolation.as_ref() }
    }

    /// Hours that are offered to what is learned, of those that are good, by their places.
    pub(super) fn offered(&self, over: &Over<'_>, is_good: impl Fn(usize) -> bool) -> Vec<Seen> {
        if self.wants.isolation { Hours::offered(over, is_good) } else { Vec::new() }
    }

    /// Learns of windows that are over: what is common to crowds, and hours that are offered.
    pub(super) fn learn(&mut self, shifts: Shifts, offered: &[Seen]) {
        shifts.teach(&mut self.crowds);
        self.changed.crowds = true;
        self.changed.hours |= !offered.is_empty();
        offered.iter().for_each(|hour| self.hours.take(hour));
    }

    /// When new groups and a new forest come in, if they are on their way.
    pub(super) fn due(&self) -> Option<Minute> {
        self.refit.as_ref().map(Refit::at)
    }

    /// Whether there are groups that nobody asks for any more: they are forgotten.
    pub(super) fn ungroup(&mut self) -> bool {
        let is_stale = !self.wants.peers && self.peers.count() > 0;
        if is_stale {
            self.peers = Peers::default();
            self.crowds.regroup(&BTreeMap::new());
            (self.changed.peers, self.changed.crowds) = (true, true);
        }
        is_stale
    }

    /// A day is over: begins to learn anew.
    pub(super) fn begin(&mut self, day: i64, profiles: &BTreeMap<Entity, Box<Profile>>) {
        let seed = day.unsigned_abs();
        let asked = profiles.iter().map(|(entity, profile)| (entity, profile.as_ref()));
        let work = Work {
            peers: self.wants.peers.then(|| Fit::new(asked, &self.peers, seed)).flatten(),
            isolation: self.wants.isolation.then(|| self.hours.grown(day)).flatten(),
        };
        let is_grown = work.isolation.is_some();
        let at = Minute((day + 1) * (DAY / MINUTE) + REFIT_MINUTES - 1);
        self.refit = Refit::start(work, at);
        self.changed.refit = true;
        self.changed.hours |= is_grown;
    }

    /// What was learned comes in: who is in which group from now on.
    pub(super) fn finish(&mut self) -> Vec<(Entity, GroupId)> {
        let Some(refit) = self.refit.take() else { return Vec::new() };
        let (work, done) = refit.finish();
        self.failed.peers |= work.peers.is_some() && done.peers.is_none();
        self.failed.isolation |= work.isolation.is_some() && done.isolation.is_none();
        self.changed.refit = true;
        if done.isolation.is_some() {
            self.isolation = done.isolation;
            self.changed.isolation = true;
        }
        let Some(Fitted { peers, members, sizes }) = done.peers else { return Vec::new() };
        self.peers = peers;
        self.crowds.regroup(&sizes);
        (self.changed.crowds, self.changed.peers) = (true, true);
        members
    }

    /// What panicked since the last call: what was learned before stays then.
    pub(super) fn failed(&mut self) -> Wants {
        std::mem::take(&mut self.failed)
    }

    /// How many members a group of peers had when it was last asked for.
    pub(super) fn members(&self, group: GroupId) -> u64 {
        self.crowds.members(group)
    }

    /// Hands out what changed since the last call.
    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        let changed = std::mem::take(&mut self.changed);
        if changed.crowds {
            sink(CROWDS_KEY, Some(&encode(&self.crowds)));
        }
        if changed.peers {
            sink(PEERS_KEY, Some(&encode(&self.peers)));
        }
        if changed.hours {
            sink(HOURS_KEY, Some(&encode(&self.hours)));
        }
        if changed.isolation {
            sink(ISOLATION_KEY, self.isolation.as_ref().map(encode).as_deref());
        }
        if changed.refit {
            sink(REFIT_KEY, self.refit.as_ref().map(Refit::save).as_deref());
        }
    }

    /// Takes back a key that [`Learning::save`] handed out; whether it is one.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<bool, Damaged> {
        let sound = |is_sound: bool| {
            if is_sound { Ok(true) } else { Err(Damaged("not what was learned".to_owned())) }
        };
        match key {
            CROWDS_KEY => self.crowds = decode(value)?,
            PEERS_KEY => self.peers = decode(value)?,
            HOURS_KEY => self.hours = decode(value)?,
            ISOLATION_KEY => self.isolation = Some(decode(value)?),
            REFIT_KEY => self.refit = Refit::load(value)?,
            _ => return Ok(false),
        }
        sound(self.hours.is_sound() && self.isolation.as_ref().is_none_or(Isolation::is_sound))
    }

    /// What the keys begin with that are needed to show profiles.
    pub(super) fn keys() -> Vec<Vec<u8>> {
        vec![CROWDS_KEY.to_vec()]
    }
}
