//! The daemon put together: what lasts, what is followed, where documents go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::base::clock::since_1970;
use crate::base::hash::Id;
use crate::config::Plan;
use crate::engine::{
    Applier, Commit, Core, Ends, Failure, LastingSink, LiveLane, Meters, Pace, Progress,
    SinkStatus, SpoolStatus, Status, Store, follow as follow_lanes,
};
use crate::record::{Lane, Log};
use crate::sink::elasticsearch::Elasticsearch;
use crate::sink::kafka::Kafka;
use crate::sink::live::{self, Events, Files, Outbox, Rotation, Settled};
use crate::sink::{CannotConfigure, CannotOpen as CannotWrite, MakeAgain, Network, spool};
use crate::state::{self, Journal, Left, Reader, Record, State};
use crate::tail::{Board, LaneTail, Scanner, Sources};

use super::again::make_again;
use super::{core, owner, parsers, worker};

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] state::CannotOpen),
    /// The outputs cannot be written.
    #[error(transparent)]
    Output(#[from] CannotWrite),
    /// A sink cannot be made of the configuration.
    #[error(transparent)]
    Sink(#[from] CannotConfigure),
    /// A spool cannot be used.
    #[error("cannot use the spool in {0}: {1}")]
    Spool(std::path::PathBuf, io::Error),
    /// A sink that is configured no longer lacks documents.
    #[error(
        "the sink {0} is not configured any more and lacks {1} documents or more, kept for it: \
         configure it again, or start once with --retire-sink {0}, which discards them"
    )]
    Retired(String, u64),
    /// The journal cannot be written.
    #[error("cannot use the journal in {0}: {1}")]
    Journal(std::path::PathBuf, io::Error),
}

/// A daemon that is ready to run.
pub struct Daemon {
    applier: Applier,
    board: Arc<Board>,
    events: Events,
    keeper: Keeper,
    networks: Vec<Arc<dyn Network>>,
    started: u64,
}

/// What somebody who starts it agrees to.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// A state of another `sensor.id` is taken over.
    pub accepts_sensor_id: bool,
    /// Sinks that are given up, with what they lack.
    pub retired: Vec<String>,
}

/// Bytes of input between two commits, at most.
const COMMIT_BYTES: u64 = 64 << 20;
/// A lane not heard for so long holds nobody back.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// Opens everything that lasts, and takes back what the last commit left.
///
/// # Errors
/// Says what stands in the way.
pub fn open(plan: &Plan, agreed: &Agreed) -> Result<Daemon, CannotStart> {
    let state = State::open(&plan.state, &owner(plan), agreed.accepts_sensor_id)?;
    let mut left = match state.left()? {
        Some(left) => left,
        None => begin(&state)?,
    };
    let mut applier = Applier::new(core(plan));
    let board = Arc::new(Board::default());
    state.each(&mut |key, value| match Applier::file_of(key) {
        Some(generation) => board.load(generation, value),
        None => applier.load(key, value),
    })?;
    applier.allow(plan.allow.clone());
    forget(&state, &board, &left)?;
    let networks = networks(plan)?;
    retire(plan, &networks, &mut left, agreed)?;
    let known = std::mem::take(&mut left.sinks);
    left.sinks = attach(plan, &networks, &known)?;
    // Dead letters stay with the state, wherever the others go.
    let had_outputs = left.sequence > 0;
    let is_known = had_outputs && left.outputs == plan.ndjson;
    let files = Files {
        directory: plan.ndjson.as_deref(),
        rotation: Rotation { bytes_max: plan.ndjson_max, keep: plan.ndjson_keep },
        state: &plan.state,
        letters: plan.letters,
    };
    let [events, alerts, risk, letters] = left.ends;
    let ends = [events, alerts, risk].map(|end| is_known.then_some(end));
    let ends = [ends[0], ends[1], ends[2], had_outputs.then_some(letters)];
    let (mut events, mut outbox) = live::open(files, ends, networks.clone())?;
    left.outputs.clone_from(&plan.ndjson);
    let journal = plan.state.join("journal");
    let failed = |error| CannotStart::Journal(journal.clone(), error);
    let journal = Journal::open(&journal, left.journal, plan.journal_max).map_err(failed)?;
    let here = || plan.ndjson.clone().unwrap_or_else(|| plan.state.clone());
    if !is_known || left.sinks != known {
        // Before anything is written there, so that a crash leaves nothing that nobody knows of.
        let settled = events.cut().and_then(|cut| outbox.settle(&cut));
        let settled = settled.map_err(|e| CannotWrite::Io(here(), e))?;
        (left.ends, left.sinks) = (settled.ends, settled.sinks);
        left.told[2].extend(settled.letters);
        left.sequence += 1;
        let record = Record { keys: Vec::new(), left: left.clone() };
        state.commit(&record).map_err(|e| state::CannotOpen::Io(plan.state.clone(), e))?;
    }
    let told = std::mem::take(&mut left.told);
    outbox.tell(&told, &left.sinks).map_err(|e| CannotWrite::Io(here(), e))?;
    let started = u64::try_from(left.started / 1_000_000).unwrap_or_default();
    let keeper = Keeper { state, journal, outbox, left };
    Ok(Daemon { applier, board, events, keeper, networks, started })
}

