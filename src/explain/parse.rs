//! Documents read back: alerts and risk of a replay or a daemon, and an explanation of a daemon.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::address::Addr;
use crate::base::hash::Id;
use crate::base::limits::{EVIDENCE_MAX, REASONS_MAX};
use crate::base::score::{Points, Ppm};
use crate::base::time::Time;
use crate::document::{Explanation, Line, Part, Portion, Standing};
use crate::record::{Finding, Log, Observed, Spot, Why};

/// Modules that one document speaks of.
const MODULES_MAX: usize = 64;

/// A text of a document, or nothing.
pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The id in a document.
pub(super) fn id(value: &Value) -> Option<Id> {
    Id::parse(value.as_str()?)
}

fn millionths(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| (0.0..1e9).contains(number))?;
    Some((number * 1e6).round() as u64)
}

fn ppm(value: &Value) -> Option<Ppm> {
    Some(Ppm::new(u32::try_from(millionths(value)?).ok()?))
}

pub(super) fn time(value: &Value) -> Option<Time> {
    Time::parse_iso(value.as_str()?.as_bytes())
}

fn items(value: &Value, max: usize) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(max)
}

fn addr(value: &Value) -> Option<Addr> {
    Addr::parse(value["ip"].as_str()?.as_bytes())
}

fn observed(value: &Value) -> Observed {
    match value.as_f64() {
        Some(number) => Observed::Number((number * 1e6).round() as i64),
        None => Observed::Text(word(value).to_owned()),
    }
}

fn reasons(value: &Value) -> Vec<Why> {
    let why = |reason: &Value| Why {
        feature: word(&reason["feature"]).to_owned().into(),
        observed: observed(&reason["observed"]),
        expected: observed(&reason["expected"]),
        contribution: ppm(&reason["contribution"]).unwrap_or_default(),
    };
    items(value, REASONS_MAX).map(why).collect()
}

fn records(value: &Value) -> Vec<Spot> {
    let spot = |record: &Value| {
        Some(Spot {
            uid: word(&record["uid"]).to_owned(),
            log: Log::from_name(word(&record["log"]))?,
            file: word(&record["file"]).into(),
            event_id: id(&record["event_id"])?,
        })
    };
    items(value, EVIDENCE_MAX).filter_map(spot).collect()
}

/// The finding that `ueba`, or a finding of an explanation, speaks of.
fn finding(id: Id, time: Time, is_alert: bool, of: &Value, ends: &Value) -> Finding {
    let window = &of["window"];
    let edge = |name: &str| self::time(&window[name]).unwrap_or(time);
    Finding {
        id,
        is_alert,
        score: ppm(&of["score"]).unwrap_or_default(),
        minute: time.minute(),
        time,
        window: (edge("start"), edge("end")),
        source: addr(&ends["source"]),
        destination: addr(&ends["destination"]),
        reasons: reasons(&of["reasons"]),
        records: records(&of["evidence"]),
    }
}

/// Whether a detector is no stage: what it says of an entity, the modules say.
pub(super) fn is_summary(detector: &str) -> bool {
    matches!(detector, "risk" | "incident")
}

/// The evidence of an alert that does not say where it stands: of it the ids only.
pub(super) fn events(document: &Value) -> Vec<Id> {
    let is_bare = |record: &&Value| record["log"].as_str().and_then(Log::from_name).is_none();
    let bare = items(&document["ueba"]["evidence"], EVIDENCE_MAX).filter(is_bare);
    bare.filter_map(|record| id(&record["event_id"])).collect()
}

/// The detector of an alert, and its finding.
pub(super) fn alert(document: &Value) -> Option<(String, Finding)> {
    let ueba = &document["ueba"];
    let detector = ueba["detector"].as_str().or(document["rule"]["name"].as_str())?;
    let (id, time) = (id(&document["event"]["id"])?, time(&document["@timestamp"])?);
    Some((detector.to_owned(), finding(id, time, true, ueba, document)))
}

/// What a risk document says.
pub(super) fn risk(document: &Value) -> Option<(Standing, Vec<Part>)> {
    let ueba = &document["ueba"];
    let risk = [&document["host"]["risk"], &document["user"]["risk"]];
    let level = risk.iter().find_map(|risk| risk["calculated_level"].as_str());
    let standing = standing(ueba, time(&document["@timestamp"])?, level.unwrap_or_default())?;
    let part = |it: &Value| {
        let events = items(&it["evidence"], EVIDENCE_MAX).filter_map(id).collect();
        Part { events, ..part(it) }
    };
    Some((standing, items(&ueba["contributions"], MODULES_MAX).map(part).collect()))
}

