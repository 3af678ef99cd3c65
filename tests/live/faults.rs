//! Faults of logs and of their directories (docs/faults.md), each a test of its own.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::host::{Host, ROTATED, closed, line, lines, log, touch};
use super::{COMMITTED, PATIENCE};
use crate::common::gzip;

#[test]
fn f01_killed_two_hundred_times_under_load() {
    let mut host = Host::started();
    let (mut next, mut rotation) = (0, 0);
    host.write("conn.log", log(0, 0..0));
    for kill in 0..200 {
        for _ in 0..3 {
            host.append("conn.log", lines(next..next + 40));
            next += 40;
            std::thread::sleep(Duration::from_millis(1 + kill % 9));
        }
        if kill % 10 == 9 {
            let (rotated, archive) =
                (format!("conn.{rotation:05}.log"), format!("{rotation:05}.gz"));
            host.rename("conn.log", &rotated);
            rotation += 1;
            host.write("conn.log", log(rotation % 60, next..next + 1));
            next += 1;
            host.archive(&rotated, &format!("day/conn.{archive}"));
        }
        host.daemon.kill();
        host.daemon.start();
    }
    host.expect(&[0..next]);
    assert_eq!(host.daemon.stop(), Some(0));
    host.expect(&[0..next]);
}

#[test]
fn f03_a_signal_ends_it_in_bounded_time() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..5000));
    let start = Instant::now();
    assert_eq!(host.daemon.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10));
    host.daemon.start();
    host.expect(&[0..5000]);
}

#[test]
fn f05_rotation_every_hundred_milliseconds() {
    let host = Host::started();
    for round in 0..40 {
        host.write("conn.log", closed(round, round * 100..round * 100 + 100));
        std::thread::sleep(Duration::from_millis(100));
        let rotated = format!("conn.2024-01-01-00-00-{round:02}.log");
        host.rename("conn.log", &rotated);
        host.archive(&rotated, &format!("2024-01-01/conn.00:{round:02}:00-00:59:00.log.gz"));
    }
    host.expect(&[0..4000]);
}

#[test]
fn f06_an_inode_that_is_used_again() {
    let host = Host::started();
    let mut seen = Vec::new();
    for round in 0..4 {
        host.write("conn.log", log(round, round * 10..round * 10 + 10));
        host.expect(&[0..round * 10 + 10]);
        seen.push(std::os::unix::fs::MetadataExt::ino(
            &fs::metadata(host.path("conn.log")).unwrap(),
        ));
        host.rename("conn.log", ROTATED);
        host.archive(ROTATED, &format!("conn.{round}.log.gz"));
        // Zeek makes the next file at its next record; the old one is let go of meanwhile.
        std::thread::sleep(Duration::from_millis(2500));
    }
    // Where the file system gives inodes out again, as ext4 does, one came twice.
    seen.sort_unstable();
    seen.dedup();
    assert!((1..=4).contains(&seen.len()), "{seen:?}");
}

#[test]
fn f07_the_directory_is_moved_and_made_again() {
    let mut host = Host::new();
    host.write("spool/zeek/conn.log", log(0, 0..10));
    host.daemon.start();
    host.expect(&[0..10]);
    host.append("spool/zeek/conn.log", lines(10..20));
    fs::create_dir_all(host.path("spool/tmp")).unwrap();
    host.rename("spool/zeek", "spool/tmp/post-terminate-1");
    host.write("spool/zeek/conn.log", log(1, 20..30));
    host.append("spool/tmp/post-terminate-1/conn.log", lines(30..35));
    host.expect(&[0..35]);
    fs::remove_dir_all(host.path("spool/tmp/post-terminate-1")).unwrap();
    host.append("spool/zeek/conn.log", lines(35..40));
    host.expect_still(&[0..40]);
}

#[test]
fn f08_the_link_points_elsewhere() {
    let mut host = Host::new();
    host.write("a/conn.log", log(0, 0..10));
    host.write("b/other/conn.log", log(1, 10..20));
    let link = host.path("logs");
    fs::create_dir(&link).unwrap();
    std::os::unix::fs::symlink("../a", link.join("current")).unwrap();
    host.daemon.roots = vec![link.clone()];
    host.daemon.start();
    host.expect(&[0..10]);
    std::os::unix::fs::symlink("../b/other", link.join("next")).unwrap();
    fs::rename(link.join("next"), link.join("current")).unwrap();
    host.expect_still(&[0..20]);
}

