//! How a scenario is written down.
//!
//! ```text
//! # Somebody sends 700 MB outside, in an evening.
//! seed upload-at-night
//! days 12
//! use office
//! gap from 4d 09:00 to 4d 15:00
//! every 5m daily 08:00-18:00 weekdays chance 60% bursts 3-20 within 20s: 10.0.1.10-21 > \
//!     any web(4000):443 tcp ssl sent 500-20k received 2k-2M for 100ms-2m
//! guilty 14 times from 9d 20:00 to 9d 21:00: 10.0.1.14 > 203.0.113.80:443 tcp ssl \
//!     sent total 700M received 3k-20k for 30s-4m
//! alert pcr host:10.0.1.14 channel tls 700M between 9d 20:00 and 9d 21:05
//! ```
//!
//! A line that ends in `\` goes on in the next one. `use` takes the lines of another file.
//!
//! - There is a moment in each interval: `every` so often, of the `daily` hours where they are said; or
//!   so many `times`. `from .. to` is the whole scenario where it is not said; `once` has an `at`.
//!   `weekdays` or `weekends` and a `chance` pass moments over, `bursts` are several connections at each.
//! - `10.0.1.10-21` as originator: each of these hosts does the line by itself. `any` takes one of the
//!   addresses each time, the first ones most often, `each` one after the other. `web(4000)` is a pool
//!   of so many addresses outside, the same in all lines.
//! - `sent` is the originator's. `total` is shared among the connections of a host, to the byte.
//!   `missed 99%` are bytes that Zeek did not see. `state` is SF where it is not said.
//! - `guilty` lines are what the `alert` is for. It is expected once or more, with this channel or
//!   `all`, `between` these times, with a window inside of `window A to B` or else the same times.
//!   `quiet` says that there is none. Day 0 is a Monday.
//!
//! Every mistake is named with its line.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::scenario::{
    Amount, DAY, Days, Expected, Flow, Peers, Pick, Proto, Range, Rhythm, Scenario, Span, State,
    When,
};
use super::units::{self, Parsed};

/// Pools get their addresses here, in a network kept for benchmarks: nobody's.
const POOLS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const POOLS_COUNT: u64 = 1 << 17;

/// Gives the text of a file that is used.
type Include<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a scenario of this name; `include` gives the text of what it uses. Else its mistakes.
pub(crate) fn parse(name: &str, text: &str, include: Include<'_>) -> Result<Scenario, Vec<String>> {
    let mut reader = Reader::default();
    reader.file(name, text, Some(include));
    if reader.days == 0 {
        reader.mistakes.push(format!("{name}: no line says how many days"));
    }
    if !reader.is_quiet && reader.truth.is_empty() {
        reader.mistakes.push(format!("{name}: no line says alert or quiet"));
    }
    if !reader.mistakes.is_empty() {
        return Err(reader.mistakes);
    }
    let Reader { seed, flows, gaps, truth, .. } = reader;
    Ok(Scenario { seed, flows, gaps, truth })
}

#[derive(Default)]
struct Reader {
    seed: String,
    days: i64,
    flows: Vec<Flow>,
    gaps: Vec<Span>,
    truth: Vec<Expected>,
    is_quiet: bool,
    pools: BTreeMap<String, (u64, u64)>,
    mistakes: Vec<String>,
}

