//! What the parser makes of a file, as text that can be compared, and the law that every byte of
//! the file is accounted for. The fuzz targets include this file too.

use zeek_ueba::base::limits::DEAD_LETTER_BYTES;
use zeek_ueba::base::time::Time;
use zeek_ueba::record::schema::{ColumnId, Kind};
use zeek_ueba::record::{Batch, Format, Reject};
use zeek_ueba::zeek::{Parser, Settings};

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where its line begins.
    pub(super) offset: u64,
    /// Its line, without its end.
    pub(super) line: Vec<u8>,
    /// The columns that are set, in the order of the log's table.
    pub(super) typed: Vec<(&'static str, String)>,
    /// What the line names, in its order: known columns by value, others as written.
    pub(super) named: Vec<String>,
}

/// What became of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is a record.
    Row(Row),
    /// It is none. The count of rows in front of it is set to zero: it depends on the batch.
    Reject(Reject),
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Its lines, in order.
    pub(super) entries: Vec<Entry>,
    /// Lines without anything.
    pub(super) empty_lines: u64,
    /// Where the parser stands.
    pub(super) end: u64,
}

/// Reads a file that comes in `pieces`; it ends there unless it `is_live`.
pub(super) fn read<'a>(
    settings: &Settings,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    rows_max: usize,
    is_live: bool,
) -> Reading {
    let mut parser = Parser::new(settings);
    let mut batch = settings.batch();
    let mut reading = Reading::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let progress = parser.parse(&buffer[at..], rows_max, &mut batch);
            at += progress.consumed;
            if !progress.is_full {
                break;
            }
            assert!(batch.rows() <= rows_max, "the batch is over-full");
            let is_stuck = progress.consumed == 0 && batch.is_empty() && batch.arena.is_empty();
            assert!(!is_stuck, "an empty batch is said to be full");
            reading.take(&mut batch);
        }
        buffer.drain(..at);
    }
    if !is_live {
        parser.finish(&buffer, &mut batch);
    }
    reading.take(&mut batch);
    reading.empty_lines = parser.empty_lines();
    reading.end = parser.offset();
    reading
}

impl Reading {
    /// The typed columns of the records.
    pub(super) fn typed(&self) -> Vec<&[(&'static str, String)]> {
        let entries = self.entries.iter();
        let rows = entries.filter_map(|entry| match entry {
            Entry::Row(row) => Some(row.typed.as_slice()),
            Entry::Reject(_) => None,
        });
        rows.collect()
    }

    fn take(&mut self, batch: &mut Batch) {
        let mut rejects = batch.rejects.iter().peekable();
        for row in 0..=batch.rows() {
            while let Some(reject) = rejects.next_if(|reject| reject.row == row) {
                self.entries.push(Entry::Reject(Reject { row: 0, ..reject.clone() }));
            }
            if row < batch.rows() {
                self.entries.push(Entry::Row(record(batch, row)));
            }
        }
        assert!(rejects.next().is_none(), "a reject stands beyond the rows of its batch");
        batch.clear();
    }

    /// The reading as the case files have it.
    pub(super) fn render(&self) -> String {
        let mut lines = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Row(row) => {
                    lines.push(format!("row {}", row.offset));
                    lines.extend(row.named.iter().map(|named| format!("  {named}")));
                }
                Entry::Reject(Reject { reason, detail, offset, length, .. }) => {
                    lines.push(format!("reject {} {offset} {length} {detail}", reason.name()));
                }
            }
        }
        if self.empty_lines > 0 {
            lines.push(format!("empty lines {}", self.empty_lines));
        }
        lines.push(format!("end {}", self.end));
        lines.join("\n") + "\n"
    }
}

fn record(batch: &Batch, row: usize) -> Row {
    let columns = batch.log().columns();
    let ids = || (0..columns.len()).map(|index| ColumnId(index as u8));
    let known = |id: ColumnId| {
        let value = value(batch, id, row).unwrap_or_else(|| "unset".to_owned());
        format!("{} = {value}", batch.log().column_name(id))
    };
    let named = match (batch.format(), &batch.header) {
        (Format::Tsv, Some(header)) => {
            let cell = |(index, field): (usize, &zeek_ueba::record::Field)| {
                let raw = batch.cell(row, index, header);
                field.column.map_or_else(|| format!("{} : {}", field.name, show(raw)), known)
            };
            header.fields.iter().enumerate().map(cell).collect()
        }
        (Format::Tsv, None) => panic!("rows of TSV without a header"),
        (Format::Json, _) => {
            let raw = |span| String::from_utf8_lossy(batch.bytes(span)).into_owned();
            let other = |key, value| format!("{} : {}", raw(key), show(batch.bytes(value)));
            let members = batch.members(row).iter();
            members.map(|it| it.column.map_or_else(|| other(it.key, it.value), known)).collect()
        }
    };
    let typed = |id: ColumnId| Some((columns[id.index()].name, value(batch, id, row)?));
    let line = batch.lines[row];
    Row {
        offset: line.offset,
        line: batch.bytes(line.span).to_vec(),
        typed: ids().filter_map(typed).collect(),
        named,
    }
}

