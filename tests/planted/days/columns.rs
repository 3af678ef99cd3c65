//! The logs that days are made of: their columns, and what becomes of each when a session is lived
//! again.

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Conn,
    Dns,
    Http,
    Files,
    Ssl,
}

/// What becomes of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It stays.
    Keep,
    Time,
    Duration,
    /// Of the connection; a set of one in `files`.
    Uid,
    /// Files, separated by commas.
    Fuids,
    /// An address, or a set of one.
    Address,
    /// The port of the client.
    Port,
    /// Whether the side is of the office: the client, the other.
    Local,
    /// Bytes, and what else grows with them: of the client, of the other.
    Sent,
    Received,
    /// Packets and their bytes, of the client, of the other.
    Frames,
    /// The program that asks.
    Agent,
}

type Column = (&'static str, &'static str, Role);

const TS: Column = ("ts", "time", Role::Time);
const UID: Column = ("uid", "string", Role::Uid);
const ORIG_H: Column = ("id.orig_h", "addr", Role::Address);
const ORIG_P: Column = ("id.orig_p", "port", Role::Port);
const RESP_H: Column = ("id.resp_h", "addr", Role::Address);
const RESP_P: Column = ("id.resp_p", "port", Role::Keep);

const fn text(name: &'static str) -> Column {
    (name, "string", Role::Keep)
}
const fn count(name: &'static str, role: Role) -> Column {
    (name, "count", role)
}
const fn flag(name: &'static str) -> Column {
    (name, "bool", Role::Keep)
}

const CONN: &[Column] = &[
    TS,
    UID,
    ORIG_H,
    ORIG_P,
    RESP_H,
    RESP_P,
    ("proto", "enum", Role::Keep),
    text("service"),
    ("duration", "interval", Role::Duration),
    count("orig_bytes", Role::Sent),
    count("resp_bytes", Role::Received),
    text("conn_state"),
    ("local_orig", "bool", Role::Local),
    ("local_resp", "bool", Role::Local),
    count("missed_bytes", Role::Received),
    text("history"),
    count("orig_pkts", Role::Frames),
    count("orig_ip_bytes", Role::Frames),
    count("resp_pkts", Role::Frames),
    count("resp_ip_bytes", Role::Frames),
];

const DNS: &[Column] = &[
    TS,
    UID,
    ORIG_H,
    ORIG_P,
    RESP_H,
    RESP_P,
    ("proto", "enum", Role::Keep),
    count("trans_id", Role::Keep),
    ("rtt", "interval", Role::Keep),
    text("query"),
    count("qclass", Role::Keep),
    text("qclass_name"),
    count("qtype", Role::Keep),
    text("qtype_name"),
    count("rcode", Role::Keep),
    text("rcode_name"),
    flag("AA"),
    flag("TC"),
    flag("RD"),
    flag("RA"),
    count("Z", Role::Keep),
    ("answers", "vector[string]", Role::Keep),
    ("TTLs", "vector[interval]", Role::Keep),
    flag("rejected"),
];

const HTTP: &[Column] = &[
    TS,
    UID,
    ORIG_H,
    ORIG_P,
    RESP_H,
    RESP_P,
    count("trans_depth", Role::Keep),
    text("method"),
    text("host"),
    text("uri"),
    text("referrer"),
    text("version"),
    ("user_agent", "string", Role::Agent),
    count("request_body_len", Role::Sent),
    count("response_body_len", Role::Received),
    count("status_code", Role::Keep),
    text("status_msg"),
    ("orig_fuids", "vector[string]", Role::Fuids),
    ("orig_mime_types", "vector[string]", Role::Keep),
    ("resp_fuids", "vector[string]", Role::Fuids),
    ("resp_filenames", "vector[string]", Role::Keep),
    ("resp_mime_types", "vector[string]", Role::Keep),
];

const FILES: &[Column] = &[
    TS,
    ("fuid", "string", Role::Fuids),
    ("tx_hosts", "set[addr]", Role::Address),
    ("rx_hosts", "set[addr]", Role::Address),
    ("conn_uids", "set[string]", Role::Uid),
    text("source"),
    text("mime_type"),
    text("filename"),
    ("duration", "interval", Role::Duration),
    flag("is_orig"),
    count("seen_bytes", Role::Received),
    count("total_bytes", Role::Received),
    count("missing_bytes", Role::Keep),
];

const SSL: &[Column] = &[
    TS,
    UID,
    ORIG_H,
    ORIG_P,
    RESP_H,
    RESP_P,
    text("version"),
    text("cipher"),
    text("curve"),
    text("server_name"),
    flag("resumed"),
    text("next_protocol"),
    flag("established"),
    ("cert_chain_fps", "vector[string]", Role::Keep),
    text("validation_status"),
    text("ja3"),
    text("ja3s"),
];

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Conn, Self::Dns, Self::Http, Self::Files, Self::Ssl];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Files => "files",
            Self::Ssl => "ssl",
        }
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Conn => CONN,
            Self::Dns => DNS,
            Self::Http => HTTP,
            Self::Files => FILES,
            Self::Ssl => SSL,
        }
    }

    /// The names of its columns.
    pub(crate) fn names(self) -> Vec<&'static str> {
        self.columns().iter().map(|(name, ..)| *name).collect()
    }

    /// The place of a column that the log has.
    pub(super) fn at(self, name: &str) -> usize {
        let at = self.columns().iter().position(|(known, ..)| *known == name);
        at.unwrap_or_else(|| panic!("{} has no {name}", self.name()))
    }
}
