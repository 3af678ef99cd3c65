//! The tables of docs/benchmarks.md: `make bench`; `make bench-small` runs each once on few records;
//! `cargo bench --bench speed -- --parsers` leaves the replays out, `-- --risk` runs the ledger alone,
//! `-- --pcr` what `pcr` keeps of very many hosts, `-- --share STAGE [LOG]` what a stage takes of a
//! replay, `-- --profile [json]` only parses, for a profiler.
//!
//! Ratios inside one run are what counts: every contender reads the same bytes in the same process,
//! turn by turn, and the median of its turns is taken.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(clippy::disallowed_methods, reason = "a bench asks the clock")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use zeek_ueba::base::address::Addr;
use zeek_ueba::base::hash::Id;
use zeek_ueba::base::keys::{Kind, MIB, Settings as Table, Value};
use zeek_ueba::base::limits::BATCH_ROWS_MAX;
use zeek_ueba::base::score::{Factor, Points, Ppm};
use zeek_ueba::base::time::{DAY, Minute};
use zeek_ueba::model::Models;
use zeek_ueba::record::schema::ColumnId;
use zeek_ueba::record::{Entity, Generation, Log, RecordRef, Source};
use zeek_ueba::risk::{Bits, Criticality, Event, Ledger, Module, Policy, Subject};
use zeek_ueba::stage::{self, Build, Cell, CellRow, Close, Context, Gaps, Roles};
use zeek_ueba::zeek::{Parser, Settings, split};

/// Every field of `conn`, owned, as a user of `csv` or `serde_json` would have it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read for the reading's sake")]
struct Conn {
    ts: f64,
    uid: String,
    #[serde(rename = "id.orig_h")]
    orig_h: std::net::IpAddr,
    #[serde(rename = "id.orig_p")]
    orig_p: u16,
    #[serde(rename = "id.resp_h")]
    resp_h: std::net::IpAddr,
    #[serde(rename = "id.resp_p")]
    resp_p: u16,
    proto: String,
    #[serde(default, deserialize_with = "unset")]
    service: Option<String>,
    #[serde(default, deserialize_with = "unset")]
    duration: Option<f64>,
    #[serde(default, deserialize_with = "unset")]
    orig_bytes: Option<u64>,
    #[serde(default, deserialize_with = "unset")]
    resp_bytes: Option<u64>,
    conn_state: String,
    #[serde(deserialize_with = "flag")]
    local_orig: bool,
    #[serde(deserialize_with = "flag")]
    local_resp: bool,
    missed_bytes: u64,
    #[serde(default, deserialize_with = "unset")]
    history: Option<String>,
    orig_pkts: u64,
    orig_ip_bytes: u64,
    resp_pkts: u64,
    resp_ip_bytes: u64,
}

/// The same from JSON, whose values have types.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read for the reading's sake")]
struct JsonConn {
    ts: f64,
    uid: String,
    #[serde(rename = "id.orig_h")]
    orig_h: std::net::IpAddr,
    #[serde(rename = "id.orig_p")]
    orig_p: u16,
    #[serde(rename = "id.resp_h")]
    resp_h: std::net::IpAddr,
    #[serde(rename = "id.resp_p")]
    resp_p: u16,
    proto: String,
    service: Option<String>,
    duration: Option<f64>,
    orig_bytes: Option<u64>,
    resp_bytes: Option<u64>,
    conn_state: String,
    local_orig: bool,
    local_resp: bool,
    missed_bytes: u64,
    history: Option<String>,
    orig_pkts: u64,
    orig_ip_bytes: u64,
    resp_pkts: u64,
    resp_ip_bytes: u64,
}

fn unset<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(from)?;
    if text == "-" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn flag<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)? == "T")
}

const FIELDS: &str = "ts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t\
    orig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\t\
    orig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents";
const TYPES: &str = "time\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\t\
    string\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]";

