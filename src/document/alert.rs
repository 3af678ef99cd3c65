//! An alert: what was found, why, and the lines behind it; and the end of an incident, which has
//! the same form.

use crate::base::address::Addr;
use crate::base::hash::Id;
use crate::base::score::Ppm;
use crate::base::time::{Minute, Time};
use crate::record::{Entity, Log, Observed, Reason, RecordRef, Scope, Spot, Technique, Why};

use super::event::write_entity;
use super::parts::is_far;
use super::text::{self, Clock};

/// What an alert says.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Its id.
    pub id: Id,
    /// What it does to its incident: `opened`, `repeated`, `closed`.
    pub action: &'static str,
    /// The name of the stage, `risk`, or `incident`.
    pub detector: &'static str,
    /// One line of documentation of that.
    pub description: &'static str,
    /// Who is concerned.
    pub entity: &'a Entity,
    /// The user that it names beside.
    pub user: Option<&'a Entity>,
    /// Who opened the connection, and who answered.
    pub sides: (Option<Addr>, Option<Addr>),
    /// Who was asked for: behind a proxy not who answered.
    pub domain: Option<&'a str>,
    /// Event time of the latest evidence.
    pub time: Time,
    /// The minute in which it counts.
    pub minute: Minute,
    /// Start and end of what was looked at.
    pub window: (Time, Time),
    /// How sure it is.
    pub score: Ppm,
    /// What the score had to reach.
    pub threshold: Option<Ppm>,
    /// What an attacker would call it.
    pub techniques: &'a [Technique],
    /// Why; their contributions add up to the score.
    pub reasons: &'a [Reason],
    /// The records behind it.
    pub evidence: Proof<'a>,
    /// The model that it rests on.
    pub model: Option<&'a ModelName>,
    /// The incident that it is of.
    pub incident: Id,
    /// If it ends the incident: what that was.
    pub closed: Option<Closed<'a>>,
    /// How entities are named.
    pub scope: &'a Scope,
    /// The sensor.
    pub sensor_id: &'a str,
}

/// The model behind an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// Its detector.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
}

/// The records behind an alert.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// Where they stand.
    Records(&'a [RecordRef]),
    /// As far as they are known.
    Events(&'a [Event]),
}

/// A record behind a risk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Where it stands.
    Known(Spot),
    /// Its uid and the id of its event: more is not remembered.
    Forgotten(String, Id),
}

/// What an incident was.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// Its alerts, those that were held back too.
    pub count: u64,
    /// Those that were held back.
    pub suppressed: u64,
    /// What found them.
    pub detectors: &'a [&'a str],
    /// The strongest of them: its score and its id.
    pub strongest: (Ppm, Id),
}

/// Appends the document.
pub fn write_alert(alert: &Alert<'_>, out: &mut Vec<u8>) {
    let mut clock = Clock::default();
    write_head(alert, &mut clock, out);
    write_who(alert.entity, alert.user, out);
    write_side("source", alert.sides.0, None, out);
    write_side("destination", alert.sides.1, alert.domain, out);
    out.extend_from_slice(b",\"ueba\":{\"entity\":");
    write_entity(alert.entity, alert.scope, out);
    out.extend_from_slice(b",\"detector\":");
    text::string(out, alert.detector.as_bytes(), false);
    out.extend_from_slice(b",\"score\":");
    text::millionths(out, u64::from(alert.score.get()));
    if let Some(threshold) = alert.threshold {
        out.extend_from_slice(b",\"threshold\":");
        text::millionths(out, u64::from(threshold.get()));
    }
    out.extend_from_slice(b",\"incident\":{\"id\":\"");
    out.extend_from_slice(&alert.incident.hex());
    out.push(b'"');
    if let Some(closed) = &alert.closed {
        write_closed(closed, out);
    }
    out.extend_from_slice(b"},\"window\":{\"start\":\"");
    clock.write(alert.window.0, out);
    out.extend_from_slice(b"\",\"end\":\"");
    clock.write(alert.window.1, out);
    out.extend_from_slice(b"\"},\"reasons\":[");
    list(out, alert.reasons, |reason: &Reason, out| {
        write_parts(reason.feature, [&reason.observed, &reason.expected], reason.contribution, out);
    });
    out.extend_from_slice(b"],\"evidence\":[");
    match alert.evidence {
        Proof::Records(records) => list(out, records, write_record),
        Proof::Events(events) => list(out, events, write_event),
    }
    out.push(b']');
    if let Some(model) = alert.model {
        out.extend_from_slice(b",\"model\":{\"name\":");
        text::string(out, model.name.as_bytes(), false);
        out.extend_from_slice(b",\"version\":");
        text::string(out, model.version.as_bytes(), false);
        out.extend_from_slice(b",\"sha256\":");
        text::string(out, model.sha256.as_bytes(), false);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}\n");
}

