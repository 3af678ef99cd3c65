//! Whom a record concerns: the internal side of it, and the user that it names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::{Addr, Networks};
use crate::base::hash;
use crate::base::limits::USER_BYTES_MAX;

/// Who is scored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entity {
    /// An internal address, `host:10.0.0.5`.
    Host(Addr),
    /// A user that a log names, `user:alice@corp`; the same on every sensor.
    User(Arc<str>),
}

/// Which part of the world an entity's name is unique in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All sensors see one network: `host:10.0.0.5`.
    Network,
    /// Each sensor sees its own: `host:10.0.0.5@sensor-1`.
    Sensor(Arc<str>),
}

impl Entity {
    /// The address of a host.
    #[must_use]
    pub const fn addr(&self) -> Option<Addr> {
        match self {
            Self::Host(addr) => Some(*addr),
            Self::User(_) => None,
        }
    }

    /// The user that a log calls `name`: in lower case, and `CORP\\alice` as `alice@corp`, also
    /// where there are blanks around either part; a forest (`CORP\\EU\\alice`) as
    /// `alice@corp.eu`. What comes out is its own spelling. Of a name without anything in it there
    /// is no user; a very long one keeps its head and gets a hash.
    #[must_use]
    pub fn user(name: &[u8]) -> Option<Self> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let mut parts: Vec<&str> =
            name.split('\\').map(str::trim).filter(|part| !part.is_empty()).collect();
        let user = parts.pop()?;
        let mut name = match parts.as_slice() {
            [] => user.to_owned(),
            domain => format!("{user}@{}", domain.join(".")),
        };
        if name.len() > USER_BYTES_MAX {
            let hash = hash::id(&[name.as_bytes()]).to_string();
            name.truncate(name.floor_char_boundary(USER_BYTES_MAX - hash.len()));
            name.push_str(&hash);
        }
        Some(Self::User(name.into()))
    }

    /// Bytes that no other entity has, for keys and hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Host(addr) => addr.to_bytes().to_vec(),
            // Longer than an address, whatever the name.
            Self::User(name) => [b"user:            ", name.as_bytes()].concat(),
        }
    }

    /// Appends the id of the contract: `host:10.0.0.5`, `host:10.0.0.5@sensor-1` or `user:alice`.
    pub fn write(&self, scope: &Scope, out: &mut Vec<u8>) {
        match self {
            Self::Host(addr) => {
                out.extend_from_slice(b"host:");
                addr.write(out);
                if let Scope::Sensor(sensor) = scope {
                    out.push(b'@');
                    out.extend_from_slice(sensor.as_bytes());
                }
            }
            Self::User(name) => {
                out.extend_from_slice(b"user:");
                out.extend_from_slice(name.as_bytes());
            }
        }
    }

    /// The id as text.
    #[must_use]
    pub fn id(&self, scope: &Scope) -> String {
        let mut out = Vec::new();
        self.write(scope, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The two ends of a record and who opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// The address that opened the connection.
    pub orig: Option<Addr>,
    /// The address that answered.
    pub resp: Option<Addr>,
    /// What Zeek says of the first (`local_orig`).
    pub local_orig: Option<bool>,
    /// What Zeek says of the second (`local_resp`).
    pub local_resp: Option<bool>,
}

/// Whom a record concerns, of those that are scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// The host that opened the connection, if it is internal.
    pub orig: Option<Addr>,
    /// The host that answered, likewise.
    pub resp: Option<Addr>,
    /// The user that the record names.
    pub user: Option<Entity>,
}

impl Parties {
    /// Whom the event is about: the internal originator, else the internal responder, else nobody.
    #[must_use]
    pub fn host(&self) -> Option<Entity> {
        self.orig.or(self.resp).map(Entity::Host)
    }
}

/// The rule that says who is internal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    networks: Networks,
    /// Whether the networks were given, and so alone decide.
    given: bool,
    /// Whether IPv6 hosts are scored by their /64.
    by_64: bool,
}

impl Inside {
    /// With `given` networks, they alone decide; without, private ranges and Zeek's flags do.
    #[must_use]
    pub fn new(given: Option<Networks>, by_64: bool) -> Self {
        let is_given = given.is_some();
        Self { networks: given.unwrap_or_else(Networks::private), given: is_given, by_64 }
    }

