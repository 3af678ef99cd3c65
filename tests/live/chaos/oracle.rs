//! What must have come of it: I1 to I4 and I7 of the oracle, over everything that was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::Chaos;
use crate::common::program;
use crate::emulator::ledger::Record;
use crate::emulator::rows::Log;
use crate::live::PATIENCE;
use crate::live::search::latest;

/// What was found, for who reads of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    events: usize,
    alerts: usize,
    risk: usize,
    letters_of_lines: usize,
    letters_of_sinks: usize,
    /// Records that came more than once to Kafka, which cannot tell.
    twice_in_kafka: usize,
    /// Documents of records that were destroyed before they were committed.
    of_destroyed: usize,
    /// Whether the journal gave the same bytes.
    journal: bool,
}

/// Documents by their ids.
type Documents = BTreeMap<String, Vec<u8>>;

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn id(line: &[u8]) -> String {
    let document: Value = serde_json::from_slice(line).unwrap();
    document["event"]["id"].as_str().unwrap().to_owned()
}

/// Some of them, for a message.
fn few<'a, T: Ord + std::fmt::Debug + 'a>(of: impl Iterator<Item = &'a T>) -> String {
    let all: Vec<&T> = of.collect();
    format!("{} {:?}", all.len(), &all[..all.len().min(3)])
}

impl Chaos {
    pub(super) fn check(&mut self) -> Found {
        let mut found = Found::default();
        let mut wrote = BTreeMap::new();
        for kind in ["events", "alerts", "risk"] {
            wrote.insert(kind, self.written(kind));
        }
        [found.events, found.alerts, found.risk] =
            ["events", "alerts", "risk"].map(|kind| wrote[kind].len());
        assert!(found.alerts > 0 && found.risk > 0, "{found:?}");
        let destroyed = self.check_events(&wrote["events"]);
        let rejected = self.check_letters(&wrote["events"], &mut found);
        for (kind, documents) in &wrote {
            found.twice_in_kafka += self.check_kafka(kind, documents, &destroyed, &mut found);
            let rejected = if *kind == "events" { &rejected } else { &BTreeSet::new() };
            self.check_engine(kind, documents, rejected, &destroyed);
        }
        self.check_entities(&wrote["risk"]);
        self.check_counters(&found);
        let log = self.daemon.log();
        for words in ["damaged or gone", "damaged; what", "panicked"] {
            assert!(!log.contains(words), "{words}: {}", self.base.display());
        }
        if self.script.keeps {
            self.check_journal();
            found.journal = true;
        }
        found
    }

    /// What stands in the files, each once (I2).
    fn written(&self, kind: &str) -> Documents {
        let bytes = self.daemon.bytes(&format!("{kind}.ndjson"));
        let mut documents = BTreeMap::new();
        for line in lines(&bytes) {
            let id = id(line);
            assert!(documents.insert(id.clone(), line.to_vec()).is_none(), "{id} twice in {kind}");
        }
        documents
    }

