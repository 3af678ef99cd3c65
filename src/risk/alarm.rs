//! Whose risk stands high: an alert when a score reaches the mark, and none again before it has
//! fallen some way below it.
//!
//! This is about alerts only: a level is always the same function of a score (`level`).

use std::collections::BTreeSet;

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::score::Points;
use crate::record::Entity;

/// The entities that alerted and have not fallen since.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm {
    high: BTreeSet<Entity>,
    /// What changed since the last [`Alarm::save`], if anybody saves.
    changed: Option<BTreeSet<Entity>>,
}

/// Where an alert is, and where the next one becomes possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// A score that reaches this alerts.
    pub alert: Points,
    /// One below this may alert again.
    pub rearm: Points,
}

impl Alarm {
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        for entity in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let key = [b"h".as_slice(), &encode(&entity)].concat();
            sink(&key, self.high.contains(&entity).then_some(&[]));
        }
    }

    pub(super) fn load(&mut self, key: &[u8]) -> Result<(), Damaged> {
        self.high.insert(decode(key.get(1..).unwrap_or_default())?);
        Ok(())
    }

    pub(super) fn is_high(&self, entity: &Entity) -> bool {
        self.high.contains(entity)
    }

    /// Takes a score; whether it is an alert.
    pub(super) fn look(&mut self, entity: &Entity, score: Points, marks: Marks) -> bool {
        let was_high = self.high.contains(entity);
        let is_high = score >= if was_high { marks.rearm } else { marks.alert };
        match (was_high, is_high) {
            (false, true) => self.high.insert(entity.clone()),
            (true, false) => self.high.remove(entity),
            _ => return false,
        };
        if let Some(changed) = &mut self.changed {
            changed.insert(entity.clone());
        }
        is_high
    }

    /// Nothing is known of an entity any more.
    pub(super) fn forget(&mut self, entity: &Entity) {
        if self.high.remove(entity)
            && let Some(changed) = &mut self.changed
        {
            changed.insert(entity.clone());
        }
    }
}
