//! In the lanes: what the records of a batch add to the hours of their entities.

use crate::base::address::Addr;
use crate::base::distinct::Distinct;
use crate::base::lookup::Places;
use crate::base::time::{HOUR, MINUTE, Minute};
use crate::record::schema::{ColumnId, RESP_P, UID, conn, dns, files, http};
use crate::record::{Entity, Log};

use super::super::input::{CellRow, Input};
use super::super::traffic;
use super::window::{SUMS, Sample, set, sum};

const HOUR_MINUTES: i64 = HOUR / MINUTE;

/// What records of one batch add to one hour of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// A minute of the hour.
    pub minute: Minute,
    /// Whose it is.
    pub entity: Entity,
    pub(super) sums: [u64; SUMS],
    /// How many bits of sets are its, and how many records that may stand for the hour.
    marks: usize,
    samples: usize,
}

/// What records of some batches add to hours.
#[derive(Debug, Default)]
pub struct Deeds {
    deeds: Vec<Deed>,
    marks: Vec<(u8, u16)>,
    samples: Vec<(Sample, CellRow)>,
}

impl Deeds {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.deeds.clear();
        self.marks.clear();
        self.samples.clear();
    }

    /// Takes them out one by one: with bits of sets, and records that may stand for the hour.
    pub fn take(
        &mut self,
        mut each: impl FnMut(&Deed, &[(u8, u16)], &mut dyn Iterator<Item = (Sample, CellRow)>),
    ) {
        let Self { deeds, marks, samples } = self;
        let (mut marks, mut samples) = (marks.drain(..), samples.drain(..));
        for deed in deeds.drain(..) {
            let own = marks.as_slice().get(..deed.marks).unwrap_or_default();
            let mut rows = samples.by_ref().take(deed.samples);
            each(&deed, own, &mut rows);
            // Whoever left some of them must not shift those of others.
            rows.for_each(drop);
            marks.by_ref().take(deed.marks).for_each(drop);
        }
    }
}

#[cfg(test)]
impl Deed {
    /// Connections that an entity opened to whoever has these bits.
    pub(crate) fn made(minute: Minute, entity: Entity, peers: &[u16]) -> Deeds {
        let mut sums = [0; SUMS];
        sums[sum::OPENED] = peers.len() as u64;
        let marks = peers.iter().map(|bit| (set::PEERS as u8, *bit)).collect();
        let deed = Self { minute, entity, sums, marks: peers.len(), samples: 0 };
        Deeds { deeds: vec![deed], marks, samples: Vec::new() }
    }
}

/// The columns that are looked at, by log.
pub const READS: &[(Log, &[ColumnId])] = &[
    (
        Log::Conn,
        &[
            UID,
            RESP_P,
            conn::PROTO,
            conn::SERVICE,
            conn::DURATION,
            conn::CONN_STATE,
            conn::ORIG_BYTES,
            conn::RESP_BYTES,
            conn::MISSED_BYTES,
            conn::ORIG_IP_BYTES,
            conn::RESP_IP_BYTES,
        ],
    ),
    (Log::Dns, &[UID, dns::QUERY, dns::RCODE]),
    (Log::Http, &[UID, http::USER_AGENT, http::USERNAME]),
    (Log::Files, &[UID, files::FUID, files::IS_ORIG]),
];

/// An hour of an entity in a batch.
struct Slot {
    key: (i64, Entity),
    minute: Minute,
    sums: [u64; SUMS],
    /// The row that outranks the others of its kind, and its weight.
    best: [Option<(u64, u32)>; Sample::ALL.len()],
}

/// See the module. What it has is used again for the next batch.
#[derive(Default)]
pub struct Fold {
    slots: Vec<Slot>,
    places: Places,
    marks: Vec<(u32, u8, u16)>,
}

