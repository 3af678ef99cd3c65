//! What the daemon does while Zeek writes, as tables for docs/benchmarks.md:
//!
//! ```text
//! cargo bench --bench live -- latency        a line, an alert: how long until they are out
//! cargo bench --bench live -- commits        what commits cost, and a start, with 100,000 entities
//! cargo bench --bench live -- backlog        catching up beside `replay`
//! cargo bench --bench live -- soak MINUTES   memory over time, with rotation
//! deploy/dev/services.sh with cargo bench --bench live -- outage ROWS
//!                                            both sinks away while so many records come, then back
//! deploy/dev/services.sh with cargo bench --bench live -- isolated
//!                                            one sink away for a minute under load
//! ```
//!
//! The daemon is the program as users have it, in a process of its own; this one writes the logs, and
//! reads the outputs and `/proc`.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(clippy::disallowed_methods, reason = "a bench asks the clock")]
#![expect(clippy::float_cmp, reason = "what is counted is whole")]
#![expect(clippy::too_many_lines, reason = "a scenario is read from its beginning to its end")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("a string takes everything")
    };
}

/// A line of `conn` of a host among `hosts`, at a time.
fn conn(n: u64, hosts: u64, time: f64, out: &mut String) {
    let (host, state) = (n * 7919 % hosts, ["SF", "S0", "REJ", "RSTO"][(n % 4) as usize]);
    line!(
        out,
        "{time:.6}\tC{n:017}\t10.{}.{}.{}\t{}\t203.0.113.{}\t443\ttcp\tssl\t{}.393241\t{}\t1694\t{state}\tT\tF\t0\tShADadFf\t12\t1882\t14\t2430\t-",
        host >> 16,
        host >> 8 & 255,
        host & 255,
        1024 + n % 60_000,
        n % 200,
        n % 60,
        n % 5000,
    );
}

const CONN_HEAD: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\n";

/// A request that `http-oddities` finds odd, of a host of its own, to a host of its own.
fn odd_request(n: u64, host: u64, time: f64, out: &mut String) {
    line!(
        out,
        "{time:.6}\tH{n:017}\t10.{}.{}.{}\t40000\t198.51.{}.{}\t80\t1\tBREW\t198.51.100.7\t/{n}.jpg\t1.1\t418",
        host >> 16,
        host >> 8 & 255,
        host & 255,
        n >> 8 & 255,
        n & 255,
    );
}

const HTTP_HEAD: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\thttp\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\ttrans_depth\tmethod\thost\turi\tversion\tstatus_code\n#types\ttime\tstring\taddr\tport\taddr\tport\tcount\tstring\tstring\tstring\tstring\tcount\n";

/// One in a thousand is odd.
fn request(n: u64, time: f64, out: &mut String) {
    let begin = out.len();
    odd_request(n, n % 5000, time, out);
    if !n.is_multiple_of(1000) {
        let line = out.split_off(begin);
        out.push_str(&line.replace("BREW", "GET").replace("198.51.100.7", "www.example.com"));
    }
}

fn dns(n: u64, time: f64, out: &mut String) {
    line!(
        out,
        "{time:.6}\tD{n:017}\t10.0.{}.{}\t50000\t10.0.0.53\t53\tudp\t{n}\twww{}.example.com\t1\tA",
        n >> 8 & 15,
        n & 255,
        n % 1000,
    );
}

const DNS_HEAD: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\tquery\tqtype\tqtype_name\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tstring\tcount\tstring\n";

fn files(n: u64, time: f64, out: &mut String) {
    line!(
        out,
        "{time:.6}\tF{n:017}\t203.0.113.{}\t10.0.{}.{}\tC{n:017}\tHTTP\timage/png\t{}",
        n % 200,
        n >> 8 & 15,
        n & 255,
        n % 100_000,
    );
}

const FILES_HEAD: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tfiles\n#fields\tts\tfuid\ttx_hosts\trx_hosts\tconn_uids\tsource\tmime_type\tseen_bytes\n#types\ttime\tstring\tset[addr]\tset[addr]\tset[string]\tstring\tstring\tcount\n";

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// A log in the directory that the daemon follows.
struct Log {
    path: PathBuf,
    head: &'static str,
    file: File,
}

