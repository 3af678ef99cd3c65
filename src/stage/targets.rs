//! Which server a request asks for, also where a proxy stands between.
//!
//! Behind a proxy the destination of a connection is who the proxy is asked for, not the proxy. As
//! with sightings a lane only tells what it sees; it is put together with what stages find in the
//! entity lane (`engine::targets`).
//!
//! Not here: which address is a proxy (`context`, `sightings`).

use std::net::IpAddr;

use crate::base::address::Addr;
use crate::base::host::host_name;
use crate::base::time::Minute;
use crate::record::schema::{RESP_P, http};
use crate::record::{Batch, Uid};

use super::input::Input;

/// Whom a connection through a proxy asks for, in one minute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The minute.
    pub minute: Minute,
    /// The connection.
    pub uid: Uid,
    /// The name or the address asked for, as [`host_name`] has it.
    pub name: Box<str>,
    /// The proxy, if it is not internal: anybody can answer to CONNECT, so it counts only if the
    /// configuration says that it is one.
    pub outside: Option<Addr>,
}

/// Adds what the rows of a batch of `http` ask proxies for, each once.
pub fn targets(input: &Input<'_>, out: &mut Vec<Target>) {
    let start = out.len();
    for (row, parties) in input.parties.iter().enumerate() {
        let (Some(_), Some(resp)) = (parties.orig, input.sides[row].resp) else { continue };
        if asked_of_proxy(input.batch, row).is_none() {
            continue;
        }
        let uid = input.batch.uid(row);
        let Some(name) = asked(input.batch, row).filter(|_| !uid.as_str().is_empty()) else {
            continue;
        };
        let outside = parties.resp.is_none().then_some(resp);
        out.push(Target { minute: input.minutes[row], uid, name: name.into(), outside });
    }
    out[start..].sort_unstable();
    out.dedup();
}

/// What a request of `http` asks a proxy for: what stands behind the scheme of its URI, or what
/// CONNECT has instead of one. Nothing of other requests.
pub(super) fn asked_of_proxy(batch: &Batch, row: usize) -> Option<&[u8]> {
    let uri = batch.text(http::URI, row).unwrap_or_default();
    let whole = uri.strip_prefix(b"http://").or_else(|| uri.strip_prefix(b"https://"));
    whole.or_else(|| (batch.text(http::METHOD, row) == Some(b"CONNECT")).then_some(uri))
}

/// The server that a request of `http` asks for. A proxy goes by the URI, whatever `Host` says (RFC
/// 9112 3.2.2), so that goes first.
pub(super) fn asked(batch: &Batch, row: usize) -> Option<String> {
    asked_of_proxy(batch, row)
        .and_then(host_name)
        .or_else(|| batch.text(http::HOST, row).and_then(host_name))
}

/// Appends the URL of a request: what a proxy is asked for, or host and path; of one that names no
/// host, if `takes_address`, the address and the port that answered. Whether there is one.
pub(super) fn url(input: &Input<'_>, row: usize, takes_address: bool, url: &mut Vec<u8>) -> bool {
    let batch = input.batch;
    url.extend_from_slice(b"http://");
    if let Some(rest) = asked_of_proxy(batch, row) {
        url.extend_from_slice(rest);
        return true;
    }
    match batch.text(http::HOST, row).filter(|host| !host.is_empty()) {
        Some(host) => url.extend_from_slice(host),
        None if takes_address => {
            let port = batch.count(RESP_P, row).unwrap_or(80);
            let Some(resp) = input.sides[row].resp else { return false };
            match resp.to_ip() {
                IpAddr::V4(addr) => url.extend_from_slice(format!("{addr}:{port}").as_bytes()),
                IpAddr::V6(addr) => url.extend_from_slice(format!("[{addr}]:{port}").as_bytes()),
            }
        }
        None => return false,
    }
    // `OPTIONS *` asks for nothing on the host.
    let path = batch.text(http::URI, row).filter(|path| path.starts_with(b"/"));
    url.extend_from_slice(path.unwrap_or_default());
    true
}