    /// Whether `addr` is internal; `flag` is what Zeek says.
    #[must_use]
    pub fn holds(&self, addr: Addr, flag: Option<bool>) -> bool {
        self.networks.contains(addr) || (!self.given && flag == Some(true))
    }

    /// Those of the two ends that are internal.
    #[must_use]
    pub fn parties(&self, sides: Sides) -> Parties {
        let inside = |addr: Option<Addr>, flag| {
            let addr = addr.filter(|&addr| self.holds(addr, flag))?;
            Some(if self.by_64 { addr.network_64() } else { addr })
        };
        Parties {
            orig: inside(sides.orig, sides.local_orig),
            resp: inside(sides.resp, sides.local_resp),
            user: None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("network"),
            Self::Sensor(_) => f.write_str("sensor"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(given: Option<&str>, orig: &str, resp: &str, flags: (bool, bool), expected: &str) {
        let networks = given.map(|net| Networks::new(&[net.parse().unwrap()]));
        let sides = Sides {
            orig: Addr::parse(orig.as_bytes()),
            resp: Addr::parse(resp.as_bytes()),
            local_orig: Some(flags.0),
            local_resp: Some(flags.1),
        };
        let entity = Inside::new(networks, true).parties(sides).host();
        let found = entity.map_or_else(|| "none".to_owned(), |entity| entity.id(&Scope::Network));
        assert_eq!(found, expected);
    }

    #[test]
    fn who_is_scored() {
        let vps = Some("64.225.56.201/32");
        check(None, "10.0.0.5", "10.0.0.6", (false, false), "host:10.0.0.5");
        check(None, "8.8.8.8", "10.0.0.6", (false, false), "host:10.0.0.6");
        check(None, "8.8.8.8", "9.9.9.9", (false, false), "none");
        check(None, "8.8.8.8", "9.9.9.9", (false, true), "host:9.9.9.9");
        check(None, "::ffff:10.1.1.1", "9.9.9.9", (false, false), "host:10.1.1.1");
        check(None, "fd00::1:2:3:4", "9.9.9.9", (false, false), "host:fd00::");
        check(vps, "73.54.23.243", "64.225.56.201", (true, false), "host:64.225.56.201");
        check(vps, "10.0.0.5", "8.8.8.8", (true, false), "none");
    }

    #[test]
    fn users_have_one_spelling() {
        let name = |text: &str| {
            Entity::user(text.as_bytes()).map_or_else(String::new, |user| user.id(&Scope::Network))
        };
        assert_eq!(name("Alice"), "user:alice");
        assert_eq!(name("CORP\\Alice"), "user:alice@corp");
        assert_eq!(name("alice@CORP"), "user:alice@corp");
        assert_eq!((name(""), name(" "), name("\\")), Default::default());
        assert_eq!((name("\\x"), name("x\\")), ("user:x".to_owned(), "user:x".to_owned()));
        assert_eq!(name("CORP\\ alice "), "user:alice@corp");
        assert_eq!(name("\\\\CORP\\EU\\alice"), "user:alice@corp.eu");
        assert_eq!((name(" \\ "), name("\\\\")), Default::default());
        let long = name(&"ä".repeat(4000));
        assert!(long.len() <= USER_BYTES_MAX + 5 && long != name(&"ä".repeat(4001)));
    }

    proptest! {
        #[test]
        fn a_spelling_of_a_user_is_its_own(
            name in prop_oneof!["[aA@ \\\\\t]{0,12}", ".{0,300}", r"\PC{0,8}(\\\PC{0,8}){0,4}"],
        ) {
            let user = Entity::user(name.as_bytes());
            if let Some(Entity::User(name)) = &user {
                prop_assert_eq!(Entity::user(name.as_bytes()), user.clone());
                prop_assert!(!name.contains('\\') && name.trim() == &**name && !name.is_empty());
            }
        }
    }

    #[test]
    fn scope_is_part_of_the_name() {
        let host = Entity::Host(Addr::v4(0x0a00_0005));
        assert_eq!(host.id(&Scope::Sensor("s1".into())), "host:10.0.0.5@s1");
    }
}
