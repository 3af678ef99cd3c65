//! Floor 1: what a record is once it is read: typed columns, where it came from, whom it concerns,
//! and what a stage says of it.
//!
//! Not here: how bytes become records (`zeek`), how records become documents (`document`).

mod batch;
mod column;
mod entity;
mod evidence;
mod finding;
mod header;
mod log;
mod position;
pub mod schema;
mod uid;

pub use batch::{Batch, Format, Line, Mark, Member, Reason as RejectReason, Reject};
pub use column::{Column, Slots, Span};
pub use entity::{Entity, Inside, Parties, Scope, Sides};
pub use evidence::{Evidence, Names, Observed, Reason, Technique};
pub use finding::{Finding, Spot, Why};
pub use header::{Field, Header, Scalar, Shape};
pub use log::{Lane, Log};
pub use position::{Generation, RecordRef, Source};
pub use uid::Uid;