impl Log {
    fn new(directory: &Path, name: &str, head: &'static str) -> Self {
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(&path).expect("a log");
        file.write_all(head.as_bytes()).expect("room");
        Self { path, head, file }
    }

    fn append(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).expect("room");
    }

    /// As Zeek does it: renames, then opens another.
    fn rotate(&mut self, number: u64) -> PathBuf {
        let rotated = self.path.with_file_name(format!("conn.{number:06}.log"));
        self.file.write_all(b"#close\t2026-01-01-00-00-00\n").expect("room");
        fs::rename(&self.path, &rotated).expect("a rename");
        let name = self.path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        *self = Self::new(self.path.parent().expect("a directory"), &name, self.head);
        rotated
    }
}

/// A place with logs and a daemon.
struct Place {
    directory: PathBuf,
    child: Option<Child>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.directory));
    }
}

impl Place {
    fn new() -> Self {
        let name = format!("zeek-ueba-live-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("logs")).expect("a directory");
        Self { directory, child: None }
    }

    fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    fn start(&mut self, settings: &[&str]) {
        drop(fs::remove_file(self.directory.join("state/http.addr")));
        let log = OpenOptions::new().create(true).append(true).open(self.directory.join("log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_zeek-ueba"));
        command.args(["run", "-q"]).current_dir(&self.directory);
        for set in
            ["source.roots=[\"logs\"]", "source.backfill=true", "http.listen=\"127.0.0.1:0\""]
        {
            command.args(["--set", set]);
        }
        for set in settings {
            command.args(["--set", set]);
        }
        command.stdout(Stdio::null()).stderr(log.expect("a log"));
        self.child = Some(command.spawn().expect("the daemon"));
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("a daemon");
        child.kill().expect("a process");
        child.wait().expect("its end");
    }

    fn metrics_text(&self) -> Option<String> {
        let address = fs::read_to_string(self.directory.join("state/http.addr")).ok()?;
        let mut stream = TcpStream::connect(address.trim()).ok()?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// All metrics, those with labels by their name alone, added up.
    fn metrics(&self) -> Option<BTreeMap<String, f64>> {
        let mut sums = BTreeMap::new();
        for line in self.metrics_text()?.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = name.split('{').next().unwrap_or(name).to_owned();
            *sums.entry(name).or_insert(0.0) += value.parse::<f64>().unwrap_or_default();
        }
        Some(sums)
    }

    /// How much of each log was read, as text.
    fn shares(&self, rows: &[u64; 4]) -> String {
        let text = self.metrics_text().unwrap_or_default();
        let share = |(log, rows): (&str, &u64)| {
            let name = format!("zeek_ueba_records_total{{log=\"{log}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0");
            let count = line.parse::<f64>().unwrap_or_default();
            format!("{log} {:.0} %", count / *rows as f64 * 100.0)
        };
        let all = ["conn", "dns", "http", "files"].into_iter().zip(rows).map(share);
        all.collect::<Vec<_>>().join(", ")
    }

    /// One metric, waited for.
    fn metric(&self, name: &str) -> f64 {
        loop {
            let found = self.metrics().and_then(|all| all.get(name).copied());
            if let Some(value) = found {
                return value;
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn wait(&self, name: &str, value: f64) {
        while self.metric(name) < value {
            sleep(Duration::from_millis(20));
        }
    }

    /// CPU seconds of each thread by name, and of all.
    fn cpu(&self) -> BTreeMap<String, f64> {
        let pid = self.child.as_ref().expect("a daemon").id();
        let mut found = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let nanos = read("schedstat");
            let nanos = nanos.split(' ').next().and_then(|n| n.parse::<f64>().ok());
            *found.entry(read("comm").trim().to_owned()).or_insert(0.0) +=
                nanos.unwrap_or(0.0) / 1e9;
        }
        found.insert("all".to_owned(), found.values().sum());
        found
    }

    /// MiB in memory: now, and at most so far.
    fn memory(&self) -> (f64, f64) {
        let pid = self.child.as_ref().expect("a daemon").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.trim_end_matches("kB").trim().parse::<f64>().expect("a number") / 1024.0
        };
        (value("VmRSS:"), value("VmHWM:"))
    }
}

/// Lines that appear in a file, with the time at which they were seen.
struct Seen {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Seen {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, buffer: vec![0; 1 << 20] }
    }

    /// Line ends that came since the last call.
    fn count(&mut self) -> usize {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return 0 };
        let mut lines = 0;
        while let Ok(count @ 1..) = file.read(&mut self.buffer) {
            lines += memchr::memchr_iter(b'\n', &self.buffer[..count]).count();
        }
        lines
    }

