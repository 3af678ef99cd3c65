//! The cases Z01 to Z44 of Zeek's formats, as data: `tests/data/zeek_cases.txt`.
//!
//! A case is `== Z01 tsv` (or `json`), the lines of a log, `--`, and what is read of them: one line
//! per row or reject. In the lines `<T>` is a tab and `<xHH>` a byte; `<end>` ends the file without
//! a line feed.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zeek_ueba::base::limits::BATCH_ROWS_MAX;
use zeek_ueba::record::schema::{ColumnId, Kind};
use zeek_ueba::record::{Batch, Format, Log};
use zeek_ueba::zeek::{Identity, Parser, Settings, identify};

const CASES: &str = include_str!("data/zeek_cases.txt");

/// Cases that are not a matter of the parser, and where they are tested.
const ELSEWHERE: &[(u32, &str)] = &[
    (21, "a file of another form is another generation: identify reads it anew"),
    (30, "live files: the tailer's"),
    (36, "bad_input::long_lines"),
    (37, "laws::a_copy_is_read_once_and_forks_both"),
    (38, "laws::a_copy_is_read_once_and_forks_both"),
    (39, "laws::a_copy_is_read_once_and_forks_both"),
    (40, "laws::three_hundred_loggers_at_once"),
    (41, "live files: the tailer's"),
    (42, "live files: the tailer's"),
    (43, "laws::files_and_their_borders_do_not_matter: names are never looked at for order"),
    (44, "zeek::identify::names_decide_where_content_says_nothing"),
];

