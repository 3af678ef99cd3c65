//! `baseline`: an entity that does more than it ever did: more than is usual of it at this hour,
//! more than the most there was, and more than most others do now.
//!
//! A judge. Of each measure (`activity`) three things multiply: how many spreads the window lies
//! above what was to be expected, how far it lies above the most there was, and whether it is much
//! at all. Of measures that see the same only the strongest counts, different ones add up as
//! chances do. A day is judged like an hour, and says more than its hours only; it also says what
//! has risen slowly over days (`profile::drift`). Nothing is said of who does less.
//!
//! Not here: what is usual, and how it is learned (`profile`).

use std::collections::BTreeMap;

use crate::base::keys::Settings;
use crate::base::limits::SHARES_MAX;
use crate::base::log2::BIT;
use crate::base::time::DAY;
use crate::record::{Observed, Reason};

use super::activity::{Aspect, MEASURES, READS, Scale, Span, WIDTH};
use super::context::Role;
use super::input::Findings;
use super::judged::{self, TECHNIQUES, centre, note, shares, tell, usual};
use super::keys::{HALF_LIFE, alert, alert_from, enabled, weight};
use super::profile::{Entry, Over, certainty};
use super::ramp::{ONE, part, ramp};
use super::{Build, Context, Judge, StageDef};

pub(super) const STAGE: StageDef = StageDef {
    name: "baseline",
    doc: "an entity that does more than it ever did, at this hour, and beside the others",
    version: 1,
    reads: READS,
    techniques: TECHNIQUES,
    group: "behaviour",
    keys: &[
        enabled("score hours and days by what is usual of each entity"),
        weight("50"),
        alert("0.6"),
        HALF_LIFE,
    ],
    example: "enabled = true\nweight = 50\nalert = 0.6\n",
    window_us: DAY,
    models: &[],
    build: Build::Judge(|settings| Box::new(Baseline::new(settings))),
};

/// Spreads above what was to be expected: below the first it is chance, from the second on it is
/// not.
const SPREADS: (i32, i32) = (5 * BIT / 2, 5 * BIT);
/// Above the most there was, in bits: a little more is as good as the same.
const BEYOND: (i32, i32) = (BIT / 4, BIT * 5 / 4);
/// Far above the most there was, and the spreads that are enough then.
const FAR: (i32, i32) = (2 * BIT, 4 * BIT);
const FEWER_SPREADS: (i32, i32) = (BIT, 5 * BIT / 2);
/// The same of shares, in 1024ths.
const BEYOND_SHARE: (i32, i32) = (32, 192);
/// What is less says nothing: many of it would add up in a risk.
const SAID_MIN: u64 = 250_000;

struct Baseline {
    alert: u32,
}

/// What a measure says of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    score: u64,
    measure: usize,
    is_slow: bool,
}

impl Baseline {
    fn new(settings: &Settings) -> Self {
        Self { alert: alert_from(settings) }
    }

    /// The strongest of each aspect, the strongest first.
    fn said(over: &Over<'_>, entry: &Entry<'_>, role: Option<Role>) -> Vec<Said> {
        let sure = certainty(entry.profile.days);
        let mut best: BTreeMap<Aspect, Said> = BTreeMap::new();
        if sure == 0 {
            return Vec::new();
        }
        for at in (0..WIDTH).filter(|at| over.known.has(*at)) {
            let measure = &MEASURES[at];
            let is_excused = role == Some(Role::Scanner) && measure.aspect == Aspect::Reach;
            let (spreads, beyond) = entry.above(at);
            let is_slow = over.span == Span::Day && entry.has_drifted(at);
            if is_excused || (spreads <= FEWER_SPREADS.0 && !is_slow) {
                continue;
            }
            let far = if measure.scale == Scale::Share { BEYOND_SHARE } else { BEYOND };
            // What is far beyond the most there was needs fewer spreads: who idles by night and
            // works by day has a wide one.
            let sudden = part(ramp(spreads, SPREADS), ramp(beyond, far))
                .max(part(ramp(spreads, FEWER_SPREADS), ramp(beyond, FAR)));
            let change = if is_slow { ONE } else { sudden };
            let much = measure.much(over.span, entry.row[at]);
            let score = part(part(part(change, much), sure), measure.weight.into());
            let said = Said { score, measure: at, is_slow };
            let known = best.entry(measure.aspect).or_insert(said);
            *known = said.max(*known);
        }
        let mut said: Vec<Said> = best.into_values().filter(|said| said.score > 0).collect();
        said.sort_by_key(|said| (std::cmp::Reverse(said.score), said.measure));
        said
    }
}

/// As chances add up.
fn together(said: &[Said]) -> u64 {
    ONE - said.iter().fold(ONE, |left, said| part(left, ONE - said.score))
}

impl Judge for Baseline {
    fn judge(&mut self, over: &Over<'_>, context: &Context<'_>, out: &mut Findings) {
        for entry in &over.entries {
            let role = entry.entity.addr().and_then(|addr| context.roles.get(addr));
            let mut said = Self::said(over, entry, role);
            said.truncate(SHARES_MAX - 1);
            let score = together(&said);
            let before = entry.profile.said_today();
            // A day speaks only where no hour of it raised an alert, and says more.
            let is_told =
                over.span == Span::Day && (before >= self.alert || score <= u64::from(before));
            if score >= SAID_MIN && !is_told {
                let reasons = reasons(entry, &said, score as u32);
                let measures: Vec<usize> = said.iter().map(|said| said.measure).collect();
                tell(over, entry, (score as u32, &measures), reasons, out);
            }
        }
    }
}

/// Why: each is owed a share of the score by what it says alone; then how much is known.
fn reasons(entry: &Entry<'_>, said: &[Said], score: u32) -> Vec<Reason> {
    let weights: Vec<u64> = said.iter().map(|said| said.score).collect();
    let reason = |(said, share): (&Said, u32)| {
        let from = centre(entry, said.measure) / 1_000_000;
        let expected = match said.is_slow {
            true => Observed::Text(format!("rose over days from about {from}")),
            false => usual(entry, said.measure),
        };
        judged::reason(entry, said.measure, expected, share)
    };
    let mut reasons: Vec<Reason> = said.iter().zip(shares(score, &weights)).map(reason).collect();
    reasons.push(note("history", entry.history(), String::new()));
    reasons
}
