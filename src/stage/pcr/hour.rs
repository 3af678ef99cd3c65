//! The hour that is open: sums by channel, and to whom most was given.

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;

use super::super::input::Cell;
use super::super::traffic::PARTS;
use super::row::Row;

/// Other sides that are told apart in an hour: those that got most.
const PEERS: usize = 32;

/// Bytes that an other side must get in a minute to be told apart.
const TOLD_MIN: u64 = 1024;

/// An other side in this hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HourPeer {
    pub(super) channel: u8,
    pub(super) addr: Addr,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) row: Option<Row>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hour {
    /// Sent and received, as far as they were seen.
    pub(super) sums: [[u64; 2]; PARTS],
    /// What was not seen.
    pub(super) missed: u64,
    pub(super) peers: Vec<HourPeer>,
    /// Given to those who are not told apart.
    pub(super) untold: [u64; PARTS],
}

impl Hour {
    /// Takes a cell of a minute of this hour.
    pub(super) fn take(&mut self, cell: &Cell) {
        let [sent, received, missed] = cell.amounts;
        let Some((channel, place)) = cell.subject.split_first() else { return };
        let Some(sum) = self.sums.get_mut(usize::from(*channel)) else { return };
        let [is_orig, _] = place else {
            *sum = [sum[0].saturating_add(sent), sum[1].saturating_add(received)];
            self.missed = self.missed.saturating_add(missed);
            return;
        };
        let Some(row) = &cell.row else { return };
        let is_orig = *is_orig == 1;
        let addr = if is_orig { row.destination } else { row.source };
        let Some(addr) = addr else { return };
        let row = Some(Row::new(row, is_orig));
        let peer = HourPeer { channel: *channel, addr, sent, received, row };
        self.give(peer);
    }

    fn give(&mut self, peer: HourPeer) {
        let same = |known: &&mut HourPeer| (known.channel, known.addr) == (peer.channel, peer.addr);
        if let Some(known) = self.peers.iter_mut().find(same) {
            known.sent = known.sent.saturating_add(peer.sent);
            known.received = known.received.saturating_add(peer.received);
            let outranks = |row: &Row| known.row.as_ref().is_none_or(|known| row.outranks(known));
            if let Some(row) = peer.row.filter(outranks) {
                known.row = Some(row);
            }
            return;
        }
        if peer.sent < TOLD_MIN {
            self.leave_untold(&peer);
            return;
        }
        if self.peers.len() == PEERS {
            let rank = |peer: &HourPeer| (peer.sent, peer.channel, peer.addr);
            let least = self.peers.iter().enumerate().min_by_key(|(_, peer)| rank(peer));
            let Some((index, _)) = least.filter(|(_, least)| rank(least) < rank(&peer)) else {
                self.leave_untold(&peer);
                return;
            };
            let least = self.peers.remove(index);
            self.leave_untold(&least);
        }
        self.peers.reserve_exact(1);
        self.peers.push(peer);
    }

    fn leave_untold(&mut self, peer: &HourPeer) {
        if let Some(untold) = self.untold.get_mut(usize::from(peer.channel)) {
            *untold = untold.saturating_add(peer.sent);
        }
    }

    /// Sent and received in a channel, or in all of them.
    pub(super) fn sum(&self, channel: usize) -> [u64; 2] {
        match self.sums.get(channel) {
            Some(sum) => *sum,
            None => self.sums.iter().fold([0; 2], |all, sum| {
                [all[0].saturating_add(sum[0]), all[1].saturating_add(sum[1])]
            }),
        }
    }

    /// Given to those who are not told apart.
    pub(super) fn untold(&self, channel: usize) -> u64 {
        let all = || self.untold.iter().fold(0_u64, |all, one| all.saturating_add(*one));
        self.untold.get(channel).copied().unwrap_or_else(all)
    }

    /// Whether so much was missed that nothing should be learned from it.
    pub(super) fn is_torn(&self) -> bool {
        let [sent, received] = self.sum(super::channel::ALL);
        self.missed > sent.saturating_add(received) / 4
    }
}
