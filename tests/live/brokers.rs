//! Faults of Kafka (docs/faults.md), each a test of its own: with librdkafka's mock cluster, or a proxy
//! before a real broker. Beside it stands an engine, which must not notice.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::COMMITTED;
use super::oracle::{Holds, Rig};
use super::proxy::{Mode, Proxy};
use super::scripted::Scripted;
use crate::services::kafka;

/// What the healthy sink may take for a record while the other is in trouble.
pub(super) const PROMPT: Duration = Duration::from_secs(3);

/// A daemon with Kafka at `through` and an engine, not started yet.
fn beside(through: &str, brokers: &str) -> (Rig, Scripted) {
    let (mut rig, server) = (Rig::new(), Scripted::start());
    rig.kafka(through, brokers);
    rig.engine(&server.url());
    (rig, server)
}

/// Waits until the engine has all records that were written, and says when it is late.
fn check_prompt(rig: &Rig, server: &Scripted, since: Instant) {
    let all = rig.written.len();
    rig.wait("the engine has all", |_| server.stored("events").len() >= all);
    assert!(since.elapsed() < PROMPT, "the engine took {:?}", since.elapsed());
}

#[test]
fn f31_kafka_is_away_at_the_start_and_again_and_again() {
    let proxy = Proxy::before_kafka(&kafka());
    let (mut rig, server) = beside(&proxy.address(), &kafka());
    proxy.set(Mode::Refuse);
    rig.risky(0..200);
    rig.daemon.start();
    check_prompt(&rig, &server, Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rig.of("sink_acked_total", "kafka"), 0);
    proxy.set(Mode::Pass);
    rig.acked("kafka", 400);
    for round in 2..5 {
        let since = Instant::now();
        proxy.set(Mode::Refuse);
        rig.risky(round * 100..round * 100 + 100);
        check_prompt(&rig, &server, since);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(since.elapsed()));
        proxy.set(Mode::Pass);
        std::thread::sleep(Duration::from_secs(1));
    }
    let found = rig.check(Some(&server));
    assert!(found.letters.is_empty() && found.alerts > 5 && found.risk > 5);
}

/// Nobody says anything, which is found out by a timeout only.
#[test]
fn f31_kafka_hangs() {
    let proxy = Proxy::before_kafka(&kafka());
    let (mut rig, server) = beside(&proxy.address(), &kafka());
    rig.set("sink.kafka.options.\"socket.timeout.ms\"=\"2000\"");
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    proxy.set(Mode::Stall);
    let since = Instant::now();
    rig.lines(100..200);
    check_prompt(&rig, &server, since);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rig.of("sink_acked_total", "kafka"), 100);
    proxy.set(Mode::Pass);
    assert!(rig.check(Some(&server)).letters.is_empty());
}

#[test]
fn f32_kafka_takes_three_seconds_for_everything() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    for sink in ["kafka", "elasticsearch"] {
        rig.set(format!("sink.{sink}.window=\"4MiB\""));
    }
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    cluster.broker_round_trip_time(1, Duration::from_secs(3)).unwrap();
    // 60 MB of documents.
    (0..1000).for_each(|n| request(&mut rig, n, &"x".repeat(30_000)));
    rig.acked("kafka", 110);
    std::thread::sleep(Duration::from_secs(3));
    assert!(rig.of("sink_acked_total", "kafka") < 700);
    let peak = rig.daemon.peak_mib();
    // The library and the model of `dga` are in it.
    assert!(peak < 150, "{peak} MiB");
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    rig.acked("kafka", 1100);
    let peak = rig.daemon.peak_mib();
    // The library and the model of `dga` are in it.
    assert!(peak < 150, "{peak} MiB");
    let found = rig.check(Some(&server));
    assert_eq!((found.copies, found.letters.len()), (0, 0));
}

#[test]
fn f33_what_passes_by_itself_is_tried_again() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    for (round, error) in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ]
    .into_iter()
    .enumerate()
    {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 3]);
        let (first, last) = (100 + round * 100, 200 + round * 100);
        rig.lines(first..last);
        rig.acked("kafka", last as u64);
    }
    let found = rig.check(Some(&server));
    assert_eq!((found.copies, found.letters.len()), (0, 0));
}

/// A request for something.
pub(super) fn request(rig: &mut Rig, n: usize, uri: &str) {
    let key = format!("D{n:017}");
    let row =
        format!("{}|{key}|10.0.0.5|9.9.9.9|GET|a.example|/{uri}|1.1|200|-|-", 1_700_000_000 + n);
    let text = match rig.path("http.log").exists() {
        true => row.replace('|', "\t") + "\n",
        false => crate::common::http(&[&row]),
    };
    rig.write("http", text.as_bytes(), [key]);
}

