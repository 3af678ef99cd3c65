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
use crate::stage::Wants;
use crate::stage::activity::{Day, Deeds, Row, Span, Window};
use crate::stage::profile::{Entry, GroupId, Known, Outcome, Over, Profile, Profiles, Season};

use super::learnt::Learning;

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
    hours: BTreeMap<i64, BTreeMap<Entity, Box<Window>>>,
    days: BTreeMap<i64, Day>,
    /// Windows that are open.
    held: usize,
    profiles: BTreeMap<Entity, Box<Profile>>,
    learning: Learning,
    dropped: u64,
    /// What changed since the last [`Activity::save`], if anybody saves.
    changed: Option<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    windows: BTreeSet<Key>,
    profiles: BTreeSet<Entity>,
}

/// What was said of a window that is over: the highest score, and whether it is an alert.
pub(super) type Verdicts = BTreeMap<Entity, (u32, bool)>;

/// Up to when everything is known, and which hours of which logs are there.
pub(super) struct Seen<'a> {
    pub(super) now: Minute,
    pub(super) has_hour: &'a dyn Fn(Log, Minute) -> bool,
    /// Whether an entity is shared by many, or told to be something.
    pub(super) has_role: &'a dyn Fn(&Entity) -> bool,
}

const WINDOW_KEY: &[u8] = b"vw";
const PROFILE_KEY: &[u8] = b"vp";

/// Minutes of a window.
const fn minutes(span: Span) -> i64 {
    span.micros() / MINUTE
}

impl Activity {
    /// With room for so many entities, and with what judges ask for.
    pub(super) fn new(max: usize, wants: Wants) -> Self {
        Self { max, learning: Learning::new(wants), ..Self::default() }
    }

    /// From now on remembers what changed.
    pub(super) fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Adds what a lane saw; what belongs to a minute that is closed counts in `open`.
    pub(super) fn fold(&mut self, deeds: &mut Deeds, open: Minute) {
        deeds.take(|deed, marks, samples| {
            let hour = deed.minute.max(open).0.div_euclid(minutes(Span::Hour));
            if let Some(window) = self.window(hour, &deed.entity) {
                window.add(deed, marks, samples);
            }
        });
    }

    /// The open hour of an entity. Where there is no room for another entity it is counted instead:
    /// strangers never drive out those that are known.
    fn window(&mut self, hour: i64, entity: &Entity) -> Option<&mut Window> {
        let is_open = self.hours.get(&hour).is_some_and(|windows| windows.contains_key(entity));
        if !is_open {
            let is_known = self.profiles.contains_key(entity);
            let room = if is_known { 3 } else { 2 } * self.max;
            if self.held >= room || (!is_known && self.profiles.len() >= self.max) {
                self.dropped += 1;
                return None;
            }
            self.held += 1;
        }
        if let Some(changed) = &mut self.changed {
            changed.windows.insert((Span::Hour, hour, entity.clone()));
        }
        Some(self.hours.entry(hour).or_default().entry(entity.clone()).or_default())
    }

    /// The last minute of the window that ends first; of those that end together hours come first.
    fn first(&self) -> Option<(Minute, Span, i64)> {
        let of =
            |span: Span, number: &i64| (Minute((number + 1) * minutes(span) - 1), span, *number);
        let hour = self.hours.first_key_value().map(|(number, _)| of(Span::Hour, number));
        let day = self.days.first_key_value().map(|(number, _)| of(Span::Day, number));
        hour.into_iter().chain(day).min()
    }

    /// The next minute that ends a window, or in which what was learned comes in.
    pub(super) fn due(&self) -> Option<Minute> {
        self.first().map(|(minute, ..)| minute).into_iter().chain(self.learning.due()).min()
    }

    /// What was learned comes in.
    fn regroup(&mut self) {
        for (entity, group) in self.learning.finish() {
            let Some(profile) = self.profiles.get_mut(&entity) else { continue };
            if profile.join(group)
                && let Some(changed) = &mut self.changed
            {
                changed.profiles.insert(entity);
            }
        }
    }

