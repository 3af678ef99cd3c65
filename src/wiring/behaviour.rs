//! What comes of behaviour over days: whole replays of logs that are made up, with one host in them
//! that changes.

use std::fmt::Write;

use serde_json::Value;

use super::campaign::{of, replay};

/// A Monday.
const START: i64 = 1_700_438_400;
const HOUR: i64 = 3600;

/// The alerts of `detector`, as `host day reason`; of the features that are expected to speak the
/// first only.
fn said(alerts: &[Value], detector: &str) -> Vec<String> {
    let of_detector = alerts.iter().filter(|it| of(it, "/ueba/detector") == detector);
    let first = of_detector.filter(|it| of(it, "/event/action") != "closed");
    first
        .map(|alert| {
            let text = |path: &str| of(alert, path).as_str().unwrap_or_default().to_owned();
            let end = text("/ueba/window/end");
            let host = text("/ueba/entity");
            let feature = text("/ueba/reasons/0/feature");
            format!("{host} until {} {feature}", end.get(5..13).unwrap_or_default())
        })
        .collect()
}

/// A log of what `hosts` hosts do through `days` days: `of` says of a host and an hour, counted
/// from the first, how many connections it opens and how many bytes each of them sends.
fn office(hosts: i64, days: i64, of: &dyn Fn(i64, i64) -> (i64, i64)) -> String {
    let mut out = String::new();
    for hour in 0..days * 24 {
        for host in 0..hosts {
            let (count, bytes) = of(host, hour);
            for n in 0..count {
                let ts = START + hour * HOUR + n * 3500 / count.max(1);
                // A spread of a factor of two, the same in every run.
                let spread = 100 + (hour * 37 + host * 101 + n * 13) % 100;
                writeln!(
                    out,
                    "{{\"ts\":{ts},\"uid\":\"C{hour}x{host}x{n}\",\"id.orig_h\":\"10.0.0.{}\",\
                     \"id.orig_p\":40000,\"id.resp_h\":\"198.51.100.{}\",\"id.resp_p\":443,\
                     \"proto\":\"tcp\",\"service\":\"ssl\",\"conn_state\":\"SF\",\"duration\":1,\
                     \"orig_bytes\":{},\"resp_bytes\":{}}}",
                    host + 1,
                    n % 7,
                    bytes * spread / 100,
                    20_000 * spread / 100,
                )
                .unwrap();
            }
        }
    }
    out
}

/// With no stage on but this one, of those that look at the same: the others have tests of their
/// own.
fn only(stage: &str) -> Vec<String> {
    let all = ["pcr", "baseline", "peer-group", "isolation-forest"].into_iter();
    all.filter(|it| *it != stage).map(|it| format!("stage.{it}.enabled=false")).collect()
}

/// Whether an hour is one of work.
fn works(hour: i64) -> bool {
    hour / 24 % 7 < 5 && (8..18).contains(&(hour % 24))
}

/// What an attacker gets who sends more each day, by a factor in thousandths, from day 14 on: on
/// which day he is found, and how many times as much as usual he sent on the day before. `None`
/// where he is not found in 30 days.
fn poisoned(factor: i64) -> Option<(i64, i64)> {
    let sent = |day: i64| -> i64 {
        (14..day).fold(50_000_000, |bytes, _| (bytes / 1000 * factor).min(1 << 40))
    };
    let log = office(8, 44, &|host, hour| {
        let day = hour / 24;
        let grown = if host == 3 && day >= 14 { sent(day) } else { 50_000_000 };
        if works(hour) { (12, grown / 120) } else { (1, 2_000) }
    });
    let (alerts, _) = replay(&[("conn.log", log)], &only("baseline"));
    let said = said(&alerts, "baseline");
    assert!(said.iter().all(|it| it.starts_with("host:10.0.0.4 ")), "{said:?}");
    let first = alerts.iter().find(|it| of(it, "/ueba/detector") == "baseline")?;
    let start = of(first, "/ueba/window/start").as_str()?.to_owned();
    let time = crate::base::time::Time::parse_iso(start.as_bytes())?.0 / 1_000_000;
    let day = (time - START) / 86_400;
    Some((day, sent((day - 1).max(14)) / 50_000_000))
}