/// Connections as a network has them, the same for the same number, in TSV and in JSON.
fn logs(rows: u64) -> (String, String) {
    let mut tsv = format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
         #fields\t{FIELDS}\n#types\t{TYPES}\n"
    );
    let mut json = String::new();
    let mut state = 1_u64;
    for n in 0..rows {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let r = state >> 20;
        let ts = 1_713_484_800_000_000 + n * 2000 + r % 2000;
        let (sec, micro) = (ts / 1_000_000, ts % 1_000_000);
        let orig = format!("10.{}.{}.{}", r % 3, r / 3 % 250, r / 750 % 250);
        let resp = match r % 80 {
            0 => format!("2001:db8::{:x}:{:x}", r % 65_521, r % 4093),
            _ => format!("{}.{}.{}.{}", 20 + r % 180, r / 7 % 256, r / 11 % 256, r / 13 % 256),
        };
        let (op, rp) = (1024 + r % 60_000, [53, 80, 443, 22, 8080][(r % 5) as usize]);
        let uid = format!("C{:017x}", state & 0xfff_ffff_ffff_ffff);
        let service = ["-", "dns", "http", "ssl", "-"][(r % 5) as usize];
        let known = !r.is_multiple_of(4);
        let (duration, sent, got) =
            (format!("{}.{:06}", r % 90, r % 999_983), r % 90_000, r % 4_000_000);
        let (d, s, g) = match known {
            true => (duration.clone(), sent.to_string(), got.to_string()),
            false => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        writeln!(
            tsv,
            "{sec}.{micro:06}\t{uid}\t{orig}\t{op}\t{resp}\t{rp}\ttcp\t{service}\t{d}\t{s}\t{g}\tSF\tT\tF\t0\t\
             ShADadfF\t{}\t{}\t{}\t{}\t-",
            r % 90,
            r % 9000,
            r % 80,
            r % 8000
        ).expect("a string");
        write!(
            json,
            "{{\"ts\":{sec}.{micro:06},\"uid\":\"{uid}\",\"id.orig_h\":\"{orig}\",\"id.orig_p\":{op},\
             \"id.resp_h\":\"{resp}\",\"id.resp_p\":{rp},\"proto\":\"tcp\""
        ).expect("a string");
        if service != "-" {
            write!(json, ",\"service\":\"{service}\"").expect("a string");
        }
        if known {
            write!(json, ",\"duration\":{duration},\"orig_bytes\":{sent},\"resp_bytes\":{got}")
                .expect("a string");
        }
        writeln!(
            json,
            ",\"conn_state\":\"SF\",\"local_orig\":true,\"local_resp\":false,\"missed_bytes\":0,\
             \"history\":\"ShADadfF\",\"orig_pkts\":{},\"orig_ip_bytes\":{},\"resp_pkts\":{},\"resp_ip_bytes\":{}}}",
            r % 90,
            r % 9000,
            r % 80,
            r % 8000
        ).expect("a string");
    }
    (tsv, json)
}

/// Queries as clients have them: one name in 25 is new, and what is asked for is asked for as in a
/// real log (of 53,615 queries of `zed_sample` the first name has 41 %, the first hundred 77 %; of
/// 3,209 of browsing hosts, `rita_proxy_rolling`, 2 and 27 %): here 8 and 43 %.
fn queries(rows: u64) -> String {
    let mut tsv = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
         #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\tquery\tqclass\t\
         qclass_name\tqtype\tqtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers\tTTLs\trejected\n\
         #types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tinterval\tstring\tcount\tstring\tcount\t\
         string\tcount\tstring\tbool\tbool\tbool\tbool\tcount\tvector[string]\tvector[interval]\tbool\n"
        .to_owned();
    const PARTS: [&str; 16] = [
        "mail", "shop", "cloud", "photo", "garden", "alpha", "news", "data", "play", "bank",
        "travel", "media", "soft", "green", "market", "home",
    ];
    const SUFFIXES: [&str; 8] = ["com", "net", "org", "de", "co.uk", "io", "com.br", "info"];
    let distinct = (rows / 25).max(2) as f64;
    let mut state = 7_u64;
    for n in 0..rows {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let r = state >> 20;
        let ts = 1_713_484_800_000_000 + n * 4000;
        let (sec, micro) = (ts / 1_000_000, ts % 1_000_000);
        // Zipf's law: the rank of a draw is exponential in it.
        let rank = distinct.powf((r % 1_000_003) as f64 / 1_000_003.0) as u64;
        let (a, b) = (PARTS[(rank % 16) as usize], PARTS[(rank / 16 % 16) as usize]);
        let name = format!("www.{a}{b}{}.{}", rank / 256, SUFFIXES[(rank % 8) as usize]);
        let client = format!("10.{}.{}.{}", r % 2, r / 3 % 8, r / 750 % 250);
        writeln!(
            tsv,
            "{sec}.{micro:06}\tC{:017x}\t{client}\t{}\t10.9.9.9\t53\tudp\t{}\t0.02\t{name}\t1\tC_INTERNET\t1\tA\t\
             0\tNOERROR\tF\tF\tT\tT\t0\t203.0.113.9\t300.0\tF",
            state & 0xfff_ffff_ffff_ffff,
            1024 + r % 60_000,
            r % 65_536,
        ).expect("a string");
    }
    tsv
}

