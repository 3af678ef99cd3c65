//! What the program finds in logs of which the truth is known: `make evaluate`, or some of them:
//!
//! ```text
//! cargo bench --bench evaluate -- role-shift-tls video-call
//! cargo bench --bench evaluate -- --logs DIR     only writes the logs, as DIR/NAME/conn.log
//! ```
//!
//! Ends with 1 where any verdict is wrong.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::print_stderr, reason = "and its mistakes")]

#[path = "../tests/planted/evaluation/mod.rs"]
mod evaluation;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo adds --bench.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let logs = match words.iter().position(|word| word == "--logs") {
        Some(at) if at + 1 < words.len() => words.drain(at..at + 2).nth(1),
        Some(_) => return fail("--logs DIR"),
        None => None,
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
