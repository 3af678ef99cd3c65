//! Faults of the spool (docs/faults.md): its disk, its files, and a state that is not of its age.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::host::{Host, lines, log};
use super::kafka::{Nobody, lag, topic};
use super::machine::Small;
use super::proxy::{Mode, Proxy};
use super::search::wait;
use super::{Daemon, PATIENCE};

/// Starts it with brokers that answer, and waits until they have everything.
fn deliver(daemon: &mut Daemon) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    daemon.args[1] = format!("sink.kafka.brokers=[{:?}]", cluster.bootstrap_servers());
    daemon.start();
    cluster
}

const PREFIX: &str = "zeek-ueba";

/// Topics hold what the files hold, each id once in the files, and its very bytes.
fn expect_same(daemon: &Daemon, (brokers, prefix): (&str, &str), missing: usize) {
    for kind in ["events", "alerts", "risk"] {
        let text = daemon.bytes(&format!("{kind}.ndjson"));
        let sent = topic(brokers, &format!("{prefix}.{kind}"));
        let (mut lacks, mut wrote) = (0, 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let document: serde_json::Value = serde_json::from_slice(line).unwrap();
            wrote += 1;
            match sent.get(document["event"]["id"].as_str().unwrap()) {
                Some(copies) => assert!(copies.iter().all(|(sent, _)| sent == line), "{kind}"),
                None => lacks += 1,
            }
        }
        assert_eq!(lacks, if kind == "events" { missing } else { 0 }, "{kind}");
        assert_eq!(sent.len(), wrote - lacks, "{kind}: more than the files have");
    }
}

/// A daemon without brokers that has read and committed some rows.
fn away(rows: usize) -> Host {
    let mut host = Host::new();
    host.daemon.args = Nobody::new().args();
    host.daemon.start();
    host.write("conn.log", log(0, 0..rows));
    host.expect(&[0..rows]);
    wait(&host.daemon, &|daemon| daemon.metrics().sum("records_total") == rows as f64);
    host
}

fn spool(host: &Host, what: &str) -> PathBuf {
    let directory = host.daemon.state.join("spool/kafka");
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_str().unwrap().ends_with(what));
    found.sort_unstable();
    found.remove(0)
}

