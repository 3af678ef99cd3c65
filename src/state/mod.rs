//! Floor 6: what lasts: one redb file with everything that a commit holds, the journal beside it,
//! and the lock that keeps a second daemon away.
//!
//! Not here: what the keys mean (`engine`), where documents go (`sink`).

mod journal;
mod reader;
mod store;

pub use journal::{CannotRead, Journal, Journaled};
pub use reader::{Reader, Snapshot};
pub use store::{CannotOpen, Left, Owner, Record, Show, State};
