//! NDJSON files in a directory: `events.ndjson`, `alerts.ndjson`, `risk.ndjson`,
//! `dead-letter.ndjson`, present even when empty.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::{Kind, Sink};

/// Writes the four files.
#[derive(Debug)]
pub struct Ndjson {
    files: [(PathBuf, File); 4],
}

/// Why a directory cannot be written into.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// There is something in it that is not ours to mix with.
    #[error("{0} is not empty: name a new or empty directory with -o")]
    NotEmpty(PathBuf),
    /// It exists and is no directory.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// The system said no.
    #[error("cannot create {0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Dead letters hold raw lines, which redaction does not reach.
pub(super) const fn mode(kind: Kind) -> u32 {
    match kind {
        Kind::DeadLetter => 0o600,
        Kind::Event | Kind::Alert | Kind::Risk => 0o640,
    }
}

pub(super) const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "events.ndjson",
        Kind::Alert => "alerts.ndjson",
        Kind::Risk => "risk.ndjson",
        Kind::DeadLetter => "dead-letter.ndjson",
    }
}

impl Ndjson {
    /// Finds out whether there is something at `directory` that is not ours to write into.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn check(directory: &Path) -> Result<(), CannotOpen> {
        match fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
            Ok(false) => Ok(()),
            Ok(true) => Err(CannotOpen::NotEmpty(directory.to_owned())),
            Err(_) if !directory.exists() => Ok(()),
            Err(_) if !directory.is_dir() => Err(CannotOpen::NotADirectory(directory.to_owned())),
            Err(error) => Err(CannotOpen::Io(directory.to_owned(), error)),
        }
    }

    /// Creates the files in `directory`, which is made if it is not there and must be empty.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn create(directory: &Path) -> Result<Self, CannotOpen> {
        let failed = |path: &Path, error| CannotOpen::Io(path.to_owned(), error);
        Self::check(directory)?;
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        let create = |kind: Kind| {
            let path = directory.join(name(kind));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode(kind));
            match options.open(&path) {
                Ok(file) => Ok((path, file)),
                Err(error) => Err(failed(&path, error)),
            }
        };
        let [event, alert, risk, dead_letter] = Kind::ALL;
        let files = [create(event)?, create(alert)?, create(risk)?, create(dead_letter)?];
        Ok(Self { files })
    }
}

impl Sink for Ndjson {
    fn write(&mut self, kind: Kind, documents: &[u8]) -> io::Result<()> {
        let (path, file) = &mut self.files[kind as usize];
        file.write_all(documents).map_err(|error| in_file(path, &error))
    }

    fn finish(&mut self) -> io::Result<()> {
        for (path, file) in &mut self.files {
            file.flush().map_err(|error| in_file(path, &error))?;
        }
        Ok(())
    }
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn in_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
