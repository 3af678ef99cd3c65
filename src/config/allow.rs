//! Reads allow-lists: TOML, `[[allow]]` for each entry, every mistake at once.
//!
//! Here belongs how a list is written (docs/allow-lists.md). What an entry matches belongs to
//! `risk`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnose::{MISTAKES_MAX, Mistake};
use super::raw::{At, Literal, Node, Raw};
use crate::base::address::{Addr, Networks};
use crate::base::limits::{ALLOW_BYTES_MAX, ALLOW_ENTRIES_MAX, NAME_BYTES_MAX};
use crate::base::time::{DAY, MINUTE, Time};
use crate::record::{Entity, Scope};
use crate::risk::{AllowList, Domains, Entities, Entry, Glob, Hosts, RESERVED, Weekly};

/// The table that an entry is.
const TABLE: &str = "allow";

/// What an entry must have.
const REQUIRED: &[&str] = &["id", "reason", "author", "expires"];

/// What an entry may have, at least one of them.
const MATCHERS: &[&str] = &[
    "entity",
    "peer",
    "cidr",
    "domain",
    "detector",
    "user_agent",
    "from",
    "until",
    "hours",
    "days",
];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Longest name of an entry: it is a label of a metric.
const ID_BYTES_MAX: usize = 64;

/// Reads the list at `path`; `stages` are the names of all stages, in the order of their table.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn load_allow_list(path: &Path, stages: &[&str]) -> Result<AllowList, Vec<Mistake>> {
    let name = path.display().to_string();
    let text = super::text(path, &name, ALLOW_BYTES_MAX).map_err(|mistake| vec![mistake])?;
    parse_allow_list(text, &name, stages)
}

/// Reads a text that stood in `file`.
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn parse_allow_list(
    text: String,
    file: &str,
    stages: &[&str],
) -> Result<AllowList, Vec<Mistake>> {
    let (raw, root) = Raw::open(file, text.strip_prefix('\u{feff}').unwrap_or(&text));
    let mut reader = Reader { raw: &raw, stages, mistakes: raw.syntax.clone() };
    let entries = if raw.lost { Vec::new() } else { reader.root(root.get_ref()) };
    raw.all(reader.mistakes)?;
    Ok(AllowList::new(text, entries))
}

/// One walk over the text.
struct Reader<'a> {
    raw: &'a Raw<'a>,
    stages: &'a [&'a str],
    mistakes: Vec<Mistake>,
}

