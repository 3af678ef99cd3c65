//! An archive fills the state, and the daemon goes on from there.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::host::Host;
use super::{Daemon, PATIENCE};
use crate::common::{program, without_models};
use crate::warm::{DAYS, day, upload};

/// Replays what is at `paths` as the daemon would, into a state.
fn replayed(daemon: &Daemon, paths: &[&Path], state: &Path, out: &Path) {
    let mut command = program();
    command.args(["replay", "-c"]).arg(daemon.config()).arg("--state").arg(state);
    let output = command.arg("-o").arg(out).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Of each alert or risk what does not say where its records are.
fn told(documents: &[Value]) -> Vec<String> {
    let line = |document: &Value| {
        let ueba = &document["ueba"];
        let [start, score] = [&ueba["window"]["start"], &ueba["score"]];
        let of = [&document["event"]["id"], &document["event"]["action"], &ueba["entity"]];
        format!("{} {of:?} {start} {score} {}", document["@timestamp"], ueba["detector"])
    };
    documents.iter().map(line).collect()
}

fn written(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn profiles(state: &Path) -> String {
    let mut command = program();
    let output = command.args(["profile", "list", "--json", "--from"]).arg(state).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_daemon_goes_on_from_an_archive() {
    let mut host = Host::new();
    host.daemon.backfill = true;
    host.daemon.more = without_models();
    for n in 0..DAYS {
        host.write(&format!("day{n}.log"), day(n, &[]));
    }
    // Whatever comes on the day after ends the windows of the last one.
    let out = upload(DAYS, (19, 10), "203.0.113.9", 700_000_000);
    let last = day(DAYS, &[out]) + &day(DAYS + 1, &[]);
    let aside = tempfile::TempDir::new().unwrap();
    let at = |name: &str| aside.path().join(name);
    fs::write(at("conn.log"), &last).unwrap();
    let root = host.place.path();
    replayed(&host.daemon, &[root], &host.daemon.state, &at("archive"));
    replayed(&host.daemon, &[root, &at("conn.log")], &at("state"), &at("whole"));
    replayed(&host.daemon, &[&at("conn.log")], &at("cold-state"), &at("cold"));
    let expected = ["alerts.ndjson", "risk.ndjson"].map(|name| {
        let [whole, archive] = ["whole", "archive"].map(|run| written(&at(run).join(name)));
        told(&whole)[archive.len()..].to_vec()
    });
    assert!(expected[0].iter().any(|line| line.contains("pcr")), "{expected:?}");
    assert_eq!(told(&written(&at("cold").join("alerts.ndjson"))), [""; 0]);

    host.daemon.start();
    host.write("conn.log", &last);
    let names = ["alerts.ndjson", "risk.ndjson"];
    let until = Instant::now() + PATIENCE;
    loop {
        let found = names.map(|name| told(&host.daemon.lines(name)));
        if found == expected {
            break;
        }
        assert!(Instant::now() < until, "{found:#?}\nnot {expected:#?}\n{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
    assert_eq!(profiles(&host.daemon.state), profiles(&at("state")));
}
