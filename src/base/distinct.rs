//! How many different things were seen, in 64 bytes: linear counting (K. Whang, B. Vander-Zanden
//! and H. Taylor, "A linear-time probabilistic counting algorithm", TODS 1990).
//!
//! Each thing sets one of 512 bits, so sets are united by `or` and neither order nor repetition
//! matters. The standard error is below 4 % up to 500 things and below 6 % up to 1,500; beyond some
//! 3,000 all bits are set and there may be any number. The hash has no secret, since a replay has
//! to come to the same bits: who chooses what is counted can make it few, never many.
//!
//! Not here: what is counted; sets of millions (`risk::hosts`).

use serde::{Deserialize, Serialize};

use super::random::Random;

/// Bits of a set.
const BITS: u16 = 512;
const WORDS: usize = BITS as usize / 64;

/// How many different things leave so many bits unset: the sum of 512/i over those that are set,
/// which is how long it takes to collect so many of 512 coupons.
const COUNTS: [u16; BITS as usize + 1] = counts();

const fn counts() -> [u16; BITS as usize + 1] {
    let mut counts = [0; BITS as usize + 1];
    let (mut sum, mut unset) = (0_u64, BITS as u64);
    while unset > 0 {
        // In 2^-32.
        sum += ((BITS as u64) << 32) / unset;
        unset -= 1;
        counts[unset as usize] = ((sum + (1 << 31)) >> 32) as u16;
    }
    counts
}

/// A set of things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct(Option<Box<[u64; WORDS]>>);

impl Distinct {
    /// The bit of something.
    #[must_use]
    pub fn bit(thing: &[u8]) -> u16 {
        let mut hash = thing.len() as u64;
        for chunk in thing.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = Random::new(hash ^ u64::from_le_bytes(word)).next();
        }
        (hash >> 48) as u16 % BITS
    }

    /// Adds what has this bit.
    pub fn mark(&mut self, bit: u16) {
        let bit = usize::from(bit % BITS);
        self.0.get_or_insert_default()[bit / 64] |= 1 << (bit % 64);
    }

    /// Adds all that another set has.
    pub fn unite(&mut self, other: &Self) {
        let Some(other) = &other.0 else { return };
        let words = self.0.get_or_insert_default();
        words.iter_mut().zip(other.iter()).for_each(|(word, more)| *word |= more);
    }

    /// How many there are, estimated.
    #[must_use]
    pub fn count(&self) -> u64 {
        let set: u32 = self.0.iter().flat_map(|words| words.iter()).map(|it| it.count_ones()).sum();
        of(set)
    }

    /// How many there are that `known` lacks, estimated; nothing is said of what fell on bits that
    /// are set there, so of a set that is nearly full it is a guess.
    #[must_use]
    pub fn beyond(&self, known: &Self) -> u64 {
        let (Some(words), Some(known)) = (&self.0, &known.0) else { return self.count() };
        let (mut before, mut after) = (0, 0);
        for (word, known) in words.iter().zip(known.iter()) {
            before += known.count_ones();
            after += (word | known).count_ones();
        }
        of(after) - of(before)
    }

    /// Whether so much is in it that nothing can be said of what is new.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.count() > 1500
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn of(set: u32) -> u64 {
    u64::from(COUNTS[usize::from(BITS) - (set as usize).min(usize::from(BITS))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(things: &[u64]) -> Distinct {
        let mut set = Distinct::default();
        things.iter().for_each(|it| set.mark(Distinct::bit(&it.to_be_bytes())));
        set
    }

    #[test]
    fn it_counts_within_its_error() {
        for n in [0, 1, 2, 5, 20, 100, 500, 1500] {
            // Of four hundred sets: the mean is right, and single ones are seldom far off.
            let counts: Vec<f64> = (0..400_u64)
                .map(|run| of(&(run * 10_000..run * 10_000 + n).collect::<Vec<_>>()).count() as f64)
                .collect();
            let (n, runs) = (n as f64, counts.len() as f64);
            let mean = counts.iter().sum::<f64>() / runs;
            let deviation = counts.iter().map(|it| (it - n).powi(2)).sum::<f64>() / runs;
            assert!((mean - n).abs() <= (0.01 * n).max(0.5), "{n}: {mean}");
            assert!(deviation.sqrt() <= 0.06 * n, "{n}: {}", deviation.sqrt());
        }
        let all = of(&(0..100_000).collect::<Vec<_>>());
        assert_eq!((all.count(), all.is_crowded()), (3490, true));
    }

    proptest! {
        #[test]
        fn sets_are_united_in_any_order(
            a in proptest::collection::vec(any::<u64>(), 0..60),
            b in proptest::collection::vec(any::<u64>(), 0..60),
        ) {
            let (first, second, both) = (of(&a), of(&b), of(&[a.clone(), b.clone()].concat()));
            let (mut one, mut other) = (first.clone(), second.clone());
            one.unite(&second);
            other.unite(&first);
            prop_assert_eq!(&one, &both);
            prop_assert_eq!(&other, &both);
            prop_assert_eq!(second.beyond(&first), both.count() - first.count());
            prop_assert_eq!(first.beyond(&both), 0);
            prop_assert_eq!(both.is_empty(), a.is_empty() && b.is_empty());
        }
    }
}