/// docs/detection.md has this table.
#[test]
fn slow_poisoning_is_found_or_worth_little() {
    let found = [1030, 1050, 1100, 1200, 1500, 2000, 10_000].map(|factor| match poisoned(factor) {
        Some((day, times)) => format!("{factor}: day {}, {times} times", day - 13),
        None => format!("{factor}: not in 30 days"),
    });
    let expected = [
        "1030: not in 30 days",
        "1050: not in 30 days",
        "1100: day 23, 7 times",
        "1200: day 12, 6 times",
        "1500: day 9, 17 times",
        "2000: day 5, 8 times",
        "10000: day 3, 10 times",
    ];
    assert_eq!(found, expected);
}

/// Hosts 0 to 19 are a department; all of them change their software on day 16.
fn department(changed: &dyn Fn(i64) -> bool) -> Vec<(&'static str, String)> {
    let mut http = String::new();
    for hour in (0..18 * 24).filter(|hour| works(*hour)) {
        for host in 0..24 {
            let is_new = hour / 24 >= 16 && changed(host);
            let agents: &[&str] = if is_new {
                &["New/1", "New/2", "New/3", "Up/1", "Up/2", "Up/3"]
            } else {
                &["Old/1", "Old/2"]
            };
            for n in 0..40 {
                let ts = START + hour * HOUR + n * 80 + host;
                let agent = agents[n as usize % agents.len()];
                let to = if is_new { n % 30 } else { n % 5 };
                writeln!(
                    http,
                    "{{\"ts\":{ts},\"uid\":\"C{hour}x{host}x{n}\",\"id.orig_h\":\"10.0.0.{}\",\
                     \"id.orig_p\":40000,\"id.resp_h\":\"198.51.100.{to}\",\"id.resp_p\":80,\
                     \"method\":\"GET\",\"host\":\"h{to}.example.com\",\"uri\":\"/\",\
                     \"version\":\"1.1\",\"user_agent\":\"{agent}\",\"status_code\":200}}",
                    host + 1,
                )
                .unwrap();
            }
        }
    }
    vec![("http.log", http)]
}

/// Whoever is always the same, alone, or the same as all others, or whose numbers have no middle,
/// is nobody to speak of; and no stage panics (`replay` says so).
#[test]
fn what_has_no_spread_and_what_has_no_bound_says_nothing() {
    let only_one = office(1, 16, &|_, _| (3, 1000));
    let two = office(2, 16, &|_, _| (3, 1000));
    // Enough for groups, and for a forest; all columns are constant.
    let same = office(24, 16, &|_, hour| if works(hour) { (3, 1000) } else { (0, 0) });
    let wild = office(12, 16, &|host, hour| (3, if (hour + host) % 2 == 0 { 0 } else { 1 << 47 }));
    let silent = office(12, 16, &|_, hour| if hour == 0 { (1, 0) } else { (0, 0) });
    // The last day comes before all others.
    let mut back: Vec<&str> = same.lines().collect();
    let day = back.len() / 16;
    back.rotate_right(day);
    let back = back.join("\n") + "\n";
    let logs = [only_one, two, same.clone(), wild, silent, back];
    for (at, log) in logs.into_iter().enumerate() {
        let sets = ["stage.pcr.enabled=false".to_owned()];
        let (alerts, risk) = replay(&[("conn.log", log)], &sets);
        let told: Vec<&str> = ["baseline", "peer-group", "isolation-forest"]
            .into_iter()
            .filter(|detector| !risky(&risk, detector).is_empty())
            .collect();
        assert!(told.is_empty() && alerts.is_empty(), "{at}: {told:?}");
    }
}

