//! To whom an entity gave: what each got in the last five days, and the most it ever got in one.

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::log2::{BIT, log2};

use super::channel::TABLE;
use super::hour::HourPeer;
use super::row::Row;

/// Days of the longest window.
pub(super) const LONG_DAYS: usize = 5;

/// Destinations that are remembered of an entity: those that got most.
const PEERS: usize = 32;

/// KiB that an other side must get in an hour to be remembered; of DNS a twentieth.
const REMEMBERED_KIB: u32 = 20;

/// An other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) channel: u8,
    pub(super) addr: Addr,
    /// KiB by day, today first.
    sent: [u32; LONG_DAYS],
    received: [u32; LONG_DAYS],
    /// The most KiB in one day before these.
    before: u32,
    /// The heaviest connection of each of these days, by how many days ago that is.
    rows: Vec<(u8, Row)>,
}

/// What an other side got in a window of some days, and the most it got in one day before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub(super) channel: usize,
    pub(super) addr: Addr,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Bytes.
    pub(super) before: u64,
    /// For how many days it may be what is sent now.
    pub(super) days: u64,
    pub(super) row: Option<&'a Row>,
}

/// Them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peers {
    peers: Vec<Peer>,
    /// Days from the last one on which the entity was heard to today.
    away: u32,
}

impl Peers {
    /// The most that `addr` got on one day before today, in bytes.
    pub(super) fn before_today(&self, channel: u8, addr: Addr) -> u64 {
        let known = self.peers.iter().find(|peer| (peer.channel, peer.addr) == (channel, addr));
        known.map_or(0, |peer| peer.most(1) << 10)
    }

    /// What each got in the last `days`, today included.
    pub(super) fn given(&self, days: usize) -> impl Iterator<Item = Given<'_>> {
        let sum = |kib: &[u32]| kib.iter().map(|kib| u64::from(*kib) << 10).sum();
        self.peers.iter().map(move |peer| Given {
            channel: usize::from(peer.channel),
            addr: peer.addr,
            sent: sum(&peer.sent[..days]),
            received: sum(&peer.received[..days]),
            before: peer.most(days) << 10,
            days: (days as u64).max(self.waited()),
            row: peer.heaviest(days),
        })
    }

    /// Adds what an other side got in an hour.
    pub(super) fn add(&mut self, hour: HourPeer) {
        let (sent, received) = (kib(hour.sent), kib(hour.received));
        // What got less cannot matter to a window; thousands of them would.
        let least = REMEMBERED_KIB / TABLE[usize::from(hour.channel)].smaller as u32;
        if sent < least.max(1) {
            return;
        }
        let same = |peer: &&mut Peer| (peer.channel, peer.addr) == (hour.channel, hour.addr);
        if let Some(peer) = self.peers.iter_mut().find(same) {
            peer.sent[0] = peer.sent[0].saturating_add(sent);
            peer.received[0] = peer.received[0].saturating_add(received);
            peer.keep(hour.row);
            return;
        }
        if self.peers.len() == PEERS {
            let least = self.peers.iter().enumerate().min_by_key(|(_, peer)| peer.rank());
            let Some((index, _)) = least.filter(|(_, peer)| peer.most(0) < u64::from(sent)) else {
                return;
            };
            self.peers.remove(index);
        }
        let mut peer = Peer {
            channel: hour.channel,
            addr: hour.addr,
            sent: [0; LONG_DAYS],
            received: [0; LONG_DAYS],
            before: 0,
            rows: Vec::new(),
        };
        peer.keep(hour.row);
        (peer.sent[0], peer.received[0]) = (sent, received);
        self.peers.reserve_exact(1);
        self.peers.push(peer);
    }

    /// For how many days something may have waited to be sent.
    pub(super) fn waited(&self) -> u64 {
        u64::from(self.away).max(1)
    }

    /// `days` have gone by.
    pub(super) fn turn(&mut self, days: u64) {
        self.away = u32::try_from(days).unwrap_or(u32::MAX);
        for peer in &mut self.peers {
            for _ in 0..days.min(LONG_DAYS as u64) {
                peer.before = peer.before.max(peer.sent[LONG_DAYS - 1]);
                for list in [&mut peer.sent, &mut peer.received] {
                    list.rotate_right(1);
                    list[0] = 0;
                }
            }
            for (age, _) in &mut peer.rows {
                *age = age.saturating_add(u8::try_from(days).unwrap_or(u8::MAX));
            }
            peer.rows.retain(|(age, _)| usize::from(*age) < LONG_DAYS);
        }
    }

    /// Today is left out: it was not whole.
    pub(super) fn forget_today(&mut self) {
        for peer in &mut self.peers {
            (peer.sent[0], peer.received[0]) = (0, 0);
            peer.rows.retain(|(age, _)| *age > 0);
        }
    }
}

impl Peer {
    /// Keeps a connection of today, if it is the heaviest.
    fn keep(&mut self, row: Option<Row>) {
        let Some(row) = row else { return };
        match self.rows.iter_mut().find(|(age, _)| *age == 0) {
            Some((_, known)) if row.outranks(known) => *known = row,
            Some(_) => {}
            None => {
                self.rows.reserve_exact(1);
                self.rows.push((0, row));
            }
        }
    }

    /// The heaviest connection of the last `days`.
    fn heaviest(&self, days: usize) -> Option<&Row> {
        let rows = self.rows.iter().filter(|(age, _)| usize::from(*age) < days);
        rows.map(|(_, row)| row).reduce(|a, b| if b.outranks(a) { b } else { a })
    }

    /// The most KiB in one day, but for the last `days`.
    fn most(&self, days: usize) -> u64 {
        let recent = self.sent[days..].iter().max().copied().unwrap_or_default();
        u64::from(recent.max(self.before))
    }

    /// Who got least goes first, and of equals one that can be told.
    fn rank(&self) -> (u64, u8, Addr) {
        (self.most(0), self.channel, self.addr)
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX)
}

impl Given<'_> {
    /// log2 of sent by received, in 256ths of a bit.
    pub(super) fn ratio(&self) -> i32 {
        ratio(self.sent, self.received)
    }

    /// How much more it got than ever in so many days before, in 256ths of a bit.
    pub(super) fn beyond(&self) -> i32 {
        let before = self.before.saturating_mul(self.days).saturating_add(SMALL);
        log2(self.sent.saturating_add(SMALL)) - log2(before)
    }
}

/// A kilobyte either way is noise.
const SMALL: u64 = 1024;

/// log2 of sent by received, in 256ths of a bit.
pub(super) fn ratio(sent: u64, received: u64) -> i32 {
    let log = |bytes: u64| log2(bytes.saturating_add(SMALL));
    (log(sent) - log(received)).clamp(-60 * BIT, 60 * BIT)
}
