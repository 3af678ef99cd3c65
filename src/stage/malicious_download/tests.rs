//! Rows of `http` and `files` in, findings out.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::base::keys::{Settings, Value};
use crate::base::limits::{BATCH_ROWS_MAX, SHARES_MAX};
use crate::base::score::Ppm;
use crate::base::time::{MINUTE, Minute, Time};
use crate::model::Models;
use crate::record::{Evidence, Log, Observed};
use crate::stage::script::{
    ByMinute, Cells, addr, close, close_with_restarts, defaults, delta, folded as folded_cells,
    said,
};
use crate::stage::{Cell, Close, Combine, Role, RolePolicy, Roles};

use super::close::Judged;
use super::part::{Part, file};
use super::rules::{Facts, Judge};
use super::{MALICIOUS_DOWNLOAD, STAGE, TECHNIQUES};

const DAY_MINUTES: i64 = 1440;

fn settings() -> Settings {
    let mut settings = defaults(&STAGE);
    settings.insert("wait", Value::Micros(5 * MINUTE));
    settings
}

fn judged() -> Judged {
    Judged::new(&settings(), &Models::default())
}

/// The cells of a script, by minute, of lines
/// `MINUTE http CLIENT FUID PERCENT URL TYPE [AGENT]` and `MINUTE file CLIENT FUID TYPE [NAME]`;
/// `-` is nothing.
fn cells(script: &str) -> ByMinute {
    let mut cells = Cells::new(Combine::Max);
    for (number, line) in script.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |at: usize| *words.get(at).filter(|word| **word != "-").unwrap_or(&"");
        let minute = Minute(word(0).parse().unwrap());
        let is_http = word(1) == "http";
        let mut part = Part { is_http, file: file(word(3).as_bytes()), ..Part::default() };
        if is_http {
            let ppm = |percent: &str| Ppm::new(percent.parse::<u32>().unwrap() * 10_000);
            part.score = (!word(4).is_empty()).then(|| ppm(word(4)));
            part.text = word(5).as_bytes();
            part.mime = word(6).as_bytes();
            part.agent = words.get(7).unwrap_or(&"Mozilla/5.0").as_bytes();
            part.is_address = word(5).starts_with("203.0.113.");
        } else {
            (part.mime, part.text) = (word(4).as_bytes(), word(5).as_bytes());
        }
        part.call(part.text);
        let (subject, amounts) = part.cell();
        let log = if is_http { Log::Http } else { Log::Files };
        let at = (minute, addr(word(2)));
        let mut delta = delta((log, number), at, &subject, (amounts, amounts[0]));
        delta.row.as_mut().unwrap().destination = Some(addr("198.51.100.9"));
        cells.add(delta);
    }
    cells.by_minute()
}

/// Closes a minute in which nothing came.
fn close_none(judged: &mut Judged, minute: Minute) -> Vec<Evidence> {
    close(judged, &ByMinute::from([(minute, Vec::new())]), &Roles::default())
}

/// Closes what still waits.
fn finish(judged: &mut Judged) -> Vec<Evidence> {
    let mut all = Vec::new();
    while let Some(due) = judged.due() {
        all.extend(close_none(judged, due));
    }
    all
}

fn run(cells: &ByMinute) -> Vec<Evidence> {
    let mut judged = judged();
    let mut found = close(&mut judged, cells, &Roles::default());
    found.extend(finish(&mut judged));
    found
}

/// Whom a script makes speak of what: client, site, score in percent, how many records, reasons.
fn check(script: &str, expected: &str) {
    let found = run(&cells(script));
    let line = |evidence: &Evidence| {
        assert_eq!(evidence.techniques, TECHNIQUES);
        let names = evidence.reasons.iter().map(|it| it.feature);
        let names: Vec<&str> = names.filter(|name| *name != "history").collect();
        let (client, site) = (evidence.entity.addr().unwrap().to_ip(), &evidence.subject);
        let (percent, records) = (evidence.score.get() / 10_000, evidence.records.len());
        let (site, names) = (String::from_utf8_lossy(site), names.join(" "));
        format!("{client} {site} {percent} of {records}: {names}")
    };
    let found: Vec<String> = found.iter().map(line).collect();
    assert_eq!(found.join("\n"), expected, "{script}");
}

