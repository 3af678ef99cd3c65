//! The days of the office: how sessions are cut, what holds for the rows, and what is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::days::{
    Kind, Logs, Office, SOURCES, Said, between_marks, evaluate, judge, names, plant, poisson,
    sessions, tables,
};
use super::evaluation::{DAY, DAY_0, SECOND};
use crate::common::header;

const CONN: &str = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration \
                    orig_bytes resp_bytes conn_state missed_bytes history orig_pkts orig_ip_bytes \
                    resp_pkts resp_ip_bytes";
const HTTP: &str = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p method host uri user_agent \
                    response_body_len resp_fuids";

/// A capture of each source: in every 40 seconds some connections.
fn captures() -> TempDir {
    let place = TempDir::new().unwrap();
    for (n, source) in SOURCES.iter().enumerate() {
        let (conn, http) = capture(source.client, n);
        let directory = place.path().join("zeek").join(source.directory).join(format!("part{n}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("conn.00:00:00-01:00:00.log"), conn).unwrap();
        fs::write(directory.join("http.log"), http).unwrap();
    }
    place
}

fn capture(client: &str, n: usize) -> (String, String) {
    let types = |fields: &str| vec!["string"; fields.split_whitespace().count()].join(" ");
    let fields = |fields: &str| fields.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut conn = header("conn", &fields(CONN), &types(CONN));
    let mut http = header("http", &fields(HTTP), &types(HTTP));
    for session in 0..30 {
        for at in 0..3 {
            let uid = format!("C{n}x{session}x{at}");
            let ts = format!("{}.500000", 1_600_000_000 + session * 40 + at);
            let (host, port) = (format!("93.184.{n}.{}", session % 7 + at), [443, 80, 53][at]);
            let (proto, service) = [("tcp", "ssl"), ("tcp", "http"), ("udp", "dns")][at];
            let sent = 900 + session * 37;
            let row = format!("{ts}\t{uid}\t{client}\t4{at}000\t{host}\t{port}");
            conn.push_str(&format!(
                "{row}\t{proto}\t{service}\t1.250000\t{sent}\t{}\tSF\t0\tShADadFf\t7\t{}\t9\t{}\n",
                sent * 20,
                sent + 364,
                sent * 20 + 468
            ));
            if at == 1 {
                let files = format!("F{session}a,F{session}b");
                http.push_str(&format!(
                    "{row}\tGET\twww.example.org\t/{session}\tFirefox/123.0\t{}\t{files}\n",
                    sent * 20
                ));
            }
        }
    }
    (conn, http)
}

/// The rows of a log, by column.
fn rows(logs: &Logs, kind: Kind) -> Vec<BTreeMap<String, String>> {
    let text = logs.render(kind);
    let fields = text.lines().find_map(|line| line.strip_prefix("#fields\t")).unwrap();
    let fields: Vec<&str> = fields.split('\t').collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), fields.len(), "{line}");
        fields.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn micros(cell: &str) -> i64 {
    if cell == "-" {
        0
    } else {
        zeek_ueba::base::time::Time::parse_seconds(cell.as_bytes()).unwrap()
    }
}

#[test]
fn intervals_are_those_of_the_tables() {
    // E. S. Pearson and H. O. Hartley, "Biometrika Tables for Statisticians", table 40.
    let known = [
        (0, 0.0, 3.689),
        (1, 0.0253, 5.572),
        (3, 0.619, 8.767),
        (10, 4.795, 18.39),
        (50, 37.11, 65.92),
    ];
    for (count, low, high) in known {
        let (from, to) = poisson::interval(count);
        let is_near = |one: f64, other: f64| (one - other).abs() <= 0.0006 * other.max(1.0);
        assert!(is_near(from, low) && is_near(to, high), "{count}: {from} to {to}");
    }
}

#[test]
fn without_the_data_it_says_what_is_missing() {
    let place = TempDir::new().unwrap();
    let error = Office::new("a", place.path()).err().unwrap();
    assert!(error.contains("zeek/rita_proxy_rolling is not there"), "{error}");
    assert!(error.contains("--data DIR"), "{error}");
}

#[test]
fn a_session_ends_with_a_pause_and_holds_the_rows_of_its_connections() {
    let place = captures();
    let all = sessions(place.path(), &SOURCES[0]).unwrap();
    // Forty seconds apart; three connections, one of which has a request.
    assert_eq!(all.len(), 30);
    for session in &all {
        let kinds: Vec<Kind> = session.lines.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [Kind::Conn, Kind::Conn, Kind::Http, Kind::Conn]);
        assert_eq!(session.connections, 3);
    }
}

