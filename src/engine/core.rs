//! The entity lane's state: windows, findings, risk, and the documents they make.
//!
//! A minute closes when every lane has passed its end by the allowed lateness; only closed minutes
//! are scored, so nothing here depends on how the lanes were interleaved.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::hash::{self, Id};
use crate::base::limits::QUARANTINE_MINUTES;
use crate::base::score::Ppm;
use crate::base::time::{Minute, Time};
use crate::document::{Contribution, Hidden, ModelName, RiskState, write_risk};
use crate::record::{Entity, Evidence, Finding, Log, Scope, Uid};
use crate::risk::{AllowList, Change, Event, Findings, Grounds, Ledger, Policy, RESERVED, Share};
use crate::stage::profile::Over;
use crate::stage::{self, Cell, Close, Combine, Judge, RolePolicy, StageDef, Suspect, Wants};

use super::activity::{Activity, Seen, Verdicts};
use super::alerting::{AlertPolicy, Alerting};
use super::census::Census;
use super::guard::caught;
use super::output::{Blocks, Kind, Output};
use super::shown::in_words;
use super::summary::{Peak, Summary};
use super::windows::Windows;

/// A stage as the entity lane knows it.
pub struct StagePlan {
    /// Its entry in the table.
    pub def: &'static StageDef,
    /// Score from which a finding is an alert.
    pub alert: Ppm,
    /// Hash of its configuration and its models.
    pub fingerprint: [u8; 32],
    /// Whether it is meant to run.
    pub enabled: bool,
    /// The models that it uses.
    pub models: Vec<ModelName>,
    /// Its half here, if it is an enabled window stage.
    pub close: Option<(Box<dyn Close>, Combine)>,
    /// Itself, if it is an enabled judge.
    pub judge: Option<Box<dyn Judge>>,
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

/// Scores that rose and that nobody asked for yet.
const NEWS_MAX: usize = 1000;

/// The state of the entity lane.
pub struct Core {
    pub(super) identity: Identity,
    pub(super) stages: Vec<StagePlan>,
    pub(super) lateness_us: i64,
    pub(super) windows: Windows,
    pub(super) census: Census,
    pub(super) activity: Activity,
    pub(super) findings: Findings,
    pub(super) ledger: Ledger,
    pub(super) alerting: Alerting,
    pub(super) allow: AllowList,
    /// Whether the list is another one than at the last [`Core::save`].
    pub(super) is_other_list: bool,
    /// The time that every lane has come to.
    pub(super) time: Time,
    /// Minutes before this one are closed.
    pub(super) open: Minute,
    /// Documents that wait for the sink.
    pub blocks: Blocks,
    /// What was counted.
    pub summary: Summary,
    pub(super) changes: Vec<Change>,
    /// Minutes that window stages still have to miss.
    pub(super) quarantine: BTreeMap<&'static str, u32>,
    /// Windows that end with the minute which closes, and are suspicious.
    suspects: Vec<Suspect>,
    /// The strongest findings of a module for an entity.
    pub(super) grounds: Grounds,
    pub(super) is_saved: bool,
    /// Scores that rose, for who watches.
    pub(super) news: Vec<(String, Peak)>,
}

impl Core {
    /// An empty state; `stages` in the order of the stage table, as the modules of `policy` are.
    #[must_use]
    pub fn new(
        identity: Identity,
        stages: Vec<StagePlan>,
        policy: Policy,
        lateness_us: i64,
        roles: RolePolicy,
        alerts: AlertPolicy,
    ) -> Self {
        let names = stages.iter().map(|plan| plan.def.name).collect();
        let half_life_us = policy.half_life_max();
        let judges = || stages.iter().filter_map(|plan| plan.judge.as_ref());
        let wants = Wants {
            peers: judges().any(|judge| judge.wants().peers),
            isolation: judges().any(|judge| judge.wants().isolation),
        };
        Self {
            identity,
            stages,
            lateness_us,
            windows: Windows::default(),
            census: Census::new(roles),
            activity: Activity::new(policy.entities_max(), wants),
            findings: Findings::default(),
            ledger: Ledger::new(policy),
            allow: AllowList::default(),
            is_other_list: false,
            time: Time::MIN,
            alerting: Alerting::new(alerts),
            open: Minute::NEVER,
            blocks: Blocks::default(),
            summary: Summary::default(),
            changes: Vec::new(),
            quarantine: BTreeMap::new(),
            suspects: Vec::new(),
            grounds: Grounds::new(names, half_life_us),
            is_saved: false,
            news: Vec::new(),
        }
    }

