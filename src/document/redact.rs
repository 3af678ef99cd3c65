//! What never leaves: passwords, cookies, user names inside URIs.
//!
//! A rule holds for every document: a field by Zeek's name, what ECS makes of it, and what an alert
//! says of it. Only whom a document concerns, and the uid that leads to the record, are never
//! hidden: without them there is no finding.

use std::borrow::Cow;

use crate::base::address::Addr;
use crate::record::schema::{ColumnId, ORIG_H, RESP_H, dns, files, http, quic, ssl};
use crate::record::{Evidence, Log, Observed};

/// What to hide of a field, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redaction {
    /// User and password of a URI.
    Userinfo,
    /// The whole value.
    Whole,
}

/// One entry of `event.redact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The log.
    pub log: Log,
    /// Zeek's name of the field.
    pub field: String,
    /// What to hide.
    pub redaction: Redaction,
}

/// What is hidden of one log.
#[derive(Clone, Debug)]
pub struct Hidden {
    log: Log,
    rules: Vec<Rule>,
    by_column: Vec<Option<Redaction>>,
}

impl Hidden {
    /// What `rules` hide of `log`.
    #[must_use]
    pub fn new(rules: &[Rule], log: Log) -> Self {
        let columns = log.columns().iter();
        Self {
            log,
            rules: rules.to_vec(),
            by_column: columns.map(|def| rule_for(rules, log, def.name)).collect(),
        }
    }

    /// What is hidden of a column.
    pub(super) fn column(&self, id: ColumnId) -> Option<Redaction> {
        self.by_column[id.index()]
    }

    /// What is hidden of a field that may be no column.
    pub(super) fn field(&self, name: &str) -> Option<Redaction> {
        if self.rules.is_empty() { None } else { rule_for(&self.rules, self.log, name) }
    }

    /// Whether something of a value that is no text may be shown.
    #[must_use]
    pub(super) fn is_shown(&self, id: ColumnId) -> bool {
        self.column(id) != Some(Redaction::Whole)
    }

    /// What may be shown of a text.
    pub(super) fn text<'a>(&self, id: ColumnId, text: &'a [u8]) -> Cow<'a, [u8]> {
        match self.column(id) {
            Some(Redaction::Whole) => HIDDEN.into(),
            Some(Redaction::Userinfo) => without_userinfo(text).map_or(text.into(), Into::into),
            None => text.into(),
        }
    }

    /// What may be shown of the two ends of a record.
    pub(super) fn ends(
        &self,
        orig: Option<Addr>,
        resp: Option<Addr>,
    ) -> (Option<Addr>, Option<Addr>) {
        // Either may stand in either of the older columns of `files`.
        let hosts = [files::TX_HOSTS, files::RX_HOSTS];
        let is_open = self.log != Log::Files || hosts.iter().all(|&id| self.is_shown(id));
        let is_shown = |id| is_open && self.is_shown(id);
        (orig.filter(|_| is_shown(ORIG_H)), resp.filter(|_| is_shown(RESP_H)))
    }

    /// Whether users of this log may be named; else they are no entities either.
    #[must_use]
    pub fn shows_users(&self) -> bool {
        self.log != Log::Http || self.is_shown(http::USERNAME)
    }

    /// Whether the servers that records of this log ask for may be named; user and password are
    /// never a part of the name.
    #[must_use]
    pub fn shows_servers(&self) -> bool {
        match self.log {
            Log::Dns => self.is_shown(dns::QUERY),
            Log::Http => self.is_shown(http::HOST) && self.is_shown(http::URI),
            Log::Ssl => self.is_shown(ssl::SERVER_NAME),
            Log::Quic => self.is_shown(quic::SERVER_NAME),
            _ => true,
        }
    }

    /// Hides in what a stage found in a record of this log.
    pub fn hide(&self, evidence: &mut Evidence) {
        let (orig, resp) = (evidence.source, evidence.destination);
        (evidence.source, evidence.destination) = self.ends(orig, resp);
        if !self.shows_users() {
            evidence.names.user = None;
        }
        self.hide_reasons(evidence, true);
    }

    /// Hides in the reasons that show columns of this log; in those that name no log too if
    /// `is_first`, the log being that of the first record behind it.
    pub fn hide_reasons(&self, evidence: &mut Evidence, is_first: bool) {
        let is_ours = |log: Option<Log>| log.map_or(is_first, |log| log == self.log);
        for reason in evidence.reasons.iter_mut().filter(|reason| is_ours(reason.log)) {
            for &id in reason.columns {
                match &mut reason.observed {
                    Observed::Text(text) if text.is_empty() => {}
                    Observed::Text(text) => {
                        let shown = self.text(id, text.as_bytes());
                        *text = String::from_utf8_lossy(&shown).into_owned();
                    }
                    Observed::Number(_) if self.is_shown(id) => {}
                    number => *number = Observed::Text(String::from_utf8_lossy(HIDDEN).into()),
                }
            }
        }
    }
}

