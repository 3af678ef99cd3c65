//! The rules of the repository that matter: floors, sizes, names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of docs/ARCHITECTURE.md. A module imports from lower floors only.
const FLOORS: &[(&str, u32)] = &[
    ("base", 0),
    ("feature", 1),
    ("record", 1),
    ("learn", 2),
    ("model", 2),
    ("zeek", 2),
    ("stage", 3),
    ("risk", 3),
    ("document", 3),
    ("engine", 4),
    ("read", 5),
    ("api", 6),
    ("replay", 6),
    ("sink", 6),
    ("state", 6),
    ("tail", 6),
    ("config", 7),
    ("explain", 7),
    ("wiring", 8),
    ("cli", 9),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 40, "the sources were not found");
    found
}

/// The top-level module that a file belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that `text` names.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let names = rest.strip_prefix('{').map_or_else(
            || vec![rest],
            |list| list.split('}').next().unwrap().split(',').map(str::trim).collect(),
        );
        for name in names {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            found.insert(name[..end].to_owned());
        }
    }
    found
}

#[test]
fn imports_go_down() {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for (path, text) in sources() {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(floor) = floors.get(module.as_str()) else {
            panic!("{} stands on no floor: add {module} to FLOORS", path.display());
        };
        seen.insert(module.clone());
        for import in imports(&text) {
            let Some(other) = floors.get(import.as_str()) else { continue };
            let is_down = other < floor || import == module;
            assert!(is_down, "{}: {module} ({floor}) imports {import} ({other})", path.display());
        }
    }
    let all: BTreeSet<String> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(seen, all, "a floor without a module");
}

#[test]
fn modules_of_one_floor_do_not_know_each_other() {
    // Covered by `imports_go_down`, since a floor is not below itself; this holds the parser of
    // imports to an example.
    let text = "use crate::base::{a, b};\nuse crate::{record, zeek::x};\ncrate::stage::f()";
    let expected = ["base", "record", "stage", "zeek"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}

#[test]
fn files_say_what_they_are_for_and_stay_readable() {
    for (path, text) in sources() {
        let name = path.display();
        assert!(text.starts_with("//!"), "{name} has no header");
        let lines = text.lines().count();
        assert!(lines <= 650, "{name} has {lines} lines: is it one idea?");
        for (number, line) in text.lines().enumerate() {
            let is_long = line.chars().count() > 100 && !line.contains('"');
            assert!(!is_long, "{name}:{}: longer than 100 columns", number + 1);
        }
    }
}

#[test]
fn modules_name_their_floor() {
    for (module, floor) in FLOORS {
        let paths = [format!("src/{module}/mod.rs"), format!("src/{module}.rs")];
        let text = paths.iter().find_map(|path| fs::read_to_string(root().join(path)).ok());
        let text = text.unwrap_or_else(|| panic!("{module} is neither {paths:?}"));
        assert!(text.starts_with(&format!("//! Floor {floor}: ")), "{module} is on floor {floor}");
    }
    let architecture = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (module, floor) in FLOORS {
        let row = format!("| {floor} | `{module}` |");
        assert!(architecture.contains(&row), "ARCHITECTURE.md lacks {row}");
    }
}

#[test]
fn unsafe_code_stands_in_one_module() {
    let word = ["un", "safe {"].concat();
    let with: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.contains(&word))
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(with, ["sse2.rs"]);
}

#[test]
fn nothing_is_left_for_later() {
    let markers = [["to", "do!("], ["unimpl", "emented!("], ["FIX", "ME"], ["#[ig", "nore"]];
    for (path, text) in sources() {
        for marker in markers.map(|parts| parts.concat()) {
            assert!(!text.contains(&marker), "{} has {marker}", path.display());
        }
    }
}

#[test]
fn documents_are_there() {
    for file in ["README.md", "docs/ARCHITECTURE.md", "docs/adding-a-detector.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.len() > 200, "{file} is empty");
    }
    let architecture = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (module, _) in FLOORS {
        assert!(architecture.contains(&format!("`{module}")), "ARCHITECTURE.md lacks {module}");
    }
}

#[test]
fn every_fault_has_its_test() {
    let table = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let mut live = String::new();
    for entry in fs::read_dir(root().join("tests/live")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            live += &fs::read_to_string(path).unwrap();
        }
    }
    let mut tests = live.clone();
    for (_, text) in sources() {
        tests += &text;
    }
    for file in ["live.rs", "laws.rs", "zeek_cases.rs", "bad_input.rs"] {
        tests += &fs::read_to_string(root().join("tests").join(file)).unwrap();
    }
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| F")).collect();
    assert!(rows.len() > 30, "the table was not found");
    for row in rows {
        let cell = row.split('|').nth(3).unwrap();
        let name = cell.split('`').nth(1).unwrap();
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
    let names = live.split("\nfn f").skip(1).map(|rest| rest.split('(').next().unwrap());
    let numbered = names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    for name in numbered {
        assert!(table.contains(&format!("f{name}")), "docs/faults.md lacks f{name}");
    }
}

/// Every test there is, by its name.
fn all_tests() -> String {
    let mut text: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut open = vec![root().join("tests")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}

#[test]
fn what_security_says_is_tested() {
    let tests = all_tests();
    for document in ["docs/security.md", "docs/fuzzing.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let names = text.split('`').skip(1).step_by(2).filter(|name| {
            name.matches('_').count() > 1
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        });
        let names: Vec<&str> = names.collect();
        assert!(!names.is_empty(), "{document} names no tests");
        for name in names {
            assert!(tests.contains(&format!("fn {name}(")), "{document}: no test {name}");
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let security = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let cargo = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let cargo: toml::Table = cargo.parse().unwrap();
    let of = |table: &str| cargo[table].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut used = [of("dependencies"), of("dev-dependencies")].concat();
    let table = security.split("| crate | why |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `"));
    let mut told: Vec<String> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    used.sort();
    used.dedup();
    told.sort();
    assert_eq!(used, told);
    // And so has every C library.
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    for name in names.filter(|name| name.ends_with("-sys") && !name.starts_with("windows")) {
        let is_rust = matches!(name, "linux-raw-sys" | "js-sys" | "web-sys");
        assert!(
            is_rust || security.contains(&format!("`{name}`")),
            "docs/security.md lacks {name}"
        );
    }
}

#[test]
fn every_fuzz_target_is_run_and_told_of() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let (makefile, document) = (read("Makefile"), read("docs/fuzzing.md"));
    let line = makefile.lines().find_map(|line| line.strip_prefix("FUZZ_TARGETS ?= ")).unwrap();
    let mut run: Vec<&str> = line.split_whitespace().collect();
    run.sort_unstable();
    let entries = fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
    let mut there: Vec<String> = entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    there.sort();
    assert_eq!(run, there);
    for target in there {
        assert!(document.contains(&format!("`{target}`")), "docs/fuzzing.md lacks {target}");
        let seeds = fs::read_dir(root().join("fuzz/seeds").join(&target)).unwrap();
        assert!(seeds.count() > 0, "{target} has no seeds");
    }
}