/// Forgets sinks that are configured no longer.
fn retire(
    plan: &Plan,
    networks: &[Arc<dyn Network>],
    left: &mut Left,
    agreed: &Agreed,
) -> Result<(), CannotStart> {
    let is_on = |name: &str| networks.iter().any(|network| network.name() == name);
    let mut gone: BTreeMap<String, Progress> =
        left.sinks.extract_if(.., |name, _| !is_on(name)).collect();
    // A state that was made anew does not know of them.
    for name in spool::known(&plan.state).into_iter().filter(|name| !is_on(name)) {
        let unknown = Progress { handed: [1, 0, 0], ..Progress::default() };
        gone.entry(name).or_insert(unknown);
    }
    for (name, progress) in gone {
        let pairs = progress.handed.iter().zip(progress.cursors);
        let lacks: u64 = pairs.map(|(handed, cursor)| handed - cursor).sum();
        let directory = spool::directory(&plan.state, &name);
        if lacks > 0 && !agreed.retired.contains(&name) {
            return Err(CannotStart::Retired(name, lacks));
        }
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CannotStart::Spool(directory, error));
            }
            _ => tracing::info!(sink = name, lacks, "given up: it is not configured any more"),
        }
    }
    Ok(())
}

/// Gives every sink its spool; how far each has come.
fn attach(
    plan: &Plan,
    networks: &[Arc<dyn Network>],
    known: &BTreeMap<String, Progress>,
) -> Result<BTreeMap<String, Progress>, CannotStart> {
    let has_others = networks.len() + usize::from(plan.ndjson.is_some()) > 1;
    let asked = Arc::new(plan.clone());
    let again: Arc<MakeAgain> = Arc::new(move |ids: &[Id]| make_again(&asked, ids));
    let mut sinks = BTreeMap::new();
    for network in networks {
        let name = network.name();
        let Some(bound) = plan.spools.get(name) else { continue };
        let directory = spool::directory(&plan.state, name);
        let known = known.get(name);
        let progress = network
            .shared()
            .attach(&directory, *bound, known, has_others, Arc::clone(&again))
            .map_err(|error| CannotStart::Spool(directory, error))?;
        tell_bound(name, &network.shared().status());
        sinks.insert(name.to_owned(), progress);
    }
    Ok(sinks)
}

