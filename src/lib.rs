//! zeek-ueba: user and entity behaviour analytics over Zeek's logs.
//!
//! The floors, what imports what, and what is not here: docs/ARCHITECTURE.md.

pub mod api;
pub mod base;
pub mod cli;
pub mod config;
pub mod document;
pub mod engine;
pub mod explain;
pub mod feature;
pub mod learn;
pub mod model;
pub mod read;
pub mod record;
pub mod replay;
pub mod risk;
pub mod sink;
pub mod stage;
pub mod state;
pub mod tail;
pub mod wiring;
pub mod zeek;
