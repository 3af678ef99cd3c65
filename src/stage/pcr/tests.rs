//! Connections in, findings out.

mod lasting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::base::address::Addr;
use crate::base::keys::{Kind, Settings, Value};
use crate::base::limits::BATCH_ROWS_MAX;
use crate::base::time::{HOUR, MINUTE, Minute, SECOND, Time};
use crate::model::Models;
use crate::record::schema::ColumnId;
use crate::record::{Entity, Evidence, Generation, Inside, Log, Observed, Parties, Sides, Source};
use crate::stage::profile::{Crowds, Prior, Profile, Profiles};
use crate::stage::{
    Build, Cell, Close, Context, Deltas, Findings, Gaps, Input, Role, RolePolicy, Roles,
};
use crate::zeek::{Parser, Settings as Columns};

use super::super::traffic::TLS;
use super::STAGE;
use super::channel::{ALL, TABLE};
use super::history::History;

fn settings(max: i64) -> Settings {
    let mut settings = Settings::default();
    for key in STAGE.keys {
        let text = key.default.unwrap_or_default();
        let value = match key.kind {
            Kind::Flag => Value::Flag(true),
            Kind::Integer { .. } => Value::Integer(max),
            Kind::Real { .. } => Value::Real(text.parse().unwrap()),
            _ if key.name == "volume_min" => Value::Bytes(1 << 20),
            _ => Value::Bytes(100 << 20),
        };
        if key.default.is_some() {
            settings.insert(key.name, value);
        }
    }
    settings
}

/// Monday.
const START: i64 = 1_700_438_400;

/// One line of a script, `DAY HOUR:MIN ORIG > RESP PORT SERVICE SENT RECEIVED [KEY=VALUE]…`, as a
/// record of conn.
fn record(number: usize, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (hour, minute) = words[1].split_once(':').unwrap();
    let number_of = |text: &str| text.parse::<i64>().unwrap();
    let ts = START + number_of(words[0]) * 86_400 + number_of(hour) * 3600 + number_of(minute) * 60;
    let mut more = String::new();
    for pair in &words[8..] {
        let (key, value) = pair.split_once('=').unwrap();
        more += &format!(",{key:?}:{value}");
    }
    format!(
        "{{\"ts\":{ts},\"uid\":\"C{number}\",\"id.orig_h\":{:?},\"id.resp_h\":{:?},\"id.resp_p\":{},\
         \"service\":{:?},\"orig_bytes\":{},\"resp_bytes\":{}{more}}}\n",
        words[2],
        words[4],
        words[5],
        words[6],
        words[7].split_once('/').unwrap().0,
        words[7].split_once('/').unwrap().1,
    )
}

