//! The daemon and Kafka: what stands in the files stands in the topics, whatever is killed.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use super::proxy::{Mode, Proxy};
use super::service::append;
use super::{Daemon, PATIENCE, killed_now_and_then, risky};

/// A payload and its key.
pub(super) type Copied = (Vec<u8>, Option<Vec<u8>>);

/// What a topic holds, by event id, each copy of it.
pub(super) fn topic(brokers: &str, name: &str) -> BTreeMap<String, Vec<Copied>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", format!("test.{name}"));
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(name), PATIENCE).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(name, partition.id(), Offset::Beginning).unwrap();
    }
    let mut open = partitions.count();
    consumer.assign(&partitions).unwrap();
    let (mut found, until) = (BTreeMap::new(), Instant::now() + PATIENCE);
    while open > 0 {
        assert!(Instant::now() < until, "{name} has no end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let header = message.headers().unwrap().get(0);
                assert_eq!(header.key, "event_id");
                let id = String::from_utf8(header.value.unwrap().to_vec()).unwrap();
                let (payload, key) = (message.payload().unwrap(), message.key());
                let copies: &mut Vec<_> = found.entry(id).or_default();
                copies.push((payload.to_vec(), key.map(<[u8]>::to_vec)));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    found
}

/// Follows logs while the daemon is killed now and then; at the end topics and files hold the same.
fn check(brokers: &str) {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    let prefix = format!("t{}", place.path().file_name().unwrap().to_str().unwrap());
    daemon.args = [
        "--set".to_owned(),
        format!("sink.kafka.brokers=[{brokers:?}]"),
        "--set".to_owned(),
        format!("sink.kafka.topic_prefix={prefix:?}"),
    ]
    .to_vec();
    assert_eq!(killed_now_and_then(&mut daemon, place.path(), 4), 4000);
    let mut sizes = Vec::new();
    for kind in ["events", "alerts", "risk"] {
        let text = daemon.bytes(&format!("{kind}.ndjson"));
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let mut wrote = BTreeMap::new();
        for line in lines {
            let document: serde_json::Value = serde_json::from_slice(line).unwrap();
            let key = document["ueba"]["entity"].as_str().map(|it| it.as_bytes().to_vec());
            let id = document["event"]["id"].as_str().unwrap().to_owned();
            assert!(wrote.insert(id, (line.to_vec(), key)).is_none(), "twice in the file");
        }
        let sent = topic(brokers, &format!("{prefix}.{kind}"));
        let missing = wrote.keys().filter(|id| !sent.contains_key(*id)).count();
        let more = sent.keys().filter(|id| !wrote.contains_key(*id)).count();
        assert_eq!((missing, more), (0, 0), "missing and more in {kind}");
        for (id, copies) in &sent {
            assert!(copies.iter().all(|copy| *copy == wrote[id]), "{id} differs");
        }
        sizes.push(wrote.len());
    }
    assert!(sizes[0] == 4000 && sizes[1] > 50 && sizes[2] > 50, "{sizes:?}");
}

#[test]
fn kafka_has_what_the_files_have_whenever_the_daemon_was_killed() {
    let cluster = MockCluster::new(1).unwrap();
    check(&cluster.bootstrap_servers());
}

#[test]
fn a_real_kafka_has_what_the_files_have_whenever_the_daemon_was_killed() {
    check(&crate::services::kafka());
}

fn wait(daemon: &Daemon, what: &dyn Fn(&Daemon) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !what(daemon) {
        assert!(Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port where nobody listens, and nobody else will.
pub(super) struct Nobody(std::net::TcpListener);

impl Nobody {
    pub(super) fn new() -> Self {
        // It is bound, and answers nothing.
        Self(std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(super) fn args(&self) -> Vec<String> {
        let brokers = format!("sink.kafka.brokers=[\"{}\"]", self.0.local_addr().unwrap());
        vec!["--set".to_owned(), brokers]
    }
}

pub(super) fn lag(daemon: &Daemon) -> f64 {
    daemon.metrics().get("sink_lag_records{sink=\"kafka\"}")
}

/// Everything is read, told and committed while no broker is there, and waits in the spool: also for
/// another start.
#[test]
fn f03_stopped_without_a_broker_and_started_again() {
    let place = TempDir::new().unwrap();
    let nobody = Nobody::new();
    let mut daemon = Daemon::new(place.path());
    daemon.args = nobody.args();
    let (conns, _) = risky(500);
    let log = place.path().join("conn.log");
    fs::write(&log, crate::common::conn(&[]) + &conns[..400].concat()).unwrap();
    daemon.start();
    wait(&daemon, &|daemon| daemon.metrics().sum("records_total") == 400.0);
    let alerts = daemon.lines("alerts.ndjson").len();
    assert!(alerts > 0, "{alerts}");
    assert_eq!(daemon.metrics().get("sink_up{sink=\"kafka\"}"), 0.0);
    assert!(daemon.metrics().get("spool_bytes{sink=\"kafka\"}") > 0.0);
    assert!(lag(&daemon) >= 400.0);
    assert_eq!(daemon.get("/readyz").code, 200, "what it lacks is kept for it");
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(10));
    append(&log, conns[400..].concat().as_bytes());
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    daemon.args = ["--set".to_owned(), format!("sink.kafka.brokers=[{brokers:?}]")].to_vec();
    daemon.start();
    assert!(daemon.log().contains("the spool has what it lacks"), "{}", daemon.log());
    wait(&daemon, &|daemon| daemon.metrics().sum("records_total") == 500.0);
    wait(&daemon, &|daemon| lag(daemon) == 0.0);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    for kind in ["events", "alerts", "risk"] {
        let sent = topic(&brokers, &format!("zeek-ueba.{kind}"));
        let wrote = daemon.lines(&format!("{kind}.ndjson"));
        assert_eq!(sent.len(), wrote.len(), "{kind}");
        assert!(sent.values().all(|copies| copies.len() == 1), "{kind}");
    }
    let left = fs::read_dir(daemon.state.join("spool/kafka")).unwrap().count();
    assert_eq!(left, 0, "what has arrived is not kept");
}

/// A sink that is not configured any more is given up only where somebody says so.
#[test]
fn f51_a_sink_that_is_removed() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = ["--set", "sink.kafka.brokers=[\"127.0.0.1:1\"]"].map(str::to_owned).to_vec();
    let (conns, _) = risky(50);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    daemon.start();
    wait(&daemon, &|daemon| daemon.metrics().sum("records_total") == 50.0);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    let with = std::mem::take(&mut daemon.args);
    assert_eq!(daemon.refused(), (Some(78), true), "{}", daemon.log());
    assert!(daemon.log().contains("--retire-sink kafka"), "{}", daemon.log());
    daemon.args = with.clone();
    daemon.start();
    assert!(lag(&daemon) >= 50.0);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.args = vec!["--retire-sink".to_owned(), "kafka".to_owned()];
    daemon.start();
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert!(!daemon.state.join("spool/kafka").exists());
    daemon.args = with;
    daemon.start();
    assert_eq!(lag(&daemon), 0.0, "it begins anew");
}

#[test]
fn f35_a_topic_that_is_deleted_and_made_again_gets_what_comes() {
    let brokers = crate::services::kafka();
    let place = TempDir::new().unwrap();
    let prefix = format!("deleted{}", place.path().file_name().unwrap().to_str().unwrap());
    let (code, text) = says(&brokers, &prefix, &["setup", "kafka"]);
    assert_eq!(code, Some(0), "{text}");
    let mut daemon = Daemon::new(place.path());
    let sets = [
        format!("sink.kafka.brokers=[{brokers:?}]"),
        format!("sink.kafka.topic_prefix={prefix:?}"),
    ];
    daemon.args = sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect();
    let (conns, _) = risky(200);
    let log = place.path().join("conn.log");
    fs::write(&log, crate::common::conn(&[]) + &conns[..100].concat()).unwrap();
    daemon.start();
    let acked = |daemon: &Daemon| daemon.metrics().get("sink_acked_total{sink=\"kafka\"}");
    let until = Instant::now() + PATIENCE;
    while acked(&daemon) < 100.0 {
        assert!(Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let events = format!("{prefix}.events");
    runtime.block_on(admin.delete_topics(&[&events], &AdminOptions::new())).unwrap();
    append(&log, conns[100..].concat().as_bytes());
    let (code, text) = says(&brokers, &prefix, &["setup", "kafka"]);
    assert_eq!(code, Some(0), "{text}");
    let until = Instant::now() + PATIENCE;
    let lag = |daemon: &Daemon| daemon.metrics().get("sink_lag_records{sink=\"kafka\"}");
    while acked(&daemon) < 200.0 || lag(&daemon) > 0.0 {
        assert!(Instant::now() < until, "{} {}", lag(&daemon), daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert!(daemon.lines("dead-letter.ndjson").is_empty());
}

#[test]
fn f46_away_until_the_spool_is_full_which_is_seen_as_lag() {
    let place = TempDir::new().unwrap();
    let cluster = MockCluster::new(1).unwrap();
    let proxy = Proxy::before_kafka(&cluster.bootstrap_servers());
    proxy.set(Mode::Refuse);
    let mut daemon = Daemon::new(place.path());
    for set in ["sink.kafka.window=\"1MiB\"", "sink.kafka.spool_max=\"1MiB\""] {
        daemon.args.extend(["--set".to_owned(), set.to_owned()]);
    }
    daemon.args.push("--set".to_owned());
    daemon.args.push(format!("sink.kafka.brokers=[{:?}]", proxy.address()));
    // They pack so well that the window is a small part of a segment.
    let (conns, _) = risky(120_000);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    daemon.start();
    let behind = |daemon: &Daemon| daemon.metrics().get("source_lag_seconds{log=\"conn\"}");
    let until = Instant::now() + PATIENCE;
    while behind(&daemon) < 5.0 {
        assert!(Instant::now() < until, "{}", behind(&daemon));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(daemon.metrics().get("spool_full{sink=\"kafka\"}"), 1.0);
    assert_eq!(daemon.get("/readyz").code, 503);
    // It goes on by itself.
    proxy.set(Mode::Pass);
    let rows = |daemon: &Daemon| daemon.metrics().sum("records_total");
    while rows(&daemon) < 120_000.0 || lag(&daemon) > 0.0 {
        assert!(Instant::now() < until + PATIENCE, "{} {}", rows(&daemon), daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(behind(&daemon), 0.0);
    assert_eq!(daemon.get("/readyz").code, 200);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains("it may be away for"), "nobody knew how much comes");
    daemon.start();
    assert!(daemon.log().contains("it may be away for"), "{}", daemon.log());
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    for (set, said) in [
        ("sink.kafka.options.\"message.timeout.ms\"=\"5\"", "message.timeout.ms"),
        ("sink.kafka.options.\"no.such\"=\"5\"", "no.such"),
        ("sink.kafka.options.\"sasl.password\"=\"${NO_SUCH_VARIABLE}\"", "NO_SUCH_VARIABLE"),
    ] {
        for command in ["check", "run"] {
            let place = TempDir::new().unwrap();
            let run = crate::common::program()
                .args([command, "--set", "sink.kafka.brokers=[\"127.0.0.1:1\"]", "--set", set])
                .current_dir(place.path())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(78), "{stderr}");
            assert!(stderr.contains(said), "{stderr}");
        }
    }
}

/// What a command says, with its exit code.
fn says(brokers: &str, prefix: &str, args: &[&str]) -> (Option<i32>, String) {
    let place = TempDir::new().unwrap();
    let brokers = format!("sink.kafka.brokers=[{brokers:?}]");
    let prefix = format!("sink.kafka.topic_prefix={prefix:?}");
    let mut command = crate::common::program();
    command.args(args).args(["--set", &brokers, "--set", &prefix]);
    let run = command.current_dir(place.path()).output().unwrap();
    let text = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
    (run.status.code(), text)
}

#[test]
fn setup_makes_what_is_missing_and_check_says_so() {
    let brokers = crate::services::kafka();
    let place = TempDir::new().unwrap();
    let prefix = format!("setup{}", place.path().file_name().unwrap().to_str().unwrap());
    let says = |args: &[&str]| says(&brokers, &prefix, args);
    let (code, text) = says(&["check", "--connect"]);
    assert!(code == Some(69) && text.contains("zeek-ueba setup kafka"), "{code:?} {text}");
    for _ in 0..2 {
        let (code, text) = says(&["setup", "kafka", "--dry-run"]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.matches("would be made, 6 partitions").count(), 3, "{text}");
        assert!(text.contains(&format!("{prefix}.risk  would be made, 6 partitions, compacted")));
    }
    let (code, text) = says(&["setup", "kafka"]);
    assert_eq!((code, text.matches("  made, 6 partitions").count()), (Some(0), 3), "{text}");
    let (code, text) = says(&["setup", "kafka"]);
    assert_eq!((code, text.matches("is there, 6 partitions\n").count()), (Some(0), 3), "{text}");
    let (code, text) = says(&["check", "--connect"]);
    assert!(code == Some(0) && text.contains("the configuration is fine"), "{code:?} {text}");
    // What is there is not changed, but told where it is not as asked for.
    let days = |days: &str| format!("sink.kafka.retention={days:?}");
    let (code, text) = says(&["setup", "kafka", "--set", &days("3d")]);
    assert_eq!((code, text.matches("not 259200000").count()), (Some(0), 2), "{text}");
    let other = format!("{prefix}b");
    let says = |args: &[&str]| super::kafka::says(&brokers, &other, args);
    assert_eq!(says(&["setup", "kafka", "--set", &days("3d")]).0, Some(0));
    let (code, text) = says(&["setup", "kafka", "--set", &days("4d")]);
    assert_eq!((code, text.matches("is 259200000, not 345600000").count()), (Some(0), 2), "{text}");
}

#[test]
fn nobody_at_the_port_is_said_plainly() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = free.local_addr().unwrap().to_string();
    drop(free);
    for args in [&["check", "--connect"][..], &["setup", "kafka"]] {
        let (code, text) = says(&brokers, "t", args);
        assert!(code == Some(69) && text.contains(&brokers), "{code:?} {text}");
        assert!(text.contains("no Kafka broker answers"), "{text}");
    }
}

#[test]
fn a_replay_sends_what_it_writes() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let place = TempDir::new().unwrap();
    let (conns, https) = risky(1000);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    let https = crate::common::http(&["no record"]) + &https.concat();
    fs::write(place.path().join("http.log"), https).unwrap();
    let output = place.path().join("replayed");
    let (output, logs) = (output.to_str().unwrap(), place.path().to_str().unwrap());
    let args = ["replay", "-o", output, "--emit", "kafka", logs];
    let (code, text) = says(&brokers, "t", &args);
    assert_eq!(code, Some(0), "{text}");
    for kind in ["events", "alerts", "risk"] {
        let text = fs::read(format!("{output}/{kind}.ndjson")).unwrap();
        let mut wrote: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        wrote.retain(|line| !line.is_empty());
        let sent = topic(&brokers, &format!("t.{kind}"));
        let mut sent: Vec<&[u8]> = sent.values().flatten().map(|copy| copy.0.as_slice()).collect();
        wrote.sort_unstable();
        sent.sort_unstable();
        assert!(wrote.len() > 50 && wrote == sent, "{kind}: {} and {}", wrote.len(), sent.len());
    }
    let nowhere = crate::common::program()
        .args(["replay", "-o", "x", "--emit", "kafka", logs])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(78));
    assert!(!place.path().join("x").exists());
}