    /// From now on `list` says what neither alerts nor counts. What is counted of entries that it
    /// does not have is forgotten.
    pub fn set_allow(&mut self, list: AllowList) {
        self.is_other_list |= list.text() != self.allow.text();
        self.allow = list;
        let ids: BTreeSet<&str> = self.allow.ids().chain(RESERVED.iter().copied()).collect();
        self.summary.suppressed.retain(|id, _| ids.contains(id.as_str()));
    }

    /// Counts panics of stages, by their place in the table.
    pub(super) fn note_panics(&mut self, panics: &BTreeMap<usize, u64>) {
        for (stage, count) in panics {
            *self.summary.panics.entry(self.stages[*stage].def.name).or_default() += count;
        }
    }

    /// Adds what was folded in a lane: cells of window stages, rows, who served whom, who
    /// was asked for, hosts.
    pub(super) fn fold(&mut self, output: &mut Output) {
        for (minute, rows) in output.minutes.drain(..) {
            self.census.rows(minute.max(self.open), output.log, rows);
        }
        for (minute, role, server, client) in output.sightings.drain(..) {
            self.census.sighting((minute.max(self.open), role, server, client));
        }
        for mut target in output.targets.drain(..) {
            target.minute = target.minute.max(self.open);
            self.census.target(target);
        }
        for seen in output.hosts.drain(..) {
            self.alerting.see(seen, self.open);
        }
        self.activity.fold(&mut output.deeds, self.open);
        for mut delta in output.deltas.drain(..) {
            delta.minute = self.in_time(delta.minute);
            let plan = self.stages.get(delta.stage);
            let Some((close, combine)) = plan.and_then(|plan| plan.close.as_ref()) else {
                continue;
            };
            self.windows.fold(delta, *combine, |entity| close.knows(entity));
        }
    }

    /// Takes evidence that counts in `minute`: into the risk, and out as an alert if it is one.
    /// What the allow-list has explained is only counted there.
    pub fn evidence(&mut self, minute: Minute, evidence: &Evidence) {
        if let Some(id) = self.allow.find(evidence, &self.identity.scope) {
            *self.summary.suppressed.entry(id.to_owned()).or_default() += 1;
            return;
        }
        let minute = self.in_time(minute);
        let plan = &self.stages[evidence.stage];
        let name = plan.def.name.as_bytes();
        let version = plan.def.version.to_be_bytes();
        let sensor = self.identity.sensor_id.as_bytes();
        let identity: [&[u8]; 5] = [b"alert", sensor, name, &version, &plan.fingerprint];
        // What counts nowhere must not be known as counted; but nothing keeps an alert back.
        let may_alert = evidence.may_alert && evidence.score >= plan.alert;
        let is_known = self.knows(&evidence.entity);
        let has_room = self.ledger.has_room(minute, &evidence.entity, evidence.stage, is_known);
        if !has_room {
            self.ledger.drop_one();
            if !may_alert {
                return;
            }
        }
        let news = self.findings.news(evidence, &identity, plan.def.window_us, plan.alert);
        let first = evidence.records.first();
        let event = Event {
            time: evidence.time,
            uid: first.map_or_else(Uid::default, |record| record.uid.clone()),
            id: first.map_or(news.id, |record| record.event_id()),
        };
        if has_room {
            self.ledger.add(minute, evidence.entity.clone(), evidence.stage, news.bits, event);
        }
        if self.grounds.may_take(minute, evidence) {
            let finding = Finding::of(evidence, news.id, minute, may_alert);
            self.grounds.add(&evidence.entity, evidence.stage, finding, is_known);
        }
        if news.is_alert && evidence.may_alert {
            self.alert(evidence, news.id, minute);
        }
    }

