//! What a window has to say: the change of role, times the volume, times how far that is beyond
//! what the entity does anyway.

use crate::base::log2::{BIT, log2, power, whole_power};
use crate::base::score::Ppm;
use crate::record::schema::{ORIG_H, RESP_H, conn};
use crate::record::{Observed, Reason};

use super::super::ramp::{ONE, part, ramp};
use super::channel::{Channel, TABLE};
use super::history::Usual;
use super::lasting::Lasting;
use super::peers::{Given, ratio};

/// What stands against a window.
#[derive(Clone, Debug)]
pub(super) struct Against {
    /// The usual ratio of the entity in the last hours.
    pub(super) usual: Usual,
    /// What its profile holds, where there is one.
    pub(super) lasting: Option<Lasting>,
    /// The most that it sends in such a window, as a logarithm.
    pub(super) most: i32,
    /// Bytes that mean nothing, and bytes that are enough.
    pub(super) volumes: (u64, u64),
    /// How far anything can be said of a host that was first heard lately, in parts per million: on
    /// its first days every destination is new.
    pub(super) certainty: u64,
    /// Hours and days of the channel that it was seen in, and days on which it was heard before.
    pub(super) seen: ((u8, u8), u8),
}

impl Against {
    /// How far a ratio is a change of role: by the last hours, and by the profile.
    fn shift(&self, of: &Channel, ratio: i32) -> u64 {
        let from = |mean: i32, spread: i32| ramp((ratio - mean) * BIT / spread, of.shift);
        let Usual { mean, spread } = self.usual;
        let by_hours = from(mean, spread);
        let lasting = self.lasting.as_ref().and_then(|lasting| lasting.usual);
        // What is sent and what is received rise and fall together, so their ratio varies less than
        // they do: the spread of the hours, which is that of a ratio, where it is the smaller one.
        by_hours.min(lasting.map_or(ONE, |usual| from(usual.mean, usual.spread.min(spread))))
    }
}

/// A window of one channel.
pub(super) struct Window<'a> {
    pub(super) channel: usize,
    /// Bytes sent, to whomever.
    pub(super) sent: u64,
    /// log2 of them by all that was received.
    pub(super) ratio: i32,
    /// Given to those who are not told apart.
    pub(super) untold: u64,
    /// To whom the entity gave.
    pub(super) given: Vec<Given<'a>>,
    /// What went to others than the first counts for one part in so many: in many days everybody
    /// gives a little to several that are new.
    pub(super) among: u64,
}

/// See the module.
pub(super) struct Verdict<'a> {
    pub(super) channel: usize,
    pub(super) score: Ppm,
    /// Bytes that went where they are new, as far as those only take.
    pub(super) pushed: u64,
    /// log2 of them by what came back.
    ratio: i32,
    against: Against,
    /// Who got them, the most first.
    pub(super) to: Vec<Given<'a>>,
}

