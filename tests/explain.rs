//! `explain`: from a score down to the line in the log, whatever became of the log since.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{Place, Run, conn, gzip, http, program, sample};

/// What `explain` said.
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Told {
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.ok().out).unwrap()
    }

    /// That it failed like this, and said nothing to standard output.
    fn fails(self, code: i32, why: &str) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert!(self.err.contains(why) && self.out.is_empty(), "{}", self.err);
    }
}

fn explain_in(directory: &Path, args: &[&str]) -> Told {
    let result = program().current_dir(directory).arg("explain").args(args).output().unwrap();
    Told {
        code: result.status.code(),
        out: String::from_utf8(result.stdout).unwrap(),
        err: String::from_utf8_lossy(&result.stderr).into_owned(),
    }
}

/// Explains from `out` with the logs in `logs`.
fn explain(place: &Place, id: &str, args: &[&str]) -> Told {
    let all = [&[id, "--from", "out", "--logs", "logs"], args].concat();
    explain_in(place.path(), &all)
}

/// Every record behind a finding, or an event, of an explanation.
fn records(explanation: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for module in explanation["modules"].as_array().unwrap() {
        for finding in module["findings"].as_array().unwrap() {
            found.extend(finding["evidence"].as_array().unwrap().clone());
        }
        found.extend(module["events"].as_array().unwrap().clone());
    }
    found.extend(explanation.get("event").cloned());
    found
}

