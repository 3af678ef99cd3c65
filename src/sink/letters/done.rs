//! Which dead letters were dealt with: a file of keys beside them, which commands append to while
//! the daemon runs, and which the daemon goes by when it makes room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::reader::Key;

/// How a letter was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dealt {
    /// Its sink has the document now.
    Replayed,
    /// Somebody said that it is not needed.
    Dropped,
}

impl Dealt {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }
}

/// Keeps others from dealing with dead letters, as long as it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Whoever makes a file there, it is for the daemon.
fn own(file: &File, state: &Path) -> io::Result<()> {
    let (ours, theirs) = (file.metadata()?, fs::metadata(state)?);
    if (ours.uid(), ours.gid()) == (theirs.uid(), theirs.gid()) {
        return Ok(());
    }
    fchown(file, Some(theirs.uid()), Some(theirs.gid()))
}

impl Lock {
    fn open(state: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(state.join("dead-letter.lock"))?;
        own(&file, state)?;
        Ok(file)
    }

    /// Takes it; nothing if another has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn take(state: &Path) -> io::Result<Option<Self>> {
        let file = Self::open(state)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The letters that were dealt with.
#[derive(Debug, Default)]
pub struct Done {
    keys: BTreeMap<Key, Dealt>,
}

fn path(state: &Path) -> PathBuf {
    state.join("dead-letter.done")
}

impl Done {
    /// Reads it; a line that is none is passed over.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(state: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path(state)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes?,
        };
        let mut keys = BTreeMap::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Some((key, dealt)) = line.split_once(' ') else { continue };
            let known = [Dealt::Replayed, Dealt::Dropped].into_iter().find(|it| it.name() == dealt);
            keys.extend(Key::parse(key).zip(known));
        }
        Ok(Self { keys })
    }

    /// What changes when something is added.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn changed(state: &Path) -> io::Result<(SystemTime, u64)> {
        match fs::metadata(path(state)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((SystemTime::UNIX_EPOCH, 0))
            }
            Ok(metadata) => Ok((metadata.modified()?, metadata.len())),
            Err(error) => Err(error),
        }
    }

    /// How a letter was dealt with, if it was.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Dealt> {
        self.keys.get(key).copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Remembers letters that were dealt with now.
    ///
    /// # Errors
    /// What the system says.
    pub fn note(state: &Path, _lock: &Lock, keys: &[Key], dealt: Dealt) -> io::Result<()> {
        let lines: String = keys.iter().map(|key| format!("{key} {}\n", dealt.name())).collect();
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(path(state))?;
        own(&file, state)?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }

    /// Forgets letters that are in the file no longer.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn forget(state: &Path, _lock: &Lock, gone: &BTreeSet<Key>) -> io::Result<()> {
        let mut left = Self::read(state)?;
        left.keys.retain(|key, _| !gone.contains(key));
        let line = |(key, dealt): (&Key, &Dealt)| format!("{key} {}\n", dealt.name());
        let lines: String = left.keys.iter().map(line).collect();
        let aside = state.join("dead-letter.done.tmp");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        fs::rename(aside, path(state))?;
        File::open(state)?.sync_all()
    }
}
