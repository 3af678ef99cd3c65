//! What the judge says of alerts made up.

use std::path::Path;

use serde_json::{Value, json};

use super::evaluation::{Crime, Outcome, evaluate, expand, found, judge, parse, table};

const TEXT: &str = "seed s\ndays 3\n\
    guilty 9 times from 1d 09:00 to 1d 10:00: 10.0.0.5 > 203.0.113.9:443 tcp ssl sent total 700M\n\
    alert pcr host:10.0.0.5 channel tls 700M between 1d 09:00 and 1d 10:05";

/// An alert of Tuesday, with the window given as two times of day.
fn alert(host: &str, channel: &str, time: &str, window: [&str; 2]) -> Value {
    let at = |time: &str| format!("2024-03-05T{time}:00.000000Z");
    json!({
        "@timestamp": at(time),
        "event": { "kind": "alert" },
        "ueba": {
            "entity": format!("host:{host}"),
            "detector": "pcr",
            "score": 0.871234,
            "window": { "start": at(window[0]), "end": at(window[1]) },
            "reasons": [
                { "feature": "volume_bytes", "observed": 700_000_000.0 },
                { "feature": "channel", "observed": channel },
            ],
        },
    })
}

/// What comes of these alerts.
fn outcome(text: &str, alerts: &[Value]) -> Outcome {
    let scenario = parse("one", text, &|_| None).unwrap();
    let expansion = expand(&scenario);
    let found: Vec<_> = alerts.iter().filter_map(|it| found(it, "pcr").unwrap()).collect();
    let wrong = judge(&scenario.truth, &expansion.crimes, &found);
    let (name, records) = ("one".to_owned(), expansion.records);
    Outcome { name, records, truth: scenario.truth, crimes: expansion.crimes, found, wrong }
}

/// That the judge finds exactly this wrong.
fn check(alerts: &[Value], expected: &[&str]) {
    assert_eq!(outcome(TEXT, alerts).wrong, expected, "{alerts:?}");
}

#[test]
fn the_guilty_alert_is_right_once_or_more() {
    let first = alert("10.0.0.5", "tls", "09:20", ["09:00", "09:30"]);
    check(std::slice::from_ref(&first), &[]);
    check(&[first, alert("10.0.0.5", "all", "09:59", ["09:00", "10:00"])], &[]);
}

#[test]
fn everything_else_is_wrong() {
    let right = alert("10.0.0.5", "tls", "09:20", ["09:00", "09:30"]);
    check(&[], &["host:10.0.0.5 was not found"]);
    let innocent = alert("10.0.0.6", "tls", "09:20", ["09:00", "09:30"]);
    check(&[right.clone(), innocent.clone()], &["host:10.0.0.6 is innocent"]);
    check(&[innocent], &["host:10.0.0.5 was not found", "host:10.0.0.6 is innocent"]);
    let cases = [
        ("dns", "09:20", ["09:00", "09:30"], "09:20: channel \"dns\", not tls"),
        ("", "09:20", ["09:00", "09:30"], "09:20: channel \"\", not tls"),
        ("tls", "10:06", ["09:00", "10:00"], "10:06: not then"),
        ("tls", "08:59", ["09:00", "10:00"], "08:59: not then"),
        ("tls", "09:20", ["08:59", "10:00"], { "09:20: window 1d 08:59 to 1d 10:00, not inside" }),
        ("tls", "09:20", ["09:00", "10:06"], { "09:20: window 1d 09:00 to 1d 10:06, not inside" }),
    ];
    for (channel, time, window, wrong) in cases {
        let wrong = format!("host:10.0.0.5 at 1d {wrong}");
        let second = alert("10.0.0.5", channel, time, window);
        check(&[right.clone(), second.clone()], &[&wrong]);
        check(&[second], &[&wrong]);
    }
}

