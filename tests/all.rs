//! The one integration test binary: the program as its users have it, and the rules of the
//! repository.

#![expect(clippy::disallowed_methods, reason = "tests wait and measure")]
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that fails says where")]

mod allocations;
mod allow_lists;
mod bad_input;
mod common;
mod documents;
mod emulator;
mod examples;
mod explain;
mod handshakes;
mod hostile;
mod laws;
mod live;
mod models;
mod planted;
mod proxies;
mod risk_table;
mod services;
mod tidy;
mod warm;
mod zeek_cases;