    fn skip_to_end(&mut self) {
        self.file = File::open(&self.path).ok();
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::End(0)).expect("its end");
        }
    }
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Calls `tick` every `period` for `seconds`, however long it takes.
fn paced(seconds: f64, period: Duration, mut tick: impl FnMut(u64)) {
    let start = Instant::now();
    for n in 0..(seconds / period.as_secs_f64()) as u64 {
        let due = period.mul_f64(n as f64);
        let late = start.elapsed();
        if due > late {
            sleep(due - late);
        }
        tick(n);
    }
}

fn latency() {
    let mut place = Place::new();
    let mut conns = Log::new(&place.logs(), "conn.log", CONN_HEAD);
    let mut https = Log::new(&place.logs(), "http.log", HTTP_HEAD);
    place.start(&[]);
    place.metric("zeek_ueba_entities");
    sleep(Duration::from_millis(1500));
    let out = place.directory.join("out");
    let (events, alerts) = (out.join("events.ndjson"), out.join("alerts.ndjson"));
    let (sent, from) = std::sync::mpsc::channel::<(bool, f64)>();
    let stop = Arc::new(AtomicBool::new(false));
    let watching = Arc::clone(&stop);
    // One event or alert for each line, in the order of the lines.
    let watch = std::thread::spawn(move || {
        let (mut events, mut alerts) = (Seen::new(events), Seen::new(alerts));
        let (mut lines, mut odd) =
            (std::collections::VecDeque::new(), std::collections::VecDeque::new());
        let mut found = [Vec::new(), Vec::new()];
        loop {
            let is_last = watching.load(Ordering::Relaxed);
            let seen = [events.count(), alerts.count()];
            let now = unix_now();
            while let Ok((is_odd, at)) = from.try_recv() {
                if is_odd { odd.push_back(at) } else { lines.push_back(at) }
            }
            for (queue, (seen, found)) in
                [&mut lines, &mut odd].into_iter().zip(seen.into_iter().zip(&mut found))
            {
                found.extend(queue.drain(..seen.min(queue.len())).map(|at| now - at));
            }
            if is_last {
                return found;
            }
            sleep(Duration::from_millis(1));
        }
    });
    let (mut text, mut lines, mut odd) = (String::new(), 0_u64, 0_u64);
    let before = place.cpu();
    let seconds = 20.0;
    paced(seconds, Duration::from_millis(5), |tick| {
        text.clear();
        let now = unix_now();
        for _ in 0..50 {
            conn(lines, 5000, now, &mut text);
            lines += 1;
            sent.send((false, now)).expect("the watcher");
        }
        conns.append(&text);
        if tick % 40 == 0 {
            text.clear();
            odd_request(odd, odd + 70_000, now, &mut text);
            odd += 1;
            // Its event comes too.
            sent.send((false, now)).expect("the watcher");
            sent.send((true, now)).expect("the watcher");
            https.append(&text);
        }
    });
    let after = place.cpu();
    sleep(Duration::from_secs(3));
    stop.store(true, Ordering::Relaxed);
    let mut found = watch.join().expect("the watcher");
    println!("10,000 lines/s of conn for {seconds} s, and 5 odd requests/s\n");
    println!("| | seen | p50 ms | p90 ms | p99 ms | max ms |\n|---|---|---|---|---|---|");
    for (name, found) in ["line -> event", "line -> alert"].iter().zip(&mut found) {
        found.sort_unstable_by(f64::total_cmp);
        let of = |part| percentile(found, part) * 1000.0;
        println!(
            "| {name} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            found.len(),
            of(0.5),
            of(0.9),
            of(0.99),
            of(1.0)
        );
    }
    assert_eq!(found[0].len() as u64, lines + odd, "events");
    print_cpu(&before, &after, seconds);
    println!("memory: {:.0} MiB at most", place.memory().1);
    let before = place.cpu();
    sleep(Duration::from_secs(10));
    let idle = (place.cpu()["all"] - before["all"]) / 10.0 * 100.0;
    println!("idle: {idle:.2} % of a core, {:.0} MiB", place.memory().0);
}

