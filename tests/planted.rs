//! The planted logs: that each is judged right, that the judge says so of nothing else, and the laws of
//! how they are made. What they are: `evaluation`.

mod days;
mod evaluation;
mod judging;
mod language;
mod laws;
mod weeks;

use std::path::Path;

use evaluation::{evaluate, names, table};

#[test]
fn every_scenario_is_judged_right() {
    let names = names();
    assert!(names.len() > 15, "the scenarios were not found: {names:?}");
    let outcomes = evaluate(Path::new(env!("CARGO_BIN_EXE_zeek-ueba")), &names);
    let is_right = outcomes.iter().all(|outcome| outcome.wrong.is_empty());
    assert!(is_right, "\n{}", table(&outcomes));
    let guilty = outcomes.iter().filter(|outcome| !outcome.truth.is_empty()).count();
    assert!(guilty >= 4 && outcomes.len() - guilty >= 6, "{guilty} of {}", outcomes.len());
    let shown = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/detection.md");
    let shown = std::fs::read_to_string(shown).unwrap();
    for row in table(&outcomes).lines().filter(|line| line.starts_with('|')) {
        assert!(shown.contains(row), "docs/detection.md lacks what `make evaluate` prints:\n{row}");
    }
}