/// A contender: its name, and what it does with the bytes; it returns the records it read.
type Contender<'a> = (&'static str, Box<dyn FnMut() -> u64 + 'a>);

/// Runs the contenders turn by turn and prints medians and ratios to the one called `base`.
fn race(
    title: &str,
    bytes: usize,
    rows: u64,
    turns: usize,
    base: &str,
    mut all: Vec<Contender<'_>>,
) {
    let mut times = vec![Vec::new(); all.len()];
    for _ in 0..turns {
        for (index, (_, run)) in all.iter_mut().enumerate() {
            let start = Instant::now();
            black_box(run());
            times[index].push(start.elapsed().as_secs_f64());
        }
    }
    let median = |list: &mut Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    let base = all.iter().position(|(name, _)| *name == base).map_or(1.0, |at| medians[at]);
    println!("\n{title}: {rows} records, {:.0} MB\n", bytes as f64 / 1e6);
    println!("| | M records/s | GB/s | ratio |\n|---|---|---|---|");
    for ((name, _), time) in all.iter().zip(&medians) {
        let (rate, speed) = (rows as f64 / time / 1e6, bytes as f64 / time / 1e9);
        println!("| {name} | {rate:.2} | {speed:.2} | {:.2} |", base / time);
    }
}

fn parse(bytes: &[u8]) -> u64 {
    let log = Log::Conn;
    let wanted = (0..20).map(ColumnId).collect();
    let settings =
        Settings { log, wanted, line_bytes_max: 1 << 20, configured: None, alias: Vec::new() };
    let mut parser = Parser::new(&settings);
    let mut batch = settings.batch();
    let (mut at, mut rows) = (0, 0);
    loop {
        // As a reader hands it over.
        let end = bytes.len().min(at + (256 << 10));
        let progress = parser.parse(&bytes[at..end], BATCH_ROWS_MAX, &mut batch);
        at += progress.consumed;
        rows += black_box(&batch).rows() as u64;
        batch.clear();
        if !progress.is_full && end == bytes.len() {
            return rows;
        }
    }
}

fn csv_owned(bytes: &[u8]) -> u64 {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .quoting(false)
        .has_headers(false)
        .comment(Some(b'#'))
        .from_reader(bytes);
    let names = csv::StringRecord::from(FIELDS.split('\t').collect::<Vec<_>>());
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).expect("TSV") {
        let conn: Conn = record.deserialize(Some(&names)).expect("a connection");
        black_box(conn);
        rows += 1;
    }
    rows
}

fn serde_json_owned(bytes: &[u8]) -> u64 {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.fold(0, |rows, line| {
        black_box(serde_json::from_slice::<JsonConn>(line).expect("JSON"));
        rows + 1
    })
}

fn marks(bytes: &[u8], split: fn(&[u8], u8, usize, &mut Vec<u32>) -> usize) -> u64 {
    let mut marks = Vec::new();
    let mut at = 0;
    let mut rows = 0;
    loop {
        marks.clear();
        let end = bytes.len().min(at + (256 << 10));
        let used = split(&bytes[at..end], b'\t', BATCH_ROWS_MAX, &mut marks);
        if used == 0 {
            return rows;
        }
        rows += marks.iter().filter(|&&mark| mark & split::LINE_END != 0).count() as u64;
        at += used;
    }
}

