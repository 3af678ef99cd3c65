//! Typed configuration keys: what a key may hold, its default and its one line of explanation.
//!
//! Here belong the shapes that stages need to declare their own keys and to read them back.
//! Reading TOML, positions and wording of mistakes belong to `config`.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;

/// Bytes in a kibibyte.
pub const KIB: u64 = 1024;
/// Bytes in a mebibyte.
pub const MIB: u64 = 1024 * KIB;

/// One key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyDef {
    /// The name within its table, in `snake_case`.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// The default as a TOML literal; `None` leaves the key unset.
    pub default: Option<&'static str>,
    /// The TOML literal shown commented out where there is no default, else empty. For a
    /// [`Kind::TextMap`] and a [`Kind::RealMap`] it is one whole line of the table.
    pub example: &'static str,
    /// One line of explanation, shown above the key.
    pub doc: &'static str,
}

/// What a key may hold. Bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// A whole number.
    Integer {
        /// Least value allowed.
        min: i64,
        /// Greatest value allowed.
        max: i64,
    },
    /// A number.
    Real {
        /// Least value allowed.
        min: f64,
        /// Greatest value allowed.
        max: f64,
    },
    /// A length of time with its unit, such as `"250ms"`, `"90s"`, `"5m"`, `"24h"`, `"7d"`.
    Duration {
        /// Shortest allowed, in microseconds.
        min_us: i64,
        /// Longest allowed, in microseconds.
        max_us: i64,
    },
    /// A number of bytes, such as `"64KiB"`, `"1MiB"`, `"1GiB"`, or an integer.
    Bytes {
        /// Least value allowed.
        min: u64,
        /// Greatest value allowed.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    TextList,
    /// A list of networks in CIDR notation.
    CidrList,
    /// A table of the user's own keys, each with a text.
    TextMap,
    /// A table of the user's own keys, each with a number.
    RealMap {
        /// Least value allowed.
        min: f64,
        /// Greatest value allowed.
        max: f64,
    },
}

impl Kind {
    /// Whether it is a table of the user's own keys.
    #[must_use]
    pub const fn is_map(self) -> bool {
        matches!(self, Self::TextMap | Self::RealMap { .. })
    }
}

/// The value of a key, already checked against its [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Real`]; always finite.
    Real(f64),
    /// Of [`Kind::Duration`].
    Micros(i64),
    /// Of [`Kind::Bytes`].
    Bytes(u64),
    /// Of [`Kind::TextList`].
    TextList(Vec<String>),
    /// Of [`Kind::CidrList`]; sorted, each once, without host bits.
    Cidrs(Vec<IpNet>),
    /// Of [`Kind::TextMap`].
    TextMap(BTreeMap<String, String>),
    /// Of [`Kind::RealMap`]; all finite.
    RealMap(BTreeMap<String, f64>),
}

/// Writes the value in one line, the same on every machine and for every way of spelling it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Micros(us) => write!(f, "{us}us"),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
            Self::TextList(list) => write!(f, "{list:?}"),
            Self::Cidrs(list) => f.debug_list().entries(list.iter().map(Shown)).finish(),
            Self::TextMap(map) => write!(f, "{map:?}"),
            Self::RealMap(map) => write!(f, "{map:?}"),
        }
    }
}

/// Lets `Debug` builders print the `Display` form.
struct Shown<'a>(&'a IpNet);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

/// The values of one table. Only keys without a default can be absent.
///
/// The typed readers panic where the table has no such key of that type: the name and the type
/// are fixed in the source of the caller, so this is a mistake in the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
}

impl Settings {
    /// Sets a key.
    pub fn insert(&mut self, name: &'static str, value: Value) {
        self.values.insert(name, value);
    }

    /// Adds one line to the table of texts that a key is.
    pub fn extend_map(&mut self, name: &'static str, key: &str, text: String) {
        let value = self.values.entry(name).or_insert_with(|| Value::TextMap(BTreeMap::new()));
        if let Value::TextMap(map) = value {
            map.insert(key.to_owned(), text);
        }
    }

    /// Adds one line to the table of numbers that a key is.
    pub fn extend_reals(&mut self, name: &'static str, key: &str, number: f64) {
        let value = self.values.entry(name).or_insert_with(|| Value::RealMap(BTreeMap::new()));
        if let Value::RealMap(map) = value {
            map.insert(key.to_owned(), number);
        }
    }

    /// The value, where the key is set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// All keys that are set, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// The value of a [`Kind::Flag`].
    pub fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Flag(flag)) => *flag,
            other => mismatch(name, "flag", other),
        }
    }

    /// The value of a [`Kind::Text`] or a [`Kind::Choice`].
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            other => mismatch(name, "text", other),
        }
    }

    /// The value of a [`Kind::Integer`].
    pub fn integer(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Integer(number)) => *number,
            other => mismatch(name, "integer", other),
        }
    }

    /// The value of a [`Kind::Real`].
    pub fn real(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Value::Real(number)) => *number,
            other => mismatch(name, "real", other),
        }
    }

    /// The value of a [`Kind::Duration`], in microseconds.
    pub fn micros(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Micros(us)) => *us,
            other => mismatch(name, "duration", other),
        }
    }

    /// The value of a [`Kind::Bytes`].
    pub fn bytes(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::Bytes(bytes)) => *bytes,
            other => mismatch(name, "bytes", other),
        }
    }

    /// The value of a [`Kind::TextList`].
    pub fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::TextList(list)) => list,
            other => mismatch(name, "list of texts", other),
        }
    }

    /// The value of a [`Kind::CidrList`].
    pub fn cidrs(&self, name: &str) -> &[IpNet] {
        match self.get(name) {
            Some(Value::Cidrs(list)) => list,
            other => mismatch(name, "list of networks", other),
        }
    }

    /// The value of a [`Kind::TextMap`].
    pub fn map(&self, name: &str) -> &BTreeMap<String, String> {
        match self.get(name) {
            Some(Value::TextMap(map)) => map,
            other => mismatch(name, "table of texts", other),
        }
    }

    /// The value of a [`Kind::RealMap`].
    pub fn reals(&self, name: &str) -> &BTreeMap<String, f64> {
        match self.get(name) {
            Some(Value::RealMap(map)) => map,
            other => mismatch(name, "table of numbers", other),
        }
    }
}

fn mismatch(name: &str, wanted: &str, found: Option<&Value>) -> ! {
    panic!("the key table has no set {wanted} `{name}`, found {found:?}")
}