    /// I1: the records of the files are those that were written; the keys of the others, which may
    /// have been destroyed in time.
    fn check_events(&self, events: &Documents) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for line in events.values() {
            let key = key(&serde_json::from_slice(line).unwrap());
            assert!(keys.insert(key.clone()), "{key:?} twice");
        }
        let of = |record: &Record| (record.log, record.key.clone());
        let is_good = |record: &&Record| !self.bad.contains(&record.key);
        let must: BTreeSet<_> = self.world.expected().must.iter().filter(is_good).map(of).collect();
        let written = self.world.ledger().written();
        let written: BTreeSet<_> = written.iter().filter(is_good).map(of).collect();
        let missing = few(must.difference(&keys));
        assert!(must.is_subset(&keys), "records are missing: {missing}");
        assert!(keys.is_subset(&written), "{}", few(keys.difference(&written)));
        let uncertain: BTreeSet<_> = written.difference(&must).cloned().collect();
        assert!(!self.script.keeps || uncertain.is_empty(), "{}", few(uncertain.iter()));
        uncertain.into_iter().map(|(_, key)| key).collect()
    }

    /// I7: each letter is of a bad line, of what Zeek left torn, or of a document that the engine
    /// cannot take; the ids of the last.
    fn check_letters(&self, events: &Documents, found: &mut Found) -> BTreeSet<String> {
        let (mut rejected, mut bad) = (BTreeSet::new(), BTreeSet::new());
        let mut places = BTreeSet::new();
        for letter in self.daemon.lines("dead-letter.ndjson") {
            if letter["sink"].is_null() {
                found.letters_of_lines += 1;
                let raw = letter["raw"].as_str().unwrap().as_bytes();
                let raw = data_encoding::BASE64.decode(raw).unwrap();
                let raw = String::from_utf8(raw).unwrap();
                let place = (letter["file"].to_string(), letter["offset"].as_u64(), raw.clone());
                assert!(places.insert(place), "a letter twice: {letter}");
                let key = self.bad.iter().find(|key| raw.contains(key.as_str()));
                let is_torn = letter["reason"] == "torn_record";
                assert!(key.is_some() || is_torn, "{letter}");
                bad.extend(key.filter(|_| !is_torn));
                continue;
            }
            assert_eq!(letter["sink"], "elasticsearch", "{letter}");
            let id = letter["event_id"].as_str().unwrap().to_owned();
            let line = events.get(&id).unwrap_or_else(|| panic!("of nothing: {letter}"));
            let (_, key) = key(&serde_json::from_slice(line).unwrap());
            assert!(self.odd.contains(&key), "{letter}");
            assert!(rejected.insert(id), "a letter twice: {letter}");
        }
        let keys = events.values().map(|line| key(&serde_json::from_slice(line).unwrap()).1);
        let odd = keys.filter(|key| self.odd.contains(key)).count();
        assert_eq!(rejected.len(), odd, "each odd record has its letter");
        let must = self.world.expected().must;
        let must = must.iter().filter(|record| self.bad.contains(&record.key));
        let missing: Vec<_> = must.filter(|record| !bad.contains(&record.key)).collect();
        assert!(missing.is_empty(), "bad lines without a letter: {}", few(missing.into_iter()));
        found.letters_of_sinks = rejected.len();
        rejected
    }

    /// I1 and I3: a topic has what the files have, and maybe some of it twice; how often.
    fn check_kafka(
        &self,
        kind: &str,
        wrote: &Documents,
        destroyed: &BTreeSet<String>,
        found: &mut Found,
    ) -> usize {
        let (mut seen, mut twice) = (BTreeSet::new(), 0);
        each_record(&self.brokers, &format!("{}.{kind}", self.engine.prefix), |id, payload| {
            let Some(line) = wrote.get(id) else {
                found.of_destroyed += 1;
                return self.check_uncertain(kind, id, payload, destroyed);
            };
            assert!(line == payload, "{id} differs in Kafka");
            twice += usize::from(!seen.insert(id.to_owned()));
        });
        let missing = wrote.keys().filter(|id| !seen.contains(*id));
        assert_eq!(seen.len(), wrote.len(), "missing {kind} in Kafka: {}", few(missing));
        twice
    }

    /// I1 to I3: indices have what the files have, each once, but for what they do not take.
    fn check_engine(
        &self,
        kind: &str,
        wrote: &Documents,
        rejected: &BTreeSet<String>,
        destroyed: &BTreeSet<String>,
    ) {
        let mut seen = BTreeSet::new();
        let name = format!("{}-{kind}", self.engine.prefix);
        self.engine.done("POST", &format!("/{name}-*/_refresh"), &Value::Null);
        let scroll = format!("/{name}-*/_search?scroll=1m&size=500");
        let mut page = self.engine.text("POST", &scroll, &json!({ "sort": ["_doc"] }));
        loop {
            let mut count = 0;
            for (id, source) in sources(&page) {
                count += 1;
                assert!(seen.insert(id.clone()), "{id} twice in {kind} of the engine");
                assert!(!rejected.contains(&id), "{id} is a dead letter, and in the engine");
                match wrote.get(&id) {
                    Some(line) => assert!(line == source, "{id} differs in the engine"),
                    None => self.check_uncertain(kind, &id, source, destroyed),
                }
            }
            if count == 0 {
                break;
            }
            let page_of: Value = serde_json::from_str(&page).unwrap();
            let next = json!({ "scroll": "1m", "scroll_id": page_of["_scroll_id"] });
            page = self.engine.text("POST", "/_search/scroll", &next);
        }
        let missing = few(wrote.keys().filter(|id| !seen.contains(*id) && !rejected.contains(*id)));
        assert!(missing.starts_with("0 "), "missing {kind} in the engine: {missing}");
    }

    /// A document that stands in no file is of a record that was destroyed before it was committed,
    /// or said something of such a record.
    fn check_uncertain(&self, kind: &str, id: &str, text: &[u8], destroyed: &BTreeSet<String>) {
        assert!(!self.script.keeps, "{id} of {kind} is in no file");
        let (_, key) = key(&serde_json::from_slice(text).unwrap());
        assert!(kind == "events" && destroyed.contains(&key), "{id} of {kind} is in no file");
    }

    /// The latest risk of each entity.
    fn check_entities(&self, risk: &Documents) {
        let value = |line: &Vec<u8>| serde_json::from_slice(line).unwrap();
        let risk = risk.iter().map(|(id, line)| (id.clone(), value(line))).collect();
        let expected: BTreeSet<String> =
            latest(&risk).values().map(|it| it["event"]["id"].to_string()).collect();
        let found: BTreeSet<String> = self
            .engine
            .by_id("entities")
            .values()
            .map(|it| it["event"]["id"].to_string())
            .collect();
        assert!(found == expected, "entities: {}", few(found.symmetric_difference(&expected)));
    }

    /// I7: what counters keep from run to run is what is there.
    fn check_counters(&mut self, found: &Found) {
        self.is_wanted = true;
        self.until("it does not start", PATIENCE, &super::is_level);
        let metrics = self.metrics().unwrap();
        for (name, count) in [
            ("events_total", found.events),
            ("rejected_total", found.letters_of_lines),
            ("risk_documents_total", found.risk),
            ("alerts_total", found.alerts),
        ] {
            assert_eq!(metrics.sum(name), count as f64, "{name}");
        }
        // It was stopped with everything acknowledged: nothing was sent again.
        assert_eq!(metrics.sum("sink_sent_total"), 0.0);
        self.stop();
    }

    /// I4: an uninterrupted run in the order of the journal writes the same bytes.
    fn check_journal(&self) {
        let output = self.base.join("again");
        let mut command = program();
        command.args(["replay", "--journal"]).arg(self.daemon.state.join("journal"));
        command.arg("-c").arg(self.daemon.config()).args(&self.daemon.args);
        let run = command.arg("-o").arg(&output).args(&self.daemon.roots).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        for name in ["events.ndjson", "alerts.ndjson", "risk.ndjson", "dead-letter.ndjson"] {
            let (wrote, again) = (self.daemon.bytes(name), fs::read(output.join(name)).unwrap());
            let of_lines = |line: &&[u8]| {
                name != "dead-letter.ndjson"
                    || serde_json::from_slice::<Value>(line).unwrap()["sink"].is_null()
            };
            let mut wrote = lines(&wrote).filter(of_lines);
            let mut again = lines(&again);
            for number in 0.. {
                let (wrote, again) = (wrote.next(), again.next());
                if wrote.is_none() && again.is_none() {
                    break;
                }
                let text = |line: Option<&[u8]>| {
                    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
                };
                assert!(
                    wrote == again,
                    "{name}, line {number}: wrote {}\nagain {}",
                    text(wrote),
                    text(again)
                );
            }
        }
    }
}

