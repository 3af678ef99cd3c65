//! What is answered where; everything else is a problem document (RFC 9457).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::base::clock::now;
use crate::engine::Status;

use super::metrics;

/// A commit older than this, while there is something to commit, is a failure.
const COMMIT_AGE_MAX: Duration = Duration::from_secs(30);
/// The engine shows itself ten times a second; after so long without it hangs.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the daemon and those who ask have in common.
#[derive(Debug)]
pub struct Shared {
    status: Mutex<Status>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    /// For a daemon that begins like this and stops when `stop` is set.
    #[must_use]
    pub fn new(status: Status, stop: Arc<AtomicBool>) -> Self {
        Self { status: Mutex::new(status), stop }
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
        if let Some((sink, _)) = status.sinks.iter().find(|(_, it)| !it.is_up && it.lag > 0) {
            return Some(format!("{sink} does not answer"));
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
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(shared)
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

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz")
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
