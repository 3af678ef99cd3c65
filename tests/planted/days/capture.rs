//! Real logs, cut into sessions: what a client does within a minute or so, with the rows of all
//! logs that belong to the same connections.
//!
//! Not here: who lives through them again (`office`), and what of them changes (`write`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeek_ueba::base::time::Time;

use super::super::evaluation::SECOND;
use super::columns::Kind;

/// A client of a capture, in which nobody is known to attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Below `zeek` of the data.
    pub(crate) directory: &'static str,
    pub(crate) client: &'static str,
}

/// Who browses through a proxy; that proxy, in both of its address families; a laptop; a telephone;
/// a server with its own errands. Of all others, either somebody is known to attack in them, or
/// they are too little, or no connections are logged.
pub(crate) const SOURCES: [Source; 6] = [
    Source { directory: "rita_proxy_rolling", client: "10.0.0.111" },
    Source { directory: "rita_proxy_rolling", client: "10.0.0.238" },
    Source { directory: "rita_proxy_rolling", client: "2601:19e:8200:91e0::1ec7" },
    Source {
        directory: "slips_test10-mixed-zeek-dir",
        client: "2001:718:2:1663:dc58:6d9:ef13:51a5",
    },
    Source { directory: "dataleak/conn_dataset/good", client: "10.3.141.223" },
    Source { directory: "rita_missing_host", client: "64.225.56.201" },
];

/// A session ends with a pause of this length,
const PAUSE: i64 = 10 * SECOND;
/// after this time,
const LENGTH: i64 = 60 * SECOND;
/// or with this number of connections.
const CONNECTIONS_MAX: usize = 40;

/// What a client did, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(super) client: String,
    pub(crate) lines: Vec<Line>,
    /// How many connections its lines are of.
    pub(crate) connections: usize,
}

/// A row of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    /// Since the session began.
    pub(super) offset: i64,
    /// Which connection of the session.
    pub(super) connection: usize,
    /// In the order of the columns.
    pub(super) cells: Vec<String>,
}

/// A row as it was read.
struct Raw {
    time: i64,
    kind: Kind,
    uid: String,
    cells: Vec<String>,
}

/// The sessions of a client, in order of time.
pub(crate) fn sessions(data: &Path, source: &Source) -> Result<Vec<Session>, String> {
    let directory = data.join("zeek").join(source.directory);
    let mut rows = Vec::new();
    for (kind, path) in files(&directory)? {
        let text = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        rows.extend(of_client(kind, &text, source.client));
    }
    rows.sort_by(|a, b| {
        (a.time, a.kind, &a.uid, &a.cells).cmp(&(b.time, b.kind, &b.uid, &b.cells))
    });
    let sessions = cut(source.client, rows);
    if sessions.is_empty() {
        return Err(format!("{} holds nothing of {}", directory.display(), source.client));
    }
    Ok(sessions)
}

/// The logs below a directory, in order.
fn files(directory: &Path) -> Result<Vec<(Kind, PathBuf)>, String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| {
            format!(
                "{} is not there ({error}): say where the data is with --data DIR, or make \
                 evaluate DATA=DIR",
                directory.display()
            )
        })?;
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind =
                Kind::ALL.into_iter().find(|kind| name.split('.').next() == Some(kind.name()));
            match kind {
                _ if path.is_dir() => open.push(path),
                Some(kind) => found.push((kind, path)),
                None => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut bytes = fs::read(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text)?;
        bytes = text;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rows of a log that a client began.
fn of_client(kind: Kind, text: &str, client: &str) -> Vec<Raw> {
    let mut rows = Vec::new();
    let mut places: Vec<Option<usize>> = Vec::new();
    let mut client_at = None;
    for line in text.lines() {
        if let Some(fields) = line.strip_prefix("#fields\t") {
            let fields: Vec<&str> = fields.split('\t').collect();
            let at = |name: &str| fields.iter().position(|field| *field == name);
            places = kind.columns().iter().map(|(name, ..)| at(name)).collect();
            client_at = at("id.orig_h").or_else(|| at("rx_hosts"));
        }
        let Some(client_at) = client_at.filter(|_| !line.starts_with('#')) else { continue };
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.get(client_at) != Some(&client) {
            continue;
        }
        let cell = |place: &Option<usize>| {
            let cell = place.and_then(|at| cells.get(at).copied()).unwrap_or("-");
            cell.to_owned()
        };
        let cells: Vec<String> = places.iter().map(cell).collect();
        let Some(time) = Time::parse_seconds(cells[0].as_bytes()) else { continue };
        let uid = cells[kind.at(if kind == Kind::Files { "conn_uids" } else { "uid" })].clone();
        rows.push(Raw { time, kind, uid, cells });
    }
    rows
}

/// Whether somebody else made the client do it (ICMP answers), or it has no place in the office
/// (multicast of IPv6).
fn is_left_out(row: &Raw) -> bool {
    let is_icmp = row.kind == Kind::Conn && row.cells[Kind::Conn.at("proto")] == "icmp";
    let is_answered_by = |name| row.cells[row.kind.at(name)].starts_with("ff0");
    is_icmp || row.kind != Kind::Files && is_answered_by("id.resp_h")
}

/// Rows in order of time, cut into sessions.
fn cut(client: &str, rows: Vec<Raw>) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    // Of each connection the session and its number there.
    let mut known: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut began, mut before) = (i64::MIN, i64::MIN);
    let mut starts = Vec::new();
    for row in rows.into_iter().filter(|row| !is_left_out(row)) {
        let (session, connection) = match known.get(&row.uid) {
            Some(place) => *place,
            None => {
                let is_full = sessions.last().is_none_or(|it| it.connections >= CONNECTIONS_MAX);
                if is_full || row.time - before > PAUSE || row.time - began > LENGTH {
                    let client = client.to_owned();
                    sessions.push(Session { client, lines: Vec::new(), connections: 0 });
                    starts.push(row.time);
                    began = row.time;
                }
                before = row.time;
                let last = sessions.len() - 1;
                sessions[last].connections += 1;
                let place = (last, sessions[last].connections - 1);
                known.insert(row.uid, place);
                place
            }
        };
        let offset = row.time - starts[session];
        let line = Line { kind: row.kind, offset, connection, cells: row.cells };
        sessions[session].lines.push(line);
    }
    sessions
}
