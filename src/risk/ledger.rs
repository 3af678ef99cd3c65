//! The risk of every entity: R = min(100, sum of weight x value over the modules).
//!
//! A module's *value* is a fraction in [0, 1]. The evidence of one minute is summed in bits, which
//! commute; when the minute closes, the value, decayed to it, takes them in (noisy-or). Between two
//! minutes with evidence nothing is stored but the value and when it was that, so a decay is always
//! computed in one step, from the same numbers, whenever it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::hash::Id;
use crate::base::limits::{EVIDENCE_MAX, PENDING_MAX};
use crate::base::score::{Points, Ppm};
use crate::base::time::{MINUTE, Minute, Time};
use crate::record::Entity;

use super::alarm::{Alarm, Marks};
use super::bits::{Bits, ONE, decayed, to_ppm};
use super::level::Level;
use super::saved::Changed;

/// What the ledger is told of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// What it adds to a score when it is certain.
    pub weight: Points,
}

/// What the ledger is told at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The modules, in the order of the stage table.
    pub modules: Vec<Module>,
    /// In how many microseconds a value fades to half.
    pub half_life_us: i64,
    /// Entities that are kept; beyond it the one with the lowest score goes, of equals the one that
    /// had no evidence for longest.
    pub entities_max: usize,
    /// Where a score is an alert.
    pub marks: Marks,
}

/// An event behind a value. Of equally strong ones the first counts, told by what stands in the log
/// and not by where it stands, so that TSV and JSON of the same records name the same events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// Its `ts`.
    pub time: Time,
    /// Zeek's uid.
    pub uid: String,
    /// Its id.
    pub id: Id,
}

/// The value of one module for one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Value {
    /// At the end of `at`.
    fraction: u64,
    at: i64,
    /// The strongest events behind it, with their bits.
    evidence: Vec<(Bits, Event)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) values: BTreeMap<usize, Value>,
    /// The score of its last document.
    pub(super) told: Points,
    /// Its place in the order of eviction.
    pub(super) rank: (Points, i64),
    /// When it is looked at again.
    pub(super) due: Option<Minute>,
}

/// What one module adds to a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The module's place in the stage table.
    pub module: usize,
    /// Its part of the score.
    pub points: Points,
    /// Its value.
    pub value: Ppm,
    /// Events behind it, the strongest first.
    pub evidence: Vec<Id>,
}

/// A score that has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub entity: Entity,
    /// At the end of this minute.
    pub minute: Minute,
    /// The score; the sum of the shares.
    pub score: Points,
    /// What was told before.
    pub previous: Points,
    /// Its level.
    pub level: Level,
    /// Modules that add something, the greatest first.
    pub shares: Vec<Share>,
    /// Whether the score has reached the mark from which it is an alert.
    pub is_alert: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pending {
    bits: Bits,
    evidence: Vec<(Bits, Event)>,
}

/// The accounts of all entities.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) policy: Policy,
    /// Evidence of minutes that are not closed.
    pub(super) pending: BTreeMap<Minute, BTreeMap<(Entity, usize), Pending>>,
    pub(super) accounts: BTreeMap<Entity, Account>,
    pub(super) ranks: BTreeSet<((Points, i64), Entity)>,
    pub(super) due: BTreeSet<(Minute, Entity)>,
    /// Accounts by the level that was told.
    pub(super) levels: BTreeMap<Level, u64>,
    pub(super) alarm: Alarm,
    evicted: u64,
    /// Evidence that waits, counted, and what found no room.
    pub(super) waiting: usize,
    dropped: u64,
    /// What changed since the last [`Ledger::save`], if anybody saves.
    pub(super) changed: Option<Changed>,
}

