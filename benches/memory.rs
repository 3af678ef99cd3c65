//! What each stage keeps of an entity, for docs/benchmarks.md:
//! `cargo bench --bench memory [-- HOSTS [STAGE...]]`.
//!
//! HOSTS (100,000) quiet hosts do the same in two hours of each of three days, and so do a
//! twentieth as many busy ones, 5,000 at most: the same hours for all of them, which is the worst
//! there is. With `spread` among the stages the quiet ones have two hours of their own. Their logs are replayed with no stage, with each
//! stage alone and with all, each time beside those of a thousand hosts, so that programs, models
//! and buffers cancel out. What is left of the peaks of resident memory, by hosts, is what one
//! takes.
//!
//! `-- --program FILE` before HOSTS measures another build of the program.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use zeek_ueba::stage::TABLE;

/// 2024-04-15, a Monday.
const MONDAY: u64 = 1_713_139_200;
const DAYS: u64 = 3;
const HOURS: [u64; 2] = [10, 11];
/// Hosts of the run that all others are measured against.
const FEW: u64 = 1000;
/// Of so many quiet hosts there is one busy one, and no more than so many.
const BUSY_ONE_IN: u64 = 20;
const BUSY_MAX: u64 = 5000;

/// Names of all hosts together: models remember what they said of each, which is no host's.
const SITES: u64 = 500;

/// What a host does in an hour.
#[derive(Clone, Copy)]
struct Habit {
    name: &'static str,
    connections: u64,
    queries: u64,
    requests: u64,
    /// Whom it connects to and what it asks for, of so many.
    peers: u64,
    names: u64,
    /// Whether each has hours of its own.
    is_spread: bool,
}

impl Habit {
    fn is_heard(self, host: u64, hour: u64) -> bool {
        if self.is_spread {
            [host % 24, (host + 11) % 24].contains(&hour)
        } else {
            HOURS.contains(&hour)
        }
    }
}

const QUIET: Habit = Habit {
    name: "quiet",
    connections: 2,
    queries: 1,
    requests: 0,
    peers: 3,
    names: 2,
    is_spread: false,
};
const BUSY: Habit = Habit {
    name: "busy",
    connections: 100,
    queries: 25,
    requests: 10,
    peers: 60,
    names: 40,
    is_spread: false,
};

const CONN: &str = "conn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\t\
    duration\torig_bytes\tresp_bytes\tconn_state\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\t\
    string\tinterval\tcount\tcount\tstring\n";
const DNS: &str = "dns\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\t\
    qtype_name\trcode\trcode_name\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tstring\t\
    count\tstring\n";
const HTTP: &str = "http\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tmethod\thost\turi\t\
    user_agent\tstatus_code\tresponse_body_len\tresp_fuids\tresp_mime_types\n#types\ttime\tstring\taddr\tport\t\
    addr\tport\tstring\tstring\tstring\tstring\tcount\tcount\tvector[string]\tvector[string]\n";

/// The logs of so many hosts of a habit.
struct Logs {
    conn: BufWriter<fs::File>,
    dns: BufWriter<fs::File>,
    http: BufWriter<fs::File>,
    rows: u64,
}

impl Logs {
    fn write(directory: &Path, habit: Habit, hosts: u64) -> u64 {
        fs::create_dir_all(directory).expect("a directory");
        let log = |name: &str, head: &str| {
            let file = fs::File::create(directory.join(name)).expect("a file");
            let mut file = BufWriter::with_capacity(1 << 20, file);
            write!(file, "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n")
                .expect("room");
            write!(file, "#unset_field\t-\n#path\t{head}").expect("room");
            file
        };
        let (conn, dns) = (log("conn.log", CONN), log("dns.log", DNS));
        let mut logs = Self { conn, dns, http: log("http.log", HTTP), rows: 0 };
        for day in 0..DAYS {
            for hour in 0..24 {
                let heard: Vec<u64> =
                    (0..hosts).filter(|host| habit.is_heard(*host, hour)).collect();
                logs.hour(habit, &heard, day * 24 + hour);
            }
        }
        // So that the last day is over.
        logs.connection(MONDAY + DAYS * 86_400 + 7200, 0, 0, 0);
        for file in [&mut logs.conn, &mut logs.dns, &mut logs.http] {
            file.flush().expect("room");
        }
        logs.rows
    }

