//! Days of an office, made of real sessions, with and without something planted in them; what the
//! program finds in them, and what it says of the innocent.
//!
//! Shared by the tests and by `make evaluate`. Not here: how anything is detected.

mod capture;
mod columns;
mod judge;
mod office;
mod plant;
pub(crate) mod poisson;
mod table;
mod write;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

pub(crate) use capture::{SOURCES, sessions};
pub(crate) use columns::Kind;
pub(crate) use judge::{Said, Verdict, judge};
pub(crate) use office::Office;
pub(crate) use plant::{Planting, names, plant};
pub(crate) use table::tables;
pub(crate) use write::Logs;

/// The seed of the days that are shown.
pub(crate) const SEED: &str = "office";
/// Replays at a time.
const REPLAYS_MAX: usize = 2;

/// What came of all days.
pub(crate) struct Days {
    hosts: usize,
    records: usize,
    sessions: usize,
    host_days: usize,
    /// The stages that were looked at, and `risk`.
    detectors: Vec<String>,
    pub(crate) clean: Said,
    pub(crate) planted: Vec<(Planting, Verdict)>,
}

/// Lives through the days, without and with each of these plantings, and runs `program` on them.
pub(crate) fn evaluate(program: &Path, data: &Path, names: &[&str]) -> Result<Days, String> {
    let office = Office::new(SEED, data)?;
    let days = office.days();
    // The first is without.
    let variations: Vec<Option<&str>> =
        [None].into_iter().chain(names.iter().copied().map(Some)).collect();
    let waiting = Mutex::new(variations.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = waiting.lock().expect("nobody panics with it").next();
            let Some((index, name)) = next else { break };
            let mut logs = days.clone();
            let planting = name.map(|name| plant(name, &office, &mut logs));
            let said = replay(program, &logs);
            done.lock().expect("nobody panics with it").push((index, planting, said));
        }
    };
    thread::scope(|scope| {
        for _ in 0..REPLAYS_MAX {
            let builder = thread::Builder::new().name("evaluate".to_owned());
            builder.spawn_scoped(scope, work).expect("a thread");
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(index, ..)| *index);
    let mut done = done.into_iter();
    let clean = done.next().expect("the first").2?;
    let mut planted = Vec::new();
    for (_, planting, said) in done {
        let planting = planting.expect("all but the first");
        let verdict = judge(&planting, &said?, &clean);
        planted.push((planting, verdict));
    }
    Ok(Days {
        hosts: office.hosts.len(),
        records: days.records(),
        sessions: SOURCES.iter().map(|it| sessions(data, it).map_or(0, |it| it.len())).sum(),
        host_days: office.host_days(),
        detectors: detectors(program)?,
        clean,
        planted,
    })
}

/// What may alert.
fn detectors(program: &Path) -> Result<Vec<String>, String> {
    let run = Command::new(program).arg("stages").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let is_stage = |line: &&str| line.contains("  (") && !line.starts_with(' ');
    let stages = text.lines().filter(is_stage);
    let name = |line: &str| line.split("  ").next().unwrap_or_default().to_owned();
    Ok(stages.map(name).chain(["risk".to_owned()]).collect())
}

/// Writes logs into a directory.
pub(crate) fn write_logs(logs: &Logs, directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    for kind in Kind::ALL {
        let path = directory.join(format!("{}.log", kind.name()));
        fs::write(path, logs.render(kind)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What the program says of logs, of which every line has to be a record.
fn replay(program: &Path, logs: &Logs) -> Result<Said, String> {
    let place = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    write_logs(logs, &place.path().join("logs"))?;
    let run = Command::new(program)
        .current_dir(place.path())
        .args(["replay", "--set", "event.emit=\"none\"", "-o", "out", "logs"])
        .output()
        .map_err(|error| error.to_string())?;
    if !run.status.success() {
        return Err(format!("replay: {}", String::from_utf8_lossy(&run.stderr)));
    }
    let read = |name: &str| {
        fs::read_to_string(place.path().join("out").join(name)).map_err(|error| error.to_string())
    };
    let letters = read("dead-letter.ndjson")?;
    if !letters.is_empty() {
        return Err(format!("{} lines are no records: {letters:.300}", letters.lines().count()));
    }
    Said::read(&read("alerts.ndjson")?, &read("risk.ndjson")?)
}

/// `text` with the tables between its marks.
pub(crate) fn between_marks(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once("<!-- days -->\n")?;
    let (_, after) = rest.split_once("<!-- /days -->")?;
    Some(format!("{before}<!-- days -->\n{tables}<!-- /days -->{after}"))
}
