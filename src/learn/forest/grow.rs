//! How trees grow: a column at random of those that the rows differ in, a value at random between
//! its least and its greatest, and so on with either side until all rows of a node are the same.
//!
//! Not here: what a tree is asked.

use super::tree::{Fixed, Node, Span, Tree};
use crate::base::random::Random;
use crate::learn::Table;

/// Grows so many trees, each from `sample` rows, which are drawn without being put back.
pub(super) fn trees(table: &Table, count: usize, sample: usize, seed: u64) -> Vec<Tree> {
    if sample == 0 {
        return Vec::new();
    }
    let mut random = Random::new(seed);
    let mut order: Vec<usize> = (0..table.len()).collect();
    let mut trees = Vec::with_capacity(count);
    for _ in 0..count {
        for place in 0..sample {
            let other = place + random.below((order.len() - place) as u64) as usize;
            order.swap(place, other);
        }
        let mut rows: Vec<&[i16]> = order[..sample].iter().map(|row| table.row(*row)).collect();
        trees.push(grow(&mut rows, &mut random));
    }
    trees
}

/// What stands where a node will be.
const PLANNED: Node = Node::leaf(0, 0);

fn grow(rows: &mut [&[i16]], random: &mut Random) -> Tree {
    let mut tree = Tree { nodes: vec![PLANNED], fixed: fixed(rows) };
    let mut spans = Vec::new();
    // Nodes that have no splits yet, with where their rows begin and end.
    let mut open = vec![(0, 0, rows.len())];
    while let Some((at, begin, end)) = open.pop() {
        let rows = &mut rows[begin..end];
        let count = rows.len() as u16;
        differing(rows, &mut spans);
        if spans.is_empty() {
            tree.nodes[at] = Node::leaf(count, at as u32);
            continue;
        }
        let span = spans[random.below(spans.len() as u64) as usize];
        let width = i32::from(span.high) - i32::from(span.low);
        let step = random.below(width.unsigned_abs().into()) as i32;
        let threshold = (i32::from(span.low) + step) as i16;
        let middle = begin + part(rows, usize::from(span.column), threshold);
        let next = tree.nodes.len();
        tree.nodes[at] = Node::split(span, threshold, spans.len() as u16, count, next as u32);
        tree.nodes.extend([PLANNED; 2]);
        open.extend([(next + 1, middle, end), (next, begin, middle)]);
    }
    tree
}

/// The columns that the rows differ in.
fn differing(rows: &[&[i16]], spans: &mut Vec<Span>) {
    spans.clear();
    let Some((first, others)) = rows.split_first() else { return };
    let span =
        |(column, value): (usize, &i16)| Span { column: column as u16, low: *value, high: *value };
    spans.extend(first.iter().enumerate().map(span));
    for row in others {
        for (span, value) in spans.iter_mut().zip(*row) {
            span.low = span.low.min(*value);
            span.high = span.high.max(*value);
        }
    }
    spans.retain(|span| span.low < span.high);
}

/// The columns that the rows do not differ in.
fn fixed(rows: &[&[i16]]) -> Vec<Fixed> {
    let Some((first, others)) = rows.split_first() else { return Vec::new() };
    let columns = first.iter().enumerate();
    let same = columns.filter(|(column, value)| others.iter().all(|row| row[*column] == **value));
    same.map(|(column, value)| Fixed { column: column as u16, value: *value }).collect()
}

/// Puts the rows with no more than `threshold` in a column first, and says how many they are.
fn part(rows: &mut [&[i16]], column: usize, threshold: i16) -> usize {
    let mut first = 0;
    for place in 0..rows.len() {
        if rows[place][column] <= threshold {
            rows.swap(place, first);
            first += 1;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_as_often_in_a_sample_and_never_twice() {
        // In each row one column stands out, so that the others say which rows were drawn.
        let mut table = Table::new(20);
        for row in 0..20 {
            assert!(
                table.push(&std::array::from_fn::<_, 20, _>(|column| i16::from(row == column)))
            );
        }
        let mut missing = [0_u32; 20];
        for tree in trees(&table, 1000, 5, 1) {
            assert_eq!(tree.fixed.len(), 15);
            tree.fixed.iter().for_each(|it| missing[usize::from(it.column)] += 1);
        }
        // Five standard deviations.
        assert!(missing.iter().all(|count| count.abs_diff(750) < 70), "{missing:?}");
    }
}
