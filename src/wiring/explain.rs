//! Why a score is what it is, by the state that a daemon or a replay left, or is writing to.

use std::path::Path;

use crate::base::codec::decode;
use crate::base::hash::Id;
use crate::config::Plan;
use crate::document::{Explanation, write_explanation};
use crate::engine::Core;
use crate::explain::Asked;
use crate::record::{Entity, Finding};
use crate::risk::{Grounds, Incidents, Kept};
use crate::state::{CannotOpen, Reader, Snapshot, State};

use super::{core, owner, scope};

/// Whether there is a state in `directory`.
#[must_use]
pub fn is_state(directory: &Path) -> bool {
    directory.join("state.redb").is_file()
}

/// What the state in `directory` says of who or what was asked for.
///
/// # Errors
/// Says why it cannot be used: a daemon may have it.
pub fn by_state(
    plan: &Plan,
    directory: &Path,
    asked: &Asked,
) -> Result<Option<Explanation>, CannotOpen> {
    let state = State::open(directory, &owner(plan), false)?;
    by_reader(plan, &state.reader(), asked)
}

/// The answer of a daemon to whoever asks for `text`, as a document; nothing where it knows
/// nothing.
///
/// # Errors
/// When its state cannot be read.
pub fn answer(plan: &Plan, reader: &Reader, text: &str) -> Result<Option<Vec<u8>>, CannotOpen> {
    let asked = Asked::parse(text, &scope(plan), plan.by_64);
    let Some(asked) = asked else { return Ok(None) };
    let found = by_reader(plan, reader, &asked)?;
    Ok(found.map(|explanation| {
        let mut out = Vec::new();
        write_explanation(&explanation, &mut out);
        out
    }))
}

fn by_reader(
    plan: &Plan,
    reader: &Reader,
    asked: &Asked,
) -> Result<Option<Explanation>, CannotOpen> {
    let Some(snapshot) = reader.snapshot()? else { return Ok(None) };
    match asked {
        Asked::Entity(entity) => of_entity(plan, &snapshot, entity),
        Asked::Id(id) => of_id(plan, &snapshot, *id),
    }
}

fn of_entity(
    plan: &Plan,
    snapshot: &Snapshot,
    entity: &Entity,
) -> Result<Option<Explanation>, CannotOpen> {
    let mut core = core(plan);
    for prefix in Core::keys_of(entity) {
        snapshot.range(&prefix, &mut |key, value| core.load(key, value))?;
    }
    Ok(core.explain(entity))
}

/// Of the finding of this id, or of those that speak of the event of this id.
fn of_id(plan: &Plan, snapshot: &Snapshot, id: Id) -> Result<Option<Explanation>, CannotOpen> {
    let mut whose: Option<Entity> = None;
    let mut found: Vec<(String, Finding)> = Vec::new();
    let speaks = |finding: &Finding| {
        finding.id == id || finding.records.iter().any(|record| record.event_id == id)
    };
    for kind in [Grounds::KEPT, Grounds::OPEN] {
        snapshot.range(&[kind], &mut |_, value| {
            let kept: Kept = decode(value)?;
            for finding in kept.findings.into_iter().filter(&speaks) {
                if *whose.get_or_insert_with(|| kept.entity.clone()) == kept.entity {
                    found.push((kept.module.clone(), finding));
                }
            }
            Ok(())
        })?;
    }
    let Some(entity) = whose else { return of_incident(plan, snapshot, id) };
    let Some(mut explanation) = of_entity(plan, snapshot, &entity)? else { return Ok(None) };
    let asked = found.iter().find(|(_, finding)| finding.id == id);
    let kind = asked.map_or("event", |(_, it)| if it.is_alert { "alert" } else { "finding" });
    explanation.kind = kind.to_owned();
    explanation.id = id.to_string();
    explanation.event = asked.is_none().then_some(id);
    explanation.modules.retain(|part| found.iter().any(|(module, _)| *module == part.module));
    for part in &mut explanation.modules {
        part.events.clear();
        part.findings.retain(&speaks);
        // It may be none of the strongest any more, as soon as its minute is closed.
        for (_, finding) in found.iter().filter(|(module, _)| *module == part.module) {
            if part.findings.iter().all(|known| known.id != finding.id) {
                part.findings.push(finding.clone());
            }
        }
    }
    Ok(Some(explanation))
}

/// Of the alert of this id that is of no stage: an open incident may remember it.
fn of_incident(
    plan: &Plan,
    snapshot: &Snapshot,
    id: Id,
) -> Result<Option<Explanation>, CannotOpen> {
    let mut whose: Option<Entity> = None;
    snapshot.range(Incidents::KEYS, &mut |key, value| {
        whose = Incidents::whose(key, value, id)?.or(whose.take());
        Ok(())
    })?;
    let Some(entity) = whose else { return Ok(None) };
    let found = of_entity(plan, snapshot, &entity)?;
    let kind = "alert".to_owned();
    Ok(found.map(|found| Explanation { id: id.to_string(), kind, ..found }))
}
