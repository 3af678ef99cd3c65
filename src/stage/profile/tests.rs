//! Lives of made-up entities, hour by hour and day by day, as the engine leads them.

use std::collections::BTreeMap;

use super::super::activity::{MEASURES, Row, Span, WIDTH, Window};
use super::*;
use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::record::Entity;

const ALL: fn(crate::record::Log) -> bool = |_| true;

fn place(name: &str) -> usize {
    MEASURES.iter().position(|measure| measure.name == name).unwrap()
}

/// Entities that all do something each day: `of` says what, by entity and day, of one measure.
struct Lives {
    measure: usize,
    profiles: BTreeMap<Entity, Profile>,
    crowds: Crowds,
}

impl Lives {
    fn new(measure: &str, count: u32) -> Self {
        let entities = (0..count).map(|n| Entity::Host(Addr::v4(0x0a00_0000 + n)));
        let mut profiles: BTreeMap<Entity, Profile> =
            entities.map(|entity| (entity, Profile::new(0))).collect();
        profiles.values_mut().for_each(|profile| profile.heard = 100);
        Self { measure: place(measure), profiles, crowds: Crowds::default() }
    }

    /// A day, of which `suspicious` are told; how far each entity lies above what was to be
    /// expected, in spreads, and above the most there was.
    fn day(
        &mut self,
        day: i64,
        of: &dyn Fn(usize) -> i16,
        suspicious: &[usize],
    ) -> Vec<(i32, i32)> {
        let window = Window::default();
        let row = |n: usize| -> Row {
            let mut row = [0; WIDTH];
            row[self.measure] = of(n);
            row
        };
        let rows: Vec<Row> = (0..self.profiles.len()).map(row).collect();
        let windows = self.profiles.iter().zip(&rows);
        let windows =
            windows.map(|((entity, profile), row)| (entity, (&window).into(), profile, row));
        let known = Known::of(ALL);
        let peers = Peers::default();
        let over = Over::new(
            (Span::Day, day),
            windows,
            Learnt { crowds: &self.crowds, peers: &peers, isolation: None },
            known,
        );
        let above: Vec<(i32, i32)> = over
            .entries
            .iter()
            .map(|entry| entry.above(self.measure))
            .map(|(spreads, beyond)| (spreads / 256, beyond))
            .collect();
        let seasons: Vec<Row> = over.entries.iter().map(|entry| *entry.season()).collect();
        over.shifts().teach(&mut self.crowds);
        for (n, profile) in self.profiles.values_mut().enumerate() {
            let is_suspicious = suspicious.contains(&n);
            let (row, score) = (row_of(self.measure, of(n)), 0);
            let outcome = Outcome {
                row: &row,
                season: &seasons[n],
                known,
                apart: None,
                score,
                is_suspicious,
            };
            profile.learn_day(day, &outcome);
            let again: Profile = decode(&encode(profile)).unwrap();
            assert_eq!(&again, profile, "saved");
        }
        above
    }
}

fn row_of(measure: usize, value: i16) -> Row {
    let mut row = [0; WIDTH];
    row[measure] = value;
    row
}

/// Some variation that is the same each time.
fn wobble(n: usize, day: i64) -> i16 {
    ((n as i64 * 31 + day * 17) % 60) as i16
}

#[test]
fn what_all_peers_do_at_once_is_nobodys_own() {
    let mut lives = Lives::new("user_agents", 12);
    for day in 0..20 {
        lives.day(day, &|n| 500 + wobble(n, day), &[]);
    }
    let changed = lives.day(20, &|n| if n < 9 { 1500 } else { 500 + wobble(n, 20) }, &[]);
    assert!(changed[..9].iter().all(|(spreads, _)| *spreads < 3), "{changed:?}");
    let mut lives = Lives::new("user_agents", 12);
    for day in 0..20 {
        lives.day(day, &|n| 500 + wobble(n, day), &[]);
    }
    let alone = lives.day(20, &|n| if n == 4 { 1500 } else { 500 + wobble(n, 20) }, &[]);
    assert!(alone[4].0 > 6 && alone[4].1 > 800, "{alone:?}");
    assert!(alone.iter().enumerate().all(|(n, (spreads, _))| n == 4 || *spreads < 3), "{alone:?}");
}

