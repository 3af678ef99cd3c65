//! Tests of reading: a text in, all its mistakes as text out.

use super::{Mistake, Plan, SECTIONS, StageKeys, resolve};
use crate::base::keys::{KeyDef, Kind};
use crate::document::{Redaction, Rule, Shown};
use crate::engine::Emit;
use crate::record::Log;

pub(super) const STAGES: &[StageKeys] = &[
    StageKeys { name: "long-connection", group: "command-and-control", keys: LONG_CONNECTION },
    StageKeys { name: "http-oddities", group: "web", keys: HTTP_ODDITIES },
];

const LONG_CONNECTION: &[KeyDef] = &[
    enabled("score connections that stay open"),
    weight("40"),
    alert("0.6"),
    HALF_LIFE,
    KeyDef {
        name: "max_open",
        kind: Kind::Integer { min: 1, max: 10_000_000 },
        default: Some("100000"),
        example: "",
        doc: "connections remembered so that each alerts once",
    },
];

const HTTP_ODDITIES: &[KeyDef] = &[
    enabled("score HTTP requests that no browser would send"),
    weight("25"),
    alert("0.5"),
    HALF_LIFE,
];

const fn enabled(doc: &'static str) -> KeyDef {
    KeyDef { name: "enabled", kind: Kind::Flag, default: Some("true"), example: "", doc }
}

const fn weight(default: &'static str) -> KeyDef {
    KeyDef {
        name: "weight",
        kind: Kind::Real { min: 0.0, max: 100.0 },
        default: Some(default),
        example: "",
        doc: "points that a certain finding adds to the risk of an entity",
    }
}

const fn alert(default: &'static str) -> KeyDef {
    KeyDef {
        name: "alert",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: Some(default),
        example: "",
        doc: "score from which a finding is an alert",
    }
}

const HALF_LIFE: KeyDef = KeyDef {
    name: "half_life",
    kind: Kind::Duration { min_us: 60_000_000, max_us: 86_400_000_000_000 },
    default: None,
    example: r#""24h""#,
    doc: "time in which what it found falls to a half",
};

/// Resolves a text with `--set` items and compares all mistakes, one below the other.
fn check_with(text: &str, sets: &[&str], expected: &str) {
    let sets: Vec<String> = sets.iter().map(|&item| item.to_owned()).collect();
    let found = match resolve(text, "pipeline.toml", &sets, STAGES) {
        Ok(_) => String::new(),
        Err(mistakes) => shown(&mistakes),
    };
    let (_, keys) = SECTIONS.iter().find(|(name, _)| *name == "risk").unwrap();
    let keys: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let expected = expected.replace("<keys of risk>", &keys.join(", "));
    assert_eq!(found.trim_end(), expected.trim_matches('\n').trim_end(), "\n{found}");
}

pub(super) fn check(text: &str, expected: &str) {
    check_with(text, &[], expected);
}

pub(super) fn shown(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

pub(super) fn plan(text: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|&item| item.to_owned()).collect();
    resolve(text, "pipeline.toml", &sets, STAGES).unwrap_or_else(|m| panic!("{}", shown(&m)))
}

#[test]
fn defaults() {
    let plan = plan("", &[]);
    assert_eq!(plan.sensor_id, "sensor-1");
    assert_eq!(plan.internal, None);
    assert_eq!((plan.line_bytes_max, plan.lateness_us), (1024 * 1024, 300_000_000));
    assert!(plan.fields.is_empty() && plan.alias.is_empty());
    assert_eq!((plan.emit, plan.shown), (Emit::All, Shown::Both));
    assert_eq!(plan.redact.len(), 4);
    let rule = |field: &str, redaction| Rule { log: Log::Http, field: field.into(), redaction };
    let (first, third) = (rule("password", Redaction::Whole), rule("uri", Redaction::Userinfo));
    assert_eq!((plan.redact.first(), plan.redact.get(2)), (Some(&first), Some(&third)));
    assert!(!plan.by_sensor && !plan.by_64);
    assert_eq!((plan.entities_max, plan.half_life_us), (100_000, 86_400_000_000));
    let stages: Vec<_> =
        plan.stages.iter().map(|s| (s.name, s.enabled, s.weight_micro, s.alert_ppm)).collect();
    assert_eq!(
        stages,
        [
            ("long-connection", true, 40_000_000, 600_000),
            ("http-oddities", true, 25_000_000, 500_000)
        ]
    );
    assert_eq!(plan.stages.first().map(|s| s.settings.integer("max_open")), Some(100_000));
}

