//! The tables and keys that `pipeline.toml` may hold, and where a path of keys leads.
//!
//! Here belong the fixed tables (those of sinks are in `sinks`) and the look-up by path. The keys
//! of a stage belong to the stage; they come in as [`StageKeys`]. Reading values belongs to `read`.

use crate::base::keys::{KIB, KeyDef, Kind, MIB};
use crate::base::time::{DAY, MINUTE};

use super::sinks::{ELASTICSEARCH, KAFKA, NDJSON};

/// The keys that one stage brings for its table `[stage.<name>]`.
#[derive(Clone, Copy, Debug)]
pub struct StageKeys {
    /// The name of the stage, in `kebab-case`.
    pub name: &'static str,
    /// Its group, whose budget `[risk.budget]` may set.
    pub group: &'static str,
    /// All keys of its table. `enabled`, `weight`, `alert` and `half_life` are always among them.
    pub keys: &'static [KeyDef],
}

/// The fixed tables in the order of the shipped file; stages follow after them.
pub static SECTIONS: &[(&str, &[KeyDef])] = &[
    ("sensor", SENSOR),
    ("source", SOURCE),
    ("source.fields", SOURCE_FIELDS),
    ("event", EVENT),
    ("entity", ENTITY),
    ("risk", RISK),
    ("model", MODEL),
    ("sink.ndjson", NDJSON),
    ("sink.kafka", KAFKA),
    ("sink.elasticsearch", ELASTICSEARCH),
    ("http", HTTP),
    ("state", STATE),
];

const SENSOR: &[KeyDef] = &[
    KeyDef {
        name: "id",
        kind: Kind::Text,
        default: Some(r#""sensor-1""#),
        example: "",
        doc: "name of this sensor in every event, at most 128 bytes",
    },
    KeyDef {
        name: "internal",
        kind: Kind::CidrList,
        default: None,
        example: concat!(
            r#"["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "#,
            r#""fc00::/7", "fe80::/10"]"#
        ),
        doc: concat!(
            "when given it alone decides who is internal; ",
            "otherwise these ranges plus Zeek's local_orig and local_resp"
        ),
    },
];

const SOURCE: &[KeyDef] = &[
    KeyDef {
        name: "roots",
        kind: Kind::TextList,
        default: Some(concat!(
            r#"["/opt/zeek/logs", "/opt/zeek/spool", "/usr/local/zeek/logs", "#,
            r#""/usr/local/zeek/spool", "/var/log/zeek", "/var/spool/zeek"]"#
        )),
        example: "",
        doc: "directories of Zeek's logs, three levels deep; one that is not there is waited for",
    },
    KeyDef {
        name: "backfill",
        kind: Kind::Flag,
        default: Some("false"),
        example: "",
        doc: "read also what was put away before the first start",
    },
    KeyDef {
        name: "line_bytes_max",
        kind: Kind::Bytes { min: 4 * KIB, max: 64 * MIB },
        default: Some(r#""1MiB""#),
        example: "",
        doc: "longest line of a log that is read; a longer one is rejected",
    },
    KeyDef {
        name: "lateness",
        kind: Kind::Duration { min_us: 0, max_us: DAY },
        default: Some(r#""5m""#),
        example: "",
        doc: "how long after its event time a row still counts in its own minute",
    },
    KeyDef {
        name: "alias",
        kind: Kind::TextMap,
        default: Some("{}"),
        example: r#""src_ip" = "id.orig_h""#,
        doc: "names in JSON logs that differ from Zeek's: JSON key = Zeek's field name",
    },
];

const SOURCE_FIELDS: &[KeyDef] = &[
    KeyDef {
        name: "conn",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"]"#,
        doc: "column names of conn logs written without a header",
    },
    KeyDef {
        name: "open_conn",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"]"#,
        doc: "column names of open_conn logs written without a header",
    },
    KeyDef {
        name: "dns",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "query"]"#,
        doc: "column names of dns logs written without a header",
    },
    KeyDef {
        name: "http",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "uri"]"#,
        doc: "column names of http logs written without a header",
    },
    KeyDef {
        name: "files",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "fuid", "uid", "source", "mime_type", "filename", "sha256"]"#,
        doc: "column names of files logs written without a header",
    },
    KeyDef {
        name: "ssl",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "server_name"]"#,
        doc: "column names of ssl logs written without a header",
    },
    KeyDef {
        name: "quic",
        kind: Kind::TextList,
        default: None,
        example: r#"["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "server_name"]"#,
        doc: "column names of quic logs written without a header",
    },
];