fn print_cpu(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, seconds: f64) {
    let mut line = String::from("\n% of a core:");
    for (name, cpu) in after {
        let used = (cpu - before.get(name).unwrap_or(&0.0)) / seconds * 100.0;
        if used >= 0.05 {
            write!(line, " {name} {used:.1},").expect("a string takes everything");
        }
    }
    println!("{}", line.trim_end_matches(','));
}

/// A daemon with 100,000 entities; then 20,000 records a second, 5,000 of which each change the score
/// of another entity; once with a commit each second, once with one a minute.
fn commits() {
    const ENTITIES: u64 = 100_000;
    println!("20,000 records/s, {ENTITIES} entities, 5,000 changing each second\n");
    let mut shares = Vec::new();
    for every in ["1s", "60s"] {
        let mut place = Place::new();
        let mut conns = Log::new(&place.logs(), "conn.log", CONN_HEAD);
        let mut https = Log::new(&place.logs(), "http.log", HTTP_HEAD);
        let (mut text, mut odd) = (String::new(), 0_u64);
        // A minute of event time passes in a second, so that each second closes one.
        let began = unix_now() - 86_400.0;
        for host in 0..ENTITIES {
            odd_request(odd, host, began - 1500.0 + host as f64 * 0.012, &mut text);
            odd += 1;
        }
        let set = format!("state.commit_every=\"{every}\"");
        place.start(&["entity.max=200000"]);
        // Until the other lanes are silent and hold nothing back.
        sleep(Duration::from_secs(12));
        https.append(&text);
        place.wait("zeek_ueba_events_total", ENTITIES as f64);
        place.kill();
        place.start(&[&set, "entity.max=200000"]);
        place.metric("zeek_ueba_entities");
        sleep(Duration::from_secs(2));
        let (mut lines, seconds) = (0_u64, 60.0);
        let (mut before, mut at) = (place.cpu(), Instant::now());
        paced(seconds, Duration::from_millis(20), |tick| {
            if tick == 1000 {
                // The first minutes of event time are still open.
                (before, at) = (place.cpu(), Instant::now());
            }
            let now = began + 1.2 * tick as f64;
            text.clear();
            for _ in 0..300 {
                conn(lines, ENTITIES, now, &mut text);
                lines += 1;
            }
            conns.append(&text);
            text.clear();
            for _ in 0..100 {
                odd_request(odd, odd % ENTITIES, now, &mut text);
                odd += 1;
            }
            https.append(&text);
        });
        let after = place.cpu();
        println!("commit_every = {every}");
        print_cpu(&before, &after, at.elapsed().as_secs_f64());
        shares.push((after["all"] - before["all"]) / at.elapsed().as_secs_f64() * 100.0);
        println!(
            "memory {:.0} MiB, entities {}",
            place.memory().0,
            place.metric("zeek_ueba_entities")
        );
        if every == "1s" {
            start(&mut place, &mut conns, lines);
        }
        println!();
    }
    let cost = shares[0] - shares[1];
    println!("with a commit each second: {cost:+.1} % of a core");
}

/// Kills the daemon, writes a line, starts it: how long until the line's event is there.
fn start(place: &mut Place, conns: &mut Log, n: u64) {
    sleep(Duration::from_secs(2));
    let mut took = Vec::new();
    for round in 0..5 {
        place.kill();
        let mut text = String::new();
        conn(n + round, 5000, unix_now() - 80_000.0, &mut text);
        conns.append(&text);
        let mut events = Seen::new(place.directory.join("out/events.ndjson"));
        events.skip_to_end();
        let begun = Instant::now();
        place.start(&["entity.max=200000"]);
        while events.count() == 0 {
            sleep(Duration::from_millis(1));
        }
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
        sleep(Duration::from_secs(2));
    }
    took.sort_unstable_by(f64::total_cmp);
    let state = fs::metadata(place.directory.join("state/state.redb")).map_or(0, |meta| meta.len());
    println!(
        "start to the first event: {:.0} ms (median of 5), state.redb {} MiB",
        took[2],
        state >> 20
    );
}

