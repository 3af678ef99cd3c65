//! The list of bad input, row by row: a clear error or a dead letter, the good lines around it
//! untouched, bounded memory, never a panic.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Place, Run, conn, gzip, header, program};

const GOOD: [&str; 2] =
    ["1700000000.0 C1 10.0.0.1 9.9.9.9 1.0 1", "1700000001.0 C2 10.0.0.1 9.9.9.9 1.0 1"];

/// Puts `line` (with its end) between two good rows, and expects one dead letter of `reason` for
/// exactly its bytes.
fn check(line: &[u8], reason: &str) -> Run {
    let log = conn(&GOOD);
    let at = log.len() - GOOD[1].len() - 1;
    let bytes = [&log.as_bytes()[..at], line, &log.as_bytes()[at..]].concat();
    let run = Place::with(&[("conn.log", &bytes)]).replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2"], "{reason}");
    assert_eq!(run.reasons(), [format!("{reason} {at} {}", line.len())]);
    run
}

#[test]
fn wrong_column_counts() {
    check(b"1700000000.5\tC9\t10.0.0.1\n", "column_count");
    check(b"1700000000.5\tC9\t10.0.0.1\t9.9.9.9\t1.0\t1\t2\n", "column_count");
}

#[test]
fn values_of_the_wrong_type() {
    check(b"yesterday\tC9\t10.0.0.1\t9.9.9.9\t1.0\t1\n", "bad_field");
    check(b"-\tC9\t10.0.0.1\t9.9.9.9\t1.0\t1\n", "bad_field");
    let run = check(b"1700000000.5\tC9\t10.0.0.1\t9.9.9.9\t1.0\t-1\n", "bad_field");
    assert_eq!(run.letters()[0]["detail"], "field orig_bytes");
    check(b"99999999999999999.0\tC9\t10.0.0.1\t9.9.9.9\t1.0\t1\n", "bad_field");
}

#[test]
fn nul_blocks() {
    check(&[vec![0; 5000], b"\n".to_vec()].concat(), "nul_block");
    check(&[vec![0; 3 << 20], b"\n".to_vec()].concat(), "nul_block");
    check(b"1700000000.5\tC\09\t10.0.0.1\t9.9.9.9\t1.0\t1\n", "nul_block");
}

#[test]
fn long_lines() {
    let run = check(&[vec![b'x'; 3 << 20], b"\n".to_vec()].concat(), "oversize");
    let letter = &run.letters()[0];
    let raw = data_encoding::BASE64.decode(letter["raw"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(raw, vec![b'x'; 64 << 10]);
    let all = zeek_ueba::zeek::sha256(&vec![b'x'; 3 << 20]);
    assert_eq!(letter["sha256"], data_encoding::HEXLOWER.encode(&all));
}

/// A gibibyte without an end, in bounded memory: the system ends the process if it takes more.
#[test]
fn a_gibibyte_without_an_end() {
    let place = Place::with(&[("conn.log", conn(&GOOD).as_bytes())]);
    let file = fs::OpenOptions::new().append(true).open(place.logs().join("conn.log")).unwrap();
    let mut file = std::io::BufWriter::with_capacity(1 << 20, file);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        file.write_all(&piece).unwrap();
    }
    file.flush().unwrap();
    check_a_gibibyte(&place);
}

/// The same in a file of a few mebibytes.
#[test]
fn a_small_file_that_stands_for_a_gibibyte() {
    let place = Place::with(&[("conn.log", b"")]);
    let file = fs::File::create(place.logs().join("conn.log")).unwrap();
    let mut file = GzEncoder::new(file, Compression::fast());
    file.write_all(conn(&GOOD).as_bytes()).unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        file.write_all(&piece).unwrap();
    }
    assert!(file.finish().unwrap().metadata().unwrap().len() < 16 << 20);
    check_a_gibibyte(&place);
}

fn check_a_gibibyte(place: &Place) {
    let mut shell = Command::new("sh");
    let line = "ulimit -v 1000000; exec \"$0\" replay -q -o \"$1\" \"$2\"";
    let output = place.path().join("out");
    shell.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_zeek-ueba")).arg(&output).arg(place.logs());
    let run = Run::new(&output, &shell.output().unwrap()).ok();
    assert_eq!(run.uids(), ["C1", "C2"]);
    let at = conn(&GOOD).len();
    assert_eq!(run.reasons(), [format!("oversize {at} {}", 1_u64 << 30)]);
}

