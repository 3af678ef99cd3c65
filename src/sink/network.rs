//! What all sinks beyond this machine have in common: a window of documents that the server does
//! not have yet, and dead letters of what it will never take.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::document::write_rejected;
use crate::engine::{Kind, SinkStatus};

use super::window::{Document, Window};

/// A sink beyond this machine.
pub trait Network: Send + Sync + std::fmt::Debug {
    /// Its name in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// What it has in common with the others.
    fn shared(&self) -> &Shared;
}

/// A wait that something else will end.
const LONG: Duration = Duration::from_secs(1);

/// The state that the engine's threads and the sink's own share.
#[derive(Debug)]
pub struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) window: Window,
    pub(super) status: SinkStatus,
    /// Dead letters that no commit has taken yet, by the number of their document.
    letters: BTreeMap<u64, Vec<u8>>,
    /// Documents before this number are waited for.
    wanted: u64,
    /// When the oldest of those that wait to be sent came.
    since: Option<Instant>,
    /// Documents that are sent again later, each with its time.
    later: BTreeSet<(Instant, u64)>,
    pub(super) is_closed: bool,
    /// Whether the servers are known to be ready for documents.
    pub(super) is_prepared: bool,
    /// How long the next documents wait that are not taken now.
    pub(super) pause: Duration,
}

/// Why a sink cannot be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum CannotConfigure {
    /// What the promises of a sink hang on.
    #[error("{0}: set by zeek-ueba, so that nothing is lost")]
    Ours(String),
    /// A value that is to come from the environment.
    #[error("{0}: the environment has no variable {1}")]
    NoVariable(String, String),
    /// A file that a key names.
    #[error("{0}: {1}: {2}")]
    File(String, PathBuf, io::Error),
    /// A value that cannot be.
    #[error("{0}")]
    Option(String),
}

impl Shared {
    pub(super) fn new(bytes_max: usize) -> Self {
        let inner = Inner {
            window: Window::new(bytes_max),
            status: SinkStatus::default(),
            letters: BTreeMap::new(),
            wanted: 0,
            since: None,
            later: BTreeSet::new(),
            is_closed: false,
            is_prepared: false,
            pause: LONG,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, at most so long.
    pub(super) fn wait<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        at_most: Duration,
    ) -> MutexGuard<'a, Inner> {
        let waited = self.changed.wait_timeout(inner, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets time pass, but not behind the end.
    pub(super) fn pause(&self, inner: MutexGuard<'_, Inner>, time: Duration) {
        let goes_on = |inner: &mut Inner| !inner.is_closed;
        drop(self.changed.wait_timeout_while(inner, time, goes_on));
    }

    /// Hands documents over; waits while the window is full.
    pub fn send(&self, kind: Kind, block: &[u8]) {
        let mut inner = self.lock();
        while inner.window.is_full() {
            inner = self.wait(inner, Duration::from_secs(1));
        }
        let count = inner.window.push(kind, block);
        inner.status.sent[kind as usize] += count;
        inner.since.get_or_insert_with(now);
        drop(inner);
        self.tell();
    }

    /// The number that the next document will have.
    pub fn sent(&self) -> u64 {
        self.lock().window.end()
    }

    /// Waits until the server has every document before `number`, or never will have it.
    pub fn settled(&self, number: u64) {
        let mut inner = self.lock();
        inner.want(number);
        self.tell();
        while inner.window.cursor() < number {
            inner = self.wait(inner, Duration::from_secs(1));
        }
    }

    /// Waits until the server has everything, at most so long; whether it has.
    pub fn settled_within(&self, at_most: Duration) -> bool {
        let mut inner = self.lock();
        let end = inner.window.end();
        inner.want(end);
        self.tell();
        let lacks = |inner: &mut Inner| inner.window.cursor() < inner.window.end();
        let waited = self.changed.wait_timeout_while(inner, at_most, lacks);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes the dead letters of the documents before `number`. Those behind belong to a commit
    /// that is still to come: after a crash their documents are sent, and rejected, again.
    pub fn take_letters(&self, number: u64) -> Vec<u8> {
        let mut inner = self.lock();
        let later = inner.letters.split_off(&number);
        std::mem::replace(&mut inner.letters, later).into_values().flatten().collect()
    }

    /// How it stands.
    pub fn status(&self) -> SinkStatus {
        let inner = self.lock();
        let lag = inner.window.end() - inner.window.cursor();
        SinkStatus { lag, ..inner.status.clone() }
    }
}

impl Inner {
    /// Somebody waits for all documents before `number`.
    fn want(&mut self, number: u64) {
        self.wanted = self.wanted.max(number);
    }

    /// Takes documents to send, as soon as `bytes` of them wait, or one has waited for `linger`, or
    /// somebody waits for it; else says how long there is nothing to do.
    pub(super) fn take(
        &mut self,
        most: usize,
        bytes: usize,
        linger: Duration,
    ) -> Result<Vec<(u64, Document)>, Duration> {
        let now = now();
        while let Some((time, number)) = self.later.first().copied().filter(|it| it.0 <= now) {
            self.later.remove(&(time, number));
            self.status.retries += u64::from(self.window.again_one(number));
            self.since.get_or_insert(time);
        }
        let mut wait = self.later.first().map_or(LONG, |(time, _)| *time - now);
        if self.window.waiting() > 0 {
            let waited = self.since.map_or(linger, |since| now - since);
            let is_due = waited >= linger || self.window.next() < self.wanted;
            if is_due || self.window.waiting() >= bytes {
                let taken = self.window.take(most, bytes);
                self.since = (self.window.waiting() > 0).then_some(now);
                return Ok(taken);
            }
            wait = wait.min(linger - waited);
        }
        Err(wait)
    }

    /// Documents are sent again after a while.
    pub(super) fn postpone(&mut self, numbers: impl IntoIterator<Item = u64>, time: Duration) {
        let time = now() + time;
        self.later.extend(numbers.into_iter().map(|number| (time, number)));
    }

    /// The server has a document.
    pub(super) fn acknowledge(&mut self, number: u64) {
        self.status.is_up = true;
        self.status.acked += u64::from(self.window.settle(number));
    }

    /// The server will never take a document: it becomes a dead letter.
    pub(super) fn reject(&mut self, sink: &'static str, number: u64, why: &str) {
        let Some(document) = self.window.get(number).cloned() else { return };
        tracing::warn!(sink, why, "a document was rejected; it is in dead-letter.ndjson");
        write_rejected(document.bytes(), sink, why, self.letters.entry(number).or_default());
        self.status.rejected += 1;
        self.window.settle(number);
    }

    /// What is on its way is sent again.
    pub(super) fn again(&mut self) {
        self.status.retries += self.window.again();
    }
}
