//! `stages`: the stage table in words.

use std::fmt::Write;

use crate::record::Log;
use crate::stage::{Build, TABLE};

use super::exit::Exit;
use super::{Failed, print};

/// Prints every stage: kind, logs and columns, techniques, keys with their defaults.
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
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}  ({kind})\n  {}", stage.name, stage.doc);
        for log in Log::ALL.into_iter().filter(|log| stage.reads(*log)) {
            let columns: Vec<&str> =
                stage.columns(log).iter().map(|column| log.column_name(*column)).collect();
            let _ = writeln!(out, "  reads {log}: {}", columns.join(", "));
        }
        for technique in stage.techniques {
            let _ = writeln!(out, "  technique {} {}", technique.id, technique.name);
        }
        for key in stage.keys {
            let default = key.default.unwrap_or("(unset)");
            let _ = writeln!(out, "  {} = {default}  # {}", key.name, key.doc);
        }
        out.push('\n');
    }
    out
}
