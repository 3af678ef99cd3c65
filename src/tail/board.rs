//! What the scanner and the lanes tell each other: which contents are known and how far each was
//! read, which files are followed, and the numbers that are shown.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::base::clock::now;
use crate::engine::Files;
use crate::record::{Generation, Lane, Log};
use crate::zeek::Mode;

use super::check::Check;

/// A file of this boot, as long as somebody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileKey {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileKey {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

/// How far a content was read: what a commit keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) log: Log,
    /// What its first bytes say; of forks the same.
    pub(super) head: Generation,
    /// Its path when it was read last, relative to its root.
    pub(super) path: String,
    pub(super) check: Check,
    /// Where the lines stand that say how its records are read.
    pub(super) schema: (u64, u64),
    pub(super) mode: u8,
    /// Bytes that it had when it was read last.
    pub(super) size: u64,
    /// Whether nothing more is expected of it.
    pub(super) is_done: bool,
    /// When it was read last, in seconds since 1970: the oldest are forgotten.
    pub(super) touched: u64,
}

pub(super) const fn mode_code(mode: Mode) -> u8 {
    match mode {
        Mode::Undecided => 0,
        Mode::Tsv => 1,
        Mode::Json => 2,
    }
}

pub(super) const fn mode_of(code: u8) -> Mode {
    match code {
        1 => Mode::Tsv,
        2 => Mode::Json,
        _ => Mode::Undecided,
    }
}

/// A content that is known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) position: Position,
    /// Whether a lane has it open.
    pub(super) is_open: bool,
    /// Whether it was told to be missing.
    pub(super) is_missed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) known: BTreeMap<Generation, Known>,
    /// By the generation that first bytes say.
    pub(super) heads: BTreeMap<Generation, Vec<Generation>>,
    /// Files that a lane has, or will open.
    pub(super) followed: BTreeMap<FileKey, Lane>,
    /// Files that wait for their turn to be open, with their bytes then; and whether others wait.
    pub(super) parked: BTreeMap<FileKey, u64>,
    pub(super) is_crowded: bool,
    /// Files that were put away and that a lane has open.
    pub(super) backlog: BTreeMap<Lane, usize>,
    pub(super) gauges: BTreeMap<Lane, Files>,
    /// Directories to be followed that were there at the last scan.
    pub(super) roots: u64,
}

impl Board {
    /// Takes back what the last commit knows of a content.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(
        &self,
        generation: Generation,
        value: &[u8],
    ) -> Result<(), crate::base::codec::Damaged> {
        let position = crate::base::codec::decode(value)?;
        self.lock().note(generation, position, false);
        Ok(())
    }

    /// Forgets what was read to its end longest ago, but for `kept` contents; what was forgotten.
    pub fn forget(&self, kept: usize) -> Vec<Generation> {
        let mut board = self.lock();
        let more = board.known.len().saturating_sub(kept);
        let done = board.known.iter().filter(|(_, known)| known.position.is_done);
        let mut done: Vec<(u64, Generation)> =
            done.map(|(generation, known)| (known.position.touched, *generation)).collect();
        done.sort_unstable();
        done.truncate(more);
        for (_, generation) in &done {
            if let Some(known) = board.known.remove(generation)
                && let Some(same) = board.heads.get_mut(&known.position.head)
            {
                same.retain(|other| other != generation);
            }
        }
        board.heads.retain(|_, same| !same.is_empty());
        done.into_iter().map(|(_, generation)| generation).collect()
    }

    /// The numbers of every lane's files.
    #[must_use]
    pub fn files(&self) -> BTreeMap<Lane, Files> {
        let board = self.lock();
        // A lane that has not looked yet begins now.
        let files = |lane| {
            let gauge = board.gauges.get(&lane).copied().unwrap_or_default();
            (lane, Files { looked: gauge.looked.or_else(|| Some(now())), ..gauge })
        };
        Lane::ALL.into_iter().map(files).collect()
    }

    /// Directories to be followed that were there at the last scan.
    #[must_use]
    pub fn roots(&self) -> u64 {
        self.lock().roots
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) fn note(&mut self, generation: Generation, position: Position, is_open: bool) {
        let same = self.heads.entry(position.head).or_default();
        if !same.contains(&generation) {
            same.push(generation);
        }
        let is_missed = false;
        self.known.insert(generation, Known { position, is_open, is_missed });
    }

    /// Takes a content that nobody has open and that stands where it was seen to stand: `false` if
    /// somebody else was faster.
    pub(super) fn claim(
        &mut self,
        generation: Generation,
        seen: Option<&Known>,
        position: Position,
    ) -> bool {
        let is_free = match (self.known.get(&generation), seen) {
            (None, None) => true,
            (Some(known), Some(seen)) => {
                !known.is_open && known.position.check == seen.position.check
            }
            _ => false,
        };
        if is_free {
            self.note(generation, position, true);
        }
        is_free
    }

    /// The known contents whose first bytes say `head`.
    pub(super) fn alike(&self, head: Generation) -> Vec<(Generation, Known)> {
        let same = self.heads.get(&head).into_iter().flatten();
        same.filter_map(|id| Some((*id, self.known.get(id)?.clone()))).collect()
    }

    pub(super) fn gauge(&mut self, lane: Lane) -> &mut Files {
        self.gauges.entry(lane).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_done_is_forgotten() {
        let board = Board::default();
        for n in 0..5_u8 {
            let position = Position {
                log: Log::Conn,
                head: Generation([n / 2; 16]),
                path: String::new(),
                check: Check::default(),
                schema: (0, 0),
                mode: 0,
                size: 0,
                is_done: n != 0,
                touched: u64::from(n),
            };
            board.lock().note(Generation([n; 16]), position, false);
        }
        assert_eq!(board.forget(5), []);
        assert_eq!(board.forget(3), [Generation([1; 16]), Generation([2; 16])]);
        let left: Vec<_> = board.lock().known.keys().map(|generation| generation.0[0]).collect();
        assert_eq!(left, [0, 3, 4], "what is not done stays");
        assert_eq!(board.lock().alike(Generation([1; 16])).len(), 1);
    }
}
