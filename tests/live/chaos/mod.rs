//! Everything at once: Zeek rotates, dies and is archived, the daemon is killed and stopped, both
//! servers are refused, hung, slow and cut off, the disk is full; then all of it ends, and the
//! daemon must have lost nothing, have told nothing twice, and go on.
//!
//! `script` says what happens, `proxy` does it to connections, `oracle` what must have come of it.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

mod oracle;
mod proxy;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::proxy::Proxy;
use self::script::{Act, Disk, Fault, Random, Script};
use super::Daemon;
use super::machine::Small;
use super::search::Engine;
use super::service::Metrics;
use crate::emulator::actions::Action;
use crate::emulator::rows::{Form, Log, header};
use crate::emulator::world::{Setup, World};

/// How long it may take to come to an end after SIGTERM: it says ten seconds itself, but nobody ends
/// while the disk is busy with others.
const STOPPED: Duration = Duration::from_secs(40);

/// Before it is started again after it ended by itself.
const AGAIN: Duration = Duration::from_millis(300);

/// So long after a full disk the daemon may still end for want of room.
const SHORT: Duration = Duration::from_secs(5);

/// The most memory it may have, in MiB; how many descriptors; and how much larger a spool may be
/// than its bound, for what was read when it became full: some blocks of a mebibyte, packed.
const MEMORY_MAX: u64 = 300;
const FILES_MAX: usize = 200;
const SPOOL_SLACK: u64 = 4 << 20;

/// What was done and seen, for who reads of it.
#[derive(Debug, Default)]
struct Seen {
    acts: BTreeMap<&'static str, usize>,
    starts: usize,
    /// It ended by itself, for want of room.
    ended: usize,
    memory_mib: u64,
    files: usize,
    spool: BTreeMap<&'static str, u64>,
    slowest_stop: Duration,
    caught_up: Duration,
}

