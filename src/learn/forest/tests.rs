//! The laws of the forest.

use proptest::prelude::*;

use super::*;
use crate::base::codec::{decode, encode};
use crate::base::log2::log2;
use crate::base::random::Random;

fn table(width: usize, rows: &[Vec<i16>]) -> Table {
    let mut table = Table::new(width);
    assert!(rows.iter().all(|row| table.push(row)));
    table
}

/// Grows a forest of some rows, and holds it to what is true of every forest and row.
fn check(rows: &[Vec<i16>], settings: Settings, seed: u64, asked: &[Vec<i16>]) -> Vec<u32> {
    let width = asked[0].len();
    let table_of = table(width, rows);
    let forest = Forest::fit(&table_of, settings, seed);
    assert_eq!(forest, Forest::fit(&table_of, settings, seed));
    let again: Forest = decode(&encode(&forest)).expect("what was written");
    assert_eq!(forest, again);
    let scores = forest.scores(&table(width, asked));
    for (row, score) in asked.iter().zip(&scores) {
        assert_eq!(*score, forest.score(row));
        assert!(*score <= 1_000_000);
        let credits = forest.attribution(row);
        let sooner = |tree: &Tree| {
            halvings(&forest, tree, row) - i64::from(tree.paths([row], &forest.averages)[0])
        };
        let sum: i64 = forest.trees.iter().map(sooner).sum();
        let is_told = forest.sample > 1;
        assert_eq!(credits.iter().sum::<i64>(), if is_told { sum } else { 0 }, "{row:?}");
        assert_eq!(credits.len(), width);
        assert!(is_told || *score == NEUTRAL);
    }
    scores
}

/// How long paths would be if splits halved: what a tree's credits and its path add up to.
fn halvings(forest: &Forest, tree: &Tree, row: &[i16]) -> i64 {
    let is_known = |it: &tree::Fixed| row[usize::from(it.column)] == it.value;
    if tree.nodes.len() == 1 && tree.fixed.iter().all(is_known) {
        return i64::from(forest.averages[usize::from(forest.sample)]);
    }
    i64::from(log2(forest.sample.into())) * 256
}

/// A row of humps, each the sum of four dice; with `is_tied` the columns follow three of them.
fn bulk(random: &mut Random, width: usize, is_tied: bool) -> Vec<i16> {
    let hump = |random: &mut Random| (0..4).map(|_| random.below(500) as i16).sum::<i16>() - 998;
    let common: Vec<i16> = (0..3).map(|_| hump(random)).collect();
    let value = |column: usize| match is_tied {
        true => common[column % 3] + hump(random) / 3,
        false => hump(random),
    };
    (0..width).map(value).collect()
}

#[test]
fn the_column_that_was_planted_is_named_first() {
    for (width, is_tied) in [(10, false), (10, true), (24, false), (24, true)] {
        let mut random = Random::new(5);
        let mut rows = Table::new(width);
        (0..2000).for_each(|_| assert!(rows.push(&bulk(&mut random, width, is_tied))));
        let forest = Forest::fit(&rows, Settings::default(), 1);
        let mut named = 0;
        for case in 0..200 {
            let mut row = bulk(&mut random, width, is_tied);
            let planted = random.below(width as u64) as usize;
            let column = || rows.rows().map(|row| row[planted]);
            let (low, high) = (column().min().unwrap(), column().max().unwrap());
            row[planted] = if case % 2 == 0 { high + high / 4 } else { low + low / 4 };
            let credits = forest.attribution(&row);
            let first = (0..width).max_by_key(|column| credits[*column]).unwrap();
            named += u32::from(first == planted);
        }
        assert!(named >= 190, "{width} columns, {is_tied}: {named} of 200");
    }
}

#[test]
fn what_is_far_out_is_more_unusual_than_what_is_just_outside() {
    let mut random = Random::new(2);
    let mut rows = Table::new(8);
    (0..1000).for_each(|_| assert!(rows.push(&bulk(&mut random, 8, false))));
    let forest = Forest::fit(&rows, Settings::default(), 1);
    let score = |value: i16| forest.score(&[0, 0, 0, value, 0, 0, 0, 0]);
    let scores = [0, 800, 1000, 1500, 3000, i16::MAX].map(score);
    assert!(scores.is_sorted() && scores[0] + 50_000 < scores[5], "{scores:?}");
    assert!(scores.windows(2).all(|pair| pair[0] < pair[1]), "{scores:?}");
}

