//! `ssl` and `quic`: read where they are, missed by nobody where they are not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Place, Run, conn, header, http};
use crate::emulator::rows::{Form, Log, header as lines, record};
use crate::live::{Daemon, Metrics, append, check_journal};

/// Logs of Zeek's own tests, and JSON of a sensor that forwards its streams.
fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls")
}

/// The events of these logs, without what says where their lines stand.
fn events(run: &Run, datasets: &[&str]) -> Vec<Value> {
    let mut events = run.events();
    events.retain(|event| datasets.contains(&event["event"]["dataset"].as_str().unwrap()));
    for event in &mut events {
        event["event"]["id"] = Value::Null;
    }
    events
}

const BOTH: [&str; 2] = ["zeek.ssl", "zeek.quic"];

#[test]
fn each_record_has_an_event_in_tsv_and_the_same_in_json() {
    let tsv = Place::new().replay_paths("out", &[logs()], &[]).ok();
    let lines = ["ssl.log", "quic.log", "SCRANTON_ssl.log"].map(|name| {
        let text = fs::read_to_string(logs().join(name)).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).count()
    });
    let found = events(&tsv, &BOTH);
    assert_eq!(found.len(), lines.iter().sum::<usize>());
    assert!(tsv.stdout.contains("ssl                  16           16"), "{}", tsv.stdout);
    // Neither in them nor in their names stands which log it is: the keys have to say it.
    let place = Place::new();
    let mut expected = found;
    for event in &mut expected {
        let (log, record) = event["zeek"].as_object_mut().unwrap().iter_mut().next().unwrap();
        let record = record.as_object_mut().unwrap();
        let name = match log.as_str() {
            _ if record.contains_key("@stream") => "a.json",
            "ssl" => "b.json",
            _ => "c.json",
        };
        record.retain(|key, _| !key.starts_with('@'));
        let line = Value::Object(record.clone()).to_string() + "\n";
        append(&place.logs().join(name), line.as_bytes());
    }
    let json = place.replay(&[]).ok();
    for (found, expected) in events(&json, &BOTH).iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(json.events().len(), expected.len());
}

#[test]
fn fields_of_a_handshake() {
    let run = Place::new().replay_paths("out", &[logs()], &[]).ok();
    let events = run.events();
    let of = |dataset: &str, uid: &str| -> &Value {
        let is = |event: &&Value| {
            event["event"]["dataset"] == format!("zeek.{dataset}")
                && event["zeek"][dataset]["uid"].as_str().unwrap().starts_with(uid)
        };
        events.iter().find(is).unwrap()
    };
    let check = |event: &Value, network: Value, tls: Value, entity: Option<&str>| {
        assert_eq!(event["network"], network, "{event}");
        assert_eq!(event.get("tls").cloned().unwrap_or_default(), tls, "{event}");
        assert_eq!(event["ueba"]["entity"].as_str(), entity, "{event}");
    };
    let cipher = "TLS_AES_128_GCM_SHA256";
    check(
        of("ssl", "C0003"),
        json!({"transport": "tcp", "protocol": "tls"}),
        json!({"version": "1.3", "version_protocol": "tls", "cipher": cipher, "curve": "x25519",
            "established": true, "resumed": false,
            "client": {"server_name": "tls13.crypto.mozilla.org"}}),
        Some("host:192.168.86.23"),
    );
    check(
        of("ssl", "C0002"),
        json!({"protocol": "tls"}),
        json!({"established": false, "resumed": false}),
        Some("host:192.168.4.149"),
    );
    let mut agent = of("ssl", "C0014")["tls"].clone();
    assert_eq!(agent["version_protocol"], "dtls");
    assert_eq!(agent["server"].take(), json!({"subject": "CN=a", "issuer": "CN=a"}));
    assert_eq!(of("ssl", "C0014")["network"]["transport"], "udp");
    let shell = &of("ssl", "CN302")["tls"];
    assert_eq!(shell["client"]["ja3"], "72a589da586844d7f0818ce684948eea");
    assert_eq!(shell["server"]["ja3s"], "ec74a5c51106f0419184d0dd08fb05bc");
    // Inside QUIC: both logs have it, and ssl does not know what carried it.
    check(
        of("ssl", "C0009"),
        json!({"protocol": "tls"}),
        json!({"version": "1.3", "version_protocol": "tls", "cipher": cipher, "curve": "x25519",
            "established": false, "resumed": true,
            "client": {"server_name": "api.cirrus-ci.com"}}),
        None,
    );
    check(
        of("quic", "C0008"),
        json!({"transport": "udp", "protocol": "quic"}),
        json!({"client": {"server_name": "api.cirrus-ci.com"}}),
        None,
    );
    let nameless = json!({"transport": "udp", "protocol": "quic"});
    check(of("quic", "C0012"), nameless, Value::Null, None);
}

