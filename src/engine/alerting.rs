//! Which alerts go out and what is said with them: incidents and the budget, alerts on risk, the
//! end of an incident.
//!
//! Not here: what is found and what it adds to a risk (`core`); the rules themselves (`risk`).

use std::collections::BTreeSet;

use crate::base::codec::{Changes, Damaged};
use crate::base::hash::{self, Id};
use crate::base::limits::EVIDENCE_MAX;
use crate::base::score::{Points, Ppm};
use crate::base::time::{Minute, Time};
use crate::document::{Alert, BehindRisk, Closed, Hidden, Proof, is_far, write_alert};
use crate::record::{Entity, Evidence, Log, Observed, Reason, Technique};
use crate::risk::{
    Alerted, Budget, BudgetState, Change, HostCount, Incident, Incidents, Marks, RISK, Seen, Share,
};

use super::core::Core;
use super::output::Kind;

const RISK_DOC: &str = "the risk of an entity has reached risk.alert";
/// The rule of the end of an incident.
const INCIDENT: &str = "incident";
const INCIDENT_DOC: &str = "an incident is over: no alert for a while, and the risk has fallen";
/// What holds repeats back, as it is counted.
pub(super) const BUDGET_RULE: &str = "alert-budget";

/// Minutes of an hour.
const HOUR_MINUTES: i64 = 60;

/// What `[risk]` says of alerts.
#[derive(Clone, Copy, Debug)]
pub struct AlertPolicy {
    /// Where a risk alerts.
    pub marks: Marks,
    /// How long an incident waits for another alert, in microseconds.
    pub quiet_us: i64,
    /// Alerts a day for every 1,000 hosts.
    pub per_thousand: u64,
}

/// What is known of the alerts so far.
pub(super) struct Alerting {
    marks: Marks,
    incidents: Incidents,
    budget: Budget,
    hosts: HostCount,
}

impl Alerting {
    pub(super) fn new(policy: AlertPolicy) -> Self {
        Self {
            marks: policy.marks,
            incidents: Incidents::new(policy.quiet_us),
            budget: Budget::new(policy.per_thousand),
            hosts: HostCount::default(),
        }
    }

    pub(super) fn track(&mut self) {
        self.incidents.track();
        self.hosts.track();
    }

    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        self.incidents.save(sink);
        self.budget.save(sink);
        self.hosts.save(sink);
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        match key.get(1) {
            Some(b'i') => self.incidents.load(key, value),
            Some(b'b') => self.budget.load(value),
            Some(b'h') => self.hosts.load(key, value),
            _ => Err(Damaged("a key of no alert".to_owned())),
        }
    }

    /// The next minute at whose end an incident may close.
    pub(super) fn next(&self) -> Option<Minute> {
        self.incidents.next()
    }

    /// Minutes from `open` on are open.
    pub(super) fn advance(&mut self, open: Minute) {
        self.budget.advance(open, &mut self.hosts);
    }

    /// Takes what a lane noticed of hosts.
    pub(super) fn see(&mut self, seen: Seen, open: Minute) {
        self.hosts.see(seen, open);
    }

    pub(super) fn state(&self) -> BudgetState {
        self.budget.state()
    }

    /// Incidents that are open.
    pub(super) fn open(&self) -> u64 {
        self.incidents.len() as u64
    }
}

impl Core {
    /// Takes an alert of a stage: into its incident, and out, unless the budget holds it back.
    pub(super) fn alert(&mut self, evidence: &Evidence, id: Id, minute: Minute) {
        let plan = &self.stages[evidence.stage];
        let (name, doc, mark) = (plan.def.name, plan.def.doc, plan.alert);
        let model = plan.models.first().cloned();
        // A name of a server is of a request, or of the records behind it.
        let hidden = &self.identity.hidden;
        let mut logs =
            evidence.records.iter().map(|it| it.source.log).chain(std::iter::once(Log::Http));
        let is_named = logs.all(|log| hidden.get(&log).is_none_or(Hidden::shows_servers));
        let alert = Alert {
            id,
            action: "",
            detector: name,
            description: doc,
            entity: &evidence.entity,
            user: evidence.names.user.as_ref(),
            sides: (evidence.source, evidence.destination),
            domain: evidence.names.domain.as_deref().filter(|_| is_named),
            time: evidence.time,
            minute,
            window: evidence.window,
            score: evidence.score,
            threshold: Some(mark),
            techniques: evidence.techniques,
            reasons: &evidence.reasons,
            evidence: Proof::Records(&evidence.records),
            model: model.as_ref(),
            incident: id,
            closed: None,
            scope: &self.identity.scope.clone(),
            sensor_id: &self.identity.sensor_id.clone(),
        };
        self.emit(alert);
    }

