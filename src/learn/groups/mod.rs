//! Peer groups: rows that are alike, by k-means, and how far a row is from its group.
//!
//! All that is kept is integers. A distance is in 256ths of a spread: the root of the mean, over
//! columns, of the squares of how many spreads two rows are apart (`scale` says what a spread
//! is). The order of rows changes nothing but the order in which equally near members are told.
//!
//! Not here: what columns mean, when a fit happens, and what a distance is worth.

mod choose;
mod identity;
mod means;
mod scale;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::Table;
use crate::base::limits::{GROUPS_MAX, TABLE_WIDTH_MAX};
use crate::base::random::Random;
use choose::Choice;
use means::{Centre, square};
use scale::{CLIP, Scale, scales};

/// Rows that centres are sought in: with more, inertia falls by less than a fifth of a hundredth.
/// Tests, which are not optimized, have to do with few.
const ROWS_SOUGHT: usize = if cfg!(test) { 400 } else { 8192 };

/// Starts in them, of which the best counts.
const STARTS: usize = 20;

/// Rows that the number of groups is chosen by.
const ROWS_CHOSEN: usize = 2000;

/// The least spread of the distances of a group's members: a sixteenth of a column's spread.
const SPREAD_MIN: u32 = 16;

/// No row is farther: clipped on one side of every column, where the centre is on the other.
const DISTANCE_MAX: u32 = 2 * CLIP as u32;

/// Ids are below it in what is loaded, so that there is always a next one.
const ID_MAX: u32 = u32::MAX / 2;

/// Members of a group that [`Groups::closest`] names.
const CLOSEST: usize = 3;

/// What a fit is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least number of groups to look for; 1 says that there may be none, so that all are one.
    /// Equal to `k_max` it is the number to look for.
    pub k_min: usize,
    /// The greatest number of groups.
    pub k_max: usize,
    /// Rows that are a group at least, of those that centres are sought in (8,192 at most). Fewer
    /// belong to the next group.
    pub members_min: u32,
    /// The least spread of a column, in its own unit: what differs by less does not differ.
    pub floor: u16,
}

impl Default for Settings {
    /// A quarter of a bit is the least spread of columns in 256ths of a bit.
    fn default() -> Self {
        Self { k_min: 1, k_max: 12, members_min: 5, floor: 64 }
    }
}

impl Settings {
    /// The numbers of groups that are tried, least and greatest.
    fn numbers(&self) -> (usize, usize) {
        let most = self.k_max.clamp(1, GROUPS_MAX);
        (self.k_min.clamp(1, most), most)
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name for as long as it lasts; never that of another one.
    pub id: u32,
    /// How many rows it was learned of.
    pub size: u32,
    /// The median of its members' distances.
    pub usual: u32,
    /// The spread of these distances: 1.4826 times the median deviation, with a floor.
    pub spread: u32,
    /// Its mean, in 256ths of the spread of each column.
    centre: Centre,
}

/// How far a row is from a group, and what is usual there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The row's distance.
    pub distance: u64,
    /// The median of the members' distances.
    pub usual: u64,
    /// The spread of the members' distances, at least 1.
    pub spread: u64,
}

impl Stand {
    /// How many spreads beyond what is usual, in 256ths; below 0 where nearer than usual.
    #[must_use]
    pub fn beyond(&self) -> i64 {
        let far = i128::from(self.distance) - i128::from(self.usual);
        let beyond = far * 256 / i128::from(self.spread.max(1));
        i64::try_from(beyond).unwrap_or(i64::MAX)
    }
}

/// Groups as a fit found them, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Groups {
    scales: Vec<Scale>,
    groups: Vec<Group>,
    next_id: u32,
}

/// [`Groups`] as they are read, before they are believed.
#[derive(Deserialize)]
struct Saved {
    scales: Vec<Scale>,
    groups: Vec<Group>,
    next_id: u32,
}

/// What was saved as groups, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("groups that no fit found")]
pub struct NoGroups;

impl TryFrom<Saved> for Groups {
    type Error = NoGroups;

    fn try_from(saved: Saved) -> Result<Self, NoGroups> {
        let Saved { scales, groups, next_id } = saved;
        let ids = groups.iter().map(|group| group.id);
        let is_group = |group: &Group| {
            group.centre.len() == scales.len()
                && group.centre.iter().all(|value| (-CLIP..=CLIP).contains(value))
                && group.usual <= DISTANCE_MAX
                && (SPREAD_MIN..=2 * DISTANCE_MAX).contains(&group.spread)
                && group.size > 0
                && group.id < next_id
        };
        let are_groups = groups.len() <= GROUPS_MAX
            && scales.len() <= TABLE_WIDTH_MAX
            && scales.is_empty() == groups.is_empty()
            && scales.iter().all(|scale| scale.spread > 0)
            && ids.clone().is_sorted_by(|one, next| one < next)
            && next_id <= ID_MAX
            && groups.iter().all(is_group);
        if are_groups { Ok(Self { scales, groups, next_id }) } else { Err(NoGroups) }
    }
}

