//! Reads one value of a known type.

use std::ops::Range;

use crate::base::time::{SECOND, Time};

/// Decimal digits, up to 2^64 - 1.
#[inline]
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    count_in(text, 0..text.len())
}

/// The same for the digits at `range` of `bytes`, eight at a time where eight bytes end there.
#[inline]
#[must_use]
pub fn count_in(bytes: &[u8], range: Range<usize>) -> Option<u64> {
    match range.len() {
        len @ 1..=8 => eight(bytes, range.end, len),
        len @ 9..=16 => {
            let low = eight(bytes, range.end, 8)?;
            Some(eight(bytes, range.end - 8, len - 8)? * 100_000_000 + low)
        }
        _ => each(&bytes[range]),
    }
}

/// A port at `range` of `bytes`.
#[inline]
#[must_use]
pub fn port_in(bytes: &[u8], range: Range<usize>) -> Option<u64> {
    count_in(bytes, range).filter(|&port| port <= 65_535)
}

/// The number that the `len` digits, one to eight, before `end` make.
///
/// All of them at once in one word: neighbours become numbers below 100, those numbers below
/// 10,000 and so on (Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn eight(bytes: &[u8], end: usize, len: usize) -> Option<u64> {
    let Some(word) = bytes[..end].last_chunk::<8>() else { return each(&bytes[end - len..end]) };
    let others = 64 - 8 * len as u32;
    let digits = (u64::from_le_bytes(*word) ^ ZEROS) >> others << others;
    if above_nine(digits) != 0 {
        return None;
    }
    let pairs = digits * 10 + (digits >> 8);
    let (even, odd) = (pairs & 0xff_0000_00ff, pairs >> 16 & 0xff_0000_00ff);
    let even = even.wrapping_mul(100 + (1_000_000 << 32));
    let odd = odd.wrapping_mul(1 + (10_000 << 32));
    Some(even.wrapping_add(odd) >> 32)
}