fn bytes(text: &str) -> Vec<u8> {
    let text = text.strip_suffix("<end>\n").unwrap_or(text);
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<T>") {
            out.push(b'\t');
            rest = after;
        } else if let Some(hex) = rest.strip_prefix("<x").and_then(|r| r.get(..2)) {
            out.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &rest[5..];
        } else {
            out.push(b'<');
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn settings(log: Log) -> Settings {
    let wanted = (0..log.columns().len()).map(|index| ColumnId(index as u8)).collect();
    Settings { log, wanted, line_bytes_max: 4096, configured: None, alias: Vec::new() }
}

/// Bytes as text that shows each of them.
fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// What stands in a batch, a line per row and reject.
fn render(batch: &Batch, out: &mut String) {
    let mut rejects = batch.rejects.iter().peekable();
    for row in 0..=batch.rows() {
        while let Some(reject) = rejects.next_if(|reject| reject.row == row) {
            let raw = shown(&reject.raw);
            *out += &format!(
                "! {} at {} of {}: {raw}\n",
                reject.reason.name(),
                reject.offset,
                reject.length
            );
        }
        if row == batch.rows() {
            break;
        }
        let mut cells = Vec::new();
        for (index, def) in batch.log().columns().iter().enumerate() {
            let id = ColumnId(index as u8);
            let column = batch.column(id);
            let value = match def.kind {
                Kind::Time | Kind::Interval => column.micros(row).map(|value| format!("{value}us")),
                Kind::Count | Kind::Port => column.count(row).map(|value| value.to_string()),
                Kind::Addr => column.addr(row).map(|value| value.to_string()),
                Kind::Flag => column.flag(row).map(|value| value.to_string()),
                Kind::Text => batch.text(id, row).map(|text| format!("'{}'", shown(text))),
                Kind::List => column.is_set(row).then(|| {
                    let items = batch.list(id, row).map(|item| match item {
                        Some(item) => format!("'{}'", shown(item)),
                        None => "unset".to_owned(),
                    });
                    format!("[{}]", items.collect::<Vec<_>>().join(" "))
                }),
            };
            cells.extend(value.map(|value| format!("{}={value}", def.name)));
        }
        *out += &format!("{} {}\n", batch.lines[row].offset, cells.join(" "));
    }
}

/// Reads `bytes` in chunks of these sizes, over and over; the rows, rejects, and empty lines.
fn read(bytes: &[u8], log: Log, chunks: &[usize], rows_max: usize) -> (String, u64) {
    let settings = settings(log);
    let mut parser = Parser::new(&settings);
    let mut batch = settings.batch();
    let mut out = String::new();
    let (mut start, mut end) = (0, 0);
    let mut sizes = chunks.iter().cycle();
    loop {
        let progress = parser.parse(&bytes[start..end], rows_max, &mut batch);
        start += progress.consumed;
        if progress.is_full {
            render(&batch, &mut out);
            batch.clear();
        } else if end == bytes.len() {
            parser.finish(&bytes[start..], &mut batch);
            render(&batch, &mut out);
            return (out, parser.empty_lines());
        } else {
            end = (end + sizes.next().unwrap()).min(bytes.len());
        }
    }
}

/// What is read of a case.
fn outcome(text: &str) -> (Vec<u8>, Log, String) {
    let bytes = bytes(text);
    match identify(&bytes, true, "conn.log", &[]) {
        Identity::Ours { log, .. } => {
            let (found, _) = read(&bytes, log, &[bytes.len().max(1)], BATCH_ROWS_MAX);
            (bytes, log, found)
        }
        other => (Vec::new(), Log::Dns, format!("{other:?}\n")),
    }
}

fn check(name: &str, text: &str, expected: &str) {
    let (bytes, log, found) = outcome(text);
    assert_eq!(found, expected, "{name}; BLESS=1 writes what is found");
    if bytes.is_empty() {
        return;
    }
    for size in [1, 7, 64] {
        let (again, _) = read(&bytes, log, &[size], 2);
        assert_eq!(again, found, "{name} in chunks of {size}");
    }
}

/// Name, form, lines, expectation.
fn cases() -> Vec<(String, String, String, String)> {
    CASES
        .split("== ")
        .skip(1)
        .map(|case| {
            let (title, rest) = case.split_once('\n').unwrap();
            let (lines, expected) = rest.split_once("--\n").unwrap_or_else(|| panic!("{title}"));
            let (name, form) = title.split_once(' ').unwrap();
            (name.to_owned(), form.to_owned(), lines.to_owned(), expected.to_owned())
        })
        .collect()
}

#[test]
fn every_case_reads_as_the_catalogue_says() {
    if std::env::vars().any(|(key, _)| key == "BLESS") {
        let case = |(name, form, lines, _): (String, String, String, String)| {
            let (_, _, found) = outcome(&lines);
            format!("== {name} {form}\n{lines}--\n{found}\n")
        };
        let text: String = cases().into_iter().map(case).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/zeek_cases.txt");
        return std::fs::write(path, text).unwrap();
    }
    for (name, form, lines, expected) in cases() {
        check(&format!("{name} {form}"), &lines, &(expected.trim_matches('\n').to_owned() + "\n"));
    }
}

#[test]
fn every_case_is_somewhere() {
    let here: BTreeSet<u32> = cases().iter().map(|(name, ..)| name[1..].parse().unwrap()).collect();
    let elsewhere: BTreeSet<u32> = ELSEWHERE.iter().map(|(number, _)| *number).collect();
    let all: BTreeSet<u32> = here.union(&elsewhere).copied().collect();
    assert_eq!(all, (1..=44).collect());
}

/// Pieces of logs, good and bad, for the laws.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n#fields\tts\tuid\tquery\tanswers\trtt\n#types\ttime\tstring\tstring\tvector[string]\tinterval\n";
    let other = "#fields\tquery\tts\n#types\tstring\ttime\n";
    let piece = prop_oneof![
        Just(header.as_bytes().to_vec()),
        Just(other.as_bytes().to_vec()),
        "[0-9]{1,10}\\.[0-9]{6}\tC[a-z]\t(-|\\(empty\\)|[a-z.]{0,9})\t(-|a,b|-,x\\\\x2c)\t(-|0\\.[0-9]{6})\n".prop_map(String::into_bytes),
        "[a-z]{1,9}\t[0-9]{1,10}\\.[0-9]{6}\n".prop_map(String::into_bytes),
        "\\{\"ts\":[0-9]{1,10},\"uid\":\"[a-z\\\\\\\\n]{0,6}\",\"x\":[0-9]{1,3}\\}\n".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(vec![0; 30]),
        (4000..6000_usize).prop_map(|length| [vec![b'y'; length], b"\n".to_vec()].concat()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        bytes in lines(),
        chunks in proptest::collection::vec(1..200_usize, 1..6),
        rows_max in 1..6_usize,
    ) {
        let whole = read(&bytes, Log::Dns, &[bytes.len().max(1)], BATCH_ROWS_MAX);
        prop_assert_eq!(whole, read(&bytes, Log::Dns, &chunks, rows_max));
    }

    #[test]
    fn every_line_ends_somewhere(bytes in lines()) {
        // Rows, rejects, empty lines and lines of a header: together as many as there are.
        let (found, empty) = read(&bytes, Log::Dns, &[1 << 20], BATCH_ROWS_MAX);
        let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let lines: Vec<&[u8]> = body.split_inclusive(|&byte| byte == b'\n').collect();
        let outcomes = found.lines().count() as u64 + empty;
        prop_assert!(outcomes <= lines.len() as u64);
        let meta = lines.iter().filter(|line| line.starts_with(b"#")
            || zeek_like_header(line)).count() as u64;
        prop_assert!(outcomes + meta >= lines.len() as u64, "{} {} {}", outcomes, meta, lines.len());
    }

    #[test]
    fn json_is_what_serde_takes(line in "\\{[ -~]{0,30}\\}|\\{\"ts\":[-0-9.eE+]{1,8}(,\"[a-z]{1,3}\":[ -~]{1,12}){0,2}\\}") {
        let with_ts = line.replacen('{', "{\"ts\":1,\"zz\":", 1);
        for line in [line, with_ts] {
            let serde = serde_json::from_str::<serde_json::Value>(&line);
            let ours = zeek_ueba::zeek::json::members(line.as_bytes()).is_some();
            if serde.is_ok_and(|value| value.is_object()) {
                prop_assert!(ours, "{}", line);
            }
            let (found, _) = read(format!("{line}\n").as_bytes(), Log::Dns, &[99], 9);
            if !found.starts_with('!') {
                let serde = serde_json::from_str::<serde_json::Value>(&line);
                let is_known = serde.as_ref().err().is_some_and(|error| {
                    let error = error.to_string();
                    error.contains("out of range") || error.contains("surrogate")
                        || error.contains("hex escape")
                });
                prop_assert!(serde.is_ok() || is_known, "{} {:?}", line, serde);
            }
        }
    }

    #[test]
    fn cells_are_those_of_csv(cells in proptest::collection::vec("[ -~]{0,8}", 6), rows in 1..9_usize) {
        let header = "#separator \\x09\n#fields\tts\ta\tb\tc\td\te\tf\n";
        let line = format!("1.0\t{}\n", cells.join("\t"));
        let text = format!("{header}{}", line.repeat(rows));
        let settings = settings(Log::Dns);
        let mut batch = settings.batch();
        Parser::new(&settings).parse(text.as_bytes(), BATCH_ROWS_MAX, &mut batch);
        prop_assert_eq!((batch.rows(), batch.format()), (rows, Format::Tsv));
        let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').quoting(false)
            .has_headers(false).flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(&text.as_bytes()[header.len()..]);
        let fields = batch.header.clone().unwrap();
        for (row, record) in reader.byte_records().enumerate() {
            let record = record.unwrap();
            for index in 0..7 {
                prop_assert_eq!(batch.cell(row, index, &fields), &record[index]);
            }
        }
    }
}

/// Whether a line may have been taken for a header that has no `#`.
fn zeek_like_header(line: &[u8]) -> bool {
    line.windows(10).any(|window| window == b"separator ") || line.windows(2).any(|w| w == b"ts")
}
