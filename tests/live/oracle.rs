//! A daemon with sinks, and what has to hold at the end of whatever befell them: each record that was
//! written is in the files and in every sink, or a dead letter; once in an engine; as it stands in the
//! files; and counters say so.
//!
//! Here belongs what all faults of sinks have in common; a fault itself belongs to its test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::service::{Metrics, append};
use super::{Daemon, PATIENCE};

/// A document as an engine has it.
pub(super) struct Stored {
    pub(super) index: String,
    pub(super) id: String,
    pub(super) source: Value,
}

/// What keeps documents in indices.
pub(super) trait Holds {
    /// All of one kind: `events`, `alerts`, `risk`, `entities`.
    fn stored(&self, kind: &str) -> Vec<Stored>;
}

/// A log and a record's key in it.
pub(super) type Key = (String, String);

/// A place for logs, a daemon that follows it, and what it sends to.
pub(super) struct Rig {
    pub(super) place: TempDir,
    pub(super) daemon: Daemon,
    /// What was written.
    pub(super) written: BTreeSet<Key>,
    /// Where brokers are, for a test, and what topics begin with.
    kafka: Option<(String, String)>,
    has_engine: bool,
}

/// What was found at the end.
pub(super) struct Found {
    pub(super) metrics: Metrics,
    /// Records in Kafka that were there already, by event id.
    pub(super) copies: usize,
    /// Dead letters, by sink or, where it is none's, "".
    pub(super) letters: BTreeMap<String, Vec<Value>>,
    /// Documents of each kind in the files.
    pub(super) events: BTreeMap<String, Value>,
    pub(super) alerts: usize,
    pub(super) risk: usize,
}

pub(super) const KINDS: [&str; 3] = ["events", "alerts", "risk"];

impl Rig {
    pub(super) fn new() -> Self {
        let place = TempDir::new().unwrap();
        let daemon = Daemon::new(place.path());
        Self { place, daemon, written: BTreeSet::new(), kafka: None, has_engine: false }
    }

    /// One `--set`.
    pub(super) fn set(&mut self, set: impl Into<String>) {
        self.daemon.args.extend(["--set".to_owned(), set.into()]);
    }

    /// Sends to the broker at `through`, which a test reads at `brokers`.
    pub(super) fn kafka(&mut self, through: &str, brokers: &str) {
        let name = self.place.path().file_name().unwrap().to_str().unwrap();
        let prefix = format!("t{}", name.trim_start_matches('.'));
        self.set(format!("sink.kafka.brokers=[{through:?}]"));
        self.set(format!("sink.kafka.topic_prefix={prefix:?}"));
        // So that a test needs not wait as long as an operator may.
        self.set("sink.kafka.options.\"reconnect.backoff.max.ms\"=\"300\"");
        self.kafka = Some((brokers.to_owned(), prefix));
    }

    /// What topics begin with.
    pub(super) fn topics(&self) -> &str {
        &self.kafka.as_ref().unwrap().1
    }

    /// Sends to the engine at `url`, one request at a time.
    pub(super) fn engine(&mut self, url: &str) {
        self.set(format!("sink.elasticsearch.urls=[{url:?}]"));
        self.set("sink.elasticsearch.connections=1");
        self.has_engine = true;
    }

