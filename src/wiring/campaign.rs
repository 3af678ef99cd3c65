//! What a campaign comes to: whole replays with the stages of the table, in which many stages see
//! the same thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{core, lanes, parsers, stage_keys};
use crate::base::score::Ppm;
use crate::engine;
use crate::feature::link::{PHISHING, push};
use crate::feature::{FeatureDef, Url};
use crate::model::Models;
use crate::replay::{discover, take_inventory};
use crate::sink::Ndjson;
use crate::stage::TABLE;

const GROUP: &str = "web";

fn models() -> Models {
    let wanted: Vec<&'static FeatureDef> =
        TABLE.iter().flat_map(|stage| stage.models).copied().collect();
    Models::fixed(&wanted)
}

/// The alerts and the risk documents of a replay of these logs with the defaults, but for `sets`.
pub(super) fn replay(logs: &[(&str, String)], sets: &[String]) -> (Vec<Value>, Vec<Value>) {
    let place = tempfile::TempDir::new().unwrap();
    let out = place.path().join("out");
    let input = place.path().join("logs");
    fs::create_dir(&input).unwrap();
    for (name, text) in logs {
        fs::write(input.join(name), text).unwrap();
    }
    let mut plan = crate::config::resolve("", "", sets, &stage_keys()).unwrap();
    plan.models = models();
    let settings = parsers(&plan);
    let (files, skipped) = discover(&[input]);
    let mut inventory = take_inventory(files, skipped, &settings);
    let mut core = core(&plan);
    let lanes = lanes(&plan, &settings, std::mem::take(&mut inventory.lanes));
    let sink = Ndjson::create(&out).unwrap();
    engine::run(lanes, &mut core, Box::new(sink), &mut |_| {}).unwrap();
    assert!(core.summary.panics.is_empty());
    (documents(&out, "alerts"), documents(&out, "risk"))
}

fn documents(out: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(out.join(format!("{kind}.ndjson"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A site whose names are odd to every model there is, by the scores that tests can foresee.
fn odd_host() -> String {
    let models = models();
    let mut scorer = models.scorer(&PHISHING).unwrap();
    let mut score = |host: &str| {
        let url = Url::parse(host.as_bytes()).unwrap();
        scorer.score(&[url], Url::key, push)[0]
    };
    let mut hosts = (0..1000).map(|n| format!("w{n}.trap.com"));
    hosts.find(|host| score(host) >= Ppm::new(950_000)).unwrap()
}

/// Ten hosts and fifty URLs of one site, in an hour, in all logs that name a server; the first of
/// the hosts does whatever else `web` looks for.
fn campaign() -> Vec<(&'static str, String)> {
    let site = odd_host();
    let (mut http, mut ssl, mut dns) = (String::new(), String::new(), String::new());
    for (n, host) in (0..50).flat_map(|n| (1..11).map(move |host| (n, host))) {
        let ts = 1_700_000_000 + n * 60 + host;
        let ends = format!(
            "\"ts\":{ts},\"uid\":\"C{n}x{host}\",\"id.orig_h\":\"10.0.0.{host}\",\"id.orig_p\":5,\"id.resp_h\":\"1.2.3.4\",\"id.resp_p\":80"
        );
        http += &format!(
            "{{{ends},\"method\":\"GET\",\"version\":\"1.1\",\"host\":\"{site}\",\"uri\":\"/{n}\"}}\n"
        );
        ssl += &format!("{{{ends},\"server_name\":\"{site}\"}}\n");
        dns += &format!("{{{ends},\"query\":\"{site}\",\"rcode\":0}}\n");
        if host == 1 {
            // As odd as a request can be.
            http += &format!(
                "{{{ends},\"method\":\"ODD\",\"version\":\"1.1\",\"uri\":\"/{n}.jpg\",\"status_code\":200,\
                 \"resp_mime_types\":[\"application/x-dosexec\"],\"resp_fuids\":[\"F{n}\"]}}\n"
            );
        }
    }
    vec![("http.log", http), ("ssl.log", ssl), ("dns.log", dns)]
}

pub(super) fn of<'a>(document: &'a Value, path: &str) -> &'a Value {
    document.pointer(path).unwrap_or(&Value::Null)
}

/// Points in millionths.
fn millionths(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1e6).round() as u64
}

#[test]
fn a_campaign_alerts_once_for_each_host_and_stage_and_keeps_to_the_budget() {
    let (alerts, risk) = replay(&campaign(), &[]);
    let web: BTreeMap<&str, u64> = TABLE
        .iter()
        .filter(|stage| stage.group == GROUP)
        .map(|stage| {
            let weight = stage.keys.iter().find(|key| key.name == "weight").unwrap();
            (stage.name, weight.default.unwrap().parse::<u64>().unwrap() * 1_000_000)
        })
        .collect();
    let budget = *web.values().max().unwrap();
    let mut told = BTreeSet::new();
    for alert in alerts.iter().filter(|it| of(it, "/event/action") != "closed") {
        let detector = of(alert, "/rule/name").as_str().unwrap().to_owned();
        if detector == "http-oddities" {
            continue;
        }
        let host = of(alert, "/ueba/entity").to_string();
        assert!(told.insert((host, detector.clone())), "twice: {alert}");
    }
    let by = |name: &str| told.iter().filter(|(_, detector)| detector == name).count();
    assert_eq!((by("phishing"), by("malicious-url")), (10, 10), "{told:?}");
    let mut highest = 0;
    for document in &risk {
        let mut points = 0;
        for it in of(document, "/ueba/contributions").as_array().unwrap() {
            if web.contains_key(of(it, "/module").as_str().unwrap()) {
                points += millionths(of(it, "/points"));
            }
        }
        assert!(points <= budget, "{points} of {budget}: {document}");
        highest = highest.max(points);
    }
    assert!(highest * 100 >= budget * 99, "{highest} of {budget}: the budget is reached");
}

#[test]
fn a_name_that_is_hidden_is_in_no_alert() {
    let columns = [("ssl.log", "server_name"), ("dns.log", "query")];
    for (name, column) in columns {
        let logs: Vec<_> = campaign().into_iter().filter(|(log, _)| *log == name).collect();
        let log = name.trim_end_matches(".log");
        let set = format!("event.redact=[\"{log}.{column}\"]");
        for (sets, is_shown) in [(vec![], true), (vec![set], false)] {
            let (alerts, risk) = replay(&logs, &sets);
            assert!(!alerts.is_empty() && !risk.is_empty(), "{name}");
            let text = format!("{alerts:?} {risk:?}");
            assert_eq!(text.contains("trap.com"), is_shown, "{name}: {text}");
        }
    }
}
