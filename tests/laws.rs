//! What holds for every replay: same input, same bytes; nothing lost, nothing twice; the form of a
//! log does not matter.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{Place, Run, conn, gzip, header, http, sample};

#[test]
fn twice_the_same_bytes() {
    let place = Place::new();
    let first = place.replay_paths("a", &[sample()], &[]).ok();
    let second = place.replay_paths("b", &[sample()], &[]).ok();
    assert_eq!(first.all(), second.all());
    assert!(!first.alerts().is_empty() && !first.risk().is_empty());
}

#[test]
fn the_order_of_arguments_does_not_matter() {
    let place = Place::new();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(sample()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let first = place.replay_paths("a", &paths, &[]).ok();
    paths.reverse();
    let second = place.replay_paths("b", &paths, &[]).ok();
    let third = place.replay_paths("c", &[paths.clone(), vec![sample()]].concat(), &[]).ok();
    assert_eq!(first.all(), second.all());
    assert_eq!(first.all(), third.all());
}

#[test]
fn the_order_and_spelling_of_internal_networks_do_not_matter() {
    let place = Place::new();
    let networks = ["--internal", "10.0.0.0/8", "--internal", "192.168.0.0/16"];
    let spelled = [&["--internal", "192.168.7.7/16"], &networks[..]].concat();
    let config = ["--set", r#"sensor.internal=["192.168.0.0/16","10.0.0.0/8"]"#];
    let first = place.replay_paths("a", &[sample()], &networks).ok();
    let second = place.replay_paths("b", &[sample()], &spelled).ok();
    let third = place.replay_paths("c", &[sample()], &config).ok();
    assert!(first.all() == second.all() && first.all() == third.all());
    assert!(!first.alerts().is_empty());
}

/// One file of `rows`, and the same rows in several files, in other forms.
#[test]
fn files_and_their_borders_do_not_matter() {
    let row = |n: i64| {
        let hours = if n % 50 == 0 { 40_000 } else { n % 7 };
        format!(
            "{}.000000 C{n} 10.0.0.{} 203.0.113.9 {hours}.000000 {n}",
            1_700_000_000 + n * 60,
            n % 9
        )
    };
    let rows: Vec<String> = (0..3000).map(row).collect();
    let log = |rows: &[String]| conn(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = Place::with(&[("conn.log", log(&rows).as_bytes())]).replay(&[]).ok();
    let split = Place::new();
    for (index, part) in rows.chunks(700).enumerate() {
        let text = log(part);
        match index % 2 {
            0 => split.write(&format!("day{index}/conn.log"), text.as_bytes()),
            _ => split.write(&format!("day{index}/conn.log.gz"), &gzip(text.as_bytes())),
        }
    }
    let split = split.replay(&[]).ok();
    assert_eq!(scores(&whole), scores(&split));
    assert_eq!(sorted(whole.uids()), sorted(split.uids()));
    assert_eq!(whole.uids().len(), 3000);
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

/// Alerts and risk without the places in files, which differ from form to form: events by uid.
fn scores(run: &Run) -> Vec<Value> {
    let events = run.events().into_iter();
    let uid =
        |event: &Value| event["zeek"].as_object().unwrap().values().next().unwrap()["uid"].clone();
    let uids: BTreeMap<String, Value> = events
        .map(|event| (event["event"]["id"].as_str().unwrap().to_owned(), uid(&event)))
        .collect();
    let mut all = run.alerts();
    for alert in &mut all {
        for record in alert["ueba"]["evidence"].as_array_mut().unwrap() {
            *record = json!({"log": record["log"], "uid": record["uid"]});
        }
    }
    for mut risk in run.risk() {
        for part in risk["ueba"]["contributions"].as_array_mut().unwrap() {
            for id in part["evidence"].as_array_mut().unwrap() {
                *id = uids[id.as_str().unwrap()].clone();
            }
        }
        all.push(risk);
    }
    assert!(all.len() > 5, "nothing to compare");
    all
}

/// The events of a run as the logs that they were made from, in JSON.
fn as_json(run: &Run, log: &str) -> String {
    let dataset = format!("zeek.{log}");
    let events = run.events().into_iter().filter(|event| event["event"]["dataset"] == dataset);
    events
        .map(|event| {
            let mut record = event["zeek"][log].clone();
            record["_path"] = json!(log);
            record.to_string() + "\n"
        })
        .collect()
}

#[test]
fn tsv_and_json_give_the_same_scores() {
    let conns = [
        "1700000000.000001 C1 10.0.0.5 203.0.113.9 30000.123456 5",
        "1700000001.500000 C2 10.0.0.6 203.0.113.9 90000.000000 -",
        "1700000002.000000 C3 10.0.0.7 203.0.113.9 - 18446744073709551615",
    ];
    let https = [
        "1700000000.25|C4|10.0.0.5|203.0.113.9|GET|-|/a|1.1|200|-|text/html",
        "1700000000.50|C5|10.0.0.5|203.0.113.9|BREW|198.51.100.1|/x.jpg|1.1|200|-|application/x-dosexec",
        "1700000000.75|C6|10.0.0.5|203.0.113.9|GET|a.example|/\\xc3\\xa4|1.1|200|-|(empty)",
    ];
    let tsv = Place::with(&[
        ("conn.log", conn(&conns).as_bytes()),
        ("http.log", http(&https).as_bytes()),
    ]);
    let tsv = tsv.replay(&[]).ok();
    let json = Place::with(&[
        ("conn.json", as_json(&tsv, "conn").as_bytes()),
        ("http.json", as_json(&tsv, "http").as_bytes()),
    ]);
    let json = json.replay(&[]).ok();
    assert_eq!(scores(&tsv), scores(&json));
    let mut zeek = tsv.events();
    let mut again = json.events();
    for event in zeek.iter_mut().chain(&mut again) {
        event["event"]["id"] = Value::Null;
        event["zeek"].as_object_mut().unwrap().values_mut().for_each(|log| {
            log.as_object_mut().unwrap().remove("_path");
        });
    }
    assert_eq!(zeek, again);
}

#[test]
fn equal_findings_in_several_files_are_told_apart_by_what_they_say() {
    let rows = |file: usize| -> Vec<String> {
        let row = |n: usize| {
            let address = format!("198.51.100.{}", n % 7);
            format!(
                "17000000{n:02}.0|C{file}x{n}|10.0.0.5|203.0.113.9|BREW|{address}|/|1.1|200|-|-"
            )
        };
        (0..60).map(row).collect()
    };
    let names = ["a", "b", "c"];
    let (tsv, json) = (Place::new(), Place::new());
    for (file, name) in names.into_iter().enumerate() {
        let rows = rows(file);
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let log = http(&rows);
        tsv.write(&format!("{name}.log"), log.as_bytes());
        let alone = Place::with(&[("http.log", log.as_bytes())]).replay(&[]).ok();
        json.write(&format!("{name}.json"), as_json(&alone, "http").as_bytes());
    }
    assert_eq!(scores(&tsv.replay(&[]).ok()), scores(&json.replay(&[]).ok()));
}

#[test]
fn what_is_a_record_does_not_depend_on_who_asks() {
    let log = conn(&["1700000000.0 C1 10.0.0.5 203.0.113.9 90000.0 BAD"]);
    let place = Place::with(&[("conn.log", log.as_bytes())]);
    for (name, set) in [("all", "event.emit=all"), ("none", "event.emit=none")] {
        let run = place.replay_as(name, &["--set", set]).ok();
        assert_eq!(run.reasons(), ["bad_field 205 49"], "{set}");
        assert_eq!(run.alerts().len(), 0, "{set}");
    }
}

/// Durations, of `open_conn` or `conn`, in hours; how many alerts they make at `alert`.
fn check_alerts(alert: &str, logs: &[(&str, f64, &str)], expected: usize) {
    let place = Place::new();
    for (number, (name, hours, uid)) in logs.iter().enumerate() {
        let mut log = header(
            name,
            "ts uid id.orig_h id.resp_h id.resp_p duration",
            "time string addr addr port interval",
        );
        log += &format!(
            "17000000{number:02}.0\t{uid}\t10.0.0.5\t203.0.113.9\t{number}\t{}\n",
            hours * 3600.0
        );
        // One connection has one beginning.
        let log = if *uid == "-" {
            log
        } else {
            log.replace(&format!("17000000{number:02}"), "1700000000")
        };
        place.write(&format!("{name}.{number}.log"), log.as_bytes());
    }
    let run = place.replay(&["--set", &format!("stage.long-connection.alert={alert}")]).ok();
    assert_eq!(run.found().len(), expected, "{alert} {logs:?}");
}

#[test]
fn a_long_connection_alerts_once_when_its_score_reaches_the_mark() {
    check_alerts(
        "0.6",
        &[("open_conn", 9.0, "C1"), ("open_conn", 20.0, "C1"), ("conn", 70.0, "C1")],
        1,
    );
    check_alerts("0.5", &[("open_conn", 4.5, "C1"), ("conn", 7.9, "C1")], 1);
    check_alerts("0.5", &[("open_conn", 4.5, "C1"), ("open_conn", 7.0, "C1")], 1);
    check_alerts("0", &[("conn", 25.0, "C1")], 1);
    check_alerts("0.6", &[("conn", 25.0, "-"), ("conn", 25.0, "-")], 2);
    check_alerts("0.6", &[("conn", 0.9, "C1")], 0);
}

#[test]
fn a_copy_is_read_once_and_forks_both() {
    let rows: Vec<String> =
        (0..40).map(|n| format!("17000000{n:02}.0 C{n} 10.0.0.1 9.9.9.9 1.0 1")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let whole = conn(&rows);
    let cut = &whole[..whole.len() - 20];
    let mut other = rows.clone();
    other[29] = "1700000029.0 D29 10.0.0.1 9.9.9.9 1.0 1";
    let zipped = gzip(whole.as_bytes());
    let cut_gzip = zipped[..zipped.len() - 30].to_vec();
    let place = Place::with(&[
        ("conn.log", whole.as_bytes()),
        ("copy/conn.log", whole.as_bytes()),
        ("archive/conn.00:00:00-01:00:00.log.gz", &gzip(whole.as_bytes())),
        ("cut/conn.log", cut.as_bytes()),
        ("half/conn.log.gz", &cut_gzip),
        ("fork/conn.log", conn(&other).as_bytes()),
    ]);
    let run = place.replay(&[]).ok();
    assert_eq!(run.uids().len(), 80, "{}", run.stdout);
    assert_eq!(run.letters(), Vec::<Value>::new());
    assert!(run.stdout.contains("4 copies, read once · 1 forks"), "{}", run.stdout);
    let ids: std::collections::BTreeSet<String> =
        run.events().iter().map(|event| event["event"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 80);
}

#[test]
fn records_are_merged_by_the_time_at_which_they_were_written() {
    let dns = header("dns", "ts uid query", "time string string");
    let place = Place::with(&[
        ("conn.log", conn(&["100.0 long 10.0.0.1 9.9.9.9 50.0 1"]).as_bytes()),
        ("dns.log", format!("{dns}120.0\tfirst\ta\n160.0\tlast\tb\n").as_bytes()),
    ]);
    assert_eq!(place.replay(&[]).ok().uids(), ["first", "long", "last"]);
}

#[test]
fn one_wild_time_makes_nothing_late() {
    let mut rows: Vec<String> =
        (0..100).map(|n| format!("17000000{n:02}.0 C{n} 10.0.0.1 9.9.9.9 1.0 1")).collect();
    rows.insert(0, "4000000000.0 wild0 10.0.0.1 9.9.9.9 1.0 1".to_owned());
    rows.insert(50, "4000000000.0 wild1 10.0.0.1 9.9.9.9 1.0 1".to_owned());
    rows.insert(70, "-5.0 wild2 10.0.0.1 9.9.9.9 1.0 1".to_owned());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let run = Place::with(&[("conn.log", conn(&rows).as_bytes())]).replay(&[]).ok();
    let tagged: Vec<String> = run
        .events()
        .iter()
        .filter(|event| event["tags"] == json!(["timestamp_out_of_range"]))
        .map(|event| event["zeek"]["conn"]["uid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tagged, ["wild0", "wild1", "wild2"]);
    let line = run.stdout.lines().find(|line| line.starts_with("conn")).unwrap();
    assert!(line.ends_with(" 1"), "one late row, the one of 1969: {line}");
}

#[test]
fn a_connection_of_three_days_alerts_once_and_one_of_an_hour_less_a_second_never() {
    let place = Place::new();
    for hour in 1..72_i64 {
        let mut log = header(
            "open_conn",
            "ts uid id.orig_h id.resp_h duration",
            "time string addr addr interval",
        );
        log += &format!("1700000000.0\tClong\t10.0.0.1\t9.9.9.9\t{}.0\n", hour * 3600);
        place.write(&format!("d/open_conn.{hour:02}.log"), log.as_bytes());
    }
    let closed = [
        "1700000000.0 Clong 10.0.0.1 9.9.9.9 259200.0 1",
        "1700259000.0 Cshort 10.0.0.2 9.9.9.9 3599.999999 1",
    ];
    place.write("conn.log", conn(&closed).as_bytes());
    let run = place.replay(&[]).ok();
    let alerts = run.found();
    assert_eq!(alerts.len(), 1, "{}", run.stdout);
    assert_eq!(alerts[0]["ueba"]["entity"], "host:10.0.0.1");
    // Eight hours are the rung at which it becomes an alert.
    assert_eq!(alerts[0]["@timestamp"], "2023-11-15T06:13:20.000000Z");
    assert!(run.risk().iter().all(|risk| risk["ueba"]["entity"] == "host:10.0.0.1"));
    assert_eq!(run.events().len(), 73);
}

#[test]
fn evidence_leads_back_to_its_line() {
    let place = Place::new();
    let run =
        place.replay_paths("out", &[sample()], &["--set", "stage.http-oddities.alert=0.2"]).ok();
    let mut checked = 0;
    for alert in run.alerts() {
        for record in alert["ueba"]["evidence"].as_array().unwrap() {
            let path = sample().join(record["file"].as_str().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                let mut plain = Vec::new();
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
                bytes = plain;
            }
            let offset = record["offset"].as_u64().unwrap() as usize;
            let line = bytes[offset..].split(|&byte| byte == b'\n').next().unwrap();
            let line: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(line["uid"], record["uid"]);
            checked += 1;
        }
    }
    assert!(checked >= 2, "{}", run.stdout);
}

/// An archive of a quiet month is merged with few files open and in order.
#[test]
fn a_month_of_hourly_archives() {
    let place = Place::new();
    for hour in 0..720_i64 {
        let start = 1_700_000_000 + hour * 3600;
        let row = format!("{start}.0 C{hour} 10.0.0.1 9.9.9.9 1.0 1");
        place.write(&format!("{hour:03}/conn.log.gz"), &gzip(conn(&[&row]).as_bytes()));
    }
    let run = place.replay(&[]).ok();
    let expected: Vec<String> = (0..720).map(|hour| format!("C{hour}")).collect();
    assert_eq!(run.uids(), expected);
}

/// More files that overlap in time than a lane keeps open.
#[test]
fn three_hundred_loggers_at_once() {
    let place = Place::new();
    for logger in 0..300_i64 {
        let rows: Vec<String> = (0..5)
            .map(|n| format!("17000000{n}0.{logger:06} C{logger}x{n} 10.0.0.1 9.9.9.9 1.0 1"))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        place.write(&format!("{logger}/conn.log"), conn(&rows).as_bytes());
    }
    let first = place.replay_as("a", &[]).ok();
    let second = place.replay_as("b", &[]).ok();
    assert_eq!(first.all(), second.all());
    assert_eq!(first.uids().len(), 1500);
}

#[test]
fn a_replay_in_two_parts_is_one_replay() {
    let rows = |from: usize, to: usize| -> Vec<String> {
        let row = |n: usize| {
            let (ts, method) =
                (1_700_000_000 + n * 60, if n.is_multiple_of(3) { "BREW" } else { "GET" });
            format!("{ts}.0|C{n}|10.0.0.{}|203.0.113.9|{method}|198.51.100.1|/|1.1|200|-|-", n % 4)
        };
        (from..to).map(row).collect()
    };
    let log = |rows: &[String]| http(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let (first, second) = (log(&rows(0, 200)), log(&rows(200, 400)));
    let both = Place::with(&[("a.log", first.as_bytes()), ("b.log", second.as_bytes())]);
    let whole = both.replay(&[]).ok();
    let state = both.path().join("state");
    let part = |name: &str, paths: &[PathBuf]| {
        both.replay_paths(name, paths, &["--state", state.to_str().unwrap()]).ok()
    };
    let (a, b) = (both.logs().join("a.log"), both.logs().join("b.log"));
    let one = part("one", std::slice::from_ref(&a));
    let two = part("two", &[a, b]);
    assert_eq!([one.events(), two.events()].concat(), whole.events(), "a.log is not read again");
    assert_eq!([one.alerts(), two.alerts()].concat(), whole.alerts());
    assert_eq!(two.risk().last(), whole.risk().last(), "the state goes on where it was left");
}

/// A user is whoever a client of ours says it is: outsiders may say anything.
#[test]
fn outsiders_raise_no_users_risk() {
    let row = |uid: &str, orig: &str, resp: &str, user: &str| {
        json!({
            "_path": "http", "ts": 1.5, "uid": uid, "id.orig_h": orig, "id.resp_h": resp,
            "method": "BREW", "host": "198.51.100.7", "uri": "/", "username": user,
        })
    };
    let log = format!(
        "{}\n{}\n",
        row("C1", "203.0.113.9", "10.0.0.5", "alice"),
        row("C2", "10.0.0.6", "203.0.113.9", "bob")
    );
    let place = Place::with(&[("http.log", log.as_bytes())]);
    let risk = place.replay(&[]).ok().risk();
    let has = |entity: &str| risk.iter().any(|it| it["ueba"]["entity"] == entity);
    assert!(has("user:bob") && has("host:10.0.0.5"), "{risk:?}");
    assert!(!has("user:alice"), "{risk:?}");
}
