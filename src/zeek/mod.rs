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
pub use identify::{Identity, by_name, identify, is_live_name};
pub use line::sha256;
pub use parser::{Mode, Parser, Progress, Settings};
pub use unescape::{json_text, tsv as unescape_tsv};