const PROGRAM: &str = "application/x-dosexec";

#[test]
fn a_download_is_judged_by_both_logs() {
    let http = "7 http 10.0.0.5 F1 60 evil.com/a -";
    let file = format!("7 file 10.0.0.5 F1 {PROGRAM} a.jpg");
    let expected = "10.0.0.5 evil.com 98 of 2: url program disguise";
    check(&format!("{http}\n{file}"), expected);
    for earlier in 2..7 {
        let earlier = |line: &str| line.replacen('7', &earlier.to_string(), 1);
        check(&format!("{http}\n{}", earlier(&file)), expected);
        check(&format!("{}\n{file}", earlier(http)), expected);
    }
    // Another client's file of the same name is another file.
    check(
        &format!("{}\n{file}", http.replace("0.5", "0.6")),
        "10.0.0.5 198.51.100.9 62 of 1: disguise program url",
    );
}

#[test]
fn a_row_without_its_other_side_is_judged_alone() {
    check(
        "0 http 10.0.0.5 F1 50 evil.com/a.exe application/x-dosexec",
        "10.0.0.5 evil.com 85 of 1: url program",
    );
    check(&format!("0 file 10.0.0.5 F1 {PROGRAM} a.exe"), "");
    check(
        &format!("0 file 10.0.0.5 F1 {PROGRAM} a.pdf"),
        "10.0.0.5 198.51.100.9 62 of 1: disguise program url",
    );
    // Too late for each other.
    check(
        "0 http 10.0.0.5 F1 60 evil.com/a -\n6 file 10.0.0.5 F1 application/x-dosexec a.jpg",
        "10.0.0.5 198.51.100.9 62 of 1: disguise program url",
    );
    // Without a file there is nothing to wait for.
    let mut judged = judged();
    let cells = cells("0 http 10.0.0.5 - 90 evil.com/a.exe -");
    assert_eq!(close(&mut judged, &cells, &Roles::default()).len(), 1);
    assert_eq!(judged.due(), None);
}

#[test]
fn what_waits_is_due_at_the_end_of_its_time() {
    let mut judged = judged();
    let cells = cells("3 http 10.0.0.5 F1 90 evil.com/a.exe -");
    assert_eq!(close(&mut judged, &cells, &Roles::default()), []);
    assert_eq!(judged.due(), Some(Minute(8)));
    assert_eq!(close_none(&mut judged, Minute(7)), []);
    let found = close_none(&mut judged, Minute(8));
    // It says when the record was written, not when nobody waited any more.
    assert_eq!((found.len(), found[0].time), (1, Minute(3).start()));
    assert_eq!((judged.due(), found[0].window.0), (None, Time(0)));
}

#[test]
fn said_once_a_day_of_a_client_and_a_site_unless_it_rises() {
    let again: String =
        (0..50).map(|n| format!("{n} http 10.0.0.5 - 90 evil.com/{n}.exe -\n")).collect();
    check(&again, "10.0.0.5 evil.com 96 of 1: url program_name");
    let rises = "0 http 10.0.0.5 - 30 evil.com/a.zip -\n1 http 10.0.0.5 - 45 evil.com/b.zip -\n2 http 10.0.0.5 - 47 evil.com/b.zip -";
    check(rises, "10.0.0.5 evil.com 55 of 1: url");
}

#[test]
fn a_campaign_is_one_finding_of_each_client() {
    let line = |n: usize| {
        let (host, percent) = (n % 10, 40 + n % 57);
        format!("{} http 10.0.0.{host} F{n} {percent} x{n}.evil.com/{n}.exe {PROGRAM}\n", n / 25)
    };
    let found = run(&cells(&(0..500).map(line).collect::<String>()));
    let name = |it: &Evidence| (it.entity.clone(), it.subject.clone(), it.window);
    let names: BTreeSet<_> = found.iter().map(name).collect();
    assert_eq!(names.len(), 10);
    // It is said again only where it rises, which it cannot do often.
    assert!(found.len() <= 30, "{}", found.len());
}

