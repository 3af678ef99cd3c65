//! zeek-ueba: user and entity behaviour analytics over Zeek's logs.
//!
//! The floors, what imports what, and what is not here: docs/ARCHITECTURE.md.

pub mod base;
pub mod record;
pub mod zeek;
