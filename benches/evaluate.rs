//! What the program finds in logs of which the truth is known: `make evaluate`, or some of them:
//!
//! ```text
//! cargo bench --bench evaluate -- role-shift-tls video-call
//! cargo bench --bench evaluate -- --logs DIR     only writes the logs, as DIR/NAME/conn.log
//! ```
//!
//! Ends with 1 where any verdict is wrong. And what it finds in three weeks of an office that are
//! made of real sessions:
//!
//! ```text
//! cargo bench --bench evaluate -- days --data DIR [scanner ...]
//! ```
//!
//! with `--write` into docs/detection.md, with `--program PATH` by another program, with `--logs
//! DIR` only the logs, as DIR/NAME/conn.log and so on.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::print_stderr, reason = "and its mistakes")]

#[path = "../tests/planted/days/mod.rs"]
mod days;
#[path = "../tests/planted/evaluation/mod.rs"]
mod evaluation;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo adds --bench.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    if words.first().is_some_and(|word| word == "days") {
        return match live(words.split_off(1)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message),
        };
    }
    let logs = match option(&mut words, "--logs") {
        Ok(logs) => logs,
        Err(message) => return fail(&message),
    };
    let known = evaluation::names();
    if let Some(word) = words.iter().find(|word| !known.contains(word)) {
        return fail(&format!("{word} is none of {}", known.join(", ")));
    }
    let names = if words.is_empty() { known } else { words };
    if let Some(directory) = logs {
        return match names.iter().try_for_each(|name| write(Path::new(&directory), name)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message),
        };
    }
    let program = Path::new(env!("CARGO_BIN_EXE_zeek-ueba"));
    let outcomes = evaluation::evaluate(program, &names);
    print!("{}", evaluation::table(&outcomes));
    ExitCode::from(u8::from(outcomes.iter().any(|outcome| !outcome.wrong.is_empty())))
}

/// The value of an option, which leaves the words.
fn option(words: &mut Vec<String>, name: &str) -> Result<Option<String>, String> {
    match words.iter().position(|word| word == name) {
        Some(at) if at + 1 < words.len() => Ok(words.drain(at..at + 2).nth(1)),
        Some(_) => Err(format!("{name} what?")),
        None => Ok(None),
    }
}

/// The days of the office.
fn live(mut words: Vec<String>) -> Result<(), String> {
    let data = option(&mut words, "--data")?.unwrap_or_else(|| "../shared/data".to_owned());
    let program = option(&mut words, "--program")?;
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_zeek-ueba").to_owned());
    let logs = option(&mut words, "--logs")?;
    let is_written = words.iter().any(|word| word == "--write");
    words.retain(|word| word != "--write");
    let known = days::names();
    if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
        return Err(format!("{word} is none of {}", known.join(", ")));
    }
    let is_chosen = |name: &&str| words.is_empty() || words.iter().any(|word| word == name);
    let names: Vec<&str> = known.into_iter().filter(is_chosen).collect();
    let data = Path::new(&data);
    if let Some(directory) = logs {
        let office = days::Office::new(days::SEED, data)?;
        let clean = office.days();
        days::write_logs(&clean, &Path::new(&directory).join("clean"))?;
        return names.iter().try_for_each(|name| {
            let mut logs = clean.clone();
            days::plant(name, &office, &mut logs);
            days::write_logs(&logs, &Path::new(&directory).join(name))
        });
    }
    let program = fs::canonicalize(&program).map_err(|error| format!("{program}: {error}"))?;
    let tables = days::tables(&days::evaluate(&program, data, &names)?);
    print!("{tables}");
    if is_written {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detection.md");
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let text = days::between_marks(&text, &tables).ok_or("docs/detection.md has no marks")?;
        fs::write(&path, text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str) -> Result<(), String> {
    let conn = evaluation::expand(&evaluation::scenario(name)?).conn;
    let directory = directory.join(name);
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    fs::write(directory.join("conn.log"), conn).map_err(|error| error.to_string())
}

fn fail(message: &str) -> ExitCode {
    eprintln!("evaluate: {message}");
    ExitCode::from(2)
}
