//! Dead letters as they stand in files.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Deserialize;

use crate::base::hash;

/// Names a letter: a hash of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 12]);

impl Key {
    pub(super) fn of(line: &[u8]) -> Self {
        let digest = hash::digest(&[line]);
        Self(std::array::from_fn(|at| digest[at]))
    }

    /// From its 24 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// One letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// Of which log; of alerts and risk the dataset.
    pub log: String,
    /// In which file, where that is known.
    pub file: String,
    /// The document that a sink will never take.
    pub event_id: Option<String>,
    /// Where in the file.
    pub offset: u64,
    /// Bytes of the line or document.
    pub length: u64,
    /// Who will never take it.
    pub sink: Option<String>,
    /// The line or document, in base64, at most its first 64 KiB.
    raw: String,
    /// Of all of it.
    pub sha256: String,
}

impl Letter {
    /// The letter on a line, without its line feed.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// What is kept of the line or document.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        BASE64.decode(self.raw.as_bytes()).unwrap_or_default()
    }

    /// The whole document, where all of it is kept as it was.
    #[must_use]
    pub fn document(&self) -> Option<Vec<u8>> {
        Some(self.raw()).filter(|raw| self.is(raw))
    }

    /// Whether bytes are those that it is about.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        let sum = crate::zeek::sha256(bytes);
        bytes.len() as u64 == self.length && data_encoding::HEXLOWER.encode(&sum) == self.sha256
    }
}

/// Bytes of a line, beyond which it is no letter: 64 KiB in base64, and names.
const LINE_MAX: usize = 1 << 20;

/// The letters of a file, one after the other.
#[derive(Debug)]
pub struct Letters {
    file: BufReader<File>,
    line: Vec<u8>,
}

impl Letters {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), line: Vec::new() })
    }

    /// The next line, without its line feed, if that is there; nothing at the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn line(&mut self) -> io::Result<Option<(Key, &[u8])>> {
        loop {
            self.line.clear();
            let mut limited = io::Read::take(&mut self.file, LINE_MAX as u64);
            if limited.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some((Key::of(&self.line), &self.line)));
            }
            // A line that is being written, or one that nobody wrote.
            while self.line.len() == LINE_MAX && self.line.last() != Some(&b'\n') {
                self.line.clear();
                let mut limited = io::Read::take(&mut self.file, LINE_MAX as u64);
                limited.read_until(b'\n', &mut self.line)?;
            }
        }
    }
}

/// The files of dead letters in the directory of a state: those of earlier releases, which were
/// several, come first.
///
/// # Errors
/// What the system says.
pub fn files(state: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            name.strip_prefix("dead-letter.").is_some_and(|rest| rest.ends_with("ndjson"))
        });
        if is_ours {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}
