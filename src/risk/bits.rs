//! Powers and logarithms of two in fixed point, from tables and integer operations alone.
//!
//! A fraction is a `u64` in 2^-32; 1 is 2^32. A number of bits, in the same unit, says how often a
//! fraction is halved: evidence of score s has -log2(1 - s) bits, so that bits *add up* where
//! chances multiply (noisy-or), and a half-life is one bit.

use serde::{Deserialize, Serialize};

use crate::base::score::Ppm;

/// 1 as a fraction.
pub(super) const ONE: u64 = 1 << 32;

/// 2^(-i/64) for i = 0..=64, rounded to the nearest 2^-32.
const POWERS: [u64; 65] = [
    4_294_967_296,
    4_248_701_965,
    4_202_935_003,
    4_157_661_043,
    4_112_874_773,
    4_068_570_940,
    4_024_744_348,
    3_981_389_855,
    3_938_502_376,
    3_896_076_880,
    3_854_108_391,
    3_812_591_987,
    3_771_522_796,
    3_730_896_002,
    3_690_706_840,
    3_650_950_594,
    3_611_622_603,
    3_572_718_252,
    3_534_232_978,
    3_496_162_267,
    3_458_501_653,
    3_421_246_719,
    3_384_393_094,
    3_347_936_457,
    3_311_872_529,
    3_276_197_082,
    3_240_905_930,
    3_205_994_934,
    3_171_459_999,
    3_137_297_074,
    3_103_502_151,
    3_070_071_267,
    3_037_000_500,
    3_004_285_971,
    2_971_923_842,
    2_939_910_317,
    2_908_241_642,
    2_876_914_102,
    2_845_924_021,
    2_815_267_765,
    2_784_941_738,
    2_754_942_382,
    2_725_266_179,
    2_695_909_648,
    2_666_869_345,
    2_638_141_863,
    2_609_723_834,
    2_581_611_923,
    2_553_802_834,
    2_526_293_303,
    2_499_080_105,
    2_472_160_047,
    2_445_529_972,
    2_419_186_755,
    2_393_127_307,
    2_367_348_571,
    2_341_847_524,
    2_316_621_173,
    2_291_666_561,
    2_266_980_759,
    2_242_560_872,
    2_218_404_036,
    2_194_507_417,
    2_170_868_212,
    2_147_483_648,
];

/// 2^(-i/4096) for i = 0..=64, likewise: what lies between two entries of [`POWERS`].
const FINE: [u64; 65] = [
    4_294_967_296,
    4_294_240_540,
    4_293_513_907,
    4_292_787_397,
    4_292_061_010,
    4_291_334_746,
    4_290_608_604,
    4_289_882_586,
    4_289_156_690,
    4_288_430_917,
    4_287_705_267,
    4_286_979_740,
    4_286_254_336,
    4_285_529_054,
    4_284_803_895,
    4_284_078_859,
    4_283_353_945,
    4_282_629_154,
    4_281_904_486,
    4_281_179_941,
    4_280_455_518,
    4_279_731_217,
    4_279_007_039,
    4_278_282_984,
    4_277_559_051,
    4_276_835_241,
    4_276_111_553,
    4_275_387_987,
    4_274_664_544,
    4_273_941_224,
    4_273_218_026,
    4_272_494_950,
    4_271_771_996,
    4_271_049_165,
    4_270_326_457,
    4_269_603_870,
    4_268_881_406,
    4_268_159_064,
    4_267_436_844,
    4_266_714_747,
    4_265_992_771,
    4_265_270_918,
    4_264_549_187,
    4_263_827_578,
    4_263_106_091,
    4_262_384_726,
    4_261_663_484,
    4_260_942_363,
    4_260_221_365,
    4_259_500_488,
    4_258_779_733,
    4_258_059_101,
    4_257_338_590,
    4_256_618_201,
    4_255_897_934,
    4_255_177_789,
    4_254_457_766,
    4_253_737_865,
    4_253_018_085,
    4_252_298_427,
    4_251_578_891,
    4_250_859_477,
    4_250_140_185,
    4_249_421_014,
    4_248_701_965,
];

/// How much a score says, in 2^-32 bits: -log2(1 - score).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bits(u64);

impl Bits {
    /// Certainty: more bits than any fraction has.
    const CERTAIN: Self = Self(64 << 32);

