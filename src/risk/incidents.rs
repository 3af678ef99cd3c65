//! Incidents: the alerts of one entity, from the first one until it has been quiet and its risk has
//! fallen.
//!
//! The first alert of an entity without an open incident opens one and gives it its id; those after
//! it are repeats, also those that were held back. An incident may close some time after the last
//! of them; whether the risk has fallen enough by then is for others to say. Everything is told
//! apart by event time; of equal alerts the order does not matter but for which of them comes
//! first. So a replay of the journal agrees with `run` to the byte; a replay without it merges by
//! event time, and at the edge of an incident's end an alert may repeat in one and open in the
//! other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::hash::Id;
use crate::base::limits::INCIDENTS_MAX;
use crate::base::score::Ppm;
use crate::base::time::{MINUTE, Minute, Time};
use crate::record::Entity;

/// An alert, as an incident knows it.
#[derive(Clone, Copy, Debug)]
pub struct Alerted {
    /// Its id.
    pub id: Id,
    /// What found it.
    pub detector: &'static str,
    /// How sure it is.
    pub score: Ppm,
    /// Event time of its latest evidence.
    pub time: Time,
    /// The minute in which it counts.
    pub minute: Minute,
    /// Whether it was held back.
    pub is_suppressed: bool,
}

/// The alerts of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The id of the alert that opened it.
    pub id: Id,
    /// Event time of its first and of its last alert.
    pub window: (Time, Time),
    /// Its alerts, those that were held back too.
    pub count: u64,
    /// Those that were held back.
    pub suppressed: u64,
    /// What found them.
    pub detectors: BTreeSet<String>,
    /// The strongest of them that went out, of equals the one with the least id.
    pub strongest: (Ppm, Id),
    /// The last one on its risk.
    on_risk: Option<Id>,
    /// The last minute in which one counted.
    heard: Minute,
    /// When it may close.
    due: Minute,
}

impl Incident {
    fn new(alert: &Alerted) -> Self {
        Self {
            id: alert.id,
            window: (alert.time, alert.time),
            count: 0,
            suppressed: 0,
            detectors: BTreeSet::new(),
            strongest: (alert.score, alert.id),
            on_risk: None,
            heard: alert.minute,
            due: alert.minute,
        }
    }

    fn take(&mut self, alert: &Alerted) {
        self.count += 1;
        self.suppressed += u64::from(alert.is_suppressed);
        self.window = (self.window.0.min(alert.time), self.window.1.max(alert.time));
        self.heard = self.heard.max(alert.minute);
        if alert.detector == RISK {
            self.on_risk = Some(alert.id);
        }
        if !self.detectors.contains(alert.detector) {
            self.detectors.insert(alert.detector.to_owned());
        }
        let (score, id) = self.strongest;
        let is_stronger = alert.score > score || alert.score == score && alert.id < id;
        if is_stronger && !alert.is_suppressed {
            self.strongest = (alert.score, alert.id);
        }
    }
}

/// The open incidents.
#[derive(Clone, Debug)]
pub struct Incidents {
    /// Minutes without an alert after which one may close.
    quiet: i64,
    max: usize,
    open: BTreeMap<Entity, Incident>,
    due: BTreeSet<(Minute, Entity)>,
    /// What changed since the last [`Incidents::save`], if anybody saves.
    changed: Option<BTreeSet<Entity>>,
}

/// The detector whose alerts are on a risk.
pub const RISK: &str = "risk";

const KEY: &[u8] = b"ii";

