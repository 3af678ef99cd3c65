//! How far a file has come in event time: the running maximum of its records' places.
//!
//! A record more than a day ahead does not move it, unless the sixteen after it lie within a day of
//! it: one hostile time must not make everything else late, and a network that was silent for a
//! week must be heard again.

use serde::{Deserialize, Serialize};

use crate::base::time::{DAY, Time};

/// A running maximum that one wild time does not move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    max: Option<Time>,
    jump: Option<Jump>,
}

/// Records that would move the maximum by more than a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    first: Time,
    max: Time,
    followers: u32,
}

/// Records that must follow a jump for it to count.
const FOLLOWERS: u32 = 16;

impl Watermark {
    /// A watermark that stands at `start`.
    #[must_use]
    pub fn new(start: Option<Time>) -> Self {
        Self { max: start, jump: None }
    }

    /// How far it has come; `None` before the first record.
    #[must_use]
    pub fn get(self) -> Option<Time> {
        self.max
    }

    /// Takes the place of the next record; how far the file has come with it.
    #[inline]
    pub fn observe(&mut self, place: Time) -> Time {
        let Some(max) = self.max else {
            self.max = Some(place);
            return place;
        };
        if place.0 - max.0 <= DAY {
            let is_near = self.jump.is_some_and(|jump| jump.first.0 - place.0 <= DAY);
            self.jump = self.jump.filter(|_| is_near);
            self.max = Some(max.max(place));
            return max.max(place);
        }
        let jump = match self.jump {
            Some(jump) if (place.0 - jump.first.0).abs() <= DAY => {
                Jump { max: jump.max.max(place), followers: jump.followers + 1, ..jump }
            }
            _ => Jump { first: place, max: place, followers: 0 },
        };
        if jump.followers == FOLLOWERS {
            (self.max, self.jump) = (Some(jump.max), None);
            return jump.max;
        }
        self.jump = Some(jump);
        max
    }

    /// Where a file begins whose first records have these places: at the first, unless that is more
    /// than a day ahead of most of them.
    #[must_use]
    pub fn start(places: &[Time]) -> Option<Time> {
        let first = *places.first()?;
        let mut sorted = places.to_vec();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        if first.0 - median.0 <= DAY {
            return Some(first);
        }
        sorted.into_iter().find(|place| median.0 - place.0 <= DAY)
    }

    /// Records that [`Watermark::start`] wants to see.
    pub const START_ROWS: usize = FOLLOWERS as usize + 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places in days; the watermark after each, in days.
    fn check(places: &[i64], expected: &[i64]) {
        let mut watermark = Watermark::default();
        let found: Vec<i64> =
            places.iter().map(|day| watermark.observe(Time(day * DAY)).0 / DAY).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_wild_time_does_not_move_it() {
        check(&[1, 2, 100, 2, 3, 1], &[1, 2, 2, 2, 3, 3]);
        check(&[1, 100, 200, 300, 1], &[1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_week_of_silence_does() {
        let mut places = vec![1];
        places.extend([8; 18]);
        let mut expected = vec![1; 17];
        expected.extend([8, 8]);
        check(&places, &expected);
        // Fifteen followers and one that is not near: no.
        let mut places = vec![1];
        places.extend([8; 16]);
        places.extend([1, 8, 1]);
        check(&places, &[1; 20]);
    }

    #[test]
    fn start() {
        let days = |days: &[i64]| days.iter().map(|day| Time(day * DAY)).collect::<Vec<_>>();
        let start = |list: &[i64]| Watermark::start(&days(list)).map(|time| time.0 / DAY);
        assert_eq!(start(&[]), None);
        assert_eq!(start(&[5]), Some(5));
        assert_eq!(start(&[5, 6, 7]), Some(5));
        assert_eq!(start(&[100, 5, 6, 5]), Some(5));
        assert_eq!(start(&[1, 5, 6]), Some(1));
    }
}
