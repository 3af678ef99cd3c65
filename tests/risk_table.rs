//! Risk as the program's users see it, and the table of docs/risk.md that holds our score beside three
//! other equations: recomputed here, ours by the ledger itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use zeek_ueba::base::address::Addr;
use zeek_ueba::base::hash::Id;
use zeek_ueba::base::score::{Points, Ppm};
use zeek_ueba::base::time::{DAY, Minute};
use zeek_ueba::record::Entity;
use zeek_ueba::risk::{Bits, Criticality, Event, Ledger, Level, Module, Policy};

use crate::common::{Place, http, program};

/// One finding: its minute, its module, and its score in parts per million.
type Finding = (i64, usize, u32);

/// Minutes of a day.
const A_DAY: i64 = 24 * 60;

/// Name, findings, and the minute in which the last one counts.
fn histories() -> [(&'static str, Vec<Finding>, i64); 3] {
    let weak = (1..=40).map(|n| (n * 36 - 1, 0, 200_000)).collect();
    [
        ("one certain finding of one module", vec![(59, 0, 1_000_000)], 59),
        ("forty of 0.2 of one module, one every 36 minutes", weak, 40 * 36 - 1),
        (
            "0.7 of each of three modules within an hour",
            vec![(10, 0, 700_000), (35, 1, 700_000), (59, 2, 700_000)],
            59,
        ),
    ]
}

/// The score at the end of `minute`, which closes an hour, and its level; modules as `pcr`,
/// `long-connection` and `http-oddities` are weighted.
fn ours(findings: &[Finding], minute: i64) -> (f64, &'static str) {
    let module = |(name, weight): (&'static str, u64)| Module {
        name,
        group: name,
        weight: Points(weight * Points::ONE.0),
        half_life_us: DAY,
        is_enabled: true,
    };
    let modules = [("a", 60), ("b", 40), ("c", 25)].map(module).to_vec();
    let policy = Policy::new(modules, &BTreeMap::new(), Criticality::default(), 10);
    let mut ledger = Ledger::new(policy);
    for (number, &(at, module, ppm)) in findings.iter().enumerate() {
        let event = Event { time: Minute(at).end(), uid: "".into(), id: Id([number as u8; 16]) };
        let entity = Entity::Host(Addr::v4(0x0a00_0005));
        ledger.add(Minute(at), entity, module, Bits::of(Ppm::new(ppm)), event);
    }
    let mut told = Vec::new();
    while let Some(next) = ledger.next().filter(|next| next.0 <= minute) {
        while ledger.close(next, &mut told) {}
    }
    let last = told.last().unwrap();
    assert_eq!(last.minute.0, minute, "every hour with a score is told");
    assert_eq!(last.level, Level::of(last.score));
    (last.score.0 as f64 / 1e6, last.level.name())
}

/// An unbounded sum of raw counts, each alert type with weight 1.
fn counted(findings: &[Finding]) -> f64 {
    findings.len() as f64
}

/// Elastic: scores from 0 to 100 of the last 30 days, the greatest first, each divided by its place to
/// the power of 1.5, the sum divided by the greatest one that there can be, of 10,000 alerts.
fn elastic(findings: &[Finding], minute: i64) -> (f64, &'static str) {
    let recent = findings.iter().filter(|finding| minute - finding.0 < 30 * A_DAY);
    let mut scores: Vec<f64> = recent.map(|finding| f64::from(finding.2) / 1e4).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let sum: f64 = scores.iter().zip(1_i32..).map(|(s, n)| s / f64::from(n).powf(1.5)).sum();
    let score = sum / greatest();
    let level = match score {
        s if s < 20.0 => "Unknown",
        s if s < 40.0 => "Low",
        s if s < 70.0 => "Moderate",
        s if s < 90.0 => "High",
        _ => "Critical",
    };
    (score, level)
}

fn greatest() -> f64 {
    (1..=10_000).map(|n| f64::from(n).powf(-1.5)).sum()
}

/// Slips: threat level (0, 0.2, 0.5, 0.8 or 1) times confidence, summed over the window of an hour that
/// holds `minute`; an alert from 0.25 times the 60 minutes of the window on.
fn slips(findings: &[Finding], minute: i64) -> (f64, &'static str) {
    let within = findings.iter().filter(|finding| finding.0 / 60 == minute / 60);
    let sum = within.map(|finding| {
        let score = f64::from(finding.2) / 1e6;
        let levels = [0.2, 0.5, 0.8, 1.0];
        let level = levels.into_iter().find(|level| *level >= score).unwrap();
        level * (score / level)
    });
    let sum = sum.fold(0.0, |all, one| all + one);
    (sum, if sum >= 0.25 * 60.0 { "alert" } else { "no alert" })
}

fn table() -> String {
    let mut out = String::from(
        "| evidence | looked at | ours | counted | Elastic | Slips |\n|---|---|---|---|---|---|\n",
    );
    for (name, findings, last) in histories() {
        for (days, when) in
            [(0, "in the last one's hour"), (1, "a day later"), (2, "two days later")]
        {
            let minute = last + days * A_DAY;
            let (own, level) = ours(&findings, minute);
            let (theirs, their_level) = elastic(&findings, minute);
            let (sum, alert) = slips(&findings, minute);
            let count = counted(&findings);
            writeln!(
                out,
                "| {name} | {when} | {own:.1} {level} | {count:.0} | {theirs:.1} {their_level} | \
                 {sum:.1} {alert} |"
            )
            .unwrap();
        }
    }
    out
}

#[test]
fn the_table_in_the_docs_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/risk.md");
    let docs = fs::read_to_string(path).unwrap();
    let table = table();
    assert!(docs.contains(&table), "docs/risk.md lacks this table:\n{table}");
}

