//! `explain` beside a daemon: while it runs, after it stopped, and after it was killed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::Host;
use super::{Daemon, PATIENCE, risky};
use crate::common::{conn, http, program};

impl Daemon {
    /// The exit code of `explain`, and what it said.
    fn explain(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = program();
        command.arg("explain").args(args).arg("-c").arg(self.config());
        let result = command.output().unwrap();
        let [out, err] = [result.stdout, result.stderr].map(|it| String::from_utf8(it).unwrap());
        (result.status.code(), out, err)
    }

    fn explained(&self, id: &str) -> Value {
        let (code, out, err) = self.explain(&[id, "--json"]);
        assert_eq!(code, Some(0), "{id}: {err}");
        serde_json::from_str(&out).unwrap()
    }
}

/// Alerts of stages as soon as there are some of both logs. One of a risk score has modules as its
/// reasons; whether it is there yet depends on how fast the machine is.
fn alerts(host: &Host) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut alerts = host.daemon.lines("alerts.ndjson");
        alerts.retain(|it| it["ueba"]["detector"] != "risk");
        let has = |log: &str| alerts.iter().any(|it| it["ueba"]["evidence"][0]["log"] == log);
        if has("conn") && has("http") {
            return alerts.into_iter().rev().step_by(4).collect();
        }
        assert!(Instant::now() < until, "{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn expect_events(host: &Host, count: usize) {
    let until = Instant::now() + PATIENCE;
    while host.daemon.lines("events.ndjson").len() < count {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// That each alert is explained down to its line.
fn check(host: &Host, alerts: &[Value], how: &str) {
    for alert in alerts {
        let id = alert["event"]["id"].as_str().unwrap();
        let json = host.daemon.explained(id);
        assert_eq!((&json["kind"], &json["entity"]), (&json!("alert"), &alert["ueba"]["entity"]));
        let finding = &json["modules"][0]["findings"][0];
        assert_eq!(finding["reasons"], alert["ueba"]["reasons"], "{how}");
        let told = &alert["ueba"]["evidence"][0];
        let record = &finding["evidence"][0];
        assert_eq!(record["uid"], told["uid"], "{how}");
        assert_eq!(record["found"]["record"]["uid"], told["uid"], "{how}: {json}");
    }
}

#[test]
fn while_it_runs_and_when_it_does_not() {
    let mut host = Host::new();
    let (conns, https) = risky(120);
    host.write("conn.log", conn(&[]) + &conns.concat());
    host.write("http.log", http(&[]) + &https.concat());
    host.daemon.start();
    expect_events(&host, 240);
    let alerts = alerts(&host);
    // The alerts of open minutes and of closed ones.
    check(&host, &alerts, "running");
    let id = alerts[0]["event"]["id"].as_str().unwrap();
    let entity = alerts[0]["ueba"]["entity"].as_str().unwrap();
    let event = alerts[0]["ueba"]["evidence"][0]["event_id"].as_str().unwrap();
    // Over HTTP it says the same, without the lines.
    for of in [id, entity, event, "10.0.0.0"] {
        let answer = host.daemon.get(&format!("/api/v1/explain/{of}"));
        assert_eq!(answer.code, 200, "{}", answer.body);
        let mut json: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(!answer.body.contains("\"found\""), "{}", answer.body);
        assert!(json.as_object_mut().unwrap().remove("modules").is_some());
    }
    for of in ["10.99.0.1", "alice", &"0".repeat(32), "%1b%5b2J", "a%2fb", &"x".repeat(9000)] {
        let answer = host.daemon.get(&format!("/api/v1/explain/{of}"));
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.code, &problem["status"]), (404, &json!(404)), "{}", answer.body);
    }
    let answer = host.daemon.get("/api/v1/explain/%ff");
    assert_eq!(answer.code, 400, "{}", answer.body);
    let (code, out, err) = host.daemon.explain(&["10.99.0.1"]);
    assert_eq!((code, out.as_str()), (Some(65), ""), "{err}");
    // An event without a finding: the outputs know it.
    let events = host.daemon.lines("events.ndjson");
    let plain = events.iter().find(|it| it["zeek"]["conn"]["duration"] == 1.5).unwrap();
    let json = host.daemon.explained(plain["event"]["id"].as_str().unwrap());
    assert_eq!(json["event"]["found"]["record"], plain["zeek"]["conn"]);
    // Archived while it runs.
    host.archive("http.log", "2023-11-14/http.22:00:00-23:00:00.log.gz");
    check(&host, &alerts, "archived");
    // Until its minute is closed there is no score.
    let is_told = |risk: &Value| risk["ueba"]["entity"] == entity;
    let until = Instant::now() + PATIENCE;
    while !host.daemon.lines("risk.ndjson").iter().any(is_told) {
        assert!(Instant::now() < until, "{}", host.daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = host.daemon.explained(entity);
    assert!(before["score"].as_f64().unwrap() > 1.0, "{before}");
    host.daemon.kill();
    check(&host, &alerts, "killed");
    host.daemon.start();
    check(&host, &alerts, "started again");
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
    check(&host, &alerts, "stopped");
    let after = host.daemon.explained(entity);
    assert_eq!(after["modules"][0]["findings"], before["modules"][0]["findings"]);
    // Who only looks changes nothing: it goes on.
    host.append("conn.log", "1700009000.5\tC99999\t10.0.0.1\t203.0.113.9\t1.5\t1\n");
    host.daemon.start();
    expect_events(&host, 241);
    assert_eq!(host.daemon.stop(), Some(0), "{}", host.daemon.log());
    assert_eq!(host.daemon.lines("events.ndjson").len(), 241);
}

#[test]
fn a_daemon_that_does_not_listen_is_named() {
    let mut host = Host::new();
    host.write("conn.log", conn(&[]) + &risky(60).0.concat());
    host.daemon.args = vec!["--set".to_owned(), "http.listen=\"\"".to_owned()];
    host.daemon.start();
    let (code, out, err) = host.daemon.explain(&["10.0.0.0"]);
    assert_eq!((code, out.as_str()), (Some(69), ""), "{err}");
    assert!(err.contains("does not listen (http.listen)"), "{err}");
    // Something else listens where it did.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::fs::write(host.daemon.state.join("http.addr"), format!("{addr}\n")).unwrap();
    let other = std::thread::Builder::new().spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let (code, out, err) = host.daemon.explain(&["user:a/../b c"]);
    assert_eq!((code, out.as_str()), (Some(69), ""), "{err}");
    assert!(err.contains("something else"), "{err}");
    let request = other.unwrap().join().unwrap();
    assert!(request.starts_with("GET /api/v1/explain/user%3Aa%2F..%2Fb%20c "), "{request}");
    let (code, _, err) = host.daemon.explain(&["10.0.0.0"]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("does not answer"), "{err}");
}
