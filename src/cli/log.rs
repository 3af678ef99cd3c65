//! Messages on standard error, so many of a kind at most: a hostile line that makes something warn
//! cannot flood them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::base::clock::now;

use super::args::{Args, LogFormat};
use super::{explained, shown};

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
    registry().with(level).with(limit.clone()).with(layer(args.log_format, io::stderr)).init();
    limit
}

/// Writes messages. Names of files and what servers say stand in their fields, and must neither
/// begin a line of their own nor speak to a terminal; the message itself is in our words, and may
/// have several lines.
fn layer<S, W>(format: LogFormat, to: fn() -> W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: io::Write + 'static,
{
    let messages = fmt::layer().with_target(false).with_ansi(false);
    match format {
        LogFormat::Text => {
            let fields = debug_fn(|out, field, value| match field.name() {
                "message" => write!(out, "{value:?}"),
                name => write!(out, "{name}={}", shown(format_args!("{value:?}"))),
            });
            messages.fmt_fields(fields.delimited(" ")).with_writer(to).without_time().boxed()
        }
        LogFormat::Json => messages.json().with_writer(move || Lines(to())).without_time().boxed(),
    }
}

/// Takes a document of JSON at a time.
struct Lines<W>(W);

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(explained::json(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use super::super::is_invisible;
    use super::*;

    thread_local! {
        static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    struct Written;

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_message_is_one_line_that_speaks_to_no_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = registry().with(layer(format, || Written));
            tracing::subscriber::with_default(log, || {
                let path = Path::new("a\nERROR b\u{1b}[31m\u{9b}\u{202e}\r.log");
                let error = "x\ny\u{1b}";
                tracing::warn!(path = %path.display(), error, why = %error, "in our words");
            });
            let text = String::from_utf8(WRITTEN.take()).unwrap();
            let plain = |c: char| !c.is_control() && !is_invisible(c);
            assert!(text.strip_suffix('\n').unwrap().chars().all(plain), "{text:?}");
            assert!(text.contains("in our words") && text.contains("[31m"), "{text:?}");
            if format == LogFormat::Json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert!(value["fields"]["path"].as_str().unwrap().contains('\u{202e}'));
            }
        }
    }

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
