//! Allow-lists: what somebody has explained neither alerts nor counts.
//!
//! Here belongs what an entry is and which one matches. How a list is written belongs to `config`,
//! what becomes of evidence that matches to `engine`.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::address::{Addr, Networks};
use crate::base::time::{DAY, MINUTE, Time};
use crate::record::{Entity, Evidence, Scope};

use super::glob::Glob;

/// Names under which something else counts what it suppresses: no entry may have one.
pub const RESERVED: &[&str] = &["alert-budget"];

/// A list with the text that it was written as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    text: String,
    entries: Vec<Entry>,
    index: Index,
}

/// One entry: all that it names must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, by which is counted what it suppressed.
    pub id: String,
    /// From here on it does nothing.
    pub expires: Time,
    /// The first instant that it is for, if it is for any.
    pub from: Option<Time>,
    /// The first instant that it is no longer for.
    pub until: Option<Time>,
    /// The part of each week that it is for.
    pub weekly: Option<Weekly>,
    /// Whom it is for.
    pub entities: Option<Entities>,
    /// The networks that the entity's address is in.
    pub own: Option<Hosts>,
    /// Who is on the other side.
    pub peers: Option<Hosts>,
    /// The server, by its name.
    pub domains: Option<Domains>,
    /// What the client calls itself.
    pub user_agents: Option<Vec<Glob>>,
    /// Stages, by their place in the table.
    pub detectors: Option<Vec<usize>>,
}

/// A part of some days of the week, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekly {
    /// The first minute of the day.
    pub start: i64,
    /// The first minute after it: not later than `start` where it ends on the next day.
    pub end: i64,
    /// The days that it begins on, from Monday.
    pub days: [bool; 7],
}

/// Ids of entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// As they are.
    pub exact: BTreeSet<String>,
    /// As patterns.
    pub like: Vec<Glob>,
}

/// Addresses, one by one and as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// One by one.
    pub exact: BTreeSet<Addr>,
    /// More of them at once.
    pub networks: Networks,
}

/// Names of servers, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {
    /// As they are.
    pub exact: BTreeSet<String>,
    /// These and all below them.
    pub below: BTreeSet<String>,
}

/// What an entry looks at.
struct Seen<'a> {
    evidence: &'a Evidence,
    /// The entity's id, with and without the sensor.
    ids: [Option<String>; 2],
    own: Option<Addr>,
    peer: Option<Addr>,
    domain: Option<&'a str>,
}

impl AllowList {
    /// The entries that `text` says, in its order.
    #[must_use]
    pub fn new(text: String, entries: Vec<Entry>) -> Self {
        let index = Index::new(&entries);
        Self { text, entries, index }
    }

    /// What is known of a list of which only the text was kept: no entries.
    #[must_use]
    pub fn unread(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of its entries, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.id.as_str())
    }

    /// The names of the entries that do nothing any more at `time`.
    pub fn expired(&self, time: Time) -> impl Iterator<Item = &str> {
        let gone = self.entries.iter().filter(move |entry| entry.expires <= time);
        gone.map(|entry| entry.id.as_str())
    }

    /// The name of the first entry that matches.
    #[must_use]
    pub fn find(&self, evidence: &Evidence, scope: &Scope) -> Option<&str> {
        if self.entries.is_empty() {
            return None;
        }
        let seen = Seen::new(evidence, scope);
        let matches = |at: &&usize| self.entries[**at].matches(&seen);
        let mut first: Option<usize> = None;
        for places in self.index.places(&seen) {
            let before = |at: &&usize| first.is_none_or(|first| **at < first);
            first = places.iter().take_while(before).find(matches).copied().or(first);
        }
        Some(self.entries[first?].id.as_str())
    }
}

