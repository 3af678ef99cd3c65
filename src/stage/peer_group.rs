//! `peer-group`: a host that is far from those that are like it, farther than it ever was, or as
//! others are.
//!
//! A judge of days. Groups are found by k-means over what is usual of hosts' days
//! (`profile::Peers`), and keep their names. How far a day is from the middle of the host's group
//! is held against how far members usually are, and against how far this host ever was: who is at
//! the edge every day is no news. Being nearer to another group makes it stronger. Nothing is said
//! of a day on which the host did less than its peers in all that makes the distance.
//!
//! Not here: how groups are found (`learn::groups`), an entity against itself (`baseline`).

use crate::base::log2::BIT;
use crate::base::time::DAY;
use crate::record::{Observed, Reason};

use super::activity::{MEASURES, READS, Span, shown};
use super::input::Findings;
use super::judged::{self, TECHNIQUES, note, shares, tell};
use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::profile::{Entry, Over, Place, certainty};
use super::ramp::{ONE, part, ramp};
use super::{Build, Context, Judge, StageDef, Wants};

pub(super) const STAGE: StageDef = StageDef {
    name: "peer-group",
    doc: "a host that is far from those that are like it, or becomes like others",
    version: 1,
    reads: READS,
    techniques: TECHNIQUES,
    group: "behaviour",
    keys: &[
        enabled("score days by how far hosts are from their peers"),
        weight("40"),
        alert("0.6"),
        HALF_LIFE,
    ],
    example: "enabled = true\nweight = 40\nalert = 0.6\n",
    window_us: DAY,
    models: &[],
    build: Build::Judge(|_| Box::new(PeerGroup)),
};

/// Spreads of the group beyond what is usual there, in 256ths: below the first it is chance.
const BEYOND: (i32, i32) = (3 * BIT, 8 * BIT);
/// The same above the most that this host ever was.
const MORE: (i32, i32) = (BIT, 3 * BIT);
/// How many times as far from its own group as from another, in 256ths.
const TIMES: (i32, i32) = (BIT * 5 / 4, BIT * 2);
/// What distance can say alone, and what being nearer to another group adds.
const FAR: u64 = 800_000;
const NEARER: u64 = 200_000;
/// Days in the group without which nobody knows how far a host usually is.
const DAYS_MIN: u16 = 3;
/// What is less says nothing.
const SAID_MIN: u64 = 250_000;
/// Measures that are named.
const NAMED: usize = 2;

struct PeerGroup;

/// A measure in which the host has more than the middle of its group, and more than nothing to
/// speak of: how much of the distance it makes.
type Part = (usize, u64);

/// How far a day is, in parts per million, and what makes it so, the greatest first; nothing where
/// it is not known how far the host usually is.
fn judged(entry: &Entry<'_>, place: &Place) -> Option<(u64, Vec<Part>)> {
    let (most, days) = entry.profile.apart();
    if days < DAYS_MIN {
        return None;
    }
    let beyond = i32::try_from(place.beyond).unwrap_or(i32::MAX / 2);
    let far = part(ramp(beyond, BEYOND), ramp(beyond - i32::from(most) * 16, MORE));
    let times = place.nearer.map_or(0, |(_, times)| i32::try_from(times).unwrap_or(i32::MAX));
    let all = part(far, FAR) + part(part(ramp(times, TIMES), far), NEARER);
    let rows = place.row.iter().zip(&place.centre).zip(&place.parts).enumerate();
    let mut parts: Vec<Part> = rows
        .filter(|(_, ((own, centre), _))| own > centre)
        .map(|(at, (_, of))| {
            (at, part(of.unsigned_abs(), MEASURES[at].much(Span::Day, entry.row[at])))
        })
        .filter(|(_, of)| *of > 0)
        .collect();
    parts.sort_by_key(|(at, part)| (std::cmp::Reverse(*part), *at));
    let (more, distance): (u64, i64) =
        (parts.iter().map(|(_, of)| of).sum::<u64>(), place.parts.iter().sum());
    let share = more * ONE / i64::max(distance, 1).unsigned_abs();
    Some((part(part(all, share), certainty(entry.profile.days)), parts))
}

impl Judge for PeerGroup {
    fn wants(&self) -> Wants {
        Wants { peers: true, ..Wants::default() }
    }

    fn judge(&mut self, over: &Over<'_>, context: &Context<'_>, out: &mut Findings) {
        if over.span != Span::Day {
            return;
        }
        for entry in &over.entries {
            let is_shared = entry.entity.addr().is_some_and(|it| context.roles.get(it).is_some());
            let Some(place) = entry.place(over).filter(|_| !is_shared) else { continue };
            let Some((score, mut parts)) = judged(entry, &place) else { continue };
            parts.truncate(NAMED);
            if score >= SAID_MIN {
                let reasons = reasons(entry, &place, &parts, score as u32);
                let measures: Vec<usize> = parts.iter().map(|(at, _)| *at).collect();
                tell(over, entry, (score as u32, &measures), reasons, out);
            }
        }
    }
}

fn reasons(entry: &Entry<'_>, place: &Place, named: &[Part], score: u32) -> Vec<Reason> {
    let weights: Vec<u64> = named.iter().map(|(_, part)| *part).collect();
    let reason = |((at, _), share): (&Part, u32)| {
        let centre = place.centre.get(*at).copied().unwrap_or_default();
        let expected = Observed::Number(shown(&MEASURES[*at], centre));
        judged::reason(entry, *at, expected, share)
    };
    let mut reasons: Vec<Reason> = named.iter().zip(shares(score, &weights)).map(reason).collect();
    let members: Vec<String> =
        place.nearest.iter().filter_map(|it| it.addr()).map(|addr| addr.to_string()).collect();
    let nearer = match place.nearer {
        Some((group, _)) => format!(", nearer to group {group}"),
        None => String::new(),
    };
    let peers = format!("group {} of {}, such as {}", place.group, place.size, members.join(", "));
    reasons.push(note("peers", peers + &nearer, String::new()));
    let tenths = |spreads: i64| format!("{}.{}", spreads / 10, spreads % 10);
    let far = tenths(place.beyond.max(0) * 10 / i64::from(BIT));
    let most = tenths(i64::from(entry.profile.apart().0.max(0)) * 160 / i64::from(BIT));
    reasons.push(note(
        "distance",
        format!("{far} spreads beyond what is usual of them"),
        format!("at most {most} on other days"),
    ));
    reasons.push(note("history", entry.history(), String::new()));
    reasons
}

// Nothing is above certain.
const _: () = assert!(FAR + NEARER <= ONE);
