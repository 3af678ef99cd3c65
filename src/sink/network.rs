//! What all sinks beyond this machine have in common: a window of documents that the server does
//! not have yet, and dead letters of what it will never take. What does not fit into the
//! window, and what a commit cannot wait for, belongs to `backlog`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::document::write_rejected;
use crate::engine::{Kind, Marks, SinkStatus};

use super::backlog::Backlog;
use super::spool::Spool;
use super::window::{Document, Ticket, Window, ticket};

/// A sink beyond this machine.
pub trait Network: Send + Sync + std::fmt::Debug {
    /// Its name in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// What it has in common with the others.
    fn shared(&self) -> &Arc<Shared>;
}

/// Bytes of dead letters that wait for a commit, beyond which no more documents are sent.
const LETTERS_MAX: usize = 16 << 20;

/// A wait that something else will end.
const LONG: Duration = Duration::from_secs(1);

/// The state that the engine's threads and the sink's own share.
#[derive(Debug)]
pub struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Locked before `inner`, never after.
    pub(super) spool: Mutex<Option<Spool>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) window: Window,
    pub(super) status: SinkStatus,
    /// Dead letters that no commit has taken yet, by the tickets of their documents.
    letters: BTreeMap<Ticket, Vec<u8>>,
    letter_bytes: usize,
    /// Documents before these are waited for.
    wanted: Marks,
    /// When the oldest of those that wait to be sent came.
    since: Option<Instant>,
    /// Documents that are sent again later, each with its time.
    later: BTreeSet<(Instant, Ticket)>,
    pub(super) is_closed: bool,
    /// Whether the servers are known to be ready for documents.
    pub(super) is_prepared: bool,
    /// How long the next documents wait that are not taken now.
    pub(super) pause: Duration,
    /// How many documents there were.
    pub(super) handed: Marks,
    /// What there is to know of documents that are on disk.
    pub(super) backlog: Backlog,
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
            letter_bytes: 0,
            wanted: Marks::default(),
            since: None,
            later: BTreeSet::new(),
            is_closed: false,
            is_prepared: false,
            pause: LONG,
            handed: Marks::default(),
            backlog: Backlog::new(),
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), spool: Mutex::new(None) }
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

    /// Hands documents over. While the window is full it waits; where that takes too long they go
    /// to the spool, if there is one.
    ///
    /// # Errors
    /// When the spool cannot be used.
    pub fn send(&self, kind: Kind, block: &[u8]) -> io::Result<()> {
        let at = kind as usize;
        let mut inner = self.lock();
        let begun = now();
        while !inner.backlog.is_behind[at] && !inner.has_room(at) {
            inner.backlog.check()?;
            if inner.backlog.gives_way(begun) {
                drop(inner);
                return self.overflow(kind, block);
            }
            inner = self.wait(inner, Duration::from_millis(50));
        }
        inner.backlog.waited(begun);
        if inner.backlog.is_behind[at] {
            drop(inner);
            return self.overflow(kind, block);
        }
        inner.add(kind, block.to_vec());
        drop(inner);
        self.tell();
        Ok(())
    }

    /// How many documents of each kind there were.
    pub fn handed(&self) -> Marks {
        self.lock().handed
    }

    /// Whether the server neither has a document nor has refused it for good.
    pub fn lacks(&self, kind: Kind, number: u64) -> bool {
        self.lock().window.get(ticket(kind as usize, number)).is_some()
    }

    /// Waits until the server has every document before these numbers, or never will have it.
    pub fn settled(&self, marks: &Marks) {
        self.settled_within(marks, Duration::MAX);
    }

    /// The same, at most so long; whether it has.
    pub fn settled_within(&self, marks: &Marks, at_most: Duration) -> bool {
        let begun = now();
        let mut inner = self.lock();
        inner.want(marks);
        self.tell();
        while !inner.window.has_passed(marks) {
            let Some(left) = at_most.checked_sub(begun.elapsed()).filter(|it| !it.is_zero()) else {
                return false;
            };
            inner = self.wait(inner, left.min(LONG));
        }
        true
    }

    /// Takes the dead letters of the documents before these numbers. Those behind belong to a
    /// commit that is still to come: after a crash their documents are sent, and rejected, again.
    pub fn take_letters(&self, marks: &Marks) -> Vec<u8> {
        self.lock().take_letters(marks)
    }

    /// How it stands.
    pub fn status(&self) -> SinkStatus {
        let mut inner = self.lock();
        inner.look();
        let cursors = inner.window.cursors();
        let lags = inner.handed.iter().zip(cursors);
        let lag = lags.map(|(handed, cursor)| handed.saturating_sub(cursor)).sum();
        SinkStatus { lag, ..inner.status.clone() }
    }
}

