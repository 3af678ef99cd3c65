//! The cells of minutes that are not closed yet.

use std::collections::btree_map::Entry;
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
        let Self { minutes, bytes, dropped, changed } = self;
        let cells = minutes.entry(delta.minute).or_default();
        let mut change = |key: &Key| {
            if let Some(changed) = changed {
                changed.insert((delta.minute, key.clone()));
            }
        };
        match cells.entry((delta.stage, delta.entity, delta.subject)) {
            Entry::Occupied(mut cell) => {
                change(cell.key());
                let (amounts, row) = cell.get_mut();
                combine.add((amounts, row), (delta.amounts, delta.row));
            }
            Entry::Vacant(place) => {
                let (_, entity, subject) = place.key();
                let after = *bytes + cost(subject);
                let is_full = after > WINDOW_BYTES_MAX;
                if is_full || (after > WINDOW_BYTES_MAX / 2 && !is_known(entity)) {
                    *dropped += 1;
                    drop(place);
                    if cells.is_empty() {
                        minutes.remove(&delta.minute);
                    }
                    return;
                }
                *bytes = after;
                change(place.key());
                place.insert((delta.amounts, delta.row));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;

    #[test]
    fn what_found_no_room_leaves_nothing_behind() {
        let mut windows = Windows::default();
        windows.track();
        let fold = |windows: &mut Windows, minute: i64, number: u32, is_known: bool| {
            let delta = Delta {
                stage: 0,
                minute: Minute(minute),
                entity: Entity::Host(Addr::v4(number)),
                subject: Subject::from_slice(b"s"),
                amounts: [1, 0, 0],
                row: None,
            };
            windows.fold(delta, Combine::Sum, |_| is_known);
        };
        let saved = |windows: &mut Windows| {
            let mut count = 0;
            windows.save(&|_| "a", &mut |_, _| count += 1);
            count
        };
        let room = (WINDOW_BYTES_MAX / 2 / cost(b"s")) as u32;
        (0..room).for_each(|number| fold(&mut windows, 1, number, false));
        assert_eq!((windows.dropped(), saved(&mut windows)), (0, room));

        fold(&mut windows, 1, room, false);
        fold(&mut windows, 2, room, false);
        assert_eq!((windows.dropped(), saved(&mut windows)), (2, 0));
        assert_eq!(windows.last(), Some(Minute(1)));

        fold(&mut windows, 1, 0, false);
        fold(&mut windows, 2, room, true);
        assert_eq!((windows.dropped(), saved(&mut windows)), (2, 2));
        assert_eq!(windows.last(), Some(Minute(2)));
    }
}