/// The cells of a script, by minute.
fn cells(script: &str, rows_max: usize) -> BTreeMap<Minute, Vec<Cell>> {
    let Build::Window { fold, combine, .. } = STAGE.build else { panic!() };
    let lines = script.lines().filter(|line| !line.trim().is_empty()).enumerate();
    let text: String = lines.map(|(number, line)| record(number, line)).collect();
    let wanted = (0..Log::Conn.columns().len()).map(|index| ColumnId(index as u8)).collect();
    let (log, alias) = (Log::Conn, Vec::new());
    let columns = Columns { log, wanted, line_bytes_max: 1 << 20, configured: None, alias };
    let generation = Generation([0; 16]);
    let event_prefix = generation.event_prefix("s", log);
    let source = Arc::new(Source { log, generation, event_prefix, path: "conn.log".to_owned() });
    let (mut parser, mut batch, mut at) = (Parser::new(&columns), columns.batch(), 0);
    let (mut fold, mut deltas) = (fold(&settings(1000), &Models::default()), Deltas::default());
    let mut cells = BTreeMap::new();
    loop {
        batch.clear();
        let progress = parser.parse(&text.as_bytes()[at..], rows_max, &mut batch);
        at += progress.consumed;
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects.first());
        let side = |id, row| batch.addr(id, row);
        let sides: Vec<Sides> = (0..batch.rows())
            .map(|row| Sides {
                orig: side(crate::record::schema::ORIG_H, row),
                resp: side(crate::record::schema::RESP_H, row),
                ..Sides::default()
            })
            .collect();
        let inside = Inside::new(None, false);
        let parties: Vec<Parties> = sides.iter().map(|sides| inside.parties(*sides)).collect();
        let ended = |row: usize| {
            let duration = batch.interval(crate::record::schema::conn::DURATION, row);
            batch.ts(row).plus(duration.unwrap_or_default().max(0)).minute()
        };
        let minutes: Vec<Minute> = (0..batch.rows()).map(ended).collect();
        let input = Input {
            batch: &batch,
            source: &source,
            sides: &sides,
            parties: &parties,
            minutes: &minutes,
        };
        fold.fold(&input, &mut deltas);
        for delta in deltas.take() {
            let key = (delta.minute, delta.entity, delta.subject);
            let cell = cells.entry(key).or_insert(([0; 3], None));
            combine.add((&mut cell.0, &mut cell.1), (delta.amounts, delta.row));
        }
        if !progress.is_full {
            break;
        }
    }
    let mut by_minute: BTreeMap<Minute, Vec<Cell>> = BTreeMap::new();
    for ((minute, entity, subject), (amounts, row)) in cells {
        by_minute.entry(minute).or_default().push(Cell { entity, subject, amounts, row });
    }
    by_minute
}

/// What the entity lane knows beside.
#[derive(Default)]
struct Beside {
    roles: Roles,
    gaps: Gaps,
    kept: Option<(BTreeMap<Entity, Box<Profile>>, Crowds)>,
}

impl Beside {
    fn at(&self, now: Minute) -> Context<'_> {
        let kept = self.kept.as_ref();
        let profiles = kept.map(|(profiles, crowds)| Profiles::new(profiles, crowds));
        Context { roles: &self.roles, gaps: &self.gaps, now, profiles }
    }
}

/// Closes minutes as the entity lane does, to the end of all windows.
fn run(
    close: &mut dyn Close,
    cells: BTreeMap<Minute, Vec<Cell>>,
    beside: &Beside,
) -> Vec<Evidence> {
    let mut out = Findings::new(0);
    let mut cells = cells.into_iter().peekable();
    loop {
        let next = cells.peek().map(|(minute, _)| *minute);
        let Some(minute) = next.into_iter().chain(close.due()).min() else { break };
        let found = cells.next_if(|(at, _)| *at == minute).map_or_else(Vec::new, |(_, it)| it);
        close.close(minute, &found, &beside.at(minute), &mut out);
    }
    out.take()
}

fn built(max: i64) -> Box<dyn Close> {
    let Build::Window { close, .. } = STAGE.build else { panic!() };
    close(&settings(max), &Models::default())
}

/// `DAY HOUR host window channel destination`, for every finding that is an alert.
fn shown(found: &[Evidence]) -> Vec<String> {
    let alerts = found.iter().filter(|evidence| evidence.score.get() >= 600_000);
    alerts
        .map(|evidence| {
            let shares: u32 = evidence.reasons.iter().map(|it| it.contribution.get()).sum();
            assert_eq!(shares, evidence.score.get());
            let start = evidence.window.0.0 / SECOND - START;
            let text = |feature: &str| {
                let reason = evidence.reasons.iter().find(|it| it.feature == feature).unwrap();
                match &reason.observed {
                    Observed::Text(text) => text.clone(),
                    Observed::Number(number) => number.to_string(),
                }
            };
            let (day, hour) = (start / 86_400, start % 86_400 / 3600);
            let host = evidence.entity.addr().unwrap();
            let (window, channel) = (text("window"), text("channel"));
            format!("{day} {hour} {host} {window} {channel} {}", text("destination"))
        })
        .collect()
}