#[test]
fn an_hour_that_is_a_little_odd_in_many_ways_is_unlike_all_others() {
    // Ten hosts whose hours of work vary; one of them reaches for others, of which some do not
    // answer, while it sends more than usual.
    let odd = 17 * 24 + 15;
    let log = |is_planted: bool| {
        let mut log = office(10, 19, &|host, hour| {
            let dice = (hour * 7919 + host * 104_729) % 97;
            let more = if is_planted && host == 3 && hour == odd { 20 } else { 1 };
            let (count, bytes) = (8 + dice % 13, 20_000 + 3_000 * dice);
            if works(hour) { (count, bytes * more) } else { (1 + dice % 2, 300) }
        });
        for n in (0..60).filter(|_| is_planted) {
            let ts = START + odd * HOUR + n * 50;
            let (state, port) = if n % 3 == 0 { ("SF", 445) } else { ("S0", 1000 + n) };
            writeln!(
                log,
                "{{\"ts\":{ts},\"uid\":\"Codd{n}\",\"id.orig_h\":\"10.0.0.4\",\
                 \"id.orig_p\":40001,\"id.resp_h\":\"10.0.1.{n}\",\"id.resp_p\":{port},\
                 \"proto\":\"tcp\",\"conn_state\":\"{state}\",\"duration\":1}}",
            )
            .unwrap();
        }
        // Lines begin with their time.
        let mut lines: Vec<&str> = log.lines().collect();
        lines.sort_unstable();
        lines.join("\n") + "\n"
    };
    let sets = only("isolation-forest");
    let (_, risk) = replay(&[("conn.log", log(true))], &sets);
    let hosts = risky(&risk, "isolation-forest");
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["\"host:10.0.0.4\""]);
    let first = &risk.iter().find(|it| of(it, "/ueba/entity") == "host:10.0.0.4").unwrap();
    let feature = |at: usize| of(first, &format!("/ueba/contributions/0/reasons/{at}/feature"));
    let named: Vec<&Value> = (0..5).map(feature).collect();
    assert_eq!(named[3..], ["isolation", "history"], "{named:?}");
    let (_, risk) = replay(&[("conn.log", log(false))], &sets);
    assert_eq!(risky(&risk, "isolation-forest").len(), 0);
}

#[test]
fn a_host_that_becomes_like_others_is_far_from_its_peers() {
    // Twenty that read and twelve that send; one of the readers sends as they do, slowly more each
    // day, so that it is never much more than the day before.
    let log = |is_planted: bool| {
        office(32, 22, &|host, hour| {
            let day = hour / 24;
            let step = if is_planted && host == 3 { (day - 10).clamp(0, 10) } else { 0 };
            let (reads, sends) = (300, 600_000);
            let bytes = if host < 20 { reads + sends * step / 10 } else { sends };
            if works(hour) { (10, bytes) } else { (1, 200) }
        })
    };
    let sets = only("peer-group");
    let (alerts, risk) = replay(&[("conn.log", log(true))], &sets);
    let hosts: std::collections::BTreeSet<String> = risky(&risk, "peer-group");
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["\"host:10.0.0.4\""], "{alerts:?}");
    let (_, risk) = replay(&[("conn.log", log(false))], &sets);
    assert_eq!(risky(&risk, "peer-group").len(), 0);
}

/// What `baseline` says of hosts, alert or not, by its part of the risk.
fn risky(risk: &[Value], detector: &str) -> std::collections::BTreeSet<String> {
    let of_detector = |it: &&Value| {
        of(it, "/ueba/contributions")
            .as_array()
            .is_some_and(|all| all.iter().any(|it| of(it, "/module") == detector))
    };
    risk.iter().filter(of_detector).map(|it| of(it, "/ueba/entity").to_string()).collect()
}

#[test]
fn a_department_that_changes_at_once_does_not_alert_host_by_host() {
    let (alerts, risk) = replay(&department(&|host| host < 20), &only("baseline"));
    assert_eq!(said(&alerts, "baseline"), Vec::<String>::new());
    assert_eq!(risky(&risk, "baseline").len(), 0, "{:?}", risky(&risk, "baseline"));
    // One of them alone is another matter.
    let (_, risk) = replay(&department(&|host| host == 3), &only("baseline"));
    assert_eq!(risky(&risk, "baseline").into_iter().collect::<Vec<_>>(), ["\"host:10.0.0.4\""]);
}

#[test]
fn a_night_is_odd_for_who_works_by_day() {
    let log = |is_odd: bool| {
        office(6, 16, &|host, hour| {
            let night = is_odd && host == 2 && hour / 24 == 15 && (0..5).contains(&(hour % 24));
            if works(hour) || night { (30, 1_000) } else { (1, 500) }
        })
    };
    let (alerts, _) = replay(&[("conn.log", log(true))], &only("baseline"));
    // The third odd hour, and those after it.
    let nights =
        ["03", "04", "05"].map(|hour| format!("host:10.0.0.3 until 12-05T{hour} odd_hours"));
    assert_eq!(said(&alerts, "baseline"), nights);
    let (alerts, _) = replay(&[("conn.log", log(false))], &only("baseline"));
    assert_eq!(said(&alerts, "baseline"), Vec::<String>::new());
}
