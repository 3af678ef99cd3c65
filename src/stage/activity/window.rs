//! An hour or a day of an entity while it is open, and the numbers that it becomes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::distinct::Distinct;
use crate::base::time::{DAY, HOUR, Time};

use super::super::input::CellRow;
use super::fold::Deed;
use super::measures::{
    AGENTS, ANSWERED, CLIENTS, CONNECTIONS, DOWNLOADS, FAILED, FAILURES, INTERNAL, NAMES,
    NEW_AGENTS, NEW_PEERS, NXDOMAIN, ODD_HOURS, PEERS, PORTS, QUERIES, RECEIVED, REQUESTS, Row,
    SENT, WIDTH, counted, share,
};

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Span {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Span {
    /// In microseconds.
    #[must_use]
    pub const fn micros(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// Its name in reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// When number `number` since 1970 begins.
    #[must_use]
    pub fn start(self, number: i64) -> Time {
        Time(number.saturating_mul(self.micros())).plus(0)
    }
}

/// What a record stands for: of each kind a window keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sample {
    /// A connection that it opened.
    Opened,
    /// The connection in which it sent most.
    Sent,
    /// One that failed.
    Failed,
    /// One that others opened to it.
    Answered,
    /// A name that it asked for.
    Named,
    /// One that does not exist.
    Missing,
    /// A request.
    Asked,
    /// A file that it received.
    Fetched,
}

impl Sample {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Opened,
        Self::Sent,
        Self::Failed,
        Self::Answered,
        Self::Named,
        Self::Missing,
        Self::Asked,
        Self::Fetched,
    ];
}

/// What is summed.
pub(super) const SUMS: usize = 15;
/// Places among the sums; four channels of bytes sent, then of bytes received, end it.
pub(super) mod sum {
    pub(crate) const OPENED: usize = 0;
    pub(crate) const ANSWERED: usize = 1;
    pub(crate) const FAILED: usize = 2;
    pub(crate) const QUERIES: usize = 3;
    pub(crate) const MISSING: usize = 4;
    pub(crate) const REQUESTS: usize = 5;
    pub(crate) const FETCHED: usize = 6;
    pub(crate) const SENT: usize = 7;
    pub(crate) const RECEIVED: usize = 11;
}

/// What is counted by different things.
pub(super) const SETS: usize = 6;
/// Places among the sets.
pub(super) mod set {
    pub(crate) const PEERS: usize = 0;
    pub(crate) const INTERNAL: usize = 1;
    pub(crate) const PORTS: usize = 2;
    pub(crate) const CLIENTS: usize = 3;
    pub(crate) const NAMES: usize = 4;
    pub(crate) const AGENTS: usize = 5;
}

/// An open window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    sums: [u64; SUMS],
    sets: [Distinct; SETS],
    samples: Samples,
}

/// The records that stand for kinds, in the order of [`Sample::ALL`], and a bit for each kind of
/// which there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Samples {
    kinds: u8,
    rows: Vec<CellRow>,
}

impl Samples {
    /// Where the record of a kind stands or would stand, and whether it does.
    fn place(&self, sample: Sample) -> (usize, bool) {
        let bit = 1 << sample as u8;
        ((self.kinds & (bit - 1)).count_ones() as usize, self.kinds & bit != 0)
    }

    fn get(&self, sample: Sample) -> Option<&CellRow> {
        let (at, is_there) = self.place(sample);
        self.rows.get(at).filter(|_| is_there)
    }

    fn keep(&mut self, sample: Sample, row: CellRow) {
        match self.place(sample) {
            (at, true) if row.outranks(&self.rows[at]) => self.rows[at] = row,
            (_, true) => {}
            (at, false) => {
                self.kinds |= 1 << sample as u8;
                self.rows.reserve_exact(1);
                self.rows.insert(at, row);
            }
        }
    }
}

/// The kinds that a byte has a bit of.
fn kinds_of(kinds: u8) -> impl Iterator<Item = Sample> {
    Sample::ALL.into_iter().filter(move |sample| kinds >> *sample as u8 & 1 == 1)
}

impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        kinds_of(self.kinds).zip(&self.rows).collect::<Vec<_>>().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut samples = Self::default();
        let all = Vec::<(Sample, CellRow)>::deserialize(from)?;
        all.into_iter().for_each(|(sample, row)| samples.keep(sample, row));
        Ok(samples)
    }
}

