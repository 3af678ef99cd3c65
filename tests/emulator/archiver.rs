//! What others do to Zeek's files: archivers, zeekctl after a crash, log rotators, administrators.
//!
//! `between` is called wherever a reader may look in the middle of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::gzip;
use crate::emulator::clock;
use crate::emulator::ledger::Ledger;
use crate::emulator::rows::Form;
use crate::emulator::writer::Finished;

/// An archive grows in steps of so many bytes.
const STEP_BYTES: usize = 4096;

/// Who compresses rotated files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archiving {
    /// `gzip < rotated > archive; rm rotated`: the final name grows while it is written.
    Zeekctl,
    /// Into `.tmp.NAME`, renamed when it is complete.
    ZeekArchiver,
}

/// Compresses `finished` into `logs/2026-01-20/conn.15:00:00-15:00:10.log.gz`, and removes it.
pub(crate) fn archive(
    ledger: &mut Ledger,
    archiving: Archiving,
    finished: &Finished,
    logs: &Path,
    between: &mut dyn FnMut(),
) -> PathBuf {
    let to = archive_path(finished, logs);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    between();
    // What is compressed already is only moved.
    if finished.form == Form::Gzip {
        fs::rename(&finished.path, &to).unwrap();
        ledger.renamed(&finished.path, &to);
        return to;
    }
    let compressed = gzip(&fs::read(&finished.path).unwrap());
    match archiving {
        Archiving::Zeekctl => write_in_steps(&to, &compressed, between),
        Archiving::ZeekArchiver => {
            let name = to.file_name().unwrap().to_string_lossy().into_owned();
            let temporary = to.with_file_name(format!(".tmp.{name}"));
            write_in_steps(&temporary, &compressed, between);
            fs::rename(&temporary, &to).unwrap();
        }
    }
    ledger.copied(&finished.path, &to);
    between();
    remove(ledger, &finished.path);
    to
}

fn archive_path(finished: &Finished, logs: &Path) -> PathBuf {
    let Finished { log, opened_s, closed_s, .. } = finished;
    let (opened, closed) = (clock::time(*opened_s), clock::time(*closed_s));
    let name = format!("{}.{opened}-{closed}.log.gz", log.name());
    logs.join(clock::day(*opened_s)).join(name)
}

fn write_in_steps(path: &Path, bytes: &[u8], between: &mut dyn FnMut()) {
    let mut file = File::create(path).unwrap();
    between();
    for step in bytes.chunks(STEP_BYTES) {
        file.write_all(step).unwrap();
        between();
    }
}

/// Unlinks a file.
pub(crate) fn remove(ledger: &mut Ledger, path: &Path) {
    fs::remove_file(path).unwrap();
    ledger.removed(path);
}

/// Copies a file, which may be live, to another name.
pub(crate) fn copy(ledger: &mut Ledger, from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    ledger.copied(from, to);
}

/// Truncates a file of which nobody tells its writer; the writer's next write leaves a hole of NUL
/// bytes before it.
pub(crate) fn truncate(ledger: &mut Ledger, path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    ledger.hollowed(path);
}

/// Renames a directory and makes a new one in its place, as zeekctl's post-terminate does.
pub(crate) fn move_directory(
    ledger: &mut Ledger,
    from: &Path,
    to: &Path,
    between: &mut dyn FnMut(),
) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
    ledger.renamed_tree(from, to);
    between();
    fs::create_dir(from).unwrap();
}

/// Points a symbolic link elsewhere; for a moment there is none.
pub(crate) fn repoint(link: &Path, target: &Path, between: &mut dyn FnMut()) {
    if link.is_symlink() {
        fs::remove_file(link).unwrap();
        between();
    }
    symlink(target, link).unwrap();
}
