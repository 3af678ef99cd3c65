//! A sink that acknowledges when it likes, a spool that may be killed and damaged at any point:
//! what was committed arrives, in order, or is known to be lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::frame::Packer;
use super::queue::Queue;
use super::*;
use crate::base::clock::now;
use crate::base::hash::{Id, Prefix};
use crate::sink::MakeAgain;
use crate::sink::network::Shared;
use crate::sink::window::{Ticket, ticket};

const WINDOW: usize = 1 << 20;
const BOUND: Bound = Bound { bytes_max: 64 << 20, when_full: WhenFull::Pause };

fn id(number: u64) -> Id {
    Prefix([7; 10]).id(number)
}

/// Documents of some numbers, each of about so many bytes.
fn documents(numbers: std::ops::Range<u64>, padding: usize) -> Vec<u8> {
    let mut block = Vec::new();
    for number in numbers {
        let (id, padding) = (id(number), "x".repeat(padding));
        let text = format!(
            r#"{{"@timestamp":"2018-03-24T17:15:20.865716Z","event":{{"id":"{id}","kind":"event","dataset":"zeek.conn"}},"n":"{padding}"}}"#
        );
        block.extend_from_slice(text.as_bytes());
        block.push(b'\n');
    }
    block
}

/// A daemon's half of a sink, from start to kill, and what a commit has of it.
struct Half {
    shared: Arc<Shared>,
    left: Progress,
    /// The documents that there were, by kind.
    handed: Marks,
}

fn nothing(_: &[Id]) -> BTreeMap<Id, Vec<u8>> {
    BTreeMap::new()
}

impl Half {
    fn open(place: &Path, left: Option<&Progress>, again: Arc<MakeAgain>) -> Self {
        let shared = Arc::new(Shared::new(WINDOW));
        let left = shared.attach(place, BOUND, left, true, again).unwrap();
        Self { shared, left, handed: left.handed }
    }

    fn send(&mut self, kind: Kind, count: u64, padding: usize) {
        let from = self.handed[kind as usize];
        self.shared.send(kind, &documents(from..from + count, padding)).unwrap();
        self.handed[kind as usize] += count;
        assert_eq!(self.shared.handed(), self.handed);
    }

    fn commit(&mut self) {
        let handed = self.shared.handed();
        let (progress, _) = self
            .shared
            .settle(&handed, now() + Duration::from_millis(20), &|| true)
            .unwrap()
            .unwrap();
        assert_eq!(progress.handed, handed);
        self.left = progress;
        self.shared.stands(&progress.cursors).unwrap();
    }

    /// Takes what the window gives, in its order.
    fn take(&self, most: usize) -> Vec<(Ticket, String)> {
        let taken = self.shared.lock().window.take(most, usize::MAX);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        taken.into_iter().map(|(ticket, it)| (ticket, text(it.bytes()))).collect()
    }

    fn acknowledge(&self, tickets: impl IntoIterator<Item = Ticket>) {
        let mut inner = self.shared.lock();
        tickets.into_iter().for_each(|ticket| inner.acknowledge(ticket));
        drop(inner);
        self.shared.tell();
    }

    /// Takes and acknowledges until nothing is left, and returns what came, by kind.
    fn drain(&self) -> [Vec<u64>; KINDS] {
        let mut came: [Vec<u64>; KINDS] = Default::default();
        let until = now() + Duration::from_secs(20);
        while self.shared.status().lag > 0 {
            assert!(now() < until, "it does not end: {:?}", self.shared.status());
            let taken = self.take(1000);
            for (taken, text) in &taken {
                let at = (taken >> 62) as usize;
                let parts = crate::document::Parts::of(text.as_bytes()).unwrap();
                came[at].push(Id::parse(parts.id).unwrap().offset());
            }
            if taken.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.acknowledge(taken.into_iter().map(|(ticket, _)| ticket));
        }
        came
    }

    fn close(self) -> Progress {
        self.shared.lock().is_closed = true;
        self.shared.tell();
        self.left
    }
}

