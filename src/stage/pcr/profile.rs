//! In the entity lane: what lasts of each host, its open windows, and what they find when they end.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::keys::Settings;
use crate::base::limits::EVIDENCE_MAX;
use crate::base::log2::{BIT, log2};
use crate::base::time::{DAY, HOUR, MINUTE, Minute, Time};
use crate::record::{Entity, Log, Names};

use super::super::activity::Span;
use super::super::input::{Cell, CellRow, Finding, Findings};
use super::super::keys::alert_from;
use super::super::profile::Held;
use super::super::traffic::{DNS, PARTS};
use super::super::{Changes, Close, Context};
use super::LEARNED_MIN;
use super::channel::{ALL, CHANNELS, TABLE};
use super::history::{History, Usual};
use super::hour::Hour;
use super::lasting::Lasting;
use super::peers::{Given, LONG_DAYS, Peers, ratio};
use super::score::{Against, Verdict, Window};

/// Hours in which a host was heard until it is no stranger.
const HEARD_MIN: u16 = 3;
/// What is less says nothing: many of it would add up in a risk.
const SAID_MIN: u32 = 250_000;
/// Hours of a day that may be missing.
const TORN_MAX: usize = 6;

/// What is kept of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Profile {
    /// Hours in which it was heard, and the last of them, counted from 1970.
    heard: u16,
    last_hour: i64,
    /// What is open.
    hour: Option<Box<Hour>>,
    day: i64,
    is_day_open: bool,
    /// Days that it was heard on before this one.
    days: u8,
    /// Sent today, by channel.
    today: [u64; PARTS],
    channels: Vec<(u8, History)>,
    peers: Peers,
    /// The highest score that was said of each of the last days, today first.
    said: [u32; LONG_DAYS],
}

/// See the module.
pub(super) struct Profiles {
    max: usize,
    /// Cells of hosts that found no room.
    dropped: u64,
    alert: u32,
    volumes: (u64, u64),
    known: BTreeMap<Addr, Profile>,
    /// Who has an open hour or day, by its number.
    hours: BTreeMap<i64, BTreeSet<Addr>>,
    days: BTreeMap<i64, BTreeSet<Addr>>,
    changed: BTreeSet<Addr>,
}

/// A window that ends.
#[derive(Clone, Copy)]
struct Ending {
    name: &'static str,
    start: Time,
    end: Time,
}

/// What else a window is judged by: what the profile of the host holds, and which volumes matter.
#[derive(Clone, Copy)]
struct Beside<'a> {
    held: Option<Held<'a>>,
    volumes: (u64, u64),
}

const HOUR_MINUTES: i64 = HOUR / MINUTE;
const DAY_MINUTES: i64 = DAY / MINUTE;

