//! The fields that the Elastic Common Schema has a name for.
//!
//! Only values that are what ECS says they are: an address that is none stays in `zeek.*` alone.

use crate::base::address::Addr;
use crate::record::schema::{ColumnId, ORIG_P, RESP_P, conn, dns, files, http};
use crate::record::{Batch, Log, Sides};

use super::redact::{HIDDEN, Redaction, Rule, rule_for, without_userinfo};
use super::text;

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
    }
}

/// Writes the ECS part of a record's document.
#[derive(Clone, Debug)]
pub(super) struct Ecs {
    log: Log,
    hide_username: Option<Redaction>,
    hide_uri: Option<Redaction>,
    hide_referrer: Option<Redaction>,
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

    fn text(&mut self, key: &str, value: Option<&[u8]>, plain: bool) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.key(key);
            text::string(self.out, value, plain);
            self.out.push(b',');
        }
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key);
            text::number(self.out, value);
            self.out.push(b',');
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
        let hide = |field| rule_for(rules, Log::Http, field).filter(|_| log == Log::Http);
        Self {
            log,
            hide_username: hide("username"),
            hide_uri: hide("uri"),
            hide_referrer: hide("referrer"),
        }
    }

    /// Appends the members, each with a comma in front.
    pub(super) fn write(&self, batch: &Batch, row: usize, sides: Sides, out: &mut Vec<u8>) {
        let (mut orig, mut resp) = (Traffic::default(), Traffic::default());
        if self.log.ends_with_duration() {
            orig = Traffic::of(batch, row, conn::ORIG_BYTES, conn::ORIG_PKTS);
            resp = Traffic::of(batch, row, conn::RESP_BYTES, conn::RESP_PKTS);
        }
        let mut side = |name, addr, port, traffic: Traffic| {
            object(out, name, |members| {
                members.address("ip", addr);
                members.number("port", batch.count(port, row));
                members.number("bytes", traffic.bytes);
                members.number("packets", traffic.packets);
            });
        };
        side("source", sides.orig, ORIG_P, orig);
        side("destination", sides.resp, RESP_P, resp);
        match self.log {
            Log::Conn | Log::OpenConn => network_of_conn(batch, row, out),
            Log::Dns => of_dns(batch, row, out),
            Log::Http => self.of_http(batch, row, out),
            Log::Files => of_files(batch, row, out),
        }
    }

    fn of_http(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        let plain = batch.lines[row].plain;
        let get = |id| batch.text(id, row);
        object(out, "network", |members| {
            members.text("transport", Some(b"tcp"), true);
            members.text("protocol", Some(b"http"), true);
        });
        object(out, "http", |members| {
            members.object("request", |request| {
                request.text("method", get(http::METHOD), plain);
                let referrer = get(http::REFERRER).map(|text| hide(text, self.hide_referrer));
                request.text("referrer", referrer.as_deref(), false);
                request.object("body", |body| {
                    body.number("bytes", batch.count(http::REQUEST_BODY_LEN, row));
                });
            });
            members.object("response", |response| {
                response.number("status_code", batch.count(http::STATUS_CODE, row));
                response.object("body", |body| {
                    body.number("bytes", batch.count(http::RESPONSE_BODY_LEN, row));
                });
            });
            members.text("version", get(http::VERSION), plain);
        });
        object(out, "url", |members| {
            members.text("domain", get(http::HOST), plain);
            let uri = get(http::URI).map(|text| hide(text, self.hide_uri));
            members.text("original", uri.as_deref(), false);
        });
        object(out, "user_agent", |members| {
            members.text("original", get(http::USER_AGENT), plain);
        });
        object(out, "user", |members| {
            let name = get(http::USERNAME).map(|text| hide(text, self.hide_username));
            members.text("name", name.as_deref(), false);
        });
    }
}

fn hide(text: &[u8], redaction: Option<Redaction>) -> std::borrow::Cow<'_, [u8]> {
    match redaction {
        Some(Redaction::Whole) => HIDDEN.into(),
        Some(Redaction::Userinfo) => without_userinfo(text).map_or(text.into(), Into::into),
        None => text.into(),
    }
}

#[derive(Clone, Copy, Default)]
struct Traffic {
    bytes: Option<u64>,
    packets: Option<u64>,
}

impl Traffic {
    fn of(batch: &Batch, row: usize, bytes: ColumnId, packets: ColumnId) -> Self {
        Self { bytes: batch.count(bytes, row), packets: batch.count(packets, row) }
    }
}

fn network_of_conn(batch: &Batch, row: usize, out: &mut Vec<u8>) {
    let plain = batch.lines[row].plain;
    object(out, "network", |members| {
        members.text("transport", batch.text(conn::PROTO, row), plain);
        members.text("protocol", batch.text(conn::SERVICE, row), plain);
        members.text("community_id", batch.text(conn::COMMUNITY_ID, row), plain);
    });
}

fn of_dns(batch: &Batch, row: usize, out: &mut Vec<u8>) {
    let plain = batch.lines[row].plain;
    object(out, "network", |members| {
        members.text("transport", batch.text(dns::PROTO, row), plain);
        members.text("protocol", Some(b"dns"), true);
    });
    object(out, "dns", |members| {
        members.object("question", |question| {
            let name = batch.text(dns::QUERY, row);
            question.text("name", name, plain);
            question.text("registered_domain", name.and_then(registered_domain), plain);
            question.text("type", batch.text(dns::QTYPE_NAME, row), plain);
        });
        members.text("response_code", batch.text(dns::RCODE_NAME, row), plain);
        let mut answers = batch.list(dns::ANSWERS, row).flatten().peekable();
        if answers.peek().is_some() {
            members.key("answers");
            members.out.push(b'[');
            for answer in answers {
                members.out.extend_from_slice(b"{\"data\":");
                text::string(members.out, answer, plain);
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

fn of_files(batch: &Batch, row: usize, out: &mut Vec<u8>) {
    let plain = batch.lines[row].plain;
    let get = |id| batch.text(id, row);
    object(out, "file", |members| {
        members.text("name", get(files::FILENAME), plain);
        members.text("mime_type", get(files::MIME_TYPE), plain);
        let size = batch.count(files::TOTAL_BYTES, row);
        members.number("size", size.or_else(|| batch.count(files::SEEN_BYTES, row)));
        members.object("hash", |hash| {
            hash.text("md5", get(files::MD5), plain);
            hash.text("sha1", get(files::SHA1), plain);
            hash.text("sha256", get(files::SHA256), plain);
        });
    });
}
