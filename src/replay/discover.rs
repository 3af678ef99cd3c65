//! Finds the files below the paths that were given.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::limits::{DIRECTORY_DEPTH_MAX, FILES_MAX};

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its path relative to what was given, as documents name it.
    pub relative: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// Something that could not be read, or is no file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Every regular file at or below `paths`, each once, sorted by relative path.
#[must_use]
pub fn discover(paths: &[PathBuf]) -> (Vec<Found>, Vec<Skipped>) {
    let mut walk = Walk::default();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        walk.visit(path, &name.unwrap_or_default(), 0, true);
    }
    let mut found: Vec<Found> = walk.files.into_values().collect();
    found.sort();
    walk.skipped.sort();
    walk.skipped.dedup();
    (found, walk.skipped)
}

#[derive(Default)]
struct Walk {
    /// By canonical path, so that two arguments that reach one file read it once.
    files: BTreeMap<PathBuf, Found>,
    /// Canonical path and relative path of directories: a link back up ends here.
    directories: BTreeSet<(PathBuf, String)>,
    open: Vec<PathBuf>,
    skipped: Vec<Skipped>,
}

impl Walk {
    fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push(Skipped { path: path.to_owned(), reason: reason.to_string() });
    }

    fn visit(&mut self, path: &Path, relative: &str, depth: usize, is_argument: bool) {
        // Follows links: what a dangling one points to does not exist.
        let (meta, real) = match fs::metadata(path).and_then(|m| Ok((m, fs::canonicalize(path)?))) {
            Ok(found) => found,
            Err(error) => return self.skip(path, error),
        };
        if meta.is_dir() {
            let below = if is_argument { "" } else { relative };
            self.directory(path, real, below, depth);
        } else if !meta.is_file() {
            self.skip(path, "not a regular file");
        } else if self.files.len() == FILES_MAX {
            self.skip(path, format!("more than {FILES_MAX} files"));
        } else {
            let relative = relative.to_owned();
            let found = Found { relative, path: path.to_owned(), bytes: meta.len() };
            // Reached by several ways: the longest name says most; of equals the first.
            let rank = |found: &Found| (std::cmp::Reverse(found.relative.len()), found.clone());
            match self.files.get(&real) {
                Some(known) if rank(known) <= rank(&found) => {}
                _ => drop(self.files.insert(real, found)),
            }
        }
    }

    fn directory(&mut self, path: &Path, real: PathBuf, relative: &str, depth: usize) {
        if self.open.contains(&real) {
            return self.skip(path, "a link to a directory above it");
        }
        if depth > DIRECTORY_DEPTH_MAX {
            return self.skip(path, format!("more than {DIRECTORY_DEPTH_MAX} directories deep"));
        }
        if !self.directories.insert((real.clone(), relative.to_owned())) {
            return;
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.skip(path, error),
        };
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        self.open.push(real);
        for name in names {
            let text = name.to_string_lossy();
            if text.starts_with('.') || text.ends_with(".tmp") {
                continue;
            }
            let below =
                if relative.is_empty() { text.to_string() } else { format!("{relative}/{text}") };
            self.visit(&path.join(&name), &below, depth + 1, false);
        }
        self.open.pop();
    }
}
