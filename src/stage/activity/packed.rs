//! Days of entities between their hours, in as few bytes as they take: they last for a day and are
//! asked for once an hour, so they are not kept as they are worked with.
//!
//! Not here: how a state has it (that of [`Window`]).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::distinct::Distinct;
use crate::base::time::Time;
use crate::record::{Entity, Generation, RecordRef, Source, Uid};

use super::super::input::CellRow;
use super::window::{SETS, SUMS, Sample, Window};

/// The files that records of packed windows stand in.
#[derive(Debug, Default)]
struct Sources {
    all: Vec<Arc<Source>>,
    /// Where those of a content stand: it may have been read by several names.
    places: BTreeMap<Generation, Vec<usize>>,
}

impl Sources {
    /// The place of a file.
    fn place(&mut self, source: &Arc<Source>) -> usize {
        let Self { all, places } = self;
        let places = places.entry(source.generation).or_default();
        let is_it = |at: &&usize| all.get(**at).is_some_and(|it| it == source);
        places.iter().rev().find(is_it).copied().unwrap_or_else(|| {
            places.push(all.len());
            all.push(Arc::clone(source));
            all.len() - 1
        })
    }
}

/// A window that is put away.
#[derive(Debug)]
struct Packed(Box<[u8]>);

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
    fn new(window: Window, sources: &mut Sources) -> Self {
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

    fn open(&self, sources: &Sources) -> Window {
        let Form { sums, sets, rows } = decode(&self.0).expect("it was packed here");
        let set = |set: Set| match set {
            Set::Bits(bits) => bits.into_iter().collect(),
            Set::Table(set) => set,
        };
        let row = |row: Row| {
            let Row { sample, source, offset, uid, weight, time, ends } = row;
            let record = RecordRef { source: Arc::clone(&sources.all[source]), offset, uid };
            let [source, destination] = ends.map(Into::into);
            (sample, CellRow { record, weight, time, source, destination })
        };
        Window::from_parts(sums, sets.map(set), rows.into_iter().map(row))
    }
}

/// An open day of all entities. Records of it stand in some files, and many in each.
#[derive(Debug, Default)]
pub struct Day {
    sources: Sources,
    windows: BTreeMap<Entity, Packed>,
}

impl Day {
    /// Whose day it is.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = &Entity> {
        self.windows.keys()
    }

    /// The windows, each as whoever looks at it needs it.
    pub fn held(&self) -> impl Iterator<Item = (&Entity, Held<'_>)> {
        let held = |packed| Held(Inner::Packed(packed, &self.sources, OnceCell::new()));
        self.windows.iter().map(move |(entity, packed)| (entity, held(packed)))
    }

    /// The windows, opened one by one.
    pub fn opened(&self) -> impl Iterator<Item = (&Entity, Window)> {
        self.windows.iter().map(|(entity, packed)| (entity, packed.open(&self.sources)))
    }

    /// The window of an entity.
    #[must_use]
    pub fn get(&self, entity: &Entity) -> Option<Window> {
        self.windows.get(entity).map(|packed| packed.open(&self.sources))
    }

    /// Sets the window of an entity; whether it had none.
    pub fn set(&mut self, entity: Entity, window: Window) -> bool {
        let packed = Packed::new(window, &mut self.sources);
        self.windows.insert(entity, packed).is_none()
    }

    /// Adds an hour of an entity; whether it is the first.
    pub fn add(&mut self, entity: Entity, hour: Window) -> bool {
        let mut window = self.get(&entity).unwrap_or_default();
        window.unite(hour);
        self.set(entity, window)
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

impl Held<'_> {
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
