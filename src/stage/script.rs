//! What tests of stages share: the defaults of a stage, batches of records and what is folded of
//! them, cells of a script and what is found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::address::Addr;
use crate::base::keys::{Kind, Settings, Value};
use crate::base::limits::REASONS_MAX;
use crate::base::time::{HOUR, Minute};
use crate::model::Models;
use crate::record::schema::ColumnId;
use crate::record::{
    Batch, Entity, Evidence, Generation, Inside, Log, Parties, RecordRef, Sides, Source, Uid,
};
use crate::zeek::{Parser, Settings as Columns};

use super::{
    Amounts, Build, Cell, CellRow, Close, Combine, Context, Delta, Deltas, Findings, Gaps, Input,
    Roles, StageDef,
};

/// The defaults of a stage.
pub(super) fn defaults(stage: &StageDef) -> Settings {
    let mut settings = Settings::default();
    for key in stage.keys {
        let Some(text) = key.default else { continue };
        let value = match key.kind {
            Kind::Flag => Value::Flag(text == "true"),
            Kind::Integer { .. } => Value::Integer(text.parse().unwrap()),
            Kind::Real { .. } => Value::Real(text.parse().unwrap()),
            Kind::Bytes { .. } => Value::Bytes(1 << 20),
            Kind::Duration { .. } => Value::Micros(HOUR),
            Kind::TextList => Value::TextList(Vec::new()),
            other => panic!("{other:?}: teach this test the kind"),
        };
        settings.insert(key.name, value);
    }
    settings
}

pub(super) fn addr(text: &str) -> Addr {
    Addr::parse(text.as_bytes()).unwrap()
}

/// Records in JSON, in batches of `rows_max` rows.
pub(super) fn batches(log: Log, text: &str, rows_max: usize) -> Vec<Batch> {
    let wanted = (0..log.columns().len()).map(|index| ColumnId(index as u8)).collect();
    let columns =
        Columns { log, wanted, line_bytes_max: 1 << 20, configured: None, alias: Vec::new() };
    let mut parser = Parser::new(&columns);
    let mut at = 0;
    let mut found = Vec::new();
    loop {
        let mut batch = columns.batch();
        let progress = parser.parse(&text.as_bytes()[at..], rows_max, &mut batch);
        at += progress.consumed;
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects.first());
        found.push(batch);
        if !progress.is_full {
            return found;
        }
    }
}

fn source(log: Log) -> Arc<Source> {
    let generation = Generation::new(log, b"", b"");
    let event_prefix = generation.event_prefix("s", log);
    Arc::new(Source { log, generation, event_prefix, path: "x.log".to_owned() })
}

/// What a stage needs beside the batch.
pub(super) struct Place {
    source: Arc<Source>,
    sides: Vec<Sides>,
    parties: Vec<Parties>,
    minutes: Vec<Minute>,
}

impl Place {
    pub(super) fn new(batch: &Batch) -> Self {
        let rows = 0..batch.rows();
        let sides: Vec<Sides> = rows.clone().map(|row| batch.sides(row)).collect();
        let inside = Inside::new(None, false);
        Self {
            source: source(batch.log()),
            parties: sides.iter().map(|sides| inside.parties(*sides)).collect(),
            minutes: rows.map(|row| batch.ts(row).minute()).collect(),
            sides,
        }
    }

    pub(super) fn input<'a>(&'a self, batch: &'a Batch) -> Input<'a> {
        Input {
            batch,
            source: &self.source,
            sides: &self.sides,
            parties: &self.parties,
            minutes: &self.minutes,
        }
    }
}

