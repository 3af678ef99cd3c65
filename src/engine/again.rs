//! Events once more, of records that were read before: an event is a function of its record.
//!
//! Only the tag of a record that is far from the time of its lane depends on more: here the lane is
//! the file.

use std::sync::Arc;

use crate::record::{Batch, Source};

use super::guard::Guard;
use super::output::Output;
use super::watermark::Watermark;
use super::worker::Worker;

/// Writes events of one file.
pub struct Again {
    worker: Worker,
    watermark: Watermark,
    guard: Guard,
    output: Output,
}

impl Again {
    /// As this worker writes them.
    #[must_use]
    pub fn new(worker: Worker) -> Self {
        let output = Output::new(worker.log());
        Self { worker, watermark: Watermark::default(), guard: Guard::default(), output }
    }

    /// The documents of a batch, each with a line feed at its end: events, and dead letters.
    pub fn documents(&mut self, batch: &Batch, source: &Arc<Source>) -> &[u8] {
        self.output.clear();
        let (watermark, guard) = (&mut self.watermark, &mut self.guard);
        self.worker.process(batch, source, watermark, guard, &mut self.output);
        &self.output.documents
    }
}
