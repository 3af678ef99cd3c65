//! The servers of a cluster: whom to ask next, and how.
//!
//! What is asked, and what becomes of an answer, is not decided here.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, http};

use crate::base::clock::now;

use super::Settings;
use crate::sink::network::CannotConfigure;

/// One cluster.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    nodes: Vec<Node>,
    next: AtomicUsize,
    /// Marked as sensitive: it is not in what `Debug` shows.
    authorization: Option<HeaderValue>,
}

#[derive(Debug)]
struct Node {
    /// Without a slash at its end.
    url: String,
    /// Whether and until when it is left alone, and for how long next time.
    rest: Mutex<(Option<Instant>, Duration)>,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) method: &'static str,
    /// With a slash in front.
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
    headers: [&'static str; 2],
    /// Bytes of the answer, at most: more is no answer.
    answer_max: u64,
}

/// What a server answered, whatever it was.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}: {error}{}", hint(.error, .url))]
pub(super) struct Silence {
    url: String,
    error: ureq::Error,
}

/// Bytes of an answer, at most: a template with all that an operator added to it. It is read as a
/// tree, which takes many times as much.
const ANSWER_MAX: u64 = 4 << 20;
/// The same of an answer to documents: where every one of ten thousand is refused at such length
/// that it is more, less is sent at once.
const ITEMS_MAX: u64 = 16 << 20;
/// How long a server has to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server that failed is left alone, where there are others.
const REST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);

impl<'a> Question<'a> {
    /// One with JSON, or nothing, in it.
    pub(super) fn new(method: &'static str, path: &'a str, body: &'a [u8]) -> Self {
        let headers = ["application/json", ""];
        Self { method, path, body, headers, answer_max: ANSWER_MAX }
    }

    /// One with lines of JSON in it, perhaps compressed.
    pub(super) fn lines(path: &'a str, body: &'a [u8], is_compressed: bool) -> Self {
        let encoding = if is_compressed { "gzip" } else { "" };
        let headers = ["application/x-ndjson", encoding];
        Self { method: "POST", path, body, headers, answer_max: ITEMS_MAX }
    }
}

impl Client {
    /// Makes ready; asks nobody.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub(super) fn new(settings: &Settings) -> Result<Self, CannotConfigure> {
        let nodes = settings.urls.iter().map(|url| node(url)).collect::<Result<Vec<_>, _>>()?;
        let roots = match &settings.ca {
            Some(path) => roots(path)?,
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A server is reached as the configuration says, not by what the environment says.
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(settings.timeout))
            .max_idle_connections_per_host(settings.connections)
            .max_idle_connections(settings.connections * settings.urls.len())
            .user_agent(concat!("zeek-ueba/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        let authorization = authorization(settings)?;
        let overheard = nodes.iter().find(|node| is_overheard(&node.url));
        if let Some(node) = overheard.filter(|_| authorization.is_some()) {
            let url = node.url.as_str();
            tracing::warn!(
                url,
                "password or key go there for all to read: https:// instead of http://"
            );
        }
        let agent = config.build().new_agent();
        Ok(Self { agent, nodes, next: AtomicUsize::new(0), authorization })
    }

    /// Asks one of the servers, the next that is not left alone.
    ///
    /// # Errors
    /// When no answer came; another time it may be another server.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Reply, Silence> {
        let node = self.node();
        let asked = self.ask_node(node, question);
        let is_well = asked.as_ref().is_ok_and(|reply| !matches!(reply.status, 502..=504));
        node.answered(is_well);
        asked
    }

    /// The servers, for messages.
    pub(super) fn servers(&self) -> String {
        self.nodes.iter().map(|node| node.url.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn node(&self) -> &Node {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..self.nodes.len()).map(|n| &self.nodes[(first + n) % self.nodes.len()]);
        let now = now();
        let rested = in_turn().find(|node| node.until().is_none_or(|until| until <= now));
        let node = rested.or_else(|| in_turn().min_by_key(|node| node.until()));
        node.unwrap_or(&self.nodes[0])
    }

    fn ask_node(&self, node: &Node, question: &Question<'_>) -> Result<Reply, Silence> {
        let url = format!("{}{}", node.url, question.path);
        let mut request = http::Request::builder().method(question.method).uri(url);
        let headers = ["content-type", "content-encoding"].into_iter().zip(question.headers);
        for (name, value) in headers.filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let asked = match question.body {
            [] => request.body(()).map_err(ureq::Error::from).and_then(|it| self.agent.run(it)),
            body => request.body(body).map_err(ureq::Error::from).and_then(|it| self.agent.run(it)),
        };
        let read = |response| reply(response, question.answer_max);
        asked.and_then(read).map_err(|error| Silence { url: node.url.clone(), error })
    }
}

fn reply(response: http::Response<Body>, bytes_max: u64) -> Result<Reply, ureq::Error> {
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = retry_after.map(Duration::from_secs);
    let status = response.status().as_u16();
    let body = response.into_body().into_with_config().limit(bytes_max).read_to_vec()?;
    Ok(Reply { status, retry_after, body })
}

impl Node {
    fn until(&self) -> Option<Instant> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn answered(&self, is_well: bool) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = match is_well {
            true => (None, REST),
            false => (Some(now() + rest.1), (rest.1 * 2).min(REST_MAX)),
        };
    }
}