impl Entry {
    fn matches(&self, seen: &Seen<'_>) -> bool {
        let (evidence, time) = (seen.evidence, seen.evidence.time);
        let names = &evidence.names;
        time < self.expires
            && self.from.is_none_or(|from| time >= from)
            && self.until.is_none_or(|until| time < until)
            && holds(self.detectors.as_ref(), |it| it.contains(&evidence.stage))
            && holds(self.weekly.as_ref(), |it| it.holds(time))
            && holds(self.own.as_ref(), |it| seen.own.is_some_and(|own| it.hold(own)))
            && holds(self.peers.as_ref(), |it| seen.peer.is_some_and(|peer| it.hold(peer)))
            && holds(self.entities.as_ref(), |it| seen.ids.iter().flatten().any(|id| it.hold(id)))
            && holds(self.domains.as_ref(), |it| seen.domain.is_some_and(|name| it.hold(name)))
            && holds(self.user_agents.as_ref(), |it| {
                let agent = names.user_agent.as_ref();
                agent.is_some_and(|agent| it.iter().any(|glob| glob.matches(agent)))
            })
    }
}

/// What an entry does not name always holds.
fn holds<T>(matcher: Option<T>, holds: impl FnOnce(T) -> bool) -> bool {
    matcher.is_none_or(holds)
}

impl Weekly {
    /// Whether `time` is in it.
    #[must_use]
    pub fn holds(&self, time: Time) -> bool {
        let minute = time.0.rem_euclid(DAY) / MINUTE;
        // 1970 began on a Thursday.
        let day = (time.0.div_euclid(DAY) + 3).rem_euclid(7) as usize;
        if self.start < self.end {
            return self.days[day] && (self.start..self.end).contains(&minute);
        }
        (self.days[day] && minute >= self.start) || (self.days[(day + 6) % 7] && minute < self.end)
    }
}

impl Entities {
    fn hold(&self, id: &str) -> bool {
        self.exact.contains(id) || self.like.iter().any(|glob| glob.matches(id))
    }
}

impl Hosts {
    fn hold(&self, addr: Addr) -> bool {
        self.exact.contains(&addr) || self.networks.contains(addr)
    }
}

impl Domains {
    fn hold(&self, name: &str) -> bool {
        self.exact.contains(name) || parents(name).any(|it| self.below.contains(it))
    }
}

/// `a.b.c`, `b.c` and `c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1))
}

impl<'a> Seen<'a> {
    fn new(evidence: &'a Evidence, scope: &Scope) -> Self {
        let entity = &evidence.entity;
        let with_sensor = (*scope != Scope::Network).then(|| entity.id(scope));
        let (own, peer) = sides(evidence);
        Self {
            evidence,
            ids: [Some(entity.id(&Scope::Network)), with_sensor],
            own,
            peer,
            domain: evidence.names.domain.as_deref(),
        }
    }
}

/// The address of the entity and of the other side. A user sits where the connection was opened.
fn sides(evidence: &Evidence) -> (Option<Addr>, Option<Addr>) {
    let (source, destination) = (evidence.source, evidence.destination);
    let Entity::Host(host) = evidence.entity else { return (source, destination) };
    // The entity may be the network that the address is in.
    let is_own = |addr: Addr| addr == host || addr.network_64() == host;
    match (source.filter(|it| is_own(*it)), destination.filter(|it| is_own(*it))) {
        (Some(own), _) => (Some(own), destination),
        (None, Some(own)) => (Some(own), source),
        (None, None) => (Some(host), destination.or(source)),
    }
}

/// Where to look: evidence may come with every record, and a list may have many entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index {
    /// Entries that name entities without a pattern, by each of them.
    entities: BTreeMap<String, Vec<usize>>,
    /// Of the others those that name single peers, by each of them.
    peers: BTreeMap<Addr, Vec<usize>>,
    /// Of the others those that name domains, by each of them.
    domains: BTreeMap<String, Vec<usize>>,
    below: BTreeMap<String, Vec<usize>>,
    /// All others.
    rest: Vec<usize>,
}

