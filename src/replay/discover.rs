//! Finds the files below the paths that were given.

use std::collections::BTreeSet;
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
///
/// A file or directory that can be reached in several ways is taken by the first of them: without
/// links before with links, then the shortest name. The order of `paths` does not matter.
#[must_use]
pub fn discover(paths: &[PathBuf]) -> (Vec<Found>, Vec<Skipped>) {
    let mut walk = Walk::default();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        let relative = if path.is_dir() { String::new() } else { name.unwrap_or_default() };
        walk.waiting.insert(Way::new(
            usize::from(is_link),
            relative,
            path.clone(),
            PathBuf::new(),
            0,
        ));
    }
    while let Some(way) = walk.waiting.pop_first() {
        walk.visit(&way);
    }
    walk.found.sort();
    walk.skipped.sort();
    walk.skipped.dedup();
    (walk.found, walk.skipped)
}

/// A way to a file or directory, in the order in which they are gone.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    links: usize,
    length: usize,
    relative: String,
    path: PathBuf,
    /// The directory that it stands in, without links.
    parent: PathBuf,
    depth: usize,
}

impl Way {
    fn new(links: usize, relative: String, path: PathBuf, parent: PathBuf, depth: usize) -> Self {
        Self { links, length: relative.len(), relative, path, parent, depth }
    }
}

#[derive(Default)]
struct Walk {
    waiting: BTreeSet<Way>,
    /// What was visited, without links. No way leads to a better one, so the first counts.
    visited: BTreeSet<PathBuf>,
    found: Vec<Found>,
    skipped: Vec<Skipped>,
}

impl Walk {
    fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push(Skipped { path: path.to_owned(), reason: reason.to_string() });
    }

    fn visit(&mut self, way: &Way) {
        let path = &way.path;
        // Follows links: what a dangling one points to does not exist.
        let (meta, real) = match fs::metadata(path).and_then(|m| Ok((m, fs::canonicalize(path)?))) {
            Ok(found) => found,
            Err(error) => return self.skip(path, error),
        };
        if meta.is_dir() && way.parent.starts_with(&real) {
            return self.skip(path, "a link to a directory above it");
        }
        if self.visited.contains(&real) {
            return;
        }
        if meta.is_dir() && way.depth > DIRECTORY_DEPTH_MAX {
            return self.skip(path, format!("more than {DIRECTORY_DEPTH_MAX} directories deep"));
        } else if meta.is_dir() {
            self.directory(way, &real);
        } else if !meta.is_file() {
            return self.skip(path, "not a regular file");
        } else if self.found.len() == FILES_MAX {
            return self.skip(path, format!("more than {FILES_MAX} files"));
        } else {
            let (relative, path) = (way.relative.clone(), path.clone());
            self.found.push(Found { relative, path, bytes: meta.len() });
        }
        self.visited.insert(real);
    }

    /// Notes the ways to what stands in a directory.
    fn directory(&mut self, way: &Way, real: &Path) {
        let entries = match fs::read_dir(&way.path).and_then(Iterator::collect::<Result<Vec<_>, _>>)
        {
            Ok(entries) => entries,
            Err(error) => return self.skip(&way.path, error),
        };
        for entry in entries {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if text.starts_with('.') || text.ends_with(".tmp") {
                continue;
            }
            let relative = match way.relative.as_str() {
                "" => text.to_string(),
                above => format!("{above}/{text}"),
            };
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let links = way.links + usize::from(is_link);
            let path = way.path.join(&name);
            self.waiting.insert(Way::new(links, relative, path, real.to_owned(), way.depth + 1));
        }
    }
}
