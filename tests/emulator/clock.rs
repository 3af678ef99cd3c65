//! The time of the emulated network: it moves when somebody moves it, so that the same actions give
//! the same names and rows on every run.

/// Rotation is aligned to multiples of this.
const ROTATION_S: u64 = 10;

/// Microseconds since 1970, in a zone without daylight saving (UTC).
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    micros: u64,
}

impl Clock {
    /// Three seconds after 15:00 on 20 January 2026.
    pub(crate) fn new() -> Self {
        Self { micros: 1_768_921_203_000_000 }
    }

    pub(crate) fn micros(&self) -> u64 {
        self.micros
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.micros / 1_000_000
    }

    pub(crate) fn advance_micros(&mut self, micros: u64) {
        self.micros += micros;
    }

    pub(crate) fn advance_seconds(&mut self, seconds: u64) {
        self.advance_micros(seconds * 1_000_000);
    }

    /// To the next time at which logs rotate.
    pub(crate) fn advance_to_rotation(&mut self) {
        self.micros = (self.seconds() / ROTATION_S + 1) * ROTATION_S * 1_000_000;
    }
}

/// `2026-01-20-15-00-03`, as in `#open` and in names of rotated files.
pub(crate) fn stamp(seconds: u64) -> String {
    format!("{}-{}", day(seconds), time(seconds).replace(':', "-"))
}

/// `15:00:03`
pub(crate) fn time(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// `2026-01-20`; after Howard Hinnant's days-to-civil.
pub(crate) fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[test]
fn stamps_are_calendar_times() {
    assert_eq!(stamp(Clock::new().seconds()), "2026-01-20-15-00-03");
    assert_eq!(stamp(951_782_399), "2000-02-28-23-59-59");
    assert_eq!(day(951_782_400), "2000-02-29");
    assert_eq!(day(1_767_225_599), "2025-12-31");
    let mut clock = Clock::new();
    clock.advance_to_rotation();
    assert_eq!(time(clock.seconds()), "15:00:10");
    clock.advance_to_rotation();
    assert_eq!(time(clock.seconds()), "15:00:20");
}
