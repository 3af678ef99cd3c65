//! Scores of items that came before, by name: most names repeat.
//!
//! Bounded by two halves: when the younger is full, it becomes the older, and what was not asked
//! for since is forgotten. What is in it never changes a score.

use crate::base::lookup::Lookup;

/// Bytes of a key: a name has 253, with a scheme and a port some more. What is longer is not
/// remembered, so that the number of keys is a bound of memory.
const KEY_BYTES_MAX: usize = 300;

/// See the module.
#[derive(Debug)]
pub struct Cache<V> {
    half: usize,
    young: Lookup<Box<[u8]>, V>,
    old: Lookup<Box<[u8]>, V>,
}

impl<V: Clone> Cache<V> {
    /// Of so many items; of none for 0.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { half: max / 2, young: Lookup::default(), old: Lookup::default() }
    }

    /// The score of an item.
    pub fn get(&mut self, key: &[u8]) -> Option<V> {
        if let Some(score) = self.young.get(key) {
            return Some(score.clone());
        }
        let score = self.old.get(key)?.clone();
        self.set(key, score.clone());
        Some(score)
    }

    /// Remembers the score of an item.
    pub fn set(&mut self, key: &[u8], score: V) {
        if self.half == 0 || key.len() > KEY_BYTES_MAX {
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.into(), score);
    }

    /// How many it holds.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::score::Ppm;

    #[test]
    fn what_is_asked_for_stays_and_there_is_a_bound() {
        let mut cache = Cache::new(100);
        for n in 0..10_000_u32 {
            cache.set(&n.to_be_bytes(), Ppm::new(n));
            assert_eq!(cache.get(&0_u32.to_be_bytes()), Some(Ppm::new(0)), "{n}");
            assert!(cache.held() <= 100);
        }
        assert_eq!(cache.get(&9999_u32.to_be_bytes()), Some(Ppm::new(9999)));
        assert_eq!(cache.get(&1_u32.to_be_bytes()), None);
        let long = vec![b'a'; KEY_BYTES_MAX + 1];
        cache.set(&long, Ppm::ONE);
        assert_eq!(cache.get(&long), None);
        let mut none = Cache::new(0);
        none.set(b"a", Ppm::ONE);
        assert_eq!(none.get(b"a"), None);
    }
}
