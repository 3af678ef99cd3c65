//! Floor 3: the stages, and what a stage is.
//!
//! A *record* stage looks at one record and nothing else; a *window* stage folds records into cells
//! of one minute in the lanes and scores them in the entity lane once the minute is closed; a
//! *judge* looks at what entities did in an hour or a day that is over ([`activity`]) beside what
//! is usual of them ([`profile`]). All stand in [`TABLE`], which `check`, `stages` and the tests
//! walk. How to add one: docs/adding-a-detector.md.

pub mod activity;
mod agents;
mod baseline;
mod bodies;
mod context;
mod dga;
mod http_oddities;
mod input;
mod isolation_forest;
mod judged;
mod keys;
mod known;
#[cfg(test)]
mod laws;
mod link;
mod long_connection;
pub mod malicious_download;
mod names;
mod odds;
mod pcr;
mod peer_group;
pub mod profile;
mod ramp;
mod reasons;
mod said;
#[cfg(test)]
mod script;
mod sightings;
mod targets;
mod texts;
mod traffic;

pub use crate::base::codec::Changes;
use crate::base::keys::{KeyDef, Settings};
use crate::base::score::Ppm;
use crate::base::time::Minute;
use crate::feature::FeatureDef;
use crate::model::Models;
use crate::record::schema::ColumnId;
use crate::record::{Entity, Log, Technique};

use profile::Over;

pub use context::{Context, Gaps, Role, RolePolicy, Roles};
pub use input::{
    Amounts, Cell, CellRow, Delta, Deltas, Finding, Findings, Input, Output, Subject, Suspect,
};
pub use sightings::{Sighting, columns as sighting_columns, sightings};
pub use targets::{Target, targets};

/// Every stage. The order is that of the documentation and of equal contributions.
pub static TABLE: &[StageDef] = &[
    long_connection::STAGE,
    http_oddities::STAGE,
    pcr::STAGE,
    dga::STAGE,
    link::PHISHING,
    link::MALICIOUS_URL,
    malicious_download::STAGE,
    baseline::STAGE,
    peer_group::STAGE,
    isolation_forest::STAGE,
];

/// What the program knows of a stage before it is built.
#[derive(Debug)]
pub struct StageDef {
    /// Its name in the configuration, in alerts and in risk.
    pub name: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// Raised whenever its scores change for the same records: part of the ids of its alerts.
    pub version: u32,
    /// The logs and columns that it reads.
    pub reads: &'static [(Log, &'static [ColumnId])],
    /// What an attacker would call what it finds, in general.
    pub techniques: &'static [Technique],
    /// Its keys in `[stage.<name>]`, first of all the four of `keys`.
    pub keys: &'static [KeyDef],
    /// Its group: stages that see the same thing share one budget of points (docs/risk.md).
    pub group: &'static str,
    /// An example of its table in the configuration.
    pub example: &'static str,
    /// How long one finding stands for all like it, in microseconds; 0 where the subject itself has
    /// a beginning.
    pub window_us: i64,
    /// The models that it needs: without them it is off.
    pub models: &'static [&'static FeatureDef],
    /// How to build it.
    pub build: Build,
}

impl StageDef {
    /// The columns of `log` that it reads.
    #[must_use]
    pub fn columns(&self, log: Log) -> &'static [ColumnId] {
        self.reads.iter().find(|(reads, _)| *reads == log).map_or(&[], |(_, columns)| columns)
    }

    /// Whether it reads `log`.
    #[must_use]
    pub fn reads(&self, log: Log) -> bool {
        self.reads.iter().any(|(reads, _)| *reads == log)
    }
}

/// The three kinds of stages.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// Scores records in their lane.
    Record(fn(&Settings, &Models) -> Box<dyn RecordStage>),
    /// Folds records in their lanes and scores closed minutes in the entity lane.
    Window {
        /// The half of the lanes; each lane has its own.
        fold: fn(&Settings, &Models) -> Box<dyn Fold>,
        /// The half of the entity lane.
        close: fn(&Settings, &Models) -> Box<dyn Close>,
        /// How two values of one cell become one.
        combine: Combine,
    },
    /// Judges what entities did in hours and days (`activity`, `profile`).
    Judge(fn(&Settings) -> Box<dyn Judge>),
}

/// How two values of one cell become one: operations that commute, so that the order in which lanes
/// meet cannot change it. The heaviest row stands for the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The greater.
    Max,
    /// The sum, up to 2^64 - 1.
    Sum,
}

/// What is learned anew at the end of each day, if a judge asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Groups of peers.
    pub peers: bool,
    /// Which hours are unlike others.
    pub isolation: bool,
}

/// A stage that judges what entities did in an hour or a day that is over, by what is usual of them
/// and of those like them.
pub trait Judge: Send {
    /// What it asks for beside profiles.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// Judges the windows of an hour or a day, all of them, in the order of their entities.
    fn judge(&mut self, over: &Over<'_>, context: &Context<'_>, out: &mut Findings);
}

/// A stage that looks at records one by one: a score depends on model, configuration and row only.
pub trait RecordStage: Send {
    /// Scores the rows of one batch.
    fn score(&mut self, input: &Input<'_>, out: &mut Output);
}

/// The half of a window stage that runs in the lanes.
pub trait Fold: Send {
    /// Adds what the rows of one batch say to the cells of their minutes.
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas);

    /// Scores of the rows of the last batch, where rows have one of their own: as those of a record
    /// stage.
    fn scores(&self) -> &[Option<Ppm>] {
        &[]
    }
}

/// The half of a window stage that runs in the entity lane.
pub trait Close: Send {
    /// Scores the cells of a minute that no further row can reach, in the order of entity and
    /// subject. If it panics, what it found in the minute is gone and what it keeps stays as it is:
    /// it changes that last.
    fn close(&mut self, minute: Minute, cells: &[Cell], context: &Context<'_>, out: &mut Findings);

    /// The next minute that it wants to close though nothing came in it: the end of a window.
    fn due(&self) -> Option<Minute> {
        None
    }

    /// Whether it knew an entity before: where there is too little room for the cells of all, those
    /// of strangers go first.
    fn knows(&self, _: &Entity) -> bool {
        true
    }

    /// Cells that found no room here.
    fn dropped(&self) -> u64 {
        0
    }

    /// Hands out what changed since the last call: keys with their values, or `None` where they are
    /// gone. All of it, the first time.
    fn save(&mut self, sink: &mut Changes<'_>);

    /// Nobody will ask for what changed.
    fn forget_changes(&mut self) {
        self.save(&mut |_, _| {});
    }

    /// Takes back one key that [`Close::save`] handed out.
    ///
    /// # Errors
    /// Says what is wrong with a key or value that no [`Close::save`] wrote.
    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String>;
}
