//! The one integration test binary.

mod zeek_cases;
