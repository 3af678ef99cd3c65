//! What judges of hours and days have in common: the records that stand for a finding, reasons
//! whose shares add up to its score, and what an attacker would call it.
//!
//! Not here: what is a finding (the judges).

use crate::base::limits::EVIDENCE_MAX;
use crate::base::score::Ppm;
use crate::record::{Names, Observed, Reason, Technique};

use super::activity::{Aspect, MEASURES, Sample, Scale, shown};
use super::input::{CellRow, Finding, Findings};
use super::profile::{Entry, Over};

/// What a stage of this kind may name.
pub(super) const TECHNIQUES: &[Technique] =
    &[Technique { id: "T1046", name: "Network Service Discovery" }];

/// What an attacker would call it.
pub(super) const fn techniques(aspect: Aspect) -> &'static [Technique] {
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

/// Tells of a window what is said of it, for these measures, the strongest first: the records that
/// stand for them are its evidence. What nothing can be shown of is not said.
pub(super) fn tell(
    over: &Over<'_>,
    entry: &Entry<'_>,
    (score, measures): (u32, &[usize]),
    reasons: Vec<Reason>,
    out: &mut Findings,
) {
    let named = measures.iter().map(|at| MEASURES[*at].sample);
    let mut rows: Vec<&CellRow> = Vec::new();
    for row in named.chain(Sample::ALL).filter_map(|sample| entry.window.sample(sample)) {
        if rows.len() < EVIDENCE_MAX && rows.iter().all(|known| known.record != row.record) {
            rows.push(row);
        }
    }
    let Some(time) = rows.iter().map(|row| row.time).max() else { return };
    let finding = Finding {
        subject: over.span.name().as_bytes().to_vec(),
        window: over.times(),
        score: Ppm::new(score),
        reasons,
        techniques: measures.first().map_or(TECHNIQUES, |at| techniques(MEASURES[*at].aspect)),
        names: Names::default(),
    };
    out.push(entry.entity, &rows, time, finding);
}

/// Each is owed a share of the score by its weight, and the first what is left by rounding.
pub(super) fn shares(score: u32, weights: &[u64]) -> Vec<u32> {
    let all: u64 = weights.iter().sum::<u64>().max(1);
    let share = |weight: &u64| (u128::from(score) * u128::from(*weight) / u128::from(all)) as u32;
    let mut shares: Vec<u32> = weights.iter().map(share).collect();
    let left = score - shares.iter().sum::<u32>();
    if let Some(first) = shares.first_mut() {
        *first += left;
    }
    shares
}

/// That a measure is what it is, and not as expected.
pub(super) fn reason(entry: &Entry<'_>, at: usize, expected: Observed, share: u32) -> Reason {
    let measure = &MEASURES[at];
    Reason {
        feature: measure.name,
        log: Some(measure.log),
        columns: measure.columns,
        observed: Observed::Number(shown(measure, entry.row[at])),
        expected,
        contribution: Ppm::new(share),
    }
}

/// What is known beside the measures, which has no share.
pub(super) fn note(feature: &'static str, observed: String, expected: String) -> Reason {
    Reason {
        feature,
        log: None,
        columns: &[],
        observed: Observed::Text(observed),
        expected: Observed::Text(expected),
        contribution: Ppm::new(0),
    }
}

/// What is usual of a measure.
pub(super) fn usual(entry: &Entry<'_>, at: usize) -> Observed {
    let measure = &MEASURES[at];
    let most = shown(measure, entry.high(at)) / 1_000_000;
    match measure.scale {
        Scale::Share => Observed::Number(centre(entry, at)),
        _ => Observed::Text(format!("about {}, at most {most}", centre(entry, at) / 1_000_000)),
    }
}

/// What was to be expected of a measure, in millionths.
pub(super) fn centre(entry: &Entry<'_>, at: usize) -> i64 {
    let usual = i32::from(entry.expected(at).centre) + i32::from(entry.season()[at]);
    shown(&MEASURES[at], usual.clamp(0, i16::MAX.into()) as i16)
}
