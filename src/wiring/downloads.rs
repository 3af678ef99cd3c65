//! What whole replays make of downloads: `http` and `files` come from two lanes, in any order and
//! in either layout.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::campaign::{of, replay};

/// An exploit kit that hands a program out under the name of a picture: what was asked for, and
/// what was seen of it `later` seconds after, as `files` of one layout has it.
fn chain(later: i64, is_old: bool) -> Vec<(&'static str, String)> {
    let (mut http, mut files) = (String::new(), String::new());
    for n in 0..4 {
        let ts = 1_700_000_000 + n * 7;
        let uid = format!("C{n}");
        let request = json!({
            "ts": ts, "uid": uid, "id.orig_h": "10.0.0.5", "id.orig_p": 5, "id.resp_h": "1.2.3.4",
            "id.resp_p": 80, "method": "GET", "host": "kit.example.com", "uri": format!("/a/{n}"),
            "version": "1.1", "user_agent": "Modzilla/0.0001 (Atari 7800)", "status_code": 200,
            "response_body_len": 900, "resp_fuids": [format!("F{n}")],
            "resp_mime_types": ["application/x-dosexec"],
        });
        let mut file = json!({
            "ts": ts + later, "fuid": format!("F{n}"), "source": "HTTP", "depth": 0,
            "mime_type": "application/x-dosexec", "filename": "cat.jpg", "is_orig": false,
            "seen_bytes": 900, "missing_bytes": 0,
        });
        let ends = if is_old {
            json!({"tx_hosts": ["1.2.3.4"], "rx_hosts": ["10.0.0.5"], "conn_uids": [uid]})
        } else {
            json!({"uid": uid, "id.orig_h": "10.0.0.5", "id.orig_p": 5, "id.resp_h": "1.2.3.4", "id.resp_p": 80})
        };
        file.as_object_mut().unwrap().extend(ends.as_object().unwrap().clone());
        http += &format!("{request}\n");
        files += &format!("{file}\n");
    }
    vec![("http.log", http), ("files.log", files)]
}

/// What is said of downloads: score, reasons and the logs behind it.
fn said(logs: &[(&str, String)], sets: &[String]) -> Vec<Value> {
    let (alerts, _) = replay(logs, sets);
    let mine = alerts.iter().filter(|it| of(it, "/rule/name") == "malicious-download");
    mine.map(|alert| {
        let records = of(alert, "/ueba/evidence").as_array().unwrap().iter();
        let records: Vec<Value> =
            records.map(|it| json!([of(it, "/log"), of(it, "/uid")])).collect();
        json!({
            "id": of(alert, "/event/id"),
            "score": of(alert, "/ueba/score"),
            "domain": of(alert, "/destination/domain"),
            "reasons": of(alert, "/ueba/reasons"),
            "records": records,
        })
    })
    .collect()
}

#[test]
fn both_logs_are_one_download_in_any_order_and_either_layout() {
    let expected = said(&chain(0, false), &[]);
    // One client, one site, one day.
    let ids: BTreeSet<String> = expected.iter().map(|it| it["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{expected:?}");
    let last = expected.last().unwrap();
    assert_eq!(last["domain"], "kit.example.com");
    let logs: Vec<&Value> = last["records"].as_array().unwrap().iter().map(|it| &it[0]).collect();
    assert_eq!(logs, ["http", "files"]);
    assert_eq!(last["records"][0][1], last["records"][1][1], "of one connection");
    let reasons = last["reasons"].as_array().unwrap().iter().map(|it| it["feature"].as_str());
    let reasons: BTreeSet<&str> = reasons.flatten().collect();
    for rule in ["url", "program", "disguise", "agent"] {
        assert!(reasons.contains(rule), "{rule}: {reasons:?}");
    }
    for later in [-200, 0, 90, 200] {
        for is_old in [false, true] {
            let mut logs = chain(later, is_old);
            assert_eq!(said(&logs, &[]), expected, "{later} {is_old}");
            logs.reverse();
            assert_eq!(said(&logs, &[]), expected, "{later} {is_old}");
        }
    }
}

#[test]
fn a_side_that_never_comes_changes_only_what_it_would_have_said() {
    for (missing, left) in [("files.log", "http"), ("http.log", "files")] {
        let logs: Vec<_> = chain(0, true).into_iter().filter(|(log, _)| *log != missing).collect();
        let found = said(&logs, &[]);
        let last = found.last().unwrap();
        assert_eq!(last["records"].as_array().unwrap().len(), 1, "{left}");
        assert_eq!(last["records"][0][0], left);
    }
}

#[test]
fn what_is_hidden_of_either_log_is_in_no_alert() {
    for (column, text) in [
        ("http.uri", "kit.example.com"),
        ("http.host", "kit.example.com"),
        ("http.user_agent", "Atari"),
        ("files.filename", "cat.jpg"),
    ] {
        let (shown, _) = replay(&chain(0, false), &[]);
        assert!(format!("{shown:?}").contains(text), "{text}");
        let (hidden, _) = replay(&chain(0, false), &[format!("event.redact=[\"{column}\"]")]);
        let hidden: Vec<_> =
            hidden.iter().filter(|it| of(it, "/rule/name") == "malicious-download").collect();
        assert!(!hidden.is_empty());
        assert!(!format!("{hidden:?}").contains(text), "{column}: {hidden:?}");
    }
}
