//! All windows of one hour or day that is over, and what was to be expected of each.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use crate::base::log2::BIT;
use crate::base::time::Time;
use crate::record::{Entity, Log};

use super::super::activity::{Held, MEASURES, Row, Span, WIDTH};
use super::Profile;
use super::crowd::{Crowd, Crowds, MEMBERS_MAX, MEMBERS_MIN, Which};
use super::isolation::Isolation;
use super::peers::{Peers, Place};
use super::usual::{Expected, Prior, Usual, short};

/// How many hosts of all a group's own weigh as much as: what few show may be chance.
const DRAWN: i64 = 8;

/// Of which measures everything was seen: where a log has a hole its measures say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u32);

impl Known {
    /// Those that come from logs that are there.
    #[must_use]
    pub fn of(is_there: impl Fn(Log) -> bool) -> Self {
        let mut known = 0;
        for (at, measure) in MEASURES.iter().enumerate() {
            known |= u32::from(is_there(measure.log)) << at;
        }
        Self(known)
    }

    /// Whether a measure is one of them.
    #[must_use]
    pub fn has(self, measure: usize) -> bool {
        self.0 >> measure & 1 == 1
    }
}

/// What the windows of one crowd share.
#[derive(Debug)]
struct Common {
    span: Span,
    /// What is usual of a member of which nothing is known.
    prior: Vec<Prior>,
    /// By how much more is to be expected because of the hour or day.
    season: Row,
    /// By how much most of the crowd lie above that; nothing where they are few.
    shift: Option<Row>,
}

/// What an hour or a day has more of for a crowd, shared by all of it.
#[derive(Clone, Debug)]
pub struct Season(Rc<Common>);

impl Deref for Season {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.0.season
    }
}

/// A window that is over.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whose.
    pub entity: &'a Entity,
    /// What was counted, with records that stand for it.
    pub window: Held<'a>,
    /// What is known of the entity, without this window.
    pub profile: &'a Profile,
    /// What was measured.
    pub row: &'a Row,
    common: Rc<Common>,
}

impl Entry<'_> {
    /// What was to be expected of a measure, without season.
    #[must_use]
    pub fn expected(&self, measure: usize) -> Expected {
        expected(self.profile, &self.common, measure)
    }

    /// By how much that is more because of the hour or day.
    #[must_use]
    pub fn season(&self) -> &Row {
        &self.common.season
    }

    fn shift(&self, measure: usize) -> i16 {
        self.common.shift.map_or(0, |shift| shift[measure])
    }

    /// The same, to be kept when the window is gone.
    #[must_use]
    pub fn shared_season(&self) -> Season {
        Season(Rc::clone(&self.common))
    }

    /// By how much most of its crowd lie above that, as far as it may explain anything.
    fn shared(&self, measure: usize) -> i32 {
        self.shift(measure).clamp(0, MEASURES[measure].shared_max).into()
    }

    /// The most that was ever learned.
    #[must_use]
    pub fn high(&self, measure: usize) -> i16 {
        self.profile.usual(self.common.span, measure).map_or(0, |usual| usual.high)
    }

    /// How far a measure lies above what was to be expected, in 256ths of a spread, and above the
    /// most there was, in its own units. What most of the crowd show is nobody's own.
    #[must_use]
    pub fn above(&self, measure: usize) -> (i32, i32) {
        let Expected { centre, spread } = self.expected(measure);
        let value = i32::from(self.row[measure]) - self.shared(measure);
        let away = value - i32::from(centre) - i32::from(self.common.season[measure]);
        (away * BIT / i32::from(spread), value - i32::from(self.high(measure)))
    }

    /// Whether a day is the one that makes a slow change of a measure.
    #[must_use]
    pub fn has_drifted(&self, measure: usize) -> bool {
        self.profile.has_drifted(measure, self.row, &self.common.season)
    }

    /// A measure without what is the day's, and what most of its crowd show on it, more or less.
    fn own(&self, measure: usize) -> i16 {
        let shared = self.shift(measure).min(MEASURES[measure].shared_max);
        let value = i32::from(self.row[measure]) - i32::from(self.common.season[measure]);
        short(value - i32::from(shared))
    }

    /// Where it stands among its peers on a day, by what everything was seen of.
    #[must_use]
    pub fn place(&self, over: &Over<'_>) -> Option<Place> {
        let own = |at: usize| over.known.has(at).then(|| self.own(at));
        over.peers.place(self.profile.group?, &std::array::from_fn(own))
    }

    /// How much is known of the entity, in words.
    #[must_use]
    pub fn history(&self) -> String {
        self.profile.history(self.common.span)
    }
}

