//! Floor 6: logs that still grow as a source: finds them, tells them apart by what they say,
//! follows them through rotation, truncation, archives and restarts (zeek-logs R1 to R16).
//!
//! One thread scans the directories and compares archives with what was read; each lane follows its
//! own files. Not here: what is done with records (`engine`), how a position lasts (`state`).

mod board;
mod check;
mod finished;
mod follow;
mod lane;
mod scan;

pub use board::Board;
pub use finished::position_of;
pub use lane::LaneTail;
pub use scan::{News, Scanner, Sources};
