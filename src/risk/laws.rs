//! What the ledger is held to, whatever the policy and the evidence.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::account::View;
use super::bits::Bits;
use super::{Change, Criticality, Event, Ledger, Level, Module, Policy, Subject};
use crate::base::address::Addr;
use crate::base::hash::Id;
use crate::base::limits::{CHANGES_MAX, PENDING_MAX};
use crate::base::score::{Factor, Points, Ppm};
use crate::base::time::{DAY, HOUR, MINUTE, Minute, Time};
use crate::record::Entity;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const HOSTS: u32 = 4;

/// Modules of these weights, each a group of its own.
fn policy(weights: &[u64]) -> Policy {
    let module = |(weight, name): (&u64, _)| module(name, name, *weight, DAY);
    let modules = weights.iter().zip(NAMES).map(module).collect();
    Policy::new(modules, &BTreeMap::new(), Criticality::default(), 100)
}

fn module(name: &'static str, group: &'static str, weight: u64, half_life_us: i64) -> Module {
    let weight = Points(weight * Points::ONE.0);
    Module { name, group, weight, half_life_us, is_enabled: true }
}

fn host(number: u32) -> Entity {
    Entity::Host(Addr::v4(number))
}

fn event(number: u8) -> Event {
    Event { time: Time(i64::from(number)), uid: "".into(), id: Id([number; 16]) }
}

/// Closes a minute; the scores to tell.
fn close(ledger: &mut Ledger, minute: i64) -> Vec<Change> {
    let mut out = Vec::new();
    while ledger.close(Minute(minute), &mut out) {}
    out
}

/// Runs `script`, lines of `MINUTE HOST MODULE SCORE`, to the end of `until`, and prints every
/// change.
fn check(ledger: &mut Ledger, script: &str, until: i64) -> String {
    for (number, line) in script.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let words: Vec<u32> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let bits = Bits::of(Ppm::new(words[3]));
        let minute = Minute(i64::from(words[0]));
        ledger.add(minute, host(words[1]), words[2] as usize, bits, event(number as u8));
    }
    let mut text = String::new();
    while let Some(minute) = ledger.next().filter(|minute| minute.0 <= until) {
        for change in close(ledger, minute.0) {
            let shares: u64 = change.shares.iter().map(|share| share.points.0).sum();
            assert_eq!(shares, change.score.0);
            let (level, entity) = (change.level.name(), change.entity.addr().unwrap());
            let (score, previous) = (change.score, change.previous);
            text += &format!("{} {entity} {previous} -> {score} {level}\n", minute.0);
        }
    }
    text
}

/// The shares of the one document that certain findings of these modules make at once.
fn shared(policy: Policy, modules: &[usize]) -> String {
    let mut ledger = Ledger::new(policy);
    for &module in modules {
        ledger.add(Minute(0), host(1), module, Bits::of(Ppm::ONE), event(0));
    }
    let out = close(&mut ledger, 0);
    assert_eq!(out.len(), 1);
    let shares = out[0].shares.iter().map(|it| format!(" {}={}", NAMES[it.module], it.points));
    format!("{} {}{}", out[0].score, out[0].level.name(), shares.collect::<String>())
}

#[test]
fn a_sweep_takes_bounded_room() {
    let mut ledger = Ledger::new(policy(&[40]));
    for round in 0..3_u32 {
        for number in 0..PENDING_MAX as u32 + 10 {
            let host = host(number + (round + 1) * 1_000_000);
            ledger.add(Minute(i64::from(round)), host, 0, Bits::of(Ppm::ONE), event(0));
        }
        assert_eq!(ledger.dropped(), 10 * (u64::from(round) + 1));
        close(&mut ledger, i64::from(round));
        let gone = PENDING_MAX as u64 * (u64::from(round) + 1) - 100;
        assert_eq!((ledger.entities(), ledger.evicted()), (100, gone));
    }
    ledger.add(Minute(4), host(1), 0, Bits::of(Ppm::ONE), event(0));
    assert_eq!((ledger.dropped(), ledger.levels().values().sum::<u64>()), (30, 100));
    assert!(ledger.accounts.room() <= 2 * PENDING_MAX, "{}", ledger.accounts.room());
}