    /// Whether an entity has a risk, or is none of those that a window stage never heard before.
    fn knows(&self, entity: &Entity) -> bool {
        let mut stages = self.stages.iter().filter_map(|plan| plan.close.as_ref()).peekable();
        self.ledger.knows(entity)
            || stages.peek().is_some() && stages.all(|(close, _)| close.knows(entity))
    }

    /// The minute in which something counts that should count in `minute`: that one, unless it is
    /// closed. In a replay only a file that had to wait for a free place comes this late.
    fn in_time(&mut self, minute: Minute) -> Minute {
        self.summary.clamped += u64::from(minute < self.open);
        minute.max(self.open)
    }

    /// Every lane has come to `time`: closes the minutes that end `lateness` before it.
    pub fn advance(&mut self, time: Time) {
        self.time = self.time.max(time);
        let open = Time(time.0 - self.lateness_us).minute();
        if open <= self.open {
            return;
        }
        while let Some(minute) = self.next().filter(|minute| *minute < open) {
            self.close(minute);
        }
        self.open = open;
        self.alerting.advance(open);
        self.grounds.close(Minute(open.0 - 1));
    }

    /// The input is at its end: closes every minute that has something in it, and those before it
    /// in which a score fades; then the windows that are open. What they find counts in the minute
    /// after the last. Where the state is saved what comes after belongs to these windows too: they
    /// stay open, and nobody learns the half of one.
    pub fn finish(&mut self) {
        let last = |core: &Self| {
            core.windows.last().max(core.census.last()).max(core.ledger.last_pending())
        };
        while let Some(last) = last(self) {
            let Some(minute) = self.next().filter(|minute| *minute <= last) else { break };
            self.close(minute);
        }
        while let Some(due) = self.due().filter(|_| !self.is_saved) {
            for index in 0..self.stages.len() {
                self.close_stage(index, due, self.open, &[]);
            }
        }
        if !self.is_saved {
            self.end_windows(Minute(i64::MAX), self.open);
        }
        while let Some(minute) = self.ledger.last_pending() {
            self.close(minute);
        }
        self.grounds.close(Minute(i64::MAX));
        self.sum_up();
    }

    fn next(&self) -> Option<Minute> {
        let all = [
            self.windows.next(),
            self.census.next(),
            self.ledger.next(),
            self.alerting.next(),
            self.activity.due(),
            self.due(),
        ];
        all.into_iter().flatten().min()
    }

    /// The next minute that a stage wants to close; one in quarantine has to wait.
    fn due(&self) -> Option<Minute> {
        let due = |plan: &StagePlan| {
            let (close, _) = plan.close.as_ref()?;
            close.due().filter(|_| !self.quarantine.contains_key(plan.def.name))
        };
        self.stages.iter().filter_map(due).min()
    }

    fn close(&mut self, minute: Minute) {
        self.open = self.open.max(minute);
        self.census.close(minute);
        let mut by_stage = self.windows.close(minute);
        for index in 0..self.stages.len() {
            let cells = by_stage.remove(&index).unwrap_or_default();
            self.close_stage(index, minute, minute, &cells);
        }
        self.end_windows(minute, minute);
        self.grounds.close(minute);
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
        self.close_incidents(minute);
        self.open = self.open.max(Minute(minute.0 + 1));
    }

    /// Takes what a stage finds in the cells of a minute, and in the windows that end with it; it
    /// counts in `counted`, up to which everything is known.
    fn close_stage(&mut self, index: usize, minute: Minute, counted: Minute, cells: &[Cell]) {
        for evidence in self.found(index, minute, counted, cells) {
            self.take_found(counted, evidence);
        }
    }

