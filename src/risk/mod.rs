//! Floor 3: from evidence to risk: what a finding adds, how it fades, what an entity's score is.
//!
//! Everything is an integer, so that neither the order of arrival nor the machine can change a sum.
//! Not here: what a stage looks at (`stage`), how documents are written (`document`).

mod bits;
mod findings;
mod grounds;
mod ledger;
mod level;
mod saved;

pub use bits::Bits;
pub use findings::{Findings, News};
pub use grounds::{Grounds, Kept};
pub use ledger::{Change, Event, Ledger, Module, Policy, Share};
pub use level::Level;
