//! How sure a rate is that was counted.

/// The exact interval of 95 % of what a Poisson count is the sample of (F. Garwood, "Fiducial
/// limits for the Poisson distribution", Biometrika 1936).
pub(crate) fn interval(count: u32) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    let low = match count.checked_sub(1) {
        Some(below) => solve(|mean| at_most(below, mean), 1.0 - TAIL),
        None => 0.0,
    };
    (low, solve(|mean| at_most(count, mean), TAIL))
}

/// The probability of at most so many where so many are expected.
fn at_most(count: u32, mean: f64) -> f64 {
    let mut log = -mean;
    let mut sum = log.exp();
    for n in 1..=count {
        log += (mean / f64::from(n)).ln();
        sum += log.exp();
    }
    sum
}

/// Where a function that falls has a value.
fn solve(of: impl Fn(f64) -> f64, value: f64) -> f64 {
    let (mut low, mut high) = (1e-9, 1.0);
    while of(high) > value {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if of(middle) > value { low = middle } else { high = middle }
    }
    high
}
