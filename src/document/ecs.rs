//! The fields that the Elastic Common Schema has a name for.
//!
//! Only values that are what ECS says they are: an address that is none stays in `zeek.*` alone.

use std::borrow::Cow;

use crate::base::address::Addr;
use crate::record::schema::{ColumnId, Kind, ORIG_P, RESP_P, conn, dns, files, http};
use crate::record::{Batch, Log, Sides};

use super::redact::{Hidden, Rule};
use super::text;

mod tls;

/// The columns that [`Ecs`] reads.
pub(super) fn columns(log: Log) -> &'static [ColumnId] {
    match log {
        Log::Conn | Log::OpenConn => &[
            ORIG_P,
            RESP_P,
            conn::PROTO,
            conn::SERVICE,
            conn::DURATION,
            conn::ORIG_BYTES,
            conn::RESP_BYTES,
            conn::ORIG_PKTS,
            conn::RESP_PKTS,
            conn::COMMUNITY_ID,
        ],
        Log::Dns => &[
            ORIG_P,
            RESP_P,
            dns::PROTO,
            dns::QUERY,
            dns::QTYPE_NAME,
            dns::RCODE_NAME,
            dns::ANSWERS,
        ],
        Log::Http => &[
            ORIG_P,
            RESP_P,
            http::METHOD,
            http::HOST,
            http::URI,
            http::REFERRER,
            http::VERSION,
            http::USER_AGENT,
            http::REQUEST_BODY_LEN,
            http::RESPONSE_BODY_LEN,
            http::STATUS_CODE,
            http::USERNAME,
        ],
        Log::Files => &[
            ORIG_P,
            RESP_P,
            files::MIME_TYPE,
            files::FILENAME,
            files::SEEN_BYTES,
            files::TOTAL_BYTES,
            files::MD5,
            files::SHA1,
            files::SHA256,
        ],
        Log::Ssl => tls::SSL,
        Log::Quic => tls::QUIC,
    }
}

/// Writes the ECS part of a record's document.
#[derive(Clone, Debug)]
pub(super) struct Ecs {
    log: Log,
    hidden: Hidden,
    /// Those of its columns that are counts.
    counts: Vec<ColumnId>,
}

/// The greatest count that ECS fields hold: they are `long`s. `zeek.*` keeps every digit.
const COUNT_MAX: u64 = i64::MAX.unsigned_abs();

/// A row, as far as it may be shown.
#[derive(Clone, Copy)]
struct Row<'a> {
    batch: &'a Batch,
    row: usize,
    hidden: &'a Hidden,
}

impl<'a> Row<'a> {
    /// Whether its texts need no escapes; what stands in place of a hidden one needs none either.
    fn plain(self) -> bool {
        self.batch.lines[self.row].plain
    }

    fn text(self, id: ColumnId) -> Option<Cow<'a, [u8]>> {
        self.batch.text(id, self.row).map(|text| self.hidden.text(id, text))
    }

    fn list(self, id: ColumnId) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.batch.list(id, self.row).flatten().map(move |text| self.hidden.text(id, text))
    }

    fn count(self, id: ColumnId) -> Option<u64> {
        self.batch.count(id, self.row).filter(|_| self.hidden.is_shown(id))
    }

    fn flag(self, id: ColumnId) -> Option<bool> {
        self.batch.flag(id, self.row).filter(|_| self.hidden.is_shown(id))
    }
}

/// Appends `,"name":{` and members, and closes it, or takes it back if there were none.
fn object(out: &mut Vec<u8>, name: &str, members: impl FnOnce(&mut Members<'_>)) {
    let start = out.len();
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":{");
    let first = out.len();
    members(&mut Members { out });
    if out.len() == first {
        out.truncate(start);
    } else {
        // The last member's comma.
        out.pop();
        out.push(b'}');
    }
}

/// Members of an object, each with a comma behind it.
struct Members<'a> {
    out: &'a mut Vec<u8>,
}

impl Members<'_> {
    fn key(&mut self, key: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: Option<Cow<'_, [u8]>>, plain: bool) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.key(key);
            text::string(self.out, &value, plain);
            self.out.push(b',');
        }
    }

    /// A text of ours.
    fn word(&mut self, key: &str, word: &str) {
        self.text(key, Some(word.as_bytes().into()), true);
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key);
            text::number(self.out, value.min(COUNT_MAX));
            self.out.push(b',');
        }
    }

    fn flag(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.key(key);
            self.out.extend_from_slice(if value { b"true," } else { b"false," });
        }
    }

    fn address(&mut self, key: &str, value: Option<Addr>) {
        if let Some(addr) = value {
            self.key(key);
            self.out.push(b'"');
            addr.write(self.out);
            self.out.extend_from_slice(b"\",");
        }
    }

    fn object(&mut self, name: &str, members: impl FnOnce(&mut Members<'_>)) {
        // `object` puts its comma in front, members have theirs behind.
        let start = self.out.len();
        object(self.out, name, members);
        if self.out.len() > start {
            self.out.remove(start);
            self.out.push(b',');
        }
    }
}

impl Ecs {
    pub(super) fn new(log: Log, rules: &[Rule]) -> Self {
        let is_count = |id: &ColumnId| log.columns()[id.index()].kind == Kind::Count;
        let counts = columns(log).iter().copied().filter(is_count).collect();
        Self { log, hidden: Hidden::new(rules, log), counts }
    }

