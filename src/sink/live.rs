//! NDJSON files that grow from run to run: events and dead letters as they come, alerts and risk
//! once their commit stands.
//!
//! A file that is full gets a number at a commit, `events.00000001.ndjson`, and another one takes
//! its name. Until that commit stands, a start takes the number back.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::clock::now;
use crate::engine::{Cut, FileEnd, Gate, Kind, LastingSink, LettersStatus, Progress, Sink};

use super::backlog::GRACE;
use super::letters::{self, Bound, Standing, Writer};
use super::ndjson::{CannotOpen, in_file, mode, name, remove};
use super::network::Network;

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
    /// Nothing where no NDJSON is wanted.
    events: Option<Written>,
    letters: Writer,
    networks: Vec<Arc<dyn Network>>,
    /// Dead letters of sinks whose commit stands.
    told: Arc<Mutex<Vec<u8>>>,
    /// Whether it is time to end.
    stop: Arc<AtomicBool>,
}

/// Alerts and risk; and the files of [`Events`] once more, to sync them.
#[derive(Debug)]
pub struct Outbox {
    files: Option<[Written; 2]>,
    events: Option<Synced>,
    letters: Synced,
    networks: Vec<Arc<dyn Network>>,
    told: Arc<Mutex<Vec<u8>>>,
    /// Whether it is time to end.
    stop: Arc<AtomicBool>,
    room: Room,
}

/// Whether there is room for what comes of records.
#[derive(Clone, Debug)]
pub struct Room {
    networks: Vec<Arc<dyn Network>>,
    letters: Arc<Standing>,
    letters_max: u64,
    told: Arc<Mutex<Vec<u8>>>,
}

/// What a commit keeps of the outputs.
#[derive(Debug)]
pub struct Settled {
    /// Where events, alerts, risk and dead letters end.
    pub ends: [FileEnd; 4],
    /// Dead letters of sinks.
    pub letters: Vec<u8>,
    /// How far each sink has come.
    pub sinks: BTreeMap<String, Progress>,
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
        // A larger one is nobody's.
        found.extend(number.and_then(|it| it.parse::<u64>().ok()).filter(|it| *it < 1 << 48));
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
            remove(&numbered(&self.directory, self.kind, old))?;
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

/// Where documents go that are files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The directory of events, alerts and risk, if there is to be one.
    pub directory: Option<&'a Path>,
    /// When those are full.
    pub rotation: Rotation,
    /// The directory of the state, for dead letters.
    pub state: &'a Path,
    /// When those are too many.
    pub letters: Bound,
}

/// Opens the files; `ends` are where they (events, alerts, risk, dead letters) end as the last
/// commit knows it, if it does. Events, alerts and risk go to `networks` too.
///
/// # Errors
/// Says what stands in the way.
pub fn open(
    files: Files<'_>,
    ends: [Option<FileEnd>; 4],
    networks: Vec<Arc<dyn Network>>,
) -> Result<(Events, Outbox), CannotOpen> {
    let Files { directory, rotation, state, letters: bound } = files;
    let written = |directory: &Path, kind: Kind| {
        Written::open(directory, kind, rotation, ends[kind as usize])
    };
    let wrong = |error| CannotOpen::Io(state.join(letters::NAME), error);
    let letters = Writer::open(state, bound, ends[Kind::DeadLetter as usize]).map_err(wrong)?;
    let mut events = None;
    let mut files = None;
    if let Some(directory) = directory {
        if directory.exists() && !directory.is_dir() {
            return Err(CannotOpen::NotADirectory(directory.to_owned()));
        }
        fs::create_dir_all(directory).map_err(|e| CannotOpen::Io(directory.to_owned(), e))?;
        events = Some(written(directory, Kind::Event)?);
        files = Some([written(directory, Kind::Alert)?, written(directory, Kind::Risk)?]);
    }
    let told: Arc<Mutex<Vec<u8>>> = Arc::default();
    let stop = Arc::default();
    let (path, file, sequence) = letters.shared().map_err(wrong)?;
    let room = Room {
        networks: networks.clone(),
        letters: letters.standing(),
        letters_max: bound.bytes_max,
        told: Arc::clone(&told),
    };
    let outbox = Outbox {
        files,
        events: events.as_ref().map(Written::again).transpose()?,
        letters: Synced { path, file, sequence },
        networks: networks.clone(),
        told: Arc::clone(&told),
        stop: Arc::clone(&stop),
        room,
    };
    Ok((Events { events, letters, networks, told, stop }, outbox))
}

