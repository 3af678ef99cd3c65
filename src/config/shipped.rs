//! Keeps the shipped `pipeline.toml` true: every key, its default and its explanation.
//!
//! Here belong the tests that walk the tables. Tests of reading belong to `tests`.

use super::schema::SECTIONS;
use super::{StageKeys, resolve};
use crate::base::keys::KeyDef;
use crate::stage::TABLE;

const SHIPPED: &str = include_str!("../../pipeline.toml");

#[test]
fn the_shipped_file_is_the_default() {
    let shipped = resolve(SHIPPED, "pipeline.toml", &[], &stages()).unwrap();
    assert_eq!(shipped, resolve("", "pipeline.toml", &[], &stages()).unwrap());
}

#[test]
fn the_shipped_file_explains_every_key() {
    for (section, keys) in sections(&stages()) {
        for key in keys {
            explains(&section, key);
        }
    }
}

#[test]
fn the_shipped_file_has_no_other_key() {
    let sections = sections(&stages());
    for (section, line) in lines() {
        let text = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            assert!(
                sections.iter().any(|(name, keys)| {
                    name == header || keys.iter().any(|key| map_header(name, key) == Some(header))
                }),
                "[{header}] is in no table"
            );
        }
        let Some((key, _)) = text.split_once(" = ") else { continue };
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_known = || {
            let keys = sections.iter().filter(|(name, _)| *name == section).flat_map(|(_, k)| *k);
            keys.into_iter().any(|def| def.name == key)
        };
        assert!(!is_key || is_known(), "{key} is not in the table of [{section}]");
    }
}

#[test]
fn the_tables_are_well_formed() {
    for (section, keys) in sections(&stages()) {
        for (index, key) in keys.iter().enumerate() {
            let label = format!("{section}.{}", key.name);
            assert!(keys.iter().skip(index + 1).all(|k| k.name != key.name), "{label} twice");
            assert!(!key.doc.is_empty() && !key.doc.contains('\n'), "{label}: doc in one line");
            let needs_example = key.default.is_none() || key.kind.is_map();
            assert_eq!(needs_example, !key.example.is_empty(), "{label}: example");
            let is_map = key.kind.is_map();
            if !is_map && key.default.is_none() {
                let item = format!("{label}={}", key.example);
                assert!(
                    resolve("", "", &[item], &stages()).is_ok(),
                    "{label}: the example is wrong"
                );
            }
        }
    }
}

/// Asserts that a key stands in its section with its explanation directly above.
fn explains(section: &str, key: &KeyDef) {
    let doc = format!("# {}", key.doc);
    let wanted = match (key.kind, key.default) {
        (kind, _) if kind.is_map() => format!("[{section}.{}]", key.name),
        (_, Some(default)) => format!("{} = {default}", key.name),
        (_, None) => format!("# {} = {}", key.name, key.example),
    };
    let all = lines();
    // The second table of a user's own keys stands behind the first one.
    let is_within = |name: &str| {
        name.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = all.windows(2).any(|pair| match pair {
        [(before, above), (_, line)] => is_within(before) && *above == doc && *line == wanted,
        _ => false,
    });
    assert!(found, "[{section}] lacks these two lines:\n{doc}\n{wanted}");
    if let Some(header) = map_header(section, key) {
        let example = format!("# {}", key.example);
        assert!(all.contains(&(header, &example)), "[{header}] lacks its example");
    }
}

/// Tables of texts are written with a header of their own.
fn map_header(section: &str, key: &KeyDef) -> Option<&'static str> {
    let is_map = key.kind.is_map();
    let header = format!("[{section}.{}]", key.name);
    let line = SHIPPED.lines().find(|line| is_map && *line == header)?;
    line.strip_prefix('[')?.strip_suffix(']')
}

/// Each line with the section it stands in; a header stands in its own section.
fn lines() -> Vec<(&'static str, &'static str)> {
    let mut section = "";
    let lines = SHIPPED.lines().map(|line| {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        (section, line)
    });
    lines.collect()
}

fn stages() -> Vec<StageKeys> {
    let keys = |stage: &crate::stage::StageDef| StageKeys {
        name: stage.name,
        group: stage.group,
        keys: stage.keys,
    };
    TABLE.iter().map(keys).collect()
}

fn sections(stages: &[StageKeys]) -> Vec<(String, &'static [KeyDef])> {
    let fixed = SECTIONS.iter().map(|(name, keys)| ((*name).to_owned(), *keys));
    let stages = stages.iter().map(|stage| (format!("stage.{}", stage.name), stage.keys));
    fixed.chain(stages).collect()
}
