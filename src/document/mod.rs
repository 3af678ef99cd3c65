//! Floor 3: the documents of the contract, written byte by byte: events, alerts, risk, dead
//! letters; and what `explain` says.
//!
//! Each ends with a line feed. Not here: where they go (`sink`), what stands in them (`stage`,
//! `risk`, `zeek`).

mod alert;
mod dead_letter;
mod ecs;
mod event;
mod explanation;
mod parts;
mod profile;
mod redact;
mod risk;
mod text;
mod zeek;

pub use alert::{Alert, Closed, Event as BehindRisk, ModelName, Proof, write_alert};
pub use dead_letter::{write_dead_letter, write_rejected};
pub use event::{EventRow, EventWriter, Shown};
pub use explanation::{Explanation, Found, Line, Part, Portion, Standing, write_explanation};
pub use parts::{Parts, is_far};
pub use profile::{MeasureView, ProfileView, UsualView, write_profile, write_profile_line};
pub use redact::{Hidden, Redaction, Rule};
pub use risk::{Contribution, RiskState, write_risk};
pub use zeek::Fields;
