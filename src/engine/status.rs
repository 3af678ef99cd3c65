//! What a daemon shows of itself: one copy of all its numbers, taken at one moment.
//!
//! What a commit keeps (counts of records, alerts, panics) is shown as the last commit knows it: a
//! number that was shown is never taken back, not even by `kill -9`. The rest is of this run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::document::ModelName;
use crate::record::{Lane, Log};
use crate::risk::{BudgetState, Level};

use super::applier::Applier;
use super::output::Kind;
use super::summary::Counts;

/// Upper bounds of a histogram's buckets, in microseconds: fine where the aims are (3, 10 and
/// 1,500 ms), coarse elsewhere.
pub const BOUNDS_US: [u64; 20] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 25_000, 50_000, 100_000,
    250_000, 500_000, 1_000_000, 1_500_000, 5_000_000, 10_000_000,
];

/// How long something took, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By the bucket that it falls into; beyond the last bound it only counts in `count`.
    pub buckets: [u64; BOUNDS_US.len()],
    /// How often.
    pub count: u64,
    /// All together.
    pub sum: Duration,
}

impl Histogram {
    /// Counts `times` things that took so long each.
    pub fn note(&mut self, took: Duration, times: u64) {
        let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket += times;
        }
        self.count += times;
        let all = u128::from(times).saturating_mul(took.as_nanos());
        let (seconds, nanos) = (all / 1_000_000_000, (all % 1_000_000_000) as u32);
        let all = Duration::new(u64::try_from(seconds).unwrap_or(u64::MAX), nanos);
        self.sum = self.sum.saturating_add(all);
    }
}

/// The files of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// That are open.
    pub open: u64,
    /// Bytes that stand in them unread; of compressed ones nobody knows.
    pub lag_bytes: u64,
    /// When everything that was there had been read, unless that is so now.
    pub behind_since: Option<Instant>,
    /// When the lane looked last: not while it waits for a sink.
    pub looked: Option<Instant>,
    /// Unread bytes of files that have no name any more.
    pub held_deleted_bytes: u64,
    /// That were cut while they were followed.
    pub truncated: u64,
    /// Bytes that were destroyed before they were read, at least.
    pub lost_bytes: u64,
    /// That began like a known one and went on differently.
    pub forked: u64,
    /// That were not found again.
    pub missing: u64,
}

/// A lane that has not looked at its files for so long does not know what was written meanwhile.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

impl Files {
    /// Time since everything that was there had been read, as far as the lane knows.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Duration {
        let age = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| now - since);
        let unseen = age(self.looked);
        let unseen = if unseen < LOOKS_EVERY { Duration::ZERO } else { unseen };
        age(self.behind_since).max(unseen)
    }
}

/// A sink beyond this machine, in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Whether the server answered when it was last asked.
    pub is_up: bool,
    /// Documents that it was given, by [`Kind`].
    pub sent: [u64; Kind::ALL.len()],
    /// Documents that the server has.
    pub acked: u64,
    /// Of these, documents that it had already.
    pub duplicates: u64,
    /// Documents that were sent again.
    pub retries: u64,
    /// Documents that became dead letters.
    pub rejected: u64,
    /// Documents that the server does not have yet.
    pub lag: u64,
    /// Bytes that went over the wire.
    pub bytes: u64,
    /// How long requests took.
    pub requests: Histogram,
    /// How long it took from being handed over until the server had it, of what never was on disk.
    pub acknowledged: Histogram,
    /// Bytes of documents that it was given.
    pub handed_bytes: u64,
    /// How old the oldest document is that the server does not have.
    pub oldest: Duration,
    /// What it lacks, on disk.
    pub spool: SpoolStatus,
}

/// The spool of a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that they may have.
    pub bytes_max: u64,
    /// Documents that are there and nowhere else.
    pub documents: u64,
    /// Whether there is no room for more.
    pub is_full: bool,
    /// Events that found it full and were dropped.
    pub dropped: u64,
    /// Documents that were there and could not be read again.
    pub lost: u64,
    /// Events that were made again of their lines, since they could not be read.
    pub made_again: u64,
    /// How long it took to make what was written last.
    pub syncs: Histogram,
    /// Bytes of documents a second that come now.
    pub rate: u64,
    /// Thousandths that are left of documents where they are packed; 0 where nobody knows.
    pub packed: u64,
}

impl SpoolStatus {
    /// How long a server may be away from now on before the spool is full, if that is known.
    #[must_use]
    pub fn lasts(&self) -> Option<Duration> {
        let packed = u128::from(self.rate) * u128::from(self.packed);
        let left = u128::from(self.bytes_max.saturating_sub(self.bytes)) * 1000;
        let seconds = left.checked_div(packed)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

/// How the dead letters stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersStatus {
    /// Bytes of their file.
    pub bytes: u64,
    /// Bytes that it may have.
    pub bytes_max: u64,
    /// Letters that had to go to make room.
    pub dropped: u64,
    /// Whether some wait for room.
    pub is_full: bool,
}

/// What a commit keeps of what was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Lines, by log.
    pub logs: BTreeMap<Log, Counts>,
    /// Alerts, by detector; with zero for those that found nothing.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Panics of stages that were caught.
    pub panics: BTreeMap<&'static str, u64>,
    /// Risk documents.
    pub risk: u64,
    /// Findings and cells whose minute was closed when they came.
    pub clamped: u64,
    /// What was kept from being an alert, by the rule that did; with zero for rules in force that
    /// suppressed nothing.
    pub suppressed: BTreeMap<String, u64>,
}

