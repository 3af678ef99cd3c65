//! Records of JSON: one object per line, checked against RFC 8259, the members that somebody asked
//! for read, all of them kept for the output.

use crate::base::address::Addr;
use crate::base::limits::{JSON_DEPTH_MAX, MEMBERS_MAX};
use crate::base::time::Time;
use crate::record::schema::{self, ColumnId, Kind};
use crate::record::{Batch, Line, Log, Member, RejectReason, Span};

use super::split::string_stop;
use super::{unescape, value};

/// Keys and values of the object that `line` is, as written; nothing if it is none.
#[must_use]
pub fn members(line: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut scan = Scan::new(line, 0, 0);
    let mut members = Vec::new();
    scan.blanks();
    scan.expect(b'{').ok()?;
    scan.blanks();
    while scan.peek() == Some(b'"') && members.len() < MEMBERS_MAX {
        scan.at += 1;
        let key = scan.string().ok()?.inside;
        scan.blanks();
        scan.expect(b':').ok()?;
        scan.blanks();
        let value = scan.value(0).ok()?.range();
        members.push((&line[key], &line[value]));
        scan.blanks();
        scan.take(b',');
        scan.blanks();
    }
    scan.take(b'}').then_some(members)
}

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub reason: RejectReason,
    /// What exactly.
    pub detail: String,
}

fn refuse(reason: RejectReason, detail: &str) -> Refusal {
    Refusal { reason, detail: detail.to_owned() }
}

const NOT_JSON: fn() -> Refusal = || refuse(RejectReason::NotJson, "not one JSON object");

/// Reads lines of one log.
#[derive(Clone, Debug)]
pub struct Reader {
    log: Log,
    /// The keys of the last records in their order, and what they are: the next record has the same
    /// ones, less those that are unset.
    order: Vec<(Vec<u8>, Key)>,
    wanted: Vec<bool>,
    alias: Vec<(String, String)>,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Column(ColumnId),
    /// `_path` or `@stream`: the log's name.
    Path,
    /// `id`, where other tools nest the four of a connection.
    Id,
    Other,
}

/// Keys whose order is remembered: more than any log has, few enough for an odd file.
const ORDER_MAX: usize = 128;

impl Reader {
    /// A reader that fills the `wanted` columns; `alias` names other keys for Zeek's fields.
    #[must_use]
    pub fn new(log: Log, wanted: &[ColumnId], alias: &[(String, String)]) -> Self {
        let is_wanted = |index| wanted.iter().any(|id| id.index() == index);
        Self {
            log,
            order: Vec::new(),
            wanted: (0..log.columns().len()).map(is_wanted).collect(),
            alias: alias.to_vec(),
        }
    }

    /// Reads one line, without its end, into the row that comes next.
    ///
    /// # Errors
    /// Says why the line is not a record; the batch is as before.
    pub fn read(&mut self, line: &[u8], offset: u64, batch: &mut Batch) -> Result<(), Refusal> {
        let (arena, members) = (batch.arena.len(), batch.members.len());
        let row = batch.rows();
        batch.arena.extend_from_slice(line);
        let mut scan = Scan::new(line, arena, members);
        let result = self.object(&mut scan, batch).and_then(|()| {
            let has_ts = batch.column(schema::TS).is_set(row);
            has_ts.then_some(()).ok_or_else(|| refuse(RejectReason::BadField, "field ts"))
        });
        if let Err(refusal) = result {
            batch.arena.truncate(arena);
            batch.members.truncate(members);
            batch.drop_row();
            return Err(refusal);
        }
        batch.member_ends.push(batch.members.len() as u32);
        let plain = line.is_ascii() && !scan.has_surrogate;
        let span = Span::new(arena, arena + line.len());
        batch.commit_row(Line { span, offset, plain });
        Ok(())
    }

