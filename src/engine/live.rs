//! The threads while logs are being written: one per lane, the entity lane in the caller's, one
//! that writes events, one that commits. All are named, scoped and joined.
//!
//! A commit needs no barrier: what a file and its lane must know to go on travels with their
//! records, so any point between two outputs cuts all lanes at once. The entity lane hands over
//! what changed and goes on; encoding the rest and syncing happen elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::base::limits::{BATCH_ROWS_MAX, LANE_QUEUE, SINK_QUEUE};
use crate::base::time::{MINUTE, Time};
use crate::record::{Batch, Lane, Log};

use super::applier::{Applier, Changed};
use super::guard::Guard;
use super::horizon::Tick;
use super::output::{After, Kind, LaneState, Output};
use super::run::Failure;
use super::status::{Histogram, Meters};
use super::traits::{Cut, Gate, LastingSink, Store, Tail};
use super::worker::Worker;

/// A lane that follows logs.
pub struct LiveLane {
    /// Which.
    pub lane: Lane,
    /// Where its records come from.
    pub tail: Box<dyn Tail>,
    /// How they are treated, by log, with an empty batch of each.
    pub workers: BTreeMap<Log, (Worker, Batch)>,
    /// Where it goes on.
    pub state: LaneState,
}

/// How often what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time between two commits, at most.
    pub commit_every: Duration,
    /// Bytes of input between two commits, at most.
    pub commit_bytes: u64,
    /// A lane not heard for so long holds nobody back.
    pub silent_after: Duration,
    /// How far a lane may run ahead of one that has more to read, in microseconds of event time.
    pub ahead_us: i64,
}

/// Something that one thread waits for and others ring.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    /// Wakes who waits, or who waits next.
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits for a ring, at most so long.
    fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(rung, at_most, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

/// Where documents and commits go, and whether there is room for them.
pub struct Ends {
    /// Events and dead letters.
    pub sink: Box<dyn LastingSink>,
    /// Commits.
    pub store: Box<dyn Store>,
    /// Whether there is room.
    pub gate: Box<dyn Gate>,
}

/// A commit on its way.
pub struct Commit {
    /// What changed.
    pub changed: Changed,
    /// What was written before it.
    pub cut: Cut,
}

enum ToSink {
    /// Documents; with the number of lines behind them, by when they began to be read.
    Block(Kind, Vec<u8>, Vec<(Instant, u64)>),
    Commit(Changed),
}

/// Follows logs, whose documents and commits go to `ends`, until `stop` is set; `watch` sees the
/// state ten times a second, whatever happens.
///
/// # Errors
/// When the sink or the store fails, or a thread does.
pub fn follow(
    lanes: Vec<LiveLane>,
    applier: &mut Applier,
    pace: Pace,
    ends: Ends,
    stop: &AtomicBool,
    watch: &mut Watch<'_>,
) -> Result<(), Failure> {
    let Ends { sink, store, gate } = ends;
    applier.begin();
    let bell = Arc::new(Bell::default());
    thread::scope(|scope| {
        let _stop = StopAtEnd(stop);
        let start = |name: &str, failed: io::Error| Failure::Thread(format!("{name}: {failed}"));
        let mut streams = Vec::new();
        let mut handles = Vec::new();
        for live in lanes {
            let (to, outputs) = sync_channel(LANE_QUEUE);
            let (back, used) = sync_channel(LANE_QUEUE + 2);
            let (lane, bell) = (live.lane, Arc::clone(&bell));
            let builder = thread::Builder::new().name(format!("lane-{}", lane.name()));
            let run = move || run_lane(live, &to, &used, &bell, stop);
            let handle = builder.spawn_scoped(scope, run).map_err(|e| start(lane.name(), e))?;
            handles.push((lane.name(), handle));
            streams.push(Stream::new(lane, outputs, back));
        }
        let (blocks, to_sink) = sync_channel::<ToSink>(SINK_QUEUE);
        let (to_store, commits) = sync_channel::<Commit>(1);
        let (done, committed) = sync_channel(1);
        let builder = thread::Builder::new().name("sink".to_owned());
        let written = Arc::new(Mutex::new(Histogram::default()));
        let end_to_end = Arc::clone(&written);
        let write = move || run_sink(sink, &to_sink, &to_store, &written);
        let writer = builder.spawn_scoped(scope, write).map_err(|e| start("sink", e))?;
        let builder = thread::Builder::new().name("commit".to_owned());
        let ring = Arc::clone(&bell);
        let commit = move || run_store(store, &commits, &done, &ring);
        let keeper = builder.spawn_scoped(scope, commit).map_err(|e| start("commit", e))?;
        let mut hand = Hand {
            applier,
            pace,
            gate,
            stop,
            show: watch,
            blocks,
            committed,
            in_flight: false,
            last_commit: now(),
            bytes: 0,
            heard: None,
            ticked: None,
            end_to_end,
            unwritten: Vec::new(),
            cut: now(),
            watched: now(),
            meters: Meters::default(),
        };
        // A sink or a store that failed is found when it is joined.
        let _is_done = hand.run(&mut streams, &bell);
        stop.store(true, Ordering::Relaxed);
        // Who waits for room hears of the end here.
        hand.watch(&streams);
        drop(hand);
        drop(streams);
        let written = writer.join().map_err(|_| Failure::Thread("sink".to_owned()))?;
        keeper.join().map_err(|_| Failure::Thread("commit".to_owned()))??;
        written?;
        for (name, handle) in handles {
            handle.join().map_err(|_| Failure::Thread(name.to_owned()))?;
        }
        Ok(())
    })
}

/// Stops the other threads also where this one panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run_lane(
    mut live: LiveLane,
    to: &SyncSender<Output>,
    back: &Receiver<Output>,
    bell: &Bell,
    stop: &AtomicBool,
) {
    let mut watermark = live.state.watermark;
    let mut guard = Guard::default();
    guard.quarantine = live.state.quarantine;
    while !stop.load(Ordering::Relaxed) {
        let Some(log) = live.tail.next() else { continue };
        let Some((worker, batch)) = live.workers.get_mut(&log) else { break };
        batch.clear();
        let begun = now();
        let Some((source, mark, is_behind)) = live.tail.read(BATCH_ROWS_MAX, batch) else {
            continue;
        };
        let mut output = back.try_recv().unwrap_or_else(|_| Output::new(log));
        output.clear();
        output.log = log;
        output.bytes = mark.range.end - mark.range.start;
        worker.process(batch, &source, &mut watermark, &mut guard, &mut output);
        output.note_panics(&mut guard);
        let lane = LaneState { watermark, quarantine: guard.quarantine.clone() };
        output.read = Some(begun);
        output.after = Some(After { source, mark, lane, is_behind });
        if !hand_over(output, to, live.tail.as_mut()) {
            break;
        }
        bell.ring();
    }
    bell.ring();
}

