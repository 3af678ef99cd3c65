//! Headers and rows of the logs, with the columns of Zeek 8.2, in TSV and JSON.

use std::fmt::Write;

use crate::emulator::clock;

/// A log of Zeek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Log {
    Conn,
    Dns,
    Http,
    Files,
    Ssl,
    Quic,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Tsv,
    Json,
    /// TSV, compressed by the writer.
    Gzip,
}

impl Log {
    pub(crate) const ALL: [Self; 6] =
        [Self::Conn, Self::Dns, Self::Http, Self::Files, Self::Ssl, Self::Quic];

    /// `conn`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Files => "files",
            Self::Ssl => "ssl",
            Self::Quic => "quic",
        }
    }

    /// The column that names a record: for files `fuid`, otherwise `uid`.
    pub(crate) fn key(self) -> &'static str {
        if self == Self::Files { "fuid" } else { "uid" }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Conn => CONN,
            Self::Dns => DNS,
            Self::Http => HTTP,
            Self::Files => FILES,
            Self::Ssl => SSL,
            Self::Quic => QUIC,
        }
    }
}

/// Name, type, and the value in TSV; names in braces are filled in for each row.
type Column = (&'static str, &'static str, &'static str);

const CONN: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.80"),
    ("id.resp_p", "port", "80"),
    ("proto", "enum", "tcp"),
    ("service", "string", "http"),
    ("duration", "interval", "0.211484"),
    ("orig_bytes", "count", "{n}"),
    ("resp_bytes", "count", "5007"),
    ("conn_state", "string", "SF"),
    ("local_orig", "bool", "T"),
    ("local_resp", "bool", "F"),
    ("missed_bytes", "count", "0"),
    ("history", "string", "ShADadFf"),
    ("orig_pkts", "count", "7"),
    ("orig_ip_bytes", "count", "512"),
    ("resp_pkts", "count", "7"),
    ("resp_ip_bytes", "count", "5379"),
    ("tunnel_parents", "set[string]", "-"),
    ("ip_proto", "count", "6"),
];

const DNS: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.53"),
    ("id.resp_p", "port", "53"),
    ("proto", "enum", "udp"),
    ("trans_id", "count", "{n}"),
    ("rtt", "interval", "0.020345"),
    ("query", "string", "www.example.com"),
    ("qclass", "count", "1"),
    ("qclass_name", "string", "C_INTERNET"),
    ("qtype", "count", "1"),
    ("qtype_name", "string", "A"),
    ("rcode", "count", "0"),
    ("rcode_name", "string", "NOERROR"),
    ("AA", "bool", "F"),
    ("TC", "bool", "F"),
    ("RD", "bool", "T"),
    ("RA", "bool", "T"),
    ("Z", "count", "0"),
    ("answers", "vector[string]", "a.example.net,192.0.2.80"),
    ("TTLs", "vector[interval]", "300.000000,60.000000"),
    ("rejected", "bool", "F"),
    ("opcode", "count", "0"),
    ("opcode_name", "string", "query"),
];

const HTTP: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.80"),
    ("id.resp_p", "port", "80"),
    ("trans_depth", "count", "1"),
    ("method", "string", "GET"),
    ("host", "string", "www.example.com"),
    ("uri", "string", "{uri}"),
    ("referrer", "string", "-"),
    ("version", "string", "1.1"),
    ("user_agent", "string", "Wget/1.14 (darwin12.2.0)"),
    ("origin", "string", "-"),
    ("request_body_len", "count", "0"),
    ("response_body_len", "count", "{n}"),
    ("status_code", "count", "200"),
    ("status_msg", "string", "OK"),
    ("info_code", "count", "-"),
    ("info_msg", "string", "-"),
    ("tags", "set[enum]", "(empty)"),
    ("username", "string", "-"),
    ("password", "string", "-"),
    ("proxied", "set[string]", "-"),
    ("orig_fuids", "vector[string]", "-"),
    ("orig_filenames", "vector[string]", "-"),
    ("orig_mime_types", "vector[string]", "-"),
    ("resp_fuids", "vector[string]", "{fuid}"),
    ("resp_filenames", "vector[string]", "-"),
    ("resp_mime_types", "vector[string]", "text/plain"),
];