#[test]
fn many_mistakes_at_once() {
    check(
        r#"emit = "all"

[sensor]
id = ""
internal = ["10.0.0.0/8", "192.168.1.1",
  "fe80::/1o"]

[sorce]
lateness = "5m"

[source]
lateness = 5
line_bytes_max = "1kB"

[event]
emit = "scord"
redact = ["http.password", "htp.uri"]

[stage.http-oddities]
wieght = 3
alert = 1.5
enabled = "yes"
"#,
        r#"
pipeline.toml:1:1: unknown key "emit" outside of any table
    hint: emit belongs in [event]
    known: sensor, source, event, entity, risk, model, sink, http, state, stage
pipeline.toml:4:6: sensor.id must have 1 to 128 bytes and no control characters
pipeline.toml:5:27: "192.168.1.1" is not a network in CIDR notation
    hint: a single address is "192.168.1.1/32"
pipeline.toml:6:3: "fe80::/1o" is not a network in CIDR notation
    hint: an address and the bits of its prefix, such as "10.0.0.0/8"
pipeline.toml:8:2: unknown table [sorce]
    hint: did you mean [source]?
    known: sensor, source, event, entity, risk, model, sink, http, state, stage
pipeline.toml:12:12: source.lateness must be a duration, not 5
    hint: a whole number and one of ms, s, m, h, d, such as "90s"
pipeline.toml:13:18: source.line_bytes_max must be a size in bytes, not "1kB"
    hint: a whole number and one of B, KiB, MiB, GiB, such as "64KiB"
pipeline.toml:16:8: event.emit cannot be "scord"
    hint: did you mean "scored"?
    known: all, scored, none
pipeline.toml:17:28: "htp.uri" does not name a field of a log
    hint: <log>.<field> or <log>.<field>:userinfo of conn, open_conn, dns, http, files, ssl, quic
pipeline.toml:20:1: unknown key "wieght" in [stage.http-oddities]
    hint: did you mean "weight"?
    known: enabled, weight, alert, half_life
pipeline.toml:21:9: stage.http-oddities.alert must be from 0 to 1, not 1.5
pipeline.toml:22:11: stage.http-oddities.enabled must be true or false, not text
"#,
    );
}

/// A field that we do not know may be a site's own; one that is nearly ours is a slip.
#[test]
fn slips_in_names_of_fields() {
    check(
        r#"[source.alias]
src_ip = "id.orig_hh"
x = "site_x"
y = "id"
z = "id.orig_h"
q = "a\"b"
[event]
redact = ["http.pasword", "http.cookie_var:userinfo", "http.site_x", "dns.site", "conn.id_orig_h"]
"#,
        r#"
pipeline.toml:2:10: source.alias.src_ip names the field "id.orig_hh", which no log has
    hint: did you mean "id.orig_h"?
pipeline.toml:6:5: source.alias.q must have printable ASCII only, without quotes and backslashes
pipeline.toml:8:11: event.redact names the field "pasword", which http does not have
    hint: did you mean "password"?
pipeline.toml:8:27: event.redact names the field "cookie_var", which http does not have
    hint: did you mean "cookie_vars"?
"#,
    );
}

#[test]
fn syntax_errors_of_several_lines() {
    check(
        "[source]\nlateness = 5m\nline_bytes_max = \n[risk]\nhalf_lfe = \"1h\"\nhalf_life = \"1h\n",
        r#"
pipeline.toml:2:12: "5m" is not a value
    hint: write it in quotes: "5m"
pipeline.toml:3:18: a value is missing
pipeline.toml:5:1: unknown key "half_lfe" in [risk]
    hint: did you mean "half_life"?
    known: <keys of risk>
pipeline.toml:6:16: invalid basic string, expected `"`
"#,
    );
}

#[test]
fn nothing_follows_from_an_open_bracket() {
    check(
        "[sensor]\ninternal = [\"10.0.0.0/8\"\n[risk]\nhalf = 3\n",
        "pipeline.toml:3:1: missing comma between array elements, expected `,`",
    );
    check("[risk\nhalf = 3\n", "pipeline.toml:1:6: unclosed table, expected `]`");
}

