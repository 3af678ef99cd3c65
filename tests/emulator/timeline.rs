//! Recordings of the system calls of a real Zeek, to make them again, and what they say that a
//! reader must find.
//!
//! A recording is a line of JSON for each open, write, close, rename and unlink of a log, with its
//! time and bytes. Small cuts of three are in `tests/data/timelines`; the whole ones are far larger
//! and read from where they are.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use flate2::write::GzDecoder;
use serde::Deserialize;

use crate::emulator::ledger::{Record, Torn};
use crate::emulator::rows::Log;

/// The logs of which calls are kept: the manifest counts their records.
pub(crate) const RECORDED: [Log; 4] = [Log::Conn, Log::Dns, Log::Http, Log::Files];

/// See the module.
pub(crate) struct Timeline {
    name: String,
    calls: Vec<Call>,
}

struct Call {
    at_s: f64,
    process: u32,
    op: Op,
}

enum Op {
    /// The kernel closes what the process had open.
    Exit,
    Open {
        path: PathBuf,
        truncates: bool,
        appends: bool,
    },
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Close {
        path: PathBuf,
    },
    Sync {
        path: PathBuf,
    },
    Rename {
        path: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
}

/// A line of the recording.
#[derive(Deserialize)]
struct Line {
    t: f64,
    proc: u32,
    op: String,
    #[serde(default)]
    path: PathBuf,
    #[serde(default)]
    to: PathBuf,
    #[serde(default)]
    trunc: bool,
    #[serde(default)]
    append: bool,
    data: Option<String>,
    b64: Option<String>,
}

/// A record of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) record: Record,
    /// From when on a reader could read it; with compression later than it was written.
    pub(crate) readable_s: f64,
    /// When the last copy of it was truncated, overwritten or unlinked.
    pub(crate) destroyed_s: Option<f64>,
}

/// What a recording says that a reader must find.
pub(crate) struct Account {
    /// In the order of their files. Keys are not unique: a connection has many requests.
    pub(crate) records: Vec<Recorded>,
    /// Ends of files without a newline.
    pub(crate) torn: Vec<Torn>,
    /// Every file there is at the end, as it lies on disk.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Where whole recordings are, if they are: `ZEEK_TIMELINES`, or beside the repository.
pub(crate) fn recordings() -> Vec<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where to look is of the machine, not of the test"
    )]
    let directory = std::env::var("ZEEK_TIMELINES").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/zeek/timelines");
    timelines_in(&directory.unwrap_or_else(|_| beside()))
}

/// Small cuts, in the repository.
pub(crate) fn fixtures() -> Vec<PathBuf> {
    timelines_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/timelines"))
}

fn timelines_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.to_string_lossy().ends_with(".jsonl.zst")).collect();
    found.sort();
    found
}

/// The log that a file belongs to, by its name; `.shadow.conn.log` belongs to conn as well.
fn log_of(path: &Path) -> Option<Log> {
    let name = path.file_name()?.to_str()?;
    let name = name.trim_start_matches('.');
    let name = name.strip_prefix("tmp.").unwrap_or(name);
    let name = name.strip_prefix("shadow.").unwrap_or(name);
    let name = name.split('.').next()?.split("__").next()?;
    RECORDED.into_iter().find(|log| log.name() == name)
}

