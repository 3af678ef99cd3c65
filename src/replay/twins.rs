//! Files that begin alike: copies are read once, forks both (zeek-logs R8).
//!
//! Files of one generation are compared over the shorter length. Equal means twin: the longer one
//! is read. Different means fork: it is another generation from the line on where they part.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::read::Reader;
use crate::record::Generation;

use super::discover::Found;

/// What a set of files of one generation turned out to be.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Files to read, each with its generation.
    pub(super) files: Vec<(Found, Generation)>,
    /// Copies, and what each is a copy of.
    pub(super) twins: Vec<(Found, Found)>,
    /// How many were forks.
    pub(super) forks: u64,
}

/// Tells the copies among `files` from the forks; the order of `files` does not matter.
pub(super) fn resolve(files: Vec<Found>, generation: Generation) -> Resolved {
    let mut resolved = Resolved::default();
    if files.len() == 1 {
        resolved.files.extend(files.into_iter().map(|file| (file, generation)));
        return resolved;
    }
    let mut ranked: Vec<_> = files.into_iter().map(|file| (content(&file.path), file)).collect();
    // The longest first; of equals the one whose content has the least hash, then the least path.
    ranked.sort_by(|((a_len, a_hash), a), ((b_len, b_hash), b)| {
        b_len.cmp(a_len).then_with(|| a_hash.cmp(b_hash)).then_with(|| a.cmp(b))
    });
    let files = ranked.into_iter().map(|(_, file)| file).collect();
    part(files, generation, &mut resolved);
    resolved
}

/// `files` begin alike up to where they became `generation`; the first is the longest.
fn part(files: Vec<Found>, generation: Generation, resolved: &mut Resolved) {
    let mut files = files.into_iter();
    let Some(leader) = files.next() else { return };
    let mut forks: BTreeMap<Generation, Vec<Found>> = BTreeMap::new();
    for file in files {
        match first_difference(&leader.path, &file.path) {
            Ok(None) => resolved.twins.push((file, leader.clone())),
            Ok(Some(line)) => forks.entry(generation.fork(&line)).or_default().push(file),
            // It cannot be read now; whoever reads it will say why.
            Err(_) => {
                let path = file.relative.clone();
                forks.entry(generation.fork(path.as_bytes())).or_default().push(file);
            }
        }
    }
    resolved.files.push((leader, generation));
    for (generation, files) in forks {
        resolved.forks += 1;
        part(files, generation, resolved);
    }
}

/// Length and hash of what a file decodes to.
fn content(path: &Path) -> (u64, [u8; 32]) {
    let mut hasher = blake3::Hasher::new();
    let mut length = 0;
    if let Ok(mut reader) = Reader::open(path) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.fill(&mut buffer).0 {
                0 => break,
                count => {
                    length += count as u64;
                    hasher.update(&buffer[..count]);
                }
            }
        }
    }
    (length, *hasher.finalize().as_bytes())
}

const BUFFER: usize = 256 << 10;
/// Bytes of the line in which two files part that make the fork's identity.
const LINE_MAX: usize = 64 << 10;

/// The line of `other` in which it first differs from `leader`; nothing if one is the other's
/// beginning.
fn first_difference(leader: &Path, other: &Path) -> io::Result<Option<Vec<u8>>> {
    let (mut a, mut b) = (Reader::open(leader)?, Reader::open(other)?);
    let (mut a_buffer, mut b_buffer) = (vec![0; BUFFER], vec![0; BUFFER]);
    // The line that is being compared, as far as it was read.
    let mut line = Vec::new();
    loop {
        let (a_count, b_count) = (a.fill(&mut a_buffer).0, b.fill(&mut b_buffer).0);
        let (a_bytes, b_bytes) = (&a_buffer[..a_count], &b_buffer[..b_count]);
        let common = a_bytes.iter().zip(b_bytes).position(|(x, y)| x != y);
        let equal = common.unwrap_or(a_count.min(b_count));
        let start = memchr::memrchr(b'\n', &b_bytes[..equal]).map_or(0, |at| at + 1);
        if start > 0 {
            line.clear();
        }
        let keep = |line: &mut Vec<u8>, bytes: &[u8]| {
            let room = LINE_MAX.saturating_sub(line.len());
            line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        };
        if common.is_none() {
            if a_count < BUFFER || b_count < BUFFER {
                return Ok(None);
            }
            keep(&mut line, &b_bytes[start..]);
            continue;
        }
        let end = memchr::memchr(b'\n', &b_bytes[equal..]).map_or(b_count, |at| equal + at);
        keep(&mut line, &b_bytes[start..end]);
        if end == b_count && line.len() < LINE_MAX {
            let count = b.fill(&mut b_buffer).0;
            let end = memchr::memchr(b'\n', &b_buffer[..count]).unwrap_or(count);
            keep(&mut line, &b_buffer[..end]);
        }
        return Ok(Some(line));
    }
}
