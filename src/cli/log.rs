//! Messages on standard error, so many of a kind at most: a hostile line that makes something warn
//! cannot flood them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::base::clock::now;

use super::args::{Args, LogFormat};

/// Messages of one place in the program that pass in a [`WINDOW`].
const BURST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Messages that say how many were held back pass always: one a window for each place.
const TARGET: &str = "held-back";

/// A place in the program that says something: there are only so many.
type Place = (&'static str, u32);

/// Lets so many messages of each place pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Limit {
    places: Arc<Mutex<BTreeMap<Place, Said>>>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    since: Instant,
    passed: u32,
    held_back: u64,
}

impl Limit {
    /// Whether a message of this place passes.
    fn passes(&self, place: Place, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Said { since: now, passed: 0, held_back: 0 };
        let said = places.entry(place).or_insert(fresh);
        // What was held back is told before it begins anew.
        if now - said.since >= WINDOW && said.held_back == 0 {
            *said = fresh;
        }
        let passes = said.passed < BURST;
        if passes {
            said.passed += 1;
        } else {
            said.held_back += 1;
        }
        passes
    }

    /// What was held back in windows that are over, or, with `all`, in all of them.
    fn take_held_back(&self, now: Instant, all: bool) -> Vec<(Place, u64)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for (place, said) in places.iter_mut() {
            if said.held_back > 0 && (all || now - said.since >= WINDOW) {
                found.push((*place, said.held_back));
                *said = Said { since: now, passed: 0, held_back: 0 };
            }
        }
        found
    }

    /// Says how many messages were held back where a minute is over, or, with `all`, everywhere.
    pub(super) fn tell(&self, all: bool) {
        for ((file, line), messages) in self.take_held_back(now(), all) {
            let place = format!("{file}:{line}");
            tracing::warn!(target: TARGET, place, messages, "like the last ones, held back");
        }
    }
}

/// The place of a message, where there is a limit for it: who asks for details gets all of them.
fn place(metadata: &Metadata<'static>) -> Option<Place> {
    let is_limited = *metadata.level() <= Level::INFO && metadata.target() != TARGET;
    is_limited.then_some((metadata.file()?, metadata.line()?))
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        place(event.metadata()).is_none_or(|place| self.passes(place, now()))
    }
}

/// From here on messages are shown as the arguments want them.
pub(super) fn start(args: &Args) -> Limit {
    let level = match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    let limit = Limit::default();
    let log = registry().with(level).with(limit.clone());
    let shown = fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
    match args.log_format {
        LogFormat::Text => log.with(shown.without_time()).init(),
        LogFormat::Json => log.with(shown.json().without_time()).init(),
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_minute_pass_and_the_rest_is_counted() {
        let (limit, begin) = (Limit::default(), now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        let passed = |place, seconds, count| {
            (0..count).filter(|_| limit.passes(place, after(seconds))).count()
        };
        let (one, other) = (("a.rs", 1), ("a.rs", 2));
        assert_eq!(passed(one, 0, 1000), 10);
        assert_eq!(passed(other, 1, 3), 3);
        assert_eq!(passed(one, 59, 5), 0);
        assert_eq!(limit.take_held_back(after(59), false), []);
        // Nothing passes before it was told what was held back, which is due by now.
        assert_eq!(passed(one, 61, 2), 0);
        assert_eq!(limit.take_held_back(after(61), false), [(one, 997)]);
        assert_eq!(passed(one, 62, 20), 10);
        assert_eq!(limit.take_held_back(after(63), true), [(one, 10)]);
        assert_eq!(limit.take_held_back(after(64), true), []);
    }
}
