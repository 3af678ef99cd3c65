//! What clients ask for in, findings out.

use std::collections::BTreeMap;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::base::keys::Value;
use crate::base::time::Minute;
use crate::model::Models;
use crate::record::{Log, Observed};
use crate::stage::script::{
    ByMinute, Cells, addr, close, close_with_restarts, defaults, delta, said,
};
use crate::stage::{Close, Combine, Role, RolePolicy, Roles};

use super::close::Clients;
use super::{NAMES_MAX, NAMES_MIN, STAGE};

fn clients() -> Clients {
    Clients::new(&defaults(&STAGE), &Models::default())
}

/// The cells of a script, by minute: lines `MINUTE CLIENT NAME PERCENT [nx | fails]`,
/// one query each.
fn cells(script: &str) -> ByMinute {
    let mut cells = Cells::new(Combine::Sum);
    for (number, line) in script.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ppm = words[3].parse::<u64>().unwrap() * 10_000;
        let amounts = match words.get(4) {
            Some(&"nx") => [0, 1, 0],
            Some(&"fails") => [0, 0, 0],
            _ => [1, 0, 0],
        };
        let place = (Minute(words[0].parse().unwrap()), addr(words[1]));
        cells.add(delta((Log::Dns, number), place, words[2].as_bytes(), (amounts, ppm)));
    }
    cells.by_minute()
}

/// Whom a script makes alert, with the score in percent of the last that was said of each.
fn check(script: &str, expected: &str) {
    let found = close(&mut clients(), &cells(script), &Roles::default());
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for evidence in &found {
        last.insert(
            evidence.entity.addr().unwrap().to_ip().to_string(),
            evidence.score.get() / 10_000,
        );
    }
    let found: Vec<String> = last.iter().map(|(addr, score)| format!("{addr} {score}")).collect();
    assert_eq!(found.join(", "), expected, "{script}");
}

/// A script of one client that asks for so many names, one a minute.
fn names(client: &str, count: usize, percent: usize, answer: &str) -> String {
    let line = |n: usize| format!("{n} {client} {client}-{n}.com {percent} {answer}\n");
    (0..count).map(line).collect()
}

#[test]
fn one_name_never_alerts_alone() {
    check("0 10.0.0.5 a.com 100 nx", "");
    check(&"0 10.0.0.5 a.com 100 nx\n".repeat(500), "");
    for count in 0..NAMES_MIN {
        check(&names("10.0.0.5", count, 100, "nx"), "");
    }
}

#[test]
fn many_names_do() {
    check(&names("10.0.0.5", 6, 100, ""), "10.0.0.5 81");
    check(&names("10.0.0.5", 50, 100, "nx"), "10.0.0.5 97");
    // Names of two words look like many others; that they do not exist tells.
    check(&names("10.0.0.5", 50, 5, ""), "10.0.0.5 65");
    check(&names("10.0.0.5", 50, 5, "nx"), "10.0.0.5 90");
    // And that of fifty fresh ones none exists tells whatever they look like.
    check(&names("10.0.0.5", 50, 0, "nx"), "10.0.0.5 70");
    // No answer, or a refusal, is no sign that they exist, and none that they do not.
    check(&names("10.0.0.5", 50, 5, "fails"), "10.0.0.5 65");
}

#[test]
fn a_cdn_makes_names_as_an_algorithm_does() {
    let cdn: String = (0..50).map(|n| format!("{n} 10.0.0.5 d{n}x.cloudfront.net 30\n")).collect();
    check(&cdn, "10.0.0.5 47");
    let own = cdn.replace("x.cloudfront.net", ".com");
    check(&own, "10.0.0.5 89");
    // Those that do not exist are no CDN's.
    check(&cdn.replace("net 30", "net 30 nx"), "10.0.0.5 96");
}

#[test]
fn an_hour_is_what_counts() {
    let slow: String = (0..50).map(|n| format!("{} 10.0.0.5 {n}.com 99 nx\n", n * 25)).collect();
    check(&slow, "");
}

#[test]
fn what_several_ask_for_or_somebody_asked_for_before_is_no_news() {
    let shared: String = (0..50)
        .flat_map(|n| (1..9).map(move |host| format!("{} 10.0.0.{host} {n}.com 90\n", n + host)))
        .collect();
    // The first few who ask cannot know.
    let found = close(&mut clients(), &cells(&shared), &Roles::default());
    assert!(found.iter().all(|it| it.entity.addr().unwrap() < addr("10.0.0.5")), "{found:?}");
    // Names that do not exist are nobody's usual ones, however many ask.
    let shared = shared.replace(" 90\n", " 90 nx\n");
    let found = close(&mut clients(), &cells(&shared), &Roles::default());
    let who: std::collections::BTreeSet<_> =
        found.iter().filter_map(|it| it.entity.addr()).collect();
    assert_eq!(who.len(), 8);
    let again: String = (0..50)
        .flat_map(|n| {
            [0, 1500].map(|day| format!("{} 10.0.0.{} {n}.com 90 nx\n", n + day, 1 + day / 1500))
        })
        .collect();
    check(&again, "10.0.0.1 97");
}

