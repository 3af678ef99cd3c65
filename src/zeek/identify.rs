//! Says which log a file is, and which generation of it, from its first bytes.
//!
//! Content decides: `#path`, else `_path` or `@stream`, else the set of keys; only where the
//! content says nothing does the file's name.

use crate::record::{Generation, Log};

use super::header::{self, Builder};
use super::json;

/// What the start of a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// One of our logs with at least one line that may be a record.
    Ours {
        /// Which.
        log: Log,
        /// The identity of its content.
        generation: Generation,
    },
    /// One of our logs, without a record: a header at most.
    Empty(Log),
    /// Another log of Zeek's, or nothing of Zeek's.
    Other,
}

/// Lines that are looked at for a sign of the format.
const LINES_MAX: usize = 1000;

/// Identifies the file called `name` that begins with `head`, and is all of it if `is_whole`.
#[must_use]
pub fn identify(head: &[u8], is_whole: bool, name: &str, alias: &[(String, String)]) -> Identity {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut builder = Builder::default();
    let mut header = Vec::new();
    let mut first = None;
    let mut found = Found::Nothing;
    let lines = head.split_inclusive(|&byte| byte == b'\n').take(LINES_MAX);
    for line in lines {
        let is_complete = line.ends_with(b"\n");
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.is_empty() || text == b"\r" {
            continue;
        }
        let begins = header.is_empty() && header::prefix_of(text).is_some();
        if begins || text.starts_with(&builder.prefix) {
            if is_complete && first.is_none() {
                builder.line(text);
                header.extend_from_slice(line);
            }
            continue;
        }
        let record = *first.get_or_insert(text);
        found = by_line(text, &builder, alias);
        if found != Found::Nothing || (!is_complete && !is_whole && record.is_empty()) {
            break;
        }
    }
    let log = match (&found, builder.path.as_deref()) {
        (_, Some(path)) => by_path(path),
        (Found::Log(log), None) => open_or_closed(*log, name),
        (Found::Foreign, None) => None,
        (Found::Nothing, None) => by_name(name),
    };
    match (log, first) {
        (None, _) => Identity::Other,
        (Some(log), None) => Identity::Empty(log),
        (Some(log), Some(first)) => {
            Identity::Ours { log, generation: Generation::new(log, &header, first) }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The line says nothing.
    Nothing,
    /// It is of this log.
    Log(Log),
    /// It is of a log that is not ours.
    Foreign,
}

fn by_line(line: &[u8], builder: &Builder, alias: &[(String, String)]) -> Found {
    if line.starts_with(b"{") {
        let Some(members) = json::members(line) else { return Found::Nothing };
        let named = members.iter().find(|(key, _)| matches!(*key, b"_path" | b"@stream"));
        if let Some((_, value)) = named {
            let name = String::from_utf8_lossy(value);
            return by_path(name.trim_matches('"')).map_or(Found::Foreign, Found::Log);
        }
        let canonical = |key: &[u8]| {
            let other = alias.iter().find(|(from, _)| from.as_bytes() == key);
            other.map_or_else(|| key.to_vec(), |(_, to)| to.as_bytes().to_vec())
        };
        let keys: Vec<Vec<u8>> = members.iter().map(|(key, _)| canonical(key)).collect();
        return by_keys(&keys);
    }
    let mut builder = builder.clone();
    let names = match builder.finish(Log::Conn) {
        Some(header) => header.fields,
        None => Log::ALL
            .into_iter()
            .find_map(|log| header::bare_names(log, line))
            .map_or_else(Vec::new, |header| header.fields),
    };
    let names: Vec<Vec<u8>> = names.into_iter().map(|field| field.name.into_bytes()).collect();
    by_keys(&names)
}

/// Fields of `smtp`, `sip` and `http2`, which share the depth of transactions, or methods and URIs,
/// with `http`.
const NOT_HTTP: &[&str] = &[
    "helo",
    "mailfrom",
    "rcptto",
    "last_reply",
    "is_webmail",
    "tls",
    "call_id",
    "request_from",
    "request_path",
    "response_path",
    "stream_id",
];

/// The log whose fields these are.
fn by_keys(keys: &[Vec<u8>]) -> Found {
    let has = |name: &str| keys.iter().any(|key| key == name.as_bytes());
    if has("conn_state") || (has("orig_pkts") && has("resp_pkts")) {
        Found::Log(Log::Conn)
    } else if has("trans_depth") || (has("method") && (has("uri") || has("host"))) {
        if NOT_HTTP.iter().any(|key| has(key)) { Found::Foreign } else { Found::Log(Log::Http) }
    } else if has("query") && (has("qtype") || has("qtype_name") || has("trans_id")) {
        Found::Log(Log::Dns)
    } else if has("fuid") && (has("seen_bytes") || has("tx_hosts")) {
        Found::Log(Log::Files)
    } else if has("client_initial_dcid") || (has("client_protocol") && has("history")) {
        Found::Log(Log::Quic)
    } else if (has("resumed") && has("established")) || (has("cipher") && has("server_name")) {
        Found::Log(Log::Ssl)
    } else {
        Found::Nothing
    }
}

/// `conn`, `json_streaming_conn`, and `conn-2`, the second of two filters with one path.
fn by_path(path: &str) -> Option<Log> {
    let base = match path.rsplit_once('-') {
        Some((base, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => base,
        _ => path,
    };
    Log::from_name(base)
}

/// Whether records that say they are of `path` do not belong into a file of `log`.
pub(super) fn is_foreign(path: &str, log: Log) -> bool {
    by_path(path).is_none_or(|other| !log.is_like(other))
}

/// What a record of another log is told of, in a few words whatever it calls itself.
pub(super) fn foreign_detail(path: &str, log: Log) -> String {
    let path: String = path.chars().take(64).collect();
    format!("a record of {path} in a log of {log}")
}

/// Records of `open_conn` and `open_ssl` look like those of `conn` and `ssl`, and some tools call
/// them so: the file's name tells them apart.
fn open_or_closed(log: Log, name: &str) -> Option<Log> {
    match log {
        Log::Conn if by_name(name) == Some(Log::OpenConn) => Some(Log::OpenConn),
        Log::Ssl if is_open_ssl(stem(name)) => None,
        _ => Some(log),
    }
}

/// `open_ssl` says hourly again what `ssl` said when the handshake was done.
fn is_open_ssl(stem: &str) -> bool {
    stem.contains("open_ssl")
}

/// Whether a file of this name is one that Zeek writes to, and not one that it put away:
/// `conn.log`, `json_streaming_conn.log`, `SENSOR_conn.log`, `conn-2.log`, each also with `.gz`.
#[must_use]
pub fn is_live_name(name: &str) -> bool {
    let stem = stem(name);
    let base = match stem.rsplit_once('-') {
        Some((base, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => base,
        _ => stem,
    };
    Log::ALL.into_iter().any(|log| {
        base.strip_suffix(log.name()).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    })
}

fn stem(name: &str) -> &str {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.strip_suffix(".log").or_else(|| stem.strip_suffix(".json")).unwrap_or(stem);
    stem.strip_prefix("json_streaming_").unwrap_or(stem)
}

/// The log that a file's name speaks of: `conn.log`, `conn.*.log`, `conn-*.log`, `conn__*.log`,
/// `json_streaming_conn*.log`, `SENSOR_conn.log`, each also with `.gz`; never `conn-summary.*`.
#[must_use]
pub fn by_name(name: &str) -> Option<Log> {
    let stem = stem(name);
    if stem.starts_with("conn-summary") || is_open_ssl(stem) {
        return None;
    }
    // `open_conn` before `conn`: the longer name first.
    let mut logs = Log::ALL;
    logs.sort_by_key(|log| std::cmp::Reverse(log.name().len()));
    logs.into_iter().find(|log| {
        let rest = stem.strip_prefix(log.name());
        let begins = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['.', '-']) || rest.starts_with("__")
        });
        let ends = stem.strip_suffix(log.name()).is_some_and(|rest| rest.ends_with('_'));
        begins || (ends && !stem.ends_with("smb_files"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, head: &str, expected: &str) {
        let found = match identify(head.as_bytes(), true, name, &[]) {
            Identity::Ours { log, .. } => log.to_string(),
            Identity::Empty(log) => format!("empty {log}"),
            Identity::Other => "other".to_owned(),
        };
        assert_eq!(found, expected, "{name}: {head}");
    }

    #[test]
    fn content_decides() {
        let tsv = |path: &str| format!("#separator \\x09\n#path\t{path}\n#fields\tts\tuid\n");
        check("dns.log", &format!("{}1\tC\n", tsv("conn")), "conn");
        check("dns.log", &tsv("conn"), "empty conn");
        check("conn.log", &format!("{}1\tC\n", tsv("x509")), "other");
        check("conn.log", &format!("{}1\tC\n", tsv("ssl")), "ssl");
        check("ssl.log", &format!("{}1\tC\n", tsv("open_ssl")), "other");
        check("x", &format!("{}1\tC\n", tsv("conn-2")), "conn");
        check("x", &format!("{}1\tC\n", tsv("json_streaming_dns")), "dns");
        check("conn.log", r#"{"_path":"dns","ts":1}"#, "dns");
        check("conn.log", r#"{"@stream":"weird","ts":1}"#, "other");
        check("x.log", r#"{"ts":1,"fuid":"F","seen_bytes":1}"#, "files");
        check("open_conn.1.log.gz", r#"{"ts":1,"conn_state":"S1"}"#, "open_conn");
        check("conn.log", "garbage\n{\"ts\":1,\"query\":\"a\",\"qtype\":1}\n", "dns");
        check("x", "ts\tuid\tquery\tqtype\n1\tC\ta\t1\n", "dns");
        check("x", "#separator |\n#fields|ts|conn_state\n1|SF\n", "conn");
        let smtp = r#"{"ts":1,"uid":"C","trans_depth":1,"helo":"h","mailfrom":"a","rcptto":["b"]}"#;
        let sip = r#"{"ts":1,"trans_depth":0,"method":"INVITE","uri":"sip:a","call_id":"1"}"#;
        for (name, line) in [("smtp.log", smtp), ("x.log", smtp), ("sip.log", sip), ("x", sip)] {
            check(name, line, "other");
        }
        check("x", r#"{"ts":1,"trans_depth":1,"method":"GET","uri":"/"}"#, "http");
        // With what Zeek leaves out where it is unset.
        let ssl = r#"{"ts":1,"uid":"C","resumed":false,"established":false,"ssl_history":"C"}"#;
        let quic = r#"{"ts":1,"uid":"C","version":"1","client_initial_dcid":"a","history":"IS"}"#;
        let old = "ts\tuid\tversion\tcipher\tserver_name\n1\tC\tTLSv10\tx\ta\n";
        for (name, line, log) in [("x", ssl, "ssl"), ("x", quic, "quic"), ("x", old, "ssl")] {
            check(name, line, log);
        }
        check("open_ssl.log", ssl, "other");
        check("open_ssl.log", r#"{"_path":"ssl","ts":1}"#, "other");
        check("x", r#"{"ts":1,"version":2,"cipher_alg":"a","server":"OpenSSH"}"#, "other");
        check("x", r#"{"_path":"json_streaming_ssl","ts":1}"#, "ssl");
        check("x", "PREFIX<>separator |\nPREFIX<>path|http\n1|GET\n", "http");
    }

    #[test]
    fn names_decide_where_content_says_nothing() {
        for (name, log) in [
            ("conn.log", "conn"),
            ("conn.2024-01-01-00-00-00.log", "conn"),
            ("conn__1__2.log", "conn"),
            ("conn.00:00:00-01:00:00-logger-1.log.gz", "conn"),
            ("json_streaming_conn.1.log", "conn"),
            ("open_conn.log", "open_conn"),
            ("SCRANTON_dns.log", "dns"),
            ("ssl.00:00:00-01:00:00.log.gz", "ssl"),
            ("json_streaming_ssl.1.log", "ssl"),
            ("quic__1__2.log", "quic"),
            ("open_ssl.log", "other"),
            ("json_streaming_open_ssl.1.log", "other"),
            ("conn-summary.00:00:00-01:00:00.log.gz", "other"),
            ("smb_files.log", "other"),
            ("stderr.log", "other"),
            ("weird.log", "other"),
        ] {
            check(name, "lorem ipsum\n", log);
        }
        check("conn.log", "", "empty conn");
    }
}
