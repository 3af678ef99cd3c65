//! One tree: the path of a row in it, and what each column does to it.
//!
//! Not here: how it grows.

use serde::{Deserialize, Serialize};

use super::depth::ONE;
use crate::base::log2::{BIT, log2};

/// A split, or a leaf: 16 bytes. A leaf is a split that no row is beyond, and that leaves every row
/// where it is, so that several rows can go on side by side until the last has come to a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    column: u16,
    /// Rows whose column has no more than this go to the first child, others to the second.
    threshold: i16,
    /// The least and the greatest that the node's rows have in the column.
    low: i16,
    high: i16,
    /// Columns that the node's rows differ in, one of which was drawn; none at a leaf.
    varied: u16,
    rows: u16,
    /// The first child, which the second follows; of a leaf itself.
    next: u32,
}

impl Node {
    /// A node at `place`, whose rows are all the same.
    pub(super) const fn leaf(rows: u16, place: u32) -> Self {
        let (low, high) = (i16::MIN, i16::MAX);
        Self { column: 0, threshold: high, low, high, varied: 0, rows, next: place }
    }

    /// A node that is split along `span`, one of `varied`.
    pub(super) const fn split(
        span: Span,
        threshold: i16,
        varied: u16,
        rows: u16,
        next: u32,
    ) -> Self {
        let Span { column, low, high } = span;
        Self { column, threshold, low, high, varied, rows, next }
    }

    const fn is_leaf(&self) -> bool {
        self.varied == 0
    }

    /// How much of a row gets past the chance that it is parted from the rest by one of the
    /// `unseen` columns, which the tree's rows are all the same in and this row is not.
    const fn past_unseen(&self, alive: u32, unseen: u32) -> u32 {
        if unseen == 0 || self.is_leaf() {
            return alive;
        }
        alive * self.varied as u32 / (self.varied as u32 + unseen)
    }

    /// How much of a row gets past the chance that the split falls between it and the others.
    fn past_gap(&self, alive: u32, value: i16) -> u32 {
        let [low, high, value] = [self.low, self.high, value].map(i32::from);
        let beyond = (value - high).max(low - value).max(0).unsigned_abs();
        let span = (high - low).unsigned_abs();
        // At most 2^16 times 2^16 less one. Dividing always is faster than asking whether to.
        alive * span / (span + beyond)
    }

    const fn child(&self, value: i16) -> usize {
        self.next as usize + (value > self.threshold) as usize
    }

    /// How far a row that came to this leaf has still to go: not far where it differs from all.
    fn left(&self, unseen: u32, averages: &[u32]) -> u32 {
        let average = averages[usize::from(self.rows)];
        if unseen == 0 { average } else { average.min(ONE) }
    }

    /// How far it would be from here if each split halved the rows; from a leaf how far it is.
    fn halving(&self, unseen: u32, averages: &[u32]) -> u32 {
        if self.is_leaf() { self.left(unseen, averages) } else { halvings(self.rows) }
    }
}

/// log2(rows) in splits.
fn halvings(rows: u16) -> u32 {
    log2(u64::from(rows)).unsigned_abs() * (ONE / BIT.unsigned_abs())
}

/// A part of what is left of a row.
fn share(alive: u32, of: u32) -> u32 {
    ((u64::from(alive) * u64::from(of)) >> 16) as u32
}

/// A column, and between which values some rows lie in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) column: u16,
    pub(super) low: i16,
    pub(super) high: i16,
}

/// A column that all rows of a tree are the same in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fixed {
    pub(super) column: u16,
    pub(super) value: i16,
}

/// A tree: the first node is the root, children stand behind their parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) fixed: Vec<Fixed>,
}

impl Tree {
    /// The columns that are the same in all rows of the tree, and not in this one.
    fn unseen(&self, row: &[i16]) -> impl Iterator<Item = u16> {
        let fixed = self.fixed.iter();
        fixed.filter(|it| row[usize::from(it.column)] != it.value).map(|it| it.column)
    }

