//! In the entity lane: names of which somebody asked for something odd, since when, and how many
//! clients. What that says belongs to the stage that asks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::hash;
use crate::base::recent::Recent;
use crate::base::score::Ppm;
use crate::base::time::{DAY, HOUR, MINUTE, Minute};
use crate::record::{Observed, Reason};

use super::Changes;

/// Days for which it is remembered who asked for a name.
const KNOWN_DAYS: i64 = 7;

/// Time after which a name is no news.
const NEWS_US: i64 = DAY;

/// What a name is known by: one more that has the same among millions changes little.
pub(super) type Key = [u8; 8];

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

/// How well a name is known in some minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fame {
    /// When it was asked for first, as far as is remembered.
    pub(super) first: Minute,
    /// Whether that is less than a day ago.
    pub(super) is_news: bool,
    /// Clients that asked for it, up to as many as make it popular.
    pub(super) clients: usize,
    /// Whether there are as many.
    pub(super) is_popular: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Known {
    popular: usize,
    names: Recent<Key, Name, Minute>,
    /// When the first of all names was asked for.
    since: Option<Minute>,
    is_since_changed: bool,
    changed: BTreeSet<Key>,
}

pub(super) fn key(name: &[u8]) -> Key {
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
        Self {
            popular,
            names: Recent::new(max),
            since: None,
            is_since_changed: false,
            changed: BTreeSet::new(),
        }
    }

    /// A name was asked for; by `client`, if that is one who asks for itself and the name exists.
    pub(super) fn note(&mut self, name: &[u8], minute: Minute, client: Option<Addr>) {
        if self.since.is_none_or(|since| minute < since) {
            (self.since, self.is_since_changed) = (Some(minute), true);
        }
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

    /// What is known of a name in a minute; nothing but the minute of one that was never noted.
    pub(super) fn get(&self, name: &[u8], minute: Minute) -> Fame {
        let name = self.names.get(&key(name));
        let first = name.map_or(minute, |name| name.first);
        let clients = name.map_or(0, |name| name.clients.len());
        let is_news = minute.0 - first.0 < minutes(NEWS_US);
        Fame { first, is_news, clients, is_popular: clients >= self.popular }
    }

    /// The reason that says for how long names were watched until a minute: at first all are news.
    pub(super) fn history(&self, minute: Minute) -> Reason {
        let watched = (minute.0 - self.since.unwrap_or(minute).0).max(0);
        let (hours, days) = (watched / minutes(HOUR), watched / minutes(DAY));
        let history = if days < 2 { format!("{hours} hours") } else { format!("{days} days") };
        Reason {
            feature: "history",
            log: None,
            columns: &[],
            observed: Observed::Text(history),
            expected: Observed::Text("a day, before which all is new".to_owned()),
            contribution: Ppm::new(0),
        }
    }

    /// Whether a name is no news in a minute: several clients know it, or it was asked for on a day
    /// before.
    pub(super) fn is_usual(&self, name: &[u8], minute: Minute) -> bool {
        let fame = self.get(name, minute);
        fame.is_popular || !fame.is_news
    }

    pub(super) fn save(&mut self, prefix: u8, sink: &mut Changes<'_>) {
        for key in std::mem::take(&mut self.changed) {
            let value = self.names.get(&key).map(encode);
            sink(&[[prefix].as_slice(), &key].concat(), value.as_deref());
        }
        if std::mem::take(&mut self.is_since_changed) {
            sink(&[prefix], self.since.as_ref().map(encode).as_deref());
        }
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
        self.is_since_changed = false;
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if key.is_empty() {
            self.since = Some(decode(value).map_err(|error| error.to_string())?);
            return Ok(());
        }
        let key = key.try_into().map_err(|_| "not a name that was asked for".to_owned())?;
        let name = decode(value).map_err(|error| error.to_string())?;
        self.put(key, name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_begins_with_the_first_name_and_outlasts_it() {
        let told = |known: &Known, minute: i64| match known.history(Minute(minute)).observed {
            Observed::Text(text) => text,
            Observed::Number(number) => number.to_string(),
        };
        let mut known = Known::new(2, 3);
        assert_eq!(told(&known, 90), "0 hours");
        for (minute, name) in [(60, "a"), (90, "b"), (100, "c")] {
            known.note(name.as_bytes(), Minute(minute), None);
        }
        assert_eq!(
            [59, 179, 180, 60 + 2880].map(|at| told(&known, at)),
            ["0 hours", "1 hours", "2 hours", "2 days"]
        );
        let mut again = Known::new(2, 3);
        let mut keys = 0;
        known.save(b'n', &mut |key, value| {
            if let Some(value) = value {
                again.load(&key[1..], value).unwrap();
                keys += 1;
            }
        });
        assert_eq!((keys, told(&again, 180)), (3, "2 hours".to_owned()));
        known.save(b'n', &mut |key, _| panic!("{key:?} did not change"));
        assert!(again.load(b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
