//! Criticality: by how much the risk of an entity counts more, or less, than that of others.
//!
//! Several lines may speak of one entity; the most specific of them counts: the entity itself, else
//! the network with the longest prefix, else the pattern with the most characters beside its stars,
//! of equals the greater factor, else 1. Not here: where the lines stand (`config`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;

use crate::base::address::Addr;
use crate::base::hash::{self, Id};
use crate::base::score::Factor;
use crate::record::{Entity, Scope};

use super::glob::Glob;

/// Whom a line speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One entity.
    Entity(Entity),
    /// Hosts whose addresses begin with these bits, of which there are so many.
    Network(Addr, u8),
    /// Entities whose id is like this, where `*` stands for anything.
    Pattern(String),
}

impl Subject {
    /// `host:10.0.0.5`, `user:alice@corp`, `10.0.0.5`, `10.0.0.0/8`, `user:adm-*`; nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let host = |text: &str| Addr::parse(text.as_bytes()).map(Entity::Host).map(Self::Entity);
        if let Some(name) = text.strip_prefix("user:") {
            // A pattern is spelled as the names that it is for.
            let user = Entity::user(name.as_bytes())?;
            let is_pattern = name.contains('*');
            let pattern = || Self::Pattern(user.id(&Scope::Network));
            return Some(if is_pattern { pattern() } else { Self::Entity(user) });
        }
        if let Some(addr) = text.strip_prefix("host:") {
            let is_pattern = addr.contains('*');
            return if is_pattern { Some(Self::Pattern(text.to_lowercase())) } else { host(addr) };
        }
        let Ok(net) = text.parse::<IpNet>() else { return host(text) };
        let (addr, bits) = match net.trunc() {
            IpNet::V4(v4) => (Addr::v4(v4.network().to_bits()), v4.prefix_len() + 96),
            IpNet::V6(v6) => (Addr::from_bytes(v6.network().octets()), v6.prefix_len()),
        };
        Some(if bits == 128 { Self::Entity(Entity::Host(addr)) } else { Self::Network(addr, bits) })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(entity) => f.write_str(&entity.id(&Scope::Network)),
            Self::Network(addr, bits) if addr.as_v4().is_some() && *bits >= 96 => {
                write!(f, "{addr}/{}", bits - 96)
            }
            Self::Network(addr, bits) => write!(f, "{addr}/{bits}"),
            Self::Pattern(pattern) => f.write_str(pattern),
        }
    }
}

/// The factor of every entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criticality {
    entities: BTreeMap<Entity, Factor>,
    /// The longest prefixes first.
    networks: BTreeMap<Reverse<u8>, BTreeMap<Addr, Factor>>,
    /// In the order in which they are asked.
    patterns: Vec<Pattern>,
}

/// A pattern as it is written, and what is asked by it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    glob: Glob,
    factor: Factor,
}

