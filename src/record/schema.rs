//! The columns of each log that this program knows by name, with their types.
//!
//! A log may have others, and lack some of these: columns are looked up by name, and unknown ones
//! are carried through to the output. Names and types: Zeek's `base/protocols/*/main.zeek`, 3.0 to
//! 8.2.

use super::log::Log;

/// How the values of a column are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microseconds since 1970.
    Time,
    /// Microseconds.
    Interval,
    /// `count`, 0 to 2^64 - 1.
    Count,
    /// `port`, 0 to 65,535.
    Port,
    /// `addr`.
    Addr,
    /// `string` and `enum`: bytes, not necessarily UTF-8.
    Text,
    /// `bool`.
    Flag,
    /// `set` and `vector`: a list of texts.
    List,
}

/// A column of a log, by its place in the log's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u8);

impl ColumnId {
    /// Its place in the table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A column that is known.
#[derive(Debug)]
pub struct ColumnDef {
    /// Zeek's name.
    pub name: &'static str,
    /// How its values are kept.
    pub kind: Kind,
}

/// `ts`, in every log.
pub const TS: ColumnId = ColumnId(0);
/// `uid`, in every log but `files` before Zeek 5.1.
pub const UID: ColumnId = ColumnId(1);
/// `id.orig_h`, likewise.
pub const ORIG_H: ColumnId = ColumnId(2);
/// `id.orig_p`, likewise.
pub const ORIG_P: ColumnId = ColumnId(3);
/// `id.resp_h`, likewise.
pub const RESP_H: ColumnId = ColumnId(4);
/// `id.resp_p`, likewise.
pub const RESP_P: ColumnId = ColumnId(5);

macro_rules! columns {
    ($module:ident, $doc:literal: $($id:ident = $name:literal $kind:ident),* $(,)?) => {
        #[doc = $doc]
        pub mod $module {
            use super::{ColumnDef, ColumnId, Kind};

            #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the constants")]
            enum Index { TS, UID, ORIG_H, ORIG_P, RESP_H, RESP_P, $($id),* }

            $(
                #[doc = concat!("`", $name, "`")]
                pub const $id: ColumnId = ColumnId(Index::$id as u8);
            )*

            /// All of them.
            pub static TABLE: &[ColumnDef] = &[
                ColumnDef { name: "ts", kind: Kind::Time },
                ColumnDef { name: "uid", kind: Kind::Text },
                ColumnDef { name: "id.orig_h", kind: Kind::Addr },
                ColumnDef { name: "id.orig_p", kind: Kind::Port },
                ColumnDef { name: "id.resp_h", kind: Kind::Addr },
                ColumnDef { name: "id.resp_p", kind: Kind::Port },
                $(ColumnDef { name: $name, kind: Kind::$kind }),*
            ];

            const _: () = {
                assert!(super::TS.0 == Index::TS as u8 && super::UID.0 == Index::UID as u8);
                assert!(super::ORIG_H.0 == Index::ORIG_H as u8);
                assert!(super::ORIG_P.0 == Index::ORIG_P as u8);
                assert!(super::RESP_H.0 == Index::RESP_H as u8);
                assert!(super::RESP_P.0 == Index::RESP_P as u8);
            };
        }
    };
}

columns!(conn, "Columns of `conn` and `open_conn`.":
    PROTO = "proto" Text,
    SERVICE = "service" Text,
    DURATION = "duration" Interval,
    ORIG_BYTES = "orig_bytes" Count,
    RESP_BYTES = "resp_bytes" Count,
    CONN_STATE = "conn_state" Text,
    LOCAL_ORIG = "local_orig" Flag,
    LOCAL_RESP = "local_resp" Flag,
    MISSED_BYTES = "missed_bytes" Count,
    HISTORY = "history" Text,
    ORIG_PKTS = "orig_pkts" Count,
    ORIG_IP_BYTES = "orig_ip_bytes" Count,
    RESP_PKTS = "resp_pkts" Count,
    RESP_IP_BYTES = "resp_ip_bytes" Count,
    TUNNEL_PARENTS = "tunnel_parents" List,
    IP_PROTO = "ip_proto" Count,
    COMMUNITY_ID = "community_id" Text,
);

columns!(dns, "Columns of `dns`.":
    PROTO = "proto" Text,
    TRANS_ID = "trans_id" Count,
    RTT = "rtt" Interval,
    QUERY = "query" Text,
    QCLASS = "qclass" Count,
    QCLASS_NAME = "qclass_name" Text,
    QTYPE = "qtype" Count,
    QTYPE_NAME = "qtype_name" Text,
    RCODE = "rcode" Count,
    RCODE_NAME = "rcode_name" Text,
    AA = "AA" Flag,
    TC = "TC" Flag,
    RD = "RD" Flag,
    RA = "RA" Flag,
    Z = "Z" Count,
    ANSWERS = "answers" List,
    TTLS = "TTLs" List,
    REJECTED = "rejected" Flag,
);

columns!(http, "Columns of `http`.":
    TRANS_DEPTH = "trans_depth" Count,
    METHOD = "method" Text,
    HOST = "host" Text,
    URI = "uri" Text,
    REFERRER = "referrer" Text,
    VERSION = "version" Text,
    USER_AGENT = "user_agent" Text,
    ORIGIN = "origin" Text,
    REQUEST_BODY_LEN = "request_body_len" Count,
    RESPONSE_BODY_LEN = "response_body_len" Count,
    STATUS_CODE = "status_code" Count,
    STATUS_MSG = "status_msg" Text,
    INFO_CODE = "info_code" Count,
    INFO_MSG = "info_msg" Text,
    TAGS = "tags" List,
    USERNAME = "username" Text,
    PASSWORD = "password" Text,
    PROXIED = "proxied" List,
    ORIG_FUIDS = "orig_fuids" List,
    ORIG_FILENAMES = "orig_filenames" List,
    ORIG_MIME_TYPES = "orig_mime_types" List,
    RESP_FUIDS = "resp_fuids" List,
    RESP_FILENAMES = "resp_filenames" List,
    RESP_MIME_TYPES = "resp_mime_types" List,
);

columns!(files, "Columns of `files`, of both its forms: `tx_hosts`, `rx_hosts`, `conn_uids` up to Zeek 5.0, `uid` and `id.*` since.":
    FUID = "fuid" Text,
    TX_HOSTS = "tx_hosts" List,
    RX_HOSTS = "rx_hosts" List,
    CONN_UIDS = "conn_uids" List,
    SOURCE = "source" Text,
    DEPTH = "depth" Count,
    ANALYZERS = "analyzers" List,
    MIME_TYPE = "mime_type" Text,
    FILENAME = "filename" Text,
    DURATION = "duration" Interval,
    LOCAL_ORIG = "local_orig" Flag,
    IS_ORIG = "is_orig" Flag,
    SEEN_BYTES = "seen_bytes" Count,
    TOTAL_BYTES = "total_bytes" Count,
    MISSING_BYTES = "missing_bytes" Count,
    OVERFLOW_BYTES = "overflow_bytes" Count,
    TIMEDOUT = "timedout" Flag,
    PARENT_FUID = "parent_fuid" Text,
    MD5 = "md5" Text,
    SHA1 = "sha1" Text,
    SHA256 = "sha256" Text,
);

columns!(ssl, "Columns of `ssl`. Chains are of `fuids` in older versions of Zeek, of fingerprints in newer.":
    VERSION = "version" Text,
    CIPHER = "cipher" Text,
    CURVE = "curve" Text,
    SERVER_NAME = "server_name" Text,
    RESUMED = "resumed" Flag,
    LAST_ALERT = "last_alert" Text,
    NEXT_PROTOCOL = "next_protocol" Text,
    ESTABLISHED = "established" Flag,
    SSL_HISTORY = "ssl_history" Text,
    CERT_CHAIN_FPS = "cert_chain_fps" List,
    CLIENT_CERT_CHAIN_FPS = "client_cert_chain_fps" List,
    CERT_CHAIN_FUIDS = "cert_chain_fuids" List,
    CLIENT_CERT_CHAIN_FUIDS = "client_cert_chain_fuids" List,
    SUBJECT = "subject" Text,
    ISSUER = "issuer" Text,
    CLIENT_SUBJECT = "client_subject" Text,
    CLIENT_ISSUER = "client_issuer" Text,
    SNI_MATCHES_CERT = "sni_matches_cert" Flag,
    VALIDATION_STATUS = "validation_status" Text,
    JA3 = "ja3" Text,
    JA3S = "ja3s" Text,
);

columns!(quic, "Columns of `quic`.":
    VERSION = "version" Text,
    CLIENT_INITIAL_DCID = "client_initial_dcid" Text,
    CLIENT_SCID = "client_scid" Text,
    SERVER_SCID = "server_scid" Text,
    SERVER_NAME = "server_name" Text,
    CLIENT_PROTOCOL = "client_protocol" Text,
    HISTORY = "history" Text,
);

impl Log {
    /// The columns that are known of it.
    #[must_use]
    pub fn columns(self) -> &'static [ColumnDef] {
        match self {
            Self::Conn | Self::OpenConn => conn::TABLE,
            Self::Dns => dns::TABLE,
            Self::Http => http::TABLE,
            Self::Files => files::TABLE,
            Self::Ssl => ssl::TABLE,
            Self::Quic => quic::TABLE,
        }
    }

