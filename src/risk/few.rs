//! A few values in place: an account has hundreds of bytes of events, and no allocation for them.
//!
//! Not here: which of them stay.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::limits::EVIDENCE_MAX;

/// At most [`EVIDENCE_MAX`] values.
#[derive(Clone, Debug, Default)]
pub struct Few<T> {
    len: u8,
    items: [T; EVIDENCE_MAX],
}

impl<T: Default> Few<T> {
    /// Puts a value before the one at `at`, which must not be behind the last; the last one of too
    /// many goes.
    pub(super) fn insert(&mut self, at: usize, item: T) {
        let end = (usize::from(self.len) + 1).min(EVIDENCE_MAX);
        if at < end {
            self.items[at..end].rotate_right(1);
            self.items[at] = item;
            self.len = end as u8;
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, at: usize) {
        let end = usize::from(self.len);
        if at < end {
            self.items[at..end].rotate_left(1);
            self.items[end - 1] = T::default();
            self.len -= 1;
        }
    }

    /// Takes all of them out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        let end = usize::from(std::mem::take(&mut self.len));
        self.items[..end].iter_mut().map(std::mem::take)
    }
}

impl<T: Default> FromIterator<T> for Few<T> {
    /// Those beyond the bound are left out.
    fn from_iter<I: IntoIterator<Item = T>>(from: I) -> Self {
        let mut few = Self::default();
        for (at, item) in from.into_iter().take(EVIDENCE_MAX).enumerate() {
            few.items[at] = item;
            few.len += 1;
        }
        few
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::{decode, encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_short_list(
            steps in proptest::collection::vec((any::<bool>(), 0..8_usize), 0..40),
        ) {
            let (mut few, mut list) = (Few::default(), Vec::new());
            for (n, (is_new, at)) in steps.into_iter().enumerate() {
                if is_new && at <= list.len() {
                    few.insert(at, n);
                    list.insert(at, n);
                    list.truncate(EVIDENCE_MAX);
                } else if !is_new && at < list.len() {
                    few.remove(at);
                    list.remove(at);
                }
                prop_assert_eq!(&*few, &*list);
            }
            prop_assert_eq!(encode(&few), encode(&list), "a state may have either");
            prop_assert_eq!(&decode::<Few<usize>>(&encode(&list)).unwrap(), &few);
            prop_assert_eq!(few.drain().collect::<Vec<_>>(), list);
            prop_assert!(few.is_empty());
        }
    }
}
