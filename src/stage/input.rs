//! What stages are given and what they give back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::limits::SUBJECT_BYTES_MAX;
use crate::base::score::Ppm;
use crate::base::time::{Minute, Time};
use crate::record::{
    Batch, Entity, Evidence, Names, Parties, Reason, RecordRef, Sides, Source, Technique,
};

/// A batch and what the lane knows of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The records.
    pub batch: &'a Batch,
    /// The file they stand in.
    pub source: &'a Arc<Source>,
    /// The two ends of each row.
    pub sides: &'a [Sides],
    /// Whom each row concerns.
    pub parties: &'a [Parties],
    /// The minute that each row counts in.
    pub minutes: &'a [Minute],
}

impl Input<'_> {
    /// The record of a row, to point to.
    #[must_use]
    pub fn record(&self, row: usize) -> RecordRef {
        let batch = self.batch;
        RecordRef {
            source: Arc::clone(self.source),
            offset: batch.lines[row].offset,
            uid: batch.uid(row),
        }
    }
}

/// Evidence that a record stage has of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it tells its findings apart by; never a position.
    pub subject: Vec<u8>,
    /// Start and end of the time that the finding stands for.
    pub window: (Time, Time),
    /// How sure the stage is.
    pub score: Ppm,
    /// Why, the strongest first.
    pub reasons: Vec<Reason>,
    /// What an attacker would call it.
    pub techniques: &'static [Technique],
    /// Names that allow-lists may look at, but for the user.
    pub names: Names,
}

/// What one record stage says of one batch.
#[derive(Debug, Default)]
pub struct Output {
    stage: usize,
    scores: Vec<Option<Ppm>>,
    evidence: Vec<(usize, Evidence)>,
}

impl Output {
    /// Forgets everything and makes room for the rows of the next batch, for the stage at `stage`
    /// in the table.
    pub fn begin(&mut self, stage: usize, rows: usize) {
        self.stage = stage;
        self.scores.clear();
        self.scores.resize(rows, None);
        self.evidence.clear();
    }

    /// Scores a row. Rows that are not scored have no opinion of this stage.
    pub fn score(&mut self, row: usize, score: Ppm) {
        self.scores[row] = Some(score);
    }

    /// Says what stands behind the score of a row; of rows that concern nobody nothing is kept.
    pub fn evidence(&mut self, input: &Input<'_>, row: usize, finding: Finding) {
        let parties = &input.parties[row];
        let (host, user) = (parties.host(), parties.user.clone());
        let Some(entity) = host.clone().or_else(|| user.clone()) else { return };
        let sides = input.sides[row];
        let evidence = Evidence {
            stage: self.stage,
            entity,
            subject: cut(finding.subject),
            time: input.batch.ts(row),
            window: finding.window,
            score: finding.score,
            reasons: finding.reasons,
            techniques: finding.techniques,
            records: vec![input.record(row)],
            source: sides.orig,
            destination: sides.resp,
            names: Names { user: user.clone(), ..finding.names },
            may_alert: true,
        };
        if let (Some(_), Some(entity)) = (host, user) {
            let of_user = Evidence { entity, may_alert: false, ..evidence.clone() };
            self.evidence.push((row, evidence));
            self.evidence.push((row, of_user));
        } else {
            self.evidence.push((row, evidence));
        }
    }

    /// Takes what another output says of its only row as what this one says of `row`.
    pub fn adopt(&mut self, row: usize, other: &mut Self) {
        self.scores[row] = other.scores.first().copied().flatten();
        self.evidence.extend(other.evidence.drain(..).map(|(_, evidence)| (row, evidence)));
    }

    /// The scores, by row.
    #[must_use]
    pub fn scores(&self) -> &[Option<Ppm>] {
        &self.scores
    }

    /// Takes the evidence, each with its row.
    pub fn take_evidence(&mut self) -> std::vec::Drain<'_, (usize, Evidence)> {
        self.evidence.drain(..)
    }
}

/// What one row adds to a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The stage's place in the table.
    pub stage: usize,
    /// The minute it counts in.
    pub minute: Minute,
    /// Whom it concerns.
    pub entity: Entity,
    /// What it is about.
    pub subject: Vec<u8>,
    /// How much.
    pub value: u64,
    /// The row, for the evidence.
    pub row: CellRow,
}

/// The row that a cell points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// Where it stands.
    pub record: RecordRef,
    /// Its `ts`.
    pub ts: Time,
    /// Who opened the connection.
    pub source: Option<Addr>,
    /// Who answered.
    pub destination: Option<Addr>,
}

/// What the window stages of a lane fold out of one batch.
#[derive(Debug, Default)]
pub struct Deltas {
    stage: usize,
    items: Vec<Delta>,
}

impl Deltas {
    /// What follows comes from the stage at `stage` in the table.
    pub fn begin(&mut self, stage: usize) {
        self.stage = stage;
    }

    /// Adds `value` to the cell of a row's minute, entity and `subject`; of rows that concern
    /// nobody nothing is kept.
    pub fn add(&mut self, input: &Input<'_>, row: usize, subject: &[u8], value: u64) {
        let Some(entity) = input.parties[row].host() else { return };
        let sides = input.sides[row];
        self.items.push(Delta {
            stage: self.stage,
            minute: input.minutes[row],
            entity,
            subject: cut(subject.to_vec()),
            value,
            row: CellRow {
                record: input.record(row),
                ts: input.batch.ts(row),
                source: sides.orig,
                destination: sides.resp,
            },
        });
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// Forgets all but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.items.truncate(count);
    }

    /// Takes everything.
    pub fn take(&mut self) -> Vec<Delta> {
        std::mem::take(&mut self.items)
    }
}

/// What came together in one minute, for one entity and subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Whom it concerns.
    pub entity: Entity,
    /// What it is about.
    pub subject: Vec<u8>,
    /// How much.
    pub value: u64,
    /// The row behind it.
    pub row: CellRow,
}

/// What one window stage says of one closed minute.
#[derive(Debug, Default)]
pub struct Findings {
    stage: usize,
    items: Vec<Evidence>,
}

impl Findings {
    /// What follows comes from the stage at `stage` in the table.
    #[must_use]
    pub fn new(stage: usize) -> Self {
        Self { stage, items: Vec::new() }
    }

    /// Says what a cell means; `time` is when the latest record behind it was written.
    pub fn push(&mut self, cell: &Cell, time: Time, finding: Finding) {
        self.items.push(Evidence {
            stage: self.stage,
            entity: cell.entity.clone(),
            subject: cut(finding.subject),
            time,
            window: finding.window,
            score: finding.score,
            reasons: finding.reasons,
            techniques: finding.techniques,
            records: vec![cell.row.record.clone()],
            source: cell.row.source,
            destination: cell.row.destination,
            names: finding.names,
            may_alert: true,
        });
    }

    /// Takes the evidence.
    #[must_use]
    pub fn take(self) -> Vec<Evidence> {
        self.items
    }
}

/// A subject within its bound: a longer one keeps its head and gets the hash of all of it, so that
/// two of them stay two.
fn cut(mut subject: Vec<u8>) -> Vec<u8> {
    if subject.len() > SUBJECT_BYTES_MAX {
        let hash = crate::base::hash::id(&[&subject]).hex();
        subject.truncate(SUBJECT_BYTES_MAX - hash.len());
        subject.extend_from_slice(&hash);
    }
    subject
}
