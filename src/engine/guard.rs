//! Keeps a stage that panics from taking the sensor with it.
//!
//! A panic is caught; the rows of its batch are then shown to the stage one by one, so that it
//! misses the row that hurt it and the [`QUARANTINE_ROWS`] after it, wherever batches begin. A
//! stage keeps no state between rows that a panic could leave half done. A window stage that panics
//! at a minute misses that one and the [`QUARANTINE_MINUTES`] after it that have something for it.
//!
//! [`QUARANTINE_MINUTES`]: crate::base::limits::QUARANTINE_MINUTES

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::base::limits::QUARANTINE_ROWS;
use crate::base::score::Ppm;
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
        (out, scores): (&mut Deltas, &mut Vec<Option<Ppm>>),
    ) {
        out.begin(index);
        scores.clear();
        let before = out.count();
        if self.is_free(index) && caught(|| fold.fold(input, out)) {
            scores.extend_from_slice(fold.scores());
            return;
        }
        out.truncate(before);
        scores.resize(input.batch.rows(), None);
        self.each_row(index, input, &mut |row, alone| {
            let before = out.count();
            let is_good = caught(|| fold.fold(alone, out));
            if is_good {
                scores[row] = fold.scores().first().copied().flatten();
            } else {
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
                parties: &input.parties[only.clone()],
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
pub(super) fn caught(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::time::Minute;
    use crate::record::schema::{ColumnId, conn};
    use crate::record::{Generation, Log, Parties, Sides, Source};
    use crate::zeek::{Parser, Settings};

    /// Panics at 13 bytes; scores what it sees by them.
    #[derive(Default)]
    struct Superstitious(Vec<Option<Ppm>>);

    impl RecordStage for Superstitious {
        fn score(&mut self, input: &Input<'_>, out: &mut Output) {
            for row in 0..input.batch.rows() {
                let bytes = input.batch.count(conn::ORIG_BYTES, row).unwrap_or_default();
                assert!(bytes != 13, "thirteen");
                out.score(row, Ppm::new(bytes as u32));
            }
        }
    }

    impl Fold for Superstitious {
        fn fold(&mut self, input: &Input<'_>, _: &mut Deltas) {
            self.0.clear();
            for row in 0..input.batch.rows() {
                let bytes = input.batch.count(conn::ORIG_BYTES, row).unwrap_or_default();
                assert!(bytes != 13, "thirteen");
                self.0.push(Some(Ppm::new(bytes as u32)));
            }
        }

        fn scores(&self) -> &[Option<Ppm>] {
            &self.0
        }
    }

    /// The scores of rows with these bytes, in batches of `size`; and the panics.
    fn run(bytes: &[u64], size: usize) -> (Vec<Option<Ppm>>, u64) {
        let mut text = String::from("#fields\tts\torig_bytes\n");
        for bytes in bytes {
            text.push_str(&format!("1700000000.0\t{bytes}\n"));
        }
        let wanted: Vec<ColumnId> = vec![conn::ORIG_BYTES];
        let (log, alias) = (Log::Conn, Vec::new());
        let settings = Settings { log, wanted, line_bytes_max: 1 << 20, configured: None, alias };
        let (mut parser, mut batch) = (Parser::new(&settings), settings.batch());
        let generation = Generation([0; 16]);
        let event_prefix = generation.event_prefix("s", log);
        let source = Arc::new(Source { log, generation, event_prefix, path: String::new() });
        let (mut guard, mut out, mut at) = (Guard::default(), Output::default(), 0);
        let (mut deltas, mut scores) = (Deltas::default(), Vec::new());
        let mut of_fold = Vec::new();
        loop {
            batch.clear();
            let progress = parser.parse(&text.as_bytes()[at..], size, &mut batch);
            at += progress.consumed;
            let rows = batch.rows();
            let (sides, parties) = (vec![Sides::default(); rows], vec![Parties::default(); rows]);
            let minutes = vec![Minute(0); rows];
            let input = Input {
                batch: &batch,
                source: &source,
                sides: &sides,
                parties: &parties,
                minutes: &minutes,
            };
            guard.score(0, &mut Superstitious::default(), &input, &mut out);
            guard.fold(1, &mut Superstitious::default(), &input, (&mut deltas, &mut of_fold));
            assert_eq!(of_fold, out.scores(), "a fold scores like a record stage");
            scores.extend_from_slice(out.scores());
            if !progress.is_full {
                assert_eq!(guard.panics.get(&0), guard.panics.get(&1));
                return (scores, guard.panics.values().sum::<u64>() / 2);
            }
        }
    }

    #[test]
    fn a_stage_that_panics_misses_the_same_rows_wherever_batches_begin() {
        let mut bytes: Vec<u64> = (0..12_000).map(|n| n % 1000 + 100).collect();
        // Two panics: one in its quarantine is not seen, one behind it is.
        (bytes[700], bytes[5000], bytes[11_500]) = (13, 13, 13);
        let (whole, panics) = run(&bytes, 1024);
        assert_eq!(panics, 2);
        let missed = 700..=700 + QUARANTINE_ROWS as usize;
        for (row, score) in whole.iter().enumerate() {
            let is_missed = missed.contains(&row) || row >= 11_500;
            assert_eq!(*score, (!is_missed).then(|| Ppm::new(bytes[row] as u32)), "row {row}");
        }
        for size in [1, 7, 100, 701] {
            assert_eq!(run(&bytes, size), (whole.clone(), 2), "batches of {size}");
        }
    }
}
