//! Dead letters beside a daemon: shown, sent again, let go; and a file of them that is full.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{Host, lines, log};
use super::machine::Small;
use super::search::{obstructed, wait};
use super::{Daemon, PATIENCE};

/// What `dlq` says, and its exit code.
fn dlq(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String) {
    let mut command = crate::common::program();
    command.arg("dlq").args(args).arg("-c").arg(daemon.config()).args(&daemon.args);
    let run = command.output().unwrap();
    (run.status.code(), String::from_utf8([run.stdout, run.stderr].concat()).unwrap())
}

/// Lines that are no records, of some 700 bytes each.
fn junk(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("{n:0700}\n")).collect()
}

/// Reads junk until the file of dead letters is full; how many lines that took.
fn fill(host: &Host) -> usize {
    let mut junked = 0;
    let until = Instant::now() + PATIENCE;
    while host.daemon.metrics().get("dead_letters_full") == 0.0 {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        host.append("conn.log", junk(junked..junked + 200));
        junked += 200;
        std::thread::sleep(Duration::from_millis(20));
    }
    host.append("conn.log", lines(50..100));
    let events = || host.daemon.lines("events.ndjson").len();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(events(), 50, "it pauses");
    assert_eq!(host.daemon.get("/readyz").code, 503);
    assert_eq!(host.daemon.get("/healthz").code, 200);
    junked
}

/// Each line that was no record once, and each record.
fn expect_all(host: &Host, junked: usize) {
    host.expect(&[0..100]);
    let series = "rejected_total{log=\"conn\",reason=\"column_count\"}";
    // Until the first commit there is no such series.
    wait(&host.daemon, &|daemon| daemon.metrics().starting(series) == junked as f64);
    let letters = host.daemon.lines("dead-letter.ndjson");
    let log = host.daemon.log();
    let gone = log.split("dealt=").skip(1).map(|rest| rest.split(' ').next().unwrap());
    let gone: usize = gone.map(|count| count.parse::<usize>().unwrap()).sum();
    assert_eq!(letters.len() + gone, junked, "{log}");
    let mut offsets: Vec<u64> = letters.iter().map(|it| it["offset"].as_u64().unwrap()).collect();
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!(offsets.len(), letters.len(), "none twice");
}

