//! `stages`: the stage table in words.

use crate::record::Log;
use crate::stage::{Build, TABLE};

use super::exit::Exit;
use super::{Failed, print};

/// Prints every stage: kind, logs and columns, group, techniques, keys with their defaults.
pub(super) fn run() -> Result<Exit, Failed> {
    print(&text())?;
    Ok(Exit::Done)
}

fn text() -> String {
    let mut out = String::new();
    for stage in TABLE {
        let kind = match stage.build {
            Build::Record(_) => "record stage",
            Build::Window { .. } => "window stage",
            Build::Judge(_) => "judge of hours and days",
        };
        line!(out, "{}  ({kind})\n  {}", stage.name, stage.doc);
        for log in Log::ALL.into_iter().filter(|log| stage.reads(*log)) {
            let columns: Vec<&str> =
                stage.columns(log).iter().map(|column| log.column_name(*column)).collect();
            line!(out, "  reads {log}: {}", columns.join(", "));
        }
        line!(out, "  group {}", stage.group);
        for technique in stage.techniques {
            line!(out, "  technique {} {}", technique.id, technique.name);
        }
        for key in stage.keys {
            let default = key.default.unwrap_or("(unset)");
            line!(out, "  {} = {default}  # {}", key.name, key.doc);
        }
        out.push('\n');
    }
    out
}
