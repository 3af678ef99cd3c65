//! What records become: lines in, the measures of an hour as text out; and the laws.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::input::CellRow;
use super::super::script::{Place, addr, batches};
use super::*;
use crate::base::codec::{decode, encode};
use crate::base::distinct::Distinct;
use crate::base::limits::BATCH_ROWS_MAX;
use crate::record::{Entity, Log};

const HOUR: i64 = 60;

/// The windows of some records, which come in these batches.
fn windows(
    records: &[(Log, String)],
    rows_max: usize,
    back: bool,
) -> BTreeMap<(i64, Entity), Window> {
    let mut found: Vec<Deeds> = Vec::new();
    for (log, text) in records {
        let mut fold = Fold::default();
        for batch in batches(*log, text, rows_max) {
            let mut deeds = Deeds::default();
            fold.fold(&Place::new(&batch).input(&batch), &mut deeds);
            found.push(deeds);
        }
    }
    if back {
        found.reverse();
    }
    let mut all: BTreeMap<(i64, Entity), Window> = BTreeMap::new();
    for mut deeds in found {
        deeds.take(|deed, marks, samples| {
            let key = (deed.minute.0.div_euclid(HOUR), deed.entity.clone());
            all.entry(key).or_default().add(deed, marks, samples);
        });
    }
    all
}

/// The measures of a window that are not nothing, as people count them.
fn said(window: &Window) -> String {
    let nothing = Distinct::default();
    let row = window.measure(Told { peers: &nothing, agents: &nothing, odd: 0 });
    let mut out = Vec::new();
    for (measure, value) in MEASURES.iter().zip(row) {
        if value != 0 {
            let shown = shown(measure, value);
            out.push(match measure.scale {
                Scale::Share => format!("{} .{:03}", measure.name, shown / 1000),
                _ => format!("{} {}", measure.name, (shown + 500_000) / 1_000_000),
            });
        }
    }
    out.join(", ")
}

/// What 10.0.0.5 did in its only hour.
fn check(log: Log, records: &[&str], expected: &str) {
    let all = windows(&[(log, records.join("\n") + "\n")], BATCH_ROWS_MAX, false);
    let own: Vec<String> = all
        .iter()
        .filter(|((_, entity), _)| entity.addr() == Some(addr("10.0.0.5")))
        .map(|(_, window)| said(window))
        .collect();
    assert_eq!(own.join("; "), expected);
}

fn conn(n: usize, orig: &str, resp: &str, port: u16, rest: &str) -> String {
    format!(
        "{{\"ts\":1700000000,\"uid\":\"C{n}\",\"id.orig_h\":\"{orig}\",\"id.resp_h\":\"{resp}\",\
         \"id.resp_p\":{port},\"proto\":\"tcp\"{rest}}}"
    )
}

