//! Rows of TSV: split at separators, then read the cells that somebody asked for.
//!
//! The order is the grammar's: split on the separator, test for unset and empty on the raw token,
//! split containers, test again, and only then unescape.

use std::ops::Range;

use crate::base::address::Addr;
use crate::record::schema::{self, ColumnId, Kind};
use crate::record::{Batch, Header, Line, Log, RejectReason, Slots, Span};

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
    marks: Range<usize>,
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
        let mark = batch.mark();
        let mut bad = Vec::new();
        let marks = std::mem::take(&mut self.marks);
        let done = loop {
            let base = batch.arena.len();
            batch.arena.extend_from_slice(&bytes[..covered]);
            let chunk = Chunk { bytes, header, base, offset };
            let first = batch.rows();
            let done = self.frame(&marks, chunk, limits, &bad, batch);
            let found = self.fill(first, header, batch);
            if found.is_empty() {
                break done;
            }
            // A value that is not of its type is rare: the lines are framed again without its row.
            bad = found;
            batch.rewind(mark);
        };
        self.marks = marks;
        done
    }

    /// Finds the rows and their cells; the bytes passed, and the empty lines among them. The lines
    /// that begin at one of `bad` have a value that is not of its type.
    fn frame(
        &self,
        marks: &[u32],
        chunk: Chunk<'_>,
        limits: Limits<'_>,
        bad: &[Bad],
        batch: &mut Batch,
    ) -> (usize, u64) {
        let (mut start, mut mark, mut empty_lines) = (0, 0, 0);
        while mark < marks.len() {
            let row = next_row(marks, mark, start, chunk.header.fields.len());
            let line = &chunk.bytes[row.start..row.end];
            if line.starts_with(limits.prefix) || line.len() > limits.line_max {
                break;
            }
            if line.is_empty() || line == b"\r" {
                empty_lines += 1;
            } else {
                self.row(&row, marks, chunk, bad, batch);
            }
            (start, mark) = (row.end + 1, row.marks.end);
        }
        (start, empty_lines)
    }

    fn row(&self, row: &Row, marks: &[u32], chunk: Chunk<'_>, bad: &[Bad], batch: &mut Batch) {
        let line = &chunk.bytes[row.start..row.end];
        let width = chunk.header.fields.len();
        let offset = chunk.offset + row.start as u64;
        let fail = |batch: &mut Batch, reason, detail: &str| {
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
        let known = bad.iter().find(|bad| bad.offset == offset).map(|bad| bad.id);
        if let Some(id) = known.or((!self.has_ts).then_some(schema::TS)) {
            let detail = format!("field {}", batch.log().column_name(id));
            return fail(batch, RejectReason::BadField, &detail);
        }
        let end = row.end - usize::from(chunk.header.crlf && line.ends_with(b"\r"));
        let ends = marks[row.marks.clone()].iter();
        batch.cell_ends.extend(ends.map(|mark| (mark & POSITION).wrapping_add(chunk.base as u32)));
        if let Some(last) = batch.cell_ends.last_mut() {
            *last = (chunk.base + end) as u32;
        }
        batch.commit_row(Line {
            span: Span::new(chunk.base + row.start, chunk.base + end),
            offset,
            plain: row.plain || (end < row.end && is_plain(&line[..end - row.start])),
        });
    }

    /// Fills the wanted columns of the rows from `first` on, column by column: what to do with a
    /// cell is decided once and not for each row. Returns the rows that have a value that is not of
    /// its type, each with the first such column.
    fn fill(&self, first: usize, header: &Header, batch: &mut Batch) -> Vec<Bad> {
        let mut bad: Vec<Bad> = Vec::new();
        for wanted in &self.wanted {
            fill_column(wanted, first, header, batch, &mut |offset| {
                if !bad.iter().any(|bad| bad.offset == offset) {
                    bad.push(Bad { offset, id: wanted.id });
                }
            });
        }
        bad
    }
}

/// A row with a value that is not of its type.
#[derive(Clone, Copy, Debug)]
struct Bad {
    /// Its line, in the file.
    offset: u64,
    id: ColumnId,
}

