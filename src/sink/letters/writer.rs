//! Writes dead letters, within a bound.
//!
//! What finds no room waits in memory, and nothing more is read meanwhile. When three quarters are
//! full, lines that were no records leave their bytes in the log that they stand in. Room is made
//! at a commit: what was dealt with goes, or the oldest half. The file from before stays beside it
//! until that commit stands, so that a start can take it back.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::engine::FileEnd;
use crate::sink::ndjson::{in_file, remove};

use super::done::{Done, Lock};
use super::reader::{Key, Letters};
use super::{Bound, NAME, WhenFull};

/// What others may see of it.
#[derive(Debug, Default)]
pub(in crate::sink) struct Standing {
    pub(in crate::sink) bytes: AtomicU64,
    pub(in crate::sink) dropped: AtomicU64,
    pub(in crate::sink) is_full: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(in crate::sink) struct Writer {
    state: PathBuf,
    bound: Bound,
    file: File,
    end: FileEnd,
    waiting: Vec<u8>,
    /// Of a file that was made smaller: the keys that went, until that is committed.
    gone: Option<BTreeSet<Key>>,
    /// Keys that went for good, and that are to be forgotten.
    forgotten: BTreeSet<Key>,
    /// When what was dealt with had changed, as it was last looked at.
    looked: Option<(SystemTime, u64)>,
    standing: Arc<Standing>,
}

/// Time between two looks whether there is room.
const AGAIN: Duration = Duration::from_millis(500);

fn path(state: &Path) -> PathBuf {
    state.join(NAME)
}

/// A smaller file while it is made.
const ASIDE: &str = "dead-letter.tmp";

/// What the file was before it was made smaller.
fn before(state: &Path, sequence: u64) -> PathBuf {
    state.join(format!("dead-letter.{sequence:08}.before"))
}

impl Writer {
    /// Opens the file in the directory of a state to go on at `end`; what stands behind it is cut
    /// off. Without one nobody knows what the file is: all of it is kept.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::sink) fn open(
        state: &Path,
        bound: Bound,
        end: Option<FileEnd>,
    ) -> io::Result<Self> {
        let path = path(state);
        let end = end.unwrap_or(FileEnd { sequence: 0, length: u64::MAX });
        let early = before(state, end.sequence);
        if early.exists() {
            // The commit in which it became smaller does not stand.
            fs::rename(early, &path)?;
        }
        if let Some(sequence) = end.sequence.checked_sub(1) {
            remove(&before(state, sequence))?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        let there = file.metadata()?.len();
        if there < end.length && end.length < u64::MAX {
            let path = path.display();
            tracing::warn!(%path, there, length = end.length, "shorter than it was left");
        }
        let end = FileEnd { length: end.length.min(there), ..end };
        file.set_len(end.length)?;
        file.seek(SeekFrom::Start(end.length))?;
        let standing = Arc::new(Standing::default());
        standing.bytes.store(end.length, Ordering::Relaxed);
        Ok(Self {
            state: state.to_owned(),
            bound,
            file,
            end,
            waiting: Vec::new(),
            gone: None,
            forgotten: BTreeSet::new(),
            looked: None,
            standing,
        })
    }

    /// The file and its name, for who makes it last.
    pub(in crate::sink) fn shared(&self) -> io::Result<(PathBuf, File, u64)> {
        Ok((path(&self.state), self.file.try_clone()?, self.end.sequence))
    }

    pub(in crate::sink) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Takes letters of lines that were no records.
    ///
    /// # Errors
    /// What the system says, unless it is that there is no room.
    pub(in crate::sink) fn take_lines(&mut self, letters: &[u8]) -> io::Result<()> {
        let mut rest = letters;
        while self.end.length + self.waiting.len() as u64 > self.bound.bytes_max / 4 * 3
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let (line, after) = rest.split_at(end + 1);
            self.waiting.extend(without_raw(line));
            rest = after;
        }
        self.take(rest)
    }

    /// Takes letters.
    ///
    /// # Errors
    /// What the system says, unless it is that there is no room.
    pub(in crate::sink) fn take(&mut self, letters: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(letters);
        self.write().map_err(|error| in_file(&path(&self.state), &error))
    }

    /// Writes what waits, as far as there is room.
    fn write(&mut self) -> io::Result<()> {
        let fits = match self.bound.when_full {
            WhenFull::Pause => self.bound.bytes_max.saturating_sub(self.end.length),
            WhenFull::DropOldest => u64::MAX,
        };
        let most = usize::try_from(fits).unwrap_or(usize::MAX).min(self.waiting.len());
        let whole = memchr::memrchr(b'\n', &self.waiting[..most]).map_or(0, |at| at + 1);
        match self.file.write_all(&self.waiting[..whole]) {
            Err(error) if crate::sink::spool::is_full(&error) => {
                self.file.set_len(self.end.length)?;
                self.file.seek(SeekFrom::Start(self.end.length))?;
            }
            Err(error) => return Err(error),
            Ok(()) => {
                self.waiting.drain(..whole);
                self.end.length += whole as u64;
            }
        }
        let is_full = !self.waiting.is_empty();
        if is_full && !self.standing.is_full.load(Ordering::Relaxed) {
            let path = path(&self.state);
            tracing::error!(
                path = %path.display(),
                "no room for dead letters: nothing is read until there is; zeek-ueba dlq shows them"
            );
        }
        self.standing.is_full.store(is_full, Ordering::Relaxed);
        self.standing.bytes.store(self.end.length, Ordering::Relaxed);
        Ok(())
    }

