//! Elasticsearch and OpenSearch: every document under its own id, so that what is sent twice is
//! there once; latest risk scores in an index of their own.
//!
//! A few threads, each with one request at a time, send what waits: as much at once as the servers
//! take well. Here belong the settings, the threads and what becomes of an answer. The servers and
//! how they are asked belong to `client`, the text of a request and of its answer to `bulk`, what
//! has to be there before to `template` and `setup`.

mod bulk;
mod client;
pub mod setup;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::base::clock::now;

use self::bulk::{Answer, Outcome, Targets, Writer};
use self::client::{Client, Question};
use super::network::{CannotConfigure, Network, Shared};
use super::secret::Secret;
use super::window::{Document, Ticket};

/// Where events, alerts and risk go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// An index for each day (events) or month, chosen by event time: a document that comes again
    /// meets itself.
    Daily,
    /// A data stream each: the servers decide when to begin a new index.
    DataStream,
}

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Servers, all of one cluster.
    pub urls: Vec<String>,
    /// What the names of indices begin with.
    pub index_prefix: String,
    /// Which indices there are.
    pub layout: Layout,
    /// Who this is, if not by `api_key`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The encoded key, as the servers gave it out.
    pub api_key: Option<Secret>,
    /// PEM file of the authorities that servers are to be signed by, instead of the public ones.
    pub ca: Option<PathBuf>,
    /// Bytes of documents that may be on their way.
    pub window: usize,
    /// Requests at a time.
    pub connections: usize,
    /// Bytes of documents in one request, at most.
    pub bulk_max: usize,
    /// How long a server may take.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub compress: bool,
    /// Whether missing templates are installed at the start.
    pub install: bool,
    /// Shards of a new index.
    pub shards: u64,
    /// Replicas of each.
    pub replicas: u64,
    /// Further settings of a new index.
    pub options: BTreeMap<String, String>,
}

/// The sink.
#[derive(Debug)]
pub struct Elasticsearch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Its name in the configuration and in metrics.
pub const NAME: &str = "elasticsearch";

/// Documents in one request, at most.
const AT_ONCE: usize = 10_000;
/// How long a document waits for others before they leave together; nothing waits when somebody
/// waits for it.
const LINGER: Duration = Duration::from_millis(200);
/// Bytes of a first request: how much is best shows.
const BULK_START: usize = 1 << 20;
/// Bytes that a request may have however badly it goes.
const BULK_MIN: usize = 16 << 10;
/// A request that takes less may be larger, one that takes four times as long should be smaller.
const TOOK_LITTLE: Duration = Duration::from_millis(500);
/// Pause before what failed is tried again: it doubles, up to a longest.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
const PAUSE_MAX: Duration = Duration::from_secs(30);

impl Elasticsearch {
    /// Starts to send; servers need not be there yet.
    ///
    /// # Errors
    /// When `settings` cannot work, whatever servers there are.
    pub fn start(settings: Settings) -> Result<Self, CannotConfigure> {
        let client = Arc::new(Client::new(&settings)?);
        let shared = Arc::new(Shared::new(settings.window));
        shared.lock().pause = PAUSE;
        let size = Arc::new(AtomicUsize::new(BULK_START.min(settings.bulk_max)));
        let connections = settings.connections;
        let settings = Arc::new(settings);
        let mut sink = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for is_first in (0..connections).map(|index| index == 0) {
            let worker = Worker {
                client: Arc::clone(&client),
                settings: Arc::clone(&settings),
                shared: Arc::clone(&shared),
                size: Arc::clone(&size),
            };
            let builder = Builder::new().name(NAME.to_owned());
            let thread = builder.spawn(move || worker.run(is_first));
            sink.threads.push(thread.map_err(|error| CannotConfigure::Option(error.to_string()))?);
        }
        Ok(sink)
    }

    /// Finds out whether `settings` can work; asks no server.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(settings: &Settings) -> Result<(), CannotConfigure> {
        Client::new(settings).map(drop)
    }
}

