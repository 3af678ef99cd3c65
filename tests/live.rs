//! The daemon while Zeek writes, rotates, archives, stops and is killed; and while it is killed
//! itself: each record once, whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::service::{Metrics, append};
use crate::common::program;
use crate::emulator::actions::{Action, action, any_action, sequence};
use crate::emulator::ledger::Record;
use crate::emulator::rows::Log;
use crate::emulator::world::{Setup, World};

mod brokers;
#[expect(clippy::print_stdout, reason = "a run says what was done, and how to do it again")]
mod chaos;
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod engines;
mod explained;
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is expected")]
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod faults;
mod host;
mod kafka;
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is expected")]
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod letters;
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is expected")]
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod machine;
mod oracle;
mod proxy;
mod recordings;
mod records;
mod reload;
mod scripted;
mod search;
mod service;
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is expected")]
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod spool;
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is expected")]
#[expect(clippy::print_stdout, reason = "a test that cannot be made here says so")]
mod system;
mod warmed;

/// A daemon with its state, its outputs and the directory that it follows.
pub(crate) struct Daemon {
    directory: TempDir,
    state: PathBuf,
    output: PathBuf,
    roots: Vec<PathBuf>,
    args: Vec<String>,
    /// What its configuration has besides.
    more: String,
    child: Option<Child>,
    starts: usize,
    backfill: bool,
    uid: Option<u32>,
    files_max: Option<u32>,
    /// A command that the daemon is run by, where there is one.
    run_by: Vec<String>,
}

