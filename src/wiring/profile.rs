//! Profiles, by the state that a daemon or a replay left, or is writing to.

use std::path::Path;

use crate::config::Plan;
use crate::document::{ProfileView, write_profile, write_profile_line};
use crate::engine::Core;
use crate::explain::Asked;
use crate::record::Entity;
use crate::state::{CannotOpen, Reader, State};

use super::{core, owner, scope};

/// Profiles that a list has at most.
pub const LISTED_MAX: usize = 10_000;

/// The entity that somebody means by a text.
#[must_use]
pub fn meant(plan: &Plan, text: &str) -> Option<Entity> {
    match Asked::parse(text, &scope(plan), plan.by_64)? {
        Asked::Entity(entity) => Some(entity),
        Asked::Id(_) => None,
    }
}

/// The profile of an entity, or a list of all, as documents, by the state in `directory`.
///
/// # Errors
/// Says why it cannot be used: a daemon may have it.
pub fn by_state(
    plan: &Plan,
    directory: &Path,
    of: Option<&Entity>,
) -> Result<Option<Vec<u8>>, CannotOpen> {
    let state = State::open(directory, &owner(plan), false)?;
    by_reader(plan, &state.reader(), of)
}

/// The same by what the last commit left.
///
/// # Errors
/// When the state cannot be read.
pub fn by_reader(
    plan: &Plan,
    reader: &Reader,
    of: Option<&Entity>,
) -> Result<Option<Vec<u8>>, CannotOpen> {
    let Some(snapshot) = reader.snapshot()? else { return Ok(None) };
    let mut core = core(plan);
    let prefixes = match of {
        Some(entity) => Core::profile_keys_of(entity),
        None => Core::profile_keys(),
    };
    for prefix in prefixes {
        snapshot.range(&prefix, &mut |key, value| core.load(key, value))?;
    }
    let mut out = Vec::new();
    match of {
        Some(entity) => match core.profile(entity) {
            Some(view) => write_profile(&view, &mut out),
            None => return Ok(None),
        },
        None => {
            let all: Vec<ProfileView> = core.profiles(LISTED_MAX);
            all.iter().for_each(|view| write_profile_line(view, &mut out));
        }
    }
    Ok(Some(out))
}
