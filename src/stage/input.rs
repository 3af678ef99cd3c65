//! What stages are given and what they give back.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Combine;
use super::activity::Span;
use crate::base::address::Addr;
use crate::base::limits::{EVIDENCE_MAX, SUBJECT_BYTES_MAX};
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

/// What a cell is about: in place where it is short.
pub type Subject = SmallVec<[u8; 22]>;

/// What a cell holds: up to three numbers, whose meaning is the stage's.
pub type Amounts = [u64; 3];

/// What some rows add to a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The stage's place in the table.
    pub stage: usize,
    /// The minute it counts in.
    pub minute: Minute,
    /// Whom it concerns.
    pub entity: Entity,
    /// What it is about.
    pub subject: Subject,
    /// How much.
    pub amounts: Amounts,
    /// The row behind it, for the evidence; sums that need none have none.
    pub row: Option<CellRow>,
}

/// The row that a cell points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRow {
    /// Where it stands.
    pub record: RecordRef,
    /// How much it has alone.
    pub weight: u64,
    /// Its time: its `ts`, or, where the stage counts what has ended, when that was.
    pub time: Time,
    /// Who opened the connection.
    pub source: Option<Addr>,
    /// Who answered.
    pub destination: Option<Addr>,
}

impl CellRow {
    /// The place of a row of `weight`.
    #[must_use]
    pub fn new(input: &Input<'_>, row: usize, weight: u64, time: Time) -> Self {
        let sides = input.sides[row];
        let (source, destination) = (sides.orig, sides.resp);
        Self { record: input.record(row), weight, time, source, destination }
    }

    /// Whether it stands for a cell rather than `other`: the heaviest does, and of equals the
    /// first, told by what stands in the log, so that neither the order of lanes nor that of files
    /// matters.
    #[must_use]
    pub fn outranks(&self, other: &Self) -> bool {
        let rank = |row: &Self| (std::cmp::Reverse(row.weight), row.time);
        let place = |row: &Self| (row.record.source.generation, row.record.offset);
        let (a, b) = (&self.record.uid, &other.record.uid);
        rank(self).cmp(&rank(other)).then_with(|| a.cmp(b)).then(place(self).cmp(&place(other)))
            == Ordering::Less
    }
}

impl Combine {
    /// Adds what other rows say to what a cell holds.
    pub fn add(self, cell: (&mut Amounts, &mut Option<CellRow>), more: (Amounts, Option<CellRow>)) {
        let ((amounts, row), (more, other)) = (cell, more);
        for (amount, more) in amounts.iter_mut().zip(more) {
            *amount = match self {
                Self::Max => more.max(*amount),
                Self::Sum => more.saturating_add(*amount),
            };
        }
        let outranks = |other: &CellRow| row.as_ref().is_none_or(|row| other.outranks(row));
        if let Some(other) = other.filter(outranks) {
            *row = Some(other);
        }
    }
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

    /// Adds to the cell of a minute, an entity and a `subject`.
    pub fn add(
        &mut self,
        (minute, entity): (Minute, Entity),
        subject: &[u8],
        amounts: Amounts,
        row: Option<CellRow>,
    ) {
        let stage = self.stage;
        let subject = match subject.len() {
            0..=SUBJECT_BYTES_MAX => Subject::from_slice(subject),
            _ => Subject::from_vec(cut(subject.to_vec())),
        };
        self.items.push(Delta { stage, minute, entity, subject, amounts, row });
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
    pub fn take(&mut self) -> std::vec::Drain<'_, Delta> {
        self.items.drain(..)
    }
}

/// What came together in one minute, for one entity and subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Whom it concerns.
    pub entity: Entity,
    /// What it is about.
    pub subject: Subject,
    /// How much.
    pub amounts: Amounts,
    /// The row that stands for it.
    pub row: Option<CellRow>,
}

/// What one window stage says of one closed minute.
#[derive(Debug, Default)]
pub struct Findings {
    stage: usize,
    items: Vec<Evidence>,
    suspects: Vec<Suspect>,
}

/// A window that is suspicious, by its length, its number and whose it is.
pub type Suspect = (Span, i64, Entity);

impl Findings {
    /// What follows comes from the stage at `stage` in the table.
    #[must_use]
    pub fn new(stage: usize) -> Self {
        Self { stage, items: Vec::new(), suspects: Vec::new() }
    }

    /// Says what was found of an entity; `rows` stand behind it, the heaviest first, and `time` is
    /// when the latest of them was written.
    pub fn push(&mut self, entity: &Entity, rows: &[&CellRow], time: Time, finding: Finding) {
        let first = rows.first();
        self.items.push(Evidence {
            stage: self.stage,
            entity: entity.clone(),
            subject: cut(finding.subject),
            time,
            window: finding.window,
            score: finding.score,
            reasons: finding.reasons,
            techniques: finding.techniques,
            records: rows.iter().take(EVIDENCE_MAX).map(|row| row.record.clone()).collect(),
            source: first.and_then(|row| row.source),
            destination: first.and_then(|row| row.destination),
            names: finding.names,
            may_alert: true,
        });
    }

    /// Says that a window which ends now is suspicious, so that profiles learn little of it.
    pub fn suspect(&mut self, suspect: Suspect) {
        self.suspects.push(suspect);
    }

    /// Takes the windows that are suspicious.
    pub fn suspects(&mut self) -> Vec<Suspect> {
        std::mem::take(&mut self.suspects)
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
