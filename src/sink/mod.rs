//! Floor 5: where documents go.

mod ndjson;

pub use ndjson::{CannotOpen, Ndjson};
