//! Up to 1,024 records of one log: raw lines in one arena, typed columns over it, and the lines
//! that were rejected between them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::limits::BATCH_ROWS_MAX;
use crate::base::time::Time;

use super::column::{Column, Span};
use super::entity::Sides;
use super::header::Header;
use super::log::Log;
use super::schema::{ColumnId, ORIG_H, RESP_H, UID, conn, files};

/// How the lines of a batch are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns by a separator, named by a header.
    Tsv,
    /// One object per line.
    Json,
}

/// One record's line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The line in the arena, without its end.
    pub span: Span,
    /// Its first byte in the decompressed file.
    pub offset: u64,
    /// Whether every text in it may stand in a JSON string as it is: it is printable ASCII, and has
    /// neither escapes nor, in TSV, `"` and `\`.
    pub plain: bool,
}

/// A member of a JSON record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key, or the name that an alias gives it, without the quotes, still escaped.
    pub key: Span,
    /// Its value, as written.
    pub value: Span,
    /// The column it is, if we know it.
    pub column: Option<ColumnId>,
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// Fewer or more columns than the header names.
    ColumnCount,
    /// A value that is not of its column's type.
    BadField,
    /// NUL bytes, as a power cut or a truncation leaves them.
    NulBlock,
    /// Longer than `source.line_bytes_max`.
    Oversize,
    /// The last line, without an end, of a file that will not grow.
    TornRecord,
    /// A line before any header, in a log without configured names.
    NoSchema,
    /// Not one JSON object.
    NotJson,
    /// More members, or deeper nested, than any log has.
    TooManyFields,
    /// A record of another log than the file's.
    ForeignLog,
    /// Compressed data that ends early or does not decode.
    GzipCorrupt,
    /// The file could not be read on.
    ReadError,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ColumnCount,
        Self::BadField,
        Self::NulBlock,
        Self::Oversize,
        Self::TornRecord,
        Self::NoSchema,
        Self::NotJson,
        Self::TooManyFields,
        Self::ForeignLog,
        Self::GzipCorrupt,
        Self::ReadError,
    ];

    /// The name of the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ColumnCount => "column_count",
            Self::BadField => "bad_field",
            Self::NulBlock => "nul_block",
            Self::Oversize => "oversize",
            Self::TornRecord => "torn_record",
            Self::NoSchema => "no_schema",
            Self::NotJson => "not_json",
            Self::TooManyFields => "too_many_fields",
            Self::ForeignLog => "foreign_log",
            Self::GzipCorrupt => "gzip_corrupt",
            Self::ReadError => "read_error",
        }
    }
}

/// A line, or a stretch of a file, that is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// What exactly: `field orig_bytes`.
    pub detail: String,
    /// The records of its batch that come before it.
    pub row: usize,
    /// Its first byte in the decompressed file.
    pub offset: u64,
    /// Its bytes there, with its line end.
    pub length: u64,
    /// Its first 64 KiB, without the line end.
    pub raw: Vec<u8>,
    /// SHA-256 of all of it, without the line end.
    pub sha256: [u8; 32],
}

/// How far a batch was filled.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    rows: usize,
    arena: usize,
    cell_ends: usize,
    rejects: usize,
}

/// Records of one log and one file, in the order of the file.
#[derive(Debug)]
pub struct Batch {
    log: Log,
    format: Format,
    rows: usize,
    /// Raw lines, and texts whose escapes were resolved.
    pub arena: Vec<u8>,
    /// The lines of the rows; there may be one more, of a row that is being read.
    pub lines: Vec<Line>,
    /// By [`ColumnId`].
    pub columns: Vec<Column>,
    /// Of TSV: the header.
    pub header: Option<Arc<Header>>,
    /// Of TSV: where each cell ends in the arena, row after row.
    pub cell_ends: Vec<u32>,
    /// Of JSON: the members, row after row.
    pub members: Vec<Member>,
    /// Of JSON: where each row's members end.
    pub member_ends: Vec<u32>,
    /// What was not a record.
    pub rejects: Vec<Reject>,
    /// Lines without anything in them.
    pub empty_lines: u64,
}

impl Batch {
    /// An empty batch with room for the `wanted` columns.
    #[must_use]
    pub fn new(log: Log, wanted: &[ColumnId]) -> Self {
        let column = |(index, def): (usize, &super::schema::ColumnDef)| {
            let is_wanted = wanted.iter().any(|id| id.index() == index);
            if is_wanted { Column::new(def.kind) } else { Column::absent() }
        };
        Self {
            log,
            format: Format::Tsv,
            rows: 0,
            arena: Vec::new(),
            lines: Vec::with_capacity(BATCH_ROWS_MAX + 1),
            columns: log.columns().iter().enumerate().map(column).collect(),
            header: None,
            cell_ends: Vec::new(),
            members: Vec::new(),
            member_ends: Vec::new(),
            rejects: Vec::new(),
            empty_lines: 0,
        }
    }

