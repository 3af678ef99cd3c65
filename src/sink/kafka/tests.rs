//! The sink against librdkafka's own mock cluster, with faults. Against a real broker:
//! `tests/live/kafka.rs`.

use std::collections::BTreeSet;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::base::clock::now;

fn settings(brokers: &str) -> Settings {
    Settings {
        brokers: vec![brokers.to_owned()],
        topic_prefix: "t".to_owned(),
        window: 1 << 20,
        partitions: 3,
        replication: -1,
        retention: None,
        password: None,
        options: BTreeMap::new(),
    }
}

fn documents(numbers: std::ops::Range<u32>, padding: usize) -> Vec<u8> {
    let document = |n: u32| {
        let (id, filler) = (format!("{n:032x}"), "x".repeat(padding));
        let event = format!(r#""event":{{"id":"{id}","kind":"event","dataset":"zeek.conn"}}"#);
        let ueba = format!(r#""ueba":{{"entity":"host:10.0.0.{}","scores":{{}}}}"#, n % 7);
        let time = "2018-03-24T17:15:20.865716Z";
        format!(r#"{{"@timestamp":"{time}",{event},"x":"{filler}",{ueba}}}"#) + "\n"
    };
    numbers.map(document).collect::<String>().into_bytes()
}

/// Event ids by their records in the topic of events, and the key of each.
fn consumed(brokers: &str, at_least: usize) -> Vec<(String, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "test");
    config.set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&["t.events"]).unwrap();
    let (mut found, until) = (Vec::new(), now() + Duration::from_secs(20));
    while found.len() < at_least && now() < until {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let header = message.headers().unwrap().get(0);
        assert_eq!(header.key, "event_id");
        let id = text(header.value.unwrap());
        assert!(text(message.payload().unwrap()).contains(&id));
        found.push((id, text(message.key().unwrap())));
    }
    found
}

/// Sends `count` documents to a cluster that `trouble` befalls before; how the sink stands when
/// all have arrived.
fn check(
    count: u32,
    trouble: impl FnOnce(&MockCluster<'_, rdkafka::producer::DefaultProducerContext>),
    cure: impl FnOnce(&MockCluster<'_, rdkafka::producer::DefaultProducerContext>),
) -> crate::engine::SinkStatus {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t.events", 3, 1).unwrap();
    trouble(&cluster);
    let kafka = Kafka::start(settings(&cluster.bootstrap_servers())).unwrap();
    for n in (0..count).step_by(100) {
        kafka.shared().send(Kind::Event, &documents(n..count.min(n + 100), 10)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    cure(&cluster);
    kafka.shared().settled(&[u64::from(count), 0, 0]);
    let found = consumed(&cluster.bootstrap_servers(), count as usize);
    let ids: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), count as usize, "of {}", found.len());
    for (id, key) in &found {
        let n = u32::from_str_radix(id, 16).unwrap();
        assert_eq!(*key, format!("host:10.0.0.{}", n % 7));
    }
    assert!(kafka.shared().take_letters(&[(1 << 62) - 1; 3]).is_empty());
    // It says every second what it sent.
    std::thread::sleep(Duration::from_millis(1200));
    let status = kafka.shared().status();
    assert_eq!((status.acked, status.lag, status.is_up), (u64::from(count), 0, true));
    status
}

#[test]
fn every_document_arrives_with_key_headers_and_time() {
    let status = check(1000, |_| {}, |_| {});
    assert_eq!((status.retries, status.rejected), (0, 0));
    assert!(status.bytes > 0 && status.requests.count > 0, "{status:?}");
}

#[test]
fn brokers_that_are_away_are_waited_for() {
    check(500, |it| it.broker_down(1).unwrap(), |it| it.broker_up(1).unwrap());
}

#[test]
fn an_operator_puts_rights_and_topics_right() {
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ] {
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        check(
            300,
            |it| it.topic_error("t.events", error).unwrap(),
            |it| it.topic_error("t.events", none).unwrap(),
        );
    }
}

#[test]
fn what_brokers_answer_for_a_while_is_tried_again() {
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    check(300, |it| it.request_errors(RDKafkaApiKey::Produce, &errors), |_| {});
}

#[test]
fn a_document_that_no_broker_takes_becomes_a_dead_letter_and_the_rest_goes_on() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t.events", 1, 1).unwrap();
    let mut settings = settings(&cluster.bootstrap_servers());
    settings.options.insert("message.max.bytes".to_owned(), "2000".to_owned());
    let kafka = Kafka::start(settings).unwrap();
    kafka.shared().send(Kind::Event, &documents(0..10, 10)).unwrap();
    kafka.shared().send(Kind::Event, &documents(10..11, 5000)).unwrap();
    kafka.shared().send(Kind::Event, b"not a document\n").unwrap();
    kafka.shared().send(Kind::Event, &documents(11..20, 10)).unwrap();
    kafka.shared().settled(&[21, 0, 0]);
    assert_eq!(consumed(&cluster.bootstrap_servers(), 19).len(), 19);
    // The next commit may be cut between them.
    let letters = [10, 11, 12, 21].map(|number| kafka.shared().take_letters(&[number, 0, 0]));
    assert_eq!(letters.each_ref().map(|it| it.is_empty()), [true, false, false, true]);
    let letters = String::from_utf8(letters.concat()).unwrap();
    let letters: Vec<serde_json::Value> =
        letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0]["reason"], "rejected_by_sink");
    let large = letters.iter().find(|letter| letter["log"] == "conn").unwrap();
    assert_eq!((&large["sink"], &large["offset"]), (&"kafka".into(), &10.into()));
    assert_eq!(large["event_id"], format!("{:032x}", 10));
    let status = kafka.shared().status();
    assert_eq!((status.rejected, status.acked, status.lag), (2, 19, 0));
}

