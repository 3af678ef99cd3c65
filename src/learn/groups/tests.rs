//! What holds of every fit.

use proptest::prelude::*;

use super::*;
use crate::base::codec::{decode, encode};

/// Few numbers to try, so that fits are quick.
const SETTINGS: Settings = Settings { k_min: 1, k_max: 4, members_min: 5, floor: 64 };

fn table(width: usize, rows: &[Vec<i16>]) -> Table {
    let mut table = Table::new(width);
    for row in rows {
        assert!(table.push(row));
    }
    table
}

/// Rows around each of `middles`, by at most 50 in each column.
fn around(middles: &[[i16; 3]], rows: usize, seed: u64) -> Table {
    let mut random = Random::new(seed);
    let mut table = Table::new(3);
    for row in 0..rows {
        // The sum of four dice is a hump.
        let near = |middle| (0..4).map(|_| random.below(26) as i16 - 12).sum::<i16>() + middle;
        assert!(table.push(&middles[row % middles.len()].map(near)));
    }
    table
}

const THREE: [[i16; 3]; 3] = [[0, 0, 0], [2000, 0, 500], [0, 3000, 500]];

/// Fits, and holds what was found to what it says of itself.
fn check(table: &Table, settings: Settings, before: Option<&Groups>) -> Groups {
    let groups = Groups::fit(table, settings, 7, before);
    let again = Groups::fit(table, settings, 7, before);
    assert_eq!(encode(&groups), encode(&again), "one seed, one fit");
    assert_eq!(decode::<Groups>(&encode(&groups)).as_ref(), Ok(&groups), "saved and loaded");
    assert_eq!(groups.is_empty(), table.is_empty());
    assert!(groups.len() <= settings.k_max.max(1));
    let mut sizes = vec![0; groups.len()];
    for row in table.rows() {
        let (place, distance) = groups.nearest(row);
        sizes[place] += 1;
        let others = (0..groups.len()).map(|other| groups.distance(other, row));
        assert_eq!(others.min(), Some(distance));
        let parts = groups.parts(place, row);
        assert!(parts.iter().all(|part| *part >= 0) && parts.len() == table.width());
        assert_eq!(parts.iter().sum::<i64>(), distance as i64);
        assert_eq!(groups.stand(place, row).distance, distance);
    }
    let told: Vec<u32> = groups.all().iter().map(|group| group.size).collect();
    assert_eq!(told, sizes);
    for (place, members) in groups.closest(table).iter().enumerate() {
        assert_eq!(members.len(), 3.min(sizes[place] as usize));
        let far: Vec<u64> =
            members.iter().map(|at| square_to(&groups, place, table.row(*at))).collect();
        assert!(far.is_sorted());
        let mine = table.rows().filter(|row| groups.nearest(row).0 == place);
        let nearer = mine.filter(|row| square_to(&groups, place, row) < far[far.len() - 1]);
        assert!(nearer.count() < members.len());
    }
    groups
}

fn square_to(groups: &Groups, place: usize, row: &[i16]) -> u64 {
    square(&groups.groups[place].centre, &groups.scaled(row))
}

/// Which rows are in one group, whatever it is called: for each row the first that is with it.
fn together(groups: &Groups, table: &Table) -> Vec<usize> {
    let places: Vec<usize> = table.rows().map(|row| groups.nearest(row).0).collect();
    places.iter().map(|place| places.iter().position(|it| it == place).unwrap()).collect()
}

#[test]
fn groups_are_found_and_told() {
    let table = around(&THREE, 90, 1);
    let groups = check(&table, SETTINGS, None);
    let expected: Vec<usize> = (0..90).map(|row| row % 3).collect();
    assert_eq!(together(&groups, &table), expected);
    let places: Vec<usize> = THREE.iter().map(|row| groups.nearest(row).0).collect();
    for (place, middle) in places.iter().zip(&THREE) {
        let off = groups.centre(*place).iter().zip(middle).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off < Some(25), "{:?} for {middle:?}", groups.centre(*place));
        assert_eq!(groups.all()[*place].size, 30);
    }
    // A row of the first group that does in one column what the second does.
    let stand = groups.stand(places[0], &[1000, 0, 0]);
    assert!(stand.beyond() > 5 * 256, "{stand:?}");
    assert!(groups.stand(places[0], &[20, 20, 20]).beyond() < 2 * 256);
    let parts = groups.parts(places[0], &[1000, 0, 0]);
    assert!(parts[0] * 10 > parts.iter().sum::<i64>() * 9, "{parts:?}");
}

