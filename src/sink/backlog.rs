//! What a sink lacks and memory cannot hold, or a commit cannot wait for: when it goes to the
//! spool, and how it comes back.
//!
//! A sink that keeps up never touches the disk. One that does not acknowledge in time has what a
//! commit needs written to its spool, and stays in the window. One whose window is full gets the
//! rest of a kind through the spool, in order, until all of it came back.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::base::hash::Id;
use crate::engine::{KINDS, Kind, Marks, Progress};

use super::network::{Inner, Shared};
use super::spool::{Bound, Lost, Read, Spool};

/// How long a commit waits for a sink, if that keeps up: beyond it, it does not.
pub(super) const GRACE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });

/// How long others are held up by a sink of two times that.
const HELD_MAX: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

/// Blocks after which it is measured again how well they can be packed, and how large they must be.
const MEASURED_EVERY: u64 = 256;
const MEASURED_MIN: usize = 64 << 10;

/// Events that are made again at once.
const AGAIN_MAX: usize = 20_000;

/// Time between two marks that tell how old a document is, and how many of them there are.
const MARK_EVERY: Duration = Duration::from_secs(1);
const MARKS_MAX: usize = 1024;

/// Makes events again of the lines that their ids name, as far as those are there.
pub type MakeAgain = dyn Fn(&[Id]) -> BTreeMap<Id, Vec<u8>> + Send + Sync;

/// What there is to know of documents on disk, without asking the disk.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Whether there is a spool.
    is_there: bool,
    /// Of each kind, whether documents go through the spool.
    pub(super) is_behind: [bool; KINDS],
    /// Of each kind, the number before which everything is settled or on disk.
    saved: Marks,
    /// The cursors of the last commit.
    committed: Marks,
    /// Whether there are other sinks that this one must not hold up.
    has_others: bool,
    /// When a server acknowledged something last.
    pub(super) acked: Instant,
    /// How long others were held up lately, as of then: a half of all time is forgiven.
    held: (Duration, Instant),
    /// How many documents there were at some times.
    marks: VecDeque<(Instant, Marks)>,
    /// Bytes of documents and the time, when the rate was taken last.
    rated: (u64, Instant),
    blocks: u64,
    /// Whether nothing more should be read, and whether that is for want of room on the disk.
    is_shut: bool,
    is_short: bool,
    /// Whether a commit did not wait for it, and it has not caught up since.
    is_late: bool,
    failed: Option<(io::ErrorKind, String)>,
    /// Whether it is time to end, and whether nothing more is sent for that.
    is_ending: bool,
    is_halted: bool,
}

impl Backlog {
    pub(super) fn new() -> Self {
        let at = now();
        Self {
            is_there: false,
            is_behind: [false; KINDS],
            saved: Marks::default(),
            committed: Marks::default(),
            has_others: false,
            acked: at,
            held: (Duration::ZERO, at),
            marks: VecDeque::new(),
            rated: (0, at),
            blocks: 0,
            is_shut: false,
            is_short: false,
            is_late: false,
            failed: None,
            is_ending: false,
            is_halted: false,
        }
    }

    /// Whether there is a spool.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether nothing more is sent, because it is time to end.
    pub(super) fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// What went wrong where nobody could be told.
    pub(super) fn check(&self) -> io::Result<()> {
        let failed = self.failed.as_ref();
        failed.map_or(Ok(()), |(kind, why)| Err(io::Error::new(*kind, why.clone())))
    }

    /// Whether who waits since then for room should wait no longer: the sink is silent, or holds
    /// others up.
    pub(super) fn gives_way(&self, begun: Instant) -> bool {
        let is_silent = begun.max(self.acked).elapsed() >= GRACE;
        let holds_up = self.has_others && self.held_until(begun) + begun.elapsed() >= HELD_MAX;
        self.is_there && (self.is_ending || is_silent || holds_up)
    }

    fn held_until(&self, at: Instant) -> Duration {
        self.held.0.saturating_sub(at.saturating_duration_since(self.held.1) / 2)
    }

    /// Others were held up since then.
    pub(super) fn waited(&mut self, begun: Instant) {
        let at = now();
        let held = self.held_until(begun) + (at - begun);
        self.held = (held.min(HELD_MAX * 2), at);
    }
}

