//! The daemon and a search engine: what stands in the files stands in the indices, once, whatever
//! is killed or in the way.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::oracle::{Holds, Stored};
use super::{Daemon, PATIENCE, killed_now_and_then, risky};
use crate::services::{Secured, search, secured};

/// A search engine as a test sees it.
pub(super) struct Engine {
    agent: ureq::Agent,
    pub(super) url: String,
    authorization: String,
    /// What names begin with.
    pub(super) prefix: String,
}

impl Engine {
    pub(super) fn new(place: &Path) -> Self {
        Self::at(search(), RootCerts::WebPki, String::new(), place)
    }

    pub(super) fn secured(secured: &Secured, place: &Path) -> Self {
        let ca = Certificate::from_pem(&fs::read(&secured.ca).unwrap()).unwrap();
        let pair = format!("{}:{}", secured.user, secured.password);
        let basic = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
        Self::at(secured.url.clone(), RootCerts::new_with_certs(&[ca]), basic, place)
    }

    fn at(url: String, roots: RootCerts, authorization: String, place: &Path) -> Self {
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls);
        let name = place.file_name().unwrap().to_str().unwrap().to_lowercase();
        let prefix = format!("t{}", name.trim_start_matches('.'));
        Self { agent: agent.build().into(), url, authorization, prefix }
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.say(method, path, body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// The answer as it came.
    pub(super) fn text(&self, method: &str, path: &str, body: &Value) -> String {
        let (status, text) = self.say(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        text
    }

    fn say(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("authorization", &self.authorization);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut reply = self.agent.run(request.body(body).unwrap()).unwrap();
        let text = reply.body_mut().read_to_string().unwrap();
        (reply.status().as_u16(), text)
    }

    pub(super) fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// What indices hold: index, id and source of each document.
    fn documents(&self, kind: &str) -> Vec<(String, String, Value)> {
        let name = format!("{}-{kind}", self.prefix);
        self.done("POST", &format!("/{name}/_refresh"), &Value::Null);
        let found = self.done("GET", &format!("/{name}/_search?size=10000"), &Value::Null);
        let hits = found["hits"]["hits"].as_array().unwrap();
        assert!(hits.len() < 10_000);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let hit = |hit: &Value| (text(&hit["_index"]), text(&hit["_id"]), hit["_source"].clone());
        hits.iter().map(hit).collect()
    }

    /// Documents by id, each there once.
    pub(super) fn by_id(&self, kind: &str) -> BTreeMap<String, Value> {
        let mut by_id = BTreeMap::new();
        for (_, id, source) in self.documents(kind) {
            assert!(by_id.insert(id.clone(), source).is_none(), "{id} twice in {kind}");
        }
        by_id
    }

    /// Arguments for a daemon, or a command, that sends to it.
    pub(super) fn args(&self) -> Vec<String> {
        let set = |key: &str, value: String| {
            ["--set".to_owned(), format!("sink.elasticsearch.{key}={value}")]
        };
        [
            set("urls", format!("[{:?}]", self.url)),
            set("index_prefix", format!("{:?}", self.prefix)),
            set("replicas", "0".to_owned()),
        ]
        .concat()
    }
}

impl Holds for Engine {
    fn stored(&self, kind: &str) -> Vec<Stored> {
        let documents = self.documents(&format!("{kind}*")).into_iter();
        documents.map(|(index, id, source)| Stored { index, id, source }).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for path in ["/_index_template/{}-*", "/_data_stream/{}-*", "/{}-*"] {
            let path = path.replace("{}", &self.prefix);
            // Some of it may not be there.
            self.ask("DELETE", &format!("{path}?expand_wildcards=all"), &Value::Null);
        }
    }
}

/// Documents of a file by their ids.
fn written(bytes: &[u8]) -> BTreeMap<String, Value> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let documents = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    documents.map(|it| (it["event"]["id"].as_str().unwrap().to_owned(), it)).collect()
}

/// Compares documents by their ids, and says which differ.
fn check_same(kind: &str, found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    let missing = expected.keys().filter(|id| !found.contains_key(*id)).count();
    let more = found.keys().filter(|id| !expected.contains_key(*id)).count();
    assert_eq!((missing, more), (0, 0), "missing and more in {kind}");
    for (id, document) in found {
        assert_eq!(*document, expected[id], "{kind}");
    }
}

/// The latest risk document of each entity.
pub(super) fn latest(risk: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut latest: BTreeMap<String, Value> = BTreeMap::new();
    for document in risk.values() {
        let entity = document["ueba"]["entity"].as_str().unwrap();
        let time = |it: &Value| it["@timestamp"].as_str().unwrap().to_owned();
        if latest.get(entity).is_none_or(|known| time(known) < time(document)) {
            latest.insert(entity.to_owned(), document.clone());
        }
    }
    latest
}

pub(super) fn wait(daemon: &Daemon, what: &dyn Fn(&Daemon) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !what(daemon) {
        assert!(Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a command says, with its exit code.
fn says(args: &[String], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let place = TempDir::new().unwrap();
    let mut command = crate::common::program();
    command.args(args).envs(environment.iter().copied()).current_dir(place.path());
    let run = command.output().unwrap();
    (run.status.code(), String::from_utf8([run.stdout, run.stderr].concat()).unwrap())
}

fn with(command: &[&str], args: &[String]) -> Vec<String> {
    let command = command.iter().map(|word| (*word).to_owned());
    command.chain(args.iter().cloned()).collect()
}

/// Kafka, the search engine and the files, and a daemon that is killed 20 times.
#[test]
fn files_kafka_and_indices_hold_the_same_whenever_the_daemon_was_killed() {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let brokers = crate::services::kafka();
    let mut daemon = Daemon::new(place.path());
    daemon.args = engine.args();
    let topics = &engine.prefix;
    for set in
        [format!("sink.kafka.brokers=[{brokers:?}]"), format!("sink.kafka.topic_prefix={topics:?}")]
    {
        daemon.args.extend(["--set".to_owned(), set]);
    }
    assert_eq!(killed_now_and_then(&mut daemon, place.path(), 2), 4000);
    assert_eq!(daemon.starts, 21);
    let mut sizes = Vec::new();
    for kind in ["events", "alerts", "risk"] {
        let wrote = written(&daemon.bytes(&format!("{kind}.ndjson")));
        check_same(kind, &engine.by_id(&format!("{kind}-*")), &wrote);
        let sent = super::kafka::topic(&brokers, &format!("{topics}.{kind}"));
        assert!(sent.keys().eq(wrote.keys()), "{kind} in Kafka");
        if kind == "risk" {
            check_same("entities", &engine.by_id("entities"), &latest(&wrote));
        }
        sizes.push(wrote.len());
    }
    assert!(sizes[0] == 4000 && sizes[1] > 50 && sizes[2] > 50, "{sizes:?}");
}

#[test]
fn one_sink_that_is_away_does_not_stop_the_other() {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let cluster = MockCluster::new(1).unwrap();
    cluster.broker_down(1).unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = engine.args();
    let brokers = format!("sink.kafka.brokers=[{:?}]", cluster.bootstrap_servers());
    daemon.args.extend(["--set".to_owned(), brokers]);
    let (conns, _) = risky(500);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    daemon.start();
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_acked_total{sink=\"elasticsearch\"}") == 500.0
    });
    let metrics = daemon.metrics();
    assert_eq!(metrics.get("sink_up{sink=\"elasticsearch\"}"), 1.0);
    assert_eq!(metrics.get("sink_up{sink=\"kafka\"}"), 0.0);
    assert_eq!(metrics.get("sink_sent_total{sink=\"elasticsearch\",kind=\"event\"}"), 500.0);
    assert_eq!(engine.by_id("events-*").len(), 500);
    // What it lacks is kept for it.
    assert_eq!(daemon.get("/readyz").code, 200);
    cluster.broker_up(1).unwrap();
    wait(&daemon, &|daemon| daemon.metrics().get("sink_lag_records{sink=\"kafka\"}") == 0.0);
    // What is sent again after the next start is known by then.
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
}

#[test]
fn hostile_records_are_taken_with_everything_in_them() {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let mut daemon = Daemon::new(place.path());
    daemon.args = engine.args();
    let (mut conns, https) = risky(3);
    // Times that would each open an index of their own.
    for (n, ts) in ["1.0", "99999999999.0", "2000000000.0"].into_iter().enumerate() {
        conns.push(format!("{ts}\tCfar{n}\t10.0.0.5\t203.0.113.9\t1.5\t18446744073709551615\n"));
    }
    conns.push("1700000009.0\tCnone\tnot an address\t203.0.113.9\t1.5\t1\n".to_owned());
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    let long = "x".repeat(40_000);
    let name = https[0].replace("198.51.100.", "\\x00\\x1b[2J\\x7f\\xff\"\\\\");
    let field = https[1].replace("/x.jpg", &format!("/{long}"));
    let https = crate::common::http(&["no record"]) + &name + &field;
    fs::write(place.path().join("http.log"), https).unwrap();
    daemon.start();
    let until = Instant::now() + PATIENCE;
    while daemon.delivered().len() < conns.len() + 2 {
        let said = || (daemon.delivered(), daemon.lines("dead-letter.ndjson"), daemon.log());
        assert!(Instant::now() < until, "{:?} {:?}", said(), daemon.get("/metrics").body);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    let wrote = written(&daemon.bytes("events.ndjson"));
    let found = engine.by_id("events-*");
    check_same("events", &found, &wrote);
    assert!(wrote.values().any(|it| it.to_string().contains(&long)));
    let tagged =
        |tag: &str| wrote.values().filter(|it| it["tags"].to_string().contains(tag)).count();
    assert_eq!(tagged("timestamp_out_of_range"), 3);
    assert_eq!(tagged("count_clamped"), 3);
    let mut indices: Vec<String> =
        engine.documents("events-*").into_iter().map(|(index, ..)| index).collect();
    indices.sort();
    indices.dedup();
    assert_eq!(indices.len(), 1, "{indices:?}");
}

/// A daemon over 100 connections, and an index of theirs that is treated so before it starts.
pub(super) fn obstructed(treat: impl FnOnce(&Engine, &str)) -> (TempDir, Engine, Daemon) {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let (conns, https) = risky(100);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = engine.args();
    daemon.start();
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_acked_total{sink=\"elasticsearch\"}") >= 100.0
    });
    let index = engine.documents("events-*").remove(0).0;
    treat(&engine, &index);
    let https = crate::common::http(&["no record"]) + &https.concat();
    fs::write(place.path().join("http.log"), https).unwrap();
    (place, engine, daemon)
}

#[test]
fn an_index_that_is_closed_gives_dead_letters_and_the_rest_goes_on() {
    let (_place, engine, daemon) = obstructed(|engine, index| {
        engine.done("POST", &format!("/{index}/_close"), &Value::Null);
    });
    let series = "dead_letters_total{sink=\"elasticsearch\",reason=\"rejected_by_sink\"}";
    wait(&daemon, &|daemon| daemon.metrics().get(series) == 100.0);
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_lag_records{sink=\"elasticsearch\"}") == 0.0
    });
    wait(&daemon, &|daemon| daemon.lines("dead-letter.ndjson").len() == 101);
    let letters = daemon.lines("dead-letter.ndjson");
    let rejected: Vec<&Value> =
        letters.iter().filter(|it| it["reason"] == "rejected_by_sink").collect();
    assert!(rejected.iter().all(|it| it["sink"] == "elasticsearch" && it["log"] == "http"));
    assert!(daemon.log().contains("index_closed_exception"), "{}", daemon.log());
    assert!(engine.by_id("alerts-*").len() > 5);
}

