//! The daemon as a service: what it shows over HTTP, and how it takes signals.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Daemon, PATIENCE};
use crate::common::conn;
use crate::emulator::actions::Action;
use crate::emulator::rows::Log;
use crate::emulator::world::{Setup, World};

/// What was answered.
pub(super) struct Answer {
    pub(super) code: u16,
    head: String,
    pub(super) body: String,
}

/// Sends `request` as it is; `None` if nobody is there.
fn send(addr: &str, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // One that is refused may not be taken to its end.
    drop(stream.write_all(request));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { code, head: head.to_lowercase(), body: body.to_owned() })
}

fn get(addr: &str, path: &str) -> Option<Answer> {
    send(addr, format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes())
}

impl Daemon {
    /// Where it listens.
    fn addr(&self) -> String {
        let path = self.state.join("http.addr");
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        get(&self.addr(), path).unwrap_or_else(|| panic!("no answer\n{}", self.log()))
    }

    pub(super) fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.code, 200, "{}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// Waits until `is_so` of its metrics.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Metrics) -> bool) -> Metrics {
        let until = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics();
            if is_so(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < until, "{what}: {:#?}\n{}", metrics.0, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Its exit, if it comes soon.
    fn exit(&mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < until, "still there\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Series with their labels, without the prefix.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// As they are at an address, if somebody is there.
    pub(super) fn at(addr: &str) -> Option<Self> {
        let answer = get(addr, "/metrics")?;
        (answer.code == 200).then(|| Self::parse(&answer.body))
    }

    /// The sum over all series that begin so.
    pub(super) fn starting(&self, prefix: &str) -> f64 {
        let of = self.0.iter().filter(|(series, _)| series.starts_with(prefix));
        of.map(|(_, value)| value).sum()
    }

    fn parse(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.trim_start_matches("zeek_ueba_").to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    pub(crate) fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// Whether there is such a series.
    pub(crate) fn has(&self, series: &str) -> bool {
        self.0.contains_key(series)
    }

    /// The sum over all series of a metric.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of = |series: &str| series.split('{').next() == Some(name);
        self.0.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    /// The sum over the series of a metric that have this label.
    pub(super) fn with(&self, name: &str, label: &str) -> f64 {
        let of = |series: &str| series.split('{').next() == Some(name) && series.contains(label);
        self.0.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    /// Every line that was read is an event, filtered or rejected.
    fn check_identity(&self) {
        for log in ["conn", "open_conn", "dns", "http", "files", "ssl", "quic"] {
            let one = |name: &str| self.0.get(&format!("{name}{{log=\"{log}\"}}")).copied();
            let Some(read) = one("records_total") else { continue };
            let rejected = format!("rejected_total{{log=\"{log}\",");
            let rejected = self.0.iter().filter(|(series, _)| series.starts_with(&rejected));
            let rejected: f64 = rejected.map(|(_, value)| value).sum();
            let rest = one("events_total").unwrap() + one("filtered_total").unwrap() + rejected;
            assert!((read - rest).abs() < 0.5, "{log}: {read} read, {rest} told: {:#?}", self.0);
        }
    }

    /// What commits keep never falls, whatever became of the daemon in between.
    fn check_after(&self, before: &Self) {
        const KEPT: [&str; 13] = [
            "suppressed_total",
            "records_total",
            "events_total",
            "filtered_total",
            "rejected_total",
            "read_bytes_total",
            "empty_lines_total",
            "late_total",
            "early_total",
            "out_of_range_total",
            "alerts_total",
            "risk_documents_total",
            "stage_panics_total",
        ];
        for (series, old) in &before.0 {
            if series.split('{').next().is_some_and(|name| KEPT.contains(&name)) {
                let new = self.get(series);
                assert!(new >= *old, "{series} fell from {old} to {new}");
            }
        }
    }
}

pub(crate) fn append(path: &Path, text: &[u8]) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text).unwrap();
}

#[test]
fn the_identity_holds_at_every_scrape_whatever_happens() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    let mut daemon = Daemon::new(place.path());
    // Most records are filtered; a good line of bad ones is rejected.
    daemon.args = ["--set", "event.emit=scored"].map(str::to_owned).to_vec();
    daemon.start();
    let other = place.path().join("spool/other");
    fs::create_dir(&other).unwrap();
    append(
        &other.join("conn.log"),
        conn(&["1768921203 Cfirst 10.0.0.9 203.0.113.9 90000 1"]).as_bytes(),
    );
    let mut before = daemon.metrics();
    let mut bad = 0;
    for round in 0..30 {
        for log in Log::ALL {
            world.apply(&Action::Write { log, records: 40 + round % 7 });
        }
        append(&other.join("conn.log"), b"one\ttwo\nnot a time\tC\t10.0.0.9\t-\t-\t-\n");
        bad += 2;
        match round % 6 {
            2 => world.apply(&Action::Rotate),
            4 => world.apply(&Action::Archive),
            _ => {}
        }
        for _ in 0..8 {
            let metrics = daemon.metrics();
            metrics.check_identity();
            metrics.check_after(&before);
            before = metrics;
        }
        if round % 5 == 4 {
            daemon.kill();
            daemon.start();
        }
    }
    let written = world.ledger().written();
    let expected = (written.len() + 1 + bad) as f64;
    let is_all = |metrics: &Metrics| metrics.sum("records_total") >= expected;
    let metrics = daemon.wait_until("all are read", is_all);
    metrics.check_identity();
    metrics.check_after(&before);
    for log in Log::ALL {
        let more = if log == Log::Conn { 1 + bad } else { 0 };
        let count = written.iter().filter(|record| record.log == log).count() + more;
        let series = format!("records_total{{log=\"{}\"}}", log.name());
        assert_eq!(metrics.get(&series), count as f64, "{series}");
    }
    assert_eq!(metrics.sum("rejected_total"), bad as f64);
    assert!(metrics.sum("filtered_total") > 1000.0, "{:#?}", metrics.0);
    assert_eq!(metrics.sum("events_total"), daemon.lines("events.ndjson").len() as f64);
    assert_eq!(metrics.sum("rejected_total"), daemon.lines("dead-letter.ndjson").len() as f64);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.start();
    let again = daemon.metrics();
    again.check_after(&metrics);
    assert_eq!(again.sum("records_total"), expected);
}

#[test]
fn metrics_say_how_it_is() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    daemon.args = ["--set".to_owned(), format!("sink.kafka.brokers=[{brokers:?}]")].to_vec();
    let mut rows = vec!["1768921203 C1 10.0.0.9 203.0.113.9 90000 1".to_owned()];
    rows.extend((2..100).map(|n| format!("1769011203 C{n} 10.0.0.9 203.0.113.9 1 1")));
    // By then the minutes of all others are closed.
    rows.push("1769021203 C100 10.0.0.9 203.0.113.9 1 1".to_owned());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let log = conn(&rows);
    daemon.start();
    append(&place.path().join("conn.log"), log.as_bytes());
    let metrics = daemon.wait_until("an alert", |metrics| metrics.sum("alerts_total") > 0.0);
    assert_eq!(metrics.get("records_total{log=\"conn\"}"), 100.0);
    assert_eq!(metrics.get("read_bytes_total{log=\"conn\"}"), log.len() as f64);
    assert_eq!(metrics.get("alerts_total{detector=\"long-connection\"}"), 1.0);
    assert_eq!(metrics.get("alerts_total{detector=\"http-oddities\"}"), 0.0);
    assert_eq!(metrics.get("stage_panics_total{stage=\"long-connection\"}"), 0.0);
    assert!(metrics.get("stage_seconds_count{stage=\"long-connection\"}") >= 1.0);
    assert!(metrics.get("sink_acked_total{sink=\"kafka\"}") >= 100.0);
    assert_eq!(metrics.get("sink_up{sink=\"kafka\"}"), 1.0);
    assert_eq!(metrics.get("dead_letters_total{sink=\"kafka\",reason=\"rejected_by_sink\"}"), 0.0);
    assert_eq!(metrics.get("end_to_end_seconds_count{sink=\"ndjson\"}"), 100.0);
    let within = metrics.get("end_to_end_seconds_bucket{sink=\"ndjson\",le=\"10\"}");
    assert_eq!(within, 100.0);
    assert_eq!(metrics.get("stage_up{stage=\"dga\"}"), 1.0);
    assert_eq!(metrics.starting("model_info{detector=\"dga\",version=\"20"), 1.0);
    for level in ["Low", "Moderate", "High", "Critical"] {
        metrics.get(&format!("risk_entities{{level=\"{level}\"}}"));
    }
    let quiet = |metrics: &Metrics| metrics.get("source_lag_seconds{log=\"conn\"}") < 0.001;
    let metrics = daemon.wait_until("caught up", quiet);
    assert_eq!(metrics.get("source_open_files{log=\"conn\"}"), 1.0);
    assert_eq!(metrics.get("source_lag_bytes{log=\"conn\"}"), 0.0);
    assert!(metrics.get("source_silent_seconds{log=\"conn\"}") < 20.0);
    assert!(metrics.get("checkpoint_age_seconds") < 5.0);
    assert_eq!(metrics.get("source_roots"), 1.0);
    assert_eq!(metrics.get("source_truncated_total"), 0.0);
    assert!(metrics.get("process_resident_memory_bytes") > 1e6);
    assert!(metrics.get("process_open_fds") > 10.0);
    assert!(metrics.get("process_start_time_seconds") > 1.7e9);
    let pid = daemon.child.as_ref().unwrap().id();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|at| files.split_whitespace().nth(at).unwrap());
    assert_eq!(soft, hard, "the soft limit was raised");
    let text = daemon.get("/metrics");
    assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
    let types = text.body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let mut names: Vec<&str> = types.map(|line| line.split(' ').next().unwrap()).collect();
    // A family without a series is not shown: nothing was rejected, and there is no allow-list.
    names.extend(["zeek_ueba_rejected_total", "zeek_ueba_suppressed_total"]);
    for name in &names {
        let is_ours = name.starts_with("zeek_ueba_") || name.starts_with("process_");
        let name = name.trim_start_matches("zeek_ueba_");
        let known = [format!("`{name}`"), format!("`{name}{{")];
        assert!(is_ours && known.iter().any(|it| documented.contains(it)), "{name}");
    }
    for row in documented.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = format!("zeek_ueba_{}", row.split(['`', '{']).next().unwrap());
        // Only where something large was sent.
        let is_rare = name == "zeek_ueba_spool_lasts_seconds";
        assert!(is_rare || names.contains(&name.as_str()), "{name} is not there");
    }
}

