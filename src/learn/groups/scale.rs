//! Columns made comparable: how far a value is from its column's middle, in 256ths of its spread.
//!
//! The spread is that of the middle nine tenths of the rows, so one wild row decides nothing, and
//! it has a floor, so a column that (nearly) never changes does not either. Beyond [`CLIP`] farther
//! is no farther.

use serde::{Deserialize, Serialize};

use super::super::Table;

/// One spread, in the unit of all distances.
pub(super) const UNIT: i32 = 256;

/// The farthest that a value is from the middle: eight spreads.
pub(super) const CLIP: i16 = 8 * UNIT as i16;

/// Middle and spread of a column, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scale {
    pub(super) middle: i16,
    /// At least 1.
    pub(super) spread: u16,
}

impl Scale {
    /// The scale of `values`, which are put in another order; there is at least one.
    fn of(values: &mut [i16], floor: u16) -> Self {
        let count = values.len();
        let middle = *values.select_nth_unstable((count - 1) / 2).1;
        // Small tables leave out one row at each end, as soon as that leaves one.
        let out = count.div_ceil(20).min((count - 1) / 2);
        let low = *values.select_nth_unstable(out).1;
        let high = *values.select_nth_unstable(count - 1 - out).1;
        // Nine tenths of a bell curve are 3.29 standard deviations wide.
        let range = u32::from(high.abs_diff(low));
        let spread = ((range * 100 + 164) / 329).max(u32::from(floor)).max(1);
        Self { middle, spread: u16::try_from(spread).unwrap_or(u16::MAX) }
    }

    /// How far a value is from the middle, in 256ths of the spread.
    pub(super) fn scaled(self, value: i16) -> i16 {
        let (spread, clip) = (i32::from(self.spread), i32::from(CLIP));
        let far = (i32::from(value) - i32::from(self.middle)) * UNIT;
        let half = spread / 2 * far.signum();
        ((far + half) / spread).clamp(-clip, clip) as i16
    }

    /// The value that is so far from the middle.
    pub(super) fn value(self, scaled: i16) -> i16 {
        let far = i32::from(scaled) * i32::from(self.spread) / UNIT;
        let value = i32::from(self.middle) + far;
        value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }
}

/// The scale of each column of a table with at least one row.
pub(super) fn scales(table: &Table, floor: u16) -> Vec<Scale> {
    let mut column = Vec::with_capacity(table.len());
    let of = |at: usize| {
        column.clear();
        column.extend(table.rows().map(|row| row[at]));
        Scale::of(&mut column, floor)
    };
    (0..table.width()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[i16], floor: u16, middle: i16, spread: u16) {
        let scale = Scale::of(&mut values.to_vec(), floor);
        assert_eq!(scale, Scale { middle, spread }, "{values:?}");
        assert_eq!(scale.scaled(middle), 0);
        for value in [i16::MIN, -1, 0, 1, i16::MAX] {
            let scaled = scale.scaled(value);
            assert!(scaled.abs() <= CLIP);
            let error = scale.value(scaled).abs_diff(value);
            assert!(scaled.abs() == CLIP || u32::from(error) <= u32::from(spread) / 256 + 1);
        }
    }

    #[test]
    fn a_wild_row_and_a_constant_column_decide_nothing() {
        check(&[5], 64, 5, 64);
        check(&[7; 100], 64, 7, 64);
        check(&[7; 100], 0, 7, 1);
        check(&[0, 0, 0, i16::MAX], 64, 0, 64);
        check(&[i16::MIN, i16::MAX], 1, i16::MIN, 19919);
        let even: Vec<i16> = (0..1000).collect();
        check(&even, 1, 499, 273);
        let wild: Vec<i16> = (0..1000).map(|n| if n < 960 { n } else { i16::MAX }).collect();
        check(&wild, 1, 499, 273);
    }
}