    /// These hosts in turn, as often as the habit has it.
    fn hour(&mut self, habit: Habit, hosts: &[u64], hour: u64) {
        let Habit { connections, queries, requests, peers, names, .. } = habit;
        let start = MONDAY + hour * 3600;
        let count = hosts.len() as u64;
        let at = |n: u64, of: u64, turn: u64| start + (n * count + turn) * 3600 / (of * count);
        for n in 0..connections {
            (0..).zip(hosts).for_each(|(turn, host)| {
                let thing = hour * connections + n;
                self.connection(at(n, connections, turn), *host, thing, thing * 7 % peers);
            });
        }
        for n in 0..queries {
            (0..).zip(hosts).for_each(|(turn, host)| {
                let thing = hour * queries + n;
                self.query(at(n, queries, turn), *host, thing, thing * 7 % names);
            });
        }
        for n in 0..requests {
            (0..).zip(hosts).for_each(|(turn, host)| {
                let thing = hour * requests + n;
                self.request(at(n, requests, turn), *host, thing, thing * 7 % peers);
            });
        }
    }

    /// Half of the peers are inside, and each host has its own outside.
    fn connection(&mut self, ts: u64, host: u64, thing: u64, peer: u64) {
        let (orig, uid) = (inside(host), uid(host, thing));
        let resp = if peer.is_multiple_of(2) { outside(host, peer) } else { server(peer) };
        let port = 1024 + thing * 31 % 60_000;
        let (to, service) = if peer.is_multiple_of(3) { (443, "ssl") } else { (8443, "-") };
        let (sent, received) = (2000 + thing * 977 % 90_000, 9000 + thing * 1291 % 900_000);
        writeln!(
            self.conn,
            "{ts}.5\t{uid}\t{orig}\t{port}\t{resp}\t{to}\ttcp\t{service}\t1.25\t{sent}\t{received}\tSF"
        )
        .expect("room");
        self.rows += 1;
    }

    fn query(&mut self, ts: u64, host: u64, thing: u64, name: u64) {
        let (orig, uid, port) = (inside(host), uid(host, thing + (1 << 20)), 1024 + thing % 60_000);
        let rcode = if thing % 9 == 8 { "3\tNXDOMAIN" } else { "0\tNOERROR" };
        let name = format!("www.site-of-{}.com", (host + name * 13) % SITES);
        writeln!(
            self.dns,
            "{ts}.4\t{uid}\t{orig}\t{port}\t{}\t53\tudp\t{name}\tA\t{rcode}",
            server(999)
        )
        .expect("room");
        self.rows += 1;
    }

    fn request(&mut self, ts: u64, host: u64, thing: u64, peer: u64) {
        let (orig, uid, port) = (inside(host), uid(host, thing + (1 << 21)), 1024 + thing % 60_000);
        let (resp, name) = (outside(host, peer), format!("site-of-{}.com", (host + peer) % SITES));
        let agent = format!("Mozilla/5.0 (X11; Linux x86_64) Firefox/{}.0", 100 + thing % 3);
        writeln!(
            self.http,
            "{ts}.6\t{uid}\t{orig}\t{port}\t{resp}\t80\tGET\t{name}\t/pages/{}/index.html\t\
             {agent}\t200\t{}\tF{uid}\ttext/html",
            thing % 4,
            2000 + thing
        )
        .expect("room");
        self.rows += 1;
    }
}

fn inside(host: u64) -> String {
    format!("10.{}.{}.{}", host >> 16, host >> 8 & 255, host & 255)
}

fn server(number: u64) -> String {
    format!("172.16.{}.{}", number >> 8, number & 255)
}

fn outside(host: u64, peer: u64) -> String {
    let n = (host * 1009 + peer * 97) % 200_000;
    format!("198.{}.{}.{}", 18 + (n >> 16), n >> 8 & 255, n & 255)
}

