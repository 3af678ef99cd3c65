//! What a sink has to know of a document, read from the document itself.
//!
//! Every document begins `{"@timestamp":"…","event":{"id":"…","kind":"…","dataset":"…"`, before
//! anything that comes from the network; its entity stands in the last `"ueba":{"entity":`, since a
//! quote inside a string is escaped and nothing of a log comes after `ueba`.

use std::sync::LazyLock;

use memchr::memmem::FinderRev;

use crate::base::time::{DAY, Time};

/// Whether the time that a record claims is so far from that of its lane that it is tagged, and
/// does not decide where its documents go (contract, section 3).
#[must_use]
pub const fn is_far(time: Time, lane: Time) -> bool {
    time.0.abs_diff(lane.0) > 7 * DAY.unsigned_abs()
}

/// Parts of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Event time.
    pub time: Time,
    /// When it counts: `event.created`, which is there where event time is not to be trusted, or
    /// else event time.
    pub filed: Time,
    /// `event.id`, 32 hex digits.
    pub id: &'a str,
    /// `event.dataset`: `zeek.conn`, `ueba.alert`, …
    pub dataset: &'a str,
    /// `ueba.entity`, as it stands between its quotes; of records that concern nobody none.
    pub entity: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// The parts of an event, an alert or a risk document; nothing of anything else.
    #[must_use]
    pub fn of(document: &'a [u8]) -> Option<Self> {
        let mut rest = document;
        let mut after = |before: &str| {
            let text = rest.strip_prefix(before.as_bytes())?;
            let end = memchr::memchr(b'"', text)?;
            rest = &text[end..];
            std::str::from_utf8(&text[..end]).ok()
        };
        let time = Time::parse_iso(after("{\"@timestamp\":\"")?.as_bytes())?;
        let id = after("\",\"event\":{\"id\":\"")?;
        after("\",\"kind\":\"")?;
        let dataset = after("\",\"dataset\":\"")?;
        let filed = match after("\",\"created\":\"") {
            Some(created) => Time::parse_iso(created.as_bytes())?,
            None => time,
        };
        Some(Self { time, filed, id, dataset, entity: entity(document) })
    }
}

fn entity(document: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = b"\"ueba\":{\"entity\":\"";
    static LAST: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(BEFORE));
    let at = LAST.rfind(document)?;
    let text = &document[at + BEFORE.len()..];
    let mut quotes = memchr::memchr_iter(b'"', text);
    // A quote behind an odd number of backslashes is part of the text.
    let end = quotes
        .find(|&at| text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0)?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_ours_whatever_a_log_says() {
        let hostile = [
            r#"{"@timestamp":"2018-03-24T17:15:20.865716Z","#,
            r#""event":{"id":"9f","kind":"event","dataset":"zeek.dns"},"#,
            r#""zeek":{"dns":{"ueba":{"entity":"host:evil"},"#,
            r#""query":"\"ueba\":{\"entity\":\"host:evil\""}},"#,
            r#""ueba":{"entity":"host:10.0.0.5@s\"x\\","scores":{}}}"#,
        ]
        .concat();
        let parts = Parts::of(hostile.as_bytes()).unwrap();
        assert_eq!((parts.id, parts.dataset), ("9f", "zeek.dns"));
        assert_eq!(parts.entity, Some(br#"host:10.0.0.5@s\"x\\"#.as_slice()));
        let time = |text: &str| Time::parse_iso(text.as_bytes()).unwrap();
        assert_eq!(parts.time, time("2018-03-24T17:15:20.865716Z"));
        assert_eq!(parts.filed, parts.time);
        let far = hostile.replace("zeek.dns\"", "zeek.dns\",\"created\":\"2026-01-02T03:04:05Z\"");
        assert_eq!(Parts::of(far.as_bytes()).unwrap().filed, time("2026-01-02T03:04:05Z"));
        assert_eq!(Parts::of(b"{}"), None);
        assert_eq!(Parts::of(b""), None);
    }
}
