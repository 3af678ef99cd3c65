//! Whether the alerts of a replay are those that a scenario expects.

use std::collections::BTreeSet;

use serde_json::Value;
use zeek_ueba::base::time::Time;

use super::expand::Crime;
use super::scenario::{DAY_0, Expected, Span};
use super::units::show;

/// An alert as far as it is judged. Times count from day 0.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) entity: String,
    /// `all` or a channel; empty where no reason says it.
    pub(crate) channel: String,
    /// As the document says it.
    pub(crate) score: String,
    pub(crate) time: i64,
    pub(crate) window: Span,
}

/// The alert in a document of `alerts.ndjson`, if it is of this detector. That an incident was closed
/// is no alert.
pub(crate) fn found(document: &Value, detector: &str) -> Result<Option<Found>, String> {
    let ueba = &document["ueba"];
    if ueba["detector"] != detector || document["event"]["action"] == "closed" {
        return Ok(None);
    }
    let read = || {
        let window = &ueba["window"];
        let reasons = ueba["reasons"].as_array()?;
        let channel = reasons.iter().find(|reason| reason["feature"] == "channel");
        Some(Found {
            entity: ueba["entity"].as_str()?.to_owned(),
            channel: channel.map_or("", |it| it["observed"].as_str().unwrap_or("")).to_owned(),
            score: ueba["score"].as_f64().map(|score| format!("{score:.2}"))?,
            time: time(&document["@timestamp"])?,
            window: Span { from: time(&window["start"])?, to: time(&window["end"])? },
        })
    };
    read().map(Some).ok_or_else(|| format!("no alert that can be read: {document}"))
}

fn time(value: &Value) -> Option<i64> {
    Some(Time::parse_iso(value.as_str()?.as_bytes())?.0 - DAY_0)
}

/// What is wrong; nothing where everything is right.
pub(crate) fn judge(truth: &[Expected], crimes: &[Crime], found: &[Found]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for alert in found.iter().filter(|alert| !truth.iter().any(|it| it.entity == alert.entity)) {
        wrong.insert(format!("{} is innocent", alert.entity));
    }
    for (expected, crime) in truth.iter().zip(crimes) {
        let of_it: Vec<&Found> =
            found.iter().filter(|alert| alert.entity == expected.entity).collect();
        if of_it.is_empty() {
            wrong.insert(format!("{} was not found", expected.entity));
        }
        wrong.extend(of_it.iter().filter_map(|alert| misses(expected, crime, alert)));
    }
    wrong.into_iter().collect()
}

/// What is wrong with an alert of a guilty host.
fn misses(expected: &Expected, crime: &Crime, alert: &Found) -> Option<String> {
    let at = format!("{} at {}", alert.entity, show(alert.time));
    let (from, to) = (alert.window.from, alert.window.to);
    let window = || format!("{at}: window {} to {}", show(from), show(to));
    if alert.channel != "all" && alert.channel != expected.channel {
        return Some(format!("{at}: channel {:?}, not {}", alert.channel, expected.channel));
    }
    if !expected.between.holds(alert.time) {
        return Some(format!("{at}: not then"));
    }
    if !expected.window.holds(from) || !expected.window.holds(to) {
        return Some(format!("{}, not inside", window()));
    }
    if from > crime.span.to || to < crime.span.from {
        return Some(format!("{}, beside it", window()));
    }
    None
}
