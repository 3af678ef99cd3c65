//! Index templates: what every field of every document is to the servers.
//!
//! Of the types that both Elasticsearch and OpenSearch have. Fields of ours are all named and no
//! others are taken; fields of Zeek's that are known are named, others are kept but not searched,
//! so that a script that logs a new field needs nothing here. No IO here.

use serde_json::{Map, Value, json};

use crate::base::hash;
use crate::record::Log;
use crate::record::schema::{Kind, dns, files};
use crate::stage::TABLE;

use super::{Layout, Settings};

/// A template and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its name, which is also that of the data stream, where there is one.
    pub name: String,
    /// Which indices it is for.
    pub pattern: String,
    /// What is put on the servers.
    pub body: Value,
}

impl Template {
    /// What tells this version of it from others.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        self.body["_meta"]["fingerprint"].as_str().unwrap_or_default()
    }
}

/// The longest text that is searched as a whole: four bytes each, and it is below the 32,766 that
/// an index takes. A longer one is kept, but not searched.
const TEXT_MAX: u64 = 8191;

/// What all documents have.
const ALL: &[(&str, &str)] = &[
    ("@timestamp", "date"),
    ("event.id", "keyword"),
    ("event.kind", "keyword"),
    ("event.dataset", "keyword"),
    ("event.created", "date"),
    ("observer.name", "keyword"),
    ("observer.product", "keyword"),
    ("tags", "keyword"),
    ("ueba.entity", "keyword"),
];

const EVENT: &[(&str, &str)] = &[
    ("source.ip", "ip"),
    ("source.port", "long"),
    ("source.bytes", "long"),
    ("source.packets", "long"),
    ("destination.ip", "ip"),
    ("destination.port", "long"),
    ("destination.bytes", "long"),
    ("destination.packets", "long"),
    ("network.transport", "keyword"),
    ("network.protocol", "keyword"),
    ("network.community_id", "keyword"),
    ("dns.question.name", "keyword"),
    ("dns.question.registered_domain", "keyword"),
    ("dns.question.type", "keyword"),
    ("dns.response_code", "keyword"),
    ("dns.answers.data", "keyword"),
    ("http.request.method", "keyword"),
    ("http.request.referrer", "keyword"),
    ("http.request.body.bytes", "long"),
    ("http.response.status_code", "long"),
    ("http.response.body.bytes", "long"),
    ("http.version", "keyword"),
    ("url.domain", "keyword"),
    ("url.original", "keyword"),
    ("user_agent.original", "keyword"),
    ("user.name", "keyword"),
    ("file.name", "keyword"),
    ("file.mime_type", "keyword"),
    ("file.size", "long"),
    ("file.hash.md5", "keyword"),
    ("file.hash.sha1", "keyword"),
    ("file.hash.sha256", "keyword"),
    ("tls.version", "keyword"),
    ("tls.version_protocol", "keyword"),
    ("tls.cipher", "keyword"),
    ("tls.curve", "keyword"),
    ("tls.established", "boolean"),
    ("tls.resumed", "boolean"),
    ("tls.next_protocol", "keyword"),
    ("tls.client.server_name", "keyword"),
    ("tls.client.subject", "keyword"),
    ("tls.client.issuer", "keyword"),
    ("tls.client.ja3", "keyword"),
    ("tls.server.subject", "keyword"),
    ("tls.server.issuer", "keyword"),
    ("tls.server.ja3s", "keyword"),
    ("ueba.escaped", "keyword"),
];

const ALERT: &[(&str, &str)] = &[
    ("event.risk_score", "double"),
    ("event.action", "keyword"),
    ("rule.name", "keyword"),
    ("rule.description", "keyword"),
    ("threat.framework", "keyword"),
    ("threat.technique.id", "keyword"),
    ("threat.technique.name", "keyword"),
    ("host.ip", "ip"),
    ("user.name", "keyword"),
    ("source.ip", "ip"),
    ("destination.ip", "ip"),
    ("destination.domain", "keyword"),
    ("ueba.detector", "keyword"),
    ("ueba.score", "double"),
    ("ueba.threshold", "double"),
    ("ueba.window.start", "date"),
    ("ueba.window.end", "date"),
    ("ueba.reasons.feature", "keyword"),
    // Numbers of some features, texts of others.
    ("ueba.reasons.observed", "keyword"),
    ("ueba.reasons.expected", "keyword"),
    ("ueba.reasons.contribution", "double"),
    ("ueba.evidence.log", "keyword"),
    ("ueba.evidence.uid", "keyword"),
    ("ueba.evidence.file", "keyword"),
    ("ueba.evidence.offset", "long"),
    ("ueba.evidence.event_id", "keyword"),
    ("ueba.incident.id", "keyword"),
    ("ueba.incident.count", "long"),
    ("ueba.incident.suppressed", "long"),
    ("ueba.incident.detectors", "keyword"),
    ("ueba.incident.strongest.id", "keyword"),
    ("ueba.incident.strongest.score", "double"),
    ("ueba.model.name", "keyword"),
    ("ueba.model.version", "keyword"),
    ("ueba.model.sha256", "keyword"),
];

