//! Rows that wait for the other side of their download, by client and file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::recent::Recent;
use crate::base::time::Minute;

use super::super::Changes;
use super::super::input::{Amounts, CellRow};
use super::part::Part;

/// Whose file, and which.
pub(super) type Key = (Addr, [u8; 12]);

/// A row of one log, as its cell has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Side {
    /// The minute in which it counts.
    pub(super) since: Minute,
    subject: Box<[u8]>,
    amounts: Amounts,
    pub(super) row: CellRow,
}

impl Side {
    pub(super) fn new(since: Minute, subject: &[u8], amounts: Amounts, row: &CellRow) -> Self {
        Self { since, subject: subject.into(), amounts, row: row.clone() }
    }

    /// What it says; nothing of what no row of ours made.
    pub(super) fn part(&self) -> Option<Part<'_>> {
        Part::read(&self.subject, self.amounts)
    }

    fn is_http(&self) -> bool {
        self.part().is_some_and(|part| part.is_http)
    }

    /// Of two rows of one log on one file the one that has more to say, whichever came first.
    fn stronger(self, other: Self) -> Self {
        let since = self.since.min(other.since);
        let is_mine = match (self.amounts, &self.subject).cmp(&(other.amounts, &other.subject)) {
            std::cmp::Ordering::Equal => self.row.outranks(&other.row),
            order => order.is_gt(),
        };
        Self { since, ..if is_mine { self } else { other } }
    }
}

/// A download that is complete, or that waited for long enough.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) client: Addr,
    pub(super) http: Option<Side>,
    pub(super) file: Option<Side>,
}

impl Whole {
    /// A side without the other.
    pub(super) fn alone(client: Addr, side: Side) -> Self {
        let (http, file) = if side.is_http() { (Some(side), None) } else { (None, Some(side)) };
        Self { client, http, file }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting {
    max: usize,
    wait_minutes: i64,
    sides: Recent<Key, Side, Minute>,
    changed: BTreeSet<Key>,
}

impl Waiting {
    pub(super) fn new(max: usize, wait_minutes: i64) -> Self {
        let max = max.max(1);
        Self { max, wait_minutes, sides: Recent::new(max), changed: BTreeSet::new() }
    }

    /// Takes a side in: what it completes, or what has to go for it.
    pub(super) fn take(&mut self, key: Key, side: Side) -> Option<Whole> {
        self.changed.insert(key);
        let Some(other) = self.sides.remove(&key) else {
            let gone = if self.sides.len() >= self.max { self.pop() } else { None };
            self.put(key, side);
            return gone;
        };
        if other.is_http() == side.is_http() {
            self.put(key, side.stronger(other));
            return None;
        }
        let (http, file) = if side.is_http() { (side, other) } else { (other, side) };
        Some(Whole { client: key.0, http: Some(http), file: Some(file) })
    }

    fn put(&mut self, key: Key, side: Side) {
        let since = side.since;
        self.changed.extend(self.sides.set(key, side, since));
    }

    fn pop(&mut self) -> Option<Whole> {
        let (key, side) = self.sides.pop()?;
        self.changed.insert(key);
        Some(Whole::alone(key.0, side))
    }

    /// The minute with which the one that waits longest has waited for long enough.
    pub(super) fn due(&self) -> Option<Minute> {
        self.sides.oldest().map(|(_, since)| Minute(since.0.saturating_add(self.wait_minutes)))
    }

    /// The next of those that have waited for long enough by the end of a minute.
    pub(super) fn expired(&mut self, minute: Minute) -> Option<Whole> {
        self.due().filter(|due| *due <= minute)?;
        self.pop()
    }

    pub(super) fn save(&mut self, prefix: u8, sink: &mut Changes<'_>) {
        for key in std::mem::take(&mut self.changed) {
            let value = self.sides.get(&key).map(encode);
            sink(&[&[prefix], key.0.to_bytes().as_slice(), &key.1].concat(), value.as_deref());
        }
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || "not a row that waits".to_owned();
        let (addr, file) = key.split_at_checked(16).ok_or_else(wrong)?;
        let addr = Addr::from_bytes(addr.try_into().map_err(|_| wrong())?);
        let key = (addr, file.try_into().map_err(|_| wrong())?);
        let side: Side = decode(value).map_err(|error| error.to_string())?;
        side.part().ok_or_else(wrong)?;
        self.put(key, side);
        Ok(())
    }
}