#[test]
fn who_else_downloads_from_there_counts() {
    let crowd = |clients: u32, start: i64| -> String {
        let line = |n| format!("{} http 10.0.1.{n} - 2 evil.com/x.exe -\n", start + i64::from(n));
        (0..clients).map(line).collect()
    };
    let one = "100 http 10.0.0.5 - 60 www.evil.com/x.exe -\n";
    check(&(crowd(18, 0) + one), "10.0.0.5 evil.com 81 of 1: url program_name");
    check(&(crowd(19, 0) + one), "");
    // In the same minute as well, whoever comes first by name.
    check(&(crowd(19, 100).replace("1.0", "2.0") + &one.replacen("100", "119", 1)), "");
    // Somebody did so on a day before.
    let line = |minute: i64| format!("{minute} http 10.0.0.5 - 60 evil.com/x.exe -\n");
    check(
        &(crowd(1, 100) + &line(DAY_MINUTES + 100)),
        "10.0.0.5 evil.com 52 of 1: url program_name known_site",
    );
    check(
        &(crowd(1, 100) + &line(DAY_MINUTES + 99)),
        "10.0.0.5 evil.com 81 of 1: url program_name",
    );
}

#[test]
fn who_fetches_for_others_is_not_judged() {
    let roles = RolePolicy {
        configured: vec![("10.0.0.1/32".parse().unwrap(), Some(Role::Proxy))],
        clients: 0,
    };
    let script = "0 http 10.0.0.1 - 90 evil.com/a.exe -\n0 http 10.0.0.2 - 90 evil.com/a.exe -";
    let found = close(&mut judged(), &cells(script), &Roles::new(roles));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entity.addr(), Some(addr("10.0.0.2")));
}

#[test]
fn reasons_show_what_was_seen_and_where() {
    let script = format!(
        "0 http 10.0.0.5 F1 95 203.0.113.9/a {PROGRAM} curl/8\n0 file 10.0.0.5 F1 {PROGRAM} photo.jpg.exe"
    );
    let found = run(&cells(&script));
    let evidence = &found[0];
    let logs: Vec<Log> = evidence.records.iter().map(|record| record.source.log).collect();
    assert_eq!(logs, [Log::Http, Log::Files]);
    assert_eq!(evidence.names.domain.as_deref(), Some("203.0.113.9"));
    assert_eq!(evidence.names.user_agent.as_deref(), Some("curl/8"));
    let shown: Vec<String> = evidence
        .reasons
        .iter()
        .map(|reason| {
            let log = reason.log.unwrap_or(Log::Http);
            let columns: Vec<&str> = reason.columns.iter().map(|id| log.column_name(*id)).collect();
            let Observed::Text(text) = &reason.observed else { panic!("{reason:?}") };
            format!("{} {log} {} {text}", reason.feature, columns.join(","))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "url http host,uri 203.0.113.9/a 0.950000",
            "program http resp_mime_types application/x-dosexec",
            "double_extension files filename photo.jpg.exe",
            "bare_address http host,uri 203.0.113.9",
            "agent http user_agent curl/8",
            "history http  0 hours",
        ]
    );
}

#[test]
fn more_rules_than_reasons_still_add_up() {
    let script = format!(
        "0 http 10.0.0.5 F1 10 203.0.113.9/a {PROGRAM} curl/8\n0 file 10.0.0.5 F1 {PROGRAM} photo.png.com.txt"
    );
    // A name that ends as a text, and one that ends in two extensions.
    let script = script.replace("/a ", "/a.jpg.exe ");
    let found = run(&cells(&script));
    let reasons = &found[0].reasons;
    let names = reasons.iter().map(|it| it.feature).filter(|name| *name != "history");
    assert_eq!((names.clone().count(), reasons.len()), (SHARES_MAX, SHARES_MAX + 1));
    let last = reasons.iter().find(|reason| reason.feature == "more_rules").unwrap();
    assert!(
        last.columns.is_empty()
            && matches!(&last.observed, Observed::Text(text) if text.contains(", "))
    );
    check(
        &script,
        &format!(
            "10.0.0.5 203.0.113.9 {} of 2: {}",
            found[0].score.get() / 10_000,
            names.collect::<Vec<_>>().join(" ")
        ),
    );
}

