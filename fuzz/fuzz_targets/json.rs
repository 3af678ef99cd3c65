//! JSON: see `parse`.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use zeek_ueba::zeek::Mode;

fuzz_target!(|data: &[u8]| -> Corpus { zeek_ueba_fuzz::parse::check(data, Mode::Json) });