#[test]
fn a_flood_of_users_and_strangers_leaves_room_for_others() {
    let mut ledger = Ledger::new(Policy { entities_max: 1_000_000, ..policy(&[40]) });
    let certain = Bits::of(Ppm::ONE);
    let user = |number: usize| Entity::user(format!("u{number}").as_bytes()).unwrap();
    let put = |ledger: &mut Ledger, minute: i64, entity: Entity| {
        let is_known = ledger.knows(&entity);
        if ledger.has_room(Minute(minute), &entity, 0, is_known) {
            ledger.add(Minute(minute), entity, 0, certain, event(0));
        } else {
            ledger.drop_one();
        }
    };
    ledger.add(Minute(0), host(1), 0, Bits::of(Ppm::new(100_000)), event(0));
    close(&mut ledger, 0);
    for minute in 1..3 {
        for number in 0..PENDING_MAX {
            put(&mut ledger, minute, user(number));
        }
        // In the second minute those of the first are known.
        assert_eq!(ledger.waiting_users, PENDING_MAX / 8);
        assert_eq!(ledger.knows(&user(0)), minute == 2);
        for number in 0..PENDING_MAX as u32 {
            let stranger = host(minute as u32 * 1_000_000 + number);
            put(&mut ledger, minute, stranger);
        }
        assert_eq!(ledger.waiting, PENDING_MAX / 2);
        assert!(ledger.has_room(Minute(minute), &host(1), 0, true));
        assert!(ledger.has_room(Minute(minute), &user(0), 0, true), "it waits already");
        let new = user(PENDING_MAX - 1);
        assert!(!ledger.has_room(Minute(minute), &new, 0, false));
        assert!(ledger.has_room(Minute(minute), &new, 0, true), "if it had a score");
        let more = Bits::of(Ppm::new(300_000));
        ledger.add(Minute(minute), host(1), 0, more, event(1));
        let told = close(&mut ledger, minute);
        assert!(told.iter().any(|change| change.entity == host(1)), "{minute}");
        assert_eq!((ledger.waiting, ledger.waiting_users), (0, 0));
    }
    assert_eq!(ledger.dropped(), 2 * (PENDING_MAX as u64 * 3 / 2));
}

#[test]
fn very_many_scores_are_told_piece_by_piece() {
    let count = CHANGES_MAX as u32 * 2 + 10;
    let mut ledger = Ledger::new(Policy { entities_max: count as usize, ..policy(&[40, 30]) });
    for number in (0..count).rev() {
        for module in 0..2 {
            ledger.add(Minute(0), host(number), module, Bits::of(Ppm::ONE), event(0));
        }
    }
    let (mut sizes, mut told) = (Vec::new(), Vec::new());
    let mut out = Vec::new();
    loop {
        let is_more = ledger.close(Minute(0), &mut out);
        sizes.push(out.len());
        told.append(&mut out);
        if !is_more {
            break;
        }
    }
    assert_eq!(sizes, [CHANGES_MAX, CHANGES_MAX, 10]);
    assert!(
        told.iter()
            .map(|change| &change.entity)
            .eq((0..count).map(host).collect::<Vec<_>>().iter())
    );
    assert!(told.iter().all(|change| change.score == Points(70 * Points::ONE.0)));
    assert!(close(&mut ledger, 1).is_empty(), "closed is closed");
}

#[test]
fn what_stands_in_the_queue_for_nobody_is_bounded() {
    let modules = vec![module("a", "a", 100, 5 * MINUTE), module("b", "b", 1, 3650 * DAY)];
    let policy = Policy::new(modules, &BTreeMap::new(), Criticality::default(), 10);
    let mut ledger = Ledger::new(policy);
    let mut most = 0;
    for round in 0..3000 {
        // What is left in between is due after centuries, what comes after it within the hour.
        let minute = Minute(round * 60);
        ledger.add(minute, host(1), 0, Bits::of(Ppm::new(15_000)), event(0));
        ledger.add(minute, host(1), 1, Bits::of(Ppm::new(1_000)), event(1));
        while let Some(minute) = ledger.next().filter(|next| *next <= minute) {
            close(&mut ledger, minute.0);
        }
        most = most.max(ledger.accounts.room());
    }
    assert!((1000..1024 + 10).contains(&most), "{most}");
}

