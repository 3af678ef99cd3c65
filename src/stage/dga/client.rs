//! What is kept of one client: the odd names that it asked for within the window.

use serde::{Deserialize, Serialize};

use crate::base::time::Minute;
use crate::feature::Name;
use crate::record::Log;

use super::super::input::{Cell, CellRow};
use super::super::said::Said;
use super::NAMES_MAX;

/// By how much it speaks for an algorithm that a name does not exist: of the names that such a
/// program asks for most do not, of the distinct names of people one in twenty or thirty.
const MISSING_ODDS: u64 = 20;

/// What a name that does not exist says whatever it looks like, in parts per million: thirty of
/// them that nobody asked for before are odd in an hour, of words as well.
const MISSING_MIN: u64 = 70_000;

const ONE: u64 = 1_000_000;

/// One name of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// The registered domain.
    pub(super) name: Vec<u8>,
    /// Bytes of its suffix, if below that names belong to customers of one firm, else 0.
    private: u8,
    /// How many records said that it exists, and how many that it does not.
    exists: u64,
    missing: u64,
    /// When it was asked for last.
    last: Minute,
    /// The record that stands for it, whose weight is how likely the name is made by an algorithm,
    /// by its looks alone, in parts per million.
    pub(super) row: CellRow,
}

impl Named {
    /// What a cell says of its name; nothing of one without a record, which no fold of ours makes.
    fn of(cell: &Cell, minute: Minute) -> Option<Self> {
        let [exists, missing, _] = cell.amounts;
        let row = cell.row.clone()?;
        let parsed = Name::parse(&cell.subject).ok().filter(Name::is_private);
        let private = parsed.map_or(0, |name| name.suffix().len());
        Some(Self {
            name: cell.subject.to_vec(),
            private: u8::try_from(private).unwrap_or_default(),
            exists,
            missing,
            last: minute,
            row,
        })
    }

    /// The probability by its looks alone, in parts per million.
    pub(super) fn looks(&self) -> u64 {
        self.row.weight.min(ONE)
    }

    /// Whether all who said something of it said that it does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.missing > 0 && self.exists == 0
    }

    /// The probability with what answers say, by Bayes' rule; in parts per million.
    pub(super) fn weight(&self) -> u64 {
        let looks = self.looks();
        if !self.is_missing() {
            return looks;
        }
        let odds = looks * MISSING_ODDS;
        (odds * ONE / (odds + ONE - looks).max(1)).max(MISSING_MIN)
    }

    /// The suffix that it shares with other customers of one firm, if it exists: a CDN makes names
    /// as an algorithm does.
    pub(super) fn shared(&self) -> Option<&[u8]> {
        let at = self.name.len().checked_sub(usize::from(self.private))?;
        let suffix = self.name.get(at..).filter(|suffix| !suffix.is_empty());
        suffix.filter(|_| !self.is_missing())
    }

    /// The log that its record stands in.
    pub(super) fn log(&self) -> Log {
        self.row.record.source.log
    }

    /// The strongest first, and of equals by name: never by the order in which they came.
    fn rank(&self) -> (std::cmp::Reverse<u64>, &[u8]) {
        (std::cmp::Reverse(self.weight()), &self.name)
    }

    /// What was known of the same name before.
    fn add(&mut self, before: Self) {
        self.exists = self.exists.saturating_add(before.exists);
        self.missing = self.missing.saturating_add(before.missing);
        if before.row.outranks(&self.row) {
            self.row = before.row;
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Client {
    /// The strongest first.
    pub(super) names: Vec<Named>,
    /// When it asked for an odd name last.
    pub(super) last: Minute,
    /// What was said of it.
    pub(super) said: Said,
}

impl Client {
    pub(super) fn new() -> Self {
        Self { names: Vec::new(), last: Minute(0), said: Said::NOTHING }
    }

    /// Takes the names of a minute in, each once, and lets go of those before `from` and of those
    /// that are usual by now: they must not take the room of others.
    pub(super) fn take(
        &mut self,
        minute: Minute,
        cells: &[&Cell],
        from: Minute,
        is_usual: &dyn Fn(&[u8]) -> bool,
    ) {
        self.last = minute;
        self.names.retain(|named| named.last >= from && !is_usual(&named.name));
        let known = self.names.len();
        let new = cells.iter().filter_map(|cell| Named::of(cell, minute));
        for mut named in new.filter(|named| !is_usual(&named.name)) {
            // Of the few that were there: within a minute each name comes once.
            let before = self.names[..known].iter().position(|it| it.name == named.name);
            match before {
                Some(at) => {
                    std::mem::swap(&mut self.names[at], &mut named);
                    self.names[at].add(named);
                }
                None => self.names.push(named),
            }
        }
        self.names.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.names.truncate(NAMES_MAX);
    }
}