    /// Takes what a stage found in the entity lane, with what else is known of its records.
    fn take_found(&mut self, counted: Minute, mut evidence: Evidence) {
        let first = evidence.records.first();
        let log = first.map(|record| record.source.log);
        if evidence.names.domain.is_none() {
            let asked = first.and_then(|record| self.census.asked(&record.uid));
            evidence.names.domain = asked.map(str::to_owned);
        }
        for (of, hidden) in &self.identity.hidden {
            if log == Some(*of) {
                hidden.hide(&mut evidence);
            } else {
                hidden.hide_reasons(&mut evidence, false);
            }
        }
        self.evidence(counted, &evidence);
    }

    /// Ends the hours and days that end with `minute` or before; what is found in them counts in
    /// `counted`, up to which everything is known. Window stages were asked before, so that what
    /// they find suspicious is learned as that, and what profiles hold is from before.
    fn end_windows(&mut self, minute: Minute, counted: Minute) {
        let suspects = std::mem::take(&mut self.suspects);
        if self.activity.due().is_none_or(|due| due > minute) {
            return;
        }
        let mut activity = std::mem::take(&mut self.activity);
        let mut found = Vec::new();
        let (stages, quarantine) = (&mut self.stages, &mut self.quarantine);
        let (panics, context) = (&mut self.summary.panics, self.census.context(counted));
        let has_hour = |log: Log, start: Minute| context.gaps.has_hour(log, start, counted);
        let has_role =
            |entity: &Entity| entity.addr().is_some_and(|addr| context.roles.get(addr).is_some());
        let seen = Seen { now: counted, has_hour: &has_hour, has_role: &has_role };
        activity.end(minute, &seen, &mut |over: &Over<'_>| {
            let is_of = |it: &&Suspect| (it.0, it.1) == (over.span, over.number);
            let suspicious = suspects.iter().filter(is_of).map(|it| (it.2.clone(), (0, true)));
            let mut verdicts: Verdicts = suspicious.collect();
            for (index, plan) in stages.iter_mut().enumerate() {
                let Some(judge) = &mut plan.judge else { continue };
                let name = plan.def.name;
                if let Some(left) = quarantine.get_mut(name) {
                    *left -= 1;
                    if *left == 0 {
                        quarantine.remove(name);
                    }
                    continue;
                }
                let mut findings = stage::Findings::new(index);
                if !caught(|| judge.judge(over, &context, &mut findings)) {
                    *panics.entry(name).or_default() += 1;
                    quarantine.insert(name, QUARANTINE_MINUTES);
                    continue;
                }
                for evidence in findings.take() {
                    let verdict = verdicts.entry(evidence.entity.clone()).or_default();
                    verdict.0 = verdict.0.max(evidence.score.get());
                    verdict.1 |= evidence.score >= plan.alert;
                    found.push(evidence);
                }
            }
            verdicts
        });
        let failed = activity.failed();
        let asked =
            |wants: Wants| (wants.peers && failed.peers) || (wants.isolation && failed.isolation);
        for plan in stages.iter() {
            if plan.judge.as_ref().is_some_and(|judge| asked(judge.wants())) {
                *panics.entry(plan.def.name).or_default() += 1;
            }
        }
        self.activity = activity;
        for evidence in found {
            self.take_found(counted, evidence);
        }
    }

    fn found(
        &mut self,
        index: usize,
        minute: Minute,
        now: Minute,
        cells: &[Cell],
    ) -> Vec<Evidence> {
        // Profiles that nobody judges by are not kept up.
        let is_profiled = self.stages.iter().any(|plan| plan.judge.is_some());
        let plan = &mut self.stages[index];
        let Some((close, _)) = &mut plan.close else { return Vec::new() };
        if cells.is_empty() && close.due().is_none_or(|due| due > minute) {
            return Vec::new();
        }
        let name = plan.def.name;
        if let Some(left) = self.quarantine.get_mut(name) {
            *left -= 1;
            if *left == 0 {
                self.quarantine.remove(name);
            }
            return Vec::new();
        }
        let mut findings = stage::Findings::new(index);
        let mut context = self.census.context(now);
        context.profiles = is_profiled.then(|| self.activity.held());
        if !caught(|| close.close(minute, cells, &context, &mut findings)) {
            *self.summary.panics.entry(name).or_default() += 1;
            self.quarantine.insert(name, QUARANTINE_MINUTES);
            return Vec::new();
        }
        if !self.is_saved {
            // Nobody will ask for what changed, so it must not pile up.
            close.forget_changes();
        }
        self.suspects.extend(findings.suspects());
        findings.take()
    }

