//! What every stage in the table is held to, without a line of its own.

use std::collections::BTreeSet;

use crate::base::keys::Value;
use crate::base::limits::BATCH_ROWS_MAX;
use crate::base::time::{DAY, Minute, Time};
use crate::model::Models;
use crate::record::{Evidence, Log};

use super::script::{self, Place, batches, defaults};
use super::{Build, Cell, Close, Context, Findings, Gaps, Output, Roles, StageDef, TABLE};

/// Models whose scores are a function of the row.
fn models(stage: &StageDef) -> Models {
    Models::fixed(stage.models)
}

/// Stands for a name that no other record has.
const NAME: &str = "NAME";

/// Records of every kind: usual, empty, extreme.
fn lines(log: Log, count: usize) -> String {
    let texts =
        ["", NAME, "GET", "\u{0}\\u0001", "10.0.0.1", "/a.jpg", "application/x-dosexec", "1.1"];
    let counts = ["0", "200", "18446744073709551615", "1"];
    let times = ["0", "3599.999999", "3600", "50000", "-5", "9000000000"];
    let mut out = String::new();
    for n in 0..count {
        out += &format!("{{\"ts\":{}", 1_700_000_000 + n * 7);
        for (index, column) in log.columns().iter().enumerate().skip(1) {
            use crate::record::schema::Kind as Type;
            let pick = (n * 31 + index * 17 + n * n) % 29;
            if pick % 5 == 0 {
                continue;
            }
            let value = match column.kind {
                Type::Count => counts[pick % counts.len()].to_owned(),
                Type::Port => "443".to_owned(),
                Type::Interval | Type::Time => times[pick % times.len()].to_owned(),
                Type::Flag => (pick % 2 == 0).to_string(),
                Type::Addr => format!("\"10.0.{}.{}\"", n / 250 % 250, n % 250),
                Type::Text if column.name == "uid" => format!("\"C{n}\""),
                Type::Text
                    if ["query", "host", "server_name"].contains(&column.name)
                        || texts[pick % 8] == NAME =>
                {
                    format!("\"xq{n}z.com\"")
                }
                Type::Text => format!("{:?}", texts[pick % texts.len()]).replace("\\0", "\\u0000"),
                Type::List => format!("[null,{:?}]", texts[(pick % 4) + 4]),
            };
            out += &format!(",\"{}\":{value}", column.name);
        }
        out += "}\n";
    }
    out
}

/// All that a record stage says of some records, as text.
fn scored(stage: &StageDef, log: Log, text: &str, rows_max: usize) -> Vec<String> {
    let Build::Record(build) = stage.build else { return Vec::new() };
    let mut built = build(&defaults(stage), &models(stage));
    let mut out = Output::default();
    let mut found = Vec::new();
    for batch in batches(log, text, rows_max) {
        let context = Place::new(&batch);
        out.begin(0, batch.rows());
        built.score(&context.input(&batch), &mut out);
        found.extend(out.scores().iter().map(|score| format!("{score:?}")));
        for (_, evidence) in out.take_evidence() {
            let shares: u32 = evidence.reasons.iter().map(|r| r.contribution.get()).sum();
            assert_eq!(shares, evidence.score.get(), "{}: reasons add up", stage.name);
            assert!(evidence.window.0 <= evidence.time && !evidence.techniques.is_empty());
            found.push(format!("{evidence:?}"));
        }
    }
    found
}

/// The cells that some records make, in the order of minute, entity and subject.
pub(super) fn folded(
    stage: &StageDef,
    log: Log,
    text: &str,
    rows_max: usize,
) -> Vec<(Minute, Cell)> {
    script::folded((stage, &models(stage)), log, text, rows_max)
}

/// What a stage finds in a cell when its minute closes.
fn close_one(close: &mut dyn Close, minute: Minute, cell: &Cell) -> Vec<Evidence> {
    let (roles, gaps) = (Roles::default(), Gaps::default());
    let context = Context { roles: &roles, gaps: &gaps, now: minute, profiles: None };
    let mut findings = Findings::new(0);
    close.close(minute, std::slice::from_ref(cell), &context, &mut findings);
    findings.take()
}

/// Closes one minute after another with these cells; what is found, as text.
fn closed(close: &mut dyn Close, cells: &[(Minute, Cell)], from: usize) -> Vec<String> {
    let mut found = Vec::new();
    for (n, (_, cell)) in cells.iter().enumerate() {
        let evidence = close_one(close, Minute((from + n) as i64), cell);
        found.extend(evidence.iter().map(|evidence| format!("{evidence:?}")));
    }
    found
}

fn logs(stage: &StageDef) -> impl Iterator<Item = Log> {
    Log::ALL.into_iter().filter(|log| stage.reads(*log))
}

