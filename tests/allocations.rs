//! Parser, stages and documents take no memory per record once they run.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use zeek_ueba::engine::{self, Kind, Sink};
use zeek_ueba::{config, replay, wiring};

use crate::common::{Place, conn, dns, http};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _: Kind, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Allocations of a replay of this many records of each log.
fn allocations(rows: usize) -> u64 {
    let connection = |n: usize| {
        format!(
            "{}.{:06} C{n} 10.0.0.{} 203.0.113.{} 1.500000 {n}",
            1_700_000_000 + n / 1000,
            n % 1000 * 1000,
            n % 250,
            n % 200
        )
    };
    let request = |n: usize| {
        let time = 1_700_000_000 + n / 1000;
        format!(
            "{time}.5|C{n}|10.0.0.1|203.0.113.9|GET|a.example|/\\xc3\\xa4?{}|1.1|200|-|text/html,a",
            n % 100
        )
    };
    let query = |n: usize| {
        let time = 1_700_000_000 + n / 1000;
        format!("{time}.25 C{n} 10.0.0.2 10.0.0.53 www.name{}.example.com", n % 100)
    };
    let names: Vec<String> = (0..rows).map(query).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let conns: Vec<String> = (0..rows).map(connection).collect();
    let https: Vec<String> = (0..rows).map(request).collect();
    let conns: Vec<&str> = conns.iter().map(String::as_str).collect();
    let https: Vec<&str> = https.iter().map(String::as_str).collect();
    let place = Place::with(&[
        ("conn.log", conn(&conns).as_bytes()),
        ("http.log", http(&https).as_bytes()),
        ("dns.log", dns(&names).as_bytes()),
    ]);
    count(&place.logs(), rows as u64 * 3)
}

fn count(logs: &Path, expected: u64) -> u64 {
    let mut plan = config::resolve("", "defaults", &[], &wiring::stage_keys()).unwrap();
    assert!(wiring::models::equip(&mut plan).unwrap().is_none(), "no models");
    let settings = wiring::parsers(&plan);
    let (files, skipped) = replay::discover(&[logs.to_owned()]);
    let inventory = replay::take_inventory(files, skipped, &settings);
    let lanes = wiring::lanes(&plan, &settings, inventory.lanes);
    let mut core = wiring::core(&plan);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    engine::run(lanes, &mut core, Box::new(Nowhere), &mut |_| {}).unwrap();
    let summary = core.summary;
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    let records: u64 = summary.logs.values().map(|counts| counts.records).sum();
    assert_eq!(records, expected);
    after - before
}

const ALONE: &str = "ZEEK_UEBA_COUNT_ALLOCATIONS";

/// Other tests of this binary allocate too, so the counting runs in a process of its own.
#[test]
fn none_per_record() {
    if std::env::vars().any(|(key, _)| key == ALONE) {
        let (few, many) = (allocations(20_000), allocations(120_000));
        let more = many.saturating_sub(few);
        // Cells of windows take nodes of their map.
        assert!(more < 6_000, "{more} allocations for 300,000 further records ({few}, {many})");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "allocations::none_per_record", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
