//! In the lanes: the bytes of each host in each minute, by channel; and apart from them those of
//! connections in which it gave, by the other side.

use crate::base::address::Addr;
use crate::base::time::{Minute, Time};
use crate::record::schema::{ColumnId, RESP_P, conn};
use crate::record::{Batch, Entity};

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::channel::{self, DNS};

/// Other sides of one host, channel and minute that are told apart. Those that fall into one place
/// are summed, and the one with the heaviest connection gives it its name: so a minute has a bound
/// and no order, however many there are.
pub(super) const PLACES: u64 = 64;

/// No connection carries more than a pebibyte: counters that say so are wrong.
const PLAUSIBLE_MAX: u64 = 1 << 50;

/// What one connection is to one of its sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    minute: Minute,
    host: Addr,
    channel: u8,
    /// Which end is the other side, and its place; nothing where only the sum counts.
    place: Option<(bool, u8)>,
    row: usize,
    sent: u64,
    received: u64,
    missed: u64,
}

/// See the module. What it has is used again for the next batch.
#[derive(Default)]
pub(super) struct Bytes {
    shares: Vec<Share>,
}

impl Fold for Bytes {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        self.shares.clear();
        for (row, parties) in input.parties.iter().enumerate() {
            let Some((from_orig, from_resp, missed)) = bytes(input.batch, row) else { continue };
            let service = input.batch.text(conn::SERVICE, row).unwrap_or_default();
            let port = input.batch.count(RESP_P, row).unwrap_or_default();
            let channel = channel::of(service, port);
            let sides = input.sides[row];
            let at = |host, is_orig: bool, peer: Option<Addr>| {
                let (sent, received) =
                    if is_orig { (from_orig, from_resp) } else { (from_resp, from_orig) };
                let gives = sent > received || channel == DNS;
                let place = peer.filter(|_| gives).map(|peer| (is_orig, place(peer)));
                let (minute, channel) = (input.minutes[row], channel as u8);
                Share { minute, host, channel, place, row, sent, received, missed }
            };
            let orig = parties.orig.map(|host| at(host, true, sides.resp));
            // Of a host that talks to itself nothing leaves.
            let resp = parties.resp.filter(|host| Some(*host) != parties.orig);
            let resp = resp.map(|host| at(host, false, sides.orig));
            self.shares.extend(orig.into_iter().chain(resp));
        }
        self.shares.sort_unstable();
        let same =
            |a: &Share, b: &Share| (a.minute, a.host, a.channel) == (b.minute, b.host, b.channel);
        for shares in self.shares.chunk_by(same) {
            tell(input, shares, out);
        }
    }
}

/// Tells the sum of some shares of one host, channel and minute, and of each place.
fn tell(input: &Input<'_>, shares: &[Share], out: &mut Deltas) {
    let Share { minute, host, channel, .. } = shares[0];
    let at = (minute, Entity::Host(host));
    out.add(at.clone(), &[channel], sum(shares), None);
    for shares in shares.chunk_by(|a, b| a.place == b.place) {
        let Some((is_orig, place)) = shares[0].place else { continue };
        let rows = shares.iter().map(|share| (share.row, share.sent));
        let row = rows.map(|(row, sent)| (std::cmp::Reverse(sent), ended(input, row), row)).min_by(
            |a, b| {
                let uid = |row: usize| input.batch.text(crate::record::schema::UID, row);
                (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| uid(a.2).cmp(&uid(b.2)))
            },
        );
        let row = row.map(|(weight, time, row)| CellRow::new(input, row, weight.0, time));
        out.add(at.clone(), &[channel, u8::from(is_orig), place], sum(shares), row);
    }
}

fn sum(shares: &[Share]) -> [u64; 3] {
    let add = |sum: [u64; 3], share: &Share| {
        [
            sum[0].saturating_add(share.sent),
            sum[1].saturating_add(share.received),
            sum[2].saturating_add(share.missed),
        ]
    };
    shares.iter().fold([0; 3], add)
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

/// Bytes from originator and responder as far as they were seen, and those that were not; nothing
/// where none were.
///
/// `orig_bytes` and `resp_bytes` come from sequence numbers: they hold what the sensor missed, and
/// a reset can make gigabytes of nothing. So `missed_bytes` are taken off, from each side by its
/// proportion, and no side has more than its packets carried where that is known.
fn bytes(batch: &Batch, row: usize) -> Option<(u64, u64, u64)> {
    let count = |id: ColumnId| batch.count(id, row);
    let missed = count(conn::MISSED_BYTES).unwrap_or_default();
    let (orig, resp) =
        (count(conn::ORIG_BYTES).unwrap_or_default(), count(conn::RESP_BYTES).unwrap_or_default());
    let all = u128::from(orig) + u128::from(resp);
    let seen = |bytes: u64, carried: Option<u64>| {
        let lost = u128::from(missed).min(all) * u128::from(bytes) / all.max(1);
        let bytes = bytes - u64::try_from(lost).unwrap_or(bytes).min(bytes);
        carried.map_or(bytes, |carried| bytes.min(carried))
    };
    let orig = seen(orig, count(conn::ORIG_IP_BYTES));
    let resp = seen(resp, count(conn::RESP_IP_BYTES));
    let is_plausible = orig <= PLAUSIBLE_MAX && resp <= PLAUSIBLE_MAX;
    (orig.saturating_add(resp) > 0 && is_plausible).then_some((
        orig,
        resp,
        missed.min(PLAUSIBLE_MAX),
    ))
}
