//! Logarithms of two in integers: 256 steps to a bit, the same on every machine.
//!
//! Not here: evidence in bits, which needs more digits (`risk::bits`).

/// Steps of a bit.
pub const BIT: i32 = 256;

/// log2(x) in 256ths of a bit, rounded down; 0 for 0.
#[must_use]
pub fn log2(x: u64) -> i32 {
    if x == 0 {
        return 0;
    }
    let zeros = x.leading_zeros();
    let whole = 63 - zeros as i32;
    // 32 bits of mantissa, the top one set; squaring doubles the logarithm.
    let mut mantissa = (x << zeros) >> 32;
    let mut rest = 0;
    for bit in (0..8).rev() {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 != 0 {
            rest |= 1 << bit;
            mantissa >>= 1;
        }
    }
    whole * BIT + rest
}

/// 2^(i/16) for i = 0..=16, in 2^-16.
const POWERS: [u64; 17] = [
    65_536, 68_438, 71_468, 74_632, 77_936, 81_386, 84_990, 88_752, 92_682, 96_785, 101_070,
    105_545, 110_218, 115_098, 120_194, 125_515, 131_072,
];

/// 2^(x/256) in 2^-16, for x up to 32 bits; between sixteenths by a straight line, which is at most
/// 0.03 % too high.
#[must_use]
pub fn power(x: i32) -> u64 {
    let (whole, rest) = (x.div_euclid(BIT), x.rem_euclid(BIT) as usize);
    let (low, high) = (POWERS[rest / 16], POWERS[rest / 16 + 1]);
    let between = low + (high - low) * (rest % 16) as u64 / 16;
    match whole {
        0..=32 => between << whole,
        33.. => u64::MAX >> 15,
        _ => between.checked_shr(whole.unsigned_abs()).unwrap_or_default(),
    }
}

/// 2^(x/256), rounded down, to within the same; what has more than 64 bits is held at their most.
#[must_use]
pub fn whole_power(x: i32) -> u64 {
    let (whole, rest) = (x.div_euclid(BIT), x.rem_euclid(BIT));
    let fraction = u128::from(power(rest));
    match whole {
        0..=63 => u64::try_from((fraction << whole) >> 16).unwrap_or(u64::MAX),
        64.. => u64::MAX,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_floating_point_has_it(x in 1..=u64::MAX) {
            let expected = (x as f64).log2() * 256.0;
            prop_assert!((f64::from(log2(x)) - expected).abs() < 1.01, "{}", x);
        }

        #[test]
        fn it_grows(x in any::<u64>(), y in any::<u64>()) {
            let (less, more) = (x.min(y), x.max(y));
            prop_assert!(log2(less) <= log2(more));
        }

        #[test]
        fn whole_power_undoes_it(x in 1..=u64::MAX) {
            let back = whole_power(log2(x)) as f64;
            prop_assert!((back / x as f64 - 1.0).abs() < 0.004 + 1.0 / x as f64, "{}", x);
        }

        #[test]
        fn power_undoes_it(x in -2000..8000_i32) {
            let expected = (f64::from(x) / 256.0).exp2() * 65_536.0;
            prop_assert!((power(x) as f64 - expected).abs() < 2.0 + expected * 0.0005);
        }
    }

    #[test]
    fn ends() {
        assert_eq!((log2(0), log2(1), log2(2), log2(u64::MAX)), (0, 0, 256, 63 * 256 + 255));
        assert_eq!((power(0), power(i32::MIN)), (65_536, 0));
        assert!(power(i32::MAX) > 1 << 48);
        assert_eq!((whole_power(-1), whole_power(0), whole_power(i32::MAX)), (0, 1, u64::MAX));
    }
}