/// Gives the entity lane an output, when that has time for it; false if it never will.
fn hand_over(mut output: Output, to: &SyncSender<Output>, tail: &mut dyn Tail) -> bool {
    let begun = now();
    loop {
        match to.try_send(output) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => output = back,
        }
        let is_pause = begun.elapsed() > WATCH_EVERY;
        if is_pause {
            tail.watch();
        }
        thread::sleep(if is_pause { GIVE_EVERY * 5 } else { GIVE_EVERY / 5 });
    }
}

fn run_sink(
    mut sink: Box<dyn LastingSink>,
    from: &Receiver<ToSink>,
    to_store: &SyncSender<Commit>,
    end_to_end: &Mutex<Histogram>,
) -> io::Result<()> {
    while let Ok(message) = from.recv() {
        match message {
            ToSink::Block(kind, block, read) => {
                sink.write(kind, &block)?;
                let mut histogram = end_to_end.lock().unwrap_or_else(PoisonError::into_inner);
                for (begun, events) in read {
                    histogram.note(begun.elapsed(), events);
                }
            }
            ToSink::Commit(changed) => {
                // A store that failed says so when it is joined.
                drop(to_store.send(Commit { changed, cut: sink.cut()? }));
            }
        }
    }
    sink.finish()
}

fn run_store(
    mut store: Box<dyn Store>,
    from: &Receiver<Commit>,
    done: &SyncSender<()>,
    bell: &Bell,
) -> io::Result<()> {
    while let Ok(commit) = from.recv() {
        store.commit(commit)?;
        if done.send(()).is_err() {
            break;
        }
        bell.ring();
    }
    Ok(())
}

/// What one lane made, as the entity lane sees it.
struct Stream {
    lane: Lane,
    outputs: Receiver<Output>,
    back: SyncSender<Output>,
    pending: Option<Output>,
    is_behind: bool,
    is_closed: bool,
    heard: Instant,
}

impl Stream {
    fn new(lane: Lane, outputs: Receiver<Output>, back: SyncSender<Output>) -> Self {
        let heard = now();
        Self { lane, outputs, back, pending: None, is_behind: false, is_closed: false, heard }
    }

