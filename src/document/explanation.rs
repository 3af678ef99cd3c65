//! What `explain` says: from a score to the modules, their findings, the records behind them, and
//! the lines of the logs.
//!
//! One document, which the daemon answers with, without the lines, and which `explain --json`
//! prints with them. Not here: where any of it comes from (`explain`, `wiring`).

use std::collections::BTreeMap;

use crate::base::hash::Id;
use crate::base::score::{Points, Ppm};
use crate::base::time::Time;
use crate::record::{Finding, Log, Spot, Why};

use super::alert::{list, write_reason};
use super::risk::write_points;
use super::text::{self, Clock};

/// Why a score is what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked for.
    pub id: String,
    /// What that is: `entity`, `alert`, `finding` (that was no alert), `risk` or `event`.
    pub kind: String,
    /// Whom it concerns.
    pub entity: Option<String>,
    /// How that one stands; nothing where no score was ever told.
    pub risk: Option<Standing>,
    /// What the modules say, the greatest share first.
    pub modules: Vec<Part>,
    /// The event that was asked for.
    pub event: Option<Id>,
    /// What is known of records by the ids of their events.
    pub lines: BTreeMap<Id, Line>,
}

/// A score and when it was that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When.
    pub time: Time,
    /// The score; the points of the modules add up to it.
    pub score: Points,
    /// The score that was told before.
    pub previous: Points,
    /// `Low`, `Moderate`, `High` or `Critical`.
    pub level: String,
    /// How much the entity matters, in millionths.
    pub criticality: u64,
}

/// What one module says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub module: String,
    /// Its part of the score; nothing where it has none.
    pub share: Option<Portion>,
    /// The reasons of its strongest finding, where that is not among `findings`.
    pub reasons: Vec<Why>,
    /// What it found, the strongest first.
    pub findings: Vec<Finding>,
    /// Further events behind its part of the score.
    pub events: Vec<Id>,
}

/// A module's part of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// What it adds.
    pub points: Points,
    /// What it could add.
    pub weight: Points,
    /// Its saturated, decayed sum of evidence.
    pub value: Ppm,
}

/// What is known of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its log.
    pub log: Option<Log>,
    /// Its uid.
    pub uid: Option<String>,
    /// The scores in its event.
    pub scores: Option<Vec<(String, Ppm)>>,
    /// Its line, or why that cannot be shown; nothing where nobody looked.
    pub found: Option<Result<Found, String>>,
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file that holds it now.
    pub file: String,
    /// The line; nothing where a part of it is hidden (`event.redact`).
    pub line: Option<Vec<u8>>,
    /// Its fields as the event has them: an object of JSON.
    pub record: Vec<u8>,
}

/// Appends the document.
pub fn write_explanation(it: &Explanation, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    text::string(out, it.id.as_bytes(), false);
    out.extend_from_slice(b",\"kind\":");
    text::string(out, it.kind.as_bytes(), false);
    if let Some(entity) = &it.entity {
        out.extend_from_slice(b",\"entity\":");
        text::string(out, entity.as_bytes(), false);
    }
    if let Some(risk) = &it.risk {
        out.extend_from_slice(b",\"time\":");
        time(risk.time, out);
        out.extend_from_slice(b",\"score\":");
        text::millionths(out, risk.score.0);
        out.extend_from_slice(b",\"previous\":");
        text::millionths(out, risk.previous.0);
        out.extend_from_slice(b",\"level\":");
        text::string(out, risk.level.as_bytes(), false);
        out.extend_from_slice(b",\"criticality\":");
        text::millionths(out, risk.criticality);
    }
    out.extend_from_slice(b",\"modules\":[");
    list(out, &it.modules, |part, out| write_part(it, part, out));
    out.push(b']');
    if let Some(event) = it.event {
        out.extend_from_slice(b",\"event\":");
        write_record(it, event, None, out);
    }
    out.extend_from_slice(b"}\n");
}

fn time(time: Time, out: &mut Vec<u8>) {
    out.push(b'"');
    Clock::default().write(time, out);
    out.push(b'"');
}

fn write_part(it: &Explanation, part: &Part, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"module\":");
    text::string(out, part.module.as_bytes(), false);
    if let Some(share) = part.share {
        write_points(share.points, share.weight, share.value, out);
    }
    out.extend_from_slice(b",\"reasons\":[");
    list(out, &part.reasons, write_reason);
    out.extend_from_slice(b"],\"findings\":[");
    list(out, &part.findings, |finding, out| write_finding(it, finding, out));
    out.extend_from_slice(b"],\"events\":[");
    list(out, &part.events, |event, out| write_record(it, *event, None, out));
    out.extend_from_slice(b"]}");
}

