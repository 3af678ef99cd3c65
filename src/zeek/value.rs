//! Reads one value of a known type.

use crate::base::time::{SECOND, Time};

/// Decimal digits, up to 2^64 - 1.
#[inline]
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    if text.len() > 19 {
        return long_count(text);
    }
    // Nineteen digits cannot overflow, so one look at the worst digit is all the checking.
    let (value, worst) = digits(text);
    (worst <= 9 && !text.is_empty()).then_some(value)
}

/// The number that up to nineteen digits make, and the greatest of what should be digits.
#[inline]
fn digits(text: &[u8]) -> (u64, u8) {
    let (mut value, mut worst) = (0_u64, 0_u8);
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        worst = worst.max(digit);
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (value, worst)
}

fn long_count(text: &[u8]) -> Option<u64> {
    let is_number = text.len() == 20 && text.iter().all(u8::is_ascii_digit);
    if is_number { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
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

/// A time as TSV has it.
#[inline]
#[must_use]
pub fn time(text: &[u8]) -> Option<i64> {
    Some(Time::new(seconds(text)?)?.0)
}

/// Seconds with a fraction, in microseconds.
///
/// Six decimals, as Zeek's TSV always has, and up to twelve digits before the point are read
/// without a check of the range; everything else by [`Time::parse_seconds`].
#[inline]
#[must_use]
pub fn seconds(text: &[u8]) -> Option<i64> {
    if let Some((whole, fraction)) = text.split_last_chunk::<7>()
        && fraction[0] == b'.'
        && (1..=12).contains(&whole.len())
    {
        let (seconds, worst_whole) = digits(whole);
        let (micros, worst_fraction) = digits(&fraction[1..]);
        if worst_whole.max(worst_fraction) <= 9 {
            return Some((seconds * SECOND.unsigned_abs() + micros).cast_signed());
        }
    }
    Time::parse_seconds(text)
}

/// A number of JSON that counts seconds, in microseconds, rounded as Zeek's TSV writer rounds it
/// (`%.6f`), so that both forms of a record give the same time.
#[must_use]
pub fn json_seconds(token: &[u8]) -> Option<i64> {
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
    let run = |from: usize| {
        let digits = text[from..].iter().take_while(|byte| byte.is_ascii_digit());
        from + digits.count()
    };
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
