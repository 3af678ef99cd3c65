//! What is usual of an entity and of those like it, and how a window that is over stands against
//! that.
//!
//! A profile has, for each measure, centre, spread and the most there was of its hours and of its
//! days ([`Usual`]), the hours of the week at which it works ([`Week`]), whom it ever spoke to, and
//! slow changes (`drift`). A crowd has the same of many, and its season ([`Crowds`]). While a
//! history is short the crowd's is mixed in, and whoever judges by it is sure by degrees
//! ([`certainty`]).
//!
//! Learning has bounds, so that an attacker cannot teach what is usual: a window moves a centre by
//! a fraction of its spread (`usual`), and of those in which something was found one in eight is
//! learned. What is learned of a day lags behind by weeks, so that slow changes show (`drift`).
//!
//! Not here: what is measured (`activity`), what is a finding (the stages), when a window ends
//! (`engine`).

mod crowd;
mod drift;
mod isolation;
mod look;
mod over;
mod peers;
#[cfg(test)]
mod tests;
mod usual;
mod week;

use serde::{Deserialize, Serialize};

use crate::base::distinct::Distinct;
use crate::base::log2::BIT;
use crate::base::time::Minute;

use super::activity::{CONNECTIONS, MEASURES, REQUESTS, Row, Span, Told, WIDTH, Window};

pub use crowd::{Crowd, Crowds, GroupId};
pub use isolation::{Grow, Hours, Isolation, Part, Rarity, Seen};
pub use look::{Held, Profiles};
pub use over::{Entry, Known, Learnt, Over, Season, Shifts};
pub use peers::{Fit, Fitted, Peers, Place};
use usual::Pace;
pub use usual::{Expected, Prior, Usual};
pub use week::Week;

/// How slowly hours and days are learned in the end: one in so many.
const HOURS_SLOWEST: i32 = 32;
const DAYS_SLOWEST: i32 = 20;
/// After a slow change days are learned faster for so many days, since it may last for good.
const DRIFT_DAYS: u8 = 14;
const DRIFT_SLOWEST: i32 = 4;
/// One suspicious window in so many is learned: an attacker teaches slowly, and what has changed
/// for good is silent again in the end.
const LEARNED_ONE_IN: u8 = 8;
/// Days after which what was not seen again is new again: at least so many, at most twice.
const KNOWN_DAYS: i64 = 30;
/// Hours in which an entity was heard until it is no stranger.
const HEARD_MIN: u16 = 3;
/// From when on an hour is odd: it works then on fewer than one day in ten.
const ODD_MIN: i16 = 928;
/// How busy an hour has to be to be one at which it works: a sixth of the most there was, and ten
/// connections or requests.
const WORK_BELOW: i16 = 5 * BIT as i16 / 2;
const WORK_MIN: i16 = 885;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Hours in which it was heard, and days before this one.
    pub heard: u16,
    /// See above.
    pub days: u16,
    /// The last hour in which it was heard, and the first day, counted from 1970.
    pub last_hour: i64,
    /// See above.
    pub first_day: i64,
    /// The crowd it belongs to.
    pub group: Option<GroupId>,
    /// The most that one of its days was from the middle of its group, in 16ths of the group's
    /// spread beyond what is usual there; of so many days.
    apart: i16,
    apart_days: u16,
    of_hour: Learned,
    of_day: Learned,
    drift: Box<[u8]>,
    drifting: u8,
    week: Week,
    /// How far its work was at odd hours, of which 1024 is the most: in the run of them that ended
    /// with an hour, and the longest today.
    odd: i16,
    odd_hour: i64,
    odd_most: i16,
    /// The highest score of its windows today, in parts per million.
    said: u32,
    /// Whom it spoke to in these days and in those before; likewise its programs.
    peers: [Distinct; 2],
    agents: [Distinct; 2],
    /// The number of the days that are first in these.
    known_since: i64,
}

/// What was learned of windows of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    count: u16,
    suspicious: u8,
    usual: Box<[Usual]>,
    /// Of days the last one that was learned.
    last: Box<[i16]>,
}

/// What became of a window that is over.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What was measured.
    pub row: &'a Row,
    /// What of that is the season's, and nothing of its own.
    pub season: &'a Row,
    /// Of which measures everything was seen.
    pub known: Known,
    /// Of a day, how far it is from the middle of its group (`Profile::apart`).
    pub apart: Option<i16>,
    /// The highest score that was said of it, in parts per million.
    pub score: u32,
    /// Whether that is suspicious.
    pub is_suspicious: bool,
}

