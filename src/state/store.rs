//! The state file: keys and values, what was written so far, what has to be told still.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::base::codec::{Damaged, decode, encode};

use crate::engine::{FileEnd, Progress};

use super::journal::End;
use super::reader::Reader;

pub(super) const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The format of this release. A greater one is refused, a smaller one is migrated.
const VERSION: u32 = 1;

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `sensor.id`: part of every id.
    pub sensor_id: String,
    /// `entity.scope`: part of every entity's name.
    pub scope: String,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// Another daemon has it.
    #[error("{0} is in use by another zeek-ueba: one daemon per state directory")]
    Locked(PathBuf),
    /// The system said no.
    #[error("cannot use the state in {0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is not what a commit left.
    #[error(
        "the state in {0} is damaged: {1}; move the directory away to start afresh (logs that are \
         still there are read again) or bring back a copy"
    )]
    Damaged(PathBuf, String),
    /// A later release wrote it.
    #[error("the state in {0} has format {1}, and this release knows up to {VERSION}")]
    Newer(PathBuf, u32),
    /// It belongs to another sensor.
    #[error(
        "the state in {0} belongs to sensor {1:?} and the configuration says {2:?}: ids of events \
         would change; if that is meant, start once with --accept-new-sensor-id"
    )]
    OtherSensor(PathBuf, String, String),
    /// It has entities of another scope.
    #[error("the state in {0} has entity.scope {1:?}, which cannot be changed to {2:?}")]
    OtherScope(PathBuf, String, String),
}

impl CannotOpen {
    /// Whether another configuration could open it.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Newer(..) | Self::OtherSensor(..) | Self::OtherScope(..))
    }
}

/// What the last commit left, beside the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its number.
    pub sequence: u64,
    /// When the first daemon began, in microseconds since 1970.
    pub started: i64,
    /// Where the documents are.
    pub outputs: Option<PathBuf>,
    /// Where events, alerts, risk and dead letters end there.
    pub ends: [FileEnd; 4],
    /// Alerts, risk and dead letters of sinks, as documents, that may not be there yet.
    pub told: [Vec<u8>; 3],
    /// Where the journal ends.
    pub journal: End,
    /// How far each sink beyond this machine has come, by name.
    pub sinks: BTreeMap<String, Progress>,
}

/// Is shown a key with its value, and may say that it is none.
pub type Show<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Damaged> + 'a;

/// One commit.
#[derive(Debug)]
pub struct Record {
    /// Keys with their values, or nothing where they are gone.
    pub keys: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The rest.
    pub left: Left,
}

/// A state directory that is ours.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    database: Arc<Database>,
    /// Held as long as this lives.
    _lock: File,
}

/// Opens the file: a flipped bit in what is read later only would be a wrong position.
fn open_checked(path: &Path) -> Result<Database, redb::DatabaseError> {
    let mut database = Database::create(path)?;
    if !database.check_integrity()? {
        tracing::warn!(path = %path.display(), "repaired: the last commit stands");
    }
    Ok(database)
}

impl State {
    /// Opens the state in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub fn open(directory: &Path, owner: &Owner, accept: bool) -> Result<Self, CannotOpen> {
        let failed = |error| CannotOpen::Io(directory.to_owned(), error);
        let damaged = |what: String| CannotOpen::Damaged(directory.to_owned(), what);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mode = fs::metadata(directory).map_err(failed)?.permissions().mode();
        if mode & 0o002 != 0 {
            let why = "anybody may write into it: take that right away (chmod o-w)";
            return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(directory.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CannotOpen::Locked(directory.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let path = directory.join("state.redb");
        let is_new = !path.exists();
        let is_empty = fs::metadata(&path).is_ok_and(|meta| meta.len() == 0);
        if is_empty && directory.join("journal").exists() {
            return Err(damaged("state.redb is empty".to_owned()));
        }
        // redb asserts what a file that it wrote itself must have.
        let database = match catch_unwind(|| open_checked(&path)) {
            Ok(Ok(database)) => database,
            Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))) => {
                return Err(failed(error));
            }
            Ok(Err(error)) => return Err(damaged(error.to_string())),
            Err(_) => return Err(damaged("it is not as redb leaves a file".to_owned())),
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let database = Arc::new(database);
        let state = Self { directory: directory.to_owned(), database, _lock: lock };
        if is_new || state.meta("version").map_err(|e| damaged(e.to_string()))?.is_none() {
            state.claim(owner).map_err(|error| failed(io::Error::other(error)))?;
        } else {
            state.check(owner, accept)?;
        }
        Ok(state)
    }

