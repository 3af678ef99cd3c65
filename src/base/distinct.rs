//! How many different things were seen, in 16 bytes, and 64 more beyond seven of them: linear
//! counting (K. Whang, B. Vander-Zanden and H. Taylor, "A linear-time probabilistic counting
//! algorithm", TODS 1990).
//!
//! Each thing sets one of 512 bits, so sets are united by `or` and neither order nor repetition
//! matters. The standard error is below 4 % up to 500 things and below 6 % up to 1,500; beyond some
//! 3,000 all bits are set and there may be any number. The hash has no secret, since a replay has
//! to come to the same bits: who chooses what is counted can make it few, never many.
//!
//! Not here: what is counted; sets of millions (`risk::hosts`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::random::Random;

/// Bits of a set.
const BITS: u16 = 512;
const WORDS: usize = BITS as usize / 64;
/// Bits that have room in place of a table's address.
const FEW: usize = 7;

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

/// A set of things: up to seven bits stand in place, in order; more are a table. Which of both it
/// is depends on what is in it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct(Marks);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Marks {
    /// Those beyond `len` are 0.
    Few {
        len: u8,
        bits: [u16; FEW],
    },
    Many(Box<Table>),
}

type Table = [u64; WORDS];

impl Default for Distinct {
    fn default() -> Self {
        Self(Marks::Few { len: 0, bits: [0; FEW] })
    }
}

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
        let bit = bit % BITS;
        let full = match &mut self.0 {
            Marks::Many(table) => {
                set(table, bit);
                return;
            }
            Marks::Few { len, bits } => {
                let end = usize::from(*len);
                let Err(at) = bits[..end].binary_search(&bit) else { return };
                if end < FEW {
                    bits[at..=end].rotate_right(1);
                    bits[at] = bit;
                    *len += 1;
                    return;
                }
                *bits
            }
        };
        let mut table = Box::<Table>::default();
        full.into_iter().chain([bit]).for_each(|bit| set(&mut table, bit));
        self.0 = Marks::Many(table);
    }

    /// Adds all that another set has.
    pub fn unite(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Marks::Many(table), Marks::Many(more)) => {
                table.iter_mut().zip(more.iter()).for_each(|(word, more)| *word |= more);
            }
            (Marks::Few { .. }, Marks::Many(_)) => {
                let few = std::mem::replace(self, other.clone());
                few.few().iter().for_each(|bit| self.mark(*bit));
            }
            (_, Marks::Few { .. }) => other.few().iter().for_each(|bit| self.mark(*bit)),
        }
    }

    /// All its bits, in order.
    pub fn bits(&self) -> impl Iterator<Item = u16> {
        let table = match &self.0 {
            Marks::Few { .. } => &[],
            Marks::Many(table) => table.as_slice(),
        };
        let of_words = table.iter().zip((0..BITS).step_by(64)).flat_map(|(word, first)| {
            // Each time without the lowest one.
            let left = std::iter::successors(Some(*word), |left| Some(left & left.wrapping_sub(1)));
            let left = left.take_while(|left| *left != 0);
            left.map(move |left| first + left.trailing_zeros() as u16)
        });
        self.few().iter().copied().chain(of_words)
    }

    /// The bits of a set that has few.
    fn few(&self) -> &[u16] {
        match &self.0 {
            Marks::Few { len, bits } => &bits[..usize::from(*len)],
            Marks::Many(_) => &[],
        }
    }

    fn table(&self) -> Table {
        let mut all = Table::default();
        match &self.0 {
            Marks::Few { .. } => self.few().iter().for_each(|bit| set(&mut all, *bit)),
            Marks::Many(table) => all.clone_from(table),
        }
        all
    }

    /// How many there are, estimated.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Marks::Few { len, .. } => of(u32::from(*len)),
            Marks::Many(table) => of(ones(table)),
        }
    }

    /// How many there are that `known` lacks, estimated; nothing is said of what fell on bits that
    /// are set there, so of a set that is nearly full it is a guess.
    #[must_use]
    pub fn beyond(&self, known: &Self) -> u64 {
        let (table, known) = (self.table(), known.table());
        let all: Table = std::array::from_fn(|at| table[at] | known[at]);
        of(ones(&all)) - of(ones(&known))
    }

    /// Whether so much is in it that nothing can be said of what is new.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.count() > 1500
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Marks::Few { len: 0, .. })
    }
}

impl FromIterator<u16> for Distinct {
    fn from_iter<I: IntoIterator<Item = u16>>(bits: I) -> Self {
        let mut set = Self::default();
        bits.into_iter().for_each(|bit| set.mark(bit));
        set
    }
}

fn set(table: &mut Table, bit: u16) {
    let bit = usize::from(bit % BITS);
    table[bit / 64] |= 1 << (bit % 64);
}

fn ones(table: &Table) -> u32 {
    table.iter().map(|word| word.count_ones()).sum()
}

/// What a state has: nothing, or the table.
type Saved = Option<Box<Table>>;

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (!self.is_empty()).then(|| self.table()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Some(table) = Saved::deserialize(from)? else { return Ok(Self::default()) };
        if ones(&table) as usize > FEW {
            return Ok(Self(Marks::Many(table)));
        }
        Ok(Self(Marks::Many(table)).bits().collect())
    }
}

fn of(set: u32) -> u64 {
    u64::from(COUNTS[usize::from(BITS) - (set as usize).min(usize::from(BITS))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::{decode, encode};
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

    /// As a set was before it had two forms, and as a state has it.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct Dense(Option<Box<Table>>);

    impl Dense {
        fn of(bits: &[u16]) -> Self {
            let mut dense = Self::default();
            bits.iter().for_each(|bit| set(dense.0.get_or_insert_default(), *bit));
            dense
        }

        fn ones(&self) -> u32 {
            self.0.as_ref().map_or(0, |table| ones(table))
        }
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Distinct>(), 16);
    }

    fn marked(bits: &[u16]) -> Distinct {
        bits.iter().copied().collect()
    }

    fn bits() -> impl Strategy<Value = Vec<u16>> {
        let of = |range, max| proptest::collection::vec(range, 0..max);
        prop_oneof![of(0..BITS, 5), of(0..BITS, 20), of(0..12_u16, 20), of(0..BITS, 400)]
    }

    proptest! {
        /// Few or many, in whatever order: as one table would have it, in memory as in a state.
        #[test]
        fn both_forms_are_one_set(a in bits(), b in bits()) {
            let all = [a.clone(), b.clone()].concat();
            let (first, second, mut both) = (marked(&a), marked(&b), marked(&a));
            both.unite(&second);
            let mut back = all.clone();
            back.reverse();
            prop_assert_eq!(&both, &marked(&all));
            prop_assert_eq!(&both, &marked(&back));
            for (set, bits) in [(&first, &a), (&second, &b), (&both, &all)] {
                let dense = Dense::of(bits);
                prop_assert_eq!(set.count(), super::of(dense.ones()));
                prop_assert_eq!(set.is_empty(), bits.is_empty());
                prop_assert_eq!(&set.bits().collect::<Distinct>(), set);
                prop_assert_eq!(encode(set), encode(&dense));
                prop_assert_eq!(&decode::<Distinct>(&encode(&dense)).unwrap(), set);
            }
            let more = super::of(Dense::of(&all).ones()) - super::of(Dense::of(&b).ones());
            prop_assert_eq!(first.beyond(&second), more);
        }

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