#[test]
fn an_index_that_takes_nothing_for_a_while_is_waited_for() {
    let index_of = std::cell::RefCell::new(String::new());
    let (_place, engine, daemon) = obstructed(|engine, index| {
        let block = json!({ "index.blocks.write": true });
        engine.done("PUT", &format!("/{index}/_settings"), &block);
        index_of.replace(index.to_owned());
    });
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_retries_total{sink=\"elasticsearch\"}") > 0.0
    });
    wait(&daemon, &|daemon| daemon.metrics().get("sink_up{sink=\"elasticsearch\"}") == 0.0);
    assert!(daemon.metrics().get("sink_lag_records{sink=\"elasticsearch\"}") >= 100.0);
    let free = json!({ "index.blocks.write": null });
    engine.done("PUT", &format!("/{}/_settings", index_of.borrow()), &free);
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_lag_records{sink=\"elasticsearch\"}") == 0.0
    });
    assert_eq!(daemon.metrics().get("sink_up{sink=\"elasticsearch\"}"), 1.0);
    assert_eq!(engine.by_id("events-*").len(), 200);
}

#[test]
fn an_index_that_is_deleted_is_made_again_as_it_was() {
    let (_place, engine, daemon) = obstructed(|engine, index| {
        engine.done("DELETE", &format!("/{index}"), &Value::Null);
    });
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_acked_total{sink=\"elasticsearch\"}") >= 200.0
    });
    assert_eq!(engine.by_id("events-*").len(), 100);
    let mapping =
        engine.done("GET", &format!("/{}-events-*/_mapping", engine.prefix), &Value::Null);
    let mapping = mapping.as_object().unwrap().values().next().unwrap();
    assert_eq!(mapping["mappings"]["dynamic"], "strict");
    assert_eq!(mapping["mappings"]["properties"]["source"]["properties"]["ip"]["type"], "ip");
}