fn check_conn(records: &[(&str, &str, u16, &str)], expected: &str) {
    let lines: Vec<String> = records
        .iter()
        .enumerate()
        .map(|(n, (orig, resp, port, rest))| conn(n, orig, resp, *port, rest))
        .collect();
    check(Log::Conn, &lines.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

const MADE: &str = ",\"conn_state\":\"SF\",\"orig_bytes\":1000,\"resp_bytes\":5000";
const REFUSED: &str = ",\"conn_state\":\"REJ\"";

#[test]
fn connections_count_for_both_of_their_ends() {
    check_conn(
        &[("10.0.0.5", "198.51.100.1", 443, MADE), ("10.0.0.5", "198.51.100.1", 443, MADE)],
        "connections 2, peers 1, ports 1, new_peers 1, sent_tls 1998, received_tls 9983",
    );
    check_conn(
        &[("10.0.0.9", "10.0.0.5", 22, MADE), ("198.51.100.7", "10.0.0.5", 22, MADE)],
        "answered 2, clients 2, sent_other 9983, received_other 1998",
    );
    // What it refused it did not serve; a host that talks to itself serves nobody.
    check_conn(&[("10.0.0.9", "10.0.0.5", 22, REFUSED)], "");
    check_conn(
        &[("10.0.0.5", "10.0.0.5", 22, MADE)],
        "connections 1, peers 1, internal_peers 1, ports 1, new_peers 1, sent_other 998, \
         received_other 4991",
    );
    // To everybody is to nobody.
    check_conn(
        &[("10.0.0.5", "224.0.0.251", 5353, ""), ("10.0.0.5", "255.255.255.255", 67, "")],
        "",
    );
}

#[test]
fn a_share_of_few_is_little() {
    check_conn(
        &[("10.0.0.5", "10.0.0.7", 445, REFUSED)],
        "connections 1, peers 1, internal_peers 1, ports 1, new_peers 1, failed_share .110, failures 1",
    );
    let many: Vec<String> =
        (0..200).map(|n| conn(n, "10.0.0.5", &format!("10.0.1.{n}"), 445, REFUSED)).collect();
    check(
        Log::Conn,
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
        "connections 200, peers 187, internal_peers 187, ports 1, new_peers 187, failed_share .960, \
         failures 200",
    );
}

#[test]
fn names_programs_and_files_are_counted() {
    let of = |rest: &str| {
        format!(
            "{{\"ts\":1700000000,\"uid\":\"C1\",\"id.orig_h\":\"10.0.0.5\",\"id.resp_h\":\"10.0.0.1\",{rest}}}"
        )
    };
    let dns = [
        of("\"query\":\"a.com\",\"rcode\":0"),
        of("\"query\":\"b.com\",\"rcode\":3"),
        of("\"query\":\"b.com\""),
    ];
    check(
        Log::Dns,
        &dns.each_ref().map(String::as_str),
        "dns_names 2, dns_queries 3, nxdomain_share .090",
    );
    let http =
        [of("\"user_agent\":\"x/1\""), of("\"user_agent\":\"y/2\""), of("\"method\":\"GET\"")];
    check(
        Log::Http,
        &http.each_ref().map(String::as_str),
        "user_agents 2, new_user_agents 2, http_requests 3",
    );
    let files = [
        of("\"fuid\":\"F1\""),
        of("\"fuid\":\"F2\",\"is_orig\":true"),
        of("\"fuid\":\"F3\",\"is_orig\":false"),
    ];
    check(Log::Files, &files.each_ref().map(String::as_str), "downloads 2");
    let user = of("\"username\":\"CORP\\\\Eve\",\"user_agent\":\"x/1\"");
    let all = windows(&[(Log::Http, user + "\n")], 1, false);
    let entities: Vec<String> =
        all.iter().map(|((_, entity), window)| format!("{entity:?}: {}", said(window))).collect();
    assert_eq!(entities.len(), 1, "a name in a log is not a user's who is outside: {entities:?}");
}

#[test]
fn names_of_measures_are_unique_and_what_they_are_is_said() {
    let names: std::collections::BTreeSet<&str> = MEASURES.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), WIDTH);
    for measure in &MEASURES {
        assert!(!measure.name.is_empty() && measure.weight > 0 && measure.spread_min > 0);
        assert!(measure.volume.0 < measure.volume.1, "{}", measure.name);
        let read = READS.iter().find(|(log, _)| *log == measure.log);
        assert!(read.is_some(), "{} is of a log that nobody reads", measure.name);
    }
}

#[test]
fn every_sample_is_found_again() {
    let lines: Vec<String> = (0..40)
        .map(|n| conn(n, "10.0.0.5", "198.51.100.1", 443, &format!(",\"orig_bytes\":{}", n * 100)))
        .collect();
    let all = windows(&[(Log::Conn, lines.join("\n") + "\n")], 7, false);
    let window = all.values().next().unwrap();
    let uid = |sample| window.sample(sample).map(|row| row.record.uid.as_str().to_owned());
    assert_eq!(uid(Sample::Sent).as_deref(), Some("C39"), "the heaviest");
    assert!(uid(Sample::Opened).is_some() && uid(Sample::Failed).is_none());
}

