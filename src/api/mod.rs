//! Floor 6: what the daemon shows of itself over HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! Everything here reads one copy of the numbers ([`crate::engine::Status`]), so that those of one
//! answer belong together. Nobody who connects can hold up the daemon: connections, their time and
//! the bytes of a request are bounded. Not here: what is counted (`engine`), and anything that
//! changes something.

mod metrics;
mod process;
mod routes;
mod server;

pub use routes::Shared;
pub use server::Server;
