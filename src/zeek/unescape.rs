//! Resolves the escapes of Zeek's TSV and of JSON strings.

use std::borrow::Cow;

/// Appends `text` with Zeek's escapes resolved, left to right: `\\` is a backslash, `\xHH` a byte,
/// any other backslash stands for itself.
///
/// Zeek's own `get_unescaped_string` (util.cc) knows `\xHH` only and so cannot read back what Zeek
/// wrote for a literal `\xff`; this can.
pub fn tsv(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    tsv_from(out, start);
}

/// Resolves the escapes of what stands from `start` on, in place: it never gets longer.
pub(super) fn tsv_from(text: &mut Vec<u8>, start: usize) {
    let (mut read, mut write) = (start, start);
    while let Some(found) = memchr::memchr(b'\\', &text[read..]) {
        text.copy_within(read..read + found, write);
        (read, write) = (read + found, write + found);
        let (byte, used) = match text[read..] {
            [_, b'\\', ..] => (b'\\', 2),
            [_, b'x', high, low, ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        text[write] = byte;
        (read, write) = (read + used, write + 1);
    }
    let rest = text.len() - read;
    text.copy_within(read.., write);
    text.truncate(write + rest);
}

/// Appends the inside of a JSON string with its escapes resolved.
///
/// The string must have been found well-formed. A surrogate without its partner stays as the six
/// characters it is written in, since no UTF-8 stands for it.
pub(super) fn json(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let byte = match rest.get(1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'u') => {
                rest = unicode(rest, out);
                continue;
            }
            Some(&other) => other,
            None => b'\\',
        };
        out.push(byte);
        rest = rest.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// `json` of a text that seldom has any.
#[must_use]
pub fn json_text(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    json(text, &mut out);
    out.into()
}

/// Resolves the `\uHHHH`, or the pair of them, that `text` begins with; what comes after it.
fn unicode<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let first = code_unit(text);
    let second = text.get(6..).and_then(code_unit);
    let (found, used) = match (first, second) {
        (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
            (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12)
        }
        (Some(unit), _) => (char::from_u32(unit), 6),
        (None, _) => (None, 6.min(text.len())),
    };
    match found {
        Some(found) => out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&text[..used]),
    }
    &text[used..]
}

/// The number of the `\uHHHH` that `text` begins with.
pub(super) fn code_unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text else { return None };
    let digits = digits.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | u32::from(hex(digit)?)))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(unescape: fn(&[u8], &mut Vec<u8>), text: &str, expected: &[u8]) {
        let mut out = Vec::new();
        unescape(text.as_bytes(), &mut out);
        assert_eq!(out, expected, "{text}");
    }

    #[test]
    fn zeek() {
        check(tsv, r"\x2d", b"-");
        check(tsv, r"\x28empty)", b"(empty)");
        check(tsv, r"AB\\xffCD\x00", b"AB\\xffCD\0");
        check(tsv, r"C:\\", b"C:\\");
        check(tsv, r"a\x09b\x0a", b"a\tb\n");
        check(tsv, r"\q \x2 \xzz \", br"\q \x2 \xzz \");
        check(tsv, r"uurimisr\xfchma", b"uurimisr\xfchma");
    }

    #[test]
    fn json_strings() {
        check(json, r#"a\n\t\"\\\/b"#, b"a\n\t\"\\/b");
        check(json, r"\u00e4\ud83d\ude00", "ä😀".as_bytes());
        check(json, r"\ud83dx \ude00", br"\ud83dx \ude00");
    }

    proptest! {
        #[test]
        fn what_serde_reads(text in "\\PC{0,20}") {
            let quoted = serde_json::to_string(&text).unwrap();
            let mut out = Vec::new();
            json(&quoted.as_bytes()[1..quoted.len() - 1], &mut out);
            prop_assert_eq!(out, text.into_bytes());
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            tsv(&bytes, &mut Vec::new());
            json(&bytes, &mut Vec::new());
        }
    }
}
