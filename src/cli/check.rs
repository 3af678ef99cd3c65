//! `check`: every mistake of the configuration at once.

use super::args::{Args, Check};
use super::exit::Exit;
use super::setup::check_servers;
use super::{Failed, equipped, print};
use crate::sink::elasticsearch::Elasticsearch;
use crate::sink::kafka::Kafka;
use crate::wiring::models::missing;

/// Reads the configuration and says what it comes to.
pub(super) fn run(args: &Args, check: &Check) -> Result<Exit, Failed> {
    let plan = equipped(args)?;
    let off = missing(&plan);
    let enabled: Vec<&str> = plan
        .stages
        .iter()
        .filter(|stage| stage.enabled && !off.contains(&stage.name))
        .map(|stage| stage.name)
        .collect();
    let models: Vec<String> = plan
        .models
        .entries()
        .map(|(name, model)| format!("{name} {} (sha256 {:.16}...)", model.version, model.sha256))
        .collect();
    let models = if models.is_empty() { "none".to_owned() } else { models.join(", ") };
    let internal = match &plan.internal {
        Some(networks) => {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            networks.join(", ")
        }
        None => "private ranges, and what Zeek says is local".to_owned(),
    };
    if let Some(settings) = &plan.kafka {
        Kafka::check(settings).map_err(|error| Failed::new(Exit::Config, error))?;
    }
    if let Some(settings) = &plan.elasticsearch {
        Elasticsearch::check(settings).map_err(|error| Failed::new(Exit::Config, error))?;
    }
    if check.connect {
        check_servers(&plan)?;
    }
    let sinks = [
        plan.ndjson.as_ref().map(|directory| format!("ndjson ({})", directory.display())),
        plan.kafka.as_ref().map(|kafka| format!("kafka ({})", kafka.brokers.join(", "))),
        plan.elasticsearch.as_ref().map(|it| format!("elasticsearch ({})", it.urls.join(", "))),
    ];
    let allow = match &plan.allow_list {
        Some(path) => format!("{} entries ({})", plan.allow.ids().count(), path.display()),
        None => "none".to_owned(),
    };
    let sinks: Vec<String> = sinks.into_iter().flatten().collect();
    print(&format!(
        "the configuration is fine\nsensor    {}\ninternal  {internal}\nstages    {}\nmodels    {models}\nallowed   {allow}\nsinks     {}\n",
        plan.sensor_id,
        enabled.join(", "),
        sinks.join(", "),
    ))?;
    Ok(Exit::Done)
}
