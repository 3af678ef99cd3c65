//! Numbers, times and sizes as words.

use super::scenario::{DAY, HOUR, MINUTE, Range, SECOND, Span};

pub(super) type Parsed<T> = Result<T, String>;

/// `700`, `30k`, `20M`, `5G`: powers of 1000.
pub(super) fn size(word: &str) -> Parsed<u64> {
    let units = [("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1)];
    with_unit(word, &units).ok_or_else(|| format!("{word} is no size such as 700, 30k, 20M or 5G"))
}

/// `50ms`, `30s`, `5m`, `2h`, `1d`.
pub(super) fn duration(word: &str) -> Parsed<i64> {
    let units = [
        ("ms", SECOND as u64 / 1000),
        ("s", SECOND as u64),
        ("m", MINUTE as u64),
        ("h", HOUR as u64),
        ("d", DAY as u64),
    ];
    let micros = with_unit(word, &units).and_then(|it| i64::try_from(it).ok());
    micros.ok_or_else(|| format!("{word} is no duration such as 50ms, 30s, 5m, 2h or 1d"))
}

fn with_unit(word: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find_map(|(unit, factor)| {
        let digits = word.strip_suffix(unit)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(*factor))?
    })
}

/// `A-B` or `A`, of whatever `one` reads.
pub(super) fn range(word: &str, one: impl Fn(&str) -> Parsed<u64>) -> Parsed<Range> {
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    let range = Range { low: one(low)?, high: one(high)? };
    if range.low > range.high {
        return Err(format!("{word} goes down"));
    }
    Ok(range)
}

pub(super) fn durations(word: &str) -> Parsed<Range> {
    range(word, |word| duration(word).map(i64::unsigned_abs))
}

pub(super) fn count(word: &str) -> Parsed<u64> {
    with_unit(word, &[("", 1)]).ok_or_else(|| format!("{word} is no number"))
}

pub(super) fn percent(word: &str) -> Parsed<u64> {
    let number = word.strip_suffix('%').and_then(|it| count(it).ok()).filter(|it| *it <= 100);
    number.ok_or_else(|| format!("{word} is no percentage such as 60%"))
}

/// `9d`, `14:00`.
pub(super) fn moment(day: &str, clock_time: &str) -> Parsed<i64> {
    let number = day.strip_suffix('d').and_then(|it| count(it).ok()).filter(|it| *it < 1000);
    let number = number.ok_or_else(|| format!("{day} is no day such as 9d"))?;
    Ok(number as i64 * DAY + clock(clock_time)?)
}

/// `08:00-18:00`.
pub(super) fn hours(word: &str) -> Parsed<Span> {
    let wrong = || format!("{word} are no hours of a day such as 08:00-18:00");
    let (from, to) = word.split_once('-').ok_or_else(wrong)?;
    let span = Span { from: clock(from)?, to: clock(to)? };
    if span.from < span.to { Ok(span) } else { Err(wrong()) }
}

fn clock(word: &str) -> Parsed<i64> {
    let read = || {
        let (hour, minute) = word.split_once(':')?;
        let (hour, minute) = (count(hour).ok()?, count(minute).ok()?);
        let time = hour as i64 * HOUR + minute as i64 * MINUTE;
        (hour <= 24 && minute < 60 && time <= DAY).then_some(time)
    };
    read().ok_or_else(|| format!("{word} is no time of day such as 08:30"))
}

/// A time as a scenario writes it.
pub(super) fn show(time: i64) -> String {
    format!("{}d {}", time.div_euclid(DAY), show_clock(time))
}

pub(super) fn show_clock(time: i64) -> String {
    let minutes = time.rem_euclid(DAY) / MINUTE;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A number of bytes, in the largest unit that says it all.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    let unit = units.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes} B"), |(name, size)| format!("{} {name}", bytes / size))
}
