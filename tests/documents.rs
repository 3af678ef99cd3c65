//! The documents of the contract, and the commands around them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use zeek_ueba::record::Log;
use zeek_ueba::record::schema::Kind;

use crate::common::{Place, Run, conn, header, http, program, sample};

/// Compares with a file of `tests/data/golden`; `BLESS=1` writes it.
fn golden(name: &str, found: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name);
    if std::env::vars().any(|(key, _)| key == "BLESS") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (expected, found) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(found));
    assert_eq!(expected, found, "{name} differs; BLESS=1 writes it anew");
}

const CONN: &[&str] = &[
    "1521911720.865716 C1 10.0.0.5 203.0.113.9 0.5 5",
    "1521911721.000000 C2 203.0.113.9 10.0.0.5 50000.0 18446744073709551615",
    "1521911722.000000 C3 8.8.8.8 <bad -  -",
];

fn run(args: &[&str]) -> Run {
    let conns: Vec<String> =
        CONN.iter().map(|row| row.replace("<bad -  -", "::ffff:10.0.0.9 - -")).collect();
    let conns: Vec<&str> = conns.iter().map(String::as_str).collect();
    let https = [
        "1521911720.9|C4|10.0.0.5|203.0.113.9|GET|-|http://u:p@h/a|1.1|200|secret|text/html",
        "1521911720.95|C5|10.0.0.5|203.0.113.9|GET|ex\\xe4mple|/x.jpg|1.1|200|-|application/x-dosexec,-",
    ];
    Place::with(&[
        ("conn.log", format!("{}torn", conn(&conns)).as_bytes()),
        ("http.log", http(&https).as_bytes()),
    ])
    .without_models()
    .replay(args)
    .ok()
}

#[test]
fn all_four_kinds() {
    let run = run(&[]);
    golden("events.ndjson", &run.bytes("events.ndjson"));
    golden("alerts.ndjson", &run.bytes("alerts.ndjson"));
    golden("risk.ndjson", &run.bytes("risk.ndjson"));
    golden("dead-letter.ndjson", &run.bytes("dead-letter.ndjson"));
}

/// Handshakes of TLS, of DTLS and inside QUIC, as Zeek's own tests have them; three headers, and JSON.
#[test]
fn handshakes() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let run = Place::new().without_models().replay_paths("out", &[logs], &[]).ok();
    golden("handshakes.ndjson", &run.bytes("events.ndjson"));
    assert_eq!(run.letters(), Vec::<Value>::new());
}

/// Found, risky, found again, over; and what is due at the end of the input.
#[test]
fn an_incident_from_its_first_alert_to_its_end() {
    let mut rows = vec![
        "1700000000.0 C1 10.0.0.5 203.0.113.9 90000.0 5".to_owned(),
        "1700000100.0 C2 10.0.0.5 203.0.113.10 90000.0 5".to_owned(),
    ];
    // Four quiet days.
    let quiet =
        |hour: i64| format!("{}.0 D{hour} 10.0.0.6 203.0.113.9 1.0 5", 1_700_090_000 + hour * 3600);
    rows.extend((1..96).map(quiet));
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let args = ["--set", "stage.long-connection.weight=60"];
    let place = Place::with(&[("conn.log", conn(&rows).as_bytes())]).without_models();
    let run = place.replay(&args).ok();
    golden("incident.ndjson", &run.bytes("alerts.ndjson"));
    let action = |alert: &Value| format!("{} {}", alert["rule"]["name"], alert["event"]["action"]);
    let found: Vec<String> = run.alerts().iter().map(action).collect();
    let expected = [
        r#""long-connection" "opened""#,
        r#""long-connection" "repeated""#,
        r#""risk" "repeated""#,
        r#""incident" "closed""#,
    ];
    assert_eq!(found, expected);
    assert!(run.stdout.contains("alerts     1 x risk\nincidents  0 open"), "{}", run.stdout);
}