fn expected(profile: &Profile, common: &Common, at: usize) -> Expected {
    let usual = profile.usual(common.span, at).copied().unwrap_or_default();
    usual.expected(profile.count(common.span), common.prior.get(at), MEASURES[at].spread_min)
}

/// A window that is over, whose it is, what is known of that entity, and what was measured.
pub(super) type Measured<'a> = (&'a Entity, Held<'a>, &'a Profile, &'a Row);

/// What is learned of many.
#[derive(Clone, Copy, Debug)]
pub struct Learnt<'a> {
    /// What is usual of crowds.
    pub crowds: &'a Crowds,
    /// The groups of peers.
    pub peers: &'a Peers,
    /// Which hours are unlike others.
    pub isolation: Option<&'a Isolation>,
}

/// See the module.
#[derive(Debug)]
pub struct Over<'a> {
    /// How long the windows are.
    pub span: Span,
    /// Which it is, counted from 1970.
    pub number: i64,
    /// Of which measures everything was seen.
    pub known: Known,
    /// By entity.
    pub entries: Vec<Entry<'a>>,
    /// The groups of peers.
    pub peers: &'a Peers,
    /// Which hours are unlike others; nothing before enough were seen.
    pub isolation: Option<&'a Isolation>,
    /// How much each crowd lies above what was to be expected.
    shifts: BTreeMap<Which, Row>,
    /// What is usual of each crowd, hours and days.
    priors: BTreeMap<Which, [Vec<Prior>; 2]>,
}

impl<'a> Over<'a> {
    /// Of windows with their profiles and measures, by entity.
    #[must_use]
    pub fn new(
        (span, number): (Span, i64),
        windows: impl Iterator<Item = Measured<'a>>,
        Learnt { crowds, peers, isolation }: Learnt<'a>,
        known: Known,
    ) -> Self {
        let windows: Vec<Measured<'a>> = windows.collect();
        // All hosts and all users, then groups of hosts.
        let mut members: BTreeMap<Which, Vec<usize>> = BTreeMap::new();
        for (at, (entity, _, profile, _)) in windows.iter().enumerate() {
            for which in [Which::of(entity), crowds.which(entity, profile.group)] {
                let members = members.entry(which).or_default();
                if members.last() != Some(&at) {
                    members.push(at);
                }
            }
        }
        let mut over = Self {
            span,
            number,
            known,
            entries: Vec::with_capacity(windows.len()),
            peers,
            isolation,
            shifts: BTreeMap::new(),
            priors: BTreeMap::new(),
        };
        let mut commons: BTreeMap<Which, Rc<Common>> = BTreeMap::new();
        for (which, members) in members {
            let members = members.iter().filter_map(|at| windows.get(*at));
            let known: Vec<(&Profile, &Row)> = members
                .map(|(_, _, profile, row)| (*profile, *row))
                .filter(|(profile, _)| profile.is_known())
                .collect();
            let all = commons.get(&Which::Hosts).filter(|_| matches!(which, Which::Group(_)));
            let (common, has_own) = over.common(crowds.get(which), &known, all.map(AsRef::as_ref));
            if let Some(shift) = common.shift.filter(|_| has_own) {
                over.shifts.insert(which, shift);
            }
            if span == Span::Day {
                over.priors.extend(priors_of(&known).map(|prior| (which, prior)));
            }
            commons.insert(which, Rc::new(common));
        }
        for (entity, window, profile, row) in windows {
            if let Some(common) = commons.get(&crowds.which(entity, profile.group)) {
                let common = Rc::clone(common);
                over.entries.push(Entry { entity, window, profile, row, common });
            }
        }
        over
    }

