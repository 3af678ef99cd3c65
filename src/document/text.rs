//! Strings and numbers in JSON.
//!
//! A text that is not UTF-8 loses nothing: each byte that does not belong is written `\xHH`, and
//! the backslashes of such a text are doubled, so that it can be read back; its field is named in
//! `ueba.escaped`.

use crate::base::time::{DAY, Time};

/// Appends `event.created`: when, by the clock of the logs, something was read whose own time is
/// far from that. It is then the day of this time that an index is chosen by.
pub(super) fn created(clock: &mut Clock, time: Time, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"created\":\"");
    clock.write(time, out);
    out.push(b'"');
}

/// Appends `text`, quoted; whether it was UTF-8. With `plain`, nothing in it needs escaping.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &[u8], plain: bool) -> bool {
    out.push(b'"');
    let valid = inside(out, text, plain);
    out.push(b'"');
    valid
}

/// The same without the quotes.
#[inline]
pub(super) fn inside(out: &mut Vec<u8>, text: &[u8], plain: bool) -> bool {
    if plain {
        out.extend_from_slice(text);
        return true;
    }
    match std::str::from_utf8(text) {
        Ok(_) => {
            escape(out, text, false);
            true
        }
        Err(_) => {
            for chunk in text.utf8_chunks() {
                escape(out, chunk.valid().as_bytes(), true);
                for byte in chunk.invalid() {
                    out.extend_from_slice(b"\\\\x");
                    hex(out, *byte);
                }
            }
            false
        }
    }
}

/// Appends UTF-8 with what JSON cannot hold escaped; `doubled` writes two backslashes for one.
fn escape(out: &mut Vec<u8>, text: &[u8], doubled: bool) {
    let mut done = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[done..at]);
        done = at + 1;
        match short {
            b'u' => {
                out.extend_from_slice(b"\\u00");
                hex(out, byte);
            }
            b'\\' if doubled => out.extend_from_slice(b"\\\\\\\\"),
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
    out.extend_from_slice(&text[done..]);
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Appends a value of a JSON log as it was written, where that is JSON that everybody can read; a
/// byte that is not UTF-8 and a surrogate without its partner become text, and then backslashes are
/// doubled. Whether nothing had to.
pub(super) fn json_value(out: &mut Vec<u8>, value: &[u8]) -> bool {
    let is_utf8 = std::str::from_utf8(value).is_ok();
    if is_utf8 && memchr::memmem::find(value, b"\\u").is_none() {
        out.extend_from_slice(value);
        return true;
    }
    let start = out.len();
    readable(out, value, false);
    let is_same = &out[start..] == value;
    if !is_same {
        out.truncate(start);
        readable(out, value, true);
    }
    is_same
}

/// Appends JSON of a log as everybody can read it; `doubled` writes two backslashes for one.
fn readable(out: &mut Vec<u8>, value: &[u8], doubled: bool) {
    let mut rest = value;
    while let Some(&byte) = rest.first() {
        let used = match byte {
            b'\\' => escaped_unit(out, rest, doubled),
            0x80.. => {
                let length = rest.iter().take_while(|&&byte| byte >= 0x80).count();
                for chunk in rest[..length].utf8_chunks() {
                    out.extend_from_slice(chunk.valid().as_bytes());
                    for byte in chunk.invalid() {
                        out.extend_from_slice(b"\\\\x");
                        hex(out, *byte);
                    }
                }
                length
            }
            _ => {
                out.push(byte);
                1
            }
        };
        rest = &rest[used..];
    }
}

/// Appends the escape that `text` begins with; the bytes it takes.
fn escaped_unit(out: &mut Vec<u8>, text: &[u8], doubled: bool) -> usize {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(text);
    let is_backslash = first == Some(0x5c) || text.starts_with(b"\\\\");
    if doubled && is_backslash {
        out.extend_from_slice(b"\\\\\\\\");
        return if first.is_some() { 6 } else { 2 };
    }
    let used = match (first, text.get(6..).and_then(unit)) {
        (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
        (Some(0xd800..0xe000), _) => {
            out.push(b'\\');
            6
        }
        (Some(_), _) => 6,
        (None, _) => 2,
    };
    let used = used.min(text.len());
    out.extend_from_slice(&text[..used]);
    used
}

/// Appends a decimal number.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a count of millionths with six decimals.
pub(super) fn millionths(out: &mut Vec<u8>, value: u64) {
    number(out, value / 1_000_000);
    let mut text = *b".000000";
    let mut rest = value % 1_000_000;
    for digit in text[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text);
}

/// Writes times, keeping the text of the minute it wrote last.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    minute: Option<i64>,
    text: Vec<u8>,
}

impl Clock {
    /// Appends `2018-03-24T17:15:20.865716Z`.
    #[inline]
    pub(super) fn write(&mut self, time: Time, out: &mut Vec<u8>) {
        const MINUTE: i64 = DAY / 1440;
        let minute = time.0.div_euclid(MINUTE);
        if self.minute != Some(minute) {
            self.text.clear();
            time.write(&mut self.text);
            self.text.truncate(17);
            self.minute = Some(minute);
        }
        let start = out.len();
        out.extend_from_slice(&self.text);
        out.extend_from_slice(b"00.000000Z");
        let mut micros = time.0.rem_euclid(MINUTE) as u32;
        let digits = &mut out[start + 17..start + 26];
        for at in [8, 7, 6, 5, 4, 3, 1, 0] {
            digits[at] = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, text, false);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn bytes_that_are_no_text_can_be_read_back() {
        assert_eq!(written(b"uurimisr\xfchma"), "uurimisr\\xfchma");
        assert_eq!(written(b"C:\\x \xff"), "C:\\\\x \\xff");
        assert_eq!(written(b"C:\\x"), "C:\\x");
    }

    #[test]
    fn json_values_stay_json() {
        let check = |value: &[u8], expected: &str| {
            let mut out = Vec::new();
            json_value(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(br#""\ud83d\ude00 \u00e4 \n""#, r#""\ud83d\ude00 \u00e4 \n""#);
        check(br#""\ud83d \udc00x""#, r#""\\ud83d \\udc00x""#);
        check(b"\"a\xff\xc3\xa4\"", "\"a\\\\xff\u{e4}\"");
        check(br#"["a\\u","\\ud800"]"#, r#"["a\\u","\\ud800"]"#);
        // What was there already is told from what was made of it.
        check(b"\"\\\\xff\xff\"", r#""\\\\xff\\xff""#);
        check(br#""\\ud800\ud800\u005c""#, r#""\\\\ud800\\ud800\\\\""#);
    }

    proptest! {
        #[test]
        fn text_survives(text in "\\PC*|[\\x00-\\x7f]*") {
            prop_assert_eq!(written(text.as_bytes()), text);
        }

        #[test]
        fn any_bytes_make_json(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            written(&text);
        }

        #[test]
        fn numbers(value in any::<u64>()) {
            let mut out = Vec::new();
            number(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn times(micros in Time::MIN.0..=Time::MAX.0) {
            let mut out = Vec::new();
            Clock::default().write(Time(micros), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), Time(micros).to_string());
        }
    }
}
