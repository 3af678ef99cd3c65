//! That the emulator does what it says: the directory after given actions, and the ledger against a
//! naive reader that reads everything again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::{prop_assert, prop_assert_eq, proptest, sample};
use tempfile::TempDir;

use crate::emulator::actions::{Action, action, any_action, sequence};
use crate::emulator::archiver::{self, Archiving};
use crate::emulator::ledger::{Ledger, Record};
use crate::emulator::rows::{Form, Log, header};
use crate::emulator::world::{Setup, World};
use crate::emulator::writer::{Names, Writer};

const CONN: Log = Log::Conn;

/// Every file below `root` as it lies there, symbolic links left out.
pub(super) fn raw(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.insert(entry.path(), fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// `bytes`, decompressed as far as they go where the name says that they are compressed.
pub(super) fn inflated(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut text = Vec::new();
    // An error is the end of what can be read.
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).ok();
    text
}

fn disk(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    raw(root)
        .into_iter()
        .map(|(path, bytes)| {
            let text = inflated(&path, bytes);
            (path, text)
        })
        .collect()
}

/// The complete lines of records.
fn lines(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
        .filter(|line| !line.starts_with(b"#"))
        .map(|line| line.iter().copied().skip_while(|byte| *byte == 0).collect())
}

fn of(records: &[Record]) -> BTreeSet<Vec<u8>> {
    let lines: BTreeSet<Vec<u8>> = records.iter().map(|record| record.line.clone()).collect();
    assert_eq!(lines.len(), records.len(), "records are unique");
    lines
}

fn names(root: &Path) -> Vec<String> {
    let below = |path: &Path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    raw(root).keys().map(|path| below(path)).collect()
}

fn apply(world: &mut World, actions: &[Action]) {
    actions.iter().for_each(|action| world.apply(action));
}

fn write(records: u16) -> Action {
    Action::Write { log: CONN, records }
}

#[test]
fn a_file_is_made_at_its_first_record_and_closed_at_its_rotation() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    assert_eq!(names(place.path()), Vec::<String>::new());
    apply(&mut world, &[write(3), Action::Rotate]);
    assert_eq!(names(place.path()), ["spool/zeek/conn.2026-01-20-15-00-05.log"]);
    apply(&mut world, &[Action::Rotate]);
    assert_eq!(names(place.path()), ["spool/zeek/conn.2026-01-20-15-00-05.log"]);

    let text = fs::read(place.path().join("spool/zeek/conn.2026-01-20-15-00-05.log")).unwrap();
    let records: Vec<Vec<u8>> = of(&world.ledger().written()).into_iter().collect();
    let mut expected = header(CONN, 1_768_921_205).concat().into_bytes();
    for record in &records {
        expected.extend_from_slice(record);
        expected.push(b'\n');
    }
    expected.extend_from_slice(b"#close\t2026-01-20-15-00-10\n");
    assert_eq!(records.len(), 3);
    assert_eq!(text, expected);

    apply(&mut world, &[write(1), Action::Archive]);
    let archived = "logs/2026-01-20/conn.15:00:05-15:00:10.log.gz";
    assert_eq!(names(place.path()), [archived, "spool/zeek/conn.log"]);
    assert_eq!(disk(place.path())[&place.path().join(archived)], expected);
}

#[test]
fn a_supervised_zeek_writes_json_and_queues_what_it_rotates() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::supervised());
    apply(&mut world, &[write(2), Action::Rotate]);
    let queued = "spool/zeek/log-queue/conn__2026-01-20-15-00-05__2026-01-20-15-00-10__.log";
    assert_eq!(names(place.path()), [queued]);
    let text = fs::read(place.path().join(queued)).unwrap();
    let records: Vec<Vec<u8>> = of(&world.expected().must).into_iter().collect();
    assert_eq!(text, [&records[0][..], b"\n", &records[1], b"\n"].concat());

    let mut seen = BTreeSet::new();
    world.apply_with(&Action::Archive, &mut || seen.extend(names(place.path())));
    let archive = "logs/2026-01-20/conn.15:00:05-15:00:10.log.gz";
    let temporary = "logs/2026-01-20/.tmp.conn.15:00:05-15:00:10.log.gz";
    assert_eq!(seen, BTreeSet::from([archive, temporary, queued].map(str::to_owned)));
    assert_eq!(names(place.path()), [archive]);
}

