//! What a scenario says is what its log holds; a mistake is named with its line.

use super::evaluation::{Scenario, expand, parse};

/// A scenario of these lines, of a week, which may use `two`.
pub(super) fn scenario(lines: &str) -> Scenario {
    let include = |name: &str| {
        let text = "once at 0d 00:01: 10.0.0.9 > 10.0.0.2:53 udp dns\n\n!\n";
        (name == "two").then(|| text.replace('!', ""))
    };
    parse("one", &format!("seed s\ndays 7\nquiet\n{lines}"), &include).unwrap()
}

/// The rows of a log, as columns.
pub(super) fn rows(conn: &str) -> Vec<Vec<&str>> {
    let rows = conn.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.split('\t').collect()).collect()
}

/// What `lines` stand for: for each record minute, addresses, and what `columns` say.
fn records(lines: &str, columns: &[usize]) -> Vec<String> {
    let expansion = expand(&scenario(lines));
    let record = |row: &Vec<&str>| {
        let seconds = row[0].split('.').next().unwrap().parse::<i64>().unwrap() - 1_709_510_400;
        let (day, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
        let mut line = format!(
            "{day}d {:02}:{:02} {} > {}:{}",
            minutes / 60,
            minutes % 60,
            row[2],
            row[4],
            row[5]
        );
        for column in columns {
            line.push_str(&format!(" {}", row[*column]));
        }
        line
    };
    rows(&expansion.conn).iter().map(record).collect()
}

/// That a file of these lines has exactly these mistakes.
fn check_mistakes(lines: &str, expected: &[&str]) {
    let include = |name: &str| (name == "bad").then(|| "\nnonsense\n".to_owned());
    assert_eq!(parse("one", lines, &include).unwrap_err(), expected, "{lines}");
}

#[test]
fn a_moment_comes_when_it_is_said() {
    let once = "once at 2d 10:30: 10.0.0.5 > 10.0.0.2:53 udp dns";
    assert_eq!(records(once, &[]), ["2d 10:30 10.0.0.5 > 10.0.0.2:53"]);
    // Of seven days from a Monday on: the hours of each, or of some.
    let count = |when: &str| records(&format!("{when}: 10.0.0.5 > 10.0.0.2:53 udp"), &[]).len();
    assert_eq!(count("every 1h"), 7 * 24);
    assert_eq!(count("every 1h daily 08:00-18:00"), 7 * 10);
    assert_eq!(count("every 1d daily 08:00-18:00"), 7);
    assert_eq!(count("every 1h weekdays"), 5 * 24);
    assert_eq!(count("every 1h weekends daily 08:00-18:00"), 2 * 10);
    assert_eq!(count("every 1h from 1d 12:00 to 3d 00:00"), 36);
    assert_eq!(count("17 times from 1d 12:00 to 1d 12:01"), 17);
    assert_eq!(count("every 1h bursts 3 within 10s"), 3 * 7 * 24);
    assert_eq!(count("every 1h chance 0%"), 0);
    let some = count("every 1m chance 25%");
    assert!((2300..2740).contains(&some), "{some} of 10,080");
}

#[test]
fn moments_are_spread_over_their_intervals() {
    let lines = "24 times from 3d 00:00 to 4d 00:00: 10.0.0.5 > 10.0.0.2:53 udp for 1ms";
    let records = records(lines, &[]);
    let hours: Vec<&str> = records.iter().map(|record| &record[3..5]).collect();
    assert_eq!(hours, (0..24).map(|hour| format!("{hour:02}")).collect::<Vec<_>>());
    assert!(records.iter().any(|record| &record[6..8] != "00"), "always on the hour");
}

#[test]
fn addresses_are_one_or_any_or_each() {
    let hosts = "once at 0d 09:00: 10.0.1.10-12 > 10.0.0.2:53 udp for 1s";
    let mut all = records(hosts, &[]);
    all.sort();
    assert_eq!(
        all,
        [10, 11, 12].map(|host| format!("0d 09:00 10.0.1.{host} > 10.0.0.2:53")),
        "each host by itself"
    );
    let each = "4 times from 0d 00:00 to 0d 04:00: 10.0.0.5 > each far(3):80 tcp for 1ms";
    assert_eq!(
        records(each, &[]).iter().map(|it| last_word(it)).collect::<Vec<_>>(),
        ["198.18.0.0:80", "198.18.0.1:80", "198.18.0.2:80", "198.18.0.0:80"]
    );
    let any = "every 1m: any near(2) > any far(1000):80 tcp";
    let found = records(any, &[]);
    let of = |address: &str| found.iter().filter(|record| record.contains(address)).count();
    assert_eq!(of(" 198.18.0.0 >") + of(" 198.18.0.1 >"), 7 * 24 * 60, "of the pool of two");
    assert!(of(" 198.18.0.1 >") > 1000);
    let (first, last) = (of("> 198.18.0.2:80"), of("> 198.18.3.200:80"));
    assert!(first > 500 && last < 50, "{first} and {last}: the first ones more often");
    let far: std::collections::BTreeSet<String> = found.iter().map(|it| last_word(it)).collect();
    assert!(far.len() > 500, "{} of a thousand", far.len());
}

fn last_word(record: &str) -> String {
    record.rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn bytes_are_in_their_range_or_a_total() {
    let lines =
        "every 1h: 10.0.0.5-6 > 198.51.100.1:443 tcp ssl sent 3k-30k received total 1000003";
    let found = records(lines, &[9, 10]);
    let bytes: Vec<Vec<u64>> = found
        .iter()
        .map(|record| record.split(' ').skip(5).map(|it| it.parse().unwrap()).collect())
        .collect();
    assert!(bytes.iter().all(|it| (3000..=30_000).contains(&it[0])));
    let low = bytes.iter().filter(|it| it[0] < 9487).count();
    assert!((130..206).contains(&low), "{low} of 336 in the lower half of the doublings");
    let total: u64 = bytes.iter().map(|it| it[1]).sum();
    assert_eq!(total, 2 * 1_000_003, "of two hosts");
    assert!(bytes.iter().all(|it| it[1] > 0));
}

#[test]
fn records_look_as_zeek_writes_them() {
    // service, duration, bytes, state, local, missed, history, packets and their bytes
    let columns: Vec<usize> = (6..20).collect();
    let check = |what: &str, expected: &str| {
        let found = records(&format!("once at 0d 00:00: {what}"), &columns);
        assert_eq!(found, [expected], "{what}");
    };
    check(
        "10.0.0.5 > 198.51.100.1:443 tcp ssl sent 3000 received 50000 for 1500ms",
        "0d 00:00 10.0.0.5 > 198.51.100.1:443 tcp ssl 1.500000 3000 50000 SF T F 0 ShADadFf \
         25 4300 40 52080",
    );
    check(
        "198.51.100.1 > 10.0.0.5:53 udp dns sent 40 received 400 for 5ms",
        "0d 00:00 198.51.100.1 > 10.0.0.5:53 udp dns 0.005000 40 400 SF F T 0 Dd 1 68 1 428",
    );
    check(
        "10.0.0.5 > 10.0.0.6:22 tcp state REJ for 1ms",
        "0d 00:00 10.0.0.5 > 10.0.0.6:22 tcp - 0.001000 0 0 REJ T T 0 Sr 1 60 1 40",
    );
    check(
        "10.0.0.5 > 10.0.0.6:22 tcp state S0",
        "0d 00:00 10.0.0.5 > 10.0.0.6:22 tcp - - - - S0 T T 0 S 3 180 0 0",
    );
    check(
        "10.0.0.5 > 198.51.100.1:80 tcp http state RSTR sent 4G missed 100% for 2s",
        "0d 00:00 10.0.0.5 > 198.51.100.1:80 tcp http 2.000000 4000000000 0 RSTR T F 4000000000 \
         ShADaGr 4 208 3 156",
    );
}

#[test]
fn in_a_gap_there_is_nothing() {
    let all = "every 10m: 10.0.0.5 > 10.0.0.2:53 udp for 1m\n\
               every 1d: 10.0.0.6 > 10.0.0.2:53 udp for 20h\n";
    let kept = records(&format!("{all}gap from 2d 06:00 to 2d 09:00"), &[]);
    let without = records(all, &[]);
    let hour = |record: &str| record.split(' ').nth(1).unwrap()[..2].parse::<u32>().unwrap();
    assert!(without.iter().any(|it| it.starts_with("2d 07")));
    assert!(!kept.iter().any(|it| it.starts_with("2d") && (6..9).contains(&hour(it))));
    // What began before and ended after is not there either.
    let of_6 = |records: &[String]| records.iter().filter(|it| it.contains("10.0.0.6")).count();
    assert!(of_6(&kept) < of_6(&without));
    assert!(kept.iter().all(|it| without.contains(it)), "nothing else moved");
}

#[test]
fn a_line_may_go_on_and_use_another_file() {
    let lines =
        "# a comment\nonce at 0d 00:02: \\\n    10.0.0.5 > 10.0.0.2:53 \\\n udp dns\nuse two";
    let expected = ["0d 00:01 10.0.0.9 > 10.0.0.2:53", "0d 00:02 10.0.0.5 > 10.0.0.2:53"];
    assert_eq!(records(lines, &[]), expected);
}

#[test]
fn every_mistake_is_named_with_its_line() {
    check_mistakes("", &["one: no line says how many days", "one: no line says alert or quiet"]);
    check_mistakes(
        "days 3\nquiet\n\nevery 5x: 10.0.0.5 > 10.0.0.2:53 udp\nuse bad\nuse none\ngap from 1d\n",
        &[
            "one, line 4: 5x is no duration such as 50ms, 30s, 5m, 2h or 1d",
            "bad, line 2: neither a known word nor WHEN: WHAT",
            "one, line 6: no none",
            "one, line 7: a time of day is missing at the end",
        ],
    );
    let is_quiet = "alert pcr host:10.0.0.5 channel tls 7M between 1d 09:00 and 1d 10:00\nquiet\n";
    check_mistakes(
        &format!("days 3\n{is_quiet}"),
        &["one, line 3: an alert is expected, so it is not quiet"],
    );
}

#[test]
fn mistakes_say_what_is_wrong() {
    let check = |line: &str, expected: &str| {
        let text = format!("days 3\nonce at 0d 00:00: 10.0.0.5 > any p(9):53 udp\n{line}\n");
        let quiet = if line.starts_with("alert") { "" } else { "quiet\n" };
        let mistakes = parse("one", &format!("{text}{quiet}"), &|_| None).unwrap_err();
        assert_eq!(mistakes[0], format!("one, line 3: {expected}"), "{line}");
    };
    let end = "10.0.0.5 > 10.0.0.2:53 udp";
    check(&format!("sometimes: {end}"), "times is missing at the end");
    check(&format!("every 1h 3: {end}"), "3 does not say when");
    check(&format!("every 0s: {end}"), "every 0 is never");
    check(&format!("once: {end}"), "once at which time?");
    check(&format!("once at 3d 00:01: {end}"), "the scenario ends at 3d 00:00");
    check(&format!("3 times weekdays: {end}"), "weekdays goes with every only");
    check(&format!("every 1h chance 101%: {end}"), "101% is no percentage such as 60%");
    check(&format!("every 1h daily 18:00-08:00: {end}"), {
        "18:00-08:00 are no hours of a day such as 08:00-18:00"
    });
    check(&format!("every 1h from 2d 00:00 to 1d 00:00: {end}"), "it ends before it starts");
    check(&format!("once at 0d 24:01: {end}"), "24:01 is no time of day such as 08:30");
    let what = |what: &str, expected: &str| check(&format!("once at 0d 00:01: {what}"), expected);
    what("10.0.0.5 10.0.0.2:53 udp", "after the originator comes >");
    what("10.0.0.5 > 10.0.0.2 udp", "10.0.0.2 has no :PORT");
    what("10.0.0.5 > 10.0.0.2:x udp", "x is no port");
    what("10.0.0 > 10.0.0.2:53 udp", "10.0.0 is no address");
    what("10.0.0.9-5 > 10.0.0.2:53 udp", "10.0.0.9-5 are no addresses such as 10.0.1.10-21");
    what("10.0.0.5 > p(9):53 udp", "any or each of p(9)?");
    what("10.0.0.5 > any p(8):53 udp", "p had 9 addresses before");
    what("10.0.0.5 > any q(200000):53 udp", "there are no 200000 addresses for q");
    what("10.0.0.5 > 10.0.0.2:53 icmp", "icmp is neither tcp nor udp");
    what("10.0.0.5 > 10.0.0.2:53 tcp gopher", "gopher is neither a service nor says how");
    what("10.0.0.5 > 10.0.0.2:53 tcp sent 9-3", "9-3 goes down");
    what("10.0.0.5 > 10.0.0.2:53 tcp sent 3x", "3x is no size such as 700, 30k, 20M or 5G");
    what("10.0.0.5 > 10.0.0.2:53 tcp state SX", "SX is none of SF, S0, REJ, RSTO, RSTR");
    what("10.0.0.5 > 10.0.0.2:53 tcp state REJ sent 9", "in state REJ no bytes are sent");
    what("10.0.0.5 > 10.0.0.2:53 udp state REJ", "only tcp has the state REJ");
    check("once at 0d 00:00: 10.0.0.5 > any p(9):53 udp", {
        "the same line again gives the same records again"
    });
    let alert = |rest: &str, expected: &str| check(&format!("alert pcr {rest}"), expected);
    alert("10.0.0.5", "10.0.0.5 is no entity such as host:10.0.0.5");
    alert("host:10.0.0.5 channel ssh", "ssh is none of dns, tls, http, other");
    alert("host:10.0.0.5 channel dns 1k between 0d 09:00 and 0d 10:00 or so", "or is too much");
}
