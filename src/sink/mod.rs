//! Floor 6: where documents go.

mod also;
mod backlog;
pub mod elasticsearch;
pub mod kafka;
pub mod letters;
pub mod live;
mod ndjson;
mod network;
mod secret;
pub mod spool;
pub mod topics;
mod window;

pub use also::Also;
pub use backlog::MakeAgain;
pub use ndjson::{CannotOpen, Ndjson};
pub use network::{CannotConfigure, Network, Shared};
pub use secret::{Secret, variable};
