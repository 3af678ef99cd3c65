//! A fit that is made aside, on a thread of its own, and comes in at a stated time of the logs: so it
//! holds nobody up, and a replay has it at the same place.
//!
//! Not here: what is fitted (`stage::profile`).

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::base::codec::{Damaged, decode, encode};
use crate::base::time::Minute;
use crate::stage::profile::{Fit, Fitted};

/// See the module.
#[derive(Debug)]
pub(super) struct Refit {
    at: Minute,
    fit: Arc<Fit>,
    running: Option<JoinHandle<Fitted>>,
}

/// What lasts of it: after a restart it is begun again.
#[derive(Serialize, Deserialize)]
struct Saved {
    at: Minute,
    fit: Fit,
}

impl Refit {
    /// Begins; the result comes in at `at`.
    pub(super) fn start(fit: Fit, at: Minute) -> Self {
        let fit = Arc::new(fit);
        let own = Arc::clone(&fit);
        let builder = Builder::new().name("refit".to_owned());
        // Where there is no thread to be had it is made when it is due.
        let running = builder.spawn(move || own.run()).ok();
        Self { at, fit, running }
    }

    /// When it comes in.
    pub(super) fn at(&self) -> Minute {
        self.at
    }

    /// What was found.
    pub(super) fn finish(self) -> Fitted {
        let found = self.running.and_then(|running| running.join().ok());
        found.unwrap_or_else(|| self.fit.run())
    }

    pub(super) fn save(&self) -> Vec<u8> {
        encode(&Saved { at: self.at, fit: Fit::clone(&self.fit) })
    }

    pub(super) fn load(value: &[u8]) -> Result<Self, Damaged> {
        let saved: Saved = decode(value)?;
        Ok(Self::start(saved.fit, saved.at))
    }
}
