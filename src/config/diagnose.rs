//! Mistakes in the configuration, each built through a named function that words it.
//!
//! Here belong wording and suggestions. Finding a mistake belongs to `raw` and `read`.

use std::fmt;
use std::net::IpAddr;

/// More mistakes than this help nobody.
pub(super) const MISTAKES_MAX: usize = 100;
/// Longest piece of the user's own text that a message repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// One mistake in the configuration: where it is, what it is, and what may help.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The file, or `--set key.path` for a setting from the command line.
    pub file: String,
    /// Line from 1; 0 where the mistake has no position in a text.
    pub line: usize,
    /// Column from 1 in characters; 0 where the mistake has no position in a text.
    pub column: usize,
    /// What is wrong, in a few words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The names that would have been right here.
    pub known: Vec<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n    hint: {hint}")?;
        }
        if !self.known.is_empty() {
            write!(f, "\n    known: {}", self.known.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistake {}

/// Where a mistake is; see the fields of [`Mistake`] of the same names.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// A file as a whole.
    pub(super) fn whole(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0 }
    }
}

impl Mistake {
    /// The file cannot be used at all.
    pub(super) fn unreadable(place: Place, why: &str) -> Self {
        Self::new(place, why.to_owned())
    }

    /// The text is not TOML; `found` is the text at the place, if any.
    pub(super) fn syntax(place: Place, complaint: &str, found: &str) -> Self {
        let (message, hint) = match complaint {
            // The parser says the same of a missing value and of a bare word.
            "string values must be quoted, expected literal string" if found.is_empty() => {
                ("a value is missing".to_owned(), None)
            }
            "string values must be quoted, expected literal string" => {
                let plain = found.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\'));
                let hint = plain.then(|| format!("write it in quotes: {}", quoted(found)));
                (format!("{} is not a value", quoted(found)), hint)
            }
            other => (other.to_owned(), None),
        };
        Self { hint, ..Self::new(place, message) }
    }

    /// A key or table stands there twice.
    pub(super) fn duplicate(place: Place, name: &str) -> Self {
        let hint = Some("keep one of the two".to_owned());
        Self { hint, ..Self::new(place, format!("{} is given twice", quoted(name))) }
    }

    /// A `--set` item that is not `key.path=value`.
    pub(super) fn bad_set(place: Place) -> Self {
        let hint = Some("write it as key.path=value, such as source.lateness=90s".to_owned());
        Self { hint, ..Self::new(place, "this is not a setting".to_owned()) }
    }

    /// A key that its table does not have; `homes` are the tables that do.
    pub(super) fn unknown_key(
        place: Place,
        key: &str,
        table: &str,
        known: Vec<String>,
        homes: &[&str],
    ) -> Self {
        let message = match table {
            "" => format!("unknown key {} outside of any table", quoted(key)),
            _ => format!("unknown key {} in [{table}]", quoted(key)),
        };
        let home = || homes.first().map(|home| format!("{key} belongs in [{home}]"));
        let hint = nearest(key, &known).map(did_you_mean).or_else(home);
        Self { hint, known, ..Self::new(place, message) }
    }

    /// A table that does not exist; `around` is the table it stands in.
    pub(super) fn unknown_table(
        place: Place,
        name: &str,
        around: &str,
        known: Vec<String>,
    ) -> Self {
        let joined = |name: &str| match around {
            "" => name.to_owned(),
            _ => format!("{around}.{name}"),
        };
        let hint = nearest(name, &known).map(|near| format!("did you mean [{}]?", joined(near)));
        let message = format!("unknown table [{}]", joined(&segment(name)));
        Self { hint, known, ..Self::new(place, message) }
    }

    /// A name with a dot in it that was not quoted, in a table of the user's own names.
    pub(super) fn unquoted_dot(place: Place, key: &str, wanted: &str) -> Self {
        let hint = Some("a name with a dot in it stands in quotes: \"a.b\"".to_owned());
        Self { hint, ..Self::wrong_type(place, key, wanted, "a table") }
    }

    /// A value of another type; both types come with their article.
    pub(super) fn wrong_type(place: Place, key: &str, wanted: &str, found: &str) -> Self {
        Self::new(place, format!("{key} must be {wanted}, not {found}"))
    }

    /// A value beyond its bounds.
    pub(super) fn out_of_range(
        place: Place,
        key: &str,
        (min, max): (&dyn fmt::Display, &dyn fmt::Display),
        found: &str,
    ) -> Self {
        Self::new(place, format!("{key} must be from {min} to {max}, not {}", clipped(found)))
    }

