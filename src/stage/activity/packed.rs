//! A day of an entity between its hours, in as few bytes as it takes: it lasts for a day and is
//! asked for once an hour, so it is not kept as it is worked with.
//!
//! Not here: how a state has it (that of [`Window`]).

use std::cell::OnceCell;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::distinct::Distinct;
use crate::base::time::Time;
use crate::record::{RecordRef, Source, Uid};

use super::super::input::CellRow;
use super::window::{SETS, SUMS, Sample, Window};

/// The files that records of packed windows stand in.
#[derive(Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// The place of a file. The last ones are asked for most.
    fn place(&mut self, source: &Arc<Source>) -> usize {
        let is_it = |it: &Arc<Source>| Arc::ptr_eq(it, source) || it == source;
        self.0.iter().rposition(is_it).unwrap_or_else(|| {
            self.0.push(Arc::clone(source));
            self.0.len() - 1
        })
    }
}

/// A window that is put away.
#[derive(Debug)]
pub struct Packed(Box<[u8]>);

#[derive(Serialize, Deserialize)]
struct Form {
    sums: [u64; SUMS],
    sets: [Set; SETS],
    rows: Vec<Row>,
}

/// Up to so many bits a list of them is shorter than the table.
const BITS_MAX: usize = 32;

#[derive(Serialize, Deserialize)]
enum Set {
    Bits(Vec<u16>),
    Table(Distinct),
}

#[derive(Serialize, Deserialize)]
struct Row {
    sample: Sample,
    source: usize,
    offset: u64,
    uid: Uid,
    weight: u64,
    time: Time,
    ends: [End; 2],
}

#[derive(Serialize, Deserialize)]
enum End {
    None,
    V4(u32),
    Any(Addr),
}

impl From<Option<Addr>> for End {
    fn from(addr: Option<Addr>) -> Self {
        addr.map_or(Self::None, |addr| addr.as_v4().map_or(Self::Any(addr), Self::V4))
    }
}

impl From<End> for Option<Addr> {
    fn from(end: End) -> Self {
        match end {
            End::None => None,
            End::V4(bits) => Some(Addr::v4(bits)),
            End::Any(addr) => Some(addr),
        }
    }
}

impl Packed {
    /// Puts a window away.
    #[must_use]
    pub fn new(window: Window, sources: &mut Sources) -> Self {
        let (sums, sets, samples) = window.into_parts();
        let set = |set: Distinct| {
            let bits: Vec<u16> = set.bits().take(BITS_MAX + 1).collect();
            if bits.len() > BITS_MAX { Set::Table(set) } else { Set::Bits(bits) }
        };
        let row = |(sample, row): (Sample, CellRow)| Row {
            sample,
            source: sources.place(&row.record.source),
            offset: row.record.offset,
            uid: row.record.uid,
            weight: row.weight,
            time: row.time,
            ends: [row.source.into(), row.destination.into()],
        };
        let form = Form { sums, sets: sets.map(set), rows: samples.map(row).collect() };
        Self(encode(&form).into())
    }

    /// The window again.
    #[must_use]
    pub fn open(&self, sources: &Sources) -> Window {
        let Form { sums, sets, rows } = decode(&self.0).expect("it was packed here");
        let set = |set: Set| match set {
            Set::Bits(bits) => bits.into_iter().collect(),
            Set::Table(set) => set,
        };
        let row = |row: Row| {
            let Row { sample, source, offset, uid, weight, time, ends } = row;
            let record = RecordRef { source: Arc::clone(&sources.0[source]), offset, uid };
            let [source, destination] = ends.map(Into::into);
            (sample, CellRow { record, weight, time, source, destination })
        };
        Window::from_parts(sums, sets.map(set), rows.into_iter().map(row))
    }
}

/// A window that is over: one that is worked with, or one that was put away and is opened for
/// whoever asks first.
#[derive(Debug)]
pub struct Held<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Open(&'a Window),
    Packed(&'a Packed, &'a Sources, OnceCell<Box<Window>>),
}

impl<'a> Held<'a> {
    /// One that was put away.
    #[must_use]
    pub fn packed(packed: &'a Packed, sources: &'a Sources) -> Self {
        Self(Inner::Packed(packed, sources, OnceCell::new()))
    }

    /// The record that stands for a kind.
    #[must_use]
    pub fn sample(&self, sample: Sample) -> Option<&CellRow> {
        match &self.0 {
            Inner::Open(window) => window.sample(sample),
            Inner::Packed(packed, sources, window) => {
                window.get_or_init(|| Box::new(packed.open(sources))).sample(sample)
            }
        }
    }
}

impl<'a> From<&'a Window> for Held<'a> {
    fn from(window: &'a Window) -> Self {
        Self(Inner::Open(window))
    }
}
