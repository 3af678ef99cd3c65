//! Laws of the parser: the borders of chunks and batches do not matter, every byte is accounted
//! for, both forms of a record are the same record, and `serde_json` and `csv` see what it sees.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use zeek_ueba::base::time::Time;
use zeek_ueba::record::schema;
use zeek_ueba::record::{Batch, Log, RejectReason};
use zeek_ueba::zeek::json::Reader;
use zeek_ueba::zeek::{Parser, Settings, configured, identify};

use super::reading::{Entry, read, tiles};
use super::settings;

/// What fails becomes a case file, not an entry in a file of seeds.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// Lines and pieces of lines that mean something to the parser.
const PIECES: &[&[u8]] = &[
    b"#separator \\x09\n#set_separator\t,\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\torig_bytes\n",
    b"#separator \\x09\r\n#fields\tts\tuid\torig_bytes\r\n",
    b"#separator \\x09\n",
    b"#separator ||\n#fields||service||ts\n",
    b"#separator \\x20\n#set_separator ;\n#fields ts tunnel_parents\n",
    b"P<>separator |\nP<>fields|ts|uid|x\n",
    b"#path\tdns\n",
    b"#path\tconn\n",
    b"#fields\tuid\tts\tx\n",
    b"#types\tstring\ttime\tcount\n",
    b"#unset_field\tNONE\n",
    b"#close\t2024-04-12-20-00-00\n",
    b"#x\n",
    b"ts\tuid\torig_bytes\n",
    b"1591367999.305988\tC1\t17\n",
    b"1591367999.305988\tC2\t-\r\n",
    b"1\t\\x2d\t(empty)\n",
    b"2\tC3\t4\n",
    b"3\tC4\n",
    b"C5\t5.5\tx\n",
    b"a||6\n",
    b"7 a;-;\\x3b\n",
    b"8|C6|y\n",
    b"{\"ts\":9,\"uid\":\"C7\",\"orig_bytes\":1}\n",
    b"{\"ts\":10,\"uid\":\"C8\",\"tunnel_parents\":[\"a\",null],\"x\":{}}\n",
    b"{\"uid\":\"C9\",\"orig_bytes\":2,\"ts\":\"x\"}\n",
    b"{\"_path\":\"dns\",\"ts\":1}\n",
    b"{\"uid\":\"/separator x\",\"ts\":11}\n",
    b"{\"ts\":1",
    b"}\n",
    b"\n",
    b"\r\n",
    b"\0\0\0\0",
    b"\t",
    b"lorem ipsum\n",
    b"\xef\xbb\xbf",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => proptest::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..12),
    ];
    // Files of few kinds of lines have longer runs of records.
    let mixed = vec(piece.clone(), 0..25).prop_map(|pieces| pieces.concat());
    let runs = vec((piece, 1..5_usize), 0..12)
        .prop_map(|runs| runs.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect());
    prop_oneof![mixed, runs]
}

fn special_settings() -> impl Strategy<Value = Settings> {
    let names = ["ts", "uid", "orig_bytes"].map(str::to_owned);
    (1..130_usize, any::<bool>()).prop_map(move |(line_bytes_max, is_configured)| Settings {
        line_bytes_max,
        configured: is_configured.then(|| Arc::new(configured(Log::Conn, &names))),
        ..settings(Log::Conn)
    })
}

/// Cuts `file` into chunks of these sizes, again and again.
fn cut<'a>(file: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = file;
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn borders_do_not_matter_and_every_byte_counts(
        file in file(),
        settings in special_settings(),
        sizes in vec(1..40_usize, 1..6),
        rows_max in 1..6_usize,
    ) {
        let whole = read(&settings, [file.as_slice()], 1024, false);
        tiles(&file, &whole);
        prop_assert_eq!(&whole, &read(&settings, cut(&file, &sizes), rows_max, false));
        prop_assert_eq!(&whole, &read(&settings, file.chunks(1), 1, false));
    }

    #[test]
    fn a_live_file_shows_the_lines_that_are_complete(file in file(), settings in special_settings()) {
        let ended = read(&settings, [file.as_slice()], 1024, false);
        let live = read(&settings, [file.as_slice()], 1024, true);
        let shown = ended.entries.iter().filter(|entry| {
            let end = match entry {
                Entry::Row(row) => {
                    let start = usize::try_from(row.offset).unwrap();
                    memchr::memchr(b'\n', &file[start..]).map_or(file.len() + 1, |at| start + at)
                }
                Entry::Reject(it) => usize::try_from(it.offset + it.length - 1).unwrap(),
            };
            file.get(end) == Some(&b'\n')
        });
        prop_assert!(live.entries.iter().eq(shown));
    }

    #[test]
    fn any_bytes_are_accounted_for(
        file in vec(any::<u8>(), 0..300),
        log in proptest::sample::select(Log::ALL.as_slice()),
    ) {
        let settings = settings(log);
        let whole = read(&settings, [file.as_slice()], 1024, false);
        tiles(&file, &whole);
        prop_assert_eq!(&whole, &read(&settings, file.chunks(1), 1, false));
        let with_mark = [b"\xef\xbb\xbf", file.as_slice()].concat();
        let identity = |file| identify(file, true, "conn.log", &[]);
        prop_assert_eq!(identity(&file), identity(&with_mark));
    }
}

