//! What the engine asks of the floors above it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::hash::Id;
use crate::base::time::Time;
use crate::record::{Batch, Generation, Log, Source};

use super::live::Commit;
use super::output::{Kind, Marks};

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
    /// Its turn among files that have come equally far: a hash of what its first record says.
    pub rank: Id,
}

/// The feeds of one lane, by the time of their first record.
pub trait Feeds: Send {
    /// When the next feed begins; `None` when there is none. A feed without a record begins at
    /// [`Time::MIN`].
    fn next_start(&self) -> Option<Time>;

    /// Opens the next feed.
    fn open(&mut self) -> Option<Started>;
}

/// Where a file that is followed was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The identity of its content.
    pub generation: Generation,
    /// The bytes that were read since the last mark.
    pub range: Range<u64>,
    /// What its source wants to be told when it goes on from here.
    pub state: Vec<u8>,
    /// Whether nothing more will come of it.
    pub is_last: bool,
}

/// Records of one lane as they are written.
pub trait Tail: Send {
    /// The log that there is something to read of; nothing after a while without.
    fn next(&mut self) -> Option<Log>;

    /// Sees how its files stand, while nobody takes what was read of them.
    fn watch(&mut self);

    /// Fills an empty `batch` of the log that [`Tail::next`] named; nothing if there was not even a
    /// line. The last part says whether there is more at once.
    fn read(&mut self, rows_max: usize, batch: &mut Batch) -> Option<(Arc<Source>, Mark, bool)>;
}

/// Where commits go.
pub trait Store: Send {
    /// Makes a commit last: what was written before it, what changed, what has to be told.
    ///
    /// # Errors
    /// Ends the run; the commit before it is what stands.
    fn commit(&mut self, commit: Commit) -> io::Result<()>;
}

/// Where a file of documents ends that is followed by another one when it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {
    /// How many were full before it.
    pub sequence: u64,
    /// Its bytes.
    pub length: u64,
}

/// How far a sink has come, as a commit keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Of each kind, the number before which the sink has everything.
    pub cursors: Marks,
    /// Of each kind, how many there were.
    pub handed: Marks,
    /// Bytes of documents a second, over the last minutes.
    pub rate: u64,
    /// Thousandths that are left of documents where they are packed; 0 where nobody knows.
    pub packed: u64,
}

/// What was written before a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Where events and dead letters end.
    pub ends: [FileEnd; 2],
    /// How many documents were handed to each sink beyond this machine: they have to be there, or
    /// in its spool, before the commit stands.
    pub handed: Vec<Marks>,
}

/// Where documents go that commits speak of.
pub trait LastingSink: Sink {
    /// All that was written so far belongs to one commit; no other is cut before that one stands.
    ///
    /// # Errors
    /// Ends the run.
    fn cut(&mut self) -> io::Result<Cut>;
}

/// What those who write documents say to who reads records.
pub trait Gate: Send + Sync {
    /// Whether nothing more should be read, because there is no room for what comes of it.
    fn is_shut(&self) -> bool;

    /// Whether a commit would keep something, though nothing was read.
    fn has_news(&self) -> bool;
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
