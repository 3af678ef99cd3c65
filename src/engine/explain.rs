//! Why an entity's score is what it is, by the state of the entity lane.

use std::collections::BTreeMap;

use crate::base::time::Minute;
use crate::document::{Explanation, Part, Portion, Standing};
use crate::record::{Entity, Finding};
use crate::risk::{Grounds, Ledger, Share};

use super::core::Core;
use super::kept::CORE_KEY;

impl Core {
    /// What the keys begin with that [`Core::explain`] needs of an entity, and no others.
    #[must_use]
    pub fn keys_of(entity: &Entity) -> Vec<Vec<u8>> {
        let mut keys = vec![CORE_KEY.to_vec(), Ledger::key_of(entity)];
        keys.extend(Grounds::keys_of(entity));
        keys
    }

    /// Why an entity's score is what it is at the end of the last minute that was closed; what was
    /// found since then is told too. Nothing of an entity of which nothing is known.
    #[must_use]
    pub fn explain(&self, entity: &Entity) -> Option<Explanation> {
        let closed = Minute(self.open.0.saturating_sub(1));
        let change = self.ledger.standing(entity, closed);
        let mut findings = self.grounds.of(entity);
        if change.is_none() && findings.is_empty() {
            return None;
        }
        let shares = change.as_ref().map_or(&[][..], |change| &change.shares);
        let mut modules: Vec<Part> =
            shares.iter().map(|share| self.part(share, &mut findings)).collect();
        modules.extend(findings.into_iter().map(|(module, findings)| Part {
            module: self.stages[module].def.name.to_owned(),
            findings,
            ..Part::default()
        }));
        let id = entity.id(&self.identity.scope);
        Some(Explanation {
            id: id.clone(),
            kind: "entity".to_owned(),
            entity: Some(id),
            risk: change.map(|change| Standing {
                time: change.minute.end(),
                score: change.score,
                previous: change.previous,
                level: change.level.name().to_owned(),
                criticality: change.criticality.millionths(),
            }),
            modules,
            ..Explanation::default()
        })
    }

    fn part(&self, share: &Share, findings: &mut BTreeMap<usize, Vec<Finding>>) -> Part {
        let plan = &self.stages[share.module];
        let mut part = Part {
            module: plan.def.name.to_owned(),
            share: Some(Portion {
                points: share.points,
                weight: self.ledger.policy().module(share.module).weight,
                value: share.value,
            }),
            findings: findings.remove(&share.module).unwrap_or_default(),
            ..Part::default()
        };
        part.events = part.not_found(&share.evidence);
        part
    }
}
