//! The example consumers and a real broker: every alert once, in both languages alike, whatever else
//! is in the topic.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::without_models;

#[derive(Clone, Copy, Debug)]
enum Language {
    Rust,
    Python,
}

impl Language {
    const ALL: [Self; 2] = [Self::Rust, Self::Python];

    /// The example in this language, which nobody has to wait for for ever.
    fn command(self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("timeout");
        command.arg("60");
        match self {
            Self::Rust => {
                let program = Path::new(env!("CARGO_BIN_EXE_zeek-ueba"));
                let example = program.with_file_name("examples").join("alerts");
                let age = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
                assert!(
                    age(&example) >= age(&root.join("examples/alerts.rs")),
                    "{} is not there or old: `make test` builds it, as does \
                     `cargo build --release --example alerts`",
                    example.display()
                );
                command.arg(example);
            }
            Self::Python => {
                let python = std::env::var("PYTHON_EXAMPLES").unwrap_or_else(|_| {
                    panic!(
                        "PYTHON_EXAMPLES does not say which python has confluent-kafka: `make test` \
                         sets it, `make python` makes one in target/tools/python/bin"
                    )
                });
                command.arg(python).arg(root.join("examples/alerts.py"));
                // Where it is least easy.
                command.env("LC_ALL", "C").env("PYTHONUTF8", "0");
            }
        }
        command
    }
}

/// A record of the topic.
#[derive(Clone, Debug, Default)]
struct Sent {
    key: Option<String>,
    headers: Vec<(&'static str, Option<String>)>,
    value: Option<Vec<u8>>,
}

impl Sent {
    /// As the sink of the daemon sends it.
    fn alert(document: &[u8]) -> Self {
        let alert: Value = serde_json::from_slice(document).unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let schema = Some("zeek-ueba.alert.v1".to_owned());
        Self {
            key: text(&alert["ueba"]["entity"]),
            headers: vec![("event_id", text(&alert["event"]["id"])), ("schema", schema)],
            value: Some(document.to_owned()),
        }
    }
}

/// Hears where records ended up.
#[derive(Default)]
struct Places(Mutex<Vec<(i32, i64)>>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().unwrap();
        self.0.lock().unwrap().push((message.partition(), message.offset()));
    }
}

/// A topic with what zeek-ueba sent.
struct Topic {
    place: TempDir,
    brokers: String,
    name: String,
    /// What is to be printed, sorted.
    lines: Vec<String>,
    /// What is to be said of records that are no alerts, sorted.
    skipped: Vec<String>,
}

impl Topic {
    /// With `and_worse`, some of it comes again, and there is what is no alert.
    fn new(and_worse: bool) -> Self {
        let place = TempDir::new().unwrap();
        let prefix = format!("examples{}", place.path().file_name().unwrap().to_str().unwrap());
        let mut topic = Self {
            brokers: crate::services::kafka(),
            name: format!("{prefix}.alerts"),
            lines: Vec::new(),
            skipped: Vec::new(),
            place,
        };
        fs::write(topic.place.path().join("pipeline.toml"), without_models()).unwrap();
        topic.run(&["setup", "kafka"], &prefix);
        if and_worse {
            topic.send_garbage();
        }
        let alerts = topic.replay(&prefix);
        let alerts: Vec<&[u8]> = alerts.split_inclusive(|&byte| byte == b'\n').collect();
        let alerts: Vec<&[u8]> = alerts.iter().map(|it| it.trim_ascii_end()).collect();
        assert!(alerts.len() > 100, "{} alerts", alerts.len());
        topic.lines = alerts.iter().map(|alert| line(alert)).collect();
        if and_worse {
            // As after a crash of the daemon.
            let again = alerts[alerts.len() - 60..].iter().map(|alert| Sent::alert(alert));
            topic.send(None, &again.collect::<Vec<_>>());
            topic.send_escapes();
            topic.send_garbage();
        }
        topic.lines.sort_unstable();
        topic.skipped.sort_unstable();
        topic
    }

