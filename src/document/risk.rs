//! The risk of an entity at the end of a minute: its score and what it is made of.

use crate::base::hash::Id;
use crate::base::score::{Factor, Points, Ppm};
use crate::base::time::Time;
use crate::record::{Entity, Scope, Why};

use super::alert::{list, write_reason};
use super::event::write_entity;
use super::text::{self, Clock};

/// What one module adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution<'a> {
    /// The stage's name.
    pub module: &'static str,
    /// What it adds to the score; all of them add up to it exactly.
    pub points: Points,
    /// What it could add.
    pub weight: Points,
    /// Its saturated, decayed sum of evidence.
    pub value: Ppm,
    /// Why, by its strongest finding; empty where that is forgotten.
    pub reasons: &'a [Why],
    /// Events behind it.
    pub evidence: Vec<Id>,
}

/// A risk document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskState<'a> {
    /// Its id.
    pub id: Id,
    /// The end of the minute.
    pub time: Time,
    /// Whose.
    pub entity: Entity,
    /// The score, 0 to 100 points.
    pub score: Points,
    /// The score of the document before this one.
    pub previous: Points,
    /// `Low`, `Moderate`, `High` or `Critical`.
    pub level: &'static str,
    /// By how much the risk of this entity counts.
    pub criticality: Factor,
    /// The modules, the greatest first.
    pub contributions: Vec<Contribution<'a>>,
}

/// Appends the document.
pub fn write_risk(state: &RiskState<'_>, scope: &Scope, sensor_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"@timestamp\":\"");
    Clock::default().write(state.time, out);
    out.extend_from_slice(b"\",\"event\":{\"id\":\"");
    out.extend_from_slice(&state.id.hex());
    out.extend_from_slice(
        b"\",\"kind\":\"metric\",\"dataset\":\"ueba.risk\"},\"observer\":{\"name\":",
    );
    text::string(out, sensor_id.as_bytes(), false);
    out.extend_from_slice(b",\"product\":\"Zeek\"},");
    match &state.entity {
        Entity::Host(addr) => {
            out.extend_from_slice(b"\"host\":{\"ip\":[\"");
            addr.write(out);
            out.extend_from_slice(b"\"]");
        }
        Entity::User(name) => {
            out.extend_from_slice(b"\"user\":{\"name\":");
            text::string(out, name.as_bytes(), false);
        }
    }
    out.extend_from_slice(b",\"risk\":{\"calculated_score_norm\":");
    text::millionths(out, state.score.0);
    out.extend_from_slice(b",\"calculated_level\":");
    text::string(out, state.level.as_bytes(), false);
    out.extend_from_slice(b"}},\"ueba\":{\"entity\":");
    write_entity(&state.entity, scope, out);
    out.extend_from_slice(b",\"score\":");
    text::millionths(out, state.score.0);
    out.extend_from_slice(b",\"previous\":");
    text::millionths(out, state.previous.0);
    out.extend_from_slice(b",\"criticality\":");
    text::millionths(out, state.criticality.millionths());
    out.extend_from_slice(b",\"contributions\":[");
    for (index, contribution) in state.contributions.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"module\":" } else { b",{\"module\":" });
        text::string(out, contribution.module.as_bytes(), false);
        write_points(contribution.points, contribution.weight, contribution.value, out);
        out.extend_from_slice(b",\"reasons\":[");
        list(out, contribution.reasons, write_reason);
        out.extend_from_slice(b"],\"evidence\":[");
        for (index, id) in contribution.evidence.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(&id.hex());
            out.push(b'"');
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}}\n");
}

/// How a module's share of a score comes about.
pub(super) fn write_points(points: Points, weight: Points, value: Ppm, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"points\":");
    text::millionths(out, points.0);
    out.extend_from_slice(b",\"weight\":");
    text::millionths(out, weight.0);
    out.extend_from_slice(b",\"value\":");
    text::millionths(out, u64::from(value.get()));
}
