//! Factors of a score, in parts per million: they multiply.

/// Parts per million.
pub(super) const ONE: u64 = 1_000_000;

/// Where `x` stands between two ends, in parts per million.
pub(super) fn ramp(x: i32, (from, to): (i32, i32)) -> u64 {
    if x <= from {
        return 0;
    }
    let share = i64::from(x - from) * ONE as i64 / i64::from((to - from).max(1));
    share.unsigned_abs().min(ONE)
}

/// So many parts per million of a number.
pub(super) fn part(number: u64, ppm: u64) -> u64 {
    (u128::from(number) * u128::from(ppm) / u128::from(ONE)) as u64
}