impl Timeline {
    pub(crate) fn open(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.trim_end_matches(".jsonl.zst").to_owned();
        let file = File::open(path).unwrap();
        let mut text = Vec::new();
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(file).unwrap();
        decoder.read_to_end(&mut text).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let calls = lines.filter_map(|line| Call::new(serde_json::from_slice(line).unwrap()));
        Self { name, calls: calls.collect() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How long it took.
    pub(crate) fn seconds(&self) -> f64 {
        self.calls.last().map_or(0.0, |call| call.at_s)
    }

    /// Makes the calls again below `directory`, in the recorded times divided by `speed`; 0: as
    /// fast as it goes.
    pub(crate) fn replay(&self, directory: &Path, speed: f64) {
        self.replay_with(directory, speed, &mut || {});
    }

    /// As `replay`; `between` is called after each call.
    pub(crate) fn replay_with(&self, directory: &Path, speed: f64, between: &mut dyn FnMut()) {
        #[expect(clippy::disallowed_methods, reason = "the point of a speed is real time")]
        let start = std::time::Instant::now();
        let mut open = BTreeMap::new();
        for call in &self.calls {
            if speed > 0.0 {
                let due = Duration::from_secs_f64(call.at_s / speed);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            call.make(directory, &mut open);
            between();
        }
    }

    /// What a reader must find.
    pub(crate) fn account(&self) -> Account {
        let mut disk = Disk::default();
        for call in &self.calls {
            disk.follow(call);
        }
        disk.account()
    }
}

impl Call {
    /// Nothing for calls on other logs.
    fn new(line: Line) -> Option<Self> {
        let Line { t, proc, op, path, to, trunc, append, data, b64 } = line;
        if !matches!(op.as_str(), "start" | "exit") {
            assert!(path.is_relative() && to.is_relative(), "a path out of the directory");
            log_of(&path)?;
        }
        let op = match op.as_str() {
            "start" | "mkdir" => return None,
            "exit" => Op::Exit,
            "open" => Op::Open { path, truncates: trunc, appends: append },
            "write" => {
                let decode = |text: String| BASE64.decode(text.as_bytes()).unwrap();
                let bytes = data.map_or_else(|| decode(b64.unwrap()), String::into_bytes);
                Op::Write { path, bytes }
            }
            "close" => Op::Close { path },
            "fsync" | "fdatasync" => Op::Sync { path },
            "rename" => Op::Rename { path, to },
            "unlink" => Op::Unlink { path },
            other => panic!("a call that nobody knows: {other}"),
        };
        Some(Self { at_s: t, process: proc, op })
    }

    fn make(&self, directory: &Path, open: &mut BTreeMap<(u32, PathBuf), File>) {
        let key = |path: &Path| (self.process, path.to_owned());
        let below = |path: &Path| {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        match &self.op {
            Op::Exit => open.retain(|(process, _), _| *process != self.process),
            Op::Open { path, truncates, appends } => {
                let mut options = OpenOptions::new();
                options.write(!appends).append(*appends).create(true).truncate(*truncates);
                open.insert(key(path), options.open(below(path)).unwrap());
            }
            Op::Write { path, bytes } => {
                open.get_mut(&key(path)).unwrap().write_all(bytes).unwrap();
            }
            Op::Close { path } => drop(open.remove(&key(path)).unwrap()),
            Op::Sync { path } => open[&key(path)].sync_all().unwrap(),
            Op::Rename { path, to } => fs::rename(below(path), below(to)).unwrap(),
            Op::Unlink { path } => fs::remove_file(below(path)).unwrap(),
        }
    }
}

/// What the calls of a recording leave, without making them.
#[derive(Default)]
struct Disk {
    generations: Vec<Generation>,
    names: BTreeMap<PathBuf, usize>,
    open: BTreeMap<(u32, PathBuf), usize>,
}

/// A file from a truncating open to its end.
struct Generation {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Length and time after each write.
    writes: Vec<(usize, f64)>,
    destroyed_s: Option<f64>,
}

impl Disk {
    fn follow(&mut self, call: &Call) {
        let now = call.at_s;
        let key = |path: &Path| (call.process, path.to_owned());
        match &call.op {
            Op::Exit => self.open.retain(|(process, _), _| *process != call.process),
            Op::Open { path, truncates, .. } => {
                assert!(*truncates, "Zeek always truncates");
                self.destroy(path, now);
                let (bytes, writes) = (Vec::new(), Vec::new());
                let path = path.clone();
                self.names.insert(path.clone(), self.generations.len());
                self.open.insert(key(&path), self.generations.len());
                self.generations.push(Generation { path, bytes, writes, destroyed_s: None });
            }
            Op::Write { path, bytes } => {
                let generation = &mut self.generations[self.open[&key(path)]];
                generation.bytes.extend_from_slice(bytes);
                generation.writes.push((generation.bytes.len(), now));
            }
            Op::Close { path } => assert!(self.open.remove(&key(path)).is_some()),
            Op::Sync { .. } => {}
            Op::Rename { path, to } => {
                self.destroy(to, now);
                let id = self.names.remove(path).unwrap();
                self.names.insert(to.clone(), id);
            }
            Op::Unlink { path } => self.destroy(path, now),
        }
    }

    fn destroy(&mut self, path: &Path, now: f64) {
        if let Some(id) = self.names.remove(path) {
            self.generations[id].destroyed_s = Some(now);
        }
    }

    fn account(self) -> Account {
        let (archives, logs): (Vec<&Generation>, Vec<&Generation>) =
            self.generations.iter().filter(|file| !file.is_shadow()).partition(|a| a.is_archive());
        let archived: Vec<Vec<u8>> = archives
            .iter()
            .filter(|archive| archive.destroyed_s.is_none())
            .map(|archive| archive.text().0)
            .collect();
        let (mut records, mut torn) = (Vec::new(), Vec::new());
        for generation in logs {
            generation.account(&archived, &mut records, &mut torn);
        }
        let bytes =
            |(path, id): (&PathBuf, &usize)| (path.clone(), self.generations[*id].bytes.clone());
        Account { records, torn, files: self.names.iter().map(bytes).collect() }
    }
}

impl Generation {
    /// Not a log, but a note of Zeek's about one.
    fn is_shadow(&self) -> bool {
        self.path.file_name().unwrap().to_string_lossy().starts_with('.')
    }

    /// A copy that an archiver made: only its names have times of day.
    fn is_archive(&self) -> bool {
        self.path.to_string_lossy().contains(':')
    }

    /// The text, and how much of it could be read from when on.
    fn text(&self) -> (Vec<u8>, Vec<(usize, f64)>) {
        if self.path.extension().is_none_or(|extension| extension != "gz") {
            return (self.bytes.clone(), self.writes.clone());
        }
        let mut decoder = GzDecoder::new(Vec::new());
        let (mut readable, mut start) = (Vec::new(), 0);
        for (end, at_s) in &self.writes {
            decoder.write_all(&self.bytes[start..*end]).unwrap();
            decoder.flush().unwrap();
            readable.push((decoder.get_ref().len(), *at_s));
            start = *end;
        }
        (std::mem::take(decoder.get_mut()), readable)
    }

    fn account(&self, archived: &[Vec<u8>], records: &mut Vec<Recorded>, torn: &mut Vec<Torn>) {
        let log = log_of(&self.path).unwrap();
        let (text, readable) = self.text();
        let is_kept = self.destroyed_s.is_none() || archived.contains(&text);
        let destroyed_s = self.destroyed_s.filter(|_| !is_kept);
        let mut column = None;
        let mut end = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            let Some(line) = line.strip_suffix(b"\n") else {
                torn.push(Torn { log, bytes: line.to_vec() });
                break;
            };
            if let Some(fields) = line.strip_prefix(b"#fields\t") {
                let name = log.key().as_bytes();
                column = fields.split(|byte| *byte == b'\t').position(|field| field == name);
            }
            if line.starts_with(b"#") {
                continue;
            }
            let key = column.map_or_else(|| json_key(log, line), |column| tsv_key(column, line));
            let (line, at) = (line.to_vec(), readable.partition_point(|(length, _)| *length < end));
            let record = Record { log, key, line };
            records.push(Recorded { record, readable_s: readable[at].1, destroyed_s });
        }
    }
}

fn tsv_key(column: usize, line: &[u8]) -> String {
    let cell = line.split(|byte| *byte == b'\t').nth(column).unwrap();
    String::from_utf8(cell.to_vec()).unwrap()
}

/// Quotes in values are escaped, so that the first match is the key.
fn json_key(log: Log, line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let (_, rest) = line.split_once(&format!(",\"{}\":\"", log.key())).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn names_tell_logs() {
    let log = |name: &str| log_of(Path::new(name));
    assert_eq!(log("conn.log"), Some(Log::Conn));
    assert_eq!(log("rotated/http.2026-11-23-00-35-55.log.gz"), Some(Log::Http));
    assert_eq!(log("log-queue/dns__2026__2026__.log"), Some(Log::Dns));
    assert_eq!(log(".tmp.shadow.files.log"), Some(Log::Files));
    assert_eq!(log(".shadow.conn.log"), Some(Log::Conn));
    assert_eq!(log("conn-summary.log"), None);
    assert_eq!(log("smb_files.log"), None);
}
