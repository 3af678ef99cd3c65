//! `setup`: makes what a sink needs on its servers; a second time it finds it there. And what
//! `check --connect` finds there.

use crate::config::Plan;
use crate::sink::elasticsearch::setup::{self, Standing};
use crate::sink::topics::{self, Topic};
use crate::sink::{elasticsearch, kafka};

use super::args::{Args, Setup};
use super::exit::Exit;
use super::{Failed, plan, print};

/// Makes what is missing, or says what it would make.
pub(super) fn run(args: &Args, setup: &Setup) -> Result<Exit, Failed> {
    let plan = plan(args)?;
    let off = |why: &str| Failed::new(Exit::Config, anyhow::Error::msg(why.to_owned()));
    let text = match setup {
        Setup::Kafka { dry_run } => {
            let off = || off("sink.kafka.brokers does not say where Kafka is");
            kafka(plan.kafka.as_ref().ok_or_else(off)?, *dry_run)
        }
        Setup::Elasticsearch { dry_run } => {
            let off = || off("sink.elasticsearch.urls does not say where the servers are");
            elasticsearch(plan.elasticsearch.as_ref().ok_or_else(off)?, *dry_run)
        }
    };
    print(&text?)?;
    Ok(Exit::Done)
}

fn kafka(settings: &kafka::Settings, dry_run: bool) -> Result<String, Failed> {
    let found = topics::topics(settings).map_err(failed)?;
    if !dry_run {
        topics::make(settings, &found).map_err(failed)?;
    }
    let said = found.iter().map(|topic| {
        let compacted = if topic.is_compacted { ", compacted" } else { "" };
        let said = match (topic.partitions, dry_run) {
            (Some(partitions), _) => {
                let remark = remark(topic, settings.retention).unwrap_or_default();
                format!("is there, {partitions} partitions{remark}")
            }
            (None, true) => format!("would be made, {} partitions{compacted}", settings.partitions),
            (None, false) => format!("made, {} partitions{compacted}", settings.partitions),
        };
        format!("{}  {said}\n", topic.name)
    });
    Ok(said.collect())
}

/// What is sent, in the form that consoles of these servers take.
fn elasticsearch(settings: &elasticsearch::Settings, dry_run: bool) -> Result<String, Failed> {
    let found = setup::look(settings).map_err(search_failed)?;
    if !dry_run {
        setup::make(settings).map_err(search_failed)?;
    }
    let said = found.templates.iter().map(|(template, standing)| {
        let said = match (standing, dry_run) {
            (Standing::Current, _) => "is there",
            (Standing::Missing, true) => "would be installed",
            (Standing::Missing, false) => "installed",
            (Standing::Other, true) => "would be replaced",
            (Standing::Other, false) => "replaced",
        };
        let body = match (standing, dry_run) {
            (Standing::Missing | Standing::Other, true) => {
                format!("PUT /_index_template/{}\n{:#}\n\n", template.name, template.body)
            }
            _ => String::new(),
        };
        format!("# {}  {said}, for {}\n{body}", template.name, template.pattern)
    });
    Ok(format!("# {}\n", found.server) + &said.collect::<String>())
}

/// What somebody should know of a topic that is there.
fn remark(topic: &Topic, wanted: Option<i64>) -> Option<String> {
    if topic.is_compacted {
        let cleanup = topic.cleanup.as_deref().filter(|it| !it.contains("compact"))?;
        return Some(format!(
            "; its cleanup.policy is {cleanup}: only a compacted topic keeps every latest score"
        ));
    }
    let wanted = wanted?.to_string();
    let retention = topic.retention.as_deref().filter(|it| *it != wanted)?;
    Some(format!("; its retention.ms is {retention}, not {wanted}: kafka-configs changes it"))
}

/// What stands between the configuration and servers that can be written to.
pub(super) fn check_servers(plan: &Plan) -> Result<(), Failed> {
    let unavailable = |why: String| Failed::new(Exit::Unavailable, anyhow::Error::msg(why));
    if let Some(settings) = &plan.kafka {
        let found = topics::topics(settings).map_err(failed)?;
        let missing = found.iter().filter(|topic| topic.partitions.is_none());
        let missing: Vec<&str> = missing.map(|topic| topic.name.as_str()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let why = format!(
                "Kafka lacks {missing}, or keeps them from this user: zeek-ueba setup kafka makes \
                 topics"
            );
            return Err(unavailable(why));
        }
    }
    if let Some(settings) = &plan.elasticsearch {
        let found = setup::look(settings).map_err(search_failed)?;
        let lacks = setup::missing_rights(settings).map_err(search_failed)?;
        if !lacks.is_empty() {
            let who = if settings.user.is_some() { "the user" } else { "the API key" };
            return Err(unavailable(format!("{}: {who} lacks {}", found.server, lacks.join(", "))));
        }
        let missing = found.templates.iter().filter(|(_, it)| *it != Standing::Current);
        let missing: Vec<&str> = missing.map(|(template, _)| template.name.as_str()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(unavailable(format!(
                "{} lacks the templates {missing} as they should be: zeek-ueba setup elasticsearch \
                 installs them",
                found.server
            )));
        }
    }
    Ok(())
}

fn failed(error: topics::CannotAsk) -> Failed {
    let exit = match error {
        topics::CannotAsk::Configure(_) => Exit::Config,
        topics::CannotAsk::Silent(..) | topics::CannotAsk::Refused(..) => Exit::Unavailable,
    };
    Failed::new(exit, error)
}

fn search_failed(error: setup::CannotAsk) -> Failed {
    let exit = match error {
        setup::CannotAsk::Configure(_) => Exit::Config,
        _ => Exit::Unavailable,
    };
    Failed::new(exit, error)
}