/// The keys of one entry that are there.
type Fields = BTreeMap<String, Literal>;

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, value) in root {
            let at = At::File(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                (TABLE, DeValue::Array(tables)) => entries = self.entries(tables),
                (TABLE, _) => {
                    let found = Literal::new(value, &At::File).type_name();
                    let wanted = "a list of tables, each [[allow]]";
                    self.push(Mistake::wrong_type(self.raw.place(at), TABLE, wanted, found));
                }
                (name, DeValue::Table(_) | DeValue::Array(_)) => {
                    let known = vec![TABLE.to_owned()];
                    self.push(Mistake::unknown_table(self.raw.place(at), name, "", known));
                }
                (name, _) => {
                    let place = self.raw.place(at);
                    self.push(Mistake::unknown_key(place, name, "", Vec::new(), &["[allow]"]));
                }
            }
        }
        entries
    }

    fn entries(&mut self, tables: &[Spanned<DeValue<'_>>]) -> Vec<Entry> {
        let (mut entries, mut ids) = (Vec::new(), BTreeSet::new());
        for (count, table) in tables.iter().enumerate() {
            let at = At::File(table.span().start);
            if count == ALLOW_ENTRIES_MAX {
                let rule = format!("has more than {ALLOW_ENTRIES_MAX} entries");
                self.push(Mistake::bad_text(self.raw.place(at), "[[allow]]", &rule));
            }
            if count >= ALLOW_ENTRIES_MAX || self.mistakes.len() > MISTAKES_MAX {
                break;
            }
            match table.get_ref() {
                DeValue::Table(fields) => entries.extend(self.entry(at, fields, &mut ids)),
                _ => {
                    let found = Literal::new(table, &At::File).type_name();
                    let place = self.raw.place(at);
                    self.push(Mistake::wrong_type(place, "an element of allow", "a table", found));
                }
            }
        }
        entries
    }

    fn entry(&mut self, at: At, table: &DeTable<'_>, ids: &mut BTreeSet<String>) -> Option<Entry> {
        let fields = self.fields(table);
        for name in REQUIRED {
            if !fields.contains_key(*name) {
                self.push(Mistake::missing(self.raw.place(at), name, "[[allow]]"));
            }
        }
        if !MATCHERS.iter().any(|name| fields.contains_key(*name)) {
            self.push(Mistake::matches_all(self.raw.place(at), "[[allow]]", MATCHERS));
        }
        for name in ["reason", "author"] {
            self.words(&fields, name);
        }
        let id = self.id(&fields, ids);
        let time = |reader: &mut Self, name| reader.time(&fields, name);
        let [expires, from, until] = ["expires", "from", "until"].map(|name| time(self, name));
        for (name, end) in [("until", until), ("expires", expires)] {
            if let (Some(from), Some(end)) = (from, end)
                && end <= from
            {
                self.refuse(&fields, name, "must be later than from", "else it is for no time");
            }
        }
        let entry = Entry {
            weekly: self.weekly(&fields),
            entities: self.texts(&fields, "entity", Self::entity).map(entities),
            own: self.texts(&fields, "cidr", Self::network).map(hosts),
            peers: self.texts(&fields, "peer", Self::network).map(hosts),
            domains: self.texts(&fields, "domain", Self::domain).map(domains),
            user_agents: self.texts(&fields, "user_agent", Self::glob),
            detectors: self.texts(&fields, "detector", Self::detector),
            id: id?,
            expires: expires?,
            from,
            until,
        };
        Some(entry)
    }

    fn fields(&mut self, table: &DeTable<'_>) -> Fields {
        let mut fields = Fields::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let mut known = REQUIRED.iter().chain(MATCHERS);
            if known.clone().any(|known| *known == name) {
                fields.insert(name, Literal::new(value, &At::File));
            } else {
                let known = known.by_ref().map(|name| (*name).to_owned()).collect();
                let place = self.raw.place(At::File(key.span().start));
                self.push(Mistake::unknown_key(place, &name, "[allow]", known, &[]));
            }
        }
        fields
    }

    /// A text with something in it.
    fn words<'f>(&mut self, fields: &'f Fields, name: &str) -> Option<&'f str> {
        let literal = fields.get(name)?;
        match &literal.node {
            Node::Text(text) if text.trim().is_empty() => {
                self.refuse(fields, name, "must not be empty", "somebody will ask for it");
            }
            Node::Text(text) => return Some(text),
            _ => self.wrong_type(name, "text", literal),
        }
        None
    }

    fn id(&mut self, fields: &Fields, ids: &mut BTreeSet<String>) -> Option<String> {
        let id = self.words(fields, "id")?.to_owned();
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.len() > ID_BYTES_MAX || !id.chars().all(fine) {
            let rule = "may have a-z, 0-9 and - only, at most 64 of them";
            self.refuse(fields, "id", rule, "such as \"backup-host\": metrics count by it");
        } else if RESERVED.contains(&id.as_str()) {
            self.refuse(fields, "id", "is a name that the program uses", "take another one");
        } else if !ids.insert(id.clone()) {
            self.push(Mistake::duplicate(self.raw.place(fields.get("id")?.at), &id));
        } else {
            return Some(id);
        }
        None
    }

    /// A date, which is its midnight in UTC, or an instant; in quotes or without.
    fn time(&mut self, fields: &Fields, name: &str) -> Option<Time> {
        let literal = fields.get(name)?;
        let (Node::Text(text) | Node::Date(text)) = &literal.node else {
            self.wrong_type(name, "a date", literal);
            return None;
        };
        let time = instant(text);
        if time.is_none() {
            let hint =
                "such as 2027-01-31, which is its first moment in UTC, or 2027-01-31T18:00:00Z";
            self.refuse(fields, name, "must be a date, or a date and a time with its offset", hint);
        }
        time
    }

    fn weekly(&mut self, fields: &Fields) -> Option<Weekly> {
        let all = (0, DAY / MINUTE);
        let (start, end) = match fields.get("hours") {
            None => all,
            Some(Literal { node: Node::Text(text), .. }) => match hours(text) {
                Some(hours) => hours,
                None => {
                    let rule = "must be two different times of the day";
                    self.refuse(fields, "hours", rule, "such as \"22:00-04:00\", in UTC");
                    all
                }
            },
            Some(other) => {
                self.wrong_type("hours", "text such as \"22:00-04:00\"", other);
                all
            }
        };
        let days = self.texts(fields, "days", Self::day);
        let is_given = fields.contains_key("hours") || days.is_some();
        let days = days.map(|days| std::array::from_fn(|day| days.contains(&day)));
        is_given.then(|| Weekly { start, end, days: days.unwrap_or([true; 7]) })
    }

    /// A text or a list of texts, each read by `read`; nothing where the key is not there.
    fn texts<T>(
        &mut self,
        fields: &Fields,
        name: &str,
        read: impl Fn(&mut Self, At, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let literal = fields.get(name)?;
        let items = match &literal.node {
            Node::Text(_) => std::slice::from_ref(literal),
            Node::List(items) => items,
            _ => {
                self.wrong_type(name, "text or a list of texts", literal);
                return Some(Vec::new());
            }
        };
        if items.is_empty() {
            self.refuse(fields, name, "must not be empty", "without it, it holds for all");
        }
        let mut good = Vec::new();
        for item in items {
            if self.mistakes.len() > MISTAKES_MAX {
                break;
            }
            match &item.node {
                Node::Text(text) => good.extend(read(self, item.at, text)),
                _ => self.wrong_type(&format!("an element of {name}"), "text", item),
            }
        }
        Some(good)
    }

    /// As documents write it, or a pattern.
    fn entity(&mut self, at: At, text: &str) -> Option<String> {
        let id = match text.split_once(':') {
            Some(("host", host)) if host.contains('*') => Some(text.to_owned()),
            Some(("host", host)) => {
                let (addr, sensor) = match host.split_once('@') {
                    Some((addr, sensor)) => (addr, format!("@{sensor}")),
                    None => (host, String::new()),
                };
                let addr = Addr::parse(addr.as_bytes());
                addr.map(|addr| Entity::Host(addr).id(&Scope::Network) + &sensor)
            }
            Some(("user", name)) => {
                Entity::user(name.as_bytes()).map(|user| user.id(&Scope::Network))
            }
            _ => text.starts_with('*').then(|| text.to_owned()),
        };
        let id = id.filter(|id| id.len() <= NAME_BYTES_MAX);
        if id.is_none() {
            let hint = "such as \"host:10.0.0.5\", \"user:alice\", \"host:10.0.*\"";
            self.push(Mistake::bad_value(self.raw.place(at), "entity", text, hint));
        }
        id
    }

    fn network(&mut self, at: At, text: &str) -> Option<IpNet> {
        let one = Addr::parse(text.as_bytes()).map(|addr| IpNet::from(addr.to_ip()));
        let network = one.or_else(|| text.parse().ok());
        if network.is_none() {
            self.push(Mistake::bad_cidr(self.raw.place(at), text));
        }
        network
    }

    /// The name in lower case, and whether those below it are meant too.
    fn domain(&mut self, at: At, text: &str) -> Option<(String, bool)> {
        let name = text.strip_prefix("*.");
        let (name, is_below) = (name.unwrap_or(text), name.is_some());
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_fine = |label: &str| {
            !label.is_empty() && !label.contains(|c: char| " /:*\\\"".contains(c) || c.is_control())
        };
        if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_fine) {
            let hint = "such as \"example.com\", or \"*.example.com\" for it and all below it";
            self.push(Mistake::bad_value(self.raw.place(at), "domain", text, hint));
            return None;
        }
        Some((name, is_below))
    }

    fn glob(&mut self, at: At, text: &str) -> Option<Glob> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let hint = "at most 512 bytes, such as \"curl/8.*\"; * stands for any text";
            self.push(Mistake::bad_value(self.raw.place(at), "user_agent", text, hint));
            return None;
        }
        Some(Glob::new(text))
    }

    fn detector(&mut self, at: At, text: &str) -> Option<usize> {
        self.choice(at, "detector", text, self.stages)
    }

    fn day(&mut self, at: At, text: &str) -> Option<usize> {
        self.choice(at, "days", text, &DAYS)
    }

    fn choice(&mut self, at: At, name: &str, text: &str, known: &[&str]) -> Option<usize> {
        let place = known.iter().position(|known| *known == text);
        if place.is_none() {
            self.push(Mistake::not_a_choice(self.raw.place(at), name, text, known));
        }
        place
    }

    fn refuse(&mut self, fields: &Fields, name: &str, rule: &str, hint: &str) {
        let Some(literal) = fields.get(name) else { return };
        let mistake = Mistake::bad_text(self.raw.place(literal.at), name, rule);
        self.push(Mistake { hint: Some(hint.to_owned()), ..mistake });
    }

    fn wrong_type(&mut self, name: &str, wanted: &str, literal: &Literal) {
        let place = self.raw.place(literal.at);
        self.push(Mistake::wrong_type(place, name, wanted, literal.type_name()));
    }

    /// Keeps the mistake unless a syntax error of the same line has told of it.
    fn push(&mut self, mistake: Mistake) {
        if self.mistakes.len() <= MISTAKES_MAX && !self.raw.is_broken(&mistake) {
            self.mistakes.push(mistake);
        }
    }
}

