//! Reads the header of a TSV log: `#separator`, `#fields`, `#types` and the rest.
//!
//! Unknown lines are passed over, a missing one has Zeek's default, another prefix than `#` is
//! learned from the `separator` line (`LogAscii::meta_prefix`).

use std::collections::BTreeMap;

use crate::base::limits::COLUMNS_MAX;
use crate::record::schema::Kind;
use crate::record::{Field, Header, Log, Scalar, Shape};

use super::unescape;

/// A header that is being read.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    pub(super) prefix: Vec<u8>,
    separator: Vec<u8>,
    set_separator: Vec<u8>,
    empty: Vec<u8>,
    unset: Vec<u8>,
    /// What `#path` said.
    pub(super) path: Option<String>,
    names: Vec<Vec<u8>>,
    types: Vec<Vec<u8>>,
    crlf: bool,
    /// Whether a `separator` line came.
    has_begun: bool,
    /// Whether a line came that the header in use does not know yet.
    pub(super) is_new: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            prefix: b"#".to_vec(),
            separator: b"\t".to_vec(),
            set_separator: b",".to_vec(),
            empty: b"(empty)".to_vec(),
            unset: b"-".to_vec(),
            path: None,
            names: Vec::new(),
            types: Vec::new(),
            crlf: false,
            has_begun: false,
            is_new: false,
        }
    }
}

/// The prefix in front of `separator ` where `line` begins a header: `#` as a rule, and never what
/// begins a record of JSON.
pub(super) fn prefix_of(line: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(line, b"separator ")?;
    let value = line[at + 10..].strip_suffix(b"\r").unwrap_or(&line[at + 10..]);
    let prefix = &line[..at];
    let is_word = (1..=64).contains(&prefix.len())
        && prefix.iter().all(u8::is_ascii_graphic)
        && !prefix.starts_with(b"{");
    (is_word && (1..=64).contains(&value.len())).then_some(prefix)
}

/// What a line of a header was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    /// The first of a header.
    Begins,
    /// One that says how records are to be read.
    Schema,
    /// `#close`: the last of a file.
    Close,
    /// One that says nothing to us.
    Other,
}

impl Builder {
    /// Takes one line that begins with the prefix, or that [`prefix_of`] knows.
    pub(super) fn line(&mut self, line: &[u8]) -> Meta {
        let (line, crlf) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        // With a blank for the separator `#set_separator ` would begin a header of another prefix.
        let prefix = prefix_of(line).filter(|&it| !self.has_begun || it == self.prefix);
        if let Some(prefix) = prefix {
            let value = unescaped(&line[prefix.len() + 10..]);
            *self = Self { prefix: prefix.to_vec(), separator: value, ..Self::default() };
            (self.is_new, self.has_begun, self.crlf) = (true, true, crlf);
            return Meta::Begins;
        }
        let Some(rest) = line.strip_prefix(self.prefix.as_slice()) else { return Meta::Other };
        let Some(at) = memchr::memmem::find(rest, &self.separator) else { return Meta::Other };
        let (key, value) = (&rest[..at], &rest[at + self.separator.len()..]);
        let says_something = matches!(
            key,
            b"set_separator" | b"empty_field" | b"unset_field" | b"path" | b"fields" | b"types"
        );
        self.is_new |= says_something;
        match key {
            b"set_separator" => self.set_separator = unescaped(value),
            b"empty_field" => self.empty = unescaped(value),
            b"unset_field" => self.unset = unescaped(value),
            b"path" => self.path = Some(String::from_utf8_lossy(value).into_owned()),
            b"fields" => {
                self.names = self.list(value);
                self.types.clear();
                self.crlf = crlf;
            }
            b"types" => self.types = self.list(value),
            b"close" => return Meta::Close,
            _ => {}
        }
        if says_something { Meta::Schema } else { Meta::Other }
    }

    fn list(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let finder = memchr::memmem::Finder::new(&self.separator);
        let mut items = Vec::new();
        let mut start = 0;
        for at in finder.find_iter(value).chain(std::iter::once(value.len())) {
            if items.len() == COLUMNS_MAX {
                return Vec::new();
            }
            items.push(unescaped(&value[start..at]));
            start = at + self.separator.len();
        }
        items
    }