impl Groups {
    /// The groups of a table's rows. Those that go on from `before` keep their ids. Without rows
    /// there are none.
    #[must_use]
    pub fn fit(table: &Table, settings: Settings, seed: u64, before: Option<&Self>) -> Self {
        let next_id = before.map_or(0, |before| before.next_id);
        if table.is_empty() {
            return Self { next_id, ..Self::default() };
        }
        let scales = scales(table, settings.floor);
        let mut scaled = Table::new(table.width());
        for row in table.rows() {
            scaled.push(&scaled_row(&scales, row));
        }
        let before = before.filter(|before| before.width() == table.width());
        let moved: Vec<Centre> = before.map_or_else(Vec::new, |before| {
            (0..before.len()).map(|at| scaled_row(&scales, &before.centre(at))).collect()
        });
        let centres = on_one_thread(|| centres(&scaled, &settings, &moved, seed));
        let mut found = Self { scales, groups: Vec::new(), next_id };
        let old = before.map(|before| before.groups.as_slice()).unwrap_or_default();
        let named = found.named(centres, old, &moved);
        found.groups = described(&scaled, named);
        found
    }

    /// Gives each centre its id, and orders them by it: old groups are at `moved` on this scale.
    fn named(
        &mut self,
        centres: Vec<Centre>,
        old: &[Group],
        moved: &[Centre],
    ) -> Vec<(u32, Centre)> {
        let apart = |centre: &Centre| moved.iter().map(|old| root(old, centre)).collect();
        let distances: Vec<Vec<u64>> = centres.iter().map(apart).collect();
        let reaches: Vec<u64> =
            old.iter().map(|group| identity::reach(group.usual.into())).collect();
        let places = identity::matched(&distances, &reaches);
        let mut named = Vec::with_capacity(centres.len());
        for (centre, place) in centres.into_iter().zip(places) {
            named.push((place.map_or(self.next_id, |place| old[place].id), centre));
            self.next_id += u32::from(place.is_none());
        }
        named.sort_unstable();
        named
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none: nothing was learned yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many columns a row has; 0 where nothing was learned yet.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.scales.len()
    }

    /// All groups: each one's place is where it stands here.
    #[must_use]
    pub fn all(&self) -> &[Group] {
        &self.groups
    }

    /// The place of the group of that id, if there still is one.
    #[must_use]
    pub fn place_of(&self, id: u32) -> Option<usize> {
        self.groups.binary_search_by_key(&id, |group| group.id).ok()
    }

    /// A row as the mean of a group has it, in the unit of rows; empty where there is no such
    /// group.
    #[must_use]
    pub fn centre(&self, place: usize) -> Vec<i16> {
        let Some(group) = self.groups.get(place) else { return Vec::new() };
        self.scales.iter().zip(&group.centre).map(|(scale, value)| scale.value(*value)).collect()
    }

    /// The place of the nearest group, of equals the oldest, and the distance to it. Zeros where
    /// there are none.
    #[must_use]
    pub fn nearest(&self, row: &[i16]) -> (usize, u64) {
        let row = scaled_row(&self.scales, row);
        let (place, _) = means::nearest(self.centres(), &row);
        (place, self.groups.get(place).map_or(0, |group| root(&group.centre, &row)))
    }

    /// How far a row is from a group; 0 where there is no such group.
    #[must_use]
    pub fn distance(&self, place: usize, row: &[i16]) -> u64 {
        let Some(group) = self.groups.get(place) else { return 0 };
        root(&group.centre, &scaled_row(&self.scales, row))
    }

    /// How far a row is from a group, and what is usual there; as usual where there is no such
    /// group.
    #[must_use]
    pub fn stand(&self, place: usize, row: &[i16]) -> Stand {
        let (usual, spread) =
            self.groups.get(place).map_or((0, SPREAD_MIN), |group| (group.usual, group.spread));
        let distance = self.distance(place, row);
        Stand { distance, usual: usual.into(), spread: spread.into() }
    }

    /// What each column has of [`Groups::distance`], of which it is the sum: its share of the sum
    /// of squares. None is negative: [`Groups::centre`] says on which side the row is.
    #[must_use]
    pub fn parts(&self, place: usize, row: &[i16]) -> Vec<i64> {
        let Some(group) = self.groups.get(place) else { return vec![0; self.width()] };
        let row = scaled_row(&self.scales, row);
        let (distance, whole) = (root(&group.centre, &row), square(&group.centre, &row));
        let (mut sum, mut told) = (0, 0);
        let part = |(centre, value): (&i16, &i16)| {
            // Rounding what was summed so far leaves no rest.
            sum += u64::from(centre.abs_diff(*value)).pow(2);
            let upto = (distance * sum).checked_div(whole).unwrap_or(0);
            let part = upto - told;
            told = upto;
            part as i64
        };
        group.centre.iter().zip(&row).map(part).collect()
    }

