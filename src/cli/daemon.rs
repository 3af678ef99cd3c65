//! Asks the daemon that has a state, over its own HTTP.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use super::Failed;
use super::exit::Exit;
use super::run::ADDR;

/// How long a daemon has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of its answer: what it keeps of one entity, and a list of all, are far below.
const ANSWER_MAX: u64 = 16 << 20;

/// A daemon that has the state and `why` does not tell what is in it; `otherwise` says what to do.
pub(super) fn missing(directory: &Path, why: impl Display, otherwise: &str) -> Failed {
    let state = super::shown(directory.display());
    let why = format!("{state} is in use by a daemon, which {why}{otherwise}");
    Failed::new(Exit::Unavailable, anyhow::Error::msg(why))
}

/// What the daemon that has the state in `directory` answers at `/api/v1/PATH`; nothing where it
/// knows nothing.
pub(super) fn ask(
    directory: &Path,
    path: &str,
    otherwise: &str,
) -> Result<Option<Vec<u8>>, Failed> {
    let missing = |why: String| missing(directory, why, otherwise);
    let addr = match std::fs::read_to_string(directory.join(ADDR)) {
        Ok(text) => text.trim().parse::<std::net::SocketAddr>().ok(),
        Err(_) => None,
    };
    let Some(addr) = addr else {
        return Err(missing("does not listen (http.listen)".to_owned()));
    };
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE));
    let agent = config.build().new_agent();
    let silent = |error: ureq::Error| missing(format!("does not answer at {addr}: {error}"));
    let response = agent.get(format!("http://{addr}/api/v1/{path}")).call().map_err(silent)?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let body = body.with_config().limit(ANSWER_MAX).read_to_vec().map_err(silent)?;
    match status {
        200 => Ok(Some(body)),
        404 if body.starts_with(b"{\"type\":\"about:blank\"") => Ok(None),
        503 => Err(missing("answers somebody else just now: try again".to_owned())),
        status => Err(missing(format!("answers at {addr} with status {status}"))),
    }
}

/// A text as a part of a path: everything but letters, digits and `-._` is escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
