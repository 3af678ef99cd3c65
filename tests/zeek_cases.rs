//! The catalogue of odd log files, Z01 to Z44: what the parser makes of each.
//!
//! The cases are files in tests/data/cases; `BLESS=1` writes what is found as what is expected. The
//! catalogue decides what is right, so read the difference before it is committed.

mod laws;
mod notation;
mod reading;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeek_ueba::base::limits::{BATCH_BYTES_MAX, DEAD_LETTER_BYTES};
use zeek_ueba::record::Log;
use zeek_ueba::record::schema::ColumnId;
use zeek_ueba::zeek::{Parser, Settings, configured};

use notation::{Case, Input};
use reading::{Entry, Reading, read, tiles};

/// Numbers of the catalogue that are no matter of the parser, and why.
const ELSEWHERE: &[(u32, &str)] = &[
    (21, "truncated in place: a new generation gets a new parser"),
    (37, "a copy of a file: replay finds twins by generation"),
    (38, "a rotated file and its growing .gz: replay finds twins by generation"),
    (39, "a .gz that ends early: the reader of files"),
    (40, "five files of one second: generations differ, see Generation"),
    (41, "files that shift names: generation, not name"),
    (42, "a symlink that is set anew: discovery"),
    (43, "a name earlier than the one before: discovery"),
    (44, "files that are no logs of ours: identify"),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases")
}

fn case_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn cases_are_read_as_the_catalogue_says() {
    let failures: Vec<String> = case_files().iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_case_is_somewhere() {
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix('Z')?.parse().ok();
    let here = case_files().iter().map(|path| number(path).expect("Z and a number")).collect();
    let elsewhere: BTreeSet<u32> = ELSEWHERE.iter().map(|(number, _)| *number).collect();
    let all: BTreeSet<u32> = (1..=44).collect();
    assert_eq!(&here | &elsewhere, all, "neither a file nor in the list");
    assert!(here.is_disjoint(&elsewhere), "a file and in the list");
}

#[test]
fn lines_that_are_no_records_fill_a_batch_with_their_bytes() {
    let file = [b"lorem ipsum ".repeat(6000), b"\n".to_vec()].concat().repeat(100);
    let settings = settings(Log::Conn);
    let (mut parser, mut batch) = (Parser::new(&settings), settings.batch());
    let (mut at, mut rejects) = (0, 0);
    while at < file.len() {
        let progress = parser.parse(&file[at..], 1024, &mut batch);
        let bytes: usize = batch.rejects.iter().map(|reject| reject.raw.len()).sum();
        assert!(progress.is_full == (bytes >= BATCH_BYTES_MAX), "{bytes} bytes of rejects");
        assert!(bytes < BATCH_BYTES_MAX + DEAD_LETTER_BYTES, "{bytes} bytes of rejects");
        (at, rejects) = (at + progress.consumed, rejects + batch.rejects.len());
        batch.clear();
    }
    assert_eq!(rejects, 100);
}

/// Reads each input of a case whole, in its writes and in small pieces, and compares.
fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let mut case = Case::parse(&text);
    let mut failures = Vec::new();
    let mut before: Option<Reading> = None;
    for input in &mut case.inputs {
        let reading = read_input(input);
        let found = reading.render();
        if found != input.expected {
            failures.push(format!("expected:\n{}found:\n{found}", input.expected));
        }
        if input.is("same") {
            let before = before.expect("an input before");
            assert_eq!(before.typed(), reading.typed(), "{}: {}", path.display(), input.words);
        }
        input.expected = found;
        before = Some(reading);
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, case.render()).unwrap();
        return Ok(());
    }
    if failures.is_empty() {
        assert_eq!(case.render(), text, "{}: not as it would be written", path.display());
        return Ok(());
    }
    Err(format!("{}: {}", path.display(), failures.join("\n")))
}

fn read_input(input: &Input) -> Reading {
    let settings = settings_of(input);
    let writes = input.writes();
    let is_live = input.is("live");
    let file = writes.concat();
    let whole = read(&settings, [file.as_slice()], 1024, is_live);
    for (rows_max, size) in [(1, 1), (2, 7), (1024, 64)] {
        // A byte at a time takes the square of a line's length.
        let size = if file.len() < 100_000 { size } else { size << 16 };
        assert_eq!(whole, read(&settings, file.chunks(size), rows_max, is_live), "by {size} bytes");
    }
    assert_eq!(whole, read(&settings, writes.iter().map(Vec::as_slice), 1024, is_live));
    tiles(&file[..usize::try_from(whole.end).unwrap()], &whole);
    for entry in &whole.entries {
        if let Entry::Reject(reject) = entry {
            let start = usize::try_from(reject.offset).unwrap();
            let line = &file[start..start + usize::try_from(reject.length).unwrap()];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            assert_eq!(reject.sha256, <[u8; 32]>::from(Sha256::digest(line)));
        }
    }
    whole
}

fn settings_of(input: &Input) -> Settings {
    let log = input.word("log").map_or(Log::Conn, |name| Log::from_name(name).unwrap());
    let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
    let pair = |word: &str| {
        let (from, to) = word.split_once(':').unwrap();
        (from.to_owned(), to.to_owned())
    };
    Settings {
        line_bytes_max: input.word("line_max").map_or(1 << 20, |bytes| bytes.parse().unwrap()),
        configured: input.word("configured").map(|list| Arc::new(configured(log, &names(list)))),
        alias: input.word("alias").map(pair).into_iter().collect(),
        ..settings(log)
    }
}

/// All columns of the log are wanted, and nothing else is special.
fn settings(log: Log) -> Settings {
    let ids = (0..log.columns().len()).map(|index| ColumnId(u8::try_from(index).unwrap()));
    Settings {
        log,
        wanted: ids.collect(),
        line_bytes_max: 1 << 20,
        configured: None,
        alias: Vec::new(),
    }
}