/// RFC 3339; a date alone is its midnight in UTC.
fn instant(text: &str) -> Option<Time> {
    if text.len() == "2027-01-31".len() {
        return Time::parse_iso(format!("{text}T00:00:00Z").as_bytes());
    }
    // Logs may leave the offset out, people must not.
    let clock = text.get("2027-01-31T".len()..)?;
    clock.contains(['Z', 'z', '+', '-']).then(|| Time::parse_iso(text.as_bytes()))?
}

/// `22:00-04:00` as minutes of the day.
fn hours(text: &str) -> Option<(i64, i64)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str| {
            let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_two.then(|| text.parse::<i64>().ok()).flatten()
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        let time = hour * 60 + minute;
        (minute < 60 && time <= 24 * 60).then_some(time)
    };
    let (start, end) = text.split_once('-')?;
    let (start, end) = (minute(start)?, minute(end)?);
    (start != end && start < 24 * 60).then_some((start, end))
}

fn entities(ids: Vec<String>) -> Entities {
    let (like, exact): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id.contains('*'));
    // Names of users are in lower case; that of a sensor, in the id of a host, need not be.
    let folded = like.iter().map(|id| id.to_lowercase()).filter(|id| !like.contains(id));
    let like = like.iter().cloned().chain(folded).map(|id| Glob::new(&id)).collect();
    Entities { exact: exact.into_iter().collect(), like }
}

fn hosts(networks: Vec<IpNet>) -> Hosts {
    let is_one = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
    let (exact, networks): (Vec<_>, Vec<_>) = networks.into_iter().partition(is_one);
    let exact = exact.iter().map(|network| Addr::from(network.addr())).collect();
    Hosts { exact, networks: Networks::new(&networks) }
}

fn domains(names: Vec<(String, bool)>) -> Domains {
    let mut domains = Domains::default();
    for (name, is_below) in names {
        let names = if is_below { &mut domains.below } else { &mut domains.exact };
        names.insert(name);
    }
    domains
}
