//! Records that are hostile by what they hold, or by how many they are, through all sinks at once
//! (docs/faults.md).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::PATIENCE;
use super::oracle::{Found, Holds, Rig};
use super::search::Engine;
use crate::common::{conn, header};
use crate::services::kafka;

/// A daemon with a real broker and a real engine, not started yet.
fn real() -> (Rig, Engine) {
    let mut rig = Rig::new();
    let engine = Engine::new(rig.place.path());
    rig.kafka(&kafka(), &kafka());
    rig.engine_by(engine.args());
    (rig, engine)
}

/// What a log held, as docs/consumers.md says that it can be read back: bytes that are not UTF-8 and
/// surrogates without a partner stand in angle brackets.
fn read_back(text: &str, is_escaped: bool) -> String {
    if !is_escaped {
        return text.to_owned();
    }
    let (mut back, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('\\') {
        back.push_str(before);
        let (kind, behind) = behind.split_at(1);
        let digits = match kind {
            "x" => 2,
            "u" => 4,
            _ => 0,
        };
        match digits {
            0 => back.push_str(kind),
            _ => write!(back, "<{}>", &behind[..digits]).unwrap(),
        }
        rest = &behind[digits..];
    }
    back + rest
}

/// What the TSV of a log holds, and what was meant.
const TSV: [(&[u8], &str); 7] = [
    (b"a\\x00b\\x1b[2J\\x7f", "a\0b\x1b[2J\x7f"),
    (b"a\\xff", "a<ff>"),
    (b"a\xff", "a<ff>"),
    (b"\\\\x41\xfe\\\\", "\\x41<fe>\\"),
    (b"\\\\xff", "\\xff"),
    (b"\xed\xa0\x80", "<ed><a0><80>"),
    (b"\xf0\x9f\x98\x80\"\\\\\xc3\xa9", "\u{1f600}\"\\\u{e9}"),
];

/// The same of JSON.
const JSON: [(&[u8], &str); 9] = [
    (b"a\\ud800b", "a<d800>b"),
    (b"a\\\\ud800b", "a\\ud800b"),
    (b"\\\\ud800\\ud800", "\\ud800<d800>"),
    (b"\\udc00\\ud800", "<dc00><d800>"),
    (b"a\\\\xffb\xff", "a\\xffb<ff>"),
    (b"\\u005cxfe\xff", "\\xfe<ff>"),
    (b"\\u0000\\u001f\\u007f\\b", "\0\x1f\x7f\x08"),
    (b"\\ud83d\\ude00\\\"\\\\", "\u{1f600}\"\\"),
    (b"\xed\xa0\x80", "<ed><a0><80>"),
];

#[test]
fn f23_bytes_that_are_no_text() {
    let (mut rig, engine) = real();
    let mut meant = BTreeMap::new();
    let mut text = crate::common::http(&[]).into_bytes();
    for (n, (held, means)) in TSV.into_iter().enumerate() {
        let (key, ts) = (format!("D{n}"), 1_700_000_000 + n);
        let row = format!("{ts}.5\t{key}\t10.0.0.5\t9.9.9.9\tGET\ta.example\t");
        text.extend_from_slice(&[row.as_bytes(), held, b"\t1.1\t200\t-\t-\n"].concat());
        meant.insert(key, means);
    }
    rig.write("http", &text, meant.keys().cloned().collect::<Vec<_>>());
    for (n, (held, means)) in JSON.into_iter().enumerate() {
        let (key, ts) = (format!("C{n}"), 1_700_000_000 + n);
        let row = format!(
            "{{\"ts\":{ts}.5,\"uid\":\"{key}\",\"id.orig_h\":\"10.0.0.5\",\"id.orig_p\":1,\
             \"id.resp_h\":\"9.9.9.9\",\"id.resp_p\":53,\"proto\":\"udp\",\"query\":\""
        );
        // Once in a field that is known, once in one that is not.
        let text = [row.as_bytes(), held, b"\",\"other\":\"", held, b"\"}\n"].concat();
        meant.insert(key.clone(), means);
        rig.write("dns", &text, [key]);
    }
    rig.daemon.start();
    let found = rig.check(Some(&engine));
    assert!(found.letters.is_empty(), "{:?}", found.letters);
    assert_eq!(found.events.len(), meant.len());
    for event in found.events.values() {
        let escaped: Vec<Value> = event["ueba"]["escaped"].as_array().cloned().unwrap_or_default();
        let (record, fields) = match event["zeek"].get("dns") {
            Some(record) => (record, &["query", "other"][..]),
            None => (&event["zeek"]["http"], &["uri"][..]),
        };
        for field in fields {
            let back =
                read_back(record[*field].as_str().unwrap(), escaped.contains(&(*field).into()));
            assert_eq!(back, meant[record["uid"].as_str().unwrap()], "{field} of {event}");
        }
    }
}

fn sum(found: &Found, name: &str) -> u64 {
    found.metrics.sum(name) as u64
}

#[test]
fn f27_times_in_every_sink() {
    const DAY: i64 = 86_400;
    let (mut rig, engine) = real();
    let base = 1_700_000_000; // 2023-11-14T22:13:20Z
    // A time, the day of its index, and whether it is out of range.
    let times = [
        (base, "2023.11.14", false),
        (base + 1000, "2023.11.14", false),
        (base + 100, "2023.11.14", false),
        (base - 3 * DAY, "2023.11.11", false),
        (base + 2 * DAY, "2023.11.16", false),
        (0, "2023.11.14", true),
        (-5, "2023.11.14", true),
        (9_999_999_999, "2023.11.14", true),
        (base - 8 * DAY, "2023.11.14", true),
        (base + 9 * DAY, "2023.11.14", true),
        (base + 1001, "2023.11.14", false),
    ];
    let rows: Vec<String> = times
        .iter()
        .enumerate()
        .map(|(n, (ts, ..))| format!("{ts}.000001 C{n:06} 10.0.0.5 203.0.113.9 1.5 {n}"))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let keys: Vec<String> = (0..times.len()).map(|n| format!("C{n:06}")).collect();
    rig.write("conn", conn(&rows).as_bytes(), keys);
    rig.daemon.start();
    let found = rig.check(Some(&engine));
    assert!(found.letters.is_empty(), "{:?}", found.letters);
    let stored = engine.stored("events");
    for (n, (ts, day, is_far)) in times.into_iter().enumerate() {
        let uid = Value::from(format!("C{n:06}"));
        let it = stored.iter().find(|it| it.source["zeek"]["conn"]["uid"] == uid).unwrap();
        assert!(it.index.ends_with(&format!("-events-{day}")), "{ts}: {}", it.index);
        let is_tagged = it.source["tags"].to_string().contains("timestamp_out_of_range");
        assert_eq!(is_tagged, is_far, "{ts}: {}", it.source);
        assert_eq!(it.source["event"]["created"].is_string(), is_far, "{ts}");
    }
    // What is out of range is late or early too.
    let counted = ["out_of_range_total", "early_total", "late_total"].map(|it| sum(&found, it));
    assert_eq!(counted, [5, 3, 5]);
}

/// So many rows of each log, of the same seconds: enough to read for a while.
const BACKLOG: usize = if cfg!(debug_assertions) { 5_000 } else { 60_000 };

fn backlog(rig: &mut Rig) {
    let (conns, https) = super::risky(BACKLOG);
    let dns = header("dns", "ts uid id.orig_h id.resp_h query", "time string addr addr string");
    let files = header("files", "ts fuid source mime_type", "time string string string");
    let at = |n: usize| 1_700_000_000 + n * 3;
    let ask = |n| format!("{}.5\tQ{n:017}\t10.0.0.{}\t9.9.9.9\tn{n}.example\n", at(n), n % 200);
    let send = |n| format!("{}.5\tF{n:017}\tHTTP\ttext/plain\n", at(n));
    for (log, letter, text) in [
        ("conn", 'C', conn(&[]) + &conns.concat()),
        ("http", 'D', crate::common::http(&[]) + &https.concat()),
        ("dns", 'Q', dns + &(0..BACKLOG).map(ask).collect::<String>()),
        ("files", 'F', files + &(0..BACKLOG).map(send).collect::<String>()),
    ] {
        rig.write(log, text.as_bytes(), (0..BACKLOG).map(|n| format!("{letter}{n:017}")));
    }
}

#[test]
fn f55_a_backlog_of_four_logs_at_the_start() {
    let mut rig = Rig::new();
    backlog(&mut rig);
    rig.daemon.start();
    rig.wait_within(PATIENCE * 2, "all is read", |rig| {
        rig.daemon.metrics().sum("records_total") as usize == 4 * BACKLOG
    });
    let peak = rig.daemon.peak_mib();
    // Alerts and risk of one commit stand in it several times; each lane has a model of its own.
    assert!(peak < 450, "{peak} MiB");
    rig.check(None);
    // From when all of them are known until the first has come to its end all come as far.
    let (mut all, mut since) = ([0; 4], [0; 4]);
    for event in rig.daemon.lines("events.ndjson") {
        let log = event["event"]["dataset"].as_str().unwrap();
        let logs = ["zeek.conn", "zeek.dns", "zeek.files", "zeek.http"];
        let at = logs.iter().position(|known| *known == log).unwrap();
        all[at] += 1;
        if all.iter().all(|count| *count > 0) {
            since[at] += 1;
        }
        if all[at] == BACKLOG {
            break;
        }
    }
    let (least, most) = (since.iter().min().unwrap(), since.iter().max().unwrap());
    assert!(most - least <= BACKLOG / 4 || least * 4 > *most, "{all:?} {since:?}");
}