impl Index {
    fn new(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            if let Some(it) = entry.entities.as_ref().filter(|it| it.like.is_empty()) {
                note(&mut index.entities, &it.exact, at);
            } else if let Some(it) = entry.peers.as_ref().filter(|it| it.networks.is_empty()) {
                note(&mut index.peers, &it.exact, at);
            } else if let Some(it) = &entry.domains {
                note(&mut index.domains, &it.exact, at);
                note(&mut index.below, &it.below, at);
            } else {
                index.rest.push(at);
            }
        }
        index
    }

    /// The places of entries that may match, each list in their order.
    fn places<'a>(&'a self, seen: &'a Seen<'_>) -> impl Iterator<Item = &'a Vec<usize>> {
        let entities = seen.ids.iter().flatten().filter_map(|id| self.entities.get(id));
        let peers = seen.peer.as_ref().and_then(|peer| self.peers.get(peer));
        let domain = seen.domain.into_iter();
        let domains = domain.clone().filter_map(|name| self.domains.get(name));
        let below = domain.flat_map(parents).filter_map(|it| self.below.get(it));
        entities.chain(peers).chain(domains).chain(below).chain([&self.rest])
    }
}

fn note<K: Clone + Ord>(map: &mut BTreeMap<K, Vec<usize>>, keys: &BTreeSet<K>, at: usize) {
    for key in keys {
        map.entry(key.clone()).or_default().push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::score::Ppm;
    use crate::record::Names;
    use proptest::collection::{btree_set, vec};
    use proptest::option::of;
    use proptest::prelude::*;

    fn addr() -> impl Strategy<Value = Addr> {
        (0..3_u32).prop_map(|host| Addr::v4(0x0a00_0001 + host))
    }

    fn name() -> impl Strategy<Value = String> {
        proptest::sample::select(vec!["a.b.c", "b.c", "c", "d"]).prop_map(str::to_owned)
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let exact = btree_set(addr().prop_map(|it| Entity::Host(it).id(&Scope::Network)), 1..3);
        let entities = (exact, vec(Just(Glob::new("host:*.2")), 0..2));
        let network = proptest::bool::weighted(0.2).prop_map(|is_any| {
            let any = "10.0.0.2/31".parse().unwrap();
            Networks::new(if is_any { std::slice::from_ref(&any) } else { &[] })
        });
        let peers = (btree_set(addr(), 1..3), network);
        let domains = (btree_set(name(), 0..2), btree_set(name(), 0..2));
        let stages = of(vec(0..3_usize, 1..2));
        (of(entities), of(peers), of(domains), stages).prop_map(
            |(entities, peers, names, stages)| Entry {
                id: String::new(),
                expires: Time::MAX,
                from: None,
                until: None,
                weekly: None,
                entities: entities.map(|(exact, like)| Entities { exact, like }),
                own: None,
                peers: peers.map(|(exact, networks)| Hosts { exact, networks }),
                domains: names.map(|(exact, below)| Domains { exact, below }),
                user_agents: None,
                detectors: stages,
            },
        )
    }

    fn evidence() -> impl Strategy<Value = Evidence> {
        (addr(), of(addr()), of(name()), 0..3_usize).prop_map(
            |(host, destination, domain, stage)| Evidence {
                stage,
                entity: Entity::Host(host),
                subject: Vec::new(),
                time: Time(0),
                window: (Time(0), Time(0)),
                score: Ppm::new(1),
                reasons: Vec::new(),
                techniques: &[],
                records: Vec::new(),
                source: Some(host),
                destination,
                names: Names { domain, ..Names::default() },
                may_alert: true,
            },
        )
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_look_at_each_entry_finds(
            mut entries in vec(entry(), 0..12),
            all in vec(evidence(), 1..20),
        ) {
            for (at, entry) in entries.iter_mut().enumerate() {
                entry.id = at.to_string();
            }
            let list = AllowList::new(String::new(), entries);
            for evidence in all {
                let seen = Seen::new(&evidence, &Scope::Network);
                let first = list.entries.iter().find(|entry| entry.matches(&seen));
                let expected = first.map(|entry| entry.id.as_str());
                prop_assert_eq!(list.find(&evidence, &Scope::Network), expected);
            }
        }
    }
}