struct Chaos {
    seed: u64,
    seconds: u64,
    script: Script,
    base: PathBuf,
    log: fs::File,
    begun: Instant,
    world: World,
    /// Keys of lines that are no records, and of records that the engine will not take.
    bad: BTreeSet<String>,
    odd: BTreeSet<String>,
    daemon: Daemon,
    /// Whether it is to run; when it was sent SIGTERM; when it may be started again.
    is_wanted: bool,
    stopping: Option<Instant>,
    not_before: Instant,
    engine: Engine,
    brokers: String,
    proxies: [Proxy; 2],
    disk: Option<Small>,
    /// When the disk was full last.
    short: Option<Instant>,
    is_short: bool,
    sampled: Instant,
    seen: Seen,
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The line with another value in one field, as JSON has it.
fn edited(log: Log, form: Form, line: &str, field: &str, value: &str) -> String {
    if form == Form::Json {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record[field] = serde_json::from_str(value).unwrap();
        return record.to_string();
    }
    let [.., fields, _] = header(log, 0);
    let place = fields.trim_end().split('\t').skip(1).position(|name| name == field).unwrap();
    let mut cells: Vec<&str> = line.split('\t').collect();
    cells[place] = value.trim_matches('"');
    cells.join("\t")
}

/// A URI of some 15,000 characters that nobody can pack, as JSON has it.
fn bulky(seed: u64) -> String {
    let mut random = Random(seed);
    let text: String = (0..1000).map(|_| format!("{:015x}", random.next() >> 4)).collect();
    format!("\"/{text}\"")
}

/// A record of which it is a connection that was open for hours, or an odd request.
fn risky(log: Log, form: Form, line: &str) -> String {
    if log == Log::Http {
        let line = edited(log, form, line, "method", "\"BREW\"");
        return edited(log, form, &line, "host", "\"198.51.100.7\"");
    }
    let line = edited(log, form, line, "duration", "45000.5");
    let ts = if form == Form::Json {
        serde_json::from_str::<Value>(&line).unwrap()["ts"].as_f64().unwrap()
    } else {
        line.split('\t').next().unwrap().parse().unwrap()
    };
    edited(log, form, &line, "ts", &format!("{:.6}", ts - 45_000.5))
}

impl Chaos {
    fn new(seed: u64, seconds: u64) -> Self {
        let script = Script::new(seed, seconds);
        let name = format!("chaos-{seed}-{}", std::process::id());
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(base.join("zeek")).unwrap();
        let setup = if script.is_supervised { Setup::supervised() } else { Setup::zeekctl() };
        let world = World::new(&base.join("zeek"), setup);
        let directory = TempDir::new_in(&base).unwrap();
        let engine = Engine::new(directory.path());
        let brokers = crate::services::kafka();
        let target = engine.url.trim_start_matches("http://");
        let proxies = [Proxy::before(&brokers, true), Proxy::before(target, false)];
        let mut daemon = Daemon::new(&world.logs());
        daemon.roots.push(world.root().join("spool"));
        (daemon.state, daemon.output) =
            (directory.path().join("state"), directory.path().join("out"));
        daemon.directory = directory;
        let disk = Small::new(&format!("{}m", script.disk_mib(seconds)));
        if let Some(small) = &disk {
            let place = small.path().join("here");
            fs::create_dir(&place).unwrap();
            match script.disk {
                Disk::State => daemon.state = place,
                Disk::Output => daemon.output = place,
                Disk::Spool => {
                    fs::create_dir(&daemon.state).unwrap();
                    symlink(place, daemon.state.join("spool")).unwrap();
                }
            }
        } else {
            println!("chaos: no file system can be mounted here: no disk is full");
        }
        let log = fs::File::create(base.join("acts.log")).unwrap();
        let begun = Instant::now();
        let mut chaos = Self {
            seed,
            seconds,
            script,
            base,
            log,
            begun,
            world,
            bad: BTreeSet::new(),
            odd: BTreeSet::new(),
            daemon,
            is_wanted: false,
            stopping: None,
            not_before: begun,
            engine,
            brokers,
            proxies,
            disk,
            short: None,
            is_short: false,
            sampled: begun,
            seen: Seen::default(),
        };
        chaos.configure();
        chaos.prepare();
        chaos
    }

    fn configure(&mut self) {
        let [kafka, search] = self.proxies.each_ref().map(Proxy::address);
        let (prefix, spool) = (&self.engine.prefix, self.script.spool_mib);
        let mut sets = vec![
            format!("sink.kafka.brokers=[{kafka:?}]"),
            format!("sink.kafka.topic_prefix={prefix:?}"),
            "sink.kafka.options.\"socket.timeout.ms\"=\"3000\"".to_owned(),
            "sink.kafka.options.\"reconnect.backoff.max.ms\"=\"1000\"".to_owned(),
            format!("sink.elasticsearch.urls=[\"http://{search}\"]"),
            format!("sink.elasticsearch.index_prefix={prefix:?}"),
            "sink.elasticsearch.replicas=0".to_owned(),
            "sink.elasticsearch.timeout=\"2s\"".to_owned(),
            "sink.ndjson.max_size=\"1MiB\"".to_owned(),
            "source.lateness=\"30s\"".to_owned(),
            format!("state.commit_every=\"{}ms\"", self.script.commit_every_ms),
        ];
        for sink in ["kafka", "elasticsearch"] {
            sets.push(format!("sink.{sink}.window=\"1MiB\""));
            sets.push(format!("sink.{sink}.spool_max=\"{spool}MiB\""));
        }
        self.daemon.args = sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect();
    }

