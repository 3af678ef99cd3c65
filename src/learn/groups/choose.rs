//! How many groups there are.
//!
//! Each number is tried and has its simplified silhouette (Hruschka et al. 2004): how much nearer a
//! row is to its own centre than to the next, as a share of the latter; the mean over rows. Any
//! rows can be cut in pieces, and the fewer columns the better it looks, so what counts is how much
//! more that is than the same number gives in clouds: rows of one hump that vary as much, and
//! together, in the same columns. The number with the most more is chosen; where even that is
//! little there are no groups: all are one.

use super::super::Table;
use super::Settings;
use super::means::{Centre, best, means, nearest, settled, square};
use super::scale::CLIP;
use crate::base::random::Random;

/// Silhouettes are parts of so many.
const WHOLE: i64 = 10_000;

/// Starts of each fit, of which the best counts: the centres are sought again afterwards.
const STARTS: usize = 5;

/// By how much others have to be better than the groups that there were.
const CLEARLY: i64 = 500;

/// Clouds to compare with.
const CLOUDS: i64 = 3;

/// Rows that are summed, with random signs, for a row of a cloud: enough for a hump.
const SUMMED: u32 = 16;

/// What to make of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The groups that there were.
    Kept,
    /// So many others.
    Anew(usize),
}

/// How many groups `points` have, between the numbers of `settings`; or those that there were, if
/// others are not clearly better.
pub(super) fn choose(
    points: &Table,
    settings: &Settings,
    before: &[Centre],
    random: &mut Random,
) -> Choice {
    let (least, most) = settings.numbers();
    if least == most {
        return Choice::Anew(most);
    }
    // With groups of hardly enough rows chance decides which of them are groups.
    let room = points.len() / (2 * settings.members_min.max(1) as usize);
    let most = most.min(room.max(least));
    let clouds: Vec<Table> = (0..CLOUDS).map(|_| cloud(points, random)).collect();
    let of_clouds = |k: usize, random: &mut Random| {
        clouds.iter().map(|cloud| score(cloud, k, settings, random)).sum::<i64>() / CLOUDS
    };
    let mut found = (if least > 1 { i64::MIN } else { clear(points.len()) }, least);
    for k in least.max(2)..=most {
        let more = score(points, k, settings, random) - of_clouds(k, random);
        if more > found.0 {
            found = (more, k);
        }
    }
    if before.len() > 1 {
        // A group of few may have hardly a row among these.
        let kept = enough(points, settled(points, before), 1);
        let more = silhouette(points, &kept) - of_clouds(kept.len(), random);
        if kept.len() == before.len() && more + CLEARLY >= found.0 {
            return Choice::Kept;
        }
    }
    Choice::Anew(found.1)
}

/// How much more than in clouds says that there are groups: more than what rows without groups have
/// by chance, which is the more the fewer they are (docs/unsupervised.md).
const fn clear(rows: usize) -> i64 {
    300 + 6000 / (rows + 1).isqrt() as i64
}

/// The silhouette of the best `k` groups.
fn score(points: &Table, k: usize, settings: &Settings, random: &mut Random) -> i64 {
    silhouette(points, &enough(points, best(points, k, STARTS, random), settings.members_min))
}

/// The centres that are nearest to so many rows: fewer are no group, but wild rows.
pub(super) fn enough(points: &Table, centres: Vec<Centre>, members_min: u32) -> Vec<Centre> {
    let sizes = means(points, &centres).into_iter().map(|(size, _)| size);
    let kept = centres.iter().zip(sizes).filter(|(_, size)| *size >= u64::from(members_min.max(1)));
    kept.map(|(centre, _)| centre.clone()).collect()
}

/// The mean over rows of how much nearer the own centre is than the next; 0 where there is no next.
fn silhouette(points: &Table, centres: &[Centre]) -> i64 {
    if centres.len() < 2 {
        return 0;
    }
    let of = |row: &[i16]| {
        let (own, least) = nearest(centres.iter().map(Vec::as_slice), row);
        let others = centres.iter().enumerate().filter(|(place, _)| *place != own);
        let next = others.map(|(_, centre)| square(centre, row)).min().unwrap_or(0);
        let (near, far) = (least.isqrt() as i64, next.isqrt() as i64);
        ((far - near) * WHOLE).checked_div(far).unwrap_or(0)
    };
    points.rows().map(of).sum::<i64>() / points.len().max(1) as i64
}

/// Rows of one hump with the mean and the covariances of `points`: each is a sum of theirs.
fn cloud(points: &Table, random: &mut Random) -> Table {
    let start: Vec<Centre> = points.rows().take(1).map(<[i16]>::to_vec).collect();
    let mean = means(points, &start).pop().unwrap_or_default().1;
    let mut cloud = Table::new(points.width());
    for _ in 0..points.len() {
        let mut sum = vec![0_i64; points.width()];
        for _ in 0..SUMMED {
            let row = points.row(random.below(points.len() as u64) as usize);
            let sign = if random.below(2) == 0 { 1 } else { -1 };
            for (sum, (value, mean)) in sum.iter_mut().zip(row.iter().zip(&mean)) {
                *sum += sign * (i64::from(*value) - i64::from(*mean));
            }
        }
        let (root, clip) = (i64::from(SUMMED.isqrt()), i64::from(CLIP));
        let value = |(sum, mean): (i64, &i16)| (i64::from(*mean) + sum / root).clamp(-clip, clip);
        let row: Vec<i16> = sum.into_iter().zip(&mean).map(|it| value(it) as i16).collect();
        cloud.push(&row);
    }
    cloud
}