#[test]
fn health_and_readiness_and_problems() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("logs");
    let mut daemon = Daemon::new(&root);
    daemon.start();
    assert_eq!(daemon.get("/healthz").code, 200);
    let until = Instant::now() + PATIENCE;
    let mut answer = daemon.get("/readyz");
    while !answer.body.contains("none of the directories") {
        assert!(Instant::now() < until && answer.code == 503, "{}", answer.body);
        answer = daemon.get("/readyz");
    }
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    fs::create_dir(&root).unwrap();
    while daemon.get("/readyz").code != 200 {
        assert!(Instant::now() < until, "{}", daemon.get("/readyz").body);
        std::thread::sleep(Duration::from_millis(20));
    }
    for (request, code) in [
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n", 405),
        ("DELETE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ] {
        let answer = send(&daemon.addr(), request.as_bytes()).unwrap();
        assert_eq!(answer.code, code, "{request}: {}", answer.body);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        assert_eq!(code == 405, answer.head.contains("allow: get,head"), "{}", answer.head);
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], code);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
    no_page_is_answered(&daemon.addr());
    let head = send(&daemon.addr(), b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!((head.code, head.body.as_str()), (200, ""));
}

/// A browser shows a page what is answered to it under the name that the page came from, and that
/// name may be turned to loopback.
fn no_page_is_answered(addr: &str) {
    let ask = |line: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        send(addr, format!("{line}\r\n{hosts}\r\n").as_bytes()).unwrap()
    };
    for path in ["/metrics", "/api/v1/explain/10.0.0.5", "/healthz", "/nothing"] {
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1@x"]
        {
            let answer = ask(&format!("GET {path} HTTP/1.1"), &[host]);
            assert_eq!(answer.code, 421, "{path} {host:?}: {}", answer.body);
            assert!(answer.head.contains("content-type: application/problem+json"));
        }
    }
    let local = "localhost:8080";
    assert_eq!(ask("GET /healthz HTTP/1.1", &[local, "evil.example"]).code, 421);
    assert_eq!(ask("GET http://evil.example/healthz HTTP/1.1", &[local]).code, 421);
    for host in [local, "LOCALHOST", "127.0.0.1", "[::1]:9", "192.0.2.1:8080"] {
        let answer = ask("GET /healthz HTTP/1.1", &[host]);
        assert_eq!(answer.code, 200, "{host}: {}", answer.body);
        for said in [
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(said), "{}", answer.head);
        }
        assert!(!answer.head.contains("access-control-"), "{}", answer.head);
    }
    // Who is no browser need not say whom it asks.
    assert_eq!(ask("GET /healthz HTTP/1.0", &[]).code, 200);
}

