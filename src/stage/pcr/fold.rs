//! In the lanes: the bytes of each host in each minute, by channel; and apart from them those of
//! connections in which it gave, by the other side.

use crate::base::address::Addr;
use crate::base::time::{Minute, Time};
use crate::record::Entity;
use crate::record::schema::{RESP_P, UID, conn};

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::super::traffic::{self, DNS};

/// Other sides of one host, channel and minute that are told apart. Those that fall into one place
/// are summed, and the one with the heaviest connection gives it its name: so a minute has a bound
/// and no order, however many there are.
pub(super) const PLACES: u64 = 64;

/// What one connection is to one of its sides: whose, in which cell, and where its bytes stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    host: Addr,
    /// Minute, channel and place in one number.
    cell: u64,
    index: u32,
}

/// Of a cell, the bits that tell places of one channel apart.
const PLACE: u64 = 0xffff;

impl Share {
    /// The low half of a minute tells it from all others in a batch. A place has the end that the
    /// other side is at, and that it is one.
    fn cell(minute: Minute, channel: usize, place: Option<(bool, u8)>) -> u64 {
        let place = place
            .map_or(0, |(is_orig, place)| 1 << 15 | u64::from(is_orig) << 8 | u64::from(place));
        (minute.0 as u64) << 32 | (channel as u64) << 16 | place
    }
}

/// Bytes of one connection as one of its sides has them: sent, received, missed; with its row.
type Told = ([u64; 3], u32);

/// See the module. What it has is used again for the next batch.
#[derive(Default)]
pub(super) struct Bytes {
    shares: Vec<Share>,
    told: Vec<Told>,
}

impl Bytes {
    fn add(&mut self, host: Addr, cell: u64, told: Told) {
        let index = self.told.len() as u32;
        self.told.push(told);
        self.shares.push(Share { host, cell, index });
    }
}

impl Fold for Bytes {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        self.shares.clear();
        self.told.clear();
        for (row, parties) in input.parties.iter().enumerate() {
            if parties.orig.is_none() && parties.resp.is_none() {
                continue;
            }
            let Some((from_orig, from_resp, missed)) = traffic::bytes(input.batch, row) else {
                continue;
            };
            let service = input.batch.text(conn::SERVICE, row).unwrap_or_default();
            let port = input.batch.count(RESP_P, row).unwrap_or_default();
            let channel = traffic::channel(service, port);
            let sides = input.sides[row];
            // Of a host that talks to itself nothing leaves.
            let resp = parties.resp.filter(|host| Some(*host) != parties.orig);
            for (host, is_orig, peer) in
                [(parties.orig, true, sides.resp), (resp, false, sides.orig)]
            {
                let Some(host) = host else { continue };
                let (sent, received) =
                    if is_orig { (from_orig, from_resp) } else { (from_resp, from_orig) };
                let gives = sent > received || channel == DNS;
                let place = peer.filter(|_| gives).map(|peer| (is_orig, place(peer)));
                let cell = Share::cell(input.minutes[row], channel, place);
                self.add(host, cell, ([sent, received, missed], row as u32));
            }
        }
        self.shares.sort_unstable();
        let channel = |share: &Share| (share.host, share.cell & !PLACE);
        for shares in self.shares.chunk_by(|a, b| channel(a) == channel(b)) {
            tell(input, shares, &self.told, out);
        }
    }
}

/// Tells the sum of some shares of one host, channel and minute, and of each place.
fn tell(input: &Input<'_>, shares: &[Share], told: &[Told], out: &mut Deltas) {
    let (Share { host, cell, .. }, row) = (shares[0], told[shares[0].index as usize].1);
    let at = (input.minutes[row as usize], Entity::Host(host));
    let channel = (cell >> 16) as u8;
    out.add(at.clone(), &[channel], sum(shares, told), None);
    for shares in shares.chunk_by(|a, b| a.cell == b.cell) {
        let cell = shares[0].cell & PLACE;
        if cell == 0 {
            continue;
        }
        let row = heaviest(input, shares, told);
        let subject = [channel, u8::from(cell >> 8 & 1 == 1), cell as u8];
        out.add(at.clone(), &subject, sum(shares, told), row);
    }
}

/// The connection that stands for some shares: as [`CellRow::outranks`] has it.
fn heaviest(input: &Input<'_>, shares: &[Share], told: &[Told]) -> Option<CellRow> {
    let rows = shares.iter().map(|share| {
        let (amounts, row) = told[share.index as usize];
        (std::cmp::Reverse(amounts[0]), ended(input, row as usize), row as usize)
    });
    let uid = |row: usize| input.batch.text(UID, row);
    let first = rows.min_by(|a, b| {
        (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| uid(a.2).cmp(&uid(b.2))).then(a.2.cmp(&b.2))
    });
    first.map(|(weight, time, row)| CellRow::new(input, row, weight.0, time))
}

fn sum(shares: &[Share], told: &[Told]) -> [u64; 3] {
    shares.iter().fold([0; 3], |mut sum, share| {
        for (sum, more) in sum.iter_mut().zip(told[share.index as usize].0) {
            *sum = sum.saturating_add(more);
        }
        sum
    })
}

/// When a connection ended.
fn ended(input: &Input<'_>, row: usize) -> Time {
    let duration = input.batch.interval(conn::DURATION, row).unwrap_or_default();
    input.batch.ts(row).plus(duration.max(0))
}

/// The place of an other side.
fn place(peer: Addr) -> u8 {
    let mixed = peer.to_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((mixed >> 32) % PLACES) as u8
}
