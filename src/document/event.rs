//! One event per Zeek record.

use crate::base::hash::Id;
use crate::base::score::Ppm;
use crate::record::schema::ColumnId;
use crate::record::{Batch, Entity, Log, Scope, Sides};

use super::ecs::{self, Ecs};
use super::redact::Rule;
use super::text::{self, Clock};
use super::zeek::Fields;

/// Which fields an event carries (`event.fields`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// ECS and `zeek.*`.
    Both,
    /// ECS only.
    Ecs,
    /// `zeek.*` only.
    Zeek,
}

/// Writes the events of one log.
#[derive(Clone, Debug)]
pub struct EventWriter {
    shown: Shown,
    scope: Scope,
    clock: Clock,
    /// From `","kind"` to the end of `observer`.
    middle: Vec<u8>,
    /// `,"zeek":{"conn":`
    zeek: Vec<u8>,
    ecs: Ecs,
    fields: Fields,
    escaped: Vec<u8>,
}

/// What an event says beside its record.
#[derive(Clone, Copy, Debug)]
pub struct EventRow<'a> {
    /// Its id.
    pub id: Id,
    /// The two ends.
    pub sides: Sides,
    /// Whom it concerns.
    pub entity: Option<Entity>,
    /// Scores of record stages.
    pub scores: &'a [(&'static str, Ppm)],
    /// Whether its time is more than seven days from its lane's.
    pub is_out_of_range: bool,
}

impl EventWriter {
    /// A writer for records of `log`, seen by `sensor_id`.
    #[must_use]
    pub fn new(log: Log, sensor_id: &str, shown: Shown, rules: &[Rule], scope: &Scope) -> Self {
        let mut middle = b"\",\"kind\":\"event\",\"dataset\":\"zeek.".to_vec();
        middle.extend_from_slice(log.name().as_bytes());
        middle.extend_from_slice(b"\"},\"observer\":{\"name\":");
        text::string(&mut middle, sensor_id.as_bytes(), false);
        middle.extend_from_slice(b",\"product\":\"Zeek\"}");
        Self {
            shown,
            scope: scope.clone(),
            clock: Clock::default(),
            middle,
            zeek: format!(",\"zeek\":{{\"{log}\":").into_bytes(),
            ecs: Ecs::new(log, rules),
            fields: Fields::new(log, rules),
            escaped: Vec::new(),
        }
    }

    /// The columns that it reads.
    #[must_use]
    pub fn columns(log: Log, shown: Shown) -> &'static [ColumnId] {
        if shown == Shown::Zeek { &[] } else { ecs::columns(log) }
    }

    /// Appends the event of one row.
    pub fn write(&mut self, batch: &Batch, row: usize, event: &EventRow<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"@timestamp\":\"");
        self.clock.write(batch.ts(row), out);
        out.extend_from_slice(b"\",\"event\":{\"id\":\"");
        out.extend_from_slice(&event.id.hex());
        out.extend_from_slice(&self.middle);
        if event.is_out_of_range {
            out.extend_from_slice(b",\"tags\":[\"timestamp_out_of_range\"]");
        }
        if self.shown != Shown::Zeek {
            self.ecs.write(batch, row, event.sides, out);
        }
        self.escaped.clear();
        if self.shown != Shown::Ecs {
            out.extend_from_slice(&self.zeek);
            self.fields.write(batch, row, out, &mut self.escaped);
            out.push(b'}');
        }
        self.ueba(event, out);
        out.extend_from_slice(b"}\n");
    }

    fn ueba(&self, event: &EventRow<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"ueba\":{");
        if let Some(entity) = event.entity {
            out.extend_from_slice(b"\"entity\":");
            write_entity(entity, &self.scope, out);
            out.push(b',');
        }
        if let Some((_, names)) = self.escaped.split_last() {
            out.extend_from_slice(b"\"escaped\":[");
            out.extend_from_slice(names);
            out.extend_from_slice(b"],");
        }
        out.extend_from_slice(b"\"scores\":{");
        for (index, (name, score)) in event.scores.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            text::millionths(out, u64::from(score.get()));
        }
        out.extend_from_slice(b"}}");
    }
}

/// Appends an entity's id, quoted: with a sensor's name in it, that may need escapes.
pub(super) fn write_entity(entity: Entity, scope: &Scope, out: &mut Vec<u8>) {
    match scope {
        Scope::Network => {
            out.push(b'"');
            entity.write(scope, out);
            out.push(b'"');
        }
        Scope::Sensor(_) => {
            text::string(out, entity.id(scope).as_bytes(), false);
        }
    }
}
