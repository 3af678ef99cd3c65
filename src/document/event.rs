//! One event per Zeek record.

use crate::base::hash::Id;
use crate::base::score::Ppm;
use crate::base::time::Time;
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
    /// `","kind":…,"dataset":…`
    dataset: Vec<u8>,
    /// From the end of `event` to that of `observer`.
    observer: Vec<u8>,
    /// `,"zeek":{"conn":`
    zeek: Vec<u8>,
    ecs: Ecs,
    fields: Fields,
    escaped: Vec<u8>,
}

/// What an event says beside its record.
#[derive(Clone, Debug)]
pub struct EventRow<'a> {
    /// Its id.
    pub id: Id,
    /// The two ends.
    pub sides: Sides,
    /// Whom it concerns.
    pub entity: Option<Entity>,
    /// Scores of record stages.
    pub scores: &'a [(&'static str, Ppm)],
    /// How far its lane has come, where its own time is more than seven days from there.
    pub read_at: Option<Time>,
}

impl EventWriter {
    /// A writer for records of `log`, seen by `sensor_id`.
    #[must_use]
    pub fn new(log: Log, sensor_id: &str, shown: Shown, rules: &[Rule], scope: &Scope) -> Self {
        let mut observer = b"},\"observer\":{\"name\":".to_vec();
        text::string(&mut observer, sensor_id.as_bytes(), false);
        observer.extend_from_slice(b",\"product\":\"Zeek\"}");
        Self {
            shown,
            scope: scope.clone(),
            clock: Clock::default(),
            dataset: format!("\",\"kind\":\"event\",\"dataset\":\"zeek.{log}\"").into_bytes(),
            observer,
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
        out.extend_from_slice(&self.dataset);
        if let Some(time) = event.read_at {
            text::created(&mut self.clock, time, out);
        }
        out.extend_from_slice(&self.observer);
        let is_clamped = self.shown != Shown::Zeek && self.ecs.is_clamped(batch, row);
        let tags: &[u8] = match (event.read_at.is_some(), is_clamped) {
            (false, false) => b"",
            (true, false) => b",\"tags\":[\"timestamp_out_of_range\"]",
            (false, true) => b",\"tags\":[\"count_clamped\"]",
            (true, true) => b",\"tags\":[\"timestamp_out_of_range\",\"count_clamped\"]",
        };
        out.extend_from_slice(tags);
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
        if let Some(entity) = &event.entity {
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

/// Appends an entity's id, quoted: with a name in it, of a user or a sensor, that may need escapes.
pub(super) fn write_entity(entity: &Entity, scope: &Scope, out: &mut Vec<u8>) {
    match (entity, scope) {
        (Entity::Host(_), Scope::Network) => {
            out.push(b'"');
            entity.write(scope, out);
            out.push(b'"');
        }
        _ => {
            text::string(out, entity.id(scope).as_bytes(), false);
        }
    }
}
