//! Documents on their way to a server: what was handed over, what it has, in their order.
//!
//! Events, alerts and risk each have a lane with numbers of its own, so that a backlog of events
//! holds no alert back. A lane's cursor is contiguous: a later success never passes what came
//! before it. No IO here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::{KINDS, Kind, Marks};

/// One document of a block of them.
#[derive(Clone, Debug)]
pub(super) struct Document {
    block: Arc<Vec<u8>>,
    /// When it was handed over, unless it was on disk meanwhile.
    pub(super) came: Option<Instant>,
    range: Range<usize>,
    pub(super) kind: Kind,
}

impl Document {
    /// Its bytes, without the line feed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[self.range.clone()]
    }
}

/// Names a document: its kind, and its number among those of its kind.
pub(super) type Ticket = u64;

const NUMBER_BITS: u32 = 62;

/// The ticket of the document with this number.
pub(super) fn ticket(kind: usize, number: u64) -> Ticket {
    (kind as u64) << NUMBER_BITS | number
}

fn parts(ticket: Ticket) -> (usize, u64) {
    ((ticket >> NUMBER_BITS) as usize, ticket & ((1 << NUMBER_BITS) - 1))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Settled,
}

/// Documents of one kind.
#[derive(Debug, Default)]
struct Lane {
    /// The number of the first document that is not settled.
    cursor: u64,
    documents: VecDeque<(Document, Stage)>,
    /// Nothing before this place waits.
    next: usize,
    bytes: usize,
    /// Bytes of those that wait.
    waiting: usize,
}

/// How much is to be taken still.
struct Want {
    most: usize,
    bytes: usize,
    /// Whether there is nothing yet: a document that is larger than all of it is taken then.
    is_first: bool,
}