/// After so long what was read is committed.
const COMMITTED: Duration = Duration::from_millis(200);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl Daemon {
    /// Not started yet.
    pub(crate) fn new(root: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        Self {
            state: directory.path().join("state"),
            output: directory.path().join("out"),
            roots: vec![root.to_owned()],
            args: Vec::new(),
            more: String::new(),
            child: None,
            starts: 0,
            backfill: false,
            uid: None,
            files_max: None,
            run_by: Vec::new(),
            directory,
        }
    }

    fn config(&self) -> PathBuf {
        let path = self.directory.path().join("pipeline.toml");
        let text = format!(
            "[source]\nroots = {:?}\nbackfill = {}\n[state]\ndir = {:?}\ncommit_every = \"50ms\"\n\
             [sink.ndjson]\ndir = {:?}\nmax_size = \"20KiB\"\n[http]\nlisten = \"127.0.0.1:0\"\n{}",
            self.roots,
            self.backfill,
            self.state,
            self.out(),
            self.more,
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn out(&self) -> PathBuf {
        self.output.clone()
    }

    /// Its exit code, if it has ended.
    fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status.code())
    }

    fn command(&self) -> Command {
        let path = self.directory.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        let mut command = program();
        if let Some(files) = self.files_max {
            let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
            let of = command.get_program().to_owned();
            command = Command::new("sh");
            command.args(["-c", &limited]).arg(of);
        }
        if let [by, args @ ..] = self.run_by.as_slice() {
            let of = command.get_program().to_owned();
            command = Command::new(by);
            command.args(args).arg(of);
        }
        command.args(["run", "-v", "-c"]).arg(self.config()).args(&self.args);
        command.stdout(Stdio::null()).stderr(log);
        if let Some(uid) = self.uid {
            std::os::unix::process::CommandExt::uid(&mut command, uid);
        }
        command
    }

    /// Runs it as a user who may read what others let it.
    fn as_nobody(&mut self) {
        self.uid = Some(65_534);
        std::os::unix::fs::chown(self.directory.path(), self.uid, None).unwrap();
    }

    /// Its exit code where it does not start, and whether it wrote nothing.
    fn refused(&self) -> (Option<i32>, bool) {
        let before = self.bytes("events.ndjson");
        let mut child = self.command().spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if Instant::now() > until {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (code, before == self.bytes("events.ndjson"))
    }

    /// The most memory that it took so far, in MiB.
    fn peak_mib(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    pub(crate) fn start(&mut self) {
        self.child = Some(self.command().spawn().unwrap());
        self.starts += 1;
        let until = Instant::now() + PATIENCE;
        while self.log().matches("running").count() < self.starts {
            assert!(Instant::now() < until, "it does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// `SIGTERM`; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        panic!("it did not stop: {}", self.log());
    }

    /// Dead letters hold what redaction does not reach: they stay with the state.
    fn file(&self, name: &str) -> PathBuf {
        let directory = if name == "dead-letter.ndjson" { &self.state } else { &self.output };
        directory.join(name)
    }

    /// All of one kind, over the files that are full.
    fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.file(name);
        let (directory, stem) = (path.parent().unwrap(), name.trim_end_matches("ndjson"));
        let full = || -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).into_iter().flatten();
            let paths = entries.map(|entry| entry.unwrap().path());
            let is_ours = |path: &PathBuf| {
                let found = path.file_name().unwrap().to_str().unwrap();
                found.starts_with(stem) && found.ends_with("ndjson") && found != name
            };
            let mut paths: Vec<PathBuf> = paths.filter(is_ours).collect();
            paths.sort_unstable();
            paths
        };
        loop {
            let before = full();
            let all = before.iter().chain([&path]);
            let text: Vec<u8> = all.flat_map(|path| fs::read(path).unwrap_or_default()).collect();
            if before == full() {
                return text;
            }
        }
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.bytes(name);
        // The last one may be in the middle of being written.
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines = text[..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// How often each record was delivered, by log and key.
    pub(crate) fn delivered(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for event in self.lines("events.ndjson") {
            for log in Log::ALL {
                let Some(record) = event["zeek"].get(log.name()) else { continue };
                let key = record[log.key()].as_str().unwrap().to_owned();
                *found.entry((log.name().to_owned(), key)).or_default() += 1;
            }
        }
        found
    }

    /// Waits until all of `must` were delivered; fails on any that came twice.
    fn wait_for(&self, must: &[Record], what: &dyn std::fmt::Debug) {
        let until = Instant::now() + PATIENCE;
        loop {
            let delivered = self.delivered();
            let twice: Vec<_> = delivered.iter().filter(|(_, count)| **count > 1).collect();
            assert!(twice.is_empty(), "twice: {twice:?} after {what:?}\n{}", self.log());
            let key = |record: &Record| (record.log.name().to_owned(), record.key.clone());
            let missing: Vec<_> =
                must.iter().map(key).filter(|key| !delivered.contains_key(key)).collect();
            if missing.is_empty() {
                return;
            }
            assert!(
                Instant::now() < until,
                "{} of {} missing, the first {:?}, after {what:?}\n{}\nletters {:?}",
                missing.len(),
                must.len(),
                missing[0],
                self.log(),
                self.lines("dead-letter.ndjson"),
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What becomes of the daemon between two actions.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lives,
    IsKilled,
    IsStopped,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Lives), 2 => Just(Fate::IsKilled), 1 => Just(Fate::IsStopped)]
}

/// Does what is written; the reader sees everything between two actions.
fn check(setup: Setup, script: &[(Action, Fate)]) {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), setup);
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    for (step, (action, fate)) in script.iter().enumerate() {
        let done = &script[..=step];
        world.apply(action);
        match fate {
            Fate::Lives => {}
            Fate::IsKilled => {
                daemon.kill();
                daemon.start();
            }
            Fate::IsStopped => {
                assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
                daemon.start();
            }
        }
        daemon.wait_for(&world.expected().must, &done);
        // What Zeek destroys between reading and commit is gone if the daemon is killed just then.
        std::thread::sleep(COMMITTED);
        world.settled();
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.wait_for(&world.expected().must, &script);
    let written = world.ledger().written().len();
    assert!(daemon.delivered().len() <= written, "more than was written");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_time: 60_000, ..ProptestConfig::default() })]
    #[test]
    fn each_record_once_whatever_zeek_and_its_archivers_do(
        supervised in any::<bool>(),
        script in sequence(action(), 14).prop_flat_map(|actions| {
            let fates = proptest::collection::vec(fate(), actions.len());
            fates.prop_map(move |fates| actions.iter().cloned().zip(fates).collect::<Vec<_>>())
        }),
    ) {
        let setup = if supervised { Setup::supervised() } else { Setup::zeekctl() };
        check(setup, &script);
    }

    #[test]
    fn each_record_once_whatever_others_do_to_the_files(
        script in sequence(any_action(), 10),
    ) {
        let script: Vec<_> = script.into_iter().map(|action| (action, Fate::Lives)).collect();
        check(Setup::zeekctl(), &script);
    }
}

