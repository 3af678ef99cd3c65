//! Names that records ask for: where they stand, whether they exist, and which are ours.
//!
//! Not here: what names look like (`feature`), URLs (`link`).

use crate::base::keys::Settings;
use crate::feature::Name;
use crate::record::schema::{ColumnId, dns, http, quic, ssl};
use crate::record::{Batch, Log};

use super::targets::{asked, asked_of_proxy};

/// Appends the name that a record asks for, as it stands there; whether there is any.
pub(super) fn text(batch: &Batch, row: usize, out: &mut Vec<u8>) -> bool {
    let name = match batch.log() {
        Log::Dns => batch.text(dns::QUERY, row),
        Log::Http if asked_of_proxy(batch, row).is_some() => {
            let name = asked(batch, row);
            out.extend_from_slice(name.as_deref().unwrap_or_default().as_bytes());
            return name.is_some();
        }
        Log::Http => batch.text(http::HOST, row),
        Log::Ssl => batch.text(ssl::SERVER_NAME, row),
        Log::Quic => batch.text(quic::SERVER_NAME, row),
        _ => None,
    };
    out.extend_from_slice(name.unwrap_or_default());
    name.is_some()
}

/// The columns that have it.
pub(super) fn columns(log: Log) -> &'static [ColumnId] {
    match log {
        Log::Http => &[http::HOST, http::URI],
        Log::Ssl => &[ssl::SERVER_NAME],
        Log::Quic => &[quic::SERVER_NAME],
        _ => &[dns::QUERY],
    }
}

/// What a record says of its name: that it exists, that it does not (RFC 8020), or neither. A
/// refusal, a failure or no answer says nothing.
pub(super) fn answer(batch: &Batch, row: usize) -> Option<bool> {
    if batch.log() != Log::Dns {
        return Some(true);
    }
    match (batch.count(dns::RCODE, row), batch.text(dns::RCODE_NAME, row)) {
        (Some(0), _) | (None, Some(b"NOERROR")) => Some(true),
        (Some(3), _) | (None, Some(b"NXDOMAIN")) => Some(false),
        _ => None,
    }
}

/// Domains of ours: the key `local`.
#[derive(Debug)]
pub(super) struct Local(Vec<String>);

impl Local {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(settings.list("local").iter().map(|name| domain(name)).collect())
    }

    /// Whether a name is one of ours.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.iter().any(|local| name.is_in(local))
    }
}

/// A domain of ours as names are written.
fn domain(name: &str) -> String {
    let name = name.trim_start_matches('*').trim_matches('.');
    // A single label is no name that could be scored, and a domain of ours all the same.
    Name::parse(name.as_bytes())
        .map_or_else(|_| name.to_ascii_lowercase(), |name| name.as_str().to_owned())
}