impl Network for Elasticsearch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Elasticsearch {
    /// Does not wait for requests that a server has not answered: nobody counts on them.
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.tell();
        for thread in self.threads.drain(..).filter(JoinHandle::is_finished) {
            drop(thread.join());
        }
    }
}

/// One of the threads.
struct Worker {
    client: Arc<Client>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    /// Bytes of documents in one request, as far as is known now.
    size: Arc<AtomicUsize>,
}

/// What became of a request.
enum Sent {
    /// Every document was answered.
    Settled,
    /// It is too much at once, or one of its documents spoils it for all.
    Split(String),
    /// Nothing was done; the same again after a while, perhaps one that the server named.
    Again(String, Option<Duration>),
    /// There is no need any more.
    Closed,
}

impl Worker {
    fn run(self, is_first: bool) {
        if is_first {
            self.prepare();
            self.shared.lock().is_prepared = true;
            self.shared.tell();
        }
        let mut writer = Writer::new(Targets::new(&self.settings), self.settings.compress);
        while let Some(documents) = self.next() {
            // The first of what is left lies on top.
            let mut left = vec![documents];
            while let Some(mut documents) = left.pop() {
                match self.send(&mut writer, &documents) {
                    Sent::Settled => {}
                    Sent::Split(why) if documents.len() == 1 => {
                        self.shared.lock().reject(NAME, documents[0].0, &why);
                        self.shared.tell();
                    }
                    Sent::Split(_) => {
                        let half = documents.split_off(documents.len() / 2);
                        left.extend([half, documents]);
                    }
                    Sent::Again(..) | Sent::Closed => return,
                }
            }
        }
    }

    /// Makes sure that the servers know what documents look like before the first one comes.
    fn prepare(&self) {
        if !self.settings.install {
            return;
        }
        let mut pause = PAUSE;
        loop {
            let why = match setup::install(&self.client, &self.settings) {
                Ok(installed) => {
                    if !installed.is_empty() {
                        tracing::info!(sink = NAME, ?installed, "templates installed");
                    }
                    return;
                }
                Err(error) if error.is_refusal() => {
                    tracing::warn!(
                        sink = NAME, %error,
                        "templates not installed; `zeek-ueba setup elasticsearch` does it with more rights"
                    );
                    return;
                }
                Err(error) => error.to_string(),
            };
            if !self.pause(&why, &mut pause, None) {
                return;
            }
        }
    }

    /// What is to be sent next; nothing when there is an end.
    fn next(&self) -> Option<Vec<(Ticket, Document)>> {
        let mut inner = self.shared.lock();
        loop {
            if inner.is_closed {
                return None;
            }
            let size = self.size.load(Ordering::Relaxed);
            let wait = match inner.is_prepared {
                true => match inner.take(AT_ONCE, size, LINGER) {
                    Ok(documents) => return Some(documents),
                    Err(wait) => wait,
                },
                false => PAUSE_MAX,
            };
            inner = self.shared.wait(inner, wait);
        }
    }

    /// Sends documents until a server has answered for them.
    fn send(&self, writer: &mut Writer, documents: &[(Ticket, Document)]) -> Sent {
        let strange = writer.write(documents);
        if !strange.is_empty() {
            let mut inner = self.shared.lock();
            for number in strange {
                inner.reject(NAME, number, "not a document of this program");
            }
            drop(inner);
            self.shared.tell();
        }
        if writer.actions().is_empty() {
            return Sent::Settled;
        }
        let mut pause = PAUSE;
        loop {
            match self.send_once(writer) {
                Sent::Again(why, wait) => {
                    self.shared.lock().status.retries += documents.len() as u64;
                    if !self.pause(&why, &mut pause, wait) {
                        return Sent::Closed;
                    }
                    // It may be busy with nothing but the size of this: some never say that it is
                    // too large.
                    let size = self.size.load(Ordering::Relaxed);
                    if documents.len() > 1 && writer.bytes() > size {
                        return Sent::Split(why);
                    }
                }
                sent => return sent,
            }
        }
    }

