//! A lane: merges the files of one kind of log by event time and hands their records on.
//!
//! Files are opened when the merge reaches them, so that an archive of a month is never held at
//! once. A stretch that only one file has to say passes through without a copy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use crate::base::hash::Id;
use crate::base::limits::{BATCH_ROWS_CROWDED, BATCH_ROWS_MAX, CROWD, OPEN_FILES_MAX};
use crate::base::time::Time;
use crate::record::{Batch, Lane, Log, Source};

use super::guard::Guard;
use super::output::{Bound, Output};
use super::traits::{Feed, Feeds};
use super::watermark::Watermark;
use super::worker::Worker;

/// What a lane needs to run.
pub struct LaneSpec {
    /// Which.
    pub lane: Lane,
    /// Where its records come from.
    pub feeds: Box<dyn Feeds>,
    /// How they are treated, by log, with an empty batch of each.
    pub workers: BTreeMap<Log, (Worker, Batch)>,
}

/// An open file: its records are treated batch by batch, ahead of the merge by one batch.
struct Stream {
    feed: Box<dyn Feed>,
    log: Log,
    rank: (Option<Time>, Id),
    watermark: Watermark,
    guard: Guard,
    output: Output,
    /// The next item of `output`.
    at: usize,
}

impl Stream {
    fn place(&self) -> Time {
        self.output.items[self.at].place
    }
}

/// Runs a lane to the end of its feeds, or until nobody listens.
pub(super) fn run(mut spec: LaneSpec, to: &SyncSender<Output>, back: &Receiver<Output>) {
    let mut streams: Vec<Stream> = Vec::new();
    loop {
        open_due(&mut spec, &mut streams, back);
        let Some((index, mut bound)) = choose(&streams) else {
            if spec.feeds.next_start().is_none() {
                return;
            }
            continue;
        };
        if streams.len() < OPEN_FILES_MAX
            && let Some(start) = spec.feeds.next_start()
        {
            bound = bound.min(Bound::Before(start.max(Time(streams[index].place().0 + 1))));
        }
        let crowd = streams.len();
        let stream = &mut streams[index];
        let end = stream.output.until(stream.at, bound);
        let ready = take(stream, end, back);
        if stream.at == stream.output.items.len() {
            let Some((worker, batch)) = spec.workers.get_mut(&stream.log) else { return };
            if !fill(stream, worker, batch, crowd) {
                streams.swap_remove(index);
            }
        }
        if to.send(ready).is_err() {
            return;
        }
    }
}

/// Opens every feed that begins where the merge stands, or the next one if none is open.
fn open_due(spec: &mut LaneSpec, streams: &mut Vec<Stream>, back: &Receiver<Output>) {
    while streams.len() < OPEN_FILES_MAX {
        let Some(start) = spec.feeds.next_start() else { return };
        let first = streams.iter().map(Stream::place).min();
        if first.is_some_and(|first| start > first) {
            return;
        }
        let Some(started) = spec.feeds.open() else { return };
        let log = started.log;
        let mut stream = Stream {
            feed: started.feed,
            log,
            rank: (started.start, started.rank),
            watermark: Watermark::new(started.start),
            guard: Guard::default(),
            output: fresh(log, back),
            at: 0,
        };
        let Some((worker, batch)) = spec.workers.get_mut(&log) else { return };
        if fill(&mut stream, worker, batch, streams.len()) {
            streams.push(stream);
        }
    }
}

/// The stream whose next item comes first, of equals the one that began first; and how far
/// it may go.
fn choose(streams: &[Stream]) -> Option<(usize, Bound)> {
    let order = |stream: &Stream| (stream.place(), stream.rank);
    let (index, first) = streams.iter().enumerate().min_by_key(|(_, stream)| order(stream))?;
    let others = streams.iter().enumerate().filter(|(other, _)| *other != index);
    let bound = others.fold(Bound::None, |bound, (_, other)| {
        let is_behind = first.rank <= other.rank;
        let place = other.place();
        bound.min(if is_behind { Bound::Through(place) } else { Bound::Before(place) })
    });
    Some((index, bound))
}

/// Takes the items up to `end` out of a stream: all of its output if nothing of it is left or gone.
fn take(stream: &mut Stream, end: usize, back: &Receiver<Output>) -> Output {
    let mut ready = fresh(stream.log, back);
    if stream.at == 0 && end == stream.output.items.len() {
        std::mem::swap(&mut ready, &mut stream.output);
        return ready;
    }
    let (start, output) = (stream.at, &mut stream.output);
    let span = output.span(start..end);
    ready.documents.extend_from_slice(&output.documents[span.clone()]);
    ready.items.extend(output.items[start..end].iter().map(|item| {
        let mut item = *item;
        item.end -= span.start as u32;
        item
    }));
    let rest = output.evidence.iter().position(|(item, ..)| *item >= end);
    let taken = output.evidence.drain(..rest.unwrap_or(output.evidence.len()));
    ready.evidence.extend(taken.map(|(item, minute, evidence)| (item - start, minute, evidence)));
    ready.deltas.append(&mut output.deltas);
    ready.minutes.append(&mut output.minutes);
    ready.sightings.append(&mut output.sightings);
    ready.targets.append(&mut output.targets);
    ready.hosts.append(&mut output.hosts);
    ready.counts = std::mem::take(&mut output.counts);
    ready.bytes = std::mem::take(&mut output.bytes);
    ready.panics = std::mem::take(&mut output.panics);
    stream.at = end;
    ready
}

/// Treats the next records of a stream; `false` at its end.
fn fill(stream: &mut Stream, worker: &mut Worker, batch: &mut Batch, crowd: usize) -> bool {
    stream.output.clear();
    stream.at = 0;
    let rows_max = if crowd > CROWD { BATCH_ROWS_CROWDED } else { BATCH_ROWS_MAX };
    while stream.output.items.is_empty() {
        batch.clear();
        let Some(source) = stream.feed.read(rows_max, batch) else { return false };
        stream.output.bytes += stream.feed.take_bytes();
        treat(stream, worker, batch, &source);
    }
    true
}

fn treat(stream: &mut Stream, worker: &mut Worker, batch: &Batch, source: &Arc<Source>) {
    worker.process(batch, source, &mut stream.watermark, &mut stream.guard, &mut stream.output);
    stream.output.note_panics(&mut stream.guard);
}

/// An empty output, used before if one came back.
fn fresh(log: Log, back: &Receiver<Output>) -> Output {
    match back.try_recv() {
        Ok(mut output) => {
            output.clear();
            output.log = log;
            output
        }
        Err(_) => Output::new(log),
    }
}
