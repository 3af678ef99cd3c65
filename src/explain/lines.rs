//! The lines behind events: found again by what their files hold, by generation and offset.
//!
//! A line is shown as it stands only if nothing of it is to be hidden; its fields are shown as the
//! event has them. Files may have changed, be cut, or be gone since: then that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::base::hash::{Id, Prefix};
use crate::base::limits::{BATCH_ROWS_MAX, READ_BYTES};
use crate::document::{Explanation, Fields, Found, Rule};
use crate::read::{Buffer, Reader};
use crate::record::schema::{UID, files};
use crate::record::{Batch, Log};
use crate::replay::{self, discover, locate};
use crate::zeek::{Parser, Settings};

/// Where logs are and how they are read.
#[derive(Clone, Copy, Debug)]
pub struct Logs<'a> {
    /// Logs, or directories of logs.
    pub paths: &'a [PathBuf],
    /// `sensor.id`: a part of every id.
    pub sensor_id: &'a str,
    /// `event.redact`.
    pub rules: &'a [Rule],
    /// The parsers' settings.
    pub settings: &'a BTreeMap<Log, Settings>,
}

/// What is wanted of a record, and what is known of it.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Its uid, if that was told anywhere; empty where it has none.
    uid: Option<String>,
    /// The name of its file then.
    file: Option<String>,
    log: Option<Log>,
}

/// What stands at one place of a file.
struct Seen {
    uid: String,
    line: Option<Vec<u8>>,
    record: Vec<u8>,
}

/// Looks for the lines of all events that `explanation` speaks of.
pub fn read_lines(explanation: &mut Explanation, logs: &Logs<'_>) {
    let mut wanted: BTreeMap<Prefix, BTreeMap<u64, Wanted>> = BTreeMap::new();
    for (id, spot) in explanation.events() {
        let known = explanation.lines.get(&id);
        let told = spot.as_ref().map(|spot| spot.uid.clone());
        let want = Wanted {
            uid: told.or_else(|| known?.uid.clone()),
            file: spot.as_ref().map(|spot| spot.file.to_string()),
            log: spot.map(|spot| spot.log).or_else(|| known?.log),
        };
        wanted.entry(id.prefix()).or_default().insert(id.offset(), want);
    }
    let (all, _) = discover(logs.paths);
    let prefixes: BTreeSet<Prefix> = wanted.keys().copied().collect();
    let located = locate(all.clone(), logs.settings, logs.sensor_id, &prefixes);
    for (prefix, mut wanted) in wanted {
        let (log, files) = match located.get(&prefix) {
            Some(located) => (Some(located.log), located.files.clone()),
            None => (None, by_name(&all, &wanted)),
        };
        let mut why: BTreeMap<u64, String> = BTreeMap::new();
        for file in files {
            let Some(log) = log.or_else(|| wanted.values().find_map(|want| want.log)) else {
                break;
            };
            let seen = look(&file, log, &wanted, logs, &mut why);
            for (offset, seen) in seen {
                wanted.remove(&offset);
                let line = explanation.lines.entry(prefix.id(offset)).or_default();
                line.log = Some(log);
                line.uid = Some(seen.uid);
                let file = file.relative.clone();
                line.found = Some(Ok(Found { file, line: seen.line, record: seen.record }));
            }
        }
        for offset in wanted.into_keys() {
            let gone = || "no file with this beginning is there any more".to_owned();
            let why = why.remove(&offset).unwrap_or_else(gone);
            explanation.lines.entry(prefix.id(offset)).or_default().found = Some(Err(why));
        }
    }
}

/// Files that have the name that was told, where none has the content: they may have parted from
/// one that is gone. Only a record whose uid is known can be found in them.
fn by_name(all: &[replay::Found], wanted: &BTreeMap<u64, Wanted>) -> Vec<replay::Found> {
    let named = |file: &&replay::Found| {
        wanted.values().any(|want| {
            want.file.as_ref() == Some(&file.relative)
                && want.uid.as_ref().is_some_and(|uid| !uid.is_empty())
        })
    };
    all.iter().filter(named).cloned().collect()
}

/// Reads a file up to the last record that is wanted of it; why others were not found.
fn look(
    file: &replay::Found,
    log: Log,
    wanted: &BTreeMap<u64, Wanted>,
    logs: &Logs<'_>,
    why: &mut BTreeMap<u64, String>,
) -> BTreeMap<u64, Seen> {
    let mut found = BTreeMap::new();
    let mut say = |reason: &str| {
        for offset in wanted.keys() {
            why.insert(*offset, format!("{}: {reason}", file.relative));
        }
    };
    let mut reader = match Reader::open(&file.path) {
        Ok(reader) => reader,
        Err(error) => {
            say(&error.to_string());
            return found;
        }
    };
    say("no record begins there any more");
    let Some(settings) = logs.settings.get(&log) else { return found };
    let mut columns = vec![UID];
    if log == Log::Files {
        columns.extend([files::FUID, files::CONN_UIDS]);
    }
    let settings = Settings { wanted: columns, ..settings.clone() };
    let Some(last) = wanted.keys().last().copied() else { return found };
    let mut fields = [Fields::new(log, logs.rules), Fields::new(log, &[])];
    let (mut parser, mut batch) = (Parser::new(&settings), settings.batch());
    let mut buffer = Buffer::default();
    let mut take = |batch: &mut Batch| {
        for row in 0..batch.rows() {
            let Some(want) = wanted.get(&batch.lines[row].offset) else { continue };
            let seen = show(batch, row, &mut fields);
            if want.uid.as_ref().is_none_or(|uid| *uid == seen.uid) {
                found.insert(batch.lines[row].offset, seen);
            }
        }
        batch.clear();
    };
    loop {
        let progress = parser.parse(buffer.get(), BATCH_ROWS_MAX, &mut batch);
        buffer.consume(progress.consumed);
        take(&mut batch);
        if parser.offset() > last {
            return found;
        }
        if progress.is_full {
            continue;
        }
        match reader.read(buffer.room(READ_BYTES, settings.line_bytes_max)) {
            Ok(0) => {
                parser.finish(buffer.get(), &mut batch);
                take(&mut batch);
                return found;
            }
            Ok(count) => buffer.filled(count),
            Err(trouble) => {
                for offset in wanted.keys().filter(|offset| **offset >= parser.offset()) {
                    why.insert(*offset, format!("{}: {trouble}", file.relative));
                }
                return found;
            }
        }
    }
}

/// A record as it may be shown.
fn show(batch: &Batch, row: usize, fields: &mut [Fields; 2]) -> Seen {
    let [record, all] = fields.each_mut().map(|fields| {
        let mut out = Vec::new();
        fields.write(batch, row, &mut out, &mut Vec::new());
        out
    });
    // Where both say the same, nothing of the line is hidden.
    let line = (record == all).then(|| batch.bytes(batch.lines[row].span).to_vec());
    Seen { uid: batch.uid(row).as_str().to_owned(), line, record }
}

/// Whether the record of an event can be found in the logs, of which nothing else is known.
#[must_use]
pub fn event_alone(id: Id, logs: &Logs<'_>) -> Option<Explanation> {
    let mut explanation = Explanation {
        id: id.to_string(),
        kind: "event".to_owned(),
        event: Some(id),
        ..Explanation::default()
    };
    read_lines(&mut explanation, logs);
    let found = explanation.lines.get(&id).and_then(|line| line.found.as_ref());
    found.is_some_and(Result::is_ok).then_some(explanation)
}
