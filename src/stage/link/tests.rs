//! What clients ask for in, findings out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::base::keys::Value;
use crate::base::limits::EVIDENCE_MAX;
use crate::base::score::Ppm;
use crate::base::time::{DAY, Minute};
use crate::feature::Url;
use crate::model::Models;
use crate::record::{Evidence, Log, Observed};
use crate::stage::script::{
    ByMinute, Cells, addr, close, close_with_restarts, defaults, delta, folded, said,
};
use crate::stage::{Close, Combine, Role, RolePolicy, Roles};

use super::super::odds::ALERT;
use super::close::Sites;
use super::fold::subject;
use super::verdict::weight;
use super::{FOR_MALICIOUS, FOR_PHISHING, MALICIOUS_URL, PHISHING};

/// Without a model: its threshold is a half.
fn sites() -> Sites {
    Sites::new(&FOR_PHISHING, &defaults(&PHISHING), &Models::default())
}

/// The cells of a script, by minute: lines `MINUTE CLIENT URL PERCENT [dns | ssl]`, one row each.
fn cells<'a>(lines: impl Iterator<Item = &'a str>) -> ByMinute {
    let mut cells = Cells::new(Combine::Max);
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let score = Ppm::new(words[3].parse::<u32>().unwrap() * 10_000);
        let log = match words.get(4) {
            Some(&"dns") => Log::Dns,
            Some(&"ssl") => Log::Ssl,
            _ => Log::Http,
        };
        let place = (Minute(words[0].parse().unwrap()), addr(words[1]));
        let subject = subject(&Url::parse(words[2].as_bytes()).unwrap());
        // Where a row stands is a function of it, so that the order of lines cannot show.
        let number = crate::base::hash::id(&[line.as_bytes()]).0[0];
        cells.add(delta((log, number.into()), place, &subject, ([0; 3], weight(score, log))));
    }
    cells.by_minute()
}

fn find(script: &str) -> Vec<Evidence> {
    close(&mut sites(), &cells(script.lines()), &Roles::default())
}

/// Each thing that is said, with its score in percent.
fn check(script: &str, expected: &[&str]) {
    let line = |it: &Evidence| {
        let day = it.window.0.0 / DAY;
        let site = String::from_utf8_lossy(&it.subject);
        format!("{day} {} {site} {}", it.entity.addr().unwrap().to_ip(), it.score.get() / 10_000)
    };
    let found: Vec<String> = find(script).iter().map(line).collect();
    assert_eq!(found, expected, "{script}");
}

#[test]
fn the_threshold_of_a_model_is_an_alert() {
    check("0 10.0.0.5 e.com/a 50", &["0 10.0.0.5 e.com 60"]);
    let found = find("0 10.0.0.5 e.com/a 50");
    assert_eq!(found[0].score.get(), ALERT.1);
    check("0 10.0.0.5 e.com/a 49", &["0 10.0.0.5 e.com 59"]);
    check("0 10.0.0.5 e.com/a 35", &[]);
    check("0 10.0.0.5 e.com/a 99", &["0 10.0.0.5 e.com 99"]);
    check("0 10.0.0.5 e.com/a 100", &["0 10.0.0.5 e.com 100"]);
}

#[test]
fn the_strongest_url_of_a_site_stands_and_is_said_again_when_it_rises() {
    let script = "0 10.0.0.5 e.com/a 60\n0 10.0.0.5 w.e.com/b 70\n0 10.0.0.5 f.com 60\n";
    check(script, &["0 10.0.0.5 e.com 77", "0 10.0.0.5 f.com 69"]);
    let script = "0 10.0.0.5 e.com/a 50\n1 10.0.0.5 e.com/b 40\n2 10.0.0.5 e.com/c 52\n\
                  3 10.0.0.5 e.com/a 50\n4 10.0.0.5 e.com/d 60\n";
    check(script, &["0 10.0.0.5 e.com 60", "0 10.0.0.5 e.com 69"]);
    // However little it rises, where that makes it an alert.
    let script = "0 10.0.0.5 e.com/a 49\n1 10.0.0.5 e.com/b 50\n";
    check(script, &["0 10.0.0.5 e.com 59", "0 10.0.0.5 e.com 60"]);
    // Another customer of the same firm is another site; another port is not.
    let script = "0 10.0.0.5 a.github.io 60\n0 10.0.0.5 b.github.io:81/a 60\n\
                  1 10.0.0.5 b.github.io:82 60\n";
    check(script, &["0 10.0.0.5 a.github.io 69", "0 10.0.0.5 b.github.io 69"]);
}

