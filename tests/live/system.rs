//! Faults of what the system lends (docs/faults.md): its clock, and its word that a directory changed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::COMMITTED;
use super::host::{Host, ROTATED, closed, lines, log};

/// A library that lends a clock to the program it is loaded into.
fn clock(host: &Host) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/clock.c");
    let library = host.daemon.directory.path().join("clock.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compile.status().unwrap().success(), "cc does not compile {source}");
    library
}

/// Sets the clock of the daemon to so many seconds from now, and the times of files with it, as the
/// kernel would have given them.
fn jump(host: &Host, seconds: i64) {
    fs::write(host.daemon.directory.path().join("shift"), seconds.to_string()).unwrap();
    let shift = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let then = if seconds < 0 { now - shift } else { now + shift };
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten();
    for entry in entries(host.path("")).chain(entries(host.path("day"))) {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }
}

/// A daemon whose clock a test sets.
fn with_a_clock() -> Host {
    let mut host = Host::new();
    let (library, shift) = (clock(&host), host.daemon.directory.path().join("shift"));
    let variables = [("LD_PRELOAD", &library), ("CLOCK_SHIFT", &shift)];
    let set = variables.map(|(name, path)| format!("{name}={}", path.display()));
    host.daemon.run_by = ["env".to_owned()].into_iter().chain(set).collect();
    // What a clock says that is moved so.
    fs::write(&shift, "1000000").unwrap();
    let date = Command::new("date").arg("+%s").envs(variables).output().unwrap();
    let date: u64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!((date - now).abs_diff(1_000_000) < 60, "{date} and {now}");
    jump(&host, 0);
    host
}

#[test]
fn f26_a_clock_that_jumps() {
    let mut host = with_a_clock();
    host.daemon.start();
    let pid = host.daemon.child.as_ref().unwrap().id();
    let loaded = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(loaded.contains("clock.so"), "{loaded}");
    host.write("conn.log", log(0, 0..10));
    host.expect(&[0..10]);
    for (round, seconds) in [3600, -3600, 0, -7200, 86_400 * 400].into_iter().enumerate() {
        let first = 10 + round * 30;
        jump(&host, seconds);
        host.append("conn.log", lines(first..first + 10));
        host.expect(&[0..first + 10]);
        // Rotated into a name that there has been already, as in the hour that comes twice.
        host.rename("conn.log", ROTATED);
        host.archive(ROTATED, "day/conn.02:00:00-03:00:00.log.gz");
        host.write("conn.log", log(round + 1, first + 10..first + 20));
        jump(&host, seconds);
        host.expect(&[0..first + 20]);
        // And with a start on the other side, and something put away between.
        std::thread::sleep(COMMITTED);
        host.daemon.kill();
        host.append("conn.log", lines(first + 20..first + 25));
        host.rename("conn.log", ROTATED);
        host.archive(ROTATED, &format!("day/conn.0{round}:00:00-02:00:00.log.gz"));
        host.write("conn.log", log(round + 10, first + 25..first + 30));
        jump(&host, -seconds);
        host.daemon.start();
        host.expect(&[0..first + 30]);
    }
    host.expect_still(&[0..160]);
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
}

#[test]
fn f26_a_clock_that_was_ahead_at_the_first_start() {
    let mut host = with_a_clock();
    host.write("conn.log", log(0, 0..10));
    jump(&host, 3600);
    host.daemon.start();
    host.expect(&[0..10]);
    jump(&host, 0);
    host.append("conn.log", lines(10..20));
    host.expect(&[0..20]);
    // Its time is before that of the first start.
    let archive = crate::common::gzip(closed(1, 20..30).as_bytes());
    host.write("day/conn.02:00:00-03:00:00.log.gz", archive);
    host.expect(&[0..30]);
}

/// Whether this user may have limits of its own here.
fn has_namespaces() -> bool {
    let limited = "echo 0 > /proc/sys/user/max_inotify_watches";
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", limited]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn f28_no_inotify() {
    if !has_namespaces() {
        println!("this user has no namespaces here");
        return;
    }
    for (limit, words) in
        [("max_inotify_watches", "no inotify here"), ("max_inotify_instances", "no inotify:")]
    {
        let mut host = Host::new();
        let limited = format!("echo 0 > /proc/sys/user/{limit} && exec \"$0\" \"$@\"");
        host.daemon.run_by = ["unshare", "-Ur", "sh", "-c", &limited].map(str::to_owned).to_vec();
        host.write("spool/conn.log", log(0, 0..10));
        host.daemon.start();
        host.expect_log(words);
        host.expect(&[0..10]);
        host.rename("spool", "moved");
        host.write("spool/conn.log", log(1, 10..20));
        host.append("moved/conn.log", lines(20..30));
        host.write("other/deep/conn.log", closed(2, 30..40));
        host.expect_still(&[0..40]);
    }
}

#[test]
fn f28_more_happens_than_inotify_keeps() {
    let host = Host::started();
    host.write("conn.log", log(0, 0..10));
    host.expect(&[0..10]);
    let kept = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let kept: usize = kept.trim().parse().unwrap();
    // Nobody reads what the kernel has to say, until it says no more.
    host.daemon.signal(Signal::STOP);
    for n in 0..kept {
        let path = host.path(&format!("noise{}", n % 2));
        fs::write(&path, "").unwrap();
        fs::remove_file(path).unwrap();
    }
    host.rename("conn.log", ROTATED);
    host.write("conn.log", log(1, 10..20));
    host.write("new/conn.log", log(2, 20..30));
    host.append(ROTATED, lines(30..40));
    host.daemon.signal(Signal::CONT);
    host.expect(&[0..40]);
}