    /// Takes an alert on the risk that a change has come to.
    pub(super) fn alert_on_risk(&mut self, change: &Change) {
        let entity = &change.entity;
        let (score, reasons) = self.reasons(&change.shares);
        let (events, since) = self.events(entity, &change.shares);
        let (time, minute) = (change.minute.end(), change.minute);
        let names = change.shares.iter().map(|share| self.stages[share.module].def.name);
        let alert = Alert {
            id: self.id(&[b"alert", RISK.as_bytes()], entity, minute),
            action: "",
            detector: RISK,
            description: RISK_DOC,
            entity,
            user: None,
            sides: (None, None),
            domain: None,
            time,
            minute,
            window: (since.unwrap_or(time).min(time), time),
            score,
            threshold: Some(to_ppm(self.alerting.marks.alert)),
            techniques: &self.techniques(names),
            reasons: &reasons,
            evidence: Proof::Events(&events),
            model: None,
            incident: Id([0; 16]),
            closed: None,
            scope: &self.identity.scope.clone(),
            sensor_id: &self.identity.sensor_id.clone(),
        };
        self.emit(alert);
    }

    /// Counts an alert in its incident, and writes it if it is the first there or reaches the bar.
    fn emit(&mut self, alert: Alert<'_>) {
        self.alerting.advance(self.open);
        let known = self.alerting.incidents.of(alert.entity);
        let bar = known.map_or(Ppm::default(), |_| self.alerting.budget.bar());
        let is_suppressed = alert.score < bar;
        let is_far = is_far(alert.time, alert.minute.start());
        let alerted = Alerted {
            id: alert.id,
            detector: alert.detector,
            score: alert.score,
            time: if is_far { alert.minute.start() } else { alert.time },
            minute: alert.minute,
            is_suppressed,
        };
        self.alerting.budget.note(alert.score, !is_suppressed);
        if let Some((entity, incident)) = self.alerting.incidents.take(alert.entity, &alerted) {
            self.write_end(&entity, &incident, alert.minute);
        }
        if is_suppressed {
            *self.summary.suppressed.entry(BUDGET_RULE.to_owned()).or_default() += 1;
            return;
        }
        let alert = Alert {
            action: if known.is_some() { "repeated" } else { "opened" },
            incident: known.unwrap_or(alert.id),
            threshold: alert.threshold.max(Some(bar)),
            ..alert
        };
        write_alert(&alert, self.blocks.of(Kind::Alert));
        *self.summary.alerts.entry(alert.detector).or_default() += 1;
    }

    /// Closes the incidents that are due at the end of a minute and whose risk has fallen; the
    /// others are looked at again when the next hour ends.
    pub(super) fn close_incidents(&mut self, minute: Minute) {
        for entity in self.alerting.incidents.due(minute) {
            let shares = self.ledger.shares(&entity, minute);
            let rearm = self.alerting.marks.rearm;
            if shares.is_some_and(|shares| total(&shares) >= rearm) {
                let next = (minute.0 + 1).div_euclid(HOUR_MINUTES) * HOUR_MINUTES;
                self.alerting.incidents.wait(&entity, Minute(next + HOUR_MINUTES - 1));
            } else if let Some(incident) = self.alerting.incidents.close(&entity) {
                self.write_end(&entity, &incident, minute);
            }
        }
    }