/// The log of an event's record, and the key.
fn key(event: &Value) -> (Log, String) {
    let found = Log::ALL.into_iter().find_map(|log| {
        let key = event["zeek"].get(log.name())?[log.key()].as_str()?;
        Some((log, key.to_owned()))
    });
    found.unwrap_or_else(|| panic!("of no log: {event}"))
}

/// Every record of a topic, with its id.
fn each_record(brokers: &str, topic: &str, mut see: impl FnMut(&str, &[u8])) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", topic);
    config.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let (mut open, mut heard) = (partitions.count(), Instant::now());
    while open > 0 {
        assert!(heard.elapsed() < PATIENCE, "{topic} has no end");
        match consumer.poll(std::time::Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let header = message.headers().unwrap().get(0);
                assert_eq!(header.key, "event_id");
                let id = std::str::from_utf8(header.value.unwrap()).unwrap();
                see(id, message.payload().unwrap());
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => {}
        }
    }
}

/// The sources of a page of hits, to the byte, with their ids.
fn sources(page: &str) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    let (mut rest, name) = (page, "\"_source\":");
    while let Some(at) = rest.find(name) {
        let head = &rest[..at];
        let id = head.rsplit("\"_id\":\"").next().unwrap().split('"').next().unwrap();
        rest = &rest[at + name.len()..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next().unwrap().unwrap();
        let (source, after) = rest.split_at(values.byte_offset());
        found.push((id.to_owned(), source.as_bytes()));
        rest = after;
    }
    found
}
