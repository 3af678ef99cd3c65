//! Any text as configuration and as `--set`: mistakes, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::{config, wiring};

fuzz_target!(|data: &str| {
    let set = data.lines().next().unwrap_or_default().to_owned();
    drop(config::resolve(data, "pipeline.toml", &[set], &wiring::stage_keys()).map_err(|mistakes| {
        for mistake in mistakes {
            let text = mistake.to_string();
            let is_plain = text.chars().all(|c| c == '\n' || !c.is_control());
            assert!(is_plain, "{text:?}");
        }
    }));
});