    /// Whether a count is greater than [`COUNT_MAX`].
    pub(super) fn is_clamped(&self, batch: &Batch, row: usize) -> bool {
        let row = Row { batch, row, hidden: &self.hidden };
        self.counts.iter().any(|id| row.count(*id).is_some_and(|count| count > COUNT_MAX))
    }

    /// Appends the members, each with a comma in front.
    pub(super) fn write(&self, batch: &Batch, row: usize, sides: Sides, out: &mut Vec<u8>) {
        let row = Row { batch, row, hidden: &self.hidden };
        let (source, destination) = self.hidden.ends(sides.orig, sides.resp);
        let (mut orig, mut resp) = (Traffic::default(), Traffic::default());
        if self.log.ends_with_duration() {
            orig = Traffic::of(row, conn::ORIG_BYTES, conn::ORIG_PKTS);
            resp = Traffic::of(row, conn::RESP_BYTES, conn::RESP_PKTS);
        }
        let mut side = |name, addr, port, traffic: Traffic| {
            object(out, name, |members| {
                members.address("ip", addr);
                members.number("port", row.count(port));
                members.number("bytes", traffic.bytes);
                members.number("packets", traffic.packets);
            });
        };
        side("source", source, ORIG_P, orig);
        side("destination", destination, RESP_P, resp);
        match self.log {
            Log::Conn | Log::OpenConn => network_of_conn(row, out),
            Log::Dns => of_dns(row, out),
            Log::Http => of_http(row, out),
            Log::Files => of_files(row, out),
            Log::Ssl => tls::of_ssl(row, out),
            Log::Quic => tls::of_quic(row, out),
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Traffic {
    bytes: Option<u64>,
    packets: Option<u64>,
}

impl Traffic {
    fn of(row: Row<'_>, bytes: ColumnId, packets: ColumnId) -> Self {
        Self { bytes: row.count(bytes), packets: row.count(packets) }
    }
}

fn network_of_conn(row: Row<'_>, out: &mut Vec<u8>) {
    let plain = row.plain();
    object(out, "network", |members| {
        members.text("transport", row.text(conn::PROTO), plain);
        members.text("protocol", row.text(conn::SERVICE), plain);
        members.text("community_id", row.text(conn::COMMUNITY_ID), plain);
    });
}

fn of_http(row: Row<'_>, out: &mut Vec<u8>) {
    let plain = row.plain();
    object(out, "network", |members| {
        members.word("transport", "tcp");
        members.word("protocol", "http");
    });
    object(out, "http", |members| {
        members.object("request", |request| {
            request.text("method", row.text(http::METHOD), plain);
            request.text("referrer", row.text(http::REFERRER), plain);
            request.object("body", |body| {
                body.number("bytes", row.count(http::REQUEST_BODY_LEN));
            });
        });
        members.object("response", |response| {
            response.number("status_code", row.count(http::STATUS_CODE));
            response.object("body", |body| {
                body.number("bytes", row.count(http::RESPONSE_BODY_LEN));
            });
        });
        members.text("version", row.text(http::VERSION), plain);
    });
    object(out, "url", |members| {
        members.text("domain", row.text(http::HOST), plain);
        members.text("original", row.text(http::URI), plain);
    });
    object(out, "user_agent", |members| {
        members.text("original", row.text(http::USER_AGENT), plain);
    });
    object(out, "user", |members| {
        members.text("name", row.text(http::USERNAME), plain);
    });
}

fn of_dns(row: Row<'_>, out: &mut Vec<u8>) {
    let plain = row.plain();
    object(out, "network", |members| {
        members.text("transport", row.text(dns::PROTO), plain);
        members.word("protocol", "dns");
    });
    object(out, "dns", |members| {
        members.object("question", |question| {
            let name = row.text(dns::QUERY);
            let domain = name.as_deref().and_then(registered_domain);
            question.text("name", name.as_deref().map(Into::into), plain);
            question.text("registered_domain", domain.map(Into::into), plain);
            question.text("type", row.text(dns::QTYPE_NAME), plain);
        });
        members.text("response_code", row.text(dns::RCODE_NAME), plain);
        let mut answers = row.list(dns::ANSWERS).peekable();
        if answers.peek().is_some() {
            members.key("answers");
            members.out.push(b'[');
            for answer in answers {
                members.out.extend_from_slice(b"{\"data\":");
                text::string(members.out, &answer, plain);
                members.out.extend_from_slice(b"},");
            }
            members.out.pop();
            members.out.extend_from_slice(b"],");
        }
    });
}

/// The name under which somebody registered `name`, by the Public Suffix List.
fn registered_domain(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    Some(psl::domain(name)?.as_bytes())
}

fn of_files(row: Row<'_>, out: &mut Vec<u8>) {
    let plain = row.plain();
    object(out, "file", |members| {
        members.text("name", row.text(files::FILENAME), plain);
        members.text("mime_type", row.text(files::MIME_TYPE), plain);
        let size = row.count(files::TOTAL_BYTES);
        members.number("size", size.or_else(|| row.count(files::SEEN_BYTES)));
        members.object("hash", |hash| {
            hash.text("md5", row.text(files::MD5), plain);
            hash.text("sha1", row.text(files::SHA1), plain);
            hash.text("sha256", row.text(files::SHA256), plain);
        });
    });
}