    fn object(&mut self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refusal> {
        scan.blanks();
        scan.expect(b'{')?;
        scan.blanks();
        if !scan.take(b'}') {
            loop {
                self.member(scan, batch)?;
                scan.blanks();
                if !scan.take(b',') {
                    break;
                }
                scan.blanks();
            }
            scan.expect(b'}')?;
        }
        scan.blanks();
        if scan.at == scan.line.len() { Ok(()) } else { Err(NOT_JSON()) }
    }

    fn member(&mut self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refusal> {
        scan.expect(b'"')?;
        let key = scan.string()?.inside;
        scan.blanks();
        scan.expect(b':')?;
        scan.blanks();
        let kind = self.key(&scan.line[key.clone()], scan);
        if kind == Key::Id && scan.peek() == Some(b'{') {
            return self.nested_id(scan, batch);
        }
        let value = scan.value(0)?;
        if kind == Key::Path {
            self.same_log(value, scan)?;
        }
        let column = match kind {
            Key::Column(id) => Some(id),
            _ => None,
        };
        self.keep(scan.span(&key), value, column, scan, batch)
    }

    /// Fills the column of a member and keeps the member; of two with one key the last counts.
    fn keep(
        &self,
        key: Span,
        value: Value,
        column: Option<ColumnId>,
        scan: &mut Scan<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let first = scan.first_member;
        let is_same = |member: &Member, batch: &Batch| match column {
            Some(_) => member.column == column,
            None => member.column.is_none() && batch.bytes(member.key) == batch.bytes(key),
        };
        let is_twice = match column {
            Some(id) => {
                let bit = 1 << id.index();
                let was = scan.seen & bit != 0;
                scan.seen |= bit;
                was
            }
            None => batch.members[first..].iter().any(|member| is_same(member, batch)),
        };
        if is_twice {
            let at = batch.members[first..].iter().position(|member| is_same(member, batch));
            at.map(|at| batch.members.remove(first + at));
        }
        if batch.members.len() - first == MEMBERS_MAX {
            return Err(refuse(RejectReason::TooManyFields, "more than 1,024 members"));
        }
        batch.members.push(Member { key, value: scan.span(&value.range()), column });
        let Some(id) = column.filter(|id| self.wanted[id.index()]) else { return Ok(()) };
        let kind = self.log.columns()[id.index()].kind;
        set(value, kind, id, scan, batch).ok_or_else(|| {
            refuse(RejectReason::BadField, &format!("field {}", self.log.column_name(id)))
        })
    }

    /// `"id":{"orig_h":...}`: each member as if it were written `"id.orig_h":...`.
    fn nested_id(&self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refusal> {
        scan.expect(b'{')?;
        scan.blanks();
        if scan.take(b'}') {
            return Ok(());
        }
        loop {
            scan.expect(b'"')?;
            let key = scan.string()?.inside;
            scan.blanks();
            scan.expect(b':')?;
            scan.blanks();
            let value = scan.value(1)?;
            let start = batch.arena.len();
            batch.arena.extend_from_slice(b"id.");
            batch.arena.extend_from_slice(&scan.line[key]);
            let name = Span::new(start, batch.arena.len());
            let column = self.log.column(batch.bytes(name));
            self.keep(name, value, column, scan, batch)?;
            scan.blanks();
            if !scan.take(b',') {
                return scan.expect(b'}');
            }
            scan.blanks();
        }
    }

    /// What `key` is; most often the one that followed the last in the records before.
    fn key(&mut self, key: &[u8], scan: &mut Scan<'_>) -> Key {
        for step in 0..self.order.len() {
            let at = (scan.hint + step) % self.order.len();
            if self.order[at].0 == key {
                scan.hint = at + 1;
                return self.order[at].1;
            }
        }
        let name = match self.alias.iter().find(|(from, _)| from.as_bytes() == key) {
            Some((_, to)) => to.as_bytes(),
            None => key,
        };
        let found = match name {
            b"_path" | b"@stream" => Key::Path,
            b"id" => Key::Id,
            _ => self.log.column(name).map_or(Key::Other, Key::Column),
        };
        if self.order.len() < ORDER_MAX && key.len() <= 64 {
            let at = scan.hint.min(self.order.len());
            self.order.insert(at, (key.to_vec(), found));
            scan.hint = at + 1;
        }
        found
    }

    fn same_log(&self, value: Value, scan: &Scan<'_>) -> Result<(), Refusal> {
        let Value::String { start, end, .. } = value else { return Ok(()) };
        let name = std::str::from_utf8(&scan.line[start..end]).unwrap_or_default();
        match Log::from_name(name) {
            Some(log) if log.lane() != self.log.lane() => Err(refuse(
                RejectReason::ForeignLog,
                &format!("a record of {log} in a log of {}", self.log),
            )),
            _ => Ok(()),
        }
    }
}

/// A value, by its bytes in the line.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Inside of the quotes.
    String {
        start: usize,
        end: usize,
        is_escaped: bool,
    },
    /// Number, `true`, `false`.
    Token {
        start: usize,
        end: usize,
    },
    Null {
        start: usize,
    },
    Array {
        start: usize,
        end: usize,
    },
    Object {
        start: usize,
        end: usize,
    },
}

impl Value {
    /// The whole value as written.
    fn range(self) -> std::ops::Range<usize> {
        match self {
            Self::String { start, end, .. } => start - 1..end + 1,
            Self::Token { start, end }
            | Self::Array { start, end }
            | Self::Object { start, end } => start..end,
            Self::Null { start } => start..start + 4,
        }
    }
}

/// A string that was found: what stands between its quotes.
struct Quoted {
    inside: std::ops::Range<usize>,
    is_escaped: bool,
}

/// Where reading a line has come to.
struct Scan<'a> {
    line: &'a [u8],
    at: usize,
    /// Where the line stands in the arena.
    base: usize,
    first_member: usize,
    /// Where in the order of keys the next one is expected.
    hint: usize,
    /// Columns that came already, one bit each.
    seen: u64,
    has_surrogate: bool,
}

impl<'a> Scan<'a> {
    fn new(line: &'a [u8], base: usize, first_member: usize) -> Self {
        Self { line, at: 0, base, first_member, hint: 0, seen: 0, has_surrogate: false }
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.take(byte) { Ok(()) } else { Err(NOT_JSON()) }
    }

