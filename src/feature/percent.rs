//! Paths as a server sees them: percent-encoding taken off until nothing changes, within a bound,
//! and dots resolved (RFC 3986 2.1 and 5.2.4).

/// How often what was encoded may have been encoded again; nobody means more than two by it, and
/// each costs a pass.
pub(super) const ROUNDS_MAX: usize = 8;

/// `text` without percent-encoding, and how many rounds that took. What is no UTF-8 is replaced.
pub(super) fn decoded(text: &[u8]) -> (String, usize) {
    let mut bytes = text.to_vec();
    let mut rounds = 0;
    while rounds < ROUNDS_MAX && once(&mut bytes) {
        rounds += 1;
    }
    (String::from_utf8_lossy(&bytes).into_owned(), rounds)
}

/// Takes off one layer; whether there was any.
fn once(bytes: &mut Vec<u8>) -> bool {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let byte = match bytes.get(from..from + 3) {
            Some([b'%', high, low]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes[to] = byte.unwrap_or(bytes[from]);
        from += if byte.is_some() { 3 } else { 1 };
        to += 1;
    }
    let any = to < bytes.len();
    bytes.truncate(to);
    any
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `path` without `.` and `..` as segments, and how many there were. What stands behind `?` is left
/// as it is.
pub(super) fn resolved(path: &str) -> (String, usize) {
    let end = path.find('?').unwrap_or(path.len());
    let (segments, query) = path.split_at(end);
    let is_dots = |segment: &&str| matches!(*segment, "." | "..");
    let count = segments.split('/').filter(is_dots).count();
    if count == 0 {
        return (path.to_owned(), 0);
    }
    let mut out: Vec<&str> = Vec::new();
    let last = segments.split('/').count() - 1;
    for (at, segment) in segments.split('/').enumerate() {
        match segment {
            "." | ".." => {
                if segment == ".." && out.len() > 1 {
                    out.pop();
                }
                // What ends in dots is a directory.
                if at == last {
                    out.push("");
                }
            }
            _ => out.push(segment),
        }
    }
    (out.join("/") + query, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_come_off() {
        let check = |text: &str, expected: &str, rounds: usize| {
            assert_eq!(decoded(text.as_bytes()), (expected.to_owned(), rounds), "{text}");
        };
        check("/plain", "/plain", 0);
        check("/a%20b", "/a b", 1);
        check("/a%2520b", "/a b", 2);
        check("/100%", "/100%", 0);
        check("/%zz%4", "/%zz%4", 0);
        check("/%ff", "/\u{fffd}", 1);
        check("/%252E%252e/x", "/../x", 2);
        check(&format!("/%{}41", "25".repeat(1000)), &format!("/%{}41", "25".repeat(992)), 8);
    }

    #[test]
    fn dots_are_resolved() {
        let check = |text: &str, expected: &str, count: usize| {
            assert_eq!(resolved(text), (expected.to_owned(), count), "{text}");
        };
        check("/a/b", "/a/b", 0);
        check("/a/./b", "/a/b", 1);
        check("/a/../b", "/b", 1);
        check("/../../b", "/b", 2);
        check("/a/b/..", "/a/", 1);
        check("/a/.", "/a/", 1);
        check("/a?x=/../b", "/a?x=/../b", 0);
        check("/a/..?x=/../b", "/?x=/../b", 1);
        check("", "", 0);
    }
}
