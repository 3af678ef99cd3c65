//! What the entity lane does while logs are being written: takes outputs and ticks in the order in
//! which they come, which is what the journal keeps, and can say at any point between two of them
//! what has to be saved.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::codec::{Damaged, decode, encode};
use crate::base::time::Time;
use crate::record::{Generation, Lane, Log};
use crate::risk::AllowList;

use super::core::Core;
use super::horizon::{Horizon, Tick};
use super::output::{After, Kind, LaneState, Output};
use super::status::Counted;

/// One step of a run, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Records of one file.
    Rows {
        /// Which log.
        log: Log,
        /// Which file.
        generation: Generation,
        /// Its bytes.
        range: Range<u64>,
        /// Whether they are its last, so that a line without an end is told.
        is_last: bool,
        /// Its name then; in each commit once for each name.
        path: Option<String>,
    },
    /// The wall clock.
    Tick(Tick),
    /// The text of the allow-list that is in force from here on.
    Allow(String),
}

/// What is saved beside the keys of the core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lanes {
    horizon: Horizon,
    states: BTreeMap<Lane, LaneState>,
}

impl Lanes {
    fn read(value: &[u8]) -> Result<Self, Damaged> {
        let mut lanes: Self = decode(value)?;
        for (lane, state) in &lanes.states {
            lanes.horizon.resume(*lane as usize, state.watermark.get());
        }
        Ok(lanes)
    }
}

/// Keys of files begin with this.
const FILE_KEY: u8 = b'g';

/// What changed between two commits.
#[derive(Debug, Default)]
pub struct Changed {
    /// Keys with their values, or nothing where they are gone.
    pub keys: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Alerts, as documents.
    pub alerts: Vec<u8>,
    /// Risk, as documents.
    pub risk: Vec<u8>,
    /// What happened, in its order.
    pub steps: Vec<Step>,
}

/// The entity lane's state, step by step.
pub struct Applier {
    /// Windows, findings, risk.
    pub core: Core,
    lanes: Lanes,
    files: BTreeMap<Generation, Vec<u8>>,
    steps: Vec<Step>,
    /// The names that the steps since the last commit told.
    told: BTreeMap<Generation, String>,
    /// What was counted up to the last commit, and up to the one that is on its way.
    counted: Counted,
    saving: Counted,
}

impl Applier {
    /// With a fresh core.
    #[must_use]
    pub fn new(mut core: Core) -> Self {
        core.track();
        Self {
            core,
            lanes: Lanes::default(),
            files: BTreeMap::new(),
            steps: Vec::new(),
            told: BTreeMap::new(),
            counted: Counted::default(),
            saving: Counted::default(),
        }
    }

