//! Faults of search engines (docs/faults.md), each a test of its own: with a server whose answers are
//! written here, or a real engine, perhaps behind a proxy. Beside some stands Kafka, which must not
//! notice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use serde_json::{Value, json};

use super::brokers::PROMPT;
use super::oracle::{Holds, Rig};
use super::proxy::{Mode, Proxy};
use super::scripted::{Fate, Heard, Scripted};
use super::search::{Engine, known};

/// A daemon with an engine whose answers are written here, not started yet.
fn scripted() -> (Rig, Scripted) {
    let (mut rig, server) = (Rig::new(), Scripted::start());
    rig.engine(&server.url());
    (rig, server)
}

/// A daemon with a real engine behind a proxy, not started yet.
fn real() -> (Rig, Engine, Proxy) {
    let mut rig = Rig::new();
    let engine = Engine::new(rig.place.path());
    let proxy = Proxy::before(engine.url.trim_start_matches("http://"));
    rig.engine_by(engine.args());
    rig.engine(&format!("http://{}", proxy.address()));
    (rig, engine, proxy)
}

/// Waits until Kafka has so many, and says when it is late.
fn check_prompt(rig: &Rig, count: u64, since: Instant) {
    rig.acked("kafka", count);
    assert!(since.elapsed() < PROMPT, "Kafka took {:?}", since.elapsed());
}

#[test]
fn f38_an_engine_refuses_resets_and_hangs() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (mut rig, server) = (Rig::new(), Scripted::start());
    let proxy = Proxy::before(&server.address());
    rig.kafka(&brokers, &brokers);
    rig.engine(&format!("http://{}", proxy.address()));
    rig.set("sink.elasticsearch.timeout=\"1s\"");
    proxy.set(Mode::Refuse);
    rig.lines(0..100);
    rig.daemon.start();
    check_prompt(&rig, 100, Instant::now());
    rig.wait("it is said", |rig| rig.daemon.log().contains("is a server there"));
    proxy.set(Mode::Pass);
    rig.acked("elasticsearch", 100);
    let fates = [Fate::ResetInRequest, Fate::ResetInAnswer, Fate::Hang(Duration::from_secs(600))];
    for (round, fate) in fates.into_iter().enumerate() {
        server.script([fate]);
        let (first, last) = (100 + round * 100, 200 + round * 100);
        let since = Instant::now();
        rig.lines(first..last);
        check_prompt(&rig, last as u64, since);
        rig.acked("elasticsearch", last as u64);
    }
    // Connections that stand still, none of which says so.
    proxy.set(Mode::Stall);
    let (since, before) = (Instant::now(), rig.of("sink_retries_total", "elasticsearch"));
    rig.lines(400..500);
    check_prompt(&rig, 500, since);
    rig.wait("it is given up", |rig| rig.of("sink_retries_total", "elasticsearch") > before);
    proxy.set(Mode::Pass);
    let found = rig.check(Some(&server));
    assert!(found.letters.is_empty());
    check_duplicates(&found.metrics, &server);
}

/// That each 409 was counted that was heard of.
fn check_duplicates(metrics: &super::service::Metrics, server: &Scripted) {
    let counted = super::oracle::of(metrics, "sink_duplicates_total", "elasticsearch") as usize;
    let said = server.said();
    let known = said.values().flatten().filter(|status| **status == 409).count();
    assert!(counted > 0 && counted <= known, "{counted} of {known}");
}

/// A server of TLS whose certificate nobody signed, as long as this lives.
struct Stranger {
    child: Child,
    address: String,
}

impl Stranger {
    fn start(rig: &Rig) -> Self {
        let (key, certificate) = (rig.path("key.pem"), rig.path("certificate.pem"));
        let of = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=else \
                  -addext subjectAltName=IP:127.0.0.1";
        let mut make = Command::new("openssl");
        make.args(of.split_whitespace()).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        assert!(make.stderr(Stdio::null()).status().unwrap().success());
        let mut serve = Command::new("openssl");
        serve.args(["s_server", "-accept", "127.0.0.1:0", "-www"]);
        serve.arg("-key").arg(&key).arg("-cert").arg(&certificate);
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.to_owned()));
        Self { child, address: address.unwrap() }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn f38_an_engine_without_tls_and_one_with_the_wrong_certificate() {
    let Some(secured) = crate::services::secured() else {
        println!("no engine with TLS here");
        return;
    };
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let mut rig = Rig::new();
    let engine = Engine::secured(&secured, rig.place.path());
    let (plain, stranger) = (Scripted::start(), Stranger::start(&rig));
    let proxy = Proxy::before(&plain.address());
    rig.kafka(&brokers, &brokers);
    let password = rig.path("password");
    std::fs::write(&password, &secured.password).unwrap();
    let user = format!("sink.elasticsearch.user={:?}", secured.user);
    let password = format!("sink.elasticsearch.password_file={password:?}");
    rig.engine_by(known(&secured, &engine, &[&user, &password]));
    rig.engine(&format!("https://{}", proxy.address()));
    rig.lines(0..100);
    rig.daemon.start();
    check_prompt(&rig, 100, Instant::now());
    let says = |words: &'static str| move |rig: &Rig| rig.daemon.log().contains(words);
    rig.wait("the plain one is said", says("this port speaks without TLS"));
    proxy.turn_to(&stranger.address);
    rig.wait("the wrong one is said", says("signed by sink.elasticsearch.ca"));
    let since = Instant::now();
    rig.lines(100..200);
    check_prompt(&rig, 200, since);
    assert_eq!(rig.of("sink_acked_total", "elasticsearch"), 0);
    proxy.turn_to(secured.url.trim_start_matches("https://"));
    let found = rig.check(Some(&engine));
    assert!(found.letters.is_empty());
    assert!(!rig.daemon.log().contains(&secured.password));
}

