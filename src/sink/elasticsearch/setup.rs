//! What has to be on the servers before documents come: templates. And what an operator should know
//! of servers before.

use serde_json::{Value, json};

use super::Settings;
use super::bulk::said;
use super::client::{Client, Question, Reply, Silence};
pub use super::template::Template;
use super::template::templates;
use crate::sink::network::CannotConfigure;

/// Why servers could not be asked, or do not do what they are asked.
#[derive(Debug, thiserror::Error)]
pub enum CannotAsk {
    /// No client can be made of the configuration.
    #[error(transparent)]
    Configure(#[from] CannotConfigure),
    /// Nobody answers.
    #[error("{0}")]
    Silent(String),
    /// The answer is an error.
    #[error("{servers} to {what}: {said}{}", hint(*.status))]
    Refused {
        /// Who said it.
        servers: String,
        /// What was asked.
        what: String,
        /// Its HTTP status.
        status: u16,
        /// In the server's words.
        said: String,
    },
    /// Something answers that is no such server, or too old.
    #[error("{0}")]
    Strange(String),
}

impl CannotAsk {
    /// Whether it will be the same until somebody puts it right.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Silent(_) => false,
            Self::Refused { status, .. } => !matches!(status, 408 | 429 | 500..=599),
            Self::Configure(_) | Self::Strange(_) => true,
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => "; sink.elasticsearch.user and password_file, or api_key_file, say who this is",
        403 => "; the user or key lacks rights: see docs/elasticsearch.md",
        404 | 405 => "; is this the address of the cluster itself?",
        _ => "",
    }
}

/// How a template stands on the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not there.
    Missing,
    /// It is there, of another release or with other settings.
    Other,
    /// It is there as it should be.
    Current,
}

/// What there is.
#[derive(Clone, Debug)]
pub struct Found {
    /// `Elasticsearch 8.19.21`, …
    pub server: String,
    /// Each template, and how it stands.
    pub templates: Vec<(Template, Standing)>,
}

/// Asks for what there is.
///
/// # Errors
/// When nobody answers as such a server does.
pub fn look(settings: &Settings) -> Result<Found, CannotAsk> {
    let client = Client::new(settings)?;
    let server = server(&client)?;
    let templates = standings(&client, settings)?;
    Ok(Found { server, templates })
}

/// Installs the templates that are not as they should be, and tells indices that are there already
/// of fields that they do not know.
///
/// # Errors
/// What the servers say against it.
pub fn make(settings: &Settings) -> Result<(), CannotAsk> {
    install(&Client::new(settings)?, settings).map(drop)
}

/// The rights that the sink needs and does not have, as far as the servers tell.
///
/// # Errors
/// When nobody answers.
pub fn missing_rights(settings: &Settings) -> Result<Vec<String>, CannotAsk> {
    let client = Client::new(settings)?;
    let prefix = &settings.index_prefix;
    let body = json!({ "index": [
        { "names": [format!("{prefix}-*")], "privileges": ["create", "auto_configure"] },
        { "names": [format!("{prefix}-entities")], "privileges": ["index"] },
    ] });
    let path = "/_security/user/_has_privileges";
    let reply = ask(&client, "POST", path, Some(&body))?;
    // Servers without this kind of security do not know the question.
    let Some(answer) = json_of(&reply).filter(|_| reply.status == 200) else {
        return Ok(Vec::new());
    };
    let mut missing = Vec::new();
    for (index, rights) in answer["index"].as_object().into_iter().flatten() {
        let lacks =
            rights.as_object().into_iter().flatten().filter(|(_, has)| **has == json!(false));
        missing.extend(lacks.map(|(right, _)| format!("{right} on {index}")));
    }
    Ok(missing)
}