#[test]
fn a_quiet_window_is_small() {
    // With a sample of two or three kinds.
    let sizes = [size_of::<Window>(), size_of::<CellRow>()];
    assert!(sizes[0] <= 256 && sizes[1] <= 96, "{sizes:?}");
}

/// Records of a few hosts and hours, of all logs.
fn records() -> impl Strategy<Value = Vec<(Log, String)>> {
    let one = (0..3_u8, 0..4_u8, 0..3_i64, 0..6_u16, any::<u32>(), 0..4_usize);
    proptest::collection::vec(one, 0..60).prop_map(|all| {
        let mut texts =
            [Log::Conn, Log::Dns, Log::Http, Log::Files].map(|log| (log, String::new()));
        for (n, (orig, resp, hour, port, bytes, log)) in all.into_iter().enumerate() {
            texts[log].1 += &format!(
                "{{\"ts\":{},\"uid\":\"C{n}\",\"id.orig_h\":\"10.0.0.{orig}\",\
                 \"id.resp_h\":\"10.0.0.{resp}\",\"id.resp_p\":{port},\"orig_bytes\":{bytes},\
                 \"conn_state\":\"{}\",\"query\":\"n{port}.com\",\"rcode\":{port},\
                 \"user_agent\":\"a{port}\",\"username\":\"u{port}\",\"fuid\":\"F{n}\"}}\n",
                1_700_000_000 + hour * 3600,
                if port == 3 { "S0" } else { "SF" },
            );
        }
        texts.to_vec()
    })
}

proptest! {
    /// However records come in batches and in whatever order what they say meets, windows are the
    /// same; a day is the sum of its hours; and a window that was saved, or put away, is the same.
    #[test]
    fn windows_do_not_depend_on_batches_or_order(records in records(), rows_max in 1..20_usize) {
        let all = windows(&records, BATCH_ROWS_MAX, false);
        let uids = |window: &Window| {
            Sample::ALL.map(|it| window.sample(it).map(|row| row.record.uid.clone()))
        };
        let in_order = |windows: &BTreeMap<(i64, Entity), Window>| -> Vec<String> {
            let all = windows.iter();
            all.map(|(key, it)| format!("{key:?} {} {:?}", said(it), uids(it))).collect()
        };
        for back in [false, true] {
            prop_assert_eq!(in_order(&windows(&records, rows_max, back)), in_order(&all));
        }
        let (mut day, mut whole) = (BTreeMap::new(), BTreeMap::new());
        let (mut put_away, mut added) = (Day::default(), Day::default());
        for ((_, entity), window) in &all {
            let again: Window = decode(&encode(window)).unwrap();
            prop_assert_eq!(&again, window);
            put_away.set(entity.clone(), again.clone());
            let found = put_away.get(entity);
            prop_assert_eq!(found.as_ref(), Some(window));
            let (_, held) = put_away.held().find(|(it, _)| *it == entity).unwrap();
            prop_assert!(Sample::ALL.iter().all(|it| held.sample(*it) == window.sample(*it)));
            prop_assert_eq!(added.add(entity.clone(), again.clone()), !day.contains_key(entity));
            day.entry(entity.clone()).or_insert_with(Window::default).unite(again);
        }
        prop_assert!(added.opened().eq(day.iter().map(|(entity, day)| (entity, day.clone()))));
        let together: Vec<(Log, String)> = records
            .iter()
            .map(|(log, text)| (*log, text.replace("1700003600", "1700000000").replace("1700007200", "1700000000")))
            .collect();
        for ((_, entity), window) in windows(&together, BATCH_ROWS_MAX, false) {
            whole.insert(entity, said(&window));
        }
        let day: BTreeMap<Entity, String> =
            day.into_iter().map(|(entity, window)| (entity, said(&window))).collect();
        prop_assert_eq!(day, whole);
    }
}
