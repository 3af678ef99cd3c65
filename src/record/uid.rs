//! Zeek's uid as findings and accounts keep it: there are millions of them, and nearly all are
//! short.
//!
//! Not here: what a uid means.

use std::cmp::Ordering;
use std::fmt;

use crate::base::limits::UID_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that stand in place: Zeek's have 18.
const SHORT: usize = 22;

/// A text in 24 bytes, where it is as short as Zeek's uids are.
#[derive(Clone)]
pub struct Uid(Text);

#[derive(Clone)]
enum Text {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl Uid {
    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Short { len, bytes } => &bytes[..usize::from(*len)],
            Text::Long(text) => text.as_bytes(),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was made of a text, so it is one.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// As much as is kept of what a log has; what is no UTF-8 is replaced.
impl From<&[u8]> for Uid {
    fn from(text: &[u8]) -> Self {
        let text = text.get(..UID_BYTES_MAX).unwrap_or(text);
        Self::from(String::from_utf8_lossy(text).as_ref())
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(text.as_bytes());
                Self(Text::Short { len: text.len() as u8, bytes })
            }
            None => Self(Text::Long(text.into())),
        }
    }
}

impl Default for Uid {
    fn default() -> Self {
        Self::from("")
    }
}

impl PartialEq for Uid {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Uid {}

impl PartialOrd for Uid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(from)?.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::{decode, encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_text_that_it_was_made_of(a in "\\PC{0,30}", b in "\\PC{0,30}") {
            let (first, second) = (Uid::from(a.as_str()), Uid::from(b.as_str()));
            prop_assert_eq!(first.as_str(), &a);
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            prop_assert_eq!(encode(&first), encode(&a), "a state may have either");
            prop_assert_eq!(decode::<Uid>(&encode(&a)).unwrap(), first);
        }
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Uid>(), 24);
    }
}
