//! State as bytes: postcard, whose format is fixed, so that a state file outlives a program.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Takes a key of a state and its value, or nothing where the key is gone.
pub type Changes<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// Bytes that were not written by [`encode`] of the same type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged state: {0}")]
pub struct Damaged(pub String);

/// The bytes of a value.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("our types can be written and memory does not end")
}

/// The value of bytes, all of which must belong to it.
///
/// # Errors
/// When they are not what [`encode`] wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damaged> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Damaged("more bytes than a value has".to_owned())),
        Err(error) => Err(Damaged(error.to_string())),
    }
}
