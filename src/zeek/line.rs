//! Lines that are no records: how they are kept, and how one without an end is read in pieces.

use sha2::{Digest, Sha256};

use crate::base::limits::DEAD_LETTER_BYTES;
use crate::record::{Batch, Reject, RejectReason};

/// Adds a reject for a whole line.
pub(super) fn reject(
    batch: &mut Batch,
    reason: RejectReason,
    detail: &str,
    line: &[u8],
    place: Place,
) {
    let row = batch.rows();
    batch.rejects.push(Reject {
        reason,
        detail: detail.to_owned(),
        row,
        offset: place.offset,
        length: place.length,
        raw: line.get(..DEAD_LETTER_BYTES).unwrap_or(line).to_vec(),
        sha256: sha256(line),
    });
}

/// SHA-256, as dead letters carry it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Where a line stands in the decompressed file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its first byte.
    pub(super) offset: u64,
    /// Its bytes, with the line end.
    pub(super) length: u64,
}

/// A line beyond the limit: hashed as it passes, its first 64 KiB kept.
#[derive(Clone, Debug)]
pub(super) struct Long {
    offset: u64,
    length: u64,
    head: Vec<u8>,
    hasher: Sha256,
    only_nul: bool,
}

impl Long {
    pub(super) fn new(offset: u64) -> Self {
        Self { offset, length: 0, head: Vec::new(), hasher: Sha256::new(), only_nul: true }
    }

    /// Where it begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next piece of the line.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        let room = DEAD_LETTER_BYTES - self.head.len();
        self.head.extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.only_nul &= piece.iter().all(|&byte| byte == 0);
        self.hasher.update(piece);
    }

    /// The reject that the line is, once its end (of `end_bytes`) or the file's was seen.
    pub(super) fn finish(self, row: usize, end_bytes: u64) -> Reject {
        let (reason, detail) = match self.only_nul {
            true => (RejectReason::NulBlock, "a block of NUL bytes"),
            false => (RejectReason::Oversize, "line longer than source.line_bytes_max"),
        };
        Reject {
            reason,
            detail: detail.to_owned(),
            row,
            offset: self.offset,
            length: self.length + end_bytes,
            raw: self.head,
            sha256: self.hasher.finalize().into(),
        }
    }
}