/// Logs in which both stages find something, of several kinds.
fn risky() -> [(&'static str, Vec<u8>); 2] {
    let conns: Vec<String> = (0..40)
        .map(|n| {
            let duration = if n % 10 == 0 { "50000.0" } else { "1.5" };
            format!("{}.5 C{n} 10.0.0.{} 203.0.113.{} {duration} 7", 1_700_000_000 + n, n % 4, n)
        })
        .collect();
    let https: Vec<String> = (0..40)
        .map(|n| {
            let (method, ts) = (["GET", "BREW"][n % 2], 1_700_000_000 + n);
            format!(
                "{ts}.25|D{n}|10.0.0.{}|203.0.113.9|{method}|198.51.100.{n}|http://u:pw@h/x|1.1|200|hush|-",
                n % 4
            )
        })
        .collect();
    let of = |rows: &[String]| rows.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    [
        ("conn.log", conn(&of(&conns).lines().collect::<Vec<_>>()).into_bytes()),
        ("http.log", http(&of(&https).lines().collect::<Vec<_>>()).into_bytes()),
    ]
}

#[test]
fn the_sample_down_to_the_line() {
    let place = Place::new();
    let run = place.replay_paths("out", &[sample()], &[]).ok();
    let logs = sample();
    let explain = |id: &str, args: &[&str]| {
        let logs = ["--from", "out", "--logs", logs.to_str().unwrap()];
        explain_in(place.path(), &[&[id], &logs[..], args].concat()).ok()
    };
    let (alert, risk) = (&run.alerts()[0], &run.risk()[0]);
    let event = alert["ueba"]["evidence"][0]["event_id"].as_str().unwrap();
    let uid = alert["ueba"]["evidence"][0]["uid"].as_str().unwrap();
    let ids = [
        ("10.0.1.4", "entity"),
        ("host:10.0.1.4", "entity"),
        (alert["event"]["id"].as_str().unwrap(), "alert"),
        (risk["event"]["id"].as_str().unwrap(), "risk"),
        (event, "event"),
    ];
    let line = format!(r#""uid":"{uid}","id_orig_h":"10.0.1.4""#);
    let score = risk["ueba"]["score"].as_f64().unwrap();
    let level = risk["host"]["risk"]["calculated_level"].as_str().unwrap();
    let score = format!("{score:.6} ({level})");
    for (id, kind) in ids {
        let text = explain(id, &[]).out;
        for words in [score.as_str(), "http-oddities", "because method is PROPFIND", uid, &line] {
            assert!(text.contains(words), "{id}: no {words} in {text}");
        }
        let json = explain(id, &["--json"]).json();
        assert_eq!((&json["kind"], &json["entity"]), (&json!(kind), &json!("host:10.0.1.4")));
        assert_eq!(json["score"], risk["ueba"]["score"]);
        let module = &json["modules"][0];
        assert_eq!(module["points"], risk["ueba"]["contributions"][0]["points"]);
        assert_eq!(module["findings"][0]["reasons"], alert["ueba"]["reasons"], "{id}");
        assert_eq!(module["findings"][0]["id"], alert["event"]["id"]);
        let record = &records(&json)[0];
        assert_eq!(record["found"]["record"]["uid"], uid, "{id}");
        assert!(record["found"]["line"].as_str().unwrap().contains(&line), "{id}");
    }
    // An event of which nothing was found.
    let events = run.events();
    let other = events.iter().find(|it| it["event"]["dataset"] == "zeek.dns").unwrap();
    let json = explain(other["event"]["id"].as_str().unwrap(), &["--json"]).json();
    assert_eq!((&json["kind"], &json["modules"]), (&json!("event"), &json!([])));
    assert_eq!(json["event"]["found"]["record"], other["zeek"]["dns"]);
    assert_eq!(json["event"]["scores"], other["ueba"]["scores"]);
}

/// The example of docs/explain.md is what is said.
#[test]
fn the_documentation_shows_what_is_said() {
    let place = Place::new();
    place.replay_paths("replay", &[sample()], &[]).ok();
    let logs = sample();
    let told = explain_in(place.path(), &["10.0.1.4", "--logs", logs.to_str().unwrap()]).ok();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explain.md");
    let docs = fs::read_to_string(docs).unwrap();
    let shown = docs.split("--logs sample/apt29-day1\n").nth(1).unwrap();
    let shown = shown.split("\n\n(The two lines").next().unwrap().lines();
    let said = format!("{}{}", told.err, told.out);
    assert_eq!(said.lines().count(), shown.clone().count(), "{said}");
    let without_ids = |text: &str| -> String {
        let word =
            |word: &str| match word.len() == 32 && word.bytes().all(|it| it.is_ascii_hexdigit()) {
                // The ids of alerts change with the configuration.
                true => "ID".to_owned(),
                false => word.to_owned(),
            };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    for (shown, said) in shown.zip(said.lines()) {
        let (shown, said) = (without_ids(shown), without_ids(said));
        let shown = shown.strip_prefix("    ").unwrap_or(&shown);
        let (begin, is_cut) = shown.strip_suffix('…').map_or((shown, false), |it| (it, true));
        assert!(said == shown || (is_cut && said.starts_with(begin)), "{shown}\n{said}");
    }
}

/// The lines of all evidence of all alerts, by `how` the logs are found now.
fn check(place: &Place, run: &Run, how: &str) {
    let alerts = run.alerts();
    assert!(alerts.len() > 10, "{}", run.stdout);
    for alert in alerts {
        let id = alert["event"]["id"].as_str().unwrap();
        let mut json = explain(place, id, &["--json"]).json();
        let evidence = alert["ueba"]["evidence"].as_array().unwrap();
        // Of an alert on risk all modules are told, and it itself is the last.
        let modules = json["modules"].as_array_mut().unwrap();
        modules.retain(|module| module["module"] == alert["ueba"]["detector"]);
        let found = records(&json);
        assert_eq!(found.len(), evidence.len());
        for (record, told) in found.iter().zip(evidence) {
            for name in ["event_id", "log", "uid", "file", "offset"] {
                assert_eq!(record[name], told[name], "{how}");
            }
            assert_eq!(record["found"]["record"]["uid"], told["uid"], "{how}: {record}");
        }
    }
}

#[test]
fn every_evidence_leads_to_its_line_wherever_that_is() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let run = place.replay(&[]).ok();
    check(&place, &run, "as they were");
    let logs = place.logs();
    let bytes = |name: &str| fs::read(logs.join(name)).unwrap();
    fs::create_dir(logs.join("2023-11-14")).unwrap();
    fs::rename(logs.join("conn.log"), logs.join("2023-11-14/conn.22:13:20-23:00:00.log")).unwrap();
    place.write("http.00:00:00.log.gz", &gzip(&bytes("http.log")));
    fs::remove_file(logs.join("http.log")).unwrap();
    // In their place stand others now, that say they are of the same connections.
    for (name, log) in risky() {
        let text = String::from_utf8(log).unwrap().replace("2024-01-01-00", "2024-01-01-09");
        place.write(name, text.replace("203.0.113.9", "203.0.113.7").as_bytes());
    }
    check(&place, &run, "renamed and compressed");
    // Beside it the first half of a copy, and one that parts from it.
    let whole = bytes("2023-11-14/conn.22:13:20-23:00:00.log");
    place.write("a-conn.log", &whole[..whole.len() / 2]);
    let parted = String::from_utf8(whole.clone()).unwrap().replace("C11\t10", "X11\t10");
    place.write("b-conn.log", parted.as_bytes());
    check(&place, &run, "copies and forks");
    // What is written on is the same file still.
    let path = logs.join("2023-11-14/conn.22:13:20-23:00:00.log");
    fs::write(&path, [whole, b"1700009999.0\tC99\t10.0.0.1\t9.9.9.9\t1.0\t1\n".to_vec()].concat())
        .unwrap();
    check(&place, &run, "grown");
}

#[test]
fn a_fork_is_told_from_what_it_parted_from() {
    let one = conn(&["1 C1 10.0.0.1 9.9.9.9 1.0 5", "2 C2 10.0.0.1 9.9.9.9 1.0 5"]);
    let other = conn(&["1 C1 10.0.0.1 9.9.9.9 1.0 5", "3 X2 10.0.0.1 9.9.9.9 1.0 5"]);
    let place = Place::with(&[("a.log", one.as_bytes()), ("b.log", other.as_bytes())]);
    let run = place.replay(&[]).ok();
    for event in run.events() {
        let json = explain(&place, event["event"]["id"].as_str().unwrap(), &["--json"]).json();
        assert_eq!(json["event"]["found"]["record"], event["zeek"]["conn"], "{json}");
        // Without the outputs the logs alone know it.
        let alone = ["--from", "empty", "--logs", "logs", "--json"];
        fs::create_dir_all(place.path().join("empty")).unwrap();
        fs::write(place.path().join("empty/risk.ndjson"), "").unwrap();
        let id = event["event"]["id"].as_str().unwrap();
        let json = explain_in(place.path(), &[&[id], &alone[..]].concat()).json();
        assert_eq!(json["event"]["found"]["record"], event["zeek"]["conn"], "{json}");
    }
}

#[test]
fn what_is_gone_or_changed_is_said() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let run = place.replay(&[]).ok();
    let alerts = run.alerts();
    let of = |log: &str| {
        let is = |alert: &&Value| alert["ueba"]["evidence"][0]["log"] == log;
        alerts.iter().rfind(is).unwrap()["event"]["id"].as_str().unwrap().to_owned()
    };
    let missing = |log: &str| {
        let id = of(log);
        let json = explain(&place, &id, &["--json"]).json();
        assert!(json["modules"][0]["findings"][0]["reasons"][0]["feature"].is_string());
        let text = explain(&place, &id, &[]).ok().out;
        assert!(text.contains("its line cannot be shown"), "{text}");
        records(&json)[0]["missing"].as_str().unwrap().to_owned()
    };
    let logs = place.logs();
    let whole = fs::read(logs.join("http.log")).unwrap();
    let packed = gzip(&whole);
    fs::remove_file(logs.join("http.log")).unwrap();
    assert!(missing("http").contains("no file"), "{}", missing("http"));
    place.write("http.log.gz", &packed[..packed.len() / 2]);
    assert!(missing("http").contains("gzip_corrupt"), "{}", missing("http"));
    fs::remove_file(logs.join("http.log.gz")).unwrap();
    place.write("http.log", &whole[..whole.len() / 2]);
    assert!(missing("http").contains("no record begins there"), "{}", missing("http"));
    // The same beginning, and another record at the same place.
    let text = String::from_utf8(whole).unwrap();
    let at = text.rfind("D39").unwrap();
    place.write("http.log", format!("{}E39{}", &text[..at], &text[at + 3..]).as_bytes());
    assert!(missing("http").contains("no record begins there"), "{}", missing("http"));
    fs::remove_dir_all(&logs).unwrap();
    assert!(missing("conn").contains("no file"), "{}", missing("conn"));
}

#[test]
fn what_is_hidden_stays_so() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let run = place.replay(&[]).ok();
    for (args, is_shown) in [(&[][..], false), (&["--set", "event.redact=[]"], true)] {
        let mut all = String::new();
        for alert in run.alerts() {
            let id = alert["event"]["id"].as_str().unwrap();
            for json in [&["--json"][..], &[]] {
                all.push_str(&explain(&place, id, &[args, json].concat()).ok().out);
            }
        }
        assert!(all.contains("D39"));
        assert_eq!(all.contains("hush"), is_shown);
        assert_eq!(all.contains("u:pw"), is_shown);
        assert_eq!(all.contains("\"line\":null"), !is_shown);
        assert_eq!(all.contains("(parts are hidden)"), !is_shown);
    }
}

