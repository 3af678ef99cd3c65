//! Faults of the machine below outputs and state (docs/faults.md), each a test of its own.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::COMMITTED;
use super::host::{Host, lines, log};

/// A small file system, where that is allowed here.
pub(super) struct Small(TempDir);

impl Small {
    pub(super) fn new(size: &str) -> Option<Self> {
        let place = TempDir::new().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(place.path())
            .stderr(std::process::Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(place))
    }
}

impl Small {
    pub(super) fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
        drop(unmount);
    }
}

fn check_full(of_state: bool) {
    let Some(small) = Small::new("6m") else {
        println!("no file system can be mounted here");
        return;
    };
    let mut host = Host::new();
    let place = small.0.path().join("here");
    let filler = small.0.path().join("filler");
    if of_state {
        host.daemon.state = place;
    } else {
        host.daemon.output = place;
    }
    host.daemon.start();
    host.write("conn.log", log(0, 0..100));
    host.expect(&[0..100]);
    std::thread::sleep(COMMITTED);
    let filled = fs::write(&filler, vec![0; 8 << 20]);
    assert!(filled.is_err(), "it was to be full");
    let mut next = 100;
    let until = Instant::now() + Duration::from_secs(5);
    let code = loop {
        host.append("conn.log", lines(next..next + 2000));
        next += 2000;
        if let Some(code) = host.daemon.ended() {
            break code;
        }
        if of_state && Instant::now() > until {
            // What it keeps found room in the file that it has.
            let age = host.daemon.metrics().get("checkpoint_age_seconds");
            assert!(age < 1.0, "it goes on, and commits nothing: {age} s");
            return host.expect(&[0..next]);
        }
        assert!(Instant::now() < until, "it goes on with a full disk");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(code, Some(74), "{}", host.daemon.log());
    assert!(host.daemon.log().contains("No space left"), "{}", host.daemon.log());
    fs::remove_file(filler).unwrap();
    if !of_state {
        fs::remove_file(host.path("conn.log")).unwrap();
        return;
    }
    host.daemon.start();
    host.expect(&[0..next]);
}

#[test]
fn f47_a_full_disk_under_the_outputs() {
    check_full(false);
}

#[test]
fn f47_a_full_disk_under_the_state() {
    check_full(true);
}

#[test]
fn f48_a_damaged_state() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    assert_eq!(host.daemon.stop(), Some(0));
    let path = host.daemon.state.join("state.redb");
    let whole = fs::read(&path).unwrap();
    let half = whole.len() / 2;
    let damages: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("zeroed", vec![0; whole.len()]),
        ("cut", whole[..half].to_vec()),
        ("noise", whole.iter().map(|byte| byte.wrapping_mul(31).wrapping_add(7)).collect()),
    ];
    for (name, bytes) in damages {
        fs::write(&path, bytes).unwrap();
        let (code, is_untouched) = host.daemon.refused();
        let log = host.daemon.log();
        assert!(code == Some(74) && is_untouched, "{name}: {code:?} {is_untouched}\n{log}");
    }
    // One bit, anywhere: it is seen, or it does not matter.
    for place in (0..whole.len()).step_by(whole.len() / 16) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        fs::write(&path, bytes).unwrap();
        let mut command = host.daemon.command();
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(250));
        let is_refused = child.try_wait().unwrap().map(|status| status.code());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            matches!(is_refused, None | Some(Some(74 | 78))),
            "{place}: {is_refused:?}\n{}",
            host.daemon.log()
        );
        host.expect(&[0..50]);
    }
    fs::write(&path, whole).unwrap();
    host.append("conn.log", lines(50..60));
    host.daemon.start();
    host.expect(&[0..60]);
}
