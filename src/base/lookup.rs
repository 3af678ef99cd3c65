//! Hash tables that cannot be iterated, so that their random order never reaches an output.
//!
//! Keys come from attackers, so hashing stays randomised inside. Where order matters, the standard
//! library's `BTreeMap` is the table to use.

#![expect(clippy::disallowed_types, reason = "the one place that may name HashMap: it hides it")]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// A hash map without iteration.
#[derive(Clone, Debug)]
pub struct Lookup<K, V>(HashMap<K, V>);

impl<K, V> Default for Lookup<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Lookup<K, V> {
    /// The value of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key)
    }

    /// The value of `key`, to change.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get_mut(key)
    }

    /// Sets `key`; the value that stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Takes `key` out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.remove(key)
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where in a list the value of a key stands, for values that hold their keys themselves: five
/// bytes each instead of a second copy of the key.
#[derive(Clone, Debug, Default)]
pub struct Places {
    table: HashTable<u32>,
    state: RandomState,
}

impl Places {
    /// The place of `key`; `key_at` says which key stands at a place.
    pub fn get<'a, K: Eq + Hash + 'a>(
        &self,
        key: &K,
        key_at: impl Fn(u32) -> Option<&'a K>,
    ) -> Option<u32> {
        self.table.find(self.state.hash_one(key), |at| key_at(*at) == Some(key)).copied()
    }

    /// Adds the place of a key that has none; `key_at` knows it already.
    pub fn insert<'a, K: Eq + Hash + 'a>(
        &mut self,
        key: &K,
        at: u32,
        key_at: impl Fn(u32) -> Option<&'a K>,
    ) {
        let Self { table, state } = self;
        table.insert_unique(state.hash_one(key), at, |at| {
            key_at(*at).map_or(0, |key| state.hash_one(key))
        });
    }

    /// Removes the place of `key`; `key_at` knows it still.
    pub fn remove<'a, K: Eq + Hash + 'a>(
        &mut self,
        key: &K,
        key_at: impl Fn(u32) -> Option<&'a K>,
    ) {
        let hash = self.state.hash_one(key);
        if let Ok(entry) = self.table.find_entry(hash, |at| key_at(*at) == Some(key)) {
            entry.remove();
        }
    }

    /// Forgets all of them, and keeps the room.
    pub fn clear(&mut self) {
        self.table.clear();
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_their_keys() {
        let mut list: Vec<Option<String>> = Vec::new();
        let mut places = Places::default();
        for n in 0..1000_u32 {
            list.push(Some(n.to_string()));
            let key_at = |at: u32| list[at as usize].as_ref();
            places.insert(&n.to_string(), n, key_at);
        }
        for n in (0..1000).step_by(3) {
            places.remove(&n.to_string(), |at| list[at as usize].as_ref());
            list[n as usize] = None;
        }
        for n in 0..1100_u32 {
            let found = places.get(&n.to_string(), |at| list[at as usize].as_ref());
            assert_eq!(found, (n % 3 != 0 && n < 1000).then_some(n), "{n}");
        }
        assert_eq!(places.len(), 666);
    }
}
