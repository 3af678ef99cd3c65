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
            format!("{host} until {} {feature}", &end[5..13])
        })
        .collect()
}

/// A log of what `hosts` hosts do through `days` days: `of` says of a host and an hour, counted from
/// the first, how many connections it opens and how many bytes each of them sends.
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
    let (alerts, _) = replay(&[("conn.log", log)], &["stage.pcr.enabled=false".to_owned()]);
    let said = said(&alerts, "baseline");
    assert!(said.iter().all(|it| it.starts_with("host:10.0.0.4 ")), "{said:?}");
    let first = alerts.iter().find(|it| of(it, "/ueba/detector") == "baseline")?;
    let start = of(first, "/ueba/window/start").as_str()?.to_owned();
    let time = crate::base::time::Time::parse_iso(start.as_bytes())?.0 / 1_000_000;
    let day = (time - START) / 86_400;
    Some((day, sent((day - 1).max(14)) / 50_000_000))
}

#[test]
fn slow_poisoning_is_found_or_worth_little() {
    for factor in [1010, 1030, 1050, 1100, 1200, 1500, 2000, 10_000] {
        println!("{factor}: {:?}", poisoned(factor));
    }
}
