//! The decompressed bytes of a file, plain or gzip, told by its first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// Reads one file.
pub(super) struct Reader {
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
pub(super) enum Trouble {
    /// Compressed data that ends early or does not decode.
    Gzip(io::Error),
    /// The file itself.
    Io(io::Error),
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const GZIP_BUFFER: usize = 64 << 10;

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
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

    /// Fills some of `buffer`; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
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
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        filled
    }

    /// Bytes of the file itself that were read since the last call.
    pub(super) fn take_bytes(&self) -> u64 {
        self.counted.swap(0, Ordering::Relaxed)
    }
}
