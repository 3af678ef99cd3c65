//! The entity lane's state: windows, findings, risk, and the documents they make.
//!
//! A minute closes when every lane has passed its end by the allowed lateness; only closed minutes
//! are scored, so nothing here depends on how the lanes were interleaved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::limits::QUARANTINE_MINUTES;
use crate::base::recent::Recent;
use crate::base::score::{Points, Ppm};
use crate::base::time::{Minute, Time};
use crate::document::{Alert, Contribution, Hidden, RiskState, write_alert, write_risk};
use crate::record::{Entity, Evidence, Log, Observed, Scope};
use crate::risk::{Change, Event, Findings, Ledger, Level, Policy, Share};
use crate::stage::{self, Close, Combine, Delta, StageDef};

use super::guard::caught;
use super::output::{Blocks, Kind};
use super::status::Counted;
use super::summary::{Counts, Peak, Summary};
use super::windows::Windows;

/// A stage as the entity lane knows it.
pub struct StagePlan {
    /// Its entry in the table.
    pub def: &'static StageDef,
    /// Score from which a finding is an alert.
    pub alert: Ppm,
    /// Its half here, if it is an enabled window stage.
    pub close: Option<(Box<dyn Close>, Combine)>,
}

/// What ids and documents of this sensor have in common.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub sensor_id: String,
    /// How entities are named.
    pub scope: Scope,
    /// What is hidden of each log.
    pub hidden: BTreeMap<Log, Hidden>,
    /// Hash of what the configuration says of stages, entities and risk.
    pub fingerprint: [u8; 32],
}

/// What is saved beside the keyed state.
#[derive(Serialize, Deserialize)]
struct Saved {
    open: Minute,
    logs: BTreeMap<Log, Counts>,
    alerts: BTreeMap<String, u64>,
    panics: BTreeMap<String, u64>,
    risk: u64,
    clamped: u64,
    quarantine: BTreeMap<String, u32>,
}

/// The key of [`Saved`].
const CORE_KEY: &[u8] = b"c";

/// Scores that rose and that nobody asked for yet.
const NEWS_MAX: usize = 1000;

/// Findings that are kept in words.
const WHY_MAX: usize = 10_000;

/// The state of the entity lane.
pub struct Core {
    identity: Identity,
    stages: Vec<StagePlan>,
    lateness_us: i64,
    windows: Windows,
    findings: Findings,
    ledger: Ledger,
    /// Minutes before this one are closed.
    open: Minute,
    /// Documents that wait for the sink.
    pub blocks: Blocks,
    /// What was counted.
    pub summary: Summary,
    changes: Vec<Change>,
    /// Minutes that window stages still have to miss.
    quarantine: BTreeMap<&'static str, u32>,
    /// The strongest finding of a module for an entity, in words, for the summary.
    why: Recent<(Entity, usize), (Ppm, String), Minute>,
    is_saved: bool,
    /// Scores that rose, for who watches.
    news: Vec<(String, Peak)>,
}

impl Core {
    /// An empty state; `stages` in the order of the stage table, as the modules of `policy` are.
    #[must_use]
    pub fn new(
        identity: Identity,
        stages: Vec<StagePlan>,
        policy: Policy,
        lateness_us: i64,
    ) -> Self {
        Self {
            identity,
            stages,
            lateness_us,
            windows: Windows::default(),
            findings: Findings::default(),
            ledger: Ledger::new(policy),
            open: Minute(i64::MIN),
            blocks: Blocks::default(),
            summary: Summary::default(),
            changes: Vec::new(),
            quarantine: BTreeMap::new(),
            why: Recent::new(WHY_MAX),
            is_saved: false,
            news: Vec::new(),
        }
    }

    /// From now on remembers what changed, for [`Core::save`].
    pub fn track(&mut self) {
        self.is_saved = true;
        self.windows.track();
        self.findings.track();
        self.ledger.track();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        let stages = &self.stages;
        self.windows.save(&|index| stages[index].def.name, sink);
        self.findings.save(sink);
        self.ledger.save(sink);
        for plan in &mut self.stages {
            let Some((close, _)) = &mut plan.close else { continue };
            let prefix = [b"s", plan.def.name.as_bytes(), b"\0"].concat();
            close.save(&mut |key, value| sink(&[&prefix, key].concat(), value));
        }
        let saved = Saved {
            open: self.open,
            logs: self.summary.logs.clone(),
            alerts: owned(&self.summary.alerts),
            panics: owned(&self.summary.panics),
            quarantine: owned(&self.quarantine),
            risk: self.summary.risk,
            clamped: self.summary.clamped,
        };
        sink(CORE_KEY, Some(&encode(&saved)));
    }