    /// The id of something that an entity comes to at most once a minute.
    pub(super) fn id(&self, kind: &[&[u8]], entity: &Entity, minute: Minute) -> Id {
        let (identity, entity) = (&self.identity, entity.to_bytes());
        let (minute, ordinal) = (minute.0.to_be_bytes(), 0_u64.to_be_bytes());
        let rest: [&[u8]; 5] =
            [identity.sensor_id.as_bytes(), &entity, &minute, &ordinal, &identity.fingerprint];
        hash::id(&[kind, &rest].concat())
    }

    /// Writes the risk document of a change, and the alert that it may be.
    fn tell(&mut self, change: &Change) {
        let identity = &self.identity;
        let contribution = |share: &Share| Contribution {
            module: self.stages[share.module].def.name,
            points: share.points,
            weight: self.ledger.policy().module(share.module).weight,
            value: share.value,
            reasons: {
                let strongest = self.grounds.strongest(&change.entity, share.module);
                strongest.map_or(&[], |finding| &finding.reasons)
            },
            evidence: share.evidence.to_vec(),
        };
        let state = RiskState {
            id: self.id(&[b"risk"], &change.entity, change.minute),
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
        if change.is_alert {
            self.alert_on_risk(change);
        }
    }

    fn note_peak(&mut self, change: &Change) {
        let module = |share: &Share| {
            let strongest = self.grounds.strongest(&change.entity, share.module);
            let why = strongest.map_or_else(String::new, in_words);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::base::codec::Changes;
    use crate::base::score::Points;
    use crate::base::time::MINUTE;
    use crate::engine::alerting::tests::ALERTS;
    use crate::risk::{Criticality, Module};
    use crate::stage::{Delta, TABLE};

    /// Panics at minute 13; counts the others.
    struct Superstitious(std::sync::mpsc::SyncSender<i64>);

    impl Close for Superstitious {
        fn close(
            &mut self,
            minute: Minute,
            _: &[Cell],
            _: &stage::Context<'_>,
            _: &mut stage::Findings,
        ) {
            assert!(minute.0 != 13, "thirteen");
            self.0.send(minute.0).unwrap();
        }

        fn save(&mut self, _: &mut Changes<'_>) {}

        fn load(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
            Ok(())
        }
    }

    fn delta(minute: i64) -> Output {
        let generation = crate::record::Generation([0; 16]);
        let (log, event_prefix) = (Log::Conn, generation.event_prefix("s", Log::Conn));
        let source = crate::record::Source { log, generation, event_prefix, path: String::new() };
        let record = crate::record::RecordRef {
            source: std::sync::Arc::new(source),
            offset: 0,
            uid: Uid::default(),
        };
        let (ts, entity) = (Time(minute * MINUTE), Entity::Host(Addr::v4(0x0a00_0001)));
        let row = stage::CellRow { record, weight: 1, time: ts, source: None, destination: None };
        let (minute, amounts, row) = (Minute(minute), [1, 0, 0], Some(row));
        let delta =
            Delta { stage: 0, minute, entity, subject: stage::Subject::new(), amounts, row };
        let mut output = Output::new(Log::Conn);
        output.deltas.push(delta);
        output
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
                    fingerprint: [0; 32],
                    enabled: true,
                    models: Vec::new(),
                    close: Some((close, Combine::Max)),
                    judge: None,
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
                let mut core =
                    Core::new(identity, vec![plan], policy, 0, RolePolicy::default(), ALERTS);
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
                one.fold(&mut delta(minute));
                one.advance(Time((minute + 1) * MINUTE));
            }
            let seen: Vec<i64> = seen.try_iter().collect();
            let expected: Vec<i64> = (10..13).chain(24..30).collect();
            assert_eq!(seen, expected, "{restart_at:?}");
            assert_eq!(one.counted().panics[TABLE[0].name], 1);
        }
    }
}
