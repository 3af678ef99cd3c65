//! Which new group is which old one: centres are matched so that they move least in all
//! (minimal-cost assignment), and what would move too far is new.

use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;

/// What a match may cost: that of an old group which moved as far as it may.
const FAR: i64 = 1 << 16;

/// How far an old group may have moved, in 256ths of a spread: as far as its members usually are
/// from its centre, and half a spread at least.
pub(super) fn reach(usual: u64) -> u64 {
    usual.max(128)
}

/// For each new group the place of the old one that it is. `distances` has a row for each new
/// group with a number for each old one; `reaches` says for each old one how far it may have moved.
pub(super) fn matched(distances: &[Vec<u64>], reaches: &[u64]) -> Vec<Option<usize>> {
    let (new, old) = (distances.len(), reaches.len());
    if new == 0 {
        return Vec::new();
    }
    // Beside the old groups each new one may be new, for a little more than the farthest match: so
    // one beyond it is never made, nor are two bad ones where one is good.
    let cost = |row: usize, column: usize| {
        let Some(reach) = reaches.get(column) else { return FAR + 1 };
        let distance = distances[row].get(column).copied().unwrap_or(u64::MAX);
        let share = u128::from(distance) * FAR as u128 / u128::from(*reach).max(1);
        i64::try_from(share).map_or(FAR * 4, |share| share.min(FAR * 4))
    };
    let costs = Matrix::from_fn(new, old + new, |(row, column)| cost(row, column));
    let (_, columns) = kuhn_munkres_min(&costs);
    columns.into_iter().map(|column| (column < old).then_some(column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(distances: &[&[u64]], reaches: &[u64], expected: &[Option<usize>]) {
        let distances: Vec<Vec<u64>> = distances.iter().map(|row| row.to_vec()).collect();
        assert_eq!(matched(&distances, reaches), expected);
    }

    #[test]
    fn groups_stay_who_they_are() {
        check(&[], &[128], &[]);
        check(&[&[]], &[], &[None]);
        check(&[&[0, 900], &[900, 0]], &[128, 128], &[Some(0), Some(1)]);
        check(&[&[900, 5], &[3, 900]], &[128, 128], &[Some(1), Some(0)]);
        check(&[&[128]], &[128], &[Some(0)]);
        check(&[&[129]], &[128], &[None]);
        check(&[&[129]], &[200], &[Some(0)]);
        check(&[&[u64::MAX], &[7]], &[128], &[None, Some(0)]);
        // One stays and one is new, rather than both going far.
        check(&[&[10, 120], &[100, 900]], &[128, 128], &[Some(0), None]);
    }

    /// The least that a matching costs, by trying all of them.
    fn least(costs: &[Vec<u64>], used: &mut Vec<bool>) -> u64 {
        let Some((first, rest)) = costs.split_first() else { return 0 };
        let mut found = 1000 + least(rest, used);
        for (column, cost) in first.iter().enumerate() {
            if !used[column] {
                used[column] = true;
                found = found.min(cost + least(rest, used));
                used[column] = false;
            }
        }
        found
    }

    proptest! {
        #[test]
        fn no_other_matching_is_cheaper(
            costs in (0..5_usize).prop_flat_map(|old| {
                proptest::collection::vec(proptest::collection::vec(0..1500_u64, old), 1..5)
            }),
        ) {
            let old = costs[0].len();
            let found = matched(&costs, &vec![1000; old]);
            let mut taken: Vec<usize> = found.iter().flatten().copied().collect();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), found.iter().flatten().count(), "one old, one new");
            let priced = found.iter().zip(&costs);
            let total: u64 = priced.map(|(at, row)| at.map_or(1000, |at| row[at])).sum();
            // Shares are rounded down, by less than 1 in 65.
            prop_assert!(total <= least(&costs, &mut vec![false; old]) + 1);
        }
    }
}
