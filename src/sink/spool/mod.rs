//! What a sink has not acknowledged, on disk: a commit may pass it then, and so may reading.
//!
//! Each kind of document has a queue. Its documents have numbers, without gaps; how far the sink
//! has come, and how many documents there were, stands in the commits. So what is missing is known
//! exactly, and what no commit knows is cut off.
//!
//! Here belongs what stands in the files. When something is put there, and what comes back when,
//! belongs to `backlog`.

mod frame;
mod queue;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::engine::{KINDS, Kind, Marks, Progress};

use self::frame::Packer;
use self::queue::Queue;
pub use self::queue::{Lost, Read};
use super::window::Document;

/// What becomes of documents that find a full spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing is read until there is room.
    Pause,
    /// Events are dropped and counted; alerts and risk are not.
    DropEvents,
}

/// The spool of one sink, as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of its files.
    pub bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
}

/// See the module.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    bound: Bound,
    queues: [Queue; KINDS],
    packer: Packer,
    /// Whether the disk had no room when it was last written to.
    is_short: bool,
}

/// Bytes of a segment, and how many the bound is divided into at least: it shrinks by whole ones.
const SEGMENT_MAX: u64 = 16 << 20;
const SEGMENTS: u64 = 16;

/// Bytes of documents that are written at once.
const BLOCK: usize = 1 << 20;

/// Where the spool of a sink is, in the directory of the state.
#[must_use]
pub fn directory(state: &Path, sink: &str) -> PathBuf {
    state.join("spool").join(sink)
}

/// The sinks that have something in their spools, in the directory of the state.
#[must_use]
pub fn known(state: &Path) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let has_some =
        |sink: &String| names(&directory(state, sink)).iter().any(|name| name.ends_with(".spool"));
    let mut found: Vec<String> = names(&state.join("spool")).into_iter().filter(has_some).collect();
    found.sort_unstable();
    found
}

/// Whether an error says that a disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl Spool {
    /// Opens the spool in a directory, which is made if it is not there, where the last commit
    /// left it. Returns how far the sink has come: of a spool that no commit knows, it lacks
    /// everything.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        directory: &Path,
        bound: Bound,
        known: Option<&Progress>,
    ) -> io::Result<(Self, Marks, Marks)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for parent in directory.ancestors().skip(1).take(2) {
            fs::File::open(parent)?.sync_all()?;
        }
        let mut packer = Packer::new()?;
        let segment_max = (bound.bytes_max / SEGMENTS).min(SEGMENT_MAX);
        let (mut cursors, mut handed) = (Marks::default(), Marks::default());
        let mut open = |kind: Kind| {
            let at = kind as usize;
            let marks = known.map(|known| (known.cursors[at], known.handed[at]));
            let (queue, marks) = Queue::open(directory, kind, segment_max, marks, &mut packer)?;
            (cursors[at], handed[at]) = marks;
            io::Result::Ok(queue)
        };
        let queues = [open(Kind::Event)?, open(Kind::Alert)?, open(Kind::Risk)?];
        let directory = directory.to_owned();
        Ok((Self { directory, bound, queues, packer, is_short: false }, cursors, handed))
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.queues.iter().map(Queue::bytes).sum()
    }

    /// Whether nothing more should come.
    pub fn is_full(&self) -> bool {
        self.is_short || self.bytes() >= self.bound.bytes_max
    }

    /// Whether events that find it full are dropped.
    pub(super) fn drops(&self) -> bool {
        self.bound.when_full == WhenFull::DropEvents
    }

    /// Whether the disk had no room when it was last written to.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether nothing more should be read. Where events are dropped, alerts and risk have an
    /// eighth on top.
    pub(super) fn is_shut(&self) -> bool {
        let bytes_max = match self.bound.when_full {
            WhenFull::Pause => self.bound.bytes_max,
            WhenFull::DropEvents => self.bound.bytes_max.saturating_add(self.bound.bytes_max / 8),
        };
        self.is_short || self.bytes() >= bytes_max
    }

    /// Bytes that it may have.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bound.bytes_max
    }

    /// In thousandths, what is left of documents where they are packed.
    pub(super) fn ratio(&mut self, block: &[u8]) -> u64 {
        self.packer.ratio(block)
    }

    /// Writes documents of a kind that stand in the window, from number `first` on; whether there
    /// was room for them.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn keep(
        &mut self,
        kind: usize,
        first: u64,
        documents: &[Document],
    ) -> io::Result<bool> {
        let queue = &mut self.queues[kind];
        let known = queue.end().saturating_sub(first);
        let mut first = first + known;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let (mut block, mut count) = (Vec::new(), 0);
        let mut written = Ok(());
        let mut rest = documents.iter().skip(known).peekable();
        while let (Ok(()), Some(document)) = (&written, rest.next()) {
            block.extend_from_slice(document.bytes());
            block.push(b'\n');
            count += 1;
            if block.len() >= BLOCK || rest.peek().is_none() {
                written = queue.write(first, &block, &mut self.packer);
                first += std::mem::take(&mut count);
                block.clear();
            }
        }
        self.found_room(written)
    }

    /// From now on documents of a kind go through here, from number `next` on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(&mut self, kind: usize, next: u64) -> io::Result<()> {
        self.queues[kind].read_from_end(next)
    }

    /// Takes documents of a kind; how many.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&mut self, kind: usize, first: u64, block: &[u8]) -> io::Result<u64> {
        let added = self.queues[kind].pend(first, block, &mut self.packer);
        match added {
            Err(error) if is_full(&error) => {
                self.found_room(Err(error))?;
                Ok(memchr::memchr_iter(b'\n', block).count() as u64)
            }
            added => added,
        }
    }

    /// Writes what it was given of a kind; whether there was room.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self, kind: usize) -> io::Result<bool> {
        if !self.queues[kind].has_pending() {
            return Ok(true);
        }
        let flushed = self.queues[kind].flush(&mut self.packer);
        self.found_room(flushed)
    }

    fn found_room(&mut self, written: io::Result<()>) -> io::Result<bool> {
        match written {
            Err(error) if is_full(&error) => {
                if !self.is_short {
                    let directory = self.directory.display();
                    tracing::error!(%directory, %error, "no room: nothing is read until there is");
                }
                self.is_short = true;
                Ok(false)
            }
            written => {
                self.is_short = false;
                written.map(|()| true)
            }
        }
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> io::Result<()> {
        self.queues.iter_mut().try_for_each(Queue::sync)
    }

    /// What comes next of a kind; nothing where all was read that is on disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&mut self, kind: usize) -> io::Result<Option<Read>> {
        self.queues[kind].read()
    }

    /// Documents of a kind that are not on disk yet, with the number of the first.
    pub(super) fn take_pending(&mut self, kind: usize) -> Option<(u64, Vec<u8>)> {
        self.queues[kind].take_pending()
    }

    /// Lets go what a commit has passed.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget(&mut self, cursors: &Marks) -> io::Result<()> {
        self.is_short = false;
        let mut each = self.queues.iter_mut().zip(cursors);
        each.try_for_each(|(queue, cursor)| queue.forget(*cursor))
    }
}
