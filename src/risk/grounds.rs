//! The grounds of a score: the strongest findings of each module for each entity, so that it can be
//! explained, down to the records.
//!
//! Findings wait with their minute, and are taken in when it closes: what is kept does not depend
//! on the order in which they came. Nothing here adds to a score (`ledger`), and what does not fit
//! is forgotten without a change to one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::{EVIDENCE_BYTES_MAX, EVIDENCE_MAX, EVIDENCE_OPEN_BYTES_MAX};
use crate::base::recent::Recent;
use crate::base::time::{MINUTE, Minute};
use crate::record::{Entity, Evidence, Finding};

/// Of whom, by which module.
type Key = (Entity, usize);

/// A value of either kind of key as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Of whom.
    pub entity: Entity,
    /// By which module.
    pub module: String,
    /// The minute that was closed when it was touched last, or the open one that it waits for.
    pub minute: Minute,
    /// The strongest first.
    pub findings: Vec<Finding>,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    bytes: usize,
    open_bytes: usize,
    minutes: i64,
}

/// What changed: of what is kept, and of what waits.
type Changed = (BTreeSet<Key>, BTreeSet<(Minute, Key)>);

/// Findings by entity and module.
#[derive(Clone, Debug)]
pub struct Grounds {
    modules: Vec<&'static str>,
    bounds: Bounds,
    kept: Recent<Key, Vec<Finding>, Minute>,
    bytes: usize,
    open: BTreeMap<Minute, BTreeMap<Key, Vec<Finding>>>,
    open_bytes: usize,
    /// Those of users: any client makes up names, so that they get a quarter of the room.
    open_user_bytes: usize,
    dropped: u64,
    /// What changed since the last [`Grounds::save`], if anybody saves.
    changed: Option<Changed>,
}

/// Half-lives after which less than a thousandth is left of what a finding added: it is no ground
/// any more beside newer ones.
const HALF_LIVES: i64 = 10;

impl Grounds {
    /// Keys of what is kept begin with this.
    pub const KEPT: u8 = b'x';
    /// Keys of what waits for its minute begin with this.
    pub const OPEN: u8 = b'y';

    /// None yet. `modules` in the order of the stage table, the longest half-life of any of them.
    #[must_use]
    pub fn new(modules: Vec<&'static str>, half_life_us: i64) -> Self {
        let minutes = half_life_us.saturating_mul(HALF_LIVES) / MINUTE;
        let (bytes, open_bytes) = (EVIDENCE_BYTES_MAX, EVIDENCE_OPEN_BYTES_MAX);
        Self::bounded(modules, Bounds { bytes, open_bytes, minutes })
    }

    fn bounded(modules: Vec<&'static str>, bounds: Bounds) -> Self {
        Self {
            modules,
            bounds,
            kept: Recent::new(usize::MAX),
            bytes: 0,
            open: BTreeMap::new(),
            open_bytes: 0,
            open_user_bytes: 0,
            dropped: 0,
            changed: None,
        }
    }

    /// Whether what `evidence` says, which counts in `minute`, may be one of the strongest of that
    /// minute: of a flood most is not, and need not be put together.
    #[must_use]
    pub fn may_take(&self, minute: Minute, evidence: &Evidence) -> bool {
        let key = (evidence.entity.clone(), evidence.stage);
        let findings = self.open.get(&minute).and_then(|all| all.get(&key));
        let last = findings.and_then(|findings| findings.get(EVIDENCE_MAX - 1));
        last.is_none_or(|last| {
            let rank = |score, time| (std::cmp::Reverse(score), time);
            rank(evidence.score, evidence.time) <= rank(last.score, last.time)
        })
    }

    /// Takes a finding, whose minute must not be closed. Users all together have a quarter of the
    /// room, and those that nobody knew before half of what there is for their kind, so that a
    /// flood of them leaves some to the others.
    pub fn add(&mut self, entity: &Entity, module: usize, finding: Finding, is_known: bool) {
        let minute = finding.minute;
        let is_user = entity.addr().is_none();
        let room = self.bounds.open_bytes / if is_known { 1 } else { 2 };
        if self.open_bytes >= room || (is_user && self.open_user_bytes >= room / 4) {
            self.dropped += 1;
            return;
        }
        let key = (entity.clone(), module);
        if let Some((_, open)) = &mut self.changed {
            open.insert((minute, key.clone()));
        }
        let findings = self.open.entry(minute).or_default().entry(key).or_default();
        let before = cost(entity, findings);
        keep_strongest(findings, finding);
        let after = cost(entity, findings);
        self.open_bytes = self.open_bytes + after - before;
        if is_user {
            self.open_user_bytes = self.open_user_bytes + after - before;
        }
    }

