//! Whom connections through proxies ask for, by their uids: behind a proxy the destination of what
//! is found of a connection is that, not the proxy.
//!
//! What lanes tell counts when its minute closes, so their order does not matter. Not here: how it
//! comes out of records (`stage::targets`).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::{TARGETS_MAX, TARGETS_OPEN_MAX};
use crate::base::recent::Recent;
use crate::base::time::Minute;
use crate::record::Uid;

/// A connection in a minute.
type Place = (Minute, Uid);

/// See the module.
#[derive(Debug)]
pub(super) struct Targets {
    /// Of minutes that are not closed; of several names of one connection in one minute the least.
    open: BTreeMap<Place, Box<str>>,
    /// Of those that are, the latest.
    known: Recent<Uid, Box<str>, Minute>,
    /// What changed since the last [`Targets::save`], if anybody saves: of open minutes, and of the
    /// others.
    changed: Option<(BTreeSet<Place>, BTreeSet<Uid>)>,
}

pub(super) const OPEN_KEY: &[u8] = b"no";
pub(super) const KNOWN_KEY: &[u8] = b"nt";

impl Default for Targets {
    fn default() -> Self {
        Self { open: BTreeMap::new(), known: Recent::new(TARGETS_MAX), changed: None }
    }
}

impl Targets {
    /// From now on remembers what changed.
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// A connection asks for `name`. Of too many the least are kept, whatever their order.
    pub(super) fn see(&mut self, minute: Minute, uid: Uid, name: Box<str>) {
        let key = (minute, uid);
        if self.open.get(&key).is_some_and(|known| *known <= name) {
            return;
        }
        self.open.insert(key.clone(), name);
        let gone = (self.open.len() > TARGETS_OPEN_MAX).then(|| self.open.pop_last()).flatten();
        if let Some((open, _)) = &mut self.changed {
            open.insert(key);
            open.extend(gone.map(|(key, _)| key));
        }
    }

    /// What came up to `minute` counts from now on.
    pub(super) fn close(&mut self, minute: Minute) {
        while let Some(first) = self.open.first_entry().filter(|it| it.key().0 <= minute) {
            let (key, name) = first.remove_entry();
            let gone = self.known.set(key.1.clone(), name, key.0);
            if let Some((open, known)) = &mut self.changed {
                known.insert(key.1.clone());
                known.extend(gone);
                open.insert(key);
            }
        }
    }

    /// Whom a connection asked for, if it went through a proxy.
    pub(super) fn get(&self, uid: &Uid) -> Option<&str> {
        self.known.get(uid).map(AsRef::as_ref)
    }

    /// Hands out what changed since the last call.
    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        let Some((open, known)) = &mut self.changed else { return };
        for place in std::mem::take(open) {
            let (minute, uid) = &place;
            let key = [OPEN_KEY, &minute.0.to_be_bytes(), uid.as_str().as_bytes()].concat();
            sink(&key, self.open.get(&place).map(encode).as_deref());
        }
        for uid in std::mem::take(known) {
            let key = [KNOWN_KEY, uid.as_str().as_bytes()].concat();
            sink(&key, self.known.entry(&uid).map(encode).as_deref());
        }
    }

    /// Takes back a key that [`Targets::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let wrong = || Damaged("not a target".to_owned());
        let uid = |text| std::str::from_utf8(text).map(Uid::from).map_err(|_| wrong());
        if let Some(rest) = key.strip_prefix(OPEN_KEY) {
            let (minute, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
            let minute = Minute::try_from(i64::from_be_bytes(*minute)).map_err(|_| wrong())?;
            self.open.insert((minute, uid(rest)?), decode(value)?);
            return Ok(());
        }
        let rest = key.strip_prefix(KNOWN_KEY).ok_or_else(wrong)?;
        let (name, minute) = decode(value)?;
        self.known.set(uid(rest)?, name, minute);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is known of some uids in the end, after restarts before some of the steps.
    fn run(seen: &[(i64, u8, String)], restarts: &[usize]) -> Vec<Option<String>> {
        let mut targets = Targets::default();
        targets.track();
        let mut saved = BTreeMap::new();
        for (index, (minute, uid, name)) in seen.iter().enumerate() {
            if restarts.contains(&index) {
                targets.save(&mut |key, value| {
                    match value {
                        Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                        None => saved.remove(key),
                    };
                });
                targets = Targets::default();
                targets.track();
                for (key, value) in &saved {
                    targets.load(key, value).unwrap();
                }
            }
            let uid = Uid::from(format!("C{uid}").as_str());
            targets.see(Minute(*minute), uid, name.as_str().into());
            if index % 5 == 4 {
                targets.close(Minute(*minute - 3));
            }
        }
        let of = |targets: &Targets| {
            let name = |uid| targets.get(&Uid::from(format!("C{uid}").as_str())).map(str::to_owned);
            (0..6).map(name).collect::<Vec<_>>()
        };
        let before = of(&targets);
        targets.close(Minute(i64::MAX));
        [before, of(&targets)].concat()
    }

    proptest! {
        #[test]
        fn a_restart_changes_nothing(
            steps in proptest::collection::vec((0..2_i64, 0..6_u8, "[ab]{1,2}"), 0..60),
            restarts in any::<[u8; 3]>(),
        ) {
            let mut minute = 100;
            let step = |(later, uid, name)| { minute += later; (minute, uid, name) };
            let seen: Vec<_> = steps.into_iter().map(step).collect();
            prop_assert_eq!(run(&seen, &restarts.map(usize::from)), run(&seen, &[]));
        }

        #[test]
        fn order_does_not_matter(
            steps in proptest::collection::vec((0..4_i64, 0..6_u8, "[ab]{1,2}"), 0..4),
        ) {
            let back: Vec<_> = steps.iter().rev().cloned().collect();
            prop_assert_eq!(run(&steps, &[]), run(&back, &[]));
        }
    }

    #[test]
    fn the_least_of_a_minute_and_the_latest_of_all() {
        let mut targets = Targets::default();
        let uid = Uid::from("C1");
        for name in ["b", "a", "c"] {
            targets.see(Minute(1), uid.clone(), name.into());
        }
        targets.see(Minute(2), uid.clone(), "d".into());
        assert_eq!(targets.get(&uid), None, "no minute is closed");
        targets.close(Minute(1));
        assert_eq!(targets.get(&uid), Some("a"));
        targets.close(Minute(2));
        assert_eq!(targets.get(&uid), Some("d"));
    }

    #[test]
    fn a_flood_of_connections_has_bounds() {
        let mut targets = Targets::default();
        targets.track();
        for number in 0..TARGETS_OPEN_MAX + 1000 {
            let uid = Uid::from(format!("C{number:07}").as_str());
            targets.see(Minute(number as i64 % 2), uid, "a".into());
        }
        assert_eq!(targets.open.len(), TARGETS_OPEN_MAX);
        assert_eq!(
            targets.open.keys().filter(|(minute, _)| minute.0 == 1).count(),
            TARGETS_OPEN_MAX / 2 - 500
        );
        for minute in 2..6 {
            targets.close(Minute(minute));
            for number in 0..TARGETS_OPEN_MAX {
                let uid = Uid::from(format!("D{minute}{number}").as_str());
                targets.see(Minute(minute), uid, "a".into());
            }
        }
        targets.close(Minute(6));
        assert_eq!((targets.open.len(), targets.known.len()), (0, TARGETS_MAX));
        let mut kept = 0;
        targets.save(&mut |_, value| kept += usize::from(value.is_some()));
        assert_eq!(kept, TARGETS_MAX);
    }
}