#[test]
fn nobody_who_connects_holds_it_up() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    let addr = daemon.addr();
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(send(&addr, long.as_bytes()).is_none_or(|it| it.code >= 400));
    let lines = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    assert!(send(&addr, lines.as_bytes()).is_none_or(|it| it.code >= 400));
    assert!(send(&addr, b"\x00\xff\r\n\r\n").is_none_or(|it| it.code >= 400));
    // Many that say nothing, or half of what they want, and never go away.
    let mut idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    for stream in idle.iter_mut().step_by(2) {
        drop(stream.write_all(b"GET /metrics HT"));
    }
    append(
        &place.path().join("conn.log"),
        conn(&["1768921203 C1 10.0.0.9 203.0.113.9 1 1"]).as_bytes(),
    );
    let until = Instant::now() + PATIENCE;
    while daemon.lines("events.ndjson").is_empty() {
        assert!(Instant::now() < until, "held up\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = daemon.child.as_ref().unwrap().id();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 60, "{open} descriptors");
    drop(idle);
    daemon.wait_until("it answers again", |metrics| metrics.sum("records_total") > 0.0);
}

#[test]
fn one_daemon_for_a_state_directory() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    let addr = daemon.addr();
    let second = daemon.command().stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(74), "{said}");
    assert!(said.contains("one daemon per state directory"), "{said}");
    // The first one is as it was.
    assert_eq!(daemon.addr(), addr);
    assert_eq!(daemon.get("/healthz").code, 200);
}

