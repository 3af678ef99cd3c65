//! Kafka: one record for each document, keyed by entity, acknowledged by all replicas.
//!
//! librdkafka sends, batches and retries for as long as a broker is away (`message.timeout.ms=0`).
//! What it gives up, and what an operator has to put right (a topic that is not there, rights that
//! are missing), is sent again by a fresh producer from the first document without an answer. Only
//! what can never be taken becomes a dead letter.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::{ClientContext, Statistics};

use crate::document::Parts;
use crate::engine::{Kind, Marks};

use super::network::{CannotConfigure, Network, Shared};
use super::secret::{Secret, from_environment, variable};
use super::window::{Document, Ticket};

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
    /// Milliseconds that topics of events and alerts keep a record, if not what brokers think.
    pub retention: Option<i64>,
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

/// Its name in the configuration and in metrics.
pub const NAME: &str = "kafka";

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

/// How often brokers' answers are asked for while some are to come.
const HEAR: Duration = Duration::from_millis(1);
/// The same where none are.
const IDLE: Duration = Duration::from_millis(100);

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
        let wrong = |error: String| CannotConfigure::Option(format!("sink.kafka: {error}"));
        let producer = sender.producer(false).map_err(|error| wrong(error.to_string()))?;
        let builder = Builder::new().name(NAME.to_owned());
        let thread = builder.spawn(move || sender.run(producer));
        let thread = thread.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Finds out whether a producer can be made of `settings`; asks no broker.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(settings: &Settings) -> Result<(), CannotConfigure> {
        let producer = configured(settings)?.create::<BaseProducer>();
        producer.map(drop).map_err(|error| CannotConfigure::Option(format!("sink.kafka: {error}")))
    }
}

impl Network for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shared(&self) -> &Arc<Shared> {
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
    config.set("compression.level", "1");
    config.set("statistics.interval.ms", "1000");
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
    config.set("queue.buffering.max.messages", "20000");
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
    /// No broker will ever take this document; of several that a broker was sent together, one.
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
            | RDKafkaErrorCode::InvalidRecord,
        ) => Action::Reject,
        _ => Action::Again,
    }
}

/// Hears of what becomes of documents: of all that one answer of a broker settles, one after the
/// other, while somebody polls.
struct Context {
    shared: Arc<Shared>,
    /// Whether documents are sent one by one.
    is_alone: bool,
    /// Bytes that this producer had sent when it last said so.
    bytes: AtomicU64,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    acknowledged: Vec<Ticket>,
    rejected: Vec<(Ticket, String)>,
    /// Why something has to be sent again.
    trouble: Option<Trouble>,
}

/// Why what is on its way has to be sent again.
#[derive(Clone, Debug)]
enum Trouble {
    /// Somebody has to put something right, or time does.
    Later(String),
    /// A broker refuses documents that came together for the sake of one of them.
    Spoilt,
    /// They need not be sent one by one any more.
    Over,
}

impl ClientContext for Context {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(sink = NAME, facility, message, "librdkafka");
    }

    fn stats(&self, statistics: Statistics) {
        let bytes = u64::try_from(statistics.tx_bytes).unwrap_or_default();
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        let mut inner = self.shared.lock();
        inner.status.bytes += bytes.saturating_sub(before);
        // Of each broker the requests since the last time, all counted with their mean.
        for rtt in statistics.brokers.values().filter_map(|broker| broker.rtt.as_ref()) {
            let mean = Duration::from_micros(u64::try_from(rtt.avg).unwrap_or_default());
            inner.status.requests.note(mean, u64::try_from(rtt.cnt).unwrap_or_default());
        }
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
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let number = number as u64;
        match result {
            Ok(_) => reports.acknowledged.push(number),
            Err((error, _)) => match action(error) {
                Action::Reject if self.is_alone => {
                    reports.rejected.push((number, error.to_string()));
                }
                Action::Reject => reports.trouble = Some(Trouble::Spoilt),
                Action::Again => {
                    let later = || Trouble::Later(error.to_string());
                    reports.trouble.get_or_insert_with(later);
                }
            },
        }
    }
}

impl Context {
    /// How much was heard and is not settled.
    fn heard(&self) -> usize {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.acknowledged.len() + reports.rejected.len()
    }

    /// Settles what was heard of; why something has to be sent again, if so.
    fn settle(&self) -> Option<Trouble> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = reports.trouble.take();
        if reports.acknowledged.is_empty() && reports.rejected.is_empty() {
            return trouble;
        }
        let mut inner = self.shared.lock();
        for number in reports.acknowledged.drain(..) {
            inner.acknowledge(number);
        }
        for (number, why) in reports.rejected.drain(..) {
            inner.reject(NAME, number, &why);
        }
        drop(inner);
        self.shared.tell();
        trouble
    }
}

type Producing = BaseProducer<Context>;