fn parsers(rows: u64, turns: usize) {
    let (tsv, json) = logs(rows);
    let (tsv, json) = (tsv.as_bytes(), json.as_bytes());
    race(
        "conn, TSV, one core, every column typed",
        tsv.len(),
        rows,
        turns,
        "csv + serde, owned",
        vec![
            (
                "memchr scan for line ends (the limit)",
                Box::new(|| memchr::memchr_iter(b'\n', tsv).count() as u64),
            ),
            ("split, vector", Box::new(|| marks(tsv, split::split))),
            ("split, plain", Box::new(|| marks(tsv, split::split_plain))),
            ("this parser", Box::new(|| parse(tsv))),
            ("csv + serde, owned", Box::new(|| csv_owned(tsv))),
        ],
    );
    race(
        "conn, JSON, one core, every column typed",
        json.len(),
        rows,
        turns,
        "serde_json, owned",
        vec![
            ("this parser", Box::new(|| parse(json))),
            ("serde_json, owned", Box::new(|| serde_json_owned(json))),
        ],
    );
}

/// Seconds and MiB of a process: the wall's, its own and the kernel's for it, its peak of memory.
struct Took {
    wall: f64,
    cpu: [f64; 2],
    peak: f64,
}

/// Replays `logs` in a process of its own: its CPU time from bash's `times`, its peak of memory
/// from `/proc`, looked at every 50 ms.
fn replay(logs: &Path, output: &Path, args: &[&str]) -> Took {
    if output.exists() {
        fs::remove_dir_all(output).expect("the last results");
    }
    let program = env!("CARGO_BIN_EXE_zeek-ueba");
    let script = "\"$@\" & pid=$!; peak=0; while kill -0 $pid 2>/dev/null; do \
        rss=$(awk '/VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null); \
        [ -n \"$rss\" ] && peak=$rss; sleep 0.05; done; wait $pid; code=$?; times; echo peak $peak; exit $code";
    let start = Instant::now();
    let result = Command::new("bash")
        .args(["-c", script, "bash", program, "replay", "-q", "-o"])
        .arg(output)
        .args(args)
        .arg(logs)
        .output()
        .expect("bash");
    let wall = start.elapsed().as_secs_f64();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let peak = lines.last().and_then(|line| line.strip_prefix("peak ")).unwrap_or("0");
    let peak = peak.parse::<f64>().unwrap_or(0.0) / 1024.0;
    let children = lines[lines.len() - 2];
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').expect("times");
        minutes.parse::<f64>().expect("minutes") * 60.0 + seconds.parse::<f64>().expect("seconds")
    };
    let cpu: Vec<f64> = children.split_whitespace().map(seconds).collect();
    Took { wall, cpu: [cpu[0], cpu[1]], peak }
}

/// Writes as many bytes as the replay before it has written, and prints what the disk (or the page
/// cache in front of it) does without us.
fn disk(directory: &Path, records: u64) {
    let bytes = fs::metadata(directory.join("out/events.ndjson")).expect("events").len();
    let path = directory.join("plain");
    let mut file = fs::File::create(&path).expect("a file");
    let block = vec![b'x'; 1 << 20];
    let start = Instant::now();
    for _ in 0..bytes.div_ceil(1 << 20) {
        std::io::Write::write_all(&mut file, &block).expect("room");
    }
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_file(path).expect("the file just written");
    let rate = records as f64 / seconds / 1000.0;
    println!("| the same {} MB, only written | {rate:.0} | | | |", bytes / 1_000_000);
}

