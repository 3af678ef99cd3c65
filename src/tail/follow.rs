//! One file that is read while it may grow.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::base::codec::encode;
use crate::base::limits::READ_BYTES;
use crate::engine::Mark;
use crate::read::{Buffer, Reader, Trouble};
use crate::record::{Batch, Generation, Log, Source};
use crate::zeek::{Parser, Settings};

use super::board::{FileKey, Position, mode_code, mode_of};
use super::check::Running;

/// First bytes that are compared to see that a file is still the same: a header and a record.
pub(super) const HEAD_BYTES: usize = 4096;

/// A file that is final may still get a last write; so long after its last growth it is over. Zeek
/// itself writes nothing after the rename.
const GRACE: Duration = Duration::from_secs(2);

/// What a file is known by.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) log: Log,
    pub(super) head: Generation,
    pub(super) generation: Generation,
    /// Its first bytes.
    pub(super) first: Vec<u8>,
}

/// How the bytes of the file come.
enum Input {
    Plain(File),
    /// A compressed file is complete, and is read from its start.
    Gzip(Box<Reader>),
}

/// What a look at a file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There may be something to read.
    More,
    /// Nothing now.
    Quiet,
    /// What was followed is not there any more.
    Truncated,
    /// Everything was read, and nothing more will come.
    Over,
}

/// See the module.
pub struct Follow {
    pub(super) key: FileKey,
    pub(super) identity: Identity,
    source: Arc<Source>,
    input: Input,
    parser: Parser,
    running: Running,
    /// The hash where a line began that is too long for the buffer: a program that goes on later
    /// goes on there.
    settled: Option<Running>,
    line_max: usize,
    /// What was read and not parsed.
    buffer: Buffer,
    /// Whether the buffer may hold whole lines: the last batch could take no more.
    is_full: bool,
    /// Up to where the last mark came.
    marked: u64,
    /// Bytes of the file when it was looked at last.
    pub(super) size: u64,
    modified: (i64, i64),
    pub(super) is_unlinked: bool,
    /// Nobody writes to it under this name any more.
    pub(super) is_final: bool,
    grown: Instant,
    trouble: Option<Trouble>,
}

impl Follow {
    /// Goes on with `file` where `position` says, or begins.
    pub(super) fn new(
        file: File,
        identity: Identity,
        path: String,
        position: Option<(&Position, Running)>,
        settings: &Settings,
        sensor_id: &str,
    ) -> io::Result<Self> {
        let meta = file.metadata()?;
        let mut parser = Parser::new(settings);
        let mut running = Running::default();
        let mut offset = 0;
        let reader = Reader::new(file.try_clone()?)?;
        let mut input = Input::Plain(file);
        if reader.is_gzip() {
            input = Input::Gzip(Box::new(reader));
        }
        if let Some((position, at)) = position {
            offset = position.check.length;
            let (from, to) = position.schema;
            let mut lines = vec![0; usize::try_from(to - from).unwrap_or_default()];
            match &mut input {
                Input::Plain(file) => file.read_exact_at(&mut lines, from)?,
                Input::Gzip(reader) => {
                    skip(reader, from)?;
                    lines = take(reader, to - from)?;
                    skip(reader, offset - to)?;
                }
            }
            parser.resume(&lines, from..to, mode_of(position.mode), offset);
            running = at;
        }
        let generation = identity.generation;
        let source = Source {
            log: identity.log,
            generation,
            event_prefix: generation.event_prefix(sensor_id, identity.log),
            path,
        };
        Ok(Self {
            key: FileKey::of(&meta),
            identity,
            source: Arc::new(source),
            input,
            parser,
            running,
            settled: None,
            line_max: settings.line_bytes_max,
            buffer: Buffer::default(),
            is_full: false,
            marked: offset,
            size: meta.len(),
            modified: (0, 0),
            is_unlinked: false,
            is_final: false,
            grown: now(),
            trouble: None,
        })
    }

    /// A parser for what Zeek goes on to write after somebody cut the file.
    pub(super) fn parser_like(&self) -> Parser {
        self.parser.like()
    }

    pub(super) fn use_parser(&mut self, parser: Parser) {
        self.parser = parser;
    }

    /// The name that documents show.
    pub(super) fn rename(&mut self, path: &str) {
        if self.source.path != path {
            let Source { log, generation, event_prefix, .. } = *self.source;
            self.source = Arc::new(Source { log, generation, event_prefix, path: path.to_owned() });
        }
    }

    pub(super) fn relative(&self) -> &str {
        &self.source.path
    }

    pub(super) fn into_file(self) -> Option<File> {
        match self.input {
            Input::Plain(file) => Some(file),
            Input::Gzip(_) => None,
        }
    }

    /// Bytes that were taken from the file so far.
    pub(super) fn read_to(&self) -> u64 {
        self.running.check_length() + self.buffer.get().len() as u64
    }

    pub(super) fn unread(&self) -> u64 {
        match self.input {
            Input::Plain(_) => self.size.saturating_sub(self.running.check_length()),
            Input::Gzip(_) => 0,
        }
    }

    /// Whether it may be let go of for a while: all of it was read, and Zeek still has it.
    pub(super) fn is_quiet(&self) -> bool {
        let is_read = self.size == self.running.check_length() && !self.is_full;
        is_read && !self.is_final && !self.is_unlinked && self.settled.is_none()
    }