/// The cells that some records make, in the order of minute, entity and subject.
pub(super) fn folded(
    (stage, models): (&StageDef, &Models),
    log: Log,
    text: &str,
    rows_max: usize,
) -> Vec<(Minute, Cell)> {
    let Build::Window { fold, combine, .. } = stage.build else { return Vec::new() };
    let mut built = fold(&defaults(stage), models);
    let mut cells = Cells::new(combine);
    for batch in batches(log, text, rows_max) {
        let context = Place::new(&batch);
        let mut deltas = Deltas::default();
        built.fold(&context.input(&batch), &mut deltas);
        deltas.take().for_each(|delta| cells.add(delta));
    }
    let all = cells.by_minute().into_iter();
    all.flat_map(|(minute, cells)| cells.into_iter().map(move |cell| (minute, cell))).collect()
}

/// Cells by minute, entity and subject.
pub(super) struct Cells {
    combine: Combine,
    found: BTreeMap<(Minute, Entity, Vec<u8>), Cell>,
}

impl Cells {
    pub(super) fn new(combine: Combine) -> Self {
        Self { combine, found: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, delta: Delta) {
        let Delta { minute, entity, subject, amounts, row, .. } = delta;
        let key = (minute, entity.clone(), subject.to_vec());
        let empty = || Cell { entity, subject, amounts: [0; 3], row: None };
        let cell = self.found.entry(key).or_insert_with(empty);
        self.combine.add((&mut cell.amounts, &mut cell.row), (amounts, row));
    }

    pub(super) fn by_minute(self) -> ByMinute {
        let mut all = ByMinute::new();
        for ((minute, _, _), cell) in self.found {
            all.entry(minute).or_default().push(cell);
        }
        all
    }
}

/// The cells of minutes, as they close.
pub(super) type ByMinute = BTreeMap<Minute, Vec<Cell>>;

/// What line `number` of a log adds to a cell of a client; its row has `weight`.
pub(super) fn delta(
    (log, number): (Log, usize),
    (minute, client): (Minute, Addr),
    subject: &[u8],
    (amounts, weight): (Amounts, u64),
) -> Delta {
    let uid = Uid::from(format!("C{number}").as_str());
    let record = RecordRef { source: source(log), offset: number as u64, uid };
    let time = minute.start();
    let row = CellRow { record, weight, time, source: Some(client), destination: None };
    let (entity, subject) = (Entity::Host(client), subject.into());
    Delta { stage: 0, minute, entity, subject, amounts, row: Some(row) }
}

/// What is found when these minutes close, one after another.
pub(super) fn close(built: &mut dyn Close, cells: &ByMinute, roles: &Roles) -> Vec<Evidence> {
    let mut all = Vec::new();
    for (minute, cells) in cells {
        let mut found = Findings::new(0);
        let context = Context { roles, gaps: &Gaps::default(), now: *minute, profiles: None };
        built.close(*minute, cells, &context, &mut found);
        all.extend(found.take());
    }
    for evidence in &all {
        let shares: u32 = evidence.reasons.iter().map(|it| it.contribution.get()).sum();
        assert_eq!(shares, evidence.score.get(), "reasons add up: {evidence:?}");
        assert!((1..=REASONS_MAX).contains(&evidence.reasons.len()), "{evidence:?}");
    }
    all
}

/// The same, stopped and started again before the minutes with these numbers.
pub(super) fn close_with_restarts(
    make: &dyn Fn() -> Box<dyn Close>,
    cells: &ByMinute,
    stops: &BTreeSet<usize>,
) -> Vec<Evidence> {
    let (mut built, mut found) = (make(), Vec::new());
    let mut kept: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (number, (minute, cells)) in cells.iter().enumerate() {
        if stops.contains(&number) {
            built.save(&mut |key, value| {
                match value {
                    Some(value) => kept.insert(key.to_vec(), value.to_vec()),
                    None => kept.remove(key),
                };
            });
            built = make();
            kept.iter().for_each(|(key, value)| built.load(key, value).unwrap());
        }
        let one = ByMinute::from([(*minute, cells.clone())]);
        found.extend(close(built.as_mut(), &one, &Roles::default()));
    }
    found
}

/// Findings, with all that becomes of them a document.
pub(super) fn said(found: &[Evidence]) -> Vec<String> {
    found.iter().map(|it| format!("{it:?}")).collect()
}
