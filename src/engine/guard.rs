//! Keeps a stage that panics from taking the sensor with it.
//!
//! A panic is caught; the rows of its batch are then shown to the stage one by one, so that it
//! misses the row that hurt it and the [`QUARANTINE_ROWS`] after it, wherever batches begin. A
//! stage keeps no state between rows that a panic could leave half done.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::base::limits::QUARANTINE_ROWS;
use crate::record::Batch;
use crate::stage::{Deltas, Fold, Input, Output, RecordStage};

/// Rows that each stage still has to miss, by its place in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quarantine {
    rows: BTreeMap<usize, u64>,
}

/// How often each stage panicked, by its place in the table.
pub(super) type Panics = BTreeMap<usize, u64>;

/// Lets stages see rows.
#[derive(Debug, Default)]
pub(super) struct Guard {
    pub(super) quarantine: Quarantine,
    pub(super) panics: Panics,
    alone: Option<Batch>,
    output: Output,
}

impl Guard {
    /// Lets the record stage at `index` score a batch.
    pub(super) fn score(
        &mut self,
        index: usize,
        stage: &mut dyn RecordStage,
        input: &Input<'_>,
        out: &mut Output,
    ) {
        out.begin(index, input.batch.rows());
        if self.is_free(index) && caught(|| stage.score(input, out)) {
            return;
        }
        out.begin(index, input.batch.rows());
        let mut output = std::mem::take(&mut self.output);
        self.each_row(index, input, &mut |row, alone| {
            output.begin(index, 1);
            let is_good = caught(|| stage.score(alone, &mut output));
            if is_good {
                out.adopt(row, &mut output);
            }
            is_good
        });
        self.output = output;
    }

    /// Lets the lane's half of the window stage at `index` fold a batch.
    pub(super) fn fold(
        &mut self,
        index: usize,
        fold: &mut dyn Fold,
        input: &Input<'_>,
        out: &mut Deltas,
    ) {
        out.begin(index);
        let before = out.count();
        if self.is_free(index) && caught(|| fold.fold(input, out)) {
            return;
        }
        out.truncate(before);
        self.each_row(index, input, &mut |_, alone| {
            let before = out.count();
            let is_good = caught(|| fold.fold(alone, out));
            if !is_good {
                out.truncate(before);
            }
            is_good
        });
    }

    fn is_free(&self, index: usize) -> bool {
        !self.quarantine.rows.contains_key(&index)
    }

    /// Shows the rows one by one, but those that the stage has to miss; `show` says whether it went
    /// well.
    fn each_row(
        &mut self,
        index: usize,
        input: &Input<'_>,
        show: &mut dyn FnMut(usize, &Input<'_>) -> bool,
    ) {
        let log = input.batch.log();
        let mut alone = self.alone.take().filter(|batch| batch.log() == log);
        let all: Vec<_> =
            (0..log.columns().len() as u8).map(crate::record::schema::ColumnId).collect();
        let alone = alone.get_or_insert_with(|| Batch::new(log, &all));
        for row in 0..input.batch.rows() {
            if let Some(left) = self.quarantine.rows.get_mut(&index) {
                *left -= 1;
                if *left == 0 {
                    self.quarantine.rows.remove(&index);
                }
                continue;
            }
            alone.take_alone(input.batch, row);
            let only = row..row + 1;
            let one = Input {
                batch: alone,
                source: input.source,
                sides: &input.sides[only.clone()],
                entities: &input.entities[only.clone()],
                minutes: &input.minutes[only],
            };
            if !show(row, &one) {
                *self.panics.entry(index).or_default() += 1;
                self.quarantine.rows.insert(index, QUARANTINE_ROWS);
            }
        }
    }
}

/// Whether `run` came to its end.
fn caught(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}
