//! The one integration test binary.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod zeek_cases;