#[test]
fn a_replay_sends_what_it_writes_also_to_data_streams() {
    for layout in ["daily", "data_stream"] {
        let place = TempDir::new().unwrap();
        let engine = Engine::new(place.path());
        let (conns, https) = risky(1000);
        let conns = crate::common::conn(&[]) + &conns.concat();
        fs::write(place.path().join("conn.log"), conns).unwrap();
        let https = crate::common::http(&["no record"]) + &https.concat();
        fs::write(place.path().join("http.log"), https).unwrap();
        let output = place.path().join("replayed");
        let (logs, output) = (place.path().to_str().unwrap(), output.to_str().unwrap());
        let mut args =
            with(&["replay", "-o", output, "--emit", "elasticsearch", logs], &engine.args());
        args.extend(["--set".to_owned(), format!("sink.elasticsearch.layout={layout:?}")]);
        if layout == "data_stream" {
            args.extend(["--set".to_owned(), "sink.elasticsearch.compress=true".to_owned()]);
        }
        let (code, text) = says(&args, &[]);
        assert_eq!(code, Some(0), "{text}");
        for kind in ["events", "alerts", "risk"] {
            let wrote = written(&fs::read(format!("{output}/{kind}.ndjson")).unwrap());
            let names = if layout == "daily" { format!("{kind}-*") } else { kind.to_owned() };
            check_same(kind, &engine.by_id(&names), &wrote);
            assert!(wrote.len() > 50, "{kind}: {}", wrote.len());
            if kind == "risk" {
                check_same("entities", &engine.by_id("entities"), &latest(&wrote));
            }
        }
        let backing = engine.documents("events*").remove(0).0;
        assert_eq!(backing.starts_with(".ds-"), layout == "data_stream", "{backing}");
    }
}