#[test]
fn what_faded_counts_as_it_is() {
    let script = "0 1 0 500000\n1440 1 0 500000";
    let found = check(&mut Ledger::new(policy(&[40])), script, 1440);
    // A half of the half is left, and the other half comes to it: 1 - 0.75 * 0.5.
    assert!(found.ends_with(" -> 25.000000 Moderate\n"), "{found}");
}

#[test]
fn a_finding_rises_and_fades() {
    let found = check(&mut Ledger::new(policy(&[40])), "0 1 0 1000000", 3000);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines[0], "0 0.0.0.1 0.000000 -> 40.000000 Moderate");
    // A point is gone after 24 h * log2(40/39), before the first hour closes.
    assert_eq!(lines[1], "53 0.0.0.1 40.000000 -> 38.992440 Moderate");
    assert!(lines.iter().any(|line| line.starts_with("59 ")), "the hour closes: {found}");
    let moderate = lines.iter().filter(|line| line.ends_with("Moderate")).count();
    let low = lines.iter().find(|line| line.ends_with("Low")).unwrap();
    assert!(low.contains("-> 24.9"), "{low} after {moderate}");
    // One half-life later a half is left.
    assert!(found.contains("1439 ") && found.contains("-> 20.0"), "{found}");
}

#[test]
fn certainty_alone_reads_high_and_a_hundred_is_the_most() {
    for weight in 50..=100 {
        let found = check(&mut Ledger::new(policy(&[weight, 10])), "0 1 0 1000000", 0);
        let level = if weight < 75 { "High" } else { "Critical" };
        assert_eq!(found, format!("0 0.0.0.1 0.000000 -> {weight}.000000 {level}\n"));
    }
    let script = "0 1 0 1000000\n0 1 1 1000000\n0 1 2 999999";
    let found = check(&mut Ledger::new(policy(&[70, 50, 33])), script, 0);
    assert_eq!(found, "0 0.0.0.1 0.000000 -> 100.000000 Critical\n");
}

#[test]
fn a_group_shares_its_budget() {
    let modules =
        || vec![module("a", "x", 60, DAY), module("b", "y", 25, DAY), module("c", "x", 30, DAY)];
    let none = BTreeMap::new;
    let lines = |text: &str| {
        Criticality::new([(Subject::parse("0.0.0.1").unwrap(), Factor::new(text.parse().unwrap()))])
    };
    let of = |budgets, critical: &str| Policy::new(modules(), &budgets, lines(critical), 10);
    // The greatest weight of the group is its budget: 60 and 30 share 60.
    assert_eq!(
        shared(of(none(), "1000"), &[0, 1, 2]),
        "85.000000 Critical a=40.000000 b=25.000000 c=20.000000"
    );
    assert_eq!(shared(of(none(), "1000"), &[2]), "30.000000 Moderate c=30.000000");
    let budget = BTreeMap::from([("x".to_owned(), Points(90 * Points::ONE.0))]);
    // All of them above 100: 60, 25 and 30 of 115.
    assert_eq!(
        shared(of(budget, "1000"), &[0, 1, 2]),
        "100.000000 Critical a=52.173913 c=26.086957 b=21.739130"
    );
    let nothing = BTreeMap::from([("x".to_owned(), Points(0))]);
    assert_eq!(shared(of(nothing, "1000"), &[0, 1, 2]), "25.000000 Moderate b=25.000000");
    assert_eq!(shared(of(none(), "500"), &[0]), "30.000000 Moderate a=30.000000");
    assert_eq!(
        shared(of(none(), "1100"), &[0, 1, 2]),
        "93.500000 Critical a=44.000000 b=27.500000 c=22.000000"
    );
    assert_eq!(
        shared(of(none(), "10000"), &[0, 1, 2]),
        "100.000000 Critical a=47.058823 b=29.411765 c=23.529412"
    );
}