fn files(place: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_sink_that_keeps_up_never_touches_the_disk() {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    for _ in 0..5 {
        half.send(Kind::Event, 100, 100);
        half.send(Kind::Alert, 1, 100);
        half.drain();
        half.commit();
    }
    assert!(files(place.path()).is_empty(), "{:?}", files(place.path()));
    assert_eq!(half.close().cursors, [500, 5, 0]);
}

#[test]
fn what_a_sink_lacks_comes_back_in_order_while_new_documents_flow() {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    for _ in 0..40 {
        half.send(Kind::Event, 1000, 200);
        half.send(Kind::Risk, 3, 50);
        half.commit();
    }
    let status = half.shared.status();
    assert!(status.spool.bytes > 0 && status.spool.documents > 20_000, "{status:?}");
    // Risk does not stand behind the events.
    let first = half.take(600);
    assert_eq!(first.iter().filter(|(it, _)| *it >= ticket(Kind::Risk as usize, 0)).count(), 120);
    half.acknowledge(first.into_iter().map(|(ticket, _)| ticket));
    half.send(Kind::Event, 1000, 200);
    let came = half.drain();
    let rest = came[0].len() as u64;
    assert!(came[0].iter().copied().eq(41_000 - rest..41_000) && rest > 40_000, "{rest}");
    half.commit();
    assert!(files(place.path()).is_empty(), "{:?}", files(place.path()));
    assert_eq!(half.close().cursors, [41_000, 0, 120]);
}

#[test]
fn what_arrived_is_let_go_also_when_nothing_more_is_read() {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    for _ in 0..20 {
        half.send(Kind::Event, 1000, 200);
        half.commit();
    }
    // Committed beyond what the first commits had put there.
    while half.shared.lock().window.cursors()[0] < 15_000 {
        half.acknowledge(half.take(500).into_iter().map(|(ticket, _)| ticket));
    }
    half.commit();
    assert!(!half.shared.has_news() && !files(place.path()).is_empty());
    half.drain();
    assert!(half.shared.has_news(), "a commit has to let the files go");
    half.commit();
    assert!(!half.shared.has_news());
    assert!(files(place.path()).is_empty(), "{:?}", files(place.path()));
    half.close();
}

#[derive(Clone, Debug)]
enum Act {
    Send(usize, u64, usize),
    Take(usize),
    Settle(usize),
    Commit,
    Kill,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..KINDS, 1..400_u64, 0..3000_usize).prop_map(|(k, n, p)| Act::Send(k, n, p)),
        2 => (1..500_usize).prop_map(Act::Take),
        2 => (0..4_usize).prop_map(Act::Settle),
        2 => Just(Act::Commit),
        1 => Just(Act::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is sent, taken, acknowledged out of order, committed and killed: what a commit
    /// knows arrives, at least once, and in order for the first time.
    #[test]
    fn what_is_committed_arrives(acts in prop::collection::vec(act(), 1..40)) {
        let place = TempDir::new().unwrap();
        let mut half = Half::open(place.path(), None, Arc::new(nothing));
        half.commit();
        let mut arrived: [Vec<u64>; KINDS] = Default::default();
        let mut open: Vec<(Ticket, String)> = Vec::new();
        let note = |arrived: &mut [Vec<u64>; KINDS], ticket: Ticket, text: &str| {
            let parts = crate::document::Parts::of(text.as_bytes()).unwrap();
            let number = Id::parse(parts.id).unwrap().offset();
            assert_eq!(ticket & ((1 << 62) - 1), number, "its number is its own");
            arrived[(ticket >> 62) as usize].push(number);
        };
        for act in acts {
            match act {
                Act::Send(kind, count, padding) => half.send(Kind::ALL[kind], count, padding),
                Act::Take(most) => open.extend(half.take(most)),
                Act::Settle(every) => {
                    let mut at = 0;
                    let done: Vec<_> = open
                        .extract_if(.., |_| { at += 1; at % (every + 1) == 0 })
                        .collect();
                    done.iter().for_each(|(ticket, text)| note(&mut arrived, *ticket, text));
                    half.acknowledge(done.into_iter().map(|(ticket, _)| ticket));
                }
                Act::Commit => half.commit(),
                Act::Kill => {
                    open.clear();
                    let left = half.close();
                    half = Half::open(place.path(), Some(&left), Arc::new(nothing));
                    prop_assert_eq!(half.left, left);
                }
            }
        }
        half.shared.lock().again();
        let rest = half.drain();
        for (kind, (arrived, rest)) in arrived.iter_mut().zip(rest).enumerate() {
            let since = rest.first().copied();
            prop_assert!(rest.is_sorted());
            arrived.extend(rest);
            let mut all = arrived.clone();
            all.sort_unstable();
            all.dedup();
            // What was sent and belonged to no commit comes again, under the same number.
            let count = half.handed[kind];
            all.retain(|number| *number < count);
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>(), "{:?}", since);
        }
        prop_assert_eq!(half.shared.status().spool.lost, 0);
        half.commit();
        prop_assert!(files(place.path()).is_empty());
        half.close();
    }
}

