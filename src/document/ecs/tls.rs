//! What ECS has a name for in a handshake: `ssl` and `quic`.
//!
//! Not here: certificates, which are no log of ours.

use crate::record::schema::{ColumnId, ORIG_P, RESP_P, quic, ssl};

use super::{Row, object};

/// The columns that [`of_ssl`] reads.
pub(super) const SSL: &[ColumnId] = &[
    ORIG_P,
    RESP_P,
    ssl::VERSION,
    ssl::CIPHER,
    ssl::CURVE,
    ssl::SERVER_NAME,
    ssl::RESUMED,
    ssl::NEXT_PROTOCOL,
    ssl::ESTABLISHED,
    ssl::SUBJECT,
    ssl::ISSUER,
    ssl::CLIENT_SUBJECT,
    ssl::CLIENT_ISSUER,
    ssl::JA3,
    ssl::JA3S,
];

/// The columns that [`of_quic`] reads.
pub(super) const QUIC: &[ColumnId] = &[ORIG_P, RESP_P, quic::SERVER_NAME];

pub(super) fn of_ssl(row: Row<'_>, out: &mut Vec<u8>) {
    let plain = row.plain();
    let version = row.text(ssl::VERSION);
    let version = version.as_deref().and_then(Version::parse);
    object(out, "network", |members| {
        let transport = transport(version, row.flag(ssl::ESTABLISHED));
        members.text("transport", transport.map(|word| word.as_bytes().into()), true);
        members.word("protocol", "tls");
    });
    object(out, "tls", |members| {
        if let Some(version) = version {
            members.word("version", version.number);
            members.word("version_protocol", version.protocol);
        }
        members.text("cipher", row.text(ssl::CIPHER), plain);
        members.text("curve", row.text(ssl::CURVE), plain);
        members.flag("established", row.flag(ssl::ESTABLISHED));
        members.flag("resumed", row.flag(ssl::RESUMED));
        members.text("next_protocol", row.text(ssl::NEXT_PROTOCOL), plain);
        members.object("client", |client| {
            client.text("server_name", row.text(ssl::SERVER_NAME), plain);
            client.text("subject", row.text(ssl::CLIENT_SUBJECT), plain);
            client.text("issuer", row.text(ssl::CLIENT_ISSUER), plain);
            client.text("ja3", row.text(ssl::JA3), plain);
        });
        members.object("server", |server| {
            server.text("subject", row.text(ssl::SUBJECT), plain);
            server.text("issuer", row.text(ssl::ISSUER), plain);
            server.text("ja3s", row.text(ssl::JA3S), plain);
        });
    });
}

/// What `quic` says of the protocol is what the client offered: no `tls.next_protocol`.
pub(super) fn of_quic(row: Row<'_>, out: &mut Vec<u8>) {
    object(out, "network", |members| {
        members.word("transport", "udp");
        members.word("protocol", "quic");
    });
    object(out, "tls", |members| {
        members.object("client", |client| {
            client.text("server_name", row.text(quic::SERVER_NAME), row.plain());
        });
    });
}

/// A version as ECS has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    protocol: &'static str,
    number: &'static str,
}

impl Version {
    /// `TLSv12`, `TLSv13-draft23`, `DTLSv12`, `SSLv3`; nothing of `unknown-64282`.
    fn parse(text: &[u8]) -> Option<Self> {
        let is_draft = text.starts_with(b"TLSv13-draft");
        let (protocol, number) = match if is_draft { b"TLSv13" } else { text } {
            b"SSLv2" => ("ssl", "2.0"),
            b"SSLv3" => ("ssl", "3.0"),
            b"TLSv10" => ("tls", "1.0"),
            b"TLSv11" => ("tls", "1.1"),
            b"TLSv12" => ("tls", "1.2"),
            b"TLSv13" => ("tls", "1.3"),
            b"DTLSv10" => ("dtls", "1.0"),
            b"DTLSv12" => ("dtls", "1.2"),
            b"DTLSv13" => ("dtls", "1.3"),
            _ => return None,
        };
        Some(Self { protocol, number })
    }
}

/// The log does not say it. A handshake inside QUIC is one of TLS 1.3, and Zeek sees none of them
/// come to its end; nothing older is carried by QUIC.
fn transport(version: Option<Version>, established: Option<bool>) -> Option<&'static str> {
    match version? {
        Version { protocol: "dtls", .. } => Some("udp"),
        Version { number: "1.3", .. } if established != Some(true) => None,
        _ => Some("tcp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_what_they_say_of_the_transport() {
        let check = |text: &str, established, expected: Option<(&str, &str, Option<&str>)>| {
            let version = Version::parse(text.as_bytes());
            let found = version.map(|it| (it.protocol, it.number, transport(version, established)));
            assert_eq!(found, expected, "{text} {established:?}");
        };
        check("SSLv2", None, Some(("ssl", "2.0", Some("tcp"))));
        check("TLSv12", Some(false), Some(("tls", "1.2", Some("tcp"))));
        check("TLSv13", Some(true), Some(("tls", "1.3", Some("tcp"))));
        check("TLSv13", Some(false), Some(("tls", "1.3", None)));
        check("TLSv13", None, Some(("tls", "1.3", None)));
        check("TLSv13-draft23", Some(true), Some(("tls", "1.3", Some("tcp"))));
        check("DTLSv13", Some(false), Some(("dtls", "1.3", Some("udp"))));
        check("unknown-64282", Some(true), None);
        check("", None, None);
        check("[redacted]", Some(true), None);
    }
}
