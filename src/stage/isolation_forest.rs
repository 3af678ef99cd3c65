//! `isolation-forest`: an hour that is unlike all hours of all entities: many measures that are a
//! little beyond what was to be expected, at the same time.
//!
//! A judge of hours. What a forest sees is how far each measure lies above what was to be expected
//! of the entity (`profile::Isolation`), so hours of a server and of a laptop are of one kind. A
//! score comes from how rare such an hour is. Of what makes it rare only measures count in which
//! the entity did more than expected, and more than nothing to speak of.
//!
//! Not here: how forests are grown (`learn::forest`), one measure alone (`baseline`).

use crate::base::log2::BIT;
use crate::base::time::HOUR;
use crate::record::Reason;

use super::activity::{READS, Span};
use super::input::Findings;
use super::judged::{self, TECHNIQUES, note, shares, tell, usual};
use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::profile::{Entry, Isolation, Over, Part, Rarity, Seen, certainty};
use super::ramp::{part, ramp};
use super::{Build, Context, Judge, StageDef, Wants};

pub(super) const STAGE: StageDef = StageDef {
    name: "isolation-forest",
    doc: "an hour that is unlike all others: many things a little unusual at once",
    version: 1,
    reads: READS,
    techniques: TECHNIQUES,
    group: "behaviour",
    keys: &[
        enabled("score hours by how soon random splits part them from all others"),
        weight("30"),
        alert("0.6"),
        HALF_LIFE,
    ],
    example: "enabled = true\nweight = 30\nalert = 0.6\n",
    window_us: HOUR,
    models: &[],
    build: Build::Judge(|_| Box::new(IsolationForest)),
};

/// One hour in so many, as a logarithm, by the tail of the hours that a forest was learned of: of
/// more nothing is said, the second is certain. An alert is one in 28,000, which is three years of
/// one host.
const RARITY: (i32, i32) = (10 * BIT, 18 * BIT);
/// A tail of so many hours says no more than this, in bits.
const TOLD_MAX: i32 = 20;
/// What is less says nothing.
const SAID_MIN: u64 = 250_000;
/// Measures that are named.
const NAMED: usize = 3;

struct IsolationForest;

impl Judge for IsolationForest {
    fn wants(&self) -> Wants {
        Wants { isolation: true, ..Wants::default() }
    }

    fn judge(&mut self, over: &Over<'_>, context: &Context<'_>, out: &mut Findings) {
        let Some(forest) = over.isolation.filter(|_| over.span == Span::Hour) else { return };
        let is_judged = |entry: &&Entry<'_>| {
            let role = entry.entity.addr().and_then(|addr| context.roles.get(addr));
            role.is_none() && certainty(entry.profile.days) > 0
        };
        let entries: Vec<&Entry<'_>> = over.entries.iter().filter(is_judged).collect();
        let hours: Vec<Seen> = entries.iter().map(|entry| Seen::of(entry, over)).collect();
        for (entry, mut rarity) in entries.iter().zip(forest.rarities(&hours)) {
            let score = part(ramp(rarity.bits, RARITY), certainty(entry.profile.days));
            if score < SAID_MIN {
                continue;
            }
            rarity.parts.truncate(NAMED);
            let measures: Vec<usize> = rarity.parts.iter().map(|(at, _)| *at).collect();
            let reasons = reasons((forest, &rarity), entry, score as u32);
            tell(over, entry, (score as u32, &measures), reasons, out);
        }
    }
}

fn reasons((forest, rarity): (&Isolation, &Rarity), entry: &Entry<'_>, score: u32) -> Vec<Reason> {
    let weights: Vec<u64> = rarity.parts.iter().map(|(_, part)| *part).collect();
    let reason =
        |((at, _), share): (&Part, u32)| judged::reason(entry, *at, usual(entry, *at), share);
    let shares = shares(score, &weights);
    let mut reasons: Vec<Reason> = rarity.parts.iter().zip(shares).map(reason).collect();
    let thousandths = |ppm: u64| format!("{}.{:03}", ppm / 1_000_000, ppm % 1_000_000 / 1000);
    let usual = format!(
        "{} for one hour in 100, at most {} for {} hours",
        thousandths(forest.start),
        thousandths(forest.most),
        forest.hours
    );
    let one_in = 1_u64 << (rarity.bits / BIT).clamp(0, TOLD_MAX);
    let rare = format!("{}, one hour in {one_in} or less", thousandths(rarity.worth));
    reasons.push(note("isolation", rare, usual));
    reasons.push(note("history", entry.history(), String::new()));
    reasons
}
