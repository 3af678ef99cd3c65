//! Reads literals into typed values and collects every mistake on the way.
//!
//! Here belong types, ranges and the few rules that a single key has. What the values mean to
//! the program belongs to `plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::de::DeValue;

use super::diagnose::{MISTAKES_MAX, Mistake, Place, nearest, segment};
use super::raw::{At, Entry, Literal, Node, Raw};
use super::schema::{Schema, Section, Slot};
use super::unit::{parse_bytes, parse_duration, show_bytes, show_duration};
use crate::base::keys::{KeyDef, Kind, Settings, Value};
use crate::document::{Redaction, Rule};
use crate::record::Log;
use crate::sink::variable;
use crate::stage::Role;

/// Longest name of a sensor; it stands in every event.
const SENSOR_ID_BYTES_MAX: usize = 128;

/// The values of every table of the schema by the name of the table.
pub(super) type Tables = BTreeMap<String, Settings>;

/// Reads all entries; defaults stand in for what was not given, and for mistakes.
pub(super) fn read(raw: &Raw<'_>, schema: &Schema) -> (Tables, Vec<Mistake>) {
    let mut reader = Reader { raw, mistakes: raw.syntax.clone() };
    let mut tables = reader.defaults(schema);
    if !raw.lost {
        for entry in &raw.entries {
            if reader.mistakes.len() > MISTAKES_MAX {
                break;
            }
            reader.entry(schema, entry, &mut tables);
        }
    }
    let mut mistakes = reader.mistakes;
    // Those without a position come from the command line, which is laid over the file.
    mistakes.sort_by_key(|m| (m.line == 0, m.line, m.column));
    (tables, mistakes)
}

/// An entry of `event.redact`, where it names a field.
pub(super) fn parse_redact(text: &str) -> Option<Rule> {
    let (log, rest) = text.split_once('.')?;
    let (field, redaction) = match rest.split_once(':') {
        Some((field, "userinfo")) => (field, Redaction::Userinfo),
        Some(_) => return None,
        None => (rest, Redaction::Whole),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let log = Log::ALL.into_iter().find(|known| known.name() == log)?;
    // The name that documents have: `id_orig_h` is another spelling of `id.orig_h`.
    let column = log.column(field.as_bytes());
    let field = column.map_or(field, |id| log.column_name(id)).to_owned();
    let names_field = !field.is_empty() && field.chars().all(plain);
    names_field.then_some(Rule { log, field, redaction })
}

/// Fields that scripts shipped with Zeek add to a log.
const ADDED: &[&str] =
    &["cookie_vars", "uri_vars", "client_header_names", "server_header_names", "orig_l2_addr"];

/// The field of these logs that `field`, which they do not have, is nearly called. One that is
/// like none of them may be a site's own, and names of two letters are all alike.
fn slip_of(field: &str, logs: &[Log]) -> Option<String> {
    if logs.iter().any(|log| log.column(field.as_bytes()).is_some()) {
        return None;
    }
    let columns = logs.iter().flat_map(|log| log.columns()).map(|def| def.name);
    let names = columns.chain(ADDED.iter().copied()).filter(|name| name.len() > 2);
    let known: Vec<String> = names.map(str::to_owned).collect();
    nearest(field, &known).filter(|near| *near != field).map(str::to_owned)
}

/// In `entity.roles`: whatever is learned, it has none.
pub(super) const NO_ROLE: &str = "none";

/// A network, or one address as a network of its own.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(alone)
}

/// Networks in one order and spelling, each once: ids depend on them.
pub(super) fn distinct(networks: &[IpNet]) -> Vec<IpNet> {
    let distinct: BTreeSet<IpNet> = networks.iter().map(IpNet::trunc).collect();
    distinct.into_iter().collect()
}

/// One walk over the entries.
struct Reader<'a> {
    raw: &'a Raw<'a>,
    mistakes: Vec<Mistake>,
}

/// What is being read: the dotted name for messages, and its definition.
#[derive(Clone, Copy)]
struct Target<'a> {
    label: &'a str,
    kind: Kind,
}

