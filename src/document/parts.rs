//! What a sink has to know of a document, read from the document itself.
//!
//! Every document begins `{"@timestamp":"…","event":{"id":"…","kind":"…","dataset":"…"`, before
//! anything that comes from the network; its entity stands in the last `"ueba":{"entity":`, since a
//! quote inside a string is escaped and nothing of a log comes after `ueba`.

use crate::base::time::Time;

/// Parts of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Event time.
    pub time: Time,
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
        Some(Self { time, id, dataset, entity: entity(document) })
    }
}

fn entity(document: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = b"\"ueba\":{\"entity\":\"";
    let at = memchr::memmem::rfind(document, BEFORE)?;
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
        assert_eq!(parts.time, Time::parse_iso(b"2018-03-24T17:15:20.865716Z").unwrap());
        assert_eq!(Parts::of(b"{}"), None);
        assert_eq!(Parts::of(b""), None);
    }
}
