//! Where a record stands: which generation of which file, at which byte.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::hash::{self, Id, Prefix};

use super::log::Log;
use super::uid::Uid;

/// The identity of a log file's content: the same live, renamed, copied, gzipped (zeek-logs R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub [u8; 16]);

impl Generation {
    /// Of the file of `log` that begins with these header lines and this first record.
    #[must_use]
    pub fn new(log: Log, header: &[u8], first_record: &[u8]) -> Self {
        Self(hash::id(&[b"generation", log.name().as_bytes(), header, first_record]).0)
    }

    /// Of a file that agrees with this one up to, and differs from it in, `first_differing_line`
    /// (R8).
    #[must_use]
    pub fn fork(self, first_differing_line: &[u8]) -> Self {
        Self(hash::id(&[b"fork", &self.0, first_differing_line]).0)
    }

    /// What the ids of its events begin with.
    #[must_use]
    pub fn event_prefix(self, sensor_id: &str, log: Log) -> Prefix {
        hash::prefix(&[b"event", sensor_id.as_bytes(), log.name().as_bytes(), &self.0])
    }
}

/// A file that is being read: shared by all that point into it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which log it is.
    pub log: Log,
    /// The identity of its content.
    pub generation: Generation,
    /// What the ids of its events begin with.
    pub event_prefix: Prefix,
    /// Its path, relative to where it was found.
    pub path: String,
}

/// A record that a finding points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRef {
    /// The file.
    pub source: Arc<Source>,
    /// The first byte of its line in the decompressed file.
    pub offset: u64,
    /// Zeek's uid (of `files` records, the fuid when they have no uid).
    pub uid: Uid,
}

impl RecordRef {
    /// The id of the record's event.
    #[must_use]
    pub fn event_id(&self) -> Id {
        self.source.event_prefix.id(self.offset)
    }
}