impl Ledger {
    /// A ledger without entities.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            pending: BTreeMap::new(),
            accounts: BTreeMap::new(),
            ranks: BTreeSet::new(),
            due: BTreeSet::new(),
            levels: BTreeMap::new(),
            alarm: Alarm::default(),
            evicted: 0,
            waiting: 0,
            dropped: 0,
            changed: None,
        }
    }

    fn touch(&mut self, entity: &Entity) {
        if let Some(changed) = &mut self.changed {
            changed.accounts.insert(entity.clone());
        }
    }

    /// Takes evidence that counts in `minute`, which must not be closed. Where there is no room for
    /// another entity it is counted instead.
    pub fn add(&mut self, minute: Minute, entity: Entity, module: usize, bits: Bits, event: Event) {
        if bits == Bits::default() {
            return;
        }
        let waiting = self.pending.entry(minute).or_default();
        let key = (entity, module);
        if !waiting.contains_key(&key) {
            if self.waiting >= PENDING_MAX {
                self.dropped += 1;
                return;
            }
            self.waiting += 1;
        }
        if let Some(changed) = &mut self.changed {
            changed.pending.insert((minute, key.0.clone(), module));
        }
        let pending = waiting.entry(key).or_default();
        pending.bits = pending.bits.plus(bits);
        keep_strongest(&mut pending.evidence, (bits, event));
    }

    /// The next minute that has to be closed, be it for its evidence or because a score fades.
    #[must_use]
    pub fn next(&self) -> Option<Minute> {
        let pending = self.pending.first_key_value().map(|(minute, _)| *minute);
        let due = self.due.first().map(|(minute, _)| *minute);
        pending.into_iter().chain(due).min()
    }

    /// Whether evidence waits for a minute to close.
    #[must_use]
    pub fn last_pending(&self) -> Option<Minute> {
        self.pending.last_key_value().map(|(minute, _)| *minute)
    }

    /// Entities that have an account.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.accounts.len()
    }

    /// What the score of an entity is made of at the end of a minute, if it has one.
    #[must_use]
    pub fn shares(&self, entity: &Entity, minute: Minute) -> Option<Vec<Share>> {
        Some(self.accounts.get(entity)?.shares(minute, &self.policy))
    }

    /// The strongest events that a module has of an entity.
    pub fn events(&self, entity: &Entity, module: usize) -> impl Iterator<Item = &Event> {
        let value = self.accounts.get(entity).and_then(|account| account.values.get(&module));
        value.into_iter().flat_map(|value| &value.evidence).map(|(_, event)| event)
    }

    /// Entities by the level that was told of them.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        let count = |level| (level, self.levels.get(&level).copied().unwrap_or_default());
        Level::ALL.into_iter().map(count).collect()
    }

    /// Entities that had to go.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Evidence that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Closes a minute: takes its evidence in and says which scores have to be told, in the order
    /// of the entities.
    pub fn close(&mut self, minute: Minute, out: &mut Vec<Change>) {
        let mut touched = BTreeSet::new();
        for ((entity, module), pending) in self.pending.remove(&minute).unwrap_or_default() {
            self.waiting -= 1;
            let half_life = self.policy.half_life_us;
            let account = self.accounts.entry(entity.clone()).or_insert_with(|| {
                *self.levels.entry(Level::of(Points(0))).or_default() += 1;
                Account::default()
            });
            let value = account.values.entry(module).or_default();
            value.take(pending, minute, half_life);
            if let Some(changed) = &mut self.changed {
                changed.pending.insert((minute, entity.clone(), module));
            }
            touched.insert(entity);
        }
        while self.due.first().is_some_and(|(due, _)| *due <= minute) {
            let Some((_, entity)) = self.due.pop_first() else { break };
            if let Some(account) = self.accounts.get_mut(&entity) {
                account.due = None;
            }
            touched.insert(entity);
        }
        for entity in touched {
            self.look(&entity, minute, out);
        }
        while self.accounts.len() > self.policy.entities_max {
            let Some((_, lowest)) = self.ranks.pop_first() else { break };
            self.remove(&lowest);
            self.evicted += 1;
        }
    }

    /// How an entity stands at the end of `minute`, against what was told of it last.
    #[must_use]
    pub fn standing(&self, entity: &Entity, minute: Minute) -> Option<Change> {
        let account = self.accounts.get(entity)?;
        let shares = account.shares(minute, &self.policy);
        let score = Points(shares.iter().map(|share| share.points.0).sum());
        let (entity, previous, level) = (entity.clone(), account.told, Level::of(score));
        Some(Change { entity, minute, score, previous, level, shares, is_alert: false })
    }

    /// Tells a score if it has to be told, and says when to look again.
    fn look(&mut self, entity: &Entity, minute: Minute, out: &mut Vec<Change>) {
        self.touch(entity);
        let Some(account) = self.accounts.get(entity) else { return };
        let policy = &self.policy;
        let shares = account.shares(minute, policy);
        let score = Points(shares.iter().map(|share| share.points.0).sum());
        let mut told = account.told;
        let is_alert = self.alarm.look(entity, score, policy.marks);
        let is_news = is_alert
            || Level::of(score) != Level::of(told)
            || score.0.abs_diff(told.0) >= Points::ONE.0
            || (minute.closes_hour() && score >= Points::ONE);
        if is_news {
            let level = Level::of(score);
            let (entity, previous) = (entity.clone(), told);
            out.push(Change { entity, minute, score, previous, level, shares, is_alert });
            told = score;
        }
        let (old_rank, old_due) = (account.rank, account.due);
        let rearm = self.alarm.is_high(entity).then_some(policy.marks.rearm);
        let due = account.next_look(minute, (told, rearm), policy);
        let last = account.values.values().map(|value| value.at).max().unwrap_or(i64::MIN);
        let is_over = score == Points(0) && due.is_none();
        let Some(account) = self.accounts.get_mut(entity) else { return };
        let before = std::mem::replace(&mut account.told, told);
        (account.due, account.rank) = (due, (score, last));
        *self.levels.entry(Level::of(before)).or_default() -= 1;
        *self.levels.entry(Level::of(told)).or_default() += 1;
        self.ranks.remove(&(old_rank, entity.clone()));
        self.ranks.insert(((score, last), entity.clone()));
        old_due.map(|old| self.due.remove(&(old, entity.clone())));
        due.map(|due| self.due.insert((due, entity.clone())));
        if is_over {
            self.remove(entity);
        }
    }

    fn remove(&mut self, entity: &Entity) {
        self.touch(entity);
        self.alarm.forget(entity);
        if let Some(account) = self.accounts.remove(entity) {
            self.ranks.remove(&(account.rank, entity.clone()));
            *self.levels.entry(Level::of(account.told)).or_default() -= 1;
            account.due.map(|due| self.due.remove(&(due, entity.clone())));
        }
    }
}