fn replays(rows: &[u64]) {
    let directory = std::env::temp_dir().join(format!("zeek-ueba-bench-{}", std::process::id()));
    println!("\nreplay of conn.log to NDJSON\n");
    println!(
        "| | 1000 records/s | CPU s per million: own | the kernel's | peak MiB |\n|---|---|---|---|---|"
    );
    for &rows in rows {
        fs::create_dir_all(directory.join("logs")).expect("a directory");
        // Twenty million rows do not fit into a string; the file is written piece by piece.
        let (piece, _) = logs(rows.min(1_000_000));
        let body = piece.split_once(TYPES).map_or("", |(_, body)| body.trim_start());
        let mut text = piece.clone().into_bytes();
        for _ in 1..rows.div_ceil(1_000_000) {
            text.extend_from_slice(body.as_bytes());
        }
        fs::write(directory.join("logs/conn.log"), text).expect("a log");
        for emit in ["all", "scored"] {
            let set = format!("event.emit={emit}");
            let (logs, output) = (directory.join("logs"), directory.join("out"));
            let Took { wall, cpu, peak } = replay(&logs, &output, &["--set", &set]);
            let rate = rows as f64 / wall / 1000.0;
            let [own, kernel] = cpu.map(|seconds| seconds / (rows as f64 / 1e6));
            println!(
                "| {rows} records, emit = {emit} | {rate:.0} | {own:.2} | {kernel:.2} | {peak:.0} |"
            );
            if emit == "all" {
                disk(&directory, rows);
            }
        }
    }
    fs::remove_dir_all(directory).expect("the bench's own directory");
}

/// What a stage takes of a replay of `log`: with it and without it in turn, the median of the
/// ratios of neighbours.
fn share(stage: &str, log: Option<&Path>, pairs: usize) {
    let directory = std::env::temp_dir().join(format!("zeek-ueba-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let made = directory.join("made.log");
    let log = log.unwrap_or_else(|| {
        let text = if stage == "dga" { queries(1_000_000) } else { logs(1_000_000).0 };
        fs::write(&made, text).expect("a log");
        &made
    });
    let [mut wall, mut cpu] = [Vec::new(), Vec::new()];
    for pair in 0..=pairs {
        let [with, without] = [true, false].map(|is_on| {
            let set = format!("stage.{stage}.enabled={is_on}");
            replay(log, &directory.join("out"), &["--set", &set])
        });
        // The first warms up.
        if pair > 0 {
            wall.push(with.wall / without.wall);
            cpu.push(with.cpu.iter().sum::<f64>() / without.cpu.iter().sum::<f64>());
        }
    }
    fs::remove_dir_all(directory).expect("the bench's own directory");
    let [wall, cpu] = [wall, cpu].map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    });
    println!("\nreplay with {stage} : without, {pairs} pairs: wall {wall:.3}, CPU {cpu:.3}");
}

/// Updates of one minute: below `PENDING_MAX` entities and modules, so that none is refused.
const UPDATES: u64 = 40_000;

/// Weights of the modules in the bench of the ledger.
const WEIGHTS: [u64; 3] = [60, 40, 25];

fn ledger(entities: u64) -> Ledger {
    let module = |(name, weight): (&&'static str, u64)| Module {
        name,
        group: name,
        weight: Points(weight * Points::ONE.0),
        half_life_us: DAY,
        is_enabled: true,
    };
    let modules = ["a", "b", "c"].iter().zip(WEIGHTS).map(module).collect();
    // It is looked up, and leaves the scores as they are.
    let net = Subject::parse("10.8.0.0/13").expect("a network");
    let criticality = Criticality::new([(net, Factor::ONE)]);
    Ledger::new(Policy::new(modules, &BTreeMap::new(), criticality, entities as usize))
}

/// What a process takes of memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// Seconds that this thread has had a core, whatever else runs on the machine.
fn on_core() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
}

