//! Scores and points as integers, so that neither the order of arrival nor the machine can change
//! a sum.
//!
//! Not here: how a score is made (`stage`) or what it adds to a risk (`risk`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A score in [0, 1], in parts per million, rounded once where it leaves its stage.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ppm(u32);

impl Ppm {
    /// 1.0.
    pub const ONE: Self = Self(1_000_000);

    /// `ppm` parts per million, at most 1.0.
    #[must_use]
    pub const fn new(ppm: u32) -> Self {
        if ppm > Self::ONE.0 { Self::ONE } else { Self(ppm) }
    }

    /// Parts per million.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Points of a risk score, in millionths.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Points(pub u64);

impl Points {
    /// The most that an entity can score.
    pub const MAX: Self = Self(100_000_000);
    /// One point.
    pub const ONE: Self = Self(1_000_000);
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// By how much a risk counts, in thousandths: from 0.1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(u32);

impl Factor {
    /// 0.1.
    pub const MIN: Self = Self(100);
    /// 1.0.
    pub const ONE: Self = Self(1000);
    /// 10.0.
    pub const MAX: Self = Self(10_000);

    /// `thousandths`, held inside the range.
    #[must_use]
    pub const fn new(thousandths: u32) -> Self {
        match thousandths {
            0..100 => Self::MIN,
            100..=10_000 => Self(thousandths),
            _ => Self::MAX,
        }
    }

    /// Millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0 as u64 * 1000
    }

    /// So many times `points`, rounded down.
    #[must_use]
    pub const fn times(self, points: Points) -> Points {
        Points(points.0 * self.0 as u64 / 1000)
    }
}

impl Default for Factor {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_decimals() {
        assert_eq!(Ppm::new(12_300).to_string(), "0.012300");
        assert_eq!(Ppm::new(2_000_000).to_string(), "1.000000");
        assert_eq!(Points(73_200_000).to_string(), "73.200000");
    }

    #[test]
    fn factors() {
        for (thousandths, text) in [(0, "0.100"), (1500, "1.500"), (u32::MAX, "10.000")] {
            assert_eq!(Factor::new(thousandths).to_string(), text);
        }
        assert_eq!(Factor::new(1500).times(Points(3)), Points(4));
        assert_eq!(Factor::default().times(Points::MAX), Points::MAX);
    }
}
