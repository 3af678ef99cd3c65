//! Allow-lists in a replay: what they take away, and that they touch nothing else.

use std::fs;

use crate::common::{Place, Run, conn, http, program};

/// Three hosts, each with something to be found.
fn place() -> Place {
    let rows = ["10.0.0.7", "10.0.0.8", "10.0.0.9"];
    let conns = rows.map(|host| format!("1768921203 C{host} {host} 203.0.113.9 90000 1"));
    let row = |host: &str| {
        format!(
            "1768921204|D{host}|{host}|203.0.113.9|BREW|www.example.com|/x.jpg|1.1|200|-|application/x-dosexec"
        )
    };
    let https = rows.map(row);
    let conns: Vec<&str> = conns.iter().map(String::as_str).collect();
    let https: Vec<&str> = https.iter().map(String::as_str).collect();
    let files = [("conn.log", conn(&conns)), ("http.log", http(&https))];
    Place::with(&[(files[0].0, files[0].1.as_bytes()), (files[1].0, files[1].1.as_bytes())])
        .without_models()
}

/// An entry of a list.
pub(crate) fn entry(id: &str, expires: &str, lines: &str) -> String {
    format!(
        "[[allow]]\nid = {id:?}\nreason = \"a test\"\nauthor = \"us\"\nexpires = {expires}\n{lines}\n"
    )
}

fn replay(place: &Place, name: &str, list: &str) -> Run {
    let path = place.path().join(format!("{name}.toml"));
    fs::write(&path, list).unwrap();
    let set = format!("risk.allow_list={:?}", path.display().to_string());
    place.replay_as(name, &["--set", &set])
}

/// The lines of a file in which a text stands, or does not.
fn lines(run: &Run, name: &str, text: &str, is_there: bool) -> Vec<String> {
    let all = String::from_utf8(run.bytes(name)).unwrap();
    all.lines().filter(|line| line.contains(text) == is_there).map(str::to_owned).collect()
}

#[test]
fn what_is_allowed_neither_alerts_nor_counts_and_nothing_else_changes() {
    let place = place();
    let plain = place.replay_as("plain", &[]).ok();
    let list = entry("nine", "2030-01-01", "entity = \"host:10.0.0.9\"")
        + &entry("gone", "2026-01-20T15:00:00Z", "entity = \"host:*\"")
        + &entry("brew", "2030-01-01", "entity = \"host:*.8\"\ndomain = \"*.example.com\"");
    let with = replay(&place, "with", &list).ok();
    assert_eq!(with.bytes("events.ndjson"), plain.bytes("events.ndjson"));
    for name in ["alerts.ndjson", "risk.ndjson"] {
        let without_nine = lines(&plain, name, "10.0.0.9", false);
        assert!(without_nine.len() >= 4, "{name}: {without_nine:?}");
        assert_eq!(lines(&with, name, "10.0.0.9", true), Vec::<String>::new(), "{name}");
        // Ids too: they do not depend on the list.
        let seven = lines(&plain, name, "10.0.0.7", true);
        assert_eq!(lines(&with, name, "10.0.0.7", true), seven, "{name}");
    }
    let eight = lines(&plain, "alerts.ndjson", "10.0.0.8", true);
    let long: Vec<_> = eight.into_iter().filter(|it| it.contains("long-connection")).collect();
    assert_eq!(lines(&with, "alerts.ndjson", "10.0.0.8", true), long);
    let eight = lines(&with, "risk.ndjson", "10.0.0.8", true).concat();
    assert!(eight.contains("long-connection") && !eight.contains("http-oddities"), "{eight}");
    for says in ["suppressed 2 x nine", "suppressed 1 x brew", "expired    in the allow-list: gone"]
    {
        assert!(with.stdout.contains(says), "{says}: {}", with.stdout);
    }
    assert!(!plain.stdout.contains("suppressed"), "{}", plain.stdout);
}

#[test]
fn an_entry_that_has_expired_in_event_time_does_nothing() {
    let place = place();
    let plain = place.replay_as("plain", &[]).ok();
    // The connections end a day after they began, the requests do not.
    let ended = entry("all", "2026-01-20T15:00:00Z", "cidr = \"10.0.0.0/8\"");
    let run = replay(&place, "ended", &ended).ok();
    assert_eq!(run.all(), plain.all());
    let between = entry("all", "2026-01-20T15:00:05Z", "cidr = \"10.0.0.0/8\"");
    let run = replay(&place, "between", &between).ok();
    assert_eq!(lines(&run, "alerts.ndjson", "http-oddities", true), Vec::<String>::new());
    assert_eq!(lines(&run, "alerts.ndjson", "long-connection", true).len(), 3);
    let later = entry("all", "2026-01-22", "cidr = \"10.0.0.0/8\"");
    let run = replay(&place, "later", &later).ok();
    assert_eq!((run.alerts().len(), run.risk().len()), (0, 0));
}

#[test]
fn a_state_goes_on_counting_and_another_list_is_in_force() {
    let place = place();
    let list = place.path().join("list.toml");
    let set = format!("risk.allow_list={:?}", list.display().to_string());
    let run = |name: &str, text: String| {
        fs::write(&list, text).unwrap();
        place.replay_as(name, &["--state", "state", "--set", &set]).ok()
    };
    let nine = "entity = \"host:10.0.0.9\"";
    let one = run("one", entry("nine", "2030-01-01", nine));
    assert!(one.stdout.contains("suppressed 2 x nine"), "{}", one.stdout);
    let row = "1769021203 Clast 10.0.0.9 203.0.113.9 90000 1";
    place.write("later/conn.log", conn(&[row]).replace("2024-01-01", "2024-02-02").as_bytes());
    let two = run("two", entry("other", "2030-01-01", "entity = \"host:10.0.0.1\""));
    let opened = |alert: &&serde_json::Value| alert["event"]["action"] != "closed";
    assert_eq!(two.alerts().iter().filter(opened).count(), 1, "{}", two.stdout);
    assert!(!two.stdout.contains("suppressed"), "{}", two.stdout);
}

#[test]
fn a_faulty_list_is_a_mistake_of_the_configuration() {
    let place = place();
    let faulty = entry("nine", "soon", "entity = \"host:10.0.0.9\"") + "[[allow]]\nid = \"b\"\n";
    let run = replay(&place, "faulty", &faulty);
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(!place.path().join("faulty").exists());
    for says in ["faulty.toml:5:11: \"soon\" is not a value", "faulty.toml:7:1: reason is missing"]
    {
        assert!(run.stderr.contains(says), "{says}: {}", run.stderr);
    }
    let check = |list: &str| {
        let path = place.path().join(list);
        let set = format!("risk.allow_list={:?}", path.display().to_string());
        let output = program().args(["check", "--set", &set]).current_dir(place.path()).output();
        let output = output.unwrap();
        (output.status.code(), [output.stdout, output.stderr].concat())
    };
    let (code, said) = check("faulty.toml");
    let said = String::from_utf8(said).unwrap();
    assert_eq!((code, said.matches("is missing in [[allow]]").count()), (Some(78), 3), "{said}");
    let (code, said) = check("none.toml");
    let said = String::from_utf8(said).unwrap();
    assert!(code == Some(78) && said.contains("none.toml: cannot be read"), "{said}");
    fs::write(place.path().join("good.toml"), entry("a", "2030-01-01", "days = \"sun\"")).unwrap();
    let (code, said) = check("good.toml");
    let said = String::from_utf8(said).unwrap();
    assert!(code == Some(0) && said.contains("allowed   1 entries"), "{said}");
}