/// One end of a connection.
fn write_side(name: &str, addr: Option<Addr>, domain: Option<&str>, out: &mut Vec<u8>) {
    if addr.is_none() && domain.is_none() {
        return;
    }
    out.extend_from_slice(format!(",\"{name}\":{{").as_bytes());
    if let Some(addr) = addr {
        out.extend_from_slice(b"\"ip\":\"");
        addr.write(out);
        out.push(b'"');
    }
    if let Some(domain) = domain {
        out.extend_from_slice(if addr.is_some() { b",\"domain\":" } else { b"\"domain\":" });
        text::string(out, domain.as_bytes(), false);
    }
    out.push(b'}');
}

/// What comes before whom it concerns.
fn write_head(alert: &Alert<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"@timestamp\":\"");
    clock.write(alert.time, out);
    out.extend_from_slice(b"\",\"event\":{\"id\":\"");
    out.extend_from_slice(&alert.id.hex());
    out.extend_from_slice(b"\",\"kind\":\"alert\",\"dataset\":\"ueba.alert\"");
    let is_far = is_far(alert.time, alert.minute.start());
    if is_far {
        text::created(clock, alert.minute.start(), out);
    }
    out.extend_from_slice(b",\"action\":");
    text::string(out, alert.action.as_bytes(), false);
    out.extend_from_slice(b",\"risk_score\":");
    text::millionths(out, u64::from(alert.score.get()) * 100);
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
    list(out, alert.techniques, |technique, out| {
        out.extend_from_slice(b"{\"id\":");
        text::string(out, technique.id.as_bytes(), false);
        out.extend_from_slice(b",\"name\":");
        text::string(out, technique.name.as_bytes(), false);
        out.push(b'}');
    });
    out.extend_from_slice(b"]}");
}

fn write_closed(closed: &Closed<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"count\":");
    text::number(out, closed.count);
    out.extend_from_slice(b",\"suppressed\":");
    text::number(out, closed.suppressed);
    out.extend_from_slice(b",\"detectors\":[");
    list(out, closed.detectors, |detector, out| {
        text::string(out, detector.as_bytes(), false);
    });
    out.extend_from_slice(b"],\"strongest\":{\"id\":\"");
    out.extend_from_slice(&closed.strongest.1.hex());
    out.extend_from_slice(b"\",\"score\":");
    text::millionths(out, u64::from(closed.strongest.0.get()));
    out.push(b'}');
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
    write_spot(record.source.log, record.uid.as_str(), &record.source.path, record.event_id(), out);
}

fn write_event(proof: &Event, out: &mut Vec<u8>) {
    match proof {
        Event::Known(spot) => write_spot(spot.log, &spot.uid, &spot.file, spot.event_id, out),
        Event::Forgotten(uid, id) => {
            out.push(b'{');
            if !uid.is_empty() {
                out.extend_from_slice(b"\"uid\":");
                text::string(out, uid.as_bytes(), false);
                out.push(b',');
            }
            out.extend_from_slice(b"\"event_id\":\"");
            out.extend_from_slice(&id.hex());
            out.extend_from_slice(b"\"}");
        }
    }
}

/// A record by where it stands; the offset is a part of its event's id.
fn write_spot(log: Log, uid: &str, file: &str, event_id: Id, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":");
    text::string(out, log.name().as_bytes(), false);
    out.extend_from_slice(b",\"uid\":");
    text::string(out, uid.as_bytes(), false);
    out.extend_from_slice(b",\"file\":");
    text::string(out, file.as_bytes(), false);
    out.extend_from_slice(b",\"offset\":");
    text::number(out, event_id.offset());
    out.extend_from_slice(b",\"event_id\":\"");
    out.extend_from_slice(&event_id.hex());
    out.extend_from_slice(b"\"}");
}