/// What the threads measured in this run.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Time of a batch in a stage, by the stage's place in the table.
    pub stages: BTreeMap<usize, Histogram>,
    /// From reading a line to its event being written.
    pub end_to_end: Histogram,
    /// When a lane had a record last, or began.
    pub heard: BTreeMap<Lane, Instant>,
    /// What was read before is committed.
    pub committed: Instant,
}

/// Before anything was measured.
impl Default for Meters {
    fn default() -> Self {
        Self {
            stages: BTreeMap::new(),
            end_to_end: Histogram::default(),
            heard: BTreeMap::new(),
            committed: now(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Status {
    /// When it was taken.
    pub taken: Instant,
    /// As of the last commit.
    pub counted: Counted,
    /// Entries of the allow-list in force.
    pub allow_entries: u64,
    /// Allow-lists that were refused in this run.
    pub allow_rejected: u64,
    /// Entities by the level that was told of them.
    pub levels: BTreeMap<Level, u64>,
    /// How the budget of alerts stands.
    pub budget: BudgetState,
    /// Incidents that are open.
    pub incidents: u64,
    /// Stages that are meant to run, and whether they have their models.
    pub stages: Vec<(&'static str, bool)>,
    /// The models in service.
    pub models: Vec<ModelName>,
    /// Entities that had to be forgotten.
    pub evicted: u64,
    /// Cells of windows, and evidence, that found no room.
    pub dropped: u64,
    /// By stage.
    pub stage_seconds: BTreeMap<&'static str, Histogram>,
    /// From reading a line to its event being written.
    pub end_to_end: Histogram,
    /// When a lane had a record last, or began.
    pub heard: BTreeMap<Lane, Instant>,
    /// What was read before is committed.
    pub committed: Instant,
    /// The files of each lane.
    pub files: BTreeMap<Lane, Files>,
    /// Directories to be followed that are there.
    pub roots: u64,
    /// Sinks beyond this machine, by name.
    pub sinks: BTreeMap<&'static str, SinkStatus>,
    /// Dead letters.
    pub letters: LettersStatus,
}

impl Status {
    /// What the engine knows; of files, sinks and refused lists it knows nothing.
    #[must_use]
    pub fn take(applier: &Applier, meters: &Meters) -> Self {
        let core = &applier.core;
        let stages = meters.stages.iter();
        Self {
            taken: now(),
            counted: applier.counted().clone(),
            allow_entries: core.allow().ids().count() as u64,
            allow_rejected: 0,
            levels: core.levels(),
            budget: core.budget(),
            incidents: core.incidents(),
            stages: core
                .stages()
                .filter(|plan| plan.enabled)
                .map(|plan| (plan.def.name, plan.models.len() == plan.def.models.len()))
                .collect(),
            models: core.stages().flat_map(|plan| plan.models.clone()).collect(),
            evicted: core.evicted(),
            dropped: core.dropped(),
            stage_seconds: stages.map(|(at, it)| (core.stage_name(*at), it.clone())).collect(),
            end_to_end: meters.end_to_end.clone(),
            heard: meters.heard.clone(),
            committed: meters.committed,
            files: BTreeMap::new(),
            roots: 0,
            sinks: BTreeMap::new(),
            letters: LettersStatus::default(),
        }
    }

    /// Entities that have a score.
    #[must_use]
    pub fn entities(&self) -> u64 {
        self.levels.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_spool_lasts() {
        let mut spool = SpoolStatus { bytes_max: 4 << 30, ..SpoolStatus::default() };
        assert_eq!(spool.lasts(), None, "nothing came yet");
        (spool.rate, spool.packed) = (80_000, 60);
        assert_eq!(spool.lasts().map(|it| it.as_secs() / 3600), Some(248));
        spool.bytes = 3 << 30;
        assert_eq!(spool.lasts().map(|it| it.as_secs() / 3600), Some(62));
        spool.bytes = 5 << 30;
        assert_eq!(spool.lasts(), Some(Duration::ZERO));
        (spool.rate, spool.packed, spool.bytes_max) = (u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(spool.lasts(), Some(Duration::ZERO));
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::default();
        histogram.note(Duration::from_micros(10), 1);
        histogram.note(Duration::from_nanos(10_001), 2);
        histogram.note(Duration::from_secs(60), 4);
        assert_eq!((histogram.buckets[0], histogram.buckets[1]), (1, 2));
        assert_eq!(histogram.buckets.iter().sum::<u64>(), 3);
        assert_eq!(histogram.count, 7);
        assert_eq!(histogram.sum, Duration::from_nanos(240_000_030_002));
        histogram.note(Duration::MAX, u64::MAX / 2);
        assert_eq!(histogram.sum.as_secs(), u64::MAX);
    }
}