/// Where the digits end that stand in `text` at `from`.
#[inline]
fn digits_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = text[at..].first_chunk::<8>() {
        // A byte below the first that is no digit carries nothing into it.
        let others = above_nine(u64::from_le_bytes(*word) ^ ZEROS);
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The high bit of the bytes that are above nine, up to the first of them; others may follow it.
#[inline]
const fn above_nine(digits: u64) -> u64 {
    (digits.wrapping_add(u64::from_le_bytes([0x76; 8])) | digits) & u64::from_le_bytes([0x80; 8])
}

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Any number of digits, one at a time.
fn each(digits: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let mut value = digit(digits.first()?)?;
    for byte in &digits[1..] {
        value = value.checked_mul(10)?.checked_add(digit(byte)?)?;
    }
    Some(value)
}

/// Zeek's `T` and `F`; its reader takes `1` and `0` too, JSON has `true` and `false`.
#[must_use]
pub fn flag(text: &[u8]) -> Option<bool> {
    match text {
        b"T" | b"true" | b"1" => Some(true),
        b"F" | b"false" | b"0" => Some(false),
        _ => None,
    }
}

/// A time as TSV has it, at `range` of `bytes`.
#[inline]
#[must_use]
pub fn time_in(bytes: &[u8], range: Range<usize>) -> Option<i64> {
    Some(Time::new(seconds_in(bytes, range)?)?.0)
}

/// Seconds with a fraction, in microseconds.
#[inline]
#[must_use]
pub fn seconds(text: &[u8]) -> Option<i64> {
    seconds_in(text, 0..text.len())
}

/// The same for the text at `range` of `bytes`.
///
/// Six decimals, as Zeek's TSV always has, and up to twelve digits before the point are read
/// without a check of the range; everything else by [`Time::parse_seconds`].
#[inline]
#[must_use]
pub fn seconds_in(bytes: &[u8], range: Range<usize>) -> Option<i64> {
    six_decimals(bytes, range.clone()).or_else(|| Time::parse_seconds(&bytes[range]))
}

#[inline]
fn six_decimals(bytes: &[u8], range: Range<usize>) -> Option<i64> {
    if !(8..=19).contains(&range.len()) || bytes[range.end - 7] != b'.' {
        return None;
    }
    let whole = count_in(bytes, range.start..range.end - 7)?;
    let micros = eight(bytes, range.end, 6)?;
    Some((whole * SECOND.unsigned_abs() + micros).cast_signed())
}

/// A number of JSON that counts seconds, in microseconds, rounded as Zeek's TSV writer rounds it
/// (`%.6f`), so that both forms of a record give the same time.
#[must_use]
pub fn json_seconds(token: &[u8]) -> Option<i64> {
    json_seconds_in(token, 0..token.len())
}

/// The same for the token at `range` of `bytes`.
#[inline]
#[must_use]
pub fn json_seconds_in(bytes: &[u8], range: Range<usize>) -> Option<i64> {
    six_decimals(bytes, range.clone()).or_else(|| any_json_seconds(&bytes[range]))
}

fn any_json_seconds(token: &[u8]) -> Option<i64> {
    let decimals = memchr::memchr(b'.', token).map_or(0, |at| token.len() - at - 1);
    let is_tie = decimals == 7 && token.ends_with(b"5");
    let has_exponent = token.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if !is_tie && !has_exponent {
        return seconds(token);
    }
    // The digits are the shortest that name a double; which way `%.6f` rounds a tie, or what an
    // exponent stands for, only the double itself tells.
    let value: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    if !value.is_finite() || value.abs() > 9e12 {
        return None;
    }
    let mut text = [0_u8; 32];
    let mut rest = text.as_mut_slice();
    std::io::Write::write_fmt(&mut rest, format_args!("{value:.6}")).ok()?;
    let unused = rest.len();
    seconds(&text[..text.len() - unused])
}

/// A number of JSON that is a time: seconds, or milliseconds where it is too large for seconds
/// (`TS_MILLIS`; before Zeek 8.0 unsigned, so that times before 1970 wrapped around).
#[must_use]
pub fn json_time(token: &[u8]) -> Option<i64> {
    json_time_in(token, 0..token.len())
}

/// The same for the token at `range` of `bytes`.
#[inline]
#[must_use]
pub fn json_time_in(bytes: &[u8], range: Range<usize>) -> Option<i64> {
    // Eleven digits before the point are no milliseconds.
    match six_decimals(bytes, range.clone()) {
        Some(micros) if range.len() <= 11 + 7 => Some(Time::new(micros)?.0),
        _ => any_json_time(&bytes[range]),
    }
}

fn any_json_time(token: &[u8]) -> Option<i64> {
    const SECONDS_MAX: i128 = 100_000_000_000;
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if digits.len() >= 12 && digits.iter().all(u8::is_ascii_digit) && digits.len() <= 20 {
        let magnitude = i128::from(count(digits)?);
        let millis = match token.len() == digits.len() {
            true if magnitude > i128::from(i64::MAX) => magnitude - (1 << 64),
            true => magnitude,
            false => -magnitude,
        };
        if millis.abs() > SECONDS_MAX || magnitude > i128::from(i64::MAX) {
            return Some(Time::new(i64::try_from(millis * i128::from(SECOND / 1000)).ok()?)?.0);
        }
    }
    if digits.len() >= 14
        && let Some(millis) = json_seconds(token)
        && i128::from(millis).abs() > SECONDS_MAX * i128::from(SECOND)
    {
        return Some(Time::new(millis / 1000)?.0);
    }
    Some(Time::new(json_seconds(token)?)?.0)
}

/// Whether `token` is a number of JSON (RFC 8259), so that it may be copied as it stands.
#[inline]
#[must_use]
pub fn is_json_number(token: &[u8]) -> bool {
    json_number(token) == Some(token.len())
}

/// The length of the number of JSON that `text` begins with.
#[inline]
#[must_use]
pub fn json_number(text: &[u8]) -> Option<usize> {
    let run = |from: usize| digits_end(text, from);
    let start = usize::from(text.first() == Some(&b'-'));
    let mut at = run(start);
    if at == start || (at > start + 1 && text[start] == b'0') {
        return None;
    }
    if text.get(at) == Some(&b'.') {
        let end = run(at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let end = run(at + 1 + sign);
        if end == at + 1 + sign {
            return None;
        }
        at = end;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_time(token: &str, expected: &str) {
        let found = json_time(token.as_bytes()).map(Time);
        assert_eq!(found.map_or_else(|| "none".to_owned(), |t| t.to_string()), expected, "{token}");
    }

    #[test]
    fn json_times() {
        check_time("1591367999.305988", "2020-06-05T14:39:59.305988Z");
        check_time("1591367999305", "2020-06-05T14:39:59.305000Z");
        check_time("1591367999305.5", "2020-06-05T14:39:59.305500Z");
        check_time("-0.000001", "1969-12-31T23:59:59.999999Z");
        check_time("-1591367999305", "1919-07-29T09:20:00.695000Z");
        check_time("18446744073709551615", "1969-12-31T23:59:59.999000Z");
        check_time("1.591367999305988e9", "2020-06-05T14:39:59.305988Z");
        check_time("1e999", "none");
        check_time("99999999999999999999999", "none");
    }

    #[test]
    fn counts() {
        assert_eq!(count(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(count(b"18446744073709551616"), None);
        assert_eq!(count(b""), None);
        assert_eq!(count(b"-1"), None);
        assert_eq!(count(b"1.0"), None);
    }

    proptest! {
        #[test]
        fn counts_as_the_standard_library(
            before in "[0-9 ]{0,9}",
            text in "[0-9]{0,21}|[0-9]{0,9}.[0-9]{0,9}|\\PC{0,20}",
            after in "[0-9 ]{0,3}",
        ) {
            let line = format!("{before}{text}{after}");
            let found = count_in(line.as_bytes(), before.len()..before.len() + text.len());
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(found, text.parse().ok().filter(|_| is_number));
            prop_assert_eq!(count(text.as_bytes()), found);
        }

        #[test]
        fn seconds_as_the_slow_path(text in "-?[0-9]{0,12}\\.?[0-9]{0,9}|[0-9]{10}\\.[0-9]{6}|\\PC{0,17}") {
            prop_assert_eq!(seconds(text.as_bytes()), Time::parse_seconds(text.as_bytes()));
        }

        #[test]
        fn json_and_tsv_round_alike(value in 0.0..2e9_f64) {
            let tsv = format!("{value:.6}");
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(json_seconds(json.as_bytes()), seconds(tsv.as_bytes()), "{} {}", tsv, json);
        }

        #[test]
        fn numbers_as_serde(text in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?|\\PC{0,6}") {
            let trimmed = text.trim() == text;
            let serde = serde_json::from_str::<serde_json::Number>(&text).is_ok();
            // serde_json refuses numbers beyond a double; the grammar does not.
            if trimmed && !text.contains(['e', 'E']) {
                prop_assert_eq!(is_json_number(text.as_bytes()), serde, "{}", text);
            } else if serde && trimmed {
                prop_assert!(is_json_number(text.as_bytes()), "{}", text);
            }
        }
    }
}
