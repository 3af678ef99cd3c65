//! The cells of minutes that are not closed yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::{UID_BYTES_MAX, WINDOW_BYTES_MAX};
use crate::base::time::Minute;
use crate::record::Entity;
use crate::stage::{Amounts, Cell, CellRow, Combine, Delta, Subject};

type Key = (usize, Entity, Subject);

/// Cells by minute, stage, entity and subject.
#[derive(Debug, Default)]
pub(super) struct Windows {
    minutes: BTreeMap<Minute, BTreeMap<Key, (Amounts, Option<CellRow>)>>,
    bytes: usize,
    dropped: u64,
    /// What changed since the last [`Windows::save`], if anybody saves.
    changed: Option<BTreeSet<(Minute, Key)>>,
}

/// A cell as it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    minute: Minute,
    stage: String,
    entity: Entity,
    subject: Vec<u8>,
    amounts: Amounts,
    row: Option<CellRow>,
}

impl Windows {
    /// From now on remembers what changed.
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Hands out what changed since the last call; `name` names the stages.
    pub(super) fn save(&mut self, name: &dyn Fn(usize) -> &'static str, sink: &mut Changes<'_>) {
        for (minute, key) in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let cell = self.minutes.get(&minute).and_then(|cells| cells.get(&key));
            let (stage, entity, subject) = key;
            let name = name(stage);
            let saved = cell.map(|(amounts, row)| {
                encode(&Saved {
                    minute,
                    stage: name.to_owned(),
                    entity: entity.clone(),
                    subject: subject.to_vec(),
                    amounts: *amounts,
                    row: row.clone(),
                })
            });
            sink(&encode(&(b'w', minute, name, &entity, subject.as_slice())), saved.as_deref());
        }
    }

    /// Takes back what [`Windows::save`] handed out; cells of stages that are gone are passed over.
    pub(super) fn load(
        &mut self,
        index: &dyn Fn(&str) -> Option<usize>,
        value: &[u8],
    ) -> Result<(), Damaged> {
        let saved: Saved = decode(value)?;
        let Some(stage) = index(&saved.stage) else { return Ok(()) };
        let key = (stage, saved.entity, Subject::from_vec(saved.subject));
        let minute = self.minutes.entry(saved.minute).or_default();
        self.bytes += cost(&key.2);
        minute.insert(key, (saved.amounts, saved.row));
        Ok(())
    }

    /// Adds a delta to its cell. Where there is no room for another cell it is counted instead;
    /// strangers, of which `is_known` does not know, get half of the room.
    pub(super) fn fold(
        &mut self,
        delta: Delta,
        combine: Combine,
        is_known: impl FnOnce(&Entity) -> bool,
    ) {
        let cells = self.minutes.entry(delta.minute).or_default();
        let key = (delta.stage, delta.entity, delta.subject);
        if let Some(changed) = &mut self.changed {
            changed.insert((delta.minute, key.clone()));
        }
        if let Some((amounts, row)) = cells.get_mut(&key) {
            combine.add((amounts, row), (delta.amounts, delta.row));
            return;
        }
        let cost = cost(&key.2);
        let is_full = self.bytes + cost > WINDOW_BYTES_MAX;
        if is_full || (self.bytes + cost > WINDOW_BYTES_MAX / 2 && !is_known(&key.1)) {
            self.dropped += 1;
            return;
        }
        self.bytes += cost;
        cells.insert(key, (delta.amounts, delta.row));
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
        for ((stage, entity, subject), (amounts, row)) in
            self.minutes.remove(&minute).unwrap_or_default()
        {
            self.bytes -= cost(&subject);
            if let Some(changed) = &mut self.changed {
                changed.insert((minute, (stage, entity.clone(), subject.clone())));
            }
            by_stage.entry(stage).or_default().push(Cell { entity, subject, amounts, row });
        }
        by_stage
    }

    /// Cells that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The bytes that a cell takes, with its place in the map, and once more where it is to be saved.
/// The row that stands for a cell may change, so its uid counts with the most that it may have.
fn cost(subject: &[u8]) -> usize {
    2 * (size_of::<Key>() + subject.len()) + size_of::<CellRow>() + UID_BYTES_MAX + 64
}