    /// The same, with arguments of their own.
    pub(super) fn engine_by(&mut self, args: Vec<String>) {
        self.daemon.args.extend(args);
        self.has_engine = true;
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Appends lines to a log, of which records have these keys.
    pub(super) fn write(
        &mut self,
        log: &str,
        bytes: &[u8],
        keys: impl IntoIterator<Item = String>,
    ) {
        self.written.extend(keys.into_iter().map(|key| (log.to_owned(), key)));
        append(&self.path(&format!("{log}.log")), bytes);
    }

    /// Connections of [`super::host::line`], with the head of a log where there is none.
    pub(super) fn lines(&mut self, range: std::ops::Range<usize>) {
        let head = match self.path("conn.log").exists() {
            true => String::new(),
            false => super::host::log(0, 0..0),
        };
        let text = head + &super::host::lines(range.clone());
        self.write("conn", text.as_bytes(), range.map(|n| format!("C{n:06}")));
    }

    /// Rows that alert, see [`super::risky`], in two logs.
    pub(super) fn risky(&mut self, range: std::ops::Range<usize>) {
        let (conns, https) = super::risky(range.end);
        let heads = [crate::common::conn(&[]), crate::common::http(&[])];
        for ((log, letter, rows), head) in
            [("conn", 'C', conns), ("http", 'D', https)].into_iter().zip(heads)
        {
            let head = if self.path(&format!("{log}.log")).exists() { String::new() } else { head };
            let text = head + &rows[range.clone()].concat();
            self.write(log, text.as_bytes(), range.clone().map(|n| format!("{letter}{n:017}")));
        }
    }

    /// The sum of a metric over what a sink has of it.
    pub(super) fn of(&self, name: &str, sink: &str) -> u64 {
        of(&self.daemon.metrics(), name, sink)
    }

    /// Waits until it is so.
    pub(super) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.wait_within(PATIENCE, what, is_so);
    }

    pub(super) fn wait_within(&self, time: Duration, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + time;
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}: {:#?}\n{}", self.shown(), self.daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the daemon says of its sinks.
    fn shown(&self) -> Vec<String> {
        let shown = self.daemon.get("/metrics").body;
        let of = |line: &&str| line.contains("{sink=") && !line.contains("bucket");
        shown.lines().filter(of).map(str::to_owned).collect()
    }

    /// Waits until a sink has so many documents.
    pub(super) fn acked(&self, sink: &str, count: u64) {
        let what = format!("{sink} has {count}");
        self.wait(&what, |rig| rig.of("sink_acked_total", sink) >= count);
    }

    fn sinks(&self) -> Vec<&'static str> {
        let kafka = self.kafka.is_some().then_some("kafka");
        kafka.into_iter().chain(self.has_engine.then_some("elasticsearch")).collect()
    }

    fn file(&self, kind: &str) -> BTreeMap<String, (Vec<u8>, Value)> {
        let bytes = self.daemon.bytes(&format!("{kind}.ndjson"));
        let mut found = BTreeMap::new();
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        for line in bytes[..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let document: Value = serde_json::from_slice(line).unwrap();
            let id = document["event"]["id"].as_str().unwrap().to_owned();
            let before = found.insert(id.clone(), (line.to_vec(), document));
            assert!(before.is_none(), "{id} twice in {kind}.ndjson");
        }
        found
    }

    /// Dead letters by sink.
    pub(super) fn letters(&self) -> BTreeMap<String, Vec<Value>> {
        let mut letters: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for letter in self.daemon.lines("dead-letter.ndjson") {
            let sink = letter["sink"].as_str().unwrap_or_default().to_owned();
            letters.entry(sink).or_default().push(letter);
        }
        letters
    }

