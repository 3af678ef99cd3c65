//! Tests of `[risk]`: half-lives, budgets, and criticality with its files.
//!
//! Here belong mistakes that need more than one line or file to be seen. Those of single values
//! belong to `tests`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::resolve;
use super::tests::{STAGES, check, plan, shown};
use crate::base::address::Addr;
use crate::base::score::{Factor, Points};
use crate::record::Entity;
use crate::risk::Subject;

#[test]
fn what_it_comes_to() {
    let text = "[risk]\nhalf_life = \"2h\"\n[risk.criticality]\n\"10.0.0.0/24\" = 2\n\"user:adm-*\" = 1.5\n\
                [risk.budget]\nweb = 12.5\n[stage.http-oddities]\nhalf_life = \"7d\"\n";
    let given = plan(text, &["risk.criticality.\"10.0.0.7\"=0.1"]);
    let of = |id: &str| match Subject::parse(id) {
        Some(Subject::Entity(entity)) => given.criticality.of(&entity),
        other => panic!("{other:?}"),
    };
    let found = ["10.0.0.1", "10.0.0.7", "user:ADM-x", "user:x"].map(of);
    assert_eq!(found, [2000, 100, 1500, 1000].map(Factor::new));
    assert_eq!(given.budgets, [("web".to_owned(), Points(12_500_000))].into());
    let lives: Vec<_> = given.stages.iter().map(|stage| stage.half_life_us).collect();
    assert_eq!(lives, [7_200_000_000, 7 * 86_400_000_000]);
    let (own, base) = (given.fingerprint_text(), plan("", &[]).fingerprint_text());
    assert!(own.contains("\nrisk.budget.web 12.500000\n"), "{own}");
    assert!(own.contains("\nstage.http-oddities.half_life 604800000000us\n"), "{own}");
    assert!(own.contains("\nrisk.criticality ") && !base.contains("criticality"), "{own}");
    let spelled = text.replace("10.0.0.0/24", "10.0.0.9/24");
    let spelled = plan(&spelled, &["risk.criticality.\"host:10.0.0.7\"=0.1"]);
    assert_eq!(spelled.fingerprint_text(), own, "the same meaning");
    assert_ne!(plan(text, &[]).fingerprint_text(), own);
}

#[test]
fn the_marks_of_an_alert() {
    let hint = "\n    hint: a risk alerts again after it fell below risk.alert - risk.hysteresis";
    for (text, mistake) in [
        ("alert = 0", "2:9: risk.alert must be more than 0"),
        ("alert = 0.0000001", "2:9: risk.alert must be more than 0"),
        ("hysteresis = 0.0", "2:14: risk.hysteresis must be more than 0"),
        ("alert = 10", "2:9: risk.hysteresis must be less than risk.alert"),
        ("alert = 60\nhysteresis = 60", "3:14: risk.hysteresis must be less than risk.alert"),
        ("hysteresis = 100\nalert = 60", "2:14: risk.hysteresis must be less than risk.alert"),
    ] {
        check(&format!("[risk]\n{text}\n"), &format!("pipeline.toml:{mistake}{hint}"));
    }
    let given = plan("[risk]\nalert = 10.5\n", &["risk.hysteresis=10.25"]);
    assert_eq!((given.risk_alert_micro, given.risk_rearm_micro), (10_500_000, 250_000));
}

#[test]
fn mistakes_of_risk() {
    check(
        r#"[risk]
criticality_csv = "a.csv"
[risk.criticality]
"10.0.0.0/33" = 2
"10.0.0.1" = 11
"10.0.0.2" = "high"
10.0.0.3 = 2
"host:10.0.0.4@sensor-1" = 2
"10.0.0.5" = 2
"host:10.0.0.5" = 3
"10.0.0.6/32" = 4
"10.0.0.6" = 4.0
alice = 2
"user:" = nan
[risk.budget]
wbe = 30
web = 101
[stage.http-oddities]
half_life = 30
"#,
        r#"
pipeline.toml:2:19: risk.criticality_csv must be a list of texts, not text
pipeline.toml:5:14: risk.criticality."10.0.0.1" must be from 0.1 to 10, not 11
pipeline.toml:6:14: risk.criticality."10.0.0.2" must be a number, not text
pipeline.toml:7:1: risk.criticality.10 must be a number, not a table
    hint: a name with a dot in it stands in quotes: "a.b"
pipeline.toml:14:11: risk.criticality."user:" must be from 0.1 to 10, not NaN
pipeline.toml:16:1: unknown key "wbe" in [risk.budget]
    hint: did you mean "web"?
    known: command-and-control, web
pipeline.toml:17:7: risk.budget.web must be from 0 to 100, not 101
pipeline.toml:19:13: stage.http-oddities.half_life must be a duration, not 30
    hint: a whole number and one of ms, s, m, h, d, such as "90s"
pipeline.toml:4:1: "10.0.0.0/33" names no entity
    hint: an address, a network, host:ADDRESS, user:NAME, or host: and user: with * after it
pipeline.toml:8:1: "host:10.0.0.4@sensor-1" names no entity
    hint: without the sensor: "host:10.0.0.4"
pipeline.toml:10:1: "host:10.0.0.5" has criticality 3.000 here and 2.000 at pipeline.toml:9
    hint: keep one of the two
pipeline.toml:13:1: "alice" names no entity
    hint: an address, a network, host:ADDRESS, user:NAME, or host: and user: with * after it
"#,
    );
}

