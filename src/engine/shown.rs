//! What the entity lane shows of itself: numbers, for metrics and the summary.

use std::collections::BTreeMap;

use crate::base::score::Points;
use crate::record::{Finding, Log, Observed};
use crate::risk::{AllowList, BudgetState, Level, RISK};

use super::alerting::BUDGET_RULE;
use super::core::{Core, StagePlan};
use super::status::Counted;
use super::summary::{Counts, Peak};

impl Core {
    /// The allow-list in force; after [`Core::load`] without its entries, until it is set again.
    #[must_use]
    pub fn allow(&self) -> &AllowList {
        &self.allow
    }

    /// Entries of the allow-list that do nothing any more.
    #[must_use]
    pub fn expired(&self) -> Vec<String> {
        self.allow.expired(self.time).map(str::to_owned).collect()
    }

    /// Takes the scores that rose since the last call.
    pub fn take_news(&mut self) -> Vec<(String, Peak)> {
        std::mem::take(&mut self.news)
    }

    /// Entities that have a score.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.ledger.entities()
    }

    /// Entities by the level that was told of them.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<Level, u64> {
        self.ledger.levels()
    }

    /// The stages, in the order of the table.
    pub fn stages(&self) -> impl Iterator<Item = &StagePlan> {
        self.stages.iter()
    }

    /// Entities that had to be forgotten.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.ledger.evicted()
    }

    /// How the budget of alerts stands.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.alerting.state()
    }

    /// Incidents that are open.
    #[must_use]
    pub fn incidents(&self) -> u64 {
        self.alerting.open()
    }

    /// Cells of windows, and evidence, that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let of = |plan: &StagePlan| plan.close.as_ref().map_or(0, |(close, _)| close.dropped());
        let stages: u64 = self.stages.iter().map(of).sum();
        self.windows.dropped()
            + self.activity.dropped()
            + self.ledger.dropped()
            + self.grounds.dropped()
            + stages
    }

    /// The name of the stage at a place in the table.
    pub(super) fn stage_name(&self, index: usize) -> &'static str {
        self.stages[index].def.name
    }

    /// What a commit keeps of what was counted.
    pub(super) fn counted(&self) -> Counted {
        let panics = self.stages.iter().map(|plan| (plan.def.name, 0));
        let mut panics: BTreeMap<_, _> = panics.collect();
        panics.extend(&self.summary.panics);
        // With zero for what was not seen, so that the first one is a rise.
        let logs = Log::ALL.into_iter().map(|log| (log, Counts::default()));
        let mut logs: BTreeMap<_, _> = logs.collect();
        logs.extend(self.summary.logs.clone());
        let suppressed = self.allow.ids().map(|id| (id.to_owned(), 0));
        let mut suppressed: BTreeMap<_, _> = suppressed.collect();
        suppressed.insert(BUDGET_RULE.to_owned(), 0);
        suppressed.extend(self.summary.suppressed.clone());
        Counted {
            logs,
            alerts: self.alerts(),
            panics,
            risk: self.summary.risk,
            clamped: self.summary.clamped,
            suppressed,
        }
    }

    /// Puts into the summary how things stand.
    pub(super) fn sum_up(&mut self) {
        self.summary.alerts = self.alerts();
        self.summary.evicted = self.evicted();
        self.summary.cells_dropped = self.dropped();
        self.summary.budget = self.budget();
        self.summary.incidents = self.incidents();
    }

    /// Alerts by detector so far, with zero for those that found nothing.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<&'static str, u64> {
        let count = |plan: &StagePlan| {
            let name = plan.def.name;
            (name, self.summary.alerts.get(name).copied().unwrap_or_default())
        };
        let on_risk = self.summary.alerts.get(RISK).copied().unwrap_or_default();
        self.stages.iter().map(count).chain([(RISK, on_risk)]).collect()
    }
}

/// `duration_seconds 259200.000000, to 203.0.113.9`
pub(super) fn in_words(finding: &Finding) -> String {
    let mut parts: Vec<String> = Vec::new();
    for reason in &finding.reasons {
        parts.push(match &reason.observed {
            Observed::Number(millionths) => {
                let sign = if *millionths < 0 { "-" } else { "" };
                format!("{} {sign}{}", reason.feature, Points(millionths.unsigned_abs()))
            }
            Observed::Text(text) if text.is_empty() => reason.feature.to_string(),
            Observed::Text(text) => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
                format!("{} {text}", reason.feature)
            }
        });
    }
    parts.extend(finding.destination.map(|addr| format!("to {addr}")));
    parts.join(", ")
}