#[test]
fn a_window_may_be_wider_where_that_is_said() {
    let wide = TEXT.to_owned() + " window 1d 00:00 to 2d 00:00";
    let of = |time, window| outcome(&wide, &[alert("10.0.0.5", "all", time, window)]).wrong;
    assert_eq!(of("09:59", ["00:00", "23:59"]), [""; 0]);
    assert_eq!(of("12:00", ["00:00", "23:59"]), ["host:10.0.0.5 at 1d 12:00: not then"]);
    let beside = ["host:10.0.0.5 at 1d 09:59: window 1d 11:00 to 1d 12:00, beside it"];
    assert_eq!(of("09:59", ["11:00", "12:00"]), beside);
}

#[test]
fn other_documents_are_not_judged() {
    let mut other = alert("10.0.0.6", "tls", "09:20", ["09:00", "09:30"]);
    other["ueba"]["detector"] = "long-connection".into();
    let mut closed = alert("10.0.0.5", "tls", "23:20", ["09:00", "09:30"]);
    closed["event"]["action"] = "closed".into();
    check(&[alert("10.0.0.5", "tls", "09:20", ["09:00", "09:30"]), other, closed], &[]);
    let mut broken = alert("10.0.0.5", "tls", "09:20", ["09:00", "09:30"]);
    broken["@timestamp"] = "yesterday".into();
    assert!(found(&broken, "pcr").is_err_and(|it| it.starts_with("no alert that can be read: {")));
}

#[test]
fn the_crime_is_what_the_guilty_connections_carry_away() {
    let text = "seed s\ndays 3\n\
        guilty once at 1d 09:00: 203.0.113.9 > 10.0.0.5:22 tcp ssh sent 7 received 900M for 1h\n\
        guilty once at 1d 11:00: 10.0.0.5 > 203.0.113.9:22 tcp ssh sent 1M received 7 for 1h\n\
        guilty once at 1d 19:00: 10.0.0.6 > 203.0.113.9:22 tcp ssh sent 5M received 7 for 1h\n\
        once at 1d 20:00: 10.0.0.5 > 203.0.113.9:22 tcp ssh sent 9M received 7 for 1h\n\
        alert pcr host:10.0.0.5 channel other 901M between 1d 09:00 and 1d 12:05";
    let Crime { span, bytes } = outcome(text, &[]).crimes[0];
    assert_eq!((span.from, span.to, bytes), (118_800_000_000, 129_600_000_000, 901_000_000));
}

#[test]
fn the_table_shows_what_was_found_and_what_is_wrong() {
    let right = outcome(TEXT, &[alert("10.0.0.5", "tls", "09:20", ["09:00", "10:04"])]);
    let end = right.crimes[0].span.to;
    assert!((122_000_000_000..122_402_000_000).contains(&end), "{end}");
    let many: Vec<Value> =
        (0..5).map(|_| alert("10.0.0.6", "dns", "09:20", ["09:00", "09:30"])).collect();
    let quiet = outcome("days 3\nquiet", &many);
    let innocent = "`host:10.0.0.6`, dns, 0.87, 1d 09:00 to 09:30";
    let late = (1440 + 10 * 60 + 4) - end.unsigned_abs().div_ceil(60_000_000);
    let expected = format!(
        "| scenario | records | expected | found: entity, channel, score, window, after the end | \
         verdict |\n|---|--:|---|---|---|\n\
         | one | 9 | `host:10.0.0.5`, tls, 700 MB, 1d 09:00 to 10:05 | \
         `host:10.0.0.5`, tls, 0.87, 1d 09:00 to 10:04, +0:{late:02} | right |\n\
         | one | 0 | quiet | {innocent}<br>{innocent}<br>{innocent}<br>and 2 more | \
         **wrong**: host:10.0.0.6 is innocent |\n\
         \n1 of 2 scenarios are right.\n"
    );
    assert_eq!(table(&[right, quiet]), expected);
}

#[test]
fn a_scenario_that_cannot_be_judged_is_wrong() {
    let names = ["no-such-scenario".to_owned(), "sequence-jump".to_owned()];
    let outcomes = evaluate(Path::new("/bin/false"), &names);
    let wrong: Vec<&str> = outcomes.iter().map(|it| it.wrong[0].as_str()).collect();
    assert!(wrong[0].starts_with("no-such-scenario: No such file"), "{wrong:?}");
    assert_eq!(wrong[1], "replay: ");
}