    /// Writes that an incident is over, and what is left of the risk.
    fn write_end(&mut self, entity: &Entity, incident: &Incident, minute: Minute) {
        let shares = self.ledger.shares(entity, minute).unwrap_or_default();
        let (score, reasons) = self.reasons(&shares);
        let (events, _) = self.events(entity, &shares);
        let detectors: Vec<&str> = incident.detectors.iter().map(String::as_str).collect();
        let alert = Alert {
            id: hash::id(&[b"closed", &incident.id.0]),
            action: "closed",
            detector: INCIDENT,
            description: INCIDENT_DOC,
            entity,
            user: None,
            sides: (None, None),
            domain: None,
            time: minute.end(),
            minute,
            window: incident.window,
            score,
            threshold: None,
            techniques: &self.techniques(detectors.iter().copied()),
            reasons: &reasons,
            evidence: Proof::Events(&events),
            model: None,
            incident: incident.id,
            closed: Some(Closed {
                count: incident.count,
                suppressed: incident.suppressed,
                detectors: &detectors,
                strongest: incident.strongest,
            }),
            scope: &self.identity.scope,
            sensor_id: &self.identity.sensor_id,
        };
        write_alert(&alert, self.blocks.of(Kind::Alert));
    }

    /// The score that these shares are, with a reason for each of them.
    fn reasons(&self, shares: &[Share]) -> (Ppm, Vec<Reason>) {
        let points: Vec<Points> = shares.iter().map(|share| share.points).collect();
        let reason = |(share, contribution): (&Share, Ppm)| Reason {
            feature: self.stages[share.module].def.name,
            log: None,
            columns: &[],
            observed: Observed::Number(i64::try_from(share.points.0).unwrap_or(i64::MAX)),
            expected: Observed::Number(0),
            contribution,
        };
        let reasons = shares.iter().zip(parts(&points)).map(reason).collect();
        (to_ppm(total(shares)), reasons)
    }

    /// The strongest events behind these shares, first of each the strongest; and when the first of
    /// them was.
    fn events(&self, entity: &Entity, shares: &[Share]) -> (Vec<BehindRisk>, Option<Time>) {
        let findings = self.grounds.of(entity);
        let spots = || findings.values().flatten().flat_map(|finding| &finding.records);
        let (mut known, mut events, mut since) = (BTreeSet::new(), Vec::new(), None);
        for place in 0..EVIDENCE_MAX {
            for share in shares {
                let Some(id) = share.evidence.get(place) else { continue };
                if events.len() == EVIDENCE_MAX || !known.insert(*id) {
                    continue;
                }
                let event = self.ledger.events(entity, share.module).find(|it| it.id == *id);
                since = since.into_iter().chain(event.map(|event| event.time)).min();
                let forgotten = || {
                    let uid = event.map_or_else(String::new, |event| event.uid.as_str().to_owned());
                    BehindRisk::Forgotten(uid, *id)
                };
                let spot = spots().find(|spot| spot.event_id == *id).cloned();
                events.push(spot.map_or_else(forgotten, BehindRisk::Known));
            }
        }
        (events, since)
    }

    /// What attackers call what these stages find, each once.
    fn techniques<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<Technique> {
        let mut techniques: Vec<Technique> = Vec::new();
        for name in names {
            let plan = self.stages.iter().find(|plan| plan.def.name == name);
            for technique in plan.map_or(&[][..], |plan| plan.def.techniques) {
                if !techniques.contains(technique) {
                    techniques.push(*technique);
                }
            }
        }
        techniques
    }
}

fn total(shares: &[Share]) -> Points {
    Points(shares.iter().map(|share| share.points.0).sum())
}

/// Points as a score: 100 of them are 1.
fn to_ppm(points: Points) -> Ppm {
    Ppm::new(u32::try_from(points.0 / 100).unwrap_or(u32::MAX))
}