    fn place(&self) -> Option<Time> {
        self.pending.as_ref()?.after.as_ref()?.lane.watermark.get()
    }

    fn refill(&mut self) {
        if self.pending.is_some() || self.is_closed {
            return;
        }
        match self.outputs.try_recv() {
            Ok(output) => {
                self.is_behind = output.after.as_ref().is_some_and(|after| after.is_behind);
                self.pending = Some(output);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => (self.is_closed, self.is_behind) = (true, false),
        }
    }
}

/// The entity lane's state and its ways to the other threads.
struct Hand<'a, 'w> {
    applier: &'a mut Applier,
    pace: Pace,
    gate: Box<dyn Gate>,
    stop: &'a AtomicBool,
    show: &'a mut Watch<'w>,
    blocks: SyncSender<ToSink>,
    committed: Receiver<()>,
    in_flight: bool,
    last_commit: Instant,
    /// Bytes of input since the last commit.
    bytes: u64,
    /// When a lane was heard last, and how far all had come then.
    heard: Option<(Instant, Time)>,
    ticked: Option<Time>,
    /// Filled by the thread that writes.
    end_to_end: Arc<Mutex<Histogram>>,
    /// Events that wait to be written, by when their lines began to be read.
    unwritten: Vec<(Instant, u64)>,
    /// When the last commit was cut.
    cut: Instant,
    watched: Instant,
    meters: Meters,
}

/// Sees the state and what was measured.
pub type Watch<'a> = dyn FnMut(&mut Applier, &Meters) + 'a;

/// A lane that had more to read and then says nothing for so long has come to its end.
const BEHIND_FOR: Duration = Duration::from_millis(500);

/// Time between two looks at the state; also the longest that the entity lane sleeps, for what the
/// wall clock asks of it is due to a second.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// Time until the sink's thread is asked again whether it has time.
const GIVE_EVERY: Duration = Duration::from_millis(1);

impl Hand<'_, '_> {
    /// Until all lanes are closed and everything is committed; `None` if sink or store went away.
    fn run(&mut self, streams: &mut [Stream], bell: &Bell) -> Option<()> {
        loop {
            streams.iter_mut().for_each(Stream::refill);
            let is_shut = self.gate.is_shut();
            let chosen = if is_shut { None } else { self.choose(streams) };
            if let Some(index) = chosen {
                self.take(&mut streams[index]);
                self.flush(streams, false)?;
            } else {
                self.flush(streams, true)?;
                let is_over = |it: &Stream| it.is_closed && it.pending.is_none();
                // What was read and finds no room is read again at the next start.
                if streams.iter().all(is_over) || is_shut && self.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.tick(streams);
                bell.wait(WATCH_EVERY.saturating_sub(self.watched.elapsed()));
            }
            self.commit_if_due(streams)?;
            self.watch_if_due(streams);
        }
        while self.in_flight {
            self.wait(streams)?;
        }
        self.flush(streams, true)?;
        // The second keeps what became of the alerts and risk of the first.
        for _ in 0..2 {
            self.commit(streams)?;
            self.wait(streams)?;
        }
        self.watch(streams);
        Some(())
    }

    /// Shows the state and what was measured, ten times a second.
    fn watch_if_due(&mut self, streams: &[Stream]) {
        if self.watched.elapsed() >= WATCH_EVERY {
            self.watch(streams);
        }
    }

    fn watch(&mut self, streams: &[Stream]) {
        self.watched = now();
        if !self.in_flight && !self.applier.is_changed() {
            self.meters.committed = self.watched;
        }
        self.meters.heard = streams.iter().map(|it| (it.lane, it.heard)).collect();
        let end_to_end = self.end_to_end.lock().unwrap_or_else(PoisonError::into_inner);
        self.meters.end_to_end.clone_from(&end_to_end);
        drop(end_to_end);
        (self.show)(self.applier, &self.meters);
    }

    /// Gives the sink's thread something; while it has no time for it, the state is shown on.
    fn give(&mut self, streams: &[Stream], mut message: ToSink) -> Option<()> {
        loop {
            match self.blocks.try_send(message) {
                Ok(()) => return Some(()),
                Err(TrySendError::Disconnected(_)) => return None,
                Err(TrySendError::Full(back)) => message = back,
            }
            self.watch_if_due(streams);
            thread::sleep(GIVE_EVERY);
        }
    }

