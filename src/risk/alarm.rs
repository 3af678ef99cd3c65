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

/// High, with ten points of hysteresis.
impl Default for Marks {
    fn default() -> Self {
        Self { alert: Points(50 * Points::ONE.0), rearm: Points(40 * Points::ONE.0) }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::address::Addr;
    use crate::base::hash::Id;
    use crate::base::score::Ppm;
    use crate::base::time::{HOUR, Minute, Time};
    use crate::risk::{Bits, Change, Criticality, Event, Ledger, Module, Policy};
    use proptest::prelude::*;

    const MARKS: Marks = Marks { alert: Points(50_000_000), rearm: Points(40_000_000) };

    fn policy(marks: Marks, weight: u64) -> Policy {
        let module = Module {
            name: "a",
            group: "a",
            weight: Points(weight * 1_000_000),
            half_life_us: HOUR,
            is_enabled: true,
        };
        Policy::new(vec![module], &BTreeMap::new(), Criticality::default(), 100).with_marks(marks)
    }

    fn host() -> Entity {
        Entity::Host(Addr::v4(1))
    }

    fn event(number: u8) -> Event {
        Event { time: Time(i64::from(number)), uid: "".into(), id: Id([number; 16]) }
    }

    /// Closes every minute that has to be, up to `until`.
    fn close(ledger: &mut Ledger, until: i64) -> Vec<Change> {
        let mut out = Vec::new();
        while let Some(next) = ledger.next().filter(|next| next.0 <= until) {
            ledger.close(next, &mut out);
        }
        out
    }

    /// The scores at which a score that goes up and down alerts.
    fn check_alarm(marks: (u64, u64), script: &str, expected: &[(i64, u64)]) {
        let marks = Marks { alert: Points(marks.0), rearm: Points(marks.1) };
        let mut ledger = Ledger::new(policy(marks, 100));
        let mut found = Vec::new();
        for (number, line) in script.lines().enumerate() {
            let words: Vec<i64> = line.split_whitespace().map(|it| it.parse().unwrap()).collect();
            let (minute, bits) = (Minute(words[0]), Bits::of(Ppm::new(words[1] as u32)));
            ledger.add(minute, host(), 0, bits, event(number as u8));
            let out = close(&mut ledger, minute.0);
            let alerts = out.iter().filter(|change| change.is_alert);
            found.extend(alerts.map(|change| (change.minute.0, change.score.0)));
        }
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn a_score_alerts_once_until_it_has_fallen_some_way() {
        let marks = (MARKS.alert.0, MARKS.rearm.0);
        // 60, 52, 61: it never fell below 40.
        check_alarm(marks, "0 600000\n12 1\n13 200000", &[(0, 60_000_000)]);
        // 60 are 40.04 after 35 minutes and 39.59 after 36, of which nothing has to be told.
        check_alarm(marks, "0 600000\n36 300000", &[(0, 60_000_000)]);
        let found = [(0, 60_000_000), (37, 57_391_400)];
        check_alarm(marks, "0 600000\n37 300000\n40 100000", &found);
        // Half a point over the mark, while less than a point was told before.
        check_alarm((50_500_000, 0), "0 502000\n0 0\n1 20000", &[(1, 50_630_900)]);
        check_alarm((100_000_000, 90_000_000), "0 999999\n1 1000000", &[(1, 100_000_000)]);
    }

    #[test]
    fn who_stands_high_is_saved_and_forgotten_with_its_account() {
        let mut ledger = Ledger::new(policy(MARKS, 60));
        ledger.track();
        let mut saved = BTreeMap::new();
        let mut save = |ledger: &mut Ledger| {
            ledger.save(&mut |key, value| {
                match value {
                    Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                    None => saved.remove(key),
                };
            });
            saved.keys().filter(|key| key[0] == b'h').count()
        };
        ledger.add(Minute(0), host(), 0, Bits::of(Ppm::ONE), event(0));
        close(&mut ledger, 0);
        assert_eq!(save(&mut ledger), 1);
        close(&mut ledger, 100_000);
        assert_eq!((save(&mut ledger), saved.len()), (0, 0));
    }

    proptest! {
        /// Against the scores of every single minute.
        #[test]
        fn between_two_alerts_the_score_was_below_the_lower_mark(
            items in proptest::collection::vec((0..60_i64, 0..900_000_u32), 0..20),
        ) {
            let mut ledger = Ledger::new(policy(MARKS, 100));
            let (mut minute, mut is_armed) = (0, true);
            for (gap, ppm) in items {
                let at = minute + gap;
                ledger.add(Minute(at), host(), 0, Bits::of(Ppm::new(ppm)), event(0));
                while minute <= at {
                    let out = close(&mut ledger, minute);
                    let shares = ledger.shares(&host(), Minute(minute)).unwrap_or_default();
                    let score = Points(shares.iter().map(|share| share.points.0).sum());
                    let is_alert = out.iter().any(|change| change.is_alert);
                    prop_assert_eq!(is_alert, is_armed && score >= MARKS.alert, "{}", minute);
                    is_armed = score < MARKS.rearm || is_armed && score < MARKS.alert;
                    minute += 1;
                }
            }
        }
    }
}
