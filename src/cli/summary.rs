//! The summary at the end of a replay.

use std::path::Path;

use crate::engine::{Counts, Peak, Summary};
use crate::replay::Inventory;

use super::shown;

/// Entities that are shown.
const TOP: usize = 10;

/// What was read, what was found, who is risky and why.
pub(super) fn text(summary: &Summary, inventory: &Inventory, output: &Path) -> String {
    let mut out = String::new();
    line!(out, "{:<10} {:>12} {:>12} {:>10} {:>8}", "log", "records", "events", "rejected", "late");
    let mut total = Counts::default();
    for (log, counts) in &summary.logs {
        total.add(counts);
        row(&mut out, log.name(), counts);
    }
    row(&mut out, "all", &total);
    for (reason, count) in &total.rejected {
        line!(out, "rejected   {count} x {}", reason.name());
    }
    for (label, count, what) in [
        ("lines", total.empty_lines, "empty lines, ignored"),
        ("times", total.early, "more than a day ahead of their log; they count where it stands"),
        (
            "times",
            total.out_of_range,
            "more than seven days from their log; their events are tagged",
        ),
    ] {
        if count > 0 {
            line!(out, "{label:<10} {} {what}", grouped(count));
        }
    }
    files(&mut out, inventory);
    for (detector, count) in &summary.alerts {
        line!(out, "alerts     {} x {detector}", grouped(*count));
    }
    for (rule, count) in &summary.suppressed {
        line!(out, "suppressed {} x {rule}", grouped(*count));
    }
    if !summary.expired.is_empty() {
        line!(out, "expired    in the allow-list: {}", summary.expired.join(", "));
    }
    let budget = &summary.budget;
    line!(
        out,
        "incidents  {} open · {} alerts a day for about {} hosts · bar {}",
        grouped(summary.incidents),
        grouped(budget.per_day),
        grouped(budget.hosts),
        budget.bar,
    );
    line!(out, "risk       {} documents", grouped(summary.risk));
    if summary.evicted > 0 {
        line!(out, "forgotten  {} entities beyond entity.max", summary.evicted);
    }
    if summary.cells_dropped > 0 {
        line!(out, "no room    for {} cells of windows", summary.cells_dropped);
    }
    top(&mut out, summary);
    line!(out, "\nwritten to {}", shown(output.display()));
    out
}

/// One line for an entity whose score rose.
pub(super) fn risen(entity: &str, peak: &Peak) -> String {
    let why = peak
        .modules
        .first()
        .map_or_else(String::new, |(module, _, why)| format!("{module}: {}", shown(why)));
    let entity = shown(entity);
    format!("{:>7.1}  {:<8}  {entity}  {why}\n", peak.score.0 as f64 / 1e6, peak.level)
}

fn row(out: &mut String, name: &str, counts: &Counts) {
    line!(
        out,
        "{name:<10} {:>12} {:>12} {:>10} {:>8}",
        grouped(counts.records),
        grouped(counts.events),
        grouped(counts.rejects()),
        grouped(counts.late),
    );
}

fn files(out: &mut String, inventory: &Inventory) {
    let mut notes = Vec::new();
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    };
    note(inventory.other, "of other logs, ignored");
    note(inventory.empty, "without a record");
    note(inventory.twins.len() as u64, "copies, read once");
    note(inventory.forks, "forks of another");
    note(inventory.skipped.len() as u64, "skipped");
    if !notes.is_empty() {
        line!(out, "files      {}", notes.join(" · "));
    }
    for skipped in inventory.skipped.iter().take(TOP) {
        line!(out, "skipped    {}: {}", shown(skipped.path.display()), shown(&skipped.reason));
    }
}

fn top(out: &mut String, summary: &Summary) {
    let top = summary.top(TOP);
    if top.is_empty() {
        line!(out, "\nno entity reached a risk of one point");
        return;
    }
    line!(out, "\nriskiest entities, by the highest score they had");
    for (id, peak) in top {
        // The name of a user stands in a log.
        let id = shown(id);
        line!(out, "{:>7.1}  {:<9} {id}", peak.score.0 as f64 / 1e6, peak.level);
        for (module, points, why) in &peak.modules {
            line!(out, "{:>17.1}  {module}: {}", points.0 as f64 / 1e6, shown(why));
        }
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