#[test]
fn f52_a_file_of_dead_letters_that_is_full() {
    let mut host = Host::new();
    host.daemon.args = ["--set", "state.dead_letters_max=\"256KiB\""].map(str::to_owned).to_vec();
    host.daemon.start();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    let junked = fill(&host);
    let begun = Instant::now();
    assert_eq!(host.daemon.stop(), Some(74), "{}", host.daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(10));
    host.daemon.start();
    wait(&host.daemon, &|daemon| daemon.metrics().get("dead_letters_full") == 1.0);
    let size = fs::metadata(host.daemon.state.join("dead-letter.ndjson")).unwrap().len();
    assert!(size <= 256 << 10, "{size}");
    let (code, text) = dlq(&host.daemon, &["list"]);
    let known = text.lines().count() - 1;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{known} letters, 0 dealt with")), "{text}");
    assert_eq!(dlq(&host.daemon, &["drop"]).0, Some(2), "which ones");
    let (code, text) = dlq(&host.daemon, &["drop", "--all"]);
    assert_eq!((code, text), (Some(0), format!("{known} dropped\n")));
    // There may be more than fit in once.
    let until = Instant::now() + PATIENCE;
    let read = |host: &Host| host.daemon.metrics().sum("rejected_total") as usize;
    while read(&host) < junked {
        assert!(Instant::now() < until, "{} {}", read(&host), host.daemon.log());
        if host.daemon.metrics().get("dead_letters_full") == 1.0 {
            assert_eq!(dlq(&host.daemon, &["drop", "--all"]).0, Some(0));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    expect_all(&host, junked);
}

#[test]
fn f52_a_disk_of_dead_letters_that_is_full() {
    let Some(small) = Small::new("4m") else {
        println!("no file system can be mounted here");
        return;
    };
    let mut host = Host::new();
    fs::create_dir_all(&host.daemon.state).unwrap();
    symlink(small.path().join("letters"), host.daemon.state.join("dead-letter.ndjson")).unwrap();
    let filler = small.path().join("filler");
    fs::write(&filler, vec![0; 3600 << 10]).unwrap();
    host.daemon.start();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    let junked = fill(&host);
    assert!(host.daemon.log().contains("no room for dead letters"), "{}", host.daemon.log());
    fs::remove_file(filler).unwrap();
    expect_all(&host, junked);
    host.daemon.kill();
    host.daemon.start();
    expect_all(&host, junked);
}

/// A mapping that does not suit the documents; it is mended, and what was rejected is sent again.
#[test]
fn f53_replayed_once_the_mapping_is_mended() {
    let wrong = json!({ "mappings": { "properties": { "zeek": { "properties": { "http": {
        "properties": { "method": { "type": "ip" } } } } } } } });
    let index_of = std::cell::RefCell::new(String::new());
    let (_place, engine, daemon) = obstructed(|engine, index| {
        engine.done("DELETE", &format!("/{index}"), &Value::Null);
        engine.done("PUT", &format!("/{index}"), &wrong);
        index_of.replace(index.to_owned());
    });
    wait(&daemon, &|daemon| daemon.lines("dead-letter.ndjson").len() == 101);
    let (code, text) = dlq(&daemon, &["list", "--sink", "elasticsearch"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("100 letters, 0 dealt with not shown\n"), "{text}");
    assert!(text.contains("rejected_by_sink") && text.contains("400"), "{text}");
    let key = text.split(' ').next().unwrap().to_owned();
    let (code, shown) = dlq(&daemon, &["show", &key]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("sink      elasticsearch") && shown.contains("\"@timestamp\""),
        "{shown}"
    );
    // As long as it is wrong they are rejected again, and stay.
    let (code, text) = dlq(&daemon, &["replay", &key]);
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("0 replayed, 1 rejected again, 0 not sent"), "{text}");
    engine.done("DELETE", &format!("/{}", index_of.borrow()), &Value::Null);
    let (code, text) = dlq(&daemon, &["replay"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("100 replayed, 0 rejected again, 0 not sent\n"), "{text}");
    assert_eq!(engine.by_id("events-*").len(), 100);
    let (_, text) = dlq(&daemon, &["replay"]);
    assert!(text.ends_with("0 replayed, 0 rejected again, 0 not sent\n"), "{text}");
    let (_, text) = dlq(&daemon, &["list", "--sink", "elasticsearch"]);
    assert!(text.ends_with("0 letters, 100 dealt with not shown\n"), "{text}");
    // The line that was no record is nobody's to take.
    let (code, text) = dlq(&daemon, &["list"]);
    let key = text.split(' ').next().unwrap();
    assert!(code == Some(0) && text.contains("1 letter, 100 dealt with"), "{text}");
    let (code, text) = dlq(&daemon, &["replay", key]);
    assert!(
        code == Some(65) && text.contains("0 replayed, 0 rejected again, 1 not sent"),
        "{text}"
    );
}

#[test]
fn a_sink_that_does_not_answer_keeps_its_letters() {
    let mut host = Host::new();
    fs::create_dir_all(&host.daemon.state).unwrap();
    let document = "{\"@timestamp\":\"2018-03-24T17:15:20.865716Z\",\"event\":{\"id\":\"00\",\"kind\":\"event\",\"dataset\":\"zeek.conn\"}}";
    let sum: String = "x".to_owned();
    let raw = data_encoding::BASE64.encode(document.as_bytes());
    let letter = json!({ "reason": "rejected_by_sink", "log": "conn", "event_id": "00", "raw": raw,
        "length": document.len(), "sink": "elasticsearch", "sha256": sum });
    let text = format!("not a letter\n{letter}\n");
    fs::write(host.daemon.state.join("dead-letter.ndjson"), text).unwrap();
    host.daemon.args =
        ["--set", "sink.elasticsearch.urls=[\"http://127.0.0.1:1\"]"].map(str::to_owned).to_vec();
    // It is not what it was.
    let (code, text) = dlq(&host.daemon, &["replay"]);
    assert!(code == Some(65) && text.contains("1 not sent"), "{text}");
    let sum = data_encoding::HEXLOWER.encode(&zeek_ueba::zeek::sha256(document.as_bytes()));
    let mut letter = letter;
    letter["sha256"] = json!(sum);
    fs::write(host.daemon.state.join("dead-letter.ndjson"), format!("{letter}\n")).unwrap();
    let (code, text) = dlq(&host.daemon, &["replay", "--within", "1"]);
    assert!(code == Some(69) && text.contains("did not answer within 1 s"), "{text}");
    assert!(dlq(&host.daemon, &["list"]).1.contains("1 letter, 0 dealt with"));
    // What another sink takes meanwhile is known, and not sent to it again.
    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    host.daemon.args.extend(["--set".to_owned(), format!("sink.kafka.brokers=[{brokers:?}]")]);
    let mut of_kafka = letter.clone();
    of_kafka["sink"] = json!("kafka");
    let text = format!("{letter}\n{of_kafka}\n");
    fs::write(host.daemon.state.join("dead-letter.ndjson"), text).unwrap();
    for replayed in [1, 0] {
        let (code, text) = dlq(&host.daemon, &["replay", "--within", "3"]);
        let said = format!("did not answer within 3 s; {replayed} were replayed");
        assert!(code == Some(69) && text.contains(&said), "{text}");
    }
    assert!(dlq(&host.daemon, &["list"]).1.contains("1 letter, 1 dealt with"));
    let sent = super::kafka::topic(&brokers, "zeek-ueba.events");
    assert_eq!(sent["00"].len(), 1);
    assert_eq!(dlq(&host.daemon, &["show", "nonsense"]).0, Some(2));
    assert_eq!(dlq(&host.daemon, &["show", "000000000000"]).0, Some(2));
}