/// How far anything can be said of who was heard on so many days before, in parts per million: on
/// its first day everything is new.
#[must_use]
pub fn certainty(days: u16) -> u64 {
    const BY_DAY: [u64; 10] =
        [0, 300_000, 500_000, 650_000, 750_000, 800_000, 850_000, 900_000, 950_000, 1_000_000];
    BY_DAY.get(usize::from(days)).copied().unwrap_or(1_000_000)
}

impl Profile {
    /// Of an entity that is heard for the first time.
    #[must_use]
    pub fn new(hour: i64) -> Self {
        let day = hour.div_euclid(24);
        Self {
            first_day: day,
            known_since: day,
            last_hour: hour,
            odd_hour: hour - 24,
            ..Self::default()
        }
    }

    /// Whether it may have been saved: nobody who calculates with its numbers meets an overflow.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let times = [self.last_hour, self.first_day, self.odd_hour, self.known_since];
        let counted = [self.of_hour.suspicious, self.of_day.suspicious];
        times.into_iter().all(Minute::is_there)
            && counted.into_iter().all(|count| count < LEARNED_ONE_IN)
    }

    /// Whether it is no stranger.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.heard >= HEARD_MIN && self.days > 0
    }

    /// The highest score that was said of it today, in parts per million.
    #[must_use]
    pub fn said_today(&self) -> u32 {
        self.said
    }

    /// What is usual of one of its windows, by measure; nothing before one was learned.
    #[must_use]
    pub fn usual(&self, span: Span, measure: usize) -> Option<&Usual> {
        self.learned(span).usual.get(measure)
    }

    /// How many of its windows were learned.
    #[must_use]
    pub fn count(&self, span: Span) -> u16 {
        self.learned(span).count
    }

    /// How much is known of it, in words.
    #[must_use]
    pub fn history(&self, span: Span) -> String {
        let crowd = match self.group {
            Some(group) => format!(", peer group {group}"),
            None => String::new(),
        };
        format!("{} {}s on {} days{crowd}", self.count(span), span.name(), self.days)
    }

    /// What lasts of a slow change by measure, of which 1 is one, in parts per million.
    #[must_use]
    pub fn drift(&self, measure: usize) -> u32 {
        self.drift
            .get(measure)
            .map_or(0, |sum| u32::from(*sum) * 1_000_000 / u32::from(drift::CHANGE))
    }

    /// The most that it was from its peers on a day, in 16ths of their spread beyond what is usual
    /// there, and of how many days.
    #[must_use]
    pub fn apart(&self) -> (i16, u16) {
        (self.apart, self.apart_days)
    }

    /// It is one of a group from now on: what was usual of it in another one says nothing.
    pub fn join(&mut self, group: GroupId) -> bool {
        let is_new = self.group != Some(group);
        if is_new {
            (self.group, self.apart, self.apart_days) = (Some(group), 0, 0);
        }
        is_new
    }

    /// When it works.
    #[must_use]
    pub fn week(&self) -> &Week {
        &self.week
    }

    fn learned(&self, span: Span) -> &Learned {
        match span {
            Span::Hour => &self.of_hour,
            Span::Day => &self.of_day,
        }
    }

    /// An hour of it is over: its measures. What they say of hours adds up over the day.
    pub fn measure_hour(&mut self, hour: i64, window: &Window) -> Row {
        self.turn(hour.div_euclid(24));
        self.last_hour = self.last_hour.max(hour);
        self.heard = self.heard.saturating_add(1);
        let (peers, agents) = (united(&self.peers), united(&self.agents));
        let told = |odd| Told { peers: &peers, agents: &agents, odd };
        let row = window.measure(told(0));
        if !self.works(&row) || self.week.odd(hour) < ODD_MIN {
            return row;
        }
        // Who works, works for hours, maybe with one off; what machines do by chance is scattered.
        let is_on = hour - self.odd_hour <= 2;
        self.odd = if is_on { self.odd.saturating_add(256).min(1024) } else { 256 };
        (self.odd_hour, self.odd_most) = (hour, self.odd_most.max(self.odd));
        window.measure(told(self.odd))
    }

    /// A day of it is over: its measures.
    #[must_use]
    pub fn measure_day(&self, window: &Window) -> Row {
        let [peers, agents] = [united(&self.peers), united(&self.agents)];
        window.measure(Told { peers: &peers, agents: &agents, odd: self.odd_most })
    }

    /// Whether it works rather than idles, by its measures of an hour.
    fn works(&self, row: &Row) -> bool {
        let most = |at| self.usual(Span::Hour, at).map_or(0, |usual| usual.high);
        let busy = row[CONNECTIONS].max(row[REQUESTS]);
        let most = most(CONNECTIONS).max(most(REQUESTS));
        busy >= WORK_MIN && busy >= most.saturating_sub(WORK_BELOW)
    }

    /// Learns an hour.
    pub fn learn_hour(&mut self, hour: i64, window: &Window, outcome: &Outcome<'_>) {
        self.said = self.said.max(outcome.score);
        if self.of_hour.learn(outcome, HOURS_SLOWEST) {
            self.peers[0].unite(window.peers());
            self.agents[0].unite(window.agents());
        }
        if self.works(outcome.row) {
            self.week.work(hour);
        }
    }

    /// Learns a day.
    pub fn learn_day(&mut self, day: i64, outcome: &Outcome<'_>) {
        let mut has_changed = false;
        fit(&mut self.drift);
        for at in (0..WIDTH).filter(|at| outcome.known.has(*at)) {
            if let Some(away) = self.away(at, outcome.row, outcome.season) {
                has_changed |= drift::add(&mut self.drift[at], away, outcome.is_suspicious);
            }
        }
        if has_changed {
            self.drifting = DRIFT_DAYS;
        }
        let slowest = if self.drifting > 0 { DRIFT_SLOWEST } else { DAYS_SLOWEST };
        self.drifting = self.drifting.saturating_sub(1);
        fit(&mut self.of_day.last);
        // Rounded up, so that it comes to nothing in the end.
        self.apart -= (self.apart.max(0) / 64) + i16::from(self.apart > 0);
        if self.of_day.learn(outcome, slowest)
            && let Some(apart) = outcome.apart
        {
            self.apart = self.apart.max(apart);
            self.apart_days = self.apart_days.saturating_add(1);
        }
        self.of_hour.usual.iter_mut().chain(&mut self.of_day.usual).for_each(Usual::fade);
        self.week.end_day(day);
        self.days = self.days.saturating_add(1);
        (self.odd_most, self.said) = (0, 0);
    }

    /// Whether a day that was measured is the one that makes a slow change of a measure.
    #[must_use]
    pub fn has_drifted(&self, measure: usize, row: &Row, season: &Row) -> bool {
        let sum = self.drift.get(measure).copied().unwrap_or_default();
        self.away(measure, row, season).is_some_and(|away| drift::is_change(sum, away))
    }

    /// How far a day lies from its own days, in 256ths of their spread, once there are enough.
    fn away(&self, measure: usize, row: &Row, season: &Row) -> Option<i32> {
        let count = Some(self.of_day.count).filter(|count| *count >= DAYS_FIRST)?;
        let usual = self.of_day.usual.get(measure)?;
        let expected = usual.expected(count, None, MEASURES[measure].spread_min);
        let value = i32::from(row[measure]) - i32::from(season[measure]);
        Some((value - i32::from(expected.centre)) * BIT / i32::from(expected.spread))
    }

    /// A day begins: whom it was known to speak to grows old.
    fn turn(&mut self, day: i64) {
        if day - self.known_since < KNOWN_DAYS {
            return;
        }
        for known in [&mut self.peers, &mut self.agents] {
            known.rotate_right(1);
            known[0] = Distinct::default();
        }
        self.known_since = day;
    }
}