fn standing(of: &Value, time: Time, level: &str) -> Option<Standing> {
    Some(Standing {
        time,
        score: Points(millionths(&of["score"])?),
        previous: Points(millionths(&of["previous"])?),
        level: level.to_owned(),
        criticality: millionths(&of["criticality"]).unwrap_or(1_000_000),
    })
}

fn part(it: &Value) -> Part {
    let points = |name: &str| millionths(&it[name]).map(Points);
    let portion = || {
        let (points, weight) = (points("points")?, points("weight")?);
        Some(Portion { points, weight, value: ppm(&it["value"])? })
    };
    Part {
        module: word(&it["module"]).to_owned(),
        share: portion(),
        reasons: reasons(&it["reasons"]),
        ..Part::default()
    }
}

/// The explanation that a daemon answered with; nothing if it is none.
#[must_use]
pub fn explanation(bytes: &[u8]) -> Option<Explanation> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let mut lines = BTreeMap::new();
    let mut event = |record: &Value| {
        let id = id(&record["event_id"])?;
        let known = Line {
            log: record["log"].as_str().and_then(Log::from_name),
            uid: record["uid"].as_str().map(str::to_owned),
            ..Line::default()
        };
        if known != Line::default() {
            lines.insert(id, known);
        }
        Some(id)
    };
    let mut module = |it: &Value| {
        let found = |it: &Value| {
            let is_alert = it["alert"].as_bool().unwrap_or_default();
            Some(finding(id(&it["id"])?, time(&it["time"])?, is_alert, it, it))
        };
        Part {
            findings: items(&it["findings"], EVIDENCE_MAX).filter_map(found).collect(),
            events: items(&it["events"], EVIDENCE_MAX).filter_map(&mut event).collect(),
            ..part(it)
        }
    };
    let modules = items(&value["modules"], MODULES_MAX).map(&mut module).collect();
    let time = time(&value["time"]);
    Some(Explanation {
        id: value["id"].as_str()?.to_owned(),
        kind: value["kind"].as_str()?.to_owned(),
        entity: value["entity"].as_str().map(str::to_owned),
        risk: time.and_then(|time| standing(&value, time, word(&value["level"]))),
        modules,
        event: event(&value["event"]),
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::write_explanation;

    #[test]
    fn what_is_written_is_read_back() {
        let text = concat!(
            r#"{"id":"x\u001b","kind":"entity","entity":"host:10.0.0.5","#,
            r#""time":"2018-03-24T17:16:00.000000Z","score":18.750001,"previous":0.000000,"#,
            r#""level":"Low","criticality":2.500000,"modules":[{"module":"m","points":18.750001,"#,
            r#""weight":25.000000,"value":0.750000,"reasons":[],"findings":[{"#,
            r#""id":"0123456789abcdef0123456789abcdef","alert":true,"score":0.700000,"#,
            r#""time":"2018-03-24T17:15:20.900000Z","window":{"start":"2018-03-24T00:00:00.000000Z","#,
            r#""end":"2018-03-25T00:00:00.000000Z"},"source":{"ip":"10.0.0.5"},"reasons":[{"#,
            r#""feature":"f","observed":-1.500000,"expected":"x","contribution":0.700000}],"#,
            r#""evidence":[{"event_id":"0123456789abcdef01230000000000ff","log":"http","uid":"C1","#,
            r#""file":"a\nb","offset":255}]}],"events":[{"#,
            r#""event_id":"aa23456789abcdef01230000000000ff","offset":255}]},{"module":"n","#,
            r#""reasons":[],"findings":[],"events":[]}]}"#,
            "\n"
        );
        let mut again = Vec::new();
        write_explanation(&explanation(text.as_bytes()).unwrap(), &mut again);
        assert_eq!(String::from_utf8(again).unwrap(), text);
        for wrong in ["", "{}", "[]", "null", r#"{"id":1,"kind":2}"#] {
            assert_eq!(explanation(wrong.as_bytes()), None, "{wrong}");
        }
        let odd = br#"{"id":"","kind":"","modules":[{"findings":[{},1],"events":{}}],"event":[]}"#;
        assert_eq!(explanation(odd).unwrap().modules, [Part::default()]);
    }
}