const FILES: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("fuid", "string", "{fuid}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.80"),
    ("id.resp_p", "port", "80"),
    ("source", "string", "HTTP"),
    ("depth", "count", "0"),
    ("analyzers", "set[string]", "(empty)"),
    ("mime_type", "string", "text/plain"),
    ("filename", "string", "-"),
    ("duration", "interval", "0.000263"),
    ("local_orig", "bool", "T"),
    ("is_orig", "bool", "F"),
    ("seen_bytes", "count", "{n}"),
    ("total_bytes", "count", "{n}"),
    ("missing_bytes", "count", "0"),
    ("overflow_bytes", "count", "0"),
    ("timedout", "bool", "F"),
    ("parent_fuid", "string", "-"),
    ("md5", "string", "-"),
    ("sha1", "string", "-"),
    ("sha256", "string", "-"),
    ("extracted", "string", "-"),
    ("extracted_cutoff", "bool", "-"),
    ("extracted_size", "count", "-"),
];

const SSL: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.80"),
    ("id.resp_p", "port", "443"),
    ("version", "string", "TLSv12"),
    ("cipher", "string", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("curve", "string", "x25519"),
    ("server_name", "string", "www.example.com"),
    ("resumed", "bool", "F"),
    ("last_alert", "string", "-"),
    ("next_protocol", "string", "h2"),
    ("established", "bool", "T"),
    ("ssl_history", "string", "CsxknGIti"),
    ("cert_chain_fps", "vector[string]", "{uid},{fuid}"),
    ("client_cert_chain_fps", "vector[string]", "(empty)"),
    ("sni_matches_cert", "bool", "T"),
    ("validation_status", "string", "ok"),
];

const QUIC: &[Column] = &[
    ("ts", "time", "{ts}"),
    ("uid", "string", "{uid}"),
    ("id.orig_h", "addr", "{orig}"),
    ("id.orig_p", "port", "{port}"),
    ("id.resp_h", "addr", "192.0.2.80"),
    ("id.resp_p", "port", "443"),
    ("version", "string", "1"),
    ("client_initial_dcid", "string", "815d62c70884f4b5"),
    ("client_scid", "string", "e5ec6b26"),
    ("server_scid", "string", "c15d62c70884f4b5"),
    ("server_name", "string", "www.example.com"),
    ("client_protocol", "string", "h3"),
    ("history", "string", "ISishIHhHhhoHHOOoOooOO"),
];

/// The eight lines with which Zeek begins a TSV log, one write each.
pub(crate) fn header(log: Log, opened_s: u64) -> [String; 8] {
    let join = |pick: fn(&Column) -> &'static str| {
        log.columns().iter().map(pick).collect::<Vec<_>>().join("\t")
    };
    [
        "#separator \\x09\n".to_owned(),
        "#set_separator\t,\n".to_owned(),
        "#empty_field\t(empty)\n".to_owned(),
        "#unset_field\t-\n".to_owned(),
        format!("#path\t{}\n", log.name()),
        format!("#open\t{}\n", clock::stamp(opened_s)),
        format!("#fields\t{}\n", join(|column| column.0)),
        format!("#types\t{}\n", join(|column| column.1)),
    ]
}

/// What differs from row to row.
struct Filling {
    serial: u64,
    /// Looks random, so that rows compress as real ones do.
    noise: u64,
    ts: String,
    uid: String,
    fuid: String,
}

impl Filling {
    fn new(serial: u64, micros: u64) -> Self {
        let noise = noise(serial);
        let id = format!("{}{serial:07}", base62(noise));
        Self {
            serial,
            noise,
            ts: format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
            uid: format!("C{id}"),
            fuid: format!("F{id}"),
        }
    }