fn write_finding(it: &Explanation, finding: &Finding, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(&finding.id.hex());
    out.extend_from_slice(if finding.is_alert {
        b"\",\"alert\":true"
    } else {
        b"\",\"alert\":false"
    });
    out.extend_from_slice(b",\"score\":");
    text::millionths(out, u64::from(finding.score.get()));
    out.extend_from_slice(b",\"time\":");
    time(finding.time, out);
    out.extend_from_slice(b",\"window\":{\"start\":");
    time(finding.window.0, out);
    out.extend_from_slice(b",\"end\":");
    time(finding.window.1, out);
    out.push(b'}');
    for (name, addr) in [("source", finding.source), ("destination", finding.destination)] {
        if let Some(addr) = addr {
            out.extend_from_slice(format!(",\"{name}\":{{\"ip\":\"").as_bytes());
            addr.write(out);
            out.extend_from_slice(b"\"}");
        }
    }
    out.extend_from_slice(b",\"reasons\":[");
    list(out, &finding.reasons, write_reason);
    out.extend_from_slice(b"],\"evidence\":[");
    list(out, &finding.records, |spot, out| write_record(it, spot.event_id, Some(spot), out));
    out.extend_from_slice(b"]}");
}

fn write_record(it: &Explanation, id: Id, spot: Option<&Spot>, out: &mut Vec<u8>) {
    let line = it.lines.get(&id);
    out.extend_from_slice(b"{\"event_id\":\"");
    out.extend_from_slice(&id.hex());
    out.push(b'"');
    if let Some(log) = spot.map(|spot| spot.log).or(line.and_then(|line| line.log)) {
        out.extend_from_slice(format!(",\"log\":\"{log}\"").as_bytes());
    }
    let uid = spot.map(|spot| &spot.uid).or(line.and_then(|line| line.uid.as_ref()));
    if let Some(uid) = uid {
        out.extend_from_slice(b",\"uid\":");
        text::string(out, uid.as_bytes(), false);
    }
    if let Some(spot) = spot {
        out.extend_from_slice(b",\"file\":");
        text::string(out, spot.file.as_bytes(), false);
    }
    out.extend_from_slice(b",\"offset\":");
    text::number(out, id.offset());
    if let Some(scores) = line.and_then(|line| line.scores.as_ref()) {
        out.extend_from_slice(b",\"scores\":{");
        list(out, scores, |(name, score), out| {
            text::string(out, name.as_bytes(), false);
            out.push(b':');
            text::millionths(out, u64::from(score.get()));
        });
        out.push(b'}');
    }
    match line.and_then(|line| line.found.as_ref()) {
        None => {}
        Some(Err(why)) => {
            out.extend_from_slice(b",\"missing\":");
            text::string(out, why.as_bytes(), false);
        }
        Some(Ok(found)) => {
            out.extend_from_slice(b",\"found\":{\"file\":");
            text::string(out, found.file.as_bytes(), false);
            out.extend_from_slice(b",\"line\":");
            match &found.line {
                Some(line) => drop(text::string(out, line, false)),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b",\"record\":");
            out.extend_from_slice(&found.record);
            out.push(b'}');
        }
    }
    out.push(b'}');
}

impl Explanation {
    /// Whether an event was asked for.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.event.is_some()
    }

    /// Every event that it speaks of, with its record where that is known.
    #[must_use]
    pub fn events(&self) -> BTreeMap<Id, Option<Spot>> {
        let parts = || self.modules.iter();
        let further = parts().flat_map(|part| &part.events).chain(&self.event);
        let mut all: BTreeMap<Id, Option<Spot>> = further.map(|event| (*event, None)).collect();
        for spot in parts().flat_map(|part| &part.findings).flat_map(|it| &it.records) {
            all.insert(spot.event_id, Some(spot.clone()));
        }
        all
    }
}

impl Part {
    /// Those of `events` that none of its findings speaks of.
    #[must_use]
    pub fn not_found(&self, events: &[Id]) -> Vec<Id> {
        let is_known = |event: &Id| {
            let records = self.findings.iter().flat_map(|finding| &finding.records);
            records.into_iter().any(|record| record.event_id == *event)
        };
        events.iter().filter(|event| !is_known(event)).copied().collect()
    }
}