#[test]
fn files_are_private() {
    let place = Place::with(&[("conn.log", conn(CONN).as_bytes())]);
    place.replay(&[]).ok();
    let mode = |name: &str| {
        fs::metadata(place.path().join("out").join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("dead-letter.ndjson"), 0o600);
    // The umask may take away more.
    assert_eq!(mode("events.ndjson") & !0o640, 0);
}

#[test]
fn emit_says_which_records_become_events() {
    assert_eq!(run(&["--set", "event.emit=all"]).events().len(), 5);
    let scored = run(&["--set", "event.emit=scored"]);
    assert_eq!(scored.uids(), ["C4", "C5"]);
    let none = run(&["--set", "event.emit=none"]);
    assert_eq!(none.events().len(), 0);
    assert_eq!(none.alerts(), scored.alerts());
    assert_eq!(none.risk(), run(&[]).risk());
}

#[test]
fn fields_say_what_events_have() {
    let keys = |args: &[&str]| -> Vec<String> {
        run(args).events()[0].as_object().unwrap().keys().cloned().collect()
    };
    let ecs = [
        "@timestamp",
        "destination",
        "event",
        "http",
        "network",
        "observer",
        "source",
        "ueba",
        "url",
    ];
    let zeek = ["@timestamp", "event", "observer", "ueba", "zeek"];
    assert_eq!(keys(&["--set", "event.fields=ecs"]), ecs);
    assert_eq!(keys(&["--set", "event.fields=zeek"]), zeek);
}

#[test]
fn secrets_never_leave() {
    for fields in ["both", "ecs", "zeek"] {
        let run = run(&["--set", &format!("event.fields={fields}")]);
        let text = String::from_utf8(run.bytes("events.ndjson")).unwrap();
        assert!(!text.contains("secret") && !text.contains("u:p"), "{fields}");
        assert!(text.contains("http://[redacted]@h/a"), "{fields}");
    }
    let shown = run(&["--set", "event.redact=[]"]);
    assert!(String::from_utf8(shown.bytes("events.ndjson")).unwrap().contains("secret"));
}

/// What stands in `text` and what of it is shown, in whichever shape a proxy writes it.
#[test]
fn secrets_have_many_shapes() {
    let json = |uri: &str, more: &str| {
        format!("{{\"_path\":\"http\",\"ts\":1,\"method\":\"GET\",\"uri\":{uri}{more}}}\n")
    };
    let lines = [
        json(r#""http://usr:hush@h/""#, ""),
        json(r#""http://usr:hush\u0040h/""#, ""),
        json(r#""usr:hush@h:443""#, ""),
        json(r#""/a//b?u=http://usr:hush@h/""#, ""),
        json(r#""http://h/?u=http://usr:hush@h/""#, ""),
        json(r#"["http://usr:hush@h/"]"#, ""),
        json(r#""/""#, r#","pass\u0077ord":"hush""#),
        json(r#""/""#, r#","cookie\u005fvars":["hush"]"#),
        json(r#""/""#, r#","re\u0066errer":"http://usr:hush@h/""#),
    ];
    for fields in ["both", "ecs", "zeek"] {
        let log = lines.concat();
        let args = ["--set", &format!("event.fields={fields}")];
        let run = Place::with(&[("http.log", log.as_bytes())]).replay(&args).ok();
        for (event, line) in run.events().iter().zip(&lines) {
            assert!(!event.to_string().contains("hush"), "{line} {event}");
        }
        assert_eq!(run.events().len(), lines.len());
    }
}

/// Every field that ECS has a name for, the reasons of alerts, the summary.
#[test]
fn what_is_hidden_is_hidden_everywhere() {
    let mut rules = Vec::new();
    let place = Place::new();
    for log in Log::ALL.into_iter().filter(|log| *log != Log::OpenConn) {
        let mut record = json!({"_path": log.name(), "ts": 1.5});
        for column in log.columns().iter().skip(1) {
            record[column.name] = match column.kind {
                Kind::Addr if column.name == "id.orig_h" => json!("10.0.0.5"),
                Kind::Addr => json!("203.0.113.77"),
                Kind::Text if column.name == "host" => json!("203.0.113.77"),
                Kind::Text if column.name == "uri" => json!("/hush.jpg"),
                Kind::Text if column.name == "query" => json!("hush.example.com"),
                Kind::Text => json!("hush"),
                Kind::List if column.name == "resp_mime_types" => json!(["application/x-dosexec"]),
                Kind::List if column.name.ends_with("_hosts") => json!(["203.0.113.77"]),
                Kind::List => json!(["hush"]),
                Kind::Count if column.name == "status_code" => json!(202),
                Kind::Count | Kind::Port => json!(4747),
                Kind::Time | Kind::Interval => json!(4747.0),
                Kind::Flag => json!(true),
            };
            if !matches!(column.name, "uid" | "fuid" | "conn_uids" | "id.orig_h") {
                rules.push(format!("{:?}", format!("{log}.{}", column.name)));
            }
        }
        for name in ["uid", "fuid", "conn_uids"] {
            record.as_object_mut().unwrap().remove(name);
        }
        place.write(&format!("{log}.log"), format!("{record}\n").as_bytes());
    }
    let set = format!("event.redact=[{}]", rules.join(","));
    let settings = [
        "--set",
        "stage.http-oddities.alert=0",
        "--set",
        "stage.http-oddities.weight=100",
        "--set",
        "stage.malicious-url.alert=0",
        "--set",
        "stage.malicious-download.alert=0",
    ];
    let run = place.replay(&[&settings[..], &["--set", &set]].concat()).ok();
    let text = |name| String::from_utf8(run.bytes(name)).unwrap();
    // What was found, by models too, and the risk. A user whose name is hidden is nobody.
    assert_eq!(run.events().len(), 6, "{}", run.stderr);
    let alerts: std::collections::BTreeSet<String> =
        run.alerts().iter().map(|it| it["ueba"]["detector"].to_string()).collect();
    for detector in ["http-oddities", "malicious-url", "malicious-download", "risk"] {
        assert!(alerts.contains(&format!("{detector:?}")), "{detector}: {alerts:?}");
    }
    for text in [text("events.ndjson"), text("alerts.ndjson"), run.stdout.clone()] {
        for secret in ["hush", "203.0.113.77", "4747", "dosexec", "example"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        // As a number of its own: scores have many digits.
        let mut numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        assert!(numbers.all(|number| number != "202"), "{text}");
    }
    assert!(run.stdout.contains("host_is_address [redacted]"), "{}", run.stdout);
    let shown = place.replay_as("shown", &settings).ok();
    let all = shown.all().concat();
    assert!(
        String::from_utf8(all).unwrap().contains("203.0.113.77") && shown.stdout.contains("hush")
    );
}

#[test]
fn the_wider_of_two_rules_counts() {
    for rules in [r#"["http.uri:userinfo","http.uri"]"#, r#"["http.uri","http.uri:userinfo"]"#] {
        let run = run(&["--set", &format!("event.redact={rules}")]);
        let text = String::from_utf8(run.bytes("events.ndjson")).unwrap();
        assert!(!text.contains("http://"), "{rules}");
    }
    let conn = run(&["--set", r#"event.redact=["conn.id_orig_h"]"#]);
    let events = conn.events();
    let conn = events.iter().find_map(|event| event["zeek"].get("conn")).unwrap();
    assert_eq!(conn["id.orig_h"], "[redacted]");
}

#[test]
fn entities_are_named_by_scope() {
    let run = run(&["--set", "entity.scope=sensor", "--set", "sensor.id=s\"1"]);
    assert_eq!(run.events()[0]["ueba"]["entity"], "host:10.0.0.5@s\"1");
    assert_eq!(run.alerts()[0]["ueba"]["entity"], "host:10.0.0.5@s\"1");
}

#[test]
fn contributions_add_up_to_the_score() {
    let place = Place::new();
    let args =
        ["--set", "stage.http-oddities.weight=90", "--set", "stage.long-connection.weight=99"];
    let all = [place.replay_paths("a", &[sample()], &args).ok(), run(&args)];
    let mut seen = 0;
    for risk in all.iter().flat_map(Run::risk) {
        let millionths = |value: &Value| (value.as_f64().unwrap() * 1e6).round() as u64;
        let parts = risk["ueba"]["contributions"].as_array().unwrap();
        let sum: u64 = parts.iter().map(|part| millionths(&part["points"])).sum();
        assert_eq!(sum, millionths(&risk["ueba"]["score"]));
        assert_eq!(risk["host"]["risk"]["calculated_score_norm"], risk["ueba"]["score"]);
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn unknown_columns_are_carried_through() {
    let json =
        r#"{"_path":"dns","ts":1,"uid":"C","query":"a.example.co.uk","extra":{"a":[1,null]}}"#;
    let run = Place::with(&[("dns.log", json.as_bytes())]).replay(&[]).ok();
    let event = &run.events()[0];
    assert_eq!(event["zeek"]["dns"]["extra"], json!({"a": [1, null]}));
    assert_eq!(event["dns"]["question"]["registered_domain"], "example.co.uk");
}

#[test]
fn lists_and_objects_where_a_text_belongs() {
    let json = r#"{"_path":"http","ts":1,"method":["GET"],"host":{"a":"b"},"proxied":[["x"]]}"#;
    let run = Place::with(&[("http.log", json.as_bytes())]).replay(&[]).ok();
    let event = &run.events()[0];
    assert_eq!(event["zeek"]["http"]["host"], json!({"a": "b"}));
    assert_eq!(event["url"]["domain"], r#"{"a":"b"}"#);
    assert_eq!(event["http"]["request"]["method"], r#"["GET"]"#);
}

#[test]
fn names_that_a_header_gives_twice() {
    let fields = "ts uid id.orig_h id_orig_h foo foo password password";
    let types = "time string addr addr string string string string";
    let log = header("http", fields, types) + "1\tC\t10.0.0.1\t10.0.0.2\ta\tb\thush\thush\n";
    let run = Place::with(&[("http.log", log.as_bytes())]).replay(&[]).ok();
    let text = String::from_utf8(run.bytes("events.ndjson")).unwrap();
    let record = run.events()[0]["zeek"]["http"].clone();
    assert_eq!(record.as_object().unwrap().len(), 8, "{text}");
    assert_eq!(
        (&record["id.orig_h"], &record["id.orig_h#2"]),
        (&json!("10.0.0.1"), &json!("10.0.0.2"))
    );
    assert_eq!((&record["foo"], &record["foo#2"]), (&json!("a"), &json!("b")));
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn aliases_and_configured_columns() {
    let json = r#"{"t":5,"conn_state":"SF","src":"10.0.0.1"}"#;
    let args = ["--set", "source.alias={t = \"ts\", src = \"id.orig_h\"}"];
    let run = Place::with(&[("conn.log", json.as_bytes())]).replay(&args).ok();
    assert_eq!(run.events()[0]["ueba"]["entity"], "host:10.0.0.1");
    // To a name that we do not know, and to one that is hidden.
    let json = r#"{"_path":"http","ts":5,"x":1,"cookies":["hush"],"y":2}"#;
    let args = ["--set", "source.alias={x = \"site_x\", cookies = \"cookie_vars\"}"];
    let run = Place::with(&[("http.log", json.as_bytes())]).replay(&args).ok();
    let expected = json!({"ts": 5, "site_x": 1, "cookie_vars": "[redacted]", "y": 2});
    let mut found = run.events()[0]["zeek"]["http"].clone();
    found.as_object_mut().unwrap().remove("_path");
    assert_eq!(found, expected);
    let args = ["--set", "source.fields.conn=[\"ts\", \"uid\", \"id.orig_h\"]"];
    let run = Place::with(&[("conn.log", b"5.0\tC1\t10.0.0.1\n".as_slice())]).replay(&args).ok();
    assert_eq!(run.uids(), ["C1"]);
}

#[test]
fn commands_say_what_the_contract_says() {
    let code = |args: &[&str]| {
        let output = program().args(args).current_dir(sample()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text)
    };
    let (done, text) = code(&["stages"]);
    assert_eq!(done, 0);
    for words in ["long-connection  (window stage)", "reads http:", "T1071.001", "alert = 0.4"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(code(&["check"]).0, 0);
    let version = code(&["--version"]).1;
    assert!(
        ["commit", "ONNX Runtime >= 1.24: git", "librdkafka 2"]
            .iter()
            .all(|it| version.contains(it)),
        "{version}"
    );
    assert_eq!(code(&[]).0, 2);
    assert_eq!(code(&["replay"]).0, 2);
    assert_eq!(code(&["replay", "--internal", "x", "."]).0, 2);
    assert_eq!(code(&["check", "-c", "/nonexistent.toml"]).0, 78);
    let (wrong, text) = code(&["check", "--set", "stage.http-odities.weight=1", "--set", "x"]);
    assert_eq!(wrong, 78);
    assert!(text.contains("did you mean [stage.http-oddities]?"), "{text}");
    assert!(text.contains("2 mistakes"), "{text}");
}

#[test]
fn the_summary_says_what_was_counted() {
    let mut rows: Vec<String> =
        (0..40).map(|n| format!("17000000{n}.0 C{n} 10.0.0.1 9.9.9.9 1.0 1\n")).collect();
    let quiet = rows[10..].concat().replace(' ', "\t");
    rows.insert(30, "1700200000.0 early 10.0.0.1 9.9.9.9 1.0 1\n\n\r\n".to_owned());
    rows.insert(31, "4000000000.0 wild 10.0.0.1 9.9.9.9 1.0 1\n\n".to_owned());
    let odd = rows[10..].concat().replace(' ', "\t");
    let summary = |rows: &str| {
        Place::with(&[("conn.log", (conn(&[]) + rows).as_bytes())]).replay(&[]).ok().stdout
    };
    let words = ["empty lines, ignored", "more than a day ahead", "more than seven days from"];
    for (words, count) in words.iter().zip([3, 2, 1]) {
        let line = format!(" {count} {words}");
        assert!(summary(&odd).contains(&line), "{line}: {}", summary(&odd));
        assert!(!summary(&quiet).contains(words), "{words}: {}", summary(&quiet));
    }
}

#[test]
fn strict_and_unreadable_have_their_codes() {
    let place = Place::with(&[("conn.log", format!("{}torn", conn(CONN)).as_bytes())]);
    assert_eq!(place.replay_as("a", &["--strict"]).code, Some(65));
    assert_eq!(place.replay_as("b", &[]).code, Some(0));
    assert_eq!(place.replay_paths("c", &["nothing".into()], &[]).code, Some(74));
    // What failed left nothing that stands in the way of the next try.
    assert_eq!(place.replay_as("c", &[]).code, Some(0));
    let other = Place::with(&[("ssl.log", b"#separator \\x09\n#path\tssl\n#fields\tts\n1\n")]);
    assert_eq!(other.replay(&["--strict"]).code, Some(0));
}
