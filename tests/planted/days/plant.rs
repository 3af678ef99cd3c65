//! What is planted in the days of the office, and its truth.
//!
//! Not here: whether it is found (`judge`).

use super::super::evaluation::{DAY, DAY_0, Dice, HOUR, MINUTE, SECOND};
use super::columns::Kind;
use super::office::{DAYS, Host, MEMBERS, Office, at, between};
use super::write::{Logs, RESOLVER, id, seconds};

/// A variation of the days.
pub(crate) struct Planting {
    pub(crate) name: &'static str,
    /// What happens, in words.
    pub(crate) what: &'static str,
    /// Whom an alert has to name; nobody where it is innocent.
    pub(crate) guilty: Option<String>,
    /// Who must not alert for it.
    pub(crate) innocent: Vec<String>,
    /// From when to when.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// A connection that is made up.
struct Flow<'a> {
    from: &'a str,
    to: &'a str,
    port: u16,
    service: &'a str,
    state: &'a str,
    sent: u64,
    received: u64,
    lasts: i64,
}

const PLAIN: Flow<'_> = Flow {
    from: "",
    to: "",
    port: 443,
    service: "ssl",
    state: "SF",
    sent: 1000,
    received: 3000,
    lasts: SECOND,
};

/// Adds a planting to the logs.
type Plant = fn(&Office, &mut Dice, &mut Logs) -> Planting;

const ALL: [(&str, Plant); 10] = [
    ("scanner", scanner),
    ("slow-scanner", slow_scanner),
    ("server", server),
    ("uploader-new", uploader_new),
    ("uploader-known", uploader_known),
    ("night-worker", night_worker),
    ("night-machine-on", night_machine_on),
    ("dns-heavy", dns_heavy),
    ("slow-growth", slow_growth),
    ("new-software", new_software),
];

/// The names of all plantings.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Adds the planting of this name.
pub(crate) fn plant(name: &str, office: &Office, logs: &mut Logs) -> Planting {
    let (_, plant) = ALL.iter().find(|(known, _)| *known == name).expect("a known planting");
    plant(office, &mut Dice::new(&["plant", name]), logs)
}

fn guilty(host: &Host, (name, what): (&'static str, &'static str), from: i64, to: i64) -> Planting {
    Planting { name, what, guilty: Some(host.entity()), innocent: Vec::new(), from, to }
}

/// Addresses of the office, most of which nobody has.
fn target(office: &Office, dice: &mut Dice) -> (String, bool) {
    let address = format!("10.20.{}.{}", dice.below(8), 1 + dice.below(254));
    let is_there = office.hosts.iter().any(|host| host.address == address);
    (address, is_there)
}

fn probe(office: &Office, host: &Host, port: u16, time: i64, dice: &mut Dice, logs: &mut Logs) {
    let (to, is_there) = target(office, dice);
    let state = if is_there { "REJ" } else { "S0" };
    let flow = Flow { from: &host.address, to: &to, port, service: "-", state, ..PLAIN };
    connection(&flow, time, dice, logs);
}

fn scanner(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(1, 2);
    let (from, to) = (at(16, 14, 0), at(16, 14, 20));
    for _ in 0..1200 {
        probe(office, host, 445, between(from, to, dice), dice, logs);
    }
    guilty(host, ("scanner", "1,200 probes of port 445 inside, in 20 minutes"), from, to)
}

fn slow_scanner(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(2, 4);
    let (from, to) = (at(15, 9, 0), at(18, 9, 0));
    let mut time = from;
    while time < to {
        time += between(2 * MINUTE, 6 * MINUTE, dice);
        let port = [22, 445, 3389][dice.below(3) as usize];
        probe(office, host, port, time, dice, logs);
    }
    let what = "a probe inside every 4 minutes for three days, ports 22, 445, 3389";
    guilty(host, ("slow-scanner", what), from, to)
}

