//! A look at the state as the last commit left it, while commits go on.

use std::path::PathBuf;
use std::sync::Weak;

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::store::{CannotOpen, KEYS, Show};

/// Looks at a state, which may end before it.
#[derive(Clone, Debug)]
pub struct Reader {
    directory: PathBuf,
    /// Whoever looks must not keep the file from being closed at the end.
    database: Weak<Database>,
}

/// The keys of one commit.
pub struct Snapshot {
    directory: PathBuf,
    keys: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Reader {
    pub(super) fn new(directory: PathBuf, database: Weak<Database>) -> Self {
        Self { directory, database }
    }

    /// The keys of the last commit.
    ///
    /// # Errors
    /// When they cannot be read; nothing if the state was closed.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, CannotOpen> {
        let Some(database) = self.database.upgrade() else { return Ok(None) };
        let directory = self.directory.clone();
        let read = || -> Result<_, redb::Error> { Ok(database.begin_read()?.open_table(KEYS)?) };
        let keys = read().map_err(|error| CannotOpen::Damaged(directory, error.to_string()))?;
        Ok(Some(Snapshot { directory: self.directory.clone(), keys }))
    }
}

impl Snapshot {
    /// Shows every key that begins with `prefix`, with its value.
    ///
    /// # Errors
    /// When they cannot be read, or `show` says that one is none.
    pub fn range(&self, prefix: &[u8], show: &mut Show<'_>) -> Result<(), CannotOpen> {
        let damaged = |why: String| CannotOpen::Damaged(self.directory.clone(), why);
        let items = self.keys.range::<&[u8]>(prefix..).map_err(|e| damaged(e.to_string()))?;
        for item in items {
            let (key, value) = item.map_err(|error| damaged(error.to_string()))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            show(key.value(), value.value()).map_err(|error| damaged(error.to_string()))?;
        }
        Ok(())
    }
}