#[test]
fn nothing_in_a_log_speaks_to_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let log = format!(
        "{}\n",
        json!({"_path": "http", "ts": 1.5, "uid": hostile, "id.orig_h": "10.0.0.5",
               "method": hostile, "host": "10.9.9.9", "uri": hostile})
    );
    let place = Place::with(&[(&format!("http{hostile}.log"), log.as_bytes())]);
    let run = place.replay(&["--set", "stage.http-oddities.alert=0.1"]).ok();
    let alert = run.alerts()[0]["event"]["id"].as_str().unwrap().to_owned();
    for id in [alert.as_str(), "10.0.0.5"] {
        for args in [&[][..], &["--json"]] {
            let told = explain(&place, id, args).ok();
            let is_safe =
                |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || c == '\u{202e}');
            assert!(told.out.chars().chain(told.err.chars()).all(is_safe), "{:?}", told.out);
            assert!(told.out.contains("owned"));
        }
    }
    let json = explain(&place, &alert, &["--json"]).json();
    assert_eq!(records(&json)[0]["found"]["record"]["method"], hostile);
    explain(&place, hostile, &[]).fails(2, "is no entity");
    let told = explain(&place, hostile, &[]);
    assert!(!told.err.contains('\u{1b}') && !told.err.contains('\u{9b}'));
}

