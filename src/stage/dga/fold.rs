//! In the lanes: a score for each name, and of the odd ones a cell for each client and registered
//! domain.

use std::sync::Arc;

use crate::base::keys::Settings;
use crate::base::score::Ppm;
use crate::feature::dga::{DGA, push};
use crate::feature::{Matrix, Name};
use crate::model::Models;
use crate::record::Entity;

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::super::names::{Local, answer, text};
use super::super::texts::{Read, Texts};
use super::FLOOR;

/// See the module.
pub(super) struct Names(Texts<Reader>);

impl Names {
    pub(super) fn new(settings: &Settings, models: &Models) -> Self {
        Self(Texts::new(Reader { local: Local::new(settings) }, &DGA, models))
    }
}

/// What is scored of a text: its registered domain.
struct Reader {
    local: Local,
}

impl Read for Reader {
    type Item = Name;
    type Known = Domain;

    fn parse(&self, text: &[u8]) -> Option<Name> {
        Name::parse(text).ok().filter(|name| !self.local.has(name))
    }

    fn key(name: &Name) -> &[u8] {
        name.registered().as_bytes()
    }

    fn push(name: &Name, matrix: &mut Matrix) {
        push(name, matrix);
    }

    fn known(name: &Name) -> Domain {
        Domain::of(name)
    }
}

/// The registered domain of a name.
#[derive(Clone)]
struct Domain {
    registered: Arc<str>,
    /// Whether the name is that, or one label more: what is asked for to reach somebody. Lists of
    /// bad addresses, keys and policies stand deeper, or below labels of services.
    is_host: bool,
}

impl Domain {
    fn of(name: &Name) -> Self {
        let registered = name.registered();
        let above = name.as_str().strip_suffix(registered).unwrap_or_default();
        let is_host = above.matches('.').count() <= 1 && !above.contains('_');
        Self { registered: registered.into(), is_host }
    }
}

impl Fold for Names {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let batch = input.batch;
        self.0.look(batch.rows(), |row, out| text(batch, row, out));
        for (row, seen) in self.0.rows().iter().enumerate() {
            // A server of ours that outsiders ask is not who wants to know.
            let (Some(seen), Some(client)) = (seen, input.parties[row].orig) else { continue };
            let (score, domain) = (seen.score, &seen.known);
            let answer = answer(batch, row);
            let is_missing = answer == Some(false) && domain.is_host;
            // What does not exist counts whatever it looks like.
            if score.get() < FLOOR && !is_missing {
                continue;
            }
            let exists = answer == Some(true);
            let amounts = [u64::from(exists), u64::from(is_missing), 0];
            let found = CellRow::new(input, row, u64::from(score.get()), batch.ts(row));
            let at = (input.minutes[row], Entity::Host(client));
            out.add(at, domain.registered.as_bytes(), amounts, Some(found));
        }
    }

    fn scores(&self) -> &[Option<Ppm>] {
        self.0.scores()
    }
}