    /// Ends the windows that end with `minute` or before: `judge` says what it finds in all of an
    /// hour or a day.
    pub(super) fn end(
        &mut self,
        minute: Minute,
        seen: &Seen<'_>,
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        loop {
            let first = self.first().filter(|(last, ..)| *last <= minute);
            // What was learned comes in before what ends with that minute; where the input ends
            // before it, not at all.
            let upto = first.map_or(minute, |(last, ..)| last).min(seen.now);
            if self.learning.due().is_some_and(|at| at <= upto) {
                self.regroup();
                continue;
            }
            let Some((last, span, number)) = first else { break };
            // The end of the input may cut a window short.
            let is_whole = last <= seen.now;
            match span {
                Span::Hour => {
                    let windows = self.hours.remove(&number).unwrap_or_default();
                    self.close(span, number, windows.keys());
                    self.end_hour(number, windows, (seen, is_whole), judge);
                }
                Span::Day => {
                    let windows = self.days.remove(&number).unwrap_or_default();
                    self.close(span, number, windows.entities());
                    self.end_day(number, &windows, (seen, is_whole), judge);
                }
            }
        }
    }

    /// Windows of these entities are open no more.
    fn close<'a>(
        &mut self,
        span: Span,
        number: i64,
        entities: impl ExactSizeIterator<Item = &'a Entity>,
    ) {
        self.held -= entities.len();
        if let Some(changed) = &mut self.changed {
            changed.windows.extend(entities.map(|it| (span, number, it.clone())));
        }
    }

    fn end_hour(
        &mut self,
        hour: i64,
        windows: BTreeMap<Entity, Box<Window>>,
        (seen, is_whole): (&Seen<'_>, bool),
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        let start = Minute(hour * minutes(Span::Hour));
        let known = Known::of(|log| (seen.has_hour)(log, start));
        let mut rows: Vec<Row> = Vec::with_capacity(windows.len());
        for (entity, window) in &windows {
            let profile =
                self.profiles.entry(entity.clone()).or_insert_with(|| Box::new(Profile::new(hour)));
            rows.push(profile.measure_hour(hour, window));
        }
        let profiles = &self.profiles;
        let zipped = windows.iter().zip(&rows).filter_map(|((entity, window), row)| {
            Some((entity, window.as_ref().into(), profiles.get(entity)?.as_ref(), row))
        });
        let over = Over::new((Span::Hour, hour), zipped, self.learning.learnt(), known);
        let verdicts = judge(&over);
        let seasons: Vec<Season> = over.entries.iter().map(Entry::shared_season).collect();
        if is_whole {
            // Neither what is suspicious nor who is not judged says what is usual.
            let is_good = |at: usize| {
                let entity = over.entries[at].entity;
                let verdict = verdicts.get(entity);
                !verdict.is_some_and(|(_, is_suspicious)| *is_suspicious)
                    && !(seen.has_role)(entity)
            };
            let offered = self.learning.offered(&over, is_good);
            let shifts = over.shifts();
            self.learning.learn(shifts, &offered);
        }
        let day = hour.div_euclid(DAY_HOURS);
        for (((entity, window), row), season) in windows.into_iter().zip(&rows).zip(&seasons) {
            let (score, is_suspicious) = verdicts.get(&entity).copied().unwrap_or_default();
            let outcome = Outcome { row, season, known, apart: None, score, is_suspicious };
            if let Some(profile) = self.profiles.get_mut(&entity).filter(|_| is_whole) {
                profile.learn_hour(hour, &window, &outcome);
            }
            if let Some(changed) = &mut self.changed {
                changed.profiles.insert(entity.clone());
                changed.windows.insert((Span::Day, day, entity.clone()));
            }
            let of_day = self.days.entry(day).or_default();
            self.held += usize::from(of_day.add(entity, *window));
        }
    }

    fn end_day(
        &mut self,
        day: i64,
        windows: &Day,
        (seen, is_whole): (&Seen<'_>, bool),
        judge: &mut dyn FnMut(&Over<'_>) -> Verdicts,
    ) {
        let hours = day * DAY_HOURS..(day + 1) * DAY_HOURS;
        let is_there =
            |log: Log, hour: i64| (seen.has_hour)(log, Minute(hour * minutes(Span::Hour)));
        let known =
            Known::of(|log| hours.clone().filter(|hour| !is_there(log, *hour)).count() <= TORN_MAX);
        let profiles = &self.profiles;
        let measure = |(entity, window): (&Entity, Window)| -> Row {
            profiles.get(entity).map(|profile| profile.measure_day(&window)).unwrap_or_default()
        };
        let rows: Vec<Row> = windows.opened().map(measure).collect();
        let measured = windows.held().zip(&rows).filter_map(|((entity, window), row)| {
            Some((entity, window, profiles.get(entity)?.as_ref(), row))
        });
        let over = Over::new((Span::Day, day), measured, self.learning.learnt(), known);
        let verdicts = judge(&over);
        let apart = |entry: &Entry<'_>| {
            let place = entry.place(&over)?;
            Some((place.beyond / 16).clamp(i16::MIN.into(), i16::MAX.into()) as i16)
        };
        let of = |entry: &Entry<'_>| (entry.shared_season(), apart(entry));
        let told: Vec<(Season, Option<i16>)> = over.entries.iter().map(of).collect();
        let shifts = over.shifts();
        if !is_whole {
            return;
        }
        self.learning.learn(shifts, &[]);
        let mut told = told.into_iter();
        for (entity, row) in windows.entities().zip(&rows) {
            let Some(profile) = self.profiles.get_mut(entity) else { continue };
            let Some((season, apart)) = told.next() else { break };
            let (score, is_suspicious) = verdicts.get(entity).copied().unwrap_or_default();
            let outcome = Outcome { row, season: &season, known, apart, score, is_suspicious };
            profile.learn_day(day, &outcome);
            if let Some(changed) = &mut self.changed {
                changed.profiles.insert(entity.clone());
            }
        }
        self.forget((day + 1) * DAY_HOURS);
        if self.learning.ungroup() {
            for (entity, profile) in &mut self.profiles {
                profile.group = None;
                if let Some(changed) = &mut self.changed {
                    changed.profiles.insert(entity.clone());
                }
            }
        }
        self.learning.begin(day, &self.profiles);
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
        let mut idle: Vec<(bool, i64, Entity)> = self
            .profiles
            .iter()
            .map(|(entity, profile)| (profile.is_known(), profile.last_hour, entity.clone()))
            .collect();
        idle.sort_unstable();
        for (.., entity) in idle.into_iter().take(self.profiles.len() - room) {
            self.profiles.remove(&entity);
            gone(&entity);
        }
    }

    /// Of what panicked while it was learned: since the last call.
    pub(super) fn failed(&mut self) -> Wants {
        self.learning.failed()
    }

    /// What found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Hands out what changed since the last call.
    pub(super) fn save(&mut self, sink: &mut Changes<'_>) {
        let Some(changed) = self.changed.as_mut().map(std::mem::take) else { return };
        for (span, number, entity) in changed.windows {
            let of = |window: &Window| encode(&(span, number, &entity, window));
            let value = match span {
                Span::Hour => {
                    self.hours.get(&number).and_then(|it| it.get(&entity)).map(|it| of(it))
                }
                Span::Day => {
                    self.days.get(&number).and_then(|it| it.get(&entity)).map(|it| of(&it))
                }
            };
            sink(&window_key(span, number, &entity), value.as_deref());
        }
        for entity in changed.profiles {
            let value = self.profiles.get(&entity).map(|profile| encode(&(&entity, profile)));
            sink(&[PROFILE_KEY, &entity.to_bytes()].concat(), value.as_deref());
        }
        self.learning.save(sink);
    }

    /// Takes back a key that [`Activity::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        if key.starts_with(PROFILE_KEY) {
            let (entity, profile): (Entity, Box<Profile>) = decode(value)?;
            if !profile.is_sound() {
                return Err(Damaged("not a profile".to_owned()));
            }
            self.profiles.insert(entity, profile);
        } else if key.starts_with(WINDOW_KEY) {
            let (span, number, entity, window): (Span, i64, Entity, Box<Window>) = decode(value)?;
            if !Minute::is_there(number) {
                return Err(Damaged("not a window".to_owned()));
            }
            let is_new = match span {
                Span::Hour => {
                    let windows = self.hours.entry(number).or_default();
                    windows.insert(entity, window).is_none()
                }
                Span::Day => self.days.entry(number).or_default().set(entity, *window),
            };
            self.held += usize::from(is_new);
        } else if !self.learning.load(key, value)? {
            return Err(Damaged("a key of no activity".to_owned()));
        }
        Ok(())
    }

    /// What the keys begin with that all profiles need.
    pub(super) fn keys() -> Vec<Vec<u8>> {
        [vec![PROFILE_KEY.to_vec()], Learning::keys()].concat()
    }

    /// What the keys begin with that a profile needs.
    pub(super) fn keys_of(entity: &Entity) -> Vec<Vec<u8>> {
        [vec![[PROFILE_KEY, &entity.to_bytes()].concat()], Learning::keys()].concat()
    }

    /// The profiles, by entity.
    pub(super) fn profiles(&self) -> impl Iterator<Item = (&Entity, &Profile)> {
        self.profiles.iter().map(|(entity, profile)| (entity, profile.as_ref()))
    }

    /// The profile of an entity.
    pub(super) fn profile(&self, entity: &Entity) -> Option<&Profile> {
        self.profiles.get(entity).map(AsRef::as_ref)
    }

    /// What profiles hold.
    pub(super) fn held(&self) -> Profiles<'_> {
        Profiles::new(&self.profiles, self.learning.learnt().crowds)
    }

    /// How many members a group of peers had when it was last asked for.
    pub(super) fn members(&self, group: GroupId) -> u64 {
        self.learning.members(group)
    }
}

