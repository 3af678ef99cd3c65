//! In the entity lane: the open hours and days of entities, their profiles, and what is usual of
//! crowds.
//!
//! Hours end with the minute that closes them, a day after its last hour. Stages judge a window
//! before it is learned.
//!
//! Not here: what is measured and what is usual (`stage::activity`, `stage::profile`), what becomes
//! of findings (`core`).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::time::{DAY, HOUR, MINUTE, Minute};
use crate::record::{Entity, Log};
use crate::stage::activity::{Deed, Row, Span, Window};
use crate::stage::profile::{Crowds, GroupId, Known, Outcome, Over, Profile};

/// Hours of a day that may be missing.
const TORN_MAX: usize = 6;
const DAY_HOURS: i64 = DAY / HOUR;

/// An open window.
type Key = (Span, i64, Entity);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Entities whose profile is kept.
    max: usize,
    open: BTreeMap<(Span, i64), BTreeMap<Entity, Window>>,
    /// Windows that are open.
    held: usize,
    profiles: BTreeMap<Entity, Box<Profile>>,
    crowds: Crowds,
    dropped: u64,
    /// What changed since the last [`Activity::save`], if anybody saves.
    changed: Option<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    windows: BTreeSet<Key>,
    profiles: BTreeSet<Entity>,
    crowds: bool,
}

/// What was said of a window that is over: the highest score, and whether it is an alert.
pub(super) type Verdicts = BTreeMap<Entity, (u32, bool)>;

/// Up to when everything is known, and which hours of which logs are there.
pub(super) struct Seen<'a> {
    pub(super) now: Minute,
    pub(super) has_hour: &'a dyn Fn(Log, Minute) -> bool,
}

const WINDOW_KEY: &[u8] = b"vw";
const PROFILE_KEY: &[u8] = b"vp";
const CROWDS_KEY: &[u8] = b"vc";

/// Minutes of a window.
const fn minutes(span: Span) -> i64 {
    span.micros() / MINUTE
}

impl Activity {
    /// With room for so many entities.
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// From now on remembers what changed.
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Adds what a lane saw. Where there is no room for another entity it is counted instead:
    /// strangers never drive out those that are known.
    pub(super) fn fold(&mut self, deed: Deed) {
        let hour = deed.minute.0.div_euclid(minutes(Span::Hour));
        let windows = self.open.entry((Span::Hour, hour)).or_default();
        let window = match windows.get_mut(&deed.entity) {
            Some(window) => window,
            None => {
                let is_known = self.profiles.contains_key(&deed.entity);
                let room = if is_known { 3 } else { 2 } * self.max;
                if self.held >= room || (!is_known && self.profiles.len() >= self.max) {
                    self.dropped += 1;
                    if windows.is_empty() {
                        self.open.remove(&(Span::Hour, hour));
                    }
                    return;
                }
                self.held += 1;
                windows.entry(deed.entity.clone()).or_default()
            }
        };
        if let Some(changed) = &mut self.changed {
            changed.windows.insert((Span::Hour, hour, deed.entity.clone()));
        }
        window.add(deed);
    }

    /// The last minute of the window that ends first; of those that end together hours come first.
    fn first(&self) -> Option<(Minute, Span, i64)> {
        let of = |span: Span| {
            let ((_, number), _) = self.open.range((span, i64::MIN)..=(span, i64::MAX)).next()?;
            Some((Minute((number + 1) * minutes(span) - 1), span, *number))
        };
        of(Span::Hour).into_iter().chain(of(Span::Day)).min()
    }

    /// The next minute that ends a window.
    pub(super) fn due(&self) -> Option<Minute> {
        self.first().map(|(minute, ..)| minute)
    }

