//! The crate's only `unsafe`: calls of SSE2 intrinsics, which Rust takes for unsafe although every
//! x86_64 has them.
//!
//! Nothing here touches memory by pointer: vectors are made from byte arrays. What the functions
//! return is held to the plain code of `split` by a property test there.

#![expect(unsafe_code, reason = "intrinsics of a target feature that x86_64 always has")]

use std::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128,
    _mm_set_epi64x, _mm_set1_epi8,
};

use super::split::Masks;

/// Bit i of each mask: is byte i of `block` a delimiter, a line end, special?
#[inline]
pub(super) fn masks(block: &[u8; 64], separator: u8) -> Masks {
    // SAFETY: SSE2 belongs to the x86_64 baseline, so the processor has it.
    unsafe { masks_sse2(block, separator) }
}

/// Bit i: is byte i of `block` a `"`, a `\` or a control byte?
#[inline]
pub(super) fn string_stops(block: &[u8; 16]) -> u32 {
    // SAFETY: SSE2 belongs to the x86_64 baseline, so the processor has it.
    unsafe { string_stops_sse2(block) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load(bytes: &[u8; 16]) -> __m128i {
    let bits = u128::from_le_bytes(*bytes);
    _mm_set_epi64x((bits >> 64) as i64, bits as i64)
}

#[inline]
#[target_feature(enable = "sse2")]
fn bits(vector: __m128i) -> u64 {
    u64::from(_mm_movemask_epi8(vector).cast_unsigned())
}

#[inline]
#[target_feature(enable = "sse2")]
fn masks_sse2(block: &[u8; 64], separator: u8) -> Masks {
    let separator = _mm_set1_epi8(separator.cast_signed());
    let line_end = _mm_set1_epi8(b'\n'.cast_signed());
    let quote = _mm_set1_epi8(b'"'.cast_signed());
    let backslash = _mm_set1_epi8(b'\\'.cast_signed());
    let space = _mm_set1_epi8(b' '.cast_signed());
    let mut masks = Masks { delimiter: 0, line_end: 0, special: 0 };
    for (index, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
        let shift = index * 16;
        let bytes = load(bytes);
        let ends = bits(_mm_cmpeq_epi8(bytes, line_end));
        let delimiters = ends | bits(_mm_cmpeq_epi8(bytes, separator));
        // Signed: bytes beyond ASCII are negative, and so below a space as well.
        let outside = _mm_cmplt_epi8(bytes, space);
        let escaped = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        let special = bits(_mm_or_si128(outside, escaped)) & !delimiters;
        masks.delimiter |= delimiters << shift;
        masks.line_end |= ends << shift;
        masks.special |= special << shift;
    }
    masks
}

#[inline]
#[target_feature(enable = "sse2")]
fn string_stops_sse2(block: &[u8; 16]) -> u32 {
    let bytes = load(block);
    let last_control = _mm_set1_epi8(0x1f);
    // Unsigned `byte <= 0x1f`: SSE2 has no unsigned comparison, but a maximum.
    let control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
    let stops = _mm_or_si128(control, _mm_or_si128(quote, backslash));
    _mm_movemask_epi8(stops).cast_unsigned()
}
