//! `zeek.<log>`: every field of the record under Zeek's own name.

use std::sync::Arc;

use crate::base::time::Time;
use crate::record::schema::TS;
use crate::record::{Batch, Format, Header, Log, Scalar, Shape};
use crate::zeek::{json_text, unescape_tsv, value};

use super::redact::{HIDDEN, Hidden, Redaction, Rule, without_userinfo};
use super::text;

/// Writes the fields of one log.
#[derive(Clone, Debug)]
pub struct Fields {
    log: Log,
    hidden: Hidden,
    header: Option<Arc<Header>>,
    prepared: Vec<Prepared>,
    scratch: Vec<u8>,
}

/// A field of the header, ready to write.
#[derive(Clone, Debug)]
struct Prepared {
    /// `"id.orig_h":`
    key: Vec<u8>,
    shape: Shape,
    redaction: Option<Redaction>,
}

impl Fields {
    /// A writer for records of `log` of which `rules` hide something.
    #[must_use]
    pub fn new(log: Log, rules: &[Rule]) -> Self {
        Self {
            log,
            hidden: Hidden::new(rules, log),
            header: None,
            prepared: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Appends the object; names of fields that were not UTF-8 go to `escaped`.
    pub fn write(&mut self, batch: &Batch, row: usize, out: &mut Vec<u8>, escaped: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        match batch.format() {
            Format::Tsv => self.tsv(batch, row, out, escaped),
            Format::Json => self.json(batch, row, out, escaped),
        }
        // Every member was written with a comma behind it.
        if out.len() > start {
            out.pop();
        }
        out.push(b'}');
    }

    fn prepare(&mut self, header: &Arc<Header>) {
        if self.header.as_ref().is_some_and(|known| Arc::ptr_eq(known, header)) {
            return;
        }
        let prepared = header.fields.iter().map(|field| {
            let mut key = Vec::new();
            text::string(&mut key, field.name.as_bytes(), false);
            key.push(b':');
            // What is hidden stays so where the header gives its name twice.
            let name = field.name.split('#').next().unwrap_or_default();
            let redaction = self.hidden.field(name);
            Prepared { key, shape: field.shape, redaction }
        });
        self.prepared = prepared.collect();
        self.header = Some(Arc::clone(header));
    }

    fn tsv(&mut self, batch: &Batch, row: usize, out: &mut Vec<u8>, escaped: &mut Vec<u8>) {
        let Some(header) = &batch.header else { return };
        self.prepare(header);
        let plain = batch.lines[row].plain;
        let separator = header.separator.len();
        let width = self.prepared.len();
        let ends = &batch.cell_ends[row * width..(row + 1) * width];
        let mut start = batch.lines[row].span.start as usize;
        for (field, &end) in self.prepared.iter().zip(ends) {
            let cell = &batch.arena[start..end as usize];
            start = end as usize + separator;
            if cell == header.unset {
                continue;
            }
            out.extend_from_slice(&field.key);
            let mut cells = Cells { header, plain, scratch: &mut self.scratch };
            let valid = match (field.redaction, field.shape) {
                (Some(Redaction::Whole), _) => text::string(out, HIDDEN, true),
                (Some(Redaction::Userinfo), _) => cells.userinfo(out, cell),
                (None, Shape::One(scalar)) => cells.one(out, cell, scalar),
                (None, Shape::Many(scalar)) => cells.many(out, cell, scalar),
            };
            out.push(b',');
            if !valid {
                escaped.extend_from_slice(&field.key[..field.key.len() - 1]);
                escaped.push(b',');
            }
        }
    }

    fn json(&self, batch: &Batch, row: usize, out: &mut Vec<u8>, escaped: &mut Vec<u8>) {
        let plain = batch.lines[row].plain;
        for member in batch.members(row) {
            let raw = batch.bytes(member.value);
            if raw == b"null" {
                continue;
            }
            let start = out.len();
            out.push(b'"');
            let mut valid = true;
            match member.column {
                Some(id) => out.extend_from_slice(self.log.column_name(id).as_bytes()),
                None if plain => out.extend_from_slice(batch.bytes(member.key)),
                None => valid = text::json_value(out, batch.bytes(member.key)),
            }
            out.extend_from_slice(b"\":");
            let key = start..out.len() - 1;
            let redaction = match member.column {
                Some(id) => self.hidden.column(id),
                None => {
                    let key = json_text(batch.bytes(member.key));
                    std::str::from_utf8(&key).ok().and_then(|key| self.hidden.field(key))
                }
            };
            match redaction {
                Some(Redaction::Whole) => {
                    text::string(out, HIDDEN, true);
                }
                // Either may be part of a user's name: `@` itself, or an escape that stands for it.
                Some(Redaction::Userinfo) if memchr::memchr2(b'@', b'\\', raw).is_some() => {
                    valid &= json_userinfo(out, raw);
                }
                _ if member.column == Some(TS) => ts(out, raw, batch.ts(row)),
                _ if plain => out.extend_from_slice(raw),
                _ => valid &= text::json_value(out, raw),
            }
            out.push(b',');
            if !valid {
                escaped.extend_from_slice(&out[key]);
                escaped.push(b',');
            }
        }
    }
}

/// Appends a value without the users in its URIs; of one that is no string nothing is left, if it
/// has any.
fn json_userinfo(out: &mut Vec<u8>, raw: &[u8]) -> bool {
    let inside = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    match (without_userinfo(&json_text(inside.unwrap_or(raw))), inside) {
        (Some(hidden), Some(_)) => text::string(out, &hidden, false),
        (Some(_), None) => text::string(out, HIDDEN, true),
        (None, _) => text::json_value(out, raw),
    }
}

/// `ts` is seconds with a fraction whatever the log has: digits that Zeek wrote stay as they are,
/// ISO times and milliseconds are turned into seconds.
fn ts(out: &mut Vec<u8>, raw: &[u8], time: Time) {
    let whole = raw.split(|&byte| byte == b'.').next().unwrap_or_default();
    if value::is_json_number(raw) && whole.len() <= 11 {
        out.extend_from_slice(raw);
    } else {
        time.write_seconds(out);
    }
}

/// How the cells of one row are written.
struct Cells<'a> {
    header: &'a Header,
    plain: bool,
    scratch: &'a mut Vec<u8>,
}

impl Cells<'_> {
    #[inline]
    fn one(&mut self, out: &mut Vec<u8>, cell: &[u8], scalar: Scalar) -> bool {
        match scalar {
            Scalar::Number if value::is_json_number(cell) => out.extend_from_slice(cell),
            // Zeek's JSON writer does the same: there is no such number in JSON.
            Scalar::Number if matches!(cell, b"inf" | b"-inf" | b"nan" | b"-nan") => {
                out.extend_from_slice(b"null");
            }
            Scalar::Flag if cell == b"T" => out.extend_from_slice(b"true"),
            Scalar::Flag if cell == b"F" => out.extend_from_slice(b"false"),
            _ if cell == self.header.empty => out.extend_from_slice(b"\"\""),
            _ if self.plain => {
                out.push(b'"');
                out.extend_from_slice(cell);
                out.push(b'"');
            }
            _ => {
                self.scratch.clear();
                unescape_tsv(cell, self.scratch);
                return text::string(out, self.scratch, false);
            }
        }
        true
    }

    fn many(&mut self, out: &mut Vec<u8>, cell: &[u8], scalar: Scalar) -> bool {
        if cell == self.header.empty {
            out.extend_from_slice(b"[]");
            return true;
        }
        out.push(b'[');
        let mut valid = true;
        let separator = self.header.set_separator.as_slice();
        let mut rest = cell;
        loop {
            let found = match separator {
                [] => None,
                [byte] => memchr::memchr(*byte, rest),
                _ => memchr::memmem::find(rest, separator),
            };
            let item = &rest[..found.unwrap_or(rest.len())];
            if item == self.header.unset {
                out.extend_from_slice(b"null");
            } else {
                valid &= self.one(out, item, scalar);
            }
            let Some(at) = found else { break };
            rest = &rest[at + separator.len()..];
            out.push(b',');
        }
        out.push(b']');
        valid
    }

    fn userinfo(&mut self, out: &mut Vec<u8>, cell: &[u8]) -> bool {
        self.scratch.clear();
        unescape_tsv(cell, self.scratch);
        match without_userinfo(self.scratch) {
            Some(hidden) => text::string(out, &hidden, false),
            None => self.one(out, cell, Scalar::Text),
        }
    }
}
