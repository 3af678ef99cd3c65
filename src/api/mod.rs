//! Floor 6: what the daemon shows of itself over HTTP: `/metrics`, `/healthz`, `/readyz`, why a
//! score is what it is (`/api/v1/explain/ID`), and what is usual of whom (`/api/v1/profiles`).
//!
//! Numbers are read from one copy ([`crate::engine::Status`]), so that those of one
//! answer belong together. Nobody who connects can hold up the daemon: connections, their time and
//! the bytes of a request are bounded. No page in a browser is answered. Not here: what is counted
//! (`engine`), and anything that changes something.

mod metrics;
mod process;
mod routes;
mod server;

pub use routes::{Answer, Question, Shared};
pub use server::{Server, answer};