    /// Templates, and indices of the days to come that do not take every number.
    fn prepare(&self) {
        let mut command = crate::common::program();
        command.args(["setup", "elasticsearch", "-c"]).arg(self.daemon.config());
        command.args(&self.daemon.args).args(["--set", "sink.elasticsearch.timeout=\"60s\""]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut wrong = json!({ "type": "integer" });
        for field in ["orig_bytes", "conn", "zeek"] {
            wrong = json!({ "properties": { field: wrong } });
        }
        for day in 19..=23 {
            let index = format!("/{}-events-2026.01.{day}", self.engine.prefix);
            self.engine.done("PUT", &index, &json!({ "mappings": wrong.clone() }));
        }
    }

    fn say(&mut self, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        writeln!(self.log, "{at:9.3} {what}").unwrap();
    }

    fn run(&mut self) {
        let acts = std::mem::take(&mut self.script.acts);
        self.begun = Instant::now();
        for (at, act) in &acts {
            let due = self.begun + Duration::from_millis(*at);
            self.tend();
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left.min(Duration::from_millis(10)));
                self.tend();
            }
            self.act(act);
        }
        self.calm();
    }

    fn act(&mut self, act: &Act) {
        if !matches!(act, Act::Zeek(Action::Write { .. } | Action::Pause { .. })) {
            self.say(&format!("{act:?}"));
        }
        let name = match act {
            Act::Zeek(Action::Rotate) => "rotations",
            Act::Zeek(Action::Archive) => "archives",
            Act::Zeek(Action::Restart) => "ends of Zeek",
            Act::Kill => "kills",
            Act::Stop => "stops",
            Act::Network(_, Fault::Refused) => "times refused",
            Act::Network(_, Fault::Hung) => "times hung",
            Act::Network(_, Fault::Slow) => "times slow",
            Act::Network(_, Fault::CutAfter(_)) => "times cut",
            Act::Fill => "times full",
            _ => "",
        };
        *self.seen.acts.entry(name).or_default() += 1;
        match act {
            Act::Zeek(action) => self.world.apply(action),
            Act::Bad(log) => {
                let cut = |_, line: &str| line[..line.len() * 2 / 3].to_owned();
                self.bad.extend(self.world.write_edited(*log, cut));
            }
            Act::Odd => {
                let huge =
                    |form, line: &str| edited(Log::Conn, form, line, "orig_bytes", "4000000000000");
                self.odd.extend(self.world.write_edited(Log::Conn, huge));
            }
            Act::Bulky(seed) => {
                let uri = bulky(*seed);
                let long = |form, line: &str| edited(Log::Http, form, line, "uri", &uri);
                self.world.write_edited(Log::Http, long);
            }
            Act::Risky(log) => {
                self.world.write_edited(*log, |form, line| risky(*log, form, line));
            }
            Act::Kill => self.kill(),
            Act::Stop => {
                self.is_wanted = false;
                if self.daemon.child.is_some() && self.stopping.is_none() {
                    self.daemon.signal(Signal::TERM);
                    self.stopping = Some(Instant::now());
                }
            }
            Act::Start => self.is_wanted = true,
            Act::Network(server, fault) => self.proxies[*server as usize].set(*fault),
            Act::Fill => self.fill(true),
            Act::Free => self.fill(false),
        }
    }

    fn kill(&mut self) {
        self.sample();
        (self.is_wanted, self.stopping) = (false, None);
        self.daemon.kill();
    }

    /// Fills the disk with what is nobody's, to the last block; or removes that.
    fn fill(&mut self, is_full: bool) {
        let Some(small) = &self.disk else { return };
        let filler = small.path().join("filler");
        if is_full {
            let mut file = fs::File::create(&filler).unwrap();
            let piece = vec![0; 1 << 20];
            for size in [1 << 20, 4096] {
                while file.write_all(&piece[..size]).is_ok() {}
            }
        } else if filler.exists() {
            fs::remove_file(&filler).unwrap();
        }
        (self.short, self.is_short) = (Some(Instant::now()), is_full);
    }

    /// Whether the disk is full, or was so lately.
    fn may_be_short(&self) -> bool {
        self.is_short || self.short.is_some_and(|at| at.elapsed() < SHORT)
    }

