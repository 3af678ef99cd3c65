//! `peer-group`: a host that is far from those that are like it, farther than it ever was, or as
//! others are.
//!
//! A judge of days. Groups are found by k-means over what is usual of hosts' days (`profile::Peers`), and
//! keep their names. How far a day is from the middle of the host's group is held against how far
//! members usually are, and against how far this host ever was: who is at the edge every day is no
//! news. Being nearer to another group makes it stronger. Nothing is said of a day on which the host
//! did less than its peers in all that makes the distance.
//!
//! Not here: how groups are found (`learn::groups`), an entity against itself (`baseline`).

use crate::base::keys::Settings;
use crate::base::limits::EVIDENCE_MAX;
use crate::base::log2::BIT;
use crate::base::score::Ppm;
use crate::base::time::DAY;
use crate::record::{Names, Observed, Reason, Technique};

use super::activity::{MEASURES, READS, Sample, Span, shown};
use super::input::{CellRow, Finding, Findings};
use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::profile::{Entry, Over, Place, certainty};
use super::ramp::{ONE, part, ramp};
use super::{Build, Context, Judge, StageDef};

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
    build: Build::Judge(|settings| Box::new(PeerGroup::new(settings))),
};

const TECHNIQUES: &[Technique] = &[Technique { id: "T1078", name: "Valid Accounts" }];

/// Spreads of the group beyond what is usual there, in 256ths: below the first it is chance.
const BEYOND: (i32, i32) = (3 * BIT, 8 * BIT);
/// The same above the most that this host ever was.
const MORE: (i32, i32) = (BIT, 3 * BIT);
/// How many times as far from its own group as from another, in 256ths.
const TIMES: (i32, i32) = (BIT * 5 / 4, BIT * 2);
/// What distance can say alone, and what being nearer to another group adds.
const FAR: u64 = 600_000;
const NEARER: u64 = 400_000;
/// Days in the group without which nobody knows how far a host usually is.
const DAYS_MIN: u16 = 3;
/// What is less says nothing.
const SAID_MIN: u64 = 250_000;
/// Measures that are named.
const NAMED: usize = 2;

struct PeerGroup;

impl PeerGroup {
    fn new(_: &Settings) -> Self {
        Self
    }

    fn score(entry: &Entry<'_>, place: &Place) -> u64 {
        let (apart, days) = entry.profile.apart();
        if days < DAYS_MIN {
            return 0;
        }
        let beyond = i32::try_from(place.beyond).unwrap_or(i32::MAX / 2);
        let most = i32::from(apart.high) * 16;
        let far = part(ramp(beyond, BEYOND), ramp(beyond - most, MORE));
        let times = place.nearer.map_or(0, |(_, times)| i32::try_from(times).unwrap_or(i32::MAX));
        let nearer = part(ramp(times, TIMES), far);
        let all = part(far, FAR) + part(nearer, NEARER);
        part(all, certainty(entry.profile.days))
    }
}

/// The measures that make the distance, in which the host has more than the middle of its group: with
/// their shares, the greatest first.
fn strongest(entry: &Entry<'_>, place: &Place) -> Vec<(usize, i64)> {
    let mut found: Vec<(usize, i64)> = place
        .parts
        .iter()
        .enumerate()
        .filter(|(at, _)| place.centre.get(*at).is_some_and(|centre| entry.row[*at] > *centre))
        .map(|(at, part)| (at, *part))
        .filter(|(_, part)| *part > 0)
        .collect();
    found.sort_by_key(|(at, part)| (std::cmp::Reverse(*part), *at));
    found.truncate(NAMED);
    found
}

impl Judge for PeerGroup {
    fn wants_peers(&self) -> bool {
        true
    }

    fn judge(&mut self, over: &Over<'_>, context: &Context<'_>, out: &mut Findings) {
        if over.span != Span::Day {
            return;
        }
        for entry in &over.entries {
            let is_shared = entry.entity.addr().is_some_and(|it| context.roles.get(it).is_some());
            let Some(place) = entry.place(over.peers).filter(|_| !is_shared) else { continue };
            let score = Self::score(entry, &place);
            let named = strongest(entry, &place);
            if score < SAID_MIN || named.is_empty() {
                continue;
            }
            tell(over, entry, (&place, &named, score as u32), out);
        }
    }
}

fn tell(
    over: &Over<'_>,
    entry: &Entry<'_>,
    (place, named, score): (&Place, &[(usize, i64)], u32),
    out: &mut Findings,
) {
    let of_named = named.iter().map(|(at, _)| MEASURES[*at].sample);
    let mut rows: Vec<&CellRow> = Vec::new();
    for row in of_named.chain(Sample::ALL).filter_map(|sample| entry.window.sample(sample)) {
        if rows.len() < EVIDENCE_MAX && rows.iter().all(|known| known.record != row.record) {
            rows.push(row);
        }
    }
    // What nothing can be shown of is not said.
    let Some(time) = rows.iter().map(|row| row.time).max() else { return };
    let finding = Finding {
        subject: over.span.name().as_bytes().to_vec(),
        window: over.times(),
        score: Ppm::new(score),
        reasons: reasons(entry, place, named, score),
        techniques: TECHNIQUES,
        names: Names::default(),
    };
    out.push(entry.entity, &rows, time, finding);
}

fn reasons(entry: &Entry<'_>, place: &Place, named: &[(usize, i64)], score: u32) -> Vec<Reason> {
    let text = |text: String| Observed::Text(text);
    let all: i64 = named.iter().map(|(_, part)| part).sum();
    let mut left = score;
    let mut reasons: Vec<Reason> = named
        .iter()
        .map(|(at, part)| {
            let share = (i128::from(score) * i128::from(*part) / i128::from(all.max(1))) as u32;
            left -= share;
            let measure = &MEASURES[*at];
            let centre = place.centre.get(*at).copied().unwrap_or_default();
            Reason {
                feature: measure.name,
                log: Some(measure.log),
                columns: measure.columns,
                observed: Observed::Number(shown(measure, entry.row[*at])),
                expected: Observed::Number(shown(measure, centre)),
                contribution: Ppm::new(share),
            }
        })
        .collect();
    if let Some(first) = reasons.first_mut() {
        first.contribution = Ppm::new(first.contribution.get() + left);
    }
    let members: Vec<String> =
        place.nearest.iter().filter_map(|it| it.addr()).map(|addr| addr.to_string()).collect();
    let spreads = place.beyond.max(0) * 10 / i64::from(BIT);
    let most = i64::from(entry.profile.apart().0.high) * 160 / i64::from(BIT);
    let nearer = match place.nearer {
        Some((group, _)) => format!(", nearer to group {group}"),
        None => String::new(),
    };
    let none = |feature, observed: String, expected: String| Reason {
        feature,
        log: None,
        columns: &[],
        observed: text(observed),
        expected: text(expected),
        contribution: Ppm::new(0),
    };
    reasons.push(none(
        "peers",
        format!("group {} of {}, such as {}{nearer}", place.group, place.size, members.join(", ")),
        String::new(),
    ));
    reasons.push(none(
        "distance",
        format!("{}.{} spreads beyond what is usual of them", spreads / 10, spreads % 10),
        format!("at most {}.{} on other days", most / 10, (most % 10).abs()),
    ));
    reasons.push(none("history", entry.history(), String::new()));
    reasons
}

// Nothing is above certain.
const _: () = assert!(FAR + NEARER <= ONE);
