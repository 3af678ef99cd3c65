//! Lengths of paths with 16 bits behind the point, and powers of two of them.
//!
//! Not here: trees.

/// One split.
pub(super) const ONE: u32 = 1 << 16;

/// Bits behind the point while sums are made.
const FINE: u32 = 40;

/// c(n) of the paper for 0..=`rows`: the average length of the path of a row in a random tree of
/// n rows, 2 H(n-1) - 2 (n-1) / n.
pub(super) fn averages(rows: u16) -> Vec<u32> {
    let mut harmonic = 0_u64;
    let of = |rows: u64| {
        if rows < 2 {
            return 0;
        }
        harmonic += (1 << FINE) / (rows - 1);
        let fine = 2 * harmonic - 2 * ((rows - 1) << FINE) / rows;
        ((fine + (1 << (FINE - 17))) >> (FINE - 16)) as u32
    };
    (0..=u64::from(rows)).map(of).collect()
}

/// One, where powers are made.
const UNIT_BITS: u32 = 62;

/// 2^-(1/2), 2^-(1/4), and so on, each the root of the one before it.
const ROOTS: [u64; 32] = {
    let mut roots = [0; 32];
    let mut last = 1_u128 << (UNIT_BITS - 1);
    let mut place = 0;
    while place < roots.len() {
        last = (last << UNIT_BITS).isqrt();
        roots[place] = last as u64;
        place += 1;
    }
    roots
};

/// 2^-x in parts per million, rounded; x has 32 bits behind the point.
pub(super) fn halved(x: u64) -> u32 {
    let mut power = 1_u64 << UNIT_BITS;
    for (place, root) in ROOTS.iter().enumerate() {
        if x >> (31 - place) & 1 == 1 {
            power = ((u128::from(power) * u128::from(*root)) >> UNIT_BITS) as u64;
        }
    }
    let whole = u32::try_from(x >> 32).unwrap_or(u32::MAX);
    let power = u128::from(power.checked_shr(whole).unwrap_or_default());
    ((power * 1_000_000 + (1 << (UNIT_BITS - 1))) >> UNIT_BITS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_those_of_the_paper() {
        let averages = averages(4096);
        assert_eq!(&averages[..3], [0, 0, ONE]);
        for (rows, &found) in averages.iter().enumerate().skip(2) {
            let n = rows as f64;
            let harmonic: f64 = (1..rows).map(|i| 1.0 / i as f64).sum();
            let expected = 2.0 * harmonic - 2.0 * (n - 1.0) / n;
            assert!((f64::from(found) / 65_536.0 - expected).abs() < 1e-5, "{rows}: {found}");
        }
    }

    #[test]
    fn powers_are_exact() {
        for x in (0..30_000_u64).map(|step| step * 3_333_333) {
            let expected = (-(x as f64) / 4_294_967_296.0).exp2() * 1e6;
            let found = f64::from(halved(x));
            assert!((found - expected).abs() <= 0.5 + 1e-6, "{x}: {found}, not {expected}");
        }
        assert_eq!((halved(0), halved(1 << 32), halved(u64::MAX)), (1_000_000, 500_000, 0));
    }
}