#[test]
fn duplicates() {
    check(
        "[risk]\nhalf_life = \"1h\"\nhalf_life = \"2h\"\n[entity]\nmax = 0\n[risk]\n",
        r#"
pipeline.toml:3:1: "half_life" is given twice
    hint: keep one of the two
pipeline.toml:5:7: entity.max must be from 1 to 100000000, not 0
pipeline.toml:6:2: "risk" is given twice
    hint: keep one of the two
"#,
    );
    check(
        "[source.fields]\ndns = [\"ts\", \"uid\", \"ts\", \"\"]\nhttp = []\n",
        r#"
pipeline.toml:2:21: "ts" is given twice
    hint: keep one of the two
pipeline.toml:2:27: source.fields.dns has a column without a name
pipeline.toml:3:8: source.fields.http must name at least one column
"#,
    );
}

#[test]
fn tables_and_keys_in_each_others_place() {
    check(
        "source = 3\nrisk = [\"half_life\"]\n[[stage]]\n[sensor.id]\n[sensor.where]\nx = 1\n",
        r#"
pipeline.toml:1:10: [source] must be a table, not a whole number
pipeline.toml:2:8: [risk] must be a table, not a list
pipeline.toml:3:1: [stage] must be a table, not a list
pipeline.toml:4:1: sensor.id must be text, not a table
pipeline.toml:5:9: unknown table [sensor.where]
    known: id, internal
"#,
    );
    check(
        "[stage.http-odities]\nweight = 3\n[stage]\nx = 1\n",
        r#"
pipeline.toml:1:8: unknown table [stage.http-odities]
    hint: did you mean [stage.http-oddities]?
    known: long-connection, http-oddities
pipeline.toml:4:1: unknown key "x" in [stage]
    known: long-connection, http-oddities
"#,
    );
}

#[test]
fn ranges_and_types() {
    check(
        r#"sensor.id = 7
sensor.internal = "10.0.0.0/8"
source.lateness = "2d"
source.line_bytes_max = 100
source.alias = ["x"]
entity.max = 99999999999999999999
entity.ipv6 = "/65"
risk.half_life = "5 min"
stage.long-connection = { weight = nan, alert = -1, max_open = 1.0, enabled = 2020-01-01 }
stage.http-oddities = { weight = 1e400, alert = [] }
event = { redact = ["dns.query:path", 3, "http."], emit = 1 }
"#,
        r#"
pipeline.toml:1:13: sensor.id must be text, not a whole number
pipeline.toml:2:19: sensor.internal must be a list of networks, not text
pipeline.toml:3:19: source.lateness must be from 0s to 1d, not 2d
pipeline.toml:4:25: source.line_bytes_max must be from 4KiB to 64MiB, not 100
pipeline.toml:5:16: source.alias must be a table of texts, not a list
pipeline.toml:6:14: entity.max must be from 1 to 100000000, not 99999999999999999999
pipeline.toml:7:15: entity.ipv6 cannot be "/65"
    hint: did you mean "/64"?
    known: address, /64
pipeline.toml:8:18: risk.half_life must be a duration, not "5 min"
    hint: a whole number and one of ms, s, m, h, d, such as "90s"
pipeline.toml:9:36: stage.long-connection.weight must be from 0 to 100, not NaN
pipeline.toml:9:49: stage.long-connection.alert must be from 0 to 1, not -1
pipeline.toml:9:64: stage.long-connection.max_open must be a whole number, not a number
pipeline.toml:9:79: stage.long-connection.enabled must be true or false, not a date
pipeline.toml:10:34: stage.http-oddities.weight must be from 0 to 100, not inf
pipeline.toml:10:49: stage.http-oddities.alert must be a number, not a list
pipeline.toml:11:39: an element of event.redact must be text, not a whole number
pipeline.toml:11:59: event.emit must be text, not a whole number
"#,
    );
}

#[test]
fn columns_count_characters() {
    check(
        "\u{feff}sensor.internal = [\"é\", \"10.0.0.0/8\", \"ü\"]\r\n[\"sénsor\\u0007\"]\r\n",
        r#"
pipeline.toml:1:20: "é" is not a network in CIDR notation
    hint: an address and the bits of its prefix, such as "10.0.0.0/8"
pipeline.toml:1:39: "ü" is not a network in CIDR notation
    hint: an address and the bits of its prefix, such as "10.0.0.0/8"
pipeline.toml:2:2: unknown table ["sénsor\u{7}"]
    hint: did you mean [sensor]?
    known: sensor, source, event, entity, risk, model, sink, http, state, stage
"#,
    );
}

