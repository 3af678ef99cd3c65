//! What a stage says of an entity, and why.

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::score::Ppm;
use crate::base::time::Time;

use super::entity::Entity;
use super::log::Log;
use super::position::RecordRef;
use super::schema::ColumnId;

/// A technique of MITRE ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technique {
    /// `T1071.001`.
    pub id: &'static str,
    /// Its name there.
    pub name: &'static str,
}

/// A value that a reason names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Observed {
    /// A number, in millionths.
    Number(i64),
    /// A text, as the log has it.
    Text(String),
}

/// One reason for a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What was looked at.
    pub feature: &'static str,
    /// The log whose columns these are, where it is not that of the first record behind it.
    pub log: Option<Log>,
    /// The columns of which `observed` shows something.
    pub columns: &'static [ColumnId],
    /// What was seen.
    pub observed: Observed,
    /// What is usual.
    pub expected: Observed,
    /// Its share of the score; the shares of all reasons add up to it.
    pub contribution: Ppm,
}

/// Names that a record has, beside its addresses: what allow-lists may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The server that was asked for, as `base::host` has it; behind a proxy not who answered.
    pub domain: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The user.
    pub user: Option<Entity>,
}

/// What one stage says of one subject of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The stage's place in the stage table.
    pub stage: usize,
    /// Who is concerned.
    pub entity: Entity,
    /// What the stage tells its findings apart by: a destination, a uid. It never holds a position,
    /// so that TSV and JSON of the same records name the same findings.
    pub subject: Vec<u8>,
    /// Event time of the latest record behind it.
    pub time: Time,
    /// Start and end of what was looked at: with stage, entity and subject the identity of the
    /// finding.
    pub window: (Time, Time),
    /// How sure the stage is.
    pub score: Ppm,
    /// Up to five reasons, the strongest first.
    pub reasons: Vec<Reason>,
    /// What an attacker would call it.
    pub techniques: &'static [Technique],
    /// Up to five records behind it.
    pub records: Vec<RecordRef>,
    /// Who opened the connection.
    pub source: Option<Addr>,
    /// Who answered.
    pub destination: Option<Addr>,
    /// Names beside them.
    pub names: Names,
    /// Whether it may alert: what is found of a user and of its host alerts once, for the host.
    pub may_alert: bool,
}
