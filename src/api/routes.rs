//! What is answered where; everything else is a problem document (RFC 9457).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::base::clock::now;
use crate::engine::Status;

use super::metrics;

/// A commit older than this, while there is something to commit, is a failure.
const COMMIT_AGE_MAX: Duration = Duration::from_secs(30);
/// The engine shows itself ten times a second; after so long without it hangs.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What may be asked of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Why a score, an alert or an event is what it is, by its id.
    Why(String),
    /// What is usual of an entity.
    Profile(String),
    /// Of whom anything is known.
    Profiles,
}

/// Answers with a document, or with lines of them; nothing where nothing is known; else why not.
pub type Answer = dyn Fn(&Question) -> Result<Option<Vec<u8>>, String> + Send + Sync;

/// Answers that are made at once: each looks into the state, and may look through all of it.
const ANSWERS_AT_ONCE: usize = 1;

/// What the daemon and those who ask have in common.
pub struct Shared {
    status: Mutex<Status>,
    stop: Arc<AtomicBool>,
    answer: Box<Answer>,
    answering: Arc<Semaphore>,
}

impl Shared {
    /// For a daemon that begins like this, stops when `stop` is set and answers by `answer`.
    #[must_use]
    pub fn new(status: Status, stop: Arc<AtomicBool>, answer: Box<Answer>) -> Self {
        let answering = Arc::new(Semaphore::new(ANSWERS_AT_ONCE));
        Self { status: Mutex::new(status), stop, answer, answering }
    }

    /// Shows new numbers from now on.
    pub fn show(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the daemon is not ready, if it is not.
    fn why_not_ready(&self) -> Option<String> {
        if self.stop.load(Ordering::Relaxed) {
            return Some("it stops".to_owned());
        }
        let status = self.status();
        if status.heard.is_empty() {
            return Some("it starts".to_owned());
        }
        let (silence, age) = (status.taken.elapsed(), now() - status.committed);
        if silence > SILENCE_MAX {
            return Some(format!("nothing was taken for {} s", silence.as_secs()));
        }
        if status.roots == 0 {
            return Some("none of the directories in source.roots is there".to_owned());
        }
        if let Some((sink, _)) = status.sinks.iter().find(|(_, it)| it.spool.is_full) {
            return Some(format!("the spool of {sink} is full"));
        }
        if status.letters.is_full {
            return Some("dead letters find no room".to_owned());
        }
        if age > COMMIT_AGE_MAX {
            return Some(format!("the last commit is {} s old", age.as_secs()));
        }
        None
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/api/v1/explain/{id}", get(explain))
        .route("/api/v1/profiles", get(profiles))
        .route("/api/v1/profiles/{id}", get(profile))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(guard))
        .with_state(shared)
}

/// What browsers are told with every answer: it is no page, nobody else's page has any use for it,
/// and nobody keeps it.
const TO_BROWSERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Answers only who asks for this machine by an address or as `localhost`. A browser that somebody
/// led here by a name of theirs (DNS rebinding) would show their page what it is answered.
async fn guard(request: Request, next: Next) -> Response {
    let uri = request.uri().authority().map(|it| is_ours(it.as_str()));
    let hosts = request.headers().get_all(header::HOST).iter();
    let mut named = hosts.map(|host| host.to_str().is_ok_and(is_ours)).chain(uri);
    let mut answer = if named.all(|is_ours| is_ours) {
        next.run(request).await
    } else {
        let why = "ask for an address or localhost: who comes by another name is not meant";
        problem(StatusCode::MISDIRECTED_REQUEST, why)
    };
    answer.headers_mut().extend(TO_BROWSERS);
    answer
}

/// Whether a host, perhaps with a port, is this machine by whatever way somebody came: no name but
/// one can be turned to it by others.
fn is_ours(authority: &str) -> bool {
    authority.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let addr = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost") || addr.parse::<IpAddr>().is_ok()
    })
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let Some(text) = metrics::text(&shared.status()) else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written");
    };
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn healthz() -> Response {
    json(r#"{"status":"alive"}"#)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.why_not_ready() {
        None => json(r#"{"status":"ready"}"#),
        Some(why) => problem(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// Why, for who asks: an entity, an alert, an event.
async fn explain(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    ask(shared, id.map(|Path(id)| Question::Why(id))).await
}

/// What is usual of an entity.
async fn profile(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    ask(shared, id.map(|Path(id)| Question::Profile(id))).await
}

/// Of whom anything is known, a line of JSON for each.
async fn profiles(State(shared): State<Arc<Shared>>) -> Response {
    ask(shared, Ok(Question::Profiles)).await
}

async fn ask(shared: Arc<Shared>, question: Result<Question, PathRejection>) -> Response {
    let Ok(question) = question else {
        return problem(StatusCode::BAD_REQUEST, "the id is not UTF-8");
    };
    let kind = match question {
        Question::Profiles => "application/x-ndjson",
        _ => "application/json",
    };
    // Who waits holds a connection, of which there are few: those who ask for metrics need them.
    let Ok(turn) = Arc::clone(&shared.answering).try_acquire_owned() else {
        let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "another answer is being made");
        return ([(header::RETRY_AFTER, "1")], busy).into_response();
    };
    // It reads: others must not wait for that. Its turn lasts as long, also if nobody waits for it.
    let look = move || {
        let found = (shared.answer)(&question);
        drop(turn);
        found
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(Some(document))) => ([(header::CONTENT_TYPE, kind)], document).into_response(),
        Ok(Ok(None)) => problem(StatusCode::NOT_FOUND, "nothing is known of it"),
        Ok(Err(why)) => {
            tracing::warn!(why, "cannot answer");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "the state cannot be read")
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "it failed"),
    }
}

async fn not_found() -> Response {
    let all = "there are /metrics, /healthz, /readyz, /api/v1/explain/ID, /api/v1/profiles and \
               /api/v1/profiles/ENTITY";
    problem(StatusCode::NOT_FOUND, all)
}

async fn method_not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD")
}

fn json(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A problem document; `detail` is in our words, so that nothing in it needs to be escaped.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    let text = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{detail}"}}"#
    );
    (status, [(header::CONTENT_TYPE, "application/problem+json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            taken: now(),
            counted: Default::default(),
            allow_entries: 0,
            allow_rejected: 0,
            levels: Default::default(),
            budget: Default::default(),
            incidents: 0,
            stages: Vec::new(),
            models: Vec::new(),
            evicted: 0,
            dropped: 0,
            stage_seconds: Default::default(),
            end_to_end: Default::default(),
            heard: Default::default(),
            committed: now(),
            files: Default::default(),
            roots: 0,
            sinks: Default::default(),
            letters: Default::default(),
        }
    }

    #[test]
    fn nobody_waits_for_an_explanation() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let is_known = |it: &Question| *it == Question::Why("a".to_owned());
        let known = move |it: &Question| Ok(is_known(it).then(|| b"{}".to_vec()));
        let shared = Arc::new(Shared::new(status(), Arc::default(), Box::new(known)));
        let ask = |id: &str| {
            runtime.block_on(explain(State(Arc::clone(&shared)), Ok(Path(id.to_owned()))))
        };
        let turn = Arc::clone(&shared.answering).try_acquire_owned().unwrap();
        let busy = ask("a");
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        assert_eq!(busy.headers()[header::CONTENT_TYPE], "application/problem+json");
        drop(turn);
        assert_eq!((ask("a").status(), ask("b").status()), (StatusCode::OK, StatusCode::NOT_FOUND));
    }
}
