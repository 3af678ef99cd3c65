//! Floor 8: from a plan to an engine: parsers, stages, lanes, the entity lane.
//!
//! The composition root; nothing is decided here that the plan does not say.

mod again;
#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod campaign;
pub mod dlq;
#[cfg(test)]
mod downloads;
pub mod explain;
pub mod kept;
pub mod live;
pub mod models;
pub mod profile;
pub mod retrace;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::Question;
use crate::base::address::Networks;
use crate::base::hash;
use crate::base::score::{Points, Ppm};
use crate::config::{self, Plan, StageKeys};
use crate::document::{Hidden, ModelName};
use crate::engine::{AlertPolicy, Core, Identity, LaneSpec, StagePlan, Worker, WorkerPlan};
use crate::feature::FeatureDef;
use crate::model::Entry;
use crate::record::schema::ColumnId;
use crate::record::{Inside, Lane, Log, Scope};
use crate::replay::{LaneFeeds, Planned};
use crate::risk::{Marks, Module, Policy};
use crate::stage::{Build, StageDef, TABLE};
use crate::state::{CannotOpen, Owner, Reader};
use crate::zeek::{self, Settings};

use models::is_on;

/// The configuration keys of every stage in the table.
#[must_use]
pub fn stage_keys() -> Vec<StageKeys> {
    let keys =
        |stage: &StageDef| StageKeys { name: stage.name, group: stage.group, keys: stage.keys };
    TABLE.iter().map(keys).collect()
}

/// The names of every stage in the table.
#[must_use]
pub fn stage_names() -> Vec<&'static str> {
    TABLE.iter().map(|stage| stage.name).collect()
}

/// Whose state it is.
fn owner(plan: &Plan) -> Owner {
    let scope = if plan.by_sensor { "sensor" } else { "network" }.to_owned();
    Owner { sensor_id: plan.sensor_id.clone(), scope }
}

/// How entities are named.
#[must_use]
pub fn scope(plan: &Plan) -> Scope {
    if plan.by_sensor { Scope::Sensor(plan.sensor_id.as_str().into()) } else { Scope::Network }
}

/// How the records of every lane are treated.
#[must_use]
pub fn worker_plan(plan: &Plan) -> WorkerPlan {
    WorkerPlan {
        sensor_id: plan.sensor_id.clone(),
        inside: Inside::new(plan.internal.as_deref().map(Networks::new), plan.by_64),
        scope: scope(plan),
        emit: plan.emit,
        shown: plan.shown,
        redact: plan.redact.clone(),
        lateness_us: plan.lateness_us,
    }
}