#[test]
fn the_archive_of_zeekctl_grows_under_its_name() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    apply(&mut world, &[write(900), Action::Rotate]);
    let archive = place.path().join("logs/2026-01-20/conn.15:00:05-15:00:10.log.gz");
    let mut sizes = Vec::new();
    world.apply_with(&Action::Archive, &mut || sizes.extend(fs::read(&archive).map(|a| a.len())));
    sizes.dedup();
    assert!(sizes.len() > 3 && sizes[..3] == [0, 4096, 8192], "{sizes:?}");
}

#[test]
fn a_restart_truncates_in_place() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    let path = place.path().join("spool/zeek/conn.log");
    apply(&mut world, &[write(3)]);
    world.settled();
    apply(&mut world, &[write(2), Action::WritePart { log: CONN, percent: 50 }, Action::Kill]);
    let before = fs::metadata(&path).unwrap();
    let torn = world.expected().torn_may[0].clone();
    assert_eq!(world.expected().torn, [], "nobody can know yet that it is torn");
    let mut open = File::open(&path).unwrap();
    // Without a process nothing happens.
    apply(&mut world, &[write(1), Action::Rotate, Action::FinishPart { log: CONN }]);
    assert_eq!(fs::metadata(&path).unwrap().len(), before.len());
    apply(&mut world, &[Action::Restart]);
    assert_eq!(fs::metadata(&path).unwrap().len(), before.len());
    apply(&mut world, &[write(1)]);
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()));
    assert!(after.len() < before.len());
    let mut text = Vec::new();
    open.read_to_end(&mut text).unwrap();
    assert_eq!(text, fs::read(&path).unwrap());

    let expected = world.expected();
    assert_eq!((expected.must.len(), expected.may.len(), expected.held.len()), (4, 2, 0));
    assert_eq!(world.ledger().destroyed().len(), 5);
    assert_eq!(expected.torn, []);
    assert!(expected.torn_may.contains(&torn));
    assert_eq!(expected.torn_may.len(), 3, "two whole lines or the last one may be cut");
}

#[test]
fn what_is_torn_becomes_a_dead_letter_once_it_is_final() {
    for (form, percent) in [(Form::Tsv, 100), (Form::Json, 40), (Form::Json, 100)] {
        let place = TempDir::new().unwrap();
        let mut world = World::new(place.path(), Setup { form, ..Setup::zeekctl() });
        apply(&mut world, &[write(1), Action::WritePart { log: CONN, percent }]);
        let text = fs::read(place.path().join("spool/zeek/conn.log")).unwrap();
        let tail = text.rsplit(|byte| *byte == b'\n').next().unwrap().to_vec();
        assert!(!tail.is_empty());
        assert_eq!(world.expected().torn_may, [], "its writer may go on");
        apply(&mut world, &[Action::MoveDirectory]);
        assert_eq!(names(place.path()), ["spool/tmp/post-terminate-1-crash/conn.log"]);
        let expected = world.expected();
        // JSON that lacks only its newline is a record.
        let is_record = form == Form::Json && percent == 100;
        assert_eq!(expected.must.len(), if is_record { 2 } else { 1 });
        assert_eq!(expected.torn.len(), usize::from(!is_record));
        let found = expected.must.iter().map(|record| &record.line);
        let mut found = found.chain(expected.torn.iter().map(|torn| &torn.bytes));
        assert!(found.any(|bytes| *bytes == tail));
        // Archiving it changes nothing.
        apply(&mut world, &[Action::Archive]);
        assert_eq!(world.expected(), expected);
        assert_eq!(names(place.path()), ["logs/2026-01-20/conn.15:00:08-15:00:10.log.gz"]);
    }
}

