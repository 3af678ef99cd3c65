//! What the configuration comes to: every value resolved, none of them impossible.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read::{Tables, distinct, network, parse_redact};
use super::schema::StageKeys;
use crate::base::keys::{Settings, Value};
use crate::base::score::Points;
use crate::document::{Rule, Shown};
use crate::engine::Emit;
use crate::model::{Models, Places};
use crate::record::Log;
use crate::risk::{AllowList, Criticality};
use crate::sink::spool::{Bound, WhenFull};
use crate::sink::{Secret, elasticsearch, kafka, letters};
use crate::stage::{Role, RolePolicy};

/// The resolved configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `sensor.id`.
    pub sensor_id: String,
    /// `sensor.internal`, where it is given.
    pub internal: Option<Vec<IpNet>>,
    /// `source.roots`.
    pub roots: Vec<PathBuf>,
    /// `source.backfill`.
    pub backfill: bool,
    /// `source.line_bytes_max`.
    pub line_bytes_max: usize,
    /// `source.lateness`, in microseconds.
    pub lateness_us: i64,
    /// `source.fields`, by log.
    pub fields: BTreeMap<Log, Vec<String>>,
    /// `source.alias`.
    pub alias: BTreeMap<String, String>,
    /// `event.emit`.
    pub emit: Emit,
    /// `event.fields`.
    pub shown: Shown,
    /// `event.redact`.
    pub redact: Vec<Rule>,
    /// Whether an address is one entity for each sensor (`entity.scope`).
    pub by_sensor: bool,
    /// Whether an IPv6 entity is a /64 (`entity.ipv6`).
    pub by_64: bool,
    /// `entity.max`.
    pub entities_max: usize,
    /// `entity.roles` and `entity.role_clients`.
    pub roles: RolePolicy,
    /// `risk.half_life`, in microseconds.
    pub half_life_us: i64,
    /// `risk.allow_list`, where it is given.
    pub allow_list: Option<PathBuf>,
    /// What stands in it.
    pub allow: AllowList,
    /// `risk.alert`, in millionths of a point.
    pub risk_alert_micro: u64,
    /// What a risk has to fall below before it alerts again: `risk.alert - risk.hysteresis`.
    pub risk_rearm_micro: u64,
    /// `risk.incident_quiet`, in microseconds.
    pub incident_quiet_us: i64,
    /// `risk.alerts_per_day`.
    pub alerts_per_day: u64,
    /// `[risk.criticality]` and the files of `risk.criticality_csv`.
    pub criticality: Criticality,
    /// `[risk.budget]`, by the group of stages.
    pub budgets: BTreeMap<String, Points>,
    /// `[model]`.
    pub places: Places,
    /// The models that are in service; none until they are opened.
    pub models: Models,
    /// `sink.ndjson.dir`, where that sink is on.
    pub ndjson: Option<PathBuf>,
    /// `sink.ndjson.max_size`.
    pub ndjson_max: u64,
    /// `sink.ndjson.keep`.
    pub ndjson_keep: u64,
    /// `spool_max` and `when_full` of sinks, by name.
    pub spools: BTreeMap<&'static str, Bound>,
    /// `[sink.kafka]`, where that sink is on.
    pub kafka: Option<kafka::Settings>,
    /// `[sink.elasticsearch]`, where that sink is on.
    pub elasticsearch: Option<elasticsearch::Settings>,
    /// `http.listen`: where to listen, if anywhere.
    pub listen: Option<SocketAddr>,
    /// `state.dir`.
    pub state: PathBuf,
    /// `state.dead_letters_max` and `state.dead_letters_full`.
    pub letters: letters::Bound,
    /// `state.journal_max`.
    pub journal_max: u64,
    /// `state.commit_every`.
    pub commit_every: Duration,
    /// `[stage]`, in the order of the stage table.
    pub stages: Vec<StagePlan>,
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
    /// `half_life`, or else that of `[risk]`, in microseconds.
    pub half_life_us: i64,
    /// All of its keys.
    pub settings: Settings,
}