/// Says how long a sink may be away.
fn tell_bound(sink: &str, status: &SinkStatus) {
    let SpoolStatus { bytes, bytes_max, rate, packed, .. } = status.spool;
    if status.lag > 0 {
        tracing::info!(sink, documents = status.lag, bytes, "the spool has what it lacks");
    }
    match status.spool.lasts() {
        Some(lasts) => {
            let hours = lasts.as_secs_f64() / 3600.0;
            tracing::info!(
                sink,
                "it may be away for {hours:.1} h: spool_max is {bytes_max} bytes, {rate} bytes a \
                 second came lately, of which {packed} in 1,000 are left when packed"
            );
        }
        None => tracing::info!(
            sink,
            "how long it may be away is known once documents came: spool_max is {bytes_max} bytes"
        ),
    }
}

/// Contents that are remembered: years of a busy sensor's files.
const CONTENTS_MAX: usize = 100_000;

/// Forgets the contents that were read to their end longest ago, where there are too many.
fn forget(state: &State, board: &Board, left: &Left) -> Result<(), state::CannotOpen> {
    let gone = board.forget(CONTENTS_MAX).into_iter();
    let keys: Vec<_> = gone.map(|generation| (Applier::file_key(generation), None)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let failed = |error| state::CannotOpen::Io(state.directory().to_owned(), error);
    state.commit(&Record { keys, left: left.clone() }).map_err(failed)
}

fn micros_now() -> i64 {
    i64::try_from(since_1970().as_micros()).unwrap_or(i64::MAX)
}

/// The very first act: to remember when it was.
pub(super) fn begin(state: &State) -> Result<Left, state::CannotOpen> {
    let left = Left { started: micros_now(), ..Left::default() };
    let record = Record { keys: Vec::new(), left: left.clone() };
    let failed = |error| state::CannotOpen::Io(state.directory().to_owned(), error);
    state.commit(&record).map_err(failed)?;
    Ok(left)
}

impl Daemon {
    /// What the last commit left of the entity lane, under the allow-list of the configuration.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.applier.core
    }

    /// For who wants to look at its state while it runs.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.keeper.state.reader()
    }

    /// How it stands before it begins.
    pub fn status(&mut self) -> Status {
        self.applier.begin();
        status(&self.applier, &Meters::default(), &self.board, &self.networks)
    }

    /// Follows the logs until `stop` is set; `watch` sees the state ten times a second.
    ///
    /// # Errors
    /// When documents or state cannot be written, or a thread fails.
    pub fn run(
        self,
        plan: &Plan,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&mut Applier, Status),
    ) -> Result<Applier, Failure> {
        let Self { mut applier, board, events, keeper, networks, started } = self;
        let (room, no_room_needed) = (keeper.outbox.room(), keeper.outbox.stop());
        let settings = parsers(plan);
        let mut to_lanes = BTreeMap::new();
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            #[expect(clippy::disallowed_methods, reason = "a few news for each file and scan")]
            let (to, news) = channel();
            to_lanes.insert(lane, to);
            let board = Arc::clone(&board);
            let tail = LaneTail::new(lane, &settings, &plan.sensor_id, board, news);
            let logs = Log::ALL.into_iter().filter(|log| log.lane() == lane);
            let workers = logs.map(|log| (log, (worker(plan, log), settings[&log].batch())));
            let (tail, workers) = (Box::new(tail), workers.collect());
            lanes.push(LiveLane { lane, tail, workers, state: applier.lane(lane) });
        }
        let sources = Sources {
            roots: plan.roots.clone(),
            backfill: plan.backfill,
            started,
            files_max: files_max(),
            sensor_id: plan.sensor_id.clone(),
            settings,
        };
        let mut scanner = Scanner::new(sources, Arc::clone(&board), to_lanes);
        let pace = Pace {
            commit_every: plan.commit_every,
            commit_bytes: COMMIT_BYTES,
            silent_after: SILENT_AFTER,
            ahead_us: plan.lateness_us + crate::base::time::MINUTE,
        };
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("scan".to_owned());
            let scan = builder.spawn_scoped(scope, || scanner.run(stop));
            let scan = scan.map_err(|error| Failure::Thread(format!("scan: {error}")))?;
            let gate = Box::new(room.clone());
            let ends = Ends { sink: Box::new(events), store: Box::new(keeper), gate };
            let mut watch = |applier: &mut Applier, meters: &Meters| {
                if stop.load(Ordering::Relaxed) {
                    no_room_needed.store(true, Ordering::Relaxed);
                    room.end();
                }
                let mut status = status(applier, meters, &board, &networks);
                status.letters = room.letters();
                watch(applier, status);
            };
            let done = follow_lanes(lanes, &mut applier, pace, ends, stop, &mut watch);
            stop.store(true, Ordering::Relaxed);
            scan.join().map_err(|_| Failure::Thread("scan".to_owned()))?;
            done
        })?;
        Ok(applier)
    }
}

