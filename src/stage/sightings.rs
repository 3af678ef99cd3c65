//! Which internal server served which internal client, as far as it tells a shared address.
//!
//! A record stage that scores nothing: what it sees is folded in the entity lane (`engine::census`)
//! and becomes a role there. Learned are resolvers (DNS answers), proxies (requests with a whole
//! URI or CONNECT), mail servers and update servers (WSUS). A gateway that hides others and a
//! scanner look like a compromised host, so these are told and never learned.

use crate::base::address::Addr;
use crate::base::time::Minute;
use crate::record::Log;
use crate::record::schema::{ColumnId, RESP_P, conn, http};

use super::context::Role;
use super::input::Input;
use super::targets::asked_of_proxy;

/// One server and one client of it in one minute.
pub type Sighting = (Minute, Role, Addr, Addr);

/// The columns that are looked at, for targets too.
#[must_use]
pub fn columns(log: Log) -> &'static [ColumnId] {
    match log {
        Log::Conn => &[conn::SERVICE, RESP_P, conn::RESP_BYTES],
        Log::Http => &[http::METHOD, http::HOST, http::URI],
        _ => &[],
    }
}

/// Adds what the rows of a batch show, each once.
pub fn sightings(input: &Input<'_>, out: &mut Vec<Sighting>) {
    let log = input.batch.log();
    let role = match log {
        Log::Conn => of_connection,
        Log::Http => of_request,
        _ => return,
    };
    let start = out.len();
    for (row, parties) in input.parties.iter().enumerate() {
        let (Some(client), Some(server)) = (parties.orig, parties.resp) else { continue };
        if client != server
            && let Some(role) = role(input, row)
        {
            out.push((input.minutes[row], role, server, client));
        }
    }
    out[start..].sort_unstable();
    out.dedup();
}

fn of_connection(input: &Input<'_>, row: usize) -> Option<Role> {
    let batch = input.batch;
    // A server that said nothing served nobody.
    batch.count(conn::RESP_BYTES, row).filter(|bytes| *bytes > 0)?;
    let service = batch.text(conn::SERVICE, row).unwrap_or_default();
    let port = batch.count(RESP_P, row).unwrap_or_default();
    let is = |name: &[u8]| service.split(|byte| *byte == b',').any(|one| one == name);
    match port {
        53 if service.is_empty() || is(b"dns") => Some(Role::Resolver),
        25 | 465 | 587 if service.is_empty() || is(b"smtp") || is(b"ssl") => Some(Role::Mail),
        8530 | 8531 => Some(Role::Update),
        _ if is(b"dns") => Some(Role::Resolver),
        _ if is(b"smtp") => Some(Role::Mail),
        _ => None,
    }
}

fn of_request(input: &Input<'_>, row: usize) -> Option<Role> {
    asked_of_proxy(input.batch, row).map(|_| Role::Proxy)
}