/// What stands in place of what was hidden.
pub(super) const HIDDEN: &[u8] = b"[redacted]";

/// What `rules` hide of a field: of several the one that hides most.
fn rule_for(rules: &[Rule], log: Log, field: &str) -> Option<Redaction> {
    let same = rules.iter().filter(|rule| rule.log == log && rule.field == field);
    same.map(|rule| rule.redaction).max()
}

/// `text` with user and password of the URIs in it hidden: `http://u:p@host/` becomes
/// `http://[redacted]@host/`; nothing where there is none.
///
/// A name and a password end at the last `@` of what stands at the beginning (`u:p@host:443`, as
/// CONNECT has it) or behind any `//`, up to the next of `/`, `?` and `#`. That may be more than
/// a URI would have; too much is hidden rather than too little.
pub(super) fn without_userinfo(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'@', text)?;
    let mut out = Vec::new();
    let (mut start, mut done) = (0, 0);
    loop {
        let rest = &text[start..];
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        if let Some(at) = memchr::memrchr(b'@', &rest[..length.unwrap_or(rest.len())]) {
            out.extend_from_slice(&text[done..start]);
            out.extend_from_slice(HIDDEN);
            done = start + at;
        }
        let Some(at) = memchr::memmem::find(rest, b"//") else { break };
        let slashes = rest[at..].iter().take_while(|&&byte| byte == b'/').count();
        start += at + slashes;
    }
    out.extend_from_slice(&text[done..]);
    (out != text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_not_named_where_its_column_is_hidden() {
        let check = |log: Log, field: &'static str, expected: bool| {
            let rule = Rule { log, field: field.to_owned(), redaction: Redaction::Whole };
            assert_eq!(Hidden::new(&[rule], log).shows_servers(), expected, "{log}.{field}");
        };
        check(Log::Dns, "query", false);
        check(Log::Dns, "answers", true);
        check(Log::Http, "host", false);
        check(Log::Http, "uri", false);
        check(Log::Http, "user_agent", true);
        check(Log::Ssl, "server_name", false);
        check(Log::Quic, "server_name", false);
        check(Log::Conn, "service", true);
    }

    #[test]
    fn userinfo() {
        let check = |text: &str, expected: Option<&str>| {
            let found = without_userinfo(text.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{text}");
        };
        check("http://user:pw@host/a@b", Some("http://[redacted]@host/a@b"));
        check("http://u@v@host", Some("http://[redacted]@host"));
        check("http://host/a@b", None);
        check("/path?mail=a@b", None);
        check("//user@host", Some("//[redacted]@host"));
        check("u:p@h:443", Some("[redacted]@h:443"));
        check("h:443", None);
        check("/a//b?u=http://u:p@h/", Some("/a//b?u=http://[redacted]@h/"));
        check("http://h/?u=http://u:p@h/", Some("http://h/?u=http://[redacted]@h/"));
        check("http://u:p@h/?u=https://v:q@i", Some("http://[redacted]@h/?u=https://[redacted]@i"));
        check("http:///u:p@h", Some("http:///[redacted]@h"));
        check("u@v//w@x", Some("[redacted]@v//[redacted]@x"));
        check("", None);
    }
}