fn server(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(2, 6);
    let (from, to) = (at(15, 10, 0), at(18, 17, 0));
    for client in 0..12 {
        let client = office.member(client % 4, 1 + client / 4 * 2);
        for hour in (0..DAYS * 24).map(|hour| hour * HOUR) {
            let is_work = (9..17).contains(&(hour.rem_euclid(DAY) / HOUR));
            if !(from..to).contains(&hour) || !is_work {
                continue;
            }
            for _ in 0..1 + dice.below(3) {
                let flow = Flow {
                    from: &client.address,
                    to: &host.address,
                    port: 8443,
                    sent: 2000 + dice.below(4000),
                    received: 20_000 + dice.below(200_000),
                    ..PLAIN
                };
                connection(&flow, between(hour, hour + HOUR, dice), dice, logs);
            }
        }
    }
    let what = "12 hosts come to its port 8443 in hours of work, for four days";
    guilty(host, ("server", what), from, to)
}

/// Sends a number of bytes in pieces, over TLS.
fn upload(
    host: &Host,
    name: &str,
    to: &str,
    pieces: &[(i64, u64)],
    dice: &mut Dice,
    logs: &mut Logs,
) {
    for (time, sent) in pieces {
        let lasts = (*sent as i64 / 4).max(SECOND);
        let received = 4000 + sent / 200;
        let flow = Flow { from: &host.address, to, sent: *sent, received, lasts, ..PLAIN };
        let uid = connection(&flow, *time, dice, logs);
        tls(&flow, name, *time, &uid, logs);
        ask(&host.address, name, Some(to), *time, dice, logs);
    }
}

fn uploader_new(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(1, 4);
    let (from, to) = (at(16, 15, 0), at(16, 16, 40));
    let pieces: Vec<(i64, u64)> =
        (0..30).map(|_| (between(from, to, dice), 40_000_000 + dice.below(20_000_000))).collect();
    upload(host, "storage.example.net", "203.0.113.77", &pieces, dice, logs);
    let what = "1.5 GB over TLS to a new destination, in 100 minutes";
    guilty(host, ("uploader-new", what), from, to)
}

fn uploader_known(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(3, 2);
    let (from, to) = (at(16, 11, 0), at(16, 15, 0));
    let pieces: Vec<(i64, u64)> =
        (0..40).map(|_| (between(from, to, dice), 15_000_000 + dice.below(10_000_000))).collect();
    upload(host, "www.example.com", &office.known_destination(host), &pieces, dice, logs);
    let what = "800 MB over TLS to the destination that it sends most to, in four hours of work";
    guilty(host, ("uploader-known", what), from, to)
}

/// The usual sessions of a host, at night.
fn by_night(office: &Office, host: &Host, dice: &mut Dice, logs: &mut Logs) -> (i64, i64) {
    for day in 15..18 {
        for minute in (0..180).filter(|_| dice.percent(12)).collect::<Vec<i64>>() {
            let which = host.repertoire[dice.below(host.repertoire.len() as u64) as usize];
            office.live(host, which, at(day, 1, minute), dice, logs);
        }
    }
    (at(15, 1, 0), at(17, 4, 0))
}

fn night_worker(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(1, 6);
    let (from, to) = by_night(office, host, dice, logs);
    let what = "its usual sessions from 1:00 to 4:00, three nights, where it was never on at night";
    guilty(host, ("night-worker", what), from, to)
}

fn night_machine_on(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(0, 7);
    let (from, to) = by_night(office, host, dice, logs);
    let what = "likewise, where it stays on at night and does little";
    guilty(host, ("night-machine-on", what), from, to)
}

fn dns_heavy(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(1, 3);
    let (from, to) = (at(16, 11, 0), at(16, 13, 0));
    for _ in 0..6000 {
        let label = id('t', dice).to_lowercase();
        let name = format!("{label}{}.cdn.example.org", id('x', dice).to_lowercase());
        ask(&host.address, &name, None, between(from, to, dice), dice, logs);
    }
    let what = "6,000 names below one domain, of 40 random letters each, in two hours";
    guilty(host, ("dns-heavy", what), from, to)
}

