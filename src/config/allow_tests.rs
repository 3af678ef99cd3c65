//! Tests of allow-lists: a text in, all its mistakes or what it matches out.

use super::tests::shown;
use super::{Mistake, parse_allow_list};
use crate::base::address::Addr;
use crate::base::host::host_name;
use crate::base::score::Ppm;
use crate::base::time::Time;
use crate::record::{Entity, Evidence, Names, Scope};
use crate::risk::AllowList;

const STAGES: &[&str] = &["long-connection", "http-oddities"];

fn parse(text: &str) -> Result<AllowList, Vec<Mistake>> {
    parse_allow_list(text.to_owned(), "allow.toml", STAGES)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let mistakes = parse(text).map_or_else(|mistakes| shown(&mistakes), |_| String::new());
    assert_eq!(mistakes.trim(), expected.trim(), "{text}");
}

/// An entry with what it must have, and `lines`.
fn entry(lines: &str) -> String {
    let lines = lines.replace("; ", "\n");
    format!(
        "[[allow]]\nid = \"x\"\nreason = \"r\"\nauthor = \"a\"\nexpires = 2030-01-01\n{lines}\n"
    )
}

const FAULTY: &str = r#"
title = "ours"
[[allow]]
id = "Backup"
reson = "nightly"
author = " "
expires = "next year"
entity = "10.0.0.5"
peer = ["203.0.113.0/33", 7]
hours = "22-4"
days = ["Sat"]
[[allow]]
id = "alert-budget"
reason = "r"
author = "a"
expires = 2026-12-01
from = 2026-12-24
detector = "long-conection"
[[allow]]
id = "a"
reason = "r"
author = "a"
expires = 2026-12-01T10:00:00
[[allow]]
id = "a"
reason = 5
author = "a"
expires = 2027-02-30
domain = ["*.*.com", "a b", ""]
user_agent = []
cidr = 10
[[allowed]]
"#;

const MISTAKES: &str = r#"
allow.toml:2:1: unknown key "title" outside of any table
    hint: title belongs in [[allow]]
allow.toml:3:1: reason is missing in [[allow]]
allow.toml:4:6: id may have a-z, 0-9 and - only, at most 64 of them
    hint: such as "backup-host": metrics count by it
allow.toml:5:1: unknown key "reson" in [[allow]]
    hint: did you mean "reason"?
    known: id, reason, author, expires, MATCHERS
allow.toml:6:10: author must not be empty
    hint: somebody will ask for it
allow.toml:7:11: expires must be a date, or a date and a time with its offset
    hint: such as 2027-01-31, which is its first moment in UTC, or 2027-01-31T18:00:00Z
allow.toml:8:10: entity cannot be "10.0.0.5"
    hint: such as "host:10.0.0.5", "user:alice", "host:10.0.*"
allow.toml:9:9: "203.0.113.0/33" is not a network in CIDR notation
    hint: an address and the bits of its prefix, such as "10.0.0.0/8"
allow.toml:9:27: an element of peer must be text, not a whole number
allow.toml:10:9: hours must be two different times of the day
    hint: such as "22:00-04:00", in UTC
allow.toml:11:9: days cannot be "Sat"
    hint: did you mean "sat"?
    known: mon, tue, wed, thu, fri, sat, sun
allow.toml:13:6: id is a name that the program uses
    hint: take another one
allow.toml:16:11: expires must be later than from
    hint: else it is for no time
allow.toml:18:12: detector cannot be "long-conection"
    hint: did you mean "long-connection"?
    known: long-connection, http-oddities
allow.toml:19:1: nothing says what [[allow]] is for
    hint: give at least one of these
    known: MATCHERS
allow.toml:23:11: expires must be a date, or a date and a time with its offset
    hint: such as 2027-01-31, which is its first moment in UTC, or 2027-01-31T18:00:00Z
allow.toml:25:6: "a" is given twice
    hint: keep one of the two
allow.toml:26:10: reason must be text, not a whole number
allow.toml:28:11: invalid date, expected day between 01 and 28
allow.toml:29:11: domain cannot be "*.*.com"
    hint: such as "example.com", or "*.example.com" for it and all below it
allow.toml:29:22: domain cannot be "a b"
    hint: such as "example.com", or "*.example.com" for it and all below it
allow.toml:29:29: domain cannot be ""
    hint: such as "example.com", or "*.example.com" for it and all below it