/// Working days of a host that browses, asks for names and uploads a little, from `from` to `to`.
fn ordinary(host: &str, from: i64, to: i64) -> String {
    let mut script = String::new();
    for day in from..to {
        for hour in 8..18 {
            for site in 0..4 {
                let (minute, received) =
                    (site * 13, 2_000_000 + (day * 7 + hour * 3 + site) % 9 * 900_000);
                let address = format!("198.51.100.{}", (day * 3 + hour + site) % 60);
                script += &format!(
                    "{day} {hour}:{minute} {host} > {address} 443 ssl {}/{received}\n",
                    received / 14
                );
            }
            script += &format!("{day} {hour}:30 {host} > 198.51.100.200 443 ssl 900000/9000\n");
            script += &format!("{day} {hour}:31 {host} > 10.0.0.53 53 dns 4200/13000\n");
        }
    }
    script
}

fn check(script: &str, expected: &[&str]) {
    let found = run(built(1000).as_mut(), cells(script, BATCH_ROWS_MAX), &Beside::default());
    assert_eq!(shown(&found), expected, "{found:#?}");
}

const HOST: &str = "10.0.0.7";

#[test]
fn a_host_that_begins_to_give_is_found_within_the_hour() {
    let usual = ordinary(HOST, 0, 6);
    check(&usual, &[]);
    let burst = "5 19:10 10.0.0.7 > 203.0.113.9 443 ssl 700000000/3000000\n";
    check(&(usual.clone() + burst), &["5 19 10.0.0.7 hour tls 203.0.113.9"]);
    let answers = "5 19:10 203.0.113.9 > 10.0.0.7 22 ssh 3000000/700000000\n";
    check(&(usual.clone() + answers), &["5 19 10.0.0.7 hour other 203.0.113.9"]);
    let inside = "5 19:10 10.0.0.8 > 10.0.0.7 445 smb 3000000/700000000\n";
    check(&(usual.clone() + inside), &["5 19 10.0.0.7 hour other 10.0.0.8"]);
    let pieces: String = (0..50)
        .map(|n| format!("5 19:{n} 10.0.0.7 > 203.0.113.9 443 ssl 6000000/30000\n"))
        .collect();
    check(&(usual + &pieces), &["5 19 10.0.0.7 hour tls 203.0.113.9"]);
}

#[test]
fn names_that_carry_data_are_found() {
    let mut script = ordinary(HOST, 0, 6);
    for n in 0..50 {
        script += &format!("5 20:{n} 10.0.0.7 > 10.0.0.53 53 dns 100000/95000\n");
    }
    check(&script, &["5 20 10.0.0.7 hour dns 10.0.0.53"]);
}

#[test]
fn what_is_slow_is_found_by_the_longer_windows() {
    let mut script = ordinary(HOST, 0, 12);
    for day in 7..12 {
        for hour in 8..18 {
            script += &format!("{day} {hour}:5 10.0.0.7 > 203.0.113.9 443 ssl 5000000/9000\n");
        }
    }
    let found = run(built(1000).as_mut(), cells(&script, BATCH_ROWS_MAX), &Beside::default());
    let shown = shown(&found);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].contains("5 days tls 203.0.113.9"), "{shown:?}");
}