/// The score that was told, and where it may alert again, if it stands high.
type Marked = (Points, Option<Points>);

impl Value {
    fn now(&self, minute: Minute, half_life_us: i64) -> u64 {
        let elapsed = minute.0.saturating_sub(self.at).max(0).unsigned_abs();
        decayed(
            self.fraction,
            elapsed.saturating_mul(MINUTE.unsigned_abs()),
            half_life_us.unsigned_abs(),
        )
    }

    fn take(&mut self, pending: Pending, minute: Minute, half_life_us: i64) {
        let now = self.now(minute, half_life_us);
        let rest = ONE - now;
        self.fraction =
            now + ((u128::from(rest) * u128::from(pending.bits.fraction())) >> 32) as u64;
        self.at = minute.0;
        for item in pending.evidence {
            keep_strongest(&mut self.evidence, item);
        }
    }
}

impl Account {
    /// The parts of the score at the end of `minute`, the greatest first; they add up to it, and
    /// where they would add up to more than 100 each gives its proportion.
    fn shares(&self, minute: Minute, policy: &Policy) -> Vec<Share> {
        let mut shares = Vec::new();
        for (&module, value) in &self.values {
            let now = to_ppm(value.now(minute, policy.half_life_us));
            let weight = policy.modules[module].weight.0;
            let points = Points(weight * u64::from(now.get()) / u64::from(Ppm::ONE.get()));
            if points > Points(0) {
                let evidence = value.evidence.iter().map(|(_, event)| event.id).collect();
                shares.push(Share { module, points, value: now, evidence });
            }
        }
        cap(&mut shares);
        shares.sort_by_key(|share| (std::cmp::Reverse(share.points), share.module));
        shares
    }

