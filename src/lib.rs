//! zeek-ueba: user and entity behaviour analytics over Zeek's logs.
//!
//! The floors, what imports what, and what is not here: docs/ARCHITECTURE.md.

pub mod base;
pub mod cli;
pub mod config;
pub mod document;
pub mod engine;
pub mod record;
pub mod replay;
pub mod risk;
pub mod sink;
pub mod stage;
pub mod wiring;
pub mod zeek;