#[test]
fn a_column_that_never_varied_counts_when_it_does() {
    let mut random = Random::new(2);
    let rows: Vec<Vec<i16>> =
        (0..600).map(|_| [bulk(&mut random, 4, false), vec![7]].concat()).collect();
    let (usual, new) = (vec![0, 0, 0, 0, 7], vec![0, 0, 0, 0, 8]);
    let scores = check(&rows, Settings::default(), 1, &[usual.clone(), new.clone()]);
    assert!(scores[0] + 100_000 < scores[1], "{scores:?}");
    let forest = Forest::fit(&table(5, &rows), Settings::default(), 1);
    assert_eq!(forest.attribution(&usual)[4], 0);
    let credits = forest.attribution(&new);
    assert!(credits[..4].iter().all(|other| *other < credits[4]), "{credits:?}");
}

#[test]
fn where_nothing_can_be_said_nothing_is() {
    let few = [vec![], vec![vec![1, 2]], vec![vec![1, 2], vec![3, 4]]];
    for rows in few {
        let scores = check(&rows, Settings::default(), 1, &[vec![9, 9], vec![1, 2]]);
        assert_eq!(scores, [NEUTRAL; 2]);
    }
    let same = vec![vec![3, -3]; 50];
    let scores = check(&same, Settings::default(), 1, &[vec![3, -3], vec![3, i16::MIN]]);
    assert!(scores[0] == NEUTRAL && scores[1] > 800_000, "{scores:?}");
    let forest = Forest::fit(&table(2, &same), Settings::default(), 1);
    assert_eq!(forest.attribution(&[3, -3]), [0, 0]);
    assert!(forest.attribution(&[3, 3])[1] > 0 && forest.attribution(&[3, 3])[0] == 0);
    assert_eq!((forest.score(&[1]), forest.attribution(&[1])), (NEUTRAL, vec![0, 0]));
    assert_eq!(forest.scores(&table(1, &[vec![1]])), [NEUTRAL]);
}

#[test]
fn ends_of_the_scale_are_values_like_others() {
    let rows: Vec<Vec<i16>> =
        (0..40).map(|row| vec![if row % 2 == 0 { i16::MIN } else { i16::MAX }, row]).collect();
    let scores = check(
        &rows,
        Settings { trees: usize::MAX, sample: usize::MAX },
        u64::MAX,
        &[vec![0, 5], vec![i16::MIN, i16::MAX], vec![i16::MAX, i16::MIN]],
    );
    assert!(scores[0] < scores[1], "{scores:?}");
}

/// How long the path of `x` is when splits fall anywhere in `rows` with `x` among them.
fn expected(rows: &[i16], x: i16, is_root: bool) -> f64 {
    let average = [0.0, 0.0, 1.0, 5.0 / 3.0][rows.len()];
    let (low, high) = (*rows.iter().min().unwrap(), *rows.iter().max().unwrap());
    if low == high {
        return if is_root && x != low { 1.0_f64.min(average) } else { average };
    }
    let splits = low.min(x)..high.max(x);
    let count = splits.len() as f64;
    let after = |threshold: i16| {
        let with: Vec<i16> =
            rows.iter().copied().filter(|row| (*row > threshold) == (x > threshold)).collect();
        if with.is_empty() { 0.0 } else { expected(&with, x, false) }
    };
    1.0 + splits.map(after).sum::<f64>() / count
}

#[test]
fn paths_are_those_of_trees_that_had_the_row() {
    let rows = [0, 2, 3, 9, 9, 20];
    let all: Vec<Vec<i16>> = rows.iter().map(|value| vec![*value]).collect();
    let forest = Forest::fit(&table(1, &all), Settings { trees: 1000, sample: 3 }, 1);
    for x in [0, 1, 3, 9, 20, 21, 40, -100] {
        let paths: u64 = forest
            .trees
            .iter()
            .map(|tree| u64::from(tree.paths([&[x]], &forest.averages)[0]))
            .sum();
        let found = paths as f64 / 65_536_000.0;
        let (mut sum, mut samples) = (0.0, 0.0);
        for chosen in (0..64_u32).filter(|chosen| chosen.count_ones() == 3) {
            let in_it = (0..6).filter(|place| chosen >> place & 1 == 1);
            let sample: Vec<i16> = in_it.map(|place| rows[place]).collect();
            (sum, samples) = (sum + expected(&sample, x, true), samples + 1.0);
        }
        assert!((found - sum / samples).abs() < 0.05, "{x}: {found}, not {}", sum / samples);
        let score = 1e6 * (-found / (5.0 / 3.0)).exp2();
        assert!((f64::from(forest.score(&[x])) - score).abs() < 20.0, "{x}: {score}");
    }
}