/// What a daemon wrote comes out again when its journal is followed, to the byte: all of it, or what
/// came after the place where the journal was cut.
pub(crate) fn check_journal(daemon: &Daemon, logs: &Path, is_cut: bool) {
    let output = daemon.directory.path().join("again");
    let run = program()
        .args(["replay", "--journal"])
        .arg(daemon.state.join("journal"))
        .arg("-c")
        .arg(daemon.config())
        .arg("-o")
        .arg(&output)
        .arg(logs)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for name in ["events.ndjson", "alerts.ndjson", "risk.ndjson", "dead-letter.ndjson"] {
        let (wrote, again) = (daemon.bytes(name), fs::read(output.join(name)).unwrap());
        if is_cut {
            assert!(wrote.len() > again.len(), "{name}");
            assert!(!again.is_empty() || name == "dead-letter.ndjson", "{name}");
            assert!(wrote.ends_with(&again), "{name}");
            continue;
        }
        let common = wrote.iter().zip(&again).take_while(|(a, b)| a == b).count();
        let line = |bytes: &[u8]| {
            let start = bytes[..common].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
            text.lines().next().unwrap_or_default().to_owned()
        };
        assert!(wrote == again, "{name}: wrote {}\nagain {}", line(&wrote), line(&again));
    }
}

/// Logs in which stages find something, as lines that are written bit by bit.
fn risky(rows: usize) -> (Vec<String>, Vec<String>) {
    let conn = |n: usize| {
        let duration = if n.is_multiple_of(50) { 90_000 } else { n % 90 };
        let ts = 1_700_000_000 + n * 3;
        format!(
            "{ts}.000001\tC{n:017}\t10.0.{}.{}\t203.0.113.{}\t{duration}.5\t{n}\n",
            n / 400,
            n % 20,
            n % 9
        )
    };
    let http = |n: usize| {
        let method = if n.is_multiple_of(7) { "BREW" } else { "GET" };
        let ts = 1_700_000_000 + n * 3;
        format!(
            "{ts}.25\tD{n:017}\t10.0.{}.{}\t203.0.113.9\t{method}\t198.51.100.{}\t/x.jpg\t1.1\t200\t-\t-\n",
            n / 400,
            n % 20,
            n % 200
        )
    };
    ((0..rows).map(conn).collect(), (0..rows).map(http).collect())
}