allow.toml:30:14: user_agent must not be empty
    hint: without it, it holds for all
allow.toml:31:8: cidr must be text or a list of texts, not a whole number
allow.toml:32:3: unknown table [allowed]
    known: allow
"#;

#[test]
fn every_mistake_at_once() {
    let matchers = "entity, peer, cidr, domain, detector, user_agent, from, until, hours, days";
    check(FAULTY, &MISTAKES.replace("MATCHERS", matchers));
}

#[test]
fn what_is_no_list_of_tables() {
    check(
        "[allow]\nid = 1\n",
        "allow.toml:1:2: allow must be a list of tables, each [[allow]], not a table",
    );
    check(
        "allow = [3]",
        "allow.toml:1:10: an element of allow must be a table, not a whole number",
    );
    check(
        "[[allow]]\nid = x\n[[allow]\nreason = 5\n",
        r#"
allow.toml:2:6: "x" is not a value
    hint: write it in quotes: "x"
allow.toml:3:9: unclosed array table, expected `]`
"#,
    );
    check("", "");
    check("# nothing yet\n", "");
    check(&("\u{feff}".to_owned() + &entry("peer = \"192.0.2.1\"")), "");
}

#[test]
fn the_documented_list_is_right() {
    let text = include_str!("../../docs/allow-lists.md");
    let example = text.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let list = parse(example).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    assert_eq!(list.ids().collect::<Vec<_>>(), ["backup-host", "inventory-scanner"]);
    let backup = "long-connection 10.0.0.5 10.0.0.5 203.0.113.9 - -";
    let scan = "http-oddities 10.9.4.7 10.9.4.7 192.0.2.1 - inventory/2";
    let other = "http-oddities 10.9.4.7 10.9.4.7 192.0.2.1 - curl/8";
    for (what, expected) in [(backup, "backup-host"), (scan, "inventory-scanner"), (other, "none")]
    {
        let found = list.find(&evidence(what, SATURDAY), &Scope::Network);
        assert_eq!(found.unwrap_or("none"), expected);
    }
}

#[test]
fn lists_are_bounded() {
    let count = crate::base::limits::ALLOW_ENTRIES_MAX;
    let one = |n: usize| entry("peer = \"192.0.2.1\"").replace("\"x\"", &format!("\"x{n}\""));
    let many: String = (0..count).map(one).collect();
    assert_eq!(parse(&many).unwrap().ids().count(), count);
    let line = many.lines().count() + 1;
    let says = format!("allow.toml:{line}:1: [[allow]] has more than 10000 entries");
    check(&(many + &one(count) + "[[allow]]\n"), &says);
    let mistakes = parse(&"[[allow]]\nx = 1\n".repeat(500)).unwrap_err();
    assert_eq!(mistakes.len(), 101);
}

/// `stage entity source destination domain agent`, of this time; `-` is nothing.
fn evidence(text: &str, time: &str) -> Evidence {
    let fields: Vec<&str> = text.split(' ').collect();
    let [stage, entity, source, destination, domain, agent] = fields[..] else { panic!("{text}") };
    let given = |text: &str| (text != "-").then(|| text.to_owned());
    let addr = |text: &str| Addr::parse(text.as_bytes());
    let time = Time::parse_iso(time.as_bytes()).unwrap();
    Evidence {
        stage: STAGES.iter().position(|name| *name == stage).unwrap(),
        entity: match entity.split_once(':') {
            Some(("user", name)) => Entity::user(name.as_bytes()).unwrap(),
            _ => Entity::Host(addr(entity).unwrap()),
        },
        subject: Vec::new(),
        time,
        window: (time, time),
        score: Ppm::new(1_000_000),
        reasons: Vec::new(),
        techniques: &[],
        records: Vec::new(),
        source: addr(source),
        destination: addr(destination),
        names: Names {
            domain: host_name(domain.as_bytes()).filter(|it| it != "-"),
            user_agent: given(agent),
            user: None,
        },
        may_alert: true,
    }
}

/// A Saturday, with everything in it.
const SATURDAY: &str = "2026-11-28T23:30:00Z";
const ODD: &str = "http-oddities 10.0.0.5 10.0.0.5 203.0.113.9 WWW.Example.com:8080 curl/8.5.0";

fn id(text: &str, evidence: &Evidence, scope: &Scope) -> String {
    let list = parse(text).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)));
    list.find(evidence, scope).unwrap_or("none").to_owned()
}