impl Fold {
    /// Adds what the rows of a batch say.
    pub fn fold(&mut self, input: &Input<'_>, out: &mut Deeds) {
        self.slots.clear();
        self.places.clear();
        self.marks.clear();
        let of: fn(&mut Self, &Input<'_>, usize) = match input.batch.log() {
            Log::Conn => Self::connection,
            Log::Dns => Self::query,
            Log::Http => Self::request,
            Log::Files => Self::file,
            Log::OpenConn | Log::Ssl | Log::Quic => return,
        };
        for row in 0..input.batch.rows() {
            of(self, input, row);
        }
        self.marks.sort_unstable();
        self.marks.dedup();
        let mut marks = self.marks.as_slice();
        for (at, slot) in self.slots.iter().enumerate() {
            let end = marks.partition_point(|(of, ..)| *of as usize <= at);
            let (own, rest) = marks.split_at(end);
            marks = rest;
            let before = out.samples.len();
            for (sample, best) in Sample::ALL.into_iter().zip(slot.best) {
                let Some((weight, row)) = best else { continue };
                let row = row as usize;
                let found = CellRow::new(input, row, weight, ended(input, row));
                out.samples.push((sample, found));
            }
            out.marks.extend(own.iter().map(|(_, set, bit)| (*set, *bit)));
            out.deeds.push(Deed {
                minute: slot.minute,
                entity: slot.key.1.clone(),
                sums: slot.sums,
                marks: own.len(),
                samples: out.samples.len() - before,
            });
        }
    }

    /// The slot of an entity for the hour of a row.
    fn slot(&mut self, input: &Input<'_>, row: usize, entity: Entity) -> usize {
        let minute = input.minutes[row];
        let key = (minute.0.div_euclid(HOUR_MINUTES), entity);
        // Rows of one entity come in runs.
        if let Some(last) = self.slots.len().checked_sub(1)
            && self.slots[last].key == key
        {
            return last;
        }
        let Self { slots, places, .. } = self;
        if let Some(at) = places.get(&key, |at| slots.get(at as usize).map(|slot| &slot.key)) {
            return at as usize;
        }
        let at = slots.len() as u32;
        slots.push(Slot { key: key.clone(), minute, sums: [0; SUMS], best: Default::default() });
        places.insert(&key, at, |at| slots.get(at as usize).map(|slot| &slot.key));
        at as usize
    }

    fn mark(&mut self, slot: usize, set: usize, thing: &[u8]) {
        self.marks.push((slot as u32, set as u8, Distinct::bit(thing)));
    }

    /// A row may stand for its kind in the hour of a slot: the heaviest does, of equals the first.
    fn sample(&mut self, input: &Input<'_>, row: usize, (slot, of, weight): (usize, Sample, u64)) {
        let best = &mut self.slots[slot].best[of as usize];
        let rank = |row: usize| (ended(input, row), input.batch.text(UID, row).unwrap_or_default());
        let outranks = match *best {
            None => true,
            Some((known, _)) if known != weight => weight > known,
            Some((_, known)) => rank(row) < rank(known as usize),
        };
        if outranks {
            *best = Some((weight, row as u32));
        }
    }

    fn connection(&mut self, input: &Input<'_>, row: usize) {
        let (batch, sides, parties) = (input.batch, input.sides[row], &input.parties[row]);
        if sides.resp.is_some_and(is_for_many) {
            return;
        }
        let service = batch.text(conn::SERVICE, row).unwrap_or_default();
        let port = batch.count(RESP_P, row).unwrap_or_default();
        let channel = traffic::channel(service, port);
        let bytes = traffic::bytes(batch, row).map_or([0; 2], |(orig, resp, _)| [orig, resp]);
        let chance = chance(input, row);
        if let Some(host) = parties.orig {
            let slot = self.slot(input, row, Entity::Host(host));
            let has_failed = batch.text(conn::CONN_STATE, row).is_some_and(has_failed);
            let sums = &mut self.slots[slot].sums;
            sums[sum::OPENED] += 1;
            sums[sum::FAILED] += u64::from(has_failed);
            add(&mut sums[sum::SENT + channel], bytes[0]);
            add(&mut sums[sum::RECEIVED + channel], bytes[1]);
            if let Some(peer) = sides.resp {
                self.mark(slot, set::PEERS, &peer.to_bytes());
                if parties.resp.is_some() {
                    self.mark(slot, set::INTERNAL, &peer.to_bytes());
                }
            }
            let proto = batch.text(conn::PROTO, row).unwrap_or_default();
            let mut service = [0; 10];
            service[..8].copy_from_slice(&port.to_be_bytes());
            service[8] = proto.first().copied().unwrap_or_default();
            self.mark(slot, set::PORTS, &service);
            self.sample(input, row, (slot, Sample::Opened, chance));
            if bytes[0] > 0 {
                self.sample(input, row, (slot, Sample::Sent, bytes[0]));
            }
            if has_failed {
                self.sample(input, row, (slot, Sample::Failed, chance));
            }
        }
        let resp = parties.resp.filter(|host| Some(*host) != parties.orig);
        if let Some(host) = resp {
            // What nobody answered was served by nobody.
            if batch.text(conn::CONN_STATE, row).is_some_and(has_failed) {
                return;
            }
            let slot = self.slot(input, row, Entity::Host(host));
            let sums = &mut self.slots[slot].sums;
            sums[sum::ANSWERED] += 1;
            add(&mut sums[sum::SENT + channel], bytes[1]);
            add(&mut sums[sum::RECEIVED + channel], bytes[0]);
            if let Some(client) = sides.orig {
                self.mark(slot, set::CLIENTS, &client.to_bytes());
            }
            self.sample(input, row, (slot, Sample::Answered, chance));
            if bytes[1] > 0 {
                self.sample(input, row, (slot, Sample::Sent, bytes[1]));
            }
        }
    }

