//! Floor 2: what is learned in process over rows of integers: fit and score.
//!
//! Not here: what the columns mean, when a fit happens, and IO.

pub mod forest;
pub mod groups;
pub mod reservoir;

use serde::{Deserialize, Serialize};

use crate::base::limits::{TABLE_ROWS_MAX, TABLE_WIDTH_MAX};

/// Rows of one width, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    width: usize,
    values: Vec<i16>,
}

impl Table {
    /// No rows yet, of so many columns: at least one, at most [`TABLE_WIDTH_MAX`].
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width: width.clamp(1, TABLE_WIDTH_MAX), values: Vec::new() }
    }

    /// Takes a row, and says whether it did: one of another width is not taken, nor is one beyond
    /// [`TABLE_ROWS_MAX`].
    pub fn push(&mut self, row: &[i16]) -> bool {
        let takes = row.len() == self.width && self.width > 0 && self.len() < TABLE_ROWS_MAX;
        if takes {
            self.values.extend_from_slice(row);
        }
        takes
    }

    /// Puts a row in the place of another, and says whether it did, as [`Table::push`].
    pub fn replace(&mut self, place: usize, row: &[i16]) -> bool {
        let takes = row.len() == self.width && place < self.len();
        if takes {
            self.values[place * self.width..][..self.width].copy_from_slice(row);
        }
        takes
    }

    /// The rows in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[i16]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// The row at `place`, which must be below [`Table::len`].
    #[must_use]
    pub fn row(&self, place: usize) -> &[i16] {
        &self.values[place * self.width..][..self.width]
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many columns there are.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_what_fits() {
        let mut table = Table::new(2);
        assert!(table.push(&[1, -2]) && table.push(&[i16::MIN, i16::MAX]));
        assert!(!table.push(&[1]) && !table.push(&[1, 2, 3]));
        assert_eq!((table.len(), table.width(), table.row(1)), (2, 2, &[i16::MIN, i16::MAX][..]));
        assert_eq!(table.rows().collect::<Vec<_>>(), [table.row(0), table.row(1)]);
        assert!(table.replace(0, &[7, 8]) && !table.replace(2, &[7, 8]) && !table.replace(0, &[7]));
        assert_eq!((table.row(0), table.row(1)[0]), (&[7, 8][..], i16::MIN));
    }

    #[test]
    fn a_table_without_columns_has_no_rows() {
        let mut none = Table::default();
        assert!(!none.push(&[]) && none.is_empty() && none.rows().len() == 0);
        assert_eq!((Table::new(0).width(), Table::new(usize::MAX).width()), (1, TABLE_WIDTH_MAX));
    }
}
