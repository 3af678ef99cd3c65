//! One log as Zeek's ASCII writer writes it: the same system calls, one write(2) for each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};

use crate::emulator::clock;
use crate::emulator::ledger::{Ledger, LifeId};
use crate::emulator::rows::{Form, Log, header};

/// zlib hands over compressed bytes in blocks of this size; Zeek never asks for less.
const BLOCK_BYTES: usize = 8192;

/// How rotated files are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// `conn.2026-01-20-15-00-00.log` beside the log.
    Dated,
    /// `log-queue/conn__2026-01-20-15-00-00__2026-01-20-15-00-10__.log`, for zeek-archiver.
    Queue,
}

/// A file that was rotated, or left by a process and moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) log: Log,
    pub(crate) form: Form,
    pub(crate) opened_s: u64,
    pub(crate) closed_s: u64,
}

/// Zeek's writer of one log in one directory.
pub(crate) struct Writer {
    directory: PathBuf,
    log: Log,
    form: Form,
    open: Option<Open>,
    /// When the log was last rotated: the name of the next rotated file begins there.
    opened_s: Option<u64>,
}

struct Open {
    file: Sink,
    life: LifeId,
    part: Option<Part>,
}

/// A record whose second half is still to be written.
struct Part {
    key: String,
    line: Vec<u8>,
    written: usize,
}

enum Sink {
    Plain(File),
    Gzip(Box<GzEncoder<Blocks>>),
}

/// Writes whole blocks, and follows what a reader could inflate from them.
struct Blocks {
    file: File,
    waiting: Vec<u8>,
    reader: GzDecoder<Count>,
    inflates: usize,
}

struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= BLOCK_BYTES {
            let rest = self.waiting.split_off(BLOCK_BYTES);
            let block = std::mem::replace(&mut self.waiting, rest);
            self.file.write_all(&block)?;
            self.reader.write_all(&block)?;
            self.reader.flush()?;
            self.inflates = self.reader.get_ref().0;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn new(file: File, form: Form) -> Self {
        if form != Form::Gzip {
            return Self::Plain(file);
        }
        let reader = GzDecoder::new(Count(0));
        let blocks = Blocks { file, waiting: Vec::new(), reader, inflates: 0 };
        Self::Gzip(Box::new(GzEncoder::new(blocks, Compression::new(6))))
    }

    fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(file) => file.write_all(bytes).unwrap(),
            Self::Gzip(encoder) => encoder.write_all(bytes).unwrap(),
        }
    }

    /// With compression: how much of the text can be read by now.
    fn inflates(&self) -> Option<usize> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(encoder) => Some(encoder.get_ref().inflates),
        }
    }

    fn close(self) {
        if let Self::Gzip(encoder) = self {
            let mut blocks = encoder.finish().unwrap();
            blocks.file.write_all(&blocks.waiting).unwrap();
        }
    }

    /// As `close`, but what was not written stays unwritten.
    fn kill(self) {
        if let Self::Gzip(mut encoder) = self {
            // An encoder that is dropped writes the end of its stream; it goes where all is lost.
            encoder.get_mut().file = OpenOptions::new().write(true).open("/dev/null").unwrap();
        }
    }
}

impl Writer {
    /// Nothing is created before the first record.
    pub(crate) fn new(directory: &Path, log: Log, form: Form) -> Self {
        Self { directory: directory.to_owned(), log, form, open: None, opened_s: None }
    }

