//! Allow-lists of a daemon: read again at SIGHUP, refused where they are faulty, kept with the state,
//! told by the journal.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::service::{Metrics, append};
use super::{Daemon, PATIENCE, check_journal, risky};
use crate::allow_lists::entry;
use crate::common::{conn, http, without_models};

const NINE: &str = "entity = \"host:10.0.0.9\"";

/// A daemon with a list.
struct Listed {
    place: TempDir,
    daemon: Daemon,
    list: PathBuf,
    said: usize,
}

impl Listed {
    fn new(text: &str) -> Self {
        let place = TempDir::new().unwrap();
        let mut daemon = Daemon::new(place.path());
        let list = daemon.directory.path().join("allow.toml");
        fs::write(&list, text).unwrap();
        let set = format!("risk.allow_list={:?}", list.display().to_string());
        daemon.args = ["--set".to_owned(), set].to_vec();
        fs::write(place.path().join("conn.log"), conn(&[])).unwrap();
        fs::write(place.path().join("http.log"), http(&[])).unwrap();
        Self { place, daemon, list, said: 0 }
    }

    /// SIGHUP with this list, and what is said of it.
    fn reload(&mut self, text: &str) {
        fs::write(&self.list, text).unwrap();
        self.daemon.signal(Signal::HUP);
        self.said += 1;
        let until = Instant::now() + PATIENCE;
        while self.daemon.log().matches("SIGHUP: the allow-list").count() < self.said {
            assert!(Instant::now() < until, "{}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// An odd request of 10.0.0.9 to this address.
    fn find(&self, uid: &str, to: &str) {
        let row = format!("1768921203.5|{uid}|10.0.0.9|{to}|BREW|{to}|/x.jpg|1.1|200|-|-\n");
        append(&self.place.path().join("http.log"), row.replace('|', "\t").as_bytes());
    }

    fn expect(&self, series: &str, value: f64) {
        let is_so = |found: f64| (found - value).abs() < 0.5;
        self.daemon.wait_until(series, |metrics| is_so(metrics.get(series)));
    }
}

#[test]
fn lists_are_read_again_at_sighup_and_faulty_ones_are_refused() {
    let mut listed = Listed::new(&entry("nine", "2030-01-01", NINE));
    listed.daemon.start();
    listed.expect("suppressed_total{rule=\"nine\"}", 0.0);
    listed.find("C1", "203.0.113.1");
    listed.expect("suppressed_total{rule=\"nine\"}", 1.0);
    let faulty = entry("nine", "2030-01-01", NINE) + "[[allow]]\nid = \"b\"\n" + "x = 1\n";
    listed.reload(&faulty);
    for says in [
        "allow.toml:7:1: reason is missing in [[allow]]",
        "allow.toml:7:1: expires is missing in [[allow]]",
        "allow.toml:9:1: unknown key \"x\" in [[allow]]",
        "the old one stays",
    ] {
        assert!(listed.daemon.log().contains(says), "{says}: {}", listed.daemon.log());
    }
    listed.expect("allow_list_rejected_total", 1.0);
    listed.expect("allow_list_entries", 1.0);
    listed.find("C2", "203.0.113.2");
    listed.expect("suppressed_total{rule=\"nine\"}", 2.0);
    assert_eq!(listed.daemon.lines("alerts.ndjson"), Vec::<serde_json::Value>::new());
    let two = entry("nine", "2030-01-01", &format!("{NINE}\npeer = \"203.0.113.2\""))
        + &entry("gone", "2020-01-01", NINE);
    listed.reload(&two);
    listed.expect("allow_list_entries", 2.0);
    listed.find("C3", "203.0.113.3");
    listed.expect("alerts_total{detector=\"http-oddities\"}", 1.0);
    assert!(listed.daemon.log().contains("expired=\"gone\""), "{}", listed.daemon.log());
    // What was counted lasts, and so does the list: it is no other one at the next start.
    listed.daemon.kill();
    listed.daemon.start();
    assert_eq!(listed.daemon.log().matches("expired=\"gone\"").count(), 2);
    listed.expect("suppressed_total{rule=\"nine\"}", 2.0);
    listed.find("C4", "203.0.113.2");
    listed.expect("suppressed_total{rule=\"nine\"}", 3.0);
    listed.find("C5", "203.0.113.5");
    listed.expect("alerts_total{detector=\"http-oddities\"}", 2.0);
    assert_eq!(listed.daemon.stop(), Some(0), "{}", listed.daemon.log());
    // Without a list nothing is suppressed; a list that is read again is none.
    listed.daemon.args.clear();
    listed.daemon.start();
    listed.find("C6", "203.0.113.2");
    listed.expect("alerts_total{detector=\"http-oddities\"}", 3.0);
    listed.expect("allow_list_entries", 0.0);
    listed.daemon.signal(Signal::HUP);
    let until = Instant::now() + PATIENCE;
    while !listed.daemon.log().contains("names no file") {
        assert!(Instant::now() < until, "{}", listed.daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(listed.daemon.stop(), Some(0), "{}", listed.daemon.log());
    assert_eq!(listed.daemon.lines("alerts.ndjson").len(), 3);
    check_journal(&listed.daemon, listed.place.path(), false);
}

#[test]
fn a_faulty_list_at_the_start_is_a_faulty_configuration() {
    let listed = Listed::new(&entry("nine", "never", NINE));
    let (code, wrote_nothing) = listed.daemon.refused();
    assert_eq!((code, wrote_nothing), (Some(78), true), "{}", listed.daemon.log());
    assert!(listed.daemon.log().contains("allow.toml:5:11"), "{}", listed.daemon.log());
}

/// Lists change under load up to a row, and the daemon is killed in between: the journal knows when.
fn check_under_load(journal_max: &str, is_cut: bool, changes_until: usize) {
    let mut listed = Listed::new("");
    listed.daemon.args.extend(["--set".to_owned(), format!("state.journal_max={journal_max:?}")]);
    // What models find of three thousand addresses is more than the journal may hold.
    listed.daemon.more = without_models();
    let rows = 3000;
    let (conns, https) = risky(rows);
    append(&listed.place.path().join("http.log"), b"no record\n");
    listed.daemon.start();
    for (round, (conns, https)) in conns.chunks(5).zip(https.chunks(5)).enumerate() {
        for (name, rows) in [("conn.log", conns), ("http.log", https)] {
            append(&listed.place.path().join(name), rows.concat().as_bytes());
        }
        std::thread::sleep(Duration::from_millis(4));
        let row = round * 5;
        if row % 200 == 100 && row < changes_until {
            let host = format!("entity = \"host:10.0.*.{}\"", row / 200);
            let others = "peer = \"203.0.113.9\"\ndomain = [\"198.51.100.7\", \"198.51.100.70\"]";
            let list = entry("host", "2030-01-01", &host) + &entry("peers", "2030-01-01", others);
            listed.reload(&list);
        }
        if row % 700 == 600 {
            listed.daemon.kill();
            listed.daemon.start();
        }
    }
    append(&listed.place.path().join("http.log"), b"not a record\n");
    let until = Instant::now() + PATIENCE;
    while listed.daemon.delivered().len() < 2 * rows {
        assert!(Instant::now() < until, "{} of {rows}", listed.daemon.delivered().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    let suppressed = |metrics: &Metrics| metrics.sum("suppressed_total") > 10.0;
    listed.daemon.wait_until("some are suppressed", suppressed);
    assert_eq!(listed.daemon.stop(), Some(0), "{}", listed.daemon.log());
    assert!(listed.daemon.lines("alerts.ndjson").len() > 50);
    check_journal(&listed.daemon, listed.place.path(), is_cut);
}

#[test]
fn the_journal_knows_when_a_list_came_into_force() {
    check_under_load("1GiB", false, 3000);
}

#[test]
fn a_journal_that_was_cut_begins_with_the_list_in_force() {
    check_under_load("64KiB", true, 400);
}
