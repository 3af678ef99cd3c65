//! Floor 6: the configuration: what the user wrote (`raw`), what may be written (`schema`), every
//! mistake at once (`read`, `diagnose`), and what it comes to (`plan`).
//!
//! Not here: what the values do.

mod diagnose;
mod plan;
mod raw;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod unit;

use std::fs;
use std::path::Path;

pub use diagnose::Mistake;
pub use plan::{Emit, Plan, Redact, Shown, StagePlan};
pub use schema::{SECTIONS, StageKeys};

use crate::base::limits::CONFIG_BYTES_MAX;
use diagnose::Place;
use raw::Raw;
use schema::Schema;

/// The file that is read where none is named and it exists.
const DEFAULT_FILE: &str = "pipeline.toml";

/// Reads the configuration at `path`, or `./pipeline.toml` where it exists, or the defaults, with
/// `sets` (`key.path=value`) laid over it.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn load(
    path: Option<&Path>,
    sets: &[String],
    stages: &[StageKeys],
) -> Result<Plan, Vec<Mistake>> {
    let default = Path::new(DEFAULT_FILE);
    let found = path.or_else(|| default.exists().then_some(default));
    let (text, name) = match found {
        Some(path) => {
            let name = path.display().to_string();
            let text = text(path).map_err(|why| {
                vec![Mistake::unreadable(Place::whole(&name), &format!("cannot be read: {why}"))]
            })?;
            (text, name)
        }
        None => (String::new(), "built-in defaults".to_owned()),
    };
    resolve(&text, &name, sets, stages)
}

fn text(path: &Path) -> Result<String, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a regular file".to_owned());
    }
    if meta.len() > CONFIG_BYTES_MAX {
        return Err(format!("larger than {CONFIG_BYTES_MAX} bytes"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Resolves a text that was read from `file`.
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn resolve(
    text: &str,
    file: &str,
    sets: &[String],
    stages: &[StageKeys],
) -> Result<Plan, Vec<Mistake>> {
    let mut raw = Raw::parse(file, text);
    for item in sets {
        raw.overlay(item);
    }
    let tables = read::read(&raw, &Schema::new(stages))?;
    Ok(Plan::new(&tables, stages))
}