impl Inner {
    /// Somebody waits for all documents before these numbers.
    pub(super) fn want(&mut self, marks: &Marks) {
        for (wanted, mark) in self.wanted.iter_mut().zip(marks) {
            *wanted = (*wanted).max(*mark);
        }
    }

    /// Whether documents of a kind may come into the window. Where there is a spool, those that are
    /// rejected must not fill the memory.
    pub(super) fn has_room(&self, kind: usize) -> bool {
        let has_letters = self.letter_bytes >= LETTERS_MAX && self.backlog.is_there();
        !self.window.is_full(kind) && !has_letters
    }

    /// Whether no commit has taken some dead letters.
    pub(super) fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    /// Takes documents into the window that come now.
    pub(super) fn add(&mut self, kind: Kind, block: Vec<u8>) {
        let bytes = block.len() as u64;
        let count = self.window.push(kind, block, Some(now()));
        self.note(kind, count, bytes);
        self.since.get_or_insert_with(now);
    }

    /// Counts documents that come now.
    pub(super) fn note(&mut self, kind: Kind, count: u64, bytes: u64) {
        self.handed[kind as usize] += count;
        self.status.sent[kind as usize] += count;
        self.status.handed_bytes += bytes;
    }

    /// Takes documents into the window that were on disk, from number `first` on.
    pub(super) fn take_back(&mut self, kind: Kind, first: u64, block: Vec<u8>) -> io::Result<()> {
        let next = self.window.ends()[kind as usize];
        if next != first {
            let why = format!("documents from number {first} on were read where {next} is next");
            return Err(io::Error::other(why));
        }
        self.window.push(kind, block, None);
        self.since.get_or_insert_with(now);
        Ok(())
    }

    /// See [`Shared::take_letters`].
    pub(super) fn take_letters(&mut self, marks: &Marks) -> Vec<u8> {
        let mut taken = Vec::new();
        for (kind, mark) in marks.iter().enumerate() {
            let of_kind = ticket(kind, 0)..ticket(kind, *mark);
            taken.extend(self.letters.extract_if(of_kind, |_, _| true).flat_map(|(_, it)| it));
        }
        self.letter_bytes -= taken.len();
        taken
    }

    /// Takes documents to send, as soon as `bytes` of them wait, or one has waited for `linger`, or
    /// somebody waits for it; else says how long there is nothing to do.
    pub(super) fn take(
        &mut self,
        most: usize,
        bytes: usize,
        linger: Duration,
    ) -> Result<Vec<(Ticket, Document)>, Duration> {
        if self.backlog.is_halted() {
            return Err(LONG);
        }
        let now = now();
        while let Some((time, number)) = self.later.first().copied().filter(|it| it.0 <= now) {
            self.later.remove(&(time, number));
            self.status.retries += u64::from(self.window.again_one(number));
            self.since.get_or_insert(time);
        }
        let mut wait = self.later.first().map_or(LONG, |(time, _)| *time - now);
        if self.window.waiting() > 0 {
            let waited = self.since.map_or(linger, |since| now - since);
            let is_due = waited >= linger || self.window.has_before(&self.wanted);
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
    pub(super) fn postpone(&mut self, numbers: impl IntoIterator<Item = Ticket>, time: Duration) {
        let time = now() + time;
        self.later.extend(numbers.into_iter().map(|number| (time, number)));
    }

    /// The server has a document.
    pub(super) fn acknowledge(&mut self, number: Ticket) {
        self.status.is_up = true;
        let at = now();
        self.backlog.acked = at;
        if let Some(came) = self.window.get(number).and_then(|document| document.came) {
            self.status.acknowledged.note(at - came, 1);
        }
        self.status.acked += u64::from(self.window.settle(number));
    }

    /// The server will never take a document: it becomes a dead letter.
    pub(super) fn reject(&mut self, sink: &'static str, number: Ticket, why: &str) {
        let Some(document) = self.window.get(number).cloned() else { return };
        tracing::warn!(sink, why, "a document was rejected; it is in dead-letter.ndjson");
        let letter = self.letters.entry(number).or_default();
        let before = letter.len();
        write_rejected(document.bytes(), sink, why, letter);
        self.letter_bytes += letter.len() - before;
        self.status.rejected += 1;
        self.window.settle(number);
    }

    /// What is on its way is sent again.
    pub(super) fn again(&mut self) {
        self.status.retries += self.window.again();
    }
}