#[test]
fn what_a_broker_refuses_for_the_sake_of_one_is_sent_one_by_one() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t.events", 1, 1).unwrap();
    // The first answer is for many of them, the next for one alone.
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal, refusal]);
    let mut settings = settings(&cluster.bootstrap_servers());
    settings.options.insert("linger.ms".to_owned(), "200".to_owned());
    let kafka = Kafka::start(settings).unwrap();
    kafka.shared().send(Kind::Event, &documents(0..50, 10)).unwrap();
    kafka.shared().settled(&[50, 0, 0]);
    let status = kafka.shared().status();
    assert_eq!((status.rejected, status.acked, status.lag), (1, 49, 0));
    kafka.shared().send(Kind::Event, &documents(50..100, 10)).unwrap();
    kafka.shared().settled(&[100, 0, 0]);
    assert_eq!(consumed(&cluster.bootstrap_servers(), 99).len(), 99);
}

#[test]
fn the_window_holds_back_who_sends_and_lets_go_when_it_is_over() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t.events", 1, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let kafka = Kafka::start(settings(&cluster.bootstrap_servers())).unwrap();
    let sent = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..100 {
                kafka.shared().send(Kind::Event, &documents(n * 20..n * 20 + 20, 2000)).unwrap();
                sent.store(n + 1, Ordering::Relaxed);
            }
        });
        std::thread::sleep(Duration::from_secs(1));
        // A mebibyte holds 25 of these blocks.
        let held = sent.load(Ordering::Relaxed);
        assert!((20..30).contains(&held), "{held}");
        assert!(!kafka.shared().status().is_up);
        cluster.broker_up(1).unwrap();
    });
    kafka.shared().settled(&[2000, 0, 0]);
    assert_eq!(sent.load(Ordering::Relaxed), 100);
}

#[test]
fn options_are_librdkafkas_but_for_those_that_promises_hang_on() {
    let with = |name: &str, value: &str| {
        let mut settings = settings("127.0.0.1:1");
        settings.options.insert(name.to_owned(), value.to_owned());
        Kafka::check(&settings).map_err(|error| error.to_string())
    };
    assert_eq!(with("linger.ms", "50"), Ok(()));
    let ours = with("message.timeout.ms", "1000").unwrap_err();
    assert!(ours.contains("message.timeout.ms") && ours.contains("nothing is lost"), "{ours}");
    let unknown = with("linger.mss", "50").unwrap_err();
    assert!(unknown.contains("linger.mss"), "{unknown}");
    let value = with("linger.ms", "many").unwrap_err();
    assert!(value.contains("linger.ms"), "{value}");
    let variable = with("sasl.password", "${NO_SUCH_VARIABLE}").unwrap_err();
    assert!(variable.contains("NO_SUCH_VARIABLE"), "{variable}");
    let tls = with("security.protocol", "ssl").unwrap_err();
    assert!(tls.contains("OpenSSL"), "{tls}");
}