#[test]
fn the_rarer_of_two_values_is_more_unusual() {
    let rows: Vec<Vec<i16>> = (0..40).map(|row| vec![i16::from(row % 10 == 0)]).collect();
    let scores = check(&rows, Settings::default(), 1, &[vec![0], vec![1]]);
    assert!(scores[0] + 100_000 < scores[1], "{scores:?}");
}

#[test]
fn what_never_grew_is_no_forest() {
    use tree::{Fixed, Node, Span};
    let split = |column: u16, threshold: i16, varied: u16, next: u32| {
        Node::split(Span { column, low: 0, high: 1 }, threshold, varied, 2, next)
    };
    let (one, none, two) = (Node::leaf(1, 1), Node::leaf(0, 2), Node::leaf(2, 0));
    let other = Node::leaf(1, 2);
    let tree = Tree { nodes: vec![split(0, 0, 1, 1), one, other], fixed: vec![] };
    let good = Forest { width: 1, sample: 2, trees: vec![tree], averages: averages(2) };
    let is_read = |forest: &Forest| decode::<Forest>(&encode(forest)).is_ok();
    let with = |nodes: Vec<Node>| {
        is_read(&Forest { trees: vec![Tree { nodes, fixed: vec![] }], ..good.clone() })
    };
    assert!(is_read(&good) && with(vec![two]));
    assert!(!is_read(&Forest { sample: 3, ..good.clone() }));
    assert!(!is_read(&Forest { width: 0, ..good.clone() }));
    // Children that are not there, not behind it, or not all of it.
    assert!(!with(vec![]) && !with(vec![split(0, 0, 1, u32::MAX), one, other]));
    assert!(!with(vec![split(0, 0, 1, 2), one, other]));
    assert!(!with(vec![split(0, 0, 1, 1), one, none]) && !with(vec![split(0, 0, 1, 0), one, none]));
    assert!(with(vec![split(0, 0, 1, 1), Node::leaf(2, 1), none]));
    assert!(!with(vec![split(0, 0, 1, 1), split(0, 0, 1, 1), none]));
    assert!(!with(vec![split(0, 0, 1, 1), Node::leaf(2, 1), none, Node::leaf(0, 3)]));
    assert!(!with(vec![two, Node::leaf(3, 1)]));
    // A column that is not there, a threshold that parts nothing, a leaf that leads elsewhere.
    assert!(
        !with(vec![split(1, 0, 1, 1), one, other]) && !with(vec![split(0, 1, 1, 1), one, other])
    );
    assert!(!with(vec![split(0, 0, 2, 1), one, other]));
    assert!(!with(vec![split(0, 0, 0, 1), one, other]) && !with(vec![Node::leaf(2, 1)]));
    let fixed = |columns: &[u16]| {
        let fixed = columns.iter().map(|column| Fixed { column: *column, value: 0 }).collect();
        is_read(&Forest { trees: vec![Tree { nodes: vec![two], fixed }], ..good.clone() })
    };
    assert!(fixed(&[0]) && !fixed(&[1]) && !fixed(&[0, 0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn laws_hold_for_any_rows(
        rows in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![-3..3_i16, any::<i16>()], 3), 0..60),
        asked in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![-3..3_i16, any::<i16>()], 3), 1..20),
        trees in 0..12_usize,
        sample in 0..40_usize,
        seed in any::<u64>(),
    ) {
        check(&rows, Settings { trees, sample }, seed, &asked);
    }

    #[test]
    fn any_bytes_are_a_forest_or_an_error(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let rows: Vec<Vec<i16>> =
            (0..20).map(|_| (0..3).map(|_| random.below(7) as i16).collect()).collect();
        let settings = Settings { trees: 3, sample: 8 };
        let mut bytes = encode(&Forest::fit(&table(3, &rows), settings, seed));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(forest) = decode::<Forest>(&bytes) {
            for value in [i16::MIN, -1, 0, 3, 6, i16::MAX] {
                let row = vec![value; forest.width()];
                prop_assert!(forest.score(&row) <= 1_000_000);
                prop_assert_eq!(forest.attribution(&row).len(), forest.width());
            }
        }
    }
}
