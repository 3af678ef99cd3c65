//! Any bytes as the files of a spool, and files of a spool with any bytes changed: never a panic,
//! and every number that was handed over comes back, once and in order, or is known to be lost. The
//! same bytes as dead letters: never a panic, and no line longer than a letter can be.

#![no_main]

use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use zeek_ueba::engine::Progress;
use zeek_ueba::sink::letters::{Letter, Letters};
use zeek_ueba::sink::spool::{Bound, Read, Spool, WhenFull};

const BOUND: Bound = Bound { bytes_max: 64 << 20, when_full: WhenFull::Pause };

fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    root.join(format!("zeek-ueba-fuzz-{}", std::process::id()))
}

/// Documents, one on each line.
fn documents(data: &[u8], count: u64) -> Vec<u8> {
    let mut block = Vec::new();
    for n in 0..count {
        block.extend_from_slice(
            format!(
                "{{\"@timestamp\":\"2024-01-01T00:00:00.000000Z\",\"event\":{{\"id\":\"{n:032x}\",\"kind\":\"event\",\"dataset\":\"zeek.conn\",\"x\":\""
            )
            .as_bytes(),
        );
        block.extend(data.iter().filter(|byte| **byte != b'\n'));
        block.extend_from_slice(b"\"}}\n");
    }
    block
}

fuzz_target!(|data: &[u8]| {
    let [mode, cursor, handed, rest @ ..] = data else { return };
    let place = place();
    drop(fs::remove_dir_all(&place));
    let (mut spool, ..) = Spool::open(&place, BOUND, None).expect("a directory");
    let (cursor, mut handed) = (u64::from(*cursor), u64::from(*handed) * u64::from(*handed));
    let kind = usize::from(*mode % 3);
    let name = ["events", "alerts", "risk"][kind];
    if mode & 4 == 0 {
        // Whole files, then changes: two bytes say where, one what.
        handed = spool.add(kind, 0, &documents(&rest[..rest.len().min(64)], handed.max(1) % 200 + 1))
            .expect("room");
        spool.flush(kind).expect("room");
        spool.sync().expect("a disk");
        drop(spool);
        for ending in ["spool", "ids"] {
            let path = place.join(format!("{name}.{:020}.{ending}", 0));
            let Ok(mut bytes) = fs::read(&path) else { continue };
            for change in rest.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                bytes[at] ^= change[2];
            }
            fs::write(&path, bytes).expect("room");
        }
    } else {
        drop(spool);
        let (first, second) = rest.split_at(rest.len() / 2);
        fs::write(place.join(format!("{name}.{:020}.spool", 0)), first).expect("room");
        fs::write(place.join(format!("{name}.{:020}.spool", 40)), second).expect("room");
        fs::write(place.join(format!("{name}.{:020}.ids", 0)), second).expect("room");
    }
    let mut known = Progress::default();
    (known.cursors[kind], known.handed[kind]) = (cursor.min(handed), handed);
    let (mut spool, cursors, marks) = Spool::open(&place, BOUND, Some(&known)).expect("a start");
    assert_eq!((cursors, marks), (known.cursors, known.handed));
    let mut next = known.cursors[kind];
    while let Some(read) = spool.read(kind).expect("a disk") {
        match read {
            Read::Documents(first, block) => {
                assert_eq!(first, next, "in order, without a gap that was not told");
                next += block.iter().filter(|byte| **byte == b'\n').count() as u64;
            }
            Read::Lost(lost) => {
                assert!(lost.from == next && lost.to > next);
                next = lost.to;
            }
        }
    }
    assert_eq!(next, handed, "each number came back or is known to be lost");
    spool.forget(&known.handed).expect("a disk");
    assert_eq!(spool.bytes(), 0);

    let path = place.join("letters");
    fs::write(&path, rest).expect("room");
    let mut letters = Letters::open(&path).expect("the file");
    while let Some((_, line)) = letters.line().expect("a disk") {
        if let Some(letter) = Letter::parse(line) {
            let raw = letter.raw();
            assert!(letter.document().is_none_or(|document| document == raw));
        }
    }
});