#[test]
fn f47_a_full_disk_under_the_spool() {
    let Some(small) = Small::new("2m") else {
        println!("no file system can be mounted here");
        return;
    };
    let mut host = Host::new();
    fs::create_dir_all(&host.daemon.state).unwrap();
    symlink(small.path(), host.daemon.state.join("spool")).unwrap();
    let filler = small.path().join("filler");
    fs::write(&filler, vec![0; 2000 << 10]).unwrap();
    host.daemon.args = Nobody::new().args();
    host.daemon.args.extend(["--set", "sink.kafka.window=\"1MiB\""].map(str::to_owned));
    host.daemon.start();
    host.write("conn.log", log(0, 0..10));
    let mut next = 10;
    let until = Instant::now() + PATIENCE;
    while host.daemon.metrics().get("spool_full{sink=\"kafka\"}") == 0.0 {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        host.append("conn.log", lines(next..next + 2000));
        next += 2000;
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(host.daemon.get("/readyz").code, 503);
    assert!(host.daemon.log().contains("no room"), "{}", host.daemon.log());
    host.append("conn.log", lines(next..next + 500));
    next += 500;
    std::thread::sleep(Duration::from_secs(1));
    assert!(host.daemon.lines("events.ndjson").len() < next, "it pauses");
    // Also the end of it is not held up; what no commit has is read again.
    let code = host.daemon.stop();
    assert!(code == Some(74) || code == Some(0), "{code:?} {}", host.daemon.log());
    fs::remove_file(filler).unwrap();
    let cluster = deliver(&mut host.daemon);
    host.expect(&[0..next]);
    wait(&host.daemon, &|daemon| lag(daemon) == 0.0);
    assert_eq!(host.daemon.metrics().get("spool_lost_total{sink=\"kafka\"}"), 0.0);
    expect_same(&host.daemon, (&cluster.bootstrap_servers(), PREFIX), 0);
}

/// Runs it with a system call on one file that fails (EIO) until it ends with 74, and then without;
/// false where nothing can be traced.
fn fails(host: &mut Host, call: &str, file: &Path, meanwhile: impl FnOnce(&Host)) -> bool {
    let works = Command::new("strace").args(["-qq", "true"]).output();
    if !works.is_ok_and(|run| run.status.success()) {
        println!("nothing can be traced here: apt-get install strace");
        return false;
    }
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO"));
    let file = file.to_str().unwrap();
    let args = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-P", file, "-e", &inject];
    host.daemon.run_by = args.map(str::to_owned).to_vec();
    host.daemon.start();
    meanwhile(host);
    let until = Instant::now() + PATIENCE;
    let code = loop {
        if let Some(code) = host.daemon.ended() {
            break code;
        }
        assert!(Instant::now() < until, "it goes on: {}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(74), "{}", host.daemon.log());
    host.daemon.run_by.clear();
    true
}

/// A spool whose files cannot be synced ends the program: nobody knows what is on the disk then.
#[test]
fn f47_a_sync_of_the_spool_that_fails() {
    let mut host = away(50);
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
    // The segment that is written next begins with what comes next.
    let events = host.daemon.state.join(format!("spool/kafka/events.{:020}.spool", 50));
    if !fails(&mut host, "fdatasync", &events, |host| host.append("conn.log", lines(50..100))) {
        return;
    }
    let cluster = deliver(&mut host.daemon);
    host.expect(&[0..100]);
    wait(&host.daemon, &|daemon| daemon.metrics().sum("records_total") == 100.0);
    wait(&host.daemon, &|daemon| lag(daemon) == 0.0);
    expect_same(&host.daemon, (&cluster.bootstrap_servers(), PREFIX), 0);
}

/// A spool that cannot be read ends the program too: what it holds is there for the next start.
#[test]
fn f47_a_read_of_the_spool_that_fails() {
    let mut host = away(50);
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
    let events = spool(&host, ".spool");
    if !fails(&mut host, "pread64", &events, |_| {}) {
        return;
    }
    let cluster = deliver(&mut host.daemon);
    wait(&host.daemon, &|daemon| lag(daemon) == 0.0);
    expect_same(&host.daemon, (&cluster.bootstrap_servers(), PREFIX), 0);
}

fn check_damage(damage: impl FnOnce(&Path), is_there: bool) {
    let mut host = away(400);
    host.daemon.kill();
    damage(&spool(&host, ".spool"));
    if !is_there {
        fs::remove_file(host.path("conn.log")).unwrap();
    }
    let cluster = deliver(&mut host.daemon);
    wait(&host.daemon, &|daemon| lag(daemon) == 0.0);
    let metrics = host.daemon.metrics();
    let [made, lost] = ["made_again", "lost"]
        .map(|name| metrics.get(&format!("spool_{name}_total{{sink=\"kafka\"}}")) as usize);
    assert!(if is_there { made > 0 && lost == 0 } else { made == 0 && lost > 0 }, "{made} {lost}");
    expect_same(&host.daemon, (&cluster.bootstrap_servers(), PREFIX), lost);
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// What a damaged spool cannot give back is made again of the log, if that is still there.
#[test]
fn f48_a_damaged_spool() {
    check_damage(flip, true);
    check_damage(flip, false);
    check_damage(|path| fs::remove_file(path).unwrap(), true);
    check_damage(|path| fs::write(path, [0; 10_000]).unwrap(), true);
}

/// The state of an hour ago with the spool of today, and the other way about.
#[test]
fn f49_a_state_that_is_older_or_newer_than_its_spool() {
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(done.unwrap().success());
    };
    for is_older in [true, false] {
        let mut host = away(100);
        assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
        let kept = host.path("kept");
        copy(&host.daemon.state, &kept);
        host.daemon.start();
        host.append("conn.log", lines(100..300));
        host.expect(&[0..300]);
        wait(&host.daemon, &|daemon| daemon.metrics().sum("records_total") == 300.0);
        assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
        let state = host.daemon.state.clone();
        let of_old = if is_older { "state.redb" } else { "spool" };
        let there = state.join(of_old);
        if there.is_dir() { fs::remove_dir_all(&there) } else { fs::remove_file(&there) }.unwrap();
        copy(&kept.join(of_old), &there);
        fs::remove_dir_all(kept).unwrap();
        let cluster = deliver(&mut host.daemon);
        wait(&host.daemon, &|daemon| daemon.metrics().sum("records_total") == 300.0);
        wait(&host.daemon, &|daemon| lag(daemon) == 0.0);
        let lost = host.daemon.metrics().get("spool_lost_total{sink=\"kafka\"}");
        if is_older {
            // It goes on where the state is, and reads the rest again.
            assert_eq!(lost, 0.0);
            expect_same(&host.daemon, (&cluster.bootstrap_servers(), PREFIX), 0);
        } else {
            // Nobody knows which documents those were, but how many.
            let sent = topic(&cluster.bootstrap_servers(), "zeek-ueba.events");
            assert!(lost >= 200.0 && sent.len() == 100, "{lost} {}", sent.len());
        }
    }
}

/// Rows that cannot be packed well.
fn bulky(range: std::ops::Range<usize>) -> String {
    let noise = |n: usize| -> String {
        let sum = |part: usize| zeek_ueba::zeek::sha256(format!("{n} {part}").as_bytes());
        (0..5).map(|part| data_encoding::HEXLOWER.encode(&sum(part))).collect()
    };
    let row = |n: usize| {
        let time = 1_700_000_000 + n;
        format!("{time}.000001\tC{n}x{}\t10.0.0.5\t203.0.113.9\t1.5\t{n}\n", noise(n))
    };
    range.map(row).collect()
}

/// A log that is removed while reading pauses is held, seen, and read to its end when there is room
/// again.
#[test]
fn f59_a_removed_file_is_held_while_reading_pauses() {
    // The mock cluster keeps a few mebibytes only.
    let brokers = crate::services::kafka();
    let proxy = Proxy::before_kafka(&brokers);
    proxy.set(Mode::Refuse);
    let mut host = Host::new();
    host.daemon.args = vec!["--set".to_owned()];
    host.daemon.args.push(format!("sink.kafka.brokers=[{:?}]", proxy.address()));
    let prefix = format!("t{}", host.place.path().file_name().unwrap().to_str().unwrap());
    let prefix = prefix.replace("t.", "t");
    host.daemon.args.extend(["--set".to_owned(), format!("sink.kafka.topic_prefix={prefix:?}")]);
    for set in ["sink.kafka.window=\"1MiB\"", "sink.kafka.spool_max=\"1MiB\""] {
        host.daemon.args.extend(["--set".to_owned(), set.to_owned()]);
    }
    host.daemon.start();
    host.write("conn.log", log(0, 0..0) + &bulky(0..100));
    let mut next = 100;
    let until = Instant::now() + PATIENCE;
    while host.daemon.metrics().get("spool_full{sink=\"kafka\"}") == 0.0 {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        host.append("conn.log", bulky(next..next + 1000));
        next += 1000;
        std::thread::sleep(Duration::from_millis(50));
    }
    host.append("conn.log", bulky(next..next + 10_000));
    next += 10_000;
    std::thread::sleep(Duration::from_secs(1));
    let read = |daemon: &Daemon| daemon.metrics().sum("records_total") as usize;
    assert!(read(&host.daemon) < next, "it pauses");
    assert_eq!(host.daemon.get("/readyz").code, 503);
    let path = host.path("conn.log");
    fs::rename(&path, host.path(super::host::ROTATED)).unwrap();
    fs::remove_file(host.path(super::host::ROTATED)).unwrap();
    host.write("conn.log", log(1, 0..0) + &bulky(next..next + 10));
    wait(&host.daemon, &|daemon| daemon.metrics().get("held_deleted_bytes") > 1e6);
    let spool = host.daemon.metrics().get("spool_bytes{sink=\"kafka\"}");
    assert!(spool < 4.0 * 1024.0 * 1024.0, "the bound and what was in memory: {spool}");
    proxy.set(Mode::Pass);
    wait(&host.daemon, &|daemon| read(daemon) == next + 10 && lag(daemon) == 0.0);
    wait(&host.daemon, &|daemon| daemon.metrics().get("held_deleted_bytes") == 0.0);
    expect_same(&host.daemon, (&brokers, &prefix), 0);
}