    /// The live file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(format!("{}{}", self.log.name(), self.extension()))
    }

    fn extension(&self) -> &'static str {
        if self.form == Form::Gzip { ".log.gz" } else { ".log" }
    }

    pub(crate) fn log(&self) -> Log {
        self.log
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens the file as Zeek does, at its first record: truncating, not appending.
    fn open(&mut self, ledger: &mut Ledger) -> &mut Open {
        if self.open.is_none() {
            let path = self.path();
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).open(&path).unwrap();
            let life = ledger.opened(&path, self.log, self.form);
            self.opened_s.get_or_insert(ledger.clock.seconds());
            let mut open = Open { file: Sink::new(file, self.form), life, part: None };
            if self.form != Form::Json {
                for line in header(self.log, ledger.clock.seconds()) {
                    open.put(ledger, line.as_bytes());
                }
            }
            self.open = Some(open);
        }
        self.open.as_mut().unwrap()
    }

    /// Writes `count` records, one write(2) each.
    pub(crate) fn write(&mut self, ledger: &mut Ledger, count: usize) {
        self.finish_part(ledger);
        for _ in 0..count {
            let (key, line) = ledger.next_record(self.log, self.form);
            self.open(ledger).put_record(ledger, &key, line.as_bytes());
        }
    }

    /// Writes a line that the caller made, without its newline. One that begins with `#` takes two
    /// writes, as in Zeek; `between` is called after each.
    pub(crate) fn write_line(
        &mut self,
        ledger: &mut Ledger,
        key: &str,
        line: &[u8],
        between: &mut dyn FnMut(),
    ) {
        self.finish_part(ledger);
        let open = self.open(ledger);
        let mut rest = line;
        if let Some(after) = line.strip_prefix(b"#") {
            open.put(ledger, b"\\x23");
            between();
            rest = after;
        }
        let rest = [rest, b"\n"].concat();
        open.put_record(ledger, key, &rest);
        between();
    }

    /// Writes the first `percent` of a record, at least a byte, and never its newline. A
    /// compressing writer writes the whole record: its text is cut where blocks end.
    pub(crate) fn write_part(&mut self, ledger: &mut Ledger, percent: u8) {
        self.finish_part(ledger);
        if self.form == Form::Gzip {
            self.write(ledger, 1);
            return;
        }
        let (key, line) = ledger.next_record(self.log, self.form);
        let line = line.into_bytes();
        let written = (line.len() * usize::from(percent) / 100).clamp(1, line.len() - 1);
        let open = self.open(ledger);
        open.file.write(&line[..written]);
        ledger.wrote_part(open.life, &key, &line, &line[..written]);
        open.part = Some(Part { key, line, written });
    }

    /// Writes the rest of a record of which a part was written.
    pub(crate) fn finish_part(&mut self, ledger: &mut Ledger) {
        let Some(open) = &mut self.open else { return };
        if let Some(Part { key, line, written }) = open.part.take() {
            open.put_record(ledger, &key, &line[written..]);
        }
    }

    /// Ends the file: `#close` unless it is JSON.
    pub(crate) fn close(&mut self, ledger: &mut Ledger) {
        self.finish_part(ledger);
        let Some(mut open) = self.open.take() else { return };
        if self.form != Form::Json {
            let line = format!("#close\t{}\n", clock::stamp(ledger.clock.seconds()));
            open.put(ledger, line.as_bytes());
        }
        open.file.close();
        if self.form == Form::Gzip {
            ledger.inflates_all(open.life);
        }
        ledger.closed(open.life, true);
    }

    /// The process is gone: what was written stays as it is.
    pub(crate) fn kill(&mut self, ledger: &mut Ledger) {
        if let Some(open) = self.open.take() {
            open.file.kill();
            ledger.closed(open.life, false);
        }
    }

    /// Closes the file and renames it; the next one is made at the next record. Nothing happens
    /// where nothing was written since the last time.
    pub(crate) fn rotate(&mut self, ledger: &mut Ledger, names: Names) -> Option<Finished> {
        let closed_s = ledger.clock.seconds();
        let opened_s = self.opened_s.replace(closed_s);
        self.open.as_ref()?;
        self.close(ledger);
        let opened_s = opened_s.unwrap_or(closed_s);
        let (name, extension) = (self.log.name(), self.extension());
        let (opened, closed) = (clock::stamp(opened_s), clock::stamp(closed_s));
        let to = match names {
            Names::Dated => format!("{name}.{opened}{extension}"),
            Names::Queue => format!("log-queue/{name}__{opened}__{closed}__{extension}"),
        };
        let path = self.directory.join(to);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(self.path(), &path).unwrap();
        ledger.renamed(&self.path(), &path);
        Some(Finished { path, log: self.log, form: self.form, opened_s, closed_s })
    }
}

impl Open {
    fn put(&mut self, ledger: &mut Ledger, bytes: &[u8]) {
        self.file.write(bytes);
        ledger.wrote(self.life, bytes);
        self.follow(ledger);
    }

    fn put_record(&mut self, ledger: &mut Ledger, key: &str, bytes: &[u8]) {
        self.file.write(bytes);
        ledger.wrote_record(self.life, key, bytes);
        self.follow(ledger);
    }

    fn follow(&self, ledger: &mut Ledger) {
        if let Some(length) = self.file.inflates() {
            ledger.inflates(self.life, length);
        }
    }
}