#[test]
fn what_was_asked_for_on_a_day_before_is_less() {
    let after = |minutes: i64, percent: u32| {
        format!("0 10.0.0.5 e.com/a 50\n{minutes} 10.0.0.6 e.com/b {percent}\n")
    };
    let day = DAY / 60_000_000;
    let first = "0 10.0.0.5 e.com 60";
    check(&after(day - 1, 80), &[first, "0 10.0.0.6 e.com 85"]);
    check(&after(day, 80), &[first, "1 10.0.0.6 e.com 60"]);
    check(&after(day, 60), &[first]);
    // After more than a week without it is news again.
    check(&after(9 * day, 60), &[first, "9 10.0.0.6 e.com 69"]);
    // Whoever asked, for whatever: also one who asks for others.
    let script = format!("0 10.0.0.5 e.com/a 10\n{day} 10.0.0.5 e.com/a 60\n");
    check(&script, &[]);
}

#[test]
fn what_many_ask_for_is_usual() {
    let crowd = |minutes: i64| -> String {
        (0..25).map(|n| format!("{} 10.0.0.{} e.com/{n} 90\n", n * minutes, n + 1)).collect()
    };
    // In one minute: all of them count, whoever comes first.
    check(&crowd(0), &[]);
    let found = find(&crowd(1));
    let who: Vec<String> =
        found.iter().map(|it| it.entity.addr().unwrap().to_ip().to_string()).collect();
    let expected: Vec<String> = (1..20).map(|n| format!("10.0.0.{n}")).collect();
    assert_eq!(who, expected);
}

#[test]
fn who_asks_for_others_is_not_judged_and_makes_nothing_popular() {
    let configured = vec![("10.0.1.0/24".parse().unwrap(), Some(Role::Proxy))];
    let roles = Roles::new(RolePolicy { configured, clients: 0 });
    let script: String = (0..40).map(|n| format!("0 10.0.1.{n} e.com 90\n")).collect();
    let script = script + "0 10.0.0.5 e.com 90\n";
    let found = close(&mut sites(), &cells(script.lines()), &roles);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entity.addr(), Some(addr("10.0.0.5")));
}

#[test]
fn the_log_that_says_the_most_stands_for_equals() {
    let script = "0 10.0.0.5 e.com 70 dns\n0 10.0.0.5 e.com 70 ssl\n";
    for (more, log) in [("", Log::Ssl), ("0 10.0.0.5 e.com/ 70\n", Log::Http)] {
        let found = find(&(script.to_owned() + more));
        assert_eq!(found[0].records[0].source.log, log);
        assert_eq!(found[0].reasons[0].log, Some(log));
    }
    let found = find("0 10.0.0.5 e.com/a 70\n0 10.0.0.5 e.com 71 dns\n");
    let logs: Vec<Log> = found[0].records.iter().map(|record| record.source.log).collect();
    assert_eq!(logs, [Log::Dns, Log::Http]);
    assert_eq!(found[0].names.domain.as_deref(), Some("e.com"), "what allow-lists go by");
}

#[test]
fn a_campaign_is_one_finding_of_a_host_and_day() {
    // One site, fifty URLs, ten hosts, over two days.
    let mut script = String::new();
    for (n, host) in (0..50).flat_map(|n| (1..11).map(move |host| (n, host))) {
        let minute = n * 40 + host;
        script += &format!("{minute} 10.0.0.{host} w{n}.e.com/{n} {}\n", 40 + (n * 7 + host) % 60);
    }
    let found = find(&script);
    let mut of: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for it in &found {
        assert!(it.records.len() <= EVIDENCE_MAX);
        let id = (it.entity.clone(), it.subject.clone(), it.window);
        of.entry(id).or_default().push(it.score.get());
    }
    let hosts: BTreeSet<_> = of.keys().map(|(entity, ..)| entity).collect();
    assert_eq!((hosts.len(), of.len()), (10, 20), "one of each host and day");
    // Each is said only as it rises, by steps of 0.05.
    for scores in of.values() {
        assert!(scores.is_sorted() && scores.len() <= 12, "{scores:?}");
    }
}

