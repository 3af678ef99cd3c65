//! What was found already: so that no finding alerts twice, and none counts twice in a risk.
//!
//! A finding is its stage, entity, subject and the start of its window. Within it the strongest
//! evidence counts: a stronger one later adds what it says beyond the one before.

use std::collections::BTreeSet;

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::hash::{self, Id};
use crate::base::limits::SUBJECTS_MAX;
use crate::base::recent::Recent;
use crate::base::score::Ppm;
use crate::base::time::Time;
use crate::record::Evidence;

use super::bits::Bits;

/// What is new about a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The finding's id, which an alert of it has too.
    pub id: Id,
    /// Whether it is an alert, the first of this finding.
    pub is_alert: bool,
    /// What it adds to the risk.
    pub bits: Bits,
}

/// Remembers findings, up to a bound; what was not heard of for longest is forgotten first.
#[derive(Clone, Debug)]
pub struct Findings {
    known: Recent<Id, Ppm, Time>,
    /// What changed since the last [`Findings::save`], if anybody saves.
    changed: Option<BTreeSet<Id>>,
}

impl Default for Findings {
    fn default() -> Self {
        Self { known: Recent::new(SUBJECTS_MAX), changed: None }
    }
}

impl Findings {
    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        for id in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let key = [b"f".as_slice(), &id.0].concat();
            sink(&key, self.known.entry(&id).map(encode).as_deref());
        }
    }

    /// Takes back a key that [`Findings::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let id = key.get(1..).and_then(|id| id.try_into().ok());
        let id = id.ok_or_else(|| Damaged("not a finding".to_owned()))?;
        let (score, age) = decode(value)?;
        self.known.set(Id(id), score, age);
        Ok(())
    }

    /// Takes one piece of evidence of a stage that alerts from `alert` on. `identity` names sensor,
    /// stage, its version and the configuration; `length_us` the stage's window.
    pub fn news(
        &mut self,
        evidence: &Evidence,
        identity: &[&[u8]],
        length_us: i64,
        alert: Ppm,
    ) -> News {
        let entity = evidence.entity.to_bytes();
        let (start, length) = (evidence.window.0.0.to_be_bytes(), length_us.to_be_bytes());
        let mut parts = identity.to_vec();
        parts.extend_from_slice(&[&entity, &evidence.subject, &start, &length]);
        let id = hash::id(&parts);
        let known = self.known.entry(&id).copied();
        let (before, last) = known.unwrap_or((Ppm::default(), Time::MIN));
        let strongest = before.max(evidence.score);
        let gone = self.known.set(id, strongest, last.max(evidence.time));
        if let Some(changed) = &mut self.changed {
            changed.insert(id);
            changed.extend(gone);
        }
        News {
            id,
            is_alert: evidence.score >= alert && known.is_none_or(|(before, _)| before < alert),
            bits: Bits::of(strongest).beyond(Bits::of(before)),
        }
    }
}