#[test]
fn the_same_seed_gives_the_same_days_and_a_planting_only_adds() {
    let place = captures();
    let days = |seed: &str| Office::new(seed, place.path()).unwrap().days();
    let [first, second, other] = ["a", "a", "b"].map(days);
    for kind in [Kind::Conn, Kind::Http] {
        assert!(first.render(kind) == second.render(kind));
        assert!(first.render(kind) != other.render(kind));
    }
    let office = Office::new("a", place.path()).unwrap();
    let clean = first.render(Kind::Conn);
    let usual: BTreeSet<&str> = clean.lines().collect();
    let [ts, duration] = ["ts", "duration"]
        .map(|name| Kind::Conn.names().iter().position(|known| *known == name).unwrap());
    for name in names() {
        let mut logs = first.clone();
        let planting = plant(name, &office, &mut logs);
        let text = logs.render(Kind::Conn);
        let added: Vec<&str> = text.lines().filter(|line| !usual.contains(line)).collect();
        assert!(added.len() >= 60, "{name}: {}", added.len());
        assert_eq!(added.len() + usual.len(), text.lines().count(), "{name}");
        for row in added {
            let cells: Vec<&str> = row.split('\t').collect();
            let time = micros(cells[ts]) - DAY_0;
            // A session, or the question for a name, may lie a little beside it.
            let is_then = time >= planting.from - SECOND
                && time + micros(cells[duration]) <= planting.to + DAY / 8;
            assert!(is_then, "{name}: {row}");
        }
    }
}

#[test]
fn rows_are_of_the_office_and_as_zeek_writes_them() {
    let place = captures();
    let office = Office::new("a", place.path()).unwrap();
    let logs = office.days();
    let conn = rows(&logs, Kind::Conn);
    assert!(conn.len() > 20_000, "{}", conn.len());
    let uids: BTreeSet<&str> = conn.iter().map(|row| row["uid"].as_str()).collect();
    assert_eq!(uids.len(), conn.len(), "a uid twice");
    let http = rows(&logs, Kind::Http);
    assert!(
        http.len() * 4 > conn.len() && http.iter().all(|row| uids.contains(row["uid"].as_str()))
    );
    let fuids: BTreeSet<&str> = http.iter().flat_map(|row| row["resp_fuids"].split(',')).collect();
    assert_eq!(fuids.len(), 2 * http.len(), "a fuid twice");
    let agents: BTreeSet<&str> = http.iter().map(|row| row["user_agent"].as_str()).collect();
    assert_eq!(agents.into_iter().collect::<Vec<_>>(), ["Firefox/123.0", "Firefox/124.0"]);
    let ends: Vec<i64> =
        conn.iter().map(|row| micros(&row["ts"]) + micros(&row["duration"])).collect();
    assert!(ends.is_sorted(), "Zeek writes a connection when it ends");
    let hosts: BTreeSet<String> = office.hosts.iter().map(|host| host.address.clone()).collect();
    assert_eq!(hosts.len(), 44);
    let mut by_kind = [0_usize; 2];
    for row in &conn {
        assert!(hosts.contains(&row["id.orig_h"]), "{row:?}");
        let is_local = row["id.resp_h"].starts_with("10.20.");
        assert_eq!(
            (row["local_orig"].as_str(), row["local_resp"] == "T"),
            ("T", is_local),
            "{row:?}"
        );
        let is_dns = row["id.resp_p"] == "53";
        assert!(!is_dns || row["id.resp_h"] == "10.20.0.2", "{row:?}");
        let number = |name: &str| row[name].parse::<u64>().unwrap();
        assert!(number("orig_ip_bytes") >= number("orig_bytes") + 60, "{row:?}");
        assert!(number("resp_ip_bytes") >= number("resp_bytes") + 60, "{row:?}");
        by_kind[usize::from((micros(&row["ts"]) - DAY_0).div_euclid(DAY).rem_euclid(7) >= 5)] += 1;
    }
    assert!(by_kind[0] > 5 * by_kind[1], "weekends are quiet: {by_kind:?}");
    let distinct: BTreeSet<&str> = conn.iter().map(|row| row["orig_bytes"].as_str()).collect();
    assert!(distinct.len() > 200, "bytes vary: {}", distinct.len());
}

