//! Recordings of a real Zeek's system calls, made again while the daemon tails.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Daemon, PATIENCE};
use crate::emulator::timeline::{Account, Timeline, fixtures, recordings};

/// Counts of what `account` holds that a reader which is up must have, by log and key.
fn must(account: &Account) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for recorded in &account.records {
        let record = &recorded.record;
        *found.entry((record.log.name().to_owned(), record.key.clone())).or_default() += 1;
    }
    found
}

/// Makes the calls of a recording again at `speed` while a daemon tails, and compares what it
/// delivered with what Zeek wrote.
fn check(timeline: &Timeline, speed: f64) {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    std::thread::sleep(Duration::from_millis(300));
    timeline.replay(place.path(), speed);
    let must = must(&timeline.account());
    let until = Instant::now() + PATIENCE;
    loop {
        let delivered = daemon.delivered();
        if delivered == must {
            return;
        }
        let differ = must.iter().filter(|(key, count)| delivered.get(key) != Some(count));
        let wrong: Vec<_> = differ.map(|(key, count)| (key, count, delivered.get(key))).collect();
        let more = delivered.keys().filter(|key| !must.contains_key(key)).count();
        assert!(
            Instant::now() < until,
            "{} at speed {speed}: {} differ, {more} too many, the first {:?}\n{}",
            timeline.name(),
            wrong.len(),
            wrong.first(),
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn parts_of_recordings() {
    for path in fixtures() {
        check(&Timeline::open(&path), 10.0);
    }
}

#[test]
fn whole_recordings_where_they_are() {
    for path in recordings() {
        check(&Timeline::open(&path), 20.0);
    }
}