const RISK: &[(&str, &str)] = &[
    ("host.ip", "ip"),
    ("host.risk.calculated_score_norm", "double"),
    ("host.risk.calculated_level", "keyword"),
    ("user.name", "keyword"),
    ("user.risk.calculated_score_norm", "double"),
    ("user.risk.calculated_level", "keyword"),
    ("ueba.score", "double"),
    ("ueba.previous", "double"),
    ("ueba.criticality", "double"),
    ("ueba.contributions.module", "keyword"),
    ("ueba.contributions.points", "double"),
    ("ueba.contributions.weight", "double"),
    ("ueba.contributions.value", "double"),
    ("ueba.contributions.reasons.feature", "keyword"),
    ("ueba.contributions.reasons.observed", "keyword"),
    ("ueba.contributions.reasons.expected", "keyword"),
    ("ueba.contributions.reasons.contribution", "double"),
    ("ueba.contributions.evidence", "keyword"),
];

/// All templates.
#[must_use]
pub(super) fn templates(settings: &Settings) -> Vec<Template> {
    let stream = settings.layout == Layout::DataStream;
    [("events", stream), ("alerts", stream), ("risk", stream), ("entities", false)]
        .map(|(kind, is_stream)| template(kind, is_stream, settings))
        .into()
}

fn template(kind: &str, is_stream: bool, settings: &Settings) -> Template {
    let name = format!("{}-{kind}", settings.index_prefix);
    let is_dated = !is_stream && kind != "entities";
    let pattern = if is_dated { format!("{name}-*") } else { name.clone() };
    let mut index = Map::new();
    index.insert("number_of_shards".to_owned(), settings.shards.into());
    index.insert("number_of_replicas".to_owned(), settings.replicas.into());
    for (option, value) in &settings.options {
        let option = option.strip_prefix("index.").unwrap_or(option);
        index.insert(option.to_owned(), value.as_str().into());
    }
    let mut body = json!({
        "index_patterns": [pattern],
        // Above templates that are for everything.
        "priority": 200,
        "template": { "settings": { "index": index }, "mappings": mappings(kind) },
    });
    if is_stream {
        body["data_stream"] = json!({});
    }
    let fingerprint = hash::id(&[body.to_string().as_bytes()]).hex();
    let fingerprint = String::from_utf8_lossy(&fingerprint).into_owned();
    body["_meta"] = json!({ "program": "zeek-ueba", "fingerprint": fingerprint });
    Template { name, pattern, body }
}

/// What the fields of a kind of document are.
fn mappings(kind: &str) -> Value {
    let mut fields = Map::new();
    let own = match kind {
        "events" => EVENT,
        "alerts" => ALERT,
        _ => RISK,
    };
    for (path, name) in ALL.iter().chain(own) {
        add(&mut fields, path, typed(name));
    }
    if kind == "events" {
        for stage in TABLE {
            add(&mut fields, &format!("ueba.scores.{}", stage.name), typed("double"));
        }
        add(&mut fields, "zeek", json!({ "dynamic": false, "properties": zeek() }));
    }
    json!({ "dynamic": "strict", "properties": fields })
}

fn typed(name: &str) -> Value {
    match name {
        "keyword" => json!({ "type": name, "ignore_above": TEXT_MAX }),
        _ => json!({ "type": name }),
    }
}

