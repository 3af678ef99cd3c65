//! The keys of sinks.
//!
//! What the values do belongs to `sink`; all other tables belong to `schema`.

use crate::base::keys::{KIB, KeyDef, Kind, MIB};
use crate::base::time::{DAY, MINUTE};

pub(super) const NDJSON: &[KeyDef] = &[
    KeyDef {
        name: "dir",
        kind: Kind::Text,
        default: None,
        example: r#""./out""#,
        doc: "directory of events, alerts and risk as NDJSON files; ./out where no other sink is on",
    },
    KeyDef {
        name: "max_size",
        kind: Kind::Bytes { min: 4096, max: 1 << 40 },
        default: Some(r#""1GiB""#),
        example: "",
        doc: "bytes from which a file becomes events.00000001.ndjson and so on, at the next commit",
    },
    KeyDef {
        name: "keep",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: Some("0"),
        example: "",
        doc: "how many of those stay, of each kind; 0 keeps all, so that somebody else removes them",
    },
];

pub(super) const KAFKA: &[KeyDef] = &[
    KeyDef {
        name: "brokers",
        kind: Kind::TextList,
        default: None,
        example: r#"["127.0.0.1:9092"]"#,
        doc: "host:port of the first brokers; without it this sink is off",
    },
    KeyDef {
        name: "topic_prefix",
        kind: Kind::Text,
        default: Some(r#""zeek-ueba""#),
        example: "",
        doc: "what the topics <prefix>.events, <prefix>.alerts and <prefix>.risk begin with",
    },
    KeyDef {
        name: "window",
        kind: Kind::Bytes { min: MIB, max: 1 << 30 },
        default: Some(r#""32MiB""#),
        example: "",
        doc: "bytes of documents on their way to brokers, in memory",
    },
    SPOOL_MAX,
    WHEN_FULL,
    KeyDef {
        name: "partitions",
        kind: Kind::Integer { min: 1, max: 10_000 },
        default: Some("6"),
        example: "",
        doc: "partitions of a topic that `zeek-ueba setup kafka` makes",
    },
    KeyDef {
        name: "replication",
        kind: Kind::Integer { min: 0, max: 100 },
        default: Some("0"),
        example: "",
        doc: "replicas of its partitions; 0 leaves that to the brokers",
    },
    KeyDef {
        name: "retention",
        kind: Kind::Duration { min_us: MINUTE, max_us: 36_500 * DAY },
        default: None,
        example: r#""7d""#,
        doc: "how long the topics of events and alerts keep a record; else the brokers decide",
    },
    PASSWORD,
    KeyDef {
        name: "password_file",
        kind: Kind::Text,
        default: None,
        example: r#""/etc/zeek-ueba/kafka.password""#,
        doc: "file with sasl.password in it; or password = \"${NAME}\" of the environment",
    },
    KeyDef {
        name: "options",
        kind: Kind::TextMap,
        default: Some("{}"),
        example: r#""security.protocol" = "SASL_SSL""#,
        doc: "options of librdkafka; \"${NAME}\" takes the value from the environment",
    },
];

/// The same key of all sinks that know passwords.
const SPOOL_MAX: KeyDef = KeyDef {
    name: "spool_max",
    kind: Kind::Bytes { min: MIB, max: 1 << 50 },
    default: Some(r#""4GiB""#),
    example: "",
    doc: "bytes kept in the state's directory of what it has not acknowledged",
};

const WHEN_FULL: KeyDef = KeyDef {
    name: "when_full",
    kind: Kind::Choice(&["pause", "drop_events"]),
    default: Some(r#""pause""#),
    example: "",
    doc: "what happens beyond that: reading pauses, or events are dropped and counted",
};

const PASSWORD: KeyDef = KeyDef {
    name: "password",
    kind: Kind::Text,
    default: None,
    example: r#""${PASSWORD}""#,
    doc: "variable of the environment that holds the password; never the password itself",
};

pub(super) const ELASTICSEARCH: &[KeyDef] = &[
    KeyDef {
        name: "urls",
        kind: Kind::TextList,
        default: None,
        example: r#"["https://127.0.0.1:9200"]"#,
        doc: "servers of one cluster, Elasticsearch 8 or 9 or OpenSearch 2 or 3; without it this sink is off",
    },
    KeyDef {
        name: "index_prefix",
        kind: Kind::Text,
        default: Some(r#""zeek-ueba""#),
        example: "",
        doc: "what the names of indices and templates begin with",
    },
    KeyDef {
        name: "layout",
        kind: Kind::Choice(&["daily", "data_stream"]),
        default: Some(r#""daily""#),
        example: "",
        doc: "an index for each day of event time, where nothing is ever twice, or data streams",
    },
    KeyDef {
        name: "user",
        kind: Kind::Text,
        default: None,
        example: r#""zeek-ueba""#,
        doc: "user for basic authentication",
    },
    PASSWORD,
    KeyDef {
        name: "password_file",
        kind: Kind::Text,
        default: None,
        example: r#""/etc/zeek-ueba/elasticsearch.password""#,
        doc: "file that holds the password",
    },
    KeyDef {
        name: "api_key",
        kind: Kind::Text,
        default: None,
        example: r#""${API_KEY}""#,
        doc: "variable of the environment that holds an encoded API key, instead of user and password",
    },
    KeyDef {
        name: "api_key_file",
        kind: Kind::Text,
        default: None,
        example: r#""/etc/zeek-ueba/elasticsearch.key""#,
        doc: "file that holds it",
    },
    KeyDef {
        name: "ca",
        kind: Kind::Text,
        default: None,
        example: r#""/etc/zeek-ueba/ca.pem""#,
        doc: "authorities that servers are signed by, as PEM, instead of the public ones",
    },
    KeyDef {
        name: "window",
        kind: Kind::Bytes { min: MIB, max: 1 << 30 },
        default: Some(r#""32MiB""#),
        example: "",
        doc: "bytes of documents on their way to servers, in memory",
    },
    SPOOL_MAX,
    WHEN_FULL,
    KeyDef {
        name: "connections",
        kind: Kind::Integer { min: 1, max: 64 },
        default: Some("4"),
        example: "",
        doc: "requests at a time",
    },
    KeyDef {
        name: "bulk_max",
        kind: Kind::Bytes { min: 64 * KIB, max: 64 * MIB },
        default: Some(r#""8MiB""#),
        example: "",
        doc: "bytes of documents in one request at most; how many are best is found out below that",
    },
    KeyDef {
        name: "timeout",
        kind: Kind::Duration { min_us: 1_000_000, max_us: 10 * MINUTE },
        default: Some(r#""60s""#),
        example: "",
        doc: "how long a server may take to answer before the same is sent again",
    },
    KeyDef {
        name: "compress",
        kind: Kind::Flag,
        default: Some("false"),
        example: "",
        doc: "compress requests: less on the wire for more work on both sides",
    },
    KeyDef {
        name: "install",
        kind: Kind::Flag,
        default: Some("true"),
        example: "",
        doc: "install missing templates at the start, where rights suffice",
    },
    KeyDef {
        name: "shards",
        kind: Kind::Integer { min: 1, max: 1024 },
        default: Some("1"),
        example: "",
        doc: "shards of a new index",
    },
    KeyDef {
        name: "replicas",
        kind: Kind::Integer { min: 0, max: 100 },
        default: Some("1"),
        example: "",
        doc: "replicas of each",
    },
    KeyDef {
        name: "options",
        kind: Kind::TextMap,
        default: Some("{}"),
        example: r#""index.lifecycle.name" = "logs""#,
        doc: "further settings of a new index",
    },
];
