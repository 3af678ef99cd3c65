//! Rows of days: sessions that are lived again under another address, and rows made up for what is
//! planted; in the order in which Zeek writes them.
//!
//! Not here: who does what, and when (`office`, `plant`).

use super::super::evaluation::{DAY_0, Dice, SECOND};
use super::capture::{Line, Session};
use super::columns::{Kind, Role};

/// Half a doubling: how far the bytes of a session, and the time that it takes, are from those that
/// were recorded.
const SPREAD: i64 = 1 << 15;
/// Less is a message of a fixed form.
const VARIES_MIN: u64 = 1000;
/// The version that the recorded browser says.
const BROWSER: &str = "123.0";

/// The servers of the office, by what they are for.
pub(crate) const RESOLVER: &str = "10.20.0.2";
pub(crate) const PROXY: &str = "10.20.0.8";
pub(crate) const INTRANET: &str = "10.20.0.10";

/// Logs that grow row by row.
#[derive(Clone)]
pub(crate) struct Logs {
    sheets: [Sheet; Kind::ALL.len()],
}

#[derive(Clone, Default)]
struct Sheet {
    text: String,
    /// When a row is written, and where it stands.
    rows: Vec<(i64, usize, usize)>,
}

impl Logs {
    pub(super) fn new() -> Self {
        Self { sheets: std::array::from_fn(|_| Sheet::default()) }
    }

    pub(crate) fn records(&self) -> usize {
        self.sheets.iter().map(|sheet| sheet.rows.len()).sum()
    }

    /// A row of these cells, written at a time since day 0.
    pub(super) fn push(&mut self, kind: Kind, written: i64, cells: &[String]) {
        let sheet = &mut self.sheets[kind as usize];
        let from = sheet.text.len();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                sheet.text.push('\t');
            }
            sheet.text.push_str(cell);
        }
        sheet.text.push('\n');
        sheet.rows.push((written, from, sheet.text.len()));
    }

    /// A log as Zeek writes it.
    pub(crate) fn render(&self, kind: Kind) -> String {
        let sheet = &self.sheets[kind as usize];
        let types: Vec<&str> = kind.columns().iter().map(|(_, kind, _)| *kind).collect();
        let mut log = format!(
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n\
             #path\t{}\n#open\t2024-03-04-00-00-00\n#fields\t{}\n#types\t{}\n",
            kind.name(),
            kind.names().join("\t"),
            types.join("\t"),
        );
        let mut rows = sheet.rows.clone();
        rows.sort_unstable();
        log.reserve(sheet.text.len());
        for (_, from, to) in rows {
            log.push_str(sheet.text.get(from..to).unwrap_or_default());
        }
        log
    }
}

/// Who lives a session again.
pub(super) struct Guise<'a> {
    pub(super) address: &'a str,
    /// The destination that is a server of the office here.
    pub(super) intranet: &'a str,
    /// The version of the browser.
    pub(super) browser: &'a str,
}

/// What is drawn for a connection.
struct Drawn {
    uid: String,
    port: u64,
    sent: u64,
    received: u64,
}

/// Writes a session that begins at a time since day 0.
pub(super) fn live(
    session: &Session,
    start: i64,
    guise: &Guise<'_>,
    dice: &mut Dice,
    logs: &mut Logs,
) {
    let stretch = dice.factor(SPREAD);
    let (sent, received) = (dice.factor(SPREAD), dice.factor(SPREAD));
    let connections: Vec<Drawn> = (0..session.connections)
        .map(|_| Drawn {
            uid: id('C', dice),
            port: 32_768 + dice.below(28_000),
            sent: times(sent, dice.factor(SPREAD / 2)),
            received: times(received, dice.factor(SPREAD / 2)),
        })
        .collect();
    let salt = dice.next();
    for line in &session.lines {
        let time = start + times(line.offset.unsigned_abs(), stretch) as i64;
        let lived = Lived { session, line, guise, drawn: &connections[line.connection] };
        if let Some((cells, lasts)) = lived.cells(time, stretch, salt) {
            logs.push(line.kind, time + lasts, &cells);
        }
    }
}

/// A line of a session that is lived again.
struct Lived<'a> {
    session: &'a Session,
    line: &'a Line,
    guise: &'a Guise<'a>,
    drawn: &'a Drawn,
}

