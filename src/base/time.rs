//! Event time: microseconds since 1970-01-01 UTC, read from and written as text.
//!
//! Not here: the wall clock. Nothing in this crate asks what time it is but a progress bar.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant, in microseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "i64")]
pub struct Time(pub i64);

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: the years that four digits can write.
/// Times beyond them are refused where they are read.
const FIRST: i64 = -62_135_596_800 * SECOND;
const LAST: i64 = 253_402_300_800 * SECOND - 1;

/// A year on both sides of all times: what a saved time, which may be the end of something, is
/// held to, so that nobody who calculates with it meets an overflow.
const SAVED: std::ops::RangeInclusive<i64> = FIRST - 366 * DAY..=LAST + 366 * DAY;

/// What was saved as a time, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time that there is not")]
pub struct NoTime;

impl Time {
    /// The least time there is: before every record.
    pub const MIN: Self = Self(FIRST);
    /// The greatest time there is.
    pub const MAX: Self = Self(LAST);

    /// `micros` since 1970, if its year has four digits.
    #[must_use]
    pub const fn new(micros: i64) -> Option<Self> {
        if micros >= FIRST && micros <= LAST { Some(Self(micros)) } else { None }
    }

    /// This plus `micros`, held inside the range.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(FIRST, LAST))
    }

    /// The start of the `length`-microsecond interval that holds this time.
    #[must_use]
    pub const fn floor(self, length: i64) -> Self {
        Self(self.0.div_euclid(length) * length)
    }

    /// The minute that holds this time.
    #[must_use]
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(MINUTE))
    }

    /// Seconds with six decimals, as Zeek writes a `time` and an `interval`: `1521911720.865716`.
    ///
    /// Fewer decimals and none are read too; more are rounded half up to the microsecond.
    #[must_use]
    pub fn parse_seconds(text: &[u8]) -> Option<i64> {
        let (negative, digits) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        let mut seconds = 0_i64;
        let mut at = 0;
        while at < digits.len() && digits[at].is_ascii_digit() {
            seconds = seconds.checked_mul(10)?.checked_add(i64::from(digits[at] - b'0'))?;
            at += 1;
        }
        if at == 0 {
            return None;
        }
        let fraction = match digits.get(at) {
            None => 0,
            Some(b'.') => decimals(&digits[at + 1..])?,
            Some(_) => return None,
        };
        let micros = seconds.checked_mul(SECOND)?.checked_add(fraction)?;
        Some(if negative { -micros } else { micros })
    }

    /// `2018-03-24T17:15:20.865716Z`, also with an offset such as `+01:00`, a space for the `T`, or
    /// no fraction.
    ///
    /// Zeek writes seven digits, `.1000000`, where the fraction rounds up to a whole second
    /// (JSON.cc, `%06.0f`): that is one second more.
    #[must_use]
    pub fn parse_iso(text: &[u8]) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<i64> {
            text.get(from..to)?.iter().try_fold(0, |n, byte| {
                byte.is_ascii_digit().then(|| n * 10 + i64::from(byte - b'0'))
            })
        };
        let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
        if !(is(4, b'-')
            && is(7, b'-')
            && (is(10, b'T') || is(10, b' '))
            && is(13, b':')
            && is(16, b':'))
        {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut rest = text.get(19..)?;
        let mut fraction = 0;
        if let Some((b'.', tail)) = rest.split_first() {
            let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (found, after) = tail.split_at(digits);
            fraction = if found == b"1000000" { SECOND } else { decimals(found)? };
            rest = after;
        }
        let days = days_from_civil(year, month, day)?;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds(rest)?;
        Self::new(seconds.checked_mul(SECOND)?.checked_add(fraction)?)
    }

    /// Appends `2018-03-24T17:15:20.865716Z`.
    pub fn write(self, out: &mut Vec<u8>) {
        let days = self.0.div_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        let micros = self.0.rem_euclid(DAY) as u64;
        let second = micros / 1_000_000;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text[0..4], year.unsigned_abs());
        put(&mut text[5..7], month.unsigned_abs());
        put(&mut text[8..10], day.unsigned_abs());
        put(&mut text[11..13], second / 3600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        put(&mut text[20..26], micros % 1_000_000);
        out.extend_from_slice(&text);
    }

    /// Appends seconds with six decimals, as Zeek's TSV does.
    pub fn write_seconds(self, out: &mut Vec<u8>) {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        out.extend_from_slice(text.as_bytes());
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(27);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl TryFrom<i64> for Time {
    type Error = NoTime;

    fn try_from(micros: i64) -> Result<Self, NoTime> {
        if SAVED.contains(&micros) { Ok(Self(micros)) } else { Err(NoTime) }
    }
}

/// A minute of event time, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Minute(pub i64);

impl TryFrom<i64> for Minute {
    type Error = NoTime;

    fn try_from(minutes: i64) -> Result<Self, NoTime> {
        let is_time = minutes.checked_mul(MINUTE).is_some_and(|micros| SAVED.contains(&micros));
        if is_time || minutes == Self::NEVER.0 { Ok(Self(minutes)) } else { Err(NoTime) }
    }
}

impl Minute {
    /// Before every record.
    pub const NEVER: Self = Self(i64::MIN);

    /// Whether a saved number of minutes, hours or days since 1970 is one that there is.
    #[must_use]
    pub fn is_there(number: i64) -> bool {
        Self::try_from(number).is_ok_and(|minute| minute != Self::NEVER)
    }

    /// Its first microsecond.
    #[must_use]
    pub const fn start(self) -> Time {
        Time(self.0.saturating_mul(MINUTE))
    }

    /// The first microsecond after it.
    #[must_use]
    pub const fn end(self) -> Time {
        Time(self.0.saturating_add(1).saturating_mul(MINUTE))
    }

    /// Whether an hour ends with it.
    #[must_use]
    pub const fn closes_hour(self) -> bool {
        self.0.rem_euclid(60) == 59
    }
}

/// Digits after the point, as microseconds, rounded half up.
fn decimals(digits: &[u8]) -> Option<i64> {
    let mut micros = 0;
    for at in 0..6 {
        let digit = match digits.get(at) {
            Some(byte) if byte.is_ascii_digit() => i64::from(byte - b'0'),
            Some(_) => return None,
            None => 0,
        };
        micros = micros * 10 + digit;
    }
    let rest = digits.get(6..).unwrap_or_default();
    if !rest.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(micros + i64::from(rest.first().is_some_and(|&byte| byte >= b'5')))
}

/// `Z`, nothing, `+01:00` or `+0100`.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.split_first() {
        None => return Some(0),
        Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hour, minute) = match *digits {
        [a, b, b':', c, d] | [a, b, c, d] => (two(a, b)?, two(c, d)?),
        [a, b] => (two(a, b)?, 0),
        _ => return None,
    };
    Some(sign * (hour * 3600 + minute * 60))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn put(out: &mut [u8], mut number: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days since 1970 of a date of the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a number of days since 1970; the reverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let time = if text.contains('T') {
            Time::parse_iso(text.as_bytes())
        } else {
            Time::parse_seconds(text.as_bytes()).and_then(Time::new)
        };
        let found = time.map_or_else(|| "none".to_owned(), |time| time.to_string());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_saved_time_is_one_that_there_is() {
        use crate::base::codec::{decode, encode};
        for time in [Time::MIN, Time(0), Time::MAX, Time::MAX.minute().end()] {
            assert_eq!(decode(&encode(&time)), Ok(time));
            assert_eq!(decode(&encode(&time.minute())), Ok(time.minute()));
        }
        assert_eq!(decode(&encode(&Minute::NEVER)), Ok(Minute::NEVER));
        for wild in [i64::MIN, i64::MAX, -(1 << 60), 1 << 60] {
            assert!(decode::<Time>(&encode(&wild)).is_err(), "{wild}");
            assert_eq!(decode::<Minute>(&encode(&wild)).is_err(), wild != i64::MIN, "{wild}");
            assert!(!Minute::is_there(wild));
        }
        assert_eq!(Minute::NEVER.end(), Minute::NEVER.start());
    }

    #[test]
    fn reads_and_writes() {
        check("1521911720.865716", "2018-03-24T17:15:20.865716Z");
        check("2018-03-24T17:15:20.865716Z", "2018-03-24T17:15:20.865716Z");
        check("2018-03-24T18:15:20.865716+01:00", "2018-03-24T17:15:20.865716Z");
        check("2008-07-09T16:13:30.1000000Z", "2008-07-09T16:13:31.000000Z");
        check("2008-07-09T16:13:30Z", "2008-07-09T16:13:30.000000Z");
        check("0", "1970-01-01T00:00:00.000000Z");
        check("-0.5", "1969-12-31T23:59:59.500000Z");
        check("1795393418.5052521", "2026-11-23T00:23:38.505252Z");
        check("1795393418.99999951", "2026-11-23T00:23:39.000000Z");
        check("-62135596800", "0001-01-01T00:00:00.000000Z");
        check("253402300800", "none");
        check("99999999999999999999", "none");
        check("1.5e3", "none");
        check("", "none");
        check("-", "none");
        check(".5", "none");
        check("2018-02-29T00:00:00Z", "none");
        check("2018-13-01T00:00:00Z", "none");
        check("2018-03-24T17:15:20.865716Zzz", "none");
    }

    proptest! {
        #[test]
        fn round_trip(micros in FIRST..=LAST) {
            let time = Time(micros);
            prop_assert_eq!(Time::parse_iso(time.to_string().as_bytes()), Some(time));
            let mut seconds = Vec::new();
            time.write_seconds(&mut seconds);
            prop_assert_eq!(Time::parse_seconds(&seconds), Some(micros));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Time::parse_iso(&bytes), Time::parse_seconds(&bytes));
        }
    }
}