impl<'a> Reader<'a> {
    /// All tables filled with their defaults.
    fn defaults(&mut self, schema: &Schema) -> Tables {
        let mut tables = Tables::new();
        for section in &schema.sections {
            let settings = tables.entry(section.name.clone()).or_default();
            for key in section.keys {
                if let Some(text) = key.default {
                    self.default(settings, section, key, text);
                }
            }
        }
        tables
    }

    fn default(&mut self, to: &mut Settings, section: &Section, key: &'static KeyDef, text: &str) {
        let label = format!("{}.{}", section.name, key.name);
        let Ok(parsed) = DeValue::parse(text) else {
            self.push(Mistake::syntax(self.raw.place(At::Default), &label, text));
            return;
        };
        let literal = Literal::new(&parsed, &|_| At::Default);
        if let Some(value) = self.value(Target { label: &label, kind: key.kind }, &literal) {
            to.insert(key.name, value);
        }
        if let (Kind::TextMap, DeValue::Table(table)) = (key.kind, parsed.get_ref()) {
            for (name, value) in table {
                let text = value.get_ref().as_str().unwrap_or_default().to_owned();
                to.extend_map(key.name, name.get_ref(), text);
            }
        }
    }

    fn entry(&mut self, schema: &Schema, entry: &Entry, tables: &mut Tables) {
        let Some(name) = entry.path.last() else { return };
        let path = || entry.path.iter().map(|s| segment(s)).collect::<Vec<_>>().join(".");
        let is_table = matches!(entry.value.node, Node::Table);
        match schema.slot(&entry.path) {
            Slot::Section if is_table => {}
            Slot::Section => {
                let label = format!("[{}]", path());
                self.wrong_type(&label, "a table", &entry.value);
            }
            Slot::Key(section, key) => {
                let target = Target { label: &path(), kind: key.kind };
                let settings = tables.entry(section.name.clone()).or_default();
                if let Some(value) = self.value(target, &entry.value) {
                    self.check(section, key, &entry.value);
                    settings.insert(key.name, value);
                }
            }
            Slot::MapEntry(section, key) => {
                let settings = tables.entry(section.name.clone()).or_default();
                if key.name == "budget" && !schema.groups.contains(&name.as_str()) {
                    let known = schema.groups.iter().map(|group| (*group).to_owned()).collect();
                    let place = self.raw.place(entry.key_at);
                    self.push(Mistake::unknown_key(place, name, "risk.budget", known, &[]));
                    return;
                }
                self.map_entry(&path(), key, entry, settings);
            }
            Slot::Unknown(table) if is_table => {
                let known = schema.known_in(&table);
                let place = self.raw.place(entry.key_at);
                self.push(Mistake::unknown_table(place, name, &table, known));
            }
            Slot::Unknown(table) => {
                let known = schema.known_in(&table);
                let homes = schema.homes_of(name);
                let place = self.raw.place(entry.key_at);
                self.push(Mistake::unknown_key(place, name, &table, known, &homes));
            }
            Slot::Below => {}
        }
    }

    /// One line of a table of the user's own keys.
    fn map_entry(&mut self, label: &str, key: &KeyDef, entry: &Entry, to: &mut Settings) {
        let Some(name) = entry.path.last() else { return };
        if matches!(entry.value.node, Node::Table) {
            // A dotted key without quotes reads as a table within the table.
            let place = self.raw.place(entry.key_at);
            self.push(Mistake::unquoted_dot(place, label, wanted_line(key.kind)));
            return;
        }
        if let Kind::RealMap { min, max } = key.kind {
            let target = Target { label, kind: Kind::Real { min, max } };
            if let Some(Value::Real(number)) = self.value(target, &entry.value) {
                to.extend_reals(key.name, name, number);
            }
            return;
        }
        let target = Target { label, kind: Kind::Text };
        let Some(Value::Text(text)) = self.value(target, &entry.value) else { return };
        if name.is_empty() || text.is_empty() {
            let place = self.raw.place(entry.value.at);
            self.push(Mistake::bad_text(place, label, "has an empty name"));
            return;
        }
        match key.name {
            "alias" => self.check_alias(label, &entry.value, &text),
            "roles" => self.check_role(entry, &text),
            _ => {}
        }
        to.extend_map(key.name, name, text);
    }

