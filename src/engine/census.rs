//! What all lanes saw in each minute, whoever it concerns: how many rows of each log came, and
//! which server served whom, or was asked for whom. A closed minute teaches roles, gaps and
//! targets.
//!
//! Not here: what a role or a gap is (`stage`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::SIGHTINGS_MAX;
use crate::base::time::Minute;
use crate::record::{Log, Uid};
use crate::stage::{Context, Gaps, Role, RolePolicy, Roles, Sighting, Target};

use super::targets::{self, Targets};

/// What lanes saw in a minute that is not closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    rows: BTreeMap<Log, u64>,
    /// Of each server the least of its clients, as many as make a role: which ones does not depend
    /// on the order in which they come.
    clients: BTreeMap<(Role, Addr), BTreeSet<Addr>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Census {
    minutes: BTreeMap<Minute, Seen>,
    roles: Roles,
    gaps: Gaps,
    targets: Targets,
    /// What changed since the last [`Census::save`], if anybody saves.
    changed: Option<BTreeSet<Minute>>,
    is_gaps_changed: bool,
}

const ROLES_KEY: &[u8] = b"nr";
const GAPS_KEY: &[u8] = b"ng";
const MINUTE_KEY: &[u8] = b"nm";

impl Census {
    pub(super) fn new(policy: RolePolicy) -> Self {
        Self { roles: Roles::new(policy), ..Self::default() }
    }

    /// From now on remembers what changed.
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
        self.targets.track();
    }

    fn touch(&mut self, minute: Minute) {
        if let Some(changed) = &mut self.changed {
            changed.insert(minute);
        }
    }

    /// Rows of `log` came.
    pub(super) fn rows(&mut self, minute: Minute, log: Log, rows: u64) {
        *self.minutes.entry(minute).or_default().rows.entry(log).or_default() += rows;
        self.touch(minute);
    }

    /// A server served a client.
    pub(super) fn sighting(&mut self, (minute, role, server, client): Sighting) {
        let seen = self.minutes.entry(minute).or_default();
        let clients = seen.clients.entry((role, server)).or_default();
        clients.insert(client);
        if clients.len() > self.roles.clients().max(1) {
            clients.pop_last();
        }
        if seen.clients.len() > SIGHTINGS_MAX {
            // The greatest, whatever came first; who has a role already stays.
            let mut greatest = seen.clients.keys().rev();
            let gone = greatest.find(|(_, server)| !self.roles.has_learned(*server)).copied();
            gone.map(|gone| seen.clients.remove(&gone));
        }
        self.touch(minute);
    }

    /// A connection asked a proxy for somebody.
    pub(super) fn target(&mut self, target: Target) {
        let is_proxy = |addr| self.roles.get(addr) == Some(Role::Proxy);
        if target.outside.is_none_or(is_proxy) {
            self.targets.see(target.minute, target.uid, target.name);
        }
    }

    /// Whom a connection asked for, if it went through a proxy.
    pub(super) fn asked(&self, uid: &Uid) -> Option<&str> {
        self.targets.get(uid)
    }

    /// The next minute in which something came.
    pub(super) fn next(&self) -> Option<Minute> {
        self.minutes.first_key_value().map(|(minute, _)| *minute)
    }

    /// Learns what a minute teaches.
    pub(super) fn close(&mut self, minute: Minute) {
        self.roles.begin(minute);
        self.targets.close(minute);
        let Some(seen) = self.minutes.remove(&minute) else { return };
        self.touch(minute);
        self.is_gaps_changed = true;
        for (log, rows) in seen.rows {
            self.gaps.observe(minute, log, rows);
        }
        for ((role, server), clients) in seen.clients {
            self.roles.learn(minute, role, server, &clients);
        }
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Minute> {
        self.minutes.last_key_value().map(|(minute, _)| *minute)
    }

    /// What stages may know when everything is known up to `now`.
    pub(super) fn context(&self, now: Minute) -> Context<'_> {
        Context { roles: &self.roles, gaps: &self.gaps, now, profiles: None }
    }

    /// Hands out what changed since the last call.
    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        for minute in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let key = [MINUTE_KEY, &minute.0.to_be_bytes()].concat();
            sink(&key, self.minutes.get(&minute).map(encode).as_deref());
        }
        self.targets.save(sink);
        if std::mem::take(&mut self.is_gaps_changed) {
            sink(GAPS_KEY, Some(&encode(&self.gaps)));
        }
        if let Some(roles) = self.roles.save() {
            sink(ROLES_KEY, Some(&roles));
        }
    }

    /// Takes back a key that [`Census::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        match key {
            ROLES_KEY => self.roles.load(value),
            GAPS_KEY => {
                self.gaps = decode(value)?;
                Ok(())
            }
            _ if key.starts_with(targets::OPEN_KEY) || key.starts_with(targets::KNOWN_KEY) => {
                self.targets.load(key, value)
            }
            _ => {
                let minute = key.strip_prefix(MINUTE_KEY).and_then(|it| it.try_into().ok());
                let minute = minute.and_then(|it| Minute::try_from(i64::from_be_bytes(it)).ok());
                let minute = minute.ok_or_else(|| Damaged("not a minute".to_owned()))?;
                self.minutes.insert(minute, decode(value)?);
                Ok(())
            }
        }
    }
}