impl Reader {
    fn file(&mut self, name: &str, text: &str, include: Option<Include<'_>>) {
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = line.trim().to_owned();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().unwrap_or_default().1.trim());
            }
            if line.starts_with('#') {
                continue;
            }
            let Some(used) = line.strip_prefix("use ") else {
                if let Err(mistake) = self.line(&line) {
                    self.mistakes.push(format!("{name}, line {}: {mistake}", index + 1));
                }
                continue;
            };
            match include.and_then(|include| include(used)) {
                Some(text) => self.file(used, &text, None),
                None => self.mistakes.push(format!("{name}, line {}: no {used}", index + 1)),
            }
        }
    }

    fn line(&mut self, line: &str) -> Parsed<()> {
        let mut words = Words::new(line);
        match words.next("").unwrap_or_default() {
            "" => return Ok(()),
            "seed" => words.next("a word")?.clone_into(&mut self.seed),
            "days" => self.days = units::count(words.next("a number")?)? as i64,
            "quiet" => self.is_quiet = true,
            "gap" => {
                words.expect("from")?;
                let gap = words.span("to")?;
                self.gaps.push(gap);
            }
            "alert" => {
                let expected = expected(&mut words)?;
                self.truth.push(expected);
            }
            _ => return self.flow(line),
        }
        if self.is_quiet && !self.truth.is_empty() {
            return Err("an alert is expected, so it is not quiet".to_owned());
        }
        words.end()
    }

    fn flow(&mut self, line: &str) -> Parsed<()> {
        if self.days == 0 {
            return Err("how many days has to be said before".to_owned());
        }
        let is_known = self.flows.iter().any(|flow| flow.text == line);
        if is_known {
            return Err("the same line again gives the same records again".to_owned());
        }
        let (when, what) = line.split_once(": ").ok_or("neither a known word nor WHEN: WHAT")?;
        let mut words = Words::new(when);
        let is_guilty = words.take("guilty");
        let when = when_of(&mut words, Span { from: 0, to: self.days * DAY })?;
        let mut words = Words::new(what);
        let (from, _) = self.peers(&mut words, false)?;
        if !words.take(">") {
            return Err("after the originator comes >".to_owned());
        }
        let (to, port) = self.peers(&mut words, true)?;
        let proto = match words.next("tcp or udp")? {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            word => return Err(format!("{word} is neither tcp nor udp")),
        };
        let mut flow = Flow {
            text: line.to_owned(),
            is_guilty,
            when,
            from,
            to,
            port,
            proto,
            service: "-".to_owned(),
            sent: Amount::NONE,
            received: Amount::NONE,
            duration: Range { low: 20_000, high: 2_000_000 },
            state: State::Sf,
            missed_percent: 0,
        };
        while let Some(word) = words.get() {
            property(&mut flow, word, &mut words)?;
        }
        let is_empty = [flow.sent, flow.received]
            .iter()
            .all(|amount| matches!(amount, Amount::Range(Range { high: 0, .. })));
        if !flow.state.is_established() && !is_empty {
            return Err(format!("in state {} no bytes are sent", flow.state.name()));
        }
        if flow.state == State::Rej && proto == Proto::Udp {
            return Err("only tcp has the state REJ".to_owned());
        }
        self.flows.push(flow);
        Ok(())
    }

    /// Addresses, with a port where `has_port`.
    fn peers(&mut self, words: &mut Words<'_>, has_port: bool) -> Parsed<(Peers, u16)> {
        let mut word = words.next("an address")?;
        let pick = match word {
            "any" => Pick::Any,
            "each" => Pick::Each,
            _ => Pick::All,
        };
        if pick != Pick::All {
            word = words.next("addresses")?;
        }
        let mut port = 0;
        if has_port {
            let (before, after) = word.split_once(':').ok_or(format!("{word} has no :PORT"))?;
            port = after.parse().map_err(|_| format!("{after} is no port"))?;
            word = before;
        }
        let (first, count) = match word.strip_suffix(')').and_then(|it| it.split_once('(')) {
            Some((name, count)) => self.pool(name, units::count(count)?)?,
            None => addresses(word)?,
        };
        if count > 1 && has_port && pick == Pick::All {
            return Err(format!("any or each of {word}?"));
        }
        Ok((Peers { pick, first, count }, port))
    }

    fn pool(&mut self, name: &str, count: u64) -> Parsed<(Ipv4Addr, u64)> {
        let used: u64 = self.pools.values().map(|(_, count)| count).sum();
        let (start, known) = *self.pools.entry(name.to_owned()).or_insert((used, count));
        if known != count {
            return Err(format!("{name} had {known} addresses before"));
        }
        if count == 0 || start + count > POOLS_COUNT {
            return Err(format!("there are no {count} addresses for {name}"));
        }
        Ok((Ipv4Addr::from(u32::from(POOLS) + start as u32), count))
    }
}

/// `10.0.1.10` or `10.0.1.10-21`.
fn addresses(word: &str) -> Parsed<(Ipv4Addr, u64)> {
    let (first, last) = word.split_once('-').unwrap_or((word, ""));
    let address: Ipv4Addr = first.parse().map_err(|_| format!("{word} is no address"))?;
    if last.is_empty() {
        return Ok((address, 1));
    }
    let low = u64::from(address.octets()[3]);
    match units::count(last) {
        Ok(high) if high > low && high < 256 => Ok((address, high - low + 1)),
        _ => Err(format!("{word} are no addresses such as 10.0.1.10-21")),
    }
}