    /// The lane whose output comes next: the one furthest back in event time, unless it is far
    /// ahead of another that has more to read.
    fn choose(&self, streams: &[Stream]) -> Option<usize> {
        let waits = streams.iter().enumerate().filter(|(_, stream)| stream.pending.is_some());
        let (index, first) = waits.min_by_key(|(_, stream)| (stream.place(), stream.lane))?;
        let place = first.place().unwrap_or(Time::MIN);
        let holds = |other: &Stream| {
            other.is_behind
                && other.pending.is_none()
                && other.heard.elapsed() < BEHIND_FOR
                && self
                    .applier
                    .time(other.lane as usize)
                    .is_some_and(|time| place.0.saturating_sub(time.0) > self.pace.ahead_us)
        };
        (!streams.iter().any(holds)).then_some(index)
    }

    fn take(&mut self, stream: &mut Stream) {
        let Some(mut output) = stream.pending.take() else { return };
        self.bytes += output.bytes;
        self.applier.rows(&mut output);
        for (stage, spent) in output.spent.drain(..) {
            self.meters.stages.entry(stage).or_default().note(spent, 1);
        }
        let events = output.counts.events;
        self.unwritten.extend(output.read.filter(|_| events > 0).map(|begun| (begun, events)));
        stream.heard = now();
        self.heard = self.applier.horizon().latest().map(|time| (stream.heard, time));
        self.ticked = None;
        // Where the lane has enough of them, it is let go.
        drop(stream.back.try_send(output));
    }

    /// Says which lanes are silent, and how late it is when all are.
    fn tick(&mut self, streams: &[Stream]) {
        let at = now();
        let is_silent = |stream: &&Stream| {
            stream.pending.is_none() && at - stream.heard >= self.pace.silent_after
        };
        let all = (1 << Lane::ALL.len()) - 1;
        let here: u8 = streams.iter().fold(0, |mask, stream| mask | 1 << stream.lane as u8);
        let silent = streams.iter().filter(is_silent);
        let silent = silent.fold(all & !here, |mask, stream| mask | 1 << stream.lane as u8);
        let mut time = None;
        if silent == all
            && let Some((since, latest)) = self.heard
        {
            let micros = i64::try_from((at - since).as_micros()).unwrap_or(i64::MAX);
            let later = latest.plus(micros).floor(MINUTE);
            time = (later > latest && Some(later) > self.ticked).then_some(later);
        }
        if silent != self.applier.horizon().silent() || time.is_some() {
            self.ticked = time.or(self.ticked);
            self.applier.tick(Tick { silent, time });
        }
    }

    /// Hands full blocks, or all of them, to the sink.
    fn flush(&mut self, streams: &[Stream], all: bool) -> Option<()> {
        for kind in [Kind::Event, Kind::DeadLetter] {
            while let Some(block) = self.applier.core.blocks.take(kind, all) {
                let read = match kind {
                    Kind::Event => std::mem::take(&mut self.unwritten),
                    _ => Vec::new(),
                };
                self.give(streams, ToSink::Block(kind, block, read))?;
            }
        }
        Some(())
    }

    fn commit_if_due(&mut self, streams: &[Stream]) -> Option<()> {
        if self.in_flight {
            match self.committed.try_recv() {
                Ok(()) => self.stands(),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        let is_full = self.bytes >= self.pace.commit_bytes;
        if !is_full && self.last_commit.elapsed() < self.pace.commit_every {
            return Some(());
        }
        if self.in_flight {
            return if is_full { self.wait(streams) } else { Some(()) };
        }
        if self.applier.is_changed() || self.gate.has_news() {
            self.flush(streams, true)?;
            self.commit(streams)?;
        }
        self.last_commit = now();
        Some(())
    }

    fn commit(&mut self, streams: &[Stream]) -> Option<()> {
        self.cut = now();
        let changed = self.applier.save();
        self.give(streams, ToSink::Commit(changed))?;
        (self.in_flight, self.bytes, self.last_commit) = (true, 0, now());
        Some(())
    }

    /// Waits for the commit that is on its way; the state is shown on.
    fn wait(&mut self, streams: &[Stream]) -> Option<()> {
        loop {
            match self.committed.recv_timeout(WATCH_EVERY) {
                Ok(()) => break,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.watch_if_due(streams),
            }
        }
        self.stands();
        Some(())
    }

    /// The commit that was on its way stands.
    fn stands(&mut self) {
        self.in_flight = false;
        self.meters.committed = self.cut;
        self.applier.committed();
    }
}
