//! What the fuzz targets have in common: how a log is read, files without a disk, and an allocator
//! that takes a huge allocation for a finding.

pub mod parse;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use zeek_ueba::config::{self, Plan};
use zeek_ueba::wiring;

/// Bytes of one allocation, at most: nothing in the program asks for more because of what a file
/// of a few kilobytes says.
const ALLOCATION_MAX: usize = 64 << 20;

struct Bounded;

#[global_allocator]
static BOUNDED: Bounded = Bounded;

fn check(size: usize) {
    if size > ALLOCATION_MAX {
        let trace = std::backtrace::Backtrace::force_capture();
        eprintln!("an allocation of {size} bytes\n{trace}");
        std::process::abort();
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(at, layout, size) }
    }
}

/// A file with `bytes` in it that is on no disk.
pub fn file(bytes: &[u8]) -> File {
    let fd = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    let mut file = File::from(fd);
    file.write_all(bytes).expect("memory");
    file
}

/// A path of such a file, as long as it is open.
pub fn path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What is done without a configuration.
pub fn plan() -> Plan {
    match config::resolve("", "pipeline.toml", &[], &wiring::stage_keys()) {
        Ok(plan) => plan,
        Err(_) => unreachable!("the defaults are fine"),
    }
}

/// Mistakes speak to a terminal: nothing in them may.
pub fn check_plain(text: &str) {
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}