    /// What members of a crowd share, of which these are heard now and known, beside all hosts,
    /// whom a group of few is drawn to; and whether enough of them are there to teach the crowd.
    fn common(
        &self,
        crowd: &Crowd,
        members: &[(&Profile, &Row)],
        all: Option<&Common>,
    ) -> (Common, bool) {
        let season = crowd.season(self.span, self.number);
        let prior = crowd.priors(self.span).to_vec();
        let mut common = Common { span: self.span, prior, season, shift: None };
        let own = shift(members, &common, self.known);
        let has_own = own.is_some();
        common.shift = match all {
            Some(Common { shift: Some(shift), season: of_all, .. }) => {
                // Too few are as if none were there.
                let n = if has_own { members.len() as i64 } else { 0 };
                let own = own.unwrap_or_default();
                let drawn = |at: usize| {
                    let of_all = i64::from(shift[at]) + i64::from(of_all[at]);
                    let own = i64::from(own[at]) + i64::from(season[at]);
                    let drawn = of_all + (own - of_all) * n / (n + DRAWN);
                    short((drawn - i64::from(season[at])) as i32)
                };
                Some(std::array::from_fn(drawn))
            }
            _ => own,
        };
        (common, has_own)
    }

    /// When it began, and when it ended.
    #[must_use]
    pub fn times(&self) -> (Time, Time) {
        let start = self.span.start(self.number);
        (start, start.plus(self.span.micros()))
    }

    /// What its crowds learn of it.
    #[must_use]
    pub fn shifts(self) -> Shifts {
        let Self { span, number, shifts, priors, .. } = self;
        Shifts { span, number, shifts, priors }
    }
}

/// How much each crowd lies above what was to be expected.
#[derive(Debug)]
pub struct Shifts {
    span: Span,
    number: i64,
    shifts: BTreeMap<Which, Row>,
    priors: BTreeMap<Which, [Vec<Prior>; 2]>,
}

impl Shifts {
    /// Lets crowds learn their seasons, and at the end of a day what is usual of them.
    pub fn teach(self, crowds: &mut Crowds) {
        for (which, shift) in &self.shifts {
            crowds.get_mut(*which).learn(self.span, self.number, shift);
        }
        for (which, [of_hour, of_day]) in self.priors {
            crowds.get_mut(which).set_priors(of_hour, of_day);
        }
    }
}

/// What is usual of the hours and days of members; nothing where they are few.
fn priors_of(members: &[(&Profile, &Row)]) -> Option<[Vec<Prior>; 2]> {
    let is_known = |profile: &&Profile| profile.count(Span::Day) > 1;
    let known: Vec<&Profile> = members.iter().map(|(it, _)| *it).filter(is_known).collect();
    if known.len() < MEMBERS_MIN {
        return None;
    }
    let step = known.len().div_ceil(MEMBERS_MAX);
    let of = |span: Span| {
        let prior = |at: usize| {
            let asked = known.iter().step_by(step);
            let usual: Vec<Usual> =
                asked.filter_map(|profile| profile.usual(span, at).copied()).collect();
            Prior::of(&usual)
        };
        (0..WIDTH).map(prior).collect()
    };
    Some([of(Span::Hour), of(Span::Day)])
}

/// The median of how far members lie above what was to be expected, by measure; nothing where they
/// are few.
fn shift(members: &[(&Profile, &Row)], common: &Common, known: Known) -> Option<Row> {
    if members.len() < MEMBERS_MIN {
        return None;
    }
    let mut above = Vec::with_capacity(members.len());
    let mut median = |at: usize| {
        if !known.has(at) {
            return 0;
        }
        above.clear();
        above.extend(members.iter().map(|(profile, row)| {
            let centre = i32::from(expected(profile, common, at).centre);
            short(i32::from(row[at]) - centre - i32::from(common.season[at]))
        }));
        let middle = above.len() / 2;
        *above.select_nth_unstable(middle).1
    };
    Some(std::array::from_fn(&mut median))
}
