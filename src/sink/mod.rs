//! Floor 6: where documents go.

pub mod live;
mod ndjson;

pub use ndjson::{CannotOpen, Ndjson};