/// An hour of a day, in a document.
fn hour(day: i64, hour: i64) -> String {
    format!("2024-03-{:02}T{hour:02}:00:00.000000Z", 4 + day)
}

/// A document of a risk.
fn risk(time: String, entity: &str, points: &[(&str, f64)]) -> String {
    let contribution = |(module, points): &(&str, f64)| json!({"module": module, "points": points});
    let contributions: Vec<Value> = points.iter().map(contribution).collect();
    let ueba = json!({"entity": entity, "contributions": contributions});
    format!("{}\n", json!({"@timestamp": time, "ueba": ueba}))
}

/// A document of an alert of an hour.
fn alert((day, from): (i64, i64), entity: &str, detector: &str) -> String {
    let reason = json!({"feature": "peers", "observed": 12.0, "expected": "about 1",
        "contribution": 0.75});
    let window = json!({"start": hour(day, from), "end": hour(day, from + 1)});
    let document = json!({
        "@timestamp": hour(day, from),
        "event": {"action": "opened"},
        "rule": {"name": detector},
        "ueba": {"entity": entity, "score": 0.75, "window": window, "reasons": [reason]},
    });
    format!("{document}\n")
}

#[test]
fn what_is_found_is_told_from_what_is_usual_and_ranked_with_and_without_a_module() {
    let place = captures();
    let office = Office::new("a", place.path()).unwrap();
    let mut logs = office.days();
    let planting = plant("scanner", &office, &mut logs);
    let guilty = planting.guilty.clone().unwrap();
    let usual = alert((16, 14), "host:10.20.1.20", "pcr");
    let clean = Said::read(&usual, "").unwrap();
    let alerts = [
        usual.as_str(),
        &alert((16, 14), &guilty, "baseline"),
        &alert((16, 15), "host:10.20.1.21", "baseline"),
        &alert((3, 9), "host:10.20.1.22", "baseline"),
    ];
    let risks = [
        risk(hour(16, 15), &guilty, &[("baseline", 40.0), ("pcr", 8.0)]),
        risk(hour(16, 15), "host:10.20.1.20", &[("pcr", 30.0)]),
        risk(hour(16, 16), "host:10.20.1.21", &[("pcr", 20.0)]),
        risk(hour(15, 16), "host:10.20.1.21", &[("pcr", 90.0)]),
    ];
    let said = Said::read(&alerts.concat(), &risks.concat()).unwrap();
    let verdict = judge(&planting, &said, &clean);
    assert_eq!(verdict.of_it.len(), 1);
    assert_eq!(verdict.others.len(), 1, "neither what is usual nor what was before");
    assert_eq!((verdict.first_day, verdict.best_day), (Some(1), Some(1)));
    assert_eq!(verdict.without["baseline"], (false, Some(3)));
    assert_eq!(verdict.without["pcr"], (true, Some(1)));
}

#[test]
fn the_whole_finds_a_scanner_and_writes_its_tables() {
    let place = captures();
    let program = Path::new(env!("CARGO_BIN_EXE_zeek-ueba"));
    let days = evaluate(program, place.path(), &["scanner"]).unwrap();
    let [(planting, verdict)] = days.planted.as_slice() else { panic!("one was planted") };
    assert!(!verdict.of_it.is_empty() && verdict.best_day == Some(1), "{verdict:?}");
    let tables = tables(&days);
    for words in [planting.name, "| `baseline` |", "interval of 95 %", "without `baseline`"] {
        assert!(tables.contains(words), "{words}: {tables}");
    }
    let text = "a\n<!-- days -->\nold\n<!-- /days -->\nb\n";
    let new = between_marks(text, "new\n").unwrap();
    assert_eq!(new, "a\n<!-- days -->\nnew\n<!-- /days -->\nb\n");
    assert_eq!(between_marks("a", "new"), None);
}