impl Inner {
    /// Keeps what changes with time up to date.
    pub(super) fn look(&mut self) {
        let (at, cursors) = (now(), self.window.cursors());
        let marks = &mut self.backlog.marks;
        let is_passed =
            |marks: &Marks| marks.iter().zip(cursors).all(|(mark, cursor)| cursor >= *mark);
        while marks.front().is_some_and(|(_, marks)| is_passed(marks)) {
            marks.pop_front();
        }
        if is_passed(&self.handed) {
            marks.clear();
        } else if marks.back().is_none_or(|(last, _)| at - *last >= MARK_EVERY) {
            marks.push_back((at, self.handed));
            if marks.len() > MARKS_MAX {
                // Every other one tells as much of a long time.
                let mut count = 0_usize;
                marks.retain(|_| {
                    count += 1;
                    count % 2 == 1
                });
            }
        }
        let oldest = marks.front().map_or(Duration::ZERO, |(since, _)| at - *since);
        self.status.oldest = oldest;
        let ends = self.window.ends();
        self.status.spool.documents =
            self.handed.iter().zip(ends).map(|(handed, end)| handed.saturating_sub(end)).sum();
        self.rate(at);
    }

    /// Bytes a second, over some ten minutes.
    fn rate(&mut self, at: Instant) {
        let (bytes, since) = self.backlog.rated;
        let passed = at - since;
        if passed < Duration::from_secs(1) {
            return;
        }
        self.backlog.rated = (self.status.handed_bytes, at);
        let came = u128::from(self.status.handed_bytes - bytes) * 1000;
        let millis = passed.as_millis().max(1);
        let rate = u64::try_from(came / millis).unwrap_or(u64::MAX);
        // Of the first minutes an average, then one that forgets.
        let weight = u128::from(self.status.spool.rate != 0) * 599_000 + 1;
        let known = u128::from(self.status.spool.rate) * weight;
        let all = (known + u128::from(rate) * millis) / (weight + millis);
        self.status.spool.rate = u64::try_from(all).unwrap_or(u64::MAX);
    }
}

type Locked<'a> = MutexGuard<'a, Option<Spool>>;

impl Shared {
    /// Gives it the spool in a directory, where the last commit knows it; before anything is sent.
    /// What is on disk comes back from now on, as there is room. Returns how far the sink has come.
    ///
    /// # Errors
    /// When the spool cannot be used, or no thread can be started.
    pub fn attach(
        self: &Arc<Self>,
        directory: &Path,
        bound: Bound,
        known: Option<&Progress>,
        has_others: bool,
        again: Arc<MakeAgain>,
    ) -> io::Result<Progress> {
        let (spool, cursors, handed) = Spool::open(directory, bound, known)?;
        let (rate, packed) = known.map_or((0, 0), |known| (known.rate, known.packed));
        let known = Progress { cursors, handed, rate, packed };
        {
            let mut inner = self.lock();
            inner.window.begin(known.cursors);
            inner.handed = known.handed;
            let backlog = &mut inner.backlog;
            (backlog.is_there, backlog.has_others) = (true, has_others);
            (backlog.saved, backlog.committed) = (known.handed, known.cursors);
            backlog.is_behind =
                std::array::from_fn(|kind| known.cursors[kind] < known.handed[kind]);
            let status = &mut inner.status.spool;
            (status.rate, status.packed) = (known.rate, known.packed);
            self.show(&mut inner, &spool);
        }
        *self.locked() = Some(spool);
        for kind in Kind::ALL.into_iter().take(KINDS) {
            let (shared, again) = (Arc::clone(self), Arc::clone(&again));
            let refill = move || {
                let done = catch_unwind(AssertUnwindSafe(|| shared.refill(kind, &*again)));
                shared.refilled(done.unwrap_or_else(|_| Err(io::Error::other("a bug"))));
            };
            Builder::new().name("spool".to_owned()).spawn(refill)?;
        }
        Ok(known)
    }

    fn locked(&self) -> Locked<'_> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the spool has, for who asks without it.
    fn show(&self, inner: &mut Inner, spool: &Spool) {
        let status = &mut inner.status.spool;
        (status.bytes, status.bytes_max) = (spool.bytes(), spool.bytes_max());
        status.is_full = spool.is_full();
        inner.backlog.is_shut = spool.is_shut();
        inner.backlog.is_short = spool.is_short();
        self.tell();
    }

    /// Hands documents over that have to go through the spool.
    pub(super) fn overflow(&self, kind: Kind, block: &[u8]) -> io::Result<()> {
        let at = kind as usize;
        let mut locked = self.locked();
        let Some(spool) = locked.as_mut() else { return Ok(()) };
        let mut inner = self.lock();
        inner.backlog.check()?;
        if kind == Kind::Event && spool.drops() && spool.is_full() {
            inner.status.spool.dropped += memchr::memchr_iter(b'\n', block).count() as u64;
            return Ok(());
        }
        let next = inner.handed[at];
        if !inner.backlog.is_behind[at] {
            let (from, documents) = inner.window.between(at, inner.backlog.saved[at], next);
            drop(inner);
            if !spool.keep(at, from, &documents)? {
                // It stays in memory; as long as there is no room nothing more is read.
                let mut inner = self.lock();
                inner.add(kind, block.to_vec());
                self.show(&mut inner, spool);
                return Ok(());
            }
            spool.begin(at, next)?;
            inner = self.lock();
            inner.backlog.is_behind[at] = true;
            inner.backlog.saved[at] = next;
        }
        drop(inner);
        let count = spool.add(at, next, block)?;
        let mut inner = self.lock();
        inner.note(kind, count, block.len() as u64);
        self.show(&mut inner, spool);
        Ok(())
    }

