//! What every model that ships is held to: the same bits however items come.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Models, Places, ROWS, Scorer, strongest};
use crate::base::score::Ppm;
use crate::feature::dga::{DGA, push};
use crate::feature::link::{self, MALICIOUS_DOWNLOAD, MALICIOUS_URL, PHISHING};
use crate::feature::{Matrix, Name, Url, parts, url_parts};

fn models(cache: usize) -> Models {
    let places = Places { cache, ..Places::default() };
    match Models::open(&places, &[&DGA]) {
        Ok(models) => models,
        Err(trouble) => panic!("{trouble}"),
    }
}

fn score(scorer: &mut Scorer, names: &[Name]) -> Vec<Ppm> {
    scorer.score(names, |name| name.registered().as_bytes(), push)
}

/// Names of all kinds: words, digits, noise, long and short, many suffixes.
fn names(count: usize) -> Vec<Name> {
    let suffixes = ["com", "net", "co.uk", "ddns.net", "xyz", "de", "github.io", "org"];
    let words = ["mail", "shop", "cloud", "photo", "garden", "alpha", "news", "data"];
    let name = |n: usize| {
        let noise: String = (0..3 + n % 17)
            .map(|at| char::from(b'a' + ((n * 31 + at * at * 7 + n * at) % 26) as u8))
            .collect();
        let label = match n % 4 {
            0 => noise,
            1 => format!("{}{}", words[n / 4 % 8], words[n / 32 % 8]),
            2 => format!("{}{}", words[n / 4 % 8], n),
            _ => format!("{n:x}{noise}"),
        };
        Name::parse(format!("{label}.{}", suffixes[n / 3 % 8]).as_bytes()).unwrap()
    };
    (0..count).map(name).collect()
}

/// URLs of all kinds: names and addresses, with and without path and query.
fn urls(count: usize) -> Vec<Url> {
    let paths =
        ["", "/", "/a/b.html?id=7", "/bins/arm7", "/wp-content/x.php", "/login/verify?u=a@b.c"];
    let url = |(n, name): (usize, Name)| {
        let host = match n % 5 {
            0 => format!("{}.{}.{}.9:{}", 11 + n % 80, n % 256, n / 7 % 256, 1000 + n),
            1 => format!("login.{}", name.as_str()),
            _ => name.as_str().to_owned(),
        };
        Url::parse(format!("{host}{}{}", paths[n % 6], if n % 6 > 1 { n } else { 0 }).as_bytes())
    };
    names(count).into_iter().enumerate().map(url).collect::<Result<_, _>>().unwrap()
}

#[test]
fn urls_have_the_same_bits_at_any_split_and_order() {
    let urls = urls(400);
    for def in [&PHISHING, &MALICIOUS_URL, &MALICIOUS_DOWNLOAD] {
        let models = match Models::open(&Places::default(), &[def]) {
            Ok(models) => models,
            Err(trouble) => panic!("{trouble}"),
        };
        let score =
            |urls: &[Url]| models.scorer(def).unwrap().score(urls, |url| url.key(), link::push);
        let whole = score(&urls);
        let distinct: std::collections::BTreeSet<Ppm> = whole.iter().copied().collect();
        assert!(distinct.len() > 100, "{}: {} scores", def.detector, distinct.len());
        let parted: Vec<Ppm> = urls.chunks(7).flat_map(score).collect();
        assert_eq!(parted, whole, "{}", def.detector);
        let reversed: Vec<Url> = urls.iter().rev().cloned().collect();
        assert!(score(&reversed).iter().rev().eq(&whole), "{}", def.detector);
    }
}

/// Of URLs that score high, taking out what the score hangs on lowers it.
#[test]
fn what_a_url_hangs_on_is_said() {
    let models = Models::open(&Places::default(), &[&PHISHING]).unwrap();
    let mut scorer = models.scorer(&PHISHING).unwrap();
    let url = Url::parse(b"paypal.com.login-secure.xyz/account/verify.php").unwrap();
    let whole = scorer.score(std::slice::from_ref(&url), |url| url.key(), link::push)[0];
    let found = strongest(&mut scorer, whole, &url_parts(&url), |url| url.key(), link::push);
    let found = found.expect("a part");
    assert!(found.left < whole && url.as_str().contains(&found.text), "{found:?} of {whole}");
}

