//! Floor 0: what every other module may use and what knows none of them: scores, time, addresses,
//! hashes, limits, look-up tables.
//!
//! Not here: anything that knows what a Zeek log, a stage or a document is.

pub mod address;
pub mod clock;
pub mod codec;
pub mod hash;
pub mod host;
pub mod keys;
pub mod limits;
pub mod log2;
pub mod lookup;
pub mod random;
pub mod recent;
pub mod score;
pub mod time;
