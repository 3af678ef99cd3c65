//! A URL as models see it: without scheme, fragment and `www.`, its host a name or an address, its
//! path decoded; or why there is none. A host alone is a URL without a path.

use std::net::IpAddr;

use thiserror::Error;

use super::address::{self, Notation};
use super::name::{Name, Unusable};
use super::percent;
use crate::base::limits::ITEM_BYTES_MAX;

/// Why a line is no URL that could be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoUrl {
    /// Longer than any server takes.
    #[error("longer than 64 KiB")]
    TooLong,
    /// A scheme that fetches nothing by HTTP.
    #[error("not a URL of http, https, ftp or ws")]
    Scheme,
    /// A port that is none.
    #[error("the port is no number up to 65535")]
    Port,
    /// A host that ends in a number, or has brackets, and is no address.
    #[error("the host is a broken address")]
    Address,
    /// A host that is no name which somebody could have registered.
    #[error("the host: {0}")]
    Host(#[from] Unusable),
}

/// Whom a URL asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name with a registered domain.
    Name(Name),
    /// An address.
    Address(IpAddr, Notation),
}

/// A URL that can be scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: Host,
    port: Option<u16>,
    has_user: bool,
    /// Layers of percent-encoding, and `.` and `..` among the segments.
    rounds: usize,
    dots: usize,
    /// Host, port and decoded path.
    text: String,
    /// Where the path begins in it.
    at: usize,
    key: Vec<u8>,
}

/// What stands in front of the host, where anything does.
const SCHEMES: &[&str] = &["http", "https", "ftp", "ftps", "ws", "wss", "hxxp", "hxxps"];

impl Url {
    /// Reads a URL with or without a scheme, or a host. A few passes over `line`, whatever it is.
    pub fn parse(line: &[u8]) -> Result<Self, NoUrl> {
        if line.len() > ITEM_BYTES_MAX {
            return Err(NoUrl::TooLong);
        }
        // As browsers do: spaces around it do not belong to a URL, and line breaks nowhere.
        let kept = |byte: &u8| !matches!(byte, b'\t' | b'\r' | b'\n');
        let line: Vec<u8> = line.iter().copied().filter(kept).collect();
        let rest = without_scheme(line.trim_ascii())?;
        let is_end = |byte: &u8| matches!(byte, b'/' | b'\\' | b'?' | b'#');
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (has_user, authority) = match memchr::memrchr(b'@', authority) {
            Some(at) => (true, &authority[at + 1..]),
            None => (false, authority),
        };
        let (host, port) = host(authority)?;
        let fragment = memchr::memchr(b'#', path).unwrap_or(path.len());
        let (path, rounds) = percent::decoded(&path[..fragment]);
        let (path, dots) = percent::resolved(&path.replace('\\', "/"));
        let mut text = match &host {
            Host::Name(name) => name.as_str().to_owned(),
            Host::Address(IpAddr::V6(addr), _) => format!("[{addr}]"),
            Host::Address(addr, _) => addr.to_string(),
        };
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        let at = text.len();
        // The empty path is `/`, and no path is what is said of a host alone.
        if path.len() > 1 || path.starts_with('?') {
            text.push_str(&path);
        }
        let mut url = Self { host, port, has_user, rounds, dots, text, at, key: Vec::new() };
        url.key = url.make_key();
        Ok(url)
    }

    /// Reads what [`Url::as_str`] gave: decoded, and not to be decoded again. How it was written (a
    /// user, layers of encoding, a notation of an address) is not known of it.
    pub fn parse_shown(text: &str) -> Result<Self, NoUrl> {
        Self::parse(text.replace('%', "%25").replace('#', "%23").as_bytes())
    }

    /// All that its row depends on.
    fn make_key(&self) -> Vec<u8> {
        let notation = match self.host {
            Host::Name(_) => 0,
            Host::Address(_, notation) => notation as u8 + 1,
        };
        let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let marks = [u8::from(self.has_user), small(self.rounds), small(self.dots), notation];
        [&marks, self.text.as_bytes()].concat()
    }

    /// It all: host, port and decoded path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What names its row, and nothing else does.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whom it asks.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The registered domain, or the address: who answers for it.
    #[must_use]
    pub fn site(&self) -> &str {
        match &self.host {
            Host::Name(name) => name.registered(),
            Host::Address(..) => self.host_text().trim_matches(['[', ']']),
        }
    }

    /// The host, without a port.
    #[must_use]
    pub fn host_text(&self) -> &str {
        let end = self.port.map_or(self.at, |port| self.at - 1 - digits(port));
        self.text.get(..end).unwrap_or_default()
    }

    /// Path and query, decoded; empty where there is only `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The port, unless it is the usual one of a scheme.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether somebody is named in front of the host.
    #[must_use]
    pub fn has_user(&self) -> bool {
        self.has_user
    }

    /// Layers of percent-encoding.
    pub(super) fn rounds(&self) -> usize {
        self.rounds
    }

    /// Segments `.` and `..`.
    pub(super) fn dots(&self) -> usize {
        self.dots
    }
}

fn digits(port: u16) -> usize {
    port.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// What stands behind the scheme. A word, a colon and no slashes is a scheme too, unless a port
/// follows.
fn without_scheme(line: &[u8]) -> Result<&[u8], NoUrl> {
    // `//host`, as a page may refer to it.
    let relative = line.strip_prefix(b"//").unwrap_or(line);
    let Some(colon) = memchr::memchr(b':', line) else { return Ok(relative) };
    let (word, rest) = (&line[..colon], &line[colon + 1..]);
    let is_word = word.first().is_some_and(u8::is_ascii_alphabetic)
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    if !is_word {
        return Ok(relative);
    }
    let known = SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()));
    let slashes = rest.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    match (known, slashes) {
        (true, 1..) => Ok(&rest[slashes..]),
        (false, 2..) => Err(NoUrl::Scheme),
        // A host with a port, or something like `data:`.
        _ if rest.first().is_some_and(u8::is_ascii_digit) || word.contains(&b'.') => Ok(line),
        _ => Err(NoUrl::Scheme),
    }
}

/// The host of an authority without a user, and its port.
fn host(authority: &[u8]) -> Result<(Host, Option<u16>), NoUrl> {
    let (text, _) = percent::decoded(authority);
    let is_six = text.starts_with('[') || text.matches(':').count() > 1;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_six || host.ends_with(']') => (host, Some(port)),
        _ => (text.as_str(), None),
    };
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse::<u16>().map_err(|_| NoUrl::Port)?)
        }
        Some(_) => return Err(NoUrl::Port),
    };
    let port = port.filter(|port| !matches!(port, 80 | 443));
    let host = match address::parse(host).map_err(|()| NoUrl::Address)? {
        Some((addr, _)) if is_local(addr) => return Err(NoUrl::Host(Unusable::Local)),
        Some((addr, notation)) => Host::Address(addr, notation),
        None => Host::Name(Name::parse(host.as_bytes())?),
    };
    Ok((host, port))
}

/// Whether an address is of this machine or network, and so nobody's whom a list could name:
/// private (RFC 1918, 4193), shared (RFC 6598), link-local, loopback, for many, or none.
fn is_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [first, second, ..] = addr.octets();
            addr.is_private()
                || addr.is_loopback()
                || addr.is_link_local()
                || addr.is_multicast()
                || first == 0
                || first >= 240
                || first == 100 && second & 0xc0 == 64
        }
        IpAddr::V6(addr) => {
            addr.is_loopback()
                || addr.is_unspecified()
                || addr.is_multicast()
                || addr.is_unique_local()
                || addr.is_unicast_link_local()
        }
    }
}