    fn span(&self, range: &std::ops::Range<usize>) -> Span {
        Span::new(self.base + range.start, self.base + range.end)
    }

    /// A string whose opening quote was taken.
    #[inline]
    fn string(&mut self) -> Result<Quoted, Refusal> {
        let start = self.at;
        let mut is_escaped = false;
        loop {
            self.at += string_stop(&self.line[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted { inside: start..self.at - 1, is_escaped });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                _ => return Err(NOT_JSON()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refusal> {
        let rest = &self.line[self.at..];
        match rest.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = unescape::code_unit(rest).ok_or_else(NOT_JSON)?;
                self.has_surrogate |= (0xd800..0xe000).contains(&unit);
                self.at += 6;
            }
            _ => return Err(NOT_JSON()),
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Refusal> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let Quoted { inside, is_escaped } = self.string()?;
                Ok(Value::String { start: inside.start, end: inside.end, is_escaped })
            }
            Some(b'-' | b'0'..=b'9') => {
                let is_part =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
                let length = self.line[start..].iter().take_while(|byte| is_part(byte)).count();
                self.at += length;
                if value::is_json_number(&self.line[start..self.at]) {
                    Ok(Value::Token { start, end: self.at })
                } else {
                    Err(NOT_JSON())
                }
            }
            Some(b'[') => self.items(depth, b']').map(|end| Value::Array { start, end }),
            Some(b'{') => self.items(depth, b'}').map(|end| Value::Object { start, end }),
            _ => {
                let rest = &self.line[start..];
                for word in [b"true".as_slice(), b"false"] {
                    if rest.starts_with(word) {
                        self.at += word.len();
                        return Ok(Value::Token { start, end: self.at });
                    }
                }
                if !rest.starts_with(b"null") {
                    return Err(NOT_JSON());
                }
                self.at += 4;
                Ok(Value::Null { start })
            }
        }
    }

    /// Passes over an array or object; the byte after it.
    fn items(&mut self, depth: usize, close: u8) -> Result<usize, Refusal> {
        if depth == JSON_DEPTH_MAX {
            return Err(refuse(RejectReason::TooManyFields, "nested deeper than 32 levels"));
        }
        self.at += 1;
        self.blanks();
        if self.take(close) {
            return Ok(self.at);
        }
        loop {
            if close == b'}' {
                self.expect(b'"')?;
                self.string()?;
                self.blanks();
                self.expect(b':')?;
                self.blanks();
            }
            self.value(depth + 1)?;
            self.blanks();
            if !self.take(b',') {
                self.expect(close)?;
                return Ok(self.at);
            }
            self.blanks();
        }
    }
}

/// Sets a value of the row that is being read; nothing if it is not of its type. A value that
/// another tool wrote as a string counts as what stands in it.
fn set(
    found: Value,
    kind: Kind,
    id: ColumnId,
    scan: &mut Scan<'_>,
    batch: &mut Batch,
) -> Option<()> {
    let row = batch.rows();
    let column = &mut batch.columns[id.index()];
    let (token, is_text) = match found {
        Value::Null { .. } => {
            column.unset(row);
            return Some(());
        }
        Value::String { start, end, .. } => (&scan.line[start..end], true),
        Value::Token { start, end } => (&scan.line[start..end], false),
        Value::Array { .. } | Value::Object { .. } => (b"".as_slice(), false),
    };
    match kind {
        Kind::Time if is_text => match Time::parse_iso(token) {
            Some(time) => column.set_micros(row, time.0),
            None => column.set_micros(row, value::json_time(token)?),
        },
        Kind::Time => column.set_micros(row, value::json_time(token)?),
        Kind::Interval => column.set_micros(row, value::json_seconds(token)?),
        Kind::Count => column.set_count(row, whole(token)?),
        Kind::Port => column.set_count(row, whole(token).filter(|&port| port <= 65_535)?),
        Kind::Flag => column.set_flag(row, value::flag(token)?),
        Kind::Addr => match Addr::parse(token) {
            Some(addr) => column.set_addr(row, addr),
            None => column.unset(row),
        },
        Kind::Text => {
            let span = text(found, scan, &mut batch.arena);
            batch.columns[id.index()].set_text(row, span);
        }
        Kind::List => {
            column.set_list(row);
            list(found, id, scan, batch);
        }
    }
    Some(())
}

/// A count, also where a tool wrote `200.0`.
fn whole(token: &[u8]) -> Option<u64> {
    value::count(token).or_else(|| {
        let at = memchr::memchr(b'.', token)?;
        let zeros = token[at + 1..].iter().all(|&byte| byte == b'0');
        if zeros { value::count(&token[..at]) } else { None }
    })
}

fn text(found: Value, scan: &Scan<'_>, arena: &mut Vec<u8>) -> Span {
    match found {
        Value::String { start, end, is_escaped: true } => {
            let from = arena.len();
            unescape::json(&scan.line[start..end], arena);
            Span::new(from, arena.len())
        }
        Value::String { start, end, .. } => scan.span(&(start..end)),
        other => scan.span(&other.range()),
    }
}

fn list(found: Value, id: ColumnId, scan: &mut Scan<'_>, batch: &mut Batch) {
    let row = batch.rows();
    let Value::Array { start, end } = found else {
        let span = text(found, scan, &mut batch.arena);
        batch.columns[id.index()].push_item(row, span);
        return;
    };
    let resume = scan.at;
    scan.at = start + 1;
    scan.blanks();
    while scan.at + 1 < end {
        // It was read once already, so it is well-formed.
        let Ok(item) = scan.value(1) else { break };
        let span = match item {
            Value::Null { .. } => Span::UNSET,
            item => text(item, scan, &mut batch.arena),
        };
        batch.columns[id.index()].push_item(row, span);
        scan.blanks();
        scan.take(b',');
        scan.blanks();
    }
    scan.at = resume;
}
