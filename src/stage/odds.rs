//! Scores of models as odds, on a scale that all of them share.
//!
//! A model's threshold is where its false alarms are few enough, wherever that lies; what is there
//! is worth [`ALERT`], and the rest by how much higher or lower its odds are. Integers only, so
//! that it is the same on every machine.

use crate::base::score::Ppm;
use crate::feature::FeatureDef;
use crate::model::Models;

/// What a model's threshold is worth: the default of `alert`, as the key has it and in parts per
/// million.
pub(super) const ALERT: (&str, u32) = ("0.6", 600_000);

const ONE: u128 = 1_000_000;

/// So much for it and so much against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odds(u128, u128);

impl Odds {
    /// Those of a probability.
    pub(super) fn of(score: Ppm) -> Self {
        let score = u128::from(score.get());
        Self(score, ONE - score)
    }

    /// So many times as high; at most a few dozen times one after another.
    pub(super) fn times(self, factor: u32) -> Self {
        Self(self.0 * u128::from(factor), self.1)
    }

    /// So many times as low, likewise.
    pub(super) fn over(self, factor: u32) -> Self {
        Self(self.0, self.1 * u128::from(factor))
    }

    /// As a probability, rounded down.
    pub(super) fn score(self) -> Ppm {
        let score = self.0 * ONE / (self.0 + self.1).max(1);
        Ppm::new(u32::try_from(score).unwrap_or(u32::MAX))
    }
}

/// What scores of a model are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    threshold: u128,
}

impl Scale {
    pub(super) fn new(threshold: Ppm) -> Self {
        // At either end there would be no odds.
        Self { threshold: u128::from(threshold.get()).clamp(1, ONE - 1) }
    }

    /// That of the model in service; without one a half.
    pub(super) fn of(def: &FeatureDef, models: &Models) -> Self {
        let threshold = models.entry(def.detector).map_or(0.5, |entry| entry.threshold);
        Self::new(Ppm::new((threshold * 1e6).round() as u32))
    }

    /// The odds of a score: at most 10^18 to one.
    pub(super) fn odds(self, score: Ppm) -> Odds {
        let (of, alert) = (Odds::of(score), u128::from(ALERT.1));
        Odds(of.0 * (ONE - self.threshold) * alert, of.1 * self.threshold * (ONE - alert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A threshold is worth what makes an alert, more is worth more, and the ends stay ends.
        #[test]
        fn a_threshold_is_an_alert(
            threshold in 1_u32..1_000_000,
            a in 0_u32..=1_000_000,
            b in 0_u32..=1_000_000,
        ) {
            let scale = Scale::new(Ppm::new(threshold));
            let worth = |score: u32| scale.odds(Ppm::new(score));
            prop_assert_eq!(worth(threshold).score().get(), ALERT.1);
            let ends = (worth(0).score(), worth(1_000_000).over(4).score());
            prop_assert_eq!(ends, (Ppm::new(0), Ppm::ONE));
            let (low, high) = (worth(a.min(b)), worth(a.max(b)));
            for divisor in [1, 4] {
                prop_assert!(low.over(divisor).score() <= high.over(divisor).score());
            }
            prop_assert!(low.over(4).score() <= low.score());
            prop_assert!(low.times(4).score() >= low.score());
            prop_assert_eq!(low.times(4).over(4).score(), low.score());
        }
    }

    #[test]
    fn an_alert_is_the_key() {
        assert_eq!((ALERT.0.parse::<f64>().unwrap() * 1e6).round() as u32, ALERT.1);
    }
}
