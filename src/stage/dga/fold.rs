//! In the lanes: a score for each name, and of the odd ones a cell for each client and registered
//! domain.

use crate::base::keys::Settings;
use crate::base::score::Ppm;
use crate::feature::Name;
use crate::feature::dga::{DGA, push};
use crate::model::{Cache, Models, Scorer};
use crate::record::schema::{dns, http, quic, ssl};
use crate::record::{Batch, Entity, Log};

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::super::targets::{asked, asked_of_proxy};
use super::FLOOR;

/// See the module.
pub(super) struct Names {
    scorer: Scorer,
    /// Of what stands in the log: most of it repeats to the letter, and need not be taken apart.
    cache: Cache<Option<Ppm>>,
    local: Vec<String>,
    scores: Vec<Option<Ppm>>,
}

/// A name of a batch that is not known by the letter.
struct New {
    row: usize,
    text: Vec<u8>,
    name: Name,
}

impl Names {
    /// # Panics
    /// Without a model: the stage is not built then (`wiring`).
    pub(super) fn new(settings: &Settings, models: &Models) -> Self {
        let Some(scorer) = models.scorer(&DGA) else { panic!("dga without its model") };
        let local = settings.list("local").iter();
        Self {
            scorer,
            cache: Cache::new(models.cache()),
            local: local.map(|name| name.trim_matches('.').to_ascii_lowercase()).collect(),
            scores: Vec::new(),
        }
    }

    fn is_local(&self, name: &Name) -> bool {
        self.local.iter().any(|local| {
            let above = name.as_str().strip_suffix(local.as_str());
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }

    /// The scores of the rows of a batch.
    fn score(&mut self, batch: &Batch) {
        self.scores.clear();
        self.scores.resize(batch.rows(), None);
        let mut new = Vec::new();
        for row in 0..batch.rows() {
            let Some(text) = text(batch, row) else { continue };
            if let Some(score) = self.cache.get(&text) {
                self.scores[row] = score;
                continue;
            }
            match Name::parse(&text) {
                Ok(name) if !self.is_local(&name) => {
                    new.push(New { row, text: text.into_owned(), name });
                }
                _ => self.cache.set(&text, None),
            }
        }
        let scores = self.scorer.score(
            &new,
            |new| new.name.registered().as_bytes(),
            |new, matrix| push(&new.name, matrix),
        );
        for (new, score) in new.iter().zip(scores) {
            self.scores[new.row] = Some(score);
            self.cache.set(&new.text, Some(score));
        }
    }
}

/// The name that a record asks for, as it stands there.
fn text(batch: &Batch, row: usize) -> Option<std::borrow::Cow<'_, [u8]>> {
    match batch.log() {
        Log::Dns => batch.text(dns::QUERY, row).map(Into::into),
        Log::Http if asked_of_proxy(batch, row).is_some() => {
            asked(batch, row).map(|name| name.into_bytes().into())
        }
        Log::Http => batch.text(http::HOST, row).map(Into::into),
        Log::Ssl => batch.text(ssl::SERVER_NAME, row).map(Into::into),
        Log::Quic => batch.text(quic::SERVER_NAME, row).map(Into::into),
        _ => None,
    }
}

/// Whether the answer was that there is no such name (RFC 8020).
fn does_not_exist(batch: &Batch, row: usize) -> bool {
    batch.log() == Log::Dns
        && (batch.count(dns::RCODE, row) == Some(3)
            || batch.text(dns::RCODE_NAME, row) == Some(b"NXDOMAIN"))
}

impl Fold for Names {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let batch = input.batch;
        self.score(batch);
        for row in 0..batch.rows() {
            let Some(score) = self.scores[row] else { continue };
            let is_missing = does_not_exist(batch, row);
            let floor = if is_missing { FLOOR / 10 } else { FLOOR };
            // A server of ours that outsiders ask is not who wants to know.
            let Some(client) = input.parties[row].orig.filter(|_| score.get() >= floor) else {
                continue;
            };
            let Some(Ok(name)) = text(batch, row).map(|text| Name::parse(&text)) else { continue };
            let amounts = [1, u64::from(is_missing), u64::from(score.get())];
            let found = CellRow::new(input, row, u64::from(score.get()), batch.ts(row));
            let at = (input.minutes[row], Entity::Host(client));
            out.add(at, name.registered().as_bytes(), amounts, Some(found));
        }
    }

    fn scores(&self) -> &[Option<Ppm>] {
        &self.scores
    }
}