/// Hears all that there is to hear, without waiting; why something has to be sent again, if so. (A
/// poll that waits would spin for its last millisecond, and ends late where much is heard.)
fn hear(producer: &Producing) -> Option<Trouble> {
    loop {
        let before = producer.context().heard();
        producer.poll(Duration::ZERO);
        if producer.context().heard() == before {
            return producer.context().settle();
        }
    }
}

/// The thread that hands documents to librdkafka.
struct Sender {
    config: ClientConfig,
    topics: BTreeMap<Kind, String>,
    shared: Arc<Shared>,
}

impl Sender {
    fn producer(&self, is_alone: bool) -> Result<Producing, KafkaError> {
        let shared = Arc::clone(&self.shared);
        let (bytes, reports) = (AtomicU64::new(0), Mutex::default());
        let context = Context { shared, is_alone, bytes, reports };
        let mut config = self.config.clone();
        if is_alone {
            config.set("batch.num.messages", "1");
        }
        config.create_with_context(context)
    }

    fn run(self, first: Producing) {
        let mut producer = Some(first);
        // Documents before this number are sent one by one.
        let mut alone = Marks::default();
        loop {
            let is_alone = !self.shared.lock().window.has_passed(&alone);
            let made = producer.take().map_or_else(|| self.producer(is_alone), Ok);
            let trouble = match made {
                Ok(producer) => {
                    let trouble = self.drive(&producer, &alone);
                    // What has arrived has arrived; of the rest it has nothing more to say.
                    producer.purge(PurgeConfig::default().queue().inflight());
                    drop(producer.flush(PAUSE));
                    producer.context().settle();
                    trouble
                }
                Err(error) => Some(Trouble::Later(error.to_string())),
            };
            let mut inner = self.shared.lock();
            inner.again();
            if inner.is_closed {
                return;
            }
            match trouble {
                None => return,
                Some(Trouble::Over) => {}
                Some(Trouble::Spoilt) => alone = inner.window.ends(),
                Some(Trouble::Later(why)) => {
                    inner.status.is_up = false;
                    tracing::warn!(sink = NAME, why, "not taken; sent again by a fresh producer");
                    self.shared.pause(inner, PAUSE);
                }
            }
        }
    }

    /// Sends what there is, until something has to be sent again (why), or there is an end.
    fn drive(&self, producer: &Producing, alone: &Marks) -> Option<Trouble> {
        let is_alone = producer.context().is_alone;
        loop {
            for (number, document) in self.next(producer)? {
                if let Err(trouble) = self.send(producer, number, &document) {
                    return trouble;
                }
            }
            if let Some(trouble) = hear(producer) {
                return Some(trouble);
            }
            if is_alone && self.shared.lock().window.has_passed(alone) {
                return Some(Trouble::Over);
            }
        }
    }

    /// What is to be handed over next, soon: perhaps nothing. `None` at the end.
    fn next(&self, producer: &Producing) -> Option<Vec<(Ticket, Document)>> {
        let mut inner = self.shared.lock();
        if inner.window.waiting() == 0 && !inner.is_closed {
            let wait = if producer.in_flight_count() > 0 { HEAR } else { IDLE };
            inner = self.shared.wait(inner, wait);
        }
        let most = if inner.backlog.is_halted() { 0 } else { AT_ONCE };
        (!inner.is_closed).then(|| inner.window.take(most, usize::MAX))
    }

    /// Hands one document over; an error says why all have to be sent again, if they have.
    fn send(
        &self,
        producer: &Producing,
        number: Ticket,
        document: &Document,
    ) -> Result<(), Option<Trouble>> {
        let Some(parts) = Parts::of(document.bytes()) else {
            self.shared.lock().reject(NAME, number, "not a document of this program");
            self.shared.tell();
            return Ok(());
        };
        let headers = OwnedHeaders::new_with_capacity(2);
        let headers = headers.insert(Header { key: "event_id", value: Some(parts.id) });
        let schema = Some(schema(document.kind));
        let headers = headers.insert(Header { key: "schema", value: schema });
        let opaque = usize::try_from(number).unwrap_or(usize::MAX);
        let mut record = BaseRecord::with_opaque_to(&self.topics[&document.kind], opaque)
            .payload(document.bytes())
            .headers(headers);
        if let Some(entity) = parts.entity {
            record = record.key(entity);
        }
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
                if let Some(trouble) = hear(producer) {
                    return Err(Some(trouble));
                }
                let inner = self.shared.lock();
                if inner.is_closed {
                    return Err(None);
                }
                drop(self.shared.wait(inner, HEAR));
                record = back;
                continue;
            }
            if action(&error) == Action::Again {
                return Err(Some(Trouble::Later(error.to_string())));
            }
            self.shared.lock().reject(NAME, number, &error.to_string());
            self.shared.tell();
            break;
        }
        Ok(())
    }
}
