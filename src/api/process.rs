//! What the system says of this process, under the names that everybody uses for it.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::metrics::Families;

/// Adds what can be read; what cannot is left out.
pub(super) fn metrics(families: &mut Families) {
    let ticks = clock_ticks_per_second() as f64;
    if let Some(stat) = Stat::read() {
        let cpu = stat.number(UTIME) + stat.number(STIME);
        let help = "CPU time of user and system";
        families.process("process_cpu_seconds_total", help, cpu / ticks);
        families.process("process_threads", "Threads", stat.number(THREADS));
        let help = "Virtual memory";
        families.process("process_virtual_memory_bytes", help, stat.number(VIRTUAL));
        let resident = stat.number(RESIDENT) * page_size() as f64;
        families.process("process_resident_memory_bytes", "Resident memory", resident);
        if let Some(boot) = boot_seconds() {
            let start = boot + stat.number(START) / ticks;
            families.process("process_start_time_seconds", "Start, since 1970", start);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // Without the one that lists them.
        let open = entries.count().saturating_sub(1);
        families.process("process_open_fds", "Open file descriptors", open as f64);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        families.process("process_max_fds", "File descriptors that may be open", max as f64);
    }
}

/// Fields of `/proc/self/stat` behind the name of the program, which may hold anything.
struct Stat(Vec<String>);

const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const START: usize = 19;
const VIRTUAL: usize = 20;
const RESIDENT: usize = 21;

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<String> = fields.split_whitespace().map(str::to_owned).collect();
        (fields.len() > RESIDENT).then_some(Self(fields))
    }

    fn number(&self, field: usize) -> f64 {
        self.0[field].parse().unwrap_or_default()
    }
}

/// When the machine was started.
fn boot_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}