/// Days of history without which no change is slow.
const DAYS_FIRST: u16 = 5;

impl Learned {
    /// Learns a window, but most of those that are suspicious. Whether it did.
    fn learn(&mut self, outcome: &Outcome<'_>, slowest: i32) -> bool {
        if outcome.is_suspicious {
            self.suspicious += 1;
            if self.suspicious < LEARNED_ONE_IN {
                return false;
            }
            self.suspicious = 0;
        }
        fit(&mut self.usual);
        for (at, usual) in self.usual.iter_mut().enumerate() {
            if outcome.known.has(at) {
                let value =
                    usual::short(i32::from(outcome.row[at]) - i32::from(outcome.season[at]));
                let pace = Pace { slowest, spread_min: MEASURES[at].spread_min };
                usual.learn((value, self.last.get(at).copied()), self.count, pace);
                usual.reach(outcome.row[at]);
                if let Some(last) = self.last.get_mut(at) {
                    *last = value;
                }
            }
        }
        self.count = self.count.saturating_add(1);
        true
    }
}

/// One value for each measure, from the first time on that one is learned.
fn fit<T: Clone + Default>(values: &mut Box<[T]>) {
    if values.len() != WIDTH {
        let mut all = std::mem::take(values).into_vec();
        all.resize(WIDTH, T::default());
        *values = all.into();
    }
}

fn united(known: &[Distinct; 2]) -> Distinct {
    let mut all = known[0].clone();
    all.unite(&known[1]);
    all
}