#[test]
fn f39_some_are_taken_some_not_in_one_answer() {
    let (mut rig, server) = scripted();
    rig.lines(0..10);
    rig.daemon.start();
    rig.acked("elasticsearch", 10);
    server.script([Fate::Items(&[
        (0, ""),
        (409, ""),
        (429, "es_rejected_execution_exception"),
        (400, "document_parsing_exception"),
        (503, "unavailable_shards_exception"),
    ])]);
    rig.lines(10..210);
    rig.wait("all are settled", |rig| {
        rig.of("sink_lag_records", "elasticsearch") == 0 && server.said().len() == 210
    });
    rig.lines(210..220);
    let found = rig.check(Some(&server));
    let mut by_story: BTreeMap<Vec<u16>, BTreeSet<String>> = BTreeMap::new();
    for (id, story) in server.said() {
        by_story.entry(story).or_default().insert(id);
    }
    // What is said to one does not touch the others, and is heeded at once.
    let stories: Vec<&[u16]> = by_story.keys().map(Vec::as_slice).collect();
    assert_eq!(stories, [&[201][..], &[400], &[409], &[429, 201], &[503, 201]]);
    let count = |story: &[u16]| by_story[story].len() as u64;
    let of = |name: &str| super::oracle::of(&found.metrics, name, "elasticsearch");
    assert_eq!(of("sink_duplicates_total"), count(&[409]));
    assert_eq!(of("sink_retries_total"), count(&[429, 201]) + count(&[503, 201]));
    let letters = &found.letters["elasticsearch"];
    let dead = letters.iter().map(|letter| letter["event_id"].as_str().unwrap().to_owned());
    assert_eq!(dead.collect::<BTreeSet<_>>(), by_story[&vec![400]]);
    let is_told = |letter: &Value| letter["detail"].as_str().unwrap().contains("document_parsing");
    assert!(letters.iter().all(is_told) && letters.len() > 5, "{letters:?}");
}

/// Half of a text, at a border of its characters.
fn half(text: &str) -> String {
    text.chars().take(text.len() / 2).collect()
}

fn without_the_last(text: &str) -> String {
    let mut answer: Value = serde_json::from_str(text).unwrap();
    answer["items"].as_array_mut().unwrap().pop();
    answer.to_string()
}

#[test]
fn f40_answers_that_are_none() {
    let (mut rig, server) = scripted();
    rig.lines(0..10);
    rig.daemon.start();
    rig.acked("elasticsearch", 10);
    let page = "<html><body>Please log in</body></html>";
    let fates = [
        Fate::Told(half),
        Fate::EndInAnswer,
        Fate::Told(|text| text.replace("201", "\"what\"")),
        Fate::Told(without_the_last),
        Fate::Told(|_| String::new()),
        Fate::Say(200, "", page),
    ];
    let count = fates.len();
    for (round, fate) in fates.into_iter().enumerate() {
        server.script([fate]);
        let (first, last) = (10 + round * 20, 30 + round * 20);
        rig.lines(first..last);
        rig.acked("elasticsearch", last as u64);
        assert_eq!(server.left(), 0);
    }
    let found = rig.check(Some(&server));
    assert!(found.letters.is_empty());
    check_duplicates(&found.metrics, &server);
    // All but the page were done before the answer was lost: each of those once more, and known.
    let said = server.said();
    let known = said.values().filter(|story| *story == &[201, 409]).count();
    let again = super::oracle::of(&found.metrics, "sink_retries_total", "elasticsearch") as usize;
    assert!(known >= count - 1 && again > known, "{known} known, {again} again");
    assert_eq!(said.values().filter(|story| story.len() > 2).count(), 0, "{said:?}");
}

