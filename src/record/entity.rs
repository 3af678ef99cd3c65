//! Whom a record concerns: the internal side of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::{Addr, Networks};

/// Who is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entity {
    /// An internal address, `host:10.0.0.5`.
    Host(Addr),
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
    pub const fn addr(self) -> Addr {
        let Self::Host(addr) = self;
        addr
    }

    /// Appends the id of the contract: `host:10.0.0.5` or `host:10.0.0.5@sensor-1`.
    pub fn write(self, scope: &Scope, out: &mut Vec<u8>) {
        let Self::Host(addr) = self;
        out.extend_from_slice(b"host:");
        addr.write(out);
        if let Scope::Sensor(sensor) = scope {
            out.push(b'@');
            out.extend_from_slice(sensor.as_bytes());
        }
    }

    /// The id as text.
    #[must_use]
    pub fn id(self, scope: &Scope) -> String {
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

    /// The internal originator, else the internal responder, else none.
    #[must_use]
    pub fn entity(&self, sides: Sides) -> Option<Entity> {
        let inside = |addr: Option<Addr>, flag| addr.filter(|&addr| self.holds(addr, flag));
        let addr = inside(sides.orig, sides.local_orig)
            .or_else(|| inside(sides.resp, sides.local_resp))?;
        Some(Entity::Host(if self.by_64 { addr.network_64() } else { addr }))
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

    fn check(given: Option<&str>, orig: &str, resp: &str, flags: (bool, bool), expected: &str) {
        let networks = given.map(|net| Networks::new(&[net.parse().unwrap()]));
        let sides = Sides {
            orig: Addr::parse(orig.as_bytes()),
            resp: Addr::parse(resp.as_bytes()),
            local_orig: Some(flags.0),
            local_resp: Some(flags.1),
        };
        let entity = Inside::new(networks, true).entity(sides);
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
    fn scope_is_part_of_the_name() {
        let host = Entity::Host(Addr::v4(0x0a00_0005));
        assert_eq!(host.id(&Scope::Sensor("s1".into())), "host:10.0.0.5@s1");
    }
}