    /// For each group the rows nearest to its centre of those that belong to it, three at most, by
    /// distance and then by their order.
    #[must_use]
    pub fn closest(&self, table: &Table) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); self.groups.len()];
        for (at, row) in table.rows().enumerate() {
            let row = scaled_row(&self.scales, row);
            let (place, far) = means::nearest(self.centres(), &row);
            let Some(members) = found.get_mut(place) else { continue };
            let rank = members.partition_point(|(other, _)| *other <= far);
            if rank < CLOSEST {
                members.insert(rank, (far, at));
                members.truncate(CLOSEST);
            }
        }
        let places = |members: Vec<(u64, usize)>| members.into_iter().map(|(_, at)| at).collect();
        found.into_iter().map(places).collect()
    }

    /// The sum over rows and columns of the squares of what is between a row and its nearest
    /// centre, in 256ths of spreads: what a fit makes small.
    #[must_use]
    pub fn inertia(&self, table: &Table) -> u64 {
        let of = |row: &[i16]| means::nearest(self.centres(), &scaled_row(&self.scales, row)).1;
        table.rows().map(of).sum()
    }

    /// A row in 256ths of the spread of each column, as distances see it: for comparisons with
    /// programs that are told no scale.
    #[must_use]
    pub fn scaled(&self, row: &[i16]) -> Vec<i16> {
        scaled_row(&self.scales, row)
    }

    fn centres(&self) -> impl Iterator<Item = &[i16]> {
        self.groups.iter().map(|group| group.centre.as_slice())
    }
}

/// A row with each value on the scale of its column. What has no scale is left out.
fn scaled_row(scales: &[Scale], row: &[i16]) -> Vec<i16> {
    scales.iter().zip(row).map(|(scale, value)| scale.scaled(*value)).collect()
}

/// The distance of scaled rows, rounded down.
fn root(one: &[i16], other: &[i16]) -> u64 {
    (square(one, other) / one.len().max(1) as u64).isqrt()
}

/// The centres of the groups of scaled rows, at least one; the greatest group first.
fn centres(scaled: &Table, settings: &Settings, before: &[Centre], seed: u64) -> Vec<Centre> {
    let mut random = Random::new(seed);
    let mut order: Vec<usize> = (0..scaled.len()).collect();
    // Equal rows are the same whichever comes first, so what follows knows no order.
    order.sort_unstable_by(|one, other| scaled.row(*one).cmp(scaled.row(*other)));
    let few = drawn(scaled, &order, ROWS_CHOSEN, &mut random);
    let choice = choose::choose(&few, settings, before, &mut random);
    let sought = drawn(scaled, &order, ROWS_SOUGHT, &mut random);
    let best = match choice {
        Choice::Kept => means::settled(&sought, before),
        Choice::Anew(k) => means::best(&sought, k, STARTS, &mut random),
    };
    let mut kept = choose::enough(&sought, best, settings.members_min);
    if kept.is_empty() {
        kept = means::best(&sought, 1, 1, &mut random);
    }
    // Once more over all rows, of which those above may be a few.
    let mut means = means::means(scaled, &kept);
    means.retain(|(size, _)| *size > 0);
    means.sort_by(|one, other| (other.0, &one.1).cmp(&(one.0, &other.1)));
    means.into_iter().map(|(_, centre)| centre).collect()
}

/// At most `count` rows, one of each of as many parts of the order.
fn drawn(rows: &Table, order: &[usize], count: usize, random: &mut Random) -> Table {
    let mut drawn = Table::new(rows.width());
    let count = count.min(order.len());
    for part in 0..count {
        let (from, to) = (part * order.len() / count, (part + 1) * order.len() / count);
        let at = from + random.below((to - from) as u64) as usize;
        drawn.push(rows.row(order[at]));
    }
    drawn
}

/// Groups around centres, with what is usual in each.
fn described(scaled: &Table, centres: Vec<(u32, Centre)>) -> Vec<Group> {
    let mut distances = vec![Vec::new(); centres.len()];
    for row in scaled.rows() {
        let (place, _) = means::nearest(centres.iter().map(|(_, centre)| centre.as_slice()), row);
        distances[place].push(root(&centres[place].1, row) as u32);
    }
    let group = |((id, centre), mut distances): ((u32, Centre), Vec<u32>)| {
        let size = u32::try_from(distances.len()).unwrap_or(u32::MAX);
        let usual = median(&mut distances);
        let mut off: Vec<u32> = distances.iter().map(|far| far.abs_diff(usual)).collect();
        let spread = (median(&mut off) * 14_826 / 10_000).max(SPREAD_MIN);
        Group { id, size, usual, spread, centre }
    };
    let groups = centres.into_iter().zip(distances).map(group);
    groups.filter(|group| group.size > 0).collect()
}

/// The lower median, 0 of nothing; puts the values in another order.
fn median(values: &mut [u32]) -> u32 {
    let middle = values.len().saturating_sub(1) / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

/// `linfa` shares its loops among rayon's threads, as many as there are cores, which the lanes
/// need. Here it gets one, which ends with the fit; the result does not depend on it.
fn on_one_thread<T: Send>(work: impl Fn() -> T + Sync) -> T {
    let threads = rayon_core::ThreadPoolBuilder::new().num_threads(1);
    let named = threads.thread_name(|_| "groups".to_owned());
    match named.build_scoped(|thread| thread.run(), |pool| pool.install(&work)) {
        Ok(done) => done,
        Err(_) => work(),
    }
}
