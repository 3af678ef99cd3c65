//! `run`: the daemon.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::oneshot;

use crate::api::{Question, Server, Shared};
use crate::base::score::Ppm;
use crate::config::Plan;
use crate::engine::{Core, Failure};
use crate::state::CannotOpen;
use crate::wiring;
use crate::wiring::live::{self, Agreed, CannotStart, Daemon};

use super::args::{Args, Run};
use super::exit::Exit;
use super::log::Limit;
use super::reload::Reload;
use super::service::{Manager, Manners, log_panics, raise_open_files};
use super::{Failed, equipped, print, summary};

/// Follows the logs until a signal says that it is enough.
pub(super) fn run(args: &Args, run: &Run, limit: &Limit) -> Result<Exit, Failed> {
    let plan = equipped(args)?;
    let mut manners = Manners::new().map_err(|error| Failed::new(Exit::Io, error))?;
    let manager = Manager::from_environment();
    log_panics();
    raise_open_files();
    if !plan.roots.iter().any(|root| root.is_dir()) {
        let roots: Vec<String> = plan.roots.iter().map(|it| it.display().to_string()).collect();
        tracing::warn!(roots = roots.join(", "), "none of the directories is there yet");
    }
    let agreed =
        Agreed { accepts_sensor_id: run.accept_new_sensor_id, retired: run.retire_sink.clone() };
    let daemon = live::open(&plan, &agreed).map_err(|error| {
        let exit = match &error {
            CannotStart::State(
                CannotOpen::Newer(..) | CannotOpen::OtherSensor(..) | CannotOpen::OtherScope(..),
            )
            | CannotStart::Sink(_)
            | CannotStart::Retired(..) => Exit::Config,
            _ => Exit::Io,
        };
        Failed::new(exit, error)
    })?;
    tell_expired(daemon.core());
    let server = listen(&plan)?;
    let output = plan.ndjson.as_deref().unwrap_or_else(|| Path::new("none"));
    let kafka = plan.kafka.as_ref().map_or_else(|| "none".to_owned(), |it| it.brokers.join(","));
    let search = plan.elasticsearch.as_ref();
    let elasticsearch = search.map_or_else(|| "none".to_owned(), |it| it.urls.join(","));
    let (state, output) = (plan.state.display(), output.display());
    tracing::info!(%state, %output, kafka, elasticsearch, "running");
    let reload = Reload::new(&plan);
    let stop = Arc::new(AtomicBool::new(false));
    let is_over = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let keep = || manners.keep(&stop, &is_over, &manager, limit, &reload);
        let manners = thread::Builder::new().name("manners".to_owned()).spawn_scoped(scope, keep);
        manners.map_err(|error| Failure::Thread(format!("manners: {error}")))?;
        let serve = || serve(scope, server, daemon, &plan, &stop, (&manager, &reload));
        // Whatever happens, the manners come to their end, so that the program does.
        let result = catch_unwind(AssertUnwindSafe(serve));
        is_over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|_| Err(Failure::Thread("main".to_owned())))
    });
    limit.tell(true);
    result.map_err(|failure| {
        let exit = if matches!(failure, Failure::Sink(_)) { Exit::Io } else { Exit::Bug };
        Failed::new(exit, failure)
    })?;
    // Who looks there finds a daemon that is not there.
    drop(fs::remove_file(plan.state.join(ADDR)));
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// Runs the daemon while the server, if there is one, shows how it is.
fn serve<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    server: Option<Server>,
    mut daemon: Daemon,
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    (manager, reload): (&Manager, &Reload<'_>),
) -> Result<(), Failure> {
    let (reader, asked) = (daemon.reader(), plan.clone());
    let answer = move |question: &Question| {
        wiring::answer(&asked, &reader, question).map_err(|error| error.to_string())
    };
    let shared = Shared::new(daemon.status(), Arc::clone(stop), Box::new(answer));
    let shared = Arc::new(shared);
    // Dropped at the end, which stops the server.
    let (_until, stopped) = oneshot::channel();
    if let Some(server) = server {
        let shared = Arc::clone(&shared);
        let builder = thread::Builder::new().name("http".to_owned());
        let handle = builder.spawn_scoped(scope, move || server.serve(shared, stopped));
        handle.map_err(|error| Failure::Thread(format!("http: {error}")))?;
    }
    let mut bar = Ppm::default();
    let result = daemon.run(plan, stop, &mut |applier, mut status| {
        if let Some(list) = reload.take() {
            applier.allow(list);
            tell_expired(&applier.core);
        }
        status.allow_rejected = reload.rejected();
        if status.budget.bar != bar {
            bar = status.budget.bar;
            let (per_day, hosts) = (status.budget.per_day, status.budget.hosts);
            tracing::warn!(%bar, per_day, hosts, "the bar for repeated alerts has moved");
        }
        for (entity, peak) in applier.core.take_news() {
            // A reader that went away must not stop the sensor.
            drop(print(&summary::risen(&entity, &peak)));
        }
        shared.show(status);
        manager.alive();
    });
    result.map(drop)
}

/// Says which entries of the allow-list do nothing any more.
fn tell_expired(core: &Core) {
    let expired = core.expired();
    if !expired.is_empty() {
        let expired = expired.join(", ");
        tracing::warn!(expired, "entries of the allow-list that do nothing any more");
    }
}

/// In the state directory: where the server listens.
pub(super) const ADDR: &str = "http.addr";

/// The server of the configuration, with its address in the state directory.
fn listen(plan: &Plan) -> Result<Option<Server>, Failed> {
    let path = plan.state.join(ADDR);
    let failed = |what: String, error: io::Error| {
        Failed::new(Exit::Io, anyhow::Error::from(error).context(what))
    };
    // Of the run before.
    drop(fs::remove_file(&path));
    let Some(addr) = plan.listen else { return Ok(None) };
    let hint = "http.listen in the configuration names another address, or \"\" for none";
    let server = Server::bind(addr)
        .map_err(|error| failed(format!("cannot listen on {addr} ({hint})"), error))?;
    let write = |addr: SocketAddr| write_whole(&path, &format!("{addr}\n"));
    let addr = server.addr().and_then(|addr| write(addr).map(|()| addr));
    let addr = addr.map_err(|error| failed(path.display().to_string(), error))?;
    tracing::info!("metrics at http://{addr}/metrics");
    Ok(Some(server))
}

/// Whoever waits for the file never sees a part of it.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    fs::write(&aside, text)?;
    fs::rename(&aside, path)
}