/// Of a group too few are heard to say anything: they are excused by what all hosts do.
#[test]
fn what_all_do_at_once_excuses_a_group_of_few() {
    for members in [0, 4, 6] {
        let mut lives = Lives::new("user_agents", 30);
        for day in 0..20 {
            lives.day(day, &|n| 500 + wobble(n, day), &[]);
        }
        lives.crowds.regroup(&BTreeMap::from([(7, members)]));
        let few = lives.profiles.values_mut().take(members as usize);
        few.for_each(|profile| profile.group = Some(7));
        let changed = lives.day(20, &|_| 1500, &[]);
        assert!(changed.iter().all(|(spreads, _)| *spreads < 3), "{members}: {changed:?}");
    }
}

#[test]
fn a_worm_is_not_excused_by_being_everywhere() {
    let mut lives = Lives::new("internal_peers", 12);
    for day in 0..20 {
        lives.day(day, &|n| 500 + wobble(n, day), &[]);
    }
    // From six peers to 500.
    let worm = lives.day(20, &|_| 2300, &[]);
    assert!(worm.iter().all(|(spreads, beyond)| *spreads > 6 && *beyond > 1000), "{worm:?}");
}

#[test]
fn a_week_has_its_days() {
    let mut lives = Lives::new("http_requests", 8);
    // Saturday and Sunday, counted from a Thursday.
    let of = |day: i64| if (day + 3) % 7 < 5 { 2500 } else { 300 };
    for day in 0..28 {
        lives.day(day, &|n| of(day) + wobble(n, day), &[]);
    }
    for day in 28..35 {
        let above = lives.day(day, &|n| of(day) + wobble(n, day), &[]);
        assert!(above.iter().all(|(spreads, _)| *spreads < 3), "day {day}: {above:?}");
    }
    // A working day at the weekend is one hour's work for one of them.
    let saturday = lives.day(37, &|n| if n == 2 { 2500 } else { of(37) + wobble(n, 37) }, &[]);
    assert!(saturday[2].0 > 3, "{saturday:?}");
}

#[test]
fn the_most_there_was_is_what_there_was() {
    let mut lives = Lives::new("sent_tls", 8);
    // Seven rest at the weekend, one never does: that season is none of its own.
    let of = |n: usize, day: i64| if n == 0 || (day + 3) % 7 < 5 { 6000 } else { 1000 };
    for day in 0..35 {
        lives.day(day, &|n| of(n, day) + wobble(n, day), &[]);
    }
    let high =
        lives.profiles.values().next().unwrap().usual(Span::Day, lives.measure).unwrap().high;
    assert!((5900..6060).contains(&high), "{high}");
}

#[test]
fn of_what_is_suspicious_one_in_eight_is_learned() {
    let mut lives = Lives::new("sent_tls", 6);
    for day in 0..20 {
        lives.day(day, &|n| 5000 + wobble(n, day), &[]);
    }
    let mut beyond = Vec::new();
    for day in 20..30 {
        let above = lives.day(day, &|n| if n == 0 { 7000 } else { 5000 + wobble(n, day) }, &[0]);
        beyond.push(above[0].1 > 500);
    }
    // The eighth day taught the most there was, and the ninth is as much as that.
    assert_eq!(beyond, [true, true, true, true, true, true, true, true, false, false]);
}

#[test]
fn certainty_grows_with_days() {
    let all: Vec<u64> = (0..20).map(certainty).collect();
    assert!(all.is_sorted() && all[0] == 0 && all[10..].iter().all(|it| *it == 1_000_000));
}

#[test]
fn whom_it_spoke_to_grows_old() {
    let mut profile = Profile::new(0);
    let mut peers = Distinct::default();
    peers.mark(7);
    profile.peers[0].unite(&peers);
    let knows = |profile: &Profile| !united(&profile.peers).is_empty();
    profile.turn(29);
    assert!(knows(&profile));
    profile.turn(31);
    profile.turn(59);
    assert!(knows(&profile), "for a month more");
    profile.turn(61);
    assert!(!knows(&profile));
}

#[test]
fn a_quiet_profile_is_small() {
    // What is in it, as far as it is not in place, and up to 15 bytes more of each.
    let usual = WIDTH * size_of::<Usual>();
    let parts = [usual, usual, WIDTH * size_of::<i16>(), WIDTH, 84];
    let all = size_of::<Profile>() + parts.map(|part| part + 15).iter().sum::<usize>();
    assert!(all <= 800, "{all} bytes");
}