impl<'a> Verdict<'a> {
    /// Judges a window; `has_precedent` says of a volume and a ratio, both as logarithms, whether
    /// the entity did so before.
    pub(super) fn new(
        window: Window<'a>,
        against: Against,
        has_precedent: impl FnOnce(i32, i32) -> bool,
    ) -> Self {
        let Window { channel, sent, ratio: of_all, untold, given, among } = window;
        let of = &TABLE[channel];
        let mut weighed: Vec<(u64, u64, Given<'a>)> =
            given.into_iter().map(|given| weigh(of, given)).collect();
        weighed.sort_by_key(|(pushed, _, given)| (std::cmp::Reverse(*pushed), given.addr));
        let heaviest =
            weighed.iter().map(|(_, _, given)| *given).max_by_key(|it| (it.sent, it.addr));
        weighed.retain(|(pushed, ..)| *pushed > 0);
        let add = |sum: u64, more: u64| sum.saturating_add(more);
        let to_many = part(untold / 2, ramp(of_all, of.role));
        let first = weighed.first().map_or(0, |(pushed, ..)| *pushed);
        let others = weighed.iter().skip(1).map(|(pushed, ..)| *pushed).fold(0, add);
        let pushed = add(to_many, add(first, others / among));
        let back = weighed.iter().map(|(_, back, _)| *back).fold(0, add);
        let ratio = ratio(pushed, back);
        // Who gives sixty-four times what it gets is a producer: more of it is no other role.
        let capped = ratio.min(6 * BIT);
        let least = against.volumes.0 / of.smaller;
        let full = (against.volumes.1 / of.smaller).max(least + 1);
        let factors = [
            against.certainty,
            against.shift(of, capped),
            part_of(pushed.saturating_sub(least), full - least),
            ramp(log2(sent) - against.most, (0, BIT)),
            if pushed > least && has_precedent(log2(sent), capped) { 0 } else { ONE },
        ];
        let score = factors.iter().fold(ONE, |score, factor| part(score, *factor));
        let mut to: Vec<Given<'a>> = weighed.into_iter().map(|(_, _, given)| given).collect();
        // Where all went to those who are not told apart, the heaviest other one stands for them.
        if to.is_empty() {
            to.extend(heaviest);
        }
        // What nothing can be shown of is not said.
        let is_shown = to.iter().any(|given| given.row.is_some());
        let score = if is_shown { score } else { 0 };
        Self { channel, score: Ppm::new(score as u32), pushed, ratio, against, to }
    }

    /// Why: the factors multiply, so that each is owed an equal share of the score.
    pub(super) fn reasons(&self, window: &'static str) -> Vec<Reason> {
        let score = self.score.get();
        let third = score / 3;
        let bytes: &[_] = &[conn::ORIG_BYTES, conn::RESP_BYTES];
        let text = |text: &str| Observed::Text(text.to_owned());
        let first = self.to.first();
        let destination = first.map_or_else(String::new, |given| given.addr.to_string());
        let before = match first.map_or(0, |given| given.before) {
            0 => "nothing before".to_owned(),
            bytes => format!("at most {bytes} bytes in a day"),
        };
        let most = if self.against.most == 0 { 0 } else { whole_power(self.against.most) };
        let reason = |feature, columns, observed, expected, share| Reason {
            feature,
            log: None,
            columns,
            observed,
            expected,
            contribution: Ppm::new(share),
        };
        let mut reasons = vec![
            reason("pcr", bytes, pcr(self.ratio), pcr(self.against.usual.mean), score - 2 * third),
            reason("sent_bytes", bytes, number(self.pushed), number(most), third),
            reason("destination", &[RESP_H, ORIG_H], text(&destination), text(&before), third),
            reason("channel", &[conn::SERVICE], text(TABLE[self.channel].name), text(""), 0),
            reason("window", &[], text(window), text(""), 0),
            reason("history", &[], text(&self.seen()), text(""), 0),
        ];
        if let Some(lasting) = &self.against.lasting {
            let usual = lasting.usual.map(|usual| pcr(usual.mean));
            let usual = usual.unwrap_or_else(|| text("too little of it"));
            reasons.push(reason("profile", bytes, usual, text(&lasting.history), 0));
        }
        reasons
    }

    /// How long the entity was watched, in words.
    fn seen(&self) -> String {
        let ((hours, days), heard) = self.against.seen;
        let channel = TABLE[self.channel].name;
        format!("{hours} hours and {days} days of {channel}, known for {heard} days")
    }
}

/// What an entity gave to a destination that got more than ever and only takes, and what of that
/// came back.
fn weigh<'a>(of: &Channel, given: Given<'a>) -> (u64, u64, Given<'a>) {
    let is_new = ramp(given.beyond(), (0, 3 * BIT));
    let takes = ramp(given.ratio(), of.role);
    let weight = part(is_new, takes);
    (part(given.sent, weight), part(given.received, weight), given)
}

/// A number as a part of another, in parts per million, at most one.
fn part_of(number: u64, all: u64) -> u64 {
    (u128::from(number.min(all)) * u128::from(ONE) / u128::from(all.max(1))) as u64
}

/// The producer-consumer ratio of a logarithm: (r - 1) / (r + 1).
fn pcr(ratio: i32) -> Observed {
    let sent = power(ratio.clamp(-30 * BIT, 30 * BIT));
    let received = power(0);
    let difference = i128::from(sent) - i128::from(received);
    let millionths = difference * 1_000_000 / i128::from(sent + received);
    Observed::Number(millionths as i64)
}

/// A number of bytes; beyond nine terabytes as nine.
fn number(bytes: u64) -> Observed {
    Observed::Number(i64::try_from(bytes.saturating_mul(1_000_000)).unwrap_or(i64::MAX))
}
