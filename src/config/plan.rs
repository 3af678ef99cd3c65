//! What the configuration comes to: every value resolved, none of them impossible.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::read::{Tables, parse_redact};
use super::schema::{LOGS, StageKeys};
use crate::base::keys::{Settings, Value};

/// The resolved configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `sensor.id`.
    pub sensor_id: String,
    /// `sensor.internal`, where it is given.
    pub internal: Option<Vec<IpNet>>,
    /// `source.line_bytes_max`.
    pub line_bytes_max: usize,
    /// `source.lateness`, in microseconds.
    pub lateness_us: i64,
    /// `source.fields`, by log.
    pub fields: BTreeMap<&'static str, Vec<String>>,
    /// `source.alias`.
    pub alias: BTreeMap<String, String>,
    /// `event.emit`.
    pub emit: Emit,
    /// `event.fields`.
    pub shown: Shown,
    /// `event.redact`.
    pub redact: Vec<Redact>,
    /// Whether an address is one entity for each sensor (`entity.scope`).
    pub by_sensor: bool,
    /// Whether an IPv6 entity is a /64 (`entity.ipv6`).
    pub by_64: bool,
    /// `entity.max`.
    pub entities_max: usize,
    /// `risk.half_life`, in microseconds.
    pub half_life_us: i64,
    /// `[stage]`, in the order of the stage table.
    pub stages: Vec<StagePlan>,
}

/// `event.emit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Every record.
    All,
    /// Records with a score.
    Scored,
    /// None.
    None,
}

/// `event.fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Both.
    Both,
    /// The Elastic Common Schema's.
    Ecs,
    /// Zeek's.
    Zeek,
}

/// An entry of `event.redact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redact {
    /// The log.
    pub log: String,
    /// The field.
    pub field: String,
    /// Whether only user and password of a URI in it are hidden.
    pub userinfo: bool,
}

/// `[stage.<name>]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePlan {
    /// Its name.
    pub name: &'static str,
    /// `enabled`.
    pub enabled: bool,
    /// `weight`, in millionths of a point.
    pub weight_micro: u64,
    /// `alert`, in parts per million.
    pub alert_ppm: u32,
    /// All of its keys.
    pub settings: Settings,
}

impl Plan {
    /// Puts the tables together, which hold a value for every key that has a default.
    pub(super) fn new(tables: &Tables, stages: &[StageKeys]) -> Self {
        let (sensor, source) = (&tables["sensor"], &tables["source"]);
        let (event, entity) = (&tables["event"], &tables["entity"]);
        let names = |log: &&'static str| match tables["source.fields"].get(log) {
            Some(Value::TextList(names)) => Some((*log, names.clone())),
            _ => None,
        };
        Self {
            sensor_id: sensor.text("id").to_owned(),
            internal: sensor.get("internal").map(|_| sensor.cidrs("internal").to_vec()),
            line_bytes_max: usize::try_from(source.bytes("line_bytes_max")).unwrap_or(usize::MAX),
            lateness_us: source.micros("lateness"),
            fields: LOGS.iter().filter_map(names).collect(),
            alias: source.map("alias").clone(),
            emit: match event.text("emit") {
                "scored" => Emit::Scored,
                "none" => Emit::None,
                _ => Emit::All,
            },
            shown: match event.text("fields") {
                "ecs" => Shown::Ecs,
                "zeek" => Shown::Zeek,
                _ => Shown::Both,
            },
            redact: event.list("redact").iter().filter_map(|text| parse_redact(text)).collect(),
            by_sensor: entity.text("scope") == "sensor",
            by_64: entity.text("ipv6") == "/64",
            entities_max: usize::try_from(entity.integer("max")).unwrap_or(usize::MAX),
            half_life_us: tables["risk"].micros("half_life"),
            stages: stages.iter().map(|stage| StagePlan::new(stage, tables)).collect(),
        }
    }

    /// The part of the configuration that ids of alerts and risk depend on: `[stage]`, `[entity]`,
    /// `[risk]` and `sensor.internal`; the same text for the same meaning.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        let mut text = format!(
            "internal {:?}\nentity {} {} {}\nrisk {}\n",
            self.internal, self.by_sensor, self.by_64, self.entities_max, self.half_life_us
        );
        for stage in &self.stages {
            for (key, value) in stage.settings.iter() {
                text.push_str(&format!("stage.{}.{key} {value}\n", stage.name));
            }
        }
        text
    }
}

impl StagePlan {
    fn new(stage: &StageKeys, tables: &Tables) -> Self {
        let settings = tables[&format!("stage.{}", stage.name)].clone();
        let millionths = |key: &str| (settings.real(key) * 1e6).round();
        Self {
            name: stage.name,
            enabled: settings.flag("enabled"),
            weight_micro: millionths("weight") as u64,
            alert_ppm: millionths("alert") as u32,
            settings,
        }
    }
}