const EVENT: &[KeyDef] = &[
    KeyDef {
        name: "emit",
        kind: Kind::Choice(&["all", "scored", "none"]),
        default: Some(r#""all""#),
        example: "",
        doc: "rows that become events: all of them, those that a stage scores with 0.1 or more (scored), or none",
    },
    KeyDef {
        name: "fields",
        kind: Kind::Choice(&["both", "ecs", "zeek"]),
        default: Some(r#""both""#),
        example: "",
        doc: "field names in events: ecs (Elastic Common Schema), zeek (as in the log), or both",
    },
    KeyDef {
        name: "redact",
        kind: Kind::TextList,
        default: Some(concat!(
            r#"["http.password", "http.cookie_vars", "#,
            r#""http.uri:userinfo", "http.referrer:userinfo"]"#
        )),
        example: "",
        doc: "log.field blanks the value, log.field:userinfo user and password of a URI in it",
    },
];

const ENTITY: &[KeyDef] = &[
    KeyDef {
        name: "scope",
        kind: Kind::Choice(&["network", "sensor"]),
        default: Some(r#""network""#),
        example: "",
        doc: "an address is one entity in the whole network, or one for each sensor that sees it",
    },
    KeyDef {
        name: "ipv6",
        kind: Kind::Choice(&["address", "/64"]),
        default: Some(r#""address""#),
        example: "",
        doc: "an IPv6 entity is one address, or the /64 network it is in",
    },
    KeyDef {
        name: "max",
        kind: Kind::Integer { min: 1, max: 100_000_000 },
        default: Some("100000"),
        example: "",
        doc: "entities with a risk score kept in memory; the lowest, longest quiet goes first",
    },
    KeyDef {
        name: "role_clients",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: Some("5"),
        example: "",
        doc: concat!(
            "internal clients of one service within a day that make its server a resolver, proxy, ",
            "mail or update server; 0 learns none"
        ),
    },
    KeyDef {
        name: "roles",
        kind: Kind::TextMap,
        default: Some("{}"),
        example: r#""10.0.0.53" = "resolver""#,
        doc: concat!(
            "addresses or networks that many share: resolver, proxy, nat, mail, update, scanner, ",
            "or none whatever was learned"
        ),
    },
];

const RISK: &[KeyDef] = &[
    KeyDef {
        name: "half_life",
        kind: Kind::Duration { min_us: MINUTE, max_us: 3650 * DAY },
        default: Some(r#""24h""#),
        example: "",
        doc: "time in which what a stage found falls to a half, where the stage has no time of its own",
    },
    KeyDef {
        name: "alert",
        kind: Kind::Real { min: 0.0, max: 100.0 },
        default: Some("50"),
        example: "",
        doc: "points from which the risk of an entity is an alert",
    },
    KeyDef {
        name: "hysteresis",
        kind: Kind::Real { min: 0.0, max: 100.0 },
        default: Some("10"),
        example: "",
        doc: "points that a risk has to fall below that before it alerts again or its incident ends",
    },
    KeyDef {
        name: "incident_quiet",
        kind: Kind::Duration { min_us: MINUTE, max_us: 3650 * DAY },
        default: Some(r#""24h""#),
        example: "",
        doc: "how long an entity has to be without an alert before its incident ends",
    },
    KeyDef {
        name: "alerts_per_day",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: Some("20"),
        example: "",
        doc: "alerts a day and 1,000 hosts from which weaker repeats are held back; never below 20 a day",
    },
    KeyDef {
        name: "allow_list",
        kind: Kind::Text,
        default: None,
        example: r#""/etc/zeek-ueba/allow.toml""#,
        doc: "file of what neither alerts nor counts (docs/allow-lists.md); SIGHUP reads it again",
    },
    KeyDef {
        name: "criticality_csv",
        kind: Kind::TextList,
        default: Some("[]"),
        example: "",
        doc: "CSV files with the columns entity,criticality[,comment]; entities as in [risk.criticality]",
    },
    KeyDef {
        name: "criticality",
        kind: Kind::RealMap { min: 0.1, max: 10.0 },
        default: Some("{}"),
        example: r#""10.0.0.0/24" = 2.0"#,
        doc: concat!(
            "by how much a risk counts, 0.1 to 10: of an address, host:..., user:..., a network, ",
            "or host: and user: with *; the most specific line counts, docs/risk.md"
        ),
    },
    KeyDef {
        name: "budget",
        kind: Kind::RealMap { min: 0.0, max: 100.0 },
        default: Some("{}"),
        example: r#""web" = 30"#,
        doc: "points that the stages of a group add together at most; else their greatest weight",
    },
];

const MODEL: &[KeyDef] = &[
    KeyDef {
        name: "dir",
        kind: Kind::Text,
        default: None,
        example: r#""/usr/share/zeek-ueba/onnx""#,
        doc: "directory of models.toml and its models, where it is not onnx beside the program",
    },
    KeyDef {
        name: "library",
        kind: Kind::Text,
        default: None,
        example: r#""/usr/lib/zeek-ueba/libonnxruntime.so""#,
        doc: "library of ONNX Runtime, 1.24 or newer, where it is not beside the program",
    },
    KeyDef {
        name: "cache",
        kind: Kind::Integer { min: 0, max: 10_000_000 },
        default: Some("131072"),
        example: "",
        doc: "names whose scores each log remembers; changes no score",
    },
];

const HTTP: &[KeyDef] = &[KeyDef {
    name: "listen",
    kind: Kind::Text,
    default: Some(r#""127.0.0.1:8080""#),
    example: "",
    doc: "loopback address and port of /metrics, /healthz, /readyz, /api; port 0 takes a free one, \"\" none",
}];

const STATE: &[KeyDef] = &[
    KeyDef {
        name: "dir",
        kind: Kind::Text,
        default: Some(r#""./state""#),
        example: "",
        doc: "directory of what lasts from run to run; one daemon per directory",
    },
    KeyDef {
        name: "dead_letters_max",
        kind: Kind::Bytes { min: 256 * KIB, max: 1 << 40 },
        default: Some(r#""1GiB""#),
        example: "",
        doc: "bytes of dead-letter.ndjson, which holds what could not be read or sent",
    },
    KeyDef {
        name: "dead_letters_full",
        kind: Kind::Choice(&["pause", "drop_oldest"]),
        default: Some(r#""pause""#),
        example: "",
        doc: "what happens beyond that: reading pauses, or the oldest half goes and is counted",
    },
    KeyDef {
        name: "journal_max",
        kind: Kind::Bytes { min: 64 * KIB, max: 1 << 40 },
        default: Some(r#""1GiB""#),
        example: "",
        doc: "bytes kept of the order in which records met, for replay --journal; at least one snapshot",
    },
    KeyDef {
        name: "commit_every",
        kind: Kind::Duration { min_us: 10_000, max_us: MINUTE },
        default: Some(r#""1s""#),
        example: "",
        doc: "time between two commits at most; alerts and risk leave with them",
    },
];

/// One table that the file may hold.
pub(super) struct Section {
    /// Its dotted name, such as `source.fields`.
    pub(super) name: String,
    /// Its keys.
    pub(super) keys: &'static [KeyDef],
}

/// All tables of one program: the fixed ones and one for each stage.
pub(super) struct Schema {
    pub(super) sections: Vec<Section>,
    /// The groups of stages, each once.
    pub(super) groups: Vec<&'static str>,
}

/// Where a path of keys leads.
pub(super) enum Slot<'a> {
    /// A table of the schema, or one that only holds such tables.
    Section,
    /// A key of the schema.
    Key(&'a Section, &'static KeyDef),
    /// The user's own key in a table of such keys.
    MapEntry(&'a Section, &'static KeyDef),
    /// Nowhere, while the table around it is known. Empty at the top level.
    Unknown(String),
    /// Below something that is already a mistake of its own.
    Below,
}

impl Schema {
    pub(super) fn new(stages: &[StageKeys]) -> Self {
        let fixed = SECTIONS.iter().map(|(name, keys)| Section { name: (*name).into(), keys });
        let mut groups = Vec::new();
        for stage in stages {
            if !groups.contains(&stage.group) {
                groups.push(stage.group);
            }
        }
        let stages =
            stages.iter().map(|s| Section { name: format!("stage.{}", s.name), keys: s.keys });
        Self { sections: fixed.chain(stages).collect(), groups }
    }

    /// Where the path leads.
    pub(super) fn slot(&self, path: &[String]) -> Slot<'_> {
        if self.is_table(path) {
            return Slot::Section;
        }
        let Some((last, parent)) = path.split_last() else { return Slot::Section };
        if self.is_table(parent) {
            return match self.key(parent, last) {
                Some((section, key)) => Slot::Key(section, key),
                None => Slot::Unknown(parent.join(".")),
            };
        }
        let map = parent.split_last().and_then(|(name, table)| self.key(table, name));
        match map {
            Some((section, key)) if key.kind.is_map() => Slot::MapEntry(section, key),
            _ => Slot::Below,
        }
    }

    /// The names that may stand in a table: its keys and the tables within it.
    pub(super) fn known_in(&self, table: &str) -> Vec<String> {
        let keys = self.sections.iter().filter(|s| s.name == table).flat_map(|s| s.keys);
        let mut names: Vec<String> = keys.map(|key| key.name.to_owned()).collect();
        for section in &self.sections {
            let within = match table {
                "" => Some(section.name.as_str()),
                _ => section.name.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')),
            };
            let Some(name) = within.and_then(|rest| rest.split('.').next()) else { continue };
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The fixed tables in which a key of this name is known.
    pub(super) fn homes_of(&self, key: &str) -> Vec<&str> {
        let fixed = self.sections.iter().filter(|s| !s.name.starts_with("stage."));
        let homes = fixed.filter(|s| s.keys.iter().any(|def| def.name == key));
        homes.map(|s| s.name.as_str()).collect()
    }

    /// True for the top level, a section, and a table that only holds sections.
    fn is_table(&self, path: &[String]) -> bool {
        self.sections.iter().any(|section| {
            let mut names = section.name.split('.');
            path.iter().all(|segment| names.next() == Some(segment))
        })
    }

    fn key(&self, table: &[String], name: &str) -> Option<(&Section, &'static KeyDef)> {
        let section = self.sections.iter().find(|s| s.name.split('.').eq(table.iter()))?;
        section.keys.iter().find(|key| key.name == name).map(|key| (section, key))
    }
}
