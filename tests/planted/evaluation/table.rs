//! The table that `make evaluate` prints, in Markdown.

use super::Outcome;
use super::judge::Found;
use super::scenario::{DAY, HOUR, MINUTE, Span};
use super::units::{show, show_clock, show_size};

/// More alerts of one scenario are counted.
const ALERTS_SHOWN: usize = 3;

/// A line for each outcome.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut table = String::from(
        "| scenario | records | expected | found: entity, channel, score, window, after the end | \
         verdict |\n|---|--:|---|---|---|\n",
    );
    for outcome in outcomes {
        let verdict = match outcome.wrong.as_slice() {
            [] => "right".to_owned(),
            wrong => format!("**wrong**: {}", wrong.join("; ")),
        };
        let cells =
            [outcome.name.clone(), thousands(outcome.records), expected(outcome), found(outcome)];
        table.push_str(&format!("| {} | {verdict} |\n", cells.join(" | ")));
    }
    let right = outcomes.iter().filter(|outcome| outcome.wrong.is_empty()).count();
    table.push_str(&format!("\n{right} of {} scenarios are right.\n", outcomes.len()));
    table
}

fn expected(outcome: &Outcome) -> String {
    let lines: Vec<String> = outcome
        .truth
        .iter()
        .map(|it| {
            let (host, size) = (&it.entity, show_size(it.bytes));
            format!("`{host}`, {}, {size}, {}", it.channel, show_span(it.between))
        })
        .collect();
    if lines.is_empty() { "quiet".to_owned() } else { lines.join("<br>") }
}

fn found(outcome: &Outcome) -> String {
    let mut lines: Vec<String> =
        outcome.found.iter().take(ALERTS_SHOWN).map(|alert| show_alert(outcome, alert)).collect();
    if outcome.found.len() > ALERTS_SHOWN {
        lines.push(format!("and {} more", outcome.found.len() - ALERTS_SHOWN));
    }
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("<br>") }
}

fn show_alert(outcome: &Outcome, alert: &Found) -> String {
    let Found { entity, channel, score, window, .. } = alert;
    let mut line = format!("`{entity}`, {channel}, {score}, {}", show_span(*window));
    let mut crimes = outcome.truth.iter().zip(&outcome.crimes);
    if let Some((_, crime)) = crimes.find(|(expected, _)| expected.entity == *entity) {
        line.push_str(&format!(", {}", show_delay(window.to - crime.span.to)));
    }
    line
}

fn show_span(span: Span) -> String {
    let is_one_day = span.from.div_euclid(DAY) == span.to.div_euclid(DAY);
    let to = if is_one_day { show_clock(span.to) } else { show(span.to) };
    format!("{} to {to}", show(span.from))
}

/// From the end of the crime to the end of the window, in minutes.
fn show_delay(delay: i64) -> String {
    let sign = if delay < 0 { "-" } else { "+" };
    let delay = delay.abs();
    format!("{sign}{}:{:02}", delay / HOUR, delay % HOUR / MINUTE)
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