    /// The columns whose values may be not of their type: times, numbers, flags.
    pub fn typed_columns(self) -> impl Iterator<Item = ColumnId> {
        let all = self.columns().iter().enumerate();
        all.filter(|(_, def)| !matches!(def.kind, Kind::Addr | Kind::Text | Kind::List))
            .map(|(index, _)| ColumnId(index as u8))
    }

    /// The column called `name`, also in the form that `Log::default_scope_sep="_"` gives the
    /// connection's four: `id_orig_h`.
    #[must_use]
    pub fn column(self, name: &[u8]) -> Option<ColumnId> {
        let same = |def: &ColumnDef| {
            let known = def.name.as_bytes();
            known == name
                || (known.starts_with(b"id.")
                    && name.strip_prefix(b"id_").is_some_and(|rest| rest == &known[3..]))
        };
        let index = self.columns().iter().position(same)?;
        Some(ColumnId(u8::try_from(index).ok()?))
    }

    /// The name of one of its columns.
    ///
    /// # Panics
    /// If `id` is not of this log.
    #[must_use]
    pub fn column_name(self, id: ColumnId) -> &'static str {
        self.columns()[id.index()].name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        for log in Log::ALL {
            for (index, def) in log.columns().iter().enumerate() {
                let id = log.column(def.name.as_bytes()).unwrap();
                assert_eq!(id.index(), index, "{log}.{} stands twice", def.name);
            }
        }
        assert_eq!(Log::Conn.column(b"id_orig_h"), Some(ORIG_H));
        assert_eq!(Log::Conn.column(b"id_orig_bytes"), None);
        assert_eq!(Log::Dns.column(b"no_such"), None);
    }
}
