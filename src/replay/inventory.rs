//! What there is to replay: every file identified, copies left out, in the order of event time.

use std::collections::BTreeMap;
use std::io;

use crate::base::hash::{self, Id};
use crate::base::limits::{BATCH_ROWS_MAX, IDENTIFY_BYTES};
use crate::base::time::Time;
use crate::engine::{Watermark, Worker};
use crate::read::{Reader, Trouble};
use crate::record::schema::{UID, files};
use crate::record::{Generation, Lane, Log};
use crate::zeek::{Identity, Parser, Settings, identify};

use super::discover::{Found, Skipped};

use super::twins;

/// A file that will be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Where.
    pub found: Found,
    /// Which log.
    pub log: Log,
    /// The identity of its content.
    pub generation: Generation,
    /// The place in event time of its first record.
    pub start: Option<Time>,
    /// A hash of `ts` and `uid` of its first record: the same for TSV and JSON.
    pub rank: Id,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By lane, by the time of the first record.
    pub lanes: BTreeMap<Lane, Vec<Planned>>,
    /// What could not be read, or is no file.
    pub skipped: Vec<Skipped>,
    /// Files of other logs, and of nothing that we know.
    pub other: u64,
    /// Our logs without a record.
    pub empty: u64,
    /// Copies that are not read again, and of what.
    pub twins: Vec<(Found, Found)>,
    /// Files that begin like another and part from it.
    pub forks: u64,
    /// Bytes on disk of the files to read.
    pub bytes: u64,
}

/// Bytes that most often suffice to identify a file, and lines that they then have.
const FIRST_LOOK: usize = 16 << 10;
const FIRST_LOOK_LINES: usize = 32;

/// Identifies `files`; `settings` by log.
#[must_use]
pub fn take_inventory(
    files: Vec<Found>,
    skipped: Vec<Skipped>,
    settings: &BTreeMap<Log, Settings>,
) -> Inventory {
    let mut inventory = Inventory { skipped, ..Inventory::default() };
    let mut starts: BTreeMap<Found, (Option<Time>, Id)> = BTreeMap::new();
    let mut groups: BTreeMap<(Log, Generation), Vec<Found>> = BTreeMap::new();
    let mut head = vec![0; IDENTIFY_BYTES];
    let alias = settings.values().next().map_or(&[][..], |settings| &settings.alias);
    for found in files {
        let seen = match look(&found, &mut head, alias) {
            Ok(seen) => seen,
            Err(error) => {
                inventory.skipped.push(Skipped { path: found.path, reason: error.to_string() });
                continue;
            }
        };
        match (seen.identity, seen.trouble) {
            // Its trouble becomes a dead letter when it is read.
            (Identity::Ours { log, generation }, _) => {
                starts.insert(found.clone(), start(&head[..seen.count], &settings[&log]));
                groups.entry((log, generation)).or_default().push(found);
            }
            (_, Some(trouble)) => {
                let reason = trouble.to_string();
                inventory.skipped.push(Skipped { path: found.path, reason });
            }
            (Identity::Other, None) => inventory.other += 1,
            (Identity::Empty(_), None) => inventory.empty += 1,
        }
    }
    for ((log, generation), files) in groups {
        let resolved = twins::resolve(files, generation);
        inventory.twins.extend(resolved.twins);
        inventory.forks += resolved.forks;
        for (found, generation) in resolved.files {
            inventory.bytes += found.bytes;
            let (start, rank) = starts.get(&found).copied().unwrap_or((None, Id([0; 16])));
            let planned = Planned { found, log, generation, start, rank };
            inventory.lanes.entry(log.lane()).or_default().push(planned);
        }
    }
    for files in inventory.lanes.values_mut() {
        files.sort_by_key(|file| (file.start, file.rank, file.generation));
    }
    inventory.skipped.sort();
    inventory
}

/// What the beginning of a file says.
pub(super) struct Seen {
    /// Of the file.
    pub(super) identity: Identity,
    /// Bytes of `head` that were looked at.
    count: usize,
    trouble: Option<Trouble>,
}

/// Looks at the beginning of a file, which is then in `head`.
pub(super) fn look(found: &Found, head: &mut [u8], alias: &[(String, String)]) -> io::Result<Seen> {
    let mut reader = Reader::open(&found.path)?;
    let (mut count, mut trouble) = reader.fill(&mut head[..FIRST_LOOK]);
    let lines = memchr::memchr_iter(b'\n', &head[..count]).count();
    if count == FIRST_LOOK && lines < FIRST_LOOK_LINES {
        let more;
        (more, trouble) = reader.fill(&mut head[FIRST_LOOK..]);
        count += more;
    }
    let is_whole = count < FIRST_LOOK || (count > FIRST_LOOK && count < IDENTIFY_BYTES);
    let name = found.relative.rsplit('/').next().unwrap_or_default();
    let identity = identify(&head[..count], is_whole, name, alias);
    Ok(Seen { identity, count, trouble })
}

/// The place of the first record of a file that begins with `head`, and its rank.
fn start(head: &[u8], settings: &Settings) -> (Option<Time>, Id) {
    let log = settings.log;
    let mut parser = Parser::new(settings);
    let mut batch = settings.batch();
    let mut at = 0;
    let mut places = Vec::new();
    let mut rank = Id([0; 16]);
    while places.len() < Watermark::START_ROWS {
        batch.clear();
        let progress = parser.parse(&head[at..], BATCH_ROWS_MAX, &mut batch);
        at += progress.consumed;
        if places.is_empty() && batch.rows() > 0 {
            let uid = if log == Log::Files { files::FUID } else { UID };
            let ts = batch.ts(0).0.to_be_bytes();
            rank = hash::id(&[&ts, batch.text(uid, 0).unwrap_or_default()]);
        }
        places.extend((0..batch.rows()).map(|row| Worker::place(&batch, row)));
        if !progress.is_full {
            break;
        }
    }
    places.truncate(Watermark::START_ROWS);
    (Watermark::start(&places), rank)
}
