//! Floor 3: from evidence to risk: what counts, what a finding adds, how it fades, what an entity's
//! score is; and which alerts come of it: incidents, their budget.
//!
//! Everything is an integer, so that neither the order of arrival nor the machine can change a sum.
//! Not here: what a stage looks at (`stage`), how documents are written (`document`).

mod account;
mod accounts;
mod alarm;
mod allow;
mod bits;
mod budget;
mod criticality;
mod few;
mod findings;
mod glob;
mod grounds;
mod hosts;
mod incidents;
#[cfg(test)]
mod laws;
mod ledger;
mod level;
mod policy;
mod saved;
mod sharing;
mod value;

pub use account::Share;
pub use alarm::Marks;
pub use allow::{AllowList, Domains, Entities, Entry, Hosts, RESERVED, Weekly};
pub use bits::Bits;
pub use budget::{Budget, BudgetState};
pub use criticality::{Criticality, Subject};
pub use few::Few;
pub use findings::{Findings, News};
pub use glob::Glob;
pub use grounds::{Grounds, Kept};
pub use hosts::{HostCount, Noticed, Seen};
pub use incidents::{Alerted, Incident, Incidents, RISK};
pub use ledger::{Change, Ledger};
pub use level::Level;
pub use policy::{Module, Policy};
pub use value::Event;