/// `zeek.<log>.<field>`: a value that is not of its type is kept, but not searched.
fn zeek() -> Map<String, Value> {
    let lenient = |name: &str| json!({ "type": name, "ignore_malformed": true });
    let mut logs = Map::new();
    for log in Log::ALL {
        let mut fields = Map::new();
        for (index, column) in log.columns().iter().enumerate() {
            let is =
                |of: Log, id: crate::record::schema::ColumnId| log == of && id.index() == index;
            let kind = match column.kind {
                Kind::Time | Kind::Interval => lenient("double"),
                Kind::Count | Kind::Port => lenient("long"),
                Kind::Addr => lenient("ip"),
                Kind::Flag => typed("boolean"),
                Kind::List if is(Log::Dns, dns::TTLS) => lenient("double"),
                Kind::List
                    if is(Log::Files, files::TX_HOSTS) || is(Log::Files, files::RX_HOSTS) =>
                {
                    lenient("ip")
                }
                Kind::Text | Kind::List => typed("keyword"),
            };
            add(&mut fields, column.name, kind);
        }
        add(&mut logs, log.name(), json!({ "dynamic": false, "properties": fields }));
    }
    logs
}

/// Puts a field where its dotted path leads.
fn add(fields: &mut Map<String, Value>, path: &str, kind: Value) {
    match path.split_once('.') {
        None => {
            fields.insert(path.to_owned(), kind);
        }
        Some((first, rest)) => {
            let object = fields.entry(first).or_insert_with(|| json!({ "properties": {} }));
            if let Some(inner) = object["properties"].as_object_mut() {
                add(inner, rest, kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::elasticsearch::tests::settings;

    /// Whether strict mappings take a document; else the first field that they do not know.
    fn strange(document: &Value, mapping: &Value, path: &str) -> Option<String> {
        match document {
            Value::Object(members) => members.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match mapping["properties"].get(name) {
                    Some(mapping) => strange(value, mapping, &path),
                    None if mapping.get("dynamic") == Some(&json!(false)) => None,
                    None => Some(path),
                }
            }),
            Value::Array(items) => items.iter().find_map(|item| strange(item, mapping, path)),
            Value::Null => None,
            _ if mapping["ignore_malformed"] == true => None,
            value => {
                let fits = match mapping["type"].as_str() {
                    Some("long") => value.as_i64().is_some(),
                    Some("double") => value.is_number(),
                    Some("boolean") => value.is_boolean(),
                    Some("keyword") => value.is_string() || path.contains(".reasons."),
                    Some("date" | "ip") => value.is_string(),
                    _ => false,
                };
                (!fits).then(|| format!("{path} {value} {mapping}"))
            }
        }
    }

    /// Every document of the golden files.
    #[test]
    fn every_field_of_every_document_is_mapped() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden");
        let mut seen = std::collections::BTreeMap::new();
        let mut directories = vec![std::path::PathBuf::from(golden)];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for line in text.lines().filter(|line| line.starts_with("{\"@timestamp\"")) {
                    let document: Value = serde_json::from_str(line).unwrap();
                    let kind = match document["event"]["kind"].as_str() {
                        Some("alert") => "alerts",
                        Some("metric") => "risk",
                        _ => "events",
                    };
                    assert_eq!(strange(&document, &mappings(kind), ""), None, "{line}");
                    *seen.entry(kind).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
    }

    #[test]
    fn names_patterns_and_settings_are_as_asked_for() {
        let daily = templates(&settings("http://127.0.0.1:1"));
        let patterns: Vec<&str> = daily.iter().map(|it| it.pattern.as_str()).collect();
        assert_eq!(patterns, ["z-events-*", "z-alerts-*", "z-risk-*", "z-entities"]);
        let stream = Settings { layout: Layout::DataStream, ..settings("http://127.0.0.1:1") };
        let streams = templates(&stream);
        let patterns: Vec<&str> = streams.iter().map(|it| it.pattern.as_str()).collect();
        assert_eq!(patterns, ["z-events", "z-alerts", "z-risk", "z-entities"]);
        let is_stream = |it: &Template| it.body.get("data_stream").is_some();
        let are_streams: Vec<bool> = streams.iter().map(is_stream).collect();
        assert_eq!(are_streams, [true, true, true, false]);
        let index = &daily[0].body["template"]["settings"]["index"];
        let expected = json!({
            "number_of_shards": 1, "number_of_replicas": 0, "codec": "best_compression"
        });
        assert_eq!(*index, expected);
        assert_ne!(daily[0].fingerprint(), streams[0].fingerprint());
        assert_eq!(daily, templates(&settings("http://127.0.0.1:2")));
    }
}