#[test]
fn what_other_logs_give_does_not_depend_on_them() {
    let conns = [
        "1700000000.000001 C1 10.0.0.5 203.0.113.9 90000.0 5",
        "1700000001.500000 C2 10.0.0.6 203.0.113.9 1.0 -",
        "1700100000.500000 C3 10.0.0.6 203.0.113.9 1.0 -",
    ];
    let https = ["1700000000.50|C4|10.0.0.5|203.0.113.9|BREW|198.51.100.1|/x.jpg|1.1|200|-|-"];
    let place = Place::with(&[
        ("conn.log", conn(&conns).as_bytes()),
        ("http.log", http(&https).as_bytes()),
    ]);
    let without = place.replay_as("without", &[]).ok();
    // Empty, and then with records.
    let read = |name: &str| fs::read_to_string(logs().join(name)).unwrap();
    for name in ["ssl.log", "quic.log"] {
        let head = read(name).lines().take(8).map(|line| format!("{line}\n")).collect::<String>();
        place.write(name, head.as_bytes());
    }
    let empty = place.replay_as("empty", &[]).ok();
    assert_eq!(empty.all(), without.all());
    for name in ["ssl.log", "quic.log"] {
        place.write(name, read(name).as_bytes());
    }
    let with = place.replay_as("with", &[]).ok();
    assert_eq!(events(&with, &BOTH).len(), 21);
    let mut rest = with.events();
    rest.retain(|event| !BOTH.contains(&event["event"]["dataset"].as_str().unwrap()));
    assert_eq!(rest, without.events());
    for name in ["alerts.ndjson", "risk.ndjson", "dead-letter.ndjson"] {
        assert_eq!(with.bytes(name), without.bytes(name), "{name}");
    }
    assert!(!without.alerts().is_empty() && !without.risk().is_empty());
}

#[test]
fn what_is_none_of_their_records() {
    let ssl = r#"{"_path":"ssl","ts":1,"uid":"C1","resumed":false,"established":true}"#;
    let quic = r#"{"_path":"quic","ts":1,"uid":"C2","client_initial_dcid":"a","history":"I"}"#;
    let bad = r#"{"_path":"ssl","ts":1,"uid":"C3","resumed":false,"established":"perhaps"}"#;
    // Its lines are those of ssl.log once more.
    let open = header("open_ssl", "ts uid server_name", "time string string") + "1.5\tC4\ta\n";
    let run = Place::with(&[
        ("ssl.log", format!("{ssl}\n{quic}\n{bad}\n").as_bytes()),
        ("open_ssl.log", open.as_bytes()),
    ]);
    let run = run.replay(&[]).ok();
    assert_eq!(run.uids(), ["C1"]);
    let letters = run.letters().into_iter().map(|it| format!("{} {}", it["log"], it["reason"]));
    let expected = [r#""ssl" "foreign_log""#, r#""ssl" "bad_field""#];
    assert_eq!(letters.collect::<Vec<_>>(), expected);
    assert!(run.stdout.contains("1 of other logs, ignored"), "{}", run.stdout);
}

#[test]
fn a_daemon_follows_them_and_does_not_miss_them() {
    let place = TempDir::new().unwrap();
    let write = |log: Log, serials: std::ops::Range<u64>| {
        let path = place.path().join(format!("{}.log", log.name()));
        let head = if path.exists() { String::new() } else { lines(log, 0).concat() };
        let micros = |serial| 1_768_921_203_000_000 + serial * 1_000;
        let rows = serials.map(|serial| record(log, Form::Tsv, serial, micros(serial)).1);
        append(&path, (head + &rows.collect::<String>()).as_bytes());
    };
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    write(Log::Conn, 0..10);
    let silent = |lane: &str| format!("source_silent_seconds{{log=\"{lane}\"}}");
    let read = |count: f64| move |metrics: &Metrics| metrics.sum("records_total") >= count;
    let metrics = daemon.wait_until("conn", read(10.0));
    assert!(metrics.has(&silent("conn")) && metrics.has(&silent("files")));
    assert!(!metrics.has(&silent("ssl")), "{metrics:?}");
    write(Log::Ssl, 10..20);
    write(Log::Quic, 20..30);
    let metrics = daemon.wait_until("ssl and quic", read(30.0));
    assert!(metrics.has(&silent("ssl")), "{metrics:?}");
    daemon.kill();
    // Rotated while nobody looks, and written on.
    let name = |name: &str| place.path().join(name);
    fs::rename(name("ssl.log"), name("ssl.2026-01-20-15-00-00.log")).unwrap();
    write(Log::Ssl, 30..40);
    write(Log::Quic, 40..50);
    write(Log::Conn, 50..60);
    daemon.start();
    let metrics = daemon.wait_until("what came meanwhile", read(60.0));
    assert!(metrics.has(&silent("ssl")), "{metrics:?}");
    for log in ["conn", "ssl", "quic"] {
        let events = metrics.get(&format!("events_total{{log=\"{log}\"}}"));
        assert!((events - 20.0).abs() < 0.5, "{log}: {events}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    let delivered = daemon.delivered();
    assert_eq!(delivered.len(), 60);
    assert!(delivered.values().all(|count| *count == 1), "{delivered:?}");
    check_journal(&daemon, place.path(), false);
}