/// A record of `conn`, as Zeek knows it before it is written.
#[derive(Clone, Debug)]
struct Record {
    ts: i64,
    uid: Option<String>,
    orig_h: Option<IpAddr>,
    orig_p: Option<u16>,
    service: Option<String>,
    duration: Option<i64>,
    orig_bytes: Option<u64>,
    local_orig: Option<bool>,
    tunnel_parents: Option<Vec<Option<String>>>,
}

fn text() -> impl Strategy<Value = String> {
    let odd =
        ["", "-", "(empty)", "#a", "\\x41", "\\", "a\tb\n\0c", "a,b", ",", "\u{e000}", "\"", "{"];
    prop_oneof![
        proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        "[ -~]{0,12}",
        "\\PC{0,8}",
    ]
}

fn record() -> impl Strategy<Value = Record> {
    // A set that holds one empty or one unset element is written as an empty or unset set (Z04).
    let is_clear = |list: &Vec<Option<String>>| {
        list.len() != 1 || list[0].as_ref().is_some_and(|text| !text.is_empty())
    };
    let list = vec(option::of(text()), 0..4).prop_filter("ambiguous in TSV", is_clear);
    let micros = prop_oneof![-4_000_000_000..4_000_000_000_i64, 0..4_000_000_000_000_000_i64];
    let texts = (option::of(text()), option::of(text()), option::of(list));
    let duration = option::of(micros.clone());
    let rest = (option::of(any::<IpAddr>()), option::of(any::<u16>()), option::of(any::<u64>()));
    (micros, texts, duration, rest, option::of(any::<bool>())).prop_map(
        |(
            ts,
            (uid, service, tunnel_parents),
            duration,
            (orig_h, orig_p, orig_bytes),
            local_orig,
        )| {
            Record {
                ts,
                uid,
                orig_h,
                orig_p,
                service,
                duration,
                orig_bytes,
                local_orig,
                tunnel_parents,
            }
        },
    )
}

/// What Zeek's TSV writer makes of a text; `ascii_only` is what `enable_utf_8=F` does.
fn escaped(text: &str, ascii_only: bool) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let mut out = String::new();
    for (at, found) in text.char_indices() {
        let is_sign = at == 0 && (text == "-" || text == "(empty)" || found == '#');
        match found {
            '\\' => out.push_str("\\\\"),
            ' '..='~' if found != ',' && !is_sign => out.push(found),
            _ if found > '\u{9f}' && !ascii_only => out.push(found),
            _ => {
                let mut bytes = [0; 4];
                let bytes = found.encode_utf8(&mut bytes).as_bytes();
                out.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
            }
        }
    }
    out
}

fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

const FIELDS: &str = "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tservice\tduration\t\
    orig_bytes\tlocal_orig\ttunnel_parents\n";