    fn value(&mut self, target: Target<'_>, literal: &Literal) -> Option<Value> {
        let at = self.place_of(literal);
        let label = target.label;
        match (target.kind, &literal.node) {
            (Kind::Flag, Node::Flag(flag)) => return Some(Value::Flag(*flag)),
            (Kind::Text, Node::Text(text)) => return Some(Value::Text(text.clone())),
            (Kind::Choice(words), Node::Text(text)) => {
                if words.contains(&text.as_str()) {
                    return Some(Value::Text(text.clone()));
                }
                self.push(Mistake::not_a_choice(at(), label, text, words));
            }
            (Kind::TextList, Node::List(items)) => return self.texts(label, items),
            (Kind::CidrList, Node::List(items)) => return self.networks(label, items),
            // Its entries follow one by one; an empty table has none.
            (Kind::TextMap, Node::Table) => return Some(Value::TextMap(BTreeMap::new())),
            (Kind::RealMap { .. }, Node::Table) => return Some(Value::RealMap(BTreeMap::new())),
            _ => return self.number(target, literal),
        }
        None
    }

    /// The kinds with bounds; anything else is of a wrong type.
    fn number(&mut self, target: Target<'_>, literal: &Literal) -> Option<Value> {
        let at = self.place_of(literal);
        let label = target.label;
        let mistake = match (target.kind, &literal.node) {
            (Kind::Integer { min, max }, Node::Integer(number)) => {
                if (min..=max).contains(number) {
                    return Some(Value::Integer(*number));
                }
                Mistake::out_of_range(at(), label, (&min, &max), &number.to_string())
            }
            (Kind::Integer { min, max }, Node::Huge(text)) => {
                Mistake::out_of_range(at(), label, (&min, &max), text)
            }
            (Kind::Real { min, max }, Node::Integer(_) | Node::Real(_) | Node::Huge(_)) => {
                let (number, shown) = match &literal.node {
                    Node::Integer(number) => (*number as f64, number.to_string()),
                    Node::Real(number) => (*number, number.to_string()),
                    Node::Huge(text) => (f64::INFINITY, text.clone()),
                    _ => (f64::NAN, String::new()),
                };
                if (min..=max).contains(&number) {
                    return Some(Value::Real(number + 0.0)); // makes -0.0 the same as 0.0
                }
                Mistake::out_of_range(at(), label, (&min, &max), &shown)
            }
            (Kind::Duration { min_us, max_us }, Node::Text(text)) => match parse_duration(text) {
                Some(us) if (min_us..=max_us).contains(&us) => return Some(Value::Micros(us)),
                Some(_) => {
                    let bounds = (show_duration(min_us), show_duration(max_us));
                    Mistake::out_of_range(at(), label, (&bounds.0, &bounds.1), text)
                }
                None => Mistake::bad_duration(at(), label, &format!("{text:?}")),
            },
            (Kind::Duration { .. }, Node::Integer(number)) => {
                Mistake::bad_duration(at(), label, &number.to_string())
            }
            (Kind::Bytes { min, max }, Node::Integer(_) | Node::Huge(_) | Node::Text(_)) => {
                return self.bytes(target.label, (min, max), literal);
            }
            _ => {
                self.wrong_type(label, wanted(target.kind), literal);
                return None;
            }
        };
        self.push(mistake);
        None
    }