#[test]
fn f09_cut_and_grown_again() {
    for grown in [5, 500] {
        let mut host = Host::started();
        host.write("conn.log", log(0, 0..100));
        host.expect(&[0..100]);
        std::thread::sleep(COMMITTED);
        // As Zeek opens it: cut, the same inode, another header.
        host.write("conn.log", log(1, 100..100 + grown));
        host.expect(&[0..100 + grown]);
        host.expect_log("cut while it was followed");
        host.expect_still(&[0..100 + grown]);
    }
}

#[test]
fn f10_down_over_three_rotations() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    std::thread::sleep(COMMITTED);
    host.daemon.kill();
    host.append("conn.log", lines(50..60));
    for round in 0..3 {
        host.rename("conn.log", ROTATED);
        host.archive(ROTATED, &format!("day/conn.0{round}:00:00-0{round}:59:59.log.gz"));
        let next = 60 + round * 10;
        host.write("conn.log", log(round + 1, next..next + 10));
    }
    host.daemon.start();
    host.expect_still(&[0..90]);
    let order: Vec<String> = host
        .daemon
        .lines("events.ndjson")
        .iter()
        .map(|event| event["zeek"]["conn"]["uid"].as_str().unwrap().to_owned())
        .collect();
    assert!(order.is_sorted(), "what was put away first comes first");
}

#[test]
fn f11_an_archive_that_is_half_written() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    std::thread::sleep(COMMITTED);
    host.daemon.kill();
    host.append("conn.log", lines(50..5000));
    let whole = gzip(&fs::read(host.path("conn.log")).unwrap());
    fs::remove_file(host.path("conn.log")).unwrap();
    host.write("day/conn.00:00:00-01:00:00.log.gz", &whole[..whole.len() / 2]);
    host.daemon.start();
    std::thread::sleep(Duration::from_millis(1500));
    host.expect(&[0..50]);
    host.append("day/conn.00:00:00-01:00:00.log.gz", &whole[whole.len() / 2..]);
    host.expect_still(&[0..5000]);
}

#[test]
fn f12_an_archive_that_is_damaged_and_f14_one_without_an_end() {
    let mut host = Host::new();
    host.daemon.backfill = true;
    let mut damaged = gzip(closed(0, 0..20).as_bytes());
    let crc = damaged.len() - 6;
    damaged[crc] ^= 1;
    let whole = gzip(log(1, 20..3000).as_bytes());
    host.write("day/conn.00:00:00-01:00:00.log.gz", &damaged);
    host.write("conn.log.gz", &whole[..whole.len() - 20]);
    host.write("day/conn.02:00:00-03:00:00.log.gz", gzip(closed(2, 3000..3010).as_bytes()));
    for name in ["day/conn.00:00:00-01:00:00.log.gz", "conn.log.gz"] {
        touch(&host.path(name), Duration::from_secs(120));
    }
    host.daemon.start();
    host.expect_log("has something unread");
    let until = Instant::now() + PATIENCE;
    let is_there = |host: &Host, n: usize| {
        host.daemon.delivered().contains_key(&("conn".to_owned(), format!("C{n:06}")))
    };
    while !(is_there(&host, 19) && is_there(&host, 2000) && is_there(&host, 3009)) {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let until = Instant::now() + PATIENCE;
    while host.letters().iter().filter(|reason| *reason == "gzip_corrupt").count() < 2 {
        assert!(Instant::now() < until, "{:?}", host.letters());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn f13_what_was_being_read_is_gone() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..50));
    host.expect(&[0..50]);
    std::thread::sleep(COMMITTED);
    host.daemon.kill();
    fs::remove_file(host.path("conn.log")).unwrap();
    host.daemon.start();
    host.expect_log("was not found again");
    host.write("conn.log", log(1, 50..60));
    host.expect(&[0..60]);
}