/// The parser of every log, with the columns that its stages and its documents ask for.
#[must_use]
pub fn parsers(plan: &Plan) -> BTreeMap<Log, Settings> {
    let worker = worker_plan(plan);
    let settings = |log: Log| {
        let mut wanted: Vec<ColumnId> = Worker::columns(log, &worker);
        // What is a record must not depend on who asks: a value that is not of its type is found
        // whether or not somebody wants it.
        wanted.extend(log.typed_columns());
        let on = TABLE.iter().zip(&plan.stages).filter(|(def, of)| is_on(plan, def, of));
        for (stage, _) in on {
            wanted.extend(stage.columns(log));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let names = plan.fields.get(&log);
        let settings = Settings {
            log,
            wanted,
            line_bytes_max: plan.line_bytes_max,
            configured: names.map(|names| Arc::new(zeek::configured(log, names))),
            alias: plan.alias.clone().into_iter().collect(),
        };
        (log, settings)
    };
    Log::ALL.into_iter().map(settings).collect()
}

/// The worker of one log with its enabled stages.
#[must_use]
pub fn worker(plan: &Plan, log: Log) -> Worker {
    let mut worker = Worker::new(log, worker_plan(plan));
    for (index, (stage, settings)) in TABLE.iter().zip(&plan.stages).enumerate() {
        if !is_on(plan, stage, settings) || !stage.reads(log) {
            continue;
        }
        match stage.build {
            Build::Record(build) => {
                worker.add_record(index, stage.name, build(&settings.settings, &plan.models));
            }
            Build::Window { fold, .. } => {
                worker.add_fold(index, stage.name, fold(&settings.settings, &plan.models));
            }
            Build::Judge(_) => worker.watch(index),
        }
    }
    worker
}

/// A lane for each kind of log that there is something to read of.
#[must_use]
pub fn lanes(
    plan: &Plan,
    settings: &BTreeMap<Log, Settings>,
    files: BTreeMap<Lane, Vec<Planned>>,
) -> Vec<LaneSpec> {
    let lane = |(lane, files): (Lane, Vec<Planned>)| {
        let logs = Log::ALL.into_iter().filter(|log| log.lane() == lane);
        let workers = logs.map(|log| (log, (worker(plan, log), settings[&log].batch())));
        LaneSpec {
            lane,
            feeds: Box::new(LaneFeeds::new(files, settings, &plan.sensor_id)),
            workers: workers.collect(),
        }
    };
    files.into_iter().map(lane).collect()
}

/// How findings become risk.
fn policy(plan: &Plan) -> Policy {
    let module = |(def, of): (&StageDef, &config::StagePlan)| Module {
        name: def.name,
        group: def.group,
        weight: Points(of.weight_micro),
        half_life_us: of.half_life_us,
        is_enabled: is_on(plan, def, of),
    };
    let modules = TABLE.iter().zip(&plan.stages).map(module).collect();
    let criticality = plan.criticality.clone();
    Policy::new(modules, &plan.budgets, criticality, plan.entities_max).with_marks(marks(plan))
}

fn marks(plan: &Plan) -> Marks {
    Marks { alert: Points(plan.risk_alert_micro), rearm: Points(plan.risk_rearm_micro) }
}

fn model_name(plan: &Plan, detector: &'static str) -> Option<ModelName> {
    let entry = plan.models.entry(detector)?;
    let (version, sha256) = (entry.version.clone(), entry.sha256.clone());
    Some(ModelName { name: detector, version, sha256 })
}

fn stage_fingerprint(plan: &Plan, def: &StageDef, of: &config::StagePlan) -> [u8; 32] {
    let model = |it: &&FeatureDef| {
        plan.models.entry(it.detector).map(|entry| format!("model.{}\n", entry.sha256))
    };
    let models: String = def.models.iter().filter_map(model).collect();
    hash::digest(&[plan.stage_text(of).as_bytes(), models.as_bytes()])
}

/// The answer of a daemon to who asks, as a document; nothing where it knows nothing.
///
/// # Errors
/// When its state cannot be read.
pub fn answer(
    plan: &Plan,
    reader: &Reader,
    question: &Question,
) -> Result<Option<Vec<u8>>, CannotOpen> {
    match question {
        Question::Why(id) => explain::answer(plan, reader, id),
        Question::Profile(text) => match profile::meant(plan, text) {
            Some(entity) => profile::by_reader(plan, reader, Some(&entity)),
            None => Ok(None),
        },
        Question::Profiles => profile::by_reader(plan, reader, None),
    }
}

/// The entity lane.
#[must_use]
pub fn core(plan: &Plan) -> Core {
    // Other models make other scores.
    let model = |(name, entry): (&str, &Entry)| format!("model.{name} {}\n", entry.sha256);
    let models: String = plan.models.entries().map(model).collect();
    let fingerprint = plan.fingerprint_text() + &models;
    let identity = Identity {
        sensor_id: plan.sensor_id.clone(),
        scope: scope(plan),
        hidden: Log::ALL.into_iter().map(|log| (log, Hidden::new(&plan.redact, log))).collect(),
        fingerprint: hash::digest(&[fingerprint.as_bytes()]),
    };
    let stage = |(def, of): (&'static StageDef, &config::StagePlan)| StagePlan {
        def,
        alert: Ppm::new(of.alert_ppm),
        fingerprint: stage_fingerprint(plan, def, of),
        enabled: of.enabled,
        models: def.models.iter().filter_map(|it| model_name(plan, it.detector)).collect(),
        close: match def.build {
            Build::Window { close, combine, .. } if is_on(plan, def, of) => {
                Some((close(&of.settings, &plan.models), combine))
            }
            _ => None,
        },
        judge: match def.build {
            Build::Judge(build) if is_on(plan, def, of) => Some(build(&of.settings)),
            _ => None,
        },
    };
    let stages = TABLE.iter().zip(&plan.stages).map(stage).collect();
    let alerts = AlertPolicy {
        marks: marks(plan),
        quiet_us: plan.incident_quiet_us,
        per_thousand: plan.alerts_per_day,
    };
    Core::new(identity, stages, policy(plan), plan.lateness_us, plan.roles.clone(), alerts)
}
