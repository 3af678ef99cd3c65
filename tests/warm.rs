//! An archive fills the profiles, and what comes after is held against them, as if all of it had been
//! read at once.

use std::path::PathBuf;

use serde_json::Value;

use crate::common::{Place, Run, program};

/// A Monday, in seconds.
const START: i64 = 1_709_510_400;
const DAY: i64 = 86_400;
/// Days of the archive.
pub(crate) const DAYS: i64 = 6;
/// Two departments of as many.
const HOSTS: i64 = 24;

fn host(n: i64) -> String {
    format!("10.0.0.{}", 10 + n)
}

/// A connection; it ends a second later.
fn row(ts: i64, uid: &str, (orig, resp): (&str, &str), service: &str, bytes: (i64, i64)) -> String {
    let port = if service == "dns" { 53 } else { 443 };
    format!(
        "{{\"_path\":\"conn\",\"ts\":{ts}.5,\"uid\":\"{uid}\",\"id.orig_h\":\"{orig}\",\"id.orig_p\":40000,\
         \"id.resp_h\":\"{resp}\",\"id.resp_p\":{port},\"proto\":\"tcp\",\"service\":\"{service}\",\
         \"duration\":1.0,\"orig_bytes\":{},\"resp_bytes\":{},\"conn_state\":\"SF\"}}\n",
        bytes.0, bytes.1
    )
}

/// An ordinary day: of each host a few connections in each hour of work, of one department more
/// than of the other. What `more` has at a time of the day comes in between.
pub(crate) fn day(day: i64, more: &[(i64, String)]) -> String {
    let mut more = more.iter().peekable();
    let mut text = String::new();
    for slot in 0..10 * 4 {
        let time = 8 * 3600 + slot * 900;
        while let Some((_, row)) = more.next_if(|(at, _)| *at < time) {
            text.push_str(row);
        }
        for n in 0..HOSTS {
            let at = START + day * DAY + time + n;
            let site = format!("198.51.100.{}", (n * 7 + slot * 3 + day) % (5 + n / 12 * 40));
            let received = 900_000 + (n * 31 + slot * 17 + day * 13) % 11 * 90_000;
            let uid = format!("C{day}x{slot}x{n}");
            let bytes = (received / 14, received);
            text.push_str(&row(at, &uid, (&host(n), &site), "ssl", bytes));
            if slot % 4 == 0 {
                let resolver = (host(n), "10.0.0.2");
                let bytes = (400, 1300);
                text.push_str(&row(
                    at,
                    &format!("{uid}d"),
                    (&resolver.0, resolver.1),
                    "dns",
                    bytes,
                ));
            }
        }
    }
    more.for_each(|(_, row)| text.push_str(row));
    text
}

/// So many bytes to one that was never seen, at an hour and minute.
pub(crate) fn upload(day: i64, (hour, minute): (i64, i64), to: &str, bytes: i64) -> (i64, String) {
    let time = hour * 3600 + minute * 60;
    let uid = format!("Cup{day}x{hour}x{minute}");
    (time, row(START + day * DAY + time, &uid, (&host(3), to), "ssl", (bytes, bytes / 200)))
}

