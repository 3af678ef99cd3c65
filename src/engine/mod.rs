//! Floor 4: lanes, merge, entity lane, and the threads that carry them.
//!
//! A lane reads one kind of log, scores its records and writes their documents; the entity lane
//! merges what the lanes made by event time and keeps windows, findings and risk. Not here: where
//! records come from (`replay`), where documents go (`sink`); both implement a trait of this
//! module.

mod activity;
mod again;
mod alerting;
mod applier;
mod census;
mod core;
mod explain;
mod guard;
mod horizon;
mod kept;
mod lane;
mod learnt;
mod live;
mod output;
mod profiles;
mod refit;
mod retrace;
mod run;
mod shown;
mod status;
mod summary;
mod targets;
mod traits;
mod watermark;
mod windows;
mod worker;

pub use self::again::Again;
pub use self::alerting::AlertPolicy;
pub use self::core::{Core, Identity, StagePlan};
pub use applier::{Applier, Changed, Step};
pub use horizon::Tick;
pub use lane::LaneSpec;
pub use live::{Commit, Ends, LiveLane, Pace, Watch, follow};
pub use output::{Blocks, KINDS, Kind, LaneState, Marks};
pub use retrace::Retrace;
pub use run::{Failure, run};
pub use status::{
    BOUNDS_US, Counted, Files, Histogram, LettersStatus, Meters, SinkStatus, SpoolStatus, Status,
};
pub use summary::{Counts, Peak, Summary};
pub use traits::{
    Cut, Feed, Feeds, FileEnd, Gate, LastingSink, Mark, Progress, Sink, Started, Store, Tail,
};
pub use watermark::Watermark;
pub use worker::{Emit, Worker, WorkerPlan};