#[test]
fn the_stage_and_score_judge_alike() {
    let script = format!("0 http 10.0.0.5 F1 70 203.0.113.9/a.jpg {PROGRAM} curl/8");
    let mut facts = Facts::default().with_url(Some(Ppm::new(700_000)));
    facts.see_name(b"/a.jpg");
    facts.see_type(PROGRAM.as_bytes());
    facts.see_agent(b"curl/8");
    facts.see_bare_address();
    let expected = Judge::new(Ppm::new(500_000)).judge(&facts).score;
    assert_eq!(run(&cells(&script))[0].score, expected);
}

#[test]
fn a_hundred_thousand_open_joins() {
    let mut judged = judged();
    // Rows of one minute that nobody completes.
    let line = |n: usize| format!("0 http 10.0.{}.{} F{n} 90 e{n}.com/a.exe -\n", n / 500, n % 250);
    let cells = cells(&(0..100_100).map(line).collect::<String>());
    // What has to go is judged.
    assert_eq!(close(&mut judged, &cells, &Roles::default()).len(), 100);
    let mut bytes = 0;
    judged.save(&mut |key, value| {
        if key[0] == b'w' {
            bytes += value.map_or(0, <[u8]>::len);
        }
    });
    assert!((1..100_000 * 150).contains(&bytes), "{bytes}");
    assert_eq!(finish(&mut judged).len(), 100_000);
    assert_eq!(judged.due(), None);
}

#[test]
fn a_cell_that_says_nothing_we_know() {
    let mut cells = cells("0 http 10.0.0.5 F1 90 evil.com/a.exe -");
    let cell = &mut cells.get_mut(&Minute(0)).unwrap()[0];
    for (subject, amounts) in [
        (vec![], [0; 3]),
        (vec![b'h'; 12], [u64::MAX; 3]),
        (vec![255; 256], [u64::MAX; 3]),
        (vec![0; 256], [u64::MAX; 3]),
        ([b"h".as_slice(), &[1; 12], &[0, 0], &[255; 60]].concat(), [u64::MAX; 3]),
    ] {
        cell.subject = subject.as_slice().into();
        cell.amounts = amounts;
        let one = ByMinute::from([(Minute(0), vec![cell.clone()])]);
        run(&one);
    }
    cell.row = None;
    assert_eq!(run(&cells), []);
}

/// Some rows of `http` and `files`, of few clients and files.
fn script() -> impl Strategy<Value = Vec<(i64, bool, u8, u8, u8)>> {
    vec((0_i64..40, any::<bool>(), 1_u8..4, 0_u8..8, 0_u8..12), 1..60)
}

fn line((minute, is_http, host, number, kind): (i64, bool, u8, u8, u8)) -> String {
    let mime = ["-", PROGRAM, "application/zip", "application/pdf"][usize::from(kind % 4)];
    let end = ["exe", "jpg", "zip"][usize::from(kind % 3)];
    let percent = u64::from(number) * 37 % 100;
    if is_http {
        format!("{minute} http 10.0.0.{host} F{number} {percent} site{number}.com/a.{end} {mime}\n")
    } else {
        format!("{minute} file 10.0.0.{host} F{number} {mime} a.{end}\n")
    }
}

