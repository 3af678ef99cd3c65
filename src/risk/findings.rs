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
    /// Those of users, a quarter of all: any client makes up names, which must not push out others.
    of_users: Recent<Id, Ppm, Time>,
    /// What changed since the last [`Findings::save`], if anybody saves: of users, and which.
    changed: Option<BTreeSet<(bool, Id)>>,
}

impl Default for Findings {
    fn default() -> Self {
        Self::bounded(SUBJECTS_MAX)
    }
}

/// What the key of a user's finding has after the id.
const USER: &[u8] = b"u";

impl Findings {
    fn bounded(max: usize) -> Self {
        let users = max / 4;
        let (known, of_users) = (Recent::new(max - users), Recent::new(users));
        Self { known, of_users, changed: None }
    }

    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        for (is_user, id) in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let (known, end) =
                if is_user { (&self.of_users, USER) } else { (&self.known, &[][..]) };
            let key = [b"f".as_slice(), &id.0, end].concat();
            sink(&key, known.entry(&id).map(encode).as_deref());
        }
    }

    /// Takes back a key that [`Findings::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let key = key.get(1..).and_then(|key| key.split_first_chunk());
        let (id, end) = key.ok_or_else(|| Damaged("not a finding".to_owned()))?;
        let known = if end == USER { &mut self.of_users } else { &mut self.known };
        let (score, age) = decode(value)?;
        known.set(Id(*id), score, age);
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
        let is_user = evidence.entity.addr().is_none();
        let all = if is_user { &mut self.of_users } else { &mut self.known };
        let known = all.entry(&id).copied();
        let (before, last) = known.unwrap_or((Ppm::default(), Time::MIN));
        let strongest = before.max(evidence.score);
        let gone = all.set(id, strongest, last.max(evidence.time));
        if let Some(changed) = &mut self.changed {
            changed.insert((is_user, id));
            changed.extend(gone.map(|gone| (is_user, gone)));
        }
        News {
            id,
            is_alert: evidence.score >= alert && known.is_none_or(|(before, _)| before < alert),
            bits: Bits::of(strongest).beyond(Bits::of(before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::address::Addr;
    use crate::record::{Entity, Names};

    fn evidence(entity: Entity, time: i64) -> Evidence {
        Evidence {
            stage: 0,
            entity,
            subject: Vec::new(),
            time: Time(time),
            window: (Time(0), Time(0)),
            score: Ppm::new(700_000),
            reasons: Vec::new(),
            techniques: &[],
            records: Vec::new(),
            source: None,
            destination: None,
            names: Names::default(),
            may_alert: true,
        }
    }

    #[test]
    fn users_push_out_users_only_across_a_restart() {
        let user = |n: i64| Entity::user(format!("u{n}").as_bytes()).unwrap();
        let host = Entity::Host(Addr::v4(1));
        let mut one = Findings::bounded(8);
        one.track();
        let news = |it: &mut Findings, entity: &Entity, time| {
            it.news(&evidence(entity.clone(), time), &[b"x"], 1, Ppm::new(500_000))
        };
        assert!(news(&mut one, &host, 0).is_alert);
        for n in 1..100 {
            assert!(news(&mut one, &user(n), n).is_alert);
        }
        let mut again = Findings::bounded(8);
        one.save(&mut |key, value| {
            if let Some(value) = value {
                again.load(key, value).unwrap();
            }
        });
        for it in [&mut one, &mut again] {
            assert_eq!(news(it, &host, 100).bits, Bits::default());
            assert!(!news(it, &user(99), 100).is_alert && news(it, &user(1), 100).is_alert);
        }
        assert!(again.load(b"fshort", b"").is_err());
    }
}