/// Whether an entry with these lines matches.
#[track_caller]
fn matches(lines: &str, what: &str, time: &str, expected: bool) {
    let found = id(&entry(lines), &evidence(what, time), &Scope::Network);
    assert_eq!(found == "x", expected, "{lines}: {what} at {time}");
}

#[test]
fn matchers() {
    for (lines, expected) in [
        ("entity = 'host:10.0.0.5'", true),
        ("entity = 'host:::ffff:10.0.0.5'", true),
        ("entity = 'host:10.0.0.50'", false),
        ("entity = 'host:10.0.0.*'", true),
        ("entity = '*.5'", true),
        ("entity = '*'", true),
        ("entity = 'user:*'", false),
        ("entity = ['user:alice', 'host:10.0.0.5']", true),
        ("cidr = '10.0.0.0/24'", true),
        ("cidr = '10.0.0.5'", true),
        ("cidr = '203.0.113.0/24'", false),
        ("peer = '203.0.113.9'", true),
        ("peer = '203.0.113.0/28'", true),
        ("peer = ['198.51.100.1', '203.0.113.9/32']", true),
        ("peer = '10.0.0.5'", false),
        ("peer = '0.0.0.0/0'", true),
        ("peer = '2000::/3'", false),
        ("domain = 'www.example.com'", true),
        ("domain = 'WWW.example.COM.'", true),
        ("domain = 'example.com'", false),
        ("domain = '*.example.com'", true),
        ("domain = '*.www.example.com'", true),
        ("domain = '*.com'", true),
        ("domain = '*.ple.com'", false),
        ("detector = 'http-oddities'", true),
        ("detector = 'long-connection'", false),
        ("detector = ['long-connection', 'http-oddities']", true),
        ("user_agent = 'curl/*'", true),
        ("user_agent = 'curl'", false),
        ("user_agent = '*8.5*'", true),
        ("entity = 'host:10.0.0.5'; peer = '203.0.113.9'; detector = 'http-oddities'", true),
        ("entity = 'host:10.0.0.5'; peer = '203.0.113.8'; detector = 'http-oddities'", false),
        ("entity = 'host:10.0.0.5'; peer = '203.0.113.9'; user_agent = 'wget*'", false),
    ] {
        matches(lines, ODD, SATURDAY, expected);
    }
    let long = "long-connection 10.0.0.5 - - - -";
    for lines in ["peer = '::/0'", "peer = '0.0.0.0/0'", "domain = '*.com'", "user_agent = '*'"] {
        matches(lines, long, SATURDAY, false);
    }
    matches("cidr = '10.0.0.0/8'", long, SATURDAY, true);
}

#[test]
fn sides() {
    // As responder, as a /64, as a user on a machine.
    let answered = "http-oddities 10.0.0.5 203.0.113.9 10.0.0.5 - -";
    matches("cidr = '10.0.0.0/8'; peer = '203.0.113.9'", answered, SATURDAY, true);
    matches("peer = '10.0.0.5'", answered, SATURDAY, false);
    let network = "http-oddities fd00:: fd00::1 2001:db8::1 - -";
    matches("cidr = 'fd00::1'; peer = '2001:db8::1'", network, SATURDAY, true);
    matches("entity = 'host:FD00::'", network, SATURDAY, true);
    let user = "http-oddities user:alice@corp 10.0.0.5 203.0.113.9 - -";
    matches("entity = 'user:CORP\\Alice'", user, SATURDAY, true);
    matches("entity = 'user:CORP\\A*'", user, SATURDAY, true);
    matches("entity = 'user:alice'", user, SATURDAY, false);
    matches("entity = '*@CORP'", user, SATURDAY, true);
    matches("entity = '*:Alice@*'", user, SATURDAY, true);
    matches("entity = '*@CORPS'", user, SATURDAY, false);
    matches("cidr = '10.0.0.0/8'; peer = '203.0.113.9'", user, SATURDAY, true);
    let scope = Scope::Sensor("s-1".into());
    for (entity, expected) in [
        ("host:10.0.0.5@s-1", "x"),
        ("host:10.0.0.5", "x"),
        ("host:*@s-1", "x"),
        ("host:10.0.0.5@s-2", "none"),
    ] {
        let text = entry(&format!("entity = '{entity}'"));
        assert_eq!(id(&text, &evidence(ODD, SATURDAY), &scope), expected, "{entity}");
    }
}

