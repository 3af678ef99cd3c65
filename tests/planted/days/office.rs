//! The office: hosts of four departments and its servers, and how they live through three weeks on
//! real sessions.
//!
//! Each host has a repertoire, some of it shared by its department, in which few sessions come
//! often; hours of work, days off, and now and then a session that is new to it. What a host does
//! on a day hangs on the seed, the host and the day only, so that what is planted changes nothing
//! of it.
//!
//! Not here: what is planted (`plant`), how a session is written (`write`).

use std::collections::BTreeMap;
use std::path::Path;

use super::super::evaluation::{DAY, Dice, HOUR, MINUTE, SECOND};
use super::capture::{SOURCES, Session, sessions};
use super::columns::Kind;
use super::write::{Guise, INTRANET, Logs, PROXY, RESOLVER, live};

/// Three weeks from a Monday on.
pub(crate) const DAYS: i64 = 21;
/// Hosts of each department.
pub(super) const MEMBERS: usize = 10;
/// Departments, by the sources of their sessions: one browses through the proxy.
const DEPARTMENTS: [&[usize]; 4] = [&[0], &[1], &[2, 3], &[4]];
/// Sources of the proxy, and of servers.
const OF_PROXY: &[usize] = &[1, 2];
const OF_SERVERS: &[usize] = &[5];

/// Sessions of a department that all of its hosts have, and of each host alone.
const SHARED: u64 = 12;
const OWN: u64 = 24;
/// One session in so many is new to a host, and one of so many of these becomes a habit.
const NEW_ONE_IN: u64 = 40;
const HABIT_ONE_IN: u64 = 4;
/// Sessions of an hour of work, on average.
const HOURLY: u64 = 4;

/// When a host lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// In hours of work; at night and at weekends it may stay on.
    Work { stays_on: bool },
    /// Always, and more while people work.
    Serve,
    /// Always alike.
    Run,
}

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) address: String,
    pub(super) life: Life,
    /// Sessions, by their number, the most usual first.
    pub(super) repertoire: Vec<usize>,
    /// Where its sessions come from.
    sources: &'static [usize],
    /// When its work begins and ends.
    hours: (i64, i64),
    /// Sessions of an hour, in 65536ths.
    rate: u64,
    /// Days off.
    away: Vec<i64>,
    /// When its browser was renewed.
    renewed: i64,
}

impl Host {
    pub(crate) fn entity(&self) -> String {
        format!("host:{}", self.address)
    }
}

/// Everybody, and what they may do.
pub(crate) struct Office {
    seed: String,
    pub(super) sessions: Vec<Session>,
    /// Of each source the numbers of its sessions.
    by_source: Vec<Vec<usize>>,
    /// Of each source the destination that stands as a server of the office.
    intranet: Vec<String>,
    pub(crate) hosts: Vec<Host>,
}

impl Office {
    /// The office of a seed, on the captures below a directory.
    pub(crate) fn new(seed: &str, data: &Path) -> Result<Self, String> {
        let mut office = Self {
            seed: seed.to_owned(),
            sessions: Vec::new(),
            by_source: Vec::new(),
            intranet: Vec::new(),
            hosts: Vec::new(),
        };
        for source in &SOURCES {
            let from = office.sessions.len();
            office.sessions.extend(sessions(data, source)?);
            office.by_source.push((from..office.sessions.len()).collect());
            office.intranet.push(most_asked(&office.sessions[from..]));
        }
        for (department, sources) in DEPARTMENTS.iter().enumerate() {
            for member in 0..MEMBERS {
                // One machine of each department is nobody's: it runs day and night.
                let is_machine = member == MEMBERS - 1;
                let life = match is_machine {
                    true => Life::Run,
                    false => Life::Work { stays_on: member % 2 == 1 },
                };
                let address = format!("10.20.{}.{}", department + 1, 20 + member);
                let sources = if is_machine { OF_SERVERS } else { sources };
                office.host(address, department, life, sources);
            }
        }
        for (address, life, sources) in [
            (RESOLVER, Life::Run, OF_SERVERS),
            (PROXY, Life::Serve, OF_PROXY),
            (INTRANET, Life::Run, OF_SERVERS),
            ("10.20.0.11", Life::Run, OF_SERVERS),
        ] {
            office.host(address.to_owned(), DEPARTMENTS.len(), life, sources);
        }
        Ok(office)
    }

