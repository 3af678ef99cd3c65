//! The threads: one per lane, the entity lane in the caller's, one for the sink. All are named,
//! scoped and joined; a closed channel is the signal to stop.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::base::limits::{LANE_QUEUE, SINK_QUEUE};
use crate::base::time::Time;

use super::core::Core;
use super::lane::{self, LaneSpec};
use super::output::{Bound, Kind, Output};
use super::traits::Sink;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The sink could not write.
    #[error("cannot write")]
    Sink(#[from] io::Error),
    /// A thread panicked or could not be started: a bug, or a machine out of threads.
    #[error("thread {0} failed")]
    Thread(String),
}

/// Runs lanes to the end of their feeds through `core` into `sink`; `progress` hears of bytes read.
///
/// # Errors
/// When the sink fails, or a thread does.
pub fn run(
    lanes: Vec<LaneSpec>,
    core: &mut Core,
    mut sink: Box<dyn Sink>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    thread::scope(|scope| -> Result<(), Failure> {
        let start = |name: &str, failed: io::Error| Failure::Thread(format!("{name}: {failed}"));
        let mut streams = Vec::new();
        let mut handles = Vec::new();
        for spec in lanes {
            let (to, outputs) = sync_channel(LANE_QUEUE);
            let (back, used) = sync_channel(LANE_QUEUE + 2);
            let name = spec.lane.name();
            let builder = thread::Builder::new().name(format!("lane-{name}"));
            let run = move || lane::run(spec, &to, &used);
            let handle = builder.spawn_scoped(scope, run).map_err(|error| start(name, error))?;
            handles.push((name, handle));
            streams.push(Stream { outputs, back, current: None, at: 0 });
        }
        let (blocks, written) = sync_channel::<(Kind, Vec<u8>)>(SINK_QUEUE);
        let (empty, used) = sync_channel(SINK_QUEUE);
        let write = move || -> io::Result<()> {
            for (kind, block) in written {
                sink.write(kind, &block)?;
                // Nobody waits for an empty block: when there are enough, it is let go.
                drop(empty.try_send((kind, block)));
            }
            sink.finish()
        };
        let builder = thread::Builder::new().name("sink".to_owned());
        let writer = builder.spawn_scoped(scope, write).map_err(|error| start("sink", error))?;
        let mut hand = Hand { core, blocks, used };
        // A sink that failed is found when it is joined.
        let _is_done = merge(&mut streams, &mut hand, progress);
        drop(hand);
        drop(streams);
        for (name, handle) in handles {
            handle.join().map_err(|_| Failure::Thread(name.to_owned()))?;
        }
        writer.join().map_err(|_| Failure::Thread("sink".to_owned()))??;
        Ok(())
    })?;
    Ok(())
}

/// What one lane made, as the entity lane sees it.
struct Stream {
    outputs: Receiver<Output>,
    back: SyncSender<Output>,
    current: Option<Output>,
    at: usize,
}

/// The entity lane's state and its way to the sink.
struct Hand<'a> {
    core: &'a mut Core,
    blocks: SyncSender<(Kind, Vec<u8>)>,
    used: Receiver<(Kind, Vec<u8>)>,
}

/// Merges lanes by event time, then by lane, until all are at their end; `None` if the sink went
/// away.
fn merge(streams: &mut [Stream], hand: &mut Hand<'_>, progress: &mut dyn FnMut(u64)) -> Option<()> {
    loop {
        for stream in streams.iter_mut() {
            stream.refill(hand, progress);
        }
        let place = |stream: &Stream| stream.current.as_ref().map(|out| out.items[stream.at].place);
        let heads = streams.iter().enumerate().filter_map(|(lane, s)| Some((place(s)?, lane)));
        let Some((_, first)) = heads.clone().min() else { break };
        let others = heads.filter(|(_, lane)| *lane != first);
        let bound = others.fold(Bound::None, |bound, (place, lane)| {
            bound.min(if first < lane { Bound::Through(place) } else { Bound::Before(place) })
        });
        let stream = &mut streams[first];
        let Some(output) = &mut stream.current else { break };
        let end = output.until(stream.at, bound);
        hand.take(output, stream.at..end);
        stream.at = end;
        hand.flush(false)?;
    }
    hand.core.finish();
    hand.flush(true)
}

impl Stream {
    /// Waits for the lane's next output where the last one is used up.
    fn refill(&mut self, hand: &mut Hand<'_>, progress: &mut dyn FnMut(u64)) {
        while self.current.as_ref().is_some_and(|out| self.at == out.items.len())
            || self.current.is_none()
        {
            if let Some(used) = self.current.take() {
                // Where the lane has enough of them, it is let go.
                drop(self.back.try_send(used));
            }
            self.at = 0;
            let Ok(mut output) = self.outputs.recv() else { return };
            progress(output.bytes);
            let counts = hand.core.summary.logs.entry(output.log).or_default();
            counts.add(&output.counts);
            hand.core.note_panics(&output.panics);
            for delta in output.deltas.drain(..) {
                hand.core.fold(delta);
            }
            output.hosts.drain(..).for_each(|seen| hand.core.see(seen));
            self.current = Some(output);
        }
    }
}

impl Hand<'_> {
    /// Takes a run of items: their documents, and what the stages found in them.
    fn take(&mut self, output: &mut Output, items: std::ops::Range<usize>) {
        let mut start = items.start;
        while start < items.end {
            let is_letter = output.items[start].is_letter;
            let same = output.items[start..items.end].iter();
            let length = same.take_while(|item| item.is_letter == is_letter).count();
            let kind = if is_letter { Kind::DeadLetter } else { Kind::Event };
            let span = output.span(start..start + length);
            self.core.blocks.of(kind).extend_from_slice(&output.documents[span]);
            start += length;
        }
        let rest = output.evidence.iter().position(|(item, ..)| *item >= items.end);
        let found = output.evidence.drain(..rest.unwrap_or(output.evidence.len()));
        for (item, minute, evidence) in found {
            self.core.advance(output.items[item].place);
            self.core.evidence(minute, &evidence);
        }
        if let Some(last) = items.end.checked_sub(1) {
            self.core.advance(output.items[last].place.max(Time::MIN));
        }
    }

    /// Hands full blocks, or all of them, to the sink; `None` if it went away.
    fn flush(&mut self, all: bool) -> Option<()> {
        for kind in Kind::ALL {
            while let Some(block) = self.core.blocks.take(kind, all) {
                self.blocks.send((kind, block)).ok()?;
                while let Ok((kind, block)) = self.used.try_recv() {
                    self.core.blocks.give_back(kind, block);
                }
            }
        }
        Some(())
    }
}