    fn query(&mut self, input: &Input<'_>, row: usize) {
        let (batch, sides) = (input.batch, input.sides[row]);
        let Some(host) = input.parties[row].orig else { return };
        // Names that neighbours ask each other for (mDNS, LLMNR).
        if sides.resp.is_some_and(is_for_many) {
            return;
        }
        let Some(query) = batch.text(dns::QUERY, row) else { return };
        let slot = self.slot(input, row, Entity::Host(host));
        let is_missing = batch.count(dns::RCODE, row) == Some(NXDOMAIN);
        let sums = &mut self.slots[slot].sums;
        sums[sum::QUERIES] += 1;
        sums[sum::MISSING] += u64::from(is_missing);
        self.mark(slot, set::NAMES, query);
        let chance = chance(input, row);
        self.sample(input, row, (slot, Sample::Named, chance));
        if is_missing {
            self.sample(input, row, (slot, Sample::Missing, chance));
        }
    }

    fn request(&mut self, input: &Input<'_>, row: usize) {
        let parties = &input.parties[row];
        let chance = chance(input, row);
        let agent = input.batch.text(http::USER_AGENT, row);
        for entity in [parties.orig.map(Entity::Host), parties.user.clone()].into_iter().flatten() {
            let is_user = entity.addr().is_none();
            let slot = self.slot(input, row, entity);
            self.slots[slot].sums[sum::REQUESTS] += 1;
            if let Some(agent) = agent {
                self.mark(slot, set::AGENTS, agent);
            }
            // Of a user no connection says whom it reached.
            if let Some(peer) = input.sides[row].resp.filter(|_| is_user) {
                self.mark(slot, set::PEERS, &peer.to_bytes());
            }
            self.sample(input, row, (slot, Sample::Asked, chance));
        }
    }

    fn file(&mut self, input: &Input<'_>, row: usize) {
        let parties = &input.parties[row];
        let is_upload = input.batch.flag(files::IS_ORIG, row) == Some(true);
        let Some(host) = (if is_upload { parties.resp } else { parties.orig }) else { return };
        let slot = self.slot(input, row, Entity::Host(host));
        self.slots[slot].sums[sum::FETCHED] += 1;
        let chance = chance(input, row);
        self.sample(input, row, (slot, Sample::Fetched, chance));
    }
}

/// RCODE of a name that does not exist (RFC 1035).
const NXDOMAIN: u64 = 3;

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// Whether an address is everybody's: multicast, or the broadcast address. Nobody answers there.
fn is_for_many(addr: Addr) -> bool {
    match addr.as_v4() {
        Some(bits) => bits >> 28 == 0xe || bits == u32::MAX,
        None => addr.to_bytes()[0] == 0xff,
    }
}

/// Whether a connection never came about: nobody answered, or it was refused (Zeek's `conn_state`,
/// base/protocols/conn/main.zeek).
fn has_failed(state: &[u8]) -> bool {
    matches!(state, b"S0" | b"REJ" | b"RSTOS0" | b"RSTRH" | b"SH" | b"SHR")
}

/// A number that a record has by its uid: the greatest is as good as drawn.
fn chance(input: &Input<'_>, row: usize) -> u64 {
    let uid = input.batch.text(UID, row).unwrap_or_default();
    let time = input.batch.ts(row).0.to_be_bytes();
    uid.iter().chain(&time).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }) >> 40
}

/// When a record was written.
fn ended(input: &Input<'_>, row: usize) -> crate::base::time::Time {
    let ts = input.batch.ts(row);
    if !input.batch.log().ends_with_duration() {
        return ts;
    }
    ts.plus(input.batch.interval(conn::DURATION, row).unwrap_or_default().max(0))
}