    /// A word that is not one of the choices.
    pub(super) fn not_a_choice(place: Place, key: &str, found: &str, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|&word| word.to_owned()).collect();
        let hint = nearest(found, &known).map(did_you_mean);
        Self { hint, known, ..Self::new(place, format!("{key} cannot be {}", quoted(found))) }
    }

    /// An element of a list of networks that is none.
    pub(super) fn bad_cidr(place: Place, found: &str) -> Self {
        let hint = match found.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv4() => format!("a single address is \"{ip}/32\""),
            Ok(ip) => format!("a single address is \"{ip}/128\""),
            Err(_) => "an address and the bits of its prefix, such as \"10.0.0.0/8\"".to_owned(),
        };
        let message = format!("{} is not a network in CIDR notation", quoted(found));
        Self { hint: Some(hint), ..Self::new(place, message) }
    }

    /// A text that is not a length of time.
    pub(super) fn bad_duration(place: Place, key: &str, found: &str) -> Self {
        let hint = "a whole number and one of ms, s, m, h, d, such as \"90s\"".to_owned();
        let message = format!("{key} must be a duration, not {}", clipped(found));
        Self { hint: Some(hint), ..Self::new(place, message) }
    }

    /// A text that is not a number of bytes.
    pub(super) fn bad_size(place: Place, key: &str, found: &str) -> Self {
        let hint = "a whole number and one of B, KiB, MiB, GiB, such as \"64KiB\"".to_owned();
        let message = format!("{key} must be a size in bytes, not {}", quoted(found));
        Self { hint: Some(hint), ..Self::new(place, message) }
    }

    /// A text that breaks a rule of its own key.
    pub(super) fn bad_text(place: Place, key: &str, rule: &str) -> Self {
        Self::new(place, format!("{key} {rule}"))
    }

    /// A value that its key cannot have.
    pub(super) fn bad_value(place: Place, key: &str, found: &str, hint: &str) -> Self {
        let message = format!("{key} cannot be {}", quoted(found));
        Self { hint: Some(hint.to_owned()), ..Self::new(place, message) }
    }

    /// A key that must be there.
    pub(super) fn missing(place: Place, key: &str, table: &str) -> Self {
        Self::new(place, format!("{key} is missing in {table}"))
    }

    /// A table in which nothing says what it is for.
    pub(super) fn matches_all(place: Place, table: &str, known: &[&str]) -> Self {
        let known = known.iter().map(|&word| word.to_owned()).collect();
        let hint = Some("give at least one of these".to_owned());
        Self { hint, known, ..Self::new(place, format!("nothing says what {table} is for")) }
    }

    /// A secret that stands in the configuration itself.
    pub(super) fn secret(place: Place, key: &str) -> Self {
        let hint = format!("\"${{NAME}}\" takes it from the environment, {key}_file from a file");
        let message = format!("{key} must not be the secret itself");
        Self { hint: Some(hint), ..Self::new(place, message) }
    }

    /// An `http.listen` that is no address, or one that others can reach.
    pub(super) fn bad_listen(place: Place, found: Option<IpAddr>) -> Self {
        let (rule, hint) = match found {
            Some(addr) => (
                format!("must be a loopback address, not {addr}"),
                "127.0.0.1 or [::1]: this release has neither tokens nor TLS; a proxy before it may",
            ),
            None => (
                "must be an address and a port".to_owned(),
                "such as \"127.0.0.1:8080\"; \"\" listens nowhere",
            ),
        };
        Self { hint: Some(hint.to_owned()), ..Self::bad_text(place, "http.listen", &rule) }
    }

    /// An entry of `event.redact` that names no field.
    pub(super) fn bad_redact(place: Place, found: &str, logs: &[&str]) -> Self {
        let hint = format!("<log>.<field> or <log>.<field>:userinfo of {}", logs.join(", "));
        let message = format!("{} does not name a field of a log", quoted(found));
        Self { hint: Some(hint), ..Self::new(place, message) }
    }

    /// A field that `whose` has not, and that is nearly the one called `near`.
    pub(super) fn slip(place: Place, key: &str, found: &str, whose: &str, near: &str) -> Self {
        let message = format!("{key} names the field {}, which {whose}", quoted(found));
        Self { hint: Some(did_you_mean(near)), ..Self::new(place, message) }
    }

    /// A line of criticality that speaks of nobody.
    pub(super) fn bad_subject(place: Place, found: &str) -> Self {
        let hint = match found.split_once('@').filter(|_| found.starts_with("host:")) {
            Some((host, _)) => format!("without the sensor: {}", quoted(host)),
            None => {
                "an address, a network, host:ADDRESS, user:NAME, or host: and user: with * after it"
                    .to_owned()
            }
        };
        Self { hint: Some(hint), ..Self::new(place, format!("{} names no entity", quoted(found))) }
    }

    /// Two lines that give one entity two values.
    pub(super) fn disagree(
        place: Place,
        whom: &str,
        here: &str,
        other: &str,
        there: &Place,
    ) -> Self {
        let Place { file, line, .. } = there;
        let at = if *line > 0 { format!("{file}:{line}") } else { file.clone() };
        let message = format!("{} has criticality {here} here and {other} at {at}", quoted(whom));
        Self { hint: Some("keep one of the two".to_owned()), ..Self::new(place, message) }
    }

    /// Stands for the mistakes beyond the greatest number that is shown.
    fn and_more(file: &str) -> Self {
        let message = format!("more than {MISTAKES_MAX} mistakes, the rest is not shown");
        Self::new(Place::whole(file), message)
    }

    /// No more than help somebody.
    pub(super) fn bounded(mut mistakes: Vec<Self>, file: &str) -> Vec<Self> {
        if mistakes.len() > MISTAKES_MAX {
            mistakes.truncate(MISTAKES_MAX);
            mistakes.push(Self::and_more(file));
        }
        mistakes
    }

    fn new(place: Place, message: String) -> Self {
        let Place { file, line, column } = place;
        Self { file, line, column, message, hint: None, known: Vec::new() }
    }
}

/// The text as a message repeats it: in quotes, control characters escaped, not too long.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", clipped(text))
}

/// One segment of a path as TOML writes it.
pub(super) fn segment(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= QUOTED_CHARS_MAX && name.chars().all(bare) {
        return name.to_owned();
    }
    quoted(name)
}

fn clipped(text: &str) -> String {
    let mut clipped: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean \"{near}\"?")
}

/// The known name that a slip or two of the finger turns into `name`, if there is one.
pub(super) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if name.chars().count() > QUOTED_CHARS_MAX {
        return None; // the distance costs the product of both lengths
    }
    let distances = known.iter().map(|k| (strsim::damerau_levenshtein(name, k), k));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    let slips_max = (near.chars().count() / 3).clamp(1, 3);
    (distance <= slips_max).then_some(near.as_str())
}
