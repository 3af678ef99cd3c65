//! Patterns with `*`, which stands for any text: found in linear time, whatever is in them.

use memchr::memmem;

/// One pattern; there is no way to escape a `*`, which matches itself too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// What stands between the stars: one piece where there is none.
    pieces: Vec<Box<[u8]>>,
}

impl Glob {
    /// The pattern that `text` is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(|piece| piece.as_bytes().into()).collect() }
    }

    /// Whether all of `text` is like it.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let (first, middle, last) = match self.pieces.as_slice() {
            [] => return false,
            [only] => return **only == *text,
            [first, middle @ .., last] => (first, middle, last),
        };
        // Both ends are fixed, so the first place where a piece in between fits is as good as any.
        let rest = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last));
        let Some(mut rest) = rest else { return false };
        for piece in middle {
            let Some(at) = memmem::find(rest, piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by its definition, in any time.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| by_definition(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_defined(pattern in "[ab*]{0,7}", text in "[ab]{0,10}") {
            let expected = by_definition(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Glob::new(&pattern).matches(&text), expected);
        }
    }

    #[test]
    fn a_hostile_text_takes_no_longer() {
        // A matcher that goes back and tries again would need 10^12 steps and more.
        let pattern = format!("*{}b*c", "a*a*a*a*".repeat(16));
        assert!(!Glob::new(&pattern).matches(&"a".repeat(1 << 16)));
    }
}
