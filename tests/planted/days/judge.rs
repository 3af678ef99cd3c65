//! What the documents of a replay say: of whom an alert is, who is how risky when, and what would
//! be left without a module.
//!
//! Not here: what was planted (`plant`), how it is shown (`table`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zeek_ueba::base::time::Time;

use super::super::evaluation::{DAY, DAY_0, HOUR};
use super::plant::Planting;

/// Points at which a risk is an alert.
const RISK_ALERT: f64 = 50.0;

/// An alert. Times count from day 0.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) entity: String,
    pub(crate) detector: String,
    pub(crate) score: f64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// The strongest reasons: what was seen, and what was to be expected.
    pub(crate) reasons: Vec<String>,
}

/// What an entity is worth at a time, by module.
#[derive(Clone, Debug)]
pub(crate) struct Risk {
    pub(crate) entity: String,
    pub(crate) time: i64,
    pub(crate) points: BTreeMap<String, f64>,
}

/// All that a replay says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) risks: Vec<Risk>,
}

impl Said {
    /// The documents of `alerts.ndjson` and `risk.ndjson`.
    pub(crate) fn read(alerts: &str, risks: &str) -> Result<Self, String> {
        let mut said = Self::default();
        for line in alerts.lines() {
            let document: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            if document["event"]["action"] != "closed" {
                let read = alert(&document);
                said.alerts.push(read.ok_or_else(|| format!("no alert that can be read: {line}"))?);
            }
        }
        for line in risks.lines() {
            let document: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let read = risk(&document);
            said.risks.push(read.ok_or_else(|| format!("no risk that can be read: {line}"))?);
        }
        Ok(said)
    }
}

fn alert(document: &Value) -> Option<Alert> {
    let ueba = &document["ueba"];
    let detector = document["rule"]["name"].as_str()?.to_owned();
    let window = &ueba["window"];
    let written = time(&document["@timestamp"])?;
    // A risk is an alert when it is reached, a window when it is over.
    let to = if detector == "risk" { written } else { time(&window["end"])? };
    let reasons = ueba["reasons"].as_array()?;
    Some(Alert {
        entity: ueba["entity"].as_str()?.to_owned(),
        detector,
        score: ueba["score"].as_f64()?,
        from: time(&window["start"]).unwrap_or(written).min(to),
        to,
        reasons: reasons.iter().filter_map(reason).collect(),
    })
}

fn reason(reason: &Value) -> Option<String> {
    let words = |value: &Value| match value {
        Value::String(text) => text.clone(),
        // In millionths.
        Value::Number(number) => number.as_f64().map_or_else(String::new, |it| format!("{it:.2}")),
        _ => String::new(),
    };
    let feature = reason["feature"].as_str()?;
    let (observed, expected) = (words(&reason["observed"]), words(&reason["expected"]));
    let share = reason["contribution"].as_f64().unwrap_or_default();
    let usual = if expected.is_empty() { String::new() } else { format!(" ({expected})") };
    Some(format!("{feature} {observed}{usual} {share:.2}"))
}

fn risk(document: &Value) -> Option<Risk> {
    let ueba = &document["ueba"];
    let mut points = BTreeMap::new();
    for contribution in ueba["contributions"].as_array()? {
        let module = contribution["module"].as_str()?.to_owned();
        points.insert(module, contribution["points"].as_f64()?);
    }
    let entity = ueba["entity"].as_str()?.to_owned();
    Some(Risk { entity, time: time(&document["@timestamp"])?, points })
}

fn time(value: &Value) -> Option<i64> {
    Some(Time::parse_iso(value.as_str()?.as_bytes())?.0 - DAY_0)
}

/// What came of a planting.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The alerts of whom it has to name, or of whom it must not, that there are for it.
    pub(crate) of_it: Vec<Alert>,
    /// The rank of the guilty by risk: on the day when it begins, and on the best day of it.
    pub(crate) first_day: Option<usize>,
    pub(crate) best_day: Option<usize>,
    /// Without a module: found or not, and the rank on the best day.
    pub(crate) without: BTreeMap<String, (bool, Option<usize>)>,
    /// Alerts of all others that the days without planting do not have.
    pub(crate) others: Vec<Alert>,
}

/// What `said` is worth of a planting, of which the same days without it say `clean`.
pub(crate) fn judge(planting: &Planting, said: &Said, clean: &Said) -> Verdict {
    let key = |alert: &Alert| (alert.entity.clone(), alert.detector.clone(), alert.from);
    let usual: BTreeSet<_> = clean.alerts.iter().map(key).collect();
    let is_named = |alert: &Alert| {
        planting.guilty.as_ref() == Some(&alert.entity) || planting.innocent.contains(&alert.entity)
    };
    let is_then = |alert: &Alert| alert.from <= planting.to + DAY && alert.to > planting.from;
    let is_new = |alert: &Alert| !usual.contains(&key(alert));
    let new = said.alerts.iter().filter(|alert| is_new(alert) && is_then(alert));
    let (of_it, others): (Vec<Alert>, Vec<Alert>) = new.cloned().partition(is_named);
    let mut verdict =
        Verdict { of_it, first_day: None, best_day: None, without: BTreeMap::new(), others };
    let Some(guilty) = &planting.guilty else { return verdict };
    let days = planting.from.div_euclid(DAY)..=planting.to.div_euclid(DAY);
    let best = |left_out: Option<&str>| {
        days.clone().filter_map(|day| rank(&said.risks, guilty, day, left_out)).min()
    };
    verdict.first_day = rank(&said.risks, guilty, *days.start(), None);
    verdict.best_day = best(None);
    let of_guilty = said.risks.iter().filter(|risk| risk.entity == *guilty);
    let modules: BTreeSet<&String> = of_guilty.flat_map(|risk| risk.points.keys()).collect();
    for module in modules {
        let by_others = |alert: &Alert| alert.detector != *module && alert.detector != "risk";
        let is_risky = days.clone().any(|day| {
            day_scores(&said.risks, day, Some(module))
                .get(guilty)
                .is_some_and(|it| *it >= RISK_ALERT)
        });
        let is_found = verdict.of_it.iter().any(by_others) || is_risky;
        verdict.without.insert(module.clone(), (is_found, best(Some(module))));
    }
    verdict
}

/// The most that each was worth on a day; what is said of a day when it is over counts.
fn day_scores(risks: &[Risk], day: i64, left_out: Option<&str>) -> BTreeMap<String, f64> {
    let mut scores: BTreeMap<String, f64> = BTreeMap::new();
    let then = day * DAY..(day + 1) * DAY + HOUR;
    for risk in risks.iter().filter(|risk| then.contains(&risk.time)) {
        let points = risk.points.iter().filter(|(module, _)| Some(module.as_str()) != left_out);
        let score = points.map(|(_, points)| points).sum();
        let known = scores.entry(risk.entity.clone()).or_default();
        *known = known.max(score);
    }
    scores
}

/// How many are riskier on a day, and one; none where it has no risk.
fn rank(risks: &[Risk], entity: &str, day: i64, left_out: Option<&str>) -> Option<usize> {
    let scores = day_scores(risks, day, left_out);
    let own = *scores.get(entity)?;
    (own > 0.0).then(|| 1 + scores.values().filter(|score| **score > own).count())
}