#[test]
fn where_there_are_no_groups_all_are_one() {
    check(&around(&[[5, 6, 7]], 120, 3), SETTINGS, None);
    for seed in 0..5 {
        assert_eq!(Groups::fit(&around(&[[5, 6, 7]], 120, seed), SETTINGS, seed, None).len(), 1);
    }
}

#[test]
fn a_wild_row_is_no_group() {
    let mut wild = around(&THREE, 90, 1);
    let without = check(&wild, SETTINGS, None);
    wild.push(&[i16::MAX, i16::MIN, i16::MAX]);
    let with = check(&wild, SETTINGS, None);
    assert_eq!(with.len(), 3);
    for row in THREE {
        let place = with.nearest(&row).0;
        let before = without.centre(without.nearest(&row).0);
        let moved = with.centre(place).iter().zip(before).map(|(a, b)| a.abs_diff(b)).max();
        assert!(moved < Some(400), "{moved:?}");
    }
}

#[test]
fn small_and_equal_tables_are_groups() {
    let none = check(&Table::new(3), SETTINGS, None);
    assert_eq!((none.nearest(&[1, 2, 3]), none.parts(0, &[1, 2, 3])), ((0, 0), vec![]));
    assert_eq!((none.distance(9, &[1]), none.stand(9, &[1]).beyond()), (0, 0));
    assert_eq!((none.centre(0), none.closest(&around(&THREE, 3, 1)).len()), (vec![], 0));
    for (rows, row) in [(1, [1, 2, 3]), (2, [1, 2, 3]), (40, [i16::MIN, 0, i16::MAX])] {
        let equal = check(&table(3, &vec![row.to_vec(); rows]), SETTINGS, None);
        assert_eq!((equal.len(), equal.nearest(&row)), (1, (0, 0)));
        assert_eq!(equal.centre(0), row);
        assert_eq!(equal.closest(&table(3, &vec![row.to_vec(); rows]))[0].first(), Some(&0));
        let at = equal.stand(0, &row);
        assert_eq!((at.usual, at.spread), (0, SPREAD_MIN.into()));
    }
    let extremes = [vec![vec![i16::MIN; 3]; 20], vec![vec![i16::MAX; 3]; 20]].concat();
    let two = check(&table(3, &extremes), SETTINGS, None);
    assert_eq!((two.len(), two.all()[0].size), (2, 20));
    let two = Settings { k_min: 2, k_max: 2, members_min: 1, floor: 0 };
    assert_eq!(check(&table(1, &[vec![5], vec![6]]), two, None).len(), 2);
    let odd = Settings { k_min: usize::MAX, k_max: 0, members_min: u32::MAX, floor: u16::MAX };
    assert_eq!(check(&around(&THREE, 9, 1), odd, None).len(), 1);
}

#[test]
fn rows_of_another_width_are_looked_at_as_far_as_they_go() {
    let groups = check(&around(&THREE, 90, 1), SETTINGS, None);
    drop((groups.nearest(&[]), groups.nearest(&[1; 9]), groups.parts(0, &[1])));
    assert_eq!(groups.distance(0, &[1, 2, 3, 4]), groups.distance(0, &[1, 2, 3]));
}

#[test]
fn groups_keep_their_ids_as_long_as_they_last() {
    let first = check(&around(&THREE, 90, 1), SETTINGS, None);
    let id = |groups: &Groups, row: [i16; 3]| groups.all()[groups.nearest(&row).0].id;
    let same = check(&around(&THREE, 90, 2), SETTINGS, Some(&first));
    let ids = THREE.map(|row| id(&first, row));
    assert_eq!(THREE.map(|row| id(&same, row)), ids);
    // The second goes, another comes, and the third has moved a little.
    let later = [THREE[0], [-2500, -2500, -2500], [100, 2900, 500]];
    let later_groups = check(&around(&later, 90, 3), SETTINGS, Some(&same));
    let found = later.map(|row| id(&later_groups, row));
    assert_eq!(found, [ids[0], 3, ids[2]]);
    assert_eq!(later_groups.place_of(ids[1]), None);
    assert_eq!(later_groups.place_of(3), Some(2));
    // The second is back: an id is not used again, not even after a fit without rows.
    let nothing = check(&Table::new(3), SETTINGS, Some(&later_groups));
    let back = check(&around(&THREE, 90, 4), SETTINGS, Some(&nothing));
    assert!(THREE.iter().all(|row| id(&back, *row) > 3));
    // Old groups of another width are no groups of these rows.
    let wide = check(&table(1, &vec![vec![3]; 20]), SETTINGS, Some(&first));
    assert_eq!(wide.all()[0].id, 3);
}