    fn bytes(&mut self, label: &str, (min, max): (u64, u64), literal: &Literal) -> Option<Value> {
        let at = self.place_of(literal);
        let (bytes, shown) = match &literal.node {
            Node::Integer(number) => (u64::try_from(*number).ok(), number.to_string()),
            Node::Huge(text) => (None, text.clone()),
            Node::Text(text) => match parse_bytes(text) {
                Some(bytes) => (Some(bytes), text.clone()),
                None => {
                    self.push(Mistake::bad_size(at(), label, text));
                    return None;
                }
            },
            _ => return None,
        };
        if let Some(bytes) = bytes.filter(|bytes| (min..=max).contains(bytes)) {
            return Some(Value::Bytes(bytes));
        }
        let bounds = (show_bytes(min), show_bytes(max));
        self.push(Mistake::out_of_range(at(), label, (&bounds.0, &bounds.1), &shown));
        None
    }

    fn texts(&mut self, label: &str, items: &[Literal]) -> Option<Value> {
        let texts = self.items(label, items, |_, _, text| Some(text.to_owned()))?;
        Some(Value::TextList(texts))
    }

    fn networks(&mut self, label: &str, items: &[Literal]) -> Option<Value> {
        let networks = self.items(label, items, |reader, at, text| {
            let parsed = text.parse::<IpNet>();
            if parsed.is_err() {
                reader.push(Mistake::bad_cidr(reader.raw.place(at), text));
            }
            parsed.ok()
        })?;
        Some(Value::Cidrs(distinct(&networks)))
    }

    /// Reads each text of a list; `None` where one of them is a mistake.
    fn items<T>(
        &mut self,
        label: &str,
        items: &[Literal],
        read: impl Fn(&mut Self, At, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut good = Vec::new();
        for item in items {
            if self.mistakes.len() > MISTAKES_MAX {
                return None;
            }
            match &item.node {
                Node::Text(text) => good.extend(read(self, item.at, text)),
                _ => self.wrong_type(&format!("an element of {label}"), "text", item),
            }
        }
        (good.len() == items.len()).then_some(good)
    }

    /// The rules of single keys that their kind does not know.
    fn check(&mut self, section: &Section, key: &KeyDef, literal: &Literal) {
        let at = self.place_of(literal);
        match (section.name.as_str(), key.name, &literal.node) {
            ("sensor", "id", Node::Text(id)) => {
                let is_fine = (1..=SENSOR_ID_BYTES_MAX).contains(&id.len());
                if !is_fine || id.chars().any(char::is_control) {
                    let rule = "must have 1 to 128 bytes and no control characters";
                    self.push(Mistake::bad_text(at(), "sensor.id", rule));
                }
            }
            ("event", "redact", Node::List(items)) => {
                for item in items {
                    if let Node::Text(text) = &item.node {
                        self.check_redact(item.at, text);
                    }
                }
            }
            ("risk", "allow_list", Node::Text(text)) if text.is_empty() => {
                let rule = "must name a file; leave it out to have none";
                self.push(Mistake::bad_text(at(), "risk.allow_list", rule));
            }
            ("http", "listen", Node::Text(text)) if !text.is_empty() => {
                let addr = text.parse::<SocketAddr>().ok().map(|addr| addr.ip());
                if addr.is_none_or(|addr| !addr.is_loopback()) {
                    self.push(Mistake::bad_listen(at(), addr));
                }
            }
            ("sink.kafka" | "sink.elasticsearch", "password" | "api_key", Node::Text(text))
                if variable(text).is_none() =>
            {
                let label = format!("{}.{}", section.name, key.name);
                self.push(Mistake::secret(at(), &label));
            }
            ("sink.kafka", "brokers", Node::List(items)) | (_, "urls", Node::List(items))
                if items.is_empty() =>
            {
                let label = format!("{}.{}", section.name, key.name);
                self.push(Mistake::bad_text(at(), &label, "must name at least one server"));
            }
            ("sink.elasticsearch", "index_prefix", Node::Text(text)) => {
                let fine =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
                let is_fine = text.chars().all(fine) && text.len() <= 100;
                if !is_fine || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                    let rule = "may have a-z, 0-9, - _ . only, at most 100 bytes";
                    self.push(Mistake::bad_text(at(), "sink.elasticsearch.index_prefix", rule));
                }
            }
            ("source.fields", _, Node::List(items)) => self.check_columns(key.name, at(), items),
            _ => {}
        }
    }