impl Plan {
    /// Puts the tables together, which hold a value for every key that has a default.
    pub(super) fn new(tables: &Tables, stages: &[StageKeys], criticality: Criticality) -> Self {
        let (sensor, source) = (&tables["sensor"], &tables["source"]);
        let (event, entity) = (&tables["event"], &tables["entity"]);
        let (risk, state) = (&tables["risk"], &tables["state"]);
        let micro = |key: &str| points(risk.real(key)).0;
        let kafka = kafka(&tables["sink.kafka"]);
        let elasticsearch = elasticsearch(&tables["sink.elasticsearch"]);
        let is_alone = kafka.is_none() && elasticsearch.is_none();
        let names = |log: Log| match tables["source.fields"].get(log.name()) {
            Some(Value::TextList(names)) => Some((log, names.clone())),
            _ => None,
        };
        Self {
            sensor_id: sensor.text("id").to_owned(),
            internal: sensor.get("internal").map(|_| sensor.cidrs("internal").to_vec()),
            roots: source.list("roots").iter().map(PathBuf::from).collect(),
            backfill: source.flag("backfill"),
            line_bytes_max: usize::try_from(source.bytes("line_bytes_max")).unwrap_or(usize::MAX),
            lateness_us: source.micros("lateness"),
            fields: Log::ALL.into_iter().filter_map(names).collect(),
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
            roles: roles(entity),
            half_life_us: risk.micros("half_life"),
            allow_list: optional(risk, "allow_list").map(PathBuf::from),
            allow: AllowList::default(),
            risk_alert_micro: micro("alert"),
            risk_rearm_micro: micro("alert").saturating_sub(micro("hysteresis")),
            incident_quiet_us: risk.micros("incident_quiet"),
            alerts_per_day: risk.integer("alerts_per_day").unsigned_abs(),
            criticality,
            budgets: risk
                .reals("budget")
                .iter()
                .map(|(name, it)| (name.clone(), points(*it)))
                .collect(),
            places: places(&tables["model"]),
            models: Models::default(),
            ndjson: match (optional(&tables["sink.ndjson"], "dir"), is_alone) {
                (Some(directory), _) => Some(directory.into()),
                (None, true) => Some("./out".into()),
                (None, false) => None,
            },
            spools: spools(tables),
            kafka,
            elasticsearch,
            ndjson_max: tables["sink.ndjson"].bytes("max_size"),
            ndjson_keep: tables["sink.ndjson"].integer("keep").unsigned_abs(),
            listen: tables["http"].text("listen").parse().ok(),
            state: state.text("dir").into(),
            letters: dead_letters(state),
            journal_max: state.bytes("journal_max"),
            commit_every: Duration::from_micros(state.micros("commit_every").unsigned_abs()),
            stages: stages.iter().map(|stage| StagePlan::new(stage, tables)).collect(),
        }
    }

    /// Says who is internal instead of the configuration.
    pub fn set_internal(&mut self, networks: &[IpNet]) {
        self.internal = Some(distinct(networks));
    }

    /// The part of the configuration that ids of risk depend on: `[stage]`, `[entity]`,
    /// `risk.half_life` and `sensor.internal`; the same text for the same meaning. What `[risk]`
    /// says of alerts is not in it: what was told is not told again because a budget has changed.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        let mut text = self.common_text();
        if !self.criticality.is_empty() {
            text.push_str(&format!("risk.criticality {}\n", self.criticality.id()));
        }
        for (group, points) in &self.budgets {
            text.push_str(&format!("risk.budget.{group} {points}\n"));
        }
        self.stages.iter().for_each(|stage| text.push_str(&stage.text()));
        text
    }

    /// The part that ids of the alerts of one stage depend on: no other stage, so that one more of
    /// them, or another weight, tells nothing again that another has told.
    #[must_use]
    pub fn stage_text(&self, stage: &StagePlan) -> String {
        self.common_text() + &stage.text()
    }

    fn common_text(&self) -> String {
        format!(
            "internal {:?}\nentity {} {} {}\nroles {} {:?}\nrisk {}\n",
            self.internal,
            self.by_sensor,
            self.by_64,
            self.entities_max,
            self.roles.clients,
            self.roles.configured,
            self.half_life_us
        )
    }
}

fn roles(entity: &Settings) -> RolePolicy {
    let role = |name: &str| Role::ALL.into_iter().find(|role| role.name() == name);
    let told = entity.map("roles").iter();
    let clients = entity.integer("role_clients");
    RolePolicy {
        configured: told
            .filter_map(|(net, name)| Some((network(net)?.trunc(), role(name))))
            .collect(),
        clients: usize::try_from(clients).unwrap_or_default(),
    }
}