#[test]
fn setup_installs_what_is_missing_and_check_says_so() {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let says = |command: &[&str], set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]);
        says(&with(command, &engine.args().into_iter().chain(set).collect::<Vec<_>>()), &[])
    };
    let (code, text) = says(&["check", "--connect"], &[]);
    assert!(code == Some(69) && text.contains("zeek-ueba setup elasticsearch"), "{code:?} {text}");
    for _ in 0..2 {
        let (code, text) = says(&["setup", "elasticsearch", "--dry-run"], &[]);
        assert_eq!((code, text.matches("would be installed").count()), (Some(0), 4), "{text}");
        assert!(
            text.contains(&format!("PUT /_index_template/{}-risk\n{{", engine.prefix)),
            "{text}"
        );
    }
    let (code, text) = says(&["setup", "elasticsearch"], &[]);
    assert_eq!((code, text.matches("  installed, for ").count()), (Some(0), 4), "{text}");
    let (code, text) = says(&["setup", "elasticsearch"], &[]);
    assert_eq!((code, text.matches("  is there, for ").count()), (Some(0), 4), "{text}");
    let (code, text) = says(&["check", "--connect"], &[]);
    assert!(code == Some(0) && text.contains("the configuration is fine"), "{code:?} {text}");
    // Other settings are another template.
    let (code, text) = says(&["setup", "elasticsearch"], &["sink.elasticsearch.shards=2"]);
    assert_eq!((code, text.matches("  replaced, for ").count()), (Some(0), 4), "{text}");
    // An index of yesterday learns of fields of today.
    let path = format!("/_index_template/{}-events", engine.prefix);
    let old = json!({ "index_patterns": [format!("{}-events-*", engine.prefix)], "priority": 200,
        "template": { "mappings": { "properties": { "@timestamp": { "type": "date" } } } } });
    engine.done("PUT", &path, &old);
    let index = format!("/{}-events-2024.01.01", engine.prefix);
    engine.done("PUT", &index, &Value::Null);
    let (code, text) = says(&["setup", "elasticsearch"], &[]);
    assert_eq!((code, text.matches("  replaced, for ").count()), (Some(0), 4), "{text}");
    let mapping = engine.done("GET", &format!("{index}/_mapping"), &Value::Null).to_string();
    assert!(mapping.contains("community_id"), "{mapping}");
}

