//! The thread that looks into the directories: which files there are, which were renamed, which are
//! gone, and which of those that were put away hold something that was not read.
//!
//! A scan at least once a second is the truth; inotify only says that it is due earlier (R2, R3).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::base::clock::{now, since_1970};
use crate::read::Reader;
use crate::record::{Lane, Log};
use crate::zeek::{Settings, by_name, is_live_name};

use super::board::{Board, FileKey, Known};
use super::follow::{Bytes, Follow, Identity};
use super::lane::{first_record, resume_any};

/// What the scanner tells a lane.
pub enum News {
    /// A file that Zeek writes to.
    Live {
        /// Open.
        file: File,
        /// Where it is.
        path: PathBuf,
        /// Its path below its root.
        relative: String,
    },
    /// A file that was put away with something unread.
    Backlog(Box<Follow>),
    /// What stood unread at the start was sent.
    CaughtUp,
    /// A file has another name now.
    Moved {
        /// Which.
        key: FileKey,
        /// Its path below its root.
        relative: String,
        /// Whether Zeek still writes to it under that name.
        is_live: bool,
    },
    /// A file has no name below the roots any more.
    Gone(FileKey),
}

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Directories.
    pub roots: Vec<PathBuf>,
    /// Whether files from before the first start are read too.
    pub backfill: bool,
    /// The first start, in seconds since 1970.
    pub started: u64,
    /// `sensor.id`.
    pub sensor_id: String,
    /// Files that may be open at once.
    pub files_max: usize,
    /// The parsers' settings.
    pub settings: BTreeMap<Log, Settings>,
}

/// Directories below a root that are looked into.
const DEPTH: usize = 3;
/// Time between two scans, at most.
const EVERY: Duration = Duration::from_secs(1);
/// Time between two scans while lanes have all the files that they may have open.
const SOON: Duration = Duration::from_millis(20);
/// Files that were put away and that one lane has open.
const BACKLOG_MAX: usize = 4;
/// A compressed file that does not end well is read as far as it goes when it was not written to
/// for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A content that was not found so long after the start is missing.
const MISSED_AFTER: Duration = Duration::from_secs(10);

struct Found {
    path: PathBuf,
    relative: String,
    key: FileKey,
    size: u64,
    modified: (i64, i64),
    log: Log,
    is_live: bool,
}

/// A file as it was when nothing more was to be done about it.
type Settled = (FileKey, u64, (i64, i64));

struct Listing {
    modified: SystemTime,
    names: Vec<std::ffi::OsString>,
}

/// See the module.
pub struct Scanner {
    sources: Sources,
    board: Arc<Board>,
    lanes: BTreeMap<Lane, Sender<News>>,
    begun: Instant,
    settled: BTreeMap<PathBuf, Settled>,
    listings: BTreeMap<PathBuf, Listing>,
    /// What the lanes know of their files.
    names: BTreeMap<FileKey, (String, bool)>,
    /// Lanes that still have to be sent what stood unread at the start.
    behind: BTreeSet<Lane>,
    /// Lanes whose next file has to wait for a free place.
    full: BTreeSet<Lane>,
    inotify: Option<OwnedFd>,
    watched: BTreeSet<PathBuf>,
}