/// Letters that compress badly.
pub(super) fn letters(count: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (state >> 40) as u8 % 26)
    };
    (0..count).map(letter).collect()
}

/// That of all records the one with this uid is a dead letter of Kafka, and no other.
fn check_letter(rig: &mut Rig, server: &Scripted, uid: &str, why: &str) {
    rig.wait("a dead letter", |rig| rig.of("dead_letters_total", "kafka") > 0);
    // It is in the file with the commit after its own.
    rig.lines(900..901);
    let found = rig.check(Some(server));
    assert_eq!(found.letters.keys().collect::<Vec<_>>(), ["kafka"]);
    let letters = &found.letters["kafka"];
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "rejected_by_sink");
    assert!(letters[0]["detail"].as_str().unwrap().contains(why), "{}", letters[0]);
    let event = &found.events[letters[0]["event_id"].as_str().unwrap()];
    assert!(uid.is_empty() || event.to_string().contains(uid), "{event}");
}

#[test]
fn f34_a_record_that_the_client_finds_too_large() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    rig.set("sink.kafka.options.\"message.max.bytes\"=\"4000\"");
    rig.lines(0..50);
    request(&mut rig, 7, &letters(5000));
    rig.daemon.start();
    rig.acked("kafka", 50);
    rig.lines(50..100);
    check_letter(&mut rig, &server, "D00000000000000007", "MessageSizeTooLarge");
}

#[test]
fn f34_a_record_that_the_broker_finds_too_large() {
    let (mut rig, server) = beside(&kafka(), &kafka());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka());
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let name = format!("{}.events", rig.topics());
    let topic =
        NewTopic::new(&name, 2, TopicReplication::Fixed(1)).set("max.message.bytes", "4000");
    let made = runtime.block_on(admin.create_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    rig.lines(0..50);
    request(&mut rig, 7, &letters(9000));
    rig.daemon.start();
    rig.acked("kafka", 50);
    rig.lines(50..100);
    check_letter(&mut rig, &server, "D00000000000000007", "MessageSizeTooLarge");
}

#[test]
fn f34_a_record_that_is_none_to_the_broker() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    rig.lines(0..50);
    rig.daemon.start();
    rig.acked("kafka", 50);
    // The first answer is for all that came together, the next for one alone.
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal, refusal]);
    rig.lines(50..100);
    check_letter(&mut rig, &server, "", "InvalidRecord");
}

/// A topic that is deleted and made again: `tests/live/kafka.rs`.
#[test]
fn f35_rights_to_a_topic_are_taken_and_given_back() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    let name = format!("{}.events", rig.topics());
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[denied; 8]);
    cluster.topic_error(&name, denied).unwrap();
    let since = Instant::now();
    rig.lines(100..200);
    check_prompt(&rig, &server, since);
    rig.wait("it is said", |rig| rig.of("sink_up", "kafka") == 0);
    assert_eq!(rig.of("sink_acked_total", "kafka"), 100);
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    cluster.topic_error(&name, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    rig.acked("kafka", 200);
    assert_eq!(rig.of("sink_up", "kafka"), 1);
    assert!(rig.check(Some(&server)).letters.is_empty());
}

#[test]
fn f36_a_producer_that_is_at_its_end_is_made_again() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = beside(&brokers, &brokers);
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    for (round, error) in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    ]
    .into_iter()
    .enumerate()
    {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        let (first, last) = (100 + round * 100, 200 + round * 100);
        rig.lines(first..last);
        rig.acked("kafka", last as u64);
    }
    let fresh = rig.daemon.log().matches("sent again by a fresh producer").count();
    assert!(fresh >= 3, "{fresh} times\n{}", rig.daemon.log());
    assert!(rig.check(Some(&server)).letters.is_empty());
}

#[test]
fn f37_an_answer_of_kafka_is_lost() {
    let proxy = Proxy::before_kafka(&kafka());
    let (mut rig, server) = beside(&proxy.address(), &kafka());
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("kafka", 100);
    // The broker knows the producer, and what it was sent.
    proxy.lose(2);
    rig.lines(100..200);
    rig.acked("kafka", 200);
    assert_eq!(proxy.to_lose(), 0);
    // With the producer that is forgotten: what no commit knows comes again, under the same id.
    std::thread::sleep(COMMITTED);
    proxy.lose(1);
    rig.lines(200..300);
    rig.wait("an answer is lost", |_| proxy.to_lose() == 0);
    rig.daemon.kill();
    rig.daemon.start();
    let found = rig.check(Some(&server));
    assert!((1..=100).contains(&found.copies), "{}", found.copies);
    assert!(found.letters.is_empty());
}