#[test]
fn the_innocent_are_left_alone() {
    let usual = ordinary(HOST, 0, 6);
    // A video call; a place that gets as much every day; a pull; connections without bytes.
    check(
        &(usual.clone() + "5 19:10 10.0.0.7 > 203.0.113.9 3478 other 900000000/800000000\n"),
        &[],
    );
    let daily: String = (0..6)
        .map(|day| format!("{day} 19:10 10.0.0.7 > 203.0.113.9 443 ssl 60000000/300000\n"))
        .collect();
    let found =
        run(built(1000).as_mut(), cells(&(usual.clone() + &daily), 1024), &Beside::default());
    assert!(shown(&found).is_empty(), "{found:#?}");
    check(&(usual.clone() + "5 19:10 10.0.0.7 > 203.0.113.9 443 ssl 300000/7000000000\n"), &[]);
    let refused: String =
        (0..50).map(|n| format!("5 19:{n} 10.0.0.7 > 203.0.113.9 443 - 0/0\n")).collect();
    check(&(usual + &refused), &[]);
    check("0 9:10 10.0.0.9 > 203.0.113.9 443 ssl 150000000/400000000\n", &[]);
    // A server that always gives.
    let server: String = (0..9)
        .flat_map(|day| (0..24).map(move |hour| (day, hour)))
        .map(|(day, hour)| {
            let size = if day == 8 { 9_000_000_000_u64 } else { 900_000_000 };
            let client = 1 + (day * 5 + hour) % 200;
            format!("{day} {hour}:9 198.51.100.{client} > 10.0.0.80 443 ssl 2000000/{size}\n")
        })
        .collect();
    check(&server, &[]);
}

#[test]
fn who_is_shared_is_exempt_and_a_hole_is_no_behaviour() {
    let burst = "5 19:10 10.0.0.7 > 203.0.113.9 443 ssl 700000000/3000000\n";
    let script = ordinary(HOST, 0, 6) + burst;
    let configured = vec![("10.0.0.7/32".parse().unwrap(), Some(Role::Proxy))];
    let roles = Roles::new(RolePolicy { configured, clients: 5 });
    let beside = Beside { roles, ..Beside::default() };
    let found = run(built(1000).as_mut(), cells(&script, 1024), &beside);
    assert!(shown(&found).is_empty(), "{found:#?}");
    let mut gaps = Gaps::default();
    let at = |day: i64, hour: i64| (START + day * 86_400 + hour * 3600) / 60;
    for minute in (at(5, 17)..at(5, 19) + 15).chain(at(5, 19) + 50..at(5, 22)) {
        gaps.observe(Minute(minute), Log::Conn, 20);
    }
    let beside = Beside { gaps, ..Beside::default() };
    let found = run(built(1000).as_mut(), cells(&script, 1024), &beside);
    assert!(shown(&found).is_empty(), "{found:#?}");
}

#[test]
fn bytes_are_those_that_were_seen() {
    let check = |line: &str, expected: Option<[u64; 3]>| {
        let cells = cells(&format!("0 9:10 10.0.0.7 > 203.0.113.9 443 ssl {line}\n"), 1024);
        let sum = cells.values().flatten().find(|cell| cell.subject.as_slice() == [TLS as u8]);
        assert_eq!(sum.map(|cell| cell.amounts), expected, "{line}");
    };
    check("3000/1000", Some([3000, 1000, 0]));
    check("0/0", None);
    check("3000/1000 missed_bytes=2000", Some([1500, 500, 2000]));
    check("3000/1000 missed_bytes=18446744073709551615", None);
    check("3000/1000 orig_ip_bytes=2500 resp_ip_bytes=5000", Some([2500, 1000, 0]));
    check("18446744073709551615/1000", None);
    check("18446744073709551615/1000 orig_ip_bytes=52 resp_ip_bytes=1200", Some([52, 1000, 0]));
    check("18446744073709551615/18446744073709551615 missed_bytes=1", None);
    // Turned back in time, and far ahead: they count where they are said to end.
    check("3000/1000 duration=-50", Some([3000, 1000, 0]));
    check("3000/1000 duration=9000000000", Some([3000, 1000, 0]));
}