fn window_key(span: Span, number: i64, entity: &Entity) -> Vec<u8> {
    [WINDOW_KEY, &[span as u8], &number.to_be_bytes(), &entity.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::address::Addr;
    use crate::stage::activity::Deed;

    const ALL: Wants = Wants { peers: true, isolation: true };
    const HERE: fn(Log, Minute) -> bool = |_, _| true;

    fn host(n: u32) -> Entity {
        Entity::Host(Addr::v4(0x0a00_0000 + n))
    }

    /// What is seen of windows that end.
    fn seen(over: &Over<'_>) -> String {
        let of = |at: usize| {
            let entry = &over.entries[at];
            format!("{:?} {:?} {:?}", entry.entity, entry.row, entry.place(over))
        };
        let all: Vec<String> = (0..over.entries.len()).map(of).collect();
        format!("{:?} {}: {}", over.span, over.number, all.join("; "))
    }

    /// Ends what ends with `minute`.
    fn end(activity: &mut Activity, minute: i64, out: &mut Vec<String>) {
        let now = Minute(minute);
        activity.end(now, &Seen { now, has_hour: &HERE, has_role: &|_| false }, &mut |over| {
            out.push(seen(over));
            Verdicts::new()
        });
    }

    fn kept(activity: &mut Activity, keys: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        activity.save(&mut |key, value| {
            match value {
                Some(value) => keys.insert(key.to_vec(), value.to_vec()),
                None => keys.remove(key),
            };
        });
    }

    /// Minute, host, peers.
    type Told = (i64, u32, Vec<u16>);

    fn told() -> impl Strategy<Value = Vec<Told>> {
        let peers = proptest::collection::vec(0..40_u16, 1..6);
        let one = (0..9000_i64, 0..7_u32, peers);
        proptest::collection::vec(one, 1..120).prop_map(|mut told| {
            told.sort();
            told
        })
    }

    proptest! {
        /// Stopped and started again after any minute, the same is seen as without; and what is
        /// saved is what a fresh start would save.
        #[test]
        fn saved_and_loaded_is_as_never_stopped(told in told(), stop in 0..120_usize) {
            let (mut never, mut again) = (Activity::new(100, ALL), Activity::new(100, ALL));
            let mut keys = BTreeMap::new();
            never.track();
            again.track();
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for (n, (minute, entity, peers)) in told.iter().enumerate() {
                if n == stop {
                    kept(&mut again, &mut keys);
                    again = Activity::new(100, ALL);
                    again.track();
                    for (key, value) in &keys {
                        again.load(key, value).unwrap();
                    }
                }
                for (activity, out) in [(&mut never, &mut first), (&mut again, &mut second)] {
                    end(activity, minute - 1, out);
                    let mut deeds = Deed::made(Minute(*minute), host(*entity), peers);
                    activity.fold(&mut deeds, Minute(0));
                }
            }
            end(&mut never, 20_000, &mut first);
            end(&mut again, 20_000, &mut second);
            prop_assert_eq!(first, second);
            prop_assert_eq!((never.held, again.held), (0, 0));
            let mut all = BTreeMap::new();
            kept(&mut never, &mut all);
            kept(&mut again, &mut keys);
            prop_assert_eq!(all, keys);
        }
    }

    #[test]
    fn strangers_have_a_bound_and_drive_nobody_out() {
        let mut activity = Activity::new(100, ALL);
        let mut out = Vec::new();
        // Ten hosts that are there for days.
        for hour in 0..30 * 24 {
            for n in 0..10 {
                activity.fold(&mut Deed::made(Minute(hour * 60), host(n), &[1, 2]), Minute(0));
            }
            end(&mut activity, hour * 60 + 59, &mut out);
        }
        assert_eq!(activity.profiles.len(), 10);
        // A sweep from a million addresses, and half of them again an hour later.
        for hour in 720..722 {
            for n in 0..1_000_000 / (hour - 719) as u32 {
                activity.fold(&mut Deed::made(Minute(hour * 60), host(1000 + n), &[1]), Minute(0));
                assert!(activity.held <= 300);
            }
            for n in 0..10 {
                activity.fold(&mut Deed::made(Minute(hour * 60), host(n), &[1, 2]), Minute(0));
            }
            end(&mut activity, hour * 60 + 59, &mut out);
        }
        assert!(activity.dropped() > 1_000_000);
        for hour in 722..24 * 33 {
            end(&mut activity, hour * 60 + 59, &mut out);
        }
        let known: Vec<&Entity> = activity.profiles().map(|(entity, _)| entity).collect();
        assert!((0..10).all(|n| known.contains(&&host(n))), "{}", known.len());
        assert!(known.len() <= 210, "{}", known.len());
    }

    #[test]
    fn groups_come_in_at_a_stated_time_and_after_a_restart_too() {
        // Two departments of twelve: one reaches for three others a day and one for thirty.
        let peers = |n: u32| -> Vec<u16> { (0..if n < 12 { 3 } else { 30 }).collect() };
        let run = |stop: Option<i64>| {
            let (mut activity, mut keys) = (Activity::new(100, ALL), BTreeMap::new());
            activity.track();
            let (mut out, mut grouped) = (Vec::new(), Vec::new());
            for hour in 0..6 * 24 {
                if stop == Some(hour) {
                    kept(&mut activity, &mut keys);
                    activity = Activity::new(100, ALL);
                    activity.track();
                    for (key, value) in &keys {
                        activity.load(key, value).unwrap();
                    }
                }
                for n in (0..24).filter(|_| (8..12).contains(&(hour % 24))) {
                    let mut deeds = Deed::made(Minute(hour * 60), host(n), &peers(n));
                    activity.fold(&mut deeds, Minute(0));
                }
                end(&mut activity, hour * 60 + 58, &mut out);
                let before = activity.profile(&host(0)).and_then(|profile| profile.group);
                end(&mut activity, hour * 60 + 59, &mut out);
                let after = activity.profile(&host(0)).and_then(|profile| profile.group);
                if before != after {
                    grouped.push(hour);
                }
            }
            let groups: Vec<Option<GroupId>> =
                (0..24).map(|n| activity.profile(&host(n)).and_then(|it| it.group)).collect();
            (out, grouped, groups)
        };
        let (out, grouped, groups) = run(None);
        // Known for three days, and an hour later.
        assert_eq!(grouped, [72]);
        assert!(groups[..12].iter().all(|it| *it == groups[0]), "{groups:?}");
        assert!(groups[12..].iter().all(|it| *it == groups[12]), "{groups:?}");
        assert_ne!(groups[0], groups[12]);
        for stop in [71, 72, 73, 95, 96, 97] {
            assert_eq!(run(Some(stop)), (out.clone(), grouped.clone(), groups.clone()), "{stop}");
        }
    }

    #[test]
    fn what_is_on_its_way_when_the_input_ends_keeps_nobody_from_being_judged() {
        let mut activity = Activity::new(100, ALL);
        let mut out = Vec::new();
        let last = 5 * 24;
        for hour in 0..=last {
            for n in 0..24 {
                activity.fold(&mut Deed::made(Minute(hour * 60), host(n), &[1, 2]), Minute(0));
            }
            if hour < last {
                end(&mut activity, hour * 60 + 59, &mut out);
            }
        }
        assert!(activity.learning.due().is_some());
        out.clear();
        let (now, has_role) = (Minute(last * 60 + 40), |_: &Entity| false);
        let seen_until = Seen { now, has_hour: &HERE, has_role: &has_role };
        activity.end(Minute(i64::MAX), &seen_until, &mut |over| {
            out.push(seen(over));
            Verdicts::new()
        });
        assert_eq!(out.len(), 2, "an hour and its day");
        assert!(activity.learning.due().is_some());
    }

    #[test]
    fn any_bytes_are_no_state() {
        let mut activity = Activity::new(10, ALL);
        for key in [b"vw".as_slice(), b"vp", b"vc", b"vx", b"v"] {
            for value in [b"".as_slice(), b"x", &[255; 40]] {
                assert!(activity.load(key, value).is_err(), "{key:?} {value:?}");
            }
        }
        let never = Profile::new(0);
        let mut lost = Profile::new(0);
        lost.last_hour = i64::MAX;
        assert!(activity.load(b"vp", &encode(&(host(1), never))).is_ok());
        assert!(activity.load(b"vp", &encode(&(host(1), lost))).is_err());
        for far in [i64::MIN, i64::MAX] {
            let far = encode(&(Span::Hour, far, host(1), Window::default()));
            assert!(activity.load(b"vw", &far).is_err());
        }
    }
}
