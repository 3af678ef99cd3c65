//! Durations and sizes as people write them.
//!
//! Here belong reading and writing `"5m"` and `"64KiB"`. Ranges and wording of mistakes do not.

use crate::base::keys::{KIB, MIB};
use crate::base::time::{DAY, HOUR, MINUTE, SECOND};

/// From small to large, as the writers need them.
const TIMES: &[(&str, i64)] =
    &[("ms", 1_000), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", 1024 * MIB)];

/// Microseconds of a text such as `90s`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (count, unit) = split(text)?;
    let (_, us) = TIMES.iter().find(|(name, _)| *name == unit)?;
    i64::try_from(count).ok()?.checked_mul(*us)
}

/// Bytes of a text such as `64KiB`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let (count, unit) = split(text)?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    count.checked_mul(*bytes)
}

/// The duration in the largest unit that divides it.
pub(super) fn show_duration(us: i64) -> String {
    let unit = TIMES.iter().rev().find(|(_, each)| us != 0 && us % each == 0);
    match unit {
        Some((name, each)) => format!("{}{name}", us / each),
        None if us == 0 => "0s".to_owned(),
        None => format!("{us}us"),
    }
}

/// The size in the largest unit that divides it.
pub(super) fn show_bytes(bytes: u64) -> String {
    let unit = SIZES.iter().rev().find(|(_, each)| bytes != 0 && bytes.is_multiple_of(*each));
    match unit {
        Some((name, each)) => format!("{}{name}", bytes / each),
        None => "0B".to_owned(),
    }
}

/// Splits `90s` into 90 and `s`; there is no sign, no fraction and no blank.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at_checked(digits)?;
    Some((count.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, parse_duration, show_bytes, show_duration};

    #[test]
    fn durations_round_trip() {
        for text in ["250ms", "90s", "5m", "36h", "7d", "0s"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["", "5", "m", "-5m", "1.5h", "5 m", "5M", "9223372036854775807d", "٣s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_round_trip() {
        for text in ["512B", "64KiB", "1MiB", "3GiB", "0B"] {
            assert_eq!(parse_bytes(text).map(show_bytes).as_deref(), Some(text));
        }
        for text in ["", "64", "64kB", "64K", "18446744073709551615GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
