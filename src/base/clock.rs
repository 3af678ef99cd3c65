//! The clocks of the machine, for measuring and waiting; no document depends on what they say.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, to measure from.
#[expect(clippy::disallowed_methods, reason = "one of the two places that ask a clock")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "one of the two places that ask a clock")]
#[must_use]
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