#[test]
fn times() {
    let one = "entity = '*'; ";
    for (lines, time, expected) in [
        ("expires", "2029-12-31T23:59:59.999999Z", true),
        ("expires", "2030-01-01T00:00:00Z", false),
        ("from = 2026-11-28T23:30:00Z", SATURDAY, true),
        ("from = '2026-11-29T00:30:00+01:00'", SATURDAY, true),
        ("from = '2026-11-28T23:30:00.000001Z'", SATURDAY, false),
        ("from = 2026-11-28", SATURDAY, true),
        ("until = 2026-11-28T23:30:00Z", SATURDAY, false),
        ("until = 2026-11-29", SATURDAY, true),
        ("until = 2026-11-28", SATURDAY, false),
        ("hours = '22:00-04:00'", SATURDAY, true),
        ("hours = '22:00-04:00'", "2026-11-29T03:59:59Z", true),
        ("hours = '22:00-04:00'", "2026-11-29T04:00:00Z", false),
        ("hours = '22:00-04:00'", "2026-11-28T21:59:59Z", false),
        ("hours = '23:30-24:00'", SATURDAY, true),
        ("hours = '23:00-23:30'", SATURDAY, false),
        ("hours = '22:00-04:00'; days = ['sat']", SATURDAY, true),
        ("hours = '22:00-04:00'; days = 'sat'", "2026-11-29T03:00:00Z", true),
        ("hours = '22:00-04:00'; days = 'sun'", "2026-11-29T03:00:00Z", false),
        ("hours = '22:00-04:00'; days = 'fri'", "2026-11-28T03:00:00Z", true),
        ("hours = '22:00-04:00'; days = 'fri'", SATURDAY, false),
        ("days = ['sat', 'sun']", SATURDAY, true),
        ("days = ['sat', 'sun']", "2026-11-30T00:00:00Z", false),
        ("days = 'mon'", "2026-11-30T00:00:00Z", true),
        ("days = 'wed'", "1969-12-31T23:59:59Z", true),
    ] {
        let lines = if lines == "expires" { String::new() } else { lines.to_owned() };
        matches(&(one.to_owned() + &lines), ODD, time, expected);
    }
    let refused = |lines: &str| parse(&entry(lines)).unwrap_err()[0].to_string();
    for hours in
        ["24:00-04:00", "22:00-22:00", "22:00-25:00", "+2:00-04:00", "2:00-4:00", "22:60-23:00"]
    {
        let said = refused(&format!("hours = '{hours}'"));
        assert!(said.contains("hours must be two different times"), "{hours}: {said}");
    }
    for time in ["2026-02-29", "2026-11-28T23:30:00", "2026-11-28 23:30", "é026-11-2", "26-11-28"]
    {
        let said = refused(&format!("from = '{time}'"));
        assert!(said.contains("from must be a date"), "{time}: {said}");
    }
}

#[test]
fn the_first_entry_gets_it() {
    let named = |id: &str, lines: &str| entry(lines).replace("\"x\"", &format!("\"{id}\""));
    let domain = named("domain", "domain = '*.example.com'");
    let peer = named("peer", "peer = '203.0.113.9'");
    let entity = named("entity", "entity = 'host:10.0.0.5'");
    let other = named("other", "entity = 'host:10.0.0.6'");
    let detector = named("detector", "detector = 'http-oddities'");
    let all = [&domain, &peer, &entity, &other, &detector];
    for (at, expected) in ["domain", "peer", "entity", "detector", "detector"].iter().enumerate() {
        let text: String = all[at..].iter().copied().cloned().collect();
        assert_eq!(id(&text, &evidence(ODD, SATURDAY), &Scope::Network), *expected);
        let text: String = all[at..].iter().rev().copied().cloned().collect();
        assert_eq!(id(&text, &evidence(ODD, SATURDAY), &Scope::Network), "detector");
    }
}

#[test]
fn no_text_panics() {
    let pieces = [
        "[[allow]]\n",
        "[allow]\n",
        "id",
        "expires",
        " = ",
        "'",
        "\"",
        "2030-01-01",
        "host:",
        "user:",
        "*",
        "[",
        "]",
        ",",
        "\n",
        "entity",
        "hours",
        "22:00-",
        "é",
        "\0",
        "days",
        "peer",
        "10.0.0.0/8",
    ];
    let mut dice = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text += pieces[(dice >> 33) as usize % pieces.len()];
        }
        drop(parse(&text));
    }
}