impl Record {
    fn tsv(&self, ascii_only: bool) -> String {
        let text = |text: &String| escaped(text, ascii_only);
        let item = |item: &Option<String>| item.as_ref().map_or_else(|| "-".to_owned(), text);
        let list = |list: &Vec<Option<String>>| match list.as_slice() {
            [] => "(empty)".to_owned(),
            items => items.iter().map(item).collect::<Vec<_>>().join(","),
        };
        let cells = [
            Some(seconds(self.ts)),
            self.uid.as_ref().map(text),
            self.orig_h.map(|addr| addr.to_string()),
            self.orig_p.map(|port| port.to_string()),
            self.service.as_ref().map(text),
            self.duration.map(seconds),
            self.orig_bytes.map(|count| count.to_string()),
            self.local_orig.map(|flag| if flag { "T" } else { "F" }.to_owned()),
            self.tunnel_parents.as_ref().map(list),
        ];
        cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())).join("\t") + "\n"
    }

    /// `time` says how `ts` is written: as seconds or as ISO 8601.
    fn json(&self, is_iso: bool, with_unset: bool) -> String {
        let seconds = |micros: i64| Value::from(micros as f64 / 1e6);
        let ts = if is_iso { Value::from(Time(self.ts).to_string()) } else { seconds(self.ts) };
        let members = [
            ("ts", ts),
            ("uid", self.uid.clone().into()),
            ("id.orig_h", self.orig_h.map(|addr| addr.to_string()).into()),
            ("id.orig_p", self.orig_p.into()),
            ("service", self.service.clone().into()),
            ("duration", self.duration.map(seconds).into()),
            ("orig_bytes", self.orig_bytes.into()),
            ("local_orig", self.local_orig.into()),
            ("tunnel_parents", self.tunnel_parents.clone().into()),
        ];
        let members = members.into_iter().filter(|(_, value)| with_unset || !value.is_null());
        let members: BTreeMap<_, _> = members.collect();
        serde_json::to_string(&members).unwrap() + "\n"
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn both_forms_of_a_record_are_the_same(
        records in vec(record(), 1..6),
        ascii_only in any::<bool>(),
        is_iso in any::<bool>(),
        with_unset in any::<bool>(),
    ) {
        let rows: String = records.iter().map(|record| record.tsv(ascii_only)).collect();
        let tsv = format!("{FIELDS}{rows}");
        let json: String = records.iter().map(|record| record.json(is_iso, with_unset)).collect();
        let settings = settings(Log::Conn);
        let tsv_read = read(&settings, [tsv.as_bytes()], 1024, false);
        let json_read = read(&settings, [json.as_bytes()], 1024, false);
        prop_assert_eq!(tsv_read.typed().len(), records.len(), "{}", tsv);
        prop_assert_eq!(tsv_read.typed(), json_read.typed(), "{}{}", tsv, json);
    }
}

/// Text of JSON, whole or nearly so.
fn nearly_json() -> impl Strategy<Value = String> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"a\"",
        "\"b\":",
        "{\"c\":",
        "\\\"",
        "\\\\",
        "\\u00e4",
        "\\q",
        "\\u12",
        "\\ud83d\\ude00",
        "true",
        "false",
        "null",
        "1",
        "-",
        "0",
        ".5",
        "1.5",
        "e5",
        "-0",
        "01",
        " ",
        "\t",
        "ä",
        "nul",
    ];
    let soup = vec(proptest::sample::select(tokens.to_vec()), 0..12).prop_map(|it| it.concat());
    let cut = (object(), any::<proptest::sample::Index>(), soup.clone()).prop_map(
        |(object, index, soup)| {
            let characters: Vec<char> = object.chars().collect();
            let at = index.index(characters.len() + 1);
            let (head, tail) = characters.split_at(at);
            head.iter().collect::<String>() + &soup + &tail.iter().skip(1).collect::<String>()
        },
    );
    prop_oneof![object(), cut, soup.prop_map(|soup| format!("{{{soup}}}"))]
}

/// One object of JSON, with odd blanks, in which members may come twice.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            "null",
            "true",
            "false",
            "[]",
            "{}",
            "\"\\ud83d\\ude00\\n\""
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        (-1e9..1e9_f64).prop_map(|number| Value::from(number).to_string()),
        text().prop_map(|text| Value::from(text).to_string()),
    ];
    let key = proptest::sample::select(vec!["a", "b", "service", "tunnel_parents", "ä"]);
    let blank = proptest::sample::select(vec!["", "", " ", "\t", "\r "]);
    let members = |value: BoxedStrategy<String>| {
        vec((key.clone(), value, blank.clone()), 0..5).prop_map(|members| {
            let member = |(key, value, blank): &(&str, String, &str)| {
                format!("{blank}\"{key}\"{blank}:{blank}{value}{blank}")
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        })
    };
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let items = vec(inner, 0..4);
        items.prop_map(|items| format!("[{}]", items.join(" , "))).boxed()
    });
    members(value.boxed())
}

