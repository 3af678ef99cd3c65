//! NDJSON files that grow from run to run: events and dead letters as they come, alerts and risk
//! once their commit stands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::{Kind, Sink};

use super::ndjson::{CannotOpen, in_file, mode, name};

/// Events and dead letters.
#[derive(Debug)]
pub struct Events {
    files: [Written; 2],
}

/// Alerts and risk; and the files of [`Events`] once more, to sync them.
#[derive(Debug)]
pub struct Outbox {
    files: [Written; 2],
    events: [(PathBuf, File); 2],
}

#[derive(Debug)]
struct Written {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Written {
    /// Opens a file to go on behind `length` bytes; what stands there is cut off. Without a length
    /// nobody knows what the file is: all of it is kept.
    fn open(directory: &Path, kind: Kind, length: Option<u64>) -> Result<Self, CannotOpen> {
        let path = directory.join(name(kind));
        let failed = |error| CannotOpen::Io(path.clone(), error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(mode(kind));
        let mut file = options.open(&path).map_err(failed)?;
        let there = file.metadata().map_err(failed)?.len();
        let length = length.unwrap_or(there);
        if there < length {
            tracing::warn!(path = %path.display(), there, length, "shorter than it was left");
        }
        let length = length.min(there);
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        Ok(Self { path, file, length })
    }

    fn append(&mut self, documents: &[u8]) -> io::Result<()> {
        self.file.write_all(documents).map_err(|error| in_file(&self.path, &error))?;
        self.length += documents.len() as u64;
        Ok(())
    }

    fn again(&self) -> Result<(PathBuf, File), CannotOpen> {
        let file = self.file.try_clone();
        Ok((self.path.clone(), file.map_err(|e| CannotOpen::Io(self.path.clone(), e))?))
    }
}

/// Opens events, alerts and risk in `directory` and dead letters in `letters`; `written` are their
/// bytes (events, alerts, risk, dead letters) as the last commit knows them.
///
/// # Errors
/// Says what stands in the way.
pub fn open(
    directory: &Path,
    letters: &Path,
    written: Option<[u64; 4]>,
) -> Result<(Events, Outbox), CannotOpen> {
    if directory.exists() && !directory.is_dir() {
        return Err(CannotOpen::NotADirectory(directory.to_owned()));
    }
    fs::create_dir_all(directory).map_err(|e| CannotOpen::Io(directory.to_owned(), e))?;
    let open = |kind: Kind| {
        let directory = if kind == Kind::DeadLetter { letters } else { directory };
        Written::open(directory, kind, written.map(|written| written[kind as usize]))
    };
    let events = Events { files: [open(Kind::Event)?, open(Kind::DeadLetter)?] };
    let again = [events.files[0].again()?, events.files[1].again()?];
    let outbox = Outbox { files: [open(Kind::Alert)?, open(Kind::Risk)?], events: again };
    Ok((events, outbox))
}

impl Sink for Events {
    fn write(&mut self, kind: Kind, documents: &[u8]) -> io::Result<()> {
        self.files[usize::from(kind == Kind::DeadLetter)].append(documents)
    }

    fn written(&self) -> [u64; 2] {
        [self.files[0].length, self.files[1].length]
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outbox {
    /// Makes what was written of events and dead letters last.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        for (path, file) in &self.events {
            file.sync_data().map_err(|error| in_file(path, &error))?;
        }
        Ok(())
    }

    /// Writes alerts and risk of a commit that stands.
    ///
    /// # Errors
    /// What the system says.
    pub fn tell(&mut self, documents: &[Vec<u8>; 2]) -> io::Result<()> {
        for (file, documents) in self.files.iter_mut().zip(documents) {
            file.append(documents)?;
        }
        Ok(())
    }

    /// Bytes of alerts and of risk written so far; makes them last.
    ///
    /// # Errors
    /// What the system says.
    pub fn written(&self) -> io::Result<[u64; 2]> {
        for written in &self.files {
            written.file.sync_data().map_err(|error| in_file(&written.path, &error))?;
        }
        Ok([self.files[0].length, self.files[1].length])
    }
}
