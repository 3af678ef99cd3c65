//! Random numbers that are the same on every machine: integers only, from a seed of words.
//!
//! Not here: what is drawn with them.

use super::scenario::Range;

/// A stream of random numbers (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of these words.
    pub(crate) fn new(words: &[&str]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for word in words {
            for &byte in word.as_bytes().iter().chain(&[0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(hash)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number of the range: each doubling is as likely as the others, as sizes and times of
    /// connections are.
    pub(super) fn range(&mut self, range: Range) -> u64 {
        let (low, end) = (log(range.low + 1), log(range.high + 2));
        let drawn = unlog(low + self.below(end - low)) - 1;
        drawn.clamp(range.low, range.high)
    }

    /// Normal, of mean 0 and a standard deviation of 65536: the sum of twelve even ones.
    pub(crate) fn normal(&mut self) -> i64 {
        (0..12).map(|_| self.below(1 << 16) as i64 - (1 << 15)).sum()
    }

    /// A factor in 65536ths, log-normal about 1, with a standard deviation of so many 65536ths of a
    /// doubling.
    pub(crate) fn factor(&mut self, spread: i64) -> u64 {
        let bits = (16 << 16) + ((self.normal() * spread) >> 16).clamp(-(8 << 16), 8 << 16);
        unlog(bits.unsigned_abs())
    }
}

/// The logarithm to base 2 in 1/65536, straight between powers of two.
fn log(number: u64) -> u64 {
    let whole = u64::from(number.ilog2());
    let fraction = (u128::from(number) << 16 >> whole) as u64 - (1 << 16);
    (whole << 16) + fraction
}

fn unlog(log: u64) -> u64 {
    let mantissa = u128::from((1 << 16) + (log & 0xffff));
    ((mantissa << (log >> 16)) >> 16) as u64
}