#[test]
fn a_module_that_is_off_gives_its_group_no_budget() {
    let off = Module { is_enabled: false, ..module("a", "x", 90, DAY) };
    let modules = vec![off, module("b", "x", 40, DAY)];
    let policy = |modules| Policy::new(modules, &BTreeMap::new(), Criticality::default(), 10);
    assert_eq!(shared(policy(modules), &[1]), "40.000000 Moderate b=40.000000");
    // What it found before it was turned off fades with the rest, within the budget of the others.
    let modules = vec![off, module("b", "x", 40, DAY)];
    assert_eq!(shared(policy(modules), &[0, 1]), "40.000000 Moderate a=27.692308 b=12.307692");
    assert_eq!(shared(policy(vec![off]), &[0]), "90.000000 Critical a=90.000000");
}

#[test]
fn each_module_has_its_half_life() {
    let modules = vec![module("a", "a", 60, HOUR), module("b", "b", 40, 7 * DAY)];
    let policy = Policy::new(modules, &BTreeMap::new(), Criticality::default(), 10);
    let mut ledger = Ledger::new(policy);
    let found = check(&mut ledger, "0 1 0 1000000\n0 1 1 1000000", 7 * 24 * 60);
    // After an hour a half of the 60 and nearly all of the 40 is left; after a week a half of
    // the 40.
    assert!(found.contains("\n59 0.0.0.1 ") && found.contains("-> 70.1"), "{found}");
    let last = found.lines().last().unwrap();
    assert!(last.starts_with("10079 ") && last.contains("-> 20.001"), "{last}");
}

#[test]
fn an_entity_without_risk_is_forgotten() {
    let mut ledger = Ledger::new(policy(&[40]));
    check(&mut ledger, "0 1 0 500000", 100_000);
    assert_eq!((ledger.entities(), ledger.next()), (0, None));
    // Weights of zero add nothing, and are nothing to keep.
    let mut ledger = Ledger::new(policy(&[0, 0]));
    assert_eq!(check(&mut ledger, "0 1 0 1000000\n0 1 1 1000000", 100), "");
    assert_eq!((ledger.entities(), ledger.next()), (0, None));
}

#[test]
fn the_lowest_goes_when_it_is_too_full() {
    let mut ledger = Ledger::new(Policy { entities_max: 10, ..policy(&[40]) });
    let script: String = (0..100)
        .map(|n| format!("{} {n} 0 {}\n", n / 10, if n == 3 { 900_000 } else { 100_000 }))
        .collect();
    check(&mut ledger, &script, 10);
    assert_eq!((ledger.entities(), ledger.evicted()), (10, 90));
    assert!(ledger.accounts.slot(&host(3)).is_some());
}

#[test]
fn everything_certain_at_once_is_a_hundred() {
    let modules: Vec<Module> = NAMES.iter().map(|name| module(name, "x", 100, DAY)).collect();
    let all = Criticality::new([(Subject::parse("::/0").unwrap(), Factor::MAX)]);
    let budget = BTreeMap::from([("x".to_owned(), Points::MAX)]);
    let mut ledger = Ledger::new(Policy::new(modules, &budget, all, 1000));
    let mut out = Vec::new();
    for minute in 0..20 {
        for number in 0..100_u32 {
            for module in 0..NAMES.len() {
                for again in 0..10 {
                    let minute = Minute(minute);
                    ledger.add(minute, host(number), module, Bits::of(Ppm::ONE), event(again));
                }
            }
        }
        out.extend(close(&mut ledger, minute));
    }
    assert_eq!(out.len(), 100, "told once, since it cannot rise");
    for change in out {
        assert_eq!((change.score, change.criticality), (Points::MAX, Factor::MAX));
        let shares: Vec<u64> = change.shares.iter().map(|share| share.points.0).collect();
        assert_eq!(shares, [20_000_000; 5]);
    }
}

/// Minute, host, module, parts per million.
type Item = (i64, u32, usize, u32);

fn evidence() -> impl Strategy<Value = Vec<Item>> {
    let ppm = prop_oneof![4 => 0..=1_000_000_u32, 1 => Just(1_000_000)];
    proptest::collection::vec((0..200_i64, 0..HOSTS, 0..NAMES.len(), ppm), 0..30)
}