    /// Takes back a key that [`Core::save`] handed out; what belongs to a stage that is gone is
    /// passed over.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let index = |name: &str| self.stages.iter().position(|plan| plan.def.name == name);
        match key.first() {
            Some(b'c') => {
                let saved: Saved = decode(value)?;
                (self.open, self.summary.logs) = (saved.open, saved.logs);
                (self.summary.risk, self.summary.clamped) = (saved.risk, saved.clamped);
                let stages = &self.stages;
                self.summary.alerts = known(stages, saved.alerts);
                self.summary.panics = known(stages, saved.panics);
                self.quarantine = known(stages, saved.quarantine);
                Ok(())
            }
            Some(b'w') => self.windows.load(&index, value),
            Some(b'f') => self.findings.load(key, value),
            Some(b'a' | b'p') => self.ledger.load(key, value),
            Some(b's') => {
                let wrong = || Damaged("a key of no stage".to_owned());
                let end = memchr::memchr(0, key).ok_or_else(wrong)?;
                let name = std::str::from_utf8(&key[1..end]).map_err(|_| wrong())?;
                let close = index(name).and_then(|index| self.stages[index].close.as_mut());
                close
                    .map_or(Ok(()), |(close, _)| close.load(&key[end + 1..], value))
                    .map_err(Damaged)
            }
            _ => Err(Damaged("a key of nothing".to_owned())),
        }
    }

    /// Counts panics of stages, by their place in the table.
    pub(super) fn note_panics(&mut self, panics: &BTreeMap<usize, u64>) {
        for (stage, count) in panics {
            *self.summary.panics.entry(self.stages[*stage].def.name).or_default() += count;
        }
    }

    /// Takes the scores that rose since the last call.
    pub fn take_news(&mut self) -> Vec<(String, Peak)> {
        std::mem::take(&mut self.news)
    }

    /// Entities that have a score.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.ledger.entities()
    }

    /// Entities by the level that was told of them.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        self.ledger.levels()
    }

    /// Entities that had to be forgotten.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.ledger.evicted()
    }

    /// Cells of windows, and evidence, that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.windows.dropped() + self.ledger.dropped()
    }

    /// The name of the stage at a place in the table.
    pub(super) fn stage_name(&self, index: usize) -> &'static str {
        self.stages[index].def.name
    }

    /// What a commit keeps of what was counted.
    pub(super) fn counted(&self) -> Counted {
        let panics = self.stages.iter().map(|plan| (plan.def.name, 0));
        let mut panics: BTreeMap<_, _> = panics.collect();
        panics.extend(&self.summary.panics);
        // With zero for what was not seen, so that the first one is a rise.
        let logs = Log::ALL.into_iter().map(|log| (log, Counts::default()));
        let mut logs: BTreeMap<_, _> = logs.collect();
        logs.extend(self.summary.logs.clone());
        Counted {
            logs,
            alerts: self.alerts(),
            panics,
            risk: self.summary.risk,
            clamped: self.summary.clamped,
        }
    }

    /// Adds what a window stage folded in a lane.
    pub fn fold(&mut self, mut delta: Delta) {
        delta.minute = self.in_time(delta.minute);
        let plan = self.stages.get(delta.stage);
        let Some((_, combine)) = plan.and_then(|plan| plan.close.as_ref()) else {
            return;
        };
        self.windows.fold(delta, *combine);
    }

    /// Takes evidence that counts in `minute`: into the risk, and out as an alert if it is one.
    pub fn evidence(&mut self, minute: Minute, evidence: &Evidence) {
        let minute = self.in_time(minute);
        let plan = &self.stages[evidence.stage];
        let name = plan.def.name.as_bytes();
        let version = plan.def.version.to_be_bytes();
        let sensor = self.identity.sensor_id.as_bytes();
        let identity: [&[u8]; 5] = [b"alert", sensor, name, &version, &self.identity.fingerprint];
        let news = self.findings.news(evidence, &identity, plan.def.window_us, plan.alert);
        let first = evidence.records.first();
        let event = Event {
            time: evidence.time,
            uid: first.map_or("", |record| record.uid.as_str()).into(),
            id: first.map_or(news.id, |record| record.event_id()),
        };
        self.ledger.add(minute, evidence.entity.clone(), evidence.stage, news.bits, event);
        let key = (evidence.entity.clone(), evidence.stage);
        if self.why.get(&key).is_none_or(|(score, _)| *score < evidence.score) {
            self.why.set(key, (evidence.score, in_words(evidence)), minute);
        }
        if news.is_alert && evidence.may_alert {
            let alert = Alert {
                id: news.id,
                detector: plan.def.name,
                description: plan.def.doc,
                evidence,
                minute,
                scope: &self.identity.scope,
                sensor_id: &self.identity.sensor_id,
            };
            write_alert(&alert, self.blocks.of(Kind::Alert));
            *self.summary.alerts.entry(plan.def.name).or_default() += 1;
        }
    }

    /// The minute in which something counts that should count in `minute`: that one, unless it is
    /// closed. In a replay only a file that had to wait for a free place comes this late.
    fn in_time(&mut self, minute: Minute) -> Minute {
        self.summary.clamped += u64::from(minute < self.open);
        minute.max(self.open)
    }

    /// Every lane has come to `time`: closes the minutes that end `lateness` before it.
    pub fn advance(&mut self, time: Time) {
        let open = Time(time.0 - self.lateness_us).minute();
        if open <= self.open {
            return;
        }
        while let Some(minute) = self.next().filter(|minute| *minute < open) {
            self.close(minute);
        }
        self.open = open;
    }

    /// The input is at its end: closes every minute that has something in it, and those before it
    /// in which a score fades.
    pub fn finish(&mut self) {
        while let Some(last) = self.windows.last().max(self.ledger.last_pending()) {
            let Some(minute) = self.next().filter(|minute| *minute <= last) else { break };
            self.close(minute);
        }
        self.summary.evicted = self.evicted();
        self.summary.cells_dropped = self.dropped();
    }

    fn next(&self) -> Option<Minute> {
        self.windows.next().into_iter().chain(self.ledger.next()).min()
    }

    fn close(&mut self, minute: Minute) {
        self.open = self.open.max(minute);
        for (index, cells) in self.windows.close(minute) {
            let name = self.stages[index].def.name;
            if let Some(left) = self.quarantine.get_mut(name) {
                *left -= 1;
                if *left == 0 {
                    self.quarantine.remove(name);
                }
                continue;
            }
            let mut findings = stage::Findings::new(index);
            if let Some((close, _)) = &mut self.stages[index].close {
                if !caught(|| close.close(minute, &cells, &mut findings)) {
                    *self.summary.panics.entry(name).or_default() += 1;
                    self.quarantine.insert(name, QUARANTINE_MINUTES);
                    continue;
                }
                if !self.is_saved {
                    // Nobody will ask for what changed, so it must not pile up.
                    close.save(&mut |_, _| {});
                }
            }
            for mut evidence in findings.take() {
                let log = evidence.records.first().map(|record| record.source.log);
                if let Some(hidden) = log.and_then(|log| self.identity.hidden.get(&log)) {
                    hidden.hide(&mut evidence);
                }
                self.evidence(minute, &evidence);
            }
        }
        let mut changes = std::mem::take(&mut self.changes);
        loop {
            let is_more = self.ledger.close(minute, &mut changes);
            for change in changes.drain(..) {
                self.tell(&change);
            }
            if !is_more {
                break;
            }
        }
        self.changes = changes;
        self.open = self.open.max(Minute(minute.0 + 1));
    }

    /// Writes the risk document of a change.
    fn tell(&mut self, change: &Change) {
        let identity = &self.identity;
        let (entity, minute) = (change.entity.to_bytes(), change.minute.0.to_be_bytes());
        // An entity is told at most once a minute: its ordinal in the bucket is always 0.
        let parts: [&[u8]; 6] = [
            b"risk",
            identity.sensor_id.as_bytes(),
            &entity,
            &minute,
            &0_u64.to_be_bytes(),
            &identity.fingerprint,
        ];
        let contribution = |share: &Share| Contribution {
            module: self.stages[share.module].def.name,
            points: share.points,
            weight: self.ledger.policy().module(share.module).weight,
            value: share.value,
            evidence: share.evidence.to_vec(),
        };
        let state = RiskState {
            id: crate::base::hash::id(&parts),
            time: change.minute.end(),
            entity: change.entity.clone(),
            score: change.score,
            previous: change.previous,
            level: change.level.name(),
            criticality: change.criticality,
            contributions: change.shares.iter().map(contribution).collect(),
        };
        let block = self.blocks.of(Kind::Risk);
        write_risk(&state, &identity.scope, &identity.sensor_id, block);
        self.summary.risk += 1;
        self.note_peak(change);
    }

    fn note_peak(&mut self, change: &Change) {
        let module = |share: &Share| {
            let why = self.why.get(&(change.entity.clone(), share.module));
            let why = why.map_or_else(String::new, |(_, words)| words.clone());
            (self.stages[share.module].def.name, share.points, why)
        };
        let modules = change.shares.iter().map(module).collect();
        let peak = Peak { score: change.score, level: change.level.name(), modules };
        let id = change.entity.id(&self.identity.scope);
        if self.is_saved && change.score > change.previous && self.news.len() < NEWS_MAX {
            self.news.push((id.clone(), peak.clone()));
        }
        self.summary.note(id, peak);
    }

    /// Alerts by detector so far, with zero for those that found nothing.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<&'static str, u64> {
        let count = |plan: &StagePlan| {
            let name = plan.def.name;
            (name, self.summary.alerts.get(name).copied().unwrap_or_default())
        };
        self.stages.iter().map(count).collect()
    }
}