#[test]
fn history_is_drawn_to_what_is_usual_while_it_is_short() {
    let mut history = History::default();
    let spread = |history: &History| history.usual(TABLE[ALL].usual, 128).spread;
    let start = spread(&history);
    let mut last = start;
    for n in 0..32 {
        history.hour(-4 * 256 + n % 3 * 10, 1000, false);
        assert!(spread(&history) <= last + 3, "hour {n}");
        last = spread(&history);
    }
    assert_eq!(start, 768);
    let usual = history.usual(TABLE[ALL].usual, 128);
    assert!((-1024..-700).contains(&usual.mean) && usual.spread < 380, "{usual:?}");
    // One wild hour changes nothing, and seven suspicious ones neither.
    history.hour(8 * 256, 1000, false);
    let most = |history: &History| {
        let mut history = history.clone();
        history.day(1 << 30, true);
        history.hour_most() / 256
    };
    for _ in 0..7 {
        history.hour(9 * 256, 1 << 30, true);
    }
    assert!(history.usual(TABLE[ALL].usual, 128).mean < -650);
    assert_eq!(most(&history), 9);
    history.hour(9 * 256, 1 << 30, true);
    assert_eq!(most(&history), 30);
}

#[test]
fn many_destinations_take_bounded_room_and_move_nobody_else() {
    let victim =
        ordinary(HOST, 0, 6) + "5 19:10 10.0.0.7 > 203.0.113.9 443 ssl 700000000/3000000\n";
    let mut sweep = String::new();
    for n in 0..20_000 {
        let peer = format!("45.{}.{}.1", n / 250 % 250, n % 250);
        sweep += &format!("5 19:{} 10.0.0.8 > {peer} 443 ssl 9000/100\n", n % 50);
        let stranger = format!("10.77.{}.{}", n / 250, n % 250);
        sweep += &format!("5 19:{} {stranger} > 203.0.113.77 53 dns 60/90\n", n % 50);
    }
    let mut close = built(40);
    let cells = cells(&(victim + &sweep), 1024);
    let of_sweeper = |cell: &&Cell| cell.entity.addr() == Addr::parse(b"10.0.0.8");
    let most = cells.values().map(|cells| cells.iter().filter(of_sweeper).count()).max();
    assert!(most.unwrap() <= 65, "{most:?} cells of one host and minute");
    let found = run(close.as_mut(), cells, &Beside::default());
    let shown = shown(&found);
    assert!(shown.contains(&"5 19 10.0.0.7 hour tls 203.0.113.9".to_owned()), "{shown:?}");
    let mut kept = Vec::new();
    close.save(&mut |_, value| kept.extend(value.map(<[u8]>::len)));
    assert!(kept.len() <= 40 && kept.iter().all(|bytes| *bytes < 12_000), "{kept:?}");
}