#[test]
fn reasons_say_what_the_score_hangs_on_and_how_new_the_site_is() {
    let models = Models::fixed(&[MALICIOUS_URL.models[0]]);
    let text: String = (0..60)
        .map(|n| {
            format!(
                "{{\"ts\":1700000000,\"uid\":\"C{n}\",\"id.orig_h\":\"10.0.0.5\",\"id.resp_h\":\"1.2.3.4\",\
                 \"host\":\"login-{n}.site{n}.com\",\"uri\":\"/{}/login.php\"}}\n",
                "a".repeat(n * n % 400)
            )
        })
        .collect();
    let mut all = ByMinute::new();
    for (minute, cell) in folded((&MALICIOUS_URL, &models), Log::Http, &text, 1000) {
        all.entry(minute).or_default().push(cell);
    }
    let mut sites = Sites::new(&FOR_MALICIOUS, &defaults(&MALICIOUS_URL), &models);
    let found = close(&mut sites, &all, &Roles::default());
    assert!(found.len() > 15, "{}", found.len());
    let mut hanging = 0;
    for it in &found {
        let [rest @ .., history] = it.reasons.as_slice() else { panic!("{it:?}") };
        assert_eq!((rest.len(), history.feature, history.contribution.get()), (2, "history", 0));
        assert_eq!(history.observed, Observed::Text("0 hours".to_owned()));
        for reason in rest {
            let Observed::Text(text) = &reason.observed else { panic!("{reason:?}") };
            assert!(text.len() <= crate::base::limits::EVIDENCE_TEXT_BYTES_MAX);
            let site = String::from_utf8_lossy(&it.subject);
            assert!(text.contains(&*site), "{text}");
            assert!(!reason.columns.is_empty() && reason.log == Some(Log::Http));
            match reason.feature {
                "new_site" => assert!(text.ends_with("Z, by 1 client"), "{text}"),
                _ => hanging += usize::from(text.contains(" without ")),
            }
        }
    }
    // A URL of which a part is cut off is not what was scored.
    assert!(hanging > 5 && hanging < found.len(), "{hanging} of {}", found.len());
    let known = close(&mut sites, &shifted(&all, 2), &Roles::default());
    assert!(!known.is_empty() && known.iter().all(|it| it.reasons.len() == 1));
}

#[test]
fn what_scores_otherwise_as_it_is_shown_hangs_on_nothing_that_is_shown() {
    let models = Models::fixed(&[PHISHING.models[0]]);
    // A score that the model does not give.
    let lines = (0..50).map(|n| format!("0 10.0.0.5 login-{n}.s{n}.com/a 100\n"));
    let mut sites = Sites::new(&FOR_PHISHING, &defaults(&PHISHING), &models);
    let cells = cells(lines.collect::<String>().lines());
    let found = said(&close(&mut sites, &cells, &Roles::default()));
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|it| !it.contains(" without ")), "{found:?}");
}

/// The same some days later.
fn shifted(all: &ByMinute, days: i64) -> ByMinute {
    all.iter().map(|(minute, cells)| (Minute(minute.0 + days * 1440), cells.clone())).collect()
}

/// Room for so few that some have to go.
fn cramped() -> Sites {
    let mut settings = defaults(&PHISHING);
    settings.insert("max_said", Value::Integer(3));
    settings.insert("max_sites", Value::Integer(5));
    settings.insert("popular", Value::Integer(3));
    Sites::new(&FOR_PHISHING, &settings, &Models::default())
}

fn script() -> impl Strategy<Value = Vec<String>> {
    let row = (0_i64..40, 0_i64..30, 1_u8..6, 0_u8..12, 20_u8..100, 0_usize..3);
    let line = |(half_day, minute, host, site, percent, log): (i64, i64, u8, u8, u8, usize)| {
        let minute = half_day * 720 + minute;
        let log = ["dns", "ssl", "http"][log];
        format!("{minute} 10.0.0.{host} s{site}.com/{percent} {percent} {log}")
    };
    vec(row.prop_map(line), 1..300)
}

proptest! {
    /// Being stopped and started between any minutes changes nothing, over midnight, over days and
    /// where there is no room for all.
    #[test]
    fn restarts_do_not_matter(script in script(), stops in btree_set(0_usize..300, 0..6)) {
        let all = cells(script.iter().map(String::as_str));
        for make in [sites, cramped] {
            let never = close(&mut make(), &all, &Roles::default());
            let found = close_with_restarts(&|| Box::new(make()), &all, &stops);
            prop_assert_eq!(said(&found), said(&never));
        }
    }

    /// Nor does the order in which lanes tell of their rows.
    #[test]
    fn order_does_not_matter(script in script().prop_shuffle()) {
        let found = |script: &[String]| {
            said(&close(&mut sites(), &cells(script.iter().map(String::as_str)), &Roles::default()))
        };
        let mut sorted = script.clone();
        sorted.sort();
        prop_assert_eq!(found(&script), found(&sorted));
    }

    /// What is kept has a bound, whatever is asked for.
    #[test]
    fn what_is_kept_has_a_bound(script in script()) {
        let mut sites = cramped();
        let all = cells(script.iter().map(String::as_str));
        let mut kept = BTreeSet::new();
        for (minute, cells) in &all {
            let one = ByMinute::from([(*minute, cells.clone())]);
            close(&mut sites, &one, &Roles::default());
            sites.save(&mut |key, value| {
                if value.is_some() { kept.insert(key.to_vec()); } else { kept.remove(key); }
            });
            // And since when it looks.
            prop_assert!(kept.len() <= 3 + 5 + 1);
        }
    }
}