fn owned<N: Copy>(counts: &BTreeMap<&'static str, N>) -> BTreeMap<String, N> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The counts of stages that there are.
fn known<N>(stages: &[StagePlan], counts: BTreeMap<String, N>) -> BTreeMap<&'static str, N> {
    let named = |(name, count): (String, N)| {
        let plan = stages.iter().find(|plan| plan.def.name == name)?;
        Some((plan.def.name, count))
    };
    counts.into_iter().filter_map(named).collect()
}

/// `duration_seconds 259200.000000, to 203.0.113.9`
fn in_words(evidence: &Evidence) -> String {
    let mut parts: Vec<String> = Vec::new();
    for reason in &evidence.reasons {
        parts.push(match &reason.observed {
            Observed::Number(millionths) => {
                let sign = if *millionths < 0 { "-" } else { "" };
                format!("{} {sign}{}", reason.feature, Points(millionths.unsigned_abs()))
            }
            Observed::Text(text) if text.is_empty() => reason.feature.to_owned(),
            Observed::Text(text) => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
                format!("{} {text}", reason.feature)
            }
        });
    }
    parts.extend(evidence.destination.map(|addr| format!("to {addr}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::base::time::MINUTE;
    use crate::risk::{Criticality, Module};
    use crate::stage::{Cell, TABLE};

    /// Panics at minute 13; counts the others.
    struct Superstitious(std::sync::mpsc::SyncSender<i64>);

    impl Close for Superstitious {
        fn close(&mut self, minute: Minute, _: &[Cell], _: &mut stage::Findings) {
            assert!(minute.0 != 13, "thirteen");
            self.0.send(minute.0).unwrap();
        }

        fn save(&mut self, _: &mut Changes<'_>) {}

        fn load(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
            Ok(())
        }
    }

    fn delta(minute: i64) -> Delta {
        let generation = crate::record::Generation([0; 16]);
        let (log, event_prefix) = (Log::Conn, generation.event_prefix("s", Log::Conn));
        let source = crate::record::Source { log, generation, event_prefix, path: String::new() };
        let record = crate::record::RecordRef {
            source: std::sync::Arc::new(source),
            offset: 0,
            uid: String::new(),
        };
        let (ts, entity) = (Time(minute * MINUTE), Entity::Host(Addr::v4(0x0a00_0001)));
        let row = stage::CellRow { record, ts, source: None, destination: None };
        Delta { stage: 0, minute: Minute(minute), entity, subject: Vec::new(), value: 1, row }
    }

    #[test]
    fn a_window_stage_that_panics_misses_the_next_minutes_across_a_restart() {
        for restart_at in [None, Some(14), Some(20), Some(24)] {
            let (to, seen) = std::sync::mpsc::sync_channel(100);
            let core = || {
                let close: Box<dyn Close> = Box::new(Superstitious(to.clone()));
                let plan = StagePlan {
                    def: &TABLE[0],
                    alert: Ppm::new(500_000),
                    close: Some((close, Combine::Max)),
                };
                let identity = Identity {
                    sensor_id: "s".to_owned(),
                    scope: Scope::Network,
                    hidden: BTreeMap::new(),
                    fingerprint: [0; 32],
                };
                let module = Module {
                    name: TABLE[0].name,
                    group: TABLE[0].group,
                    weight: Points(1_000_000),
                    half_life_us: 3_600_000_000,
                    is_enabled: true,
                };
                let policy =
                    Policy::new(vec![module], &BTreeMap::new(), Criticality::default(), 1000);
                let mut core = Core::new(identity, vec![plan], policy, 0);
                core.track();
                core
            };
            let mut one = core();
            for minute in 10..30 {
                if restart_at == Some(minute) {
                    let mut again = core();
                    one.save(&mut |key, value| {
                        if let Some(value) = value {
                            again.load(key, value).unwrap();
                        }
                    });
                    one = again;
                }
                one.fold(delta(minute));
                one.advance(Time((minute + 1) * MINUTE));
            }
            let seen: Vec<i64> = seen.try_iter().collect();
            let expected: Vec<i64> = (10..13).chain(24..30).collect();
            assert_eq!(seen, expected, "{restart_at:?}");
            assert_eq!(one.counted().panics[TABLE[0].name], 1);
        }
    }
}
