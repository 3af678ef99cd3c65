//! Planted logs: scenarios of which the truth is known, what the program finds in them, and whether
//! that is right. `language` says how a scenario is written down; the scenarios are files in
//! tests/data/planted.
//!
//! Shared by the tests and by `make evaluate`. Not here: how anything is detected.

mod dice;
mod expand;
mod judge;
mod language;
mod log;
mod scenario;
mod table;
mod units;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

pub(crate) use dice::Dice;
pub(crate) use expand::{Crime, expand};
pub(crate) use judge::{Found, found, judge};
pub(crate) use language::parse;
pub(crate) use scenario::{DAY, DAY_0, Expected, HOUR, MINUTE, SECOND, Scenario};
pub(crate) use table::table;

/// Replays at a time.
const REPLAYS_MAX: usize = 2;

/// What came of a scenario.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) records: usize,
    pub(crate) truth: Vec<Expected>,
    pub(crate) crimes: Vec<Crime>,
    pub(crate) found: Vec<Found>,
    /// Empty where everything is right.
    pub(crate) wrong: Vec<String>,
}

/// The names of all scenarios.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(directory()).expect("the scenarios are there");
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".txt")?.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// The scenario of this name, or its mistakes.
pub(crate) fn scenario(name: &str) -> Result<Scenario, String> {
    let include = |used: &str| {
        fs::read_to_string(directory().join("include").join(format!("{used}.txt"))).ok()
    };
    let text = fs::read_to_string(directory().join(format!("{name}.txt")));
    let text = text.map_err(|error| format!("{name}: {error}"))?;
    parse(name, &text, &include).map_err(|mistakes| mistakes.join("\n"))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/planted")
}

/// Runs `program` on these scenarios; outcomes in their order.
pub(crate) fn evaluate(program: &Path, names: &[String]) -> Vec<Outcome> {
    let waiting = Mutex::new(names.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = waiting.lock().expect("nobody panics with it").next();
            let Some((index, name)) = next else { break };
            let outcome = evaluate_one(program, name);
            done.lock().expect("nobody panics with it").push((index, outcome));
        }
    };
    thread::scope(|scope| {
        for _ in 0..REPLAYS_MAX {
            let builder = thread::Builder::new().name("evaluate".to_owned());
            builder.spawn_scoped(scope, work).expect("a thread");
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn evaluate_one(program: &Path, name: &str) -> Outcome {
    let mut outcome = Outcome {
        name: name.to_owned(),
        records: 0,
        truth: Vec::new(),
        crimes: Vec::new(),
        found: Vec::new(),
        wrong: Vec::new(),
    };
    let scenario = match scenario(name) {
        Ok(scenario) => scenario,
        Err(mistakes) => {
            outcome.wrong.push(mistakes);
            return outcome;
        }
    };
    let expansion = expand(&scenario);
    outcome.truth = scenario.truth;
    outcome.records = expansion.records;
    outcome.crimes = expansion.crimes;
    match replay(program, &expansion.conn) {
        Ok(found) => {
            outcome.wrong = judge(&outcome.truth, &outcome.crimes, &found);
            outcome.found = found;
        }
        Err(wrong) => outcome.wrong.push(wrong),
    }
    outcome
}

/// What `pcr` finds in a `conn.log`, of which every line has to be a record.
fn replay(program: &Path, conn: &str) -> Result<Vec<Found>, String> {
    let place = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    let path = |name: &str| place.path().join(name);
    fs::write(path("conn.log"), conn).map_err(|error| error.to_string())?;
    let run = Command::new(program)
        .current_dir(place.path())
        .args(["replay", "--set", "event.emit=\"none\"", "-o", "out", "conn.log"])
        .output()
        .map_err(|error| error.to_string())?;
    if !run.status.success() {
        return Err(format!("replay: {}", String::from_utf8_lossy(&run.stderr)));
    }
    let read = |name: &str| fs::read_to_string(path("out").join(name));
    let letters = read("dead-letter.ndjson").map_err(|error| error.to_string())?;
    if !letters.is_empty() {
        return Err(format!("{} lines are no records", letters.lines().count()));
    }
    let alerts = read("alerts.ndjson").map_err(|error| error.to_string())?;
    let mut pcr = Vec::new();
    for line in alerts.lines() {
        let document: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        pcr.extend(found(&document, "pcr")?);
    }
    Ok(pcr)
}
