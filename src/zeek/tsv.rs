//! Rows of TSV: split at separators, then read the cells that somebody asked for.
//!
//! The order is the grammar's: split on the separator, test for unset and empty on the raw token,
//! split containers, test again, and only then unescape.

use crate::base::address::Addr;
use crate::record::schema::{self, ColumnId, Kind};
use crate::record::{Batch, Header, Line, Log, RejectReason, Span};

use super::line::{Place, reject};
use super::split::{LINE_END, POSITION, SPECIAL, split};
use super::{unescape, value};

/// A cell that somebody asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    cell: usize,
    id: ColumnId,
    kind: Kind,
}

/// Reads the rows below one header.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    wanted: Vec<Wanted>,
    has_ts: bool,
    marks: Vec<u32>,
}

/// A line of TSV, found.
struct Row {
    start: usize,
    end: usize,
    /// The marks of its cells, the last of which ends the line.
    marks: std::ops::Range<usize>,
    plain: bool,
}

/// What all rows of one call have in common.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    /// Where `bytes` begins in the arena.
    base: usize,
    /// Where it begins in the file.
    offset: u64,
}

impl Rows {
    pub(super) fn new(log: Log, header: &Header, wanted: &[ColumnId]) -> Self {
        let cell = |id: &ColumnId| {
            let cell = header.fields.iter().position(|field| field.column == Some(*id))?;
            Some(Wanted { cell, id: *id, kind: log.columns()[id.index()].kind })
        };
        let wanted: Vec<Wanted> = wanted.iter().filter_map(cell).collect();
        let has_ts = wanted.iter().any(|wanted| wanted.id == schema::TS);
        Self { wanted, has_ts, marks: Vec::new() }
    }

    /// Reads complete lines until the batch has `rows_max`, a line begins with `prefix`, is longer
    /// than `line_max`, or there are no more; returns the bytes read and the empty lines among
    /// them.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        offset: u64,
        limits: Limits<'_>,
        header: &Header,
        batch: &mut Batch,
    ) -> (usize, u64) {
        self.marks.clear();
        let lines_max = limits.rows_max.saturating_sub(batch.rows()).max(1);
        let covered = match header.separator.as_slice() {
            [separator] => split(bytes, *separator, lines_max, &mut self.marks),
            separator => split_wide(bytes, separator, lines_max, &mut self.marks),
        };
        let base = batch.arena.len();
        batch.arena.extend_from_slice(&bytes[..covered]);
        let chunk = Chunk { bytes, header, base, offset };
        let marks = std::mem::take(&mut self.marks);
        let (mut start, mut mark, mut empty_lines) = (0, 0, 0);
        while mark < marks.len() {
            let row = next_row(&marks, mark, start, header.fields.len());
            let line = &bytes[row.start..row.end];
            if line.starts_with(limits.prefix) || line.len() > limits.line_max {
                break;
            }
            if line.is_empty() || line == b"\r" {
                empty_lines += 1;
            } else {
                self.row(&row, &marks, chunk, batch);
            }
            (start, mark) = (row.end + 1, row.marks.end);
        }
        self.marks = marks;
        (start, empty_lines)
    }

    fn row(&self, row: &Row, marks: &[u32], chunk: Chunk<'_>, batch: &mut Batch) {
        let line = &chunk.bytes[row.start..row.end];
        let width = chunk.header.fields.len();
        let fail = |batch: &mut Batch, reason, detail: &str| {
            let offset = chunk.offset + row.start as u64;
            let place = Place { offset, length: line.len() as u64 + 1 };
            reject(batch, reason, detail, line, place);
        };
        if !row.plain && memchr::memchr(0, line).is_some() {
            return fail(batch, RejectReason::NulBlock, "NUL bytes in the line");
        }
        if row.marks.len() != width {
            let detail = format!("{} columns where the header names {width}", row.marks.len());
            return fail(batch, RejectReason::ColumnCount, &detail);
        }
        let end = row.end - usize::from(chunk.header.crlf && line.ends_with(b"\r"));
        let cells = batch.cell_ends.len();
        let ends = marks[row.marks.clone()].iter();
        batch.cell_ends.extend(ends.map(|mark| (mark & POSITION) + chunk.base as u32));
        if let Some(last) = batch.cell_ends.last_mut() {
            *last = (chunk.base + end) as u32;
        }
        if let Err(id) = self.values(row, chunk, cells, batch) {
            batch.cell_ends.truncate(cells);
            batch.drop_row();
            let detail = format!("field {}", batch.log().column_name(id));
            return fail(batch, RejectReason::BadField, &detail);
        }
        batch.commit_row(Line {
            span: Span::new(chunk.base + row.start, chunk.base + end),
            offset: chunk.offset + row.start as u64,
            plain: row.plain || (end < row.end && is_plain(&line[..end - row.start])),
        });
    }

    /// Fills the wanted columns of one row; the column that could not be read.
    #[inline]
    fn values(
        &self,
        row: &Row,
        chunk: Chunk<'_>,
        cells: usize,
        batch: &mut Batch,
    ) -> Result<(), ColumnId> {
        if !self.has_ts {
            return Err(schema::TS);
        }
        for &Wanted { cell, id, kind } in &self.wanted {
            let start = match cell {
                0 => row.start,
                _ => {
                    batch.cell_ends[cells + cell - 1] as usize - chunk.base
                        + chunk.header.separator.len()
                }
            };
            let end = batch.cell_ends[cells + cell] as usize - chunk.base;
            let raw = &chunk.bytes[start..end];
            let index = batch.rows();
            if raw == chunk.header.unset {
                batch.columns[id.index()].unset(index);
                if id == schema::TS {
                    return Err(id);
                }
                continue;
            }
            let token = Token { raw, at: chunk.base + start, plain: row.plain };
            set(token, kind, id, chunk.header, batch).ok_or(id)?;
        }
        Ok(())
    }
}

