//! Finds separators and line ends in a chunk of TSV, sixteen bytes at a time.
//!
//! The vector path (`sse2`, the crate's only `unsafe`) is for x86_64; other machines take the plain
//! path, and a property test holds the two together.

#[cfg(target_arch = "x86_64")]
use super::sse2;

/// Set in a mark that ends a line.
pub const LINE_END: u32 = 1 << 31;
/// Set in a mark that ends a line with a byte that JSON strings cannot hold as it is: a control
/// byte, `"`, `\`, or anything beyond ASCII.
pub const SPECIAL: u32 = 1 << 30;
/// The position in a mark.
pub const POSITION: u32 = SPECIAL - 1;

/// The most bytes that one call looks at: positions have thirty bits.
pub const CHUNK_MAX: usize = POSITION as usize;

/// Appends to `marks` the position of each `separator` and each line end of the complete lines at
/// the start of `chunk`, at most `lines_max` of them, and returns how many bytes those lines take.
pub fn split(chunk: &[u8], separator: u8, lines_max: usize, marks: &mut Vec<u32>) -> usize {
    let chunk = chunk.get(..CHUNK_MAX).unwrap_or(chunk);
    #[cfg(target_arch = "x86_64")]
    let masks = |block: &[u8; 64]| sse2::masks(block, separator);
    #[cfg(not(target_arch = "x86_64"))]
    let masks = |block: &[u8; 64]| masks_plain(block, separator);
    split_by(chunk, lines_max, marks, masks)
}

/// The same without vector instructions: the reference of the property test.
pub fn split_plain(chunk: &[u8], separator: u8, lines_max: usize, marks: &mut Vec<u32>) -> usize {
    let chunk = chunk.get(..CHUNK_MAX).unwrap_or(chunk);
    split_by(chunk, lines_max, marks, |block| masks_plain(block, separator))
}

/// Bit i of each: is byte i a delimiter, a line end, special?
pub(super) struct Masks {
    pub(super) delimiter: u64,
    pub(super) line_end: u64,
    pub(super) special: u64,
}

fn split_by(
    chunk: &[u8],
    lines_max: usize,
    marks: &mut Vec<u32>,
    masks: impl Fn(&[u8; 64]) -> Masks,
) -> usize {
    let mut lines = 0;
    let mut covered = 0;
    let mut kept = marks.len();
    let mut is_special = false;
    let (blocks, tail) = chunk.as_chunks::<64>();
    let mut last = [b' '; 64];
    last[..tail.len()].copy_from_slice(tail);
    for (index, block) in blocks.iter().chain(std::iter::once(&last)).enumerate() {
        let base = index as u32 * 64;
        let Masks { mut delimiter, line_end, mut special } = masks(block);
        marks.reserve(64);
        while delimiter != 0 {
            let bit = delimiter.trailing_zeros();
            delimiter &= delimiter - 1;
            if line_end >> bit & 1 == 0 {
                marks.push(base + bit);
                continue;
            }
            let below = (1_u64 << bit) - 1;
            is_special |= special & below != 0;
            special &= !below;
            marks.push((base + bit) | LINE_END | if is_special { SPECIAL } else { 0 });
            is_special = false;
            covered = (base + bit + 1) as usize;
            kept = marks.len();
            lines += 1;
            if lines == lines_max {
                return covered;
            }
        }
        is_special |= special != 0;
    }
    marks.truncate(kept);
    covered
}

fn masks_plain(block: &[u8; 64], separator: u8) -> Masks {
    let mut masks = Masks { delimiter: 0, line_end: 0, special: 0 };
    for (bit, &byte) in block.iter().enumerate() {
        let is_line_end = byte == b'\n';
        let is_delimiter = is_line_end || byte == separator;
        let is_special =
            !is_delimiter && (!(b' '..0x80).contains(&byte) || byte == b'"' || byte == b'\\');
        masks.delimiter |= u64::from(is_delimiter) << bit;
        masks.line_end |= u64::from(is_line_end) << bit;
        masks.special |= u64::from(is_special) << bit;
    }
    masks
}

/// The first byte of `bytes` that ends or bends a JSON string: `"`, `\` or a control byte; its
/// length where there is none.
#[inline]
#[must_use]
pub fn string_stop(bytes: &[u8]) -> usize {
    let stops = |byte: u8| byte == b'"' || byte == b'\\' || byte < b' ';
    #[cfg(target_arch = "x86_64")]
    {
        let (blocks, tail) = bytes.as_chunks::<16>();
        for (index, block) in blocks.iter().enumerate() {
            let mask = sse2::string_stops(block);
            if mask != 0 {
                return index * 16 + mask.trailing_zeros() as usize;
            }
        }
        let at = tail.iter().position(|&byte| stops(byte)).unwrap_or(tail.len());
        blocks.len() * 16 + at
    }
    #[cfg(not(target_arch = "x86_64"))]
    bytes.iter().position(|&byte| stops(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => Just(b'\t'), 2 => Just(b'\n'), 1 => Just(b'"'), 1 => Just(b'\\'), 8 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn vector_and_plain_agree(
            chunk in bytes(),
            separator in any::<u8>(),
            lines_max in 1..9_usize,
        ) {
            let (mut fast, mut plain) = (vec![7], vec![7]);
            let covered = split(&chunk, separator, lines_max, &mut fast);
            prop_assert_eq!(covered, split_plain(&chunk, separator, lines_max, &mut plain));
            prop_assert_eq!(fast, plain);
        }

        #[test]
        fn marks_are_what_they_say(chunk in bytes(), lines_max in 1..9_usize) {
            let mut marks = Vec::new();
            let covered = split(&chunk, b'\t', lines_max, &mut marks);
            let lines: Vec<&[u8]> = chunk.split_inclusive(|&byte| byte == b'\n')
                .filter(|line| line.ends_with(b"\n")).take(lines_max).collect();
            prop_assert_eq!(covered, lines.iter().map(|line| line.len()).sum::<usize>());
            let mut expected = Vec::new();
            let mut start = 0;
            for line in lines {
                let special = line.iter().any(|&b| !matches!(b, b'\t' | b'\n')
                    && (!(32..128).contains(&b) || b == b'"' || b == b'\\'));
                for (at, &byte) in line.iter().enumerate() {
                    let flags = if byte == b'\n' && special { LINE_END | SPECIAL }
                        else if byte == b'\n' { LINE_END } else { 0 };
                    if matches!(byte, b'\t' | b'\n') { expected.push((start + at) as u32 | flags); }
                }
                start += line.len();
            }
            prop_assert_eq!(marks, expected);
        }

        #[test]
        fn string_stops_are_found(chunk in bytes()) {
            let expected = chunk.iter().position(|&b| b == b'"' || b == b'\\' || b < 32);
            prop_assert_eq!(string_stop(&chunk), expected.unwrap_or(chunk.len()));
        }
    }
}