    /// Ends the windows that end with `minute` or before: `judge` says what it finds in all of an
    /// hour or a day.
    pub(super) fn end(
        &mut self,
        minute: Minute,
        seen: &Seen<'_>,
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        while let Some((last, span, number)) = self.first().filter(|(last, ..)| *last <= minute) {
            let windows = self.open.remove(&(span, number)).unwrap_or_default();
            self.held -= windows.len();
            if let Some(changed) = &mut self.changed {
                changed.windows.extend(windows.keys().map(|it| (span, number, it.clone())));
            }
            // The end of the input may cut a window short.
            let is_whole = last <= seen.now;
            match span {
                Span::Hour => self.end_hour(number, windows, (seen, is_whole), judge),
                Span::Day => self.end_day(number, &windows, (seen, is_whole), judge),
            }
        }
    }

    fn end_hour(
        &mut self,
        hour: i64,
        windows: BTreeMap<Entity, Window>,
        (seen, is_whole): (&Seen<'_>, bool),
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        let start = Minute(hour * minutes(Span::Hour));
        let known = Known::of(|log| (seen.has_hour)(log, start));
        let mut rows: Vec<Row> = Vec::with_capacity(windows.len());
        for (entity, window) in &windows {
            let profile = self
                .profiles
                .entry(entity.clone())
                .or_insert_with(|| Box::new(Profile::new(hour)));
            rows.push(profile.measure_hour(hour, window));
        }
        let profiles = &self.profiles;
        let zipped = windows.iter().zip(&rows).filter_map(|((entity, window), row)| {
            Some((entity, window, profiles.get(entity)?.as_ref(), *row))
        });
        let over = Over::new((Span::Hour, hour), zipped, &self.crowds, known);
        let verdicts = judge(&over);
        let seasons: Vec<Row> = over.entries.iter().map(|entry| entry.season).collect();
        let shifts = over.shifts();
        if is_whole {
            shifts.teach(&mut self.crowds);
        }
        let day = hour.div_euclid(DAY_HOURS);
        for (((entity, window), row), season) in windows.into_iter().zip(&rows).zip(&seasons) {
            let (score, is_suspicious) = verdicts.get(&entity).copied().unwrap_or_default();
            let outcome = Outcome { row, season, known, score, is_suspicious };
            if let Some(profile) = self.profiles.get_mut(&entity).filter(|_| is_whole) {
                profile.learn_hour(hour, &window, &outcome);
            }
            if let Some(changed) = &mut self.changed {
                changed.profiles.insert(entity.clone());
                changed.windows.insert((Span::Day, day, entity.clone()));
                changed.crowds = true;
            }
            let of_day = self.open.entry((Span::Day, day)).or_default();
            self.held += usize::from(!of_day.contains_key(&entity));
            of_day.entry(entity).or_default().unite(window);
        }
    }

    fn end_day(
        &mut self,
        day: i64,
        windows: &BTreeMap<Entity, Window>,
        (seen, is_whole): (&Seen<'_>, bool),
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        let hours = day * DAY_HOURS..(day + 1) * DAY_HOURS;
        let is_there = |log: Log, hour: i64| {
            (seen.has_hour)(log, Minute(hour * minutes(Span::Hour)))
        };
        let known = Known::of(|log| {
            hours.clone().filter(|hour| !is_there(log, *hour)).count() <= TORN_MAX
        });
        let profiles = &self.profiles;
        let measured = windows.iter().filter_map(|(entity, window)| {
            let profile = profiles.get(entity)?.as_ref();
            Some((entity, window, profile, profile.measure_day(window)))
        });
        let over = Over::new((Span::Day, day), measured, &self.crowds, known);
        let verdicts = judge(&over);
        let learned: Vec<(Entity, Row, Row)> = over
            .entries
            .iter()
            .map(|entry| (entry.entity.clone(), entry.row, entry.season))
            .collect();
        let shifts = over.shifts();
        if !is_whole {
            return;
        }
        shifts.teach(&mut self.crowds);
        for (entity, row, season) in learned {
            let (score, is_suspicious) = verdicts.get(&entity).copied().unwrap_or_default();
            let outcome = Outcome { row: &row, season: &season, known, score, is_suspicious };
            if let Some(profile) = self.profiles.get_mut(&entity) {
                profile.learn_day(day, &outcome);
            }
            if let Some(changed) = &mut self.changed {
                changed.profiles.insert(entity);
                changed.crowds = true;
            }
        }
        self.forget((day + 1) * DAY_HOURS);
    }

    /// Forgets strangers that were not heard for a day, and, where it is nearly full, who was not
    /// heard for longest, strangers first.
    fn forget(&mut self, hour: i64) {
        let changed = &mut self.changed;
        let mut gone = |entity: &Entity| {
            if let Some(changed) = changed {
                changed.profiles.insert(entity.clone());
            }
        };
        self.profiles.retain(|entity, profile| {
            let is_kept = profile.is_known() || hour - profile.last_hour <= DAY_HOURS;
            if !is_kept {
                gone(entity);
            }
            is_kept
        });
        let room = self.max - self.max / 8;
        if self.profiles.len() <= room {
            return;
        }
        let rank = |(entity, profile): (&Entity, &Box<Profile>)| {
            (profile.is_known(), profile.last_hour, entity.clone())
        };
        let mut idle: Vec<(bool, i64, Entity)> = self.profiles.iter().map(rank).collect();
        idle.sort_unstable();
        for (.., entity) in idle.into_iter().take(self.profiles.len() - room) {
            self.profiles.remove(&entity);
            gone(&entity);
        }
    }

    /// What found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Hands out what changed since the last call.
    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        let Some(changed) = self.changed.as_mut().map(std::mem::take) else { return };
        for (span, number, entity) in changed.windows {
            let window = self.open.get(&(span, number)).and_then(|all| all.get(&entity));
            let value = window.map(|window| encode(&(span, number, &entity, window)));
            sink(&window_key(span, number, &entity), value.as_deref());
        }
        for entity in changed.profiles {
            let value = self.profiles.get(&entity).map(|profile| encode(&(&entity, profile)));
            sink(&[PROFILE_KEY, &entity.to_bytes()].concat(), value.as_deref());
        }
        if changed.crowds {
            sink(CROWDS_KEY, Some(&encode(&self.crowds)));
        }
    }

    /// Takes back a key that [`Activity::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        if key == CROWDS_KEY {
            self.crowds = decode(value)?;
        } else if key.starts_with(PROFILE_KEY) {
            let (entity, profile): (Entity, Box<Profile>) = decode(value)?;
            self.profiles.insert(entity, profile);
        } else if key.starts_with(WINDOW_KEY) {
            let (span, number, entity, window): (Span, i64, Entity, Window) = decode(value)?;
            if Minute::try_from(number).is_err() {
                return Err(Damaged("not a window".to_owned()));
            }
            let all = self.open.entry((span, number)).or_default();
            self.held += usize::from(all.insert(entity, window).is_none());
        } else {
            return Err(Damaged("a key of no activity".to_owned()));
        }
        Ok(())
    }

    /// What the keys begin with that all profiles need.
    pub(super) fn keys() -> Vec<Vec<u8>> {
        vec![PROFILE_KEY.to_vec(), CROWDS_KEY.to_vec()]
    }

    /// What the keys begin with that a profile needs.
    pub(super) fn keys_of(entity: &Entity) -> Vec<Vec<u8>> {
        vec![[PROFILE_KEY, &entity.to_bytes()].concat(), CROWDS_KEY.to_vec()]
    }

    /// The profiles, by entity.
    pub(super) fn profiles(&self) -> impl Iterator<Item = (&Entity, &Profile)> {
        self.profiles.iter().map(|(entity, profile)| (entity, profile.as_ref()))
    }

    /// The profile of an entity.
    pub(super) fn profile(&self, entity: &Entity) -> Option<&Profile> {
        self.profiles.get(entity).map(AsRef::as_ref)
    }

    /// How many members a group of peers had when it was last asked for.
    pub(super) fn members(&self, group: GroupId) -> u64 {
        self.crowds.members(group)
    }
}

fn window_key(span: Span, number: i64, entity: &Entity) -> Vec<u8> {
    [WINDOW_KEY, &[span as u8], &number.to_be_bytes(), &entity.to_bytes()].concat()
}