/// Gives `entities` accounts `each` updates, minute by minute, and prints a row; `run` of them in a
/// row are of one entity and minute. Only the ledger's own work is timed: adding, and closing with
/// all that became due in that minute.
fn risk_run(entities: u64, each: u64, run: u64) {
    let before = resident();
    let mut ledger = ledger(entities);
    let (mut state, mut seconds, mut told, mut updates) = (1_u64, 0.0, 0_u64, 0_u64);
    let (mut batch, mut changes) = (Vec::new(), Vec::new());
    for minute in 0..(entities * each).div_ceil(UPDATES) {
        for n in 0..UPDATES {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let r = state >> 24;
            // Every entity in turn, in an order without pattern.
            let turn = (minute * UPDATES + n) / run;
            let number = turn.wrapping_mul(7_919 * 104_729) % entities;
            let uid = format!("C{r:017x}");
            let id = Id((u128::from(r) << 64 | u128::from(state)).to_be_bytes());
            let event = Event { time: Minute(minute as i64).end(), uid: uid.as_str().into(), id };
            let bits = Bits::of(Ppm::new((r % 500_000) as u32));
            let entity = Entity::Host(Addr::v4(0x0a00_0000 + number as u32));
            batch.push((entity, (r / 500_000 % 3) as usize, bits, event));
        }
        let start = on_core();
        for (entity, module, bits, event) in batch.drain(..) {
            ledger.add(Minute(minute as i64), entity, module, bits, event);
        }
        while ledger.close(Minute(minute as i64), &mut changes) {
            told += changes.len() as u64;
            changes.clear();
        }
        seconds += on_core() - start;
        told += changes.len() as u64;
        updates += UPDATES;
        changes.clear();
    }
    assert_eq!((ledger.dropped(), ledger.evicted()), (0, 0), "every update counted");
    let bytes = resident().saturating_sub(before) as f64;
    let (count, rate) = (ledger.entities() as u64, updates as f64 / seconds / 1e6);
    println!(
        "| {count} | {each} | {run} | {rate:.2} | {told} | {:.0} | {:.0} |",
        bytes / count as f64,
        bytes / f64::from(1 << 20),
    );
}

/// The ledger, each row in a process of its own, whose memory nobody else has used.
fn risk(sizes: &[u64]) {
    println!("\nrisk: one core, three modules, half-lives of a day\n");
    println!(
        "| entities | updates of each | in a row | M updates/s | documents | bytes per entity | MiB |\n\
         |---|---|---|---|---|---|---|"
    );
    for entities in sizes {
        for (each, run) in [(1, 1), (6, 1), (24, 1), (24, 8)] {
            let program = std::env::current_exe().expect("this program");
            let args = [*entities, each, run].map(|number| number.to_string());
            let status = Command::new(program).arg("--risk-run").args(args).status();
            assert!(status.expect("a process").success());
        }
    }
}

/// The half of `pcr` that the entity lane has, with room for so many hosts.
fn pcr_of(entities: u64) -> Box<dyn Close> {
    let def = stage::TABLE.iter().find(|def| def.name == "pcr").expect("pcr");
    let mut table = Table::default();
    for key in def.keys {
        let value = match key.kind {
            Kind::Integer { .. } => Value::Integer(entities as i64),
            Kind::Real { .. } => Value::Real(0.6),
            Kind::Bytes { .. } if key.name == "volume_min" => Value::Bytes(MIB),
            Kind::Bytes { .. } => Value::Bytes(100 * MIB),
            _ => continue,
        };
        table.insert(key.name, value);
    }
    let Build::Window { close, .. } = def.build else { panic!("pcr has windows") };
    close(&table, &Models::default())
}

/// The cells of one host in a minute of an hour: it takes over TLS and DNS, and gives a little to
/// two sites and to its resolver.
fn pcr_cells(host: u32, hour: u64, source: &Arc<Source>, cells: &mut Vec<Cell>) {
    let entity = Entity::Host(Addr::v4(0x0a00_0000 + host));
    let mut add = |subject: &[u8], sent: u64, received: u64, peer: Option<u32>| {
        let row = peer.map(|peer| CellRow {
            record: RecordRef {
                source: Arc::clone(source),
                offset: u64::from(host) * 100,
                uid: format!("C{host:017x}").as_str().into(),
            },
            weight: sent,
            time: Minute(hour as i64 * 60).start(),
            source: entity.addr(),
            destination: Some(Addr::v4(peer)),
        });
        let (entity, subject) = (entity.clone(), stage::Subject::from_slice(subject));
        cells.push(Cell { entity, subject, amounts: [sent, received, 0], row });
    };
    let more = u64::from(host) * 7 % 90_000 + hour * 1000;
    add(&[0], 4200, 13_000, None);
    add(&[0, 1, 5], 4200, 13_000, Some(0x0a00_0035));
    add(&[1], 200_000 + more, 3_000_000 + more * 9, None);
    add(&[1, 1, 7], 20_000 + more, 900, Some(0xc633_6400 + host % 97));
    add(&[1, 1, 9], 9_000, 300, Some(0xcb00_7100 + host % 89));
}