    /// The header that the lines so far make, if they named columns.
    pub(super) fn finish(&mut self, log: Log) -> Option<Header> {
        self.is_new = false;
        if self.names.is_empty() {
            return None;
        }
        let typed = self.types.len() == self.names.len();
        let field = |(index, name): (usize, &Vec<u8>)| {
            let type_name = if typed { Some(self.types[index].as_slice()) } else { None };
            field(log, name, type_name)
        };
        let mut fields: Vec<Field> = self.names.iter().enumerate().map(field).collect();
        tell_apart(&mut fields);
        Some(Header {
            fields,
            separator: self.separator.clone(),
            set_separator: self.set_separator.clone(),
            empty: self.empty.clone(),
            unset: self.unset.clone(),
            // A CR that separates columns ends no line.
            crlf: self.crlf && !self.separator.contains(&b'\r'),
        })
    }
}

fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    unescape::tsv(value, &mut out);
    out
}

/// The header of a log that is written without one (`LogAscii::include_meta=F`), from configured
/// names.
#[must_use]
pub fn configured(log: Log, names: &[String]) -> Header {
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    of_names(log, &names, false)
}

/// The header that a single line of bare names is (the filter option `tsv=T`): one of them is
/// `ts`, and we know at least half.
pub(super) fn bare_names(log: Log, line: &[u8]) -> Option<Header> {
    let (line, crlf) = match line.strip_suffix(b"\r") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let names: Vec<&[u8]> = line.split(|&byte| byte == b'\t').take(COLUMNS_MAX + 1).collect();
    let known = names.iter().filter(|name| log.column(name).is_some()).count();
    let is_header = names.len() <= COLUMNS_MAX
        && names.contains(&b"ts".as_slice())
        && names.len() >= 2
        && known * 2 >= names.len();
    is_header.then(|| of_names(log, &names, crlf))
}

fn of_names(log: Log, names: &[&[u8]], crlf: bool) -> Header {
    let builder = Builder {
        names: names.iter().map(|name| name.to_vec()).collect(),
        crlf,
        ..Builder::default()
    };
    builder.clone().finish(log).unwrap_or_else(|| Header {
        fields: Vec::new(),
        separator: builder.separator,
        set_separator: builder.set_separator,
        empty: builder.empty,
        unset: builder.unset,
        crlf,
    })
}

fn field(log: Log, name: &[u8], type_name: Option<&[u8]>) -> Field {
    let column = log.column(name);
    let name = match column {
        Some(id) => log.column_name(id).to_owned(),
        None => String::from_utf8_lossy(name).into_owned(),
    };
    let shape = match (type_name, column) {
        (Some(type_name), _) => shape(type_name),
        (None, Some(id)) => shape_of_kind(log.columns()[id.index()].kind, &name),
        (None, None) => Shape::One(Scalar::Text),
    };
    Field { name, column, shape }
}

/// Of fields with one name the first is the column; the second is called `foo#2`.
fn tell_apart(fields: &mut [Field]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for field in fields {
        let first = field.name.clone();
        while counts.contains_key(&field.name) {
            let count = counts.entry(first.clone()).or_default();
            *count += 1;
            field.name = format!("{first}#{count}");
            field.column = None;
        }
        counts.insert(field.name.clone(), 1);
    }
}

/// What a Zeek type is in JSON; an unknown one is text.
fn shape(type_name: &[u8]) -> Shape {
    for container in [b"set[".as_slice(), b"vector[", b"table["] {
        if let Some(inner) = type_name.strip_prefix(container) {
            return Shape::Many(scalar(inner.strip_suffix(b"]").unwrap_or(inner)));
        }
    }
    Shape::One(scalar(type_name))
}

fn scalar(type_name: &[u8]) -> Scalar {
    match type_name {
        b"count" | b"int" | b"port" | b"double" | b"time" | b"interval" => Scalar::Number,
        b"bool" => Scalar::Flag,
        _ => Scalar::Text,
    }
}

fn shape_of_kind(kind: Kind, name: &str) -> Shape {
    match kind {
        Kind::Time | Kind::Interval | Kind::Count | Kind::Port => Shape::One(Scalar::Number),
        Kind::Flag => Shape::One(Scalar::Flag),
        Kind::Addr | Kind::Text => Shape::One(Scalar::Text),
        Kind::List if name == "TTLs" => Shape::Many(Scalar::Number),
        Kind::List => Shape::Many(Scalar::Text),
    }
}
