//! Documents on their way to a server: what was handed over, what it has, in their order.
//!
//! The cursor is contiguous: a later success never passes what came before it. No IO here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::engine::Kind;

/// One document of a block of them.
#[derive(Clone, Debug)]
pub(super) struct Document {
    block: Arc<Vec<u8>>,
    range: Range<usize>,
    pub(super) kind: Kind,
}

impl Document {
    /// Its bytes, without the line feed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[self.range.clone()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent,
    Settled,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    bytes_max: usize,
    bytes: usize,
    /// The number of the first document that is not settled.
    cursor: u64,
    documents: VecDeque<(Document, Stage)>,
    /// Nothing before this place waits.
    next: usize,
    /// Bytes of those that wait.
    waiting: usize,
}

impl Window {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, cursor: 0, documents: VecDeque::new(), next: 0, waiting: 0 }
    }

    /// Whether nothing more should be added; something always fits into an empty one.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Adds the documents of a block; how many those are.
    pub(super) fn push(&mut self, kind: Kind, block: &[u8]) -> u64 {
        let before = self.documents.len();
        let block = Arc::new(block.to_vec());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &block) {
            let document = Document { block: Arc::clone(&block), range: start..end, kind };
            self.bytes += end - start;
            self.waiting += end - start;
            self.documents.push_back((document, Stage::Waiting));
            start = end + 1;
        }
        (self.documents.len() - before) as u64
    }

    /// The next documents to send, with their numbers, of so many bytes together unless the first
    /// is larger; from now on they are on their way.
    pub(super) fn take(&mut self, most: usize, bytes_max: usize) -> Vec<(u64, Document)> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most
            && let Some((document, stage)) = self.documents.get_mut(self.next)
        {
            if *stage == Stage::Waiting {
                bytes += document.bytes().len();
                if bytes > bytes_max && !taken.is_empty() {
                    break;
                }
                *stage = Stage::Sent;
                self.waiting -= document.bytes().len();
                taken.push((self.cursor + self.next as u64, document.clone()));
            }
            self.next += 1;
        }
        taken
    }

    /// The server has a document, or never will; whether that was news.
    pub(super) fn settle(&mut self, number: u64) -> bool {
        let at = number.checked_sub(self.cursor).and_then(|at| usize::try_from(at).ok());
        let Some((document, stage)) = at.and_then(|at| self.documents.get_mut(at)) else {
            return false;
        };
        let is_news = *stage != Stage::Settled;
        if std::mem::replace(stage, Stage::Settled) == Stage::Waiting {
            self.waiting -= document.bytes().len();
        }
        while let Some((document, Stage::Settled)) = self.documents.front() {
            self.bytes -= document.bytes().len();
            self.documents.pop_front();
            self.cursor += 1;
            self.next = self.next.saturating_sub(1);
        }
        is_news
    }

    /// A document by its number, if it is not settled.
    pub(super) fn get(&self, number: u64) -> Option<&Document> {
        let at = usize::try_from(number.checked_sub(self.cursor)?).ok()?;
        let (document, stage) = self.documents.get(at)?;
        (*stage != Stage::Settled).then_some(document)
    }

    /// Whatever was on its way has to be sent again; how many those are.
    pub(super) fn again(&mut self) -> u64 {
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

    /// One document that was on its way has to be sent again; whether it was.
    pub(super) fn again_one(&mut self, number: u64) -> bool {
        let at = number.checked_sub(self.cursor).and_then(|at| usize::try_from(at).ok());
        let Some(at) = at else { return false };
        let Some((document, stage @ Stage::Sent)) = self.documents.get_mut(at) else {
            return false;
        };
        *stage = Stage::Waiting;
        self.waiting += document.bytes().len();
        self.next = self.next.min(at);
        true
    }

    /// All documents before this number are settled.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The number of the next document that will be added.
    pub(super) fn end(&self) -> u64 {
        self.cursor + self.documents.len() as u64
    }

    /// Bytes of the documents that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The first number that may have to be sent.
    pub(super) fn next(&self) -> u64 {
        self.cursor + self.next as u64
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
            (0..5_usize, 0..9_usize).prop_map(|(most, bytes)| Act::Take(most, bytes)),
            (0..40_u64).prop_map(Act::Settle),
            Just(Act::Again),
            (0..40_u64).prop_map(Act::AgainOne),
        ]
    }

    proptest! {
        /// Against sets of numbers.
        #[test]
        fn the_cursor_never_passes_what_is_open(acts in prop::collection::vec(act(), 0..60)) {
            let mut window = Window::new(64);
            let (mut pushed, mut sent, mut settled) = (0_u64, BTreeSet::new(), BTreeSet::new());
            for act in acts {
                match act {
                    Act::Push(count) => {
                        let line = |n| format!("{}\n", pushed + n);
                        let lines: String = (0..count as u64).map(line).collect();
                        window.push(Kind::Event, lines.as_bytes());
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
                            prop_assert_eq!(number, open);
                            let text = std::str::from_utf8(document.bytes()).unwrap();
                            prop_assert_eq!(text, open.to_string());
                        }
                        prop_assert_eq!(taken.len(), open.len());
                        sent.extend(open);
                    }
                    Act::Settle(number) => {
                        let is_news = number < pushed && !settled.contains(&number);
                        prop_assert_eq!(window.settle(number), is_news);
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
                        prop_assert_eq!(window.again_one(number), sent.remove(&number));
                    }
                }
                let cursor = (0..pushed).find(|n| !settled.contains(n)).unwrap_or(pushed);
                prop_assert_eq!((window.cursor(), window.end()), (cursor, pushed));
                let bytes: usize = (cursor..pushed).map(|n| length(&n)).sum();
                prop_assert_eq!(window.is_full(), bytes >= 64);
                let waits = |n: &u64| !sent.contains(n) && !settled.contains(n);
                let waiting: Vec<u64> = (0..pushed).filter(waits).collect();
                prop_assert_eq!(window.waiting(), waiting.iter().map(length).sum::<usize>());
                prop_assert!(waiting.first().is_none_or(|first| window.next() <= *first));
            }
        }
    }
}