    /// A rule names a field of a log, and none that is nearly one we know.
    fn check_redact(&mut self, at: At, text: &str) {
        let Some(rule) = parse_redact(text) else {
            let logs = Log::ALL.map(Log::name);
            return self.push(Mistake::bad_redact(self.raw.place(at), text, &logs));
        };
        if let Some(near) = slip_of(&rule.field, &[rule.log]) {
            let whose = format!("{} does not have", rule.log);
            let place = self.raw.place(at);
            self.push(Mistake::slip(place, "event.redact", &rule.field, &whose, &near));
        }
    }

    /// The field that an alias stands for goes into events by this name.
    fn check_alias(&mut self, label: &str, literal: &Literal, field: &str) {
        let at = self.place_of(literal);
        if field.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '"' | '\\')) {
            let rule = "must have printable ASCII only, without quotes and backslashes";
            self.push(Mistake::bad_text(at(), label, rule));
        } else if field != "id"
            && let Some(near) = slip_of(field, &Log::ALL)
        {
            self.push(Mistake::slip(at(), label, field, "no log has", &near));
        }
    }

    /// An address or a network has a role.
    fn check_role(&mut self, entry: &Entry, role: &str) {
        if let Some(net) = entry.path.last().filter(|net| network(net).is_none()) {
            let place = self.raw.place(entry.key_at);
            self.push(Mistake::bad_cidr(place, net));
        }
        if role != NO_ROLE && Role::ALL.iter().all(|known| known.name() != role) {
            let mut known = Role::ALL.map(Role::name).to_vec();
            known.push(NO_ROLE);
            let place = self.raw.place(entry.value.at);
            self.push(Mistake::not_a_choice(place, "entity.roles", role, &known));
        }
    }

    /// Columns have names, each once.
    fn check_columns(&mut self, log: &str, list_at: Place, items: &[Literal]) {
        let label = format!("source.fields.{log}");
        if items.is_empty() {
            self.push(Mistake::bad_text(list_at, &label, "must name at least one column"));
        }
        let mut seen = BTreeSet::new();
        for item in items {
            let Node::Text(name) = &item.node else { continue };
            if name.is_empty() {
                let place = self.raw.place(item.at);
                self.push(Mistake::bad_text(place, &label, "has a column without a name"));
            } else if !seen.insert(name) {
                self.push(Mistake::duplicate(self.raw.place(item.at), name));
            }
        }
    }

    fn wrong_type(&mut self, label: &str, wanted: &str, literal: &Literal) {
        let place = self.raw.place(literal.at);
        self.push(Mistake::wrong_type(place, label, wanted, literal.type_name()));
    }

    /// Counting lines takes a pass over the file, so only a mistake asks for its place.
    fn place_of(&self, literal: &Literal) -> impl Fn() -> Place + use<'a> {
        let (raw, at) = (self.raw, literal.at);
        move || raw.place(at)
    }

    /// Keeps the mistake unless a syntax error of the same line has told of it.
    fn push(&mut self, mistake: Mistake) {
        if self.mistakes.len() <= MISTAKES_MAX && !self.raw.is_broken(&mistake) {
            self.mistakes.push(mistake);
        }
    }
}

/// What a kind wants, with its article.
fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "true or false",
        Kind::Text | Kind::Choice(_) => "text",
        Kind::Integer { .. } => "a whole number",
        Kind::Real { .. } => "a number",
        Kind::Duration { .. } => "a duration such as \"90s\"",
        Kind::Bytes { .. } => "a size such as \"64KiB\"",
        Kind::TextList => "a list of texts",
        Kind::CidrList => "a list of networks",
        Kind::TextMap => "a table of texts",
        Kind::RealMap { .. } => "a table of numbers",
    }
}

/// What a line of such a table wants.
fn wanted_line(kind: Kind) -> &'static str {
    match kind {
        Kind::RealMap { .. } => "a number",
        _ => "text",
    }
}
