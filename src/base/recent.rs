//! A bounded map that forgets what was not touched for longest.

use std::collections::{BTreeMap, BTreeSet};

/// A map of at most `max` keys; the one touched longest ago, in event time, goes first, and of
/// equals the least.
#[derive(Clone, Debug)]
pub struct Recent<K, V, A> {
    max: usize,
    values: BTreeMap<K, (V, A)>,
    ages: BTreeSet<(A, K)>,
}

impl<K: Ord + Clone, V, A: Ord + Copy> Recent<K, V, A> {
    /// An empty map.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), values: BTreeMap::new(), ages: BTreeSet::new() }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// A key's value and when it was touched last.
    pub fn entry(&self, key: &K) -> Option<&(V, A)> {
        self.values.get(key)
    }

    /// Sets a key, touched at `age`; the key that had to go for it.
    pub fn set(&mut self, key: K, value: V, age: A) -> Option<K> {
        let before = self.values.insert(key.clone(), (value, age));
        if let Some((_, old)) = before {
            self.ages.remove(&(old, key.clone()));
        }
        self.ages.insert((age, key));
        if self.values.len() <= self.max {
            return None;
        }
        self.pop().map(|(oldest, _)| oldest)
    }

    /// The key touched longest ago, and when that was.
    #[must_use]
    pub fn oldest(&self) -> Option<(&K, A)> {
        self.ages.first().map(|(age, key)| (key, *age))
    }

    /// Takes out the key touched longest ago, with its value.
    pub fn pop(&mut self) -> Option<(K, V)> {
        let (_, oldest) = self.ages.pop_first()?;
        let (value, _) = self.values.remove(&oldest)?;
        Some((oldest, value))
    }

    /// Takes a key out; its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (value, age) = self.values.remove(key)?;
        self.ages.remove(&(age, key.clone()));
        Some(value)
    }

    /// The keys from `first` on with their values, in their order.
    pub fn from(&self, first: &K) -> impl Iterator<Item = (&K, &V)> {
        self.values.range(first..).map(|(key, (value, _))| (key, value))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes() {
        let mut map = Recent::new(2);
        assert_eq!(map.set("a", 1, 10), None);
        assert_eq!(map.set("b", 2, 11), None);
        assert_eq!(map.set("a", 3, 12), None);
        assert_eq!(map.set("c", 4, 13), Some("b"));
        assert_eq!((map.get(&"a"), map.get(&"b"), map.len()), (Some(&3), None, 2));
        assert_eq!((map.remove(&"a"), map.remove(&"a"), map.len()), (Some(3), None, 1));
        assert_eq!((map.pop(), map.pop()), (Some(("c", 4)), None));
    }
}