impl Profiles {
    pub(super) fn new(settings: &Settings) -> Self {
        let least = settings.bytes("volume_min");
        Self {
            max: usize::try_from(settings.integer("max_entities")).unwrap_or(usize::MAX),
            dropped: 0,
            alert: alert_from(settings),
            volumes: (least, settings.bytes("volume_full").max(least + 1)),
            known: BTreeMap::new(),
            hours: BTreeMap::new(),
            days: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes a cell into the open hour of its host. Where there is no room for another host it is
    /// let go: strangers never drive out those that are known.
    fn take(&mut self, minute: Minute, cell: &Cell) {
        let Some(addr) = cell.entity.addr() else { return };
        if self.known.len() >= self.max && !self.known.contains_key(&addr) {
            self.dropped += 1;
            return;
        }
        let (hour, day) = (minute.0.div_euclid(HOUR_MINUTES), minute.0.div_euclid(DAY_MINUTES));
        let profile =
            self.known.entry(addr).or_insert_with(|| Profile { day, ..Profile::default() });
        if profile.hour.is_none() {
            profile.begin(hour, day);
            self.hours.entry(hour).or_default().insert(addr);
            self.days.entry(day).or_default().insert(addr);
        }
        if let Some(open) = &mut profile.hour {
            open.take(cell);
        }
        self.changed.insert(addr);
    }

    /// Ends the windows that end with `minute` or before.
    fn end(&mut self, minute: Minute, context: &Context<'_>, out: &mut Findings) {
        let is_over = |number: i64, minutes: i64| (number + 1) * minutes <= minute.0 + 1;
        let is_there =
            |hour: i64| context.gaps.has_hour(Log::Conn, Minute(hour * HOUR_MINUTES), context.now);
        // One after another, so that one that panics takes only itself out.
        while let Some((hour, host)) = pop_first(&mut self.hours, |it| is_over(it, HOUR_MINUTES)) {
            self.end_hour(host, Time(hour * HOUR), is_there(hour), context, out);
        }
        let mut torn = None;
        while let Some((day, host)) = pop_first(&mut self.days, |it| is_over(it, DAY_MINUTES)) {
            let hours = DAY / HOUR;
            let count = || (day * hours..(day + 1) * hours).filter(|hour| !is_there(*hour)).count();
            let (_, torn_hours) =
                *torn.filter(|(of, _)| *of == day).get_or_insert_with(|| (day, count()));
            torn = Some((day, torn_hours));
            self.end_day(host, (Time(day * DAY), torn_hours), context, out);
            if self.days.keys().next() != Some(&day) {
                self.forget((day + 1) * hours);
            }
        }
    }

    fn end_hour(
        &mut self,
        host: Addr,
        start: Time,
        is_there: bool,
        context: &Context<'_>,
        out: &mut Findings,
    ) {
        let Some(profile) = self.known.get_mut(&host) else { return };
        let Some(hour) = profile.hour.take() else { return };
        self.changed.insert(host);
        profile.heard = profile.heard.saturating_add(1);
        if !is_there {
            return;
        }
        let ending = Ending { name: "hour", start, end: start.plus(HOUR) };
        let beside = Beside { held: context.held(host, ending.end), volumes: self.volumes };
        let verdicts: Vec<Verdict<'_>> =
            (0..CHANNELS).map(|channel| profile.judge_hour(channel, &hour, beside)).collect();
        let is_shared = context.roles.get(host).is_some();
        let mut score = 0;
        if let Some(verdict) = strongest(&verdicts).filter(|_| !is_shared) {
            score = verdict.score.get();
            tell(host, verdict, ending, out);
        }
        let is_suspicious = score >= self.alert;
        drop(verdicts);
        if is_suspicious {
            out.suspect((Span::Hour, start.0 / HOUR, Entity::Host(host)));
        }
        if !hour.is_torn() {
            (0..CHANNELS).for_each(|channel| profile.learn_hour(channel, &hour, is_suspicious));
        }
        for (channel, sum) in hour.sums.iter().enumerate() {
            profile.today[channel] = profile.today[channel].saturating_add(sum[0]);
        }
        profile.said[0] = profile.said[0].max(score);
        for peer in hour.peers {
            profile.peers.add(peer);
        }
    }

    fn end_day(
        &mut self,
        host: Addr,
        (start, torn_hours): (Time, usize),
        context: &Context<'_>,
        out: &mut Findings,
    ) {
        let Some(profile) = self.known.get_mut(&host) else { return };
        self.changed.insert(host);
        profile.is_day_open = false;
        if torn_hours > TORN_MAX {
            profile.peers.forget_today();
            profile.learn_day(false);
            return;
        }
        let end = start.plus(DAY);
        let beside = Beside { held: context.held(host, end), volumes: self.volumes };
        let verdicts = profile.judge_days(1, beside);
        let long = profile.judge_days(LONG_DAYS, beside);
        let is_shared = context.roles.get(host).is_some();
        let mut said = profile.said[0];
        // A longer window speaks only where no shorter one in it raised an alert, and says more.
        let speaks = |score: u32, said: u32| !is_shared && said < self.alert && score > said;
        if let Some(verdict) = strongest(&verdicts).filter(|it| speaks(it.score.get(), said)) {
            said = verdict.score.get();
            tell(host, verdict, Ending { name: "day", start, end }, out);
        }
        let before = profile.said[1..].iter().copied().max().unwrap_or_default().max(said);
        if let Some(verdict) = strongest(&long).filter(|it| speaks(it.score.get(), before)) {
            let start = start.plus(-((LONG_DAYS as i64 - 1) * DAY));
            said = verdict.score.get();
            tell(host, verdict, Ending { name: "5 days", start, end }, out);
        }
        drop((verdicts, long));
        profile.said[0] = said;
        if said >= self.alert {
            out.suspect((Span::Day, start.0 / DAY, Entity::Host(host)));
        }
        profile.learn_day(said < self.alert);
    }

    /// Forgets strangers that were not heard for a day, and, where it is nearly full, who was not
    /// heard for longest.
    fn forget(&mut self, hour: i64) {
        let changed = &mut self.changed;
        self.known.retain(|host, profile| {
            let is_stranger = profile.heard < HEARD_MIN && hour - profile.last_hour > 24;
            if is_stranger {
                changed.insert(*host);
            }
            !is_stranger
        });
        let room = self.max - self.max / 8;
        if self.known.len() <= room {
            return;
        }
        let idle = self.known.iter().filter(|(_, profile)| profile.hour.is_none());
        // Strangers first: a sweep must not drive out who was there before.
        let mut idle: Vec<(bool, i64, Addr)> =
            idle.map(|(host, it)| (it.is_known(), it.last_hour, *host)).collect();
        idle.sort_unstable();
        for (_, _, host) in idle.into_iter().take(self.known.len() - room) {
            self.known.remove(&host);
            changed.insert(host);
        }
    }
}

impl Profile {
    /// Whether it is no stranger: heard in some hours, and before today. On its first day a host
    /// alerts of nothing, and a sweep may last for hours.
    fn is_known(&self) -> bool {
        self.heard >= HEARD_MIN && self.days > 0
    }

    /// An hour of a day begins.
    fn begin(&mut self, hour: i64, day: i64) {
        if day > self.day {
            let days = (day - self.day).unsigned_abs();
            self.peers.turn(days);
            for _ in 0..days.min(LONG_DAYS as u64) {
                self.said.rotate_right(1);
                self.said[0] = 0;
            }
            self.days = self.days.saturating_add(1);
        }
        (self.day, self.is_day_open, self.last_hour) = (day, true, hour);
        self.hour = Some(Box::default());
    }

    fn history(&self, channel: usize) -> Option<&History> {
        let found = self.channels.iter().find(|(of, _)| usize::from(*of) == channel);
        found.map(|(_, history)| history)
    }

    fn history_mut(&mut self, channel: usize) -> Option<&mut History> {
        let found = self.channels.iter_mut().find(|(of, _)| usize::from(*of) == channel);
        found.map(|(_, history)| history)
    }

    fn judge_hour<'a>(&self, channel: usize, hour: &'a Hour, beside: Beside<'_>) -> Verdict<'a> {
        let of_channel = hour.peers.iter().filter(|it| is_of(usize::from(it.channel), channel));
        let given = of_channel.map(|peer| Given {
            channel: usize::from(peer.channel),
            addr: peer.addr,
            sent: peer.sent,
            received: peer.received,
            before: self.peers.before_today(peer.channel, peer.addr),
            days: self.peers.waited(),
            row: peer.row.as_ref(),
        });
        let [sent, received] = hour.sum(channel);
        let window = Window {
            channel,
            sent,
            ratio: ratio(sent, received),
            untold: hour.untold(channel),
            given: given.collect(),
            among: 1,
        };
        let history = self.history(channel);
        let mut against = self.against(channel, beside);
        against.most = history.map_or(0, History::hour_most);
        if let Some(lasting) = &against.lasting {
            // What is no more than all of today may be an hour of today, that says nothing of what
            // is usual.
            let is_before = lasting.hour_most > log2(self.sent_today(channel).saturating_add(1));
            against.most = against.most.max(if is_before { lasting.hour_most } else { 0 });
        }
        Verdict::new(window, against, |sent, ratio| {
            history.is_some_and(|history| history.has_precedent(sent, ratio))
        })
    }

    /// Judges today, or the last five days, in every channel.
    fn judge_days(&self, days: usize, beside: Beside<'_>) -> Vec<Verdict<'_>> {
        let judge = |channel: usize| {
            let history = self.history(channel)?;
            let today = self.sent_today(channel);
            let (sent, most) = match days {
                1 => (today, history.day_most()),
                _ => {
                    let (before, usual) = history.long(days - 1)?;
                    (today.saturating_add(before), usual)
                }
            };
            let given = self.peers.given(days).filter(|it| is_of(it.channel, channel));
            let window = Window {
                channel,
                sent,
                ratio: 0,
                untold: 0,
                given: given.collect(),
                among: if days == 1 { 1 } else { 4 },
            };
            // The hours of a day are smaller than it: what eight of them would send is a precedent.
            let eighth = 3 * BIT + log2(days as u64);
            let mut against = self.against(channel, beside);
            against.most = most.max(against.lasting.as_ref().map_or(0, |it| it.day_most));
            Some(Verdict::new(window, against, |sent, ratio| {
                history.has_precedent(sent - eighth, ratio)
            }))
        };
        (0..CHANNELS).filter_map(judge).collect()
    }

    fn sent_today(&self, channel: usize) -> u64 {
        let all = || self.today.iter().fold(0_u64, |all, one| all.saturating_add(*one));
        self.today.get(channel).copied().unwrap_or_else(all)
    }

    /// What stands against a window of a channel, but for the most that is sent in one.
    fn against(&self, channel: usize, beside: Beside<'_>) -> Against {
        let known = [400_000, 600_000, 700_000, 800_000, 900_000];
        Against {
            usual: self.usual(channel),
            lasting: beside.held.map(|held| Lasting::of(&held, channel)),
            most: 0,
            volumes: beside.volumes,
            certainty: known.get(usize::from(self.days)).copied().unwrap_or(1_000_000),
            seen: (self.history(channel).map_or((0, 0), History::seen), self.days),
        }
    }

    /// What is usual in a channel. Of DNS any host is asked, since it is alike for all; of another
    /// channel with little history what this host is like in all of them together.
    fn usual(&self, channel: usize) -> Usual {
        let of = &TABLE[channel];
        let otherwise = if channel == ALL || channel == DNS { of.usual } else { self.usual(ALL) };
        let history = self.history(channel);
        history.map_or(otherwise, |history| history.usual(otherwise, of.spread_min))
    }

    fn learn_hour(&mut self, channel: usize, hour: &Hour, is_suspicious: bool) {
        let [sent, received] = hour.sum(channel);
        if sent.saturating_add(received) < LEARNED_MIN / TABLE[channel].smaller {
            return;
        }
        if self.history(channel).is_none() {
            self.channels.reserve_exact(1);
            self.channels.push((channel as u8, History::default()));
        }
        if let Some(history) = self.history_mut(channel) {
            history.hour(ratio(sent, received), sent, is_suspicious);
        }
    }

    fn learn_day(&mut self, is_habit: bool) {
        for channel in 0..CHANNELS {
            let sent = self.sent_today(channel);
            if let Some(history) = self.history_mut(channel) {
                history.day(sent, is_habit);
            }
        }
        self.today = [0; PARTS];
    }
}

/// Takes the first host of the first hour or day that is over.
fn pop_first(
    open: &mut BTreeMap<i64, BTreeSet<Addr>>,
    is_over: impl FnOnce(i64) -> bool,
) -> Option<(i64, Addr)> {
    let mut first = open.first_entry().filter(|entry| is_over(*entry.key()))?;
    let (number, host) = (*first.key(), first.get_mut().pop_first());
    if first.get().is_empty() {
        first.remove();
    }
    Some((number, host?))
}

fn is_of(part: usize, channel: usize) -> bool {
    channel == ALL || part == channel
}

/// The verdict with the highest score that says anything; of equals that of one channel rather than
/// of all.
fn strongest<'a, 'b>(verdicts: &'b [Verdict<'a>]) -> Option<&'b Verdict<'a>> {
    let said = verdicts.iter().filter(|verdict| verdict.score.get() >= SAID_MIN);
    said.min_by_key(|verdict| (std::cmp::Reverse(verdict.score), verdict.channel))
}

fn tell(host: Addr, verdict: &Verdict<'_>, ending: Ending, out: &mut Findings) {
    let whole = |given: &Given<'_>| given.row.map(|row| row.whole(host, given.addr));
    let rows: Vec<CellRow> = verdict.to.iter().filter_map(whole).take(EVIDENCE_MAX).collect();
    let rows: Vec<&CellRow> = rows.iter().collect();
    let Some(time) = rows.iter().map(|row| row.time).max() else { return };
    let finding = Finding {
        subject: ending.name.as_bytes().to_vec(),
        window: (ending.start, ending.end),
        score: verdict.score,
        reasons: verdict.reasons(ending.name),
        techniques: TABLE[verdict.channel].techniques,
        names: Names::default(),
    };
    out.push(&Entity::Host(host), &rows, time, finding);
}

impl Close for Profiles {
    fn close(&mut self, minute: Minute, cells: &[Cell], context: &Context<'_>, out: &mut Findings) {
        // Windows that ended while it was in quarantine.
        self.end(Minute(minute.0 - 1), context, out);
        for cell in cells {
            self.take(minute, cell);
        }
        self.end(minute, context, out);
    }

    fn due(&self) -> Option<Minute> {
        let last = |number: i64, minutes: i64| Minute((number + 1) * minutes - 1);
        let hour = self.hours.first_key_value().map(|(hour, _)| last(*hour, HOUR_MINUTES));
        let day = self.days.first_key_value().map(|(day, _)| last(*day, DAY_MINUTES));
        hour.into_iter().chain(day).min()
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn knows(&self, entity: &Entity) -> bool {
        let profile = entity.addr().and_then(|addr| self.known.get(&addr));
        profile.is_some_and(Profile::is_known)
    }

    fn save(&mut self, sink: &mut Changes<'_>) {
        for host in std::mem::take(&mut self.changed) {
            sink(&host.to_bytes(), self.known.get(&host).map(encode).as_deref());
        }
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let key = key.try_into().map_err(|_| "not a host of pcr".to_owned())?;
        let host = Addr::from_bytes(key);
        let profile: Profile = decode(value).map_err(|error| error.to_string())?;
        if profile.hour.is_some() {
            self.hours.entry(profile.last_hour).or_default().insert(host);
        }
        if profile.is_day_open {
            self.days.entry(profile.day).or_default().insert(host);
        }
        self.known.insert(host, profile);
        Ok(())
    }
}
