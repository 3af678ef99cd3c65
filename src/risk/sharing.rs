//! The sharing rule: what each part gives where several together may not be what they add up to.
//!
//! There is one, for a group above its budget, for a criticality beside 1, and for a score above
//! 100: each part keeps its proportion, rounded down; what is left by rounding goes, a millionth
//! each, to those that lost most by it, of equals to the first.

use crate::base::score::Points;

use super::account::Share;

/// Scales the points of `shares` so that they add up to exactly `total`. If all are zero they stay
/// so.
pub(super) fn share_out(shares: &mut [Share], total: u64) {
    let sum: u64 = shares.iter().map(|share| share.points.0).sum();
    if sum == total || sum == 0 {
        return;
    }
    let mut given = 0;
    let mut lost: Vec<(u128, usize)> = Vec::with_capacity(shares.len());
    for (index, share) in shares.iter_mut().enumerate() {
        let scaled = u128::from(share.points.0) * u128::from(total);
        share.points = Points((scaled / u128::from(sum)) as u64);
        given += share.points.0;
        lost.push((scaled % u128::from(sum), index));
    }
    lost.sort_by_key(|&(rest, index)| (std::cmp::Reverse(rest), shares[index].module));
    // Fewer than there are shares that lost something.
    for &(_, index) in lost.iter().take((total - given) as usize) {
        shares[index].points.0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::score::Ppm;
    use proptest::prelude::*;

    fn shared(parts: &[u64], total: u64) -> Vec<u64> {
        let share = |(module, points): (usize, &u64)| Share {
            module,
            points: Points(*points),
            value: Ppm::ONE,
            evidence: Default::default(),
        };
        let mut shares: Vec<Share> = parts.iter().enumerate().map(share).collect();
        share_out(&mut shares, total);
        shares.iter().map(|share| share.points.0).collect()
    }

    #[test]
    fn proportions() {
        let check = |parts: Vec<u64>, total, expected: &[u64]| {
            assert_eq!(shared(&parts, total), expected);
        };
        check(vec![60, 30, 30], 60, &[30, 15, 15]);
        check(vec![1, 1, 1], 2, &[1, 1, 0]);
        check(vec![5, 3, 2], 7, &[4, 2, 1]);
        check(vec![5, 3, 2], 20, &[10, 6, 4]);
        check(vec![0, 0], 20, &[0, 0]);
        check(vec![0, 7], 20, &[0, 20]);
    }

    proptest! {
        #[test]
        fn nobody_gets_a_millionth_more_than_its_proportion(
            parts in proptest::collection::vec(0..1_000_000_000_u64, 1..9),
            total in 0..10_000_000_000_u64,
        ) {
            let shared = shared(&parts, total);
            let sum: u64 = parts.iter().sum();
            prop_assume!(sum > 0);
            prop_assert_eq!(shared.iter().sum::<u64>(), total);
            for (before, after) in parts.iter().zip(&shared) {
                let exact = u128::from(*before) * u128::from(total);
                let found = u128::from(*after) * u128::from(sum);
                prop_assert!(found.abs_diff(exact) < u128::from(sum), "{} {}", before, after);
            }
        }
    }
}