/// [`make`] with a client that is there; which templates were not as they should be.
pub(super) fn install(client: &Client, settings: &Settings) -> Result<Vec<String>, CannotAsk> {
    let mut installed = Vec::new();
    for (template, standing) in standings(client, settings)? {
        if standing == Standing::Current {
            continue;
        }
        let path = format!("/_index_template/{}", template.name);
        expect(client, "PUT", &path, Some(&template.body))?;
        // An index of today was made by the template of yesterday.
        let options = "allow_no_indices=true&ignore_unavailable=true&expand_wildcards=open";
        let path = format!("/{}/_mapping?{options}", template.pattern);
        let mappings = &template.body["template"]["mappings"];
        match expect(client, "PUT", &path, Some(mappings)) {
            Ok(_) => {}
            Err(CannotAsk::Refused { status: 404, .. }) => {}
            Err(error @ CannotAsk::Refused { status: 400, .. }) => {
                tracing::warn!(
                    template = template.name, %error,
                    "an index that is there keeps its old mappings; new ones have the new"
                );
            }
            Err(error) => return Err(error),
        }
        installed.push(template.name);
    }
    Ok(installed)
}

fn standings(client: &Client, settings: &Settings) -> Result<Vec<(Template, Standing)>, CannotAsk> {
    let mut standings = Vec::new();
    for template in templates(settings) {
        let path = format!("/_index_template/{}", template.name);
        let reply = ask(client, "GET", &path, None)?;
        let standing = match reply.status {
            404 => Standing::Missing,
            200 => {
                let there = json_of(&reply).unwrap_or_default();
                let there = &there["index_templates"][0]["index_template"]["_meta"]["fingerprint"];
                let is_current = *there == template.fingerprint();
                if is_current { Standing::Current } else { Standing::Other }
            }
            _ => return Err(refused(client, &format!("GET {path}"), &reply)),
        };
        standings.push((template, standing));
    }
    Ok(standings)
}

/// The oldest versions of each that have what is needed: index templates with priorities, bulk
/// requests without types.
const OLDEST: [(&str, u64); 2] = [("Elasticsearch", 8), ("OpenSearch", 2)];

fn server(client: &Client) -> Result<String, CannotAsk> {
    let reply = ask(client, "GET", "/", None)?;
    let strange = |what: &str| {
        let servers = client.servers();
        CannotAsk::Strange(format!("{servers}: neither Elasticsearch nor OpenSearch: {what}"))
    };
    match reply.status {
        200 => {}
        401 | 403 => return Err(refused(client, "GET /", &reply)),
        _ => return Err(strange(&said(&reply))),
    }
    let answer = json_of(&reply).ok_or_else(|| strange("its answer is not JSON"))?;
    let number =
        answer["version"]["number"].as_str().ok_or_else(|| strange("it has no version"))?;
    let is_opensearch = answer["version"]["distribution"] == "opensearch";
    let (name, oldest) = OLDEST[usize::from(is_opensearch)];
    let major = number.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < oldest) {
        let why = format!("{name} {number} is too old: {oldest} or newer");
        return Err(CannotAsk::Strange(format!("{}: {why}", client.servers())));
    }
    Ok(format!("{name} {number}"))
}

fn json_of(reply: &Reply) -> Option<Value> {
    serde_json::from_slice(&reply.body).ok()
}

fn ask(
    client: &Client,
    method: &'static str,
    path: &str,
    body: Option<&Value>,
) -> Result<Reply, CannotAsk> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let asked = client.ask(&Question::new(method, path, body.as_bytes()));
    asked.map_err(|silence: Silence| CannotAsk::Silent(silence.to_string()))
}

fn expect(
    client: &Client,
    method: &'static str,
    path: &str,
    body: Option<&Value>,
) -> Result<Reply, CannotAsk> {
    let reply = ask(client, method, path, body)?;
    match reply.status {
        200..=299 => Ok(reply),
        _ => Err(refused(client, &format!("{method} {path}"), &reply)),
    }
}

fn refused(client: &Client, what: &str, reply: &Reply) -> CannotAsk {
    let (servers, what) = (client.servers(), what.to_owned());
    CannotAsk::Refused { servers, what, status: reply.status, said: said(reply) }
}
