//! Floor 5: the decompressed bytes of a file, plain or gzip, told by its first bytes.
//!
//! Not here: which files there are (`replay`, `tail`).

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::record::{Reject, RejectReason};

/// Bytes that were read and are not used up: whole lines, and the beginning of one.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is there.
    #[must_use]
    pub fn get(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Lets the first `count` bytes go.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Room for `bytes` more, after what is there. It grows up to the limit of a line, beyond which
    /// the parser takes it in pieces.
    pub fn room(&mut self, bytes: usize, line_max: usize) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = (self.end + bytes).min(line_max + 2 * bytes);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes of the room were filled.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
    }
}

/// Reads one file from its start.
pub struct Reader {
    inner: Inner,
    counted: Arc<AtomicU64>,
}

enum Inner {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
}

/// A file that counts the bytes read from it.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// How reading ended.
#[derive(Debug)]
pub enum Trouble {
    /// Compressed data that ends early or does not decode.
    Gzip(io::Error),
    /// The file itself.
    Io(io::Error),
}

impl Trouble {
    /// What a dead letter calls it, and what the system or the decoder said.
    #[must_use]
    pub fn parts(&self) -> (RejectReason, &io::Error) {
        match self {
            Self::Gzip(error) => (RejectReason::GzipCorrupt, error),
            Self::Io(error) => (RejectReason::ReadError, error),
        }
    }
}

impl Trouble {
    /// What went wrong as a dead letter at `offset`, where `rows` records stand before it.
    #[must_use]
    pub fn reject(&self, rows: usize, offset: u64) -> Reject {
        let (reason, error) = self.parts();
        Reject {
            reason,
            detail: error.to_string(),
            row: rows,
            offset,
            length: 0,
            raw: Vec::new(),
            sha256: crate::zeek::sha256(b""),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, error) = self.parts();
        write!(f, "{}: {error}", reason.name())
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const GZIP_BUFFER: usize = 64 << 10;

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Reads `file` from its start.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut magic = [0; 2];
        let mut seen = 0;
        while seen < magic.len() {
            match file.read(&mut magic[seen..])? {
                0 => break,
                count => seen += count,
            }
        }
        file.rewind()?;
        let counted = Arc::new(AtomicU64::new(0));
        let file = Counted { file, bytes: Arc::clone(&counted) };
        let inner = if magic == GZIP_MAGIC {
            let buffered = BufReader::with_capacity(GZIP_BUFFER, file);
            Inner::Gzip(Box::new(MultiGzDecoder::new(buffered)))
        } else {
            Inner::Plain(file)
        };
        Ok(Self { inner, counted })
    }

    /// Whether the file is compressed.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        matches!(self.inner, Inner::Gzip(_))
    }

    /// Fills some of `buffer`; 0 at the end.
    ///
    /// # Errors
    /// Data that does not decode, or a file that cannot be read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        loop {
            let result = match &mut self.inner {
                Inner::Plain(file) => file.read(buffer).map_err(Trouble::Io),
                Inner::Gzip(decoder) => decoder.read(buffer).map_err(|error| match error.kind() {
                    io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData
                    | io::ErrorKind::UnexpectedEof => Trouble::Gzip(error),
                    _ => Trouble::Io(error),
                }),
            };
            match result {
                Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Fills as much of `buffer` as there is; what there was before any trouble counts.
    pub fn fill(&mut self, buffer: &mut [u8]) -> (usize, Option<Trouble>) {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(trouble) => return (filled, Some(trouble)),
            }
        }
        (filled, None)
    }

    /// Bytes of the file itself that were read since the last call.
    pub fn take_bytes(&self) -> u64 {
        self.counted.swap(0, Ordering::Relaxed)
    }
}
