//! A hash of all that was read of a file, so that a file is gone on with only if it is still the
//! same: a chain over pieces of 64 KiB, so that the end of what was read can be checked alone.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

const PIECE: u64 = 64 << 10;

/// The hash at one place, as it is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    /// Over all whole pieces.
    chain: [u8; 32],
    /// The same without the last one.
    before: [u8; 32],
    /// Of the bytes behind them.
    rest: [u8; 32],
    /// Bytes that it is over.
    pub(super) length: u64,
}

/// The hash while reading.
#[derive(Clone, Debug)]
pub(super) struct Running {
    chain: [u8; 32],
    before: [u8; 32],
    piece: blake3::Hasher,
    length: u64,
}

impl Default for Running {
    fn default() -> Self {
        Self { chain: [0; 32], before: [0; 32], piece: blake3::Hasher::new(), length: 0 }
    }
}

impl Running {
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (PIECE - self.length % PIECE) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.piece.update(now);
            self.length += now.len() as u64;
            if self.length.is_multiple_of(PIECE) {
                self.before = self.chain;
                let piece = self.piece.finalize();
                self.chain = *blake3::hash(&[self.chain, *piece.as_bytes()].concat()).as_bytes();
                self.piece.reset();
            }
            bytes = rest;
        }
    }

    /// Bytes that it is over.
    pub(super) fn check_length(&self) -> u64 {
        self.length
    }

    pub(super) fn check(&self) -> Check {
        let rest = *self.piece.finalize().as_bytes();
        Check { chain: self.chain, before: self.before, rest, length: self.length }
    }
}

impl Check {
    /// From where a file has to be read to be checked at its end.
    pub(super) fn tail_from(&self) -> u64 {
        (self.length / PIECE).saturating_sub(1) * PIECE
    }

    /// Whether `tail`, which begins at [`Check::tail_from`], ends as what was read did; then the
    /// hash goes on from there.
    pub(super) fn resume(&self, tail: &[u8]) -> Option<Running> {
        let mut running =
            Running { chain: self.before, length: self.tail_from(), ..Running::default() };
        if self.length < PIECE {
            running.chain = [0; 32];
        }
        running.update(tail);
        (running.check() == *self).then_some(running)
    }

    /// Reads `reader` from its start for as long as the check is; whether it says the same, and the
    /// hash to go on with.
    pub(super) fn compare(&self, reader: &mut dyn Read) -> io::Result<Option<Running>> {
        let mut running = Running::default();
        let mut buffer = vec![0; 256 << 10];
        while running.length < self.length {
            let left = usize::try_from(self.length - running.length).unwrap_or(usize::MAX);
            let room = left.min(buffer.len());
            match reader.read(&mut buffer[..room]) {
                Ok(0) => break,
                Ok(count) => running.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((running.check() == *self).then_some(running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_cut_goes_on_and_any_change_is_seen(
            length in 0..300_000_usize,
            cuts in proptest::collection::vec(1..100_000_usize, 1..8),
            flip in any::<usize>(),
        ) {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
            let (mut running, mut at) = (Running::default(), 0);
            for cut in cuts {
                let end = length.min(at + cut);
                running.update(&bytes[at..end]);
                at = end;
                let check = running.check();
                let tail = &bytes[check.tail_from() as usize..at];
                prop_assert_eq!(check.resume(tail).unwrap().check(), check);
                prop_assert!(check.compare(&mut &bytes[..]).unwrap().is_some());
                if !tail.is_empty() {
                    let mut other = tail.to_vec();
                    other[flip % tail.len()] ^= 1;
                    prop_assert!(check.resume(&other).is_none());
                }
                if at > 0 {
                    let mut other = bytes.clone();
                    other[flip % at] ^= 1;
                    prop_assert!(check.compare(&mut &other[..]).unwrap().is_none());
                    prop_assert!(check.compare(&mut &bytes[..at - 1]).unwrap().is_none());
                }
            }
        }
    }
}
