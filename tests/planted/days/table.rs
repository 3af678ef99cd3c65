//! What came of the days, in Markdown.

use std::collections::{BTreeMap, BTreeSet};

use super::super::evaluation::{DAY, HOUR, MINUTE};
use super::Days;
use super::judge::Alert;
use super::poisson::interval;

/// Reasons of an alert that are shown.
const REASONS_SHOWN: usize = 3;

/// Wrong alerts that are shown.
const ALERTS_SHOWN: usize = 40;

/// All tables.
pub(crate) fn tables(days: &Days) -> String {
    let mut text = format!(
        "{} hosts, {} days, {} records from {} real sessions; {} host-days.\n\n",
        days.hosts,
        super::office::DAYS,
        thousands(days.records),
        days.sessions,
        thousands(days.host_days),
    );
    text.push_str(&planted(days));
    text.push_str(&clean(days));
    text.push_str(&wrong(days));
    text.push_str(&without(days));
    text
}

fn planted(days: &Days) -> String {
    let mut text = String::from(
        "| planted | who | found by: highest score | first told after | rank that day | \
         best rank | new alerts of others |\n|---|---|---|--:|--:|--:|--:|\n",
    );
    for (planting, verdict) in &days.planted {
        let who = planting.guilty.clone().unwrap_or_else(|| "nobody".to_owned());
        let found = match &planting.guilty {
            Some(_) => by_detector(&verdict.of_it),
            None => {
                let hosts: BTreeSet<&String> = verdict.of_it.iter().map(|it| &it.entity).collect();
                let all = planting.innocent.len();
                format!("{} of {all} hosts alert; {}", hosts.len(), by_detector(&verdict.of_it))
            }
        };
        let first = verdict.of_it.iter().map(|alert| alert.to).min();
        let first = first.map_or("-".to_owned(), |first| lasted(first - planting.from));
        let rank = |rank: Option<usize>| rank.map_or("-".to_owned(), |rank| rank.to_string());
        text.push_str(&format!(
            "| {}: {} | `{who}` | {found} | {first} | {} | {} | {} |\n",
            planting.name,
            planting.what,
            rank(verdict.first_day),
            rank(verdict.best_day),
            verdict.others.len(),
        ));
    }
    text.push('\n');
    text
}

/// The detectors of alerts, and how often.
fn by_detector(alerts: &[Alert]) -> String {
    let mut most: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for alert in alerts {
        let (score, count) = most.entry(&alert.detector).or_default();
        (*score, *count) = (score.max(alert.score), *count + 1);
    }
    let each = |(detector, (score, count)): (&&str, &(f64, usize))| {
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        format!("`{detector}` {score:.2}{times}")
    };
    if most.is_empty() {
        "nothing".to_owned()
    } else {
        most.iter().map(each).collect::<Vec<_>>().join("<br>")
    }
}

/// How often each detector alerts where nothing is planted.
fn clean(days: &Days) -> String {
    let mut counts: BTreeMap<&str, u32> =
        days.detectors.iter().map(|it| (it.as_str(), 0)).collect();
    for alert in &days.clean.alerts {
        *counts.entry(&alert.detector).or_default() += 1;
    }
    let mut text = String::from(
        "| nothing planted | alerts | in 1,000 host-days | interval of 95 % |\n|---|--:|--:|--:|\n",
    );
    let all = counts.iter().filter(|(name, _)| **name != "risk").map(|(_, count)| *count).sum();
    let lines = counts.iter().map(|(name, count)| (format!("`{name}`"), *count));
    for (name, count) in lines.chain([("all, without `risk`".to_owned(), all)]) {
        let per = |number: f64| format!("{:.1}", number * 1000.0 / days.host_days as f64);
        let (low, high) = interval(count);
        let rate = per(f64::from(count));
        text.push_str(&format!("| {name} | {count} | {rate} | {} to {} |\n", per(low), per(high)));
    }
    text.push('\n');
    text
}

/// The alerts where nothing is planted.
fn wrong(days: &Days) -> String {
    let mut text = String::from(
        "| wrong alert | who | window | score | observed (expected), share |\n\
         |---|---|---|--:|---|\n",
    );
    for alert in days.clean.alerts.iter().take(ALERTS_SHOWN) {
        let reasons: Vec<String> =
            alert.reasons.iter().take(REASONS_SHOWN).map(|it| it.replace('|', "\\|")).collect();
        text.push_str(&format!(
            "| `{}` | `{}` | {} to {} | {:.2} | {} |\n",
            alert.detector,
            alert.entity,
            moment(alert.from),
            moment(alert.to),
            alert.score,
            reasons.join("; "),
        ));
    }
    if let Some(more) = days.clean.alerts.len().checked_sub(ALERTS_SHOWN).filter(|it| *it > 0) {
        text.push_str(&format!("\nand {more} more\n"));
    }
    text.push('\n');
    text
}

/// What would be left without each module.
fn without(days: &Days) -> String {
    let verdicts = days.planted.iter().map(|(_, verdict)| verdict);
    let modules: BTreeSet<&String> = verdicts.flat_map(|verdict| verdict.without.keys()).collect();
    let mut text = String::from("| planted | with all |");
    modules.iter().for_each(|module| text.push_str(&format!(" without `{module}` |")));
    text.push_str("\n|---|---|");
    modules.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    let cell = |is_found: bool, rank: Option<usize>| {
        let found = if is_found { "found" } else { "missed" };
        rank.map_or_else(|| found.to_owned(), |rank| format!("{found}, {rank}"))
    };
    for (planting, verdict) in days.planted.iter().filter(|(it, _)| it.guilty.is_some()) {
        let all = cell(!verdict.of_it.is_empty(), verdict.best_day);
        text.push_str(&format!("| {} | {all} |", planting.name));
        for module in &modules {
            let left = verdict.without.get(*module);
            let left = left.map_or("as with all".to_owned(), |(found, rank)| cell(*found, *rank));
            text.push_str(&format!(" {left} |"));
        }
        text.push('\n');
    }
    text
}

fn moment(time: i64) -> String {
    let minutes = time.rem_euclid(DAY) / MINUTE;
    format!("{}d {:02}:{:02}", time.div_euclid(DAY), minutes / 60, minutes % 60)
}

fn lasted(time: i64) -> String {
    match time / HOUR {
        hours @ 0..48 => format!("{hours} h {:02} m", time % HOUR / MINUTE),
        hours => format!("{} d {} h", hours / 24, hours % 24),
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
