//! The spool alone, for docs/benchmarks.md: `cargo bench --bench spool [-- GIB]`.
//!
//! Real events, as a replay of the sample writes them, go into a spool with commits in between;
//! beside it in the same run `dd` writes as much. Then so many GiB of files are opened again as after
//! a crash, and read to their end.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(clippy::disallowed_methods, reason = "a bench asks the clock")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use zeek_ueba::engine::{Kind, Progress};
use zeek_ueba::sink::spool::{Bound, Read, Spool, WhenFull};

const MIB: usize = 1 << 20;
const BOUND: Bound = Bound { bytes_max: 1 << 40, when_full: WhenFull::Pause };
/// Bytes of documents between two commits: as many as the daemon takes at most.
const COMMIT: usize = 64 * MIB;
const EVENTS: usize = Kind::Event as usize;

/// Blocks of a mebibyte of events, with how many each has.
fn blocks(place: &Path) -> Vec<(Vec<u8>, u64)> {
    let output = place.join("replay");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/sample/apt29-day1");
    let done = Command::new(env!("CARGO_BIN_EXE_zeek-ueba"))
        .args(["-q", "replay", "-o"])
        .args([output.as_path(), Path::new(sample)])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(done.expect("a process").success());
    let events = fs::read(output.join("events.ndjson")).expect("events");
    let (mut blocks, mut rest) = (Vec::new(), events.as_slice());
    while rest.len() > MIB {
        let end = rest[..MIB].iter().rposition(|byte| *byte == b'\n').expect("a line") + 1;
        let count = rest[..end].iter().filter(|byte| **byte == b'\n').count();
        blocks.push((rest[..end].to_vec(), count as u64));
        rest = &rest[end..];
    }
    blocks
}

/// Writes documents until there are so many bytes of them, or of files; documents, bytes, seconds.
fn write(
    spool: &mut Spool,
    blocks: &[(Vec<u8>, u64)],
    documents_max: usize,
    files_max: u64,
) -> (u64, usize, f64) {
    let begun = Instant::now();
    let (mut handed, mut bytes, mut open) = (0, 0, 0);
    for (block, _) in blocks.iter().cycle() {
        handed += spool.add(EVENTS, handed, block).expect("room");
        bytes += block.len();
        open += block.len();
        let is_over = bytes >= documents_max || spool.bytes() >= files_max;
        if open >= COMMIT || is_over {
            open = 0;
            spool.flush(EVENTS).expect("room");
            spool.sync().expect("a disk");
        }
        if is_over {
            break;
        }
    }
    (handed, bytes, begun.elapsed().as_secs_f64())
}

fn dd(path: &Path, bytes: usize) -> f64 {
    let begun = Instant::now();
    let done = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", "conv=fdatasync"])
        .arg(format!("count={}", bytes / MIB))
        .arg(format!("of={}", path.display()))
        .stderr(std::process::Stdio::null())
        .status();
    assert!(done.expect("dd").success());
    fs::remove_file(path).expect("the file");
    begun.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let gib = std::env::args().find_map(|arg| arg.parse::<f64>().ok()).unwrap_or(1.0);
    let place = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let blocks = blocks(place.path());
    let (mut speeds, mut ratios, mut packed) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..5 {
        let directory = place.path().join(format!("spool{turn}"));
        let (mut spool, ..) = Spool::open(&directory, BOUND, None).expect("a spool");
        let (_, bytes, seconds) = write(&mut spool, &blocks, 1024 * MIB, u64::MAX);
        let speed = bytes as f64 / 1e6 / seconds;
        let alone = bytes as f64 / 1e6 / dd(&place.path().join("dd"), bytes);
        packed.push(spool.bytes() as f64 / bytes as f64);
        fs::remove_dir_all(directory).expect("the directory");
        println!("write {speed:.0} MB/s of documents, dd conv=fdatasync {alone:.0} MB/s");
        speeds.push(speed);
        ratios.push(speed / alone);
    }
    let (speed, ratio, packed) = (median(speeds), median(ratios), median(packed));
    println!(
        "median {speed:.0} MB/s, {ratio:.2} of dd; {:.1} % are left when packed",
        packed * 100.0
    );

    let directory = place.path().join("spool");
    let (mut spool, ..) = Spool::open(&directory, BOUND, None).expect("a spool");
    let files = (gib * (1u64 << 30) as f64) as u64;
    let (handed, bytes, _) = write(&mut spool, &blocks, usize::MAX, files);
    let size = spool.bytes();
    drop(spool);
    let known = Progress { handed: [handed, 0, 0], ..Progress::default() };
    let begun = Instant::now();
    let (mut spool, ..) = Spool::open(&directory, BOUND, Some(&known)).expect("a spool");
    let opened = begun.elapsed().as_secs_f64();
    let (begun, mut read) = (Instant::now(), 0);
    while let Some(Read::Documents(_, block)) = spool.read(EVENTS).expect("a disk") {
        read += block.len();
    }
    assert_eq!(read, bytes, "everything comes back");
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "open {:.2} GiB of files with {handed} documents: {opened:.3} s; read: {:.0} MB/s of documents",
        size as f64 / (1u64 << 30) as f64,
        read as f64 / 1e6 / seconds,
    );
}