    fn host(&mut self, address: String, department: usize, life: Life, sources: &'static [usize]) {
        let mut dice = Dice::new(&[&self.seed, "host", &address]);
        let all: Vec<usize> = sources.iter().flat_map(|it| self.by_source[*it].clone()).collect();
        let mut shared = Dice::new(&[&self.seed, "department", &department.to_string()]);
        let mut repertoire: Vec<usize> = Vec::new();
        for (dice, sessions) in [(&mut shared, SHARED), (&mut dice, OWN)] {
            for _ in 0..sessions {
                let drawn = all[dice.below(all.len() as u64) as usize];
                // The most usual differ from host to host.
                if !repertoire.contains(&drawn) {
                    repertoire.push(drawn);
                }
            }
        }
        shuffle(&mut repertoire, &mut dice);
        let mut away: Vec<i64> = (0..DAYS).filter(|_| dice.percent(3)).collect();
        // A week of holidays.
        if department == 0 && self.hosts.len() == 4 {
            away.extend(7..12);
        }
        let quarter = |dice: &mut Dice, of: u64| dice.below(of) as i64 * 15 * MINUTE;
        let hours = (7 * HOUR + quarter(&mut dice, 11), 16 * HOUR + quarter(&mut dice, 13));
        let rate = super::write::times(HOURLY << 16, dice.factor(1 << 15));
        let renewed = 8 + dice.below(5) as i64;
        let host = Host { address, life, repertoire, sources, hours, rate, away, renewed };
        self.hosts.push(host);
    }

    /// A host of a department.
    pub(super) fn member(&self, department: usize, member: usize) -> &Host {
        &self.hosts[department * MEMBERS + member]
    }

    /// The destination outside that a host sends most to, over TLS.
    pub(super) fn known_destination(&self, host: &Host) -> String {
        let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
        let [address, port, bytes] =
            ["id.resp_h", "id.resp_p", "orig_bytes"].map(|name| Kind::Conn.at(name));
        for (at, session) in host.repertoire.iter().enumerate() {
            // The first come most often.
            let weight = host.repertoire.len() - at;
            for line in self.sessions[*session].lines.iter().filter(|it| it.kind == Kind::Conn) {
                let is_here = self.intranet.contains(&line.cells[address]);
                if line.cells[port] == "443" && !is_here && !line.cells[address].contains(':') {
                    let bytes = line.cells[bytes].parse::<usize>().unwrap_or_default();
                    *sent.entry(&line.cells[address]).or_default() += weight * bytes;
                }
            }
        }
        let most = sent.into_iter().max_by_key(|(_, bytes)| *bytes);
        most.map_or_else(|| "192.0.2.80".to_owned(), |(address, _)| address.to_owned())
    }

    /// The browser that a host has on a day.
    pub(super) fn browser(host: &Host, day: i64) -> String {
        format!("{}.0", 123 + i64::from(day >= host.renewed))
    }

    /// Writes a session of a host.
    pub(super) fn live(
        &self,
        host: &Host,
        which: usize,
        start: i64,
        dice: &mut Dice,
        logs: &mut Logs,
    ) {
        let source = self.by_source.iter().position(|sessions| sessions.contains(&which));
        let intranet = source.map_or("", |source| self.intranet[source].as_str());
        let browser = Self::browser(host, start.div_euclid(DAY));
        let guise = Guise { address: &host.address, intranet, browser: &browser };
        live(&self.sessions[which], start, &guise, dice, logs);
    }

    /// Three weeks of everybody.
    pub(crate) fn days(&self) -> Logs {
        let mut logs = Logs::new();
        for host in &self.hosts {
            let mut repertoire = host.repertoire.clone();
            for day in 0..DAYS {
                let dice = Dice::new(&[&self.seed, "day", &host.address, &day.to_string()]);
                self.day(host, day, dice, &mut repertoire, &mut logs);
            }
        }
        logs
    }