#[test]
fn common_mistakes_are_said_plainly() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().to_string();
    drop(free);
    let check = |urls: &str, said: &str| {
        for command in [&["check", "--connect"][..], &["setup", "elasticsearch"]] {
            let set = format!("sink.elasticsearch.urls=[{urls:?}]");
            let args = with(command, &["--set".to_owned(), set]);
            let (code, text) = says(&args, &[]);
            assert!(code == Some(69) && text.contains(said), "{urls}: {code:?} {text}");
            assert!(text.contains(urls), "{text}");
        }
    };
    check(&format!("http://{nobody}"), "is a server there");
    check(&format!("http://{}", crate::services::kafka()), "does this port speak HTTP");
    let plain = search();
    check(&plain.replace("http:", "https:"), "this port speaks without TLS");
    check(&format!("{plain}/nowhere"), "neither Elasticsearch nor OpenSearch");
    if let Some(secured) = secured() {
        check(&secured.url, "signed by sink.elasticsearch.ca");
        check(&secured.url.replace("https:", "http:"), "https:// instead of http://");
    }
}

/// A configuration that knows who it is.
pub(super) fn known(secured: &Secured, engine: &Engine, sets: &[&str]) -> Vec<String> {
    let mut args = engine.args();
    let ca = format!("sink.elasticsearch.ca={:?}", secured.ca);
    for set in sets.iter().copied().chain([ca.as_str()]) {
        args.extend(["--set".to_owned(), set.to_owned()]);
    }
    args
}

#[test]
fn users_are_known_by_password_over_tls() {
    let Some(secured) = secured() else { return };
    let place = TempDir::new().unwrap();
    let engine = Engine::secured(&secured, place.path());
    let user = format!("sink.elasticsearch.user={:?}", secured.user);
    let file = place.path().join("password");
    fs::write(&file, format!("{}\n", secured.password)).unwrap();
    let file = format!("sink.elasticsearch.password_file={file:?}");
    let variable = "sink.elasticsearch.password=\"${SECRET}\"";
    for password in [variable, file.as_str()] {
        let args = known(&secured, &engine, &[&user, password]);
        let secret = [("SECRET", secured.password.as_str())];
        let (code, text) = says(&with(&["setup", "elasticsearch"], &args), &secret);
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = says(&with(&["check", "--connect"], &args), &secret);
        assert_eq!(code, Some(0), "{text}");
    }
    let args = known(&secured, &engine, &[&user, variable]);
    let (code, text) = says(&with(&["check", "--connect"], &args), &[("SECRET", "sesame-open")]);
    assert!(code == Some(69) && text.contains("say who this is"), "{text}");
    assert!(!text.contains("sesame-open"), "{text}");
    let (code, text) = says(&with(&["check", "--connect"], &known(&secured, &engine, &[])), &[]);
    assert!(code == Some(69) && text.contains("say who this is"), "{text}");
    let args = known(&secured, &engine, &[&user, "sink.elasticsearch.password=\"sesame-open\""]);
    let (code, text) = says(&with(&["check"], &args), &[]);
    assert!(code == Some(78) && text.contains("must not be the secret itself"), "{text}");
    assert!(!text.contains("sesame-open"), "{text}");
}

