//! A slow change: a cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 1954)
//! of how far each day lay above what was usual, less what chance gives.
//!
//! A day counts as at most three spreads, so that one wild day is none.

use crate::base::log2::BIT;

/// What chance gives a day, in 256ths of a spread.
const SLACK: i32 = BIT / 2;
/// What one day adds at most.
const STEP_MAX: i32 = 3 * BIT;
/// The sum that is a change, in 16ths of a spread: eight spreads.
pub(super) const CHANGE: u8 = 8 * 16;

/// A sum in 16ths of a spread after one more day, `away` from usual in 256ths of one.
fn after(sum: u8, away: i32) -> u8 {
    let step = (away - SLACK).clamp(-STEP_MAX, STEP_MAX) / 16;
    (i32::from(sum) + step).clamp(0, i32::from(u8::MAX)) as u8
}

/// Whether one more day makes a sum a change.
pub(super) fn is_change(sum: u8, away: i32) -> bool {
    after(sum, away) >= CHANGE
}

/// Adds a day to a sum, which begins anew after a change that somebody was told of; a change that
/// is too little to be told stays one while it lasts.
pub(super) fn add(sum: &mut u8, away: i32, is_told: bool) -> bool {
    let is_told = is_change(*sum, away) && is_told;
    *sum = if is_told { 0 } else { after(*sum, away) };
    is_told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Day of the first change in a stream of distances, in 256ths of a spread.
    fn first(days: impl Iterator<Item = i32>) -> Option<usize> {
        let mut sum = 0;
        days.enumerate().find(|(_, away)| add(&mut sum, *away, true)).map(|(day, _)| day)
    }

    /// Numbers of a normal distribution, nearly: sums of twelve uniform ones.
    fn noise(seed: u64) -> impl Iterator<Item = i32> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            let uniform = |state: &mut u64| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (*state >> 40) as i32 % 257
            };
            (0..12).map(|_| uniform(&mut state)).sum::<i32>() - 12 * 128
        })
    }

    #[test]
    fn a_change_is_found_and_chance_is_none() {
        // A change by so many 256ths of a spread after 20 days of nothing: the median day.
        for (shift, least, most) in [(256, 25, 45), (384, 25, 35), (768, 22, 25)] {
            let mut days: Vec<usize> = (0..101)
                .map(|seed| {
                    let shifted = |(day, away)| if day < 20 { away } else { away + shift };
                    first(noise(seed).enumerate().map(shifted).take(400)).unwrap_or(400)
                })
                .collect();
            days.sort_unstable();
            assert!((least..=most).contains(&days[50]), "{shift}: day {}", days[50]);
        }
        // Of 100 streams of a year in which nothing changes few say anything.
        let false_ones =
            (1000..1100).filter(|seed| first(noise(*seed).take(365)).is_some()).count();
        assert!(false_ones <= 6, "{false_ones}");
        // One day, however wild, is no change, nor are two.
        assert_eq!(first([100 * 256, 0, 0, 100 * 256, 0, 0, 0].into_iter()), None);
    }
}