    /// Sees to the daemon, as a service manager does.
    fn tend(&mut self) {
        if self.sampled.elapsed() > Duration::from_millis(200) {
            self.sample();
        }
        if let Some(child) = &mut self.daemon.child {
            let status = child.try_wait().unwrap();
            if let Some(status) = status {
                self.daemon.child = None;
                let asked = self.stopping.take();
                if let Some(asked) = asked {
                    self.seen.slowest_stop = self.seen.slowest_stop.max(asked.elapsed());
                }
                let (code, by) = (status.code(), status.signal());
                self.say(&format!("it ended: {code:?} {by:?}"));
                // A signal may come before it is heard.
                let is_fine = match asked {
                    Some(_) => code == Some(0) || by == Some(Signal::TERM.as_raw()),
                    None => false,
                };
                let is_short = code == Some(74) && self.may_be_short();
                assert!(is_fine || is_short, "it ended with {code:?} {by:?}: {}", self.tail());
                self.seen.ended += usize::from(!is_fine);
                self.not_before = Instant::now() + AGAIN;
            } else if let Some(asked) = self.stopping {
                assert!(asked.elapsed() < STOPPED, "it does not stop: {}", self.tail());
            }
        } else if self.is_wanted && Instant::now() >= self.not_before {
            self.daemon.child = Some(self.daemon.command().spawn().unwrap());
            self.seen.starts += 1;
        }
    }

