//! k-means over rows that are scaled already: starts of our own (greedy k-means++, Arthur and
//! Vassilvitskii 2007, in integers), Lloyd's rounds by `linfa-clustering`, the best of several by
//! inertia.
//!
//! Not here: how many groups there are, and what they are called.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array1, Array2};

use super::super::Table;
use crate::base::random::Random;

/// A centre, in the unit of the scaled rows.
pub(super) type Centre = Vec<i16>;

/// Rounds of a start, should it not come to rest before.
const ROUNDS_MAX: u64 = 100;

/// Centres rest when together they moved less: half a 256th of a spread, which rounding takes.
const REST: f64 = 0.5;

/// The square of the distance, summed over columns.
pub(super) fn square(one: &[i16], other: &[i16]) -> u64 {
    let of = |(a, b): (&i16, &i16)| u64::from(u32::from(a.abs_diff(*b)).pow(2));
    // No more than 2^32 for each column.
    one.iter().zip(other).map(of).fold(0, u64::wrapping_add)
}

/// The nearest centre and the square of its distance; of equals the first. Zeros without centres.
pub(super) fn nearest<'a>(
    centres: impl IntoIterator<Item = &'a [i16]>,
    row: &[i16],
) -> (usize, u64) {
    let squares = centres.into_iter().map(|centre| square(centre, row)).enumerate();
    squares.min_by_key(|(_, square)| *square).unwrap_or_default()
}

/// The sum of the squares of all distances to the nearest centre.
pub(super) fn inertia(points: &Table, centres: &[Centre]) -> u64 {
    points.rows().map(|row| nearest(centres.iter().map(Vec::as_slice), row).1).sum()
}

/// How many rows each centre is nearest to, and their means, rounded.
pub(super) fn means(points: &Table, centres: &[Centre]) -> Vec<(u64, Centre)> {
    let mut sums = vec![(0_u64, vec![0_i64; points.width()]); centres.len()];
    for row in points.rows() {
        let (place, _) = nearest(centres.iter().map(Vec::as_slice), row);
        let (count, sum) = &mut sums[place];
        *count += 1;
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += i64::from(*value);
        }
    }
    let mean = |(count, sum): (u64, Vec<i64>)| {
        let rows = count.max(1) as i64;
        (count, sum.into_iter().map(|sum| (sum + rows / 2).div_euclid(rows) as i16).collect())
    };
    sums.into_iter().map(mean).collect()
}

/// The best centres that are found for `k` groups in so many starts; fewer where fewer rows differ.
pub(super) fn best(points: &Table, k: usize, starts: usize, random: &mut Random) -> Vec<Centre> {
    if k <= 1 {
        let start = points.rows().take(1).map(<[i16]>::to_vec).collect::<Vec<_>>();
        return means(points, &start).into_iter().map(|(_, centre)| centre).collect();
    }
    let Some(dataset) = dataset(points) else { return Vec::new() };
    let found = (0..starts).map(|_| {
        let start = scatter(points, k, random);
        let centres = settle(&dataset, &start).unwrap_or(start);
        (inertia(points, &centres), centres)
    });
    found.min_by_key(|(inertia, _)| *inertia).map(|(_, centres)| centres).unwrap_or_default()
}

/// The centres that others lead to.
pub(super) fn settled(points: &Table, start: &[Centre]) -> Vec<Centre> {
    let found = dataset(points).and_then(|dataset| settle(&dataset, start));
    found.unwrap_or_else(|| start.to_vec())
}

type Dataset = DatasetBase<Array2<f64>, Array1<()>>;

fn dataset(points: &Table) -> Option<Dataset> {
    let values = points.rows().flatten().map(|value| f64::from(*value)).collect();
    Array2::from_shape_vec((points.len(), points.width()), values).ok().map(DatasetBase::from)
}

/// Rows to start from: each is drawn in proportion to the square of its distance to those before
/// it, a few times, and the one that leaves the least inertia stays.
fn scatter(points: &Table, k: usize, random: &mut Random) -> Vec<Centre> {
    let mut centres: Vec<Centre> = Vec::with_capacity(k);
    let mut squares = vec![u64::MAX; points.len()];
    let mut left: u64 = 0;
    while centres.len() < k.min(points.len()) {
        let tries = if centres.is_empty() { 1 } else { 2 + k.ilog2() };
        let next = (0..tries).map(|_| {
            let at = if centres.is_empty() {
                random.below(points.len() as u64) as usize
            } else {
                drawn(&squares, random.below(left))
            };
            let row = points.row(at);
            let after =
                points.rows().zip(&squares).map(|(other, had)| square(row, other).min(*had));
            let after: Vec<u64> = after.collect();
            (after.iter().sum::<u64>(), at, after)
        });
        let Some((sum, at, after)) = next.min_by_key(|(sum, at, _)| (*sum, *at)) else { break };
        centres.push(points.row(at).to_vec());
        (left, squares) = (sum, after);
        if left == 0 {
            break; // every row is a centre already
        }
    }
    centres
}

/// The place where the sum of the weights before it passes `mark`.
fn drawn(weights: &[u64], mut mark: u64) -> usize {
    for (at, weight) in weights.iter().enumerate() {
        match mark.checked_sub(*weight) {
            Some(rest) => mark = rest,
            None => return at,
        }
    }
    weights.len().saturating_sub(1)
}

/// Where Lloyd's rounds lead from a start.
fn settle(dataset: &Dataset, start: &[Centre]) -> Option<Vec<Centre>> {
    let width = dataset.records().ncols();
    let values = start.iter().flatten().map(|value| f64::from(*value)).collect();
    let centres = Array2::from_shape_vec((start.len(), width), values).ok()?;
    let model = KMeans::params(start.len())
        .n_runs(1)
        .max_n_iterations(ROUNDS_MAX)
        .tolerance(REST)
        .init_method(KMeansInit::Precomputed(centres))
        .fit(dataset)
        .ok()?;
    let rounded =
        |row: ndarray::ArrayView1<'_, f64>| row.iter().map(|x| x.round() as i16).collect();
    Some(model.centroids().rows().into_iter().map(rounded).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[i16]) -> Table {
        let mut table = Table::new(1);
        for value in values {
            table.push(&[*value]);
        }
        table
    }

    fn check(values: &[i16], k: usize, expected: &[i16]) {
        let mut found = best(&table(values), k, 10, &mut Random::new(1)).concat();
        found.sort_unstable();
        assert_eq!(found, expected, "{values:?}");
    }

    #[test]
    fn centres_are_where_the_rows_are() {
        check(&[-3, 0, 3, 90, 100, 110], 2, &[0, 100]);
        check(&[-3, 0, 3, 90, 100, 110], 1, &[50]);
        check(&[-100, -101], 1, &[-100]);
        check(&[5; 9], 3, &[5]);
        check(&[5, 5, 7], 3, &[5, 7]);
        check(&[5, 5, 7], 64, &[5, 7]);
    }

    #[test]
    fn what_is_drawn_goes_by_weight() {
        let marks: Vec<usize> = (0..6).map(|mark| drawn(&[0, 2, 0, 3, 1], mark)).collect();
        assert_eq!(marks, [1, 1, 3, 3, 3, 4]);
        assert_eq!(drawn(&[1, 1], 9), 1);
    }
}
