//! What the user wrote, with positions: a flat list of paths and literals that does nothing yet.
//!
//! Here belong TOML syntax, positions and the overlay of `--set`. What a key means belongs to
//! `schema` and `read`.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::diagnose::{MISTAKES_MAX, Mistake, Place, segment};

/// Deeper paths lead nowhere in any schema, so they are not followed.
const PATH_SEGMENTS_MAX: usize = 8;

/// A parsed file with the settings of the command line laid over it.
pub(super) struct Raw<'a> {
    file: &'a str,
    text: &'a str,
    /// The keys of `--set` items as the user wrote them, for positions.
    sets: Vec<String>,
    /// In the order of the file, then of the command line.
    pub(super) entries: Vec<Entry>,
    /// Where the text is not TOML.
    pub(super) syntax: Vec<Mistake>,
    /// Lines that are not TOML: what was made of them is a guess.
    broken_lines: BTreeSet<usize>,
    /// True where after a syntax error the entries cannot be trusted.
    pub(super) lost: bool,
}

/// One key or table.
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) key_at: At,
    pub(super) value: Literal,
}

/// Where something stands: a byte of the file, a `--set` item, or a default of the program.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum At {
    File(usize),
    Set(usize),
    Default,
}

/// A value and its position.
pub(super) struct Literal {
    pub(super) at: At,
    pub(super) node: Node,
}

/// A TOML value; what stands in a table has entries of its own.
pub(super) enum Node {
    Flag(bool),
    Integer(i64),
    /// An integer of more than 64 bits.
    Huge(String),
    Real(f64),
    Text(String),
    Date(String),
    List(Vec<Literal>),
    Table,
}

impl<'a> Raw<'a> {
    /// Reads a TOML text; never fails, see `syntax` and `lost`.
    pub(super) fn parse(file: &'a str, text: &'a str) -> Self {
        let (mut raw, root) = Self::open(file, text);
        flatten(&mut raw.entries, &mut Vec::new(), root.get_ref(), &At::File);
        raw.entries.sort_by_key(|entry| entry.key_at);
        raw
    }

    /// The same without entries, and the text as a tree.
    pub(super) fn open(file: &'a str, text: &'a str) -> (Self, Spanned<DeTable<'a>>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut raw = Self {
            file,
            text,
            sets: Vec::new(),
            entries: Vec::new(),
            syntax: Vec::new(),
            broken_lines: BTreeSet::new(),
            lost: false,
        };
        raw.take_errors(errors);
        (raw, root)
    }

    /// Lays `key.path=value` over the file: it replaces what stands at that path.
    pub(super) fn overlay(&mut self, item: &str) {
        let (key, value) = split_item(item);
        let index = self.sets.len();
        self.sets.push(key.trim().to_owned());
        let (Some(path), Some(value)) = (key_path(key.trim()), value) else {
            self.syntax.push(Mistake::bad_set(self.place(At::Set(index))));
            return;
        };
        self.entries.retain(|entry| !entry.path.starts_with(&path));
        let key_at = At::Set(index);
        let at = |_: usize| key_at;
        for end in 1..path.len() {
            let table = path.iter().take(end).cloned().collect::<Vec<_>>();
            if !self.entries.iter().any(|entry| entry.path == table) {
                self.entries.push(entry(table, key_at, Node::Table));
            }
        }
        match DeValue::parse(value.trim()) {
            Ok(value) => add(&mut self.entries, &mut path.clone(), key_at, &value, &at),
            Err(_) => self.entries.push(entry(path, key_at, Node::Text(value.to_owned()))),
        }
    }

    /// The place for a message.
    pub(super) fn place(&self, at: At) -> Place {
        match at {
            At::File(offset) => {
                let before = self.text.get(..offset).unwrap_or(self.text);
                let (line, column) = line_column(before);
                Place { file: self.file.to_owned(), line, column }
            }
            At::Set(index) => {
                let key = self.sets.get(index).map_or("", String::as_str);
                let plain = key.chars().filter(|c| !c.is_control()).collect::<String>();
                Place::whole(format!("--set {plain}").trim_end())
            }
            At::Default => Place::whole("built-in default"),
        }
    }

    /// True where a mistake at this place would only repeat a syntax error.
    pub(super) fn is_broken(&self, mistake: &Mistake) -> bool {
        self.broken_lines.contains(&mistake.line)
    }

    /// Whether there are mistakes; if so, as many as help, in the order of the text.
    pub(super) fn all(&self, mut mistakes: Vec<Mistake>) -> Result<(), Vec<Mistake>> {
        if mistakes.is_empty() {
            return Ok(());
        }
        // Those without a position come from the command line, which is laid over the file.
        mistakes.sort_by_key(|m| (m.line == 0, m.line, m.column));
        Err(Mistake::bounded(mistakes, self.file))
    }

    /// Keeps one error of each line, and none after an open bracket or quote: all that follows
    /// one of these is taken for a part of it.
    fn take_errors(&mut self, mut errors: Vec<Error>) {
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        let mut line_end = 0;
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let is_repeat = !self.broken_lines.is_empty() && span.start <= line_end;
            if is_repeat || self.syntax.len() > MISTAKES_MAX {
                continue;
            }
            let place = self.place(At::File(span.start));
            let found = self.text.get(span.clone()).unwrap_or("").trim();
            if error.message() == "duplicate key" {
                self.syntax.push(Mistake::duplicate(place, found));
                continue;
            }
            let (start, end) = self.line_around(span.start);
            line_end = end;
            self.broken_lines.insert(place.line);
            self.syntax.push(Mistake::syntax(place, error.message(), found));
            self.lost |= self.text.get(start..).is_some_and(|s| s.trim_start().starts_with('['));
            if ["array", "inline table", "multi-line"].iter().any(|s| error.message().contains(s)) {
                self.lost = true;
                break;
            }
        }
    }

    /// Where the line around a byte starts and ends.
    fn line_around(&self, offset: usize) -> (usize, usize) {
        let (before, after) = self.text.split_at_checked(offset).unwrap_or((self.text, ""));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (start, after.find('\n').map_or(self.text.len(), |newline| offset + newline))
    }
}

