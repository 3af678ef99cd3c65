//! All windows of one hour or day that is over, and what was to be expected of each.

use std::collections::BTreeMap;

use crate::base::log2::BIT;
use crate::base::time::Time;
use crate::record::{Entity, Log};

use super::super::activity::{MEASURES, Row, Span, WIDTH, Window};
use super::Profile;
use super::crowd::{Crowds, MEMBERS_MAX, MEMBERS_MIN, Which};
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

/// A window that is over.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whose.
    pub entity: &'a Entity,
    /// What was counted, with records that stand for it.
    pub window: &'a Window,
    /// What is known of the entity, without this window.
    pub profile: &'a Profile,
    /// What was measured.
    pub row: Row,
    /// What was to be expected, without season.
    pub expected: [Expected; WIDTH],
    /// By how much that is more because of the hour or day.
    pub season: Row,
    /// By how much most of its crowd lie above that, as far as it may explain anything.
    pub shared: Row,
    /// The most that was ever learned.
    pub high: Row,
}

impl Entry<'_> {
    /// How far a measure lies above what was to be expected, in 256ths of a spread, and above the
    /// most there was, in its own units. What most of the crowd show is nobody's own.
    #[must_use]
    pub fn above(&self, measure: usize) -> (i32, i32) {
        let Expected { centre, spread } = self.expected[measure];
        let value = i32::from(self.row[measure]) - i32::from(self.shared[measure]);
        let away = value - i32::from(centre) - i32::from(self.season[measure]);
        (away * BIT / i32::from(spread), value - i32::from(self.high[measure]))
    }

    /// Whether a day is the one that makes a slow change of a measure.
    #[must_use]
    pub fn has_drifted(&self, measure: usize) -> bool {
        self.profile.has_drifted(measure, &self.row, &self.season)
    }

    /// How much is known of the entity, in words.
    #[must_use]
    pub fn history(&self, span: Span) -> String {
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
        windows: impl Iterator<Item = (&'a Entity, &'a Window, &'a Profile, Row)>,
        crowds: &Crowds,
        known: Known,
    ) -> Self {
        let mut seasons: BTreeMap<Which, Row> = BTreeMap::new();
        let mut members: BTreeMap<Which, Vec<usize>> = BTreeMap::new();
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for (entity, window, profile, row) in windows {
            let which = crowds.which(entity, profile.group);
            let crowd = crowds.get(which);
            let season = *seasons.entry(which).or_insert_with(|| crowd.season(span, number));
            members.entry(which).or_default().push(entries.len());
            let usual = |at: usize| profile.usual(span, at).copied().unwrap_or_default();
            let count = profile.count(span);
            let expected = |at: usize| {
                usual(at).expected(count, crowd.prior(span, at), MEASURES[at].spread_min)
            };
            entries.push(Entry {
                entity,
                window,
                profile,
                row,
                expected: std::array::from_fn(expected),
                season,
                shared: [0; WIDTH],
                high: std::array::from_fn(|at| usual(at).high),
            });
        }
        let (mut shifts, mut priors) = (BTreeMap::new(), BTreeMap::new());
        for (which, members) in members {
            if span == Span::Day {
                priors.extend(prior(&entries, &members).map(|prior| (which, prior)));
            }
            let Some(shift) = shift(&entries, &members, known) else { continue };
            shifts.insert(which, shift);
            for member in members {
                let bounded = |at: usize| shift[at].clamp(0, MEASURES[at].shared_max);
                entries[member].shared = std::array::from_fn(bounded);
            }
        }
        Self { span, number, known, entries, shifts, priors }
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
fn prior(entries: &[Entry<'_>], members: &[usize]) -> Option<[Vec<Prior>; 2]> {
    let is_known = |profile: &&Profile| profile.is_known() && profile.count(Span::Day) > 1;
    let known: Vec<&Profile> =
        members.iter().map(|at| entries[*at].profile).filter(is_known).collect();
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
fn shift(entries: &[Entry<'_>], members: &[usize], known: Known) -> Option<Row> {
    let members: Vec<&Entry<'_>> =
        members.iter().map(|at| &entries[*at]).filter(|it| it.profile.is_known()).collect();
    if members.len() < MEMBERS_MIN {
        return None;
    }
    let mut above = Vec::with_capacity(members.len());
    let mut median = |at: usize| {
        if !known.has(at) {
            return 0;
        }
        above.clear();
        above.extend(members.iter().map(|entry| {
            let expected = i32::from(entry.expected[at].centre) + i32::from(entry.season[at]);
            short(i32::from(entry.row[at]) - expected)
        }));
        let middle = above.len() / 2;
        *above.select_nth_unstable(middle).1
    };
    Some(std::array::from_fn(&mut median))
}