#[test]
fn f15_files_that_begin_alike() {
    let mut host = Host::new();
    host.write("a/conn.log", log(0, 0..30));
    host.daemon.start();
    host.expect(&[0..30]);
    // The beginning of the first, and one that parts from it.
    host.write("b/conn.2.log", log(0, 0..20));
    host.write("c/conn.3.log", log(0, 0..20) + &lines(100..140));
    // What both have in common is in both: a fork is read from its start (R8).
    let until = Instant::now() + PATIENCE;
    let fork = |host: &Host| {
        host.daemon.delivered().contains_key(&("conn".to_owned(), "C000139".to_owned()))
    };
    while !fork(&host) {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    let delivered = host.daemon.delivered();
    let count = |n: usize| delivered[&("conn".to_owned(), format!("C{n:06}"))];
    assert_eq!((count(0), count(19), count(20), count(29), count(139)), (2, 2, 1, 1, 1));
}

#[test]
fn f16_a_copy_of_a_live_log() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..30));
    host.expect(&[0..30]);
    fs::copy(host.path("conn.log"), host.path("conn-copy.log")).unwrap();
    host.append("conn.log", lines(30..40));
    host.expect_still(&[0..40]);
}

#[test]
fn f17_a_torn_line_and_f18_two_writes_and_f19_a_header_in_steps() {
    let host = Host::started();
    let text = log(0, 0..3);
    let mut file = File::create(host.path("conn.log")).unwrap();
    for (step, piece) in text.as_bytes().chunks(37).enumerate() {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(step as u64 % 9));
    }
    let row = line(3);
    file.write_all(&row.as_bytes()[..10]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    file.write_all(&row.as_bytes()[10..]).unwrap();
    host.expect(&[0..4]);
    // Killed in mid record; the next process begins another file.
    file.write_all(&line(4).as_bytes()[..30]).unwrap();
    drop(file);
    std::thread::sleep(Duration::from_millis(100));
    host.rename("conn.log", ROTATED);
    host.write("conn.log", log(1, 5..8));
    host.expect(&[0..4, 5..8]);
    host.expect_letters(&["torn_record"]);
}

#[test]
fn f22_a_line_without_an_end() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..3));
    host.expect(&[0..3]);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        host.append("conn.log", &piece);
    }
    // In the middle of it the daemon is killed: the line is still one line.
    host.restart();
    host.append("conn.log", "\n".to_owned() + &lines(3..6));
    host.expect(&[0..6]);
    host.expect_letters(&["oversize"]);
    let letter = &host.daemon.lines("dead-letter.ndjson")[0];
    assert_eq!(letter["length"], (64 << 20) + 1);
    let peak = host.daemon.peak_mib();
    assert!(peak < 100, "{peak} MiB");
    host.expect_still(&[0..6]);
}

#[test]
fn f24_what_is_no_log() {
    let mut host = Host::new();
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    host.write("dns.log", &noise);
    host.write("http.log.gz", gzip(&noise));
    host.write("files.log", "");
    fs::create_dir(host.path("http.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", host.path("conn.1.log")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(host.path("conn.2.log")).status();
    assert!(fifo.unwrap().success());
    host.write("conn.log", log(0, 0..3));
    host.daemon.start();
    host.expect_still(&[0..3]);
}

#[test]
fn f25_the_schema_changes() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..3));
    host.expect(&[0..3]);
    let more = log(1, 0..0)
        .replace("orig_bytes", "orig_bytes\tip_proto")
        .replace("interval\tcount", "interval\tcount\tcount");
    host.append("conn.log", more + &line(3).replace('\n', "\t6\n"));
    host.expect(&[0..4]);
    host.restart();
    host.append("conn.log", line(4).replace('\n', "\t6\n"));
    host.expect(&[0..5]);
    assert_eq!(host.letters().len(), 0);
    assert_eq!(host.daemon.lines("events.ndjson")[4]["zeek"]["conn"]["ip_proto"], 6);
}

#[test]
fn f27_times_that_are_wild() {
    let host = Host::started();
    let at = |ts: &str, n: usize| line(n).replacen(&(1_700_000_000 + n).to_string(), ts, 1);
    let wild = [at("0", 1), at("-5", 2), at("9999999999", 3), at("1699999000", 4)].concat();
    host.write("conn.log", log(0, 0..1) + &wild + &lines(5..50));
    host.expect(&[0..50]);
}

