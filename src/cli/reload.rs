//! SIGHUP: the allow-list is read again, and nothing else.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::{Plan, load_allow_list};
use crate::risk::AllowList;
use crate::wiring::stage_names;

/// Between the thread that hears signals and the one that scores.
#[derive(Debug)]
pub(super) struct Reload<'a> {
    path: Option<&'a Path>,
    /// A good list that was not taken yet.
    fresh: Mutex<Option<AllowList>>,
    rejected: AtomicU64,
}

impl<'a> Reload<'a> {
    /// Of the file that the configuration names, if it names one.
    pub(super) fn new(plan: &'a Plan) -> Self {
        let (fresh, rejected) = (Mutex::new(None), AtomicU64::new(0));
        Self { path: plan.allow_list.as_deref(), fresh, rejected }
    }

    /// Reads the list again. A faulty one is refused as a whole, with all of its mistakes.
    pub(super) fn read(&self) {
        let Some(path) = self.path else {
            tracing::warn!("SIGHUP: there is nothing to read again: risk.allow_list names no file");
            return;
        };
        match load_allow_list(path, &stage_names()) {
            Ok(list) => {
                let entries = list.ids().count();
                tracing::info!(path = %path.display(), entries, "SIGHUP: the allow-list was read");
                *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
            }
            Err(mistakes) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                // One message: of many from one place most would be held back.
                let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                let count = lines.len();
                let mistakes = lines.join("\n");
                tracing::error!(
                    count,
                    "SIGHUP: the allow-list is refused, the old one stays\n{mistakes}"
                );
            }
        }
    }

    /// A good list, once.
    pub(super) fn take(&self) -> Option<AllowList> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lists that were refused.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}