    /// Forgets everything but the room it takes.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.arena.clear();
        self.lines.clear();
        self.columns.iter_mut().for_each(Column::clear);
        self.header = None;
        self.cell_ends.clear();
        self.members.clear();
        self.member_ends.clear();
        self.rejects.clear();
        self.empty_lines = 0;
    }

    /// Which log.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
    }

    /// How its lines are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of records.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is neither a record nor a reject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.rejects.is_empty()
    }

    /// Says how the lines are written; a batch holds one format and one header.
    pub fn begin(&mut self, format: Format, header: Option<Arc<Header>>) {
        assert!(self.rows == 0 || (self.format == format && self.header == header));
        self.format = format;
        self.header = header;
    }

    /// The row that is being read is a record.
    pub fn commit_row(&mut self, line: Line) {
        assert!(self.rows < BATCH_ROWS_MAX && self.lines.len() == self.rows);
        self.lines.push(line);
        self.rows += 1;
    }

    /// The row that is being read is no record: what was set of it is forgotten, so that a row of
    /// another header, which may lack the column, does not inherit it.
    pub fn abandon_row(&mut self) {
        let row = self.rows;
        if row < BATCH_ROWS_MAX {
            self.columns.iter_mut().for_each(|column| column.unset(row));
        }
    }

    /// Becomes a batch of one row of another: its typed columns, not its cells.
    pub fn take_alone(&mut self, from: &Self, row: usize) {
        self.clear();
        self.arena.extend_from_slice(&from.arena);
        (self.format, self.rows) = (from.format, 1);
        self.lines.push(from.lines[row]);
        for (column, from) in self.columns.iter_mut().zip(&from.columns) {
            column.take_alone(from, row);
        }
    }

    /// How far the batch is filled, to come back to.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            rows: self.rows,
            arena: self.arena.len(),
            cell_ends: self.cell_ends.len(),
            rejects: self.rejects.len(),
        }
    }

    /// Forgets what came since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        for row in mark.rows..self.rows {
            self.columns.iter_mut().for_each(|column| column.unset(row));
        }
        self.rows = mark.rows;
        self.lines.truncate(mark.rows);
        self.arena.truncate(mark.arena);
        self.cell_ends.truncate(mark.cell_ends);
        self.rejects.truncate(mark.rejects);
    }

    /// A column.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> &Column {
        &self.columns[id.index()]
    }

    /// Bytes of the arena.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.arena[span.range()]
    }

    /// The text of a column.
    #[must_use]
    pub fn text(&self, id: ColumnId, row: usize) -> Option<&[u8]> {
        self.column(id).text(row).map(|span| self.bytes(span))
    }

    /// The elements of a list, `None` for one that is unset.
    pub fn list(&self, id: ColumnId, row: usize) -> impl Iterator<Item = Option<&[u8]>> {
        let items = self.column(id).list(row).unwrap_or_default();
        items.iter().map(|&item| (item != Span::UNSET).then(|| self.bytes(item)))
    }

    /// A count or a port.
    #[must_use]
    pub fn count(&self, id: ColumnId, row: usize) -> Option<u64> {
        self.column(id).count(row)
    }

    /// An address.
    #[must_use]
    pub fn addr(&self, id: ColumnId, row: usize) -> Option<Addr> {
        self.column(id).addr(row)
    }

    /// A flag.
    #[must_use]
    pub fn flag(&self, id: ColumnId, row: usize) -> Option<bool> {
        self.column(id).flag(row)
    }

    /// An interval, in microseconds.
    #[must_use]
    pub fn interval(&self, id: ColumnId, row: usize) -> Option<i64> {
        self.column(id).micros(row)
    }

    /// What Zeek calls the connection of a row, or else, of `files`, the file; empty where it says
    /// nothing. The columns have to be wanted.
    #[must_use]
    pub fn uid(&self, row: usize) -> super::Uid {
        let mut uid = self.text(UID, row);
        if self.log == Log::Files {
            uid = uid.or_else(|| self.list(files::CONN_UIDS, row).flatten().next());
            uid = uid.or_else(|| self.text(files::FUID, row));
        }
        uid.unwrap_or_default().into()
    }

    /// The two ends of a row. A `files` record of before Zeek 5.1 names who sent and who received;
    /// `is_orig` says whether the sender opened the connection. The columns have to be wanted.
    #[must_use]
    pub fn sides(&self, row: usize) -> Sides {
        let (mut orig, mut resp) = (self.addr(ORIG_H, row), self.addr(RESP_H, row));
        if self.log == Log::Files && orig.is_none() && resp.is_none() {
            let first = |id| Addr::parse(self.list(id, row).flatten().next()?);
            let (tx, rx) = (first(files::TX_HOSTS), first(files::RX_HOSTS));
            let sent_by_orig = self.flag(files::IS_ORIG, row) == Some(true);
            (orig, resp) = if sent_by_orig { (tx, rx) } else { (rx, tx) };
        }
        let (mut local_orig, mut local_resp) = (None, None);
        if self.log.ends_with_duration() {
            local_orig = self.flag(conn::LOCAL_ORIG, row);
            local_resp = self.flag(conn::LOCAL_RESP, row);
        }
        Sides { orig, resp, local_orig, local_resp }
    }

    /// `ts`, which every record has.
    #[must_use]
    pub fn ts(&self, row: usize) -> Time {
        Time(self.column(super::schema::TS).micros(row).unwrap_or_default())
    }

    /// The cell of a TSV row, as written.
    #[must_use]
    pub fn cell(&self, row: usize, index: usize, header: &Header) -> &[u8] {
        let width = header.fields.len();
        let ends = &self.cell_ends[row * width..(row + 1) * width];
        let start = match index {
            0 => self.lines[row].span.start as usize,
            _ => ends[index - 1] as usize + header.separator.len(),
        };
        &self.arena[start..ends[index] as usize]
    }

    /// The members of a JSON row.
    #[must_use]
    pub fn members(&self, row: usize) -> &[Member] {
        let end = |row: usize| self.member_ends[row] as usize;
        let start = row.checked_sub(1).map_or(0, end);
        &self.members[start..end(row)]
    }
}
