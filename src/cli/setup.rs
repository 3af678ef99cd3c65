//! `setup`: makes what a sink needs on its servers; a second time it finds it there. And what
//! `check --connect` finds there.

use std::fmt::Write;

use crate::config::Plan;
use crate::sink::topics::{self, CannotAsk, Topic};

use super::args::{Args, Setup};
use super::exit::Exit;
use super::{Failed, plan, print};

/// Makes the topics that are missing, or says what it would make.
pub(super) fn run(args: &Args, setup: &Setup) -> Result<Exit, Failed> {
    let plan = plan(args)?;
    let Setup::Kafka { dry_run } = setup;
    let Some(settings) = &plan.kafka else {
        let why = "sink.kafka.brokers does not say where Kafka is";
        return Err(Failed::new(Exit::Config, anyhow::Error::msg(why)));
    };
    let found = topics::topics(settings).map_err(failed)?;
    if !dry_run {
        topics::make(settings, &found).map_err(failed)?;
    }
    let mut text = String::new();
    for topic in &found {
        let compacted = if topic.is_compacted { ", compacted" } else { "" };
        let said = match (topic.partitions, dry_run) {
            (Some(partitions), _) => {
                format!("is there, {partitions} partitions{}", remark(topic).unwrap_or_default())
            }
            (None, true) => format!("would be made, {} partitions{compacted}", settings.partitions),
            (None, false) => format!("made, {} partitions{compacted}", settings.partitions),
        };
        writeln!(text, "{}  {said}", topic.name).map_err(|error| Failed::new(Exit::Bug, error))?;
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// What somebody should know of a topic that is there.
fn remark(topic: &Topic) -> Option<String> {
    let cleanup = topic.cleanup.as_deref()?;
    (topic.is_compacted && !cleanup.contains("compact")).then(|| {
        format!(
            "; its cleanup.policy is {cleanup}: only a compacted topic keeps every latest score"
        )
    })
}

/// What stands between the configuration and servers that can be written to.
pub(super) fn check_servers(plan: &Plan) -> Result<(), Failed> {
    let Some(settings) = &plan.kafka else { return Ok(()) };
    let found = topics::topics(settings).map_err(failed)?;
    let missing: Vec<&str> = found
        .iter()
        .filter(|topic| topic.partitions.is_none())
        .map(|topic| topic.name.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("Kafka lacks {}: zeek-ueba setup kafka makes them", missing.join(", "));
    Err(Failed::new(Exit::Unavailable, anyhow::Error::msg(why)))
}

fn failed(error: CannotAsk) -> Failed {
    let exit = match error {
        CannotAsk::Configure(_) => Exit::Config,
        CannotAsk::Silent(..) | CannotAsk::Refused(..) => Exit::Unavailable,
    };
    Failed::new(exit, error)
}