/// The sinks beyond this machine that are on.
///
/// # Errors
/// When one of them cannot work, whatever servers there are.
pub fn networks(plan: &Plan) -> Result<Vec<Arc<dyn Network>>, CannotConfigure> {
    let mut networks: Vec<Arc<dyn Network>> = Vec::new();
    if let Some(settings) = &plan.kafka {
        networks.push(Arc::new(Kafka::start(settings.clone())?));
    }
    if let Some(settings) = &plan.elasticsearch {
        networks.push(Arc::new(Elasticsearch::start(settings.clone())?));
    }
    Ok(networks)
}

/// What the engine and the lanes' files have to say.
fn status(
    applier: &Applier,
    meters: &Meters,
    board: &Board,
    networks: &[Arc<dyn Network>],
) -> Status {
    let mut status = Status::take(applier, meters);
    status.files = board.files();
    status.roots = board.roots();
    status.sinks = networks.iter().map(|it| (it.name(), it.shared().status())).collect();
    status
}

/// Descriptors that everything but logs needs: state, outputs, journal, sockets.
const OTHER_FILES: u64 = 40;

/// Logs that may be open at once, each with a second descriptor while it is opened.
fn files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let left = limit.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES) / 2;
    usize::try_from(left).unwrap_or(usize::MAX).max(4)
}

/// Keeps commits: state, journal and what alerts and risk say, in this order.
struct Keeper {
    state: State,
    journal: Journal,
    outbox: Outbox,
    left: Left,
}

