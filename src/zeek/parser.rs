//! The parser of one file: decides what its lines are and hands them to the reader for TSV or JSON.
//!
//! It is fed chunks of any size; what it makes of the file does not depend on their borders.

use std::ops::Range;
use std::sync::Arc;

use crate::base::limits::BATCH_BYTES_MAX;
use crate::record::schema::{self, ColumnId};
use crate::record::{Batch, Format, Header, Log, Reject, RejectReason};

use super::header::{self, Builder, Meta};
use super::identify::{foreign_detail, is_foreign};
use super::json;
use super::line::{Long, Place, reject};
use super::tsv::{Limits, Rows};

/// What the parsers of one log have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log.
    pub log: Log,
    /// The columns that somebody asked for.
    pub wanted: Vec<ColumnId>,
    /// Bytes beyond which a line is rejected.
    pub line_bytes_max: usize,
    /// The columns of files without a header.
    pub configured: Option<Arc<Header>>,
    /// JSON keys that stand for Zeek's fields, whose names are printable ASCII without quotes and
    /// backslashes.
    pub alias: Vec<(String, String)>,
}

impl Settings {
    /// An empty batch for this parser's rows.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let mut wanted = self.wanted.clone();
        wanted.push(schema::TS);
        Batch::new(self.log, &wanted)
    }
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that need not be shown again.
    pub consumed: usize,
    /// Whether the batch can take no more; otherwise the chunk holds no further complete line.
    pub is_full: bool,
}

/// Reads one file.
#[derive(Debug)]
pub struct Parser {
    settings: Settings,
    wanted: Vec<ColumnId>,
    mode: Mode,
    builder: Builder,
    header: Option<Arc<Header>>,
    rows: Rows,
    json: json::Reader,
    long: Option<Long>,
    /// Of the next byte, in the decompressed file.
    offset: u64,
    /// The path of another log, whose header came: its rows are not ours.
    foreign: Option<String>,
    empty_lines: u64,
    /// The lines of the file that say how its records are read from here on.
    schema: Range<u64>,
    is_closed: bool,
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is known yet.
    Undecided,
    /// Columns.
    Tsv,
    /// Objects.
    Json,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl Parser {
    /// A parser at the start of a file.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut wanted = settings.wanted.clone();
        if !wanted.contains(&schema::TS) {
            wanted.insert(0, schema::TS);
        }
        let no_header = header::configured(settings.log, &[]);
        Self {
            mode: Mode::Undecided,
            builder: Builder::default(),
            header: None,
            rows: Rows::new(settings.log, &no_header, &wanted),
            json: json::Reader::new(settings.log, &wanted, &settings.alias),
            long: None,
            offset: 0,
            foreign: None,
            empty_lines: 0,
            schema: 0..0,
            is_closed: false,
            wanted,
            settings: settings.clone(),
        }
    }

    /// Where in the decompressed file the next byte stands.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the lines stand that a parser must be shown ([`Parser::resume`]) to read on from here.
    #[must_use]
    pub fn schema(&self) -> Range<u64> {
        self.schema.clone()
    }

