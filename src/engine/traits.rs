//! What the engine asks of the floors above it.

use std::io;
use std::sync::Arc;

use crate::base::time::Time;
use crate::record::{Batch, Log, Source};

use super::output::Kind;

/// Records of one lane, in the order of their file.
pub trait Feed: Send {
    /// Fills an empty `batch` with up to `rows_max` records of one file; `None` at the end.
    fn read(&mut self, rows_max: usize, batch: &mut Batch) -> Option<Arc<Source>>;

    /// Bytes of the underlying files read since the last call, for the progress bar.
    fn take_bytes(&mut self) -> u64;
}

/// A feed and when it begins.
pub struct Started {
    /// The feed.
    pub feed: Box<dyn Feed>,
    /// Which log it is of.
    pub log: Log,
    /// The place in event time of its first record, if it has one: no record of it comes earlier in
    /// the merge.
    pub start: Option<Time>,
}

/// The feeds of one lane, by the time of their first record.
pub trait Feeds: Send {
    /// When the next feed begins; `None` when there is none. A feed without a record begins at
    /// [`Time::MIN`].
    fn next_start(&self) -> Option<Time>;

    /// Opens the next feed.
    fn open(&mut self) -> Option<Started>;
}

/// Where documents go.
pub trait Sink: Send {
    /// Takes whole documents of one kind, each with a line feed at its end.
    ///
    /// # Errors
    /// Ends the run.
    fn write(&mut self, kind: Kind, documents: &[u8]) -> io::Result<()>;

    /// No more will come.
    ///
    /// # Errors
    /// Ends the run.
    fn finish(&mut self) -> io::Result<()>;
}
