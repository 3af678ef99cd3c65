//! Floor 5: the decompressed bytes of a file, plain or gzip, told by its first bytes.
//!
//! Not here: which files there are (`replay`, `tail`).

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Decompress, FlushDecompress, Status};

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
    Gzip(Box<Gunzip>),
}

/// Decompresses one member after the other. The readers of flate2 drop what they had decoded when
/// something behind it, in what they were asked for at once, does not decode: how much of a damaged
/// file is read would depend on that.
struct Gunzip {
    file: BufReader<Counted>,
    inflate: Decompress,
    /// Whether a member has begun.
    is_inside: bool,
    /// What does not decode, behind all that did.
    damage: Option<String>,
}

impl Gunzip {
    fn new(file: Counted) -> Self {
        let file = BufReader::with_capacity(GZIP_BUFFER, file);
        Self { file, inflate: inflate(), is_inside: false, damage: None }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let trouble = |kind, why: &str| Err(Trouble::Gzip(io::Error::new(kind, why)));
        while !buffer.is_empty() {
            if let Some(why) = &self.damage {
                return trouble(io::ErrorKind::InvalidData, why);
            }
            let input = self.file.fill_buf().map_err(Trouble::Io)?;
            let is_end = input.is_empty();
            if is_end && !self.is_inside {
                break;
            }
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, buffer, FlushDecompress::None);
            let used = self.inflate.total_in() - before.0;
            let count = self.inflate.total_out() - before.1;
            self.file.consume(used as usize);
            self.is_inside = !matches!(status, Ok(Status::StreamEnd));
            match status {
                Ok(Status::StreamEnd) => self.inflate = inflate(),
                Ok(_) => {}
                Err(error) => self.damage = Some(error.to_string()),
            }
            if count > 0 {
                return Ok(count as usize);
            }
            // At the end of the file only what a few bits of it stand for may still come.
            if is_end && self.damage.is_none() {
                return trouble(io::ErrorKind::UnexpectedEof, "it ends inside compressed data");
            }
        }
        Ok(0)
    }
}

/// With 32 KiB to look back at, which is the most that there is.
fn inflate() -> Decompress {
    Decompress::new_gzip(15)
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
            Inner::Gzip(Box::new(Gunzip::new(file)))
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
                Inner::Gzip(gunzip) => gunzip.read(buffer),
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// What is read of `bytes`, so many at once, and how it ends.
    fn read(bytes: &[u8], at_once: usize) -> (Vec<u8>, Option<RejectReason>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut reader = Reader::new(file).unwrap();
        let (mut out, mut buffer) = (Vec::new(), vec![0; at_once]);
        loop {
            let (count, trouble) = reader.fill(&mut buffer);
            out.extend_from_slice(&buffer[..count]);
            match trouble {
                None if count == at_once => {}
                trouble => {
                    assert_eq!(reader.take_bytes(), bytes.len() as u64, "{at_once}");
                    return (out, trouble.map(|it| it.parts().0));
                }
            }
        }
    }

    #[test]
    fn what_decodes_before_damage_does_not_depend_on_how_much_is_asked_for() {
        let numbers: Vec<u8> =
            (0..100_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let check = |text: &[u8], behind: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.flush().unwrap();
            let bytes = [encoder.get_ref().as_slice(), behind].concat();
            for at_once in [1000, 32 << 10, 256 << 10, 1 << 20] {
                let (found, reason) = read(&bytes, at_once);
                assert_eq!(reason, Some(RejectReason::GzipCorrupt), "{at_once}");
                assert!(found == text, "{at_once}: {} of {} bytes", found.len(), text.len());
            }
        };
        // A block of a type that there is not, and the end.
        check(&numbers, &[0xff; 16]);
        check(&numbers, &[]);
        // Where a few bits stand for much, some of it is still to come when the file is at its end.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&[0; 500_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        let torn = |at_once| read(&bytes[..bytes.len() / 2], at_once);
        assert!(torn(1).0.len() > 100_000);
        assert!(torn(1) == torn(1000) && torn(1) == torn(1 << 20));
    }
}
