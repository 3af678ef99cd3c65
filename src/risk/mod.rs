//! Floor 3: from evidence to risk: what a finding adds, how it fades, what an entity's score is.
//!
//! Everything is an integer, so that neither the order of arrival nor the machine can change a sum.
//! Not here: what a stage looks at (`stage`), how documents are written (`document`).

mod account;
mod accounts;
mod bits;
mod criticality;
mod few;
mod findings;
#[cfg(test)]
mod laws;
mod ledger;
mod level;
mod policy;
mod saved;
mod sharing;
mod uid;
mod value;

pub use account::Share;
pub use bits::Bits;
pub use criticality::{Criticality, Subject};
pub use few::Few;
pub use findings::{Findings, News};
pub use ledger::{Change, Ledger};
pub use level::Level;
pub use policy::{Module, Policy};
pub use uid::Uid;
pub use value::Event;