/// Weights, half-lives, groups and their budgets, criticality: anything that may be configured.
fn policies() -> impl Strategy<Value = Policy> {
    let modules = proptest::collection::vec((0..=100_u64, 1..2000_i64, 0..3_usize), NAMES.len());
    let budgets = proptest::collection::vec(proptest::option::of(0..=100_u64), 3);
    let factors = proptest::collection::vec(100..=10_000_u32, HOSTS as usize);
    (modules, budgets, factors, 1..6_usize).prop_map(|(modules, budgets, factors, max)| {
        let groups = ["x", "y", "z"];
        let module = |((weight, minutes, group), name): ((u64, i64, usize), _)| {
            module(name, groups[group], weight, minutes * MINUTE)
        };
        let modules = modules.into_iter().zip(NAMES).map(module).collect();
        let budgets = groups.iter().zip(budgets).filter_map(|(group, points)| {
            Some(((*group).to_owned(), Points(points? * Points::ONE.0)))
        });
        let lines =
            (0..HOSTS).zip(factors).map(|(n, it)| (Subject::Entity(host(n)), Factor::new(it)));
        Policy::new(modules, &budgets.collect(), Criticality::new(lines), max)
    })
}

fn add(ledger: &mut Ledger, items: &[Item]) {
    for &(minute, number, module, ppm) in items {
        let id = event(ppm as u8);
        ledger.add(Minute(minute), host(number), module, Bits::of(Ppm::new(ppm)), id);
    }
}

/// Closes all that has to be closed up to the end of `until`.
fn run(ledger: &mut Ledger, until: i64) -> Vec<Change> {
    let mut out = Vec::new();
    while let Some(minute) = ledger.next().filter(|minute| minute.0 <= until) {
        out.extend(close(ledger, minute.0));
    }
    out
}

fn changes(policy: &Policy, items: &[Item]) -> Vec<Change> {
    let mut ledger = Ledger::new(policy.clone());
    add(&mut ledger, items);
    run(&mut ledger, 400)
}

type Kept = BTreeMap<Vec<u8>, Vec<u8>>;

fn save(ledger: &mut Ledger, kept: &mut Kept) {
    ledger.save(&mut |key, value| {
        match value {
            Some(value) => kept.insert(key.to_vec(), value.to_vec()),
            None => kept.remove(key),
        };
    });
}

fn load(policy: &Policy, kept: &Kept) -> Ledger {
    let mut ledger = Ledger::new(policy.clone());
    ledger.track();
    for (key, value) in kept {
        ledger.load(key, value).unwrap();
    }
    ledger
}

fn view(ledger: &Ledger, number: u32) -> Option<View<'_>> {
    ledger.accounts.view(ledger.accounts.slot(&host(number))?, &ledger.policy)
}

fn views(ledger: &Ledger) -> impl Iterator<Item = View<'_>> {
    (0..HOSTS).filter_map(|number| view(ledger, number))
}

