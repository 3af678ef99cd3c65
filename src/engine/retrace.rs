//! Takes the steps of a journal again, one after another: what a run made of them comes out to the
//! byte.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::record::{Batch, Lane, Log, Source};
use crate::risk::AllowList;

use super::applier::Applier;
use super::guard::Guard;
use super::horizon::Tick;
use super::output::{After, Kind, LaneState, Output};
use super::traits::{Mark, Sink};
use super::watermark::Watermark;
use super::worker::Worker;

/// See the module.
pub struct Retrace {
    applier: Applier,
    workers: BTreeMap<Log, Worker>,
    lanes: BTreeMap<Lane, (Watermark, Guard)>,
}

impl Retrace {
    /// From where `applier` stands.
    #[must_use]
    pub fn new(applier: Applier, workers: BTreeMap<Log, Worker>) -> Self {
        let lane = |lane: Lane| {
            let state = applier.lane(lane);
            let mut guard = Guard::default();
            guard.quarantine = state.quarantine;
            (lane, (state.watermark, guard))
        };
        let lanes = Lane::ALL.into_iter().map(lane).collect();
        Self { applier, workers, lanes }
    }

    /// Takes the records of one step.
    pub fn rows(&mut self, batch: &Batch, source: Arc<Source>, mark: Mark) {
        let log = source.log;
        let Some((watermark, guard)) = self.lanes.get_mut(&log.lane()) else { return };
        let Some(worker) = self.workers.get_mut(&log) else { return };
        let mut output = Output::new(log);
        worker.process(batch, &source, watermark, guard, &mut output);
        output.note_panics(guard);
        let (watermark, quarantine) = (*watermark, guard.quarantine.clone());
        let lane = LaneState { watermark, quarantine };
        output.after = Some(After { source, mark, lane, is_behind: false });
        self.applier.rows(&mut output);
    }

    /// Takes a tick.
    pub fn tick(&mut self, tick: Tick) {
        self.applier.tick(tick);
    }

    /// Takes an allow-list.
    pub fn allow(&mut self, list: AllowList) {
        self.applier.allow(list);
    }

    /// Writes the documents so far.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        for kind in Kind::ALL {
            let documents = std::mem::take(self.applier.core.blocks.of(kind));
            sink.write(kind, &documents)?;
        }
        // Nobody commits: what changed is let go.
        drop(self.applier.save());
        Ok(())
    }

    /// The state at the end.
    #[must_use]
    pub fn finish(mut self) -> Applier {
        self.applier.core.sum_up();
        self.applier
    }
}
