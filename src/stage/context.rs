//! What the entity lane knows beside a stage's own cells: which addresses many share, and where the
//! logs have holes.
//!
//! Not here: how sightings come out of records (`sightings`), when a minute closes (`engine`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::limits::{GAPS_MAX, ROLE_SERVERS_MAX};
use crate::base::time::{DAY, HOUR, MINUTE, Minute, Time};
use crate::record::Log;

use super::profile::{Held, Profiles};

/// What a shared address does for others: it takes everyone's sins, so what stages find of a host
/// does not hold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Answers DNS queries of others.
    Resolver,
    /// Fetches for others.
    Proxy,
    /// Many hosts behind one address.
    Nat,
    /// Takes and delivers mail.
    Mail,
    /// Hands out software.
    Update,
    /// Looks at every host, with permission.
    Scanner,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Resolver, Self::Proxy, Self::Nat, Self::Mail, Self::Update, Self::Scanner];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Proxy => "proxy",
            Self::Nat => "nat",
            Self::Mail => "mail",
            Self::Update => "update",
            Self::Scanner => "scanner",
        }
    }
}

/// Which roles are told, and when one is learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePolicy {
    /// Networks with their role, or with none whatever is learned; the most specific counts.
    pub configured: Vec<(IpNet, Option<Role>)>,
    /// Distinct internal clients of a service within a day that make its server a shared one; 0
    /// learns nothing.
    pub clients: usize,
}

/// Days for which a role that was learned holds after it was last confirmed.
const ROLE_DAYS: i64 = 7;
const DAY_MINUTES: i64 = DAY / MINUTE;

/// The roles of internal addresses, configured and learned.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    policy: RolePolicy,
    saved: SavedRoles,
    is_changed: bool,
}

/// What lasts of [`Roles`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SavedRoles {
    day: i64,
    /// Of the day: the clients of each server that is not confirmed yet.
    clients: BTreeMap<(Role, Addr), BTreeSet<Addr>>,
    /// With the last day that confirmed it.
    learned: BTreeMap<Addr, BTreeMap<Role, i64>>,
}

impl Roles {
    /// With nothing learned.
    #[must_use]
    pub fn new(mut policy: RolePolicy) -> Self {
        policy.configured.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        Self { policy, ..Self::default() }
    }

    /// Clients that make a server a shared one.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.policy.clients
    }

    /// The role of an address: what is configured, else what was learned.
    #[must_use]
    pub fn get(&self, addr: Addr) -> Option<Role> {
        let ip = addr.to_ip();
        let configured = self.policy.configured.iter().find(|(net, _)| net.contains(&ip));
        match configured {
            Some((_, role)) => *role,
            None => self.saved.learned.get(&addr)?.first_key_value().map(|(role, _)| *role),
        }
    }

    /// How many addresses have a role that was learned.
    #[must_use]
    pub fn learned(&self) -> usize {
        self.saved.learned.len()
    }

    /// Whether an address has a role that was learned.
    #[must_use]
    pub fn has_learned(&self, addr: Addr) -> bool {
        self.saved.learned.contains_key(&addr)
    }

    /// `clients` were served by `server` in `minute`; minutes come in order.
    pub fn learn(&mut self, minute: Minute, role: Role, server: Addr, clients: &BTreeSet<Addr>) {
        self.begin(minute);
        let day = self.saved.day;
        let is_confirmed = self.saved.learned.get(&server).and_then(|roles| roles.get(&role));
        if self.policy.clients == 0 || is_confirmed == Some(&day) {
            return;
        }
        self.is_changed = true;
        let (known, key) = (&mut self.saved.clients, (role, server));
        // A scan that is answered by very many must not keep a role from being confirmed.
        let is_first = is_confirmed.is_none();
        if known.len() >= ROLE_SERVERS_MAX && is_first && !known.contains_key(&key) {
            return;
        }
        let seen = known.entry(key).or_default();
        seen.extend(clients);
        if seen.len() >= self.policy.clients {
            known.remove(&key);
            let learned = &mut self.saved.learned;
            if learned.len() < ROLE_SERVERS_MAX || learned.contains_key(&server) {
                learned.entry(server).or_default().insert(role, day);
            }
        }
    }

    /// A minute, maybe of a new day: its clients are counted afresh, and what was not confirmed for
    /// long is forgotten.
    pub fn begin(&mut self, minute: Minute) {
        let day = minute.0.div_euclid(DAY_MINUTES);
        if day <= self.saved.day {
            return;
        }
        self.is_changed = true;
        self.saved.day = day;
        self.saved.clients.clear();
        for roles in self.saved.learned.values_mut() {
            roles.retain(|_, last| day - *last <= ROLE_DAYS);
        }
        self.saved.learned.retain(|_, roles| !roles.is_empty());
    }

    /// What has to last, if it changed since the last call.
    pub fn save(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.is_changed).then(|| crate::base::codec::encode(&self.saved))
    }

    /// Takes back what [`Roles::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, value: &[u8]) -> Result<(), crate::base::codec::Damaged> {
        self.saved = crate::base::codec::decode(value)?;
        Ok(())
    }
}