#[test]
fn an_api_key_that_is_revoked_stops_nothing_but_its_sink() {
    let Some(secured) = secured() else { return };
    let place = TempDir::new().unwrap();
    let engine = Engine::secured(&secured, place.path());
    let names = [format!("{}-*", engine.prefix)];
    let key = |privileges: &[&str]| {
        let index = json!({ "names": names, "privileges": privileges });
        let role = json!({ "cluster": ["monitor", "manage_index_templates"], "index": [index] });
        let body = json!({ "name": engine.prefix, "role_descriptors": { "r": role } });
        let key = engine.done("POST", "/_security/api_key", &body);
        (key["id"].as_str().unwrap().to_owned(), key["encoded"].as_str().unwrap().to_owned())
    };
    let file = place.path().join("key");
    let named = format!("sink.elasticsearch.api_key_file={file:?}");
    let args = known(&secured, &engine, &[&named]);

    let (_, encoded) = key(&["read"]);
    fs::write(&file, encoded).unwrap();
    let (code, text) = says(&with(&["check", "--connect"], &args), &[]);
    assert!(code == Some(69) && text.contains("the API key lacks"), "{text}");
    assert!(text.contains(&format!("create on {}-*", engine.prefix)), "{text}");

    let (id, encoded) = key(&["create", "index", "auto_configure", "manage"]);
    fs::write(&file, encoded).unwrap();
    let (conns, https) = risky(100);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = args;
    daemon.start();
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_acked_total{sink=\"elasticsearch\"}") >= 100.0
    });
    engine.done("DELETE", "/_security/api_key", &json!({ "ids": [id] }));
    let https = crate::common::http(&["no record"]) + &https.concat();
    fs::write(place.path().join("http.log"), https).unwrap();
    wait(&daemon, &|daemon| daemon.delivered().len() == 200);
    wait(&daemon, &|daemon| daemon.metrics().get("sink_up{sink=\"elasticsearch\"}") == 0.0);
    assert!(daemon.log().contains("401 security_exception"), "{}", daemon.log());
    let (_, encoded) = key(&["create", "index", "auto_configure", "manage"]);
    fs::write(&file, &encoded).unwrap();
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.start();
    wait(&daemon, &|daemon| {
        daemon.metrics().get("sink_lag_records{sink=\"elasticsearch\"}") == 0.0
    });
    assert_eq!(engine.by_id("events-*").len(), 200);
    assert!(!daemon.log().contains(&encoded));
}

/// Metrics and alert rules as Prometheus reads them, with all sinks on.
#[test]
fn prometheus_reads_the_metrics_and_the_rules_for_them() {
    let place = TempDir::new().unwrap();
    let engine = Engine::new(place.path());
    let (conns, https) = risky(100);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[]) + &conns.concat()).unwrap();
    let https = crate::common::http(&["no record"]) + &https.concat();
    fs::write(place.path().join("http.log"), https).unwrap();
    let cluster = MockCluster::new(1).unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = engine.args();
    let brokers = format!("sink.kafka.brokers=[{:?}]", cluster.bootstrap_servers());
    daemon.args.extend(["--set".to_owned(), brokers]);
    daemon.start();
    for sink in ["elasticsearch", "kafka"] {
        wait(&daemon, &|daemon| {
            daemon.metrics().get(&format!("sink_acked_total{{sink=\"{sink}\"}}")) >= 200.0
        });
    }
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/check.sh");
    let run = std::process::Command::new(check).arg(daemon.url("/metrics")).output().unwrap();
    let said = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
    assert!(run.status.success(), "{said}");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/rules.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let metrics = daemon.get("/metrics").body;
    // What rules record for other rules has a colon in its name.
    let name = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':');
    let named = rules.split(name).filter(|word| word.starts_with("zeek_ueba_"));
    let ours = named.filter(|word| !word.contains(':'));
    let strange: Vec<&str> =
        ours.filter(|word| !metrics.contains(&format!("# TYPE {word} "))).collect();
    assert!(strange.is_empty(), "no such metrics: {strange:?}");
}