impl Scanner {
    /// A scanner that tells `lanes`.
    #[must_use]
    pub fn new(sources: Sources, board: Arc<Board>, lanes: BTreeMap<Lane, Sender<News>>) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &inotify {
            tracing::warn!(%error, "no inotify: directories are looked into once a second");
        }
        Self {
            behind: lanes.keys().copied().collect(),
            sources,
            board,
            lanes,
            begun: now(),
            settled: BTreeMap::new(),
            listings: BTreeMap::new(),
            names: BTreeMap::new(),
            full: BTreeSet::new(),
            inotify: inotify.ok(),
            watched: BTreeSet::new(),
        }
    }

    /// Scans until `stop` is set.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.scan();
            self.wait(if self.full.is_empty() { EVERY } else { SOON });
        }
    }

    /// Waits until a directory changes, at most so long.
    fn wait(&self, at_most: Duration) {
        let Some(inotify) = &self.inotify else { return std::thread::sleep(at_most) };
        let timeout = Timespec::try_from(at_most).ok();
        let mut fds = [PollFd::new(inotify, PollFlags::IN)];
        if matches!(poll(&mut fds, timeout.as_ref()), Ok(count) if count > 0) {
            // What happened does not matter: the scan will see it.
            let mut events = [0; 16 << 10];
            while matches!(rustix::io::read(inotify, &mut events), Ok(count) if count > 0) {}
        }
    }

    fn watch(&mut self, directory: &Path) {
        let Some(inotify) = &self.inotify else { return };
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        // Again each time: a directory of the same name may be another one.
        let is_new = self.watched.insert(directory.to_owned());
        if let Err(error) = inotify::add_watch(inotify, directory, flags)
            && is_new
        {
            tracing::warn!(path = %directory.display(), %error, "no inotify here: looked into once a second");
        }
    }

    /// One look at everything.
    pub fn scan(&mut self) {
        let roots = self.sources.roots.iter().filter(|root| root.is_dir()).count() as u64;
        self.board.lock().roots = roots;
        let now = seconds_now();
        if now < self.sources.started {
            // The clock was ahead at the first start and has been put right, a moment ago.
            self.sources.started = now.saturating_sub(PATIENCE.as_secs());
        }
        let mut found = self.find();
        self.tell_names(&found);
        self.full.clear();
        self.board.lock().is_crowded = false;
        // What was put away first, the oldest first; then what Zeek writes to.
        found.sort_by(|a, b| {
            (a.is_live, a.modified, &a.path).cmp(&(b.is_live, b.modified, &b.path))
        });
        for found in &found {
            let state = (found.key, found.size, found.modified);
            if self.settled.get(&found.path) == Some(&state)
                || self.board.lock().followed.contains_key(&found.key)
                || self.full.contains(&found.log.lane())
            {
                continue;
            }
            if self.examine(found) {
                self.settled.insert(found.path.clone(), state);
            }
        }
        for lane in std::mem::take(&mut self.behind) {
            if self.full.contains(&lane) {
                self.behind.insert(lane);
            } else {
                self.send(lane, News::CaughtUp);
            }
        }
        let paths: BTreeSet<&PathBuf> = found.iter().map(|found| &found.path).collect();
        self.settled.retain(|path, _| paths.contains(path));
        let keys: BTreeSet<FileKey> = found.iter().map(|found| found.key).collect();
        self.board.lock().parked.retain(|key, _| keys.contains(key));
        self.tell_missing();
    }

    fn send(&self, lane: Lane, news: News) {
        // A lane that is gone needs no news.
        if let Some(to) = self.lanes.get(&lane) {
            drop(to.send(news));
        }
    }

    /// Tells lanes which of their files have another name, or none.
    fn tell_names(&mut self, found: &[Found]) {
        let mut now: BTreeMap<FileKey, (String, bool)> = BTreeMap::new();
        for found in found {
            let name = (found.relative.clone(), found.is_live);
            let known = now.entry(found.key).or_insert_with(|| name.clone());
            // Of several names the live one counts.
            if found.is_live && !known.1 {
                *known = name;
            }
        }
        let followed = self.board.lock().followed.clone();
        self.names.retain(|key, _| followed.contains_key(key));
        for (key, lane) in followed {
            match now.get(&key) {
                Some(name) if self.names.get(&key) != Some(name) => {
                    self.names.insert(key, name.clone());
                    let (relative, is_live) = name.clone();
                    self.send(lane, News::Moved { key, relative, is_live });
                }
                Some(_) => {}
                None => {
                    if self.names.insert(key, (String::new(), false))
                        != Some((String::new(), false))
                    {
                        self.send(lane, News::Gone(key));
                    }
                }
            }
        }
    }

    /// Deals with a file; whether nothing more is to be done as long as it stays as it is.
    fn examine(&mut self, found: &Found) -> bool {
        let Ok(file) = open(&found.path, found.key) else { return false };
        let Ok(mut reader) = file.try_clone().and_then(Reader::new) else { return false };
        let is_gzip = reader.is_gzip();
        if found.is_live && !is_gzip {
            self.put_live(file, found);
            return false;
        }
        let modified = u64::try_from(found.modified.0).unwrap_or_default();
        if !self.sources.backfill && modified < self.sources.started {
            return true;
        }
        let is_old = seconds_now().saturating_sub(modified) >= PATIENCE.as_secs();
        let name = found.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let alias = self.sources.settings.values().next().map_or(&[][..], |it| &it.alias);
        let Some(mut identity) = first_record(&file, &name.unwrap_or_default(), alias) else {
            return !is_gzip || is_old;
        };
        // It may have been empty a moment ago, so that compressed bytes were taken for lines.
        if !file.try_clone().and_then(Reader::new).is_ok_and(|it| it.is_gzip() == is_gzip) {
            return false;
        }
        let lane = identity.log.lane();
        if self.backlog(lane) >= BACKLOG_MAX {
            self.full.insert(lane);
            return false;
        }
        let mut is_shorter = false;
        // Asked once: a lane may meet the same content under its live name meanwhile, and then it
        // is no fork, but claimed.
        let alike = self.board.lock().alike(identity.head);
        let is_fork = !alike.is_empty();
        for (generation, known) in alike {
            let Ok(fresh) = file.try_clone().and_then(Reader::new) else { return false };
            reader = fresh;
            let mut running = resume_any(&mut reader, &known);
            if running.is_none() {
                if length(&file) < known.position.check.length {
                    is_shorter = true;
                    continue;
                }
                // It may have become long enough only since it was compared: an archiver is at it.
                let Ok(fresh) = file.try_clone().and_then(Reader::new) else { return false };
                reader = fresh;
                running = resume_any(&mut reader, &known);
            }
            let Some(running) = running else { continue };
            if known.is_open {
                return false;
            }
            let (rest, is_whole) = rest(&mut reader);
            if !is_whole && !is_old {
                return false;
            }
            if rest == 0 {
                self.board.lock().note(generation, done(&known), false);
                return true;
            }
            let identity = Identity { generation, ..identity };
            return self.put(&file, found, identity, Some((&known, running)));
        }
        if is_shorter {
            // A copy that was cut: what was read of the longer one holds it.
            return true;
        }
        if is_gzip && !is_old {
            let Ok(mut reader) = file.try_clone().and_then(Reader::new) else { return false };
            if !rest(&mut reader).1 {
                return false;
            }
        }
        if is_fork {
            identity.generation = identity.head.fork(&differing_line(&file, &identity));
            self.board.lock().gauge(lane).forked += 1;
        }
        self.put(&file, found, identity, None)
    }

    /// Hands a file that Zeek writes to to its lane, unless there is no room for it now.
    fn put_live(&mut self, file: File, found: &Found) {
        let lane = found.log.lane();
        let mut board = self.board.lock();
        if board.parked.get(&found.key) == Some(&found.size) {
            return;
        }
        if board.followed.len() >= self.sources.files_max {
            // Those that are quiet make room.
            board.is_crowded = true;
            return;
        }
        board.parked.remove(&found.key);
        board.followed.insert(found.key, lane);
        drop(board);
        self.names.insert(found.key, (found.relative.clone(), true));
        let (path, relative) = (found.path.clone(), found.relative.clone());
        self.send(lane, News::Live { file, path, relative });
    }

    /// Hands a file that was put away to its lane.
    fn put(
        &self,
        file: &File,
        found: &Found,
        identity: Identity,
        known: Option<(&Known, super::check::Running)>,
    ) -> bool {
        let Ok(file) = file.try_clone() else { return false };
        let (log, key, generation) = (identity.log, found.key, identity.generation);
        let seen = known.as_ref().map(|(known, _)| *known);
        let position = known.map(|(known, running)| (&known.position, running));
        let settings = &self.sources.settings[&log];
        let path = found.relative.clone();
        let sensor_id = &self.sources.sensor_id;
        match Follow::new(file, identity, path, position, settings, sensor_id) {
            Ok(mut follow) => {
                follow.is_final = true;
                let mut board = self.board.lock();
                if !board.claim(generation, seen, follow.position(false, seconds_now())) {
                    return false;
                }
                board.followed.insert(key, log.lane());
                *board.backlog.entry(log.lane()).or_default() += 1;
                drop(board);
                tracing::info!(path = %found.path.display(), %log, "has something unread");
                self.send(log.lane(), News::Backlog(Box::new(follow)));
            }
            Err(error) => {
                tracing::warn!(path = %found.path.display(), %error, "cannot be read now");
            }
        }
        false
    }

    fn backlog(&self, lane: Lane) -> usize {
        self.board.lock().backlog.get(&lane).copied().unwrap_or_default()
    }

    /// Says once which contents were not found again.
    fn tell_missing(&self) {
        if self.begun.elapsed() < MISSED_AFTER || !self.behind.is_empty() {
            return;
        }
        let mut board = self.board.lock();
        let mut missing = Vec::new();
        for known in board.known.values_mut() {
            if !known.position.is_done && !known.is_open && !known.is_missed {
                known.is_missed = true;
                missing.push(known.position.clone());
            }
        }
        for position in missing {
            board.gauge(position.log.lane()).missing += 1;
            let unread = position.size.saturating_sub(position.check.length);
            tracing::warn!(
                path = position.path,
                unread,
                "a log that was being read was not found again"
            );
        }
    }

    /// Every file of our logs below the roots.
    fn find(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for root in self.sources.roots.clone() {
            self.directory(&root, "", 0, &mut seen, &mut found);
        }
        self.listings.retain(|path, _| seen.contains(path));
        self.watched.retain(|path| seen.contains(path));
        found
    }

    fn directory(
        &mut self,
        path: &Path,
        relative: &str,
        depth: usize,
        seen: &mut BTreeSet<PathBuf>,
        found: &mut Vec<Found>,
    ) {
        let Ok(real) = fs::canonicalize(path) else { return };
        if !seen.insert(real.clone()) {
            return;
        }
        self.watch(&real);
        let Some((names, is_same)) = self.names_in(&real) else { return };
        for name in names {
            let text = name.to_string_lossy();
            let below =
                if relative.is_empty() { text.to_string() } else { format!("{relative}/{text}") };
            let path = path.join(&name);
            let log = by_name(&text);
            // Most files of an archive were dealt with: they are asked again only after a change.
            if is_same
                && let Some(log) = log.filter(|_| !is_live_name(&text))
                && let Some((key, size, modified)) = self.settled.get(&path).copied()
            {
                let (relative, is_live) = (below, false);
                found.push(Found { path, relative, key, size, modified, log, is_live });
                continue;
            }
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_dir() {
                if depth < DEPTH {
                    self.directory(&path, &below, depth + 1, seen, found);
                }
            } else if let Some(log) = log.filter(|_| meta.is_file()) {
                found.push(found_file(path, below, &meta, log, is_live_name(&text)));
            }
        }
    }

    /// The names in a directory that may matter; read again only when it has changed. And whether
    /// it has not.
    fn names_in(&mut self, directory: &Path) -> Option<(Vec<std::ffi::OsString>, bool)> {
        let modified = fs::metadata(directory).ok()?.modified().ok()?;
        // A change within the resolution of the clock would not be seen.
        let is_settled = modified.elapsed().is_ok_and(|age| age > Duration::from_secs(2));
        if let Some(listing) = self.listings.get(directory)
            && listing.modified == modified
            && is_settled
        {
            return Some((listing.names.clone(), true));
        }
        let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
        let matters = |name: &std::ffi::OsString| {
            let text = name.to_string_lossy();
            let is_hidden = text.starts_with('.') || text.ends_with(".tmp");
            let is_file = text.contains(".log") || text.ends_with(".gz") || text.ends_with(".json");
            !is_hidden && (!is_file || by_name(&text).is_some())
        };
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).filter(matters).collect();
        names.sort();
        let listing = Listing { modified, names: names.clone() };
        self.listings.insert(directory.to_owned(), listing);
        Some((names, false))
    }
}