#[test]
fn names_are_unique_and_everything_is_said() {
    let names: BTreeSet<&str> = TABLE.iter().map(|stage| stage.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for stage in TABLE {
        let keys: Vec<&str> = stage.keys.iter().map(|key| key.name).collect();
        assert_eq!(keys[..4], ["enabled", "weight", "alert", "half_life"], "{}", stage.name);
        assert!(!stage.group.is_empty(), "{}", stage.name);
        assert!(stage.keys.iter().all(|key| !key.doc.is_empty()));
        assert!(!stage.doc.is_empty() && !stage.reads.is_empty() && !stage.techniques.is_empty());
        assert!(stage.version > 0 && (0..=DAY).contains(&stage.window_us));
        for (log, columns) in stage.reads {
            assert!(columns.iter().all(|column| column.index() < log.columns().len()));
        }
    }
}

#[test]
fn row_by_row_equals_batch_by_batch_and_twice_is_the_same() {
    for stage in TABLE {
        for log in logs(stage) {
            if matches!(stage.build, Build::Judge(_)) {
                // Its half of the lanes is `activity`, whose tests say the same.
                continue;
            }
            let text = lines(log, 600);
            let whole = scored(stage, log, &text, BATCH_ROWS_MAX);
            let deltas = folded(stage, log, &text, BATCH_ROWS_MAX);
            assert!(!whole.is_empty() || !deltas.is_empty(), "{} {log}: nothing found", stage.name);
            for rows_max in [1, 7, BATCH_ROWS_MAX] {
                let again = scored(stage, log, &text, rows_max);
                assert_eq!(sorted(&again), sorted(&whole), "{} {log} by {rows_max}", stage.name);
                assert_eq!(folded(stage, log, &text, rows_max), deltas);
            }
        }
    }
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list
}

#[test]
fn nothing_and_too_little_are_no_trouble() {
    for stage in TABLE {
        for log in logs(stage) {
            for text in ["", "{\"ts\":1}\n", "{\"ts\":-62135596800}\n{\"ts\":253402300799}\n"] {
                scored(stage, log, text, BATCH_ROWS_MAX);
                folded(stage, log, text, BATCH_ROWS_MAX);
            }
        }
    }
}

#[test]
fn save_load_continue_equals_never_stopping() {
    for stage in TABLE {
        let Build::Window { close, .. } = stage.build else { continue };
        let settings = defaults(stage);
        for log in logs(stage) {
            let deltas = folded(stage, log, &lines(log, 400), BATCH_ROWS_MAX);
            // Each subject comes again, later.
            let deltas = [deltas.clone(), deltas].concat();
            let never = closed(close(&settings, &models(stage)).as_mut(), &deltas, 0);
            for stop in [0, 1, deltas.len() / 3, deltas.len() / 2 + 5] {
                let mut first = close(&settings, &models(stage));
                let mut found = closed(first.as_mut(), &deltas[..stop], 0);
                let mut second = close(&settings, &models(stage));
                first.save(&mut |key, value| {
                    if let Some(value) = value {
                        second.load(key, value).unwrap();
                    }
                });
                found.extend(closed(second.as_mut(), &deltas[stop..], stop));
                assert_eq!(found, never, "{} stopped at {stop}", stage.name);
            }
            let mut built = close(&settings, &models(stage));
            assert!(built.load(b"x", b"").is_err(), "{}", stage.name);
        }
    }
}

#[test]
fn ten_times_the_allowed_keys_do_not_exceed_the_bound() {
    for stage in TABLE {
        let Build::Window { close, .. } = stage.build else { continue };
        let bounds = stage.keys.iter().filter(|key| key.name.starts_with("max_"));
        let mut settings = defaults(stage);
        let mut max = 0;
        for key in bounds {
            settings.insert(key.name, Value::Integer(10));
            max += 10;
        }
        assert!(max > 0, "{} has no bound", stage.name);
        for log in logs(stage) {
            let mut deltas = folded(stage, log, &lines(log, 2400), BATCH_ROWS_MAX);
            deltas.truncate(100);
            assert_eq!(deltas.len(), 100, "{}: too few subjects", stage.name);
            let mut built = close(&settings, &models(stage));
            closed(built.as_mut(), &deltas, 0);
            let mut kept = 0_i64;
            built.save(&mut |_, value| kept += i64::from(value.is_some()));
            // And one of the stage itself.
            assert!(kept <= max + 1, "{} keeps {kept}", stage.name);
        }
    }
}

#[test]
fn times_are_those_of_the_records() {
    for stage in TABLE {
        let Build::Window { close, .. } = stage.build else { continue };
        for log in logs(stage) {
            let deltas = folded(stage, log, &lines(log, 50), BATCH_ROWS_MAX);
            let mut built = close(&defaults(stage), &models(stage));
            for (minute, cell) in deltas {
                for evidence in close_one(built.as_mut(), minute, &cell) {
                    let row = cell.row.as_ref().unwrap();
                    assert!(evidence.time >= row.time && evidence.time <= Time::MAX);
                    assert_eq!(evidence.records[0], row.record);
                }
            }
        }
    }
}