/// `stage entity window score` of each alert.
fn told(run: &Run) -> Vec<String> {
    let line = |alert: &Value| {
        let ueba = &alert["ueba"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let score = ueba["score"].as_f64().unwrap();
        format!(
            "{} {} {} {score:.2}",
            word(&ueba["detector"]),
            word(&ueba["entity"]),
            word(&ueba["window"]["start"])
        )
    };
    run.found().iter().map(line).collect()
}

fn of_pcr(run: &Run) -> Vec<String> {
    told(run).into_iter().filter(|line| line.starts_with("pcr ")).collect()
}

/// A place with a log for each day.
fn place(days: &[String]) -> Place {
    let place = Place::new().without_models();
    for (n, day) in days.iter().enumerate() {
        place.write(&format!("day{n}.log"), day.as_bytes());
    }
    place
}

/// What a state says of profiles: the list, and all of one.
fn profiles(place: &Place, state: &str) -> [String; 2] {
    let say = |args: &[&str]| {
        let mut command = program();
        command.current_dir(place.path()).arg("profile").args(args);
        let output = command.args(["--json", "--from", state]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    [say(&["list"]), say(&["show", &host(3)])]
}

const OFF: &[&str] = &[
    "--set",
    "stage.baseline.enabled=false",
    "--set",
    "stage.peer-group.enabled=false",
    "--set",
    "stage.isolation-forest.enabled=false",
];

/// What goes out is found whether a profile is there or not: it is judged before it is learned, also
/// where the program stopped in between.
#[test]
fn what_goes_out_is_found_with_profiles_and_without() {
    let mut days: Vec<String> = (0..DAYS).map(|n| day(n, &[])).collect();
    days.push(day(DAYS, &[upload(DAYS, (19, 10), "203.0.113.9", 700_000_000)]));
    days.push(day(DAYS + 1, &[upload(DAYS + 1, (10, 20), "203.0.113.10", 700_000_000)]));
    let place = place(&days);
    let with = place.replay(&[]).ok();
    let expected = [
        "pcr host:10.0.0.13 2024-03-10T19:00:00.000000Z 1.00",
        "pcr host:10.0.0.13 2024-03-11T10:00:00.000000Z 1.00",
    ];
    assert_eq!(of_pcr(&with), expected);
    let without = place.replay_as("off", OFF).ok();
    assert_eq!(of_pcr(&without), expected);
    // A profile that nobody else finds anything by learns little of what this stage finds.
    let quiet = place.replay_as("quiet", &OFF[..2]).ok();
    assert_eq!(of_pcr(&quiet), expected);
    let reasons = |run: &Run| -> Vec<Value> {
        let alerts = run.found();
        let alert = alerts.iter().find(|alert| alert["ueba"]["detector"] == "pcr").unwrap();
        let all = alert["ueba"]["reasons"].as_array().unwrap();
        all.iter().filter(|reason| reason["feature"] == "profile").cloned().collect()
    };
    let history = reasons(&with)[0]["expected"].as_str().unwrap().to_owned();
    assert!(history.starts_with("70 hours on 6 days, peer group "), "{history}");
    assert_eq!(reasons(&without), [Value::Null; 0]);
    assert_eq!(place.replay_as("again", &[]).ok().all(), with.all());
}

/// What comes late counts in the hour that is open, which no profile has learned.
#[test]
fn what_comes_late_is_held_against_the_hours_before() {
    let mut days: Vec<String> = (0..DAYS).map(|n| day(n, &[])).collect();
    let late =
        |hour: i64| (20 * 3600 + 1801, upload(DAYS, (hour, 10), "203.0.113.9", 700_000_000).1);
    let clock = |minute: i64| upload(DAYS, (20, minute), "203.0.113.9", 1000);
    // By the clock of the log it is half past eight, then comes one of an hour before, twice.
    days.push(day(DAYS, &[clock(29), clock(30), late(19), late(18), clock(45)]));
    let place = place(&days);
    let expected = ["pcr host:10.0.0.13 2024-03-10T20:00:00.000000Z 1.00"];
    assert_eq!(of_pcr(&place.replay(&[]).ok()), expected);
    assert_eq!(of_pcr(&place.replay_as("off", OFF).ok()), expected);
}

/// All of these files at once, and one after another, each time from the state that was left: the
/// runs, with what they wrote together, and what is said of profiles in the end.
fn at_once_and_one_after_another(place: &Place, files: &[&str]) -> [(Vec<Run>, [String; 2]); 2] {
    let path = |name: &&str| place.logs().join(name);
    let paths: Vec<PathBuf> = files.iter().map(path).collect();
    let run = |name: &str, count: usize| {
        place.replay_paths(name, &paths[..count], &["--state", &name[..5]]).ok()
    };
    let whole = vec![run("whole", paths.len())];
    let parts = (1..=paths.len()).map(|count| run(&format!("parts{count}"), count)).collect();
    [(whole, profiles(place, "whole")), (parts, profiles(place, "parts"))]
}

fn all(runs: &[Run]) -> [Vec<Value>; 2] {
    let of = |what: fn(&Run) -> Vec<Value>| runs.iter().flat_map(what).collect();
    [of(Run::alerts), of(Run::risk)]
}

/// Stopped within the hour of it, at its end, and a day later, it is the same.
#[test]
fn a_restart_beside_what_goes_out_changes_nothing() {
    let out = |n: i64| upload(DAYS, (18 + n, 10), &format!("203.0.113.{n}"), 300_000_000);
    let days: Vec<String> = (0..DAYS).map(|n| day(n, &[])).collect();
    let last = day(DAYS, &[out(0), out(1), out(2)]);
    let place = place(&days);
    let rows: Vec<&str> = last.split_inclusive('\n').collect();
    // Each ends with what goes out in an hour.
    let ends = [rows.len() - 2, rows.len() - 1, rows.len()];
    let mut files = vec!["day0.log", "day1.log", "day2.log", "day3.log", "day4.log", "day5.log"];
    for (name, (from, to)) in ["a.log", "b.log", "c.log"].into_iter().zip([
        (0, ends[0]),
        (ends[0], ends[1]),
        (ends[1], ends[2]),
    ]) {
        place.write(name, rows[from..to].concat().as_bytes());
        files.push(name);
    }
    place.write("next.log", day(DAYS + 1, &[]).as_bytes());
    files.push("next.log");
    let [(whole, held), (parts, held_by_parts)] = at_once_and_one_after_another(&place, &files);
    assert_eq!(of_pcr(&whole[0]).len(), 3, "{:?}", told(&whole[0]));
    assert_eq!(all(&parts), all(&whole));
    assert_eq!(held_by_parts, held);
}

/// What changes on the last day is found by who knows the days before, and only so.
#[test]
fn an_archive_warms_what_comes_after() {
    // Forty connections inside, on a port that nobody has.
    let scan = |day: i64| -> Vec<(i64, String)> {
        let probe = |n: i64| {
            let time = 14 * 3600 + n * 20;
            let to = format!("10.0.7.{n}");
            let uid = format!("Cscan{day}x{n}");
            (time, row(START + day * DAY + time, &uid, (&host(5), &to), "-", (0, 0)))
        };
        (1..120).map(probe).collect()
    };
    let mut more = scan(DAYS);
    more.push(upload(DAYS, (19, 10), "203.0.113.9", 700_000_000));
    let mut days: Vec<String> = (0..DAYS).map(|n| day(n, &[])).collect();
    days.push(day(DAYS, &more));
    // Which closes all windows of that day.
    days.push(day(DAYS + 1, &[]));
    let place = place(&days);
    let names: Vec<String> = (0..days.len()).map(|n| format!("day{n}.log")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [(whole, held), (parts, held_by_parts)] = at_once_and_one_after_another(&place, &names);
    assert_eq!(all(&parts), all(&whole));
    assert_eq!(held_by_parts, held);
    assert!(held[0].lines().count() >= HOSTS as usize, "{}", held[0]);
    let warm = told(&whole[0]);
    for found in ["pcr host:10.0.0.13 2024-03-10T19", "baseline host:10.0.0.15 2024-03-10T14"] {
        assert!(warm.iter().any(|line| line.starts_with(found)), "{found}: {warm:?}");
    }
    let cold = place
        .replay_paths("cold", &[place.logs().join("day6.log"), place.logs().join("day7.log")], &[])
        .ok();
    assert_eq!(told(&cold), [""; 0]);
}
