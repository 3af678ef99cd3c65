//! The sink against servers that fail in every way that a test can think of. Against real ones:
//! `tests/live/search.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::engine::{Kind, SinkStatus};

pub(super) fn settings(url: &str) -> Settings {
    Settings {
        urls: vec![url.to_owned()],
        index_prefix: "z".to_owned(),
        layout: Layout::Daily,
        user: None,
        password: None,
        api_key: None,
        ca: None,
        window: 1 << 20,
        connections: 2,
        bulk_max: 1 << 20,
        timeout: Duration::from_secs(10),
        compress: false,
        install: true,
        shards: 1,
        replicas: 0,
        options: [("index.codec".to_owned(), "best_compression".to_owned())].into(),
    }
}

/// What a server does with one request.
#[derive(Clone, Debug)]
enum Fate {
    /// All of it.
    Take,
    /// All of it, and nobody hears of it.
    TakeAndSay(u16, &'static str),
    /// Nothing.
    Say(u16, &'static str),
    /// All documents but every third.
    Third(u16, &'static str),
}

/// A server: what it has, by index and id, and what it does with the next bulk requests.
#[derive(Clone, Default)]
struct Server {
    documents: Arc<Mutex<BTreeMap<(String, String), Value>>>,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    /// Methods and paths of all other requests.
    asked: Arc<Mutex<Vec<String>>>,
    /// Bytes of a request that it takes.
    bytes_max: Option<usize>,
    /// What it says of itself.
    root: Option<&'static str>,
    /// A document with this in it spoils its request.
    spoils: Option<&'static str>,
}

impl Server {
    fn start(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(local)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        let thread = Builder::new().spawn(move || {
            let answer = move |request: Request| {
                let server = server.clone();
                async move { server.answer(request).await }
            };
            let router = Router::new().fallback(answer);
            runtime.block_on(serve(listener, router));
        });
        drop(thread.unwrap());
        url
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        if parts.uri.path() != "/_bulk" {
            self.asked.lock().unwrap().push(format!("{} {}", parts.method, parts.uri.path()));
            if let Some(root) = self.root.filter(|_| parts.uri.path() == "/") {
                return root.into_response();
            }
            let is_known = parts.method != Method::GET;
            let status = if is_known { StatusCode::OK } else { StatusCode::NOT_FOUND };
            return (status, "{}").into_response();
        }
        let said = |status: u16, body: &str| {
            (StatusCode::from_u16(status).unwrap(), body.to_owned()).into_response()
        };
        if self.bytes_max.is_some_and(|most| body.len() > most) {
            return said(413, "");
        }
        let mut text = String::new();
        if parts.headers.get("content-encoding").is_some_and(|it| it == "gzip") {
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(body.to_vec()).unwrap();
        }
        if self.spoils.is_some_and(|word| text.contains(word)) {
            return said(400, r#"{"error":{"type":"illegal_argument_exception","reason":"it"}}"#);
        }
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Take);
        if let Fate::Say(status, body) = fate {
            return said(status, body);
        }
        let lines: Vec<&str> = text.lines().collect();
        let items: Vec<Value> = lines
            .chunks(2)
            .enumerate()
            .map(|(index, lines)| match fate {
                Fate::Third(status, name) if index % 3 == 2 => {
                    let action: Value = serde_json::from_str(lines[0]).unwrap();
                    let name = json!({ "status": status, "error": { "type": name } });
                    json!({ action.as_object().unwrap().keys().next().unwrap(): name })
                }
                _ => self.take(lines),
            })
            .collect();
        match fate {
            Fate::TakeAndSay(status, body) => said(status, body),
            _ => said(200, &json!({ "errors": false, "items": items }).to_string()),
        }
    }

    fn take(&self, lines: &[&str]) -> Value {
        let action: Value = serde_json::from_str(lines[0]).unwrap();
        let document: Value = serde_json::from_str(lines[1]).unwrap();
        let (operation, action) = action.as_object().unwrap().iter().next().unwrap();
        let text = |key: &str| action[key].as_str().unwrap().to_owned();
        let mut documents = self.documents.lock().unwrap();
        let known = documents.contains_key(&(text("_index"), text("_id")));
        let is_taken = operation != "create" || !known;
        if is_taken {
            documents.insert((text("_index"), text("_id")), document);
        }
        json!({ operation: { "status": if is_taken { 201 } else { 409 } } })
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let stream = hyper_util::rt::TokioIo::new(stream);
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

fn document(n: usize) -> String {
    let (id, time) = (format!("{n:032x}"), "2018-03-24T17:15:20.865716Z");
    let event = format!(r#""event":{{"id":"{id}","kind":"event","dataset":"zeek.conn"}}"#);
    format!(r#"{{"@timestamp":"{time}",{event},"ueba":{{"entity":"host:10.0.0.5"}}}}"#) + "\n"
}

/// Sends `count` documents, in blocks of `block`, to servers of which the first is `server`; how
/// the sink stands when all are settled, and the reasons of dead letters.
fn check(
    server: &Server,
    count: usize,
    block: usize,
    change: impl FnOnce(&mut Settings),
) -> (SinkStatus, Vec<String>) {
    let mut settings = settings(&server.start());
    change(&mut settings);
    let sink = Elasticsearch::start(settings).unwrap();
    for first in (0..count).step_by(block) {
        let block: String = (first..count.min(first + block)).map(document).collect();
        sink.shared().send(Kind::Event, block.as_bytes()).unwrap();
    }
    sink.shared().settled(&[count as u64, 0, 0]);
    let letters = String::from_utf8(sink.shared().take_letters(&[(1 << 62) - 1; 3])).unwrap();
    let letters = letters.lines().map(|line| {
        let letter: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&letter["reason"], &letter["sink"]),
            (&json!("rejected_by_sink"), &json!(NAME))
        );
        letter["event_id"].as_str().unwrap().to_owned()
    });
    let letters: Vec<String> = letters.collect();
    let documents = server.documents.lock().unwrap();
    let status = sink.shared().status();
    // What was not rejected is there, once.
    let there = (0..count).filter(|n| {
        let id = format!("{n:032x}");
        documents.contains_key(&("z-events-2018.03.24".to_owned(), id))
    });
    let rejected = letters
        .iter()
        .filter(|id| !documents.contains_key(&("z-events-2018.03.24".to_owned(), (*id).clone())));
    assert_eq!((documents.len(), there.count()), (count - rejected.count(), documents.len()));
    assert_eq!((status.lag, status.acked + status.rejected), (0, count as u64));
    assert_eq!(status.sent, [count as u64, 0, 0, 0]);
    (status, letters)
}

#[test]
fn everything_arrives_and_templates_come_first() {
    let server = Server::default();
    let (status, letters) = check(&server, 5000, 37, |_| {});
    assert_eq!((status.retries, status.duplicates, letters.len()), (0, 0, 0));
    assert!(status.is_up && status.bytes > 5000 * 200 && status.requests.count > 0);
    let asked = server.asked.lock().unwrap();
    let puts: Vec<_> = asked.iter().filter(|it| it.starts_with("PUT /_index_template/")).collect();
    assert_eq!(puts.len(), 4, "{asked:?}");
}

#[test]
fn a_request_that_is_too_large_becomes_smaller_ones() {
    let server = Server { bytes_max: Some(3000), ..Server::default() };
    let (status, letters) = check(&server, 500, 100, |_| {});
    assert_eq!((status.acked, letters.len()), (500, 0));
    let server = Server { bytes_max: Some(20), ..Server::default() };
    let (status, letters) = check(&server, 5, 5, |_| {});
    assert_eq!((status.rejected, letters.len()), (5, 5));
}

#[test]
fn a_document_that_spoils_its_request_is_found() {
    let spoils = "000000000000000000000000000000fa";
    let server = Server { spoils: Some(spoils), ..Server::default() };
    let (status, letters) = check(&server, 500, 250, |_| {});
    assert_eq!((status.rejected, letters), (1, vec![spoils.to_owned()]));
}

#[test]
fn what_was_taken_unheard_is_known_the_second_time() {
    let server = Server::default();
    server.fates.lock().unwrap().extend([Fate::TakeAndSay(504, "")]);
    let (status, _) = check(&server, 50, 50, |settings| settings.connections = 1);
    assert_eq!((status.duplicates, status.acked, status.retries), (50, 50, 50));
}

#[test]
fn servers_that_do_not_answer_are_left_alone_for_others() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let server = Server::default();
    let (status, _) = check(&server, 2000, 10, |settings| settings.urls.push(silent));
    assert_eq!(status.acked, 2000);
}

#[test]
fn compressed_requests_are_understood() {
    let (status, _) = check(&Server::default(), 500, 500, |settings| settings.compress = true);
    assert!((1..500 * 100).contains(&status.bytes), "{}", status.bytes);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings("http://127.0.0.1:1");
        change(&mut settings);
        Elasticsearch::check(&settings).unwrap_err().to_string()
    };
    for (url, said) in [
        ("127.0.0.1:9200", "urls"),
        ("ftp://127.0.0.1", "http://"),
        ("http://me:hidden@127.0.0.1:9200", "no user in it"),
        ("http://127.0.0.1:9200/?x", "behind a ?"),
        ("", "not a URL"),
    ] {
        let error = refused(&|settings| settings.urls = vec![url.to_owned()]);
        assert!(error.contains(said) && !error.contains("hidden"), "{error}");
    }
    let both = refused(&|settings| {
        settings.user = Some("u".to_owned());
        settings.api_key = Some(Secret::Variable("PATH".to_owned()));
    });
    assert!(both.contains("not both"), "{both}");
    let none = refused(&|settings| settings.ca = Some("/no/such.pem".into()));
    assert!(none.contains("sink.elasticsearch.ca: /no/such.pem"), "{none}");
    let none = refused(&|settings| {
        settings.ca = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into());
    });
    assert!(none.contains("no certificate"), "{none}");
}

fn fate() -> impl Strategy<Value = Fate> {
    let error = r#"{"error":{"type":"some_exception","reason":"some"}}"#;
    prop_oneof![
        Just(Fate::Take),
        Just(Fate::TakeAndSay(502, "")),
        Just(Fate::TakeAndSay(200, "{\"items\":[")),
        Just(Fate::TakeAndSay(200, "{\"items\":[]}")),
        Just(Fate::Say(200, "<html>")),
        Just(Fate::Say(401, error)),
        Just(Fate::Say(403, error)),
        Just(Fate::Say(413, "")),
        Just(Fate::Say(400, error)),
        Just(Fate::Say(429, error)),
        Just(Fate::Say(503, "")),
        Just(Fate::Third(429, "es_rejected_execution_exception")),
        Just(Fate::Third(403, "cluster_block_exception")),
        Just(Fate::Third(503, "unavailable_shards_exception")),
        Just(Fate::Third(400, "document_parsing_exception")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever servers answer, every document is there once, or a dead letter.
    #[test]
    fn nothing_is_lost_whatever_servers_answer(
        fates in prop::collection::vec(fate(), 0..12),
        count in 1..300_usize,
        block in 1..100_usize,
        connections in 1..4_usize,
    ) {
        let server = Server::default();
        server.fates.lock().unwrap().extend(fates);
        check(&server, count, block, |settings| settings.connections = connections);
    }
}

#[test]
fn servers_are_told_apart_and_old_ones_refused() {
    let look = |root: &'static str| {
        let server = Server { root: Some(root), ..Server::default() };
        match setup::look(&settings(&server.start())) {
            Ok(found) => found.server,
            Err(error) => error.to_string(),
        }
    };
    let check = |root, expected: &str| {
        let said = look(root);
        assert!(said.contains(expected), "{root}: {said}");
    };
    check(r#"{"version":{"number":"9.1.0"}}"#, "Elasticsearch 9.1.0");
    check(r#"{"version":{"number":"7.10.2"}}"#, "Elasticsearch 7.10.2 is too old: 8 or newer");
    let opensearch = r#"{"version":{"number":"2.19.6","distribution":"opensearch"}}"#;
    check(opensearch, "OpenSearch 2.19.6");
    let old = r#"{"version":{"number":"1.3.0","distribution":"opensearch"}}"#;
    check(old, "OpenSearch 1.3.0 is too old: 2 or newer");
    check("<html>", "neither Elasticsearch nor OpenSearch: its answer is not JSON");
    check("{}", "neither Elasticsearch nor OpenSearch: it has no version");
}