#[test]
fn aliases() {
    let given = plan("[source.alias]\nsrc_ip = \"id.orig_h\"\n\"dst.ip\" = \"id.resp_h\"\n", &[]);
    let pairs: Vec<_> = given.alias.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("dst.ip", "id.resp_h"), ("src_ip", "id.orig_h")]);
    assert_eq!(plan("source.alias = { src = 'ts' }", &[]).alias.len(), 1);
    check(
        "[source.alias]\ndst.ip = \"id.resp_h\"\nts = 3\n\"\" = \"ts\"\nx = \"\"\n",
        r#"
pipeline.toml:2:1: source.alias.dst must be text, not a table
    hint: a name with a dot in it stands in quotes: "a.b"
pipeline.toml:3:6: source.alias.ts must be text, not a whole number
pipeline.toml:4:6: source.alias."" has an empty name
pipeline.toml:5:5: source.alias.x has an empty name
"#,
    );
}

#[test]
fn set_lies_over_the_file() {
    let text = "[risk]\nhalf_life = \"1h\"\n[source.alias]\na = \"ts\"\n";
    let sets = [
        "risk.half_life=90m",
        " stage.http-oddities.weight = 7.5 ",
        "source.alias.\"b.c\"=uid",
        "sensor.id=a=b",
        "event={emit=\"none\"}",
        "source.fields.dns=[\"ts\"]",
        "sensor.internal=[\"10.1.2.3/8\", \"10.0.0.0/8\", \"::/0\"]",
    ];
    let given = plan(text, &sets);
    assert_eq!(given.half_life_us, 5_400_000_000);
    assert_eq!(given.stages.get(1).map(|s| s.weight_micro), Some(7_500_000));
    assert_eq!(given.alias.len(), 2);
    assert_eq!(given.sensor_id, "a=b");
    assert_eq!(given.emit, Emit::None);
    assert_eq!(given.fields.get(&Log::Dns), Some(&vec!["ts".to_owned()]));
    let internal: Vec<_> = given.internal.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(internal, ["10.0.0.0/8", "::/0"]);
    assert_eq!(plan(text, &["source.alias={}"]).alias.len(), 0);
    let replaced = plan("event = { emit = 'none', fields = 'ecs' }", &["event={fields='zeek'}"]);
    assert_eq!((replaced.emit, replaced.shown), (Emit::All, Shown::Zeek));
    let last = plan("", &["risk.half_life=2h", "risk.half_life=3h"]);
    assert_eq!(last.half_life_us, 10_800_000_000);
    assert_eq!(plan("risk.half_life = 3", &["risk.half_life=3h"]), last);
}

#[test]
fn mistakes_in_set() {
    check_with(
        "[entity]\nmax = -1\n",
        &[
            "source.lateness=soon",
            "stage.http-oddities.wieght=3",
            "stage.dns-oddities.weight=3",
            "stage.dns-oddities.alert=3",
            "sensor.id=42",
            "verbose",
            "=3",
            "a..b=3",
            "emit=all",
            "risk={half_live=\"1h\"}",
        ],
        r#"
pipeline.toml:2:7: entity.max must be from 1 to 100000000, not -1
--set verbose: this is not a setting
    hint: write it as key.path=value, such as source.lateness=90s
--set: this is not a setting
    hint: write it as key.path=value, such as source.lateness=90s
--set a..b: this is not a setting
    hint: write it as key.path=value, such as source.lateness=90s
--set source.lateness: source.lateness must be a duration, not "soon"
    hint: a whole number and one of ms, s, m, h, d, such as "90s"
--set stage.http-oddities.wieght: unknown key "wieght" in [stage.http-oddities]
    hint: did you mean "weight"?
    known: enabled, weight, alert, half_life
--set stage.dns-oddities.weight: unknown table [stage.dns-oddities]
    known: long-connection, http-oddities
--set sensor.id: sensor.id must be text, not a whole number
--set emit: unknown key "emit" outside of any table
    hint: emit belongs in [event]
    known: sensor, source, event, entity, risk, model, sink, http, state, stage
--set risk: unknown key "half_live" in [risk]
    hint: did you mean "half_life"?
    known: <keys of risk>
"#,
    );
}