    fn check(&self, owner: &Owner, accept: bool) -> Result<(), CannotOpen> {
        let here = || self.directory.clone();
        let read = |name: &str| {
            let found = self.meta(name).map_err(|error| self.damaged(&error))?;
            found.ok_or_else(|| self.damaged(&"what every state has is missing"))
        };
        let version: u32 = decode(&read("version")?).map_err(|error| self.damaged(&error))?;
        if version > VERSION {
            return Err(CannotOpen::Newer(here(), version));
        }
        let known: Owner = decode(&read("owner")?).map_err(|error| self.damaged(&error))?;
        if known.scope != owner.scope {
            return Err(CannotOpen::OtherScope(here(), known.scope, owner.scope.clone()));
        }
        if known.sensor_id != owner.sensor_id {
            if !accept {
                let (before, now) = (known.sensor_id, owner.sensor_id.clone());
                return Err(CannotOpen::OtherSensor(here(), before, now));
            }
            self.claim(owner).map_err(|e| CannotOpen::Io(here(), io::Error::other(e)))?;
        }
        Ok(())
    }

    fn damaged(&self, why: &dyn ToString) -> CannotOpen {
        CannotOpen::Damaged(self.directory.clone(), why.to_string())
    }

    fn claim(&self, owner: &Owner) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert("version", encode(&VERSION).as_slice())?;
            meta.insert("owner", encode(owner).as_slice())?;
            write.open_table(KEYS)?;
        }
        Ok(write.commit()?)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        let read = self.database.begin_read()?;
        let table = match read.open_table(META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(table.get(name)?.map(|value| value.value().to_vec()))
    }

    /// What the last commit left; nothing if there was none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn left(&self) -> Result<Option<Left>, CannotOpen> {
        let found = self.meta("left").map_err(|error| self.damaged(&error))?;
        found.map(|value| decode(&value).map_err(|error| self.damaged(&error))).transpose()
    }

    /// Shows every key with its value.
    ///
    /// # Errors
    /// When they cannot be read, or `show` says that one is none.
    pub fn each(&self, show: &mut Show<'_>) -> Result<(), CannotOpen> {
        let mut wrong = None;
        let read = || -> Result<(), redb::Error> {
            let read = self.database.begin_read()?;
            for item in read.open_table(KEYS)?.iter()? {
                let (key, value) = item?;
                if let Err(error) = show(key.value(), value.value()) {
                    wrong = Some(error);
                    break;
                }
            }
            Ok(())
        };
        let mut read = read;
        read().map_err(|error| self.damaged(&error))?;
        wrong.map_or(Ok(()), |error| Err(self.damaged(&error)))
    }

    /// Makes a commit last.
    ///
    /// # Errors
    /// When the system says no; the commit before it is what stands.
    pub fn commit(&self, record: &Record) -> io::Result<()> {
        let write = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            {
                let mut keys = write.open_table(KEYS)?;
                for (key, value) in &record.keys {
                    match value {
                        Some(value) => drop(keys.insert(key.as_slice(), value.as_slice())?),
                        None => drop(keys.remove(key.as_slice())?),
                    }
                }
                write.open_table(META)?.insert("left", encode(&record.left).as_slice())?;
            }
            Ok(write.commit()?)
        };
        write().map_err(|error| {
            let path = self.directory.join("state.redb");
            io::Error::other(format!("{}: {error}", path.display()))
        })
    }

    /// For who wants to look at what the last commit left, as long as this lives.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.directory.clone(), Arc::downgrade(&self.database))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_reads_it_and_nobody_else_writes_there() {
        let place = tempfile::TempDir::new().unwrap();
        let owner = Owner { sensor_id: "s".to_owned(), scope: "network".to_owned() };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = place.path().join("state");
        drop(State::open(&directory, &owner, false).unwrap());
        assert_eq!(mode(&directory), 0o700);
        for name in ["lock", "state.redb"] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777)).unwrap();
        let refused = State::open(&directory, &owner, false).unwrap_err().to_string();
        assert!(refused.contains("anybody may write into it"), "{refused}");
    }
}