#[test]
fn a_port_in_use_and_an_address_of_others_are_refused() {
    let place = TempDir::new().unwrap();
    let daemon = Daemon::new(place.path());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    for (listen, code, says) in [
        (taken.to_string(), 74, "http.listen"),
        ("0.0.0.0:0".to_owned(), 78, "must be a loopback address"),
        ("[::]:0".to_owned(), 78, "must be a loopback address"),
    ] {
        let mut command = daemon.command();
        command.args(["--set", &format!("http.listen={listen:?}")]);
        let output = command.stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{listen}: {said}");
        assert!(said.contains(says), "{said}");
    }
    drop(listener);
}

#[test]
fn without_an_address_nobody_listens() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.args = ["--set", "http.listen=\"\""].map(str::to_owned).to_vec();
    daemon.start();
    assert!(!daemon.directory.path().join("state/http.addr").exists());
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
}

#[test]
fn signals() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    daemon.signal(Signal::HUP);
    let until = Instant::now() + PATIENCE;
    while !daemon.log().contains("SIGHUP") {
        assert!(Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = place.path().join("conn.log");
    append(&log, conn(&["1768921203 C1 10.0.0.9 203.0.113.9 1 1"]).as_bytes());
    daemon.wait_until("it reads on", |metrics| metrics.sum("records_total") > 0.0);
    for signal in [Signal::TERM, Signal::INT] {
        daemon.signal(signal);
        let status = daemon.exit(Duration::from_secs(5));
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", daemon.log());
        assert!(!daemon.directory.path().join("state/http.addr").exists());
        daemon.start();
    }
    // Whether it is still on its way out or gone when the second one comes.
    daemon.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(1));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit(Duration::from_secs(5)).code(), Some(0), "{}", daemon.log());
}

