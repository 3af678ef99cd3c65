//! Floor 6: finished logs as a source: which files there are, which log each is, which of them are
//! copies, and their records in the order of event time.
//!
//! Not here: files that still grow (`tail`, to come).

mod discover;
mod feed;
mod inventory;
mod locate;
mod retrace;
mod twins;

pub use discover::{Found, Skipped, discover};
pub use feed::LaneFeeds;
pub use inventory::{Inventory, Planned, take_inventory};
pub use locate::{Located, locate};
pub use retrace::{CannotRetrace, Retracer};