#[test]
fn a_part_that_is_finished_is_a_record() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    apply(&mut world, &[Action::WritePart { log: CONN, percent: 0 }]);
    assert_eq!(world.expected().must, []);
    assert!(fs::read(world.live().join("conn.log")).unwrap().ends_with(b"\n1"));
    apply(&mut world, &[Action::FinishPart { log: CONN }]);
    assert_eq!(world.expected().must.len(), 1);
    apply(&mut world, &[Action::WritePart { log: CONN, percent: 99 }, write(1)]);
    assert_eq!(world.expected().must.len(), 3);
    assert_eq!(disk(place.path()), world.ledger().files());
}

#[test]
fn a_stop_leaves_files_that_the_next_start_truncates() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    apply(&mut world, &[write(5), Action::Stop]);
    let left = ["spool/zeek/conn.2026-01-20-15-00-05.log", "spool/zeek/conn.log"];
    assert_eq!(names(place.path()), left);
    let text = fs::read(place.path().join(left[1])).unwrap();
    assert!(text.ends_with(b"#close\t2026-01-20-15-00-10\n"));
    assert_eq!(lines(&text).count(), 2);
    let inode = fs::metadata(place.path().join(left[1])).unwrap().ino();
    apply(&mut world, &[Action::Restart, write(9)]);
    assert_eq!(names(place.path()), left);
    assert_eq!(fs::metadata(place.path().join(left[1])).unwrap().ino(), inode);
    assert_eq!(world.expected().may.len(), 2);
    assert_eq!(world.expected().must.len(), 14);
}

#[test]
fn a_line_that_begins_with_a_hash_takes_two_writes() {
    let place = TempDir::new().unwrap();
    let mut ledger = Ledger::new();
    let mut writer = Writer::new(place.path(), CONN, Form::Json);
    let path = writer.path();
    let mut seen = Vec::new();
    let mut look = || seen.push(String::from_utf8(fs::read(&path).unwrap()).unwrap());
    writer.write_line(&mut ledger, "a", b"#a", &mut look);
    writer.write_line(&mut ledger, "b", b"b#", &mut look);
    assert_eq!(seen, ["\\x23", "\\x23a\n", "\\x23a\nb#\n"]);
    let written = ledger.written();
    assert_eq!((&*written[0].key, &written[0].line[..]), ("a", &b"\\x23a"[..]));
    assert_eq!((&*written[1].key, &written[1].line[..]), ("b", &b"b#"[..]));
}

#[test]
fn a_compressing_writer_shows_whole_blocks_and_loses_the_rest_when_killed() {
    let place = TempDir::new().unwrap();
    let mut ledger = Ledger::new();
    let mut writer = Writer::new(place.path(), CONN, Form::Gzip);
    let path = writer.path();
    assert!(path.ends_with("conn.log.gz"));
    let mut sizes = BTreeSet::new();
    for _ in 0..2000 {
        writer.write(&mut ledger, 1);
        sizes.insert(fs::metadata(&path).unwrap().len());
    }
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| size % 8192 == 0), "{sizes:?}");
    assert_eq!(disk(place.path()), ledger.files());
    writer.kill(&mut ledger);
    assert_eq!(fs::metadata(&path).unwrap().len() % 8192, 0);
    assert_eq!(disk(place.path()), ledger.files());
    let (kept, lost) = (ledger.written().len(), ledger.lost().len());
    assert!(lost > 10 && kept > 300 && kept + lost == 2000, "{kept} {lost}");

    writer.write(&mut ledger, 50);
    writer.close(&mut ledger);
    let text = disk(place.path()).remove(&path).unwrap();
    assert_eq!(lines(&text).count(), 50);
    assert!(text.ends_with(b"\n#close\t2026-01-20-15-00-05\n"));
    assert_eq!(ledger.destroyed().len(), kept);
}

