//! The records that a scenario stands for: the same bytes each time.
//!
//! Not here: how Zeek writes a record (`log`).

use std::net::Ipv4Addr;

use super::dice::Dice;
use super::log::{self, Record};
use super::scenario::{Amount, DAY, Flow, Pick, Range, Rhythm, Scenario, Span, State, When};

/// Records of one line at most: a slip of the pen ends with a message.
const FLOW_RECORDS_MAX: usize = 1_000_000;

/// The log of a scenario, and what was planted in it.
pub(crate) struct Expansion {
    /// A whole `conn.log`.
    pub(crate) conn: String,
    pub(crate) records: usize,
    /// What the guilty lines do, for each expected alert.
    pub(crate) crimes: Vec<Crime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crime {
    /// From the start of the first connection to the end of the last.
    pub(crate) span: Span,
    /// Away from the host, whoever had asked.
    pub(crate) bytes: u64,
}

/// Writes the log of a scenario.
pub(crate) fn expand(scenario: &Scenario) -> Expansion {
    let mut records = Vec::new();
    for flow in &scenario.flows {
        let before = records.len();
        let hosts = if flow.from.pick == Pick::All { flow.from.count } else { 1 };
        for host in 0..hosts {
            expand_flow(scenario, flow, flow.from.at(host), &mut records);
        }
        assert!(records.len() - before <= FLOW_RECORDS_MAX, "too many records: {}", flow.text);
    }
    records.retain(|it| !scenario.gaps.iter().any(|gap| gap.from <= it.end && it.start <= gap.to));
    records.sort_by(|a, b| (a.end, a.start, &a.uid).cmp(&(b.end, b.start, &b.uid)));
    let crimes = scenario.truth.iter().map(|it| crime(&records, it.address)).collect();
    let mut conn = log::header();
    for record in &records {
        log::write(record, &mut conn);
    }
    Expansion { conn, records: records.len(), crimes }
}

fn crime(records: &[Record<'_>], host: Ipv4Addr) -> Crime {
    let mut crime = Crime { span: Span { from: i64::MAX, to: i64::MIN }, bytes: 0 };
    for record in records.iter().filter(|record| record.flow.is_guilty) {
        let away = if record.orig == host {
            record.sent
        } else if record.resp == host {
            record.received
        } else {
            continue;
        };
        crime.bytes += away;
        crime.span.from = crime.span.from.min(record.start);
        crime.span.to = crime.span.to.max(record.end);
    }
    crime
}

/// The records of a line by one host.
fn expand_flow<'a>(
    scenario: &Scenario,
    flow: &'a Flow,
    host: Ipv4Addr,
    records: &mut Vec<Record<'a>>,
) {
    let mut dice = Dice::new(&[&scenario.seed, &flow.text, &host.to_string()]);
    let moments = moments(&flow.when, &mut dice);
    let sent = amounts(flow.sent, moments.len(), &mut dice);
    let received = amounts(flow.received, moments.len(), &mut dice);
    for (index, start) in moments.into_iter().enumerate() {
        let peer = |pick, count, dice: &mut Dice| match pick {
            Pick::Any => dice.range(Range { low: 0, high: count - 1 }),
            Pick::Each => index as u64 % count,
            Pick::All => 0,
        };
        let orig = match flow.from.pick {
            Pick::All => host,
            pick => flow.from.at(peer(pick, flow.from.count, &mut dice)),
        };
        let resp = flow.to.at(peer(flow.to.pick, flow.to.count, &mut dice));
        let duration = dice.range(flow.duration) as i64;
        // Zeek knows no duration of what nobody answered.
        let end = if flow.state == State::S0 { start } else { start + duration };
        records.push(Record {
            flow,
            start,
            end,
            uid: uid(&mut dice),
            orig,
            orig_port: 32_768 + dice.below(28_232) as u16,
            resp,
            sent: sent[index],
            received: received[index],
        });
    }
}

/// When a line happens, in no particular order.
fn moments(when: &When, dice: &mut Dice) -> Vec<i64> {
    let mut moments = Vec::new();
    for slot in slots(when) {
        let time = slot.from + dice.below((slot.to - slot.from).max(1) as u64) as i64;
        // Thrown for what is passed over too, so that days move nothing else.
        let has_chance = dice.percent(when.chance_percent);
        if !has_chance || !when.days.holds(time) || !when.span.holds(time) {
            continue;
        }
        let Some((count, within)) = when.burst else {
            moments.push(time);
            continue;
        };
        for _ in 0..dice.range(count) {
            moments.push(time + dice.below(within as u64 + 1) as i64);
        }
    }
    moments
}

/// The intervals in each of which there is a moment.
fn slots(when: &When) -> Vec<Span> {
    let Span { from, to } = when.span;
    let each = |from: i64, to: i64, step: i64| {
        let starts = (0..).map(move |slot| from + slot * step).take_while(move |at| *at < to);
        starts.map(move |at| Span { from: at, to: to.min(at + step) })
    };
    let times_at = |slot: u64, times: u64| {
        from + (i128::from(to - from) * i128::from(slot) / i128::from(times)) as i64
    };
    let slots: Vec<Span> = match (when.rhythm, when.daily) {
        (Rhythm::Once, _) => vec![when.span],
        (Rhythm::Times(times), _) => {
            let slot = |slot| Span { from: times_at(slot, times), to: times_at(slot + 1, times) };
            (0..times).map(slot).collect()
        }
        (Rhythm::Every(step), None) => each(from, to, step).collect(),
        (Rhythm::Every(step), Some(hours)) => {
            let days = from.div_euclid(DAY)..=to.div_euclid(DAY);
            let hours = days.map(|day| (day * DAY + hours.from, day * DAY + hours.to));
            hours.flat_map(|(from, to)| each(from, to, step)).collect()
        }
    };
    assert!(slots.len() <= FLOW_RECORDS_MAX, "{} moments of one line", slots.len());
    slots
}

/// The bytes of each of `count` connections.
fn amounts(amount: Amount, count: usize, dice: &mut Dice) -> Vec<u64> {
    let total = match amount {
        Amount::Range(range) => return (0..count).map(|_| dice.range(range)).collect(),
        Amount::Total(total) => total,
    };
    let weights: Vec<u64> =
        (0..count).map(|_| dice.range(Range { low: 256, high: 1024 })).collect();
    let all: u64 = weights.iter().sum();
    let mut sum = 0;
    let shares = weights.iter().map(|weight| {
        let share = |sum: u64| (u128::from(total) * u128::from(sum) / u128::from(all)) as u64;
        let before = share(sum);
        sum += weight;
        share(sum) - before
    });
    shares.collect()
}

/// As Zeek's look.
fn uid(dice: &mut Dice) -> String {
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut uid = String::from("C");
    for _ in 0..17 {
        uid.push(char::from(letters[dice.below(letters.len() as u64) as usize]));
    }
    uid
}
