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
use crate::base::limits::{EVIDENCE_MAX, SHARES_MAX};
use crate::base::log2::BIT;
use crate::base::score::Ppm;
use crate::base::time::DAY;
use crate::record::{Names, Observed, Reason, Technique};

use super::activity::{Aspect, MEASURES, READS, Sample, Scale, Span, WIDTH, shown};
use super::context::Role;
use super::input::{CellRow, Finding, Findings};
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

const TECHNIQUES: &[Technique] = &[Technique { id: "T1046", name: "Network Service Discovery" }];

/// What an attacker would call it.
const fn techniques(aspect: Aspect) -> &'static [Technique] {
    match aspect {
        Aspect::Reach => TECHNIQUES,
        Aspect::Give => &[Technique { id: "T1041", name: "Exfiltration Over C2 Channel" }],
        Aspect::Take => &[Technique { id: "T1105", name: "Ingress Tool Transfer" }],
        Aspect::Serve => &[Technique { id: "T1090", name: "Proxy" }],
        Aspect::Names => &[Technique { id: "T1071.004", name: "DNS" }],
        Aspect::Programs => &[Technique { id: "T1071.001", name: "Web Protocols" }],
        Aspect::Time => &[Technique { id: "T1078", name: "Valid Accounts" }],
        Aspect::Busy => &[Technique { id: "T1071", name: "Application Layer Protocol" }],
    }
}

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
/// By how much a day is more than an hour.
const DAY_BITS: i32 = 2 * BIT;
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
            let more = match (over.span, measure.scale) {
                (Span::Day, Scale::Count | Scale::Bytes) => DAY_BITS,
                _ => 0,
            };
            let volume = (i32::from(measure.volume.0) + more, i32::from(measure.volume.1) + more);
            let much = ramp(i32::from(entry.row[at]), volume);
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
                tell(over, entry, (&said, score), out);
            }
        }
    }
}

fn tell(over: &Over<'_>, entry: &Entry<'_>, (said, score): (&[Said], u64), out: &mut Findings) {
    let mut samples: Vec<Sample> = Vec::new();
    for said in said {
        let sample = MEASURES[said.measure].sample;
        if !samples.contains(&sample) {
            samples.push(sample);
        }
    }
    samples.extend(Sample::ALL);
    let mut rows: Vec<&CellRow> = Vec::new();
    for row in samples.iter().filter_map(|sample| entry.window.sample(*sample)) {
        if rows.len() < EVIDENCE_MAX && rows.iter().all(|known| known.record != row.record) {
            rows.push(row);
        }
    }
    // What nothing can be shown of is not said.
    let Some(time) = rows.iter().map(|row| row.time).max() else { return };
    let finding = Finding {
        subject: over.span.name().as_bytes().to_vec(),
        window: over.times(),
        score: Ppm::new(score as u32),
        reasons: reasons(entry, said, score as u32),
        techniques: said.first().map_or(TECHNIQUES, |it| techniques(MEASURES[it.measure].aspect)),
        names: Names::default(),
    };
    out.push(entry.entity, &rows, time, finding);
}

/// Why: each is owed a share of the score by what it says alone; then how much is known.
fn reasons(entry: &Entry<'_>, said: &[Said], score: u32) -> Vec<Reason> {
    let all: u64 = said.iter().map(|said| said.score).sum();
    let mut left = score;
    let mut reasons: Vec<Reason> = said
        .iter()
        .map(|said| {
            let share = (u64::from(score) * said.score / all.max(1)) as u32;
            left -= share;
            let measure = &MEASURES[said.measure];
            let at = said.measure;
            let usual = i32::from(entry.expected(at).centre) + i32::from(entry.season()[at]);
            let number = |value: i32| shown(measure, value.clamp(0, i16::MAX.into()) as i16);
            let high = number(entry.high(at).into()) / 1_000_000;
            let expected = match (said.is_slow, measure.scale) {
                (true, _) => Observed::Text(format!(
                    "rose over days from about {}",
                    number(usual) / 1_000_000
                )),
                (false, Scale::Share) => Observed::Number(number(usual)),
                (false, _) => {
                    Observed::Text(format!("about {}, at most {high}", number(usual) / 1_000_000))
                }
            };
            Reason {
                feature: measure.name,
                log: Some(measure.log),
                columns: measure.columns,
                observed: Observed::Number(number(entry.row[at].into())),
                expected,
                contribution: Ppm::new(share),
            }
        })
        .collect();
    if let Some(first) = reasons.first_mut() {
        first.contribution = Ppm::new(first.contribution.get() + left);
    }
    reasons.push(Reason {
        feature: "history",
        log: None,
        columns: &[],
        observed: Observed::Text(entry.history()),
        expected: Observed::Text(String::new()),
        contribution: Ppm::new(0),
    });
    reasons
}
