//! A sample of a stream of rows that has a bound: what a forest or groups are learned of.
//!
//! Not here: which rows are offered, and when something is learned.

use serde::{Deserialize, Serialize};

use super::Table;
use crate::base::limits::TABLE_ROWS_MAX;
use crate::base::random::{Random, mix};

/// So many rows at most of all that were offered (algorithm R, Vitter 1985): each as likely as
/// any other, whatever their order, as long as no more were offered than [`Reservoir::horizon`].
/// From then on a new row is taken with the chance that it had there and pushes out any other, so
/// that old rows fade: of those a horizon ago about one in three is left, of two horizons ago one
/// in seven.
///
/// Which row is taken depends on the seed and on how many came before, on nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Reservoir {
    table: Table,
    rows_max: usize,
    horizon: u64,
    seed: u64,
    seen: u64,
}

impl Reservoir {
    /// An empty one for rows of a width: `rows_max` at least one, at most [`TABLE_ROWS_MAX`].
    /// `horizon` is no less than that, `u64::MAX` where nothing is to be forgotten.
    #[must_use]
    pub fn new(width: usize, rows_max: usize, horizon: u64, seed: u64) -> Self {
        let rows_max = rows_max.clamp(1, TABLE_ROWS_MAX);
        let horizon = horizon.max(rows_max as u64);
        Self { table: Table::new(width), rows_max, horizon, seed, seen: 0 }
    }

    /// Takes a row or not; one of another width is as if it had not been offered.
    pub fn offer(&mut self, row: &[i16]) {
        if row.len() != self.table.width() {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        if self.table.len() < self.rows_max {
            self.table.push(row);
            return;
        }
        let place = Random::new(self.seed ^ mix(self.seen)).below(self.seen.min(self.horizon));
        if let Ok(place) = usize::try_from(place) {
            self.table.replace(place, row);
        }
    }

    /// The sample.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// How many rows were offered.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// After how many rows old ones begin to fade.
    #[must_use]
    pub const fn horizon(&self) -> u64 {
        self.horizon
    }
}

/// A reservoir as bytes have it.
#[derive(Deserialize)]
struct Unchecked {
    table: Table,
    rows_max: usize,
    horizon: u64,
    seed: u64,
    seen: u64,
}

impl TryFrom<Unchecked> for Reservoir {
    type Error = String;

    fn try_from(read: Unchecked) -> Result<Self, String> {
        let Unchecked { table, rows_max, horizon, seed, seen } = read;
        let made = Self::new(table.width(), rows_max, horizon, seed);
        let is_whole = table.values.len() == table.len() * table.width();
        let expected = usize::try_from(seen).unwrap_or(usize::MAX).min(rows_max);
        if (made.table.width(), made.rows_max, made.horizon) != (table.width(), rows_max, horizon)
            || !is_whole
            || table.len() != expected
        {
            return Err("not a reservoir".to_owned());
        }
        Ok(Self { table, seen, ..made })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::{decode, encode};
    use proptest::prelude::*;

    /// How many of the rows numbered so are left of each tenth of a stream, over many seeds.
    fn check(rows_max: usize, horizon: u64, stream: u16, seeds: u64, expected: [u32; 10]) {
        let mut left = [0_u32; 10];
        for seed in 0..seeds {
            let mut reservoir = Reservoir::new(1, rows_max, horizon, seed);
            (0..stream).for_each(|number| reservoir.offer(&[number as i16]));
            assert_eq!(reservoir.table().len(), rows_max.min(usize::from(stream)));
            for row in reservoir.table().rows() {
                left[usize::from(row[0] as u16 / (stream / 10))] += 1;
            }
        }
        for (left, expected) in left.iter().zip(expected) {
            // Five standard deviations.
            let off = f64::from(left.abs_diff(expected));
            assert!(off < 5.0 * f64::from(expected).sqrt() + 1.0, "{left}, not {expected}");
        }
    }

    #[test]
    fn every_row_is_as_likely() {
        check(50, u64::MAX, 1000, 400, [2000; 10]);
        check(50, 1000, 1000, 400, [2000; 10]);
    }

    #[test]
    fn old_rows_fade_with_a_horizon() {
        // Beyond the horizon of 250 a row is taken with a chance of 50 in 250, and each new row
        // leaves 249 in 250 of those before it.
        let left = |number: i32| 0.2 * (1.0 - 1.0 / 250.0_f64).powi(1000 - number.max(250));
        let tenth = |tenth: i32| (0..100).map(|row| 400.0 * left(100 * tenth + row)).sum::<f64>();
        let expected = std::array::from_fn(|place| tenth(place as i32) as u32);
        check(50, 250, 1000, 400, expected);
    }

    #[test]
    fn what_was_never_filled_is_none() {
        let mut good = Reservoir::new(2, 4, 8, 3);
        (0..9).for_each(|number| good.offer(&[number, -number]));
        let is_read = |it: &Reservoir| decode::<Reservoir>(&encode(it)).is_ok();
        assert!(is_read(&good));
        let of = |width: usize, values: &[i16]| Table { width, values: values.to_vec() };
        let with = |table: Table| is_read(&Reservoir { table, ..good.clone() });
        assert!(with(of(1, &[0; 4])));
        assert!(!with(of(2, &[0; 6])) && !with(of(2, &[0; 9])) && !with(of(0, &[])));
        assert!(!with(of(257, &[0; 4 * 257])));
        assert!(!is_read(&Reservoir { rows_max: 0, ..good.clone() }));
        assert!(!is_read(&Reservoir { horizon: 3, ..good.clone() }));
        assert!(!is_read(&Reservoir { seen: 3, ..good.clone() }));
    }

    proptest! {
        #[test]
        fn going_on_from_bytes_is_never_stopping(
            rows in proptest::collection::vec(any::<[i16; 2]>(), 0..80),
            stop in 0..80_usize,
            rows_max in 1..20_usize,
            horizon in 1..60_u64,
        ) {
            let mut whole = Reservoir::new(2, rows_max, horizon, 3);
            let mut parts = whole.clone();
            for (place, row) in rows.iter().enumerate() {
                if place == stop {
                    parts = decode(&encode(&parts)).unwrap();
                }
                whole.offer(row);
                parts.offer(row);
                parts.offer(&[1]);
            }
            prop_assert_eq!(&whole, &parts);
            prop_assert_eq!(whole.seen(), rows.len() as u64);
        }

        #[test]
        fn any_bytes_are_a_reservoir_or_an_error(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut reservoir = Reservoir::new(2, 4, 8, 3);
            (0..9).for_each(|number| reservoir.offer(&[number, -number]));
            let mut bytes = encode(&reservoir);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(mut found) = decode::<Reservoir>(&bytes) {
                let row = vec![1; found.table().width()];
                (0..9).for_each(|_| found.offer(&row));
                prop_assert!(found.table().len() <= TABLE_ROWS_MAX);
            }
        }
    }
}
