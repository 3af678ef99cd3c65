//! An isolation forest (Liu, Ting, Zhou 2008): rows that random splits part from the others soon
//! are unusual. What a row's score hangs on is told column by column.
//!
//! Three things are not as in the paper, each for what it measures (docs/unsupervised.md):
//! - Trees grow until every row is alone, not to a depth of log2(sample), and from no more than
//!   half of the rows there are. Where many rows are a little unusual, depth tells them apart.
//! - A row is scored as if it had been in the sample of each tree: where it lies beyond the values
//!   that a node was split from, the split might as well have fallen between them and it. With what
//!   chance is known, so the expected length of its path is (as random cut forests do it, Guha et
//!   al. 2016, but for the split's own column only). The paper's trees cannot tell what is just
//!   beyond their sample from what is far beyond it, and never look at a column that was constant.
//! - Splits are along columns. Slanted ones (the extended forest, Hariri et al. 2021) measured
//!   worse on most tables, are slower, and have no one column that a split speaks of.
//!
//! All that is kept and every score is of integers: 16 bits behind the point, so that a row has the
//! same score on every machine and after every restart.
//!
//! Not here: when a forest is grown, of what, and which score is high: quantiles are the caller's.

mod depth;
mod grow;
#[cfg(test)]
mod tests;
mod tree;

use serde::{Deserialize, Serialize};

use self::depth::{averages, halved};
use self::tree::Tree;
use super::Table;
use crate::base::limits::{TABLE_WIDTH_MAX, TREE_SAMPLE_MAX, TREES_MAX};

/// The score of a row that nothing can be said of: that of a path of average length.
pub const NEUTRAL: u32 = 500_000;

/// Rows scored with one tree before the next: they stay in the nearest cache together with it.
const BLOCK_ROWS: usize = 256;

/// Rows that go down a tree side by side.
const LANES: usize = 4;

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// So many trees, at least one, at most [`TREES_MAX`].
    pub trees: usize,
    /// Each from so many rows, at most [`TREE_SAMPLE_MAX`] and half of those there are.
    pub sample: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { trees: 100, sample: 256 }
    }
}

/// A grown forest. What is read from bytes has been looked through: scores of it may mean nothing,
/// but no row can make it panic or go on for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Forest {
    width: u16,
    /// Rows that each tree was grown from.
    sample: u16,
    trees: Vec<Tree>,
    /// The average path among so many rows, up to all of a sample.
    #[serde(skip_serializing)]
    averages: Vec<u32>,
}

impl Forest {
    /// Grows a forest from the rows of a table; the same for the same seed.
    #[must_use]
    pub fn fit(table: &Table, settings: Settings, seed: u64) -> Self {
        let trees = settings.trees.clamp(1, TREES_MAX);
        let sample = settings.sample.clamp(2, TREE_SAMPLE_MAX).min(table.len().div_ceil(2));
        let trees = grow::trees(table, trees, sample, seed);
        let (width, sample) = (table.width() as u16, sample as u16);
        Self { width, sample, trees, averages: averages(sample) }
    }

    /// How many columns its rows have.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width as usize
    }

    /// How unusual a row is, in parts per million: 2^-(its path / an average path), above one half
    /// where it is parted from others sooner than a row among random ones. [`NEUTRAL`] where
    /// fewer than three rows were there, or for a row of another width.
    #[must_use]
    pub fn score(&self, row: &[i16]) -> u32 {
        if row.len() != self.width() {
            return NEUTRAL;
        }
        let path = |tree: &Tree| u64::from(tree.paths([row], &self.averages)[0]);
        self.told(self.trees.iter().map(path).sum())
    }

    /// The scores of all rows of a table, as [`Forest::score`] has them, in less time.
    #[must_use]
    pub fn scores(&self, table: &Table) -> Vec<u32> {
        if table.width() != self.width() {
            return vec![NEUTRAL; table.len()];
        }
        let mut scores = Vec::with_capacity(table.len());
        let mut paths = Vec::with_capacity(BLOCK_ROWS);
        for begin in (0..table.len()).step_by(BLOCK_ROWS) {
            paths.clear();
            paths.resize((table.len() - begin).min(BLOCK_ROWS), 0);
            for tree in &self.trees {
                self.add(tree, table, begin, &mut paths);
            }
            scores.extend(paths.iter().map(|path| self.told(*path)));
        }
        scores
    }

    /// Adds to each of `paths` how long it is in a tree; the first is that of the row at `begin`.
    fn add(&self, tree: &Tree, table: &Table, begin: usize, paths: &mut [u64]) {
        let row = |place: usize| table.row(begin + place);
        let whole = paths.len() - paths.len() % LANES;
        for place in (0..whole).step_by(LANES) {
            let rows: [&[i16]; LANES] = std::array::from_fn(|lane| row(place + lane));
            for (path, more) in paths[place..].iter_mut().zip(tree.paths(rows, &self.averages)) {
                *path += u64::from(more);
            }
        }
        for (place, path) in paths.iter_mut().enumerate().skip(whole) {
            *path += u64::from(tree.paths([row(place)], &self.averages)[0]);
        }
    }

    /// What each column has to do with a row's score: positive where it makes the row more unusual.
    /// It is how much sooner the splits along the column part the row from others than halving
    /// them would, in splits over all trees, 16 bits behind the point. The sum of all is
    /// trees x log2(sample) less the lengths of the row's paths, of which its score is made; so it
    /// is above zero where the row is alone sooner than by halving. All are zero where nothing can
    /// be said.
    #[must_use]
    pub fn attribution(&self, row: &[i16]) -> Vec<i64> {
        let mut credits = vec![0; self.width()];
        if row.len() == self.width() && self.sample > 1 {
            for tree in &self.trees {
                tree.credit(row, &self.averages, &mut credits);
            }
        }
        credits
    }

    /// The score of paths that are so long in all.
    fn told(&self, path: u64) -> u32 {
        let average = self.averages.last().copied().unwrap_or_default();
        let average = u128::from(average) * self.trees.len() as u128;
        match (u128::from(path) << 32).checked_div(average) {
            Some(exponent) => halved(u64::try_from(exponent).unwrap_or(u64::MAX)),
            None => NEUTRAL,
        }
    }
}

/// A forest as bytes have it.
#[derive(Deserialize)]
struct Unchecked {
    width: u16,
    sample: u16,
    trees: Vec<Tree>,
}

impl TryFrom<Unchecked> for Forest {
    type Error = String;

    fn try_from(read: Unchecked) -> Result<Self, String> {
        let Unchecked { width, sample, trees } = read;
        if usize::from(width) > TABLE_WIDTH_MAX
            || usize::from(sample) > TREE_SAMPLE_MAX
            || trees.len() > TREES_MAX
        {
            return Err("a forest beyond its bounds".to_owned());
        }
        for tree in &trees {
            tree.check(width, sample)?;
        }
        Ok(Self { width, sample, trees, averages: averages(sample) })
    }
}
