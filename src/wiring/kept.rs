//! A replay that starts from a state and leaves it: `replay --state`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::config::Plan;
use crate::engine::{Applier, Core, Summary};
use crate::record::{Generation, Lane};
use crate::replay::Planned;
use crate::state::{CannotOpen, Left, Record, State};
use crate::tail::position_of;

use super::owner;

/// A state that is ours until it is left.
pub struct Kept {
    state: State,
    left: Left,
    before: Summary,
    known: BTreeSet<Generation>,
    read: Vec<Planned>,
}

/// Opens the state in `directory` and takes it back into `core`.
///
/// # Errors
/// Says why it cannot be used.
pub fn open(plan: &Plan, directory: &Path, core: &mut Core) -> Result<Kept, CannotOpen> {
    let state = State::open(directory, &owner(plan), false)?;
    let left = match state.left()? {
        Some(left) => left,
        None => super::live::begin(&state)?,
    };
    core.track();
    let mut known = BTreeSet::new();
    state.each(&mut |key, value| match Applier::file_of(key) {
        Some(generation) => {
            known.insert(generation);
            Ok(())
        }
        None if key == Applier::LANES_KEY => Ok(()),
        None => core.load(key, value),
    })?;
    core.set_allow(plan.allow.clone());
    // The summary is of what this replay reads.
    let before = std::mem::take(&mut core.summary);
    Ok(Kept { state, left, before, known, read: Vec::new() })
}

impl Kept {
    /// Leaves out files that were read before, and remembers the others.
    pub fn leave_out_known(&mut self, files: &mut BTreeMap<Lane, Vec<Planned>>) {
        for files in files.values_mut() {
            files.retain(|file| {
                let is_known = self.known.contains(&file.generation);
                if is_known {
                    tracing::info!(path = %file.found.path.display(), "read before");
                } else {
                    self.read.push(file.clone());
                }
                !is_known
            });
        }
    }

    /// Keeps what `core` has come to, and which files it has read.
    ///
    /// # Errors
    /// When it cannot be written; the state is then as before.
    pub fn leave(self, core: &mut Core) -> io::Result<()> {
        core.summary.add(&self.before);
        let mut keys = Vec::new();
        core.save(&mut |key, value| keys.push((key.to_vec(), value.map(<[u8]>::to_vec))));
        for file in self.read {
            let found = &file.found;
            let position = position_of(&found.path, &found.relative, file.log, file.generation)?;
            keys.push((Applier::file_key(file.generation), Some(position)));
        }
        let sequence = self.left.sequence + 1;
        self.state.commit(&Record { keys, left: Left { sequence, ..self.left } })
    }
}