fn value(batch: &Batch, id: ColumnId, row: usize) -> Option<String> {
    match batch.log().columns()[id.index()].kind {
        Kind::Time => batch.column(id).micros(row).map(|micros| Time(micros).to_string()),
        Kind::Interval => batch.interval(id, row).map(|micros| {
            let sign = if micros < 0 { "-" } else { "" };
            let micros = micros.unsigned_abs();
            format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
        }),
        Kind::Count | Kind::Port => batch.count(id, row).map(|count| count.to_string()),
        Kind::Addr => batch.addr(id, row).map(|addr| addr.to_string()),
        Kind::Flag => batch.flag(id, row).map(|flag| if flag { "T" } else { "F" }.to_owned()),
        Kind::Text => batch.text(id, row).map(show),
        Kind::List => batch.column(id).is_set(row).then(|| {
            let item = |item: Option<&[u8]>| item.map_or_else(|| "unset".to_owned(), show);
            let items: Vec<String> = batch.list(id, row).map(item).collect();
            format!("[{}]", items.join(", "))
        }),
    }
}

/// Bytes in quotes, all but printable ASCII as `\xHH`; of very many the first and the number.
fn show(bytes: &[u8]) -> String {
    let head = if bytes.len() > 1000 { &bytes[..16] } else { bytes };
    let mut text = String::from("\"");
    for &byte in head {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..0x7f => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    if head.len() < bytes.len() {
        text.push_str(&format!(" and so on, {} bytes", bytes.len()));
    }
    text
}

/// The lines of rows and rejects, the empty lines and those of headers make up the whole file,
/// without overlap or gap.
///
/// # Panics
/// If they do not.
pub(super) fn tiles(file: &[u8], reading: &Reading) {
    let bom: &[u8] = b"\xef\xbb\xbf";
    let mut at = if file.starts_with(bom) { bom.len() } else { 0 };
    let mut entries = reading.entries.iter().peekable();
    let mut prefixes = vec![b"#".to_vec()];
    let mut empty_lines = 0;
    let mut has_names = false;
    while at < file.len() {
        let rest = &file[at..];
        let found = rest.iter().position(|&byte| byte == b'\n');
        let line = &rest[..found.unwrap_or(rest.len())];
        let length = line.len() + usize::from(found.is_some());
        let offset = |entry: &&Entry| match entry {
            Entry::Row(row) => row.offset,
            Entry::Reject(reject) => reject.offset,
        };
        match entries.next_if(|entry| offset(entry) == at as u64) {
            Some(Entry::Row(row)) => {
                let is_line = row.line == line || [&row.line, b"\r".as_slice()].concat() == line;
                assert!(is_line, "the row at {at} is not its line");
            }
            Some(Entry::Reject(reject)) => {
                assert_eq!(reject.length, length as u64, "length of the reject at {at}");
                assert_eq!(reject.raw, line.get(..DEAD_LETTER_BYTES).unwrap_or(line));
            }
            None if line.is_empty() || line == b"\r" => empty_lines += 1,
            None => {
                if let Some(end) = line.windows(10).position(|window| window == b"separator ") {
                    prefixes.push(line[..end].to_vec());
                }
                let mut names =
                    line.strip_suffix(b"\r").unwrap_or(line).split(|&byte| byte == b'\t');
                let is_names = names.any(|name| name == b"ts");
                let is_meta = prefixes.iter().any(|prefix| line.starts_with(prefix));
                assert!(is_meta || (is_names && !has_names), "the line at {at} is nowhere");
                // A second header begins anew, and may leave the names to a bare line.
                has_names = !is_meta;
            }
        }
        at += length;
    }
    assert!(entries.next().is_none(), "an entry does not begin where a line does");
    assert_eq!(reading.empty_lines, empty_lines, "empty lines");
    assert_eq!(reading.end, file.len() as u64, "end of the file");
}
