//! A place for logs and a daemon that follows it: what the tests of faults have in common.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{COMMITTED, Daemon, PATIENCE};
use crate::common::{conn, gzip};

pub(super) const ROTATED: &str = "conn.2024-01-01-00-00-00.log";

/// A place for logs and a daemon that follows it.
pub(super) struct Host {
    pub(super) place: TempDir,
    pub(super) daemon: Daemon,
}

pub(super) fn line(n: usize) -> String {
    format!("{}.000001\tC{n:06}\t10.0.0.5\t203.0.113.9\t1.5\t{n}\n", 1_700_000_000 + n)
}

pub(super) fn lines(range: Range<usize>) -> String {
    range.map(line).collect()
}

/// A file as Zeek leaves it, opened at `open`, so that no two begin alike.
pub(super) fn log(open: usize, range: Range<usize>) -> String {
    let header = conn(&[]).replace("2024-01-01-00-00-00", &format!("2024-01-01-00-{open:02}-00"));
    header + &lines(range)
}

pub(super) fn closed(open: usize, range: Range<usize>) -> String {
    log(open, range) + "#close\t2024-01-01-01-00-00\n"
}

impl Host {
    pub(super) fn new() -> Self {
        let place = TempDir::new().unwrap();
        let daemon = Daemon::new(place.path());
        Self { place, daemon }
    }

    pub(super) fn started() -> Self {
        let mut host = Self::new();
        host.daemon.start();
        host
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn archive(&self, from: &str, to: &str) {
        let bytes = fs::read(self.path(from)).unwrap();
        self.write(to, gzip(&bytes));
        fs::remove_file(self.path(from)).unwrap();
    }

    /// Waits until exactly these connections were delivered, each once, and stay so.
    pub(super) fn expect(&self, ranges: &[Range<usize>]) {
        let mut expected: Vec<String> =
            ranges.iter().cloned().flatten().map(|n| format!("C{n:06}")).collect();
        expected.sort();
        let until = Instant::now() + PATIENCE;
        loop {
            let delivered = self.daemon.delivered();
            let mut found: Vec<String> = Vec::new();
            for ((_, uid), count) in delivered {
                found.extend(std::iter::repeat_n(uid, count));
            }
            if found == expected {
                return;
            }
            let missing: Vec<_> = expected.iter().filter(|uid| !found.contains(uid)).collect();
            assert!(
                Instant::now() < until,
                "{} of {} delivered, missing {:?}\n{}\nletters {:?}",
                found.len(),
                expected.len(),
                missing.iter().take(3).collect::<Vec<_>>(),
                self.daemon.log(),
                self.daemon.lines("dead-letter.ndjson")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn letters(&self) -> Vec<String> {
        let letters = self.daemon.lines("dead-letter.ndjson");
        letters.iter().map(|letter| letter["reason"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn expect_letters(&self, expected: &[&str]) {
        let until = Instant::now() + PATIENCE;
        while self.letters() != expected {
            assert!(Instant::now() < until, "{:?}, not {expected:?}", self.letters());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn expect_log(&self, words: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.daemon.log().contains(words) {
            assert!(Instant::now() < until, "no {words:?} in {}", self.daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn restart(&mut self) {
        std::thread::sleep(COMMITTED);
        self.daemon.kill();
        self.daemon.start();
    }

    /// Nothing more comes, after a restart neither.
    pub(super) fn expect_still(&mut self, ranges: &[Range<usize>]) {
        self.expect(ranges);
        self.restart();
        std::thread::sleep(Duration::from_millis(1500));
        self.expect(ranges);
    }
}

pub(super) fn touch(path: &Path, age: Duration) {
    let file = OpenOptions::new().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - age).unwrap();
}