proptest! {
    #[test]
    fn order_inside_a_minute_does_not_matter(policy in policies(), items in evidence()) {
        let mut other = items.clone();
        other.reverse();
        prop_assert_eq!(changes(&policy, &items), changes(&policy, &other));
    }

    #[test]
    fn shares_add_up_and_groups_keep_to_their_budgets(policy in policies(), items in evidence()) {
        for change in changes(&policy, &items) {
            let sum: u64 = change.shares.iter().map(|share| share.points.0).sum();
            prop_assert_eq!(sum, change.score.0);
            prop_assert!(change.score <= Points::MAX);
            prop_assert_eq!(change.level, Level::of(change.score));
            prop_assert_eq!(change.criticality, policy.criticality.of(&change.entity));
            for (group, budget) in policy.budgets.iter().enumerate() {
                let of = change.shares.iter().filter(|share| policy.groups[share.module] == group);
                let (points, parts) = of.fold((0, 0), |(sum, n), it| (sum + it.points.0, n + 1));
                let most = change.criticality.times(*budget).0 + parts;
                prop_assert!(points <= most, "{} of {}", points, most);
            }
        }
    }

    #[test]
    fn more_evidence_never_lowers_a_score(
        policy in policies(),
        items in evidence(),
        more in (0..200_i64, 0..NAMES.len(), 1..=1_000_000_u32),
    ) {
        let policy = Policy { entities_max: 100, ..policy };
        let scores = |items: &[Item]| {
            let mut ledger = Ledger::new(policy.clone());
            add(&mut ledger, items);
            run(&mut ledger, 200);
            let score = |minute| view(&ledger, 1).map_or(0, |it| it.score(Minute(minute)).0);
            [200, 201, 260, 400, 2000].map(score)
        };
        let mut all = items.clone();
        all.push((more.0, 1, more.1, more.2));
        // A decay in two steps rounds a value by up to one part per million.
        let points = |module: &Module| module.weight.0 / 1_000_000 + 1;
        let weights: u64 = policy.modules.iter().map(points).sum();
        let most = policy.criticality.of(&host(1)).times(Points(weights)).0 + 1;
        for (before, after) in scores(&items).iter().zip(scores(&all)) {
            prop_assert!(after + most >= *before, "{} {}", before, after);
        }
    }

    #[test]
    fn closing_minutes_in_between_changes_nothing(policy in policies(), items in evidence()) {
        let mut ledger = Ledger::new(policy.clone());
        add(&mut ledger, &items);
        let mut every = Vec::new();
        for minute in 0..=400 {
            every.extend(close(&mut ledger, minute));
        }
        prop_assert_eq!(changes(&policy, &items), every);
    }

    #[test]
    fn save_load_continue_equals_never_stopping(
        policy in policies(),
        items in evidence(),
        mut stops in proptest::collection::vec(0..400_i64, 0..4),
    ) {
        let mut never = load(&policy, &Kept::new());
        add(&mut never, &items);
        let expected = run(&mut never, 400);
        let mut whole = Kept::new();
        save(&mut never, &mut whole);

        let (mut kept, mut found) = (Kept::new(), Vec::new());
        let mut ledger = load(&policy, &kept);
        add(&mut ledger, &items);
        stops.sort_unstable();
        for stop in stops {
            found.extend(run(&mut ledger, stop));
            save(&mut ledger, &mut kept);
            ledger = load(&policy, &kept);
        }
        found.extend(run(&mut ledger, 400));
        save(&mut ledger, &mut kept);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(kept, whole);
        prop_assert_eq!(ledger.levels(), never.levels());
    }

    #[test]
    fn no_score_is_told_late(policy in policies(), items in evidence()) {
        let mut ledger = Ledger::new(policy);
        add(&mut ledger, &items);
        for minute in 0..3000 {
            let told = run(&mut ledger, minute);
            for view in views(&ledger) {
                let (account, score) = (view.account, view.score(Minute(minute)));
                let told_now = told.iter().any(|change| change.entity == account.entity);
                let hour = Minute(minute).closes_hour() && score >= Points::ONE;
                prop_assert!(account.told.0.abs_diff(score.0) < Points::ONE.0, "{}", minute);
                prop_assert_eq!(Level::of(account.told), Level::of(score));
                prop_assert!(told_now || !hour, "{} is an hour", minute);
            }
        }
    }

    #[test]
    fn those_of_the_lowest_rank_go(policy in policies(), items in evidence()) {
        let mut ledger = Ledger::new(policy.clone());
        add(&mut ledger, &items);
        while let Some(minute) = ledger.next().filter(|minute| minute.0 <= 400) {
            let mut all = ledger.clone();
            all.policy.entities_max = usize::MAX;
            close(&mut all, minute.0);
            let mut ranks: Vec<_> =
                views(&all).map(|it| (it.account.rank, it.account.entity.clone())).collect();
            ranks.sort();
            let gone = ranks.len().saturating_sub(policy.entities_max);
            let mut expected: Vec<_> = ranks.into_iter().skip(gone).map(|(_, it)| it).collect();
            expected.sort();
            let before = ledger.evicted();
            close(&mut ledger, minute.0);
            let stayed: Vec<_> = views(&ledger).map(|it| it.account.entity.clone()).collect();
            prop_assert_eq!(stayed, expected);
            prop_assert_eq!(ledger.evicted() - before, gone as u64);
        }
    }
}