#[test]
fn f29_more_files_than_descriptors() {
    let mut host = Host::new();
    host.daemon.files_max = Some(64);
    for sensor in 0..90 {
        host.write(
            &format!("s{:02}/S{sensor}_conn.log", sensor / 10),
            log(sensor % 60, sensor..sensor + 1),
        );
    }
    host.daemon.start();
    host.expect(&[0..90]);
    for sensor in 0..90 {
        let next = 90 + sensor;
        host.append(&format!("s{:02}/S{sensor}_conn.log", sensor / 10), lines(next..next + 1));
    }
    host.expect_still(&[0..180]);
}

#[test]
fn f30_other_inodes_the_same_content() {
    let mut host = Host::started();
    host.write("one/conn.log", log(0, 0..30));
    host.write("one/conn.old.log", closed(1, 30..40));
    host.expect(&[0..40]);
    std::thread::sleep(COMMITTED);
    host.daemon.kill();
    // As another mount of the same files: every device and inode is another.
    fs::create_dir(host.path("two")).unwrap();
    for name in ["conn.log", "conn.old.log"] {
        fs::copy(host.path("one").join(name), host.path("two").join(name)).unwrap();
    }
    fs::remove_dir_all(host.path("one")).unwrap();
    host.append("two/conn.log", lines(40..45));
    host.daemon.start();
    host.expect_still(&[0..45]);
}

#[test]
fn f51_another_configuration() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..3));
    host.expect(&[0..3]);
    assert_eq!(host.daemon.stop(), Some(0));
    host.daemon.args = vec!["--set".to_owned(), "sensor.id=other".to_owned()];
    assert_eq!(host.daemon.refused(), (Some(78), true), "{}", host.daemon.log());
    host.daemon.args.push("--accept-new-sensor-id".to_owned());
    host.append("conn.log", line(3));
    host.daemon.start();
    host.expect(&[0..4]);
}

#[test]
fn f56_old_archives_are_left_alone() {
    let mut host = Host::new();
    for n in 0..2000 {
        let name = format!("day/conn.{n:04}.log.gz");
        host.write(&name, gzip(closed(n % 60, n..n + 1).as_bytes()));
        touch(&host.path(&name), Duration::from_secs(3600));
    }
    host.write("conn.log", log(0, 5000..5003));
    host.daemon.start();
    host.expect_still(&[5000..5003]);
}

#[test]
fn f57_five_loggers() {
    let mut host = Host::new();
    for logger in 0..5 {
        host.write(&format!("logger-{logger}/conn.log"), log(logger, 0..0));
    }
    host.daemon.start();
    let mut next = 0;
    for _ in 0..40 {
        for logger in 0..5 {
            host.append(&format!("logger-{logger}/conn.log"), lines(next..next + 7));
            next += 7;
        }
    }
    for logger in 0..5 {
        let rotated = format!("logger-{logger}/{ROTATED}");
        host.rename(&format!("logger-{logger}/conn.log"), &rotated);
        host.archive(&rotated, &format!("day/conn.00:00:00-01:00:00-logger-{logger}.log.gz"));
    }
    host.expect_still(&[0..next]);
    assert_eq!(host.daemon.stop(), Some(0));
    super::check_journal(&host.daemon, host.place.path(), false);
}

#[test]
fn f58_a_rotated_file_that_is_archived_late() {
    let mut host = Host::started();
    host.write("conn.log", log(0, 0..30));
    host.expect(&[0..30]);
    host.rename("conn.log", ROTATED);
    host.write("conn.log", log(1, 30..40));
    host.expect(&[0..40]);
    host.restart();
    host.archive(ROTATED, "day/conn.00:00:00-01:00:00.log.gz");
    host.expect_still(&[0..40]);
}

#[test]
fn f60_permission_is_taken_and_given_back() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can run the daemon as another user");
        return;
    }
    let mut host = Host::new();
    fs::set_permissions(host.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    host.write("conn.log", log(0, 0..10));
    host.daemon.as_nobody();
    host.daemon.start();
    host.expect(&[0..10]);
    host.restart();
    let set = |mode| {
        fs::set_permissions(host.path("conn.log"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o600);
    std::thread::sleep(COMMITTED);
    host.daemon.kill();
    host.append("conn.log", lines(10..20));
    host.daemon.start();
    std::thread::sleep(Duration::from_millis(1500));
    host.expect(&[0..10]);
    let set = |mode| {
        fs::set_permissions(host.path("conn.log"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o644);
    host.expect(&[0..20]);
}
