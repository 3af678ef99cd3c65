//! What was found, as it is kept and shown later: apart from the files and tables that it came
//! from.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::address::Addr;
use crate::base::hash::Id;
use crate::base::limits::EVIDENCE_TEXT_BYTES_MAX;
use crate::base::score::Ppm;
use crate::base::time::{Minute, Time};

use super::evidence::{Evidence, Observed, Reason};
use super::log::Log;
use super::position::RecordRef;

/// A reason, told by the name of its feature alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Why {
    /// What was looked at.
    pub feature: Cow<'static, str>,
    /// What was seen.
    pub observed: Observed,
    /// What is usual.
    pub expected: Observed,
    /// Its share of the score.
    pub contribution: Ppm,
}

/// Where a record stands, and what tells that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spot {
    /// Zeek's uid; empty where it has none.
    pub uid: String,
    /// Its log.
    pub log: Log,
    /// Its file, as it was called then; empty where nobody said.
    pub file: Arc<str>,
    /// The id of its event, in which stand its file's generation and its offset.
    pub event_id: Id,
}

/// One finding: of a stage, of one subject of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its id, which its alert has too.
    pub id: Id,
    /// Whether it is an alert.
    pub is_alert: bool,
    /// How sure the stage is.
    pub score: Ppm,
    /// The minute in which it counts.
    pub minute: Minute,
    /// Event time of the latest record behind it.
    pub time: Time,
    /// Start and end of what was looked at.
    pub window: (Time, Time),
    /// Who opened the connection.
    pub source: Option<Addr>,
    /// Who answered.
    pub destination: Option<Addr>,
    /// The strongest first.
    pub reasons: Vec<Why>,
    /// Records behind it.
    pub records: Vec<Spot>,
}

impl Why {
    fn of(reason: &Reason) -> Self {
        Self {
            feature: Cow::Borrowed(reason.feature),
            observed: short(&reason.observed),
            expected: short(&reason.expected),
            contribution: reason.contribution,
        }
    }
}

impl Spot {
    fn of(record: &RecordRef) -> Self {
        Self {
            uid: record.uid.as_str().to_owned(),
            log: record.source.log,
            file: record.source.path.as_str().into(),
            event_id: record.event_id(),
        }
    }
}

impl Finding {
    /// What `evidence` says, which counts in `minute`.
    #[must_use]
    pub fn of(evidence: &Evidence, id: Id, minute: Minute, is_alert: bool) -> Self {
        Self {
            id,
            is_alert,
            score: evidence.score,
            minute,
            time: evidence.time,
            window: evidence.window,
            source: evidence.source,
            destination: evidence.destination,
            reasons: evidence.reasons.iter().map(Why::of).collect(),
            records: evidence.records.iter().map(Spot::of).collect(),
        }
    }

    /// Bytes that it takes, estimated: without the names of files, so that it is the same wherever
    /// its records stand.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |observed: &Observed| match observed {
            Observed::Text(text) => text.len(),
            Observed::Number(_) => 0,
        };
        let reason = |why: &Why| size_of::<Why>() + text(&why.observed) + text(&why.expected);
        let record = |spot: &Spot| size_of::<Spot>() + spot.uid.len() + 64;
        size_of::<Self>()
            + self.reasons.iter().map(reason).sum::<usize>()
            + self.records.iter().map(record).sum::<usize>()
    }
}

fn short(observed: &Observed) -> Observed {
    match observed {
        Observed::Text(text) if text.len() > EVIDENCE_TEXT_BYTES_MAX => {
            let end = text.floor_char_boundary(EVIDENCE_TEXT_BYTES_MAX);
            Observed::Text(text.get(..end).unwrap_or_default().to_owned())
        }
        other => other.clone(),
    }
}
