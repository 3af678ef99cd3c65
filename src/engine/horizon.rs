//! How far all lanes together have come in event time, while logs are being written.
//!
//! A lane that is silent must not hold the others back, and when all are silent minutes must close
//! all the same: both are told by a tick. Nothing here asks the wall clock; a tick is data, and the
//! journal keeps it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::time::Time;
use crate::record::Lane;

/// What the wall clock has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Lanes that are silent, one bit each, in the order of [`Lane::ALL`].
    pub silent: u8,
    /// If all are: how far event time has gone on meanwhile.
    pub time: Option<Time>,
}

/// The event time of every lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Horizon {
    #[serde(serialize_with = "write_first", deserialize_with = "read_first")]
    lanes: Lanes,
    silent: u8,
    past: Option<Time>,
}

/// Lanes whose time stands in the horizon of a state, as in those of release 0.1, which had no
/// more; of the others the watermark says it, which stands there too.
const FIRST: usize = 4;

type Lanes = [Option<Time>; Lane::ALL.len()];

fn write_first<S: Serializer>(lanes: &Lanes, to: S) -> Result<S::Ok, S::Error> {
    let first: [Option<Time>; FIRST] = std::array::from_fn(|lane| lanes[lane]);
    first.serialize(to)
}

fn read_first<'de, D: Deserializer<'de>>(from: D) -> Result<Lanes, D::Error> {
    let first = <[Option<Time>; FIRST]>::deserialize(from)?;
    Ok(std::array::from_fn(|lane| first.get(lane).copied().flatten()))
}

impl Horizon {
    /// A lane had come to `time` when the state was saved.
    pub(super) fn resume(&mut self, lane: usize, time: Option<Time>) {
        self.lanes[lane] = time.max(self.lanes[lane]);
    }

    /// A lane has come to `time`, and is heard.
    pub(super) fn heard(&mut self, lane: usize, time: Option<Time>) {
        self.resume(lane, time);
        self.silent &= !(1 << lane);
    }

    pub(super) fn tick(&mut self, tick: Tick) {
        self.silent = tick.silent;
        self.past = self.past.max(tick.time);
    }

    /// Whether a tick with these silent lanes would say something new.
    pub(super) fn silent(&self) -> u8 {
        self.silent
    }

    /// The greatest time of any lane, or of a tick.
    pub(super) fn latest(&self) -> Option<Time> {
        self.lanes.iter().copied().max().flatten().max(self.past)
    }

    pub(super) fn lane(&self, lane: usize) -> Option<Time> {
        self.lanes[lane]
    }

    /// What every lane that is not silent has passed; where all are silent, the greatest of all.
    pub(super) fn get(&self) -> Option<Time> {
        let heard = self.lanes.iter().enumerate().filter(|(lane, _)| self.silent >> lane & 1 == 0);
        heard.filter_map(|(_, time)| *time).min().or_else(|| self.latest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_lane_holds_nobody_back() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.get(), None);
        horizon.heard(0, Some(Time(100)));
        horizon.heard(1, Some(Time(50)));
        assert_eq!(horizon.get(), Some(Time(50)));
        horizon.tick(Tick { silent: 0b10, time: None });
        assert_eq!(horizon.get(), Some(Time(100)));
        horizon.tick(Tick { silent: 0b11, time: Some(Time(170)) });
        assert_eq!(horizon.get(), Some(Time(170)));
        horizon.heard(1, Some(Time(60)));
        assert_eq!(horizon.get(), Some(Time(60)));
    }
}