    /// The last lines of its log.
    fn tail(&self) -> String {
        let log = self.daemon.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// I6, as of now.
    fn sample(&mut self) {
        self.sampled = Instant::now();
        let Some(pid) = self.daemon.child.as_ref().map(std::process::Child::id) else { return };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.map_or(0, |it| it.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let seen = &mut self.seen;
        seen.memory_mib = seen.memory_mib.max(peak / 1024);
        seen.files = seen.files.max(files);
        assert!(seen.memory_mib < MEMORY_MAX, "{} MiB", seen.memory_mib);
        assert!(seen.files < FILES_MAX, "{} files", seen.files);
        for sink in ["kafka", "elasticsearch"] {
            let bytes = spool(&self.daemon.state, sink).iter().map(|(_, bytes)| bytes).sum();
            let most = self.seen.spool.entry(sink).or_default();
            *most = (*most).max(bytes);
            let bound = (self.script.spool_mib << 20) + SPOOL_SLACK;
            assert!(bytes < bound, "the spool of {sink} has {bytes} bytes, over {bound}");
        }
    }

    fn metrics(&self) -> Option<Metrics> {
        let addr = fs::read_to_string(self.daemon.state.join("http.addr")).ok()?;
        Metrics::at(addr.trim())
    }

    /// Lets time pass until it is so.
    fn until(&mut self, what: &str, at_most: Duration, is_so: &dyn Fn(&Metrics) -> bool) {
        let until = Instant::now() + at_most;
        loop {
            self.tend();
            let metrics = self.metrics();
            if metrics.as_ref().is_some_and(is_so) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {metrics:#?} {}", self.tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All faults end; it catches up (I5), ends and goes on.
    fn calm(&mut self) {
        self.say("calm");
        for proxy in &self.proxies {
            proxy.set(Fault::None);
        }
        self.fill(false);
        for log in Log::ALL {
            self.world.apply(&Action::FinishPart { log });
        }
        self.is_wanted = true;
        let begun = Instant::now();
        let patience = Duration::from_secs(60 + self.seconds);
        let must = self.world.expected().must.len();
        let records = std::cell::Cell::new((0.0, begun));
        self.until("it does not catch up", patience, &|metrics| {
            let now = metrics.sum("records_total");
            if records.get().0 != now {
                records.set((now, Instant::now()));
            }
            let is_still = records.get().1.elapsed() > Duration::from_secs(3);
            is_still && now >= must as f64 && is_level(metrics)
        });
        self.seen.caught_up = begun.elapsed().saturating_sub(Duration::from_secs(3));
        self.say("caught up");
        for _ in 0..2 {
            self.fresh_row();
            self.stop();
            for sink in ["kafka", "elasticsearch"] {
                let left = spool(&self.daemon.state, sink);
                assert!(left.is_empty(), "the spool of {sink} has {left:?}");
            }
            self.is_wanted = true;
        }
        self.is_wanted = false;
        self.say("done");
    }

    /// I5; a row arrives everywhere, and counters say so (I7).
    fn fresh_row(&mut self) {
        self.until("it does not start", super::PATIENCE, &is_level);
        let before = self.metrics().unwrap();
        self.world.apply(&Action::Write { log: Log::Conn, records: 1 });
        let events = before.sum("events_total") + 1.0;
        self.until("a fresh row does not arrive", super::PATIENCE, &|metrics| {
            metrics.sum("events_total") == events && is_level(metrics)
        });
        let after = self.metrics().unwrap();
        for sink in ["kafka", "elasticsearch"] {
            let of = |name: &str| format!("{name}{{sink=\"{sink}\"");
            let grown = |name: &str| after.starting(&of(name)) - before.starting(&of(name));
            let (sent, acked) = (grown("sink_sent_total"), grown("sink_acked_total"));
            assert!(sent == acked && sent >= 1.0, "{sink}: {sent} sent, {acked} acknowledged");
            assert_eq!(grown("sink_duplicates_total"), 0.0, "{sink}");
            assert_eq!(after.starting(&of("spool_dropped_total")), 0.0, "{sink}");
            assert_eq!(after.starting(&of("spool_lost_total")), 0.0, "{sink}");
        }
    }

    fn stop(&mut self) {
        self.act(&Act::Stop);
        while self.daemon.child.is_some() {
            std::thread::sleep(Duration::from_millis(10));
            self.tend();
        }
    }
}

/// Whether both sinks have everything.
fn is_level(metrics: &Metrics) -> bool {
    metrics.sum("sink_lag_records") == 0.0 && metrics.sum("spool_documents") == 0.0
}

/// The files of a spool with their sizes.
fn spool(state: &Path, sink: &str) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(state.join("spool").join(sink)).into_iter().flatten().flatten();
    // One may be let go just now.
    let size = |entry: fs::DirEntry| Some((entry.path(), entry.metadata().ok()?.len()));
    entries.filter_map(size).collect()
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.daemon.kill();
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.base));
            return;
        }
        // The small disk goes with it.
        self.daemon.directory.disable_cleanup(true);
        let kept = self.daemon.directory.path();
        for (from, to) in [(&self.daemon.state, "state"), (&self.daemon.output, "out")] {
            if *from != kept.join(to) {
                let copy = std::process::Command::new("cp").arg("-rL").arg(from).arg(kept).status();
                drop(copy.and_then(|_| fs::rename(kept.join("here"), kept.join(to))));
            }
        }
        let (seed, seconds) = (self.seed, self.seconds);
        println!("chaos: what there was is in {}", self.base.display());
        println!(
            "chaos: again with CHAOS_SEED={seed} CHAOS_SECONDS={seconds}, or, of whole minutes, make chaos SEED={seed} MINUTES={}",
            seconds.div_ceil(60)
        );
    }
}

/// As long as `CHAOS_SECONDS` says, from `CHAOS_SEED`.
#[test]
fn chaos_ends_with_everything_once_everywhere() {
    let (seed, seconds) = (environment("CHAOS_SEED", 1), environment("CHAOS_SECONDS", 20));
    println!("chaos: seed {seed}, {seconds} s");
    let mut chaos = Chaos::new(seed, seconds);
    chaos.run();
    let found = chaos.check();
    println!("chaos: {:#?}\n{found:#?}", chaos.seen);
}
