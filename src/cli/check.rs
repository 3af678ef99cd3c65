//! `check`: every mistake of the configuration at once.

use super::args::Args;
use super::exit::Exit;
use super::{Failed, plan, print};

/// Reads the configuration and says what it comes to.
pub(super) fn run(args: &Args) -> Result<Exit, Failed> {
    let plan = plan(args)?;
    let enabled: Vec<&str> =
        plan.stages.iter().filter(|stage| stage.enabled).map(|stage| stage.name).collect();
    let internal = match &plan.internal {
        Some(networks) => {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            networks.join(", ")
        }
        None => "private ranges, and what Zeek says is local".to_owned(),
    };
    print(&format!(
        "the configuration is fine\nsensor    {}\ninternal  {internal}\nstages    {}\n",
        plan.sensor_id,
        enabled.join(", "),
    ))?;
    Ok(Exit::Done)
}