#[test]
fn every_choice_has_a_meaning() {
    for (section, keys) in SECTIONS {
        for key in *keys {
            let Kind::Choice(words) = key.kind else { continue };
            let plans = words.iter().map(|word| {
                // A sink that is off has no meaning.
                let urls = "sink.elasticsearch.urls=[\"http://127.0.0.1:9200\"]";
                plan("", &[urls, &format!("{section}.{}={word}", key.name)]) // panics where one has none
            });
            let plans: Vec<_> = plans.collect();
            assert!(plans.windows(2).all(|pair| pair.first() != pair.last()), "{}", key.name);
        }
    }
}

#[test]
fn a_secret_does_not_stand_in_the_configuration() {
    check(
        "[sink.kafka]\npassword = \"sesame\"\n[sink.elasticsearch]\napi_key = \"sesame\"\n",
        r#"
pipeline.toml:2:12: sink.kafka.password must not be the secret itself
    hint: "${NAME}" takes it from the environment, sink.kafka.password_file from a file
pipeline.toml:4:11: sink.elasticsearch.api_key must not be the secret itself
    hint: "${NAME}" takes it from the environment, sink.elasticsearch.api_key_file from a file
"#,
    );
    check(
        "[sink.kafka]\nbrokers = []\n[sink.elasticsearch]\nindex_prefix = \"A*\"\nurls = []\n",
        r#"
pipeline.toml:2:11: sink.kafka.brokers must name at least one server
pipeline.toml:4:16: sink.elasticsearch.index_prefix may have a-z, 0-9, - _ . only, at most 100 bytes
pipeline.toml:5:8: sink.elasticsearch.urls must name at least one server
"#,
    );
}

#[test]
fn the_fingerprint_is_what_decides_scores() {
    let base = plan("", &[]).fingerprint_text();
    assert_eq!(
        base,
        "internal None\n\
         entity false false 100000\n\
         roles 5 []\n\
         risk 86400000000\n\
         stage.long-connection.alert 0.6\n\
         stage.long-connection.enabled true\n\
         stage.long-connection.max_open 100000\n\
         stage.long-connection.weight 40.0\n\
         stage.http-oddities.alert 0.5\n\
         stage.http-oddities.enabled true\n\
         stage.http-oddities.weight 25.0\n"
    );
    let spelled = "stage.http-oddities.weight = 2.5e1\nrisk.half_life = \"1d\"\n";
    assert_eq!(plan(spelled, &["sensor.id=other", "event.emit=none"]).fingerprint_text(), base);
    let allow = plan("risk.allow_list = \"allow.toml\"\n", &[]);
    assert_eq!(allow.allow_list.as_deref(), Some(std::path::Path::new("allow.toml")));
    assert_eq!(allow.fingerprint_text(), base, "a list is read again without a change of ids");
    let order = |list: &str| plan("", &[&format!("sensor.internal={list}")]).fingerprint_text();
    let ab = order(r#"["10.0.0.0/8", "fc00::/7"]"#);
    assert_eq!(ab, order(r#"["fc00::/7", "10.9.9.9/8", "10.0.0.0/8"]"#));
    assert!(ab.contains("internal Some([10.0.0.0/8, fc00::/7])\n"), "{ab}");
    assert_ne!(order("[]"), base, "given but empty: nobody is internal");
}

#[test]
fn only_the_machine_itself_is_listened_to() {
    let listen = |text: &str| plan(&format!("[http]\nlisten = {text:?}\n"), &[]).listen;
    assert_eq!(plan("", &[]).listen, "127.0.0.1:8080".parse().ok());
    assert_eq!(listen("[::1]:0"), "[::1]:0".parse().ok());
    assert_eq!(listen(""), None);
    check(
        "[http]\nlisten = \"0.0.0.0:8080\"\n",
        r#"
pipeline.toml:2:10: http.listen must be a loopback address, not 0.0.0.0
    hint: 127.0.0.1 or [::1]: this release has neither tokens nor TLS; a proxy before it may
"#,
    );
    check(
        "[http]\nlisten = \"localhost\"\n",
        r#"
pipeline.toml:2:10: http.listen must be an address and a port
    hint: such as "127.0.0.1:8080"; "" listens nowhere
"#,
    );
}
