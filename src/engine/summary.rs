//! What a run counted: every line that was read is one of these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::score::Points;
use crate::record::{Log, RejectReason};
use crate::risk::BudgetState;

/// What became of the lines of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes of the logs, decompressed.
    pub bytes: u64,
    /// Lines: each is an event, filtered or rejected.
    pub lines: u64,
    /// Records.
    pub records: u64,
    /// Records whose event was written.
    pub events: u64,
    /// Records that `event.emit` leaves without an event.
    pub filtered: u64,
    /// Lines that were no records, by reason.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// Lines without anything in them; those at the very end of a file may be missing.
    pub empty_lines: u64,
    /// Records too late for their own minute; they count in the oldest open one.
    pub late: u64,
    /// Records more than a day ahead of their lane; they count in its current minute.
    pub early: u64,
    /// Records more than seven days from their lane.
    pub out_of_range: u64,
}

impl Counts {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.records += other.records;
        self.events += other.events;
        self.filtered += other.filtered;
        self.empty_lines += other.empty_lines;
        self.late += other.late;
        self.early += other.early;
        self.out_of_range += other.out_of_range;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }

    /// Lines that were no records.
    #[must_use]
    pub fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// The highest risk that an entity had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// The score.
    pub score: Points,
    /// Its level.
    pub level: &'static str,
    /// The modules behind it with their points and their strongest finding.
    pub modules: Vec<(&'static str, Points, String)>,
}

/// Entities whose peak is kept, at least; a sweep over an address range must not fill the memory.
const PEAKS: usize = 1000;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// By log.
    pub logs: BTreeMap<Log, Counts>,
    /// Alerts by detector.
    pub alerts: BTreeMap<&'static str, u64>,
    /// How the budget of alerts stands.
    pub budget: BudgetState,
    /// Incidents that are open.
    pub incidents: u64,
    /// Risk documents.
    pub risk: u64,
    /// The highest risk of each entity, by its id.
    pub entities: BTreeMap<String, Peak>,
    /// Panics of stages that were caught.
    pub panics: BTreeMap<&'static str, u64>,
    /// What was kept from being an alert, by the rule that did: evidence that an entry of the
    /// allow-list explains, repeats beyond the budget.
    pub suppressed: BTreeMap<String, u64>,
    /// Entries of the allow-list that did nothing any more at the end.
    pub expired: Vec<String>,
    /// Entities that had to be forgotten.
    pub evicted: u64,
    /// Findings and cells that came when their minute was closed; they count in the oldest open
    /// one.
    pub clamped: u64,
    /// Cells of windows, and evidence, that found no room.
    pub cells_dropped: u64,
}

impl Summary {
    /// Adds what an earlier run counted.
    pub fn add(&mut self, earlier: &Self) {
        for (log, counts) in &earlier.logs {
            self.logs.entry(*log).or_default().add(counts);
        }
        for (detector, count) in &earlier.alerts {
            *self.alerts.entry(detector).or_default() += count;
        }
        for (rule, count) in &earlier.suppressed {
            *self.suppressed.entry(rule.clone()).or_default() += count;
        }
        self.risk += earlier.risk;
    }

    /// Notes a score of an entity.
    pub fn note(&mut self, id: String, peak: Peak) {
        if self.entities.get(&id).is_none_or(|known| known.score < peak.score) {
            self.entities.insert(id, peak);
        }
        if self.entities.len() > 2 * PEAKS {
            let kept = self.top(PEAKS).into_iter();
            self.entities = kept.map(|(id, peak)| (id.to_owned(), peak.clone())).collect();
        }
    }

    /// The entities with the highest scores, the highest first.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<(&str, &Peak)> {
        let mut all: Vec<(&str, &Peak)> =
            self.entities.iter().map(|(id, peak)| (id.as_str(), peak)).collect();
        all.sort_by_key(|(id, peak)| (std::cmp::Reverse(peak.score), *id));
        all.truncate(count);
        all
    }
}
