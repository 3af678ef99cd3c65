//! Kafka: one record for each document, keyed by entity, acknowledged by all replicas.
//!
//! librdkafka sends, batches and retries for as long as a broker is away (`message.timeout.ms=0`).
//! What it gives up, and what an operator has to put right (a topic that is not there, rights that
//! are missing), is sent again by a fresh producer from the first document without an answer. Only
//! what can never be taken becomes a dead letter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

use crate::document::Parts;
use crate::engine::Kind;

use super::network::{CannotConfigure, Network, Shared};
use super::secret::{Secret, from_environment, variable};

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the first brokers are.
    pub brokers: Vec<String>,
    /// What the names of topics begin with.
    pub topic_prefix: String,
    /// Bytes of documents that may be on their way.
    pub window: usize,
    /// Partitions of a topic that `setup` makes.
    pub partitions: i32,
    /// Replicas of its partitions; -1 leaves that to the brokers.
    pub replication: i32,
    /// `sasl.password`, where it is not among the options.
    pub password: Option<Secret>,
    /// Whatever else librdkafka knows; `${NAME}` stands for a variable of the environment.
    pub options: BTreeMap<String, String>,
}

/// The sink.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

const NAME: &str = "kafka";

/// What a user must not change.
const OURS: [&str; 6] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "message.timeout.ms",
];

/// Documents handed to librdkafka at once.
const AT_ONCE: usize = 1024;

/// Pause before a fresh producer tries again.
const PAUSE: Duration = Duration::from_secs(1);

impl Kafka {
    /// Starts to send; brokers need not be there yet.
    ///
    /// # Errors
    /// When no producer can be made of `settings`, whatever brokers there are.
    pub fn start(settings: Settings) -> Result<Self, CannotConfigure> {
        let config = configured(&settings)?;
        let shared = Arc::new(Shared::new(settings.window));
        let sender = Sender { config, topics: topics(&settings), shared: Arc::clone(&shared) };
        // Found out before anything is read.
        Self::check(&settings)?;
        let builder = Builder::new().name("kafka".to_owned());
        let thread = builder.spawn(move || sender.run());
        let thread =
            thread.map_err(|error| CannotConfigure::Option(format!("sink.kafka: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Finds out whether a producer can be made of `settings`; asks no broker.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(settings: &Settings) -> Result<(), CannotConfigure> {
        let producer = configured(settings)?.create::<rdkafka::producer::BaseProducer>();
        producer.map(drop).map_err(|error| CannotConfigure::Option(format!("sink.kafka: {error}")))
    }
}

impl Network for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.tell();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) fn configured(settings: &Settings) -> Result<ClientConfig, CannotConfigure> {
    let mut config = ClientConfig::new();
    config.set("client.id", "zeek-ueba");
    config.set("linger.ms", "2");
    config.set("compression.codec", "zstd");
    config.set("statistics.interval.ms", "0");
    config.set("log.connection.close", "false");
    for (name, value) in &settings.options {
        if OURS.contains(&name.as_str()) {
            return Err(CannotConfigure::Ours(format!("sink.kafka.options.{name}")));
        }
        let value = match variable(value) {
            Some(variable) => from_environment(&format!("sink.kafka.options.{name}"), variable)?,
            None => value.clone(),
        };
        config.set(name, value);
    }
    if let Some(password) = &settings.password {
        config.set("sasl.password", password.read("sink.kafka.password")?);
    }
    config.set("bootstrap.servers", settings.brokers.join(","));
    config.set("enable.idempotence", "true");
    config.set("acks", "all");
    config.set("message.timeout.ms", "0");
    // The window in front of it is what bounds it.
    config.set("queue.buffering.max.kbytes", (settings.window / 1024 * 2 + 65_536).to_string());
    config.set("queue.buffering.max.messages", "1000000");
    Ok(config)
}

/// The topics of this sink, and whether only the latest record of each key matters.
pub(super) fn topic_names(settings: &Settings) -> Vec<(String, bool)> {
    let topics = topics(settings).into_iter();
    topics.map(|(kind, name)| (name, kind == Kind::Risk)).collect()
}

fn topics(settings: &Settings) -> BTreeMap<Kind, String> {
    let topic = |kind, name| (kind, format!("{}.{name}", settings.topic_prefix));
    [topic(Kind::Event, "events"), topic(Kind::Alert, "alerts"), topic(Kind::Risk, "risk")].into()
}

/// The `schema` header of each kind.
const fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "zeek-ueba.event.v1",
        Kind::Alert => "zeek-ueba.alert.v1",
        Kind::Risk => "zeek-ueba.risk.v1",
        Kind::DeadLetter => "zeek-ueba.dead-letter.v1",
    }
}

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// No broker will ever take this document.
    Reject,
    /// The same again, by a fresh producer.
    Again,
}

fn action(error: &KafkaError) -> Action {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp,
        ) => Action::Reject,
        _ => Action::Again,
    }
}

/// Hears of what becomes of documents.
struct Context {
    shared: Arc<Shared>,
    /// Which of the producers it belongs to: what an old one says of failures is known already.
    generation: u64,
}

impl ClientContext for Context {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(sink = NAME, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.shared.lock().status.is_up = false;
        }
        tracing::warn!(sink = NAME, %error, reason, "trouble; nothing is lost, it is tried again");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let mut inner = self.shared.lock();
        match result {
            Ok(_) => inner.acknowledge(number as u64),
            Err((error, _)) => match action(error) {
                Action::Reject => inner.reject(NAME, number as u64, &error.to_string()),
                Action::Again => {
                    if inner.producer == self.generation && inner.trouble.is_none() {
                        inner.trouble = Some(error.to_string());
                    }
                }
            },
        }
        drop(inner);
        self.shared.tell();
    }
}