    fn score(&self, minute: Minute, policy: &Policy) -> Points {
        let sum = self.values.iter().map(|(&module, value)| {
            let now = to_ppm(value.now(minute, policy.half_life_us));
            policy.modules[module].weight.0 * u64::from(now.get()) / u64::from(Ppm::ONE.get())
        });
        Points(sum.sum::<u64>()).min(Points::MAX)
    }

    /// The next minute at which the score, which only fades, has to be told again or may alert
    /// again, or else at which nothing is left of it.
    fn next_look(&self, minute: Minute, told: Marked, policy: &Policy) -> Option<Minute> {
        let hour = Minute((minute.0 + 1).div_euclid(60) * 60 + 59);
        if self.score(hour, policy) >= Points::ONE {
            return Some(self.fades(minute, hour, told, policy).unwrap_or(hour));
        }
        // Forty half-lives leave nothing of a value.
        let minutes = policy.half_life_us.saturating_add(MINUTE) / MINUTE;
        let end = Minute(minute.0.saturating_add(minutes.saturating_mul(40)));
        let is_left = self.score(minute, policy) > Points(0);
        self.fades(minute, end, told, policy).or(is_left.then_some(end))
    }

    /// The first minute after `from`, up to `to`, at which the score is a point below what was
    /// told, on another level, or below the mark from which it may alert again.
    fn fades(&self, from: Minute, to: Minute, told: Marked, policy: &Policy) -> Option<Minute> {
        let (told, rearm) = told;
        let is_news = |minute: i64| {
            let score = self.score(Minute(minute), policy);
            Level::of(score) != Level::of(told)
                || told.0.saturating_sub(score.0) >= Points::ONE.0
                || rearm.is_some_and(|rearm| score < rearm)
        };
        if !is_news(to.0) {
            return None;
        }
        let (mut low, mut high) = (from.0, to.0);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if is_news(middle) { high = middle } else { low = middle }
        }
        Some(Minute(high))
    }
}

/// Scales shares down to a sum of 100 points: each by its proportion, rounded down, and the rest to
/// those that lost most by it.
fn cap(shares: &mut [Share]) {
    let total: u64 = shares.iter().map(|share| share.points.0).sum();
    if total <= Points::MAX.0 {
        return;
    }
    let mut lost: Vec<(u128, usize)> = Vec::new();
    let mut given = 0;
    for (index, share) in shares.iter_mut().enumerate() {
        let scaled = u128::from(share.points.0) * u128::from(Points::MAX.0);
        share.points = Points((scaled / u128::from(total)) as u64);
        given += share.points.0;
        lost.push((scaled % u128::from(total), index));
    }
    lost.sort_by_key(|&(rest, index)| (std::cmp::Reverse(rest), index));
    let rest = usize::try_from(Points::MAX.0 - given).unwrap_or(usize::MAX);
    for &(_, index) in lost.iter().take(rest) {
        shares[index].points.0 += 1;
    }
}