impl Incidents {
    /// Incidents that may close after `quiet_us` microseconds without an alert.
    #[must_use]
    pub fn new(quiet_us: i64) -> Self {
        Self {
            quiet: quiet_us.saturating_add(MINUTE - 1) / MINUTE,
            max: INCIDENTS_MAX,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            changed: None,
        }
    }

    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        for entity in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let key = [KEY, &encode(&entity)].concat();
            sink(&key, self.open.get(&entity).map(encode).as_deref());
        }
    }

    /// Takes back a key that [`Incidents::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let entity: Entity = decode(key.get(KEY.len()..).unwrap_or_default())?;
        let incident: Incident = decode(value)?;
        self.due.insert((incident.due, entity.clone()));
        self.open.insert(entity, incident);
        Ok(())
    }

    /// What the keys of open incidents begin with.
    pub const KEYS: &'static [u8] = KEY;

    /// Whose incident a saved key is, if it speaks of the alert `id`.
    ///
    /// # Errors
    /// When it is no incident.
    pub fn whose(key: &[u8], value: &[u8], id: Id) -> Result<Option<Entity>, Damaged> {
        let incident: Incident = decode(value)?;
        let known = [Some(incident.id), Some(incident.strongest.1), incident.on_risk];
        if !known.contains(&Some(id)) {
            return Ok(None);
        }
        decode(key.get(KEY.len()..).unwrap_or_default()).map(Some)
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The id of the incident that an entity is in.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> Option<Id> {
        self.open.get(entity).map(|incident| incident.id)
    }

    /// Takes an alert of an entity. The incident that has to close so that there is room for it, if
    /// one has to: never its own.
    pub fn take(&mut self, entity: &Entity, alert: &Alerted) -> Option<(Entity, Incident)> {
        let mut closed = None;
        if !self.open.contains_key(entity) && self.open.len() >= self.max {
            let first = self.due.first().map(|(_, entity)| entity.clone());
            closed = first.and_then(|first| Some((first.clone(), self.close(&first)?)));
        }
        let incident = self.open.entry(entity.clone()).or_insert_with(|| Incident::new(alert));
        incident.take(alert);
        let due = Minute(incident.heard.0.saturating_add(self.quiet));
        let due = due.max(incident.due);
        self.wait(entity, due);
        closed
    }

    /// The next minute at whose end an incident may close.
    #[must_use]
    pub fn next(&self) -> Option<Minute> {
        self.due.first().map(|(minute, _)| *minute)
    }

    /// Whose incidents may close at the end of `minute`.
    #[must_use]
    pub fn due(&self, minute: Minute) -> Vec<Entity> {
        let due = self.due.iter().take_while(|(due, _)| *due <= minute);
        due.map(|(_, entity)| entity.clone()).collect()
    }

    /// An incident may close at the end of `minute`, no sooner.
    pub fn wait(&mut self, entity: &Entity, minute: Minute) {
        self.touch(entity);
        if let Some(incident) = self.open.get_mut(entity) {
            self.due.remove(&(incident.due, entity.clone()));
            incident.due = minute;
            self.due.insert((minute, entity.clone()));
        }
    }

    /// Closes the incident of an entity.
    pub fn close(&mut self, entity: &Entity) -> Option<Incident> {
        self.touch(entity);
        let incident = self.open.remove(entity)?;
        self.due.remove(&(incident.due, entity.clone()));
        Some(incident)
    }

    fn touch(&mut self, entity: &Entity) {
        if let Some(changed) = &mut self.changed {
            changed.insert(entity.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::base::time::HOUR;
    use proptest::prelude::*;

    fn host(number: u32) -> Entity {
        Entity::Host(Addr::v4(number))
    }

    fn alert(minute: i64, number: u8, score: u32, is_suppressed: bool) -> Alerted {
        Alerted {
            id: Id([number; 16]),
            detector: ["a", "b", "c"][usize::from(number % 3)],
            score: Ppm::new(score),
            time: Minute(minute).start(),
            minute: Minute(minute),
            is_suppressed,
        }
    }

    #[test]
    fn the_first_opens_and_quiet_closes() {
        let mut incidents = Incidents::new(HOUR + 1);
        assert_eq!((incidents.of(&host(1)), incidents.next()), (None, None));
        incidents.take(&host(1), &alert(5, 1, 300_000, false));
        incidents.take(&host(1), &alert(20, 2, 900_000, true));
        incidents.take(&host(1), &alert(10, 4, 400_000, false));
        assert_eq!(incidents.of(&host(1)), Some(Id([1; 16])));
        // An hour and a microsecond are 61 minutes here.
        assert_eq!(incidents.next(), Some(Minute(81)));
        assert_eq!((incidents.due(Minute(80)), incidents.due(Minute(81))), (vec![], vec![host(1)]));
        let closed = incidents.close(&host(1)).unwrap();
        assert_eq!((closed.count, closed.suppressed), (3, 1));
        assert_eq!(closed.window, (Minute(5).start(), Minute(20).start()));
        assert_eq!(closed.strongest, (Ppm::new(400_000), Id([4; 16])), "of those that went out");
        assert_eq!(Vec::from_iter(&closed.detectors), ["b", "c"]);
        assert_eq!((incidents.len(), incidents.next()), (0, None));
    }

    #[test]
    fn where_there_is_no_room_the_quietest_closes() {
        let mut incidents = Incidents { max: 2, ..Incidents::new(HOUR) };
        assert!(incidents.take(&host(1), &alert(5, 1, 0, false)).is_none());
        assert!(incidents.take(&host(2), &alert(4, 2, 0, false)).is_none());
        assert!(incidents.take(&host(2), &alert(4, 3, 0, false)).is_none(), "it is open");
        let (entity, closed) = incidents.take(&host(3), &alert(3, 4, 0, false)).unwrap();
        assert_eq!((entity, closed.count), (host(2), 2));
        assert_eq!((incidents.len(), incidents.due.len()), (2, 2));
        // What waits for its risk to fall is not the first to go.
        incidents.wait(&host(3), Minute(1000));
        let (entity, _) = incidents.take(&host(4), &alert(100, 5, 0, false)).unwrap();
        assert_eq!(entity, host(1));
    }

    fn alerts() -> impl Strategy<Value = Vec<(i64, u32, u8, u32, bool)>> {
        let score = 0..=1_000_000_u32;
        proptest::collection::vec((0..300_i64, 0..4_u32, 1..9_u8, score, any::<bool>()), 0..60)
    }

    /// Everything that closes, of alerts minute by minute.
    fn run(
        items: &[(i64, u32, u8, u32, bool)],
        restart: Option<i64>,
    ) -> Vec<(i64, Entity, Incident)> {
        let mut incidents = Incidents::new(HOUR);
        incidents.track();
        let (mut saved, mut closed) = (BTreeMap::new(), Vec::new());
        for minute in 0..500 {
            if restart.is_some_and(|restart| minute % restart == 0) {
                incidents.save(&mut |key, value| {
                    match value {
                        Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                        None => saved.remove(key),
                    };
                });
                incidents = Incidents::new(HOUR);
                incidents.track();
                for (key, value) in &saved {
                    incidents.load(key, value).unwrap();
                }
            }
            for &(at, number, id, score, is_suppressed) in items {
                if at == minute {
                    incidents.take(&host(number), &alert(at, id, score, is_suppressed));
                }
            }
            for entity in incidents.due(Minute(minute)) {
                let incident = incidents.close(&entity).unwrap();
                closed.push((minute, entity, incident));
            }
        }
        assert!(incidents.is_empty() && incidents.due.is_empty());
        closed
    }

    proptest! {
        #[test]
        fn saved_and_loaded_they_go_on(items in alerts(), every in 1..100_i64) {
            prop_assert_eq!(run(&items, Some(every)), run(&items, None));
        }

        #[test]
        fn every_alert_is_in_one_incident(items in alerts()) {
            let closed = run(&items, None);
            let count: u64 = closed.iter().map(|(_, _, incident)| incident.count).sum();
            prop_assert_eq!(count, items.len() as u64);
            let suppressed: u64 = closed.iter().map(|(_, _, incident)| incident.suppressed).sum();
            prop_assert_eq!(suppressed, items.iter().filter(|item| item.4).count() as u64);
        }

        /// But for the one that opens.
        #[test]
        fn order_inside_a_minute_does_not_matter(items in alerts()) {
            let mut sorted = items;
            sorted.iter_mut().for_each(|item| item.4 = false);
            sorted.sort();
            let mut other = sorted.clone();
            other.reverse();
            let of = |items: &[_]| -> Vec<_> {
                let without = |(minute, entity, incident)| {
                    (minute, entity, Incident { id: Id([0; 16]), ..incident })
                };
                run(items, None).into_iter().map(without).collect()
            };
            prop_assert_eq!(of(&sorted), of(&other));
        }
    }
}