    /// The bits of a score.
    #[must_use]
    pub fn of(score: Ppm) -> Self {
        let rest = u64::from(Ppm::ONE.get() - score.get());
        if rest == 0 {
            return Self::CERTAIN;
        }
        // rest / 10^6 as a mantissa in [1, 2) with 31 bits behind the point, and an exponent.
        let fraction = u128::from(rest) << 95;
        let fraction = fraction / 1_000_000;
        let shift = fraction.leading_zeros();
        let mut mantissa = (fraction << shift) >> 96;
        // 2^95 stands for 1, so a top bit at place 95 is exponent 0.
        let halvings = u64::from(shift) - 32;
        // log2 of the mantissa, bit by bit: squaring doubles the logarithm.
        let mut log = 0_u64;
        for bit in (0..32).rev() {
            mantissa = (mantissa * mantissa) >> 31;
            if mantissa >> 32 != 0 {
                log |= 1 << bit;
                mantissa >>= 1;
            }
        }
        Self((halvings << 32) - log)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::CERTAIN.0))
    }

    /// What `self` says beyond `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The score that has these bits, as a fraction: 1 - 2^-bits.
    pub(super) fn fraction(self) -> u64 {
        ONE - halved(ONE, self.0)
    }
}

/// `fraction` times 2^-bits, rounded down.
pub(super) fn halved(fraction: u64, bits: u64) -> u64 {
    let whole = bits >> 32;
    if whole >= 64 {
        return 0;
    }
    let rest = bits & (ONE - 1);
    let (index, fine) = ((rest >> 26) as usize, (rest >> 20 & 63) as usize);
    let within = rest & ((1 << 20) - 1);
    // Between two fine entries by a straight line: at most 4e-9 too high.
    let (high, low) = (FINE[fine], FINE[fine + 1]);
    let between = high - (((high - low) * within) >> 20);
    let power = ((u128::from(POWERS[index]) * u128::from(between)) >> 32) as u64;
    ((u128::from(fraction) * u128::from(power)) >> 32 >> whole) as u64
}

/// `fraction` after `elapsed` of something that halves every `half_life`.
pub(super) fn decayed(fraction: u64, elapsed: u64, half_life: u64) -> u64 {
    if elapsed == 0 {
        return fraction;
    }
    if elapsed < ONE {
        // An hour and more: most decays, and a division that is cheap.
        return halved(fraction, (elapsed << 32) / half_life.max(1));
    }
    let bits = (u128::from(elapsed) << 32) / u128::from(half_life.max(1));
    halved(fraction, u64::try_from(bits).unwrap_or(u64::MAX))
}

/// A fraction as a score, rounded to the nearest part per million. What is more than 1, as a
/// damaged state may have it, is 1.
pub(super) fn to_ppm(fraction: u64) -> Ppm {
    Ppm::new(((fraction.min(ONE) * 1_000_000 + (ONE >> 1)) >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fraction_is_at_most_one() {
        assert_eq!([0, ONE, u64::MAX].map(to_ppm), [0, 1_000_000, 1_000_000].map(Ppm::new));
    }

    proptest! {
        #[test]
        fn bits_are_logarithms(ppm in 0..1_000_000_u32) {
            let expected = -(1.0 - f64::from(ppm) / 1e6).log2();
            let found = Bits::of(Ppm::new(ppm)).0 as f64 / ONE as f64;
            prop_assert!((found - expected).abs() < 1e-6, "{} {}", found, expected);
        }

        #[test]
        fn scores_survive(ppm in 0..=1_000_000_u32) {
            let back = to_ppm(Bits::of(Ppm::new(ppm)).fraction()).get();
            prop_assert_eq!(back, ppm);
        }

        #[test]
        fn halving_never_grows(fraction in 0..=ONE, a in any::<u64>(), b in any::<u64>()) {
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(halved(fraction, more) <= halved(fraction, less));
            prop_assert!(halved(fraction, less) <= fraction);
        }

        #[test]
        fn decay_composes(
            fraction in 0..=ONE,
            a in 0..100_000_000_000_u64,
            b in 0..100_000_000_000_u64,
            half_life in 60_000_000..100_000_000_000_u64,
        ) {
            let twice = decayed(decayed(fraction, a, half_life), b, half_life);
            let once = decayed(fraction, a + b, half_life);
            prop_assert!(twice.abs_diff(once) <= 40, "{} {}", twice, once);
        }

        #[test]
        fn half_lives(fraction in 0..=ONE, lives in 0..40_u64, half_life in 1..100_000_u64) {
            prop_assert_eq!(decayed(fraction, lives * half_life, half_life), fraction >> lives);
        }
    }

    #[test]
    fn certainty_is_one() {
        assert_eq!(to_ppm(Bits::of(Ppm::ONE).fraction()), Ppm::ONE);
        assert_eq!(Bits::of(Ppm::new(0)).fraction(), 0);
    }
}
