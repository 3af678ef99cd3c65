//! That recordings are made again byte for byte, and what they say of their records is so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::emulator::checks::{inflated, raw};
use crate::emulator::rows::Log;
use crate::emulator::timeline::{Account, RECORDED, Recorded, Timeline, fixtures, recordings};

/// Records and destroyed ones, by log.
fn counts(account: &Account) -> BTreeMap<Log, (usize, usize)> {
    let mut counts = BTreeMap::new();
    for Recorded { record, destroyed_s, .. } in &account.records {
        let (all, destroyed) = counts.entry(record.log).or_insert((0, 0));
        *all += 1;
        *destroyed += usize::from(destroyed_s.is_some());
    }
    counts
}

/// Makes the calls as fast as it goes; the directory is what the recording says, and so are the
/// lines in it, each once.
fn replay(path: &Path) -> Account {
    let timeline = Timeline::open(path);
    let account = timeline.account();
    let place = TempDir::new().unwrap();
    timeline.replay(place.path(), 0.0);
    let below = |path: &Path| path.strip_prefix(place.path()).unwrap().to_owned();
    let disk: BTreeMap<PathBuf, Vec<u8>> =
        raw(place.path()).into_iter().map(|(path, bytes)| (below(&path), bytes)).collect();
    let name = timeline.name();
    assert!(disk == account.files, "{name}: {:?}", disk.keys().collect::<Vec<_>>());

    let logs = disk
        .into_iter()
        .filter(|(path, _)| !path.file_name().unwrap().to_string_lossy().starts_with("."));
    let mut found: Vec<Vec<u8>> = logs
        .flat_map(|(path, bytes)| {
            let text = inflated(&path, bytes);
            text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .collect();
    let kept = account.records.iter().filter(|record| record.destroyed_s.is_none());
    let mut kept: Vec<Vec<u8>> = kept.map(|record| record.record.line.clone()).collect();
    found.sort();
    kept.sort();
    assert!(found == kept, "{name}: {} lines on disk, {} records", found.len(), kept.len());

    for Recorded { record, readable_s, destroyed_s } in &account.records {
        assert!(destroyed_s.is_none_or(|destroyed_s| destroyed_s > *readable_s), "{record:?}");
        assert!(record.key.starts_with(if record.log == Log::Files { 'F' } else { 'C' }));
    }
    assert_eq!(account.torn, [], "{name}");
    account
}

#[test]
fn the_cuts_are_made_again() {
    let found: BTreeMap<String, BTreeMap<Log, (usize, usize)>> = fixtures()
        .iter()
        .map(|path| (Timeline::open(path).name().to_owned(), counts(&replay(path))))
        .collect();
    let logs = |counts: [(usize, usize); 4]| RECORDED.into_iter().zip(counts).collect();
    let expected = [
        ("gzip-rotate10s-dir", logs([(157, 0), (913, 0), (486, 0), (129, 0)])),
        ("json-sigkill-leftover-restart", logs([(70, 0), (84, 0), (80, 0), (80, 0)])),
        ("tsv-rotate10s-archived-gz", logs([(64, 0); 4])),
        ("tsv-sigterm-restart-truncates", logs([(80, 10), (61, 10), (80, 10), (80, 10)])),
    ];
    assert_eq!(found, expected.map(|(name, counts)| (name.to_owned(), counts)).into());
}

/// Against the counts that came with the recordings.
#[test]
fn whole_recordings_are_made_again() {
    let recordings = recordings();
    let Some(first) = recordings.first() else {
        #[expect(clippy::print_stderr, reason = "why nothing was tested")]
        {
            eprintln!("no recordings beside the repository or in ZEEK_TIMELINES: only the cuts");
        }
        return;
    };
    let manifest = fs::read_to_string(first.with_file_name("MANIFEST.tsv")).unwrap();
    let mut rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let titles = rows.next().unwrap();
    let at = |title: &str| titles.iter().position(|other| *other == title).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = rows.map(|row| (row[0], row)).collect();
    for path in &recordings {
        let row = &rows[path.file_name().unwrap().to_str().unwrap()];
        let counts = counts(&replay(path));
        for (log, (all, _)) in &counts {
            assert_eq!(all.to_string(), row[at(log.name())], "{}: {log:?}", path.display());
        }
        let destroyed: Vec<usize> = counts.values().map(|(_, destroyed)| *destroyed).collect();
        let is_truncated = row[at("destroyed_records")] != "0";
        let expected = if is_truncated { [1938, 609, 240, 25] } else { [0; 4] };
        assert_eq!(destroyed, expected, "{}", path.display());
    }
    assert_eq!(recordings.len(), rows.len());
}

#[test]
fn a_speed_is_kept() {
    let timeline = Timeline::open(fixtures().last().unwrap());
    let place = TempDir::new().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the speed is real")]
    let start = Instant::now();
    let mut calls = 0;
    timeline.replay_with(place.path(), timeline.seconds() / 0.2, &mut || calls += 1);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(calls > 300, "{calls}");
}
