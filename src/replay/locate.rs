//! Which files hold the records of event ids now, whatever the files are called.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::hash::Prefix;
use crate::base::limits::IDENTIFY_BYTES;
use crate::record::{Generation, Log};
use crate::zeek::{Identity, Settings};

use super::discover::Found;
use super::inventory::look;
use super::twins;

/// Files of one content, where they are now.
#[derive(Clone, Debug)]
pub struct Located {
    /// Which log.
    pub log: Log,
    /// The identity of the content.
    pub generation: Generation,
    /// The file that a replay would read, then its copies.
    pub files: Vec<Found>,
}

/// The files that hold what each of `wanted` begins the ids of.
///
/// Only the beginnings of files are read, unless several begin alike: then it takes all of them to
/// tell a copy from another one.
#[must_use]
pub fn locate(
    files: Vec<Found>,
    settings: &BTreeMap<Log, Settings>,
    sensor_id: &str,
    wanted: &BTreeSet<Prefix>,
) -> BTreeMap<Prefix, Located> {
    let alias = settings.values().next().map_or(&[][..], |settings| &settings.alias);
    let mut groups: BTreeMap<(Log, Generation), Vec<Found>> = BTreeMap::new();
    let mut head = vec![0; IDENTIFY_BYTES];
    for found in files {
        if let Ok(seen) = look(&found, &mut head, alias)
            && let Identity::Ours { log, generation } = seen.identity
        {
            groups.entry((log, generation)).or_default().push(found);
        }
    }
    let mut located: BTreeMap<Prefix, Located> = BTreeMap::new();
    let mut note = |log: Log, generation: Generation, file: Found| {
        let prefix = generation.event_prefix(sensor_id, log);
        if wanted.contains(&prefix) {
            let empty = || Located { log, generation, files: Vec::new() };
            located.entry(prefix).or_insert_with(empty).files.push(file);
        }
    };
    let is_wanted = |log: Log, generation: Generation| {
        wanted.contains(&generation.event_prefix(sensor_id, log))
    };
    // Of files that begin alike some may have parted: their ids begin as no file does.
    let begun: BTreeSet<Prefix> =
        groups.keys().map(|(log, generation)| generation.event_prefix(sensor_id, *log)).collect();
    let has_parted = wanted.iter().any(|prefix| !begun.contains(prefix));
    for ((log, generation), files) in groups {
        if files.len() == 1 || !(has_parted || is_wanted(log, generation)) {
            files.into_iter().for_each(|file| note(log, generation, file));
            continue;
        }
        let resolved = twins::resolve(files, generation);
        for (leader, generation) in resolved.files {
            let copies = resolved.twins.iter().filter(|(_, of)| *of == leader);
            let all = std::iter::once(&leader).chain(copies.map(|(copy, _)| copy));
            all.for_each(|file| note(log, generation, file.clone()));
        }
    }
    located
}
