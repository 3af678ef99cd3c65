//! The name of a server as a request writes it.
//!
//! Not here: which field of which log has one.

use super::address::Addr;
use super::limits::HOST_BYTES_MAX;

/// The host in `text`, which is what stands behind the scheme of a URI, a `Host` header or what
/// CONNECT asks for: in lower case, without user, password, port and the dot at its end, addresses
/// as RFC 5952 has them. Nothing where no host can be made out.
#[must_use]
pub fn host_name(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &text[..end.unwrap_or(text.len())];
    let host = memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
    if let Some(inside) = host.strip_prefix(b"[") {
        let end = memchr::memchr(b']', inside)?;
        without_port(&host[..end + 2], &inside[end + 1..])?;
        return Addr::parse(&inside[..end]).map(written);
    }
    if let Some(addr) = Addr::parse(host) {
        return Some(written(addr));
    }
    let name = match memchr::memrchr(b':', host) {
        Some(at) => without_port(&host[..at], &host[at..])?,
        None => host,
    };
    if let Some(addr) = Addr::parse(name).filter(|addr| addr.as_v4().is_some()) {
        return Some(written(addr));
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b' ' | b':' | b'[' | b']');
    if name.is_empty() || name.len() > HOST_BYTES_MAX || name.iter().any(is_odd) {
        return None;
    }
    Some(String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// `name`, if `port` is nothing or a colon and digits.
fn without_port<'a>(name: &'a [u8], port: &[u8]) -> Option<&'a [u8]> {
    let is_port = match port.split_first() {
        None => true,
        Some((first, digits)) => *first == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_port.then_some(name)
}

fn written(addr: Addr) -> String {
    addr.to_ip().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(host_name(text.as_bytes()).as_deref(), expected, "{text:?}");
        };
        check("www.example.com:443", Some("www.example.com"));
        check("WWW.Example.COM.", Some("www.example.com"));
        check("u:p@Host:8080/x", Some("host"));
        check("u@v@host", Some("host"));
        check("host/a@b", Some("host"));
        check("host?x=/@y", Some("host"));
        check("host:", Some("host"));
        check("203.0.113.9:443", Some("203.0.113.9"));
        check("[2001:DB8::0:1]:443", Some("2001:db8::1"));
        check("[2001:db8::1]", Some("2001:db8::1"));
        check("2001:db8::1", Some("2001:db8::1"));
        check("[::ffff:192.0.2.1]:80", Some("192.0.2.1"));
        check("m\u{fc}nchen.example", Some("m\u{fc}nchen.example"));
        for garbage in
            ["", ":", ":443", ".", "/", "@", "u@", "a:b:c", "a:http", "[x]", "[", "[]:1", "a b"]
        {
            check(garbage, None);
        }
        for garbage in ["[2001:db8::1", "[::1]x", "[::1]:x", "a\0b", "\r\n", "a]:1"] {
            check(garbage, None);
        }
        check(&"a".repeat(253), Some(&"a".repeat(253)));
        check(&"a".repeat(254), None);
        check(&format!("{}@host/{}", "u".repeat(10_000), "x".repeat(10_000)), Some("host"));
        assert_eq!(host_name(b"ex\xe4mple").as_deref(), Some("ex\u{fffd}mple"));
    }
}