#[test]
fn invalid_utf8_is_kept_and_named() {
    let mut log = conn(&GOOD).into_bytes();
    log.extend_from_slice(b"1700000002.0\tC\xfc\\\\x\t10.0.0.1\t9.9.9.9\t1.0\t1\n");
    let run = Place::with(&[("conn.log", &log)]).replay(&[]).ok();
    let event = &run.events()[2];
    assert_eq!(event["zeek"]["conn"]["uid"], "C\\xfc\\\\x");
    assert_eq!(event["ueba"]["escaped"][0], "uid");
}

#[test]
fn random_bytes() {
    let mut state = 1_u64;
    let mut bytes = Vec::new();
    while bytes.len() < 1 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_le_bytes()[3..]);
    }
    let place = Place::with(&[
        ("conn.log", &bytes),
        ("dns.log.gz", &gzip(&bytes)),
        ("http.log", &[&[0x1f, 0x8b][..], &bytes].concat()),
        ("a/conn.log", conn(&GOOD).as_bytes()),
    ]);
    let run = place.replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2"]);
    let reasons = run.reasons();
    assert!(reasons.len() > 1000);
    let letters = run.letters();
    let is_named = |name| {
        letters.iter().any(|letter| letter["file"] == name)
            || run.stdout.contains(&format!("{name}: gzip_corrupt"))
    };
    for name in ["conn.log", "dns.log.gz", "http.log"] {
        assert!(is_named(name), "{name}: {}", run.stdout);
    }
    let known = ["no_schema", "nul_block", "torn_record", "gzip_corrupt", "not_json"];
    let odd = reasons.iter().find(|reason| !known.iter().any(|known| reason.starts_with(known)));
    assert_eq!(odd, None);
}

#[test]
fn things_that_are_no_files() {
    let place = Place::with(&[("a/conn.log", conn(&GOOD).as_bytes())]);
    fs::create_dir(place.logs().join("conn.log")).unwrap();
    symlink("nowhere", place.logs().join("dns.log")).unwrap();
    symlink("..", place.logs().join("a/up")).unwrap();
    let fifo = place.logs().join("http.log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let run = place.replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2"]);
    for words in ["http.log: not a regular file", "dns.log: No such file", "a link to a directory"]
    {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    assert_eq!(place.replay_paths("fifo", &[fifo], &[]).code, Some(74));
}