/// As long as Zeek's.
fn uid(host: u64, thing: u64) -> String {
    let n = (host << 24 | thing).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("C{n:017x}")
}

/// The most memory that a replay had, in bytes.
fn peak(program: &Path, logs: &Path, hosts: u64, stages: &dyn Fn(&str) -> bool) -> u64 {
    let output = logs.with_extension("out");
    let mut command = Command::new(program);
    command.args(["-q", "replay", "-o"]).arg(&output);
    command.args(["--set", "event.emit=none"]);
    let max = hosts * 2 + 1000;
    for set in [format!("entity.max={max}"), format!("stage.pcr.max_entities={max}")] {
        command.args(["--set", &set]);
    }
    for stage in TABLE {
        let set = format!("stage.{}.enabled={}", stage.name, stages(stage.name));
        command.args(["--set", &set]);
    }
    let child = command.arg(logs).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("a process");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let done = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = kib.map_or(peak, |kib| kib << 10);
        if let Some(done) = child.try_wait().expect("a process") {
            break done;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let said = child.wait_with_output().expect("its words");
    assert!(done.success(), "{}", String::from_utf8_lossy(&said.stderr));
    fs::remove_dir_all(output).expect("the last results");
    peak
}

/// Peak of all hosts, and what one takes.
struct Taken {
    peak: u64,
    each: i64,
}

fn taken(program: &Path, logs: &[PathBuf; 2], hosts: u64, stages: &dyn Fn(&str) -> bool) -> Taken {
    let few = peak(program, &logs[0], FEW, stages);
    let peak = peak(program, &logs[1], hosts, stages);
    Taken { peak, each: (peak as i64 - few as i64) / (hosts - FEW) as i64 }
}

fn main() {
    // Cargo adds --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut words: &[String] = &words;
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_zeek-ueba"));
    if let [option, file, rest @ ..] = words
        && option == "--program"
    {
        (program, words) = (file.into(), rest);
    }
    let hosts = words.first().map_or(100_000, |it| it.parse().expect("a number of hosts"));
    let mut chosen = words.get(1..).unwrap_or_default().to_vec();
    let is_spread = chosen.iter().any(|word| word == "spread");
    chosen.retain(|word| word != "spread");
    let quiet = Habit { is_spread, ..QUIET };
    let directory = std::env::temp_dir().join(format!("zeek-ueba-bench-{}", std::process::id()));
    let all = [(quiet, hosts), (BUSY, (hosts / BUSY_ONE_IN).clamp(2 * FEW, BUSY_MAX))];
    let logs = all.map(|(habit, hosts)| {
        [FEW, hosts].map(|hosts| {
            let place = directory.join(format!("{}-{hosts}", habit.name));
            let rows = Logs::write(&place, habit, hosts);
            if hosts > FEW {
                println!("{hosts} {} hosts, {rows} records", habit.name);
            }
            place
        })
    });
    println!("\n| stages | bytes a quiet host | a busy one | peak MiB, quiet | busy |");
    println!("|---|--:|--:|--:|--:|");
    let measure = |stages: &dyn Fn(&str) -> bool| {
        [0, 1].map(|at| taken(&program, &logs[at], all[at].1, stages))
    };
    let show = |name: &str, [quiet, busy]: &[Taken; 2], core: [i64; 2]| {
        let each = [quiet.each - core[0], busy.each - core[1]];
        let peaks = [quiet, busy].map(|taken| taken.peak >> 20);
        println!("| {name} | {} | {} | {} | {} |", each[0], each[1], peaks[0], peaks[1]);
    };
    let core = measure(&|_| false);
    show("none", &core, [0, 0]);
    let core = core.map(|taken| taken.each);
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    for stage in TABLE.iter().filter(|stage| is_chosen(stage.name)) {
        show(&format!("`{}`", stage.name), &measure(&|name| name == stage.name), core);
    }
    show("all of these", &measure(&is_chosen), [0, 0]);
    fs::remove_dir_all(directory).expect("the bench's own directory");
}