fn when_of(words: &mut Words<'_>, all: Span) -> Parsed<When> {
    let first = words.next("every, N times or once")?;
    let rhythm = match first {
        "every" => Rhythm::Every(units::duration(words.next("a duration")?)?),
        "once" => Rhythm::Once,
        _ => {
            words.expect("times")?;
            Rhythm::Times(units::count(first)?)
        }
    };
    if matches!(rhythm, Rhythm::Every(0) | Rhythm::Times(0)) {
        return Err(format!("{first} 0 is never"));
    }
    let mut when =
        When { rhythm, span: all, daily: None, days: Days::All, chance_percent: 100, burst: None };
    let mut has_moment = false;
    while let Some(word) = words.get() {
        match word {
            "from" if rhythm != Rhythm::Once => when.span = words.span("to")?,
            "at" if rhythm == Rhythm::Once => {
                let at = words.moment()?;
                when.span = Span { from: at, to: at };
                has_moment = true;
            }
            "daily" | "weekdays" | "weekends" if !matches!(rhythm, Rhythm::Every(_)) => {
                return Err(format!("{word} goes with every only"));
            }
            "daily" => when.daily = Some(units::hours(words.next("hours")?)?),
            "weekdays" => when.days = Days::Weekdays,
            "weekends" => when.days = Days::Weekends,
            "chance" => when.chance_percent = units::percent(words.next("a percentage")?)?,
            "bursts" => {
                let count = units::range(words.next("a range")?, units::count)?;
                words.expect("within")?;
                when.burst = Some((count, units::duration(words.next("a duration")?)?));
            }
            _ => return Err(format!("{word} does not say when")),
        }
    }
    if rhythm == Rhythm::Once && !has_moment {
        return Err("once at which time?".to_owned());
    }
    if when.span.to > all.to {
        return Err(format!("the scenario ends at {}", units::show(all.to)));
    }
    Ok(when)
}

fn property(flow: &mut Flow, word: &str, words: &mut Words<'_>) -> Parsed<()> {
    match word {
        "sent" => flow.sent = words.amount()?,
        "received" => flow.received = words.amount()?,
        "for" => flow.duration = units::durations(words.next("a duration")?)?,
        "missed" => flow.missed_percent = units::percent(words.next("a percentage")?)?,
        "state" => {
            let word = words.next("a state")?;
            let found = State::ALL.iter().find(|(name, _)| *name == word);
            let names = State::ALL.map(|(name, _)| name).join(", ");
            flow.state = found.ok_or(format!("{word} is none of {names}"))?.1;
        }
        "dns" | "ftp-data" | "http" | "imap" | "ntp" | "quic" | "smb" | "smtp" | "ssh" | "ssl" => {
            word.clone_into(&mut flow.service);
        }
        _ => return Err(format!("{word} is neither a service nor says how")),
    }
    Ok(())
}

/// What comes behind `alert`.
fn expected(words: &mut Words<'_>) -> Parsed<Expected> {
    words.expect("pcr")?;
    let entity = words.next("an entity")?;
    let address = entity.strip_prefix("host:").and_then(|it| it.parse().ok());
    let address = address.ok_or_else(|| format!("{entity} is no entity such as host:10.0.0.5"))?;
    words.expect("channel")?;
    let channel = words.next("a channel")?.to_owned();
    if !["dns", "tls", "http", "other"].contains(&channel.as_str()) {
        return Err(format!("{channel} is none of dns, tls, http, other"));
    }
    let bytes = units::size(words.next("a size")?)?;
    words.expect("between")?;
    let between = words.span("and")?;
    let window = if words.take("window") { words.span("to")? } else { between };
    Ok(Expected { entity: entity.to_owned(), address, channel, bytes, between, window })
}

/// The words of a line.
struct Words<'a>(std::iter::Peekable<std::str::SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        Self(line.split_whitespace().peekable())
    }

    fn get(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn next(&mut self, what: &str) -> Parsed<&'a str> {
        self.get().ok_or_else(|| format!("{what} is missing at the end"))
    }

    /// Whether this word comes next; then it is taken.
    fn take(&mut self, word: &str) -> bool {
        self.0.next_if_eq(&word).is_some()
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        let found = self.next(word)?;
        if found == word { Ok(()) } else { Err(format!("{found} where {word} should be")) }
    }

    fn moment(&mut self) -> Parsed<i64> {
        units::moment(self.next("a day")?, self.next("a time of day")?)
    }

    /// Two moments with this word between.
    fn span(&mut self, word: &str) -> Parsed<Span> {
        let from = self.moment()?;
        self.expect(word)?;
        let span = Span { from, to: self.moment()? };
        if span.from < span.to { Ok(span) } else { Err("it ends before it starts".to_owned()) }
    }

    fn amount(&mut self) -> Parsed<Amount> {
        if self.take("total") {
            return Ok(Amount::Total(units::size(self.next("a size")?)?));
        }
        Ok(Amount::Range(units::range(self.next("a size")?, units::size)?))
    }

    fn end(&mut self) -> Parsed<()> {
        self.get().map_or(Ok(()), |word| Err(format!("{word} is too much")))
    }
}