    /// What the lines are, as far as is known.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether Zeek wrote that the file ends here (`#close`).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Goes on at `offset` of a file of which `lines`, at `schema`, were read before.
    pub fn resume(&mut self, lines: &[u8], schema: Range<u64>, mode: Mode, offset: u64) {
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let begins = self.header.is_none() && header::prefix_of(line).is_some();
            if begins || line.starts_with(&self.builder.prefix) {
                self.builder.line(line);
            } else if let Some(header) = header::bare_names(self.settings.log, line) {
                self.use_header(header);
            }
        }
        (self.schema, self.mode, self.offset) = (schema, mode, offset);
    }

    /// A parser for a file that somebody cut while it was written, whose records go on to be as
    /// they were (zeek-logs: copytruncate).
    #[must_use]
    pub fn like(&self) -> Self {
        let mut parser = Self::new(&self.settings);
        parser.builder = self.builder.clone();
        parser.builder.is_new |= self.header.is_some() && self.mode == Mode::Tsv;
        parser.mode = self.mode;
        parser
    }

    /// Where the line begins that is longer than allowed and has no end yet.
    #[must_use]
    pub fn long_line_at(&self) -> Option<u64> {
        self.long.as_ref().map(Long::offset)
    }

    /// Empty lines so far.
    #[must_use]
    pub fn empty_lines(&self) -> u64 {
        self.empty_lines
    }

    /// Reads what `chunk` holds of complete lines into `batch`, up to `rows_max` rows.
    ///
    /// The next chunk must begin with the bytes that were not consumed.
    pub fn parse(&mut self, chunk: &[u8], rows_max: usize, batch: &mut Batch) -> Progress {
        let mut at = 0;
        if self.offset == 0 {
            if chunk.starts_with(BOM) {
                at = BOM.len();
                self.offset = at as u64;
            } else if chunk.len() < BOM.len() && BOM.starts_with(chunk) {
                return Progress { consumed: 0, is_full: false };
            }
        }
        // Lines that are no records are kept beside the arena, and must not pile up either.
        let raw = |rejects: &[Reject]| rejects.iter().map(|reject| reject.raw.len()).sum::<usize>();
        let mut rejected = raw(&batch.rejects);
        let empty_lines = self.empty_lines;
        let is_full = loop {
            let is_full = batch.rows() >= rows_max
                || batch.rejects.len() >= rows_max
                || batch.arena.len() + rejected >= BATCH_BYTES_MAX;
            if is_full {
                break true;
            }
            let rest = &chunk[at..];
            if rest.is_empty() {
                break false;
            }
            let before = batch.rejects.len();
            let step = self.step(rest, rows_max, batch);
            rejected += raw(&batch.rejects[before..]);
            match step {
                Step::Took(bytes) => {
                    at += bytes;
                    self.offset += bytes as u64;
                }
                Step::Full => break true,
                Step::Hungry => break false,
            }
        };
        batch.empty_lines += self.empty_lines - empty_lines;
        Progress { consumed: at, is_full }
    }

    /// The file ends with `tail`, a line without an end: JSON that is complete is a record,
    /// anything else is torn.
    pub fn finish(&mut self, tail: &[u8], batch: &mut Batch) {
        let row = batch.rows();
        if let Some(mut long) = self.long.take() {
            long.push(tail);
            batch.rejects.push(long.finish(row, 0));
        } else if !tail.is_empty() {
            let place = Place { offset: self.offset, length: tail.len() as u64 };
            let is_record =
                self.mode == Mode::Json || (self.mode == Mode::Undecided && tail.starts_with(b"{"));
            if tail.iter().all(|&byte| byte == 0) {
                reject(batch, RejectReason::NulBlock, "a block of NUL bytes", tail, place);
            } else if is_record {
                batch.begin(Format::Json, None);
                if self.json.read(tail, self.offset, batch).is_err() {
                    let detail = "the last line is not complete";
                    reject(batch, RejectReason::TornRecord, detail, tail, place);
                }
            } else if !tail.starts_with(&self.builder.prefix) {
                let detail = "the last line has no end";
                reject(batch, RejectReason::TornRecord, detail, tail, place);
            }
        }
        self.offset += tail.len() as u64;
    }

    fn step(&mut self, rest: &[u8], rows_max: usize, batch: &mut Batch) -> Step {
        if self.long.is_some() {
            return self.long_line(rest, batch);
        }
        let is_meta = rest.starts_with(&self.builder.prefix);
        if self.mode == Mode::Tsv && !is_meta {
            if let Some(full) = self.prepare(batch) {
                return full;
            }
            if let Some(header) = self.header.clone().filter(|_| self.foreign.is_none()) {
                let limits = Limits {
                    rows_max,
                    line_max: self.settings.line_bytes_max,
                    prefix: &self.builder.prefix,
                };
                let (bytes, empty) = self.rows.read(rest, self.offset, limits, &header, batch);
                self.empty_lines += empty;
                if bytes > 0 {
                    self.is_closed = false;
                    return Step::Took(bytes);
                }
            }
        }
        let Some(length) = memchr::memchr(b'\n', rest) else {
            if rest.len() <= self.settings.line_bytes_max {
                return Step::Hungry;
            }
            self.long = Some(Long::new(self.offset));
            return self.long_line(rest, batch);
        };
        if length > self.settings.line_bytes_max {
            self.long = Some(Long::new(self.offset));
            return self.long_line(rest, batch);
        }
        self.line(&rest[..length], batch)
    }

    /// Makes the header that was read the one in use; says so where the batch must end first.
    fn prepare(&mut self, batch: &mut Batch) -> Option<Step> {
        if self.builder.is_new {
            if batch.rows() > 0 {
                return Some(Step::Full);
            }
            let log = self.settings.log;
            self.foreign = self.builder.path.clone().filter(|path| is_foreign(path, log));
            match self.builder.finish(log) {
                Some(header) => self.use_header(header),
                // Its separator is known and its columns are not: the old ones no longer count.
                None => self.header = None,
            }
        }
        let header = self.header.clone();
        if batch.rows() > 0 && (batch.format() != Format::Tsv || batch.header != header) {
            return Some(Step::Full);
        }
        batch.begin(Format::Tsv, header);
        None
    }

    fn use_header(&mut self, header: Header) {
        self.rows = Rows::new(self.settings.log, &header, &self.wanted);
        self.header = Some(Arc::new(header));
        self.mode = Mode::Tsv;
    }

    /// A piece of a line that is beyond the limit.
    fn long_line(&mut self, rest: &[u8], batch: &mut Batch) -> Step {
        let Some(mut long) = self.long.take() else { return Step::Hungry };
        match memchr::memchr(b'\n', rest) {
            Some(length) => {
                long.push(&rest[..length]);
                batch.rejects.push(long.finish(batch.rows(), 1));
                Step::Took(length + 1)
            }
            None => {
                long.push(rest);
                self.long = Some(long);
                Step::Took(rest.len())
            }
        }
    }

    /// One complete line that is not a plain row of TSV.
    fn line(&mut self, line: &[u8], batch: &mut Batch) -> Step {
        let took = Step::Took(line.len() + 1);
        let place = Place { offset: self.offset, length: line.len() as u64 + 1 };
        if line.is_empty() || line == b"\r" {
            self.empty_lines += 1;
            return took;
        }
        if self.mode != Mode::Json {
            let begins = self.mode == Mode::Undecided && header::prefix_of(line).is_some();
            if begins || line.starts_with(&self.builder.prefix) {
                self.meta(line, place);
                return took;
            }
        }
        let is_json =
            self.mode == Mode::Json || (self.header.is_none() && line.first() == Some(&b'{'));
        if is_json {
            return self.json_line(line, place, batch);
        }
        if memchr::memchr(0, line).is_some() {
            reject(batch, RejectReason::NulBlock, "NUL bytes in the line", line, place);
            return took;
        }
        if let Some(path) = &self.foreign {
            let detail = foreign_detail(path, self.settings.log);
            reject(batch, RejectReason::ForeignLog, &detail, line, place);
            return took;
        }
        if let Some(header) = header::bare_names(self.settings.log, line) {
            self.use_header(header);
            self.schema = place.offset..place.offset + place.length;
            return took;
        }
        if let Some(header) = self.settings.configured.clone() {
            self.use_header(Header::clone(&header));
            return Step::Took(0);
        }
        reject(batch, RejectReason::NoSchema, "no header names the columns", line, place);
        took
    }

    /// A line of a header.
    fn meta(&mut self, line: &[u8], place: Place) {
        let meta = self.builder.line(line);
        if self.builder.is_new {
            self.mode = Mode::Tsv;
        }
        self.is_closed = meta == Meta::Close;
        if meta == Meta::Begins || self.schema.is_empty() {
            self.schema = place.offset..place.offset;
        }
        if matches!(meta, Meta::Begins | Meta::Schema) {
            self.schema.end = place.offset + place.length;
        }
    }

    fn json_line(&mut self, line: &[u8], place: Place, batch: &mut Batch) -> Step {
        if batch.rows() > 0 && batch.format() != Format::Json {
            return Step::Full;
        }
        batch.begin(Format::Json, None);
        match self.json.read(line, place.offset, batch) {
            Ok(()) => self.mode = Mode::Json,
            Err(_) if memchr::memchr(0, line).is_some() => {
                reject(batch, RejectReason::NulBlock, "NUL bytes in the line", line, place);
            }
            Err(refusal) => reject(batch, refusal.reason, &refusal.detail, line, place),
        }
        Step::Took(line.len() + 1)
    }
}

enum Step {
    /// So many bytes were read.
    Took(usize),
    /// The batch has to be handed over first.
    Full,
    /// A line is not complete.
    Hungry,
}