/// Where the logs have holes: silences of a log that had been delivering.
///
/// A silence is a gap when it lasts ten minutes and more, and at the pace of the hour before it a
/// hundred rows would have come. The pace is that of nearly all minutes, so that a flood that ends
/// is no gap: nobody hides an hour by it. A log that was never seen is absent, not missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    logs: BTreeMap<Log, Stream>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stream {
    /// Minutes of the last hour with rows, and how many; the last one is the last with any.
    recent: VecDeque<(Minute, u64)>,
    /// First minute of each gap, and the first after it.
    gaps: VecDeque<(Minute, Minute)>,
}

const HOUR_MINUTES: i64 = HOUR / MINUTE;
const SILENCE_MIN: i64 = 10;
const ROWS_MISSED: u64 = 100;
/// Minutes of an hour that may be missing: a log that ends a little before the hour is no hole.
const MISSING_MAX: i64 = 15;

impl Gaps {
    /// `rows` of `log` came in `minute`; minutes come in order.
    pub fn observe(&mut self, minute: Minute, log: Log, rows: u64) {
        let stream = self.logs.entry(log).or_default();
        if let Some(gap) = stream.silence(minute) {
            stream.gaps.push_back(gap);
            if stream.gaps.len() > GAPS_MAX {
                stream.gaps.pop_front();
            }
        }
        match stream.recent.back_mut() {
            Some((last, count)) if *last >= minute => *count += rows,
            _ => stream.recent.push_back((minute, rows)),
        }
        while stream.recent.front().is_some_and(|(at, _)| minute.0 - at.0 >= HOUR_MINUTES) {
            stream.recent.pop_front();
        }
    }

    /// Whether the hour that begins with `start`, and has ended, is there; `now` is the minute up
    /// to which everything is known.
    #[must_use]
    pub fn has_hour(&self, log: Log, start: Minute, now: Minute) -> bool {
        let Some(stream) = self.logs.get(&log) else { return true };
        let end = start.0 + HOUR_MINUTES;
        let ongoing = stream.silence(Minute(now.0 + 1));
        let gaps = stream.gaps.iter().copied().chain(ongoing);
        let missing = |(from, to): (Minute, Minute)| (to.0.min(end) - from.0.max(start.0)).max(0);
        gaps.map(missing).sum::<i64>() < MISSING_MAX
    }
}

impl Stream {
    /// The gap that ends before `minute`, if the silence before it is one.
    fn silence(&self, minute: Minute) -> Option<(Minute, Minute)> {
        let (last, _) = self.recent.back()?;
        let silence = minute.0 - last.0 - 1;
        if silence < SILENCE_MIN {
            return None;
        }
        let missed = self.pace().saturating_mul(silence.unsigned_abs());
        (missed >= ROWS_MISSED).then(|| (Minute(last.0 + 1), minute))
    }

