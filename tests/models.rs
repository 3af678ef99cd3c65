//! Models from outside: what `score` says, what is refused and how it is mended, what a daemon does
//! without them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

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
    let (out, err, code) = run(&[&["score", "dga"], more].concat(), input);
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
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
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
        (b"printer.local", "local"),
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
    let by_name = |at: usize| alone[at]["score"].as_f64().unwrap();
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
        ("[dga]", "[agd]", "no model of dga"),
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

#[test]
fn without_the_library_everything_else_runs_and_says_so() {
    let place = TempDir::new().unwrap();
    let (library, out) = (place.path().join("none.so"), place.path().join("out"));
    let set = format!("model.library={:?}", library.display().to_string());
    let log = "{\"ts\":1700000000.0,\"uid\":\"C1\",\"id.orig_h\":\"10.0.0.5\",\"id.orig_p\":5,\
        \"id.resp_h\":\"10.0.0.1\",\"id.resp_p\":53,\"proto\":\"udp\",\"trans_id\":1,\
        \"query\":\"xkqzvwpbnrtjh.biz\",\"rcode\":3,\"rcode_name\":\"NXDOMAIN\"}\n";
    fs::write(place.path().join("dns.log"), log).unwrap();
    let source = place.path().join("dns.log").display().to_string();
    let replay = |set: &[&str], out: &Path| {
        let out = out.display().to_string();
        let (_, err, code) = run(&[&["replay", "-o", &out, &source], set].concat(), b"");
        assert_eq!(code, Some(0), "{err}");
        (fs::read_to_string(format!("{out}/events.ndjson")).unwrap(), err)
    };
    let (events, err) = replay(&["--set", &set], &out);
    assert!(err.contains("stages are off") && err.contains("dga"), "{err}");
    assert!(err.contains("make onnxruntime"), "{err}");
    assert!(events.contains("\"scores\":{}"), "{events}");
    let (_, err, code) = run(&["score", "dga", "--set", &set], b"a.com\n");
    assert_eq!(code, Some(69), "{err}");
    // What is no library at all is as good as none, and says so.
    fs::write(&library, b"not a library").unwrap();
    let (_, err, code) = run(&["score", "dga", "--set", &set], b"a.com\n");
    assert_eq!(code, Some(69), "{err}");
    let (events, err) = replay(&[], &place.path().join("with"));
    assert!(!err.contains("stages are off"), "{err}");
    assert!(events.contains("\"scores\":{\"dga\":0."), "{events}");
    let (_, err, code) = run(&["check", "--set", &set], b"");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("stages are off"), "{err}");
}