#[test]
fn what_no_fit_found_is_not_loaded() {
    let groups = check(&around(&THREE, 90, 1), SETTINGS, None);
    let refused = |change: &dyn Fn(&mut Groups)| {
        let mut changed = groups.clone();
        change(&mut changed);
        decode::<Groups>(&encode(&changed)).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|it| it.groups[0].centre[0] = CLIP + 1));
    assert!(refused(&|it| it.groups[0].centre[0] = i16::MIN));
    assert!(refused(&|it| _ = it.groups[0].centre.pop()));
    assert!(refused(&|it| it.groups[0].usual = u32::MAX));
    assert!(refused(&|it| it.groups[0].spread = 0));
    assert!(refused(&|it| it.groups[0].size = 0));
    assert!(refused(&|it| it.groups[0].id = 1));
    assert!(refused(&|it| it.groups.swap(0, 1)));
    assert!(refused(&|it| it.groups.clear()));
    assert!(refused(&|it| it.scales[0].spread = 0));
    assert!(refused(&|it| it.scales.clear()));
    assert!(refused(&|it| it.next_id = 2));
    assert!(refused(&|it| it.next_id = u32::MAX));
}

fn rows() -> impl Strategy<Value = Vec<Vec<i16>>> {
    let value = prop_oneof![4 => -2..3_i16, 2 => -2000..2000_i16, 1 => any::<i16>()];
    proptest::collection::vec(proptest::collection::vec(value, 2), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Only equal distances are told in the order of rows.
    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), by in 0..40_usize) {
        let mut other = rows.clone();
        other.reverse();
        other.rotate_left(by % rows.len().max(1));
        let (one, other) = (table(2, &rows), table(2, &other));
        prop_assert_eq!(check(&one, SETTINGS, None), check(&other, SETTINGS, None));
    }

    /// Nor does what was before change anything but names.
    #[test]
    fn what_was_before_gives_names_only(rows in rows(), before in rows()) {
        let (rows, before) = (table(2, &rows), table(2, &before));
        let before = Groups::fit(&before, SETTINGS, 3, None);
        let (plain, named) = (check(&rows, SETTINGS, None), check(&rows, SETTINGS, Some(&before)));
        prop_assert_eq!(together(&plain, &rows), together(&named, &rows));
        let is_known = |group: &Group| group.id < before.next_id;
        let old = named.all().iter().filter(|group| is_known(group));
        prop_assert!(old.clone().all(|group| before.place_of(group.id).is_some()));
        let kept = old.count();
        prop_assert_eq!(named.next_id as usize, before.next_id as usize + named.len() - kept);
    }

    /// Whatever is loaded can be asked anything.
    #[test]
    fn any_bytes_are_safe(
        at in 0..80_usize,
        byte in any::<u8>(),
        row in proptest::collection::vec(any::<i16>(), 3),
    ) {
        let mut bytes = encode(&Groups::fit(&around(&THREE, 30, 1), SETTINGS, 1, None));
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(groups) = decode::<Groups>(&bytes) {
            let (place, distance) = groups.nearest(&row);
            prop_assert!(distance <= DISTANCE_MAX.into());
            prop_assert_eq!(groups.parts(place, &row).iter().sum::<i64>(), distance as i64);
            drop((groups.stand(place, &row).beyond(), groups.centre(place)));
            drop(Groups::fit(&around(&THREE, 30, 2), SETTINGS, 1, Some(&groups)));
        }
    }
}

/// More rows than centres are sought in, and too many ways to part them for chance to agree.
#[test]
fn many_rows_are_drawn_from() {
    let many = around(&[[0, 0, 0]], ROWS_SOUGHT + 100, 1);
    let mut other = Table::new(3);
    for row in (0..many.len()).rev() {
        other.push(many.row(row));
    }
    let settings = Settings { k_min: 4, k_max: 4, ..SETTINGS };
    let groups = Groups::fit(&many, settings, 1, None);
    assert_eq!(groups.all().iter().map(|group| group.size as usize).sum::<usize>(), many.len());
    assert_eq!(groups, Groups::fit(&other, settings, 1, None));
    assert_ne!(groups, Groups::fit(&other, settings, 2, None));
}
