//! The state of the entity lane as a commit keeps it: each part under keys of its own.
//!
//! Not here: where keys go (`state`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::time::Minute;
use crate::record::Log;
use crate::risk::{AllowList, Grounds, RISK};

use super::core::{Core, StagePlan};
use super::summary::Counts;

/// What is saved beside the keyed state.
#[derive(Serialize, Deserialize)]
struct Saved {
    open: Minute,
    logs: BTreeMap<Log, Counts>,
    alerts: BTreeMap<String, u64>,
    panics: BTreeMap<String, u64>,
    risk: u64,
    clamped: u64,
    quarantine: BTreeMap<String, u32>,
}

/// The key of [`Saved`].
pub(super) const CORE_KEY: &[u8] = b"c";

/// The key of the allow-list's text.
const ALLOW_KEY: &[u8] = b"t";

/// The key of what was suppressed, by rule.
const SUPPRESSED_KEY: &[u8] = b"u";

impl Core {
    /// From now on remembers what changed, for [`Core::save`].
    pub fn track(&mut self) {
        self.is_saved = true;
        self.windows.track();
        self.census.track();
        self.activity.track();
        self.findings.track();
        self.grounds.track();
        self.ledger.track();
        self.alerting.track();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        let stages = &self.stages;
        self.windows.save(&|index| stages[index].def.name, sink);
        self.findings.save(sink);
        self.census.save(sink);
        self.activity.save(sink);
        self.grounds.save(sink);
        self.ledger.save(sink);
        self.alerting.save(sink);
        for plan in &mut self.stages {
            let Some((close, _)) = &mut plan.close else { continue };
            let prefix = [b"s", plan.def.name.as_bytes(), b"\0"].concat();
            close.save(&mut |key, value| sink(&[&prefix, key].concat(), value));
        }
        let saved = Saved {
            open: self.open,
            logs: self.summary.logs.clone(),
            alerts: owned(&self.summary.alerts),
            panics: owned(&self.summary.panics),
            quarantine: owned(&self.quarantine),
            risk: self.summary.risk,
            clamped: self.summary.clamped,
        };
        sink(CORE_KEY, Some(&encode(&saved)));
        sink(SUPPRESSED_KEY, Some(&encode(&self.summary.suppressed)));
        if std::mem::take(&mut self.is_other_list) {
            sink(ALLOW_KEY, Some(&encode(&self.allow.text())));
        }
    }

    /// Takes back a key that [`Core::save`] handed out; what belongs to a stage that is gone is
    /// passed over.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let index = |name: &str| self.stages.iter().position(|plan| plan.def.name == name);
        match key.first() {
            Some(b'c') => {
                let saved: Saved = decode(value)?;
                (self.open, self.summary.logs) = (saved.open, saved.logs);
                self.time = saved.open.start();
                (self.summary.risk, self.summary.clamped) = (saved.risk, saved.clamped);
                let stages = &self.stages;
                let on_risk = saved.alerts.get(RISK).copied();
                self.summary.alerts = known(stages, saved.alerts);
                self.summary.alerts.extend(on_risk.map(|count| (RISK, count)));
                self.summary.panics = known(stages, saved.panics);
                self.quarantine = known(stages, saved.quarantine);
                Ok(())
            }
            Some(b't') => {
                self.allow = AllowList::unread(decode(value)?);
                Ok(())
            }
            Some(b'u') => {
                self.summary.suppressed = decode(value)?;
                Ok(())
            }
            Some(b'w') => self.windows.load(&index, value),
            Some(b'f') => self.findings.load(key, value),
            Some(b'n') => self.census.load(key, value),
            Some(b'v') => self.activity.load(key, value),
            Some(&(Grounds::KEPT | Grounds::OPEN)) => self.grounds.load(key, value),
            Some(b'a' | b'p' | b'h') => self.ledger.load(key, value),
            Some(b'i') => self.alerting.load(key, value),
            Some(b's') => {
                let wrong = || Damaged("a key of no stage".to_owned());
                let end = memchr::memchr(0, key).ok_or_else(wrong)?;
                let name = std::str::from_utf8(&key[1..end]).map_err(|_| wrong())?;
                let close = index(name).and_then(|index| self.stages[index].close.as_mut());
                close
                    .map_or(Ok(()), |(close, _)| close.load(&key[end + 1..], value))
                    .map_err(Damaged)
            }
            _ => Err(Damaged("a key of nothing".to_owned())),
        }
    }
}

fn owned<N: Copy>(counts: &BTreeMap<&'static str, N>) -> BTreeMap<String, N> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The counts of stages that there are.
fn known<N>(stages: &[StagePlan], counts: BTreeMap<String, N>) -> BTreeMap<&'static str, N> {
    let named = |(name, count): (String, N)| {
        let plan = stages.iter().find(|plan| plan.def.name == name)?;
        Some((plan.def.name, count))
    };
    counts.into_iter().filter_map(named).collect()
}