/// Writes a line by its number and time.
type Line<'a> = &'a dyn Fn(u64, f64, &mut String);

/// 2,000,000 records in four logs that are there already: `run` beside `replay`, turn by turn.
fn backlog() {
    const ROWS: [u64; 4] = [1_000_000, 500_000, 300_000, 200_000];
    let all: u64 = ROWS.iter().sum();
    let mut place = Place::new();
    let kinds: [(&str, &'static str, Line<'_>); 4] = [
        ("conn.log", CONN_HEAD, &|n, time, out| conn(n, 5000, time, out)),
        ("dns.log", DNS_HEAD, &dns),
        ("http.log", HTTP_HEAD, &request),
        ("files.log", FILES_HEAD, &files),
    ];
    let began = unix_now() - 86_400.0;
    for ((name, head, line), rows) in kinds.iter().zip(ROWS) {
        let mut log = Log::new(&place.logs(), name, head);
        let mut text = String::new();
        for n in 0..rows {
            line(n, began + 3600.0 * n as f64 / rows as f64, &mut text);
        }
        log.append(&text);
    }
    println!("{all} records in four logs\n");
    println!("| | seconds | 1000 records/s | CPU s | peak MiB |\n|---|---|---|---|---|");
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..3 {
        let output = place.directory.join("replayed");
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zeek-ueba"));
        command.args(["replay", "-q", "-o"]).arg(&output).arg(place.logs());
        place.child = Some(command.stdout(Stdio::null()).spawn().expect("a replay"));
        let (mut peak, mut cpu) = (0.0, 0.0);
        let status = loop {
            let child = place.child.as_mut().expect("a replay");
            if let Some(status) = child.try_wait().expect("its end") {
                break status;
            }
            let seen = (place.memory().1, place.cpu()["all"]);
            // It may have ended.
            (peak, cpu) = (seen.0.max(peak), seen.1.max(cpu));
            sleep(Duration::from_millis(20));
        };
        let seconds = begun.elapsed().as_secs_f64();
        place.child = None;
        assert!(status.success(), "the replay failed");
        let rate = all as f64 / seconds / 1000.0;
        println!("| replay | {seconds:.2} | {rate:.0} | {cpu:.1} | {peak:.0} |");
        rates[0].push(rate);
        // What it wrote on the disk, where the daemon has it.
        for entry in fs::read_dir(&output).expect("its results") {
            let file = File::open(entry.expect("a result").path()).expect("a result");
            file.sync_all().expect("a disk");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = all as f64 / seconds / 1000.0;
        println!("| replay, then synced | {seconds:.2} | {rate:.0} | | |");
        rates[2].push(rate);
        fs::remove_dir_all(&output).expect("its results");

        let begun = Instant::now();
        place.start(&["sink.ndjson.max_size=\"1024GiB\""]);
        let mut events = Seen::new(place.directory.join("out/events.ndjson"));
        let (mut half, mut seen) = (None, 0);
        while seen < all as usize {
            seen += events.count();
            if half.is_none() && seen > all as usize / 2 {
                half = Some(place.shares(&ROWS));
            }
            sleep(Duration::from_millis(10));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = all as f64 / seconds / 1000.0;
        let (cpu, peak) = (place.cpu()["all"], place.memory().1);
        println!("| run | {seconds:.2} | {rate:.0} | {cpu:.1} | {peak:.0} |");
        println!("|   of each log at one moment | {} | | | |", half.unwrap_or_default());
        rates[1].push(rate);
        place.kill();
        for name in ["out", "state"] {
            fs::remove_dir_all(place.directory.join(name)).expect("its results");
        }
    }
    rates.iter_mut().for_each(|rates| rates.sort_unstable_by(f64::total_cmp));
    let [replay, run, synced] = rates.map(|rates| rates[1]);
    let (plain, synced) = (run / replay, run / synced);
    println!("\nrun / replay, medians: {plain:.2}; run / replay, then synced: {synced:.2}");
}

/// 10,000 lines/s with rotation every 10 s; what was rotated is removed a minute later.
fn soak(minutes: u64) {
    let mut place = Place::new();
    let mut conns = Log::new(&place.logs(), "conn.log", CONN_HEAD);
    let mut https = Log::new(&place.logs(), "http.log", HTTP_HEAD);
    place.start(&[
        "sink.ndjson.max_size=\"256MiB\"",
        "sink.ndjson.keep=1",
        "state.journal_max=\"64MiB\"",
    ]);
    place.metric("zeek_ueba_entities");
    let (mut text, mut lines, mut odd, mut put_away) = (String::new(), 0_u64, 0_u64, Vec::new());
    println!("10,000 lines/s, rotation every 10 s\n");
    println!(
        "| minute | MiB | at most | % of a core | records behind | files |\n|---|---|---|---|---|---|"
    );
    let mut before = (place.cpu()["all"], Instant::now());
    let settled = 5;
    let mut memory = Vec::new();
    paced(minutes as f64 * 60.0, Duration::from_millis(10), |tick| {
        if tick > 0 && tick % 1000 == 0 {
            put_away.push(conns.rotate(tick / 1000));
            if put_away.len() > 6 {
                fs::remove_file(put_away.remove(0)).expect("a log");
            }
        }
        text.clear();
        let now = unix_now();
        for _ in 0..100 {
            conn(lines, 5000, now, &mut text);
            lines += 1;
        }
        conns.append(&text);
        if tick % 100 == 0 {
            text.clear();
            // The same hosts and findings again and again: what is remembered must not grow.
            odd_request(odd % 200, odd % 200, now, &mut text);
            odd += 1;
            https.append(&text);
        }
        if tick > 0 && tick % 6000 == 0 {
            let (minute, cpu, (rss, peak)) = (tick / 6000, place.cpu()["all"], place.memory());
            let share = (cpu - before.0) / before.1.elapsed().as_secs_f64() * 100.0;
            let behind = (lines + odd) as f64 - place.metric("zeek_ueba_records_total");
            let files = place.metric("zeek_ueba_source_open_files");
            println!("| {minute} | {rss:.1} | {peak:.1} | {share:.1} | {behind} | {files} |");
            before = (cpu, Instant::now());
            if minute >= settled {
                memory.push(rss);
            }
        }
    });
    place.wait("zeek_ueba_records_total", (lines + odd) as f64);
    assert_eq!(place.metric("zeek_ueba_events_total"), (lines + odd) as f64, "events");
    let (least, most) = memory.iter().fold((f64::MAX, 0.0_f64), |(a, b), m| (a.min(*m), b.max(*m)));
    println!(
        "\n{} lines, each once; from minute {settled} on between {least:.1} and {most:.1} MiB",
        lines + odd
    );
}

/// A port in front of a server that can be closed, and cut.
struct Door {
    address: String,
    is_open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (is_open, streams) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let door = Self { address, is_open: Arc::clone(&is_open), streams: Arc::clone(&streams) };
        let target = target.to_owned();
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                if !is_open.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(to) = TcpStream::connect(&target) else { continue };
                let mut kept = streams.lock().expect("streams");
                for (mut read, mut write) in [(&from, &to), (&to, &from)]
                    .map(|(a, b)| (a.try_clone().expect("one"), b.try_clone().expect("one")))
                {
                    kept.push(read.try_clone().expect("one"));
                    std::thread::spawn(move || {
                        drop(std::io::copy(&mut read, &mut write));
                        drop(write.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        door
    }

    fn set(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
        if !is_open {
            for stream in self.streams.lock().expect("streams").drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }
}

/// Real servers behind doors, and what a daemon has to be told of them.
struct Servers {
    kafka: Door,
    search: Door,
    url: String,
    prefix: String,
}

impl Servers {
    fn new() -> Self {
        let say = "deploy/dev/services.sh with cargo bench --bench live -- ...";
        let of = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}: {say}"));
        let (kafka, url) = (of("KAFKA_BOOTSTRAP"), of("SEARCH_URL"));
        let search = url.trim_start_matches("http://").to_owned();
        let prefix = format!("bench{}", std::process::id());
        Self { kafka: Door::before(&kafka), search: Door::before(&search), url: search, prefix }
    }

    fn settings(&self) -> Vec<String> {
        vec![
            format!("sink.kafka.brokers=[{:?}]", self.kafka.address),
            format!("sink.kafka.topic_prefix={:?}", self.prefix),
            format!("sink.elasticsearch.urls=[\"http://{}\"]", self.search.address),
            format!("sink.elasticsearch.index_prefix={:?}", self.prefix),
            "sink.elasticsearch.replicas=0".to_owned(),
            "sink.elasticsearch.options.\"index.refresh_interval\"=\"30s\"".to_owned(),
        ]
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.url).expect("the engine");
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the engine");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// Events in the engine.
    fn count(&self) -> u64 {
        self.ask(&format!("POST /{}-*/_refresh", self.prefix));
        let text = self.ask(&format!("GET /{}-events-*/_count", self.prefix));
        let count = text.split("\"count\":").nth(1).expect("a count");
        count.split(',').next().and_then(|it| it.parse().ok()).expect("a number")
    }
}

impl Place {
    /// A metric of a sink.
    fn of(&self, name: &str, sink: &str) -> f64 {
        let text = self.metrics_text().unwrap_or_default();
        let name = format!("zeek_ueba_{name}{{sink=\"{sink}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// Waits until sinks have everything; by sink when that was.
    fn drained(&self) -> [f64; 2] {
        let begun = Instant::now();
        let mut done = [None; 2];
        while done.contains(&None) {
            for (sink, done) in ["kafka", "elasticsearch"].into_iter().zip(&mut done) {
                if done.is_none() && self.of("sink_lag_records", sink) == 0.0 {
                    *done = Some(begun.elapsed().as_secs_f64());
                }
            }
            sleep(Duration::from_millis(50));
        }
        done.map(|seconds| seconds.expect("it is done"))
    }

    fn start_with(&mut self, servers: &Servers) {
        let settings = servers.settings();
        self.start(&settings.iter().map(String::as_str).collect::<Vec<_>>());
        self.wait("zeek_ueba_source_roots", 1.0);
    }
}

/// Records at 100 a second of event time, as fast as they are read, while both sinks are away; then
/// both are back. Beside it the rate of sinks that were never away.
fn outage(rows: u64) {
    let servers = Servers::new();
    let mut place = Place::new();
    let mut conns = Log::new(&place.logs(), "conn.log", CONN_HEAD);
    let began = unix_now() - rows as f64 / 100.0;
    let mut next = 0;
    let mut feed = |place: &Place, count: u64, each: &mut dyn FnMut(u64, &Place)| {
        let until = next + count;
        while next < until {
            let mut text = String::new();
            for n in next..(next + 100_000).min(until) {
                conn(n, 5000, began + n as f64 / 100.0, &mut text);
            }
            next = (next + 100_000).min(until);
            conns.append(&text);
            place.wait("zeek_ueba_records_total", next as f64);
            each(next, place);
        }
    };
    for door in [&servers.kafka, &servers.search] {
        door.set(false);
    }
    place.start_with(&servers);
    println!("{rows} records at 100/s, {:.1} h\n", rows as f64 / 360_000.0);
    println!("| records | MiB in memory | MiB in the spools |\n|---|---|---|");
    let (begun, mut least, mut most) = (Instant::now(), f64::MAX, 0.0_f64);
    feed(&place, rows, &mut |n, place| {
        let memory = place.memory().0;
        if n * 4 > rows {
            (least, most) = (least.min(memory), most.max(memory));
        }
        if n % (rows / 8).next_multiple_of(100_000) < 100_000 || n == rows {
            let spools = place.metric("zeek_ueba_spool_bytes") / (1 << 20) as f64;
            println!("| {n} | {memory:.0} | {spools:.0} |");
        }
    });
    let read = rows as f64 / begun.elapsed().as_secs_f64();
    println!(
        "\nread at {read:.0} records/s; from a quarter on between {least:.0} and {most:.0} MiB"
    );
    let documents =
        [place.of("sink_lag_records", "kafka"), place.of("sink_lag_records", "elasticsearch")];
    for door in [&servers.kafka, &servers.search] {
        door.set(true);
    }
    let drained = place.drained();
    let rates = [documents[0] / drained[0], documents[1] / drained[1]];
    let peak = place.memory().1;
    println!("\n| | documents | seconds until delivered | 1000/s |\n|---|---|---|---|");
    for (at, sink) in ["kafka", "elasticsearch"].into_iter().enumerate() {
        println!(
            "| {sink}, after the outage | {} | {:.1} | {:.1} |",
            documents[at],
            drained[at],
            rates[at] / 1000.0
        );
    }
    let lost = place.metric("zeek_ueba_spool_lost_total");
    println!("\n{} events in the engine, {lost} lost; {peak:.0} MiB at most\n", servers.count());
    // The same records again as new ones, with sinks that are there.
    let more = (rows / 8).clamp(100_000, 1_000_000);
    let acked =
        |place: &Place| ["kafka", "elasticsearch"].map(|sink| place.of("sink_acked_total", sink));
    let before = acked(&place);
    let begun = Instant::now();
    feed(&place, more, &mut |_, _| {});
    let fed = begun.elapsed().as_secs_f64();
    let drained = place.drained();
    let after = acked(&place);
    for (at, sink) in ["kafka", "elasticsearch"].into_iter().enumerate() {
        let usual = (after[at] - before[at]) / (fed + drained[at]);
        println!(
            "{sink}, usual: {:.1} thousand/s; after the outage {:.2} of that",
            usual / 1000.0,
            rates[at] / usual
        );
    }
    servers.ask(&format!("DELETE /{}-*", servers.prefix));
}

/// 2,000 records/s for 90 s; the engine is away in the middle third. What of it Kafka sees.
fn isolated() {
    let servers = Servers::new();
    let mut place = Place::new();
    let mut conns = Log::new(&place.logs(), "conn.log", CONN_HEAD);
    place.start_with(&servers);
    let histogram = |place: &Place| {
        let text = place.metrics_text().unwrap_or_default();
        let of = |name: &str| format!("zeek_ueba_sink_acknowledged_seconds{name}");
        let mut buckets = Vec::new();
        for line in text.lines().filter(|line| line.contains("sink=\"kafka\"")) {
            let Some(rest) = line.strip_prefix(&of("_bucket")) else { continue };
            let bound = rest.split("le=\"").nth(1).and_then(|it| it.split('"').next());
            let bound = bound.and_then(|it| it.parse().ok()).unwrap_or(f64::INFINITY);
            let count = rest.rsplit(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0);
            buckets.push((bound, count));
        }
        let sum = place.of("sink_acknowledged_seconds_sum", "kafka");
        (buckets, sum)
    };
    println!("| the engine | Kafka: mean ms | 99 % within ms | documents | engine lag |");
    println!("|---|---|---|---|---|");
    let mut next = 0;
    for (what, is_open) in [("there", true), ("away", false), ("back", true)] {
        servers.search.set(is_open);
        let (before, sum) = histogram(&place);
        paced(60.0, Duration::from_millis(10), |_| {
            let mut text = String::new();
            for _ in 0..20 {
                conn(next, 5000, unix_now(), &mut text);
                next += 1;
            }
            conns.append(&text);
        });
        let (after, sum_after) = histogram(&place);
        let counts: Vec<(f64, f64)> =
            after.iter().zip(&before).map(|((bound, a), (_, b))| (*bound, a - b)).collect();
        let all = counts.last().map_or(0.0, |(_, count)| *count);
        let within =
            counts.iter().find(|(_, count)| *count >= all * 0.99).map_or(f64::NAN, |it| it.0);
        let lag = place.of("sink_lag_records", "elasticsearch");
        println!(
            "| {what} | {:.1} | {:.0} | {all} | {lag} |",
            (sum_after - sum) / all * 1000.0,
            within * 1000.0
        );
    }
    place.wait("zeek_ueba_records_total", next as f64);
    place.drained();
    let sent = ["kafka", "elasticsearch"].map(|sink| place.of("sink_acked_total", sink));
    println!(
        "\n{next} records; acknowledged by Kafka {}, by the engine {}; {} events in it",
        sent[0],
        sent[1],
        servers.count()
    );
    servers.ask(&format!("DELETE /{}-*", servers.prefix));
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["latency"] => latency(),
        ["commits"] => commits(),
        ["backlog"] => backlog(),
        ["outage", rows] => outage(rows.parse().expect("a number")),
        ["isolated"] => isolated(),
        ["soak", minutes] => soak(minutes.parse().expect("minutes")),
        _ => println!("which: latency, commits, backlog, soak MINUTES, outage ROWS or isolated"),
    }
}