    /// Waits until the sink has everything before these numbers, or, where that takes longer than
    /// `until`, puts it into the spool. Returns how far the sink has come, and the dead letters up
    /// to there; nothing when `is_over` says that it is time to end and there is no room.
    ///
    /// # Errors
    /// When the spool cannot be used.
    pub(super) fn settle(
        &self,
        marks: &Marks,
        until: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> io::Result<Option<(Progress, Vec<u8>)>> {
        let mut inner = self.lock();
        let saved = inner.backlog.saved;
        let keeps_up = inner.window.has_passed(&saved) && inner.backlog.is_behind == [false; KINDS];
        inner.backlog.is_late &= !keeps_up;
        let is_late = inner.backlog.is_late;
        inner.backlog.is_halted = inner.backlog.is_ending && is_late;
        drop(inner);
        let grace = if is_late { Duration::ZERO } else { until - now() };
        if !self.settled_within(marks, grace) {
            self.lock().backlog.is_late = true;
            self.hear_out(until);
            while !self.save(marks)? && !self.settled_within(marks, MARK_EVERY) {
                self.lock().backlog.check()?;
                if is_over() {
                    return Ok(None);
                }
            }
        }
        let mut inner = self.lock();
        inner.backlog.check()?;
        let passed = inner.window.cursors();
        let cursors = std::array::from_fn(|kind| passed[kind].min(marks[kind]));
        let letters = inner.take_letters(&cursors);
        let status = &inner.status.spool;
        let (rate, packed) = (status.rate, status.packed);
        Ok(Some((Progress { cursors, handed: *marks, rate, packed }, letters)))
    }

    /// At the end of a sink that is late: what is on its way may arrive still, so that it is not
    /// sent again by the next start.
    fn hear_out(&self, until: Instant) {
        let mut inner = self.lock();
        while inner.backlog.is_halted && inner.window.has_sent() && now() < until {
            inner = self.wait(inner, Duration::from_millis(50));
        }
    }

    /// It is time to end: nothing is waited for any more.
    pub(super) fn end(&self) {
        self.lock().backlog.is_ending = true;
        self.tell();
    }

    /// Makes everything before these numbers last that the sink does not have; whether there was
    /// room.
    fn save(&self, marks: &Marks) -> io::Result<bool> {
        let mut locked = self.locked();
        let Some(spool) = locked.as_mut() else { return Ok(false) };
        let mut is_saved = true;
        for (kind, mark) in marks.iter().enumerate() {
            let inner = self.lock();
            let from = inner.backlog.saved[kind];
            if inner.backlog.is_behind[kind] {
                drop(inner);
                let is_flushed = spool.flush(kind)?;
                if is_flushed {
                    let saved = &mut self.lock().backlog.saved[kind];
                    *saved = (*saved).max(*mark);
                }
                is_saved &= is_flushed;
                continue;
            }
            let (from, documents) = inner.window.between(kind, from, *mark);
            drop(inner);
            if documents.is_empty() {
                continue;
            }
            let is_kept = spool.keep(kind, from, &documents)?;
            if is_kept {
                let saved = &mut self.lock().backlog.saved[kind];
                *saved = (*saved).max(from + documents.len() as u64);
            }
            is_saved &= is_kept;
        }
        let begun = now();
        spool.sync()?;
        let mut inner = self.lock();
        inner.status.spool.syncs.note(begun.elapsed(), 1);
        self.show(&mut inner, spool);
        Ok(is_saved)
    }

    /// A commit stands that has passed these numbers.
    pub(super) fn stands(&self, cursors: &Marks) -> io::Result<()> {
        let mut locked = self.locked();
        let Some(spool) = locked.as_mut() else { return Ok(()) };
        spool.forget(cursors)?;
        let mut inner = self.lock();
        inner.backlog.committed = *cursors;
        self.show(&mut inner, spool);
        Ok(())
    }

    /// Whether a commit would keep something that no commit has.
    pub(super) fn has_news(&self) -> bool {
        let inner = self.lock();
        let cursors = inner.window.cursors();
        let has_files = inner.status.spool.bytes > 0;
        // A commit lets files go: nothing is read while they are too many, so nothing else asks for
        // one.
        let has_moved = (0..KINDS).any(|kind| cursors[kind] > inner.backlog.committed[kind]);
        inner.has_letters()
            || inner.backlog.failed.is_some()
            || inner.backlog.is_short
            || (has_files && has_moved)
    }

    /// Whether nothing more should be read for want of room.
    pub(super) fn is_shut(&self) -> bool {
        self.lock().backlog.is_shut
    }

    /// Sees now and then how well documents can be packed.
    pub(super) fn measure(&self, block: &[u8]) {
        let mut inner = self.lock();
        let backlog = &mut inner.backlog;
        if !backlog.is_there || block.len() < MEASURED_MIN {
            return;
        }
        backlog.blocks += 1;
        if backlog.blocks % MEASURED_EVERY != 1 {
            return;
        }
        drop(inner);
        // Another time, where it is being written to.
        let Ok(mut locked) = self.spool.try_lock() else { return };
        let ratio = locked.as_mut().map_or(0, |spool| spool.ratio(block));
        self.lock().status.spool.packed = ratio;
    }

    /// Brings documents of a kind back from the disk as there is room, until there is an end.
    fn refill(&self, kind: Kind, again: &MakeAgain) -> io::Result<()> {
        let at = kind as usize;
        let mut inner = self.lock();
        while !inner.is_closed {
            if inner.backlog.is_behind[at] && inner.has_room(at) {
                drop(inner);
                self.refill_once(kind, again)?;
                inner = self.lock();
            } else {
                inner = self.wait(inner, MARK_EVERY);
            }
        }
        Ok(())
    }

    fn refilled(&self, done: io::Result<()>) {
        if let Err(error) = done {
            tracing::error!(%error, "the spool cannot be read");
            self.lock().backlog.failed = Some((error.kind(), error.to_string()));
        }
    }

    fn refill_once(&self, kind: Kind, again: &MakeAgain) -> io::Result<()> {
        let at = kind as usize;
        let mut locked = self.locked();
        let Some(spool) = locked.as_mut() else { return Ok(()) };
        match spool.read(at)? {
            Some(Read::Documents(first, block)) => {
                self.lock().take_back(kind, first, block)?;
            }
            Some(Read::Lost(lost)) => {
                drop(locked);
                self.make_again(kind, &lost, again)?;
            }
            // What is not on disk yet need not go there.
            None => {
                let mut inner = self.lock();
                if let Some((first, block)) = spool.take_pending(at) {
                    inner.backlog.saved[at] = first;
                    inner.take_back(kind, first, block)?;
                }
                inner.backlog.is_behind[at] = false;
            }
        }
        self.tell();
        Ok(())
    }

    /// Goes on behind documents that are not there any more; events come back whose lines are.
    fn make_again(&self, kind: Kind, lost: &Lost, again: &MakeAgain) -> io::Result<()> {
        let at = kind as usize;
        let mut made = 0;
        let mut rest = lost.known.as_slice();
        while !rest.is_empty() {
            // Logs are looked for and read once for many of them.
            let mut count = 0;
            let most = rest.iter().take_while(|(_, ids)| {
                let is_first = count == 0;
                count += ids.len();
                is_first || count <= AGAIN_MAX
            });
            let (runs, after) = rest.split_at(most.count());
            rest = after;
            let ids: Vec<Id> = runs.iter().flat_map(|(_, ids)| ids).copied().collect();
            let mut found = again(&ids);
            for (first, ids) in runs {
                let Some(mut inner) = self.when_empty(at) else { return Ok(()) };
                inner.window.skip(at, *first);
                for (number, id) in (*first..).zip(ids) {
                    match found.remove(id) {
                        Some(document) => {
                            made += 1;
                            inner.take_back(kind, number, document)?;
                        }
                        None => inner.window.push_nothing(kind),
                    }
                }
                drop(inner);
                self.tell();
            }
        }
        let Some(mut inner) = self.when_empty(at) else { return Ok(()) };
        inner.window.skip(at, lost.to);
        let missing = (lost.to - lost.from).saturating_sub(made);
        inner.status.spool.made_again += made;
        inner.status.spool.lost += missing;
        drop(inner);
        let (from, to) = (lost.from, lost.to);
        tracing::error!(
            ?kind,
            from,
            to,
            made,
            missing,
            "documents of the spool are damaged or gone"
        );
        Ok(())
    }

    /// Once the window has nothing of a kind; nothing at the end.
    fn when_empty(&self, kind: usize) -> Option<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        while !inner.is_closed && inner.window.cursors()[kind] < inner.window.ends()[kind] {
            inner = self.wait(inner, MARK_EVERY);
        }
        (!inner.is_closed).then_some(inner)
    }
}
