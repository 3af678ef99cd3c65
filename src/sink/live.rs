//! NDJSON files that grow from run to run: events and dead letters as they come, alerts and risk
//! once their commit stands.
//!
//! A file that is full gets a number at a commit, `events.00000001.ndjson`, and another one takes
//! its name. Until that commit stands, a start takes the number back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::engine::{FileEnd, Kind, LastingSink, Sink};

use super::ndjson::{CannotOpen, in_file, mode, name};

/// When a file is full, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Bytes from which it is.
    pub bytes_max: u64,
    /// How many full ones stay of each kind; 0: all.
    pub keep: u64,
}

/// Events and dead letters.
#[derive(Debug)]
pub struct Events {
    files: [Written; 2],
}

/// Alerts and risk; and the files of [`Events`] once more, to sync them.
#[derive(Debug)]
pub struct Outbox {
    files: [Written; 2],
    events: [Synced; 2],
}

#[derive(Debug)]
struct Written {
    directory: PathBuf,
    kind: Kind,
    rotation: Rotation,
    file: File,
    end: FileEnd,
}

/// A file that somebody else writes.
#[derive(Debug)]
struct Synced {
    path: PathBuf,
    file: File,
    sequence: u64,
}

/// `events.00000001.ndjson`
fn numbered(directory: &Path, kind: Kind, sequence: u64) -> PathBuf {
    let stem = name(kind).trim_end_matches(".ndjson");
    directory.join(format!("{stem}.{sequence:08}.ndjson"))
}

/// The numbers that full files of a kind have.
fn numbers(directory: &Path, kind: Kind) -> io::Result<Vec<u64>> {
    let stem = name(kind).trim_end_matches("ndjson");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix(stem)?.strip_suffix(".ndjson"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(found)
}

impl Written {
    /// Opens a file to go on at `end`; what stands behind it is cut off. Without one nobody knows
    /// what the file is: all of it is kept.
    fn open(
        directory: &Path,
        kind: Kind,
        rotation: Rotation,
        end: Option<FileEnd>,
    ) -> Result<Self, CannotOpen> {
        let path = directory.join(name(kind));
        let failed = |error| CannotOpen::Io(path.clone(), error);
        let numbers = numbers(directory, kind).map_err(failed)?;
        let last = numbers.iter().copied().max().unwrap_or_default();
        let sequence = end.map_or(last, |end| end.sequence);
        // The commit in which it became full does not stand.
        let early = numbered(directory, kind, sequence + 1);
        if early.exists() {
            fs::rename(&early, &path).map_err(failed)?;
        }
        if rotation.keep > 0 {
            for number in numbers.into_iter().filter(|number| number + rotation.keep <= sequence) {
                fs::remove_file(numbered(directory, kind, number)).map_err(failed)?;
            }
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(mode(kind));
        let mut file = options.open(&path).map_err(failed)?;
        let there = file.metadata().map_err(failed)?.len();
        let length = end.map_or(there, |end| end.length);
        if there < length {
            tracing::warn!(path = %path.display(), there, length, "shorter than it was left");
        }
        let length = length.min(there);
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        let end = FileEnd { sequence, length };
        Ok(Self { directory: directory.to_owned(), kind, rotation, file, end })
    }

    fn path(&self) -> PathBuf {
        self.directory.join(name(self.kind))
    }

    fn append(&mut self, documents: &[u8]) -> io::Result<()> {
        self.file.write_all(documents).map_err(|error| in_file(&self.path(), &error))?;
        self.end.length += documents.len() as u64;
        Ok(())
    }

    /// Where it ends, at a commit; behind that a full one goes on as another file.
    fn cut(&mut self) -> io::Result<FileEnd> {
        if self.end.length >= self.rotation.bytes_max {
            self.rotate().map_err(|error| in_file(&self.path(), &error))?;
        }
        Ok(self.end)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let sequence = self.end.sequence + 1;
        fs::rename(self.path(), numbered(&self.directory, self.kind, sequence))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode(self.kind));
        self.file = options.open(self.path())?;
        File::open(&self.directory)?.sync_all()?;
        self.end = FileEnd { sequence, length: 0 };
        if let Some(old) =
            sequence.checked_sub(self.rotation.keep).filter(|_| self.rotation.keep > 0)
        {
            match fs::remove_file(numbered(&self.directory, self.kind, old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn again(&self) -> Result<Synced, CannotOpen> {
        let path = self.path();
        let file = self.file.try_clone().map_err(|error| CannotOpen::Io(path.clone(), error))?;
        Ok(Synced { path, file, sequence: self.end.sequence })
    }
}

impl Synced {
    fn sync(&mut self, end: FileEnd) -> io::Result<()> {
        if self.sequence != end.sequence {
            // Who writes it has synced the one before.
            self.file = OpenOptions::new().write(true).open(&self.path)?;
            self.sequence = end.sequence;
        }
        self.file.sync_data()
    }
}

/// Opens events, alerts and risk in `directory` and dead letters in `letters`; `ends` are where they
/// (events, alerts, risk, dead letters) end as the last commit knows it.
///
/// # Errors
/// Says what stands in the way.
pub fn open(
    directory: &Path,
    letters: &Path,
    rotation: Rotation,
    ends: Option<[FileEnd; 4]>,
) -> Result<(Events, Outbox), CannotOpen> {
    if directory.exists() && !directory.is_dir() {
        return Err(CannotOpen::NotADirectory(directory.to_owned()));
    }
    fs::create_dir_all(directory).map_err(|e| CannotOpen::Io(directory.to_owned(), e))?;
    let open = |kind: Kind| {
        let directory = if kind == Kind::DeadLetter { letters } else { directory };
        Written::open(directory, kind, rotation, ends.map(|ends| ends[kind as usize]))
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

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LastingSink for Events {
    fn cut(&mut self) -> io::Result<[FileEnd; 2]> {
        Ok([self.files[0].cut()?, self.files[1].cut()?])
    }
}

impl Outbox {
    /// Makes events and dead letters up to `events` last, and alerts and risk as they are; where
    /// all of them end then, as [`open`] wants to know it.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self, events: [FileEnd; 2]) -> io::Result<[FileEnd; 4]> {
        for (synced, end) in self.events.iter_mut().zip(events) {
            synced.sync(end).map_err(|error| in_file(&synced.path, &error))?;
        }
        let mut ends = [FileEnd::default(); 2];
        for (written, end) in self.files.iter_mut().zip(&mut ends) {
            *end = written.cut()?;
            written.file.sync_data().map_err(|error| in_file(&written.path(), &error))?;
        }
        Ok([events[0], ends[0], ends[1], events[1]])
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
}
