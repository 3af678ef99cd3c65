//! All windows of one hour or day that is over, and what was to be expected of each.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use crate::base::log2::BIT;
use crate::base::time::Time;
use crate::record::{Entity, Log};

use super::super::activity::{Held, MEASURES, Row, Span, WIDTH};
use super::Profile;
use super::crowd::{Crowds, MEMBERS_MAX, MEMBERS_MIN, Which};
use super::peers::{Peers, Place};
use super::usual::{Expected, Prior, Usual, short};

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
    /// By how much most of the crowd lie above that; without enough of them 0.
    shift: Row,
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

    /// The same, to be kept when the window is gone.
    #[must_use]
    pub fn shared_season(&self) -> Season {
        Season(Rc::clone(&self.common))
    }

    /// By how much most of its crowd lie above that, as far as it may explain anything.
    fn shared(&self, measure: usize) -> i32 {
        self.common.shift[measure].clamp(0, MEASURES[measure].shared_max).into()
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
        let Common { season, shift, .. } = self.common.as_ref();
        let shared = shift[measure].min(MEASURES[measure].shared_max);
        let value = i32::from(self.row[measure]);
        short(value - i32::from(season[measure]) - i32::from(shared))
    }

    /// Where it stands among its peers on a day.
    #[must_use]
    pub fn place(&self, peers: &Peers) -> Option<Place> {
        peers.place(self.profile.group?, &std::array::from_fn(|at| self.own(at)))
    }

    /// How much is known of the entity, in words.
    #[must_use]
    pub fn history(&self) -> String {
        let span = self.common.span;
        let (count, days) = (self.profile.count(span), self.profile.days);
        let crowd = match self.profile.group {
            Some(group) => format!(", peer group {group}"),
            None => String::new(),
        };
        format!("{count} {}s on {days} days{crowd}", span.name())
    }

    /// How far each measure lies from what was to be expected, in 64ths of a spread.
    #[must_use]
    pub fn deviations(&self) -> Row {
        std::array::from_fn(|at| short(self.above(at).0 / 4))
    }
}

fn expected(profile: &Profile, common: &Common, at: usize) -> Expected {
    let usual = profile.usual(common.span, at).copied().unwrap_or_default();
    usual.expected(profile.count(common.span), common.prior.get(at), MEASURES[at].spread_min)
}

/// A window that is over, whose it is, what is known of that entity, and what was measured.
pub(super) type Measured<'a> = (&'a Entity, Held<'a>, &'a Profile, &'a Row);

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
        (crowds, peers): (&Crowds, &'a Peers),
        known: Known,
    ) -> Self {
        let mut members: BTreeMap<Which, Vec<(usize, Measured<'a>)>> = BTreeMap::new();
        let mut count = 0;
        for (at, measured) in windows.enumerate() {
            let (entity, _, profile, _) = &measured;
            let which = crowds.which(entity, profile.group);
            members.entry(which).or_default().push((at, measured));
            count = at + 1;
        }
        let mut entries: Vec<Option<Entry<'a>>> = Vec::new();
        entries.resize_with(count, || None);
        let (mut shifts, mut priors) = (BTreeMap::new(), BTreeMap::new());
        for (which, members) in members {
            let crowd = crowds.get(which);
            let season = crowd.season(span, number);
            let prior = crowd.priors(span).to_vec();
            let mut common = Common { span, prior, season, shift: [0; WIDTH] };
            if span == Span::Day {
                priors.extend(priors_of(&members).map(|prior| (which, prior)));
            }
            if let Some(shift) = shift(&members, &common, known) {
                shifts.insert(which, shift);
                common.shift = shift;
            }
            let common = Rc::new(common);
            for (at, (entity, window, profile, row)) in members {
                let common = Rc::clone(&common);
                entries[at] = Some(Entry { entity, window, profile, row, common });
            }
        }
        let entries = entries.into_iter().flatten().collect();
        Self { span, number, known, entries, peers, shifts, priors }
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

/// What is usual of the hours and days of known members; nothing where they are few.
fn priors_of(members: &[(usize, Measured<'_>)]) -> Option<[Vec<Prior>; 2]> {
    let is_known = |profile: &&Profile| profile.is_known() && profile.count(Span::Day) > 1;
    let known: Vec<&Profile> =
        members.iter().map(|(_, (_, _, profile, _))| *profile).filter(is_known).collect();
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

/// The median of how far known members lie above what was to be expected, by measure; nothing where
/// they are few.
fn shift(members: &[(usize, Measured<'_>)], common: &Common, known: Known) -> Option<Row> {
    let members: Vec<(&Profile, &Row)> = members
        .iter()
        .map(|(_, (_, _, profile, row))| (*profile, *row))
        .filter(|(profile, _)| profile.is_known())
        .collect();
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
