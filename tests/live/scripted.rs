//! A server whose answers a test writes, and that else is a small Elasticsearch.
//!
//! Here belongs what becomes of a request; what has to come of it belongs to the tests.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::oracle::{Holds, Stored};
use super::proxy::reset;

/// What becomes of one request of the bulk interface.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Nothing is done, and this is said: a status, lines of the head, a body.
    Say(u16, &'static str, &'static str),
    /// It is done, and of the right answer this is made.
    Told(fn(&str) -> String),
    /// Nothing is done with the nth document but to say the nth of these, in turn; 0 does it.
    Items(&'static [(u16, &'static str)]),
    /// It is done; of the answer half comes, then the connection is reset.
    ResetInAnswer,
    /// It is done; the answer ends in the middle.
    EndInAnswer,
    /// The connection is reset when half of the request has come.
    ResetInRequest,
    /// It is done, and for so long nothing is said.
    Hang(Duration),
}

/// A request of the bulk interface.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Instant,
    /// Ids of its documents, in their order.
    pub(super) ids: Vec<String>,
}

/// An Elasticsearch that keeps documents by index and id, but for what a test has it do.
pub(super) struct Scripted {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    stored: Mutex<BTreeMap<(String, String), String>>,
    script: Mutex<VecDeque<Fate>>,
    heard: Mutex<Vec<Heard>>,
    said: Mutex<BTreeMap<String, Vec<u16>>>,
    is_over: AtomicBool,
}

/// What a request is.
struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    /// Lines of the head.
    head: &'static str,
    body: String,
    end: End,
}

/// How the connection ends after half of an answer, if it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Torn,
    Reset,
}

impl Reply {
    fn new(status: u16, head: &'static str, body: impl Into<String>) -> Self {
        Self { status, head, body: body.into(), end: End::Whole }
    }
}

