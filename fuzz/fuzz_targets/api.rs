//! Any bytes as a request, or as the id of an explanation: an answer of bounded length with a
//! status that fits, and a problem document for whatever the program itself refuses.

#![no_main]

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zeek_ueba::api::{Question, Shared, answer};
use zeek_ueba::config::Plan;
use zeek_ueba::engine::{Applier, Meters, Status};
use zeek_ueba::state::{Owner, State};
use zeek_ueba::wiring;

/// A state as a daemon left it.
const STATE: &[u8] = include_bytes!("../../tests/data/state-0.1.redb.gz");

/// Bytes of an answer, at most, by that state.
const ANSWER_MAX: usize = 256 << 10;

struct Daemon {
    runtime: Runtime,
    shared: Arc<Shared>,
    _state: State,
}

impl Daemon {
    fn new() -> Self {
        let plan = zeek_ueba_fuzz::plan();
        let state = state(&plan);
        let mut applier = Applier::new(wiring::core(&plan));
        state
            .each(&mut |key, value| match Applier::file_of(key) {
                Some(_) => Ok(()),
                None => applier.load(key, value),
            })
            .expect("a good state");
        applier.begin();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let meters = Meters {
            stages: Default::default(),
            end_to_end: Default::default(),
            heard: Default::default(),
            committed: zeek_ueba::base::clock::now(),
        };
        let status = Status::take(&applier, &meters);
        let reader = state.reader();
        let answer = move |question: &Question| {
            wiring::answer(&plan, &reader, question).map_err(|error| error.to_string())
        };
        let shared = Arc::new(Shared::new(status, Arc::default(), Box::new(answer)));
        Self { runtime, shared, _state: state }
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(1 << 20);
            drop(tokio::spawn(answer(theirs, Arc::clone(&self.shared))));
            let mut out = Vec::new();
            let ask = async {
                // Who is refused is not always listened to until the end.
                drop(ours.write_all(request).await);
                drop(ours.read_to_end(&mut out).await);
            };
            timeout(Duration::from_secs(60), ask).await.expect("an end in bounded time");
            out
        })
    }
}

fn state(plan: &Plan) -> State {
    let place = std::env::temp_dir().join(format!("zeek-ueba-fuzz-api-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(STATE).read_to_end(&mut bytes).expect("a good fixture");
    std::fs::write(place.join("state.redb"), bytes).expect("room");
    let owner = Owner { sensor_id: plan.sensor_id.clone(), scope: "network".to_owned() };
    let state = State::open(&place, &owner, true).expect("a good state");
    // It is held open, and nobody else needs it.
    std::fs::remove_dir_all(&place).expect("it was there");
    state
}

/// Everything but letters and digits is escaped.
fn escaped(id: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.iter().map(one).collect()
}

fn check(answer: &[u8]) {
    assert!(answer.len() <= ANSWER_MAX, "{} bytes", answer.len());
    // Nothing is said to who hangs up, or says nothing.
    if answer.is_empty() {
        return;
    }
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text").to_lowercase();
    let body = &answer[end + 4..];
    let status: u16 = head.get(9..12).and_then(|it| it.parse().ok()).expect("a status");
    match status {
        200 => {}
        // hyper's own: the request is none.
        400 | 414 | 431 | 501 | 505 if body.is_empty() => {}
        400 | 403 | 404 | 405 | 421 | 503 => {
            assert!(head.contains("content-type: application/problem+json"), "{head}");
            // To HEAD there is no body.
            if !body.is_empty() {
                let problem: Value = serde_json::from_slice(body).expect("a problem document");
                assert_eq!(problem["status"], status);
                assert!(problem["title"].is_string() && problem["detail"].is_string());
            }
        }
        _ => panic!("{head}"),
    }
}

fuzz_target!(|data: &[u8]| {
    thread_local! {
        static DAEMON: Daemon = Daemon::new();
    }
    DAEMON.with(|daemon| {
        check(&daemon.ask(data));
        let id = escaped(data.get(..2048).unwrap_or(data));
        let request = format!("GET /api/v1/explain/{id} HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
        check(&daemon.ask(request.as_bytes()));
    });
});