/// Line and column, from 1 and in characters, of what follows after this text.
pub(super) fn line_column(before: &str) -> (usize, usize) {
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or(before);
    (line, last.chars().count() + 1)
}

fn entry(path: Vec<String>, key_at: At, node: Node) -> Entry {
    Entry { path, key_at, value: Literal { at: key_at, node } }
}

/// Adds the entries of a table, each with its path.
fn flatten(
    entries: &mut Vec<Entry>,
    path: &mut Vec<String>,
    table: &DeTable<'_>,
    at: &dyn Fn(usize) -> At,
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        add(entries, path, at(key.span().start), value, at);
        path.pop();
    }
}

/// Adds the entry of one value and, for a table, those within it.
fn add(
    entries: &mut Vec<Entry>,
    path: &mut Vec<String>,
    key_at: At,
    value: &Spanned<DeValue<'_>>,
    at: &dyn Fn(usize) -> At,
) {
    entries.push(Entry { path: path.clone(), key_at, value: Literal::new(value, at) });
    if let DeValue::Table(table) = value.get_ref()
        && path.len() < PATH_SEGMENTS_MAX
    {
        flatten(entries, path, table, at);
    }
}

impl Literal {
    /// The parser bounds how deep lists nest, so this recursion is bounded too.
    pub(super) fn new(value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> At) -> Self {
        let node = match value.get_ref() {
            DeValue::Boolean(flag) => Node::Flag(*flag),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Node::Integer(number),
                    Err(_) => Node::Huge(number.to_string()),
                }
            }
            DeValue::Float(number) => Node::Real(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::String(text) => Node::Text(text.to_string()),
            DeValue::Datetime(date) => Node::Date(date.to_string()),
            DeValue::Array(list) => Node::List(list.iter().map(|v| Self::new(v, at)).collect()),
            DeValue::Table(_) => Node::Table,
        };
        Self { at: at(value.span().start), node }
    }

    /// What it is, with its article.
    pub(super) fn type_name(&self) -> &'static str {
        match self.node {
            Node::Flag(_) => "true or false",
            Node::Integer(_) | Node::Huge(_) => "a whole number",
            Node::Real(_) => "a number",
            Node::Text(_) => "text",
            Node::Date(_) => "a date",
            Node::List(_) => "a list",
            Node::Table => "a table",
        }
    }
}

/// Splits at the first `=` outside of quotes.
fn split_item(item: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (offset, c) in item.char_indices() {
        match (quote, c) {
            (None, '=') => return (item.get(..offset).unwrap_or(item), item.get(offset + 1..)),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    (item, None)
}

/// The segments of a dotted key; a segment with other characters stands in quotes.
fn key_path(key: &str) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let mut rest = key;
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (name, after) = match quote {
            Some(quote) => {
                let (name, after) = rest.strip_prefix(quote)?.split_once(quote)?;
                (name.to_owned(), after)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end)?;
                if segment(name) != name {
                    return None;
                }
                (name.to_owned(), after)
            }
        };
        path.push(name);
        if after.is_empty() {
            return (path.len() <= PATH_SEGMENTS_MAX).then_some(path);
        }
        rest = after.strip_prefix('.')?;
    }
}