    /// Rows a minute: of the last hour's minutes a quarter has no more.
    fn pace(&self) -> u64 {
        let mut rows: Vec<u64> = self.recent.iter().map(|(_, rows)| *rows).collect();
        rows.sort_unstable();
        // Minutes in a gap say nothing of the pace.
        let last = self.recent.back().map_or(0, |(last, _)| last.0);
        let missing = |(from, to): &(Minute, Minute)| {
            (to.0.min(last + 1) - from.0.max(last + 1 - HOUR_MINUTES)).max(0)
        };
        let missing: i64 = self.gaps.iter().map(missing).sum();
        let there = usize::try_from(HOUR_MINUTES - missing).unwrap_or_default();
        let (without, quarter) = (there.saturating_sub(rows.len()), there / 4);
        quarter.checked_sub(without).and_then(|at| rows.get(at)).copied().unwrap_or_default()
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who is shared.
    pub roles: &'a Roles,
    /// What is missing.
    pub gaps: &'a Gaps,
    /// The minute up to which everything is known: that which closes, or the last of the input.
    pub now: Minute,
    /// What is usual of hosts, where profiles are kept.
    pub profiles: Option<Profiles<'a>>,
}

impl<'a> Context<'a> {
    /// What the profile of a host held before the window that ends at `end`. Nothing is said of one
    /// that is looked at late, since its profile has learned it by then: it would excuse itself.
    #[must_use]
    pub fn held(&self, host: Addr, end: Time) -> Option<Held<'a>> {
        self.profiles.filter(|_| self.now.end() <= end)?.of(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr(number: u32) -> Addr {
        Addr::v4(0x0a00_0000 + number)
    }

    #[test]
    fn a_role_is_learned_from_a_days_clients_and_forgotten() {
        let policy = RolePolicy {
            configured: vec![
                ("10.0.0.0/24".parse().unwrap(), Some(Role::Nat)),
                ("10.0.0.7/32".parse().unwrap(), None),
            ],
            clients: 3,
        };
        let mut roles = Roles::new(policy);
        let mut learn = |day: i64, server: u32, clients: &[u32]| {
            let clients = clients.iter().map(|number| addr(1000 + number)).collect();
            roles.learn(Minute(day * DAY_MINUTES), Role::Resolver, addr(server), &clients);
            roles.get(addr(server))
        };
        assert_eq!(learn(1, 300, &[1, 2]), None);
        assert_eq!(learn(1, 300, &[2, 1]), None);
        assert_eq!(learn(2, 300, &[3]), None, "another day");
        assert_eq!(learn(2, 300, &[1, 4]), Some(Role::Resolver));
        assert_eq!(learn(2, 7, &[1, 2, 3]), None, "configured");
        assert_eq!(learn(2, 8, &[]), Some(Role::Nat));
        assert_eq!(learn(9, 300, &[1]), Some(Role::Resolver));
        assert_eq!(learn(10, 300, &[1]), None, "not confirmed for long");
    }

    /// Minutes with rows, `FROM..TO xROWS`; whether the hour from minute 60 is there.
    fn check(script: &[(std::ops::Range<i64>, u64)], now: i64, expected: bool) {
        let mut gaps = Gaps::default();
        for (minutes, rows) in script {
            minutes.clone().for_each(|minute| gaps.observe(Minute(minute), Log::Conn, *rows));
        }
        assert_eq!(gaps.has_hour(Log::Conn, Minute(60), Minute(now)), expected, "{script:?}");
        assert!(gaps.has_hour(Log::Dns, Minute(60), Minute(now)), "never seen");
    }

    #[test]
    fn a_silence_of_a_log_that_delivered_is_a_gap() {
        check(&[(0..200, 10)], 120, true);
        check(&[(0..70, 10), (100..200, 10)], 120, false);
        check(&[(0..70, 10)], 120, false);
        check(&[(0..110, 10), (180..200, 10)], 120, true);
        check(&[(0..70, 10), (79..200, 10)], 120, true);
        // A quiet network.
        check(&[(0..1, 5), (50..51, 5), (130..131, 5)], 140, true);
        // One soon after another.
        check(&[(-60..40, 10), (60..65, 10), (110..200, 10)], 130, false);
        // A flood in it that ends.
        check(&[(0..1, 5), (50..90, 5000), (130..131, 5)], 140, true);
    }

    /// Day and minute of it, server, clients.
    type Told = (i64, i64, u32, Vec<u32>);

    fn told() -> impl Strategy<Value = Vec<Told>> {
        let clients = proptest::collection::vec(0..6_u32, 0..6);
        let one = (0..20_i64, 0..DAY_MINUTES, 0..4_u32, clients);
        proptest::collection::vec(one, 0..80).prop_map(|mut told| {
            told.sort();
            told
        })
    }

    proptest! {
        /// A role stands for a week after the last day on which enough clients were served, for
        /// nobody else, and however often the program was restarted.
        #[test]
        fn roles_are_those_of_the_days_before(told in told(), stop in 0..80_usize) {
            let new = || Roles::new(RolePolicy { configured: Vec::new(), clients: 3 });
            let (mut never, mut again) = (new(), new());
            let mut served: BTreeMap<(i64, u32), BTreeSet<u32>> = BTreeMap::new();
            for (at, (day, minute, server, clients)) in told.iter().enumerate() {
                if at == stop {
                    let saved = again.save();
                    again = new();
                    saved.iter().for_each(|saved| again.load(saved).unwrap());
                }
                served.entry((*day, *server)).or_default().extend(clients);
                let clients: BTreeSet<Addr> = clients.iter().map(|it| addr(100 + it)).collect();
                for roles in [&mut never, &mut again] {
                    let minute = Minute(day * DAY_MINUTES + minute);
                    roles.learn(minute, Role::Mail, addr(*server), &clients);
                }
                for server in 0..4 {
                    let is_shared = served.iter().any(|((then, of), clients)| {
                        *of == server && clients.len() >= 3 && day - then <= ROLE_DAYS
                    });
                    prop_assert_eq!(never.get(addr(server)).is_some(), is_shared);
                    prop_assert_eq!(again.get(addr(server)), never.get(addr(server)));
                }
            }
            prop_assert!(never.learned() <= 4 && never.saved.clients.len() <= 4);
        }

        /// What is remembered of a log has a bound; gaps are in order and apart, and no hour that
        /// has rows in each of its minutes is missing.
        #[test]
        fn gaps_are_bounded_and_in_order(
            steps in proptest::collection::vec((1..90_i64, 0..2000_u64), 0..400),
            hour in 0..300_i64,
        ) {
            let mut gaps = Gaps::default();
            let (mut minute, mut heard) = (0, BTreeSet::new());
            for (index, (step, rows)) in steps.iter().enumerate() {
                // Half of the time the log delivers without a pause.
                minute += if index % 80 < 70 { 1 } else { *step };
                heard.insert(minute);
                gaps.observe(Minute(minute), Log::Conn, *rows);
            }
            let Some(stream) = gaps.logs.get(&Log::Conn) else { return Ok(()) };
            prop_assert!(stream.recent.len() <= 60 && stream.gaps.len() <= GAPS_MAX);
            let ends: Vec<i64> =
                stream.gaps.iter().flat_map(|(from, to)| [from.0, to.0]).collect();
            prop_assert!(ends.is_sorted());
            for (from, to) in &stream.gaps {
                prop_assert!(to.0 - from.0 >= SILENCE_MIN);
                prop_assert!(heard.range(from.0..to.0).next().is_none());
            }
            let whole = (0..HOUR_MINUTES).all(|at| heard.contains(&(hour + at)));
            if whole {
                prop_assert!(gaps.has_hour(Log::Conn, Minute(hour), Minute(minute)));
            }
        }
    }

    #[test]
    fn a_scan_that_very_many_answer_makes_no_role_and_takes_none() {
        let mut roles = Roles::new(RolePolicy { configured: Vec::new(), clients: 3 });
        let clients = |all: std::ops::Range<u32>| all.map(addr).collect::<BTreeSet<Addr>>();
        let resolver = addr(7);
        roles.learn(Minute(0), Role::Resolver, resolver, &clients(100..110));
        for day in 1..20 {
            for number in 0..2 * ROLE_SERVERS_MAX as u32 {
                let server = addr(1_000_000 + number);
                roles.learn(Minute(day * DAY_MINUTES), Role::Resolver, server, &clients(9..10));
            }
            let later = Minute(day * DAY_MINUTES + 1);
            roles.learn(later, Role::Resolver, resolver, &clients(100..110));
            assert!(roles.saved.clients.len() <= 2 * ROLE_SERVERS_MAX);
        }
        assert_eq!((roles.get(resolver), roles.learned()), (Some(Role::Resolver), 1));
    }
}