/// What is written into a spool, damaged, and read again: what is missing is counted, and events
/// come back whose lines are there.
fn check_damage(damage: &dyn Fn(&Path), lines: bool, is_over: bool) -> (Vec<u64>, u64, u64) {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    for _ in 0..20 {
        half.send(Kind::Event, 2000, 500);
        half.commit();
    }
    let left = half.close();
    damage(place.path());
    let again: Arc<MakeAgain> = Arc::new(move |ids: &[Id]| {
        let line = |id: &Id| (*id, documents(id.offset()..id.offset() + 1, 500));
        if lines { ids.iter().map(line).collect() } else { BTreeMap::new() }
    });
    let mut half = Half::open(place.path(), Some(&left), again);
    half.send(Kind::Event, 10, 500);
    let [came, ..] = half.drain();
    let status = half.shared.status().spool;
    assert_eq!(came.len() as u64 + status.lost, 40_010, "each is there or known to be lost");
    assert!(came.is_sorted());
    assert_eq!(came.last(), Some(&40_009));
    half.commit();
    let left_over = files(place.path());
    let is_put_away = |path: &PathBuf| path.extension().is_some_and(|it| it == "damaged");
    assert!(left_over.iter().all(is_put_away), "{left_over:?}");
    assert_eq!(!left_over.is_empty(), is_over, "{left_over:?}");
    half.close();
    (came, status.lost, status.made_again)
}

/// The first or last file that ends like this.
fn one(place: &Path, what: &str, is_last: bool) -> PathBuf {
    let mut found = files(place).into_iter().filter(|it| it.to_str().unwrap().ends_with(what));
    if is_last { found.next_back().unwrap() } else { found.next().unwrap() }
}

fn flip(path: &Path, share: f64) {
    let mut bytes = fs::read(path).unwrap();
    let at = (bytes.len() as f64 * share) as usize;
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn f48_a_spool_with_one_bit_flipped() {
    for share in [0.0, 0.3, 0.9] {
        let damage = |place: &Path| flip(&one(place, "spool", false), share);
        let (_, lost, made) = check_damage(&damage, false, true);
        assert!(lost > 0 && lost <= 4000 && made == 0, "{lost}");
        let (_, lost, made) = check_damage(&damage, true, true);
        assert!(lost == 0 && made > 0, "{made}");
    }
}

#[test]
fn f48_a_spool_that_is_cut_or_gone() {
    let cut = |place: &Path| {
        let path = one(place, "spool", true);
        let length = fs::metadata(&path).unwrap().len();
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length - 10).unwrap();
    };
    let gone = |place: &Path| fs::remove_file(one(place, "spool", false)).unwrap();
    let empty = |place: &Path| fs::write(one(place, "spool", false), "").unwrap();
    let noise = |place: &Path| fs::write(one(place, "spool", false), [7; 100_000]).unwrap();
    for (damage, is_over) in
        [(&cut as &dyn Fn(&Path), true), (&gone, false), (&empty, false), (&noise, true)]
    {
        let (_, lost, _) = check_damage(damage, false, is_over);
        assert!(lost > 0);
        let (_, lost, made) = check_damage(damage, true, is_over);
        assert!(lost == 0 && made > 0, "{lost} {made}");
    }
    let all = |place: &Path| {
        files(place).iter().for_each(|path| fs::remove_file(path).unwrap());
    };
    let (_, lost, _) = check_damage(&all, true, false);
    assert_eq!(lost, 40_000, "nobody knows what they were");
}

#[test]
fn what_no_commit_knows_is_cut_off_and_a_spool_without_a_commit_is_sent() {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    half.send(Kind::Event, 5000, 500);
    half.commit();
    let left = half.left;
    half.send(Kind::Event, 5000, 500);
    half.commit();
    half.close();
    let half = Half::open(place.path(), Some(&left), Arc::new(nothing));
    assert_eq!(half.handed, [5000, 0, 0]);
    assert_eq!(half.drain()[0], (0..5000).collect::<Vec<_>>());
    // The commit is gone, with all that it knew.
    half.close();
    let half = Half::open(place.path(), None, Arc::new(nothing));
    assert_eq!(half.drain()[0], (0..5000).collect::<Vec<_>>());
    half.close();
}

