//! A journal taken again: `replay --journal`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::base::codec::Damaged;
use crate::base::limits::SINK_BLOCK_BYTES;
use crate::config::{self, Mistake, Plan};
use crate::engine::{Applier, Mark, Retrace, Sink, Step, Summary};
use crate::record::Log;
use crate::replay::{CannotRetrace, Planned, Retracer};
use crate::risk::AllowList;
use crate::state::{CannotRead, Journaled};
use crate::zeek::Settings;

use super::{core, stage_names, worker};

/// Why a journal cannot be taken again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] CannotRead),
    /// What it starts from.
    #[error("the journal's snapshot: {0}")]
    Snapshot(#[from] Damaged),
    /// An allow-list in it, which another program wrote or found right.
    #[error("an allow-list of the journal: {0}")]
    AllowList(Mistake),
    /// The logs that it speaks of.
    #[error(transparent)]
    Logs(#[from] CannotRetrace),
    /// The results.
    #[error("cannot write")]
    Sink(#[from] io::Error),
}

/// Takes the steps of the journal in `directory` again over `files`, into `sink`.
///
/// # Errors
/// Says what is missing.
pub fn run(
    plan: &Plan,
    settings: &BTreeMap<Log, Settings>,
    directory: &Path,
    files: Vec<Planned>,
    mut sink: impl Sink,
) -> Result<Summary, Failure> {
    let journal = Journaled::read(directory)?;
    let mut applier = Applier::new(core(plan));
    for (key, value) in &journal.keys {
        if Applier::file_of(key).is_none() {
            applier.load(key, value)?;
        }
    }
    applier.core.set_allow(allow(applier.core.allow().text().to_owned())?);
    let workers = Log::ALL.into_iter().map(|log| (log, worker(plan, log))).collect();
    let mut retrace = Retrace::new(applier, workers);
    let mut files = Retracer::new(files, settings, &plan.sensor_id);
    let mut bytes = 0;
    for step in journal.steps {
        match step {
            Step::Tick(tick) => retrace.tick(tick),
            Step::Allow(text) => retrace.allow(allow(text)?),
            Step::Rows { log, generation, range, is_last, path } => {
                bytes += range.end - range.start;
                let mark = Mark { generation, range, state: Vec::new(), is_last };
                files.read(log, &mark, path.as_deref(), &mut |batch, source| {
                    retrace.rows(batch, source.clone(), mark.clone());
                })?;
            }
        }
        if bytes >= SINK_BLOCK_BYTES as u64 {
            retrace.write(&mut sink)?;
            bytes = 0;
        }
    }
    retrace.write(&mut sink)?;
    sink.finish()?;
    let core = retrace.finish().core;
    Ok(Summary { expired: core.expired(), ..core.summary })
}

/// The allow-list that a journal tells in its own words.
fn allow(text: String) -> Result<AllowList, Failure> {
    let list = config::parse_allow_list(text, "its text", &stage_names());
    list.map_err(|mistakes| {
        let first = mistakes.into_iter().next();
        first.map_or_else(|| Damaged("an allow-list".to_owned()).into(), Failure::AllowList)
    })
}
