//! What the names of a client say together, and why.

use std::collections::BTreeMap;

use crate::base::score::Ppm;
use crate::feature::dga::push;
use crate::feature::{Name, parts};
use crate::model::{Part, Scorer, strongest};
use crate::record::schema::dns;
use crate::record::{Log, Observed, Reason};

use super::super::names::columns;
use super::NAMES_MIN;
use super::client::Named;

/// The sum of probabilities that is worth a half, in parts per million: with the usual `alert` a
/// sum of two is an alert. Set on real logs (docs/detection.md), where no hour has more than one.
const HALF: u64 = 1_333_333;

/// Of names that exist below one suffix of customers so many count, the strongest: a CDN makes
/// names as an algorithm does.
const SHARED_MAX: usize = 4;

const ONE: u64 = 1_000_000;

/// Names that a verdict shows; what the others add is one reason, that names do not exist another.
const SHOWN: usize = 3;

/// See the module.
pub(super) struct Verdict<'a> {
    pub(super) score: Ppm,
    /// The names that count, the strongest first.
    pub(super) names: Vec<&'a Named>,
    /// The sum of their weights.
    sum: u64,
}

impl<'a> Verdict<'a> {
    /// Judges the names of a client, the strongest first.
    pub(super) fn new(names: &'a [Named]) -> Self {
        let mut shared: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut counting: Vec<&Named> = Vec::with_capacity(names.len());
        for named in names {
            if let Some(suffix) = named.shared() {
                let count = shared.entry(suffix).or_default();
                *count += 1;
                if *count > SHARED_MAX {
                    continue;
                }
            }
            counting.push(named);
        }
        let names = counting;
        let sum: u64 = names.iter().map(|named| named.weight()).sum();
        let is_enough = names.len() >= NAMES_MIN;
        let score = if is_enough { sum * ONE / (sum + HALF) } else { 0 };
        Self { score: Ppm::new(u32::try_from(score).unwrap_or(u32::MAX)), names, sum }
    }

    /// Why: what the strongest names look like, what the others do, and what is added because names
    /// do not exist. The shares are those of the sum, and add up to the score.
    pub(super) fn reasons(&self, scorer: Option<&mut Scorer>) -> Vec<Reason> {
        let share = |part: u64| {
            let share =
                u128::from(part) * u128::from(self.score.get()) / u128::from(self.sum.max(1));
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        let mut scorer = scorer;
        let mut reasons = Vec::new();
        for named in self.names.iter().take(SHOWN) {
            let part = scorer.as_deref_mut().and_then(|scorer| hangs_on(&named.name, scorer));
            reasons.push(Reason {
                feature: "generated_name",
                log: Some(named.log()),
                columns: columns(named.log()),
                observed: Observed::Text(shown(named, part.as_ref())),
                expected: Observed::Text("a name that a person chose".to_owned()),
                contribution: Ppm::new(share(named.looks())),
            });
        }
        let others = self.names.get(SHOWN..).unwrap_or_default();
        if !others.is_empty() {
            let looks: u64 = others.iter().map(|named| named.looks()).sum();
            reasons.push(Reason {
                feature: "more_generated_names",
                log: None,
                columns: &[],
                observed: Observed::Number(i64::try_from(others.len()).unwrap_or(0) * ONE as i64),
                expected: Observed::Number(0),
                contribution: Ppm::new(share(looks)),
            });
        }
        let missing = self.names.iter().filter(|named| named.is_missing()).count();
        if missing > 0 {
            let added: u64 = self.names.iter().map(|named| named.weight() - named.looks()).sum();
            reasons.push(Reason {
                feature: "names_that_do_not_exist",
                log: Some(Log::Dns),
                columns: &[dns::RCODE_NAME],
                observed: Observed::Number(i64::try_from(missing).unwrap_or(0) * ONE as i64),
                expected: Observed::Number(0),
                contribution: Ppm::new(share(added)),
            });
        }
        // What was lost in rounding belongs to the strongest.
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution));
        let told: u32 = reasons.iter().map(|reason| reason.contribution.get()).sum();
        if let Some(first) = reasons.first_mut() {
            let rest = self.score.get() - told;
            first.contribution = Ppm::new(first.contribution.get() + rest);
        }
        reasons
    }
}

/// The part of a name that its score hangs on most.
fn hangs_on(name: &[u8], scorer: &mut Scorer) -> Option<Part> {
    let name = Name::parse(name).ok()?;
    let one = std::slice::from_ref(&name);
    let whole = scorer.try_score(one, |it| it.registered().as_bytes(), push).ok()?;
    strongest(scorer, *whole.first()?, &parts(&name), |it| it.registered().as_bytes(), push)
}

/// `abcxyz.com 0.981234, does not exist, 0.120000 without "xyz"`.
fn shown(named: &Named, part: Option<&Part>) -> String {
    let mut text =
        format!("{} {}", String::from_utf8_lossy(&named.name), Ppm::new(named.looks() as u32));
    if named.is_missing() {
        text.push_str(", does not exist");
    }
    if let Some(part) = part {
        text.push_str(&format!(", {} without {:?}", part.left, part.text));
    }
    text
}