/// What a row of measures needs to know of the time before.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Whom the entity ever opened a connection to.
    pub peers: &'a Distinct,
    /// What its programs ever said they are.
    pub agents: &'a Distinct,
    /// How far it works at hours at which it does not, of which 1024 is the most.
    pub odd: i16,
}

impl Window {
    /// Adds what records of a batch say.
    pub fn add(
        &mut self,
        deed: &Deed,
        marks: &[(u8, u16)],
        samples: &mut dyn Iterator<Item = (Sample, CellRow)>,
    ) {
        for (sum, more) in self.sums.iter_mut().zip(deed.sums) {
            *sum = sum.saturating_add(more);
        }
        for (set, bit) in marks {
            if let Some(set) = self.sets.get_mut(usize::from(*set)) {
                set.mark(*bit);
            }
        }
        samples.for_each(|(sample, row)| self.samples.keep(sample, row));
    }

    /// What it is made of: sums, sets, and records by kind.
    pub(super) fn into_parts(
        self,
    ) -> ([u64; SUMS], [Distinct; SETS], impl Iterator<Item = (Sample, CellRow)>) {
        let Samples { kinds, rows } = self.samples;
        (self.sums, self.sets, kinds_of(kinds).zip(rows))
    }

    /// The reverse.
    pub(super) fn from_parts(
        sums: [u64; SUMS],
        sets: [Distinct; SETS],
        rows: impl Iterator<Item = (Sample, CellRow)>,
    ) -> Self {
        let mut window = Self { sums, sets, samples: Samples::default() };
        rows.for_each(|(sample, row)| window.samples.keep(sample, row));
        window
    }

    /// Adds another window: an hour to its day.
    pub fn unite(&mut self, other: Self) {
        let (sums, sets, samples) = other.into_parts();
        for (sum, more) in self.sums.iter_mut().zip(sums) {
            *sum = sum.saturating_add(more);
        }
        for (set, more) in self.sets.iter_mut().zip(&sets) {
            set.unite(more);
        }
        samples.for_each(|(sample, row)| self.samples.keep(sample, row));
    }

    /// The record that stands for a kind.
    #[must_use]
    pub fn sample(&self, sample: Sample) -> Option<&CellRow> {
        self.samples.get(sample)
    }

    /// Whom it opened connections to.
    #[must_use]
    pub fn peers(&self) -> &Distinct {
        &self.sets[set::PEERS]
    }

    /// What its programs said they are.
    #[must_use]
    pub fn agents(&self) -> &Distinct {
        &self.sets[set::AGENTS]
    }

    /// The measures.
    #[must_use]
    pub fn measure(&self, told: Told<'_>) -> Row {
        let mut row = [0; WIDTH];
        let sums = &self.sums;
        let sets = |at: usize| counted(self.sets[at].count());
        row[CONNECTIONS] = counted(sums[sum::OPENED]);
        row[ANSWERED] = counted(sums[sum::ANSWERED]);
        row[PEERS] = sets(set::PEERS);
        row[INTERNAL] = sets(set::INTERNAL);
        row[PORTS] = sets(set::PORTS);
        row[NEW_PEERS] = beyond(&self.sets[set::PEERS], told.peers);
        row[FAILED] = share(sums[sum::FAILED], sums[sum::OPENED]);
        row[CLIENTS] = sets(set::CLIENTS);
        for channel in 0..4 {
            row[SENT + channel] = counted(sums[sum::SENT + channel]);
            row[RECEIVED + channel] = counted(sums[sum::RECEIVED + channel]);
        }
        row[NAMES] = sets(set::NAMES);
        row[QUERIES] = counted(sums[sum::QUERIES]);
        row[NXDOMAIN] = share(sums[sum::MISSING], sums[sum::QUERIES]);
        row[AGENTS] = sets(set::AGENTS);
        row[NEW_AGENTS] = beyond(&self.sets[set::AGENTS], told.agents);
        row[REQUESTS] = counted(sums[sum::REQUESTS]);
        row[DOWNLOADS] = counted(sums[sum::FETCHED]);
        row[FAILURES] = counted(sums[sum::FAILED]);
        row[ODD_HOURS] = told.odd;
        row
    }
}

/// How many are new; of a set that is too full to tell, none.
fn beyond(set: &Distinct, known: &Distinct) -> i16 {
    if known.is_crowded() { 0 } else { counted(set.beyond(known)) }
}