fn slow_growth(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let host = office.member(3, 6);
    let to_whom = office.known_destination(host);
    let mut daily = 4_000_000_u64;
    for day in (0..DAYS).filter(|day| day % 7 < 5) {
        let pieces: Vec<(i64, u64)> =
            (9..17).map(|hour| (at(day, hour, 0) + between(0, HOUR, dice), daily / 8)).collect();
        upload(host, "www.example.com", &to_whom, &pieces, dice, logs);
        daily = daily * 27 / 20;
    }
    let what =
        "4 MB a day to the destination that it sends most to, and 35 % more on each day of work";
    guilty(host, ("slow-growth", what), at(0, 9, 0), at(DAYS - 3, 17, 0))
}

fn new_software(office: &Office, dice: &mut Dice, logs: &mut Logs) -> Planting {
    let (from, to) = (at(16, 9, 0), at(DAYS, 0, 0));
    for member in 0..MEMBERS - 1 {
        let host = office.member(1, member);
        let first = between(from, at(16, 11, 0), dice);
        for (n, size) in [60_000_000, 25_000_000, 8_000_000, 300_000].into_iter().enumerate() {
            let to = format!("198.51.100.{}", 20 + n);
            let uri = format!("/suite/12.1/part-{n}.bin");
            let time = first + n as i64 * MINUTE;
            let agent = "SuiteUpdater/12.1 (Windows NT 10.0; x64)";
            fetch((&host.address, &to), (&uri, agent), (2000, size), time, dice, logs);
        }
        for day in 16..DAYS {
            if day % 7 >= 5 {
                continue;
            }
            for minute in (0..8 * 60).filter(|_| dice.percent(8)).collect::<Vec<i64>>() {
                let time = at(day, 9, minute).max(first + 5 * MINUTE);
                let to = format!("198.51.100.{}", 30 + dice.below(6));
                let sent = 10_000 + dice.below(60_000);
                let agent = "Suite/12.1 (Windows NT 10.0; x64)";
                fetch((&host.address, &to), ("/sync", agent), (sent, 5000), time, dice, logs);
            }
        }
    }
    let innocent = (0..MEMBERS - 1).map(|member| office.member(1, member).entity()).collect();
    let what = "nine hosts of a department get other programs within two hours: new user agents, \
                new destinations, 93 MB fetched, and from then on more sent";
    Planting { name: "new-software", what, guilty: None, innocent, from, to }
}

/// A request and its answer, with what belongs to it.
fn fetch(
    (from, to): (&str, &str),
    (uri, agent): (&str, &str),
    (sent, received): (u64, u64),
    time: i64,
    dice: &mut Dice,
    logs: &mut Logs,
) {
    let flow = Flow {
        from,
        to,
        port: 80,
        service: "http",
        sent,
        received,
        lasts: SECOND + received as i64 / 10,
        ..PLAIN
    };
    let uid = connection(&flow, time, dice, logs);
    let method = if sent > received { "POST" } else { "GET" };
    ask(from, "cdn.suite.example.com", Some(to), time, dice, logs);
    let (sent, received) = (sent.to_string(), received.to_string());
    let cells = [
        ("trans_depth", "1"),
        ("method", method),
        ("host", "cdn.suite.example.com"),
        ("uri", uri),
        ("version", "1.1"),
        ("user_agent", agent),
        ("request_body_len", if method == "POST" { sent.as_str() } else { "0" }),
        ("response_body_len", &received),
        ("status_code", "200"),
        ("status_msg", "OK"),
    ];
    row(Kind::Http, &flow, &uid, time, &cells, logs);
}

fn tls(flow: &Flow<'_>, name: &str, time: i64, uid: &str, logs: &mut Logs) {
    let cells = [
        ("version", "TLSv13"),
        ("cipher", "TLS_AES_256_GCM_SHA384"),
        ("curve", "x25519"),
        ("server_name", name),
        ("resumed", "F"),
        ("established", "T"),
    ];
    row(Kind::Ssl, flow, uid, time, &cells, logs);
}