/// A user is called whatever a client says.
#[test]
fn users_of_any_name() {
    let name = "eve\"\u{1b}[2J,{}";
    let record = json!({
        "_path": "http", "ts": 1.5, "uid": "C1", "id.orig_h": "10.0.0.5", "id.resp_h": "9.9.9.9",
        "method": "BREW", "host": "9.9.9.9", "uri": "/", "username": name,
    });
    let place = Place::with(&[("http.log", format!("{record}\n").as_bytes())]);
    let state = place.path().join("state");
    let run = place.replay(&["--state", state.to_str().unwrap()]).ok();
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
    let id = format!("user:{}", name.to_lowercase());
    assert!(run.risk().iter().any(|risk| risk["ueba"]["entity"] == id.as_str()));
    for from in ["out", "state"] {
        let args = [id.as_str(), "--from", from, "--logs", "logs", "--json"];
        let json = explain_in(place.path(), &args).json();
        assert_eq!(json["entity"], id.as_str());
        assert_eq!(records(&json)[0]["found"]["record"]["uid"], "C1", "{from}: {json}");
        let text = explain_in(place.path(), &args[..5]).ok().out;
        assert!(text.contains("because method is BREW") && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn who_or_what_is_unknown() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    place.replay(&[]).ok();
    explain(&place, "10.9.9.9", &[]).fails(65, "nothing is known of 10.9.9.9");
    explain(&place, "user:nobody", &["--json"]).fails(65, "nothing is known of user:nobody");
    explain(&place, &"0".repeat(32), &[]).fails(65, "no alert, no risk document and no event");
    for id in ["", "alice", "10.0.0", "host:", &"x".repeat(100_000)] {
        explain(&place, id, &[]).fails(2, "is no entity");
    }
    let bytes = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
    let bytes: &std::ffi::OsStr = bytes;
    let result = program().arg("explain").arg(bytes).output().unwrap();
    assert_eq!((result.status.code(), result.stdout.len()), (Some(2), 0));
    let nowhere = explain_in(place.path(), &["10.0.0.1", "--from", "nowhere"]);
    nowhere.fails(74, "holds neither a state nor");
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    explain_in(&empty, &["10.0.0.1"]).fails(74, "there is neither a state");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "nothing is made");
}

#[test]
fn outputs_that_are_torn_hostile_or_full() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let run = place.replay(&[]).ok();
    let whole = explain(&place, "10.0.0.2", &["--json"]).ok().out;
    let json: Value = serde_json::from_str(&whole).unwrap();
    let of = |json: &Value, name: &str| -> Vec<Value> {
        json["modules"].as_array().unwrap().iter().map(|it| it[name].clone()).collect()
    };
    assert_eq!(of(&json, "module"), [json!("long-connection"), json!("http-oddities")]);
    assert!(records(&json).iter().all(|it| it["found"]["record"].is_object()), "{json}");
    let out = place.path().join("out");
    // As a daemon leaves them, in the order of their numbers.
    for name in ["alerts", "risk", "events"] {
        let bytes = run.bytes(&format!("{name}.ndjson"));
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let (first, rest) = lines.split_at(lines.len() / 3);
        let (second, last) = rest.split_at(rest.len() / 2);
        fs::write(out.join(format!("{name}.00000009.ndjson")), first.concat()).unwrap();
        fs::write(out.join(format!("{name}.00000010.ndjson")), second.concat()).unwrap();
        fs::write(out.join(format!("{name}.ndjson")), last.concat()).unwrap();
        fs::write(out.join(format!("{name}.tmp.ndjson")), b"no").unwrap();
    }
    assert_eq!(explain(&place, "10.0.0.2", &["--json"]).ok().out, whole);
    // Lines that are nothing, and that claim to be.
    let entity = r#""ueba":{"entity":"host:10.0.0.2""#;
    let head =
        r#"{"@timestamp":"2999-01-01T00:00:00Z","event":{"id":"00","kind":"x","dataset":"y"},"#;
    let deep = "[".repeat(100_000);
    let hostile = [
        "\u{0}\u{1b}\n".to_owned(),
        format!("{head}{entity}}}}}\n"),
        format!("{head}{entity},\"score\":1e999}}}}\n"),
        format!("{head}{entity},\"score\":-1,\"previous\":\"x\",\"contributions\":7}}}}\n"),
        format!(
            "{head}\"rule\":{{\"name\":[]}},{entity},\"evidence\":[7,{{}}],\"reasons\":{{}}}}}}\n"
        ),
        format!("{head}\"x\":{deep}\n"),
        format!("{}\n", "y".repeat(17 << 20)),
        format!("{head}{entity}"),
    ]
    .concat();
    for name in ["alerts", "risk", "events"] {
        let path = out.join(format!("{name}.ndjson"));
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(hostile.as_bytes());
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(explain(&place, "10.0.0.2", &["--json"]).ok().out, whole);
    // A link that leads back to where it is.
    std::os::unix::fs::symlink(place.logs(), place.logs().join("loop")).unwrap();
    assert_eq!(explain(&place, "10.0.0.2", &["--json"]).ok().out, whole);
}

/// An event of 10.0.0.2 that an alert speaks of.
fn alerted_event(alerts: &str) -> String {
    let alerts = alerts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of_host = alerts.filter(|it| {
        it["ueba"]["entity"] == "host:10.0.0.2" && it["ueba"]["detector"] == "long-connection"
    });
    of_host.next().unwrap()["ueba"]["evidence"][0]["event_id"].as_str().unwrap().to_owned()
}

/// An alert on risk and the end of an incident have no stage, and say what others found.
#[test]
fn alerts_of_no_stage() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    place.replay(&[]).ok();
    let path = place.path().join("out/alerts.ndjson");
    let mut text = fs::read_to_string(&path).unwrap();
    let (ours, closed, bare) = ("1".repeat(32), "2".repeat(32), "3".repeat(32));
    let event = alerted_event(&text);
    let document = |id: &str, action: &str, detector: &str| {
        format!(
            "{{\"@timestamp\":\"2023-11-14T23:00:00.000000Z\",\"event\":{{\"id\":\"{id}\",\
             \"kind\":\"alert\",\"dataset\":\"ueba.alert\"{action}}},\"rule\":{{\"name\":\"incident\"}},\
             \"ueba\":{{\"entity\":\"host:10.0.0.2\"{detector},\"score\":0.8,\"evidence\":[\
             {{\"event_id\":\"{event}\",\"log\":\"conn\",\"uid\":\"C1\",\"file\":\"x\"}},\
             {{\"event_id\":\"{bare}\",\"uid\":\"C2\"}}]}}}}\n"
        )
    };
    text += &document(&ours, "", ",\"detector\":\"risk\"");
    text += &document(&closed, ",\"action\":\"closed\"", "");
    fs::write(&path, text).unwrap();
    let names = |id: &str| -> Vec<String> {
        let json = explain(&place, id, &["--json"]).json();
        let modules = json["modules"].as_array().unwrap().iter();
        modules.map(|it| it["module"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("10.0.0.2"), ["long-connection", "http-oddities"]);
    assert_eq!(names(&ours), ["long-connection", "http-oddities", "risk"]);
    assert_eq!(names(&closed), ["long-connection", "http-oddities", "incident"]);
    let json = explain(&place, &ours, &["--json"]).json();
    assert_eq!(json["modules"][2]["events"][0]["event_id"], bare.as_str(), "{json}");
    assert_eq!(json["modules"][2]["findings"][0]["evidence"][0]["event_id"], event.as_str());
    assert_eq!((&json["kind"], json["score"].is_number()), (&json!("alert"), true));
    // The event itself is what the stage found, whoever else speaks of it.
    let json = explain(&place, &event, &["--json"]).json();
    assert_eq!(
        (&json["kind"], names(&event)),
        (&json!("event"), vec!["long-connection".to_owned()])
    );
    assert!(explain(&place, &ours, &[]).ok().out.contains("alert 1111"));
}

/// `replay --state` leaves the grounds of every finding, below the mark of an alert too.
#[test]
fn a_state_explains_what_was_no_alert() {
    let place = Place::with(&risky().each_ref().map(|(name, bytes)| (*name, bytes.as_slice())));
    let state: PathBuf = place.path().join("state");
    let run = place.replay(&["--state", state.to_str().unwrap()]).ok();
    let args = ["--from", "state", "--logs", "logs", "--json"];
    let by_state = |id: &str| explain_in(place.path(), &[&[id], &args[..]].concat()).json();
    let json = by_state("10.0.0.2");
    let findings = |json: &Value| -> Vec<Value> {
        let modules = json["modules"].as_array().unwrap().iter();
        modules.flat_map(|it| it["findings"].as_array().unwrap().clone()).collect()
    };
    let all = findings(&json);
    assert!(all.len() > 5, "{json}");
    for finding in &all {
        assert!(!finding["reasons"].as_array().unwrap().is_empty());
        for record in finding["evidence"].as_array().unwrap() {
            assert_eq!(record["found"]["record"]["uid"], record["uid"]);
        }
    }
    // The alerts are those that were written, and of an id there is one finding.
    let (mut kept, mut forgotten) = (0, 0);
    for alert in run.alerts() {
        let id = alert["event"]["id"].as_str().unwrap();
        let json = by_state(id);
        let found = findings(&json);
        if alert["ueba"]["detector"] == "risk" {
            assert_eq!(
                (&json["kind"], &json["entity"]),
                (&json!("alert"), &alert["ueba"]["entity"])
            );
            assert!(!found.is_empty(), "{json}");
            continue;
        }
        assert_eq!(json["kind"], "alert", "{id}");
        let entity = alert["ueba"]["entity"].as_str().unwrap();
        if !findings(&by_state(entity)).iter().any(|it| it["id"] == id) {
            // Of more than are said of an entity, or kept of it, what there is.
            assert!((1..=5).contains(&found.len()), "{id}");
            forgotten += 1;
            continue;
        }
        kept += 1;
        assert_eq!(found.len(), 1, "{id}");
        assert_eq!(found[0]["alert"], true);
        for name in ["reasons", "score", "window"] {
            assert_eq!(found[0][name], alert["ueba"][name]);
        }
        let event = alert["ueba"]["evidence"][0]["event_id"].as_str().unwrap();
        let json = by_state(event);
        assert_eq!(json["kind"], "event");
        assert!(findings(&json).iter().any(|finding| finding["id"] == id), "{event}");
    }
    assert!(kept > 5, "{kept} kept, {forgotten} not");
    let told: Vec<Value> = run.alerts().iter().map(|it| it["event"]["id"].clone()).collect();
    for finding in &all {
        let kind = if finding["alert"] == true { "alert" } else { "finding" };
        assert_eq!(by_state(finding["id"].as_str().unwrap())["kind"], kind);
        assert_eq!(finding["alert"], told.contains(&finding["id"]), "{finding}");
    }
    explain_in(place.path(), &["10.9.9.9", "--from", "state"]).fails(65, "nothing is known");
    // A state of another sensor is not taken for ours.
    let other = ["10.0.0.2", "--from", "state", "--set", "sensor.id=other"];
    explain_in(place.path(), &other).fails(78, "belongs to sensor");
}