    /// Days on which a host does anything.
    pub(crate) fn host_days(&self) -> usize {
        let is_on = |host: &Host, day: &i64| {
            let is_work = day.rem_euclid(7) < 5 && !host.away.contains(day);
            is_work || !matches!(host.life, Life::Work { stays_on: false })
        };
        self.hosts.iter().map(|host| (0..DAYS).filter(|day| is_on(host, day)).count()).sum()
    }

    fn day(
        &self,
        host: &Host,
        day: i64,
        mut dice: Dice,
        repertoire: &mut [usize],
        logs: &mut Logs,
    ) {
        let busy = dice.factor(1 << 15);
        let late = |dice: &mut Dice| (dice.normal() * 20 * MINUTE) >> 16;
        let (from, to) = (host.hours.0 + late(&mut dice), host.hours.1 + late(&mut dice));
        let lunch = 12 * HOUR + late(&mut dice);
        let is_day_off = day.rem_euclid(7) >= 5 || host.away.contains(&day);
        for minute in 0..DAY / MINUTE {
            let time = minute * MINUTE;
            let is_work = !is_day_off && (from..to).contains(&time);
            let is_lunch = (lunch..lunch + 45 * MINUTE).contains(&time);
            let (is_quiet, percent) = match host.life {
                Life::Work { .. } if is_work && is_lunch => (false, 25),
                Life::Work { .. } if is_work => (false, 100),
                Life::Work { stays_on: true } => (true, 20),
                Life::Work { stays_on: false } => continue,
                Life::Serve if is_work => (false, 300),
                Life::Serve => (false, 30),
                Life::Run => (false, 60),
            };
            let hourly = super::write::times(host.rate, busy) * percent / 100;
            if dice.below(60 << 16) >= hourly {
                continue;
            }
            let which = self.draw(host, is_quiet, repertoire, &mut dice);
            let start = day * DAY + time + dice.below(MINUTE.unsigned_abs()) as i64;
            self.live(host, which, start, &mut dice, logs);
        }
    }

    /// A session of a repertoire, or a new one. Who is alone does little: of the short ones.
    fn draw(
        &self,
        host: &Host,
        is_quiet: bool,
        repertoire: &mut [usize],
        dice: &mut Dice,
    ) -> usize {
        if dice.below(NEW_ONE_IN) == 0 && !is_quiet {
            let source = host.sources[dice.below(host.sources.len() as u64) as usize];
            let all = &self.by_source[source];
            let new = all[dice.below(all.len() as u64) as usize];
            if dice.below(HABIT_ONE_IN) == 0 {
                let at = dice.below(repertoire.len() as u64) as usize;
                repertoire[at] = new;
            }
            return new;
        }
        // The first of it come most often.
        let mut usual = || {
            let end = 1 + dice.below(repertoire.len() as u64);
            repertoire[dice.below(end) as usize]
        };
        let drawn = usual();
        if !is_quiet {
            return drawn;
        }
        let size = |which: &usize| self.sessions[*which].lines.len();
        (0..3).map(|_| usual()).chain([drawn]).min_by_key(size).unwrap_or(drawn)
    }
}

/// Where TLS of these sessions goes most often.
fn most_asked(sessions: &[Session]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (address, port) = (Kind::Conn.at("id.resp_h"), Kind::Conn.at("id.resp_p"));
    for line in sessions.iter().flat_map(|session| &session.lines) {
        if line.kind == Kind::Conn && line.cells[port] == "443" {
            *counts.entry(&line.cells[address]).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or_else(String::new, |(address, _)| address.to_owned())
}

fn shuffle(list: &mut [usize], dice: &mut Dice) {
    for end in (1..list.len()).rev() {
        list.swap(end, dice.below(end as u64 + 1) as usize);
    }
}

/// An hour and a minute of a day, in microseconds since day 0.
pub(super) fn at(day: i64, hour: i64, minute: i64) -> i64 {
    day * DAY + hour * HOUR + minute * MINUTE
}

/// A time drawn between two.
pub(super) fn between(from: i64, to: i64, dice: &mut Dice) -> i64 {
    from + dice.below((to - from).max(SECOND).unsigned_abs()) as i64
}