#[test]
fn the_same_bits_at_any_split_order_and_number_of_lanes() {
    let names = names(1500);
    let models = models(0);
    let whole = score(&mut models.scorer(&DGA).unwrap(), &names);
    let distinct: std::collections::BTreeSet<Ppm> = whole.iter().copied().collect();
    assert!(distinct.len() > 500, "{} scores", distinct.len());
    // Row by row: every name beside 63 empty rows.
    let mut scorer = models.scorer(&DGA).unwrap();
    for (name, expected) in names.iter().zip(&whole).take(300) {
        assert_eq!(score(&mut scorer, std::slice::from_ref(name)), [*expected], "{name:?}");
    }
    let law = |(seed, size): (u64, usize)| {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let shuffled: Vec<Name> = order.iter().map(|at| names[*at].clone()).collect();
        let mut scorer = models.scorer(&DGA).unwrap();
        let found = shuffled.chunks(size).flat_map(|names| score(&mut scorer, names));
        for (at, found) in order.iter().zip(found) {
            prop_assert_eq!(found, whole[*at], "{:?}", names[*at]);
        }
        Ok(())
    };
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&(any::<u64>(), 1..3 * ROWS), law).unwrap();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..4)
            .map(|lane| {
                let (models, names, whole) = (&models, &names, &whole);
                scope.spawn(move || {
                    let mut scorer = models.scorer(&DGA).unwrap();
                    assert_eq!(score(&mut scorer, &names[lane * 300..]), whole[lane * 300..]);
                })
            })
            .collect();
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
    });
}

#[test]
fn what_is_remembered_changes_nothing() {
    let names = names(400);
    let whole = score(&mut models(0).scorer(&DGA).unwrap(), &names);
    for cache in [1, 2, 100, 10_000] {
        let mut scorer = models(cache).scorer(&DGA).unwrap();
        for _ in 0..3 {
            assert_eq!(score(&mut scorer, &names), whole, "{cache}");
        }
        let twice: Vec<Name> = names.iter().flat_map(|it| [it.clone(), it.clone()]).collect();
        let found = score(&mut scorer, &twice);
        assert!(found.chunks(2).zip(&whole).all(|(pair, it)| pair == [*it, *it]));
    }
}

/// The promise of a reason: without the part that it names a score is lower.
#[test]
fn without_the_part_that_is_named_the_score_is_lower() {
    let models = models(0);
    let mut scorer = models.scorer(&DGA).unwrap();
    // From here on reasons are said.
    let threshold = Ppm::new(100_000);
    let names = names(6000);
    let scores = score(&mut scorer, &names);
    let alerts: Vec<_> = names.iter().zip(scores).filter(|(_, it)| *it >= threshold).collect();
    assert!(alerts.len() > 100, "{} alerts", alerts.len());
    let mut explained = 0;
    for (name, whole) in &alerts {
        let parts = parts(name);
        let Some(part) =
            strongest(&mut scorer, *whole, &parts, |it| it.registered().as_bytes(), push)
        else {
            continue;
        };
        let (_, left) = parts.iter().find(|(text, _)| *text == part.text).unwrap();
        explained += usize::from(score(&mut scorer, std::slice::from_ref(left))[0] < *whole);
    }
    assert!(explained * 100 >= alerts.len() * 95, "{explained} of {}", alerts.len());
}

/// What goes wrong in one batch must not put scores under the names of the next.
#[test]
fn a_call_that_failed_leaves_nothing_behind() {
    let names = names(200);
    let whole = score(&mut models(0).scorer(&DGA).unwrap(), &names);
    for cache in [0, 1000] {
        let mut scorer = models(cache).scorer(&DGA).unwrap();
        for at in [0, 5, 63, 64, 130] {
            let failing = |name: &Name, matrix: &mut Matrix| {
                push(name, matrix);
                assert!(*name != names[at], "a bug");
            };
            let call = || scorer.score(&names, |name| name.registered().as_bytes(), failing);
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
            assert!(failed.is_err() || cache > 0);
            assert_eq!(score(&mut scorer, &names), whole, "after {at}");
        }
    }
}

#[test]
fn rows_of_a_call_are_always_as_many() {
    let mut matrix = Matrix::new(&DGA);
    push(&names(1)[0], &mut matrix);
    matrix.pad(ROWS);
    assert_eq!(matrix.rows(), ROWS);
}
