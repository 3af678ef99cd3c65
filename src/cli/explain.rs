//! `explain`: why a score is what it is, down to the lines of the logs.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Plan;
use crate::document::{Explanation, write_explanation};
use crate::explain::{Asked, Logs, Outputs, event_alone, parse_explanation, read_lines};
use crate::state::CannotOpen;
use crate::wiring;
use crate::wiring::explain::{by_state, is_state};

use super::args::{Args, Explain};
use super::exit::Exit;
use super::{Failed, daemon, equipped, explained, print, tell};

/// Finds out, and prints it.
pub(super) fn run(args: &Args, explain: &Explain) -> Result<Exit, Failed> {
    let plan = equipped(args)?;
    let Some(asked) = Asked::parse(&explain.id, &wiring::scope(&plan), plan.by_64) else {
        let id = super::shown(&explain.id);
        let id: String = id.chars().take(80).collect();
        let why = format!(
            "{id} is no entity (host:10.0.0.5, 10.0.0.5, user:alice) and no id (32 hex digits)"
        );
        return Err(Failed::new(Exit::Usage, anyhow::Error::msg(why)));
    };
    let source = Source::find(&plan, explain.from.as_deref())?;
    if !args.quiet {
        tell(&format!("from {}", super::shown(source.path().display())));
    }
    let settings = wiring::parsers(&plan);
    let paths = if explain.logs.is_empty() { &plan.roots } else { &explain.logs };
    let logs = Logs { paths, sensor_id: &plan.sensor_id, rules: &plan.redact, settings: &settings };
    let Some(mut found) = source.explain(&plan, &asked, &logs)? else {
        let id: String = super::shown(&explain.id).chars().take(80).collect();
        let from = super::shown(source.path().display());
        let why = match asked {
            Asked::Entity(_) => format!("nothing is known of {id} in {from}"),
            Asked::Id(_) => format!(
                "{id} is in {from} no alert, no risk document and no event, and none of the logs \
                 has an event of this id"
            ),
        };
        return Err(Failed::new(Exit::Data, anyhow::Error::msg(why)));
    };
    read_lines(&mut found, &logs);
    if !explain.json {
        print(&explained::text(&found))?;
        return Ok(Exit::Done);
    }
    let mut document = Vec::new();
    write_explanation(&found, &mut document);
    print(&explained::json(&document))?;
    Ok(Exit::Done)
}

/// Where it stands why.
enum Source {
    /// Documents.
    Outputs(Outputs),
    /// A state.
    State(PathBuf),
}

impl Source {
    /// What there is in `from`; without it the daemon's state, else its outputs, else `./replay`.
    fn find(plan: &Plan, from: Option<&Path>) -> Result<Self, Failed> {
        if let Some(from) = from {
            return Self::of(from).ok_or_else(|| {
                let from = super::shown(from.display());
                let why = format!("{from} holds neither a state nor alerts.ndjson or risk.ndjson");
                Failed::new(Exit::Io, anyhow::Error::msg(why))
            });
        }
        let outputs = plan.ndjson.as_deref();
        let places = [Some(plan.state.as_path()), outputs, Some(Path::new("replay"))];
        let mut places = places.into_iter().flatten();
        places.find_map(Self::of).ok_or_else(|| {
            let why = "there is neither a state (state.dir) nor outputs (sink.ndjson.dir), nor \
                       ./replay: --from DIR says where they are";
            Failed::new(Exit::Io, anyhow::Error::msg(why))
        })
    }

    fn of(directory: &Path) -> Option<Self> {
        if is_state(directory) {
            return Some(Self::State(directory.to_owned()));
        }
        Outputs::at(directory).map(Self::Outputs)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Outputs(outputs) => outputs.directory(),
            Self::State(directory) => directory,
        }
    }

    /// What it says, with what events say where there are any; nothing where nobody knows it.
    fn explain(
        &self,
        plan: &Plan,
        asked: &Asked,
        logs: &Logs<'_>,
    ) -> Result<Option<Explanation>, Failed> {
        let (found, outputs) = match self {
            Self::Outputs(outputs) => (by_outputs(plan, outputs, asked)?, Some(outputs.clone())),
            Self::State(directory) => {
                let found = by_state(plan, directory, asked);
                let found = match found {
                    Err(CannotOpen::Locked(_)) => ask(directory, asked, plan)?,
                    found => found.map_err(cannot_open)?,
                };
                // What the state forgot, or never knew, its daemon may have written.
                let outputs = plan.ndjson.as_deref().and_then(Outputs::at);
                match (found, &outputs, asked) {
                    (None, Some(outputs), Asked::Id(_)) => {
                        (by_outputs(plan, outputs, asked)?, Some(outputs.clone()))
                    }
                    (found, ..) => (found, outputs),
                }
            }
        };
        let mut explanation = match (found, asked) {
            (Some(found), _) => found,
            (None, Asked::Entity(_)) => return Ok(None),
            (None, Asked::Id(id)) => {
                let mut alone = Explanation {
                    id: id.to_string(),
                    kind: "event".to_owned(),
                    event: Some(*id),
                    ..Explanation::default()
                };
                let is_told = match &outputs {
                    Some(outputs) => outputs.add_events(&mut alone).map_err(cannot_read)?,
                    None => false,
                };
                return Ok(if is_told { Some(alone) } else { event_alone(*id, logs) });
            }
        };
        let lacks_scores = explanation.event.is_some();
        let lacks_uids = explanation.events().values().any(Option::is_none);
        if let Some(outputs) = outputs.filter(|_| lacks_scores || lacks_uids) {
            outputs.add_events(&mut explanation).map_err(cannot_read)?;
        }
        Ok(Some(explanation))
    }
}

fn by_outputs(
    plan: &Plan,
    outputs: &Outputs,
    asked: &Asked,
) -> Result<Option<Explanation>, Failed> {
    outputs.explain(asked, &wiring::scope(plan)).map_err(cannot_read)
}

fn cannot_read(error: io::Error) -> Failed {
    Failed::new(Exit::Io, anyhow::Error::msg(super::shown(error)))
}

fn cannot_open(error: CannotOpen) -> Failed {
    let exit = if error.is_configuration() { Exit::Config } else { Exit::Io };
    Failed::new(exit, error)
}

/// Asks the daemon that has the state.
fn ask(directory: &Path, asked: &Asked, plan: &Plan) -> Result<Option<Explanation>, Failed> {
    let id = match asked {
        Asked::Entity(entity) => entity.id(&wiring::scope(plan)),
        Asked::Id(id) => id.to_string(),
    };
    let path = format!("explain/{}", daemon::escaped(&id));
    let other = "; --from DIR explains from its outputs";
    let Some(body) = daemon::ask(directory, &path, other)? else { return Ok(None) };
    match parse_explanation(&body) {
        Some(found) => Ok(Some(found)),
        None => Err(daemon::missing(directory, "answers with something else", other)),
    }
}