/// Fills one column; `bad` hears of the lines whose value is not of its type.
fn fill_column(
    wanted: &Wanted,
    first: usize,
    header: &Header,
    batch: &mut Batch,
    bad: &mut dyn FnMut(u64),
) {
    let Wanted { cell, id, kind } = *wanted;
    let width = header.fields.len();
    let Batch { arena, lines, columns, cell_ends, .. } = batch;
    let column = &mut columns[id.index()];
    let cells = Cells {
        lines: &lines[first..],
        ends: &cell_ends[first * width..],
        first,
        width,
        cell,
        separator: header.separator.len(),
        unset: &header.unset,
    };
    match kind {
        Kind::Time => {
            cells.fill(arena, column.micros_mut(), value::time_in, bad);
            if id == schema::TS {
                let unset = (first..lines.len()).filter(|&row| !column.is_set(row));
                unset.for_each(|row| bad(lines[row].offset));
            }
        }
        Kind::Interval => cells.fill(arena, column.micros_mut(), value::seconds_in, bad),
        Kind::Count => cells.fill(arena, column.counts_mut(), value::count_in, bad),
        Kind::Port => cells.fill(arena, column.counts_mut(), value::port_in, bad),
        Kind::Flag => cells.each(arena, |row, line, range| match value::flag(&arena[range]) {
            Some(value) => column.set_flag(row, value),
            None => bad(line.offset),
        }),
        Kind::Addr => {
            // Zeek itself writes `<bad IPv6 address conversion>`: no address, only text.
            let Some(mut slots) = column.addrs_mut() else { return };
            cells.each(arena, |row, _, range| {
                if let Some(addr) = Addr::parse_in(arena, range) {
                    slots.set(row, addr);
                }
            });
        }
        Kind::Text => {
            let Some(mut slots) = column.texts_mut() else { return };
            cells.each_mut(arena, |row, line, range, arena| {
                slots.set(row, text(range, line.plain, header, arena));
            });
        }
        Kind::List => cells.each_mut(arena, |row, line, range, arena| {
            column.set_list(row);
            if arena[range.clone()] != *header.empty {
                list(range, line.plain, header, arena, |item| column.push_item(row, item));
            }
        }),
    }
}

/// The cells of one column, from the row `first` on.
struct Cells<'a> {
    lines: &'a [Line],
    ends: &'a [u32],
    first: usize,
    width: usize,
    cell: usize,
    separator: usize,
    unset: &'a [u8],
}

impl Cells<'_> {
    /// Calls `set` with each row that is set, its line, and where its cell stands in the arena.
    #[inline]
    fn each(&self, arena: &[u8], mut set: impl FnMut(usize, &Line, Range<usize>)) {
        for (index, (line, ends)) in self.rows().enumerate() {
            if let Some(range) = self.range(line, ends, arena) {
                set(self.first + index, line, range);
            }
        }
    }

    /// Sets what `parse` makes of each cell; `bad` hears of the lines where it is nothing.
    #[inline]
    fn fill<T>(
        &self,
        arena: &[u8],
        slots: Option<Slots<'_, T>>,
        parse: impl Fn(&[u8], Range<usize>) -> Option<T>,
        bad: &mut dyn FnMut(u64),
    ) {
        let Some(mut slots) = slots else { return };
        self.each(arena, |row, line, range| match parse(arena, range) {
            Some(value) => slots.set(row, value),
            None => bad(line.offset),
        });
    }

    /// [`Cells::each`] where the arena may grow.
    #[inline]
    fn each_mut(
        &self,
        arena: &mut Vec<u8>,
        mut set: impl FnMut(usize, &Line, Range<usize>, &mut Vec<u8>),
    ) {
        for (index, (line, ends)) in self.rows().enumerate() {
            if let Some(range) = self.range(line, ends, arena) {
                set(self.first + index, line, range, arena);
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&Line, &[u32])> {
        self.lines.iter().zip(self.ends.chunks_exact(self.width))
    }

    #[inline]
    fn range(&self, line: &Line, ends: &[u32], arena: &[u8]) -> Option<Range<usize>> {
        let start = match self.cell {
            0 => line.span.start as usize,
            cell => ends[cell - 1] as usize + self.separator,
        };
        let range = start..ends[self.cell] as usize;
        // Zeek's `-` is one byte, and one byte needs no call to compare.
        let is_unset = match *self.unset {
            [byte] => range.len() == 1 && arena[start] == byte,
            _ => arena[range.clone()] == *self.unset,
        };
        (!is_unset).then_some(range)
    }
}

/// What bounds a call of [`Rows::read`].
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) rows_max: usize,
    pub(super) line_max: usize,
    pub(super) prefix: &'a [u8],
}

/// The text of a cell or an element: where it stands, or, where it has escapes, resolved at the
/// arena's end.
#[inline]
fn text(range: Range<usize>, plain: bool, header: &Header, arena: &mut Vec<u8>) -> Span {
    if arena[range.clone()] == *header.empty {
        return Span::new(0, 0);
    }
    if plain || memchr::memchr(b'\\', &arena[range.clone()]).is_none() {
        return Span::new(range.start, range.end);
    }
    let start = arena.len();
    arena.extend_from_within(range);
    unescape::tsv_from(arena, start);
    Span::new(start, arena.len())
}

/// The elements of a container: split first, then tested for unset and empty, then unescaped.
fn list(
    range: Range<usize>,
    plain: bool,
    header: &Header,
    arena: &mut Vec<u8>,
    mut push: impl FnMut(Span),
) {
    let separator = header.set_separator.as_slice();
    let mut start = range.start;
    loop {
        let rest = &arena[start..range.end];
        let found = match separator {
            [] => None,
            [byte] => memchr::memchr(*byte, rest),
            _ => memchr::memmem::find(rest, separator),
        };
        let end = found.map_or(range.end, |at| start + at);
        if arena[start..end] == *header.unset {
            push(Span::UNSET);
        } else {
            push(text(start..end, plain, header, arena));
        }
        match found {
            Some(_) => start = end + separator.len(),
            None => return,
        }
    }
}

fn is_plain(line: &[u8]) -> bool {
    line.iter().all(|&byte| (b' '..0x80).contains(&byte) && byte != b'"' && byte != b'\\')
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
