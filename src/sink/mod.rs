//! Floor 6: where documents go.

mod also;
pub mod kafka;
pub mod live;
mod ndjson;
mod network;
pub mod topics;
mod window;

pub use also::Also;
pub use ndjson::{CannotOpen, Ndjson};
pub use network::{Network, Shared};
