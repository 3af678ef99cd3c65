//! Floor 2: Zeek's log formats: bytes in, batches of typed rows and rejects out.
//!
//! No IO and no failure: every byte ends in a row, in a reject, or in the header. Why this is not
//! the `csv` crate and `serde_json`: docs/ARCHITECTURE.md, "The parser is ours".

mod header;
mod identify;
pub mod json;
mod line;
mod parser;
pub mod split;
#[cfg(target_arch = "x86_64")]
mod sse2;
mod tsv;
mod unescape;
pub mod value;

pub use header::configured;
pub use identify::{Identity, identify};
pub use line::sha256;
pub use parser::{Parser, Progress, Settings};
pub use unescape::{json as unescape_json, tsv as unescape_tsv};