#[test]
fn a_full_spool_is_shut_or_drops_events_and_counts_them() {
    for when_full in [WhenFull::Pause, WhenFull::DropEvents] {
        let place = TempDir::new().unwrap();
        let bound = Bound { bytes_max: 1 << 20, when_full };
        let shared = Arc::new(Shared::new(WINDOW));
        shared.attach(place.path(), bound, None, true, Arc::new(nothing)).unwrap();
        let mut sent = 0;
        while !shared.status().spool.is_full {
            // As random as packed documents are.
            let noise = (0..400).map(|n| id(sent * 400 + n).to_string()).collect::<String>();
            let block = documents(sent..sent + 1, 0);
            let block =
                [&block[..block.len() - 2], b"\",\"x\":\"", noise.as_bytes(), b"\"}\n"].concat();
            shared.send(Kind::Event, &block).unwrap();
            sent += 1;
            assert!(sent < 100_000);
        }
        assert_eq!(shared.is_shut(), when_full == WhenFull::Pause);
        shared.send(Kind::Event, &documents(sent..sent + 100, 0)).unwrap();
        shared.send(Kind::Alert, &documents(0..100, 0)).unwrap();
        let status = shared.status();
        let dropped = if when_full == WhenFull::Pause { 0 } else { 100 };
        assert_eq!(status.spool.dropped, dropped);
        assert_eq!(status.sent, [sent + 100 - dropped, 100, 0, 0]);
        shared.lock().is_closed = true;
        shared.tell();
    }
}

#[test]
fn a_flush_that_fails_half_way_goes_on_where_it_failed() {
    let place = TempDir::new().unwrap();
    let mut packer = Packer::new().unwrap();
    // Each frame has a segment of its own, and the second has no place.
    let queue = Queue::open(place.path(), Kind::Event, 1, Some((0, 0)), &mut packer);
    let (mut queue, _) = queue.unwrap();
    let block = documents(0..5000, 500);
    let in_way = |first: u64| place.path().join(format!("events.{first:020}.spool"));
    let mut fails = None;
    for first in 1..5000 {
        fs::create_dir(in_way(first)).unwrap();
    }
    for _ in 0..3 {
        let failed = queue.pend(0, if fails.is_none() { &block } else { b"" }, &mut packer);
        assert!(failed.is_err());
        fails = Some(());
    }
    (1..5000).for_each(|first| fs::remove_dir(in_way(first)).unwrap());
    let mut next = 0;
    let mut note = |first: u64, block: &[u8]| {
        assert_eq!(first, next, "none twice, none missing");
        assert!(block.starts_with(&documents(next..next + 1, 500)));
        next += memchr::memchr_iter(b'\n', block).count() as u64;
    };
    while let Some(Read::Documents(first, block)) = queue.read().unwrap() {
        note(first, &block);
    }
    let (first, rest) = queue.take_pending().unwrap();
    note(first, &rest);
    assert_eq!(next, 5000);
}

#[test]
fn letters_of_a_sink_that_rejects_everything_do_not_fill_the_memory() {
    let place = TempDir::new().unwrap();
    let mut half = Half::open(place.path(), None, Arc::new(nothing));
    for _ in 0..60 {
        half.send(Kind::Event, 1000, 1000);
    }
    let until = now() + Duration::from_secs(20);
    // Nothing comes any more once nothing came for long.
    let mut quiet = now();
    while now() - quiet < Duration::from_secs(2) {
        assert!(now() < until, "{:?}", half.shared.status());
        let taken = half.take(1000);
        if taken.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        quiet = now();
        let mut inner = half.shared.lock();
        taken.iter().for_each(|(ticket, _)| inner.reject("kafka", *ticket, "no"));
        drop(inner);
        half.shared.tell();
    }
    let rejected = half.shared.status().rejected;
    assert!((5_000..60_000).contains(&rejected), "{rejected}");
    let letters = half.shared.take_letters(&half.shared.handed()).len();
    assert!(letters < 20 << 20, "{letters} of {rejected}");
    half.shared.tell();
    half.drain();
    assert_eq!(half.close().handed, [0; KINDS], "no commit was made");
}
