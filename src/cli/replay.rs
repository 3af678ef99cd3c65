//! `replay`: finished logs through the pipeline.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::Plan;
use crate::engine::{self, Failure};
use crate::replay::{Inventory, discover, take_inventory};
use crate::sink::{Also, CannotOpen, Ndjson, Network};
use crate::state::CannotOpen as CannotOpenState;
use crate::wiring;

use super::args::{Args, Emit, Replay};
use super::exit::Exit;
use super::{Failed, equipped, print, shown, summary};

/// Reads what there is, writes what it means, prints a summary.
pub(super) fn run(args: &Args, replay: &Replay) -> Result<Exit, Failed> {
    let mut plan = equipped(args)?;
    if !replay.internal.is_empty() {
        plan.set_internal(&replay.internal);
    }
    Ndjson::check(&replay.output).map_err(cannot_open)?;
    let networks = networks(&plan, &replay.emit)?;
    let settings = wiring::parsers(&plan);
    let (files, skipped) = discover(&replay.paths);
    let mut inventory = take_inventory(files, skipped, &settings);
    for skipped in &inventory.skipped {
        let path = shown(skipped.path.display());
        tracing::warn!(path = %path, reason = skipped.reason, "skipped");
    }
    for (twin, of) in &inventory.twins {
        let (path, of) = (shown(twin.path.display()), shown(of.path.display()));
        tracing::info!(path = %path, of = %of, "copy, read once");
    }
    if nothing_was_readable(&inventory) {
        let error = anyhow::anyhow!("nothing could be read: {}", reasons(&inventory));
        return Err(Failed::new(Exit::Io, error));
    }
    // Only now: what fails before leaves nothing that stands in the way of the next try.
    let sink = Also::new(Ndjson::create(&replay.output).map_err(cannot_open)?, networks);
    if let Some(journal) = &replay.journal {
        let files = std::mem::take(&mut inventory.lanes).into_values().flatten().collect();
        let result = wiring::retrace::run(&plan, &settings, journal, files, sink)
            .map_err(|error| Failed::new(Exit::Io, error))?;
        print(&summary::text(&result, &inventory, &replay.output))?;
        return Ok(Exit::Done);
    }
    let mut core = wiring::core(&plan);
    core.set_allow(plan.allow.clone());
    let mut kept = match &replay.state {
        Some(state) => Some(wiring::kept::open(&plan, state, &mut core).map_err(cannot_start)?),
        None => None,
    };
    let mut files = std::mem::take(&mut inventory.lanes);
    if let Some(kept) = &mut kept {
        kept.leave_out_known(&mut files);
    }
    let bar = progress_bar(args.quiet, inventory.bytes);
    let lanes = wiring::lanes(&plan, &settings, files);
    let result = engine::run(lanes, &mut core, Box::new(sink), &mut |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    result.map_err(|failure| {
        let exit = if matches!(failure, Failure::Sink(_)) { Exit::Io } else { Exit::Bug };
        Failed::new(exit, failure)
    })?;
    let result = core.summary.clone();
    if let Some(kept) = kept {
        kept.leave(&mut core).map_err(|error| Failed::new(Exit::Io, error))?;
    }
    print(&summary::text(&result, &inventory, &replay.output))?;
    let rejects: u64 = result.logs.values().map(engine::Counts::rejects).sum();
    let is_clean = rejects == 0 && inventory.skipped.is_empty();
    Ok(if replay.strict && !is_clean { Exit::Data } else { Exit::Done })
}

/// The sinks that are asked for.
fn networks(plan: &Plan, emit: &[Emit]) -> Result<Vec<Arc<dyn Network>>, Failed> {
    let (mut kafka, mut elasticsearch) = (None, None);
    for sink in emit {
        let (is_on, key) = match sink {
            Emit::Kafka => {
                kafka.clone_from(&plan.kafka);
                (kafka.is_some(), "kafka: sink.kafka.brokers")
            }
            Emit::Elasticsearch => {
                elasticsearch.clone_from(&plan.elasticsearch);
                (elasticsearch.is_some(), "elasticsearch: sink.elasticsearch.urls")
            }
        };
        if !is_on {
            let why = format!("--emit {key} does not say where it is");
            return Err(Failed::new(Exit::Config, anyhow::Error::msg(why)));
        }
    }
    let asked = Plan { kafka, elasticsearch, ..plan.clone() };
    wiring::live::networks(&asked).map_err(|error| Failed::new(Exit::Config, error))
}

fn cannot_start(error: CannotOpenState) -> Failed {
    let exit = if error.is_configuration() { Exit::Config } else { Exit::Io };
    Failed::new(exit, error)
}

fn cannot_open(error: CannotOpen) -> Failed {
    let exit = if matches!(error, CannotOpen::Io(..)) { Exit::Io } else { Exit::Usage };
    Failed::new(exit, error)
}

fn nothing_was_readable(inventory: &Inventory) -> bool {
    inventory.lanes.is_empty() && inventory.other == 0 && inventory.empty == 0
}

fn reasons(inventory: &Inventory) -> String {
    let reasons: Vec<String> = inventory
        .skipped
        .iter()
        .take(5)
        .map(|skipped| shown(format!("{}: {}", skipped.path.display(), skipped.reason)))
        .collect();
    if reasons.is_empty() { "there are no files".to_owned() } else { reasons.join("; ") }
}

fn progress_bar(quiet: bool, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    // On a terminal only: indicatif finds out.
    bar.set_draw_target(if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    });
    let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
