//! What a lane makes of its records, on the way to the entity lane; and documents in blocks, on the
//! way to a sink.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::limits::SINK_BLOCK_BYTES;
use crate::base::time::{Minute, Time};
use crate::record::{Evidence, Log, Source};
use crate::risk::Seen;
use crate::stage::activity::Deeds;
use crate::stage::{Delta, Sighting, Target};

use super::guard::{Guard, Panics, Quarantine};
use super::summary::Counts;
use super::traits::Mark;
use super::watermark::Watermark;

/// The four kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One per record.
    Event,
    /// One per finding that is strong enough.
    Alert,
    /// The score of an entity.
    Risk,
    /// A line that was no record.
    DeadLetter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Event, Self::Alert, Self::Risk, Self::DeadLetter];
}

/// Kinds that go to sinks beyond this machine: all but dead letters.
pub const KINDS: usize = 3;

/// A number for each of these kinds, by [`Kind`]: how many documents.
pub type Marks = [u64; KINDS];

/// A record or a reject, in the order of its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// How far its file has come in event time: what the merge goes by. Never falls.
    pub(super) place: Time,
    /// Where its document ends; nothing between two ends is a record without a document.
    pub(super) end: u32,
    pub(super) is_letter: bool,
}

/// What a lane made of some records of one file.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) log: Log,
    pub(super) items: Vec<Item>,
    pub(super) documents: Vec<u8>,
    /// By item, ascending; with the minute that it counts in.
    pub(super) evidence: Vec<(usize, Minute, Evidence)>,
    pub(super) deltas: Vec<Delta>,
    /// What entities did.
    pub(super) deeds: Deeds,
    /// Rows by the minute that they count in, run by run.
    pub(super) minutes: Vec<(Minute, u64)>,
    /// Who served whom.
    pub(super) sightings: Vec<Sighting>,
    /// Whom connections through proxies ask for.
    pub(super) targets: Vec<Target>,
    pub(super) hosts: Vec<Seen>,
    pub(super) counts: Counts,
    /// Bytes of the files read for it.
    pub(super) bytes: u64,
    /// Panics of stages, by their place in the table.
    pub(super) panics: Panics,
    /// How long each stage took, by its place in the table.
    pub(super) spent: Vec<(usize, Duration)>,
    /// When the lane began to read the records, where they are followed.
    pub(super) read: Option<Instant>,
    /// Of files that are followed: what stands after it.
    pub(super) after: Option<After>,
}

/// What stands after the records of an output.
#[derive(Debug)]
pub(super) struct After {
    /// Its file.
    pub(super) source: Arc<Source>,
    /// Where that was left.
    pub(super) mark: Mark,
    /// The lane's own state there.
    pub(super) lane: LaneState,
    /// Whether there was more to read at once.
    pub(super) is_behind: bool,
}

/// What a lane must know to go on: it travels with the records, so that any point between two
/// outputs is one at which a program may be killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// How far it has come in event time.
    pub(super) watermark: Watermark,
    /// Rows that its stages have to miss.
    pub(super) quarantine: Quarantine,
}

impl Output {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            items: Vec::new(),
            documents: Vec::new(),
            evidence: Vec::new(),
            deltas: Vec::new(),
            deeds: Deeds::default(),
            minutes: Vec::new(),
            sightings: Vec::new(),
            targets: Vec::new(),
            hosts: Vec::new(),
            counts: Counts::default(),
            bytes: 0,
            panics: Panics::default(),
            spent: Vec::new(),
            read: None,
            after: None,
        }
    }

    /// Takes the panics that a guard has seen.
    pub(super) fn note_panics(&mut self, guard: &mut Guard) {
        for (stage, count) in std::mem::take(&mut guard.panics) {
            *self.panics.entry(stage).or_default() += count;
        }
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.documents.clear();
        self.evidence.clear();
        self.deltas.clear();
        self.deeds.clear();
        self.minutes.clear();
        self.sightings.clear();
        self.targets.clear();
        self.hosts.clear();
        self.counts = Counts::default();
        self.bytes = 0;
        self.panics.clear();
        self.spent.clear();
        self.read = None;
        self.after = None;
    }

    /// Where the documents of these items stand.
    pub(super) fn span(&self, items: Range<usize>) -> Range<usize> {
        let end = |item: usize| self.items[item].end as usize;
        let start = items.start.checked_sub(1).map_or(0, end);
        start..items.end.checked_sub(1).map_or(0, end).max(start)
    }

    /// Appends the documents of events or of dead letters, in the order of their file.
    pub(super) fn copy(&self, kind: Kind, out: &mut Vec<u8>) {
        let mut start = 0;
        while start < self.items.len() {
            let is_letter = self.items[start].is_letter;
            let same = self.items[start..].iter().take_while(|item| item.is_letter == is_letter);
            let end = start + same.count();
            if is_letter == (kind == Kind::DeadLetter) {
                out.extend_from_slice(&self.documents[self.span(start..end)]);
            }
            start = end;
        }
    }

    /// The first item from `from` on that comes after `bound`.
    pub(super) fn until(&self, from: usize, bound: Bound) -> usize {
        let items = &self.items[from..];
        from + match bound {
            Bound::None => items.len(),
            Bound::Through(place) => items.partition_point(|item| item.place <= place),
            Bound::Before(place) => items.partition_point(|item| item.place < place),
        }
    }
}

/// How far a run may go before another stream has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// To the end.
    None,
    /// Items at this place included: the other stream stands behind in the order of equals.
    Through(Time),
    /// Items at this place excluded.
    Before(Time),
}

impl Bound {
    /// The nearer of two bounds.
    pub(super) fn min(self, other: Self) -> Self {
        let rank = |bound: Self| match bound {
            Self::None => (Time::MAX, 2),
            Self::Through(place) => (place, 1),
            Self::Before(place) => (place, 0),
        };
        if rank(other) < rank(self) { other } else { self }
    }
}

/// Documents gathered into blocks, by kind.
#[derive(Debug, Default)]
pub struct Blocks {
    blocks: [Vec<u8>; 4],
}

impl Blocks {
    /// The block of a kind, to append documents to.
    pub fn of(&mut self, kind: Kind) -> &mut Vec<u8> {
        &mut self.blocks[kind as usize]
    }

    /// Takes the block of a kind if it is full, or, with `all`, if there is anything in it.
    pub(super) fn take(&mut self, kind: Kind, all: bool) -> Option<Vec<u8>> {
        let block = &mut self.blocks[kind as usize];
        let is_due = if all { !block.is_empty() } else { block.len() >= SINK_BLOCK_BYTES };
        is_due.then(|| std::mem::take(block))
    }

    /// Gives the room of a block that was written back.
    pub(super) fn give_back(&mut self, kind: Kind, mut block: Vec<u8>) {
        let current = &mut self.blocks[kind as usize];
        if current.capacity() == 0 {
            block.clear();
            *current = block;
        }
    }
}
