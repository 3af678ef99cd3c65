//! What was written, where it lies, and what a reader must have found. The ledger never looks at
//! the disk, so that it can be compared with what is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::emulator::clock::Clock;
use crate::emulator::rows::{Form, Log, record};

/// Between two records.
const STEP_MICROS: u64 = 1_100;

/// A complete record: its line was written up to the newline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) log: Log,
    /// uid, or fuid for files; unique over all logs of a ledger.
    pub(crate) key: String,
    /// Without the newline.
    pub(crate) line: Vec<u8>,
}

/// Bytes after the last newline of a file that nobody goes on with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Torn {
    pub(crate) log: Log,
    pub(crate) bytes: Vec<u8>,
}

/// What a reader that is always up finds, sorted. No record is in two lists, and no other may come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Must be delivered, once each: these lie somewhere, or were there when `settled` was called.
    pub(crate) must: Vec<Record>,
    /// Written after `settled` into a file that the reader knew and that was then unlinked: a
    /// reader that keeps files open has them, another may not.
    pub(crate) held: Vec<Record>,
    /// Destroyed before anybody was known to have read them.
    pub(crate) may: Vec<Record>,
    /// Behind a hole of NUL bytes that a foreign truncation left: in TSV without a header.
    pub(crate) behind_hole: Vec<Record>,
    /// Must become dead letters, once each.
    pub(crate) torn: Vec<Torn>,
    /// A beginning of each of these may become a dead letter: the file was destroyed before it was
    /// known to be read, or it lies there and nothing says that its writer is gone.
    pub(crate) torn_may: Vec<Torn>,
}

/// Number of a life in its ledger.
pub(crate) type LifeId = usize;

/// One generation of a file, from a truncating open to the end of its last copy.
struct Life {
    log: Log,
    form: Form,
    /// All that was written, before compression.
    text: Vec<u8>,
    rows: Vec<Row>,
    /// Key and whole line of a record of which a part was written.
    part: Option<(String, Vec<u8>)>,
    places: Vec<Place>,
    /// How much of `text` is on disk; with compression what inflates, otherwise all.
    readable: usize,
    /// `readable` when the reader was last known to have read everything.
    seen: usize,
    /// It was there when the reader was last known to have read everything.
    is_known: bool,
    /// A process writes it.
    is_open: bool,
    /// Renamed, removed or truncated: who sees that knows that nothing will follow.
    is_over: bool,
    /// The last copy was unlinked, so that an open descriptor still reads it.
    is_unlinked: bool,
    has_hole: bool,
    /// The record that is being written began before the hole: no line will be it.
    has_half: bool,
    /// Closed by its writer, so that a compressed file has its end.
    is_complete: bool,
    /// After a foreign truncation the writer goes on in another life.
    successor: Option<LifeId>,
}

struct Row {
    key: String,
    start: usize,
    end: usize,
}

struct Place {
    path: PathBuf,
    /// How much of the text a copy has; `None`: the original, which has all that is readable.
    length: Option<usize>,
}

/// See the module.
pub(crate) struct Ledger {
    pub(crate) clock: Clock,
    serial: u64,
    lives: Vec<Life>,
    lost: Vec<Record>,
}

impl Life {
    fn new(log: Log, form: Form, path: &Path) -> Self {
        Self {
            log,
            form,
            text: Vec::new(),
            rows: Vec::new(),
            part: None,
            places: vec![Place { path: path.to_owned(), length: None }],
            readable: 0,
            seen: 0,
            is_known: false,
            is_open: true,
            is_over: false,
            is_unlinked: false,
            has_hole: false,
            has_half: false,
            is_complete: false,
            successor: None,
        }
    }

    /// How much of the text still lies somewhere.
    fn kept(&self) -> usize {
        let lengths = self.places.iter().map(|place| place.length.unwrap_or(self.readable));
        lengths.max().unwrap_or(0)
    }

    fn record(&self, row: &Row) -> Record {
        let line = &self.text[row.start..row.end - 1];
        // The first line behind a hole begins with the hole.
        let start = line.iter().position(|byte| *byte != 0).unwrap_or(line.len());
        Record { log: self.log, key: row.key.clone(), line: line[start..].to_vec() }
    }

    /// The bytes after the last newline before `end`.
    fn tail(&self, end: usize) -> &[u8] {
        let text = &self.text[..end];
        let start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        &text[start..]
    }

