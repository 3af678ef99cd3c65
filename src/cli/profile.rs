//! `profile`: what is usual of entities, by the state of a daemon or of a replay.

use std::path::Path;

use serde_json::Value;

use crate::config::Plan;
use crate::record::Entity;
use crate::state::CannotOpen;
use crate::wiring;
use crate::wiring::explain::is_state;
use crate::wiring::profile::{LISTED_MAX, by_state, meant};

use super::args::{Args, Profile};
use super::exit::Exit;
use super::{Failed, daemon, equipped, explained, print, shown, tell};

/// Finds out, and prints it.
pub(super) fn run(args: &Args, profile: &Profile) -> Result<Exit, Failed> {
    let plan = equipped(args)?;
    match profile {
        Profile::List(list) => {
            let found = find(&plan, list.from.as_deref(), None)?.unwrap_or_default();
            if list.json {
                print(&explained::json(&found))?;
            } else {
                print(&listed(&found))?;
            }
            let count = memchr::memchr_iter(b'\n', &found).count();
            if count == LISTED_MAX && !args.quiet {
                tell(&format!("the first {LISTED_MAX}: there may be more"));
            }
        }
        Profile::Show(show) => {
            let text: String = shown(&show.entity).chars().take(80).collect();
            let Some(entity) = meant(&plan, &show.entity) else {
                let why = format!("{text} is no entity (host:10.0.0.5, 10.0.0.5, user:alice)");
                return Err(Failed::new(Exit::Usage, anyhow::Error::msg(why)));
            };
            let Some(found) = find(&plan, show.from.as_deref(), Some(&entity))? else {
                let why = format!("{text} has no profile: it was not heard for an hour yet");
                return Err(Failed::new(Exit::Data, anyhow::Error::msg(why)));
            };
            if show.json {
                print(&explained::json(&found))?;
            } else {
                print(&told(&found))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The documents, from the state or from the daemon that has it.
fn find(plan: &Plan, from: Option<&Path>, of: Option<&Entity>) -> Result<Option<Vec<u8>>, Failed> {
    let directory = from.unwrap_or(&plan.state);
    if !is_state(directory) {
        let why = format!(
            "{} holds no state: --from DIR says where one is (run and replay --state leave one)",
            shown(directory.display())
        );
        return Err(Failed::new(Exit::Io, anyhow::Error::msg(why)));
    }
    match by_state(plan, directory, of) {
        Err(CannotOpen::Locked(_)) => {
            let path = match of {
                Some(entity) => {
                    let id = entity.id(&wiring::scope(plan));
                    format!("profiles/{}", daemon::escaped(&id))
                }
                None => "profiles".to_owned(),
            };
            daemon::ask(directory, &path, "")
        }
        found => found.map_err(|error| {
            let exit = if error.is_configuration() { Exit::Config } else { Exit::Io };
            Failed::new(exit, error)
        }),
    }
}

fn text<'a>(document: &'a Value, key: &str) -> &'a str {
    document.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A number as people read it: thousands together, and of small ones the decimals.
fn number(value: Option<&Value>) -> String {
    let number = value.and_then(Value::as_f64).unwrap_or_default();
    match number {
        _ if number >= 1e9 => format!("{:.1} G", number / 1e9),
        _ if number >= 1e6 => format!("{:.1} M", number / 1e6),
        _ if number >= 1e4 => format!("{:.1} k", number / 1e3),
        _ if number.fract() == 0.0 => format!("{number}"),
        _ => format!("{number:.2}"),
    }
}

fn group(document: &Value) -> String {
    match document.get("group") {
        Some(group) => format!("{} of {}", number(group.get("id")), number(group.get("size"))),
        None => "-".to_owned(),
    }
}

fn listed(documents: &[u8]) -> String {
    let mut out = String::new();
    line!(out, "{:<40} {:>6} {:>5}  {:<20} group", "entity", "hours", "days", "last heard");
    for document in documents.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(document) = serde_json::from_slice::<Value>(document) else { continue };
        let last: String = text(&document, "last").chars().take(16).collect();
        let (hours, days) = (number(document.get("hours")), number(document.get("days")));
        let entity = shown(text(&document, "entity"));
        line!(out, "{entity:<40} {hours:>6} {days:>5}  {last:<20} {}", group(&document));
    }
    out
}

fn told(document: &[u8]) -> String {
    let Ok(it) = serde_json::from_slice::<Value>(document) else { return String::new() };
    let mut out = String::new();
    line!(out, "{}", shown(text(&it, "entity")));
    let (hours, days) = (number(it.get("hours")), number(it.get("days")));
    line!(out, "  heard      in {hours} hours on {days} days before today");
    line!(out, "             from {} to {}", text(&it, "first"), text(&it, "last"));
    line!(out, "  certainty  {}", number(it.get("certainty")));
    line!(out, "  peers      {}", group(&it));
    week(&it, &mut out);
    line!(out, "  {:<16} {:>30} {:>30}  drift", "", "an hour", "a day");
    let measures = it.get("measures").and_then(Value::as_array);
    for measure in measures.into_iter().flatten() {
        let usual = |span: &str| match measure.get(span) {
            Some(usual) => format!(
                "{} ({} to {}), most {}",
                number(usual.get("centre")),
                number(usual.get("low")),
                number(usual.get("high")),
                number(usual.get("most"))
            ),
            None => "-".to_owned(),
        };
        let drift = number(measure.get("drift"));
        let name = text(measure, "name");
        line!(out, "  {name:<16} {:>30} {:>30}  {drift}", usual("hour"), usual("day"));
    }
    out
}

/// When it works: a letter for each hour of the week.
fn week(it: &Value, out: &mut String) {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let hours: Vec<u64> = it
        .get("week")
        .and_then(Value::as_array)
        .map(|hours| hours.iter().map(|hour| hour.as_u64().unwrap_or_default()).collect())
        .unwrap_or_default();
    let most = hours.iter().copied().max().unwrap_or_default().max(1);
    line!(out, "  works      (UTC, . never, 9 most)");
    for (day, hours) in DAYS.iter().zip(hours.chunks(24)) {
        let letters: String = hours
            .iter()
            .map(|worked| match worked * 9 / most {
                0 if *worked == 0 => '.',
                share => char::from(b'0' + share.min(9) as u8),
            })
            .collect();
        line!(out, "    {day}      {letters}");
    }
}