/// Hours of `entities` hosts over midnight, each heard in each of them.
fn pcr_run(entities: u64) {
    let before = resident();
    let mut close = pcr_of(entities);
    let (roles, gaps) = (Roles::default(), Gaps::default());
    let generation = Generation([0; 16]);
    let event_prefix = generation.event_prefix("s", Log::Conn);
    let source = Source { log: Log::Conn, generation, event_prefix, path: "conn.log".to_owned() };
    let source = Arc::new(source);
    let (mut cells, mut count, mut seconds, mut open) = (Vec::new(), 0_u64, 0.0, 0);
    for minute in 20 * 60..28 * 60_u64 {
        let share = minute % 60;
        for host in (share * entities / 60)..((share + 1) * entities / 60) {
            pcr_cells(host as u32, minute / 60, &source, &mut cells);
        }
        if minute == 28 * 60 - 1 {
            open = resident().saturating_sub(before);
        }
        let now = Minute(minute as i64);
        let context = Context { roles: &roles, gaps: &gaps, now, profiles: None };
        let start = on_core();
        let mut found = stage::Findings::new(0);
        close.close(now, &cells, &context, &mut found);
        close.save(&mut |_, _| {});
        seconds += on_core() - start;
        count += cells.len() as u64;
        assert!(found.take().is_empty(), "ordinary traffic");
        cells.clear();
    }
    let closed = resident().saturating_sub(before);
    let (each, mib) = (|bytes: u64| bytes / entities, |bytes: u64| bytes >> 20);
    let rate = count as f64 / seconds / 1e6;
    println!(
        "| {entities} | {rate:.2} | {} | {} | {} | {} |",
        each(open),
        mib(open),
        each(closed),
        mib(closed)
    );
}

/// What `pcr` keeps, each row in a process of its own.
fn pcr(sizes: &[u64]) {
    println!(
        "\npcr: one core, two channels, three destinations of each host, eight hours over midnight\n"
    );
    println!(
        "| hosts | M cells/s | bytes of each, hour open | MiB | bytes of each, after it | MiB |\n\
         |---|---|---|---|---|---|"
    );
    for entities in sizes {
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program).arg("--pcr-run").arg(entities.to_string()).status();
        assert!(status.expect("a process").success());
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if let (true, [entities, each, run]) =
        (std::env::args().any(|arg| arg == "--risk-run"), numbers.as_slice())
    {
        return risk_run(*entities, *each, *run);
    }
    let has = |name: &str| std::env::args().any(|arg| arg == name);
    if let (true, [entities]) = (has("--pcr-run"), numbers.as_slice()) {
        return pcr_run(*entities);
    }
    if has("--profile") {
        // For a profiler or a counter of instructions: this parser alone, over and over.
        let (tsv, json) = logs(200_000);
        let bytes = if has("json") { json } else { tsv };
        for _ in 0..20 {
            black_box(parse(bytes.as_bytes()));
        }
    } else if has("--risk") {
        risk(&[100_000, 1_000_000]);
    } else if has("--share") {
        let rest: Vec<String> = std::env::args().skip_while(|arg| arg != "--share").collect();
        let log = rest.get(2).filter(|arg| !arg.starts_with('-')).map(Path::new);
        share(rest.get(1).expect("the name of a stage"), log, 15);
    } else if has("--pcr") {
        pcr(&[100_000, 1_000_000]);
    } else if has("--small") {
        parsers(20_000, 1);
        risk(&[10_000]);
        pcr(&[10_000]);
        replays(&[20_000]);
    } else {
        parsers(1_000_000, 7);
        risk(&[100_000, 1_000_000]);
        if !has("--parsers") {
            replays(&[1_000_000, 5_000_000, 20_000_000]);
        }
    }
}