    /// Asks the system how the file stands.
    pub(super) fn look(&mut self) -> Look {
        let Input::Plain(file) = &self.input else {
            return if self.is_over() { Look::Over } else { Look::More };
        };
        let Ok(meta) = file.metadata() else { return Look::Quiet };
        let modified = (meta.mtime(), meta.mtime_nsec());
        self.is_unlinked = meta.nlink() == 0;
        let has_changed = meta.len() != self.size || modified != self.modified;
        if meta.len() < self.read_to() || (has_changed && !self.begins_as_before()) {
            return Look::Truncated;
        }
        if has_changed {
            (self.size, self.modified, self.grown) = (meta.len(), modified, now());
        }
        if self.is_full || self.size > self.read_to() {
            return Look::More;
        }
        let is_over = (self.is_final || self.is_unlinked)
            && (self.parser.is_closed() || self.grown.elapsed() >= GRACE);
        if is_over { Look::Over } else { Look::Quiet }
    }

    fn is_over(&self) -> bool {
        self.trouble.is_some() && self.buffer.get().is_empty()
    }

    fn begins_as_before(&self) -> bool {
        let Input::Plain(file) = &self.input else { return true };
        let mut first = [0; HEAD_BYTES];
        let known = &self.identity.first;
        let first = &mut first[..known.len()];
        file.read_exact_at(first, 0).is_ok() && first == known.as_slice()
    }

    /// Fills `batch`; whether there was more than fits.
    pub(super) fn read(&mut self, rows_max: usize, batch: &mut Batch) -> bool {
        while !self.read_buffered(rows_max, batch) {
            if !self.refill() {
                return false;
            }
        }
        true
    }

    /// The same without asking the file.
    pub(super) fn read_buffered(&mut self, rows_max: usize, batch: &mut Batch) -> bool {
        let bytes = self.buffer.get();
        let progress = self.parser.parse(bytes, rows_max, batch);
        let at = self.running.check_length();
        let bytes = &bytes[..progress.consumed];
        match self.parser.long_line_at() {
            Some(began) if began >= at => {
                let (before, line) = bytes.split_at((began - at) as usize);
                self.running.update(before);
                self.settled = Some(self.running.clone());
                self.running.update(line);
            }
            Some(_) => self.running.update(bytes),
            None => {
                self.settled = None;
                self.running.update(bytes);
            }
        }
        self.buffer.consume(progress.consumed);
        self.is_full = progress.is_full;
        progress.is_full
    }

    /// Reads on; whether there was anything.
    fn refill(&mut self) -> bool {
        let at = self.read_to();
        let room = self.buffer.room(READ_BYTES, self.line_max);
        let count = match &mut self.input {
            Input::Plain(file) => match file.read_at(room, at) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
                Err(_) => 0,
            },
            Input::Gzip(reader) => match reader.read(room) {
                Ok(0) => {
                    self.trouble.get_or_insert(Trouble::Io(io::ErrorKind::UnexpectedEof.into()));
                    self.is_final = true;
                    0
                }
                Ok(count) => count,
                Err(trouble) => {
                    self.trouble = Some(trouble);
                    0
                }
            },
        };
        // Cut between the look and the reading, it may hold bytes of the file that came after: only
        // if that is shorter than where was read from, all of them are old.
        if count > 0 && !self.begins_as_before() {
            let Input::Plain(file) = &self.input else { return false };
            let is_old = file.metadata().is_ok_and(|meta| meta.len() <= at);
            self.buffer.filled(if is_old { count } else { 0 });
            return is_old;
        }
        self.buffer.filled(count);
        count > 0
    }

    /// The end of what was followed: a line without an end is told.
    pub(super) fn finish(&mut self, batch: &mut Batch) {
        let tail = self.buffer.get();
        self.parser.finish(tail, batch);
        self.running.update(tail);
        self.settled = None;
        self.buffer = Buffer::default();
        if let Some(trouble @ Trouble::Gzip(_)) = &self.trouble {
            batch.rejects.push(trouble.reject(batch.rows(), self.parser.offset()));
        }
    }

    /// Where the file stands, to be saved.
    pub(super) fn position(&self, is_done: bool, touched: u64) -> Position {
        let schema = self.parser.schema();
        Position {
            log: self.identity.log,
            head: self.identity.head,
            path: self.source.path.clone(),
            check: self.settled.as_ref().unwrap_or(&self.running).check(),
            schema: (schema.start, schema.end),
            mode: mode_code(self.parser.mode()),
            size: self.size,
            is_done,
            touched,
        }
    }

    /// The mark behind what was read since the last one.
    pub(super) fn mark(&mut self, position: &Position) -> (Arc<Source>, Mark) {
        let range = self.marked..position.check.length;
        self.marked = position.check.length;
        let mark = Mark {
            generation: self.identity.generation,
            range,
            state: encode(position),
            is_last: position.is_done,
        };
        (Arc::clone(&self.source), mark)
    }
}

fn skip(reader: &mut Reader, bytes: u64) -> io::Result<()> {
    io::copy(&mut Bytes(reader).take(bytes), &mut io::sink()).map(drop)
}

fn take(reader: &mut Reader, bytes: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Bytes(reader).take(bytes).read_to_end(&mut out)?;
    Ok(out)
}

/// A [`Reader`] for what wants [`Read`].
pub(super) struct Bytes<'a>(pub(super) &'a mut Reader);

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|trouble| match trouble {
            Trouble::Gzip(error) | Trouble::Io(error) => error,
        })
    }
}
