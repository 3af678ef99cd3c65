//! What was said of a subject on a day: it is said again only when it has risen.

use serde::{Deserialize, Serialize};

use crate::base::time::{DAY, Time};

/// What is less says nothing: many of it would add up in a risk.
pub(super) const SAID_MIN: u32 = 450_000;

/// By how much a score has to rise until it is said again.
const SAID_STEP: u32 = 50_000;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    day: i64,
    /// The highest score of the day that was said, in parts per million.
    score: u32,
}

impl Said {
    pub(super) const NOTHING: Self = Self { day: i64::MIN, score: 0 };

    /// Whether `score` is to be said of the day of `time`: it has risen by a step, or it is the
    /// first from `alert` on. It counts as said then.
    pub(super) fn say(&mut self, time: Time, score: u32, alert: u32) -> bool {
        let day = time.floor(DAY).0;
        let said = if self.day == day { self.score } else { 0 };
        let rises = score >= said.saturating_add(SAID_STEP) && score >= SAID_MIN;
        let crosses = score >= alert && said < alert;
        if rises || crosses {
            *self = Self { day, score };
        }
        rises || crosses
    }
}
