//! The one integration test binary: the program as its users have it, and the rules of the
//! repository.

mod bad_input;
mod common;
mod documents;
mod laws;
mod tidy;
mod zeek_cases;
