//! The journal: in which order batches and ticks met, so that a replay can make them meet again.
//!
//! Segments of frames (length, CRC-32, steps of one commit), each with a snapshot of all keys as
//! they were at its beginning. Beyond the bound the oldest segment goes, and the next one's
//! snapshot is where a replay starts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::codec::{decode, encode};
use crate::base::hash::crc32;
use crate::engine::Step;

use super::store::State;

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The last segment.
    pub segment: u64,
    /// Its bytes.
    pub length: u64,
}

/// Why a journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum CannotRead {
    /// The system said no, or there is none.
    #[error("cannot read the journal {0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is not what a daemon wrote.
    #[error("the journal {0} is damaged at byte {1}")]
    Damaged(PathBuf, u64),
}

/// Writes the journal of one state directory.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    bytes_max: u64,
    file: File,
    end: End,
    /// Whether the current segment still lacks its snapshot.
    is_fresh: bool,
}

/// Segments that the bound is divided into.
const SEGMENTS: u64 = 8;

fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:08}.journal"))
}

fn snapshot_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:08}.snapshot"))
}

fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".journal"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

impl Journal {
    /// Goes on where `end` says that the last commit left it; what stands behind is cut off.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path, end: End, bytes_max: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for later in segments(directory)?.into_iter().filter(|segment| *segment > end.segment) {
            fs::remove_file(segment_path(directory, later))?;
        }
        let file = open_segment(directory, end.segment)?;
        let is_cut = file.metadata()?.len() < end.length;
        let end = if is_cut {
            // Somebody took it away: what is left must not look whole.
            End { segment: end.segment + 1, length: 0 }
        } else {
            end
        };
        let file = if is_cut { open_segment(directory, end.segment)? } else { file };
        file.set_len(end.length)?;
        let mut journal = Self {
            directory: directory.to_owned(),
            bytes_max,
            file,
            end,
            is_fresh: end.length == 0,
        };
        io::Seek::seek(&mut journal.file, io::SeekFrom::End(0))?;
        Ok(journal)
    }

    /// Appends what happened since the last commit and makes it last; where it ends then.
    /// `state` is what stood before: a new segment begins with a snapshot of it.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, steps: &[Step], state: &State) -> io::Result<End> {
        if self.end.length >= (self.bytes_max / SEGMENTS).max(1) {
            self.end = End { segment: self.end.segment + 1, length: 0 };
            self.file = open_segment(&self.directory, self.end.segment)?;
            self.file.set_len(0)?;
            self.is_fresh = true;
        }
        if std::mem::take(&mut self.is_fresh) {
            self.snapshot(state)?;
            self.cut()?;
        }
        let payload = encode(&steps);
        let mut frame = Vec::with_capacity(payload.len() + 8);
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&crc32(&payload).to_le_bytes());
        frame.extend_from_slice(&payload);
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.end.length += frame.len() as u64;
        Ok(self.end)
    }

    /// Writes all keys beside the segment: aside, synced, renamed.
    fn snapshot(&self, state: &State) -> io::Result<()> {
        let path = snapshot_path(&self.directory, self.end.segment);
        let aside = path.with_extension("tmp");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let mut out = BufWriter::new(file);
        let mut failed = Ok(());
        let all = state.each(&mut |key, value| {
            let item = encode(&(key, value));
            let head = [(item.len() as u32).to_le_bytes(), crc32(&item).to_le_bytes()].concat();
            if failed.is_ok() {
                failed = out.write_all(&head).and_then(|()| out.write_all(&item));
            }
            Ok(())
        });
        all.map_err(io::Error::other)?;
        failed?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Lets the oldest segments go while there is too much.
    fn cut(&self) -> io::Result<()> {
        let segments = segments(&self.directory)?;
        let size = |segment: u64| -> u64 {
            let paths =
                [segment_path(&self.directory, segment), snapshot_path(&self.directory, segment)];
            paths.iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum()
        };
        let mut total: u64 = segments.iter().map(|&segment| size(segment)).sum();
        for segment in segments.into_iter().filter(|segment| *segment < self.end.segment) {
            if total <= self.bytes_max - self.bytes_max / SEGMENTS {
                break;
            }
            total -= size(segment);
            for path in
                [segment_path(&self.directory, segment), snapshot_path(&self.directory, segment)]
            {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn open_segment(directory: &Path, segment: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(segment_path(directory, segment))
}

/// A journal that is read.
#[derive(Debug, Default)]
pub struct Journaled {
    /// The keys that it starts from.
    pub keys: Vec<(Vec<u8>, Vec<u8>)>,
    /// What happened then, in its order.
    pub steps: Vec<Step>,
}

impl Journaled {
    /// Reads the journal in `directory` from its oldest snapshot on. A last frame that is not
    /// complete was never committed, and is left out.
    ///
    /// # Errors
    /// Says where it cannot be read.
    pub fn read(directory: &Path) -> Result<Self, CannotRead> {
        let failed = |error| CannotRead::Io(directory.to_owned(), error);
        let all = segments(directory).map_err(failed)?;
        let Some(&first) = all.first() else {
            return Err(failed(io::Error::other("there is none")));
        };
        let mut found = Self::default();
        let path = snapshot_path(directory, first);
        for item in frames(&path, false)? {
            let item = decode::<(Vec<u8>, Vec<u8>)>(&item);
            found.keys.push(item.map_err(|_| CannotRead::Damaged(path.clone(), 0))?);
        }
        for (at, &segment) in all.iter().enumerate() {
            let path = segment_path(directory, segment);
            for frame in frames(&path, at + 1 == all.len())? {
                let steps: Result<Vec<Step>, _> = decode(&frame);
                found.steps.extend(steps.map_err(|_| CannotRead::Damaged(path.clone(), 0))?);
            }
        }
        Ok(found)
    }
}

/// The frames of a file; the last one may be torn if `is_last`.
fn frames(path: &Path, is_last: bool) -> Result<Vec<Vec<u8>>, CannotRead> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| CannotRead::Io(path.to_owned(), error))?;
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let frame = frame(&bytes[at..]);
        let Some(frame) = frame else {
            if is_last {
                break;
            }
            return Err(CannotRead::Damaged(path.to_owned(), at as u64));
        };
        at += 8 + frame.len();
        frames.push(frame.to_vec());
    }
    Ok(frames)
}

fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (crc32(payload) == u32::from_le_bytes(*sum)).then_some(payload)
}