proptest! {
    /// Two rows say the same in whichever minutes they come, and whichever comes first.
    #[test]
    fn the_order_does_not_matter(
        (minute, host, number) in (0_i64..2000, 1_u8..4, 0_u8..8),
        (shift, kind, other) in (-5_i64..=5, 0_u8..12, 0_u8..12),
    ) {
        let pair = |http: i64, files: i64| {
            let lines = [
                line((http, true, host, number, kind)),
                line((files, false, host, number, other)),
            ];
            let found = run(&cells(&lines.concat()));
            let found = found.iter().map(|it| (it.score, it.records.len(), it.subject.clone()));
            found.collect::<Vec<_>>()
        };
        let same = pair(minute + 10, minute + 10);
        prop_assert_eq!(&pair(minute + 10, minute + 10 + shift), &same);
        prop_assert_eq!(&pair(minute + 10 + shift, minute + 10), &same);
    }

    /// Being stopped and started between any minutes changes nothing, also where there is no room.
    #[test]
    fn restarts_do_not_matter(lines in script(), stops in btree_set(0_usize..40, 0..6)) {
        let mut all = cells(&lines.into_iter().map(line).collect::<String>());
        // By then nothing waits.
        all.insert(Minute(1000), Vec::new());
        let cramped = || {
            let mut settings = settings();
            for key in ["max_open", "max_sites", "max_said"] {
                settings.insert(key, Value::Integer(3));
            }
            Judged::new(&settings, &Models::default())
        };
        for make in [&judged as &dyn Fn() -> Judged, &cramped] {
            let never = close(&mut make(), &all, &Roles::default());
            let make = || Box::new(make()) as Box<dyn Close>;
            let found = close_with_restarts(&make, &all, &stops);
            prop_assert_eq!(said(&found), said(&never));
        }
    }
}

/// Cells that records of a log make, with what they say of themselves.
fn folded(log: Log, text: &str) -> Vec<String> {
    let cells =
        folded_cells((&STAGE, &Models::fixed(&[&MALICIOUS_DOWNLOAD])), log, text, BATCH_ROWS_MAX);
    let cell = |(_, cell): &(Minute, Cell)| {
        let part = Part::read(&cell.subject, cell.amounts).unwrap();
        let text = String::from_utf8_lossy;
        let (client, name) = (cell.entity.addr().unwrap().to_ip(), text(part.text));
        let (mime, agent) = (text(part.mime), text(part.agent));
        let end = String::from_utf8_lossy(&part.extension).trim_end_matches('\0').to_owned();
        let score = if part.score.is_some() { "scored" } else { "unscored" };
        let file = if part.file.is_some() { "waits" } else { "alone" };
        format!("{client} {name} [{mime}] [{agent}] .{end} {score} {file}")
    };
    let found: BTreeSet<String> = cells.iter().map(cell).collect();
    found.into_iter().collect()
}

fn http(more: &str) -> Vec<String> {
    let usual = r#""ts":1,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"203.0.113.9","method":"GET","host":"evil.com","uri":"/a.exe","user_agent":"x","status_code":200,"response_body_len":9"#;
    let mut record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{usual}}}")).unwrap();
    let more: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{more}}}")).unwrap();
    record.extend(more);
    record.retain(|_, value| !value.is_null());
    folded(Log::Http, &format!("{}\n", serde_json::Value::Object(record)))
}

