//! What comes of hostile traffic to those it does not concern: nothing. The same days are replayed
//! alone and with an attack among them; what is said of everybody else is the same, byte for byte
//! but for places in files.

use serde_json::Value;

use crate::common::{Place, Run, header};

/// Monday.
const START: i64 = 1_700_438_400;

/// Lines of a log with the time at which they are written, in seconds from [`START`].
type Lines = Vec<(i64, String)>;

/// `orig > resp:port service`, from `ts` on, in seconds from [`START`].
fn conn(ts: i64, what: &str, duration: i64, sent: u64, received: u64) -> (i64, String) {
    (
        ts + duration.max(0),
        odd(&(START + ts).to_string(), what, &duration.to_string(), sent, received),
    )
}

/// A connection of which these columns may say anything.
fn odd(ts: &str, what: &str, duration: &str, sent: u64, received: u64) -> String {
    let words: Vec<&str> = what.split([' ', ':']).collect();
    let [orig, _, resp, port, service] = words[..] else { panic!("{what}") };
    format!(
        "{ts}\tC{ts}{orig}{resp}\t{orig}\t50000\t{resp}\t{port}\tudp\t{service}\t{duration}\t{sent}\t{received}\t0\t{}\t{}",
        sent.saturating_add(28),
        received.saturating_add(28)
    )
}

fn at(day: i64, hour: i64, minute: i64) -> i64 {
    day * 86_400 + hour * 3600 + minute * 60
}

/// Six days of a few hosts. On the evening of the last one gives away what nobody expected, and one ends a
/// connection of half a day.
fn days() -> (Lines, Lines) {
    let mut all = Lines::new();
    for (day, hour, host) in (0..6)
        .flat_map(|day| (8..22).flat_map(move |hour| (7..10).map(move |host| (day, hour, host))))
    {
        for site in 0..4 {
            let received = (2_000_000 + (day * 7 + hour * 3 + site + host) % 9 * 900_000) as u64;
            let address = format!("198.51.100.{}", (day * 3 + hour + site + host) % 60);
            let what = format!("10.0.0.{host} > {address}:443 ssl");
            all.push(conn(at(day, hour, site * 13), &what, 9, received / 14, received));
        }
        let what = format!("10.0.0.{host} > 10.0.0.53:53 dns");
        all.push(conn(at(day, hour, 31), &what, 0, 4200, 13_000));
    }
    all.push(conn(at(5, 19, 10), "10.0.0.7 > 203.0.113.9:443 ssl", 60, 700_000_000, 3_000_000));
    all.push(conn(at(5, 7, 0), "10.0.0.8 > 203.0.113.20:443 ssl", 12 * 3600 + 600, 5000, 5000));
    let mut http = Lines::new();
    for hour in 0..144 {
        http.push(request(hour * 3600, "10.0.0.9", "carol", "example.com"));
    }
    // A user who is known: one that was never heard of is like those of a flood.
    http.push(request(at(5, 9, 12), "10.0.0.9", "alice", "-"));
    http.push(request(at(5, 19, 12), "10.0.0.9", "alice", "10.0.0.1"));
    (all, http)
}

fn request(ts: i64, orig: &str, user: &str, host: &str) -> (i64, String) {
    let time = START + ts;
    let line = format!(
        "{time}\tC{time}{user}\t{orig}\t50000\t198.51.100.3\t80\tGET\t{host}\t/\t1.1\t{user}"
    );
    (ts, line)
}

fn replay((mut all, mut http): (Lines, Lines)) -> Run {
    let log = |path: &str, fields: &str, types: &str, lines: &mut Lines| {
        lines.sort_by_key(|(written, _)| *written);
        let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        header(path, fields, types) + &lines.join("\n") + "\n"
    };
    let conn = log(
        "conn",
        "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes \
         missed_bytes orig_ip_bytes resp_ip_bytes",
        "time string addr port addr port enum string interval count count count count count",
        &mut all,
    );
    let http = log(
        "http",
        "ts uid id.orig_h id.orig_p id.resp_h id.resp_p method host uri version username",
        "time string addr port addr port string string string string string",
        &mut http,
    );
    let place = Place::with(&[("conn.log", conn.as_bytes()), ("http.log", http.as_bytes())]);
    // Repeats that the budget holds back are another matter (`docs/alerts.md`).
    place.replay(&["--set", "event.emit=none", "--set", "risk.alerts_per_day=10000"]).ok()
}

/// Without what says where in a file a record stands.
fn without_places(value: &mut Value) {
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value {
        Value::Object(map) => {
            map.retain(|key, _| key != "offset" && key != "event_id");
            map.values_mut().for_each(without_places);
        }
        Value::Array(list) => {
            list.retain(|value| value.as_str().is_none_or(|text| !is_id(text)));
            list.iter_mut().for_each(without_places);
        }
        _ => (),
    }
}

/// What is said of all but those that take part in an attack. These have very many documents, so
/// they are told by their bytes, before anything is parsed.
fn of_others(run: &Run) -> [Vec<String>; 2] {
    let hostile = ["\"host:10.1", "\"host:10.2", "\"user:u"];
    ["alerts.ndjson", "risk.ndjson"].map(|name| {
        let text = String::from_utf8(run.bytes(name)).unwrap();
        let others = text.lines().filter(|line| !hostile.iter().any(|who| line.contains(who)));
        let plain = |line: &str| {
            let mut document: Value = serde_json::from_str(line).unwrap();
            without_places(&mut document);
            document.to_string()
        };
        others.map(plain).collect()
    })
}

