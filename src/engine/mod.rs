//! Floor 4: lanes, merge, entity lane, and the threads that carry them.
//!
//! A lane reads one kind of log, scores its records and writes their documents; the entity lane
//! merges what the lanes made by event time and keeps windows, findings and risk. Not here: where
//! records come from (`replay`), where documents go (`sink`); both implement a trait of this
//! module.

mod core;
mod lane;
mod output;
mod run;
mod summary;
mod traits;
mod watermark;
mod windows;
mod worker;

pub use self::core::{Core, Identity, StagePlan};
pub use lane::LaneSpec;
pub use output::{Blocks, Kind};
pub use run::{Failure, run};
pub use summary::{Counts, Summary};
pub use traits::{Feed, Feeds, Sink, Started};
pub use watermark::Watermark;
pub use worker::{Emit, Worker, WorkerPlan};
