//! What the ledger is told at the start: modules, groups of modules, whose risk counts more.

use std::collections::BTreeMap;

use crate::base::score::{Points, Ppm};

use super::alarm::Marks;
use super::criticality::Criticality;

/// What the ledger is told of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// Modules of one group see the same thing, and share one budget.
    pub group: &'static str,
    /// What it adds to a score when it is certain.
    pub weight: Points,
    /// In how many microseconds its value fades to half.
    pub half_life_us: i64,
    /// Whether it finds anything; what it found before it was turned off fades with the rest.
    pub is_enabled: bool,
}

impl Module {
    /// What a value adds to a score, before its group's budget.
    pub(super) fn points(&self, value: Ppm) -> u64 {
        self.weight.0 * u64::from(value.get()) / u64::from(Ppm::ONE.get())
    }
}

/// What the ledger is told at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The modules, in the order of the stage table.
    pub(super) modules: Vec<Module>,
    /// The place of each module's group in `budgets`.
    pub(super) groups: Vec<usize>,
    /// What a group adds to a score at most.
    pub(super) budgets: Vec<Points>,
    pub(super) criticality: Criticality,
    /// Entities that are kept; beyond it the one with the lowest score goes, of equals the one that
    /// had no evidence for longest.
    pub(super) entities_max: usize,
    /// Where a score is an alert.
    pub(super) marks: Marks,
}

impl Policy {
    /// Of modules in the order of the stage table, and the budgets of groups that have one of their
    /// own; that of the others is the greatest weight of an enabled module in it.
    #[must_use]
    pub fn new(
        modules: Vec<Module>,
        budgets: &BTreeMap<String, Points>,
        criticality: Criticality,
        entities_max: usize,
    ) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut groups = Vec::new();
        for module in &modules {
            let known = names.iter().position(|name| *name == module.group);
            groups.push(known.unwrap_or(names.len()));
            if known.is_none() {
                names.push(module.group);
            }
        }
        let budget = |name: &&str| {
            let greatest = |only_enabled: bool| {
                let of = modules.iter().filter(|it| it.group == *name);
                of.filter(|it| it.is_enabled || !only_enabled).map(|it| it.weight).max()
            };
            budgets.get(*name).copied().or(greatest(true)).or(greatest(false)).unwrap_or_default()
        };
        let budgets = names.iter().map(budget).collect();
        Self { modules, groups, budgets, criticality, entities_max, marks: Marks::default() }
    }

    /// The same with other marks from which a score is an alert.
    #[must_use]
    pub fn with_marks(self, marks: Marks) -> Self {
        Self { marks, ..self }
    }

    /// Entities that are kept.
    #[must_use]
    pub const fn entities_max(&self) -> usize {
        self.entities_max
    }

    /// The longest half-life of any module, in microseconds.
    #[must_use]
    pub fn half_life_max(&self) -> i64 {
        self.modules.iter().map(|module| module.half_life_us).max().unwrap_or_default()
    }

    /// What is known of a module, by its place in the stage table.
    #[must_use]
    pub fn module(&self, index: usize) -> &Module {
        &self.modules[index]
    }
}