    fn send_once(&self, writer: &Writer) -> Sent {
        let begun = now();
        let question = Question::lines(bulk::PATH, writer.body(), writer.is_compressed());
        let reply = match self.client.ask(&question) {
            Ok(reply) => reply,
            Err(silence) => {
                self.smaller();
                return Sent::Again(silence.to_string(), None);
            }
        };
        let took = begun.elapsed();
        {
            let mut inner = self.shared.lock();
            inner.status.requests.note(took, 1);
            inner.status.bytes += writer.body().len() as u64;
        }
        match bulk::answer(&reply, writer.actions()) {
            Answer::Items(outcomes) => {
                self.sized(took, writer.bytes());
                self.settle(writer, &outcomes);
                Sent::Settled
            }
            Answer::TooLarge(why) => {
                self.smaller();
                Sent::Split(why)
            }
            Answer::Spoilt(why) => Sent::Split(why),
            Answer::Busy(why, wait) => {
                self.smaller();
                Sent::Again(why, wait)
            }
            Answer::Refused(why) => Sent::Again(why, None),
        }
    }

    /// What the servers said to each document.
    fn settle(&self, writer: &Writer, outcomes: &[Outcome]) {
        let mut inner = self.shared.lock();
        inner.status.is_up = true;
        let (mut again, mut why) = (Vec::new(), None);
        for (number, outcome) in writer.outcomes(outcomes) {
            match outcome {
                Outcome::Done => inner.acknowledge(number),
                Outcome::Known => {
                    inner.status.duplicates += 1;
                    inner.acknowledge(number);
                }
                Outcome::Rejected(why) => inner.reject(NAME, number, why),
                Outcome::Again(said) => {
                    why.get_or_insert(said);
                    again.push(number);
                }
            }
        }
        match why {
            None => inner.pause = PAUSE,
            Some(why) => {
                let pause = inner.pause;
                inner.pause = (pause * 2).min(PAUSE_MAX);
                let (count, seconds) = (again.len(), pause.as_secs_f64());
                tracing::warn!(
                    sink = NAME,
                    why,
                    count,
                    seconds,
                    "not taken now; tried again later"
                );
                inner.status.is_up = false;
                inner.postpone(again, jittered(pause));
            }
        }
        drop(inner);
        self.shared.tell();
        if why.is_some() {
            self.smaller();
        }
    }

    /// Lets time pass before the same is tried again, longer each time; whether to go on.
    fn pause(&self, why: &str, pause: &mut Duration, asked: Option<Duration>) -> bool {
        // Never before the time that a server asked for.
        let time = jittered(*pause).max(asked.unwrap_or_default().min(PAUSE_MAX));
        *pause = (*pause * 2).min(PAUSE_MAX);
        let mut inner = self.shared.lock();
        inner.status.is_up = false;
        let seconds = time.as_secs_f64();
        tracing::warn!(sink = NAME, why, seconds, "trouble; nothing is lost, it is tried again");
        self.shared.pause(inner, time);
        !self.shared.lock().is_closed
    }

    /// A request of `bytes` took so long: the next ones may be larger, or should be smaller.
    fn sized(&self, took: Duration, bytes: usize) {
        let size = self.size.load(Ordering::Relaxed);
        // A small one says nothing of large ones.
        if took < TOOK_LITTLE && bytes >= size / 2 {
            let larger = (size + size / 4).min(self.settings.bulk_max);
            self.size.store(larger, Ordering::Relaxed);
        } else if took > TOOK_LITTLE * 4 {
            self.size.store((size - size / 4).max(BULK_MIN), Ordering::Relaxed);
        }
    }

    fn smaller(&self) {
        let size = self.size.load(Ordering::Relaxed);
        self.size.store((size / 2).max(BULK_MIN), Ordering::Relaxed);
    }
}

/// Between three quarters and all of a time, so that threads and sensors do not come all at once.
fn jittered(time: Duration) -> Duration {
    let share = crate::base::clock::since_1970().subsec_nanos() % 256;
    time * (768 + share) / 1024
}
