//! The public suffix of a name, and what a name is that has none: reverse zones and local names.
//! Private suffixes count, so a name below `duckdns.org` is a registered name of its own.

use psl::{List, Psl, Type};

use super::name::Name;

/// What a suffix says: its own id, that of its last label, who keeps it, how many labels it has.
pub(super) const SUFFIX_WIDTH: usize = 4;

/// Ids of whole suffixes; 0 is none.
const SUFFIX_IDS: u32 = 4096;
/// Ids of last labels; 0 is none.
const TOP_IDS: u32 = 1024;

/// Where a name ends and whose the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suffix {
    /// Where it begins in the name.
    pub(super) at: usize,
    /// Who keeps it.
    pub(super) kind: Kind,
}

/// Who keeps a suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody that the list knows.
    Unlisted = 1,
    /// A registry.
    Public = 2,
    /// Somebody who hands out names below a name of his own.
    Private = 3,
}

/// Top-level labels that no registry serves: by RFC 6761, 6762, 7686 and 9476, and those that
/// devices and administrators use most (a draft of ICANN keeps `internal`; `home` and `corp` are
/// blocked for their use).
pub(super) const LOCAL: &[&str] = &[
    "alt",
    "corp",
    "dhcp",
    "domain",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "localnet",
    "mail",
    "onion",
    "private",
    "test",
    "workgroup",
];

/// Names under which anybody gets one for nothing, of the largest services of dynamic DNS, that the
/// list of public suffixes lacks.
pub(super) const DYNAMIC: &[&str] = &[
    "2288.org",
    "3322.org",
    "8866.org",
    "chickenkiller.com",
    "co.cc",
    "crabdance.com",
    "ddns.info",
    "ddns.us",
    "dns-dns.com",
    "dns04.com",
    "dtdns.net",
    "dynserv.com",
    "ignorelist.com",
    "jumpingcrab.com",
    "linkpc.net",
    "mooo.com",
    "publicvm.com",
    "strangled.net",
    "twilightparadox.com",
    "uk.to",
    "us.to",
    "yi.org",
];

/// Whether `name` belongs to this network or to another way of resolving names.
pub(super) fn is_local(name: &str) -> bool {
    let top = name.rsplit('.').next().unwrap_or(name);
    LOCAL.binary_search(&top).is_ok() || ends_with(name, "home.arpa")
}

/// Whether `name` is of an address.
pub(super) fn is_reverse(name: &str) -> bool {
    ["in-addr.arpa", "ip6.arpa"].iter().any(|zone| ends_with(name, zone))
}

/// Whether `name` is `zone` or below it.
pub(super) fn ends_with(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The suffix of `name`, which is in lower case and has no empty label; nothing where the whole
/// name is one. What is a private suffix itself is a name like others: `github.io` below `io`.
pub(super) fn find(name: &str) -> Option<Suffix> {
    let found = of(name, 0)?;
    if found.at > 0 {
        return Some(dynamic(name, found).unwrap_or(found));
    }
    let dot = name.find('.').filter(|_| found.kind == Kind::Private)?;
    of(name, dot + 1)
}

/// The name below a service of dynamic DNS, where `name` is one.
fn dynamic(name: &str, found: Suffix) -> Option<Suffix> {
    let above = name.get(..found.at - 1)?;
    let at = above.rfind('.')? + 1;
    DYNAMIC.binary_search(&name.get(at..)?).ok()?;
    Some(Suffix { at, kind: Kind::Private })
}

/// The suffix of what begins at `from`.
fn of(name: &str, from: usize) -> Option<Suffix> {
    let found = List.suffix(name.as_bytes().get(from..)?)?;
    let kind = match found.typ() {
        Some(Type::Private) => Kind::Private,
        Some(Type::Icann) => Kind::Public,
        None => Kind::Unlisted,
    };
    Some(Suffix { at: name.len() - found.as_bytes().len(), kind })
}

/// The ids of the suffix of a name, as in [`SUFFIX_WIDTH`].
pub(super) fn suffix_ids(name: &Name) -> [i32; SUFFIX_WIDTH] {
    let suffix = name.suffix();
    let labels = suffix.split('.').count();
    let top = suffix.rsplit('.').next().unwrap_or(suffix);
    let bucket = |text: &str, ids: u32| (fnv(text) % (ids - 1) + 1).cast_signed();
    [bucket(suffix, SUFFIX_IDS), bucket(top, TOP_IDS), name.kind() as i32, labels.min(7) as i32]
}

/// FNV-1a: the same on every machine, and in the training's tests.
pub(super) fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