#[test]
fn a_foreign_truncation_leaves_a_hole() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    apply(&mut world, &[write(4), Action::WritePart { log: CONN, percent: 50 }]);
    let path = world.live().join("conn.log");
    let length = fs::metadata(&path).unwrap().len();
    let before = fs::read(&path).unwrap();
    apply(&mut world, &[Action::Hollow { log: CONN, keeps_copy: true }]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    assert_eq!(fs::read(world.live().join("conn.copy1.log")).unwrap(), before);
    assert_eq!(disk(place.path()), world.ledger().files());
    apply(&mut world, &[write(2)]);
    let text = fs::read(&path).unwrap();
    let length = usize::try_from(length).unwrap();
    assert!(text[..length].iter().all(|byte| *byte == 0) && text[length] != 0);
    assert_eq!(disk(place.path()), world.ledger().files());
    let expected = world.expected();
    assert_eq!(expected.must.len(), 4);
    assert_eq!(expected.behind_hole.len(), 2);
    assert_eq!(expected.torn.len(), 1, "its second half is behind the hole");
}

#[test]
fn current_points_to_where_zeek_logs() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    let current = world.logs().join("current/conn.log");
    apply(&mut world, &[write(1)]);
    assert_eq!(fs::read(&current).unwrap(), fs::read(world.live().join("conn.log")).unwrap());
    let old = world.live().to_owned();
    let mut has_been_missing = false;
    world.apply_with(&Action::Repoint, &mut || has_been_missing |= !world_link(place.path()));
    assert!(has_been_missing && world_link(place.path()));
    assert_ne!(world.live(), old);
    apply(&mut world, &[write(7)]);
    assert_eq!(lines(&fs::read(&current).unwrap()).count(), 7);
    assert_eq!(names(place.path()), ["spool/zeek/conn.log", "spool/zeek-1/conn.log"]);
    assert_eq!(world.expected().must.len(), 8);
}

fn world_link(root: &Path) -> bool {
    root.join("logs/current").is_symlink()
}

#[test]
fn what_is_removed_is_held_by_a_reader_that_knew_it() {
    let place = TempDir::new().unwrap();
    let mut world = World::new(place.path(), Setup::zeekctl());
    apply(&mut world, &[write(2)]);
    world.settled();
    apply(&mut world, &[write(3), Action::Rotate, Action::Remove]);
    apply(&mut world, &[write(4), Action::Rotate, Action::Remove]);
    let expected = world.expected();
    assert_eq!(names(place.path()), Vec::<String>::new());
    assert_eq!((expected.must.len(), expected.held.len(), expected.may.len()), (2, 3, 4));
}

#[test]
fn a_copy_keeps_what_it_has() {
    let place = TempDir::new().unwrap();
    let mut ledger = Ledger::new();
    let mut writer = Writer::new(place.path(), Log::Dns, Form::Json);
    writer.write(&mut ledger, 3);
    let copy = place.path().join("dns.copy.log");
    archiver::copy(&mut ledger, &writer.path(), &copy);
    writer.write(&mut ledger, 2);
    let finished = writer.rotate(&mut ledger, Names::Dated).unwrap();
    assert_eq!(disk(place.path()), ledger.files());
    archiver::remove(&mut ledger, &finished.path);
    assert_eq!((ledger.expected().must.len(), ledger.expected().may.len()), (3, 2));
    archiver::remove(&mut ledger, &copy);
    assert_eq!((ledger.expected().must.len(), ledger.expected().may.len()), (0, 5));
    assert_eq!(ledger.files(), BTreeMap::new());
}