    /// Where it ends, at a commit; waits for room for what waits, until it is time to end.
    ///
    /// # Errors
    /// What the system says, also that there is no room.
    pub(in crate::sink) fn cut(&mut self, stop: &AtomicBool) -> io::Result<FileEnd> {
        let path = path(&self.state);
        let failed = |error: io::Error| in_file(&path, &error);
        // What commands left for somebody else only is as good as nothing.
        self.committed().or_else(|error| self.passed_over(error)).map_err(failed)?;
        let is_large = self.end.length >= self.bound.bytes_max;
        let mut is_short = self.looked.is_none() || is_large || !self.waiting.is_empty();
        loop {
            if is_short {
                self.make_room().or_else(|error| self.passed_over(error)).map_err(failed)?;
            }
            self.write().map_err(failed)?;
            if self.waiting.is_empty() {
                return Ok(self.end);
            }
            if stop.load(Ordering::Relaxed) {
                let why = "no room for dead letters; what they are of is read again";
                return Err(failed(io::Error::new(io::ErrorKind::StorageFull, why)));
            }
            std::thread::sleep(AGAIN);
            is_short = true;
        }
    }

    /// Trouble that is no reason to end: somebody may put it right.
    fn passed_over(&mut self, error: io::Error) -> io::Result<()> {
        let is_full = crate::sink::spool::is_full(&error);
        if !is_full && error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        let path = path(&self.state);
        tracing::warn!(path = %path.display(), %error, "cannot make room among dead letters now");
        self.looked = None;
        remove(&self.state.join(ASIDE))
    }

    /// The last commit stands: what was from before goes.
    fn committed(&mut self) -> io::Result<()> {
        let Some(gone) = self.gone.take() else { return Ok(()) };
        if let Some(sequence) = self.end.sequence.checked_sub(1) {
            remove(&before(&self.state, sequence))?;
        }
        self.forgotten.extend(gone);
        if !self.forgotten.is_empty()
            && let Some(lock) = Lock::take(&self.state)?
        {
            let forgotten = std::mem::take(&mut self.forgotten);
            Done::forget(&self.state, &lock, &forgotten)?;
        }
        Ok(())
    }

    /// Lets go what was dealt with, and the oldest half where that is configured and it is full.
    fn make_room(&mut self) -> io::Result<()> {
        let is_large = self.end.length >= self.bound.bytes_max;
        let cuts = is_large && self.bound.when_full == WhenFull::DropOldest;
        let changed = Done::changed(&self.state)?;
        if self.looked.replace(changed) == Some(changed) && !cuts {
            return Ok(());
        }
        let done = Done::read(&self.state)?;
        if done.is_empty() && !cuts {
            return Ok(());
        }
        let aside = self.state.join(ASIDE);
        let mut letters = Letters::open(&path(&self.state))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut out = BufWriter::new(options.open(&aside)?);
        let (mut gone, mut at, mut length, mut dropped) = (BTreeSet::new(), 0, 0, 0);
        let behind = if cuts { self.end.length - self.bound.bytes_max / 2 } else { 0 };
        while at < self.end.length
            && let Some((key, line)) = letters.line()?
        {
            let is_old = at < behind;
            at += line.len() as u64 + 1;
            if done.get(&key).is_some() {
                gone.insert(key);
            } else if is_old {
                dropped += 1;
            } else {
                out.write_all(line)?;
                out.write_all(b"\n")?;
                length += line.len() as u64 + 1;
            }
        }
        if gone.is_empty() && dropped == 0 {
            return remove(&aside);
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.file.sync_data()?;
        // What a start takes back is the file of the last commit.
        if self.gone.is_none() {
            fs::rename(path(&self.state), before(&self.state, self.end.sequence))?;
            self.end.sequence += 1;
        }
        fs::rename(aside, path(&self.state))?;
        File::open(&self.state)?.sync_all()?;
        (self.file, self.end.length) = (file, length);
        let (dealt, path) = (gone.len(), path(&self.state));
        tracing::info!(path = %path.display(), dealt, dropped, "dead letters let go");
        self.standing.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.gone.get_or_insert_default().extend(gone);
        Ok(())
    }
}

/// A letter without the bytes of its line, which stand in the log.
fn without_raw(line: &[u8]) -> Vec<u8> {
    const RAW: &[u8] = b",\"raw\":\"";
    let Some(start) = memchr::memmem::rfind(line, RAW).map(|at| at + RAW.len()) else {
        return line.to_vec();
    };
    let end = memchr::memchr(b'"', &line[start..]).map_or(start, |at| start + at);
    [&line[..start], &line[end..]].concat()
}