type Producing = ThreadedProducer<Context>;

/// The thread that hands documents to librdkafka.
struct Sender {
    config: ClientConfig,
    topics: BTreeMap<Kind, String>,
    shared: Arc<Shared>,
}

impl Sender {
    fn producer(&self, generation: u64) -> Result<Producing, KafkaError> {
        let shared = Arc::clone(&self.shared);
        self.config.create_with_context(Context { shared, generation })
    }

    fn run(self) {
        for generation in 1.. {
            {
                let mut inner = self.shared.lock();
                (inner.producer, inner.trouble) = (generation, None);
            }
            let trouble = match self.producer(generation) {
                Ok(producer) => {
                    let trouble = self.drive(&producer);
                    // From here on it has nothing to say but what has arrived.
                    self.shared.lock().producer = 0;
                    producer.purge(PurgeConfig::default().queue().inflight());
                    drop(producer.flush(PAUSE));
                    trouble
                }
                Err(error) => Some(error.to_string()),
            };
            let mut inner = self.shared.lock();
            inner.again();
            let Some(trouble) = trouble.filter(|_| !inner.is_closed) else { return };
            inner.status.is_up = false;
            tracing::warn!(sink = NAME, trouble, "not taken; sent again with a fresh producer");
            self.shared.pause(inner, PAUSE);
        }
    }

    /// Sends what there is, until something has to be sent again (why), or there is an end.
    fn drive(&self, producer: &Producing) -> Option<String> {
        loop {
            let batch = {
                let mut inner = self.shared.lock();
                loop {
                    if inner.is_closed {
                        return None;
                    }
                    if let Some(trouble) = &inner.trouble {
                        return Some(trouble.clone());
                    }
                    if inner.window.waiting() > 0 {
                        break;
                    }
                    inner = self.shared.wait(inner, Duration::from_secs(1));
                }
                inner.window.take(AT_ONCE, usize::MAX)
            };
            for (number, document) in batch {
                let Some(parts) = Parts::of(document.bytes()) else {
                    self.shared.lock().reject(NAME, number, "not a document of this program");
                    continue;
                };
                let headers = OwnedHeaders::new_with_capacity(2);
                let headers = headers.insert(Header { key: "event_id", value: Some(parts.id) });
                let schema = Some(schema(document.kind));
                let headers = headers.insert(Header { key: "schema", value: schema });
                let mut record = BaseRecord::with_opaque_to(
                    &self.topics[&document.kind],
                    usize::try_from(number).unwrap_or(usize::MAX),
                )
                .payload(document.bytes())
                .timestamp(parts.time.0.div_euclid(1000).max(0))
                .headers(headers);
                if let Some(entity) = parts.entity {
                    record = record.key(entity);
                }
                while let Err((error, back)) = producer.send(record) {
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
                        if self.shared.lock().is_closed {
                            return None;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                        record = back;
                        continue;
                    }
                    if action(&error) == Action::Again {
                        return Some(error.to_string());
                    }
                    self.shared.lock().reject(NAME, number, &error.to_string());
                    break;
                }
            }
            self.shared.tell();
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(message.timestamp().to_millis(), Some(1_521_911_720_865));
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
            kafka.shared().send(Kind::Event, &documents(n..count.min(n + 100), 10));
        }
        std::thread::sleep(Duration::from_millis(300));
        cure(&cluster);
        kafka.shared().settled(u64::from(count));
        let found = consumed(&cluster.bootstrap_servers(), count as usize);
        let ids: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), count as usize, "of {}", found.len());
        for (id, key) in &found {
            let n = u32::from_str_radix(id, 16).unwrap();
            assert_eq!(*key, format!("host:10.0.0.{}", n % 7));
        }
        assert!(kafka.shared().take_letters(u64::MAX).is_empty());
        let status = kafka.shared().status();
        assert_eq!((status.acked, status.lag, status.is_up), (u64::from(count), 0, true));
        status
    }

    #[test]
    fn every_document_arrives_with_key_headers_and_time() {
        let status = check(1000, |_| {}, |_| {});
        assert_eq!((status.retries, status.rejected), (0, 0));
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
        kafka.shared().send(Kind::Event, &documents(0..10, 10));
        kafka.shared().send(Kind::Event, &documents(10..11, 5000));
        kafka.shared().send(Kind::Event, b"not a document\n");
        kafka.shared().send(Kind::Event, &documents(11..20, 10));
        kafka.shared().settled(21);
        assert_eq!(consumed(&cluster.bootstrap_servers(), 19).len(), 19);
        // The next commit may be cut between them.
        let letters = [10, 11, 12, 21].map(|number| kafka.shared().take_letters(number));
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
    fn the_window_holds_back_who_sends_and_lets_go_when_it_is_over() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t.events", 1, 1).unwrap();
        cluster.broker_down(1).unwrap();
        let kafka = Kafka::start(settings(&cluster.bootstrap_servers())).unwrap();
        let sent = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..100 {
                    kafka.shared().send(Kind::Event, &documents(n * 20..n * 20 + 20, 2000));
                    sent.store(n + 1, std::sync::atomic::Ordering::Relaxed);
                }
            });
            std::thread::sleep(Duration::from_secs(1));
            // A mebibyte holds 25 of these blocks.
            let held = sent.load(std::sync::atomic::Ordering::Relaxed);
            assert!((20..30).contains(&held), "{held}");
            assert!(!kafka.shared().status().is_up);
            cluster.broker_up(1).unwrap();
        });
        kafka.shared().settled(2000);
        assert_eq!(sent.load(std::sync::atomic::Ordering::Relaxed), 100);
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
}