impl Lived<'_> {
    fn number(&self, name: &str) -> u64 {
        self.line.cells[self.line.kind.at(name)].parse().unwrap_or_default()
    }

    /// Its cells, and how long after its time it is written.
    fn cells(&self, time: i64, stretch: u64, salt: u64) -> Option<(Vec<String>, i64)> {
        let Self { line, guise, drawn, .. } = self;
        let mut lasts = 0;
        let mut cells = Vec::with_capacity(line.cells.len());
        for ((name, _, role), cell) in line.kind.columns().iter().zip(&line.cells) {
            let number = || cell.parse::<u64>().ok();
            let by = |factor: u64| number().map(|number| scaled(number, factor).to_string());
            let new = match role {
                Role::Keep => None,
                Role::Time => Some(seconds(DAY_0 + time)),
                Role::Duration => micros(cell).map(|duration| {
                    let duration = times(duration, stretch) as i64;
                    lasts = if line.kind == Kind::Conn { duration } else { 0 };
                    seconds(duration)
                }),
                Role::Uid => Some(drawn.uid.clone()),
                Role::Fuids => (cell != "-" && cell != "(empty)").then(|| fuids(cell, salt)),
                Role::Address => Some(self.stand_in(cell)?),
                Role::Port => Some(drawn.port.to_string()),
                Role::Local => Some(self.local(name)?),
                Role::Sent => by(drawn.sent),
                Role::Received => by(drawn.received),
                Role::Frames => number().map(|_| self.frames(name).to_string()),
                Role::Agent => Some(cell.replace(BROWSER, guise.browser)),
            };
            cells.push(new.unwrap_or_else(|| cell.clone()));
        }
        Some((cells, lasts))
    }

    /// Packets, or their bytes: what they carry, and what more they are, which goes with the side
    /// that has more of it.
    fn frames(&self, name: &str) -> u64 {
        let (side, drawn) = if name.starts_with("orig") {
            ("orig", self.drawn.sent)
        } else {
            ("resp", self.drawn.received)
        };
        let carried = self.number(&format!("{side}_bytes"));
        let all = self.number(name);
        let is_fixed = self.number("orig_bytes").max(self.number("resp_bytes")) < VARIES_MIN;
        let more = if is_fixed { 1 << 16 } else { self.drawn.sent.max(self.drawn.received) };
        if name.ends_with("ip_bytes") {
            scaled(carried, drawn) + times(all.saturating_sub(carried), more)
        } else {
            times(all, more).max(all.min(1))
        }
    }

    fn local(&self, name: &str) -> Option<String> {
        let address = if name == "local_orig" { "id.orig_h" } else { "id.resp_h" };
        let address = self.stand_in(&self.line.cells[Kind::Conn.at(address)])?;
        Some(if address.starts_with("10.20.") { "T" } else { "F" }.to_owned())
    }

    /// Who stands for an address; nobody where the row has no place here.
    fn stand_in(&self, address: &str) -> Option<String> {
        if address == self.session.client {
            return Some(self.guise.address.to_owned());
        }
        let port = match self.line.kind {
            Kind::Files => "",
            kind => self.line.cells[kind.at("id.resp_p")].as_str(),
        };
        let multicast = ["224.", "239.", "255."];
        let private = ["10.", "192.168.", "172.16.", "169.254."];
        let starts = |with: &[&str]| with.iter().any(|start| address.starts_with(start));
        Some(match port {
            _ if starts(&multicast) => address.to_owned(),
            _ if starts(&private) && address.ends_with(".255") => "10.20.255.255".to_owned(),
            "53" => RESOLVER.to_owned(),
            "3128" => PROXY.to_owned(),
            _ if address == self.guise.intranet || starts(&private) => INTRANET.to_owned(),
            _ if address.contains(':') => version_4(address),
            _ if address.is_empty() || address == "-" => return None,
            _ => address.to_owned(),
        })
    }
}

/// An IPv4 address for one of IPv6: the office has none.
fn version_4(address: &str) -> String {
    let [_, a, b, c, ..] = Dice::new(&["address", address]).next().to_be_bytes();
    format!("45.{a}.{b}.{}", c.clamp(1, 254))
}

fn fuids(cell: &str, salt: u64) -> String {
    let new = |fuid: &str| id('F', &mut Dice::new(&[fuid, &salt.to_string()]));
    cell.split(',').map(new).collect::<Vec<_>>().join(",")
}

/// An id as Zeek makes them.
pub(super) fn id(first: char, dice: &mut Dice) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(LETTERS[dice.below(62) as usize]);
    let rest: String = (0..17).map(letter).collect();
    format!("{first}{rest}")
}

/// A number times a factor in 65536ths.
pub(super) fn times(number: u64, factor: u64) -> u64 {
    ((u128::from(number) * u128::from(factor)) >> 16) as u64
}

fn scaled(number: u64, factor: u64) -> u64 {
    if number < VARIES_MIN { number } else { times(number, factor) }
}

/// Microseconds of a time in seconds.
fn micros(cell: &str) -> Option<u64> {
    u64::try_from(zeek_ueba::base::time::Time::parse_seconds(cell.as_bytes())?).ok()
}

/// Microseconds as seconds.
pub(super) fn seconds(micros: i64) -> String {
    format!("{}.{:06}", micros.div_euclid(SECOND), micros.rem_euclid(SECOND))
}
