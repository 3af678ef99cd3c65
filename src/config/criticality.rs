//! Criticality, as `[risk.criticality]` and the files of `risk.criticality_csv` say it.
//!
//! Here belong what lines say and where they contradict each other. Which of several lines counts
//! for an entity belongs to `risk`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::diagnose::{MISTAKES_MAX, Mistake, Place};
use super::raw::Raw;
use crate::base::keys::Settings;
use crate::base::limits::{CRITICALITY_BYTES_MAX, CRITICALITY_LINES_MAX, CRITICALITY_PATTERNS_MAX};
use crate::base::score::Factor;
use crate::risk::{Criticality, Subject};

/// Reads all lines. Those of the configuration itself count more than those of files.
pub(super) fn read(raw: &Raw<'_>, risk: &Settings, mistakes: &mut Vec<Mistake>) -> Criticality {
    let mut own = Lines { all: BTreeMap::new(), patterns: 0, mistakes };
    for entry in raw.entries.iter().filter(|_| !raw.lost) {
        let [table, key, name] = entry.path.as_slice() else { continue };
        if table != "risk" || key != "criticality" {
            continue;
        }
        if let Some(number) = risk.reals("criticality").get(name) {
            own.line(name, thousandths(*number), raw.place(entry.key_at));
        }
    }
    let own = own.all;
    let mut files = Lines { all: BTreeMap::new(), patterns: 0, mistakes };
    for path in risk.list("criticality_csv") {
        files.file(path);
    }
    let mut all = files.all;
    all.extend(own);
    Criticality::new(all.into_iter().map(|(subject, (factor, _))| (subject, factor)))
}

fn thousandths(number: f64) -> Factor {
    Factor::new((number * 1000.0).round() as u32)
}

/// Lines by whom they speak of.
struct Lines<'a> {
    all: BTreeMap<Subject, (Factor, Place)>,
    patterns: usize,
    mistakes: &'a mut Vec<Mistake>,
}

impl Lines<'_> {
    fn line(&mut self, whom: &str, factor: Factor, place: Place) {
        let Some(subject) = Subject::parse(whom) else {
            return self.mistakes.push(Mistake::bad_subject(place, whom));
        };
        if let Some((other, there)) = self.all.get(&subject) {
            if *other != factor {
                let (whom, here, other) =
                    (subject.to_string(), factor.to_string(), other.to_string());
                self.mistakes.push(Mistake::disagree(place, &whom, &here, &other, there));
            }
            return;
        }
        self.patterns += usize::from(matches!(subject, Subject::Pattern(_)));
        if self.all.len() >= CRITICALITY_LINES_MAX || self.patterns > CRITICALITY_PATTERNS_MAX {
            let why = format!(
                "more than {CRITICALITY_LINES_MAX} entities or {CRITICALITY_PATTERNS_MAX} patterns"
            );
            return self.mistakes.push(Mistake::unreadable(place, &why));
        }
        self.all.insert(subject, (factor, place));
    }

    /// Reads one file; a mistake in a line does not hide those in others.
    fn file(&mut self, file: &str) {
        // The name stands in messages, for terminals.
        let name: String = file.chars().filter(|c| !c.is_control()).collect();
        let text = match super::text(Path::new(file), &name, CRITICALITY_BYTES_MAX) {
            Ok(text) => text,
            Err(mistake) => return self.mistakes.push(mistake),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut reader =
            ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(text.as_bytes());
        let place = |line: usize| Place { file: name.clone(), line, column: 1 };
        let header = reader.headers().cloned().unwrap_or_default();
        let names: Vec<&str> = header.iter().collect();
        if !matches!(names[..], ["entity", "criticality"] | ["entity", "criticality", "comment"]) {
            let why = "the first line must be entity,criticality or entity,criticality,comment";
            return self.mistakes.push(Mistake::unreadable(place(1), why));
        }
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) if self.mistakes.len() <= MISTAKES_MAX => {}
                Ok(_) => return,
                Err(error) => {
                    let line = error.position().map_or(0, |it| line_of(text, it));
                    self.mistakes.push(Mistake::unreadable(place(line), "not a line of CSV"));
                    return;
                }
            }
            let line = record.position().map_or(0, |it| line_of(text, it));
            self.record(&record, names.len(), place(line));
        }
    }

    fn record(&mut self, record: &StringRecord, columns: usize, at: Place) {
        let (Some(whom), Some(text)) = (record.get(0), record.get(1)) else {
            let why = "a line has an entity and its criticality, with a comma in between";
            return self.mistakes.push(Mistake::unreadable(at, why));
        };
        if record.len() > columns {
            let why = format!("{} columns where there are {columns}", record.len());
            return self.mistakes.push(Mistake::unreadable(at, &why));
        }
        match text.parse::<f64>() {
            Ok(number) if (0.1..=10.0).contains(&number) => {
                self.line(whom, thousandths(number), at);
            }
            _ => {
                let bounds: (&dyn Display, &dyn Display) = (&0.1, &10);
                let found = format!("{text:?}");
                self.mistakes.push(Mistake::out_of_range(at, "criticality", bounds, &found));
            }
        }
    }
}

/// The line on which a record begins: its position may be before line ends that the reader passes
/// over.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let passed = ends.filter(|byte| **byte == b'\n').count();
    usize::try_from(position.line()).unwrap_or(usize::MAX).saturating_add(passed)
}
