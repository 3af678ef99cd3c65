//! What never leaves: passwords, cookies, user names inside URIs.

use crate::record::Log;

/// What to hide of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// The whole value.
    Whole,
    /// User and password of a URI.
    Userinfo,
}

/// One entry of `event.redact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The log.
    pub log: Log,
    /// Zeek's name of the field.
    pub field: String,
    /// What to hide.
    pub redaction: Redaction,
}

/// What stands in place of what was hidden.
pub(super) const HIDDEN: &[u8] = b"[redacted]";

/// What `rules` hide of a field.
pub(super) fn rule_for(rules: &[Rule], log: Log, field: &str) -> Option<Redaction> {
    rules.iter().find(|rule| rule.log == log && rule.field == field).map(|rule| rule.redaction)
}

/// `text` with the user and password of the URI in it hidden: `http://u:p@host/` becomes
/// `http://[redacted]@host/`; nothing where there is none.
pub(super) fn without_userinfo(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'@', text)?;
    let start = memchr::memmem::find(text, b"//")? + 2;
    let authority = text[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &text[start..authority.map_or(text.len(), |length| start + length)];
    let at = memchr::memrchr(b'@', authority)?;
    Some([&text[..start], HIDDEN, &text[start + at..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo() {
        let check = |text: &str, expected: Option<&str>| {
            let found = without_userinfo(text.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{text}");
        };
        check("http://user:pw@host/a@b", Some("http://[redacted]@host/a@b"));
        check("http://u@v@host", Some("http://[redacted]@host"));
        check("http://host/a@b", None);
        check("/path?mail=a@b", None);
        check("//user@host", Some("//[redacted]@host"));
    }
}
