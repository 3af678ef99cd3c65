//! Dead letters: what could not be read as a record, and what a sink will never take, in one
//! bounded file of the state; and which of them somebody has dealt with.
//!
//! Not here: how a letter is written (`document`), and how one is sent again (`wiring`).

mod done;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use done::{Dealt, Done, Lock};
pub use reader::{Key, Letter, Letters, files};
pub(super) use writer::{Standing, Writer};

/// The file, in the directory of the state.
pub const NAME: &str = "dead-letter.ndjson";

/// What becomes of dead letters that find the file full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing is read until there is room.
    Pause,
    /// The oldest half goes, and is counted.
    DropOldest,
}

/// How large the file may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes.
    pub bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
}
