//! Behind a proxy the destination of a finding is who the proxy was asked for.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::allow_lists::entry;
use crate::common::{Place, Run, conn, http};

/// Nine hours through an internal proxy, through one outside, and without any.
const CONNS: &[&str] = &[
    "1768921203 C1 10.0.0.5 10.0.0.1 32400 5",
    "1768921203 C2 10.0.0.6 198.51.100.1 32400 5",
    "1768921203 C3 10.0.0.7 203.0.113.9 32400 5",
];
/// The last is a request that alerts itself.
const HTTPS: &[&str] = &[
    "1768921204|C1|10.0.0.5|10.0.0.1|CONNECT|good.example|u:p@Evil.example:443|1.1|200|-|-",
    "1768921204|C2|10.0.0.6|198.51.100.1|CONNECT|-|[2001:DB8::1]:443|1.0|200|-|-",
    "1768921204|C3|10.0.0.7|203.0.113.9|GET|www.example.com|/|1.1|200|-|-",
    "1768921204|C4|10.0.0.8|10.0.0.1|BREW|good.example|http://Bad.example/x.jpg|1.1|200|-|application/x-dosexec",
];

fn place() -> Place {
    Place::with(&[("conn.log", conn(CONNS).as_bytes()), ("http.log", http(HTTPS).as_bytes())])
        .without_models()
}

/// The destinations of alerts, by host.
fn destinations(run: &Run) -> Vec<Value> {
    let mut alerts = run.found();
    alerts.sort_by_key(|alert| alert["ueba"]["entity"].to_string());
    alerts.iter().map(|alert| alert["destination"].clone()).collect()
}

#[test]
fn a_finding_names_who_was_asked_for() {
    let place = place();
    let run = place.replay(&[]).ok();
    let bad = json!({"ip": "10.0.0.1", "domain": "bad.example"});
    let evil = json!({"ip": "10.0.0.1", "domain": "evil.example"});
    let direct = json!({"ip": "203.0.113.9"});
    let outside = json!({"ip": "198.51.100.1"});
    assert_eq!(destinations(&run), [evil.clone(), outside, direct.clone(), bad.clone()]);
    let roles = ["--set", r#"entity.roles={"198.51.100.0/24"="proxy"}"#];
    let run = place.replay_as("told", &roles).ok();
    let outside = json!({"ip": "198.51.100.1", "domain": "2001:db8::1"});
    assert_eq!(destinations(&run), [evil, outside, direct, bad]);
}

#[test]
fn the_order_of_files_and_a_restart_between_them_do_not_matter() {
    let place = place();
    let paths = ["conn.log", "http.log"].map(|name| place.logs().join(name));
    let [one, other] = &paths;
    let first = place.replay_paths("first", &[one.clone(), other.clone()], &[]).ok();
    let second = place.replay_paths("second", &[other.clone(), one.clone()], &[]).ok();
    assert_eq!(first.all(), second.all());

    let state = ["--state", "state"];
    let before = place.replay_paths("before", std::slice::from_ref(other), &state).ok();
    let after = place.replay_paths("after", &[one.clone(), other.clone()], &state).ok();
    let long = |run: &Run| {
        let mut alerts = run.found();
        alerts.retain(|alert| alert["rule"]["name"] == "long-connection");
        alerts
    };
    assert_eq!((long(&before).len(), long(&first).len()), (0, 3));
    assert_eq!(long(&after), long(&first));
    assert_eq!(long(&after)[0]["destination"]["domain"], "evil.example");
}

#[test]
fn what_is_hidden_is_named_nowhere() {
    let place = place();
    for (name, field) in [("host", "http.host"), ("uri", "http.uri")] {
        let run = place.replay_as(name, &["--set", &format!("event.redact=[{field:?}]")]).ok();
        assert_eq!(run.found().len(), 4);
        for file in ["alerts.ndjson", "risk.ndjson"] {
            let text = String::from_utf8(run.bytes(file)).unwrap();
            for hidden in ["evil.example", "bad.example", "good.example"] {
                assert!(!text.contains(hidden), "{field}: {text}");
            }
        }
    }
}

#[test]
fn an_allow_list_goes_by_who_was_asked_for() {
    let place = place();
    let replay = |name: &str, domain: &str| {
        let path = place.path().join(format!("{name}.toml"));
        fs::write(&path, entry(name, "2030-01-01", &format!("domain = {domain:?}"))).unwrap();
        let set = format!("risk.allow_list={:?}", path.display().to_string());
        place.replay_as(name, &["--set", &set]).ok()
    };
    assert_eq!(replay("good", "good.example").found().len(), 4, "a proxy does not go by Host");
    assert_eq!(replay("evil", "evil.example").found().len(), 3);
    assert_eq!(replay("bad", "bad.example").found().len(), 3);
}

/// RITA's recording of a client behind a proxy, where it lies beside the repository. Its
/// connections are short, so that nothing is found of them: here one of them lasts.
#[test]
fn recorded_behind_a_proxy() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/zeek/rita_proxy");
    if !logs.is_dir() {
        return;
    }
    let read = |name: &str| {
        let mut text = String::new();
        let file = fs::File::open(logs.join(name)).unwrap();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    let (requests, mut conns) = (read("http.log.gz"), String::new());
    let uid = "CQvy4K28GaAXCSQdrb";
    for line in read("conn.log.gz").lines() {
        let mut fields: Vec<&str> = line.split('\t').collect();
        if fields.get(1) == Some(&uid) {
            fields[8] = "40000.0";
        }
        conns += &(fields.join("\t") + "\n");
    }
    let files = [("conn.log", conns.as_bytes()), ("http.log", requests.as_bytes())];
    let mut alerts = Place::with(&files).without_models().replay(&[]).ok().found();
    alerts.retain(|alert| alert["rule"]["name"] == "long-connection");
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["ueba"]["evidence"][0]["uid"], uid);
    let expected = json!({"ip": "10.136.0.16", "domain": "www.honestimnotevil.com"});
    assert_eq!(alerts[0]["destination"], expected);
}
