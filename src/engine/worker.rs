//! What a lane does with a batch: whom does it concern, which minute does it count in, what do the
//! stages say, how does it read as documents.

use std::sync::Arc;

use crate::base::clock::now;
use crate::base::score::Ppm;
use crate::base::time::{DAY, Minute, Time};
use crate::document::{EventRow, EventWriter, Hidden, Rule, Shown, is_far, write_dead_letter};
use crate::record::schema::{ColumnId, ORIG_H, RESP_H, UID, conn, files, http};
use crate::record::{Batch, Entity, Inside, Log, Parties, Scope, Sides, Source};
use crate::risk::Noticed;
use crate::stage::{
    Deltas, Fold, Input, Output as StageOutput, RecordStage, activity, sighting_columns, sightings,
    targets,
};

use super::guard::Guard;
use super::output::{Item, Output};
use super::watermark::Watermark;

/// Which records become events (`event.emit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// All.
    All,
    /// Those that a stage scored with 0.1 or more.
    Scored,
    /// None.
    None,
}

/// What is less is no opinion that is worth an event of its own.
const SCORED_MIN: Ppm = Ppm::new(100_000);

/// How the records of one lane are treated.
#[derive(Clone, Debug)]
pub struct WorkerPlan {
    /// The sensor's name.
    pub sensor_id: String,
    /// Who is internal.
    pub inside: Inside,
    /// How entities are named.
    pub scope: Scope,
    /// Which records become events.
    pub emit: Emit,
    /// Which fields events have.
    pub shown: Shown,
    /// What they hide.
    pub redact: Vec<Rule>,
    /// How long a minute waits for late records, in microseconds.
    pub lateness_us: i64,
}

/// The lane's half of a window stage, with its scores of the rows of a batch.
struct Folding {
    index: usize,
    name: &'static str,
    fold: Box<dyn Fold>,
    scores: Vec<Option<Ppm>>,
}