    fn fill(&self, value: &str, into: &mut String) {
        let Self { serial, noise, .. } = *self;
        let result = match value {
            "{ts}" => into.write_str(&self.ts),
            "{uid}" => into.write_str(&self.uid),
            "{fuid}" => into.write_str(&self.fuid),
            "{orig}" => write!(into, "10.0.{}.{}", noise % 4, noise / 4 % 250 + 1),
            "{port}" => write!(into, "{}", 32_768 + noise % 28_000),
            "{n}" => write!(into, "{}", noise >> 48),
            // Most are short; some cross several pages, since a reader sees files grow by pages.
            "{uri}" => {
                let padding = if serial % 97 == 96 { 9000 } else { serial * 37 % 400 };
                into.write_str("/download/").unwrap();
                into.extend(std::iter::repeat_n('x', usize::try_from(padding).unwrap()));
                write!(into, "{serial}")
            }
            other => into.write_str(other),
        };
        result.unwrap();
    }
}

/// SplitMix64.
fn noise(serial: u64) -> u64 {
    let mut z = serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Ten characters of an id of Zeek.
fn base62(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |_| {
        let digit = DIGITS[usize::try_from(number % 62).unwrap()];
        number /= 62;
        char::from(digit)
    };
    (0..10).map(digit).collect()
}

/// The key (uid, or fuid for files; its last digits are `serial`) and the line, with its newline.
pub(crate) fn record(log: Log, form: Form, serial: u64, micros: u64) -> (String, String) {
    let filling = Filling::new(serial, micros);
    let line = if form == Form::Json { json(log, &filling) } else { tsv(log, &filling) };
    let key = if log == Log::Files { filling.fuid } else { filling.uid };
    (key, line)
}

fn tsv(log: Log, filling: &Filling) -> String {
    let mut line = String::with_capacity(256);
    for (index, (_, _, value)) in log.columns().iter().enumerate() {
        if index > 0 {
            line.push('\t');
        }
        filling.fill(value, &mut line);
    }
    line.push('\n');
    line
}

fn json(log: Log, filling: &Filling) -> String {
    let mut line = String::with_capacity(512);
    for (name, kind, value) in log.columns().iter().filter(|column| column.2 != "-") {
        line.push(if line.is_empty() { '{' } else { ',' });
        write!(line, "\"{name}\":").unwrap();
        match kind.split_once('[') {
            Some(_) if *value == "(empty)" => line.push_str("[]"),
            Some((_, element)) => {
                line.push('[');
                for (index, value) in value.split(',').enumerate() {
                    if index > 0 {
                        line.push(',');
                    }
                    scalar(element.trim_end_matches(']'), value, filling, &mut line);
                }
                line.push(']');
            }
            None => scalar(kind, value, filling, &mut line),
        }
    }
    line.push_str("}\n");
    line
}

fn scalar(kind: &str, value: &str, filling: &Filling, line: &mut String) {
    match kind {
        "bool" => line.push_str(if value == "T" { "true" } else { "false" }),
        "count" | "port" | "interval" | "time" => filling.fill(value, line),
        _ => {
            line.push('"');
            filling.fill(value, line);
            line.push('"');
        }
    }
}

#[test]
fn rows_have_the_columns_of_their_header() {
    for log in Log::ALL {
        let [.., fields, types] = header(log, 0);
        let (key, line) = record(log, Form::Tsv, 96, 1_768_921_203_000_042);
        let cells: Vec<&str> = line.trim_end().split('\t').collect();
        assert_eq!(fields.split('\t').count(), cells.len() + 1);
        assert_eq!(types.split('\t').count(), cells.len() + 1);
        assert_eq!(cells[0], "1768921203.000042");
        assert_eq!(cells[1], key);

        let (json_key, json) = record(log, Form::Json, 96, 1_768_921_203_000_042);
        let row: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(row[log.key()], key);
        assert_eq!(json_key, key);
        let set = cells.iter().filter(|cell| **cell != "-").count();
        assert_eq!(row.as_object().unwrap().len(), set);
    }
}