impl Store for Keeper {
    fn commit(&mut self, commit: Commit) -> io::Result<()> {
        let Commit { changed, cut } = commit;
        let Settled { ends, letters, sinks } = self.outbox.settle(&cut)?;
        let journal = match changed.steps.as_slice() {
            [] => self.left.journal,
            steps => self.journal.append(steps, &self.state)?,
        };
        let left = Left {
            sequence: self.left.sequence + 1,
            ends,
            told: [changed.alerts, changed.risk, letters],
            journal,
            sinks,
            // A clock that was ahead at the first start must not make archives look old.
            started: self.left.started.min(micros_now()),
            // What was told before may be large: it is not copied.
            outputs: self.left.outputs.clone(),
        };
        let record = Record { keys: changed.keys, left };
        self.state.commit(&record)?;
        self.left = record.left;
        self.outbox.tell(&self.left.told, &self.left.sinks)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::engine::{Changed, Kind, LastingSink, Sink, Step, Tick};
    use crate::state::Journaled;

    fn plan(directory: &Path) -> Plan {
        let set = |key: &str, name: &str| format!("{key}={:?}", directory.join(name));
        let set = [set("state.dir", "state"), set("sink.ndjson.dir", "out")];
        crate::config::load(None, &set, &super::super::stage_keys()).unwrap()
    }

    fn step() -> Step {
        Step::Tick(Tick { silent: 0, time: None })
    }

    /// Two commits; of the second only the first `steps` steps are done before everything is gone.
    /// Outputs are full at `bytes_max`; with that as one byte, each commit begins another file.
    fn check(steps: usize, bytes_max: u64) {
        let place = tempfile::TempDir::new().unwrap();
        let plan = Plan { ndjson_max: bytes_max, ..plan(place.path()) };
        // All files of a kind, in the order of their numbers; the one without a number is the last.
        let read = |directory: &str, kind: &str| {
            let directory = place.path().join(directory);
            let names = fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name());
            let names = names.map(|name| name.into_string().unwrap());
            let mut names: Vec<String> = names.filter(|name| name.starts_with(kind)).collect();
            names.sort_unstable();
            let all = names.iter().map(|name| fs::read_to_string(directory.join(name)).unwrap());
            (all.collect::<String>(), names.len() - 1)
        };
        let Daemon { mut events, mut keeper, .. } = open(&plan, &Agreed::default()).unwrap();
        let changed = |n: usize| Changed {
            keys: Vec::new(),
            alerts: format!("alert {n}\n").into_bytes(),
            risk: format!("risk {n}\n").into_bytes(),
            steps: vec![step()],
        };
        events.write(Kind::Event, b"event 1\n").unwrap();
        let cut = events.cut().unwrap();
        keeper.commit(Commit { changed: changed(1), cut }).unwrap();
        events.write(Kind::Event, b"event 2\n").unwrap();
        events.write(Kind::DeadLetter, b"letter 2\n").unwrap();
        let Changed { keys, alerts, risk, steps: journaled } = changed(2);
        let mut left = keeper.left.clone();
        if steps >= 1 {
            let cut = events.cut().unwrap();
            if steps >= 2 {
                left.ends = keeper.outbox.settle(&cut).unwrap().ends;
            }
        }
        if steps >= 3 {
            left.journal = keeper.journal.append(&journaled, &keeper.state).unwrap();
        }
        left.told = [alerts, risk, Vec::new()];
        if steps >= 4 {
            keeper.state.commit(&Record { keys, left: left.clone() }).unwrap();
        }
        if steps >= 5 {
            keeper.outbox.tell(&left.told, &left.sinks).unwrap();
        }
        drop((events, keeper));
        for _ in 0..2 {
            drop(open(&plan, &Agreed::default()).unwrap());
            let stands = steps >= 4;
            let expected = |what: &str| match stands {
                true => format!("{what} 1\n{what} 2\n"),
                false => format!("{what} 1\n"),
            };
            let is_full = usize::from(bytes_max == 1);
            let full = [if stands { 2 } else { 1 }, usize::from(stands)].map(|n| n * is_full);
            assert_eq!(read("out", "events"), (expected("event"), full[0]), "{steps}");
            assert_eq!(read("out", "alerts"), (expected("alert"), full[1]), "{steps}");
            assert_eq!(read("out", "risk"), (expected("risk"), full[1]), "{steps}");
            let letters = if stands { "letter 2\n".to_owned() } else { String::new() };
            assert_eq!(read("state", "dead-letter"), (letters, 0), "{steps}");
            let journal = Journaled::read(&place.path().join("state/journal")).unwrap();
            assert_eq!(journal.steps.len(), 1 + usize::from(stands), "{steps}");
        }
    }

    #[test]
    fn dead_letters_are_kept_where_no_files_are_wanted_and_when_that_changes() {
        let place = tempfile::TempDir::new().unwrap();
        let with = plan(place.path());
        let without = Plan { ndjson: None, ..with.clone() };
        let path = with.state.join("dead-letter.ndjson");
        fs::create_dir_all(&with.state).unwrap();
        fs::write(&path, "of a state that is gone\n").unwrap();
        for plan in [&without, &without, &with, &without] {
            let Daemon { mut events, .. } = open(plan, &Agreed::default()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "of a state that is gone\n");
            // No commit knows it: its line will be read again.
            events.write(Kind::DeadLetter, b"too early\n").unwrap();
        }
    }

    #[test]
    fn f02_killed_between_the_steps_of_a_commit() {
        for bytes_max in [1, 1 << 30] {
            (0..=5).for_each(|steps| check(steps, bytes_max));
        }
    }
}