pub(super) fn points(number: f64) -> Points {
    Points((number * 1e6).round() as u64)
}

fn places(model: &Settings) -> Places {
    let path = |key| optional(model, key).map(PathBuf::from);
    let cache = usize::try_from(model.integer("cache")).unwrap_or_default();
    Places { dir: path("dir"), library: path("library"), cache }
}

fn dead_letters(state: &Settings) -> letters::Bound {
    let when_full = match state.text("dead_letters_full") {
        "drop_oldest" => letters::WhenFull::DropOldest,
        _ => letters::WhenFull::Pause,
    };
    letters::Bound { bytes_max: state.bytes("dead_letters_max"), when_full }
}

/// The spools of sinks, whether they are on or not.
fn spools(tables: &Tables) -> BTreeMap<&'static str, Bound> {
    let bound = |table: &str| Bound {
        bytes_max: tables[table].bytes("spool_max"),
        when_full: match tables[table].text("when_full") {
            "drop_events" => WhenFull::DropEvents,
            _ => WhenFull::Pause,
        },
    };
    let all = [kafka::NAME, elasticsearch::NAME];
    all.into_iter().map(|name| (name, bound(&format!("sink.{name}")))).collect()
}

/// A sink is on when it is said where its servers are.
fn kafka(table: &Settings) -> Option<kafka::Settings> {
    table.get("brokers")?;
    Some(kafka::Settings {
        brokers: table.list("brokers").to_vec(),
        topic_prefix: table.text("topic_prefix").to_owned(),
        window: usize::try_from(table.bytes("window")).unwrap_or(usize::MAX),
        partitions: i32::try_from(table.integer("partitions")).unwrap_or(i32::MAX),
        replication: i32::try_from(table.integer("replication"))
            .ok()
            .filter(|replicas| *replicas > 0)
            .unwrap_or(-1),
        retention: table.get("retention").map(|_| table.micros("retention") / 1000),
        password: Secret::of(optional(table, "password"), optional(table, "password_file")),
        options: table.map("options").clone(),
    })
}

fn elasticsearch(table: &Settings) -> Option<elasticsearch::Settings> {
    table.get("urls")?;
    let size = |key| usize::try_from(table.bytes(key)).unwrap_or(usize::MAX);
    let secret = |key, file| Secret::of(optional(table, key), optional(table, file));
    Some(elasticsearch::Settings {
        urls: table.list("urls").to_vec(),
        index_prefix: table.text("index_prefix").to_owned(),
        layout: match table.text("layout") {
            "data_stream" => elasticsearch::Layout::DataStream,
            _ => elasticsearch::Layout::Daily,
        },
        user: optional(table, "user").map(str::to_owned),
        password: secret("password", "password_file"),
        api_key: secret("api_key", "api_key_file"),
        ca: optional(table, "ca").map(PathBuf::from),
        window: size("window"),
        connections: usize::try_from(table.integer("connections")).unwrap_or(1),
        bulk_max: size("bulk_max"),
        timeout: Duration::from_micros(table.micros("timeout").unsigned_abs()),
        compress: table.flag("compress"),
        install: table.flag("install"),
        shards: table.integer("shards").unsigned_abs(),
        replicas: table.integer("replicas").unsigned_abs(),
        options: table.map("options").clone(),
    })
}

/// The text of a key that has no default.
fn optional<'a>(table: &'a Settings, key: &str) -> Option<&'a str> {
    match table.get(key)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl StagePlan {
    fn text(&self) -> String {
        let line = |(key, value): (&str, &Value)| format!("stage.{}.{key} {value}\n", self.name);
        self.settings.iter().map(line).collect()
    }

    fn new(stage: &StageKeys, tables: &Tables) -> Self {
        let settings = tables[&format!("stage.{}", stage.name)].clone();
        let has_own = settings.get("half_life").is_some();
        let half_life = if has_own { &settings } else { &tables["risk"] };
        Self {
            name: stage.name,
            enabled: settings.flag("enabled"),
            weight_micro: points(settings.real("weight")).0,
            alert_ppm: (settings.real("alert") * 1e6).round() as u32,
            half_life_us: half_life.micros("half_life"),
            settings,
        }
    }
}
