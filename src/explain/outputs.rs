//! The documents that a replay or a daemon wrote: `alerts.ndjson`, `risk.ndjson`, `events.ndjson`,
//! and those before them that were full.
//!
//! They are read from beginning to end, one document at a time: what is kept does not grow with
//! them. A line that is no document, one that is far too long, or a last one that is torn, is
//! passed over.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use serde_json::Value;

use crate::base::hash::Id;
use crate::base::limits::{DOCUMENT_BYTES_MAX, EVIDENCE_MAX};
use crate::base::score::Ppm;
use crate::base::time::Time;
use crate::document::{Explanation, Line, Part, Parts, Standing};
use crate::record::{Finding, Log, Scope};

use super::{Asked, parse};

/// A directory of documents.
#[derive(Clone, Debug)]
pub struct Outputs {
    directory: PathBuf,
}

/// Detectors that alerts of one entity may name.
const DETECTORS_MAX: usize = 64;

impl Outputs {
    /// The documents in `directory`, if there are any.
    #[must_use]
    pub fn at(directory: &Path) -> Option<Self> {
        let outputs = Self { directory: directory.to_owned() };
        let is_there = |kind| outputs.files(kind).is_ok_and(|files| !files.is_empty());
        ["alerts", "risk", "events"].into_iter().any(is_there).then_some(outputs)
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What they say of who or what was asked for; nothing if they do not know it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn explain(&self, asked: &Asked, scope: &Scope) -> io::Result<Option<Explanation>> {
        match asked {
            Asked::Entity(entity) => self.entity(&entity.id(scope)),
            Asked::Id(id) => {
                if let Some(found) = self.alert(*id)? {
                    return Ok(Some(found));
                }
                self.of_risk(*id)
            }
        }
    }

    fn entity(&self, entity: &str) -> io::Result<Option<Explanation>> {
        let alerts = self.alerts_of(entity, Time::MAX)?;
        let last = self.last_risk(entity)?;
        if alerts.is_empty() && last.is_none() {
            return Ok(None);
        }
        Ok(Some(explained("entity", entity, entity, last, alerts)))
    }

    /// The alert of this id, or the finding of an alert that speaks of the event of this id.
    fn alert(&self, wanted: Id) -> io::Result<Option<Explanation>> {
        let hex = wanted.to_string();
        let finder = Finder::new(hex.as_bytes());
        let mut found: Option<(String, &'static str, Vec<Part>)> = None;
        let mut summary: Option<(String, Part)> = None;
        self.each("alerts", &mut |document| {
            if finder.find(document).is_none() {
                return;
            }
            let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
            let Some((detector, finding)) = parse::alert(&document) else { return };
            let entity = parse::word(&document["ueba"]["entity"]).to_owned();
            if parse::is_summary(&detector) {
                if finding.id == wanted {
                    let events = parse::events(&document);
                    let findings = vec![finding];
                    let part = Part { module: detector, findings, events, ..Part::default() };
                    summary = Some((entity, part));
                }
                return;
            }
            let speaks = || finding.records.iter().any(|record| record.event_id == wanted);
            let kind = match finding.id == wanted {
                true => "alert",
                false if speaks() => "event",
                false => return,
            };
            let (whose, _, parts) = found.get_or_insert_with(|| (entity.clone(), kind, vec![]));
            // What is found of a host and of its user speaks of the same events.
            if *whose == entity {
                add(parts, &detector, finding);
            }
        })?;
        if let Some((entity, part)) = summary {
            let mut alerts = self.alerts_of(&entity, Time::MAX)?;
            alerts.push(part);
            let last = self.last_risk(&entity)?;
            return Ok(Some(explained("alert", &hex, &entity, last, alerts)));
        }
        let Some((entity, kind, alerts)) = found else { return Ok(None) };
        let last = self.last_risk(&entity)?;
        let named: BTreeSet<String> = alerts.iter().map(|part| part.module.clone()).collect();
        let mut explanation = explained(kind, &hex, &entity, last, alerts);
        explanation.modules.retain(|part| named.contains(&part.module));
        for part in &mut explanation.modules {
            part.events.clear();
        }
        explanation.event = (kind == "event").then_some(wanted);
        Ok(Some(explanation))
    }

    /// The risk document of this id, or the last one that speaks of the event of this id.
    fn of_risk(&self, wanted: Id) -> io::Result<Option<Explanation>> {
        let hex = wanted.to_string();
        let finder = Finder::new(hex.as_bytes());
        let mut found: Option<(bool, String, Risk)> = None;
        self.each("risk", &mut |document| {
            if finder.find(document).is_none() {
                return;
            }
            let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
            let is_it = parse::id(&document["event"]["id"]) == Some(wanted);
            let Some(risk) = parse::risk(&document) else { return };
            let speaks = risk.1.iter().any(|part| part.events.contains(&wanted));
            if is_it || (speaks && found.as_ref().is_none_or(|(is_it, ..)| !is_it)) {
                found = Some((is_it, parse::word(&document["ueba"]["entity"]).to_owned(), risk));
            }
        })?;
        let Some((is_it, entity, mut risk)) = found else { return Ok(None) };
        if is_it {
            let alerts = self.alerts_of(&entity, risk.0.time)?;
            return Ok(Some(explained("risk", &hex, &entity, Some(risk), alerts)));
        }
        risk.1.retain(|part| part.events.contains(&wanted));
        risk.1.iter_mut().for_each(|part| part.events.clear());
        let explanation = explained("event", &hex, &entity, Some(risk), Vec::new());
        Ok(Some(Explanation { event: Some(wanted), ..explanation }))
    }

    /// The strongest alerts of an entity up to `until`, by detector.
    fn alerts_of(&self, entity: &str, until: Time) -> io::Result<Vec<Part>> {
        let mut parts = Vec::new();
        self.each_of(entity, "alerts", &mut |document| match parse::alert(document) {
            Some((detector, finding)) if finding.time <= until && !parse::is_summary(&detector) => {
                add(&mut parts, &detector, finding);
            }
            _ => {}
        })?;
        Ok(parts)
    }

    fn last_risk(&self, entity: &str) -> io::Result<Option<Risk>> {
        let mut last: Option<Risk> = None;
        self.each_of(entity, "risk", &mut |document| {
            let Some(risk) = parse::risk(document) else { return };
            if last.as_ref().is_none_or(|(known, _)| known.time <= risk.0.time) {
                last = Some(risk);
            }
        })?;
        Ok(last)
    }

    /// Shows the documents of one entity.
    fn each_of(&self, entity: &str, kind: &str, show: &mut dyn FnMut(&Value)) -> io::Result<()> {
        self.each(kind, &mut |document| {
            let told = Parts::of(document).and_then(|parts| parts.entity);
            let may_be = |told: &[u8]| told == entity.as_bytes() || told.contains(&b'\\');
            if told.is_some_and(may_be)
                && let Ok(document) = serde_json::from_slice::<Value>(document)
                && document["ueba"]["entity"] == entity
            {
                show(&document);
            }
        })
    }

    /// Adds what events say of the records that `explanation` speaks of: whom the asked one
    /// concerns, logs and uids where nobody said, and scores. Whether the asked one is there.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn add_events(&self, explanation: &mut Explanation) -> io::Result<bool> {
        let wanted: BTreeSet<Id> = explanation.events().into_keys().collect();
        let mut is_there = false;
        self.each("events", &mut |document| {
            let id = Parts::of(document).and_then(|parts| Id::parse(parts.id));
            let Some(id) = id.filter(|id| wanted.contains(id)) else { return };
            let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
            let log = parse::word(&document["event"]["dataset"]).strip_prefix("zeek.");
            let log = log.and_then(Log::from_name);
            let uid = log.and_then(|log| document["zeek"][log.name()]["uid"].as_str());
            let scores = document["ueba"]["scores"].as_object().into_iter().flatten();
            let scores = scores.take(DETECTORS_MAX).filter_map(|(name, score)| {
                let score = score.as_f64().filter(|score| (0.0..=1.0).contains(score))?;
                Some((name.clone(), Ppm::new((score * 1e6).round() as u32)))
            });
            let line = Line {
                log,
                uid: uid.map(str::to_owned),
                scores: Some(scores.collect()),
                found: None,
            };
            explanation.lines.insert(id, line);
            if explanation.event == Some(id) {
                is_there = true;
                let entity = document["ueba"]["entity"].as_str();
                explanation.entity = explanation.entity.take().or(entity.map(str::to_owned));
            }
        })?;
        Ok(is_there)
    }

    /// Shows each line of the documents of one kind, in their order.
    fn each(&self, kind: &str, show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for path in self.files(kind)? {
            match File::open(&path) {
                Ok(file) => each_line(&mut BufReader::with_capacity(256 << 10, file), show)
                    .map_err(|error| named(&path, &error))?,
                // A daemon gave it another name, or took it away, since.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(named(&path, &error)),
            }
        }
        Ok(())
    }

    /// The files of one kind: those that were full in the order of their numbers, then the last.
    fn files(&self, kind: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let entries = std::fs::read_dir(&self.directory);
        for entry in entries.map_err(|error| named(&self.directory, &error))? {
            let name = entry?.file_name();
            let middle = name.to_str().and_then(|name| {
                name.strip_prefix(kind)?
                    .strip_suffix(".ndjson")
                    .map(|it| it.trim_start_matches('.'))
            });
            let is_number =
                |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
            match middle {
                Some("") => found.push((true, name)),
                Some(number) if is_number(number) => found.push((false, name)),
                _ => {}
            }
        }
        found.sort();
        let paths = found.into_iter().map(|(_, name)| self.directory.join(name));
        Ok(paths.filter(|path| path.is_file()).collect())
    }
}

/// A score and the modules behind it.
type Risk = (Standing, Vec<Part>);

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Shows each line of at most [`DOCUMENT_BYTES_MAX`].
fn each_line(reader: &mut dyn BufRead, show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    let mut is_long = false;
    loop {
        let bytes = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let end = memchr::memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        is_long |= line.len() + part.len() > DOCUMENT_BYTES_MAX;
        let used = part.len() + usize::from(end.is_some());
        match end {
            Some(_) if line.is_empty() && !is_long => show(part),
            _ if is_long => line = Vec::new(),
            _ => line.extend_from_slice(part),
        }
        reader.consume(used);
        if end.is_some() {
            if !line.is_empty() {
                show(&line);
            }
            line.clear();
            is_long = false;
        }
    }
}

/// Adds an alert to those of its detector.
fn add(parts: &mut Vec<Part>, detector: &str, finding: Finding) {
    let at = parts.iter().position(|part| part.module == detector);
    let at = at.unwrap_or_else(|| {
        parts.push(Part { module: detector.to_owned(), ..Part::default() });
        parts.len() - 1
    });
    if at >= DETECTORS_MAX {
        parts.truncate(DETECTORS_MAX);
        return;
    }
    let findings = &mut parts[at].findings;
    findings.retain(|known| known.id != finding.id);
    findings.push(finding);
    findings.sort_by_key(|it| (std::cmp::Reverse(it.score), it.time, it.id));
    findings.truncate(EVIDENCE_MAX);
}

/// The explanation by a risk document and alerts.
fn explained(
    kind: &str,
    id: &str,
    entity: &str,
    risk: Option<Risk>,
    mut alerts: Vec<Part>,
) -> Explanation {
    let (risk, mut modules) = risk.map_or((None, Vec::new()), |(risk, it)| (Some(risk), it));
    for part in &mut modules {
        if let Some(at) = alerts.iter().position(|alert| alert.module == part.module) {
            part.findings = alerts.remove(at).findings;
            part.events = part.not_found(&part.events);
        }
        let told = &part.reasons;
        if part.findings.iter().any(|finding| finding.reasons == *told) {
            part.reasons.clear();
        }
    }
    modules.extend(alerts);
    Explanation {
        id: id.to_owned(),
        kind: kind.to_owned(),
        entity: Some(entity.to_owned()),
        risk,
        modules,
        event: None,
        lines: std::collections::BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_and_a_torn_end() {
        let long = "x".repeat(DOCUMENT_BYTES_MAX + 1);
        let text = format!("a\n\n{long}\nb\n{long}{long}\nc\ntorn");
        for capacity in [1, 7, 1 << 20] {
            let mut found = Vec::new();
            let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
            if capacity == 1 {
                reader = BufReader::with_capacity(capacity, &text.as_bytes()[..2]);
            }
            each_line(&mut reader, &mut |line| {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            })
            .unwrap();
            found.retain(|line| !line.is_empty());
            let expected: &[&str] = if capacity == 1 { &["a"] } else { &["a", "b", "c"] };
            assert_eq!(found, expected);
        }
    }
}
