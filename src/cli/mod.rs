//! Floor 9: commands, their arguments, their output, their exit codes.

/// Appends a line to a string.
macro_rules! line {
    ($out:expr, $($words:tt)*) => {{
        $out.push_str(&format!($($words)*));
        $out.push('\n');
    }};
}

mod args;
mod check;
mod daemon;
mod dlq;
mod download;
mod exit;
mod explain;
mod explained;
mod features;
mod items;
mod log;
mod profile;
mod reload;
mod replay;
mod run;
mod score;
mod service;
mod setup;
mod stages;
mod summary;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use args::{Args, Command};
pub use exit::Exit;

use crate::config::{self, Plan};
use crate::model::{self, LEAST};
use crate::wiring::models;

/// Parses the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            // There is nobody left to tell that it could not be printed.
            drop(print(&version()));
            return Exit::Done.into();
        }
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // There is nobody left to tell that the message could not be printed.
            drop(error.print());
            return exit.into();
        }
    };
    let limit = log::start(&args);
    let result = match &args.command {
        Command::Replay(replay) => replay::run(&args, replay),
        Command::Run(run) => run::run(&args, run, &limit),
        Command::Check(check) => check::run(&args, check),
        Command::Setup(setup) => setup::run(&args, setup),
        Command::Profile(profile) => profile::run(&args, profile),
        Command::Explain(explain) => explain::run(&args, explain),
        Command::Dlq(dlq) => dlq::run(&args, dlq),
        Command::Score(score) => score::run(&args, score),
        Command::Features(features) => features::run(features),
        Command::Stages => stages::run(),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            tell(&format!("zeek-ueba: {:#}", failure.error));
            failure.exit.into()
        }
    }
}

/// The program, and the libraries that are not built into every copy of it alike.
fn version() -> String {
    let library = match model::load(None) {
        Ok(()) => model::version().unwrap_or_default(),
        Err(_) => "not beside the program".to_owned(),
    };
    let (_, rdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "zeek-ueba {}\nONNX Runtime >= {LEAST}: {library}\nlibrdkafka {rdkafka}\n",
        args::VERSION
    )
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub struct Failed {
    error: anyhow::Error,
    exit: Exit,
}

impl Failed {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), exit }
    }
}

/// The plan of the configuration, or all of its mistakes, printed.
fn plan(args: &Args) -> Result<Plan, Failed> {
    config::load(args.config.as_deref(), &args.set, &crate::wiring::stage_keys()).map_err(
        |mistakes| {
            for mistake in &mistakes {
                tell(&mistake.to_string());
            }
            let count = mistakes.len();
            let plural = if count == 1 { "mistake" } else { "mistakes" };
            Failed::new(Exit::Config, anyhow::anyhow!("{count} {plural} in the configuration"))
        },
    )
}

/// The plan with the models that it needs; says which stages are off for want of them.
fn equipped(args: &Args) -> Result<Plan, Failed> {
    let mut plan = plan(args)?;
    let trouble = models::equip(&mut plan).map_err(|trouble| Failed::new(Exit::Config, trouble))?;
    if let Some(trouble) = trouble {
        let off = models::missing(&plan).join(", ");
        tracing::warn!(stages = off, "stages are off, all else runs: {trouble}");
    }
    Ok(plan)
}

/// Writes results to standard output; a reader that went away is no failure of ours.
fn print(text: &str) -> Result<(), Failed> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::new(Exit::Io, anyhow::Error::from(error).context("standard output")))
        }
        _ => Ok(()),
    }
}

/// Writes a message of one or more lines to standard error; what names and servers say in it does
/// not speak to a terminal.
fn tell(text: &str) {
    let lines: Vec<String> = text.split('\n').map(shown).collect();
    // There is nobody left to tell that this could not be written.
    drop(writeln!(io::stderr().lock(), "{}", lines.join("\n")));
}

/// A path, a name, or what the system says, as [`shown_bytes`].
fn shown(text: impl Display) -> String {
    shown_bytes(text.to_string().as_bytes())
}

/// Bytes as a terminal may have them: what would speak to it, or change the order of what is there,
/// is escaped; a tab is a tab.
fn shown_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => out.push(c),
                _ if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
                _ => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Marks that turn the direction of writing, or that nobody sees.
fn is_invisible(c: char) -> bool {
    let marks = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    matches!(c, '\u{61c}' | '\u{feff}') || marks.iter().any(|range| range.contains(&c))
}