    /// Sorts what this life holds into `expected`.
    fn expect(&self, expected: &mut Expected) {
        // What was seen and what is kept; a reader has both.
        let certain = self.kept().max(self.seen);
        for (index, row) in self.rows.iter().enumerate() {
            let list = if self.has_hole && (self.form != Form::Json || index == 0) {
                &mut expected.behind_hole
            } else if row.end <= certain {
                &mut expected.must
            } else if self.is_unlinked && self.is_known {
                &mut expected.held
            } else {
                &mut expected.may
            };
            list.push(self.record(row));
        }
        self.expect_torn(certain, expected);
    }

    fn expect_torn(&self, certain: usize, expected: &mut Expected) {
        let tail = self.tail(self.readable);
        if certain < self.readable {
            // A reader may have stopped in any of these lines.
            let rest = &self.text[certain - self.tail(certain).len()..self.readable];
            for line in rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                expected.torn_may.push(Torn { log: self.log, bytes: line.to_vec() });
            }
            return;
        }
        if tail.is_empty() || self.is_open {
            return;
        }
        let torn = Torn { log: self.log, bytes: tail.to_vec() };
        if self.has_hole || !self.is_over {
            expected.torn_may.push(torn);
            return;
        }
        match &self.part {
            // Only the newline is missing. JSON says itself that it is whole, TSV does not.
            Some((key, line)) if self.form == Form::Json && line[..line.len() - 1] == *tail => {
                expected.must.push(Record { log: self.log, key: key.clone(), line: torn.bytes });
            }
            _ => expected.torn.push(torn),
        }
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::new(), serial: 0, lives: Vec::new(), lost: Vec::new() }
    }

    /// The next record, at its own time.
    pub(super) fn next_record(&mut self, log: Log, form: Form) -> (String, String) {
        self.serial += 1;
        self.clock.advance_micros(STEP_MICROS);
        record(log, form, self.serial, self.clock.micros())
    }

    /// A truncating open.
    pub(super) fn opened(&mut self, path: &Path, log: Log, form: Form) -> LifeId {
        self.forget(path, false);
        self.lives.push(Life::new(log, form, path));
        self.lives.len() - 1
    }

    fn life(&mut self, id: LifeId) -> &mut Life {
        let id = self.current(id);
        &mut self.lives[id]
    }

    fn current(&self, mut id: LifeId) -> LifeId {
        while let Some(next) = self.lives[id].successor {
            id = next;
        }
        id
    }

    pub(super) fn wrote(&mut self, id: LifeId, bytes: &[u8]) {
        let life = self.life(id);
        life.text.extend_from_slice(bytes);
        if life.form != Form::Gzip {
            life.readable = life.text.len();
        }
    }

    /// `bytes` end a line that is a record.
    pub(super) fn wrote_record(&mut self, id: LifeId, key: &str, bytes: &[u8]) {
        self.wrote(id, bytes);
        let life = self.life(id);
        life.part = None;
        if std::mem::take(&mut life.has_half) {
            return;
        }
        let end = life.text.len();
        let start = end - 1 - life.tail(end - 1).len();
        life.rows.push(Row { key: key.to_owned(), start, end });
    }

    pub(super) fn wrote_part(&mut self, id: LifeId, key: &str, line: &[u8], bytes: &[u8]) {
        self.wrote(id, bytes);
        self.life(id).part = Some((key.to_owned(), line.to_vec()));
    }

    /// So much of a compressed file inflates by now.
    pub(super) fn inflates(&mut self, id: LifeId, length: usize) {
        self.life(id).readable = length;
    }

    /// A compressed file has its end: all of it inflates.
    pub(super) fn inflates_all(&mut self, id: LifeId) {
        let life = self.life(id);
        life.readable = life.text.len();
    }

    /// The writer closed the file or is gone; what never reached the disk is lost.
    pub(super) fn closed(&mut self, id: LifeId, is_complete: bool) {
        let id = self.current(id);
        let life = &mut self.lives[id];
        life.is_open = false;
        life.is_complete = is_complete;
        let (kept, lost) = std::mem::take(&mut life.rows)
            .into_iter()
            .partition::<Vec<Row>, _>(|row| row.end <= life.readable);
        let lost: Vec<Record> = lost.iter().map(|row| life.record(row)).collect();
        life.rows = kept;
        life.text.truncate(life.readable);
        self.lost.extend(lost);
    }

    /// The file at `path`, if any, is truncated or unlinked.
    fn forget(&mut self, path: &Path, is_unlinked: bool) {
        for life in &mut self.lives {
            let is_original = |place: &Place| place.path == path && place.length.is_none();
            if life.places.iter().any(is_original) {
                life.is_over = true;
                life.is_unlinked = is_unlinked;
            }
            life.places.retain(|place| place.path != path);
        }
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        self.forget(path, true);
    }

    pub(crate) fn renamed(&mut self, from: &Path, to: &Path) {
        self.forget(to, true);
        for life in &mut self.lives {
            for place in life.places.iter_mut().filter(|place| place.path == from) {
                to.clone_into(&mut place.path);
                life.is_over |= place.length.is_none();
            }
        }
    }

    /// A directory is renamed, with all that lies in it.
    pub(crate) fn renamed_tree(&mut self, from: &Path, to: &Path) {
        for life in &mut self.lives {
            for place in &mut life.places {
                if let Ok(below) = place.path.strip_prefix(from) {
                    place.path = to.join(below);
                    life.is_over |= place.length.is_none();
                }
            }
        }
    }

    /// What is at `from` now is at `to` as well, compressed or not.
    pub(crate) fn copied(&mut self, from: &Path, to: &Path) {
        self.forget(to, false);
        for life in &mut self.lives {
            if let Some(place) = life.places.iter().find(|place| place.path == from) {
                let length = Some(place.length.unwrap_or(life.readable));
                life.places.push(Place { path: to.to_owned(), length });
            }
        }
    }

    /// Somebody else truncates the file at `path`; its writer, if there is one, goes on at its old
    /// offset.
    pub(crate) fn hollowed(&mut self, path: &Path) {
        let is_here = |life: &Life| life.places.iter().any(|place| place.path == path);
        let Some(id) = self.lives.iter().position(is_here) else { return };
        self.forget(path, false);
        let successor = self.lives.len();
        let life = &mut self.lives[id];
        let mut next = Life::new(life.log, life.form, path);
        next.is_open = std::mem::take(&mut life.is_open);
        if next.is_open {
            life.successor = Some(successor);
            // The hole appears with the next write.
            next.text = vec![0; life.text.len()];
            next.has_hole = true;
            next.has_half = life.part.is_some();
        }
        self.lives.push(next);
    }

    /// The reader has read everything that could be read up to now. Compressed files count once
    /// they are closed: before that a reader may wait.
    pub(crate) fn settled(&mut self) {
        for life in self.lives.iter_mut().filter(|life| !life.places.is_empty()) {
            if life.form != Form::Gzip || life.is_complete || life.is_over {
                life.seen = life.seen.max(life.kept());
                life.is_known = true;
            }
        }
    }

    pub(crate) fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for life in &self.lives {
            life.expect(&mut expected);
        }
        let Expected { must, held, may, behind_hole, torn, torn_may } = &mut expected;
        for list in [must, held, may, behind_hole] {
            list.sort();
        }
        torn.sort();
        torn_may.sort();
        expected
    }

    /// Every complete record that reached a file.
    pub(crate) fn written(&self) -> Vec<Record> {
        let rows = |life: &Life| life.rows.iter().map(|row| life.record(row)).collect::<Vec<_>>();
        let mut all: Vec<Record> = self.lives.iter().flat_map(rows).collect();
        all.sort();
        all
    }

    /// Records of which no copy is left.
    pub(crate) fn destroyed(&self) -> Vec<Record> {
        let rows = |life: &Life| {
            let gone = life.rows.iter().filter(|row| row.end > life.kept());
            gone.map(|row| life.record(row)).collect::<Vec<_>>()
        };
        let mut all: Vec<Record> = self.lives.iter().flat_map(rows).collect();
        all.sort();
        all
    }

    /// Records that died in the buffers of a compressing writer that was killed.
    pub(crate) fn lost(&self) -> &[Record] {
        &self.lost
    }

    /// What every file holds, decompressed.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for life in &self.lives {
            for place in &life.places {
                let length = place.length.unwrap_or(life.readable);
                // The hole is not there before something is written behind it.
                let is_empty = life.has_hole && life.text.iter().all(|byte| *byte == 0);
                let end = if is_empty { 0 } else { length };
                files.insert(place.path.clone(), life.text[..end].to_vec());
            }
        }
        files
    }
}