/// Keeps the strongest few, of equals those that came first, each event once.
fn keep_strongest(kept: &mut Vec<(Bits, Event)>, item: (Bits, Event)) {
    match kept.iter_mut().find(|(_, event)| event.id == item.1.id) {
        Some(known) => known.0 = known.0.max(item.0),
        None => kept.push(item),
    }
    kept.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| first.cmp(second)));
    kept.truncate(EVIDENCE_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::base::time::{DAY, HOUR};
    use proptest::prelude::*;

    fn policy(weights: &[u64]) -> Policy {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let module =
            |(weight, name): (&u64, _)| Module { name, weight: Points(weight * 1_000_000) };
        Policy {
            modules: weights.iter().zip(names).map(module).collect(),
            half_life_us: DAY,
            entities_max: 100,
            marks: Marks { alert: Points(50_000_000), rearm: Points(40_000_000) },
        }
    }

    fn host(number: u32) -> Entity {
        Entity::Host(Addr::v4(number))
    }

    fn event(number: u8) -> Event {
        Event { time: Time(i64::from(number)), uid: String::new(), id: Id([number; 16]) }
    }

    /// Runs `script`, lines of `MINUTE HOST MODULE SCORE`, to the end of `until`, and prints every
    /// change.
    fn check(ledger: &mut Ledger, script: &str, until: i64) -> String {
        for (number, line) in script.lines().filter(|line| !line.trim().is_empty()).enumerate() {
            let words: Vec<u32> =
                line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            let bits = Bits::of(Ppm::new(words[3]));
            let minute = Minute(i64::from(words[0]));
            ledger.add(minute, host(words[1]), words[2] as usize, bits, event(number as u8));
        }
        let mut text = String::new();
        while let Some(minute) = ledger.next().filter(|minute| minute.0 <= until) {
            let mut changes = Vec::new();
            ledger.close(minute, &mut changes);
            for change in changes {
                let shares: u64 = change.shares.iter().map(|share| share.points.0).sum();
                assert_eq!(shares, change.score.0);
                let (level, entity) = (change.level.name(), change.entity.addr().unwrap());
                let (score, previous) = (change.score, change.previous);
                text += &format!("{} {entity} {previous} -> {score} {level}\n", minute.0);
            }
        }
        text
    }

    #[test]
    fn a_sweep_takes_bounded_room() {
        let mut ledger = Ledger::new(policy(&[40]));
        for number in 0..PENDING_MAX as u32 + 10 {
            ledger.add(Minute(0), host(number), 0, Bits::of(Ppm::ONE), event(0));
        }
        assert_eq!(ledger.dropped(), 10);
        ledger.close(Minute(0), &mut Vec::new());
        assert_eq!((ledger.entities(), ledger.evicted()), (100, PENDING_MAX as u64 - 100));
        ledger.add(Minute(1), host(1), 0, Bits::of(Ppm::ONE), event(0));
        assert_eq!(ledger.dropped(), 10);
    }

    #[test]
    fn saved_and_loaded_it_goes_on_as_if_nothing_had_happened() {
        let script = "0 1 0 900000\n0 2 1 300000\n5 1 1 500000\n7 3 0 1000000";
        let whole = check(&mut Ledger::new(policy(&[40, 30])), script, 4000);
        let (mut saved, mut ledger) = (BTreeMap::new(), Ledger::new(policy(&[40, 30])));
        ledger.track();
        let mut text = check(&mut ledger, script, 3);
        for until in [200, 4000] {
            ledger.save(&mut |key, value| {
                match value {
                    Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                    None => saved.remove(key),
                };
            });
            ledger = Ledger::new(policy(&[40, 30]));
            ledger.track();
            for (key, value) in &saved {
                ledger.load(key, value).unwrap();
            }
            text += &check(&mut ledger, "", until);
        }
        assert_eq!(text, whole);
    }

    #[test]
    fn a_finding_rises_and_fades() {
        let found = check(&mut Ledger::new(policy(&[40])), "0 1 0 1000000", 3000);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "0 0.0.0.1 0.000000 -> 40.000000 Moderate");
        // A point is gone after 24 h * log2(40/39), before the first hour closes.
        assert_eq!(lines[1], "53 0.0.0.1 40.000000 -> 38.992440 Moderate");
        assert!(lines.iter().any(|line| line.starts_with("59 ")), "the hour closes: {found}");
        let moderate = lines.iter().filter(|line| line.ends_with("Moderate")).count();
        let low = lines.iter().find(|line| line.ends_with("Low")).unwrap();
        assert!(low.contains("-> 24.9"), "{low} after {moderate}");
        // One half-life later a half is left.
        assert!(found.contains("1439 ") && found.contains("-> 20.0"), "{found}");
    }

    #[test]
    fn certainty_alone_reads_high_and_a_hundred_is_the_most() {
        let found = check(&mut Ledger::new(policy(&[60])), "0 1 0 1000000", 0);
        assert_eq!(found, "0 0.0.0.1 0.000000 -> 60.000000 High\n");
        let script = "0 1 0 1000000\n0 1 1 1000000\n0 1 2 999999";
        let found = check(&mut Ledger::new(policy(&[70, 50, 33])), script, 0);
        assert_eq!(found, "0 0.0.0.1 0.000000 -> 100.000000 Critical\n");
    }

    #[test]
    fn an_entity_without_risk_is_forgotten() {
        let mut ledger = Ledger::new(policy(&[40]));
        check(&mut ledger, "0 1 0 500000", 100_000);
        assert_eq!((ledger.entities(), ledger.next()), (0, None));
    }

    #[test]
    fn the_lowest_goes_when_it_is_too_full() {
        let mut ledger = Ledger::new(Policy { entities_max: 10, ..policy(&[40]) });
        let script: String = (0..100)
            .map(|n| format!("{} {n} 0 {}\n", n / 10, if n == 3 { 900_000 } else { 100_000 }))
            .collect();
        check(&mut ledger, &script, 10);
        assert_eq!((ledger.entities(), ledger.evicted()), (10, 90));
        assert!(ledger.accounts.contains_key(&host(3)));
        assert_eq!(ledger.ranks.len(), 10);
    }

    fn evidence() -> impl Strategy<Value = Vec<(i64, u32, usize, u32)>> {
        proptest::collection::vec((0..200_i64, 0..4_u32, 0..3_usize, 0..=1_000_000_u32), 0..30)
    }

    fn changes(items: &[(i64, u32, usize, u32)]) -> Vec<Change> {
        let mut ledger = Ledger::new(policy(&[60, 40, 30]));
        for &(minute, number, module, ppm) in items {
            let id = event(ppm as u8);
            ledger.add(Minute(minute), host(number), module, Bits::of(Ppm::new(ppm)), id);
        }
        let mut out = Vec::new();
        while let Some(minute) = ledger.next().filter(|minute| minute.0 <= 400) {
            ledger.close(minute, &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn order_inside_a_minute_does_not_matter(items in evidence()) {
            let mut other = items.clone();
            other.reverse();
            prop_assert_eq!(changes(&items), changes(&other));
        }

        #[test]
        fn shares_add_up(items in evidence()) {
            for change in changes(&items) {
                let sum: u64 = change.shares.iter().map(|share| share.points.0).sum();
                prop_assert_eq!(sum, change.score.0);
                prop_assert!(change.score <= Points::MAX);
                prop_assert_eq!(change.level, Level::of(change.score));
            }
        }

        #[test]
        fn more_evidence_never_lowers_a_score(items in evidence(), minute in 0..200_i64) {
            let score = |items: &[(i64, u32, usize, u32)]| {
                let mut ledger = Ledger::new(policy(&[60, 40, 30]));
                for &(minute, number, module, ppm) in items {
                    let bits = Bits::of(Ppm::new(ppm));
                    ledger.add(Minute(minute), host(number), module, bits, event(0));
                }
                let mut out = Vec::new();
                while let Some(minute) = ledger.next().filter(|minute| minute.0 <= 200) {
                    ledger.close(minute, &mut out);
                }
                let account = ledger.accounts.get(&host(1));
                account.map_or(0, |account| account.score(Minute(200), &ledger.policy).0)
            };
            let mut more = items.clone();
            more.push((minute, 1, 0, 300_000));
            // One part per million of rounding in each of three modules.
            prop_assert!(score(&more) + 130 >= score(&items));
        }

        #[test]
        fn every_hour_with_a_score_is_told(items in evidence()) {
            let told = changes(&items);
            for change in &told {
                let hour = Minute((change.minute.0 + 1).div_euclid(60) * 60 + 59);
                let later = told.iter().any(|other| other.entity == change.entity
                    && other.minute > change.minute && other.minute <= hour);
                let small = change.score < Points(2 * Points::ONE.0);
                prop_assert!(later || small || hour.0 > 400, "{:?}", change);
            }
        }
    }

    #[test]
    fn hours_are_minutes() {
        assert_eq!(HOUR / MINUTE, 60);
    }
}