#[test]
fn who_asks_for_others_is_not_scored() {
    let roles = RolePolicy {
        configured: vec![("10.0.0.1/32".parse().unwrap(), Some(Role::Resolver))],
        clients: 0,
    };
    let script = names("10.0.0.1", 50, 100, "nx") + &names("10.0.0.2", 50, 100, "nx");
    let found = close(&mut clients(), &cells(&script), &Roles::new(roles));
    assert!(!found.is_empty());
    assert!(found.iter().all(|it| it.entity.addr() == Some(addr("10.0.0.2"))));
}

#[test]
fn reasons_name_names_that_lower_the_score_when_they_are_gone() {
    // In one minute, so that it is said once.
    let line = |n: usize| format!("0 10.0.0.5 n{n}.com {} nx\n", 20 + n);
    let script = (0..30).map(line).collect::<String>() + "0 10.0.0.5 strongest.com 99\n";
    let all = cells(&script);
    let found = close(&mut clients(), &all, &Roles::default());
    let last = found.last().unwrap();
    let named: Vec<&str> = last
        .reasons
        .iter()
        .filter(|reason| reason.feature == "generated_name")
        .map(|reason| match &reason.observed {
            Observed::Text(text) => text.split(' ').next().unwrap(),
            Observed::Number(_) => panic!("{reason:?}"),
        })
        .collect();
    assert_eq!(named.len(), 3);
    for name in named {
        let mut without = all.clone();
        for cells in without.values_mut() {
            cells.retain(|cell| cell.subject.as_slice() != name.as_bytes());
        }
        let less = close(&mut clients(), &without, &Roles::default());
        assert!(less.last().unwrap().score < last.score, "{name}");
    }
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut clients = clients();
    close(&mut clients, &cells(&names("10.0.0.5", 59, 90, "nx")), &Roles::default());
    let crowd: String =
        (0..5000).map(|n| format!("59 10.0.0.5 {n}-and-some-more-of-a-name.com 90 nx\n")).collect();
    close(&mut clients, &cells(&crowd), &Roles::default());
    let mut bytes = 0;
    clients.save(&mut |key, value| {
        if key[0] == b'c' {
            bytes = value.unwrap().len();
        }
    });
    assert!((1..NAMES_MAX * 100).contains(&bytes), "{bytes}");
}

/// Clients with room for so few that some have to go.
fn cramped() -> Clients {
    let mut settings = defaults(&STAGE);
    settings.insert("max_clients", Value::Integer(3));
    settings.insert("max_names", Value::Integer(12));
    Clients::new(&settings, &Models::default())
}

proptest! {
    /// Being stopped and started between any minutes changes nothing, over midnight, over days and
    /// where there is no room for all.
    #[test]
    fn restarts_do_not_matter(
        lines in vec((0_i64..40, 0_i64..30, 1_u8..6, 0_u8..40, 0_u8..3), 1..400),
        stops in btree_set(0_usize..400, 0..6),
    ) {
        let line = |(half_day, minute, host, name, answer): &(i64, i64, u8, u8, u8)| {
            // A name looks as it does whoever asks for it.
            let (percent, answer) = (u64::from(*name) * 37 % 100, ["", "nx", "fails"][usize::from(*answer)]);
            format!("{} 10.0.0.{host} n{name}.com {percent} {answer}\n", half_day * 720 + minute)
        };
        let all = cells(&lines.iter().map(line).collect::<String>());
        for make in [clients, cramped] {
            let never = close(&mut make(), &all, &Roles::default());
            let found = close_with_restarts(&|| Box::new(make()), &all, &stops);
            prop_assert_eq!(said(&found), said(&never));
        }
    }

    /// What is found of a client does not depend on what others do, but for names that they share.
    #[test]
    fn clients_do_not_see_each_other(
        mine in vec((0_i64..90, 0_u8..40), 1..80),
        others in vec((0_i64..90, 2_u8..9, 0_u8..40), 0..200),
    ) {
        let line = |minute: i64, host: u8, prefix: char, name: u8| {
            format!("{minute} 10.0.0.{host} {prefix}{name}.com {} nx\n", u64::from(name) * 37 % 100)
        };
        let mine = mine.iter().map(|(minute, name)| line(*minute, 1, 'a', *name));
        let alone: String = mine.collect();
        let crowd: String =
            others.iter().map(|(minute, host, name)| line(*minute, *host, 'b', *name)).collect();
        // Where records stand is not the same, so it is not compared.
        let of_me = |script: &str| -> Vec<String> {
            let found = close(&mut clients(), &cells(script), &Roles::default());
            let mine = found.iter().filter(|it| it.entity.addr() == Some(addr("10.0.0.1")));
            let own = |it: &crate::record::Evidence| {
                // Since when names are watched is the same for all.
                let of_names = it.reasons.iter().filter(|it| it.feature != "history");
                format!("{} {:?} {:?}", it.score, it.window, of_names.collect::<Vec<_>>())
            };
            mine.map(own).collect()
        };
        prop_assert_eq!(of_me(&(alone.clone() + &crowd)), of_me(&alone));
    }
}