impl Criticality {
    /// Of all lines.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = (Subject, Factor)>) -> Self {
        let mut all = Self::default();
        for (subject, factor) in lines {
            match subject {
                Subject::Entity(entity) => drop(all.entities.insert(entity, factor)),
                Subject::Network(addr, bits) => {
                    all.networks.entry(Reverse(bits)).or_default().insert(addr, factor);
                }
                Subject::Pattern(text) => {
                    let glob = Glob::new(&text);
                    all.patterns.push(Pattern { text, glob, factor });
                }
            }
        }
        let literals = |pattern: &str| pattern.chars().filter(|c| *c != '*').count();
        all.patterns.sort_by(|a, b| {
            let (of_a, of_b) = (literals(&a.text), literals(&b.text));
            (of_b, b.factor, &a.text).cmp(&(of_a, a.factor, &b.text))
        });
        all
    }

    /// The factor of `entity`.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> Factor {
        let known = self.entities.get(entity).copied();
        let known = known.or_else(|| entity.addr().and_then(|addr| self.of_network(addr)));
        known.or_else(|| self.of_pattern(entity)).unwrap_or_default()
    }

    fn of_network(&self, addr: Addr) -> Option<Factor> {
        self.networks
            .iter()
            .find_map(|(Reverse(bits), nets)| nets.get(&addr.network(*bits)).copied())
    }

    fn of_pattern(&self, entity: &Entity) -> Option<Factor> {
        if self.patterns.is_empty() {
            return None;
        }
        let id = entity.id(&Scope::Network);
        let found = self.patterns.iter().find(|pattern| pattern.glob.matches(&id));
        found.map(|pattern| pattern.factor)
    }

    /// Lines in it.
    #[must_use]
    pub fn len(&self) -> usize {
        let networks: usize = self.networks.values().map(BTreeMap::len).sum();
        self.entities.len() + networks + self.patterns.len()
    }

    /// Whether every factor is 1.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A hash of all lines, the same for the same meaning.
    #[must_use]
    pub fn id(&self) -> Id {
        let mut text = String::new();
        let mut line = |subject: &dyn fmt::Display, factor: &Factor| {
            text.push_str(&format!("{subject} {factor}\n"));
        };
        for (entity, factor) in &self.entities {
            line(&entity.id(&Scope::Network), factor);
        }
        for (Reverse(bits), nets) in &self.networks {
            for (addr, factor) in nets {
                line(&Subject::Network(*addr, *bits), factor);
            }
        }
        for pattern in &self.patterns {
            line(&pattern.text, &pattern.factor);
        }
        hash::id(&[text.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> Criticality {
        Criticality::new(lines.lines().map(|line| {
            let (subject, factor) = line.trim().split_once(' ').unwrap();
            let factor = Factor::new((factor.parse::<f64>().unwrap() * 1000.0) as u32);
            (Subject::parse(subject).unwrap(), factor)
        }))
    }

    const LINES: &str = "10.0.0.0/8 2
        10.1.0.0/16 3
        ::/0 0.5
        fd00::/8 4
        host:10.1.0.* 9
        host:10.2.0.7 5
        10.3.0.7/32 6
        user:* 0.3
        user:adm-* 7
        user:*-svc 0.2
        user:a*@corp 8
        user:*r@corp 1.5
        user:EU\\srv-* 2.5
        user:CORP\\root 10";

    #[test]
    fn the_most_specific_line_counts() {
        let table = table(LINES);
        let of = |id: &str| match Subject::parse(id) {
            Some(Subject::Entity(entity)) => table.of(&entity).to_string(),
            other => panic!("{other:?}"),
        };
        for (id, factor) in [
            ("10.9.9.9", "2.000"),
            ("10.1.0.1", "3.000"), // a network, whatever patterns say
            ("10.2.0.7", "5.000"),
            ("10.3.0.7", "6.000"),
            ("192.0.2.1", "0.500"), // IPv4 is a part of ::/0, as ::ffff:0:0/96
            ("fd00::1", "4.000"),
            ("user:bob", "0.300"),
            ("user:ADM-bob", "7.000"),
            ("user:adm-svc", "7.000"), // as many characters, the greater factor
            ("user:al@corp", "8.000"),
            ("user:alr@corp", "8.000"),
            ("user:root@corp", "10.000"),
            ("user:EU\\SRV-1", "2.500"), // a pattern is spelled as a name is
        ] {
            assert_eq!(of(id), factor, "{id}");
        }
        assert_eq!(Criticality::default().of(&Entity::Host(Addr::v4(1))), Factor::ONE);
    }

    #[test]
    fn the_order_of_lines_does_not_matter() {
        let mut lines: Vec<&str> = LINES.lines().collect();
        lines.reverse();
        let reversed = table(&lines.join("\n"));
        assert_eq!(reversed, table(LINES));
        assert_eq!((reversed.id(), reversed.len()), (table(LINES).id(), 14));
        assert_ne!(reversed.id(), table("10.0.0.0/8 2").id());
    }

    #[test]
    fn what_is_no_subject() {
        for text in [
            "",
            "alice",
            "*",
            "host:",
            "user:",
            "host:alice",
            "10.0.0.0/33",
            "host:10.0.0.5@s1",
            "10.0.0.*",
        ] {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
        for text in ["user:a@corp", "host:10.0.0.5", "10.0.0.0/8", "fd00::/8", "user:*x", "::/0"] {
            assert_eq!(Subject::parse(text).unwrap().to_string(), text);
        }
    }
}