/// Points as parts of the score that they add up to, exactly: what is lost in rounding down goes to
/// those that lost most by it.
fn parts(points: &[Points]) -> Vec<Ppm> {
    let sum = Points(points.iter().map(|points| points.0).sum());
    let mut parts: Vec<u32> = points.iter().map(|points| to_ppm(*points).get()).collect();
    let left = to_ppm(sum).get().saturating_sub(parts.iter().sum());
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(points[at].0 % 100), at));
    for &at in order.iter().take(left as usize) {
        parts[at] += 1;
    }
    parts.into_iter().map(Ppm::new).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::base::address::Addr;
    use crate::base::limits::PENDING_MAX;
    use crate::base::time::{DAY, HOUR, MINUTE};
    use crate::engine::{Identity, StagePlan};
    use crate::record::{Generation, Log, Names, RecordRef, Scope, Source};
    use crate::risk::{Criticality, Module, Policy};
    use crate::stage::RolePolicy;
    use crate::stage::TABLE;

    /// As the configuration has it.
    pub(in crate::engine) const ALERTS: AlertPolicy = AlertPolicy {
        marks: Marks { alert: Points(50_000_000), rearm: Points(40_000_000) },
        quiet_us: DAY,
        per_thousand: 20,
    };

    /// A core with two stages that alert from 0.2 and 0.4 on and weigh 60 and 40 points.
    fn core(alerts: AlertPolicy) -> Core {
        let plan = |(def, (alert, _))| StagePlan {
            def,
            alert: Ppm::new(alert),
            fingerprint: [0; 32],
            enabled: true,
            models: Vec::new(),
            close: None,
            judge: None,
        };
        let numbers = [(200_000, 60_000_000), (400_000, 40_000_000)];
        let stages = TABLE.iter().zip(numbers).map(plan).collect();
        let module = |(def, (_, weight)): (&crate::stage::StageDef, _)| Module {
            name: def.name,
            group: def.group,
            weight: Points(weight),
            half_life_us: DAY,
            is_enabled: true,
        };
        let modules = TABLE.iter().zip(numbers).map(module).collect();
        let policy = Policy::new(modules, &BTreeMap::new(), Criticality::default(), 1000)
            .with_marks(alerts.marks);
        let identity = Identity {
            sensor_id: "s".to_owned(),
            scope: Scope::Network,
            hidden: BTreeMap::new(),
            fingerprint: [0; 32],
        };
        let mut core =
            Core::new(identity, stages, policy, 5 * MINUTE, RolePolicy::default(), alerts);
        core.track();
        core
    }

    #[derive(Clone, Copy, Debug)]
    struct Item {
        minute: i64,
        host: u32,
        stage: usize,
        subject: u16,
        score: u32,
    }

    fn evidence(item: &Item) -> Evidence {
        let generation = Generation([7; 16]);
        let (log, event_prefix) = (Log::Conn, generation.event_prefix("s", Log::Conn));
        let source = Source { log, generation, event_prefix, path: "conn.log".to_owned() };
        let offset = u64::from(item.subject);
        let record = RecordRef {
            source: Arc::new(source),
            offset,
            uid: format!("C{offset}").as_str().into(),
        };
        let time = Time(item.minute * MINUTE + i64::from(item.subject));
        Evidence {
            stage: item.stage,
            entity: Entity::Host(Addr::v4(item.host)),
            subject: item.subject.to_be_bytes().to_vec(),
            time,
            window: (time, time),
            score: Ppm::new(item.score),
            reasons: Vec::new(),
            techniques: &[],
            records: vec![record],
            source: None,
            destination: None,
            names: Names::default(),
            may_alert: true,
        }
    }

    #[test]
    fn what_found_no_room_is_not_known_as_counted() {
        let mut one = core(ALERTS);
        let item = |host, score| Item { minute: 1, host, stage: 0, subject: 1, score };
        for host in 0..PENDING_MAX as u32 / 2 {
            one.evidence(Minute(1), &evidence(&item(host + 10, 100_000)));
        }
        let (weak, alert) = (evidence(&item(1, 150_000)), evidence(&item(2, 200_000)));
        one.evidence(Minute(1), &weak);
        assert!(one.ledger.standing(&weak.entity, Minute(1)).is_none());
        assert_eq!((one.ledger.dropped(), one.blocks.of(Kind::Alert).len()), (1, 0));
        one.evidence(Minute(1), &alert);
        assert_eq!(one.ledger.dropped(), 2);
        assert!(!one.blocks.of(Kind::Alert).is_empty(), "nothing keeps an alert back");
        one.advance(Time(10 * MINUTE));
        one.evidence(Minute(9), &weak);
        one.advance(Time(20 * MINUTE));
        let standing = one.ledger.standing(&weak.entity, Minute(9)).unwrap();
        assert_eq!(standing.score.to_string(), "9.000000");
    }

    /// What a core writes of these findings and two months after them, with restarts before some.
    fn run(items: &[Item], restarts: &[usize]) -> (Vec<Value>, Vec<u8>, BTreeMap<String, u64>) {
        let mut one = core(ALERTS);
        let (mut saved, mut alerts, mut risk) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            if restarts.contains(&index) {
                alerts.append(one.blocks.of(Kind::Alert));
                risk.append(one.blocks.of(Kind::Risk));
                one.save(&mut |key, value| {
                    match value {
                        Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                        None => saved.remove(key),
                    };
                });
                one = core(ALERTS);
                for (key, value) in &saved {
                    one.load(key, value).unwrap();
                }
            }
            one.advance(Time(item.minute * MINUTE));
            one.evidence(Minute(item.minute), &evidence(item));
        }
        let last = items.last().map_or(0, |item| item.minute);
        one.advance(Time(last * MINUTE + 60 * DAY));
        assert_eq!((one.incidents(), one.budget().bar), (0, Ppm::new(0)));
        alerts.append(one.blocks.of(Kind::Alert));
        risk.append(one.blocks.of(Kind::Risk));
        let lines = alerts.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let documents = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        (documents, risk, one.summary.suppressed.clone())
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let scores = prop_oneof![0..=1_000_000_u32, Just(450_000)];
        let gap = prop_oneof![20 => 0..5_i64, 1 => 0..3000_i64];
        let item = (gap, 0..3_u32, 0..2_usize, 0..500_u16, scores);
        proptest::collection::vec(item, 0..150).prop_map(|items| {
            let mut minute = 27_000_000;
            let item = |(gap, host, stage, subject, score)| {
                minute += gap;
                Item { minute, host, stage, subject, score }
            };
            items.into_iter().map(item).collect()
        })
    }

    fn millionths(value: &Value) -> u64 {
        (value.as_f64().unwrap() * 1e6).round() as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_restart_changes_nothing(items in items(), restarts in any::<[u8; 3]>()) {
            let restarts = restarts.map(usize::from);
            prop_assert_eq!(run(&items, &restarts), run(&items, &[]));
        }

        #[test]
        fn every_alert_is_of_an_incident_that_opened_and_closed(items in items()) {
            let (documents, _, suppressed) = run(&items, &[]);
            let mut open: BTreeMap<String, (String, u64)> = BTreeMap::new();
            let mut held_back = 0;
            for alert in &documents {
                let ueba = &alert["ueba"];
                let id = ueba["incident"]["id"].as_str().unwrap().to_owned();
                let entity = ueba["entity"].as_str().unwrap().to_owned();
                let known = open.get(&entity).cloned();
                match alert["event"]["action"].as_str().unwrap() {
                    "opened" => {
                        prop_assert_eq!(known, None);
                        prop_assert_eq!(&alert["event"]["id"], id.as_str());
                        open.insert(entity, (id, 1));
                    }
                    "repeated" => {
                        let (of, count) = known.unwrap();
                        prop_assert_eq!(&of, &id);
                        prop_assert!(millionths(&ueba["score"]) >= millionths(&ueba["threshold"]));
                        open.insert(entity, (of, count + 1));
                    }
                    _ => {
                        let (of, count) = open.remove(&entity).unwrap();
                        prop_assert_eq!(&of, &id);
                        let behind = ueba["incident"]["suppressed"].as_u64().unwrap();
                        prop_assert_eq!(ueba["incident"]["count"].as_u64(), Some(count + behind));
                        held_back += behind;
                    }
                }
            }
            prop_assert!(open.is_empty());
            prop_assert_eq!(held_back, suppressed.get(BUDGET_RULE).copied().unwrap_or_default());
        }

        /// Whatever comes before: the first alert of an entity goes out.
        #[test]
        fn what_opens_an_incident_is_never_held_back(
            mut items in items(),
            score in 200_000..300_000_u32,
        ) {
            let minute = items.last().map_or(27_000_000, |item| item.minute);
            items.push(Item { minute, host: 77, stage: 0, subject: 0, score });
            let (documents, ..) = run(&items, &[]);
            let of = |alert: &&Value| alert["ueba"]["entity"] == "host:0.0.0.77";
            let first = documents.iter().find(of).unwrap();
            prop_assert_eq!(&first["event"]["action"], "opened");
            prop_assert_eq!(&first["rule"]["name"], TABLE[0].name);
        }

        #[test]
        fn parts_add_up(points in proptest::collection::vec(0..20_000_000_u64, 0..6)) {
            let points: Vec<Points> = points.into_iter().map(Points).collect();
            if points.iter().map(|it| it.0).sum::<u64>() <= Points::MAX.0 {
                let sum: u64 = parts(&points).iter().map(|it| u64::from(it.get())).sum();
                prop_assert_eq!(sum, points.iter().map(|it| it.0).sum::<u64>() / 100);
            }
        }
    }

    fn item(minute: i64, host: u32, stage: usize, subject: u16, score: u32) -> Item {
        Item { minute, host, stage, subject, score }
    }

    #[test]
    fn a_flood_is_held_back_and_counted() {
        let mut items: Vec<Item> =
            (0..400).map(|n| item(100 + i64::from(n) / 10, 1, 1, n, 450_000)).collect();
        items.push(item(140, 1, 1, 999, 800_000));
        items.push(item(140, 2, 1, 0, 410_000));
        let (documents, _, suppressed) = run(&items, &[]);
        let of = |host: &str, action: &str| {
            let is = |alert: &&Value| {
                alert["ueba"]["entity"] == host && alert["event"]["action"] == action
            };
            documents.iter().filter(is).count()
        };
        assert_eq!((of("host:0.0.0.1", "opened"), of("host:0.0.0.2", "opened")), (1, 1));
        // Twenty of the flood, then the strong one; and the flood is no reason to be deaf to
        // another.
        assert_eq!(of("host:0.0.0.1", "repeated"), 20);
        let strong = documents.iter().find(|alert| alert["ueba"]["score"] == 0.8).unwrap();
        assert_eq!(strong["ueba"]["threshold"], 0.5);
        assert_eq!(suppressed, BTreeMap::from([("alert-budget".to_owned(), 380)]));
        let closed = documents.iter().find(|alert| alert["event"]["action"] == "closed").unwrap();
        assert_eq!(closed["ueba"]["incident"]["count"], 401, "{closed}");
        assert_eq!(closed["ueba"]["incident"]["detectors"], serde_json::json!(["http-oddities"]));
        assert_eq!(closed["ueba"]["incident"]["strongest"]["score"], 0.8);
        assert_eq!(closed["ueba"]["incident"]["strongest"]["id"], strong["event"]["id"]);
    }

    #[test]
    fn a_risk_that_reaches_the_mark_alerts_with_what_it_is_made_of() {
        let items = [item(100, 1, 0, 1, 700_000), item(101, 1, 1, 2, 300_000)];
        let (documents, ..) = run(&items, &[]);
        let names = |alert: &Value| {
            let word = |value: &Value| value.as_str().unwrap().to_owned();
            (word(&alert["rule"]["name"]), word(&alert["event"]["action"]))
        };
        let found: Vec<_> = documents.iter().map(names).collect();
        let expected =
            [("long-connection", "opened"), ("risk", "repeated"), ("incident", "closed")];
        assert_eq!(found, expected.map(|(rule, action)| (rule.to_owned(), action.to_owned())));
        let risk = &documents[1];
        // 0.7 of 60 points a minute old, and 0.3 of 40.
        assert_eq!(risk["ueba"]["score"], 0.539797);
        let reasons = risk["ueba"]["reasons"].as_array().unwrap();
        let shares: Vec<u64> = reasons.iter().map(|it| millionths(&it["contribution"])).collect();
        assert_eq!(shares, [419_797, 120_000]);
        assert_eq!(reasons[0]["observed"], 41.979_78);
        let uids: Vec<&Value> =
            risk["ueba"]["evidence"].as_array().unwrap().iter().map(|it| &it["uid"]).collect();
        assert_eq!(uids, ["C1", "C2"]);
        assert_eq!(risk["threat"]["technique"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_incident_waits_for_its_risk_to_fall() {
        // Certain: 60 points, below 40 after 14 hours; so 24 hours after the alert it may close.
        let closed_at = |items: &[Item]| {
            let (documents, ..) = run(items, &[]);
            let closed =
                documents.into_iter().find(|it| it["event"]["action"] == "closed").unwrap();
            let time = Time::parse_iso(closed["@timestamp"].as_str().unwrap().as_bytes()).unwrap();
            time.0 / MINUTE
        };
        let day = DAY / MINUTE;
        assert_eq!(closed_at(&[item(100, 1, 0, 1, 1_000_000)]), 100 + day + 1);
        // Two certain stages: 100 points, below 40 after 31.7 hours, at the end of the hour.
        let items = [item(100, 1, 0, 1, 1_000_000), item(100, 1, 1, 2, 1_000_000)];
        let hour = HOUR / MINUTE;
        assert_eq!(closed_at(&items), 34 * hour);
    }
}