    /// Waits until nothing is under way and counters say what became of everything (I7).
    fn quiet(&self) -> Metrics {
        let until = Instant::now() + PATIENCE;
        loop {
            let count = |kind| memchr::memchr_iter(b'\n', &self.daemon.bytes(kind)).count() as u64;
            let documents = || ["events.ndjson", "alerts.ndjson", "risk.ndjson"].map(count);
            let (before, metrics, letters) = (documents(), self.daemon.metrics(), self.letters());
            let count = |sink: &str| letters.get(sink).map_or(0, |letters| letters.len() as u64);
            let of = |name: &str, sink: &str| of(&metrics, name, sink);
            let is_explained = |sink: &str| {
                let dead = of("dead_letters_total", sink);
                let acked = of("sink_acked_total", sink);
                dead == count(sink)
                    && acked + dead == before.iter().sum::<u64>()
                    && of("sink_lag_records", sink) == 0
            };
            let is_read = before[0] >= self.written.len() as u64
                && metrics.sum("rejected_total") as u64 == count("")
                && metrics.sum("events_total") as u64 == before[0];
            if is_read && documents() == before && self.sinks().into_iter().all(is_explained) {
                return metrics;
            }
            assert!(
                Instant::now() < until,
                "in files {before:?}, written {}; dead letters {:?}: {:#?}\n{}",
                self.written.len(),
                letters.iter().map(|(sink, letters)| (sink, letters.len())).collect::<Vec<_>>(),
                self.shown(),
                self.daemon.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until everything has arrived, stops the daemon, and looks into everything.
    pub(super) fn check(&mut self, engine: Option<&dyn Holds>) -> Found {
        // Counters of sinks begin with the process, what was committed does not.
        let metrics = match self.daemon.starts {
            1 => self.quiet(),
            _ => {
                self.wait("all is there", |rig| {
                    let is_idle = |sink: &&str| rig.of("sink_lag_records", sink) == 0;
                    rig.daemon.delivered().len() >= rig.written.len()
                        && rig.sinks().iter().all(is_idle)
                });
                self.daemon.metrics()
            }
        };
        assert_eq!(self.daemon.stop(), Some(0), "{}", self.daemon.log());
        let delivered = self.daemon.delivered();
        let twice: Vec<_> = delivered.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "twice: {twice:?}");
        let delivered: BTreeSet<Key> = delivered.into_keys().collect();
        let missing: Vec<_> = self.written.difference(&delivered).take(5).collect();
        let more: Vec<_> = delivered.difference(&self.written).take(5).collect();
        assert!(missing.is_empty() && more.is_empty(), "missing {missing:?}, more {more:?}");
        let letters = self.letters();
        let mut copies = 0;
        for kind in KINDS {
            let file = self.file(kind);
            if let Some((brokers, prefix)) = &self.kafka {
                let expected = expected(&file, letters.get("kafka"));
                let found = super::kafka::topic(brokers, &format!("{prefix}.{kind}"));
                check_ids(&format!("{kind} in Kafka"), found.keys(), &expected);
                for (id, found) in &found {
                    let is_same = found.iter().all(|(payload, _)| *payload == file[id].0);
                    assert!(is_same, "{id} of {kind} is another in Kafka");
                    copies += found.len() - 1;
                }
            }
            if let Some(engine) = engine {
                let expected = expected(&file, letters.get("elasticsearch"));
                let stored = engine.stored(kind);
                let ids: BTreeSet<&String> = stored.iter().map(|it| &it.id).collect();
                assert_eq!(ids.len(), stored.len(), "an id twice in {kind} of the engine (I2)");
                check_ids(&format!("{kind} in the engine"), ids.into_iter(), &expected);
                for it in &stored {
                    assert_eq!(it.source, file[&it.id].1, "{} of {kind}", it.id);
                }
            }
        }
        let documents = self.file("events").into_iter();
        Found {
            metrics,
            copies,
            letters,
            events: documents.map(|(id, (_, document))| (id, document)).collect(),
            alerts: self.file("alerts").len(),
            risk: self.file("risk").len(),
        }
    }
}

/// The sum of a metric over what a sink has of it.
pub(super) fn of(metrics: &Metrics, name: &str, sink: &str) -> u64 {
    metrics.with(name, &format!("sink=\"{sink}\"")) as u64
}

/// What a sink has to have: all of a file but what is a dead letter.
fn expected<'a>(
    file: &'a BTreeMap<String, (Vec<u8>, Value)>,
    letters: Option<&Vec<Value>>,
) -> BTreeSet<&'a String> {
    let letters = letters.into_iter().flatten();
    let dead: BTreeSet<&str> = letters.map(|letter| letter["event_id"].as_str().unwrap()).collect();
    file.keys().filter(|id| !dead.contains(id.as_str())).collect()
}

fn check_ids<'a>(
    what: &str,
    found: impl Iterator<Item = &'a String>,
    expected: &BTreeSet<&'a String>,
) {
    let found: BTreeSet<&String> = found.collect();
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    let more: Vec<_> = found.difference(expected).take(5).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{what}: {} of {}, missing {missing:?}, more {more:?}",
        found.len(),
        expected.len()
    );
}