#[test]
fn the_other_equations_are_as_their_authors_state_them() {
    assert!((greatest() - 2.5924).abs() < 1e-4, "{}", greatest());
    let certain = vec![(0, 0, 1_000_000)];
    let (score, level) = elastic(&certain, 0);
    assert_eq!((format!("{score:.1}"), level), ("38.6".to_owned(), "Low"));
    assert_eq!(elastic(&certain, 30 * A_DAY), (0.0, "Unknown"));
    // The example of its documentation, which divides by zeta(1.5), as if there were no most of alerts.
    let example = [210_000, 450_000, 210_000, 700_000, 210_000].map(|ppm| (0, 0, ppm));
    assert_eq!(format!("{:.2}", elastic(&example, 0).0 * greatest() / 2.612_375), "36.16");
    // Fifteen certain ones of the highest level in one hour are an alert, fourteen are none.
    assert_eq!(slips(&certain.repeat(15), 0), (15.0, "alert"));
    assert_eq!(slips(&certain.repeat(14), 0), (14.0, "no alert"));
}

/// Score, criticality and contributions of the first risk document.
fn first(place: &Place, name: &str, sets: &[&str]) -> String {
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let risk = place.replay_as(name, &args).ok().risk();
    let ueba = &risk[0]["ueba"];
    let parts = ueba["contributions"].as_array().unwrap().iter();
    let parts: Vec<String> = parts.map(|it| format!("{}={}", it["module"], it["points"])).collect();
    format!("{} x{} {}", ueba["score"], ueba["criticality"], parts.join(" "))
}

#[test]
fn criticality_and_budgets_count_in_documents() {
    let http = http(&["1700000000.0|C1|10.0.0.5|203.0.113.9|BREW|198.51.100.1|/|1.1|200|-|-"]);
    let place = Place::with(&[("http.log", http.as_bytes())]).without_models();
    let csv = place.path().join("assets.csv");
    fs::write(&csv, "entity,criticality\n10.0.0.0/8,3\n").unwrap();
    let csv = format!("risk.criticality_csv=[{:?}]", csv.display().to_string());
    let host = "risk.criticality.\"host:10.0.0.5\"=0.5";
    assert_eq!(first(&place, "a", &[]), "10.0 x1.0 \"http-oddities\"=10.0");
    assert_eq!(first(&place, "b", &[&csv]), "30.0 x3.0 \"http-oddities\"=30.0");
    assert_eq!(first(&place, "c", &[&csv, host]), "5.0 x0.5 \"http-oddities\"=5.0");
    let budget = "risk.budget.web=4";
    assert_eq!(first(&place, "d", &[budget, &csv]), "12.0 x3.0 \"http-oddities\"=12.0");
}

#[test]
fn two_files_that_disagree_stop_the_program_with_both_places() {
    let place = Place::new();
    fs::write(place.path().join("a.csv"), "entity,criticality\n10.0.0.5,2\nuser:x,1\n").unwrap();
    fs::write(place.path().join("b.csv"), "entity,criticality\nuser:X,2\n10.0.0.5,11\n").unwrap();
    for command in ["check", "replay"] {
        let mut program = program();
        program.current_dir(place.path()).arg(command);
        program.args(["--set", "risk.criticality_csv=[\"a.csv\", \"b.csv\", \"c.csv\"]"]);
        if command == "replay" {
            program.arg("logs");
        }
        let output = program.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}");
        for line in [
            "b.csv:2:1: \"user:x\" has criticality 2.000 here and 1.000 at a.csv:3",
            "b.csv:3:1: criticality must be from 0.1 to 10, not \"11\"",
            "c.csv: cannot be read",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!place.path().join("replay").exists());
    }
}
