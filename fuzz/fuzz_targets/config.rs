//! Any text as configuration and as `--set`: mistakes, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::{config, wiring};
use zeek_ueba_fuzz::check_plain;

fuzz_target!(|data: &str| {
    let set = data.lines().next().unwrap_or_default().to_owned();
    let plan = config::resolve(data, "pipeline.toml", &[set], &wiring::stage_keys());
    if let Err(mistakes) = plan {
        mistakes.iter().for_each(|it| check_plain(&it.to_string()));
    }
});