    /// How long the paths of some rows are: expected, over where the splits might have fallen if
    /// each had been in the sample. Several at once take less time, since none depends on another.
    pub(super) fn paths<const N: usize>(&self, rows: [&[i16]; N], averages: &[u32]) -> [u32; N] {
        let unseen = rows.map(|row| self.unseen(row).count() as u32);
        if unseen == [0; N] {
            self.walk::<N, false>(rows, unseen, averages)
        } else {
            self.walk::<N, true>(rows, unseen, averages)
        }
    }

    fn walk<const N: usize, const HAS_UNSEEN: bool>(
        &self,
        rows: [&[i16]; N],
        unseen: [u32; N],
        averages: &[u32],
    ) -> [u32; N] {
        let (mut paths, mut alive, mut places) = ([0; N], [ONE; N], [0; N]);
        let mut is_over = false;
        while !is_over {
            is_over = true;
            for lane in 0..N {
                let node = &self.nodes[places[lane]];
                let value = rows[lane][usize::from(node.column)];
                is_over &= node.is_leaf();
                paths[lane] += if node.is_leaf() { 0 } else { alive[lane] };
                if HAS_UNSEEN {
                    alive[lane] = node.past_unseen(alive[lane], unseen[lane]);
                }
                alive[lane] = node.past_gap(alive[lane], value);
                places[lane] = node.child(value);
            }
        }
        let left = |lane: usize| self.nodes[places[lane]].left(unseen[lane], averages);
        std::array::from_fn(|lane| paths[lane] + share(alive[lane], left(lane)))
    }

    /// Adds to each column how much sooner than halving its splits part the row from the others.
    pub(super) fn credit(&self, row: &[i16], averages: &[u32], credits: &mut [i64]) {
        let new: Vec<u16> = self.unseen(row).collect();
        let unseen = new.len() as u32;
        let (mut path, mut alive) = (0, ONE);
        let mut node = &self.nodes[0];
        // What all the columns that are new here have done together.
        let mut of_new = 0;
        while !node.is_leaf() {
            let value = row[usize::from(node.column)];
            let before = path + share(alive, node.halving(unseen, averages));
            let left = node.past_unseen(alive, unseen);
            let between = path + (alive - left) + share(left, node.halving(unseen, averages));
            path += alive;
            alive = node.past_gap(left, value);
            let column = usize::from(node.column);
            node = &self.nodes[node.child(value)];
            let after = path + share(alive, node.halving(unseen, averages));
            of_new += i64::from(before) - i64::from(between);
            credits[column] += i64::from(between) - i64::from(after);
        }
        if self.nodes[0].is_leaf() && unseen > 0 {
            of_new = i64::from(halvings(node.rows)) - i64::from(node.left(unseen, averages));
        }
        for (place, column) in new.iter().enumerate() {
            // To each alike, and what is left over to the last.
            let part = of_new / (new.len() - place) as i64;
            credits[usize::from(*column)] += part;
            of_new -= part;
        }
    }

    /// Says what is wrong with a tree that came from bytes.
    pub(super) fn check(&self, width: u16, sample: u16) -> Result<(), String> {
        let is_node = |(place, node): (usize, &Node)| {
            if node.is_leaf() {
                return *node == Node::leaf(node.rows, place as u32);
            }
            let first = node.next as usize;
            let rows = |at: usize| self.nodes.get(at).map(|child| usize::from(child.rows));
            let children = rows(first).zip(rows(first.saturating_add(1)));
            // A child stands behind its parent: no path is without end.
            first > place
                && children.is_some_and(|(one, two)| one + two == usize::from(node.rows))
                && node.column < width
                && node.varied <= width
                && (node.low..node.high).contains(&node.threshold)
        };
        let is_sized = width > 0
            && self.nodes.first().is_some_and(|root| root.rows == sample)
            && self.nodes.len() < 2 * usize::from(sample).max(1);
        // No node has more rows than the root: so many averages there are.
        let is_within = self.nodes.iter().all(|node| node.rows <= sample);
        if !is_sized || !is_within || !self.nodes.iter().enumerate().all(is_node) {
            return Err("a tree that never grew".to_owned());
        }
        let is_behind = self.fixed.windows(2).all(|pair| pair[0].column < pair[1].column);
        if !is_behind || self.fixed.iter().any(|it| it.column >= width) {
            return Err("a tree with columns that are not there".to_owned());
        }
        Ok(())
    }
}
