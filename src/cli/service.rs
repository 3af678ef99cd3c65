//! Manners of a daemon: signals, the service manager, file descriptors, panics.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::clock::now;

use super::exit::Exit;
use super::log::Limit;
use super::reload::Reload;
use super::tell;

/// After a signal it has so long to come to an end; what is not committed by then is read again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Time between two looks for signals.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Signals, from now on.
#[derive(Debug)]
pub(super) struct Manners {
    signals: Signals,
    /// Whether a signal said that it is enough.
    is_asked: bool,
    /// Since when it comes to its end.
    stopping_since: Option<Instant>,
}

impl Manners {
    /// From now on signals do not kill.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> io::Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        Ok(Self { signals, is_asked: false, stopping_since: None })
    }

    /// Sets `stop` at the first signal that asks for it, and ends the program at the second one or
    /// at the deadline; at SIGHUP reads the allow-list again. Returns once `is_over`.
    pub(super) fn keep(
        &mut self,
        stop: &AtomicBool,
        is_over: &AtomicBool,
        manager: &Manager,
        limit: &Limit,
        reload: &Reload<'_>,
    ) {
        while !is_over.load(Ordering::Relaxed) {
            for signal in self.signals.pending() {
                match signal {
                    SIGHUP => reload.read(),
                    _ if self.is_asked => end("stopped at once", Exit::Done),
                    _ => {
                        tracing::info!("stopping");
                        stop.store(true, Ordering::Relaxed);
                        self.is_asked = true;
                    }
                }
            }
            if stop.load(Ordering::Relaxed) {
                manager.stopping();
                let since = *self.stopping_since.get_or_insert_with(now);
                if since.elapsed() >= DEADLINE {
                    // If nobody asked for it, a failure brings the program to its end.
                    let exit = if self.is_asked { Exit::Done } else { Exit::Bug };
                    end("stopped at the deadline", exit);
                }
            }
            limit.tell(false);
            thread::sleep(LOOK_EVERY);
        }
    }
}

#[expect(clippy::exit, reason = "a thread that hangs cannot be joined")]
fn end(how: &str, exit: Exit) {
    tell(&format!("zeek-ueba: {how}; what was not committed is read again"));
    std::process::exit(exit as i32);
}

/// Who started us and wants to hear of us, if anybody does: systemd with `Type=notify`.
#[derive(Debug)]
pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    /// Time between two signs of life.
    sign_every: Option<Duration>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    is_ready: bool,
    is_stopping: bool,
    sign: Option<Instant>,
}

impl Manager {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything");
                None
            }
        });
        let number = |name: &str| std::env::var_os(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let micros = number("WATCHDOG_USEC").filter(|_| is_ours);
        // Twice as often as asked for, as its manual has it.
        let sign_every = micros.map(|micros| Duration::from_micros(micros / 2));
        Self { socket, sign_every, told: Mutex::default() }
    }

    /// The daemon lives: to be called often, from the thread that must not hang.
    pub(super) fn alive(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut told.is_ready, true) {
            self.say("READY=1");
        }
        let Some(every) = self.sign_every else { return };
        if told.sign.is_none_or(|sign| sign.elapsed() >= every) {
            told.sign = Some(now());
            self.say("WATCHDOG=1");
        }
    }

    fn stopping(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut told.is_stopping, true) {
            self.say("STOPPING=1");
        }
    }

    fn say(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        // A manager that does not listen must not stop the sensor.
        drop(socket.send(what.as_bytes()));
    }
}

fn connect(name: &OsString) -> io::Result<UnixDatagram> {
    let addr = match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&addr)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes as many file descriptors as the system allows: each log that is followed needs one.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files stays as it is");
    }
}

/// Of a panic's message so much is shown: it may hold what a log said.
const PANIC_CHARS_MAX: usize = 200;

/// Panics become messages like others, so that the limit holds for them too.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let what: String = text.unwrap_or_default().chars().take(PANIC_CHARS_MAX).collect();
        let what = super::shown(what);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(what, place, thread, "panic");
    }));
}
