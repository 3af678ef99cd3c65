//! The entity lane's state: windows, findings, risk, and the documents they make.
//!
//! A minute closes when every lane has passed its end by the allowed lateness; only closed minutes
//! are scored, so nothing here depends on how the lanes were interleaved.

use std::collections::BTreeMap;

use crate::base::recent::Recent;
use crate::base::score::{Points, Ppm};
use crate::base::time::{Minute, Time};
use crate::document::{Alert, Contribution, RiskState, write_alert, write_risk};
use crate::record::{Entity, Evidence, Observed, Scope};
use crate::risk::{Change, Findings, Ledger, Module, Policy, Share};
use crate::stage::{self, Close, Combine, Delta, StageDef};

use super::output::{Blocks, Kind};
use super::summary::{Peak, Summary};
use super::windows::Windows;

/// A stage as the entity lane knows it.
pub struct StagePlan {
    /// Its entry in the table.
    pub def: &'static StageDef,
    /// Score from which a finding is an alert.
    pub alert: Ppm,
    /// Points that certainty adds.
    pub weight: Points,
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
    /// Hash of what the configuration says of stages, entities and risk.
    pub fingerprint: [u8; 32],
}

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
    /// The strongest finding of a module for an entity, in words, for the summary.
    why: Recent<(Entity, usize), (Ppm, String), Minute>,
}

impl Core {
    /// An empty state; `stages` in the order of the stage table, `policy` without its modules.
    #[must_use]
    pub fn new(
        identity: Identity,
        stages: Vec<StagePlan>,
        half_life_us: i64,
        entities_max: usize,
        lateness_us: i64,
    ) -> Self {
        let module = |plan: &StagePlan| Module { name: plan.def.name, weight: plan.weight };
        let modules = stages.iter().map(module).collect();
        let policy = Policy { modules, half_life_us, entities_max };
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
            why: Recent::new(WHY_MAX),
        }
    }

    /// Adds what a window stage folded in a lane.
    pub fn fold(&mut self, mut delta: Delta) {
        // Only a file that had to wait for a free place can come this late.
        delta.minute = delta.minute.max(self.open);
        let plan = self.stages.get(delta.stage);
        let Some((_, combine)) = plan.and_then(|plan| plan.close.as_ref()) else {
            return;
        };
        self.windows.fold(delta, *combine);
    }

    /// Takes evidence that counts in `minute`: into the risk, and out as an alert if it is one.
    pub fn evidence(&mut self, minute: Minute, evidence: &Evidence) {
        let minute = minute.max(self.open);
        let plan = &self.stages[evidence.stage];
        let name = plan.def.name.as_bytes();
        let version = plan.def.version.to_be_bytes();
        let sensor = self.identity.sensor_id.as_bytes();
        let identity: [&[u8]; 5] = [b"alert", sensor, name, &version, &self.identity.fingerprint];
        let news = self.findings.news(evidence, &identity, plan.def.window_us, plan.alert);
        let event = evidence.records.first().map_or(news.id, |record| record.event_id());
        self.ledger.add(minute, evidence.entity, evidence.stage, news.bits, event);
        let key = (evidence.entity, evidence.stage);
        if self.why.get(&key).is_none_or(|(score, _)| *score < evidence.score) {
            self.why.set(key, (evidence.score, in_words(evidence)), minute);
        }
        if news.is_alert {
            let alert = Alert {
                id: news.id,
                detector: plan.def.name,
                description: plan.def.doc,
                evidence,
                scope: &self.identity.scope,
                sensor_id: &self.identity.sensor_id,
            };
            write_alert(&alert, self.blocks.of(Kind::Alert));
            *self.summary.alerts.entry(plan.def.name).or_default() += 1;
        }
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
        self.summary.evicted = self.ledger.evicted();
        self.summary.cells_dropped = self.windows.dropped();
    }

    fn next(&self) -> Option<Minute> {
        self.windows.next().into_iter().chain(self.ledger.next()).min()
    }

    fn close(&mut self, minute: Minute) {
        self.open = self.open.max(minute);
        for (index, cells) in self.windows.close(minute) {
            let mut findings = stage::Findings::new(index);
            if let Some((close, _)) = &mut self.stages[index].close {
                close.close(minute, &cells, &mut findings);
            }
            for evidence in findings.take() {
                self.evidence(minute, &evidence);
            }
        }
        let mut changes = std::mem::take(&mut self.changes);
        self.ledger.close(minute, &mut changes);
        for change in changes.drain(..) {
            self.tell(&change);
        }
        self.changes = changes;
        self.open = self.open.max(Minute(minute.0 + 1));
    }

    /// Writes the risk document of a change.
    fn tell(&mut self, change: &Change) {
        let identity = &self.identity;
        let (entity, minute) = (change.entity.addr().to_bytes(), change.minute.0.to_be_bytes());
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
            weight: self.stages[share.module].weight,
            value: share.value,
            evidence: share.evidence.clone(),
        };
        let state = RiskState {
            id: crate::base::hash::id(&parts),
            time: change.minute.end(),
            entity: change.entity,
            score: change.score,
            previous: change.previous,
            level: change.level.name(),
            contributions: change.shares.iter().map(contribution).collect(),
        };
        let block = self.blocks.of(Kind::Risk);
        write_risk(&state, &identity.scope, &identity.sensor_id, block);
        self.summary.risk += 1;
        self.note_peak(change);
    }

    fn note_peak(&mut self, change: &Change) {
        let module = |share: &Share| {
            let why = self.why.get(&(change.entity, share.module));
            let why = why.map_or_else(String::new, |(_, words)| words.clone());
            (self.stages[share.module].def.name, share.points, why)
        };
        let modules = change.shares.iter().map(module).collect();
        let peak = Peak { score: change.score, level: change.level.name(), modules };
        self.summary.note(change.entity.id(&self.identity.scope), peak);
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