/// What files of criticality, with these contents, come to: their mistakes, or the factor of
/// 10.0.0.5.
fn criticality_of(files: &[&[u8]]) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name =
        format!("zeek-ueba-csv-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let paths: Vec<String> = ('a'..)
        .zip(files)
        .map(|(name, bytes)| {
            let path = directory.join(format!("{name}.csv"));
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        })
        .collect();
    let text = format!("risk.criticality_csv = {paths:?}\n");
    let found = match resolve(&text, "pipeline.toml", &[], STAGES) {
        Ok(plan) => {
            let host = Entity::Host(Addr::v4(0x0a00_0005));
            plan.criticality.of(&host).to_string()
        }
        Err(mistakes) => shown(&mistakes).replace(&format!("{}/", directory.display()), ""),
    };
    std::fs::remove_dir_all(&directory).unwrap();
    found
}

#[test]
fn files_of_criticality() {
    let one = |text: &str| criticality_of(&[text.as_bytes()]);
    assert_eq!(one("entity,criticality\n10.0.0.5,2.5\n"), "2.500");
    assert_eq!(
        one("\u{feff}entity,criticality,comment\r\n\"10.0.0.0/8\", 2 ,\"a, b\"\r\n"),
        "2.000"
    );
    assert_eq!(one("entity,criticality\n"), "1.000");
    assert_eq!(
        one(
            "entity,criticality\n10.0.0.5,2\nhost:10.0.0.5,2.0\n10.0.0.6,x\n\n10.0.0.5/32,3\n10.0.0.7\n"
        ),
        "a.csv:4:1: criticality must be from 0.1 to 10, not \"x\"\n\
         a.csv:6:1: \"host:10.0.0.5\" has criticality 3.000 here and 2.000 at a.csv:2\n    \
         hint: keep one of the two\n\
         a.csv:7:1: a line has an entity and its criticality, with a comma in between\n"
    );
    assert_eq!(
        one(
            "entity,criticality\r\n10.0.0.5,2\r\n\r\n10.0.0.5,-1\r\n10.0.0.5,NaN\r\n10.0.0.5,\u{7}"
        ),
        "a.csv:4:1: criticality must be from 0.1 to 10, not \"-1\"\n\
         a.csv:5:1: criticality must be from 0.1 to 10, not \"NaN\"\n\
         a.csv:6:1: criticality must be from 0.1 to 10, not \"\\u{7}\"\n"
    );
    let header = "the first line must be entity,criticality or entity,criticality,comment\n";
    for text in ["", "10.0.0.5,2\n", "entity;criticality\n", "entity,criticality,comment,x\n"] {
        assert_eq!(one(text), format!("a.csv:1:1: {header}"), "{text}");
    }
    assert_eq!(
        criticality_of(&[b"entity,criticality\nuser:\xff,2\n"]),
        "a.csv:2:6: not UTF-8 from here on\n"
    );
    let wide = one("entity,criticality\n10.0.0.5,2,x\n");
    assert_eq!(wide, "a.csv:2:1: 3 columns where there are 2\n");
}

#[test]
fn two_files_of_criticality_that_disagree() {
    let first = b"entity,criticality\n10.0.0.0/8,2\n10.0.0.5,4\nuser:Alice,3\n";
    let second =
        b"entity,criticality,comment\nhost:10.0.0.5,5,a server\nuser:alice,3,\n10.1.0.0/8,7,\n";
    assert_eq!(
        criticality_of(&[first, second]),
        "b.csv:2:1: \"host:10.0.0.5\" has criticality 5.000 here and 4.000 at a.csv:3\n    \
         hint: keep one of the two\n\
         b.csv:4:1: \"10.0.0.0/8\" has criticality 7.000 here and 2.000 at a.csv:2\n    \
         hint: keep one of the two\n"
    );
    // A line of the configuration itself counts more than one of a file.
    let directory = std::env::temp_dir().join(format!("zeek-ueba-own-{}", std::process::id()));
    std::fs::write(&directory, first).unwrap();
    let set = format!("risk.criticality_csv=[{:?}]", directory.display().to_string());
    let given = plan("[risk.criticality]\n\"10.0.0.5\" = 0.5\n", &[&set]);
    std::fs::remove_file(&directory).unwrap();
    let host = Entity::Host(Addr::v4(0x0a00_0005));
    assert_eq!(given.criticality.of(&host).to_string(), "0.500");
}

#[test]
fn too_many_criticalities() {
    let mut text = "entity,criticality\n".to_owned();
    for number in 0..1001 {
        text += &format!("user:{number}-*,2\n");
    }
    let found = criticality_of(&[text.as_bytes()]);
    assert_eq!(found, "a.csv:1002:1: more than 1000000 entities or 1000 patterns\n");
    let found = criticality_of(&[
        b"entity,criticality\n",
        "entity,criticality\nx,y\n".repeat(500).as_bytes(),
    ]);
    assert_eq!(found.lines().count(), 101);
    let path = std::env::temp_dir();
    let set = format!("risk.criticality_csv=[{:?}]", path.display().to_string());
    let mistakes = resolve("", "f", &[set], STAGES).unwrap_err();
    assert_eq!(
        shown(&mistakes),
        format!("{}: cannot be read: not a regular file\n", path.display())
    );
}
