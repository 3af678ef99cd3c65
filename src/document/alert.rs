//! An alert: what one stage found, why, and the lines behind it.

use crate::base::hash::Id;
use crate::base::score::Ppm;
use crate::base::time::Minute;
use crate::record::{Entity, Evidence, Observed, Reason, RecordRef, Scope, Why};

use super::event::write_entity;
use super::parts::is_far;
use super::text::{self, Clock};

/// What an alert says beside the evidence.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Its id.
    pub id: Id,
    /// The stage's name.
    pub detector: &'static str,
    /// The stage's one line of documentation.
    pub description: &'static str,
    /// What the stage found.
    pub evidence: &'a Evidence,
    /// The minute in which it counts.
    pub minute: Minute,
    /// How entities are named.
    pub scope: &'a Scope,
    /// The sensor.
    pub sensor_id: &'a str,
}

/// Appends the document.
pub fn write_alert(alert: &Alert<'_>, out: &mut Vec<u8>) {
    let evidence = alert.evidence;
    let mut clock = Clock::default();
    let score = u64::from(evidence.score.get());
    out.extend_from_slice(b"{\"@timestamp\":\"");
    clock.write(evidence.time, out);
    out.extend_from_slice(b"\",\"event\":{\"id\":\"");
    out.extend_from_slice(&alert.id.hex());
    out.extend_from_slice(b"\",\"kind\":\"alert\",\"dataset\":\"ueba.alert\"");
    let is_far = is_far(evidence.time, alert.minute.start());
    if is_far {
        text::created(&mut clock, alert.minute.start(), out);
    }
    out.extend_from_slice(b",\"risk_score\":");
    text::millionths(out, score * 100);
    out.extend_from_slice(b"},\"observer\":{\"name\":");
    text::string(out, alert.sensor_id.as_bytes(), false);
    out.extend_from_slice(b",\"product\":\"Zeek\"}");
    if is_far {
        out.extend_from_slice(b",\"tags\":[\"timestamp_out_of_range\"]");
    }
    out.extend_from_slice(b",\"rule\":{\"name\":");
    text::string(out, alert.detector.as_bytes(), false);
    out.extend_from_slice(b",\"description\":");
    text::string(out, alert.description.as_bytes(), false);
    out.extend_from_slice(b"},\"threat\":{\"framework\":\"MITRE ATT&CK\",\"technique\":[");
    list(out, evidence.techniques, |technique, out| {
        out.extend_from_slice(b"{\"id\":");
        text::string(out, technique.id.as_bytes(), false);
        out.extend_from_slice(b",\"name\":");
        text::string(out, technique.name.as_bytes(), false);
        out.push(b'}');
    });
    out.extend_from_slice(b"]}");
    write_who(&evidence.entity, evidence.names.user.as_ref(), out);
    for (name, addr) in [("source", evidence.source), ("destination", evidence.destination)] {
        if let Some(addr) = addr {
            out.extend_from_slice(format!(",\"{name}\":{{\"ip\":\"").as_bytes());
            addr.write(out);
            out.extend_from_slice(b"\"}");
        }
    }
    out.extend_from_slice(b",\"ueba\":{\"entity\":");
    write_entity(&evidence.entity, alert.scope, out);
    out.extend_from_slice(b",\"detector\":");
    text::string(out, alert.detector.as_bytes(), false);
    out.extend_from_slice(b",\"score\":");
    text::millionths(out, score);
    out.extend_from_slice(b",\"window\":{\"start\":\"");
    clock.write(evidence.window.0, out);
    out.extend_from_slice(b"\",\"end\":\"");
    clock.write(evidence.window.1, out);
    out.extend_from_slice(b"\"},\"reasons\":[");
    list(out, &evidence.reasons, |reason: &Reason, out| {
        write_parts(reason.feature, [&reason.observed, &reason.expected], reason.contribution, out);
    });
    out.extend_from_slice(b"],\"evidence\":[");
    list(out, &evidence.records, write_record);
    out.extend_from_slice(b"]}}\n");
}

/// The members of ECS that say who is concerned: the host, the user, or both.
pub(super) fn write_who(entity: &Entity, user: Option<&Entity>, out: &mut Vec<u8>) {
    if let Some(addr) = entity.addr() {
        out.extend_from_slice(b",\"host\":{\"ip\":[\"");
        addr.write(out);
        out.extend_from_slice(b"\"]}");
    }
    for entity in [Some(entity), user.filter(|user| *user != entity)].into_iter().flatten() {
        if let Entity::User(name) = entity {
            out.extend_from_slice(b",\"user\":{\"name\":");
            text::string(out, name.as_bytes(), false);
            out.push(b'}');
        }
    }
}

pub(super) fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

pub(super) fn write_reason(why: &Why, out: &mut Vec<u8>) {
    write_parts(&why.feature, [&why.observed, &why.expected], why.contribution, out);
}

fn write_parts(feature: &str, values: [&Observed; 2], contribution: Ppm, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"feature\":");
    text::string(out, feature.as_bytes(), false);
    out.extend_from_slice(b",\"observed\":");
    write_observed(values[0], out);
    out.extend_from_slice(b",\"expected\":");
    write_observed(values[1], out);
    out.extend_from_slice(b",\"contribution\":");
    text::millionths(out, u64::from(contribution.get()));
    out.push(b'}');
}

fn write_observed(observed: &Observed, out: &mut Vec<u8>) {
    match observed {
        Observed::Number(millionths) => {
            if *millionths < 0 {
                out.push(b'-');
            }
            text::millionths(out, millionths.unsigned_abs());
        }
        Observed::Text(text) => {
            text::string(out, text.as_bytes(), false);
        }
    }
}

fn write_record(record: &RecordRef, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":");
    text::string(out, record.source.log.name().as_bytes(), false);
    out.extend_from_slice(b",\"uid\":");
    text::string(out, record.uid.as_bytes(), false);
    out.extend_from_slice(b",\"file\":");
    text::string(out, record.source.path.as_bytes(), false);
    out.extend_from_slice(b",\"offset\":");
    text::number(out, record.offset);
    out.extend_from_slice(b",\"event_id\":\"");
    out.extend_from_slice(&record.event_id().hex());
    out.extend_from_slice(b"\"}");
}