/// Asks the resolver for a name.
fn ask(from: &str, name: &str, answer: Option<&str>, time: i64, dice: &mut Dice, logs: &mut Logs) {
    let flow = Flow {
        from,
        to: RESOLVER,
        port: 53,
        service: "dns",
        sent: 30 + name.len() as u64,
        received: 60 + name.len() as u64,
        lasts: SECOND / 50,
        ..PLAIN
    };
    let time = time - SECOND / 10;
    let uid = connection(&flow, time, dice, logs);
    let trans = dice.below(65_536).to_string();
    let cells = [
        ("proto", "udp"),
        ("trans_id", trans.as_str()),
        ("rtt", "0.020000"),
        ("query", name),
        ("qclass", "1"),
        ("qclass_name", "C_INTERNET"),
        ("qtype", if answer.is_some() { "1" } else { "16" }),
        ("qtype_name", if answer.is_some() { "A" } else { "TXT" }),
        ("rcode", "0"),
        ("rcode_name", "NOERROR"),
        ("AA", "F"),
        ("TC", "F"),
        ("RD", "T"),
        ("RA", "T"),
        ("Z", "0"),
        ("answers", answer.unwrap_or("TXT 12 aGVsbG8gd29y")),
        ("TTLs", "60.000000"),
        ("rejected", "F"),
    ];
    row(Kind::Dns, &flow, &uid, time, &cells, logs);
}

/// A row of a connection; its uid.
fn connection(flow: &Flow<'_>, time: i64, dice: &mut Dice, logs: &mut Logs) -> String {
    let uid = id('C', dice);
    let is_udp = flow.service == "dns";
    let is_met = flow.state == "SF";
    let bytes = |bytes: u64| if is_met { bytes } else { 0 };
    let (sent, received) = (bytes(flow.sent), bytes(flow.received));
    let packets = |own: u64, other: u64| {
        if is_udp { own.div_ceil(1400) } else { own.div_ceil(1448) + other.div_ceil(2896) + 3 }
    };
    let header = if is_udp { 28 } else { 52 };
    let (orig, resp) = match flow.state {
        "S0" => (2, 0),
        "REJ" => (1, 1),
        _ => (packets(sent, received), packets(received, sent)),
    };
    let history = match (flow.state, is_udp) {
        ("S0", _) => "S",
        ("REJ", _) => "Sr",
        (_, true) => "Dd",
        _ => "ShADadFf",
    };
    let local = |address: &str| if address.starts_with("10.20.") { "T" } else { "F" };
    let unset = |number: String| if flow.state == "S0" { "-".to_owned() } else { number };
    let cells = [
        ("proto", if is_udp { "udp" } else { "tcp" }.to_owned()),
        ("service", flow.service.to_owned()),
        ("duration", unset(seconds(if is_met { flow.lasts } else { 200 }))),
        ("orig_bytes", unset(sent.to_string())),
        ("resp_bytes", unset(received.to_string())),
        ("conn_state", flow.state.to_owned()),
        ("local_orig", local(flow.from).to_owned()),
        ("local_resp", local(flow.to).to_owned()),
        ("missed_bytes", "0".to_owned()),
        ("history", history.to_owned()),
        ("orig_pkts", orig.to_string()),
        ("orig_ip_bytes", (sent + header * orig).to_string()),
        ("resp_pkts", resp.to_string()),
        ("resp_ip_bytes", (received + header * resp).to_string()),
    ];
    let cells: Vec<(&str, &str)> =
        cells.iter().map(|(name, cell)| (*name, cell.as_str())).collect();
    row(Kind::Conn, flow, &uid, time, &cells, logs);
    uid
}

/// A row with these cells, and what all rows of a connection have.
fn row(kind: Kind, flow: &Flow<'_>, uid: &str, time: i64, cells: &[(&str, &str)], logs: &mut Logs) {
    let mut all = vec!["-".to_owned(); kind.columns().len()];
    let own = 32_768 + Dice::new(&[uid]).below(28_000);
    let common = [
        ("ts", seconds(DAY_0 + time)),
        ("uid", uid.to_owned()),
        ("id.orig_h", flow.from.to_owned()),
        ("id.orig_p", own.to_string()),
        ("id.resp_h", flow.to.to_owned()),
        ("id.resp_p", flow.port.to_string()),
    ];
    for (name, cell) in common {
        all[kind.at(name)] = cell;
    }
    for (name, cell) in cells {
        all[kind.at(name)] = (*cell).to_owned();
    }
    let is_met = flow.state == "SF";
    let lasts = if kind == Kind::Conn && is_met { flow.lasts } else { 0 };
    logs.push(kind, time + lasts, &all);
}
