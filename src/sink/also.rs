//! Files, and what else a replay is to send to.

use std::io;
use std::sync::Arc;

use crate::engine::{Kind, Sink};

use super::network::Network;

/// Writes where `first` writes, and hands events, alerts and risk to the others.
#[derive(Debug)]
pub struct Also<S> {
    first: S,
    networks: Vec<Arc<dyn Network>>,
}

impl<S> Also<S> {
    /// Both.
    #[must_use]
    pub fn new(first: S, networks: Vec<Arc<dyn Network>>) -> Self {
        Self { first, networks }
    }
}

impl<S: Sink> Sink for Also<S> {
    fn write(&mut self, kind: Kind, documents: &[u8]) -> io::Result<()> {
        if kind != Kind::DeadLetter {
            for network in &self.networks {
                let shared = network.shared();
                shared.send(kind, documents)?;
                let letters = shared.take_letters(&shared.handed());
                self.first.write(Kind::DeadLetter, &letters)?;
            }
        }
        self.first.write(kind, documents)
    }

    /// Waits until the others have everything; what they will never take is a dead letter.
    fn finish(&mut self) -> io::Result<()> {
        for network in &self.networks {
            let shared = network.shared();
            let handed = shared.handed();
            shared.settled(&handed);
            let status = shared.status();
            let (acked, rejected) = (status.acked, status.rejected);
            tracing::info!(sink = network.name(), acked, rejected, "everything was sent");
            self.first.write(Kind::DeadLetter, &shared.take_letters(&handed))?;
        }
        self.first.finish()
    }
}
