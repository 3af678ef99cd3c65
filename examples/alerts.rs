//! Prints the alerts of zeek-ueba as they come to Kafka, one line each: time, entity, detector,
//! score, the first reason and what was observed, uid of the first evidence.
//!
//!     cargo run --release --example alerts -- BROKERS [TOPIC] [--until-end] [-X NAME=VALUE]...
//!
//! `--until-end` stops at the end of all partitions, `-X` sets an option of librdkafka: `group.id`,
//! or those for TLS and SASL. What it shows, and what other consumers should do too:
//!
//! - The offset of an alert is stored after the alert was printed, so a crash loses none.
//! - An alert that comes twice has the same `event_id` both times, and is printed once.
//! - Alerts quote what came over the network: control characters are escaped.
//! - A record that is no alert is named and skipped. Errors that pass are named and waited for.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_json::Value;

/// Where the columns stand in an alert; the first four are in every one.
const COLUMNS: [&str; 7] = [
    "/@timestamp",
    "/ueba/entity",
    "/ueba/detector",
    "/ueba/score",
    "/ueba/reasons/0/feature",
    "/ueba/reasons/0/observed",
    "/ueba/evidence/0/uid",
];

/// Ids that are remembered: more than there are alerts in the window of one zeek-ueba (32 MiB).
const REMEMBERED: usize = 100_000;

/// 32 hexadecimal digits.
type Id = [u8; 32];

fn main() -> anyhow::Result<ExitCode> {
    let Some((config, topic, until_end)) = arguments(std::env::args().skip(1)) else {
        writeln!(io::stderr(), "usage: alerts BROKERS [TOPIC] [--until-end] [-X NAME=VALUE]...")?;
        return Ok(ExitCode::from(2));
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&[&topic])?;
    let (mut seen, mut order) = (BTreeSet::new(), VecDeque::new());
    let (mut at_end, mut told) = (BTreeSet::new(), BTreeSet::new());
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(message)) => {
                at_end.remove(&message.partition());
                told.clear();
                match read(&message) {
                    Ok((id, _)) if seen.contains(&id) => {}
                    Ok((id, line)) => {
                        writeln!(io::stdout(), "{line}")?;
                        seen.insert(id);
                        order.push_back(id);
                        if order.len() > REMEMBERED {
                            order.pop_front().map(|oldest| seen.remove(&oldest));
                        }
                    }
                    Err(why) => {
                        let (partition, offset) = (message.partition(), message.offset());
                        say(&format!("{topic} [{partition}] offset {offset} skipped: {why}"))?;
                    }
                }
                consumer.store_offset_from_message(&message)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_end.insert(partition);
                let mine = consumer.assignment()?;
                if until_end && mine.elements().iter().all(|it| at_end.contains(&it.partition())) {
                    break;
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
            // librdkafka goes on trying, many times a second.
            Some(Err(error)) => {
                let error = error.to_string();
                if told.insert(error.clone()) {
                    say(&error)?;
                }
            }
        }
    }
    // As the consumer is dropped, it commits what is stored.
    Ok(ExitCode::SUCCESS)
}

fn arguments(mut args: impl Iterator<Item = String>) -> Option<(ClientConfig, String, bool)> {
    let mut config = ClientConfig::new();
    config.set("group.id", "zeek-ueba-alerts").set("auto.offset.reset", "earliest");
    let (mut names, mut until_end) = (Vec::new(), false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--until-end" => until_end = true,
            "-X" => {
                let option = args.next()?;
                let (name, value) = option.split_once('=')?;
                config.set(name, value);
            }
            option if option.starts_with('-') => return None,
            _ => names.push(arg),
        }
    }
    let mut names = names.into_iter();
    config.set("bootstrap.servers", names.next()?);
    // Every few seconds librdkafka commits the offsets that were stored, and no others.
    config.set("enable.auto.commit", "true").set("enable.auto.offset.store", "false");
    config.set("enable.partition.eof", "true");
    let topic = names.next().unwrap_or_else(|| "zeek-ueba.alerts".to_owned());
    names.next().is_none().then_some((config, topic, until_end))
}

/// The id and the line of an alert, or why it is none.
fn read(message: &BorrowedMessage<'_>) -> Result<(Id, String), &'static str> {
    let value = message.payload().ok_or("no value")?;
    let id = || message.headers()?.iter().find(|it| it.key == "event_id")?.value?.try_into().ok();
    // rdkafka panics where the name of a header is not UTF-8.
    let id = catch_unwind(AssertUnwindSafe(id)).ok().flatten().ok_or("no event_id of 32 digits")?;
    let alert: Value = serde_json::from_slice(value).map_err(|_| "not JSON")?;
    let column = |(number, path)| match alert.pointer(path) {
        Some(Value::String(text)) => Some(shown(text)),
        Some(Value::Number(number)) => Some(format!("{:.6}", number.as_f64()?)),
        _ => (number >= 4).then(String::new),
    };
    let columns: Option<Vec<String>> = COLUMNS.into_iter().enumerate().map(column).collect();
    Ok((id, columns.ok_or("not an alert")?.join("\t")))
}

/// Escapes what moves a terminal's cursor or turns around what is read, and the backslash.
fn shown(text: &str) -> String {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}');
    let hides = |c| matches!(c, '\\' | '\u{2066}'..='\u{2069}');
    let is_unsafe = |c: char| c.is_control() || turns(c) || hides(c);
    let one = |c| if is_unsafe(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(one).collect()
}

fn say(what: &str) -> io::Result<()> {
    writeln!(io::stderr(), "alerts: {}", shown(what))
}