    /// Runs the program.
    fn run(&self, args: &[&str], prefix: &str) {
        let brokers = format!("sink.kafka.brokers=[{:?}]", self.brokers);
        let prefix = format!("sink.kafka.topic_prefix={prefix:?}");
        let mut command = crate::common::program();
        command.args(args).args(["--set", &brokers, "--set", &prefix]);
        let run = command.current_dir(self.place.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    /// Alerts by the program itself, as they stand in the file.
    fn replay(&self, prefix: &str) -> Vec<u8> {
        // Not long ago: brokers remove what is older than they keep it by its own time.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - 3600;
        let row = |n: u64| {
            let method = ["BREW", "GET", "BR\u{1b}[2J\u{202e}EW", "Größe"][n as usize % 4];
            let (ts, orig, host) = (now + n, n % 20, n % 200);
            format!(
                "{ts}.25|C{n}|10.0.0.{orig}|203.0.113.9|{method}|198.51.100.{host}|/|1.1|200|-|-"
            )
        };
        let rows: Vec<String> = (0..400).map(row).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        fs::write(self.place.path().join("http.log"), crate::common::http(&rows)).unwrap();
        let all = ["--set", "risk.alerts_per_day=1000000"];
        let args = ["replay", "-o", "out", "--emit", "kafka", "http.log"];
        self.run(&[&args[..], &all[..]].concat(), prefix);
        fs::read(self.place.path().join("out/alerts.ndjson")).unwrap()
    }

    /// Sends records, to this partition if it is given; where they are then.
    fn send(&self, partition: Option<i32>, records: &[Sent]) -> Vec<(i32, i64)> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        let producer: BaseProducer<Places> = config.create_with_context(Places::default()).unwrap();
        for sent in records {
            let mut record = BaseRecord::<String, Vec<u8>>::to(&self.name);
            (record.partition, record.key) = (partition, sent.key.as_ref());
            record.payload = sent.value.as_ref();
            if !sent.headers.is_empty() {
                let mut headers = OwnedHeaders::new();
                for (key, value) in &sent.headers {
                    headers = headers.insert(Header { key, value: value.as_ref() });
                }
                record = record.headers(headers);
            }
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        let places = producer.context().0.lock().unwrap().clone();
        assert_eq!(places.len(), records.len());
        places
    }

    /// An alert with everything that a terminal should not see.
    fn send_escapes(&mut self) {
        let alert = json!({
            "@timestamp": "2026-01-02T03:04:05.000006Z",
            "event": { "id": "f".repeat(32) },
            "ueba": {
                "entity": "host:ü\u{1b}]0;\u{7}",
                "detector": "a\r\n\tb\\c\u{0}",
                "score": 1,
                "reasons": [{ "feature": "\u{9b}\u{2067}\u{200f}", "observed": -0.5 }],
                "evidence": [],
            },
        });
        self.send(None, &[Sent::alert(alert.to_string().as_bytes())]);
        let shown = [
            "2026-01-02T03:04:05.000006Z",
            r"host:ü\u001b]0;\u0007",
            r"a\u000d\u000a\u0009b\u005cc\u0000",
            "1.000000",
            r"\u009b\u2067\u200f",
            "-0.500000",
            "",
        ];
        self.lines.push(shown.join("\t"));
    }

    fn send_garbage(&mut self) {
        let id = || ("event_id", Some("0".repeat(32)));
        let with = |headers: Vec<_>, value: &[u8]| {
            let key = Some("host:10.0.0.1".to_owned());
            Sent { key, headers, value: Some(value.to_owned()) }
        };
        let alert = br#"{"@timestamp":"","ueba":{"entity":"","detector":"","score":0}}"#;
        let unsure = br#"{"@timestamp":"","ueba":{"entity":"","detector":"","score":true}}"#;
        let garbage = [
            ("no value", Sent { headers: vec![id()], ..Sent::default() }),
            ("no value", Sent::default()),
            ("no event_id of 32 digits", with(vec![], alert)),
            ("no event_id of 32 digits", with(vec![("event_id", None)], alert)),
            ("no event_id of 32 digits", with(vec![("id", Some("0".repeat(32)))], alert)),
            ("no event_id of 32 digits", with(vec![("event_id", Some("7".to_owned()))], alert)),
            ("not JSON", with(vec![id()], b"")),
            ("not JSON", with(vec![id()], b"\x1b[2J")),
            ("not JSON", with(vec![id()], b"{\"@timestamp\":\"\xff\"}")),
            ("not JSON", with(vec![id()], "[".repeat(100_000).as_bytes())),
            ("not an alert", with(vec![id()], b"[]")),
            ("not an alert", with(vec![id()], b"\"ueba\"")),
            ("not an alert", with(vec![id()], unsure)),
            ("not an alert", with(vec![id()], b"{\"@timestamp\":\"\",\"ueba\":[0]}")),
        ];
        let records: Vec<Sent> = garbage.iter().map(|(_, sent)| sent.clone()).collect();
        let places = self.send(Some(1), &records).into_iter().zip(&garbage);
        let name = self.name.clone();
        self.skipped.extend(places.map(|((partition, offset), (why, _))| {
            format!("alerts: {name} [{partition}] offset {offset} skipped: {why}")
        }));
    }

    /// An example on this topic.
    fn command(&self, language: Language, group: &str) -> Command {
        let mut command = language.command();
        command.args([&self.brokers, &self.name]);
        command.args(["-X", &format!("group.id={group}.{language:?}")]);
        command
    }

    /// What an example prints and says until the end of the topic.
    fn output(&self, language: Language, group: &str) -> (Vec<String>, Vec<String>) {
        let output = self.command(language, group).arg("--until-end").output().unwrap();
        let Output { status, stdout, stderr } = output;
        assert_eq!(status.code(), Some(0), "{language:?}: {}", String::from_utf8_lossy(&stderr));
        (sorted(&stdout), sorted(&stderr))
    }
}

/// Its lines, sorted.
fn sorted(text: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(text).unwrap();
    let mut lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// The line of an alert that the program wrote.
fn line(alert: &[u8]) -> String {
    let alert: Value = serde_json::from_slice(alert).unwrap();
    let (ueba, reason) = (&alert["ueba"], &alert["ueba"]["reasons"][0]);
    let score = format!("{:.6}", ueba["score"].as_f64().unwrap());
    let columns = [
        &alert["@timestamp"],
        &ueba["entity"],
        &ueba["detector"],
        &score.into(),
        &reason["feature"],
        &reason["observed"],
        &ueba["evidence"][0]["uid"],
    ];
    let line = columns.map(|column| column.as_str().unwrap()).join("\t");
    line.replace('\u{1b}', "\\u001b").replace('\u{202e}', "\\u202e")
}

#[test]
fn every_alert_is_printed_once_and_the_same_in_both_languages() {
    let topic = Topic::new(true);
    assert!(topic.lines.iter().any(|line| line.contains(r"BR\u001b[2J\u202eEW")));
    assert!(topic.lines.iter().any(|line| line.contains("Größe")));
    for language in Language::ALL {
        let (printed, said) = topic.output(language, "once");
        assert_eq!(printed, topic.lines, "{language:?}");
        assert_eq!(said, topic.skipped, "{language:?}");
        let again = topic.output(language, "once");
        assert_eq!(again, (vec![], vec![]), "{language:?} did not commit");
    }
}

#[test]
fn an_alert_that_was_not_printed_comes_again_and_one_that_was_does_not() {
    let topic = Topic::new(false);
    for language in Language::ALL {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failed = topic.command(language, "again").stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{language:?}: {stderr}");
        assert!(stderr.contains("No space left on device"), "{language:?}: {stderr}");
        // What was printed when the signal comes is committed before the end.
        let path = topic.place.path().join(format!("{language:?}"));
        let (stdout, stderr) = (File::create(&path).unwrap(), File::create("/dev/null").unwrap());
        let mut command = topic.command(language, "again");
        let mut child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while sorted(&fs::read(&path).unwrap()).len() < topic.lines.len() {
            assert!(Instant::now() < until, "{language:?}: {}", fs::read_to_string(&path).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{language:?}");
        assert_eq!(sorted(&fs::read(&path).unwrap()), topic.lines, "{language:?}");
        assert_eq!(topic.output(language, "again").0, [""; 0], "{language:?} did not commit");
    }
}
