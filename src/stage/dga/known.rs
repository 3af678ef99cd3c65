//! In the entity lane: odd names that somebody asked for, since when, and how many clients.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::hash;
use crate::base::recent::Recent;
use crate::base::time::{DAY, MINUTE, Minute};

use super::super::Changes;
use super::{KNOWN_DAYS, NEWS_US};

/// What a name is known by: one more that has the same among millions changes little.
type Key = [u8; 8];

/// What is kept of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    first: Minute,
    /// The day on which it was asked for last, as its first minute: so that most that are asked for
    /// again change nothing.
    last: Minute,
    /// Who asked for it and was told that it exists, by a hash; as many as make it popular at most.
    clients: Vec<[u8; 4]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Known {
    popular: usize,
    names: Recent<Key, Name, Minute>,
    changed: BTreeSet<Key>,
}

fn key(name: &[u8]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash::id(&[name]).0[..8]);
    key
}

/// Minutes of a time in microseconds.
const fn minutes(us: i64) -> i64 {
    us / MINUTE
}

impl Known {
    pub(super) fn new(max: usize, popular: usize) -> Self {
        Self { popular, names: Recent::new(max), changed: BTreeSet::new() }
    }

    /// A name was asked for; by `client`, if that is one who asks for itself and the name exists.
    pub(super) fn note(&mut self, name: &[u8], minute: Minute, client: Option<Addr>) {
        let key = key(name);
        let before = self.names.get(&key);
        let day = minute.start().floor(DAY).minute();
        let recent = before.filter(|it| day.0 - it.last.0 <= minutes(KNOWN_DAYS * DAY));
        let new = || Name { first: minute, last: day, clients: Vec::new() };
        let mut name = recent.cloned().unwrap_or_else(new);
        name.last = name.last.max(day);
        if let Some(client) = client {
            let mut mark = [0; 4];
            mark.copy_from_slice(&hash::id(&[&client.to_bytes()]).0[..4]);
            if name.clients.len() < self.popular && !name.clients.contains(&mark) {
                name.clients.push(mark);
                name.clients.sort_unstable();
            }
        }
        if before == Some(&name) {
            return;
        }
        self.changed.insert(key);
        self.put(key, name);
    }

    fn put(&mut self, key: Key, name: Name) {
        let last = name.last;
        self.changed.extend(self.names.set(key, name, last));
    }

    /// Whether a name is no news in a minute: several clients know it, or it was asked for on a day
    /// before.
    pub(super) fn is_usual(&self, name: &[u8], minute: Minute) -> bool {
        self.names.get(&key(name)).is_some_and(|name| {
            name.clients.len() >= self.popular || minute.0 - name.first.0 >= minutes(NEWS_US)
        })
    }

    pub(super) fn save(&mut self, prefix: u8, sink: &mut Changes<'_>) {
        for key in std::mem::take(&mut self.changed) {
            let value = self.names.get(&key).map(encode);
            sink(&[[prefix].as_slice(), &key].concat(), value.as_deref());
        }
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let key = key.try_into().map_err(|_| "not a name of dga".to_owned())?;
        let name = decode(value).map_err(|error| error.to_string())?;
        self.put(key, name);
        Ok(())
    }
}