/// Treats the records of one log.
pub struct Worker {
    plan: WorkerPlan,
    log: Log,
    writer: EventWriter,
    hidden: Hidden,
    stages: Vec<(usize, &'static str, Box<dyn RecordStage>, StageOutput)>,
    folds: Vec<Folding>,
    /// What entities do, with the place of the first stage that asks for it.
    activity: Option<(usize, activity::Fold)>,
    deltas: Deltas,
    noticed: Noticed,
    sides: Vec<Sides>,
    parties: Vec<Parties>,
    minutes: Vec<Minute>,
    places: Vec<Time>,
    /// How far the lane had come, for rows that are far from there.
    read_at: Vec<Option<Time>>,
    scores: Vec<(&'static str, Ppm)>,
}

impl Worker {
    /// A worker without stages.
    #[must_use]
    pub fn new(log: Log, plan: WorkerPlan) -> Self {
        let writer = EventWriter::new(log, &plan.sensor_id, plan.shown, &plan.redact, &plan.scope);
        let hidden = Hidden::new(&plan.redact, log);
        Self {
            plan,
            log,
            writer,
            hidden,
            stages: Vec::new(),
            folds: Vec::new(),
            activity: None,
            deltas: Deltas::default(),
            noticed: Noticed::default(),
            sides: Vec::new(),
            parties: Vec::new(),
            minutes: Vec::new(),
            places: Vec::new(),
            read_at: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Adds a record stage that stands at `index` in the stage table.
    pub fn add_record(&mut self, index: usize, name: &'static str, stage: Box<dyn RecordStage>) {
        self.stages.push((index, name, stage, StageOutput::default()));
    }

    /// Adds the lane's half of a window stage.
    pub fn add_fold(&mut self, index: usize, name: &'static str, fold: Box<dyn Fold>) {
        self.folds.push(Folding { index, name, fold, scores: Vec::new() });
    }

    /// Watches what entities do, for the stage that stands at `index` in the stage table and those
    /// after it.
    pub fn watch(&mut self, index: usize) {
        self.activity.get_or_insert_with(|| (index, activity::Fold::default()));
    }

    /// The columns that the worker itself reads of `log`.
    #[must_use]
    pub fn columns(log: Log, plan: &WorkerPlan) -> Vec<ColumnId> {
        let mut wanted = vec![UID, ORIG_H, RESP_H];
        match log {
            Log::Conn | Log::OpenConn => {
                wanted.extend([conn::DURATION, conn::LOCAL_ORIG, conn::LOCAL_RESP]);
            }
            Log::Files => {
                wanted.extend([files::FUID, files::TX_HOSTS, files::RX_HOSTS, files::IS_ORIG]);
            }
            Log::Http => wanted.push(http::USERNAME),
            Log::Dns | Log::Ssl | Log::Quic => {}
        }
        wanted.extend(sighting_columns(log));
        if plan.emit != Emit::None {
            wanted.extend(EventWriter::columns(log, plan.shown));
        }
        wanted
    }

    /// The place of a record in event time: when it was written.
    #[must_use]
    pub fn place(batch: &Batch, row: usize) -> Time {
        let ts = batch.ts(row);
        if !batch.log().ends_with_duration() {
            return ts;
        }
        batch.interval(conn::DURATION, row).map_or(ts, |duration| ts.plus(duration.max(0)))
    }

    /// Treats one batch.
    pub(super) fn process(
        &mut self,
        batch: &Batch,
        source: &Arc<Source>,
        watermark: &mut Watermark,
        guard: &mut Guard,
        out: &mut Output,
    ) {
        self.locate(batch, watermark, out);
        let start = watermark.get().unwrap_or(Time::MIN);
        let input = Input {
            batch,
            source,
            sides: &self.sides,
            parties: &self.parties,
            minutes: &self.minutes,
        };
        for (index, _, stage, output) in &mut self.stages {
            let begun = now();
            guard.score(*index, stage.as_mut(), &input, output);
            out.spent.push((*index, begun.elapsed()));
        }
        for Folding { index, fold, scores, .. } in &mut self.folds {
            let begun = now();
            guard.fold(*index, fold.as_mut(), &input, (&mut self.deltas, scores));
            out.spent.push((*index, begun.elapsed()));
        }
        out.deltas.extend(self.deltas.take());
        if let Some((index, fold)) = &mut self.activity {
            let begun = now();
            fold.fold(&input, &mut out.deeds);
            out.spent.push((*index, begun.elapsed()));
        }
        if batch.log() != Log::OpenConn {
            sightings(&input, &mut out.sightings);
        }
        if batch.log() == Log::Http && self.hidden.shows_servers() {
            targets(&input, &mut out.targets);
        }
        for minute in &self.minutes {
            match out.minutes.last_mut() {
                Some((last, rows)) if last == minute => *rows += 1,
                _ => out.minutes.push((*minute, 1)),
            }
        }
        self.write(batch, source, start, out);
        out.counts.records += batch.rows() as u64;
        out.counts.lines += (batch.rows() + batch.rejects.len()) as u64;
        out.counts.empty_lines += batch.empty_lines;
    }

    /// Finds out, row by row, whom it concerns and when it counts.
    fn locate(&mut self, batch: &Batch, watermark: &mut Watermark, out: &mut Output) {
        let rows = batch.rows();
        self.sides.clear();
        self.parties.clear();
        self.minutes.clear();
        self.places.clear();
        self.read_at.clear();
        if watermark.get().is_none() {
            // A lane that was never heard begins where most of its first records are.
            let first = (0..rows.min(Watermark::START_ROWS)).map(|row| Self::place(batch, row));
            *watermark = Watermark::new(Watermark::start(&first.collect::<Vec<_>>()));
        }
        for row in 0..rows {
            let sides = batch.sides(row);
            self.sides.push(sides);
            let mut parties = self.plan.inside.parties(sides);
            // Outsiders may say that they are anybody.
            let is_ours = parties.orig.is_some();
            if is_ours && batch.log() == Log::Http && self.hidden.shows_users() {
                parties.user = batch.text(http::USERNAME, row).and_then(Entity::user);
            }
            self.parties.push(parties);
            let place = Self::place(batch, row);
            let now = watermark.observe(place);
            self.places.push(now);
            let open = Time(now.0 - self.plan.lateness_us).minute();
            let minute = place.minute();
            let counted = if place.0 - now.0 > DAY {
                out.counts.early += 1;
                now.minute()
            } else if minute < open {
                out.counts.late += 1;
                open
            } else {
                minute
            };
            self.minutes.push(counted);
            if let Some(addr) = self.parties[row].orig {
                self.noticed.see(addr, counted, &mut out.hosts);
            }
            let is_far = is_far(batch.ts(row), now);
            out.counts.out_of_range += u64::from(is_far);
            self.read_at.push(is_far.then_some(now));
        }
    }

    /// Appends an item with its document for each row and each reject, in the order of the file.
    fn write(&mut self, batch: &Batch, source: &Source, end: Time, out: &mut Output) {
        let mut rejects = batch.rejects.iter().peekable();
        for row in 0..=batch.rows() {
            let place = self.places.get(row).copied().unwrap_or(end);
            while let Some(reject) = rejects.next_if(|reject| reject.row == row) {
                let log = source.log.name();
                write_dead_letter(reject, log, &source.path, &mut out.documents);
                *out.counts.rejected.entry(reject.reason).or_default() += 1;
                let end = out.documents.len() as u32;
                out.items.push(Item { place, end, is_letter: true });
            }
            if row < batch.rows() {
                self.write_row(batch, row, source, out);
            }
        }
        for (_, _, _, output) in &mut self.stages {
            for (row, mut evidence) in output.take_evidence() {
                self.hidden.hide(&mut evidence);
                let item = item_of(batch, row);
                out.evidence.push((item, self.minutes[row], evidence));
            }
        }
        out.evidence.sort_by_key(|(item, _, evidence)| (*item, evidence.stage));
    }

    fn write_row(&mut self, batch: &Batch, row: usize, source: &Source, out: &mut Output) {
        self.scores.clear();
        for (_, name, _, output) in &self.stages {
            if let Some(score) = output.scores()[row] {
                self.scores.push((name, score));
            }
        }
        for Folding { name, scores, .. } in &self.folds {
            if let Some(score) = scores.get(row).copied().flatten() {
                self.scores.push((name, score));
            }
        }
        let is_emitted = match self.plan.emit {
            Emit::All => true,
            Emit::Scored => self.scores.iter().any(|(_, score)| *score >= SCORED_MIN),
            Emit::None => false,
        };
        if is_emitted {
            let event = EventRow {
                id: source.event_prefix.id(batch.lines[row].offset),
                sides: self.sides[row],
                entity: self.parties[row].host(),
                scores: &self.scores,
                read_at: self.read_at[row],
            };
            self.writer.write(batch, row, &event, &mut out.documents);
            out.counts.events += 1;
        } else {
            out.counts.filtered += 1;
        }
        let end = out.documents.len() as u32;
        out.items.push(Item { place: self.places[row], end, is_letter: false });
    }

    /// The log it treats.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
    }
}

/// The item that a row is: rejects before it are items too.
fn item_of(batch: &Batch, row: usize) -> usize {
    row + batch.rejects.iter().take_while(|reject| reject.row <= row).count()
}