    /// Closes all minutes up to `minute`.
    pub fn close(&mut self, minute: Minute) {
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() <= minute) {
            let (minute, findings) = first.remove_entry();
            for (key, findings) in findings {
                self.take(minute, key, findings);
            }
            while self.bytes > self.bounds.bytes {
                let Some((oldest, findings)) = self.kept.pop() else { break };
                self.bytes -= cost(&oldest.0, &findings);
                self.touch(&oldest);
            }
        }
    }

    fn take(&mut self, minute: Minute, key: Key, findings: Vec<Finding>) {
        let cost_open = cost(&key.0, &findings);
        self.open_bytes -= cost_open;
        if key.0.addr().is_none() {
            self.open_user_bytes -= cost_open;
        }
        if let Some((_, open)) = &mut self.changed {
            open.insert((minute, key.clone()));
        }
        self.touch(&key);
        let mut kept = self.kept.get(&key).cloned().unwrap_or_default();
        self.bytes -= cost(&key.0, &kept);
        kept.retain(|known| minute.0.saturating_sub(known.minute.0) <= self.bounds.minutes);
        for finding in findings {
            keep_strongest(&mut kept, finding);
        }
        self.bytes += cost(&key.0, &kept);
        self.kept.set(key, kept, minute);
    }

    fn touch(&mut self, key: &Key) {
        if let Some((kept, _)) = &mut self.changed {
            kept.insert(key.clone());
        }
    }

    /// The strongest finding of a module for an entity, up to the last minute that was closed.
    #[must_use]
    pub fn strongest(&self, entity: &Entity, module: usize) -> Option<&Finding> {
        self.kept.get(&(entity.clone(), module))?.first()
    }

    /// The findings of an entity by module, the strongest first, those of open minutes with them.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> BTreeMap<usize, Vec<Finding>> {
        let mut all: BTreeMap<usize, Vec<Finding>> = BTreeMap::new();
        let first = (entity.clone(), 0);
        for ((_, module), findings) in
            self.kept.from(&first).take_while(|((other, _), _)| other == entity)
        {
            all.insert(*module, findings.clone());
        }
        for findings in self.open.values() {
            let ours = findings.range(&first..).take_while(|((other, _), _)| other == entity);
            for ((_, module), findings) in ours {
                let known = all.entry(*module).or_default();
                findings.iter().for_each(|finding| keep_strongest(known, finding.clone()));
            }
        }
        all
    }

    /// Findings that found no room while their minute was open.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What the keys of an entity begin with.
    #[must_use]
    pub fn keys_of(entity: &Entity) -> [Vec<u8>; 2] {
        [Self::KEPT, Self::OPEN].map(|kind| [vec![kind], encode(entity)].concat())
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        let (kept, open) = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        let name = |module: usize| self.modules[module].to_owned();
        for key in kept {
            let (entity, module) = (key.0.clone(), name(key.1));
            let saved = self.kept.entry(&key).cloned().map(|(findings, minute)| {
                encode(&Kept { entity, module: module.clone(), minute, findings })
            });
            sink(&encode(&(Self::KEPT, &key.0, module)), saved.as_deref());
        }
        for (minute, key) in open {
            let (entity, module) = (key.0.clone(), name(key.1));
            let findings = self.open.get(&minute).and_then(|all| all.get(&key)).cloned();
            let saved = findings
                .map(|findings| encode(&Kept { entity, module: module.clone(), minute, findings }));
            sink(&encode(&(Self::OPEN, &key.0, module, minute)), saved.as_deref());
        }
    }

    /// Takes back a key that [`Grounds::save`] handed out; modules that are gone are passed over.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let Kept { entity, module, minute, findings } = decode(value)?;
        let Some(module) = self.modules.iter().position(|name| *name == module) else {
            return Ok(());
        };
        let cost = cost(&entity, &findings);
        if key.first() == Some(&Self::KEPT) {
            self.bytes += cost;
            self.kept.set((entity, module), findings, minute);
        } else {
            self.open_bytes += cost;
            if entity.addr().is_none() {
                self.open_user_bytes += cost;
            }
            self.open.entry(minute).or_default().insert((entity, module), findings);
        }
        Ok(())
    }
}

/// Bytes that findings of an entity take, estimated.
fn cost(entity: &Entity, findings: &[Finding]) -> usize {
    if findings.is_empty() {
        return 0;
    }
    let name = if let Entity::User(name) = entity { name.len() } else { 0 };
    // The key stands in the map and in the order of ages.
    2 * (size_of::<Key>() + name) + findings.iter().map(Finding::bytes).sum::<usize>()
}

