//! The models that the stages of a plan need.

use crate::config::{Plan, StagePlan};
use crate::model::{Models, Trouble};
use crate::stage::{StageDef, TABLE};

/// Opens the models of the stages that are on. Where there is no library, or there are no models,
/// the stages that need them are off, and everything else runs: why is returned.
///
/// # Errors
/// When a model is there and is not the one that it should be: that is nothing to look away from.
pub fn equip(plan: &mut Plan) -> Result<Option<Trouble>, Trouble> {
    let on = TABLE.iter().zip(&plan.stages).filter(|(_, plan)| plan.enabled);
    let mut wanted: Vec<_> = on.flat_map(|(def, _)| def.models).copied().collect();
    wanted.sort_by_key(|def| def.detector);
    wanted.dedup_by_key(|def| def.detector);
    match Models::open(&plan.places, &wanted) {
        Ok(models) => {
            plan.models = models;
            Ok(None)
        }
        Err(trouble) if trouble.is_absence() => Ok(Some(trouble)),
        Err(trouble) => Err(trouble),
    }
}

/// Whether a stage is on: it is enabled, and has its models.
pub(super) fn is_on(plan: &Plan, def: &StageDef, of: &StagePlan) -> bool {
    of.enabled && def.models.iter().all(|model| plan.models.entry(model.detector).is_some())
}

/// The stages that are enabled and off for want of a model.
#[must_use]
pub fn missing(plan: &Plan) -> Vec<&'static str> {
    let stages = TABLE.iter().zip(&plan.stages);
    let missing = stages.filter(|(def, of)| of.enabled && !is_on(plan, def, of));
    missing.map(|(def, _)| def.name).collect()
}
