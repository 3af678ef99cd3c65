//! Levels: Low < 25 <= Moderate < 50 <= High < 75 <= Critical.

use crate::base::score::Points;

/// The level of a score; always the same function of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below 25 points.
    Low,
    /// From 25.
    Moderate,
    /// From 50.
    High,
    /// From 75.
    Critical,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Low, Self::Moderate, Self::High, Self::Critical];

    /// The level of `score`.
    #[must_use]
    pub fn of(score: Points) -> Self {
        match score.0 / Points::ONE.0 {
            0..25 => Self::Low,
            25..50 => Self::Moderate,
            50..75 => Self::High,
            _ => Self::Critical,
        }
    }

    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Moderate => "Moderate",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        for (points, name) in [
            (0, "Low"),
            (24_999_999, "Low"),
            (25_000_000, "Moderate"),
            (50_000_000, "High"),
            (74_999_999, "High"),
            (75_000_000, "Critical"),
            (100_000_000, "Critical"),
        ] {
            assert_eq!(Level::of(Points(points)).name(), name, "{points}");
        }
    }
}