#[test]
fn rows_of_http() {
    assert_eq!(http(""), ["10.0.0.5 evil.com/a.exe [] [x] .exe scored alone"]);
    let waits = http(r#""resp_fuids":["F1"],"resp_mime_types":["application/x-dosexec"]"#);
    assert_eq!(waits, ["10.0.0.5 evil.com/a.exe [application/x-dosexec] [x] .exe scored waits"]);
    for nothing in [
        r#""status_code":404"#,
        r#""response_body_len":0"#,
        r#""method":"CONNECT","uri":"evil.com:443""#,
        r#""uri":"/a""#,
        r#""uri":"/a.jpg""#,
        r#""resp_fuids":["F1"],"resp_mime_types":["image/png"]"#,
        // An outsider that asks a server of ours.
        r#""id.orig_h":"203.0.113.8","id.resp_h":"10.0.0.7""#,
    ] {
        assert_eq!(http(nothing), Vec::<String>::new(), "{nothing}");
    }
    // A server of ours and a name that is none are not scored by what their URL looks like.
    assert_eq!(
        http(r#""id.resp_h":"10.0.0.7""#),
        ["10.0.0.5 evil.com/a.exe [] [x] .exe unscored alone"]
    );
    assert_eq!(
        http(r#""host":"intranet""#),
        ["10.0.0.5 intranet/a.exe [] [x] .exe unscored alone"]
    );
    // Behind a proxy it is who the proxy is asked for.
    let proxied = r#""id.resp_h":"10.0.0.7","uri":"http://bad.com/b.exe","host":"proxy""#;
    assert_eq!(http(proxied), ["10.0.0.5 bad.com/b.exe [] [x] .exe scored alone"]);
    assert_eq!(http(r#""host":null"#), ["10.0.0.5 203.0.113.9/a.exe [] [x] .exe scored alone"]);
    assert_eq!(
        http(r#""host":null,"id.resp_h":"2001:db8::9""#),
        ["10.0.0.5 [2001:db8::9]/a.exe [] [x] .exe scored alone"]
    );
    // What the server calls it counts, and how many files there are.
    let named = r#""resp_filenames":["a.scr"],"resp_fuids":["F1","F2"],"resp_mime_types":["text/x-shellscript","image/png"]"#;
    assert_eq!(http(named), ["10.0.0.5 evil.com/a.exe [text/x-shellscript] [x] .scr scored waits"]);
    // Of two files one has no type: whose the other is nobody knows.
    let unpaired = r#""resp_fuids":["F1","F2"],"resp_mime_types":["application/x-dosexec"]"#;
    assert_eq!(http(unpaired), ["10.0.0.5 evil.com/a.exe [] [x] .exe scored waits"]);
    let long =
        format!(r#""uri":"/{}.exe","user_agent":"{}""#, "a".repeat(60_000), "b".repeat(60_000));
    assert_eq!(http(&long).len(), 1);
}

#[test]
fn rows_of_files_old_and_new() {
    let check = |record: &str, expected: &[&str]| {
        assert_eq!(folded(Log::Files, &format!("{{\"ts\":1,{record}}}\n")), expected, "{record}");
    };
    let both = r#""fuid":"F1","source":"HTTP","mime_type":"application/x-dosexec","filename":"a.jpg","seen_bytes":9"#;
    let old =
        r#""tx_hosts":["203.0.113.9"],"rx_hosts":["10.0.0.5"],"conn_uids":["C1"],"is_orig":false"#;
    let new = r#""uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"203.0.113.9","is_orig":false"#;
    let expected = ["10.0.0.5 a.jpg [application/x-dosexec] [] .jpg unscored waits"];
    check(&format!("{both},{old}"), &expected);
    check(&format!("{both},{new}"), &expected);
    for layout in [old, new] {
        check(&format!("{both},{}", layout.replace("false", "true")), &[]);
        let both = both.replace("application/x-dosexec", "application/x-x509-ca-cert");
        check(&format!("{both},{layout}"), &[]);
        check(&format!("{},{layout}", both.replace("\"seen_bytes\":9", "\"seen_bytes\":0")), &[]);
    }
    // To an outsider.
    check(&format!("{both},{}", new.replace("10.0.0.5", "203.0.113.7")), &[]);
    // What was lost was there.
    let lost =
        both.replace("\"seen_bytes\":9", "\"seen_bytes\":0,\"missing_bytes\":18446744073709551615");
    check(&format!("{lost},{new}"), &expected);
}

#[test]
fn both_layouts_and_both_logs_name_one_file() {
    let subject = |log, record: &str| {
        let cells = folded_cells(
            (&STAGE, &Models::fixed(&[&MALICIOUS_DOWNLOAD])),
            log,
            &format!("{{\"ts\":1,{record}}}\n"),
            BATCH_ROWS_MAX,
        );
        let (_, cell) = &cells[0];
        (cell.entity.clone(), Part::read(&cell.subject, cell.amounts).unwrap().file.unwrap())
    };
    let file = r#""fuid":"F1","mime_type":"application/x-dosexec""#;
    let http = subject(
        Log::Http,
        r#""id.orig_h":"10.0.0.5","id.resp_h":"203.0.113.9","host":"a.com","uri":"/x.exe","resp_fuids":["F1"]"#,
    );
    let old = r#""tx_hosts":["203.0.113.9"],"rx_hosts":["10.0.0.5"]"#;
    let new = r#""id.orig_h":"10.0.0.5","id.resp_h":"203.0.113.9""#;
    for layout in [old, new] {
        assert_eq!(subject(Log::Files, &format!("{file},{layout}")), http);
    }
}