/// That the attack moves nobody else, and that the summary has these words.
fn check(attack: (Lines, Lines), words: &[&str]) -> Run {
    let (mut all, mut http) = days();
    let alone = of_others(&replay((all.clone(), http.clone())));
    for found in
        ["\"pcr\",\"entity\":\"host:10.0.0.7", "\"long-connection\",\"entity\":\"host:10.0.0.8"]
    {
        assert!(alone[0].iter().any(|alert| alert.contains(found)), "{found}: {:#?}", alone[0]);
    }
    assert!(alone[1].iter().any(|risk| risk.contains("user:alice")), "{:#?}", alone[1]);
    all.extend(attack.0);
    http.extend(attack.1);
    let run = replay((all, http));
    let mixed = of_others(&run);
    for (alone, mixed) in alone.iter().zip(&mixed) {
        let first = alone.iter().zip(mixed).find(|(a, b)| a != b);
        assert!(
            first.is_none() && alone.len() == mixed.len(),
            "{first:#?} {} {}\n{}",
            alone.len(),
            mixed.len(),
            run.stdout
        );
    }
    for words in words {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    run
}

/// An address of the attack.
fn forged(number: i64) -> String {
    format!("10.{}.{}.{}", 100 + (number >> 16), number >> 8 & 255, number & 255)
}

#[test]
fn an_address_sweep() {
    let sweep = (0..300_000).map(|n| {
        let what = format!("{} > 203.0.113.77:53 -", forged(n));
        conn(at(5, 19, 0) + n / 200, &what, 0, 60 + n as u64 % 90, 0)
    });
    check((sweep.collect(), Vec::new()), &["no room"]);
}

#[test]
fn a_sweep_whose_sources_all_upload() {
    let sweep = (0..120_000).map(|n| {
        let what = format!("{} > 45.{}.{}.1:443 ssl", forged(n), n / 250 % 250, n % 250);
        conn(at(5, 19, 0) + n / 80, &what, 0, 2_000_000, 100)
    });
    check((sweep.collect(), Vec::new()), &["no room"]);
}

#[test]
fn very_many_destinations_of_one_host() {
    let scan = (0..300_000).map(|n| {
        let what =
            format!("10.200.0.1 > {}.{}.{}.1:443 ssl", 45 + n / 62_500, n / 250 % 250, n % 250);
        conn(at(5, 19, 0) + n / 200, &what, 0, 9000, 100)
    });
    check((scan.collect(), Vec::new()), &[]);
}

#[test]
fn very_many_users_with_odd_requests() {
    let users = (0..60_000).map(|n| {
        request(at(5, 19, 10) + n / 400, &format!("10.200.{}.1", n % 250), &format!("u{n}"), "-")
    });
    check((Lines::new(), users.collect()), &["no room"]);
}

#[test]
fn a_scan_that_twenty_thousand_answer() {
    let scan = (0..20_000).map(|n| {
        let what = format!("10.200.0.1 > {}:53 dns", forged(n));
        conn(at(5, 19, 0) + n / 20, &what, 0, 60, 90)
    });
    check((scan.collect(), Vec::new()), &[]);
}

#[test]
fn numbers_at_their_ends_and_wild_times() {
    let mut attack = Lines::new();
    let mut add = |minute: i64, line: String| attack.push((at(5, 19, 0) + minute, line));
    let ends = [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 50, 0, 1];
    let durations = ["-1", "-99999999", "3153600000", "9223372036854", "0.000001", "-"];
    for n in 0..3000_usize {
        let what = format!("10.200.0.{} > 203.0.113.{}:443 ssl", n % 3, n % 7);
        let now = START + at(5, 19, 0) + n as i64;
        let (year, wild) = (31_536_000, n.is_multiple_of(17));
        let ts = match n % 3 {
            _ if !wild => now,
            0 => now + year + n as i64 * 100_000,
            1 => now - year,
            _ => 0,
        };
        let duration = durations[if wild { 4 } else { n % 6 }];
        let line = odd(&ts.to_string(), &what, duration, ends[n % 6], ends[n / 6 % 6]);
        let mut words: Vec<&str> = line.split('\t').collect();
        let missed = ends[n / 36 % 6].to_string();
        words[11] = &missed;
        add(n as i64, words.join("\t"));
    }
    for (column, text) in
        [(0, "NaN"), (0, "inf"), (0, "-inf"), (0, "1e999"), (8, "nan"), (8, "inf"), (9, "NaN")]
    {
        let line =
            odd(&(START + at(5, 19, 0)).to_string(), "10.200.0.9 > 203.0.113.9:443 ssl", "1", 5, 5);
        let mut words: Vec<&str> = line.split('\t').collect();
        words[column] = text;
        add(0, words.join("\t"));
    }
    let run = check((attack, Vec::new()), &[]);
    let letters: Vec<String> =
        run.letters().iter().map(|it| format!("{} {}", it["reason"], it["detail"])).collect();
    assert_eq!(letters.len(), 7, "{letters:#?}");
}
