//! Records of JSON: one object per line, checked against RFC 8259, the members that somebody asked
//! for read, all of them kept for the output.

use std::ops::Range;

use crate::base::address::Addr;
use crate::base::limits::{JSON_DEPTH_MAX, MEMBERS_MAX};
use crate::base::time::Time;
use crate::record::schema::{self, ColumnId, Kind};
use crate::record::{Batch, Line, Log, Member, RejectReason, Span};

use super::identify::{foreign_detail, is_foreign};
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

/// Why a line is not a record; in a box, because results of every member have room for it.
pub type Refused = Box<Refusal>;

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub reason: RejectReason,
    /// What exactly.
    pub detail: String,
}

fn refuse(reason: RejectReason, detail: &str) -> Refused {
    Box::new(Refusal { reason, detail: detail.to_owned() })
}

#[cold]
fn not_json() -> Refused {
    refuse(RejectReason::NotJson, "not one JSON object")
}

/// Reads lines of one log.
#[derive(Clone, Debug)]
pub struct Reader {
    log: Log,
    /// The keys of the last records in their order, with the `":` behind them, and what they are:
    /// the next record has the same ones, less those that are unset.
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
    /// No column of ours, by the name that the alias at this place gives it.
    Renamed(usize),
    Other,
}

const BEHIND_KEY: &[u8] = b"\":";

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
    pub fn read(&mut self, line: &[u8], offset: u64, batch: &mut Batch) -> Result<(), Refused> {
        let (arena, members) = (batch.arena.len(), batch.members.len());
        let row = batch.rows();
        batch.arena.extend_from_slice(line);
        let mut scan = Scan::new(line, arena, members);
        let result = self.object(&mut scan, batch).and_then(|()| {
            let has_ts = batch.column(schema::TS).is_set(row);
            has_ts.then_some(()).ok_or_else(|| refuse(RejectReason::BadField, "field ts"))
        });
        if let Err(refusal) = result {
            batch.abandon_row();
            batch.arena.truncate(arena);
            batch.members.truncate(members);
            return Err(refusal);
        }
        batch.member_ends.push(batch.members.len() as u32);
        let plain = line.is_ascii() && !scan.has_escape;
        let span = Span::new(arena, arena + line.len());
        batch.commit_row(Line { span, offset, plain });
        Ok(())
    }

    fn object(&mut self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refused> {
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
        if scan.at == scan.line.len() { Ok(()) } else { Err(not_json()) }
    }

    fn member(&mut self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refused> {
        scan.expect(b'"')?;
        let (key, kind) = match self.expected_key(scan) {
            Some(found) => found,
            None => {
                let key = scan.string()?.inside;
                scan.blanks();
                scan.expect(b':')?;
                (key.clone(), self.key(&scan.line[key], scan))
            }
        };
        scan.blanks();
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
        let key = match kind {
            Key::Renamed(alias) => {
                let start = batch.arena.len();
                batch.arena.extend_from_slice(self.alias[alias].1.as_bytes());
                Span::new(start, batch.arena.len())
            }
            _ => scan.span(&key),
        };
        self.keep(key, value, column, scan, batch)
    }

    /// Fills the column of a member and keeps the member; of two with one key the last counts.
    fn keep(
        &self,
        key: Span,
        value: Value,
        column: Option<ColumnId>,
        scan: &mut Scan<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refused> {
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
    fn nested_id(&self, scan: &mut Scan<'_>, batch: &mut Batch) -> Result<(), Refused> {
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
            let column = self.log.column(&unescape::json_text(batch.bytes(name)));
            self.keep(name, value, column, scan, batch)?;
            scan.blanks();
            if !scan.take(b',') {
                return scan.expect(b'}');
            }
            scan.blanks();
        }
    }

    /// The key that comes next, if it is one of those that follow the last in the records before,
    /// and no blank stands before its colon.
    #[inline]
    fn expected_key(&self, scan: &mut Scan<'_>) -> Option<(Range<usize>, Key)> {
        let after = self.order.get(scan.hint..)?;
        let start = scan.at;
        let rest = &scan.line[start..];
        let at = after.iter().position(|(known, _)| rest.starts_with(known))?;
        let (known, kind) = &after[at];
        scan.at += known.len();
        scan.hint += at + 1;
        Some((start..scan.at - BEHIND_KEY.len(), *kind))
    }

    /// What `key` is.
    fn key(&mut self, key: &[u8], scan: &mut Scan<'_>) -> Key {
        let is_key = |known: &[u8]| known.strip_suffix(BEHIND_KEY) == Some(key);
        if let Some(at) = self.order.iter().position(|(known, _)| is_key(known)) {
            scan.hint = at + 1;
            return self.order[at].1;
        }
        let text = unescape::json_text(key);
        let alias = self.alias.iter().position(|(from, _)| from.as_bytes() == &*text);
        let name = alias.map_or(&*text, |at| self.alias[at].1.as_bytes());
        let other = alias.map_or(Key::Other, Key::Renamed);
        let found = match name {
            b"_path" | b"@stream" => Key::Path,
            b"id" => Key::Id,
            _ => self.log.column(name).map_or(other, Key::Column),
        };
        if self.order.len() < ORDER_MAX && key.len() <= 64 {
            let at = scan.hint.min(self.order.len());
            self.order.insert(at, ([key, BEHIND_KEY].concat(), found));
            scan.hint = at + 1;
        }
        found
    }

    fn same_log(&self, value: Value, scan: &Scan<'_>) -> Result<(), Refused> {
        let name = unescape::json_text(&scan.line[value.inside()]);
        let name = String::from_utf8_lossy(&name);
        if value.is_string() && is_foreign(&name, self.log) {
            return Err(refuse(RejectReason::ForeignLog, &foreign_detail(&name, self.log)));
        }
        Ok(())
    }
}

/// A value, by its bytes in the line.
#[derive(Clone, Copy, Debug)]
struct Value {
    shape: Shape,
    start: usize,
    end: usize,
}

/// As wide as its neighbours: what is stored in parts and loaded as a whole makes a processor wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Shape {
    String,
    /// A string with escapes.
    Escaped,
    /// Number, `true`, `false`.
    Token,
    Null,
    Array,
    Object,
}

impl Value {
    /// The whole value as written.
    fn range(self) -> Range<usize> {
        self.start..self.end
    }

    fn is_string(self) -> bool {
        matches!(self.shape, Shape::String | Shape::Escaped)
    }

    /// The same without the quotes of a string.
    fn inside(self) -> Range<usize> {
        let quote = usize::from(self.is_string());
        self.start + quote..self.end - quote
    }
}

/// A string that was found: what stands between its quotes.
struct Quoted {
    inside: Range<usize>,
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
    has_escape: bool,
}

impl<'a> Scan<'a> {
    fn new(line: &'a [u8], base: usize, first_member: usize) -> Self {
        Self { line, at: 0, base, first_member, hint: 0, seen: 0, has_escape: false }
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

    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.take(byte) { Ok(()) } else { Err(not_json()) }
    }

    fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.base + range.start, self.base + range.end)
    }

    /// A string whose opening quote was taken.
    #[inline]
    fn string(&mut self) -> Result<Quoted, Refused> {
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
                    self.has_escape = true;
                    self.escape()?;
                }
                _ => return Err(not_json()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let rest = &self.line[self.at..];
        match rest.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                unescape::code_unit(rest).ok_or_else(not_json)?;
                self.at += 6;
            }
            _ => return Err(not_json()),
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Refused> {
        let start = self.at;
        let shape = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                if self.string()?.is_escaped { Shape::Escaped } else { Shape::String }
            }
            Some(b'-' | b'0'..=b'9') => {
                self.at += value::json_number(&self.line[start..]).ok_or_else(not_json)?;
                Shape::Token
            }
            Some(b'[') => self.items(depth, b']').map(|()| Shape::Array)?,
            Some(b'{') => self.items(depth, b'}').map(|()| Shape::Object)?,
            _ => {
                let words =
                    [("true", Shape::Token), ("false", Shape::Token), ("null", Shape::Null)];
                let rest = &self.line[start..];
                let found = words.iter().find(|(word, _)| rest.starts_with(word.as_bytes()));
                let (word, shape) = found.ok_or_else(not_json)?;
                self.at += word.len();
                *shape
            }
        };
        Ok(Value { shape, start, end: self.at })
    }

    /// Passes over an array or object.
    fn items(&mut self, depth: usize, close: u8) -> Result<(), Refused> {
        if depth == JSON_DEPTH_MAX {
            return Err(refuse(RejectReason::TooManyFields, "nested deeper than 32 levels"));
        }
        self.at += 1;
        self.blanks();
        if self.take(close) {
            return Ok(());
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
                return self.expect(close);
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
    let token = match found.shape {
        Shape::Null => {
            column.unset(row);
            return Some(());
        }
        Shape::Array | Shape::Object => 0..0,
        Shape::String | Shape::Escaped | Shape::Token => found.inside(),
    };
    let line = scan.line;
    match kind {
        Kind::Time => {
            let iso = if found.is_string() { Time::parse_iso(&line[token.clone()]) } else { None };
            let micros = iso.map(|time| time.0).or_else(|| value::json_time_in(line, token));
            column.set_micros(row, micros?);
        }
        Kind::Interval => column.set_micros(row, value::json_seconds_in(line, token)?),
        Kind::Count => column.set_count(row, whole(line, token)?),
        Kind::Port => {
            column.set_count(row, whole(line, token).filter(|&port| port <= 65_535)?);
        }
        Kind::Flag => column.set_flag(row, value::flag(&line[token])?),
        Kind::Addr => match Addr::parse_in(line, token) {
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
#[inline]
fn whole(line: &[u8], token: Range<usize>) -> Option<u64> {
    value::count_in(line, token.clone()).or_else(|| {
        let token = &line[token];
        let at = memchr::memchr(b'.', token)?;
        let zeros = token[at + 1..].iter().all(|&byte| byte == b'0');
        if zeros { value::count(&token[..at]) } else { None }
    })
}

fn text(found: Value, scan: &mut Scan<'_>, arena: &mut Vec<u8>) -> Span {
    // As a text it has quotes in it.
    scan.has_escape |= matches!(found.shape, Shape::Array | Shape::Object);
    if found.shape != Shape::Escaped {
        return scan.span(&found.inside());
    }
    let from = arena.len();
    unescape::json(&scan.line[found.inside()], arena);
    Span::new(from, arena.len())
}

fn list(found: Value, id: ColumnId, scan: &mut Scan<'_>, batch: &mut Batch) {
    let row = batch.rows();
    let Range { start, end } = found.range();
    if found.shape != Shape::Array {
        let span = text(found, scan, &mut batch.arena);
        batch.columns[id.index()].push_item(row, span);
        return;
    }
    let resume = scan.at;
    scan.at = start + 1;
    scan.blanks();
    while scan.at + 1 < end {
        // It was read once already, so it is well-formed.
        let Ok(item) = scan.value(1) else { break };
        let span = match item.shape {
            Shape::Null => Span::UNSET,
            _ => text(item, scan, &mut batch.arena),
        };
        batch.columns[id.index()].push_item(row, span);
        scan.blanks();
        scan.take(b',');
        scan.blanks();
    }
    scan.at = resume;
}