/// What the server heard of documents that it had not heard of before `from`.
fn heard_since(server: &Scripted, from: usize) -> Vec<Heard> {
    server.heard().split_off(from)
}

#[test]
fn f41_what_is_said_to_a_whole_request() {
    let (mut rig, server) = scripted();
    rig.lines(0..10);
    rig.daemon.start();
    rig.acked("elasticsearch", 10);
    let refusal = r#"{"error":{"type":"security_exception","reason":"not you"}}"#;
    let mut next = 10;
    for (fate, words) in [
        (Fate::Say(401, "", refusal), "401 security_exception"),
        (Fate::Say(403, "", refusal), "403 security_exception"),
        (Fate::Say(404, "", "nothing here"), "404 nothing here"),
        (Fate::Say(429, "Retry-After: 3\r\n", ""), "429"),
        (Fate::Say(502, "", "<html>"), "502 <html>"),
    ] {
        let before = server.heard().len();
        let is_named = matches!(fate, Fate::Say(429, ..));
        server.script([fate]);
        rig.lines(next..next + 20);
        next += 20;
        rig.acked("elasticsearch", next as u64);
        // The same documents once more, after a while.
        let heard = heard_since(&server, before);
        assert_eq!(heard[0].ids, heard[1].ids, "{words}");
        let pause = heard[1].at - heard[0].at;
        let least = Duration::from_millis(if is_named { 3000 } else { 300 });
        assert!(pause >= least && pause < least * 4, "{words}: {pause:?}");
        assert!(rig.daemon.log().contains(words), "{words} in {}", rig.daemon.log());
    }
    // Too much at once: two halves.
    let before = server.heard().len();
    server.script([Fate::Say(413, "", "")]);
    rig.lines(next..next + 20);
    rig.acked("elasticsearch", next as u64 + 20);
    let heard = heard_since(&server, before);
    assert!(heard.len() >= 3);
    assert_eq!(heard[0].ids, [heard[1].ids.clone(), heard[2].ids.clone()].concat());
    assert_eq!(heard[1].ids.len(), heard[0].ids.len().div_euclid(2));
    // One is too much: a dead letter.
    rig.wait("nothing waits", |rig| rig.of("sink_lag_records", "elasticsearch") == 0);
    server.script([Fate::Say(413, "", "")]);
    rig.lines(next + 20..next + 21);
    rig.wait("a dead letter", |rig| rig.of("dead_letters_total", "elasticsearch") == 1);
    rig.lines(next + 21..next + 22);
    let found = rig.check(Some(&server));
    assert_eq!(found.letters["elasticsearch"].len(), 1);
    assert!(found.letters["elasticsearch"][0]["detail"].as_str().unwrap().contains("413"));
}