    /// Takes back one key that [`Applier::save`] handed out; files are not its own.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        if key == Self::LANES_KEY {
            self.lanes = Lanes::read(value)?;
            return Ok(());
        }
        self.core.load(key, value)
    }

    /// The key of what the lanes have to know.
    pub const LANES_KEY: &'static [u8] = b"l";

    /// The key of a file.
    #[must_use]
    pub fn file_key(generation: Generation) -> Vec<u8> {
        [[FILE_KEY].as_slice(), &generation.0].concat()
    }

    /// The file that a key of a commit speaks of.
    #[must_use]
    pub fn file_of(key: &[u8]) -> Option<Generation> {
        let (&FILE_KEY, generation) = key.split_first()? else { return None };
        Some(Generation(generation.try_into().ok()?))
    }

    /// What a lane has to know to go on.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> LaneState {
        self.lanes.states.get(&lane).cloned().unwrap_or_default()
    }

    /// How far a lane has come.
    #[must_use]
    pub(super) fn time(&self, lane: usize) -> Option<Time> {
        self.lanes.horizon.lane(lane)
    }

    pub(super) fn horizon(&self) -> &Horizon {
        &self.lanes.horizon
    }

    /// Takes what a lane made of some records.
    pub(super) fn rows(&mut self, output: &mut Output) {
        let counts = self.core.summary.logs.entry(output.log).or_default();
        counts.add(&output.counts);
        if let Some(After { mark, .. }) = &output.after {
            counts.bytes += mark.range.end - mark.range.start;
        }
        self.core.note_panics(&output.panics);
        self.core.fold(output);
        for kind in [Kind::Event, Kind::DeadLetter] {
            output.copy(kind, self.core.blocks.of(kind));
        }
        for (_, minute, evidence) in output.evidence.drain(..) {
            self.core.evidence(minute, &evidence);
        }
        if let Some(after) = output.after.take() {
            let lane = output.log.lane();
            self.lanes.horizon.heard(lane as usize, after.lane.watermark.get());
            self.lanes.states.insert(lane, after.lane);
            let (mark, path) = (after.mark, &after.source.path);
            let is_told = self.told.get(&mark.generation) == Some(path);
            if !is_told {
                self.told.insert(mark.generation, path.clone());
            }
            self.files.insert(mark.generation, mark.state);
            self.steps.push(Step::Rows {
                log: output.log,
                generation: mark.generation,
                range: mark.range,
                is_last: mark.is_last,
                path: (!is_told).then(|| path.clone()),
            });
        }
        self.close();
    }

    /// Takes what the wall clock says.
    pub fn tick(&mut self, tick: Tick) {
        self.lanes.horizon.tick(tick);
        self.steps.push(Step::Tick(tick));
        self.close();
    }

    /// Takes an allow-list, if it is another one than that in force.
    pub fn allow(&mut self, list: AllowList) {
        let is_other = list.text() != self.core.allow().text();
        if is_other {
            self.steps.push(Step::Allow(list.text().to_owned()));
        }
        // The same one may be without its entries.
        self.core.set_allow(list);
    }

    fn close(&mut self) {
        if let Some(time) = self.lanes.horizon.get() {
            self.core.advance(time);
        }
    }

    /// Whether there is anything to save.
    pub(super) fn is_changed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What was counted up to the last commit.
    #[must_use]
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Begins to show what was counted: all of it is committed.
    pub fn begin(&mut self) {
        self.counted = self.core.counted();
    }

    /// The commit of the last [`Applier::save`] stands.
    pub(super) fn committed(&mut self) {
        self.counted = std::mem::take(&mut self.saving);
    }

    /// What changed since the last call.
    pub fn save(&mut self) -> Changed {
        let mut keys = Vec::new();
        self.core.save(&mut |key, value| keys.push((key.to_vec(), value.map(<[u8]>::to_vec))));
        keys.push((Self::LANES_KEY.to_vec(), Some(encode(&self.lanes))));
        self.told.clear();
        self.saving = self.core.counted();
        let files = std::mem::take(&mut self.files).into_iter();
        keys.extend(files.map(|(generation, state)| (Self::file_key(generation), Some(state))));
        Changed {
            keys,
            alerts: std::mem::take(self.core.blocks.of(Kind::Alert)),
            risk: std::mem::take(self.core.blocks.of(Kind::Risk)),
            steps: std::mem::take(&mut self.steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Watermark;

    #[test]
    fn what_lanes_know_is_read_as_it_was_saved() {
        let mut lanes = Lanes::default();
        for (index, lane) in Lane::ALL.into_iter().enumerate() {
            let time = Some(Time(1000 + index as i64));
            let watermark = Watermark::new(time);
            lanes.horizon.heard(lane as usize, time);
            lanes.states.insert(lane, LaneState { watermark, ..LaneState::default() });
        }
        lanes.horizon.tick(Tick { silent: 0b1_0100, time: Some(Time(9)) });
        assert_eq!(Lanes::read(&encode(&lanes)), Ok(lanes));
    }

    /// Of release 0.1, which had four lanes.
    #[test]
    fn a_state_of_four_lanes_is_read_and_stays_as_it_is() {
        let states = BTreeMap::from([(Lane::Conn, LaneState::default())]);
        let lanes = [Some(Time(1)), None, Some(Time(3)), None];
        let old = encode(&((lanes, 0b1010_u8, Some(Time(9))), states));
        let read = Lanes::read(&old).unwrap();
        let found = Lane::ALL.map(|lane| read.horizon.lane(lane as usize));
        assert_eq!(found, [Some(Time(1)), None, Some(Time(3)), None, None]);
        assert_eq!(read.horizon.silent(), 0b1010);
        assert_eq!(encode(&read), old);
    }
}
