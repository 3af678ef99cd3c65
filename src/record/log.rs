//! The logs this program reads, and the lanes they travel on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Zeek log, by the name that its `#path` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Log {
    /// `conn`: a connection, written when it ends.
    Conn,
    /// `open_conn`: a connection that is still open, written from time to time.
    OpenConn,
    /// `dns`: a query and its answer.
    Dns,
    /// `http`: a request and its response.
    Http,
    /// `files`: a file seen on the wire.
    Files,
    // A state and a journal have the places of these: others go to the end.
    /// `ssl`: a handshake of TLS or DTLS, also of one inside QUIC. May be missing.
    Ssl,
    /// `quic`: a connection of QUIC, as far as it can be read. May be missing.
    Quic,
}

impl Log {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Conn, Self::OpenConn, Self::Dns, Self::Http, Self::Files, Self::Ssl, Self::Quic];

    /// Zeek's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::OpenConn => "open_conn",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Files => "files",
            Self::Ssl => "ssl",
            Self::Quic => "quic",
        }
    }

    /// The log that Zeek, or one of its packages, calls `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("json_streaming_").unwrap_or(name);
        Self::ALL.into_iter().find(|log| log.name() == name)
    }

    /// The lane that carries it.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Conn | Self::OpenConn => Lane::Conn,
            Self::Dns => Lane::Dns,
            Self::Http => Lane::Http,
            Self::Files => Lane::Files,
            Self::Ssl | Self::Quic => Lane::Ssl,
        }
    }

    /// Whether records of `other` may stand in a file of this one: they have the same columns.
    #[must_use]
    pub const fn is_like(self, other: Self) -> bool {
        self as u8 == other as u8 || (self.ends_with_duration() && other.ends_with_duration())
    }

    /// Whether a record is written when what it describes ends, so that its place in time is
    /// `ts` + `duration`.
    #[must_use]
    pub const fn ends_with_duration(self) -> bool {
        matches!(self, Self::Conn | Self::OpenConn)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A thread that reads one kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// `conn` and `open_conn`.
    Conn,
    /// `dns`.
    Dns,
    /// `http`.
    Http,
    /// `files`.
    Files,
    /// `ssl` and `quic`.
    Ssl,
}

impl Lane {
    /// All of them, in the order in which rows of the same time are merged.
    pub const ALL: [Self; 5] = [Self::Conn, Self::Dns, Self::Http, Self::Files, Self::Ssl];

    /// Its name, which is also its thread's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Files => "files",
            Self::Ssl => "ssl",
        }
    }

    /// Whether a site that lacks its logs lacks nothing: not every Zeek writes them.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::Ssl)
    }
}
