//! The heaviest connection to an other side, in few bytes: there are many of them.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::time::Time;
use crate::record::RecordRef;

use super::super::input::CellRow;

/// A connection, without the two ends: these are the host and the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    record: RecordRef,
    weight: u64,
    /// When it ended.
    pub(super) time: Time,
    /// Whether the host opened it.
    is_orig: bool,
}

impl Row {
    pub(super) fn new(row: &CellRow, is_orig: bool) -> Self {
        Self { record: row.record.clone(), weight: row.weight, time: row.time, is_orig }
    }

    /// As [`CellRow::outranks`].
    pub(super) fn outranks(&self, other: &Self) -> bool {
        let rank = |row: &Self| (Reverse(row.weight), row.time);
        let place = |row: &Self| (row.record.source.generation, row.record.offset);
        let by_uid = || self.record.uid.cmp(&other.record.uid);
        rank(self).cmp(&rank(other)).then_with(by_uid).then_with(|| place(self).cmp(&place(other)))
            == Ordering::Less
    }

    /// With both ends again.
    pub(super) fn whole(&self, host: Addr, peer: Addr) -> CellRow {
        let (source, destination) = if self.is_orig { (host, peer) } else { (peer, host) };
        CellRow {
            record: self.record.clone(),
            weight: self.weight,
            time: self.time,
            source: Some(source),
            destination: Some(destination),
        }
    }
}