/// Each directory is read once, under the name that has no link in it.
#[test]
fn links_from_everywhere_to_everywhere() {
    let place = Place::new();
    let names: Vec<String> = (0..10).map(|n| format!("z{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let row = GOOD[0].replace("C1", &format!("C{n}"));
        place.write(&format!("{name}/conn.log"), (conn(&[&row]) + "torn").as_bytes());
        for other in names.iter().filter(|other| *other != name) {
            symlink(format!("../{other}"), place.logs().join(name).join(format!("a{other}")))
                .unwrap();
        }
        symlink(format!("{name}/conn.log"), place.logs().join(format!("a{n}.log"))).unwrap();
    }
    let run = place.replay(&[]).ok();
    let letters = run.letters();
    let mut files: Vec<&str> = letters.iter().map(|it| it["file"].as_str().unwrap()).collect();
    files.sort_unstable();
    let expected: Vec<String> = names.iter().map(|name| format!("{name}/conn.log")).collect();
    assert_eq!(files, expected);
    let paths = [place.logs(), place.logs().join("z3"), place.logs().join("a4.log")];
    let first = place.replay_paths("first", &paths, &[]).ok();
    let reversed: Vec<_> = paths.iter().rev().cloned().collect();
    assert_eq!(first.all(), place.replay_paths("second", &reversed, &[]).ok().all());
}

#[test]
fn names_that_speak_to_a_terminal() {
    let place = Place::with(&[("conn.log", conn(&GOOD).as_bytes())]);
    symlink("nowhere", place.logs().join("\u{1b}[31mconn\u{9b}1m\n.log")).unwrap();
    let run = place.replay(&[]).ok();
    let alone = place.replay_paths("alone", &[place.logs().join("\u{1b}[2J")], &[]);
    for text in [&run.stdout, &run.stderr, &alone.stderr] {
        assert!(text.contains("\\u{1b}["), "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains("\n.log"), "{text}");
    }
}

#[test]
fn no_permission() {
    let place = Place::with(&[
        ("conn.log", conn(&GOOD).as_bytes()),
        ("x/conn.log", b"#separator \\x09\n#path\tconn\n#fields\tts\n1.0\n"),
    ]);
    let locked = place.logs().join("x/conn.log");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let run = place.replay(&[]).ok();
    // A superuser may read it all the same.
    if fs::File::open(&locked).is_err() {
        assert!(run.stdout.contains("conn.log: Permission denied"), "{}", run.stdout);
        assert_eq!(run.events().len(), 2);
    } else {
        assert_eq!(run.events().len(), 3);
    }
}

#[test]
fn gzip_cut_short_or_corrupt() {
    let rows: Vec<String> = (0..2000)
        .map(|n| {
            format!("17000{n:05}.0 C{n} 10.0.{}.{} 9.9.9.9 {n}.{n:06} {}", n % 200, n % 256, n * n)
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let whole = gzip(conn(&rows).as_bytes());
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    let cut = Place::with(&[("conn.log.gz", &whole[..whole.len() / 2])]).replay(&[]).ok();
    let uids = cut.uids();
    assert!(uids.len() > 500 && uids.iter().enumerate().all(|(n, uid)| *uid == format!("C{n}")));
    let reasons = cut.reasons();
    assert!(reasons.last().unwrap().starts_with("gzip_corrupt"), "{reasons:?}");
    let flipped = Place::with(&[("conn.log.gz", &flipped)]).replay(&[]).ok();
    assert_eq!(flipped.uids().len(), 2000);
    assert!(flipped.reasons()[0].starts_with("gzip_corrupt"));
    let members = [gzip(conn(&rows[..1000]).as_bytes()), gzip(conn(&rows[1000..]).as_bytes())];
    let members = Place::with(&[("conn.log.gz", &members.concat())]).replay(&[]).ok();
    assert_eq!((members.uids().len(), members.letters().len()), (2000, 0));
}

/// Neither a record nor a dead letter comes of them, so the summary has to say why.
#[test]
fn gzip_without_a_row() {
    let whole = gzip(conn(&GOOD).as_bytes());
    let header = gzip(conn(&[]).as_bytes());
    for (name, bytes) in [
        ("conn.log.gz", &whole[..30]),
        ("conn.log.gz", &header[..header.len() - 4]),
        ("dns.log.gz", b"\x1f\x8bGARBAGE"),
        ("foo.gz", b"\x1f\x8bGARBAGE"),
    ] {
        let place = Place::with(&[("good.log", conn(&GOOD).as_bytes()), (name, bytes)]);
        let run = place.replay(&["--strict"]);
        assert_eq!(run.code, Some(65), "{name}: {}", run.stdout);
        assert_eq!(run.uids(), ["C1", "C2"]);
        assert!(run.stdout.contains(&format!("{name}: gzip_corrupt: ")), "{}", run.stdout);
        let alone = place.replay_paths("alone", &[place.logs().join(name)], &[]);
        assert_eq!(alone.code, Some(74), "{name}");
        assert!(alone.stderr.contains("gzip_corrupt"), "{}", alone.stderr);
    }
}

#[test]
fn a_header_that_changes_in_mid_file() {
    let log = conn(&GOOD) + "#fields\tuid\tts\n#types\tstring\ttime\nC3\t1700000005.0\n";
    let run = Place::with(&[("conn.log", log.as_bytes())]).replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2", "C3"]);
}

#[test]
fn negative_and_far_future_times() {
    let rows = [
        GOOD[0],
        "-1.5 C3 10.0.0.1 9.9.9.9 1.0 1",
        "253402300799.999999 C4 10.0.0.1 9.9.9.9 99999999999.0 1",
        "0.0 C5 10.0.0.1 9.9.9.9 -5.0 1",
    ];
    let run = Place::with(&[("conn.log", conn(&rows).as_bytes())]).replay(&[]).ok();
    let times: Vec<String> =
        run.events().iter().map(|event| event["@timestamp"].as_str().unwrap().to_owned()).collect();
    assert_eq!(times[1], "1969-12-31T23:59:58.500000Z");
    assert_eq!(times[2], "9999-12-31T23:59:59.999999Z");
}

#[test]
fn the_wrong_logs_name() {
    let run = Place::with(&[
        ("dns.log", conn(&GOOD).as_bytes()),
        ("conn.log", b"{\"_path\":\"x509\",\"ts\":1}\n"),
    ]);
    let run = run.replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2"]);
    assert!(run.stdout.contains("1 of other logs, ignored"), "{}", run.stdout);
    let mixed = b"{\"_path\":\"conn\",\"ts\":1,\"uid\":\"C1\"}\n{\"_path\":\"dns\",\"ts\":1}\n";
    let run = Place::with(&[("conn.log", mixed)]).replay(&[]).ok();
    assert!(run.reasons()[0].starts_with("foreign_log"));
}

/// Also of logs that are not ours, and of a second filter's path.
#[test]
fn records_of_another_log_in_mid_file() {
    for other in ["dns", "dns-2", "ssl", "weird"] {
        let path = |path, uid| format!("{{\"_path\":\"{path}\",\"ts\":1,\"uid\":\"{uid}\"}}\n");
        let json = [path("conn", "C1"), path(other, "X"), path("conn-2", "C2")].concat();
        let rows = header(other, "ts uid", "time string") + "1700000000.5\tX\n";
        let tsv = [conn(&GOOD[..1]), rows, conn(&GOOD[1..])].concat();
        for log in [json, tsv] {
            let run = Place::with(&[("conn.log", log.as_bytes())]).replay(&[]).ok();
            assert_eq!(run.uids(), ["C1", "C2"], "{other}");
            assert_eq!(run.letters().len(), 1, "{other}");
            assert!(run.reasons()[0].starts_with("foreign_log"), "{other}");
        }
    }
}

#[test]
fn the_last_line_without_an_end() {
    let torn = conn(&GOOD) + "1700000002.0\tC3\t10.0.0.1\t9.9.9.9\t1.0\t1";
    let run = Place::with(&[("conn.log", torn.as_bytes())]).replay(&[]).ok();
    assert_eq!(run.uids(), ["C1", "C2"]);
    assert!(run.reasons()[0].starts_with("torn_record"));
    let whole = b"{\"_path\":\"conn\",\"ts\":1,\"uid\":\"C1\"}";
    assert_eq!(Place::with(&[("conn.log", whole)]).replay(&[]).ok().uids(), ["C1"]);
    let cut = &whole[..whole.len() - 1];
    let run = Place::with(&[("conn.log", cut)]).replay(&[]).ok();
    assert!(run.reasons()[0].starts_with("torn_record"));
}

#[test]
fn an_output_directory_that_is_not_ours() {
    let place = Place::with(&[("conn.log", conn(&GOOD).as_bytes())]);
    fs::create_dir(place.path().join("mine")).unwrap();
    fs::write(place.path().join("mine/diary"), "dear").unwrap();
    let run = place.replay_as("mine", &[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    assert_eq!(fs::read_dir(place.path().join("mine")).unwrap().count(), 1);
    fs::write(place.path().join("file"), "").unwrap();
    assert_eq!(place.replay_as("file", &[]).code, Some(2));
}

#[test]
fn a_full_disk() {
    let place = Place::with(&[("conn.log", conn(&GOOD).as_bytes())]);
    // Every write to this device says that there is no space.
    let script = "mkdir out && exec \"$0\" replay -q -o out logs";
    let limited = format!("ulimit -f 0; trap '' XFSZ; {script}");
    let output = Command::new("sh")
        .current_dir(place.path())
        .arg("-c")
        .arg(limited)
        .arg(env!("CARGO_BIN_EXE_zeek-ueba"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("events.ndjson"), "{stderr}");
    assert_eq!(stderr.matches("events.ndjson").count(), 1, "{stderr}");
}

#[test]
fn a_configuration_with_ten_mistakes() {
    let place = Place::new();
    let toml = "\
[sensor]
id = \"\"
internal = [\"10.0.0.0/8\", \"10.0.0.0/99\"]
[sorce]
x = 1
[source]
lateness = \"5 minutes\"
line_bytes_max = \"1GiB\"
[event]
emit = \"al\"
redact = [\"http\"]
[entity]
max = 0
[risk]
half_live = \"24h\"
[stage.http-oddities]
enabled = \"yes\"
";
    let path = place.path().join("pipeline.toml");
    fs::write(&path, toml).unwrap();
    let output = program().args(["check", "-c"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let prefix = format!("{}:", path.display());
    let places: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    let expected = ["2:6", "3:27", "4:2", "7:12", "8:18", "10:8", "11:11", "13:7", "15:1", "17:11"];
    assert_eq!(places, expected, "{stderr}");
    assert!(stderr.contains("did you mean \"all\"?") && stderr.contains("known: half_life"));
}
