//! What holds for the log of every scenario.

use std::collections::BTreeSet;

use zeek_ueba::base::time::Time;

use super::evaluation::{expand, names, scenario};
use super::language::rows;

#[test]
fn the_same_scenario_gives_the_same_bytes() {
    for name in ["role-shift-tls", "log-gap"] {
        let [first, second] = [(); 2].map(|()| expand(&scenario(name).unwrap()).conn);
        assert!(first == second, "{name}");
    }
    // On every machine, and with every compiler.
    let log = expand(&super::language::scenario(
        "every 1h chance 50% bursts 2-9 within 10s: 10.0.1.10-12 > any far(900):443 tcp ssl \
         sent 3-30M received total 77777 for 1ms-2h",
    ));
    let hash = zeek_ueba::base::hash::id(&[log.conn.as_bytes()]).hex();
    assert_eq!(std::str::from_utf8(&hash).unwrap(), "e3b0ff7dac25b26b0a2b5911515ca017");
}

#[test]
fn another_seed_gives_other_records() {
    let of = |seed: &str| {
        let text = format!(
            "seed {seed}\ndays 1\nquiet\nevery 1h: 10.0.0.5 > any far(900):443 tcp ssl sent 3-30M"
        );
        expand(&super::evaluation::parse("one", &text, &|_| None).unwrap()).conn
    };
    assert!(of("a") == of("a"));
    assert!(of("a") != of("b"));
}

/// One test for all of it: a log is made once.
#[test]
fn logs_are_as_large_as_said_and_as_zeek_writes_them() {
    for name in names() {
        let scenario = scenario(&name).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let expansion = expand(&scenario);
        let rows = rows(&expansion.conn);
        assert_eq!(rows.len(), expansion.records);
        assert!((50_000..300_000).contains(&rows.len()), "{name}: {} records", rows.len());
        for (expected, crime) in scenario.truth.iter().zip(&expansion.crimes) {
            assert_eq!(crime.bytes, expected.bytes, "{name}: what {} does", expected.entity);
            let (from, to) = (crime.span.from, crime.span.to);
            assert!(expected.between.holds(from) && expected.between.holds(to), "{name}");
        }
        let uids: BTreeSet<&str> = rows.iter().map(|row| row[1]).collect();
        assert_eq!(uids.len(), rows.len(), "{name}: a uid twice");
        let ends: Vec<i64> = rows.iter().map(|row| seconds(row[0]) + seconds(row[8])).collect();
        assert!(ends.is_sorted(), "{name}: Zeek writes a connection when it ends");
        let clients: BTreeSet<&str> =
            rows.iter().map(|row| row[2]).filter(|it| it.starts_with("10.0.1.")).collect();
        assert!(clients.len() >= 12, "{name}: {clients:?}");
        // Most are of the office, and alike.
        for row in rows.iter().step_by(7) {
            check_row(row);
        }
    }
}

fn seconds(text: &str) -> i64 {
    if text == "-" { 0 } else { Time::parse_seconds(text.as_bytes()).unwrap() }
}

/// That the columns agree.
fn check_row(row: &[&str]) {
    let [orig, resp, proto, duration, sent, received, state, local_orig, local_resp, missed] =
        [2, 4, 6, 8, 9, 10, 11, 12, 13, 14].map(|column| row[column]);
    let is_local = |address: &str| if address.starts_with("10.") { "T" } else { "F" };
    assert_eq!((is_local(orig), is_local(resp)), (local_orig, local_resp), "{row:?}");
    assert!([local_orig, local_resp].contains(&"T"), "{row:?} is nobody's");
    let number = |text: &str| if text == "-" { 0 } else { text.parse::<u64>().unwrap() };
    let [sent_bytes, received_bytes, missed] = [sent, received, missed].map(number);
    let [orig_pkts, orig_ip_bytes, resp_pkts, resp_ip_bytes] =
        [16, 17, 18, 19].map(|column| number(row[column]));
    match state {
        "S0" => assert!(duration == "-" && sent == "-" && received == "-" && resp_pkts == 0),
        "REJ" => assert!(sent == "0" && received == "0" && proto == "tcp" && row[15] == "Sr"),
        _ => assert!(duration != "-" && sent_bytes + received_bytes > 0, "{row:?}"),
    }
    let has = |letter: char| row[15].contains(letter);
    assert_eq!(has('D') || state == "S0" && proto == "udp", sent_bytes > 0, "{row:?}");
    assert_eq!(has('d'), received_bytes > 0, "{row:?}");
    assert!(orig_ip_bytes + resp_ip_bytes + missed >= sent_bytes + received_bytes, "{row:?}");
    assert!(orig_pkts > 0 && orig_ip_bytes >= 28 * orig_pkts, "{row:?}");
    assert!(orig_ip_bytes <= 1500 * orig_pkts && resp_ip_bytes <= 1500 * resp_pkts, "{row:?}");
    assert!(missed <= sent_bytes + received_bytes);
}
