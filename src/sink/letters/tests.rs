//! The file of dead letters, within its bound, whenever the program ends.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::engine::FileEnd;

fn letter(number: usize, padding: usize) -> String {
    let raw = "A".repeat(padding);
    format!(
        "{{\"reason\":\"bad_field\",\"detail\":\"{number}\",\"log\":\"conn\",\"file\":\"conn.log\",\"offset\":{number},\"length\":1,\"sink\":null,\"raw\":\"{raw}\",\"sha256\":\"\"}}\n"
    )
}

fn open(place: &Path, bytes_max: u64, when_full: WhenFull, end: Option<FileEnd>) -> Writer {
    Writer::open(place, Bound { bytes_max, when_full }, end).unwrap()
}

fn numbers(place: &Path) -> Vec<usize> {
    let text = fs::read_to_string(place.join(NAME)).unwrap();
    let numbers = text.lines().map(|line| Letter::parse(line.as_bytes()).unwrap().detail);
    numbers.map(|it| it.parse().unwrap()).collect()
}

fn keys(place: &Path) -> Vec<Key> {
    let mut letters = Letters::open(&place.join(NAME)).unwrap();
    let mut keys = Vec::new();
    while let Some((key, _)) = letters.line().unwrap() {
        keys.push(key);
    }
    keys
}

#[derive(Clone, Debug)]
enum Act {
    Take(usize),
    Cut,
    Kill,
    Deal(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..4_usize).prop_map(Act::Take),
        2 => Just(Act::Cut),
        1 => Just(Act::Kill),
        1 => (0..10_usize).prop_map(Act::Deal),
    ]
}

proptest! {
    /// What a commit knows is there, once, unless somebody dealt with it; what no commit knows is
    /// there once it comes again.
    #[test]
    fn letters_are_there_once_whenever_it_ends(acts in prop::collection::vec(act(), 0..40)) {
        let place = TempDir::new().unwrap();
        let place = place.path();
        let stop = AtomicBool::new(false);
        let (mut writer, mut end) = (open(place, 1 << 20, WhenFull::Pause, None), None);
        let (mut next, mut committed, mut dealt) = (0, 0, Vec::new());
        for act in acts {
            match act {
                Act::Take(count) => {
                    for _ in 0..count {
                        writer.take_lines(letter(next, 10).as_bytes()).unwrap();
                        next += 1;
                    }
                }
                Act::Cut => {
                    end = Some(writer.cut(&stop).unwrap());
                    committed = next;
                }
                Act::Kill => {
                    drop(writer);
                    writer = open(place, 1 << 20, WhenFull::Pause, end);
                    if end.is_some() {
                        next = committed;
                    }
                }
                Act::Deal(at) => {
                    let (keys, numbers) = (keys(place), numbers(place));
                    // Commands see what no commit knows as well.
                    if let Some(key) = keys.get(at).filter(|_| numbers[at] < committed) {
                        let lock = Lock::take(place).unwrap().unwrap();
                        Done::note(place, &lock, &[*key], Dealt::Dropped).unwrap();
                        dealt.push(numbers[at]);
                    }
                }
            }
            let found = numbers(place);
            prop_assert!(found.is_sorted_by(|a, b| a < b), "{:?}", found);
            let missing: Vec<_> = (0..next).filter(|it| !found.contains(it)).collect();
            prop_assert!(missing.iter().all(|it| dealt.contains(it)), "{:?} {:?}", missing, dealt);
            prop_assert!(found.iter().all(|it| *it < next));
        }
        for _ in 0..2 {
            end = Some(writer.cut(&stop).unwrap());
        }
        open(place, 1 << 20, WhenFull::Pause, end).cut(&stop).unwrap();
        let found = numbers(place);
        let left: Vec<_> = (0..next).filter(|it| !dealt.contains(it)).collect();
        prop_assert_eq!(found, left);
    }
}

#[test]
fn a_full_file_waits_for_somebody_to_deal_with_it() {
    let place = TempDir::new().unwrap();
    let place = place.path();
    let mut writer = open(place, 2000, WhenFull::Pause, None);
    let standing = writer.standing();
    for number in 0..5 {
        writer.take_lines(letter(number, 400).as_bytes()).unwrap();
    }
    assert!(!standing.is_full.load(std::sync::atomic::Ordering::Relaxed));
    let raws = |place: &Path| {
        let text = fs::read_to_string(place.join(NAME)).unwrap();
        let raw = |line: &str| Letter::parse(line.as_bytes()).unwrap().raw().len();
        text.lines().map(raw).collect::<Vec<_>>()
    };
    // From three quarters on the bytes stay in the log.
    assert_eq!(raws(place), [300, 300, 300, 0, 0]);
    for number in 5..10 {
        writer.take_lines(letter(number, 400).as_bytes()).unwrap();
    }
    assert!(standing.is_full.load(std::sync::atomic::Ordering::Relaxed));
    assert!(fs::metadata(place.join(NAME)).unwrap().len() <= 2000);
    let known = numbers(place).len();
    let stop = AtomicBool::new(true);
    let error = writer.cut(&stop).unwrap_err().to_string();
    assert!(error.contains("no room for dead letters"), "{error}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| writer.cut(&AtomicBool::new(false)).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        let lock = Lock::take(place).unwrap().unwrap();
        assert!(Lock::take(place).unwrap().is_none(), "one at a time");
        let three: Vec<_> = keys(place)[..3].to_vec();
        Done::note(place, &lock, &three, Dealt::Replayed).unwrap();
        drop(lock);
        let end = waiting.join().unwrap();
        assert_eq!(end.sequence, 1);
        assert_eq!(numbers(place), (3..10).collect::<Vec<_>>(), "{known}");
        // That commit does not stand: the file is as it was.
        drop(open(place, 2000, WhenFull::Pause, Some(FileEnd { sequence: 0, length: 1 << 20 })));
        assert_eq!(numbers(place), (0..known).collect::<Vec<_>>());
    });
}

#[test]
fn the_oldest_half_goes_where_that_is_configured() {
    let place = TempDir::new().unwrap();
    let place = place.path();
    let mut writer = open(place, 4000, WhenFull::DropOldest, None);
    let stop = AtomicBool::new(false);
    for number in 0..200 {
        writer.take(letter(number, 100).as_bytes()).unwrap();
        writer.cut(&stop).unwrap();
        let length = fs::metadata(place.join(NAME)).unwrap().len();
        assert!(length < 4300, "{length}");
    }
    let found = numbers(place);
    let dropped = writer.standing().dropped.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(found.len() as u64 + dropped, 200);
    assert_eq!(found.last(), Some(&199));
    assert!(found.is_sorted() && found.len() >= 8, "{found:?}");
}
