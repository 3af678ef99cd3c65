//! Deterministic 128-bit ids.
//!
//! BLAKE3 everywhere: the values hashed come from attackers, and an id that collides is a record
//! that a search engine takes for a duplicate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 16 bytes that print as 32 hex digits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Id(pub [u8; 16]);

/// Ten bytes that name a generation of a log under one sensor; with a six-byte offset an [`Id`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Prefix(pub [u8; 10]);

impl Prefix {
    /// The id of the record that begins at `offset`, below 2^48 (281 TB of one log file).
    #[must_use]
    pub fn id(self, offset: u64) -> Id {
        let mut id = [0; 16];
        id[..10].copy_from_slice(&self.0);
        id[10..].copy_from_slice(&offset.to_be_bytes()[2..]);
        Id(id)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Id {
    /// The id that 32 hex digits are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        let digit = |byte: u8| char::from(byte).to_digit(16);
        if text.len() != 32 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self(id))
    }

    /// Of the id of an event: what its file's generation made of it.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        let mut prefix = [0; 10];
        prefix.copy_from_slice(&self.0[..10]);
        Prefix(prefix)
    }

    /// Of the id of an event: where its line begins.
    #[must_use]
    pub fn offset(self) -> u64 {
        let mut offset = [0; 8];
        offset[2..].copy_from_slice(&self.0[10..]);
        u64::from_be_bytes(offset)
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn hex(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        out
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// BLAKE3 of `parts`, each with its length in front, so that no two lists of parts look alike.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// The first 16 bytes of [`digest`].
#[must_use]
pub fn id(parts: &[&[u8]]) -> Id {
    let mut id = [0; 16];
    id.copy_from_slice(&digest(parts)[..16]);
    Id(id)
}

/// The first ten bytes of [`digest`].
#[must_use]
pub fn prefix(parts: &[&[u8]]) -> Prefix {
    let mut prefix = [0; 10];
    prefix.copy_from_slice(&digest(parts)[..10]);
    Prefix(prefix)
}

/// The CRC-32 of bytes (IEEE 802.3): finds what a disk did to them, not what somebody did.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(id(&[b"ab", b"c"]), id(&[b"a", b"bc"]));
        let event = Prefix([0xab; 10]).id(0x0102_0304_0506);
        assert_eq!(event.to_string(), "abababababababababab010203040506");
        assert_eq!(event.hex().as_slice(), event.to_string().as_bytes());
        assert_eq!((event.prefix(), event.offset()), (Prefix([0xab; 10]), 0x0102_0304_0506));
        assert_eq!(Id::parse(&event.to_string()), Some(event));
        for wrong in ["", "abababababababababab01020304050", "+babababababababababab0102030405"] {
            assert_eq!(Id::parse(wrong), None);
        }
        assert_eq!(Id::parse(&"é".repeat(16)), None);
    }
}