fn hostile() -> impl Strategy<Value = Vec<(i64, u32, u32, u64, u64)>> {
    let bytes = || prop_oneof![0..2000_u64, 0..=u64::MAX, Just(u64::MAX), 0..1_u64 << 40];
    let row = (0..6000_i64, 0..6_u32, 0..40_u32, bytes(), bytes());
    proptest::collection::vec(row, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunks_do_not_matter_and_a_restart_neither(
        rows in hostile(),
        size in 1..50_usize,
        stop in 0..6000_i64,
    ) {
        let mut script = String::new();
        for (minute, host, peer, sent, received) in &rows {
            let (day, hour, minute) = (minute / 1440, minute / 60 % 24, minute % 60);
            script += &format!("{day} {hour}:{minute} 10.0.0.{host} > 203.0.113.{peer} 443 ssl {sent}/{received}\n");
        }
        let (whole, pieces) = (cells(&script, 1024), cells(&script, size));
        prop_assert_eq!(&whole, &pieces);
        let beside = Beside::default();
        let never = run(built(1000).as_mut(), whole.clone(), &beside);
        // Stopped after a minute: what is saved goes on as if nothing had happened.
        let stop = Minute((START + stop * 60) * SECOND / MINUTE);
        let (mut first, mut second) = (built(1000), built(1000));
        let mut out = Findings::new(0);
        let later = whole.clone().split_off(&stop);
        for (minute, found) in whole.range(..stop) {
            while let Some(due) = first.due().filter(|due| due < minute) {
                first.close(due, &[], &beside.at(due), &mut out);
            }
            first.close(*minute, found, &beside.at(*minute), &mut out);
        }
        first.save(&mut |key, value| {
            if let Some(value) = value {
                second.load(key, value).unwrap();
            }
        });
        let mut again = out.take();
        again.extend(run(second.as_mut(), later, &beside));
        prop_assert_eq!(again, never);
    }
}

#[test]
fn windows_end_with_their_hour_and_day() {
    let mut close = built(1000);
    let beside = Beside::default();
    let cells = cells("0 9:10 10.0.0.7 > 203.0.113.9 443 ssl 150/400\n", 1024);
    let mut out = Findings::new(0);
    let mut dues = BTreeSet::new();
    for (minute, found) in cells {
        close.close(minute, &found, &beside.at(minute), &mut out);
    }
    while let Some(due) = close.due() {
        assert!(dues.insert(due));
        close.close(due, &[], &beside.at(due), &mut out);
    }
    let hours: Vec<i64> = dues.iter().map(|due| (due.end().0 - START * SECOND) / HOUR).collect();
    assert_eq!(hours, [10, 24]);
    assert!(dues.iter().all(|due| due.end() <= Time::MAX));
}

#[test]
fn a_day_that_lacks_most_hours_is_not_judged() {
    let mut script = ordinary(HOST, 0, 9);
    for hour in [8, 9, 16, 17] {
        script += &format!("8 {hour}:5 10.0.0.7 > 203.0.113.9 443 ssl 25000000/9000\n");
    }
    let check = |script: &str, outage: std::ops::Range<i64>, expected: usize| {
        let mut gaps = Gaps::default();
        let at = |day: i64, hour: i64| (START + day * 86_400 + hour * 3600) / 60;
        for minute in (at(8, 0)..at(8, outage.start)).chain(at(8, outage.end)..at(9, 2)) {
            gaps.observe(Minute(minute), Log::Conn, 20);
        }
        let beside = Beside { gaps, ..Beside::default() };
        let found = shown(&run(built(1000).as_mut(), cells(script, 1024), &beside));
        assert_eq!(found.len(), expected, "{found:?}");
    };
    check(&script, 12..12, 1);
    check(&script, 11..15, 1);
    check(&script, 10..20, 0);
}

#[test]
fn what_stands_behind_a_day_is_of_that_day() {
    // For weeks a little to one destination, once with a heavy connection; then much, in pieces.
    let mut script = ordinary(HOST, 0, 12);
    for day in 0..12 {
        let size = if day == 1 { 5_000_000 } else { 2_000_000 };
        script += &format!("{day} 9:40 10.0.0.7 > 203.0.113.9 443 ssl {size}/9000\n");
    }
    for hour in 8..18 {
        for piece in 0..4 {
            let minute = 41 + piece;
            script += &format!("11 {hour}:{minute} 10.0.0.7 > 203.0.113.9 443 ssl 4000000/9000\n");
        }
    }
    let found = run(built(1000).as_mut(), cells(&script, 1024), &Beside::default());
    let days: Vec<&Evidence> = found.iter().filter(|it| it.subject != b"hour").collect();
    assert!(!days.is_empty());
    for evidence in days {
        assert!(evidence.window.0 <= evidence.time && evidence.time < evidence.window.1);
    }
}

#[test]
fn what_went_to_very_many_is_said_of_the_heaviest() {
    let mut script = ordinary(HOST, 0, 6);
    for peer in 0..250 {
        for minute in 0..50 {
            script += &format!("5 20:{minute} 10.0.0.7 > 203.0.113.{peer} 443 ssl 40000/400\n");
        }
    }
    let found = run(built(1000).as_mut(), cells(&script, 1024), &Beside::default());
    let said: Vec<String> = shown(&found);
    assert!(said.iter().any(|it| it.starts_with("5 20 10.0.0.7 hour")), "{said:?}");
    assert!(found.iter().all(|evidence| !evidence.records.is_empty()));
}