/// Follows `conn.log` and `http.log` in `place` while they are written in 40 rounds, killed after each
/// `every`th of them; how many records were delivered when it was stopped.
fn killed_now_and_then(daemon: &mut Daemon, place: &Path, every: usize) -> usize {
    let (conns, https) = risky(2000);
    fs::write(place.join("conn.log"), crate::common::conn(&[])).unwrap();
    fs::write(place.join("http.log"), crate::common::http(&["no record"])).unwrap();
    daemon.start();
    for (round, (conns, https)) in conns.chunks(50).zip(https.chunks(50)).enumerate() {
        for (name, rows) in [("conn.log", conns), ("http.log", https)] {
            append(&place.join(name), rows.concat().as_bytes());
        }
        std::thread::sleep(Duration::from_millis(17 * (round as u64 % 13)));
        if (round + 1).is_multiple_of(every) {
            daemon.kill();
            daemon.start();
        }
    }
    let until = Instant::now() + PATIENCE;
    while daemon.delivered().len() < 4000 {
        assert!(Instant::now() < until, "{}\n{}", daemon.delivered().len(), daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.delivered().len()
}

#[test]
fn the_journal_gives_the_same_bytes_whenever_the_daemon_was_killed() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    let (conns, https) = risky(4000);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[])).unwrap();
    fs::write(place.path().join("http.log"), crate::common::http(&[])).unwrap();
    daemon.start();
    for (round, (conns, https)) in conns.chunks(200).zip(https.chunks(200)).enumerate() {
        for (name, rows) in [("conn.log", conns), ("http.log", https)] {
            append(&place.path().join(name), rows.concat().as_bytes());
        }
        std::thread::sleep(Duration::from_millis(7 * (round as u64 % 13)));
        if round % 3 == 2 {
            daemon.kill();
            daemon.start();
        }
    }
    let until = Instant::now() + PATIENCE;
    while daemon.delivered().len() < 8000 {
        assert!(Instant::now() < until, "{} of 8000", daemon.delivered().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert_eq!(daemon.lines("events.ndjson").len(), 8000);
    let alerts = daemon.lines("alerts.ndjson");
    assert!(alerts.len() > 50, "{} alerts", alerts.len());
    let risk = daemon.lines("risk.ndjson").len();
    assert!(risk > 50, "{risk} risk documents of {} alerts", alerts.len());
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in &alerts {
        ids.entry(alert["event"]["id"].to_string()).or_default().push(alert.to_string());
    }
    let twice = ids.values().find(|alerts| alerts.len() > 1);
    assert!(twice.is_none(), "an alert twice: {twice:?}");
    check_journal(&daemon, place.path(), false);
}

#[test]
fn a_journal_that_was_cut_goes_on_from_its_snapshot() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = ["--set", "state.journal_max=\"64KiB\""].map(str::to_owned).to_vec();
    // With what models find so short a journal may end before it has a risk.
    daemon.more = crate::common::without_models();
    let (conns, https) = risky(3000);
    fs::write(place.path().join("conn.log"), crate::common::conn(&[])).unwrap();
    fs::write(place.path().join("http.log"), crate::common::http(&["no record at all"])).unwrap();
    daemon.start();
    for (round, (conns, https)) in conns.chunks(5).zip(https.chunks(5)).enumerate() {
        for (name, rows) in [("conn.log", conns), ("http.log", https)] {
            append(&place.path().join(name), rows.concat().as_bytes());
        }
        std::thread::sleep(Duration::from_millis(4));
        if round % 250 == 200 {
            daemon.kill();
            daemon.start();
        }
    }
    append(&place.path().join("http.log"), b"not a record\n");
    let until = Instant::now() + PATIENCE;
    while daemon.delivered().len() < 6000 {
        assert!(Instant::now() < until, "{} of 6000", daemon.delivered().len());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    let journal = fs::read_dir(daemon.state.join("journal")).unwrap();
    let sizes: BTreeMap<_, u64> = journal
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), entry.metadata().unwrap().len()))
        .collect();
    let snapshot = sizes.values().max().unwrap();
    assert!(sizes.values().sum::<u64>() < (64 << 10) + snapshot, "{sizes:?}");
    assert!(!sizes.contains_key(std::ffi::OsStr::new("00000000.journal")), "{sizes:?}");
    check_journal(&daemon, place.path(), true);
}

/// The state that release 0.1 leaves after 120 records of [`risky`], committed as a file, so that
/// later releases prove that they open it. `BLESS_STATE=1` makes it again.
#[test]
fn the_state_of_release_0_1_opens_and_goes_on() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/state-0.1.redb.gz");
    let place = TempDir::new().unwrap();
    let (conns, https) = risky(61);
    let write = |name: &str, head: String, rows: &[String]| {
        fs::write(place.path().join(name), head + &rows.concat()).unwrap();
    };
    write("conn.log", crate::common::conn(&[]), &conns[..60]);
    write("http.log", crate::common::http(&[]), &https[..60]);
    let mut daemon = Daemon::new(place.path());
    let records = |daemon: &Daemon| daemon.lines("events.ndjson").len();
    let wait = |daemon: &Daemon, count: usize| {
        let until = Instant::now() + PATIENCE;
        while records(daemon) < count {
            assert!(Instant::now() < until, "{} of {count}\n{}", records(daemon), daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    if std::env::var_os("BLESS_STATE").is_some() {
        daemon.start();
        wait(&daemon, 120);
        assert_eq!(daemon.stop(), Some(0));
        let state = fs::read(daemon.state.join("state.redb")).unwrap();
        fs::write(&fixture, crate::common::gzip(&state)).unwrap();
        return;
    }
    fs::create_dir_all(&daemon.state).unwrap();
    let mut state = Vec::new();
    let packed = fs::read(&fixture).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut state).unwrap();
    fs::write(daemon.state.join("state.redb"), state).unwrap();
    daemon.start();
    // What was read is not read again, and what was found is not told again: row 56 was a BREW to the
    // same address.
    let again = https[56].replace("D00000000000000056", "D00000000000000999");
    for (name, rows) in [("conn.log", conns[60].clone()), ("http.log", again)] {
        let path = place.path().join(name);
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, rows.as_bytes()).unwrap();
    }
    wait(&daemon, 2);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    assert_eq!(records(&daemon), 2);
    assert_eq!(daemon.lines("alerts.ndjson"), Vec::<Value>::new());
}
