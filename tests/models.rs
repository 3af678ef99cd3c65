//! Models from outside: what `score` says, what is refused and how it is mended, what a daemon does
//! without them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Place, Run, header};

const BINARY: &str = env!("CARGO_BIN_EXE_zeek-ueba");

/// Standard output, standard error and the exit code of a command with this input.
fn run(args: &[&str], input: &[u8]) -> (String, String, Option<i32>) {
    let mut child = Command::new(BINARY)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that refuses does not read.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn score(input: &[u8], more: &[&str]) -> Vec<Value> {
    score_as("dga", input, more)
}

fn score_as(detector: &str, input: &[u8], more: &[&str]) -> Vec<Value> {
    let (out, err, code) = run(&[&["score", detector], more].concat(), input);
    assert_eq!(code, Some(0), "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A copy of the models, to be spoilt.
fn copy() -> TempDir {
    let place = TempDir::new().unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, place.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    place
}

fn dir(place: &TempDir) -> String {
    format!("model.dir={:?}", place.path().display().to_string())
}

fn edit(place: &TempDir, from: &str, to: &str) {
    let path = place.path().join("models.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn each_line_has_its_score_or_its_error_whatever_stands_beside_it() {
    let long = vec![b'a'; 64 << 10];
    let labels = vec!["a"; 127].join(".");
    let bad: &[(&[u8], &str)] = &[
        (b"", "empty"),
        (b"-", "empty"),
        (b"a\0b.com", "control character"),
        (b"\x07bell.com", "control character"),
        (b"\xff\xfe.com", "UTF-8"),
        (b"192.0.2.1", "address"),
        (b"[2001:db8::1]", "address"),
        (b"xn--\xc3\xbc.com", ""),
        (b"xn--99999999999.com", "punycode"),
        (&long, "longer"),
        (b"5.2.0.192.in-addr.arpa", "reverse zone"),
        (b"printer.local", "of this network"),
        (b"_ldap._tcp.com", "service"),
        (b"co.uk", "suffix"),
    ];
    let good: &[&[u8]] = &[
        b"example.com",
        b"EXAMPLE.com.",
        b"https://www.example.com:8080/x?y",
        labels.as_bytes(),
        "m\u{fc}nchen.de".as_bytes(),
        "\u{440}\u{430}ypal.com".as_bytes(),
        b"xn--mnchen-3ya.de",
    ];
    let alone: Vec<Value> =
        good.iter().flat_map(|line| score(&[line, b"\n".as_slice()].concat(), &[])).collect();
    for (line, what) in bad {
        let mut input = Vec::new();
        for good in good {
            input.extend_from_slice(&[good, b"\n".as_slice(), line, b"\n"].concat());
        }
        let found = score(&input, &[]);
        assert_eq!(found.len(), 2 * good.len());
        for (at, found) in found.iter().enumerate() {
            if at % 2 == 0 {
                assert_eq!(*found, alone[at / 2], "beside {line:?}");
            } else if !what.is_empty() {
                let error = found["error"].as_str().unwrap_or_else(|| panic!("{found}"));
                assert!(error.contains(what), "{error:?} and not {what:?}");
            }
        }
    }
    let by_name = |at: usize| alone[at]["score"].to_string();
    assert_eq!(by_name(0), by_name(1));
    assert_eq!(by_name(0), by_name(2));
    assert_eq!(by_name(4), by_name(6), "punycode is the same name");
}

#[test]
fn what_is_generated_scores_higher_and_says_why() {
    let found = score(b"wikipedia.org\nxkqzvwpbnrtjh.biz\nq7f3k9z1x8w2v5.info\n", &[]);
    let of = |at: usize| found[at]["score"].as_f64().unwrap();
    assert!(of(0) < 0.1 && of(1) > 0.5 && of(2) > 0.5, "{found:?}");
    assert_eq!(found[0]["alert"], false);
    let reason = &found[1]["reasons"][0];
    assert!("xkqzvwpbnrtjh".contains(reason["observed"].as_str().unwrap()), "{reason}");
    let (left, share) =
        (reason["without"].as_f64().unwrap(), reason["contribution"].as_f64().unwrap());
    assert!(left < of(1) && (of(1) - left - share).abs() < 1e-9, "{reason}");
    let bulk = score(b"xkqzvwpbnrtjh.biz\n", &["--no-reasons"]);
    assert_eq!(bulk[0]["score"], found[1]["score"]);
    assert!(bulk[0].get("reasons").is_none());
}

/// One line that may be usable or not between lines that are: theirs is the score that they have
/// alone, and every line has a score or a named error.
fn check_beside(detector: &str, good: &[&[u8]], odd: &[(&[u8], &str)]) {
    let alone: Vec<Value> = good
        .iter()
        .flat_map(|line| score_as(detector, &[line, b"\n".as_slice()].concat(), &[]))
        .collect();
    assert!(alone.iter().all(|it| it["score"].is_number()), "{alone:?}");
    for (line, what) in odd {
        let lines = good.iter().flat_map(|good| [*good, *line]);
        let input: Vec<u8> = lines.flat_map(|line| [line, b"\n"].concat()).collect();
        let found = score_as(detector, &input, &[]);
        assert_eq!(found.len(), 2 * good.len(), "{:?}", String::from_utf8_lossy(line));
        for (at, found) in found.iter().enumerate() {
            if at % 2 == 0 {
                assert_eq!(*found, alone[at / 2], "beside {:?}", String::from_utf8_lossy(line));
            } else if what.is_empty() {
                assert!(found["score"].is_number(), "{found}");
            } else {
                let error = found["error"].as_str().unwrap_or_else(|| panic!("{found}"));
                assert!(error.contains(what), "{error:?} and not {what:?}");
            }
        }
    }
}

#[test]
fn each_url_has_its_score_or_its_error_whatever_stands_beside_it() {
    let long = format!("http://example.com/{}", "a".repeat((64 << 10) - 19));
    let longer = format!("{long}a");
    let nested = format!("http://example.com/%{}41", "25".repeat(1000));
    let deep = format!("http://example.com{}", "/..".repeat(20_000));
    let odd: &[(&[u8], &str)] = &[
        (long.as_bytes(), ""),
        (longer.as_bytes(), "64 KiB"),
        (nested.as_bytes(), ""),
        (deep.as_bytes(), ""),
        (b"http://[::1]:99999/", "port"),
        (b"http://[::1]/", "of this network"),
        (b"http://[2001:db8::1/", "broken address"),
        (b"http://paypal.com@93.184.216.34/", ""),
        (b"http://0x5db8d822/", ""),
        ("http://example.com/\u{202e}gpj.exe".as_bytes(), ""),
        (b"http://example.com/a\0b", ""),
        (b"http://exa\0mple.com/", "control character"),
        (b"http://example.com/\xff\xfe", ""),
        (b"\xff\xfe", "the host"),
        (b"", "no name"),
        (b"javascript:alert(1)", "http"),
    ];
    let good: &[&[u8]] =
        &[b"example.com", b"https://www.example.com/a?b=c", b"http://93.184.216.34/Mozi.m"];
    for detector in ["phishing", "malicious-url"] {
        check_beside(detector, good, odd);
    }
    let of = |line: &[u8]| score_as("phishing", line, &["--no-reasons"])[0]["score"].clone();
    assert_eq!(of(b"paypal.com.example.net/x#y"), of(b"HTTPS://paypal.com.example.net:443/x"));
}

#[test]
fn each_download_has_its_score_or_its_error_whatever_stands_beside_it() {
    let odd: &[(&[u8], &str)] = &[
        (b"", "JSON"),
        (b"http://example.com/a.exe", "JSON"),
        (b"[]", "not a JSON object"),
        (b"{\"url\":5}", "url"),
        (b"{\"size\":\"big\"}", "size"),
        (b"{\"size\":-1}", "size"),
        (b"{\"status_code\":[200]}", "status_code"),
        (b"{\"mime_type\":{}}", "mime_type"),
        (b"{\"filename\":null,\"url\":\"http://example.com/a.exe\"}", ""),
        (b"{\"url\":\"http://[::1]:99999/\"}", "port"),
        (b"{\"filename\":\"a\"", "JSON"),
        (b"\xff", "JSON"),
    ];
    let good: &[&[u8]] = &[
        b"{\"url\":\"http://example.com/a.exe\"}",
        b"{\"filename\":\"invoice.pdf.exe\",\"mime_type\":\"application/x-dosexec\"}",
        b"{\"url\":\"http://93.184.216.34/arm7\",\"user_agent\":\"curl/8\",\"other\":[1]}",
    ];
    check_beside("malicious-download", good, odd);
}

#[test]
fn what_lists_call_bad_scores_higher_than_what_everybody_visits() {
    let check = |detector: &str, bad: &[&str], good: &[&str]| {
        let of = |lines: &[&str]| -> Vec<f64> {
            let found = score_as(detector, (lines.join("\n") + "\n").as_bytes(), &[]);
            found.iter().map(|it| it["score"].as_f64().unwrap_or_else(|| panic!("{it}"))).collect()
        };
        let (bad, good) = (of(bad), of(good));
        let lowest = bad.iter().copied().fold(1.0, f64::min);
        let highest = good.iter().copied().fold(0.0, f64::max);
        assert!(lowest > highest, "{detector}: {bad:?} against {good:?}");
    };
    check(
        "phishing",
        &["paypal.com.login-secure.xyz/verify", "amazon-co-jp.account-update.top"],
        &["www.wikipedia.org/wiki/Main_Page", "kernel.org", "www.paypal.com/signin"],
    );
    check(
        "malicious-url",
        &["http://93.184.216.34:48123/Mozi.m", "some-shop.ru/wp-content/gate.php"],
        &["www.wikipedia.org/wiki/Main_Page", "www.debian.org/News/2023/20230610"],
    );
    check(
        "malicious-download",
        &[
            r#"{"url":"http://93.184.216.34/bins/arm7","mime_type":"application/x-executable"}"#,
            r#"{"url":"http://some-shop.ru/inv/x.exe","mime_type":"application/x-dosexec","user_agent":""}"#,
        ],
        &[
            r#"{"url":"http://deb.debian.org/debian/pool/main/l/ledit/ledit_2.04-6_amd64.deb"}"#,
            r#"{"url":"http://cdn.example.com/js/app.js","mime_type":"text/plain"}"#,
        ],
    );
}

/// A real exploit kit of 2013: a page that was broken into leads to a server below dynamic DNS, which
/// serves a document and then programs.
#[test]
fn an_exploit_kit_is_found_down_to_the_lines_of_both_logs() {
    let log = |name: &str| fs::read(format!("tests/data/exploit-kit/{name}.log.gz")).unwrap();
    let (http, files) = (log("http"), log("files"));
    let place = Place::with(&[("http.log.gz", http.as_slice()), ("files.log.gz", &files)]);
    let run = place.replay(&[]).ok();
    let alerts = run.alerts();
    let of = |detector: &str| -> Vec<&Value> {
        alerts.iter().filter(|it| it["ueba"]["detector"] == detector).collect()
    };
    let downloads = of("malicious-download");
    assert_eq!(downloads.len(), 1, "{alerts:?}");
    let alert = downloads[0];
    assert_eq!(alert["ueba"]["entity"], "host:192.168.33.10");
    assert!(alert.to_string().contains("hnhmrkw.myftp.biz"), "{alert}");
    let micros = |value: &Value| (value.as_f64().unwrap() * 1e6).round() as u64;
    let reasons = alert["ueba"]["reasons"].as_array().unwrap();
    let sum: u64 = reasons.iter().map(|it| micros(&it["contribution"])).sum();
    assert_eq!(sum, micros(&alert["ueba"]["score"]), "{alert}");
    let logs: Vec<&str> = alert["ueba"]["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["log"].as_str().unwrap())
        .collect();
    assert!(logs.contains(&"http") && logs.contains(&"files"), "{logs:?}");
    // Nothing else in these logs is called bad, but the page that was broken into.
    assert_eq!(of("malicious-url").len(), 2, "{alerts:?}");
    for alert in alerts.iter().filter(|it| it["ueba"]["detector"] != "risk") {
        let text = alert.to_string();
        assert!(text.contains("hnhmrkw.myftp.biz") || text.contains("guyspy.com"), "{alert}");
    }
}

#[test]
fn the_cache_changes_no_score() {
    let line = |n: usize| format!("n{}x{}.com\n", n * n % 977, n % 13);
    let names: String = (0..4000).map(line).collect();
    let of = |cache: &str| score(names.as_bytes(), &["--no-reasons", "--set", cache]);
    let without = of("model.cache=0");
    assert_eq!(without, of("model.cache=65536"));
    assert_eq!(without, of("model.cache=100"));
}

#[test]
fn a_model_that_is_not_the_one_of_the_list_is_refused_with_what_mends_it() {
    let refused = |place: &TempDir, what: &str, args: &[&str], exit: i32| {
        let set = dir(place);
        let (_, err, code) = run(&[args, &["--set", &set]].concat(), b"a.com\n");
        assert_eq!(code, Some(exit), "{err}");
        assert!(err.contains(what), "{err:?} and not {what:?}");
        err
    };
    let changed = copy();
    let path = changed.path().join("dga.onnx");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    for args in [["check"].as_slice(), &["score", "dga"]] {
        let err = refused(&changed, "dga.onnx: its SHA-256 is ", args, 78);
        assert!(err.contains("make train DETECTOR=dga"), "{err}");
    }
    fs::remove_file(&path).unwrap();
    refused(&changed, "dga.onnx: No such file", &["check"], 78);
    for (from, to, what) in [
        ("opset = ", "opset = 1", "its operators are of version"),
        ("width = ", "width = 1", "lists the inputs"),
        ("features = ", "features = 9", "it wants features 9"),
        ("file = \"dga.onnx\"", "file = \"../dga.onnx\"", "not the name of a file"),
        ("[dga", "[agd", "no model of dga"),
        ("[dga]", "[dga", "models.toml: "),
        ("threshold = ", "treshold = ", "unknown field"),
    ] {
        let place = copy();
        edit(&place, from, to);
        refused(&place, what, &["check"], 78);
    }
    let empty = TempDir::new().unwrap();
    refused(&empty, "models.toml: ", &["check"], 78);
}

/// A program beside which there is nothing.
fn lonely() -> (TempDir, std::path::PathBuf) {
    let place = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = place.path().join("zeek-ueba");
    fs::hard_link(BINARY, &program).unwrap();
    (place, program)
}

#[test]
fn without_library_or_models_everything_else_runs_and_says_so() {
    let (place, program) = lonely();
    let run = |args: &[&str]| {
        let output = Command::new(&program).args(args).stdin(Stdio::null()).output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let source = place.path().join("dns.log");
    fs::write(&source, asked("10.0.0.5", 40, "xkqz", "biz")).unwrap();
    let source = source.display().to_string();
    let replay = |name: &str| {
        let out = place.path().join(name);
        let (err, code) = run(&["replay", "-o", &out.display().to_string(), &source]);
        assert_eq!(code, Some(0), "{err}");
        assert!(
            err.contains("stages are off") && err.contains("stages=\"dga, phishing, "),
            "{err}"
        );
        assert!(err.contains("make build"), "{err}");
        let events = fs::read_to_string(out.join("events.ndjson")).unwrap();
        assert_eq!(events.matches("\"scores\":{}").count(), 40, "{events}");
    };
    replay("without-both");
    let (err, code) = run(&["check"]);
    assert!(code == Some(0) && err.contains("stages are off"), "{err}");
    let (err, code) = run(&["score", "dga"]);
    assert!(code == Some(69) && err.contains("ONNX Runtime"), "{err}");
    let library = Path::new(BINARY).parent().unwrap().join("libonnxruntime.so");
    std::os::unix::fs::symlink(library, place.path().join("libonnxruntime.so")).unwrap();
    replay("without-models");
    let (err, code) = run(&["score", "dga"]);
    assert!(code == Some(69) && err.contains("no models"), "{err}");
}

/// What is named, or there, and is no library is a mistake and no absence.
#[test]
fn what_is_no_library_is_refused() {
    let (place, program) = lonely();
    let none = format!("model.library={:?}", place.path().join("none.so").display().to_string());
    for (args, exit) in
        [(["check", "--set", &none].as_slice(), 78), (&["score", "dga", "--set", &none], 69)]
    {
        let (_, err, code) = run(args, b"");
        assert_eq!(code, Some(exit), "{err}");
        assert!(err.contains("none.so") && err.contains("make onnxruntime"), "{err}");
    }
    fs::write(place.path().join("libonnxruntime.so"), b"not a library").unwrap();
    let output = Command::new(program).arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

/// A dns.log in JSON of so many names that do not exist, one in half a minute.
fn asked(client: &str, count: usize, prefix: &str, suffix: &str) -> String {
    let line = |n: usize| {
        let noise: String = (0..9)
            .map(|at| char::from(b'a' + ((n * n * 7 + at * at * 5 + n * at * 11 + at) % 26) as u8))
            .collect();
        format!(
            "{{\"ts\":{}.5,\"uid\":\"C{n}\",\"id.orig_h\":\"{client}\",\"id.orig_p\":5,\
             \"id.resp_h\":\"10.0.0.1\",\"id.resp_p\":53,\"proto\":\"udp\",\"trans_id\":{n},\
             \"query\":\"{prefix}{noise}.{suffix}\",\"rcode\":3,\"rcode_name\":\"NXDOMAIN\"}}\n",
            1_700_000_000 + n * 30
        )
    };
    (0..count).map(line).collect()
}

/// The same in TSV.
fn as_tsv(json: &str) -> String {
    let keys = [
        ("ts", "time"),
        ("uid", "string"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("proto", "enum"),
        ("trans_id", "count"),
        ("query", "string"),
        ("rcode", "count"),
        ("rcode_name", "string"),
    ];
    let [fields, types] =
        [keys.map(|(key, _)| key), keys.map(|(_, kind)| kind)].map(|words| words.join(" "));
    let mut log = header("dns", &fields, &types);
    for line in json.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let cells = keys.map(|(key, _)| match &record[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        log.push_str(&cells.join("\t"));
        log.push('\n');
    }
    log
}

#[test]
fn a_client_that_asks_for_generated_names_is_an_alert_down_to_the_lines() {
    let json = asked("10.0.0.5", 40, "", "biz") + &asked("10.0.0.6", 3, "q", "info");
    let place = Place::with(&[("dns.log", json.as_bytes())]);
    let run = place.replay(&[]).ok();
    let alerts: Vec<Value> =
        run.alerts().into_iter().filter(|it| it["ueba"]["detector"] == "dga").collect();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (alert, ueba) = (&alerts[0], &alerts[0]["ueba"]);
    assert_eq!(ueba["entity"], "host:10.0.0.5");
    assert_eq!(alert["threat"]["technique"][0]["id"], "T1568.002");
    let listed = fs::read_to_string("onnx/models.toml").unwrap();
    let model = &ueba["model"];
    assert_eq!(model["name"], "dga");
    for key in ["version", "sha256"] {
        let line = format!("{key} = {}", model[key]);
        assert!(listed.contains(&line), "{line}");
    }
    let reasons = ueba["reasons"].as_array().unwrap();
    let micros = |value: &Value| (value.as_f64().unwrap() * 1e6).round() as u64;
    let sum: u64 = reasons.iter().map(|it| micros(&it["contribution"])).sum();
    assert_eq!(sum, micros(&ueba["score"]));
    let events = run.events();
    let evidence = ueba["evidence"].as_array().unwrap();
    assert!((4..=5).contains(&evidence.len()));
    let named = reasons.iter().filter(|it| it["feature"] == "generated_name");
    for (reason, record) in named.zip(evidence) {
        let event = events.iter().find(|it| it["event"]["id"] == record["event_id"]).unwrap();
        let (name, score) = (&event["zeek"]["dns"]["query"], &event["ueba"]["scores"]["dga"]);
        let shown = reason["observed"].as_str().unwrap();
        let begin =
            format!("{} {:.6}, does not exist", name.as_str().unwrap(), score.as_f64().unwrap());
        assert!(shown.starts_with(&begin), "{shown} and not {begin}");
    }
    // The same records in TSV, in the other order of files: the same alert.
    let halves = as_tsv(&json);
    let other = Place::with(&[("dns.log", halves.as_bytes())]).replay(&[]).ok();
    let of = |run: &Run| -> Vec<Value> {
        run.alerts().into_iter().map(|it| it["ueba"]["reasons"].clone()).collect()
    };
    assert_eq!(of(&other), of(&run));
    // What is hidden of the log is hidden of the reasons.
    let hidden = place.replay_as("hidden", &["--set", "event.redact=[\"dns.query\"]"]).ok();
    let text = String::from_utf8(hidden.bytes("alerts.ndjson")).unwrap();
    assert!(text.contains("[redacted]") && text.contains("\"detector\":\"dga\""), "{text}");
    assert!(!text.contains(".biz"), "{text}");
    // Names of ours are neither scored nor counted.
    let ours = place.replay_as("ours", &["--set", "stage.dga.local=[\"*.biz\"]"]).ok();
    assert!(ours.alerts().iter().all(|it| it["ueba"]["detector"] != "dga"));
    let other =
        ours.events().iter().filter(|it| it["ueba"]["scores"] == serde_json::json!({})).count();
    assert_eq!(other, 40);
}

#[test]
fn who_waits_for_an_answer_gets_it() {
    let mut child = Command::new(BINARY)
        .args(["score", "dga", "--no-reasons"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    for name in ["a.com", "-", "b.org"] {
        writeln!(stdin, "{name}").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert!(line.contains(name), "{line}");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Names of two words that look like anybody's: that none of fifty exists tells, where it is the
/// domains that were asked for.
#[test]
fn fifty_names_that_do_not_exist_tell_whatever_they_look_like() {
    let words = ["garden", "bakery", "school", "travel", "music", "repair", "coffee", "studio"];
    let check = |above: &str, rcode: &str, expected: usize| {
        let line = |n: usize| {
            let (a, b) = (words[n % 8], words[n / 8 % 8]);
            format!(
                "{}.5 C{n} 10.0.0.5 10.0.0.1 {above}{a}{b}.com {rcode}\n",
                1_700_000_000 + n * 30
            )
        };
        let mut log = header(
            "dns",
            "ts uid id.orig_h id.resp_h query rcode_name",
            "time string addr addr string string",
        );
        log.push_str(&(0..50).map(line).collect::<String>().replace(' ', "\t"));
        let run = Place::with(&[("dns.log", log.as_bytes())]).replay(&[]).ok();
        let alerts = run.alerts().iter().filter(|it| it["ueba"]["detector"] == "dga").count();
        assert_eq!(alerts, expected, "{above} {rcode}");
    };
    check("", "NXDOMAIN", 1);
    check("www.", "NXDOMAIN", 1);
    check("", "NOERROR", 0);
    check("", "REFUSED", 0);
    check("_dmarc.", "NXDOMAIN", 0);
    check("2.0.0.127.", "NXDOMAIN", 0);
}