/// Records that a template of others cannot take, each with a word of what is said to it.
fn hard(rig: &mut Rig) -> [&'static str; 4] {
    let http = |n: usize, host: &str, uri: &str| {
        let ts = 1_700_000_000 + n;
        format!("{ts}|D{n:017}|10.0.0.5|9.9.9.9|GET|{host}|{uri}|1.1|200|-|-")
    };
    let (long, longer) = ("x".repeat(32_766), "x".repeat(32_767));
    let rows = [
        http(0, "192.0.2.1", "/"),
        http(1, "not.an.address", "/"),
        http(2, "192.0.2.1", &long),
        http(3, "192.0.2.1", &longer),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let text = crate::common::http(&rows);
    rig.write("http", text.as_bytes(), (0..4).map(|n| format!("D{n:017}")));
    let most = "1700000008.0 C900008 10.0.0.5 203.0.113.9 1.5 18446744073709551615";
    rig.write("conn", crate::common::conn(&[most]).as_bytes(), ["C900008".to_owned()]);
    let more: String = (0..1001).map(|n| format!(r#","field{n:04}":{n}"#)).collect();
    let many = format!(
        "{{\"ts\":1700000009.0,\"uid\":\"C900009\",\"id.orig_h\":\"10.0.0.5\",\"id.orig_p\":1,\
         \"id.resp_h\":\"9.9.9.9\",\"id.resp_p\":53,\"proto\":\"udp\",\"query\":\"a.example\"{more}}}\n"
    );
    rig.write("dns", many.as_bytes(), ["C900009".to_owned()]);
    ["not.an.address", "immense term", "out of range", "Limit of total fields"]
}

#[test]
fn f42_a_template_of_others_does_not_take_everything() {
    let (mut rig, engine, _proxy) = real();
    rig.set("sink.elasticsearch.install=false");
    let fields = json!({
        "@timestamp": { "type": "date" },
        "zeek": { "properties": {
            "http": { "properties": { "host": { "type": "ip" }, "uri": { "type": "keyword" } } },
            "conn": { "properties": { "orig_bytes": { "type": "long" } } },
        } },
    });
    let template = json!({
        "index_patterns": [format!("{}-*", engine.prefix)], "priority": 300,
        "template": { "mappings": { "properties": fields } },
    });
    engine.done("PUT", &format!("/_index_template/{}-theirs", engine.prefix), &template);
    let said = hard(&mut rig);
    rig.daemon.start();
    rig.wait("dead letters", |rig| rig.of("dead_letters_total", "elasticsearch") == 4);
    rig.lines(0..10);
    let found = rig.check(Some(&engine));
    let letters = &found.letters["elasticsearch"];
    assert_eq!(letters.len(), said.len(), "{letters:#?}");
    let details: Vec<&str> = letters.iter().map(|it| it["detail"].as_str().unwrap()).collect();
    for words in said {
        assert_eq!(
            details.iter().filter(|it| it.contains(words)).count(),
            1,
            "{words}: {details:#?}"
        );
    }
}

#[test]
fn f42_our_templates_take_all_of_it() {
    let (mut rig, engine, _proxy) = real();
    hard(&mut rig);
    rig.daemon.start();
    let found = rig.check(Some(&engine));
    assert_eq!((found.letters.len(), found.events.len()), (0, 6));
}

#[test]
fn f43_a_disk_is_nearly_full_and_then_not() {
    let (mut rig, engine, _proxy) = real();
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("elasticsearch", 100);
    // What an engine does to every index at the flood stage. Elasticsearch takes it back after a
    // while, where there is room.
    let settings = format!("/{}-events-*/_settings", engine.prefix);
    let set = |value: Value| {
        engine.done("PUT", &settings, &json!({ "index.blocks.read_only_allow_delete": value }));
    };
    set(json!(true));
    rig.lines(100..200);
    rig.wait("it waits", |rig| rig.of("sink_retries_total", "elasticsearch") >= 100);
    assert!(rig.daemon.log().contains("cluster_block_exception"), "{}", rig.daemon.log());
    assert_eq!(rig.of("sink_acked_total", "elasticsearch"), 100);
    assert_eq!(rig.of("sink_up", "elasticsearch"), 0);
    set(Value::Null);
    let found = rig.check(Some(&engine));
    assert!(found.letters.is_empty());
}

/// Writes 100 records, whose answer is lost on its way, and does something before they are sent again.
fn lost(rig: &mut Rig, proxy: &Proxy, meanwhile: impl FnOnce()) {
    rig.lines(0..100);
    rig.daemon.start();
    rig.acked("elasticsearch", 100);
    proxy.lose(1);
    rig.lines(100..200);
    rig.wait("an answer is lost", |_| proxy.to_lose() == 0);
    proxy.set(Mode::Refuse);
    meanwhile();
    proxy.set(Mode::Pass);
    rig.acked("elasticsearch", 200);
}

#[test]
fn f44_a_new_index_between_sending_and_sending_again() {
    let (mut rig, engine, proxy) = real();
    rig.set("sink.elasticsearch.layout=\"data_stream\"");
    lost(&mut rig, &proxy, || {
        engine.done("POST", &format!("/{}-events/_rollover", engine.prefix), &Value::Null);
    });
    assert_eq!(rig.of("sink_duplicates_total", "elasticsearch"), 0);
    assert_eq!(rig.daemon.stop(), Some(0), "{}", rig.daemon.log());
    let mut indices: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut sources: BTreeMap<String, Value> = BTreeMap::new();
    let stored = engine.stored("events");
    for it in &stored {
        let is_new = indices.entry(it.id.clone()).or_default().insert(it.index.clone());
        assert!(is_new, "twice in one index");
        let before = sources.insert(it.id.clone(), it.source.clone());
        assert!(before.is_none_or(|before| before == it.source));
    }
    assert_eq!(sources.len(), 200);
    let twice = indices.values().filter(|indices| indices.len() == 2).count();
    assert!((1..=100).contains(&twice), "{twice}");
    assert_eq!(stored.len(), 200 + twice);
}

#[test]
fn f45_an_answer_of_the_engine_is_lost() {
    let (mut rig, engine, proxy) = real();
    lost(&mut rig, &proxy, || {});
    let found = rig.check(Some(&engine));
    assert!(found.letters.is_empty());
    let known = super::oracle::of(&found.metrics, "sink_duplicates_total", "elasticsearch");
    let again = super::oracle::of(&found.metrics, "sink_retries_total", "elasticsearch");
    assert!((1..=100).contains(&known) && again >= known, "{known} known, {again} again");
}
