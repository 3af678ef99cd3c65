//! The cells of minutes that are not closed yet.

use std::collections::BTreeMap;

use crate::base::limits::WINDOW_CELLS_MAX;
use crate::base::time::Minute;
use crate::record::Entity;
use crate::stage::{Cell, CellRow, Combine, Delta};

type Key = (usize, Entity, Vec<u8>);

/// Cells by minute, stage, entity and subject.
#[derive(Debug, Default)]
pub(super) struct Windows {
    minutes: BTreeMap<Minute, BTreeMap<Key, (u64, CellRow)>>,
    cells: usize,
    dropped: u64,
}

impl Windows {
    /// Adds a delta to its cell. Where there is no room for another cell it is counted instead.
    pub(super) fn fold(&mut self, delta: Delta, combine: Combine) {
        let cells = self.minutes.entry(delta.minute).or_default();
        let key = (delta.stage, delta.entity, delta.subject);
        if let Some((value, row)) = cells.get_mut(&key) {
            let Combine::Max = combine;
            // Of equals the row that stands first, whichever lane or file came first.
            let rank = |value: u64, row: &CellRow| {
                (std::cmp::Reverse(value), row.ts, row.record.source.generation, row.record.offset)
            };
            if rank(delta.value, &delta.row) < rank(*value, row) {
                (*value, *row) = (delta.value, delta.row);
            }
            return;
        }
        if self.cells == WINDOW_CELLS_MAX {
            self.dropped += 1;
            return;
        }
        self.cells += 1;
        cells.insert(key, (delta.value, delta.row));
    }

    /// The next minute that has cells.
    pub(super) fn next(&self) -> Option<Minute> {
        self.minutes.first_key_value().map(|(minute, _)| *minute)
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Minute> {
        self.minutes.last_key_value().map(|(minute, _)| *minute)
    }

    /// Takes the cells of a minute, by stage.
    pub(super) fn close(&mut self, minute: Minute) -> BTreeMap<usize, Vec<Cell>> {
        let mut by_stage: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
        for ((stage, entity, subject), (value, row)) in
            self.minutes.remove(&minute).unwrap_or_default()
        {
            self.cells -= 1;
            by_stage.entry(stage).or_default().push(Cell { entity, subject, value, row });
        }
        by_stage
    }

    /// Cells that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
