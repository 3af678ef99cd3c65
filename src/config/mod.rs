//! Floor 7: the configuration: what the user wrote (`raw`), what may be written (`schema`), every
//! mistake at once (`read`, `diagnose`), and what it comes to (`plan`).
//!
//! Not here: what the values do.

mod allow;
#[cfg(test)]
mod allow_tests;
mod criticality;
mod diagnose;
#[cfg(test)]
mod hostile;
mod plan;
mod raw;
mod read;
#[cfg(test)]
mod risk;
mod schema;
#[cfg(test)]
mod shipped;
mod sinks;
#[cfg(test)]
mod tests;
mod unit;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

pub use allow::{load_allow_list, parse_allow_list};
pub use diagnose::Mistake;
pub use plan::{Plan, StagePlan};
pub use schema::{SECTIONS, StageKeys};

use crate::base::keys::Settings;
use crate::base::limits::CONFIG_BYTES_MAX;
use diagnose::Place;
use plan::points;
use raw::Raw;
use schema::Schema;

/// The file that is read where none is named and it exists.
const DEFAULT_FILE: &str = "pipeline.toml";

/// Reads the configuration at `path`, or `./pipeline.toml` where it exists, or the defaults, with
/// `sets` (`key.path=value`) laid over it.
///
/// # Errors
/// Every mistake, in the order of the file; those of the allow-list where there is no other.
pub fn load(
    path: Option<&Path>,
    sets: &[String],
    stages: &[StageKeys],
) -> Result<Plan, Vec<Mistake>> {
    let default = Path::new(DEFAULT_FILE);
    // Not `exists`: a link that leads nowhere is a mistake, not an absent file.
    let found = path.or_else(|| fs::symlink_metadata(default).is_ok().then_some(default));
    let (text, name) = match found {
        Some(path) => {
            let name = path.display().to_string();
            (text(path, &name, CONFIG_BYTES_MAX).map_err(|mistake| vec![mistake])?, name)
        }
        None => (String::new(), "built-in defaults".to_owned()),
    };
    let mut plan = resolve(&text, &name, sets, stages)?;
    if let Some(path) = &plan.allow_list {
        let stages: Vec<&str> = stages.iter().map(|stage| stage.name).collect();
        plan.allow = load_allow_list(path, &stages)?;
    }
    Ok(plan)
}

fn text(path: &Path, file: &str, bytes_max: u64) -> Result<String, Mistake> {
    let cannot = |why: &dyn Display| {
        Mistake::unreadable(Place::whole(file), &format!("cannot be read: {why}"))
    };
    let meta = fs::metadata(path).map_err(|error| cannot(&error))?;
    if !meta.is_file() {
        return Err(cannot(&"not a regular file"));
    }
    let opened = File::open(path).map_err(|error| cannot(&error))?;
    // Bounded again while reading: the file may grow in between.
    let mut bytes = Vec::new();
    opened.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(cannot(&format!("larger than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default());
        let (line, column) = raw::line_column(&before);
        let place = Place { file: file.to_owned(), line, column };
        Mistake::unreadable(place, "not UTF-8 from here on")
    })
}

/// Resolves a text that was read from `file`; of other files it reads those that the text names in
/// `risk.criticality_csv`.
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn resolve(
    text: &str,
    file: &str,
    sets: &[String],
    stages: &[StageKeys],
) -> Result<Plan, Vec<Mistake>> {
    // A byte order mark is no part of the first line, so columns do not count it.
    let mut raw = Raw::parse(file, text.strip_prefix('\u{feff}').unwrap_or(text));
    for item in sets {
        raw.overlay(item);
    }
    let (tables, mut mistakes) = read::read(&raw, &Schema::new(stages));
    let criticality = criticality::read(&raw, &tables["risk"], &mut mistakes);
    mistakes.extend(marks(&raw, &tables["risk"]));
    if mistakes.is_empty() {
        return Ok(Plan::new(&tables, stages, criticality));
    }
    Err(Mistake::bounded(mistakes, file))
}

/// What is wrong between `risk.alert` and `risk.hysteresis`: a risk that is an alert must be able
/// to fall below the mark from which it may alert again.
fn marks(raw: &Raw<'_>, risk: &Settings) -> Option<Mistake> {
    let entry = |name: &str| raw.entries.iter().rfind(|it| it.path == ["risk", name]);
    let (alert, hysteresis) = (entry("alert"), entry("hysteresis"));
    let [alert_points, hysteresis_points] =
        ["alert", "hysteresis"].map(|name| points(risk.real(name)).0);
    let (entry, key, rule) = if alert_points == 0 {
        (alert?, "risk.alert", "must be more than 0")
    } else if hysteresis_points == 0 {
        (hysteresis?, "risk.hysteresis", "must be more than 0")
    } else if hysteresis_points >= alert_points {
        (hysteresis.or(alert)?, "risk.hysteresis", "must be less than risk.alert")
    } else {
        return None;
    };
    let hint = "a risk alerts again after it fell below risk.alert - risk.hysteresis".to_owned();
    let mistake = Mistake::bad_text(raw.place(entry.value.at), key, rule);
    Some(Mistake { hint: Some(hint), ..mistake })
}