impl Scripted {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner::default());
        let serving = Arc::clone(&inner);
        let accept = move || {
            for stream in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, inner) = (stream.unwrap(), Arc::clone(&serving));
                let serve = move || inner.serve(&stream);
                drop(Builder::new().name("scripted".to_owned()).spawn(serve).unwrap());
            }
        };
        drop(Builder::new().name("scripted".to_owned()).spawn(accept).unwrap());
        Self { address, inner }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What becomes of the next requests; those after them are done.
    pub(super) fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        self.inner.script.lock().unwrap().extend(fates);
    }

    /// How much of the script is still to come.
    pub(super) fn left(&self) -> usize {
        self.inner.script.lock().unwrap().len()
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.inner.heard.lock().unwrap().clone()
    }

    /// What was said to each document, by its id, each time.
    pub(super) fn said(&self) -> BTreeMap<String, Vec<u16>> {
        self.inner.said.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.inner.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

impl Holds for Scripted {
    fn stored(&self, kind: &str) -> Vec<Stored> {
        let stored = self.inner.stored.lock().unwrap();
        let of = |index: &str| index.split('-').any(|word| word == kind);
        let of = stored.iter().filter(|((index, _), _)| of(index));
        let stored = of.map(|((index, id), text)| Stored {
            index: index.clone(),
            id: id.clone(),
            source: serde_json::from_str(text).unwrap(),
        });
        stored.collect()
    }
}

impl Inner {
    fn serve(&self, stream: &TcpStream) {
        let mut ahead = Vec::new();
        while let Some(request) = self.request(stream, &mut ahead) {
            let Reply { status, head, body, end } = self.answer(&request);
            let told = if end == End::Whole { body.len() } else { body.len() / 2 };
            let text = format!(
                "HTTP/1.1 {status} x\r\nX-elastic-product: Elasticsearch\r\n{head}Content-Type: \
                 application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let mut out = stream;
            if out.write_all(&[text.as_bytes(), &body.as_bytes()[..told]].concat()).is_err() {
                return;
            }
            if end == End::Whole {
                continue;
            }
            // What was sent has to be there before the end.
            std::thread::sleep(Duration::from_millis(20));
            if end == End::Reset {
                reset(stream);
            }
            return;
        }
    }

    /// The next request, unless the connection ends before or in it.
    fn request(&self, mut stream: &TcpStream, ahead: &mut Vec<u8>) -> Option<Request> {
        let mut more = |ahead: &mut Vec<u8>| {
            let mut piece = vec![0; 64 << 10];
            let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            ahead.extend_from_slice(&piece[..count]);
            Some(())
        };
        let end = loop {
            if let Some(end) = memchr::memmem::find(ahead, b"\r\n\r\n") {
                break end + 4;
            }
            more(ahead)?;
            // As servers do that are spoken to in TLS and do not speak it.
            if ahead[0] < b' ' {
                let mut out = stream;
                drop(out.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
                return None;
            }
        };
        let head = String::from_utf8(ahead[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let whole = end + length.unwrap_or(0_usize);
        let mut words = head.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        if path.starts_with("/_bulk") {
            let mut script = self.script.lock().unwrap();
            if matches!(script.front(), Some(Fate::ResetInRequest)) {
                script.pop_front();
                drop(script);
                while ahead.len() < end + (whole - end) / 2 {
                    more(ahead)?;
                }
                reset(stream);
                return None;
            }
        }
        while ahead.len() < whole {
            more(ahead)?;
        }
        let body = ahead[end..whole].to_vec();
        ahead.drain(..whole);
        Some(Request { method, path, body })
    }

    fn answer(&self, request: &Request) -> Reply {
        if request.path.starts_with("/_bulk") {
            return self.bulk(&request.body);
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/") => Reply::new(200, "", r#"{"version":{"number":"8.19.0"}}"#),
            ("GET", _) => Reply::new(404, "", "{}"),
            _ => Reply::new(200, "", "{}"),
        }
    }

    fn bulk(&self, body: &[u8]) -> Reply {
        let text = std::str::from_utf8(body).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let actions: Vec<(Value, &str)> =
            lines.chunks(2).map(|pair| (serde_json::from_str(pair[0]).unwrap(), pair[1])).collect();
        let id = |action: &Value| {
            let action = action.as_object().unwrap().values().next().unwrap();
            action["_id"].as_str().unwrap().to_owned()
        };
        let ids = actions.iter().map(|(action, _)| id(action)).collect();
        self.heard.lock().unwrap().push(Heard { at: Instant::now(), ids });
        let fate = self.script.lock().unwrap().pop_front();
        let statuses = match fate {
            Some(Fate::Say(status, head, body)) => return Reply::new(status, head, body),
            Some(Fate::Items(statuses)) => statuses,
            _ => &[(0, "")],
        };
        let items = actions.iter().zip(statuses.iter().cycle());
        let items: Vec<Value> =
            items.map(|((action, text), it)| self.item(action, text, *it)).collect();
        let body = json!({ "errors": false, "items": items }).to_string();
        let mut reply = Reply::new(200, "", body);
        match fate {
            Some(Fate::Told(make)) => reply.body = make(&reply.body),
            Some(Fate::EndInAnswer) => reply.end = End::Torn,
            Some(Fate::ResetInAnswer) => reply.end = End::Reset,
            Some(Fate::Hang(time)) => std::thread::sleep(time),
            _ => {}
        }
        reply
    }

    /// What an action comes to.
    fn item(&self, action: &Value, text: &str, (status, why): (u16, &str)) -> Value {
        let (operation, action) = action.as_object().unwrap().iter().next().unwrap();
        let of = |key: &str| action[key].as_str().unwrap().to_owned();
        let (index, id) = (of("_index"), of("_id"));
        let mut stored = self.stored.lock().unwrap();
        let is_there = stored.contains_key(&(index.clone(), id.clone()));
        let is_done = matches!(status, 0 | 201 | 409);
        let done = if operation == "create" && is_there || status == 409 { 409 } else { 201 };
        if is_done && !(operation == "create" && is_there) {
            stored.insert((index, id.clone()), text.to_owned());
        }
        let status = if is_done { done } else { status };
        if operation == "create" {
            self.said.lock().unwrap().entry(id).or_default().push(status);
        }
        match status {
            201 => json!({ operation: { "status": 201 } }),
            409 => json!({ operation: { "status": 409, "error": {
                "type": "version_conflict_engine_exception", "reason": "already there" } } }),
            _ => json!({ operation: { "status": status,
                "error": { "type": why, "reason": "so it is written" } } }),
        }
    }
}
