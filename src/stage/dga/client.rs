//! What is kept of one client: the odd names that it asked for within the window.

use serde::{Deserialize, Serialize};

use crate::base::limits::EVIDENCE_MAX;
use crate::base::time::Minute;
use crate::record::Log;

use super::super::input::{Cell, CellRow};
use super::NAMES_MAX;

/// By how much it speaks for an algorithm that a name does not exist: of the names that such a
/// program asks for most do not, of the distinct names of people one in twenty or thirty.
const MISSING_ODDS: u64 = 20;

const ONE: u64 = 1_000_000;

/// One name of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// The registered domain.
    pub(super) name: Vec<u8>,
    /// How likely it is made by an algorithm, by its looks alone, in parts per million.
    pub(super) looks: u32,
    /// Whether every answer was that it does not exist.
    pub(super) is_missing: bool,
    /// When it was asked for last.
    pub(super) last: Minute,
    /// The record that stands for it; of the strongest names only.
    pub(super) row: Option<Box<CellRow>>,
}

impl Named {
    fn of(cell: &Cell, minute: Minute) -> Self {
        let [rows, missing, looks] = cell.amounts;
        Self {
            name: cell.subject.to_vec(),
            looks: u32::try_from(looks / rows.max(1)).unwrap_or(u32::MAX).min(ONE as u32),
            is_missing: missing > 0 && missing == rows,
            last: minute,
            row: cell.row.clone().map(Box::new),
        }
    }

    /// The probability with what the answer says, by Bayes' rule; in parts per million.
    pub(super) fn weight(&self) -> u64 {
        let looks = u64::from(self.looks);
        if !self.is_missing {
            return looks;
        }
        let odds = looks * MISSING_ODDS;
        odds * ONE / (odds + ONE - looks).max(1)
    }

    /// The log that its record stands in.
    pub(super) fn log(&self) -> Option<Log> {
        self.row.as_ref().map(|row| row.record.source.log)
    }

    /// The strongest first, and of equals by name: never by the order in which they came.
    fn rank(&self) -> (std::cmp::Reverse<u64>, &[u8]) {
        (std::cmp::Reverse(self.weight()), &self.name)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Client {
    /// The strongest first.
    pub(super) names: Vec<Named>,
    /// When it asked for an odd name last.
    pub(super) last: Minute,
    /// The day of which something was said, and the highest score of that.
    pub(super) said: (i64, u32),
}

impl Client {
    pub(super) fn new() -> Self {
        Self { names: Vec::new(), last: Minute(0), said: (i64::MIN, 0) }
    }

    /// Takes the names of a minute in and lets go of those before `from`.
    pub(super) fn take(&mut self, minute: Minute, cells: &[&Cell], from: Minute) {
        self.last = minute;
        self.names.retain(|named| named.last >= from);
        for cell in cells {
            let mut named = Named::of(cell, minute);
            let before = self.names.iter().position(|it| it.name == named.name);
            if let Some(before) = before.map(|at| self.names.swap_remove(at)) {
                // A name that was told to exist once exists.
                named.is_missing &= before.is_missing;
                named.row = earlier(before.row, named.row);
            }
            self.names.push(named);
        }
        self.names.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.names.truncate(NAMES_MAX);
    }

    /// Lets go of the records behind all but the strongest of the names that count.
    pub(super) fn trim(&mut self, counts: &dyn Fn(&Named) -> bool) {
        let mut left = EVIDENCE_MAX;
        for named in &mut self.names {
            if left == 0 || !counts(named) {
                named.row = None;
            } else {
                left -= 1;
            }
        }
    }
}

/// Of two records of a name the one to show.
fn earlier(a: Option<Box<CellRow>>, b: Option<Box<CellRow>>) -> Option<Box<CellRow>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.outranks(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}