fn found_file(path: PathBuf, relative: String, meta: &Metadata, log: Log, is_live: bool) -> Found {
    let key = FileKey::of(meta);
    let modified = (meta.mtime(), meta.mtime_nsec());
    Found { path, relative, key, size: meta.len(), modified, log, is_live }
}

/// Opens the file at `path` if it is still the one that was found there. A pipe that somebody put
/// there since is not waited for.
fn open(path: &Path, key: FileKey) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let is_same = FileKey::of(&file.metadata()?) == key;
    if is_same { Ok(file) } else { Err(std::io::ErrorKind::NotFound.into()) }
}

pub(super) fn seconds_now() -> u64 {
    since_1970().as_secs()
}

fn done(known: &Known) -> super::board::Position {
    super::board::Position { is_done: true, ..known.position.clone() }
}

/// Bytes that a reader still has, and whether it ends well.
fn rest(reader: &mut Reader) -> (u64, bool) {
    let mut bytes = Bytes(reader);
    let mut buffer = vec![0; 256 << 10];
    let mut count = 0;
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return (count, true),
            Ok(more) => count += more as u64,
            Err(_) => return (count, false),
        }
    }
}

/// Decoded bytes of a file.
fn length(file: &File) -> u64 {
    file.try_clone().and_then(Reader::new).map_or(0, |mut reader| rest(&mut reader).0)
}

/// What makes a content a fork of another that begins alike: the line behind its first record.
/// (Where exactly two contents part is only known while both are there.)
pub(super) fn differing_line(file: &File, identity: &Identity) -> Vec<u8> {
    let mut head = vec![0; 64 << 10];
    let count = file.try_clone().and_then(Reader::new).map_or(0, |mut it| it.fill(&mut head).0);
    head.truncate(count);
    let mut line = identity.first.clone();
    line.extend_from_slice(blake3::hash(&head).as_bytes());
    line
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_a_log_is_not_waited_for() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("conn.log");
        fs::write(&path, "").unwrap();
        let key = FileKey::of(&fs::metadata(&path).unwrap());
        assert!(open(&path, key).is_ok());
        mknodat(CWD, place.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::rename(place.path().join("pipe"), &path).unwrap();
        let (to, from) = std::sync::mpsc::sync_channel(1);
        let opens = std::thread::Builder::new().spawn(move || to.send(open(&path, key).is_err()));
        assert_eq!(from.recv_timeout(Duration::from_secs(10)), Ok(true));
        drop(opens.unwrap());
    }
}