/// Reads one line with nobody asking for a column, so that only its grammar counts.
fn is_object(line: &str) -> Option<bool> {
    let mut batch = Batch::new(Log::Conn, &[]);
    match Reader::new(Log::Conn, &[], &[]).read(line.as_bytes(), 0, &mut batch) {
        Err(refusal) => match refusal.reason {
            RejectReason::BadField => Some(true),
            RejectReason::NotJson => Some(false),
            _ => None,
        },
        Ok(()) => panic!("there is no ts"),
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn serde_accepts_what_we_accept(line in nearly_json()) {
        let serde = serde_json::from_str::<serde_json::Map<String, Value>>(&line);
        // The grammar has numbers beyond a double and half surrogates; its values have not.
        let beyond = ["out of range", "surrogate", "hex escape"];
        if let Err(error) = &serde {
            prop_assume!(!beyond.iter().any(|reason| error.to_string().contains(reason)));
        }
        if let Some(ours) = is_object(&line) {
            prop_assert_eq!(ours, serde.is_ok(), "{}", line);
        }
    }

    #[test]
    fn members_are_what_serde_sees(object in object()) {
        let members = object.trim_start().strip_prefix('{').unwrap();
        let comma = if members.trim_start() == "}" { "" } else { "," };
        let line = format!("{{\"ts\":1{comma}{members}");
        let serde: BTreeMap<String, Value> = serde_json::from_str(&line).unwrap();
        let mut batch = settings(Log::Conn).batch();
        let wanted = [schema::TS, schema::conn::SERVICE];
        Reader::new(Log::Conn, &wanted, &[]).read(line.as_bytes(), 0, &mut batch).unwrap();
        let parsed = |span| serde_json::from_slice::<Value>(batch.bytes(span)).unwrap();
        let key = |span| String::from_utf8(batch.bytes(span).to_vec()).unwrap();
        let members = batch.members(0);
        let ours: BTreeMap<_, _> = members.iter().map(|it| (key(it.key), parsed(it.value))).collect();
        prop_assert_eq!(members.len(), serde.len(), "a member stands twice");
        prop_assert_eq!(&ours, &serde);
        if let Some(Value::String(text)) = serde.get("service") {
            prop_assert_eq!(batch.text(schema::conn::SERVICE, 0), Some(text.as_bytes()));
        }
    }

    #[test]
    fn csv_cuts_where_we_cut(
        rows in vec(vec("[ -~é]{0,6}|[\"'#,]{0,3}", 0..6), 0..8),
        is_wide in any::<bool>(),
    ) {
        // A separator of two bytes takes the other way through the parser.
        let separator = if is_wide { "\u{a6}" } else { "\t" };
        let lines: Vec<String> =
            rows.iter().map(|row| [vec!["1".to_owned()], row.clone()].concat().join("\t")).collect();
        let names = ["ts", "a", "b", "c"].join(separator);
        let mut file = format!("#separator {separator}\n#fields{separator}{names}\n");
        lines.iter().for_each(|line| file += &(line.replace('\t', separator) + "\n"));
        let mut reference = csv::ReaderBuilder::new();
        reference.delimiter(b'\t').quoting(false).has_headers(false).flexible(true);
        reference.terminator(csv::Terminator::Any(b'\n'));
        let text = lines.join("\n");
        let records = reference.from_reader(text.as_bytes()).into_byte_records();
        let expected: Vec<Vec<Vec<u8>>> = records
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
            .filter(|cells: &Vec<Vec<u8>>| cells.len() == 4)
            .collect();

        let settings = settings(Log::Conn);
        let mut batch = settings.batch();
        Parser::new(&settings).parse(file.as_bytes(), 1024, &mut batch);
        let header = batch.header.clone();
        let cells = |row| -> Vec<Vec<u8>> {
            let header = header.as_ref().expect("a row has a header");
            (0..4).map(|index| batch.cell(row, index, header).to_vec()).collect()
        };
        let found: Vec<Vec<Vec<u8>>> = (0..batch.rows()).map(cells).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(batch.rows() + batch.rejects.len(), rows.len());
    }
}

#[test]
fn bare_names_may_end_in_a_carriage_return() {
    let file = b"uid\tts\r\nC1\t1\r\nC2\tx\r\n";
    let whole = read(&settings(Log::Dns), [file.as_slice()], 1024, false);
    tiles(file, &whole);
    assert!(matches!(whole.entries[..], [Entry::Row(_), Entry::Reject(_)]), "{whole:?}");
}