impl Events {
    /// Writes the dead letters of sinks whose commit stands.
    fn take_told(&mut self) -> io::Result<()> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        self.letters.take(&told)
    }
}

impl Sink for Events {
    fn write(&mut self, kind: Kind, documents: &[u8]) -> io::Result<()> {
        if kind == Kind::DeadLetter {
            return self.letters.take_lines(documents);
        }
        if let Some(events) = &mut self.events {
            events.append(documents)?;
        }
        for network in &self.networks {
            network.shared().measure(documents);
            network.shared().send(kind, documents)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.take_told()
    }
}

impl LastingSink for Events {
    fn cut(&mut self) -> io::Result<Cut> {
        self.take_told()?;
        let events = self.events.as_mut().map(Written::cut).transpose()?.unwrap_or_default();
        Ok(Cut {
            ends: [events, self.letters.cut(&self.stop)?],
            handed: self.networks.iter().map(|network| network.shared().handed()).collect(),
        })
    }
}

impl Outbox {
    /// What says that it is time to end.
    #[must_use]
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether there is room, for who reads.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room.clone()
    }

    /// Waits until sinks have everything of a cut, alerts and risk of the commits before it
    /// included, or it is in their spools; and makes files last.
    ///
    /// # Errors
    /// What the system says.
    pub fn settle(&mut self, cut: &Cut) -> io::Result<Settled> {
        let [events, letters] = cut.ends;
        for (synced, end) in
            self.events.iter_mut().zip([events]).chain([(&mut self.letters, letters)])
        {
            synced.sync(end).map_err(|error| in_file(&synced.path, &error))?;
        }
        let mut ends = [FileEnd::default(); 2];
        for (written, end) in self.files.iter_mut().flatten().zip(&mut ends) {
            *end = written.cut()?;
            written.file.sync_data().map_err(|error| in_file(&written.path(), &error))?;
        }
        let (mut rejected, mut sinks) = (Vec::new(), BTreeMap::new());
        let is_over = || self.stop.load(Ordering::Relaxed);
        let until = now() + GRACE;
        for (network, handed) in self.networks.iter().zip(&cut.handed) {
            let settled = network.shared().settle(handed, until, &is_over)?;
            let Some((progress, letters)) = settled else {
                let why = format!("{}: no room for what it lacks", network.name());
                return Err(io::Error::new(io::ErrorKind::StorageFull, why));
            };
            rejected.extend(letters);
            sinks.insert(network.name().to_owned(), progress);
        }
        Ok(Settled { ends: [events, ends[0], ends[1], letters], letters: rejected, sinks })
    }

    /// Writes alerts, risk and dead letters of sinks of a commit that stands, and lets go of what
    /// the spools need no longer.
    ///
    /// # Errors
    /// What the system says.
    pub fn tell(
        &mut self,
        documents: &[Vec<u8>; 3],
        sinks: &BTreeMap<String, Progress>,
    ) -> io::Result<()> {
        let [alerts, risk, letters] = documents;
        for (file, documents) in self.files.iter_mut().flatten().zip([alerts, risk]) {
            file.append(documents)?;
        }
        for network in &self.networks {
            let shared = network.shared();
            shared.send(Kind::Alert, alerts)?;
            shared.send(Kind::Risk, risk)?;
            if let Some(progress) = sinks.get(network.name()) {
                shared.stands(&progress.cursors)?;
            }
        }
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(letters);
        Ok(())
    }
}

impl Room {
    /// It is time to end: nothing waits for a sink any more.
    pub fn end(&self) {
        self.networks.iter().for_each(|network| network.shared().end());
    }

    /// How the dead letters stand.
    #[must_use]
    pub fn letters(&self) -> LettersStatus {
        LettersStatus {
            bytes: self.letters.bytes.load(Ordering::Relaxed),
            bytes_max: self.letters_max,
            dropped: self.letters.dropped.load(Ordering::Relaxed),
            is_full: self.letters.is_full.load(Ordering::Relaxed),
        }
    }
}

impl Gate for Room {
    fn is_shut(&self) -> bool {
        let is_full = self.letters.is_full.load(Ordering::Relaxed);
        is_full || self.networks.iter().any(|network| network.shared().is_shut())
    }

    fn has_news(&self) -> bool {
        // Letters of a commit that stands are written with the next one.
        let has_letters = !self.told.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        has_letters || self.networks.iter().any(|network| network.shared().has_news())
    }
}