fn node(url: &str) -> Result<Node, CannotConfigure> {
    let wrong = |why: &str| {
        // What stands before an @ may be a password.
        let shown = url.rsplit('@').next().unwrap_or_default();
        CannotConfigure::Option(format!("sink.elasticsearch.urls: {shown}: {why}"))
    };
    let uri: Uri = url.parse().map_err(|_| wrong("not a URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("not a URL such as https://host:9200"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("no user in it, please: sink.elasticsearch.user and password_file"));
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("begins neither with http:// nor with https://"));
    }
    if uri.query().is_some() {
        return Err(wrong("nothing behind a ?, please"));
    }
    let url = url.trim_end_matches('/').to_owned();
    Ok(Node { url, rest: Mutex::new((None, REST)) })
}

/// Whether others may read what is sent there: without TLS, to another machine.
fn is_overheard(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let addr = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let is_here = addr.parse::<IpAddr>().is_ok_and(|addr| addr.is_loopback());
    uri.scheme_str() == Some("http") && !is_here && host != "localhost"
}

fn roots(path: &std::path::Path) -> Result<RootCerts, CannotConfigure> {
    let key = || "sink.elasticsearch.ca".to_owned();
    let failed = |error| CannotConfigure::File(key(), path.to_owned(), error);
    let text = std::fs::read(path).map_err(failed)?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<Certificate<'static>> = certificates.collect();
    if certificates.is_empty() {
        return Err(failed(std::io::Error::other("no certificate in PEM form in it")));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn authorization(settings: &Settings) -> Result<Option<HeaderValue>, CannotConfigure> {
    let key = |name: &str| format!("sink.elasticsearch.{name}");
    let value = match (&settings.api_key, &settings.user) {
        (Some(_), Some(_)) => {
            let why = "sink.elasticsearch: either a user or an api_key, not both";
            return Err(CannotConfigure::Option(why.to_owned()));
        }
        (Some(secret), None) => format!("ApiKey {}", secret.read(&key("api_key"))?),
        (None, Some(user)) => {
            let password = settings.password.as_ref().map(|it| it.read(&key("password")));
            let password = password.transpose()?.unwrap_or_default();
            let pair = format!("{user}:{password}");
            format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
        }
        (None, None) => return Ok(None),
    };
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let value = HeaderValue::try_from(value).ok().filter(|_| is_plain);
    let Some(mut value) = value else {
        let why = "sink.elasticsearch.api_key: holds what no key holds";
        return Err(CannotConfigure::Option(why.to_owned()));
    };
    value.set_sensitive(true);
    Ok(Some(value))
}

/// What is behind most errors of a kind.
fn hint(error: &ureq::Error, url: &str) -> &'static str {
    let is_tls = url.starts_with("https:");
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            "; is the certificate signed by sink.elasticsearch.ca, and for this host?"
        }
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "; is a server there, and is this its HTTP port?"
        }
        ureq::Error::Io(error) if is_tls && error.to_string().contains("InvalidContentType") => {
            "; this port speaks without TLS: http:// instead of https://"
        }
        ureq::Error::Io(error) if is_tls && error.to_string().contains("ertificate") => {
            "; is the certificate signed by sink.elasticsearch.ca, and for this host?"
        }
        ureq::Error::Io(_) | ureq::Error::Protocol(_) if !is_tls => {
            "; does this port speak HTTP, and without TLS? If with TLS: https:// instead of http://"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::elasticsearch::tests::settings;
    use crate::sink::secret::Secret;

    #[test]
    fn who_may_listen() {
        for (url, expected) in [
            ("http://127.0.0.1:9200", false),
            ("http://localhost", false),
            ("http://[::1]:9200/es", false),
            ("https://es.example:9200", false),
            ("http://es.example:9200", true),
            ("http://10.0.0.5:9200", true),
            ("http://[fd00::5]", true),
        ] {
            assert_eq!(is_overheard(url), expected, "{url}");
        }
    }

    #[test]
    fn a_client_does_not_show_its_secret() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("key");
        std::fs::write(&path, "hidden\n").unwrap();
        let (api_key, user) = (Some(Secret::File(path)), Some("u".to_owned()));
        let by_key = Settings { api_key: api_key.clone(), ..settings("http://[::1]:1") };
        let by_password = Settings { user, password: api_key, ..settings("http://[::1]:1") };
        for (settings, header) in [(by_key, "ApiKey hidden"), (by_password, "Basic dTpoaWRkZW4=")] {
            let client = Client::new(&settings).unwrap();
            assert_eq!(client.authorization.as_ref().unwrap(), header);
            let shown = format!("{client:?}");
            assert!(!shown.contains("hidden") && !shown.contains("dTpoaWRkZW4"), "{shown}");
        }
    }
}