/// Keeps the strongest few, each finding once: as it was when it was strongest. Of equals those
/// count that come first by what stands in the log, and not by where it stands, so that TSV and
/// JSON of the same records give the same.
fn keep_strongest(kept: &mut Vec<Finding>, finding: Finding) {
    match kept.iter_mut().find(|known| known.id == finding.id) {
        Some(known) => {
            let is_alert = known.is_alert || finding.is_alert;
            if rank(&finding) < rank(known) {
                *known = finding;
            }
            known.is_alert = is_alert;
        }
        None => kept.push(finding),
    }
    kept.sort_by(|a, b| rank(a).cmp(&rank(b)));
    kept.truncate(EVIDENCE_MAX);
}

/// The place of a finding in the order of strength. Where it stands comes last: only of what is
/// alike in all else.
fn rank(finding: &Finding) -> impl Ord + '_ {
    let uid = finding.records.first().map(|record| record.uid.as_str());
    let strength = std::cmp::Reverse(finding.score);
    let place = (finding.window, finding.source, finding.destination, &finding.records);
    (strength, finding.time, uid, finding.id, finding.minute, &finding.reasons, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::base::hash::Id;
    use crate::base::score::Ppm;
    use crate::base::time::Time;
    use crate::record::{Log, Observed, Spot, Why};
    use proptest::prelude::*;

    const MODULES: [&str; 3] = ["a", "b", "c"];

    fn grounds(bytes: usize) -> Grounds {
        let bounds = Bounds { bytes, open_bytes: usize::MAX, minutes: 3 };
        let mut grounds = Grounds::bounded(MODULES.to_vec(), bounds);
        grounds.track();
        grounds
    }

    fn entity(number: u32) -> Entity {
        if number == 0 { Entity::User("alice".into()) } else { Entity::Host(Addr::v4(number)) }
    }

    /// Of `subject`, told by the record `uid`, which stands in `file`.
    fn finding(minute: i64, (subject, score, uid): (u8, u32, u8), file: &str) -> Finding {
        let why = Why {
            feature: "f".into(),
            observed: Observed::Text("o".repeat(usize::from(uid))),
            expected: Observed::Number(1),
            contribution: Ppm::new(score),
        };
        let time = Time(minute + i64::from(uid % 2));
        let uid = format!("C{uid}");
        let event_id = Id([subject; 16]);
        Finding {
            id: Id([subject; 16]),
            is_alert: score > 5,
            score: Ppm::new(score),
            minute: Minute(minute),
            time,
            window: (Time(0), Time(0)),
            source: None,
            destination: None,
            reasons: vec![why],
            records: vec![Spot { uid, log: Log::Conn, file: file.into(), event_id }],
        }
    }

    /// As far as it says how strong it is.
    fn evidence(who: u32, stage: usize, finding: &Finding) -> Evidence {
        Evidence {
            stage,
            entity: entity(who),
            subject: Vec::new(),
            time: finding.time,
            window: finding.window,
            score: finding.score,
            reasons: Vec::new(),
            techniques: &[],
            records: Vec::new(),
            source: None,
            destination: None,
            names: crate::record::Names::default(),
            may_alert: true,
        }
    }

    /// Minute, entity, module, and subject, score and uid.
    type Told = (i64, u32, usize, (u8, u32, u8));

    fn told() -> impl Strategy<Value = Vec<Told>> {
        let one = (0..8_i64, 0..3_u32, 0..2_usize, (0..9_u8, 3..8_u32, 0..5_u8));
        proptest::collection::vec(one, 0..400)
    }

    fn all(grounds: &Grounds) -> Vec<BTreeMap<usize, Vec<Finding>>> {
        (0..4).map(|number| grounds.of(&entity(number))).collect()
    }

    fn without_files(grounds: &Grounds) -> String {
        format!("{:?}", all(grounds)).replace("elsewhere/much/longer/conn.log", "conn.log")
    }

    proptest! {
        /// What is kept depends on neither the order within a minute, nor on when minutes are
        /// closed, nor on where the records stand, nor on a restart; and it stays within bounds.
        #[test]
        fn the_same_findings_leave_the_same_grounds(
            mut told in told(),
            bytes in 0..20_000_usize,
            restart in any::<prop::sample::Index>(),
        ) {
            told.sort_by_key(|(minute, ..)| *minute);
            let mut one = grounds(bytes);
            for (minute, who, module, what) in &told {
                one.close(Minute(minute - 1));
                let finding = finding(*minute, *what, "conn.log");
                if one.may_take(Minute(*minute), &evidence(*who, *module, &finding)) {
                    one.add(&entity(*who), *module, finding, true);
                }
            }
            one.close(Minute(60));
            prop_assert!(one.bytes <= bytes, "{} > {bytes}", one.bytes);
            let mut sum = 0;
            for number in 0..4 {
                let entity = entity(number);
                for findings in one.of(&entity).values() {
                    sum += cost(&entity, findings);
                    prop_assert!(findings.len() <= EVIDENCE_MAX);
                    prop_assert!(findings.is_sorted_by_key(|it| std::cmp::Reverse(it.score)));
                }
            }
            prop_assert_eq!((one.bytes, one.open_bytes), (sum, 0));
            let mut other = grounds(bytes);
            let mut saved: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            told.sort_by_key(|(minute, _, _, (subject, score, _))| (*minute, *score, *subject));
            let at = restart.index(told.len() + 1);
            for (index, (minute, who, module, what)) in told.iter().enumerate() {
                if index == at {
                    other.save(&mut |key, value| match value {
                        Some(value) => drop(saved.insert(key.to_vec(), value.to_vec())),
                        None => drop(saved.remove(key)),
                    });
                    other = grounds(bytes);
                    for (key, value) in &saved {
                        other.load(key, value).unwrap();
                    }
                }
                if index % 7 == 0 {
                    other.close(Minute(minute - 1));
                    other.save(&mut |key, value| match value {
                        Some(value) => drop(saved.insert(key.to_vec(), value.to_vec())),
                        None => drop(saved.remove(key)),
                    });
                }
                let file = "elsewhere/much/longer/conn.log";
                other.add(&entity(*who), *module, finding(*minute, *what, file), true);
            }
            other.close(Minute(60));
            prop_assert_eq!(without_files(&one), without_files(&other));
        }
    }

    #[test]
    fn keys_of_an_entity_are_its_own() {
        let mut grounds = grounds(1 << 20);
        for number in 0..4 {
            grounds.add(&entity(number), 0, finding(1, (1, 1, 1), ""), true);
        }
        grounds.close(Minute(1));
        grounds.add(&entity(2), 0, finding(2, (1, 1, 1), ""), true);
        let prefixes = Grounds::keys_of(&entity(2));
        let mut found = Vec::new();
        grounds.save(&mut |key, value| {
            found.extend(
                prefixes
                    .iter()
                    .position(|prefix| key.starts_with(prefix))
                    .zip(value.map(|value| decode::<Kept>(value).unwrap().entity)),
            );
        });
        assert_eq!(found, [(0, entity(2)), (1, entity(2))]);
    }

    #[test]
    fn strangers_leave_half_of_the_room() {
        let bounds = Bounds { bytes: 1 << 20, open_bytes: 6000, minutes: 30 };
        let mut grounds = Grounds::bounded(MODULES.to_vec(), bounds);
        for number in 0..100 {
            grounds.add(&entity(number), 0, finding(1, (1, 1, 1), ""), false);
        }
        assert!(grounds.dropped() > 80 && grounds.open_bytes < 4000, "{}", grounds.open_bytes);
        grounds.add(&entity(1000), 0, finding(1, (1, 1, 1), ""), true);
        assert!(!grounds.of(&entity(1000)).is_empty());
    }

    #[test]
    fn open_minutes_have_a_bound_and_old_findings_an_end() {
        let bounds = Bounds { bytes: 1 << 20, open_bytes: 3000, minutes: 30 };
        let mut grounds = Grounds::bounded(MODULES.to_vec(), bounds);
        for number in 0..100 {
            grounds.add(&entity(number), 0, finding(1, (1, 1, 1), ""), true);
        }
        assert!(grounds.open_bytes < 4000 && grounds.dropped() > 90, "{}", grounds.open_bytes);
        let user = Entity::user(b"u").unwrap();
        grounds.close(Minute(1));
        for number in 0..100 {
            let user = Entity::user(format!("u{number}").as_bytes()).unwrap();
            grounds.add(&user, 0, finding(1, (1, 1, 1), ""), true);
        }
        assert!(grounds.open_user_bytes < 2000, "{}", grounds.open_user_bytes);
        grounds.add(&entity(1), 1, finding(1, (1, 1, 1), ""), true);
        grounds.close(Minute(1));
        assert!(grounds.strongest(&entity(1), 1).is_some());
        assert!(grounds.strongest(&user, 0).is_none());
        assert_eq!((grounds.open_bytes, grounds.open_user_bytes), (0, 0));
        for (minute, expected) in [(31, vec![1, 31]), (32, vec![31, 32]), (62, vec![32, 62])] {
            grounds.add(&entity(1), 0, finding(minute, (minute as u8, 1, 1), ""), true);
            grounds.close(Minute(minute));
            let found = grounds.of(&entity(1)).remove(&0).unwrap();
            let minutes: Vec<i64> = found.iter().map(|it| it.minute.0).collect();
            assert_eq!(minutes, expected);
        }
    }
}