fn setup() -> impl Strategy<Value = Setup> {
    let form = sample::select(vec![Form::Tsv, Form::Json, Form::Gzip]);
    (form, any::<bool>(), any::<bool>()).prop_map(|(form, is_dated, is_zeekctl)| Setup {
        form,
        names: if is_dated { Names::Dated } else { Names::Queue },
        archiving: if is_zeekctl { Archiving::Zeekctl } else { Archiving::ZeekArchiver },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever happens, the ledger knows what lies where, and its records are what is found there.
    #[test]
    fn the_ledger_is_what_a_full_reading_finds(
        setup in setup(),
        actions in sequence(any_action(), 25),
    ) {
        let place = TempDir::new().unwrap();
        let mut world = World::new(place.path(), setup);
        for action in &actions {
            world.apply(action);
            prop_assert_eq!(disk(place.path()), world.ledger().files(), "after {:?}", action);
        }
        let texts = disk(place.path());
        let on_disk: BTreeSet<Vec<u8>> = texts.values().flat_map(|text| lines(text)).collect();
        let expected = world.expected();
        let (must, holed) = (of(&expected.must), of(&expected.behind_hole));
        let whole = |line: &Vec<u8>| !holed.contains(line) && is_record(setup.form, line);
        let found: BTreeSet<Vec<u8>> = on_disk.into_iter().filter(whole).collect();
        // A JSON object without its newline is a record of the ledger, and no line.
        let missing: Vec<&Vec<u8>> = must.difference(&found).collect();
        prop_assert!(found.is_subset(&must));
        prop_assert!(setup.form == Form::Json || missing.is_empty(), "{missing:?}");
        prop_assert!(missing.iter().all(|line| is_a_tail(place.path(), line)));
        let (written, all) = (world.ledger().written().len(), must.len() + holed.len());
        let rest = expected.may.len() + expected.held.len();
        prop_assert_eq!(written + missing.len(), all + rest);
    }

    /// A reader that reads everything after each action has all that it must have, and nothing is
    /// left that it might not have.
    #[test]
    fn a_reader_that_is_always_up_misses_nothing(
        is_json in any::<bool>(),
        actions in sequence(action(), 40),
    ) {
        let place = TempDir::new().unwrap();
        let form = if is_json { Form::Json } else { Form::Tsv };
        let mut world = World::new(place.path(), Setup { form, ..Setup::zeekctl() });
        let (mut read, mut tails) = (BTreeSet::new(), BTreeSet::new());
        for action in &actions {
            world.apply(action);
            for text in disk(place.path()).into_values() {
                read.extend(lines(&text));
                let tail = text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                tails.insert(tail.to_vec());
            }
            world.settled();
        }
        let expected = world.expected();
        let must = of(&expected.must);
        prop_assert!(read.is_subset(&must));
        prop_assert!(must.difference(&read).all(|line| tails.contains(line)));
        prop_assert!(form == Form::Json || read == must);
        prop_assert_eq!(&expected.may, &[]);
        prop_assert_eq!(&expected.held, &[]);
        prop_assert_eq!(&expected.behind_hole, &[]);
        prop_assert!(expected.torn.iter().all(|torn| tails.contains(&torn.bytes)));
        prop_assert!(expected.torn.iter().all(|torn| !torn.bytes.is_empty()));
    }

    /// The same actions leave the same files and names.
    #[test]
    fn a_sequence_is_deterministic(setup in setup(), actions in sequence(any_action(), 15)) {
        let run = || {
            let place = TempDir::new().unwrap();
            let mut world = World::new(place.path(), setup);
            apply(&mut world, &actions);
            let files = raw(world.root());
            let below = |path: PathBuf| path.strip_prefix(place.path()).unwrap().to_owned();
            (files.into_iter().map(|(path, bytes)| (below(path), bytes)).collect::<Vec<_>>(),
             world.expected())
        };
        prop_assert_eq!(run(), run());
    }
}

/// Not the second half of a record that was cut by a foreign truncation.
fn is_record(form: Form, line: &[u8]) -> bool {
    if form == Form::Json { line.starts_with(b"{\"ts\":17") } else { line.starts_with(b"17689") }
}

/// Some file ends in exactly this, without a newline.
fn is_a_tail(root: &Path, line: &[u8]) -> bool {
    disk(root).values().any(|text| text.rsplit(|byte| *byte == b'\n').next() == Some(line))
}