#[test]
fn the_service_manager_hears_of_it() {
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    let path = daemon.directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = daemon.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    daemon.child = Some(command.spawn().unwrap());
    let hear = || {
        let mut buffer = [0; 100];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    assert_eq!(hear(), "READY=1");
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    daemon.signal(Signal::TERM);
    while hear() != "STOPPING=1" {}
    assert_eq!(daemon.exit(Duration::from_secs(5)).code(), Some(0), "{}", daemon.log());
    // One that nobody listens at does not matter.
    drop(socket);
    let mut command = daemon.command();
    command.env("NOTIFY_SOCKET", &path);
    daemon.child = Some(command.spawn().unwrap());
    let until = Instant::now() + PATIENCE;
    while daemon.log().matches("running").count() < 2 {
        assert!(Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit(Duration::from_secs(5)).code(), Some(0), "{}", daemon.log());
}

#[test]
fn what_is_hostile_does_not_flood_the_messages() {
    const BAD: usize = 20_000;
    let place = TempDir::new().unwrap();
    let mut daemon = Daemon::new(place.path());
    daemon.start();
    let path = place.path().join("conn.log");
    append(&path, conn(&["1768921203 C1 10.0.0.9 203.0.113.9 1 1"]).as_bytes());
    let bad: String = (0..BAD).map(|n| format!("bad\x1b[31m\t{n}\n")).collect();
    append(&path, bad.as_bytes());
    daemon.wait_until("all are rejected", |it| it.sum("rejected_total") >= BAD as f64);
    // What warns each time: a log that is cut while it is followed.
    for n in 0..40 {
        let log = conn(&[&format!("1768921203 T{n} 10.0.0.9 203.0.113.9 1 1")]);
        fs::write(&path, log).unwrap();
        let count = BAD as f64 + 2.0 + f64::from(n);
        daemon.wait_until("what comes then is read", |it| it.sum("records_total") >= count);
    }
    let cut = daemon.wait_until("shown", |it| it.get("source_truncated_total") > 20.0);
    assert!(cut.get("source_truncated_total") <= 40.0);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    let log = daemon.log();
    assert_eq!(log.matches("cut while it was followed").count(), 10, "{log}");
    assert!(log.contains("held back"), "{log}");
    assert!(log.len() < 20_000, "{} bytes", log.len());
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn the_unit_starts_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = fs::read_to_string(root.join("deploy/zeek-ueba.service")).unwrap();
    let value = |key: &str| {
        let mut found = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = found.next().unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(found.next(), None, "{key} twice");
        value
    };
    let args = zeek_ueba::cli::Args::try_parse_from(value("ExecStart").split_whitespace());
    let args = args.unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(args.command, zeek_ueba::cli::Command::Run(_)));
    assert_eq!(args.config.as_deref(), Some(Path::new("/etc/zeek-ueba/pipeline.toml")));
    for (key, expected) in [
        ("Type", "notify"),
        ("User", "zeek-ueba"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("Restart", "on-failure"),
        ("UMask", "0027"),
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "localhost"),
        ("MemoryDenyWriteExecute", "yes"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
    // Each line of the sandbox has its reason.
    let reasons = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let sandbox = unit.split("\nMemoryMax=").nth(1).unwrap().split("[Install]").next().unwrap();
    let keys: Vec<&str> = sandbox.lines().filter_map(|it| Some(it.split_once('=')?.0)).collect();
    assert!(keys.len() > 25, "{keys:?}");
    for key in keys.iter().filter(|key| !key.starts_with('#')) {
        assert!(reasons.contains(&format!("`{key}`")), "docs/security.md lacks {key}");
    }
    // What is written by default lies where the unit lets it be written.
    assert_eq!(value("WorkingDirectory"), value("ReadWritePaths"));
    assert!(!value("WatchdogSec").is_empty() && !value("MemoryMax").is_empty());
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = fs::read_to_string(root.join("deploy/zeek-ueba.service")).unwrap();
    let place = TempDir::new().unwrap();
    let path = place.path().join("zeek-ueba.service");
    let binary = env!("CARGO_BIN_EXE_zeek-ueba");
    fs::write(&path, unit.replace("/usr/local/bin/zeek-ueba", binary)).unwrap();
    let analyze = |args: &[&str]| {
        let found = Command::new("systemd-analyze").args(args).arg(&path).output();
        // Not every machine has it.
        let found = found.ok()?;
        let said = [found.stdout, found.stderr].concat();
        Some((found.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let Some((is_fine, said)) = analyze(&["verify"]) else { return };
    assert!(is_fine && said.is_empty(), "{said}");
    // In tenths, of at most ten: what is left is that it reads files and listens.
    let (is_tight, said) = analyze(&["security", "--offline=true", "--threshold=12"]).unwrap();
    assert!(is_tight, "{said}");
}