/// What bounds a call of [`Rows::read`].
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) rows_max: usize,
    pub(super) line_max: usize,
    pub(super) prefix: &'a [u8],
}

/// A raw cell or element, and where it stands in the arena.
#[derive(Clone, Copy)]
struct Token<'a> {
    raw: &'a [u8],
    at: usize,
    plain: bool,
}

/// Sets a value of the row that is being read; nothing if it is not of its type.
#[inline]
fn set(
    token: Token<'_>,
    kind: Kind,
    id: ColumnId,
    header: &Header,
    batch: &mut Batch,
) -> Option<()> {
    let row = batch.rows();
    let column = &mut batch.columns[id.index()];
    match kind {
        Kind::Time => column.set_micros(row, value::time(token.raw)?),
        Kind::Interval => column.set_micros(row, value::seconds(token.raw)?),
        Kind::Count => column.set_count(row, value::count(token.raw)?),
        Kind::Port => column.set_count(row, value::count(token.raw).filter(|&p| p <= 65_535)?),
        Kind::Flag => column.set_flag(row, value::flag(token.raw)?),
        // Zeek itself writes `<bad IPv6 address conversion>`: text in the output, no address here.
        Kind::Addr => match Addr::parse(token.raw) {
            Some(addr) => column.set_addr(row, addr),
            None => column.unset(row),
        },
        Kind::Text if token.raw == header.empty => column.set_text(row, Span::new(0, 0)),
        Kind::Text => {
            let span = text(token, &mut batch.arena);
            batch.columns[id.index()].set_text(row, span);
        }
        Kind::List => {
            column.set_list(row);
            if token.raw != header.empty {
                list(token, id, header, batch);
            }
        }
    }
    Some(())
}

fn list(token: Token<'_>, id: ColumnId, header: &Header, batch: &mut Batch) {
    let row = batch.rows();
    let separator = header.set_separator.as_slice();
    let mut start = 0;
    loop {
        let rest = &token.raw[start..];
        let found = match separator {
            [] => None,
            [byte] => memchr::memchr(*byte, rest),
            _ => memchr::memmem::find(rest, separator),
        };
        let raw = &rest[..found.unwrap_or(rest.len())];
        let item = if raw == header.unset {
            Span::UNSET
        } else if raw == header.empty {
            Span::new(0, 0)
        } else {
            text(Token { raw, at: token.at + start, plain: token.plain }, &mut batch.arena)
        };
        batch.columns[id.index()].push_item(row, item);
        match found {
            Some(at) => start += at + separator.len(),
            None => return,
        }
    }
}

/// The text of a token: where it stands, or, where it has escapes, resolved at the arena's end.
#[inline]
fn text(token: Token<'_>, arena: &mut Vec<u8>) -> Span {
    if token.plain || memchr::memchr(b'\\', token.raw).is_none() {
        return Span::new(token.at, token.at + token.raw.len());
    }
    let start = arena.len();
    unescape::tsv(token.raw, arena);
    Span::new(start, arena.len())
}

fn is_plain(line: &[u8]) -> bool {
    line.iter().all(|&byte| byte >= b' ' && byte < 0x80 && byte != b'"' && byte != b'\\')
}

/// The line that begins at `start`, whose marks begin at `first`.
#[inline]
fn next_row(marks: &[u32], first: usize, start: usize, width: usize) -> Row {
    let mut last = first;
    // A row as wide as the header, nearly always, needs one look per cell and no more.
    while marks[last] & LINE_END == 0 && last + 1 < first + width {
        last += 1;
    }
    while marks[last] & LINE_END == 0 {
        last += 1;
    }
    let mark = marks[last];
    Row {
        start,
        end: (mark & POSITION) as usize,
        marks: first..last + 1,
        plain: mark & SPECIAL == 0,
    }
}

/// [`split`] for a separator of several bytes.
fn split_wide(bytes: &[u8], separator: &[u8], lines_max: usize, marks: &mut Vec<u32>) -> usize {
    let bytes = bytes.get(..POSITION as usize).unwrap_or(bytes);
    let mut start = 0;
    for _ in 0..lines_max {
        let Some(length) = memchr::memchr(b'\n', &bytes[start..]) else { break };
        let line = &bytes[start..start + length];
        if !separator.is_empty() {
            let cells = memchr::memmem::find_iter(line, separator);
            marks.extend(cells.map(|at| (start + at) as u32));
        }
        let special = if is_plain(line) { 0 } else { SPECIAL };
        marks.push((start + length) as u32 | LINE_END | special);
        start += length + 1;
    }
    start
}
