//! What is learned anew aside, on a thread of its own, and comes in at a stated time of the logs:
//! so it holds nobody up, and a replay has it at the same place.
//!
//! Not here: what is fitted (`stage::profile`), and what it is asked for (`learnt`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::base::codec::{Damaged, decode, encode};
use crate::base::time::Minute;
use crate::stage::profile::{Fit, Fitted, Grow, Isolation};

/// What is to be done: snapshots, so that profiles go on meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// Groups of peers are to be found.
    pub(super) peers: Option<Fit>,
    /// A forest is to be grown.
    pub(super) isolation: Option<Grow>,
}

/// What came of it; nothing of what was not asked for, or panicked.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) peers: Option<Fitted>,
    pub(super) isolation: Option<Isolation>,
}

impl Work {
    fn run(&self) -> Done {
        let peers = self.peers.as_ref();
        let isolation = self.isolation.as_ref();
        Done {
            peers: peers.and_then(|fit| catch_unwind(AssertUnwindSafe(|| fit.run())).ok()),
            isolation: isolation
                .and_then(|grow| catch_unwind(AssertUnwindSafe(|| grow.run())).ok()),
        }
    }

    fn is_empty(&self) -> bool {
        self.peers.is_none() && self.isolation.is_none()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Refit {
    at: Minute,
    work: Arc<Work>,
    running: Option<JoinHandle<Done>>,
}

impl Refit {
    /// Begins, if there is something to do; the result comes in at `at`.
    pub(super) fn start(work: Work, at: Minute) -> Option<Self> {
        if work.is_empty() {
            return None;
        }
        let work = Arc::new(work);
        let own = Arc::clone(&work);
        let builder = Builder::new().name("refit".to_owned());
        // Where there is no thread to be had it is made when it is due.
        let running = builder.spawn(move || own.run()).ok();
        Some(Self { at, work, running })
    }

    /// When it comes in.
    pub(super) fn at(&self) -> Minute {
        self.at
    }

    /// What was asked for, and what was found.
    pub(super) fn finish(self) -> (Arc<Work>, Done) {
        let Self { work, running, .. } = self;
        let found = running.and_then(|running| running.join().ok());
        let done = found.unwrap_or_else(|| work.run());
        (work, done)
    }

    /// What lasts of it: after a restart it is begun again.
    pub(super) fn save(&self) -> Vec<u8> {
        encode(&(self.at, self.work.as_ref()))
    }

    /// # Errors
    /// When it is none.
    pub(super) fn load(value: &[u8]) -> Result<Option<Self>, Damaged> {
        let (at, work): (Minute, Work) = decode(value)?;
        let are_sound = at != Minute::NEVER
            && work.peers.as_ref().is_none_or(Fit::is_sound)
            && work.isolation.as_ref().is_none_or(Grow::is_sound);
        if are_sound {
            Ok(Self::start(work, at))
        } else {
            Err(Damaged("nothing to learn from".to_owned()))
        }
    }
}