impl Lane {
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.cursor)?).ok()
    }

    fn take(&mut self, kind: usize, want: &mut Want, taken: &mut Vec<(Ticket, Document)>) {
        while want.most > 0
            && let Some((document, stage)) = self.documents.get_mut(self.next)
        {
            if *stage == Stage::Waiting {
                let length = document.bytes().len();
                if length > want.bytes && !want.is_first {
                    return;
                }
                *stage = Stage::Sent;
                self.waiting -= length;
                want.most -= 1;
                want.bytes = want.bytes.saturating_sub(length);
                want.is_first = false;
                taken.push((ticket(kind, self.cursor + self.next as u64), document.clone()));
            }
            self.next += 1;
        }
    }

    fn again(&mut self) -> u64 {
        let mut count = 0;
        for (document, stage) in &mut self.documents {
            if *stage == Stage::Sent {
                *stage = Stage::Waiting;
                self.waiting += document.bytes().len();
                count += 1;
            }
        }
        self.next = 0;
        count
    }

    /// Lets what is settled at the front go.
    fn advance(&mut self) {
        while let Some((document, Stage::Settled)) = self.documents.front() {
            self.bytes -= document.bytes().len();
            self.documents.pop_front();
            self.cursor += 1;
            self.next = self.next.saturating_sub(1);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    bytes_max: usize,
    lanes: [Lane; KINDS],
    /// The lane that is asked first next time.
    turn: usize,
}

impl Window {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, lanes: Default::default(), turn: 0 }
    }

    /// Begins at these numbers; only before anything is added.
    pub(super) fn begin(&mut self, marks: Marks) {
        for (lane, mark) in self.lanes.iter_mut().zip(marks) {
            lane.cursor = mark;
        }
    }

    /// Whether nothing more of a kind should be added; something always fits into an empty one, and
    /// alerts and risk have an eighth for themselves.
    pub(super) fn is_full(&self, kind: usize) -> bool {
        let bytes: usize = self.lanes.iter().map(|lane| lane.bytes).sum();
        let own = if kind == Kind::Event as usize { 0 } else { self.bytes_max / 8 };
        bytes >= self.bytes_max && self.lanes[kind].bytes >= own
    }

    /// Adds the documents of a block; how many those are.
    pub(super) fn push(&mut self, kind: Kind, block: Vec<u8>, came: Option<Instant>) -> u64 {
        let lane = &mut self.lanes[kind as usize];
        let before = lane.documents.len();
        let block = Arc::new(block);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &block) {
            let document = Document { block: Arc::clone(&block), came, range: start..end, kind };
            lane.bytes += end - start;
            lane.waiting += end - start;
            lane.documents.push_back((document, Stage::Waiting));
            start = end + 1;
        }
        (lane.documents.len() - before) as u64
    }

    /// Adds a document that is not there any more: nothing is sent of it.
    pub(super) fn push_nothing(&mut self, kind: Kind) {
        let lane = &mut self.lanes[kind as usize];
        let document = Document { block: Arc::default(), came: None, range: 0..0, kind };
        lane.documents.push_back((document, Stage::Settled));
        lane.advance();
    }

    /// Goes on at `number` of a kind, of which nothing is left: what is between is lost.
    pub(super) fn skip(&mut self, kind: usize, number: u64) {
        let lane = &mut self.lanes[kind];
        if lane.documents.is_empty() {
            lane.cursor = lane.cursor.max(number);
        }
    }

    /// The next documents to send, with their tickets, of so many bytes together unless the first
    /// is larger; from now on they are on their way. Each kind gets its share.
    pub(super) fn take(&mut self, most: usize, bytes: usize) -> Vec<(Ticket, Document)> {
        let mut taken = Vec::new();
        let mut left = Want { most, bytes, is_first: true };
        let with_something = self.lanes.iter().filter(|lane| lane.waiting > 0).count().max(1);
        for parts in [with_something, 1] {
            for at in 0..KINDS {
                let kind = (self.turn + at) % KINDS;
                let share = |all: usize, whole: usize| (whole / parts).min(all);
                let given =
                    (share(left.most, most).max(1).min(left.most), share(left.bytes, bytes));
                let mut want =
                    Want { most: given.0, bytes: given.1, is_first: left.is_first && parts == 1 };
                self.lanes[kind].take(kind, &mut want, &mut taken);
                left.most -= given.0 - want.most;
                left.bytes -= given.1 - want.bytes;
                left.is_first = taken.is_empty();
            }
        }
        self.turn = (self.turn + 1) % KINDS;
        taken
    }

    /// The server has a document, or never will; whether that was news.
    pub(super) fn settle(&mut self, ticket: Ticket) -> bool {
        let (kind, number) = parts(ticket);
        let Some(lane) = self.lanes.get_mut(kind) else { return false };
        let place = lane.place(number);
        let Some((document, stage)) = place.and_then(|at| lane.documents.get_mut(at)) else {
            return false;
        };
        let is_news = *stage != Stage::Settled;
        if std::mem::replace(stage, Stage::Settled) == Stage::Waiting {
            lane.waiting -= document.bytes().len();
        }
        lane.advance();
        is_news
    }

    /// A document by its ticket, if it is not settled.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Document> {
        let (kind, number) = parts(ticket);
        let lane = self.lanes.get(kind)?;
        let (document, stage) = lane.documents.get(lane.place(number)?)?;
        (*stage != Stage::Settled).then_some(document)
    }

    /// Documents of a kind with numbers from `from` to before `to`, in their order, as far as they
    /// are here.
    pub(super) fn between(&self, kind: usize, from: u64, to: u64) -> (u64, Vec<Document>) {
        let lane = &self.lanes[kind];
        let from = from.max(lane.cursor);
        let at = lane.place(from).unwrap_or_default();
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let documents = lane.documents.iter().skip(at).take(count);
        (from, documents.map(|(document, _)| document.clone()).collect())
    }

    /// Whatever was on its way has to be sent again; how many those are.
    pub(super) fn again(&mut self) -> u64 {
        self.lanes.iter_mut().map(Lane::again).sum()
    }

    /// One document that was on its way has to be sent again; whether it was.
    pub(super) fn again_one(&mut self, ticket: Ticket) -> bool {
        let (kind, number) = parts(ticket);
        let Some(lane) = self.lanes.get_mut(kind) else { return false };
        let Some(at) = lane.place(number) else { return false };
        let Some((document, stage @ Stage::Sent)) = lane.documents.get_mut(at) else {
            return false;
        };
        *stage = Stage::Waiting;
        lane.waiting += document.bytes().len();
        lane.next = lane.next.min(at);
        true
    }

    /// Of each kind the number before which everything is settled.
    pub(super) fn cursors(&self) -> Marks {
        std::array::from_fn(|kind| self.lanes[kind].cursor)
    }

    /// Of each kind the number of the next document that will be added.
    pub(super) fn ends(&self) -> Marks {
        std::array::from_fn(|kind| {
            let lane = &self.lanes[kind];
            lane.cursor + lane.documents.len() as u64
        })
    }

    /// Whether everything before these numbers is settled.
    pub(super) fn has_passed(&self, marks: &Marks) -> bool {
        self.lanes.iter().zip(marks).all(|(lane, mark)| lane.cursor >= *mark)
    }

    /// Whether some are on their way.
    pub(super) fn has_sent(&self) -> bool {
        let is_sent = |lane: &Lane| lane.documents.iter().any(|(_, it)| *it == Stage::Sent);
        self.lanes.iter().any(is_sent)
    }

    /// Bytes of the documents that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }

    /// Whether something before these numbers may have to be sent.
    pub(super) fn has_before(&self, marks: &Marks) -> bool {
        let first = |lane: &Lane| lane.cursor + lane.next as u64;
        self.lanes.iter().zip(marks).any(|(lane, mark)| lane.waiting > 0 && first(lane) < *mark)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Push(usize),
        Take(usize, usize),
        Settle(u64),
        Again,
        AgainOne(u64),
    }

    fn length(number: &u64) -> usize {
        number.to_string().len()
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..5_usize).prop_map(Act::Push),
            (1..5_usize, 0..9_usize).prop_map(|(most, bytes)| Act::Take(most, bytes)),
            (0..40_u64).prop_map(Act::Settle),
            Just(Act::Again),
            (0..40_u64).prop_map(Act::AgainOne),
        ]
    }

    proptest! {
        /// Against sets of numbers; what a lane does does not depend on what is in the others.
        #[test]
        fn the_cursor_never_passes_what_is_open(
            acts in prop::collection::vec(act(), 0..60),
            which in 0..KINDS,
        ) {
            let kind = Kind::ALL[which];
            let mut window = Window::new(64);
            let (mut pushed, mut sent, mut settled) = (0_u64, BTreeSet::new(), BTreeSet::new());
            for act in acts {
                match act {
                    Act::Push(count) => {
                        let line = |n| format!("{}\n", pushed + n);
                        let lines: String = (0..count as u64).map(line).collect();
                        window.push(kind, lines.into_bytes(), None);
                        pushed += count as u64;
                    }
                    Act::Take(most, bytes_max) => {
                        let mut open: Vec<u64> = (0..pushed)
                            .filter(|n| !sent.contains(n) && !settled.contains(n))
                            .take(most)
                            .collect();
                        let bytes = |open: &[u64]| open.iter().map(length).sum::<usize>();
                        while open.len() > 1 && bytes(&open) > bytes_max {
                            open.pop();
                        }
                        let taken = window.take(most, bytes_max);
                        for ((number, document), open) in taken.iter().zip(&open) {
                            prop_assert_eq!(*number, ticket(which, *open));
                            let text = std::str::from_utf8(document.bytes()).unwrap();
                            prop_assert_eq!(text, open.to_string());
                        }
                        prop_assert_eq!(taken.len(), open.len());
                        sent.extend(open);
                    }
                    Act::Settle(number) => {
                        let is_news = number < pushed && !settled.contains(&number);
                        prop_assert_eq!(window.settle(ticket(which, number)), is_news);
                        if is_news {
                            settled.insert(number);
                            sent.remove(&number);
                        }
                    }
                    Act::Again => {
                        prop_assert_eq!(window.again(), sent.len() as u64);
                        sent.clear();
                    }
                    Act::AgainOne(number) => {
                        let is_sent = sent.remove(&number);
                        prop_assert_eq!(window.again_one(ticket(which, number)), is_sent);
                    }
                }
                let cursor = (0..pushed).find(|n| !settled.contains(n)).unwrap_or(pushed);
                prop_assert_eq!((window.cursors()[which], window.ends()[which]), (cursor, pushed));
                let bytes: usize = (cursor..pushed).map(|n| length(&n)).sum();
                prop_assert_eq!(window.is_full(which), bytes >= 64);
                let waits = |n: &u64| !sent.contains(n) && !settled.contains(n);
                let waiting: Vec<u64> = (0..pushed).filter(waits).collect();
                prop_assert_eq!(window.waiting(), waiting.iter().map(length).sum::<usize>());
                let mut marks = Marks::default();
                marks[which] = waiting.first().map_or(0, |first| first + 1);
                prop_assert!(waiting.is_empty() || window.has_before(&marks));
                let (from, kept) = window.between(which, 3, 9);
                let kept: Vec<_> = kept.iter().map(|it| it.bytes().to_vec()).collect();
                let expected = (from..pushed.min(9)).map(|n| n.to_string().into_bytes());
                prop_assert_eq!(kept, expected.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_backlog_of_events_holds_no_alert_back_and_no_kind_starves() {
        let mut window = Window::new(1000);
        window.push(Kind::Event, b"event\n".repeat(200), None);
        assert!(window.is_full(Kind::Event as usize) && !window.is_full(Kind::Alert as usize));
        window.push(Kind::Alert, b"alert\n".repeat(30), None);
        window.push(Kind::Risk, b"risks\n".repeat(30), None);
        assert!(window.is_full(Kind::Alert as usize));
        for _ in 0..2 {
            let taken = window.take(30, 150);
            let of = |kind| taken.iter().filter(|(_, it)| it.kind == kind).count();
            assert_eq!([Kind::Event, Kind::Alert, Kind::Risk].map(of), [10, 10, 10]);
        }
        window.take(20, 1000);
        // What others do not need is for whoever has something.
        assert_eq!(window.take(30, 150).len(), 30);
    }
}
