//! In the lanes: a score for each name, and of the odd ones a cell for each client and registered
//! domain.

use std::borrow::Cow;
use std::sync::Arc;

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
    cache: Cache<Option<Seen>>,
    local: Vec<String>,
    seen: Vec<Option<Seen>>,
    scores: Vec<Option<Ppm>>,
}

/// What is known of a text that is a name.
#[derive(Clone)]
struct Seen {
    score: Ppm,
    domain: Domain,
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
        Self {
            scorer,
            // What is not known by the letter is taken apart, which is cheap beside a score.
            cache: Cache::new(models.cache() / 4),
            local: settings.list("local").iter().map(|name| local(name)).collect(),
            seen: Vec::new(),
            scores: Vec::new(),
        }
    }

    fn is_local(&self, name: &Name) -> bool {
        self.local.iter().any(|local| name.is_in(local))
    }

    /// What is to be said of the rows of a batch.
    fn look(&mut self, batch: &Batch) {
        self.seen.clear();
        self.seen.resize(batch.rows(), None);
        let mut new = Vec::new();
        for row in 0..batch.rows() {
            let Some(text) = text(batch, row) else { continue };
            if let Some(seen) = self.cache.get(&text) {
                self.seen[row] = seen;
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
        for (New { row, text, name }, score) in new.iter().zip(scores) {
            self.seen[*row] = Some(Seen { score, domain: Domain::of(name) });
            self.cache.set(text, self.seen[*row].clone());
        }
        self.scores.clear();
        self.scores.extend(self.seen.iter().map(|seen| seen.as_ref().map(|seen| seen.score)));
    }
}

/// A domain of ours as names are written.
fn local(name: &str) -> String {
    let name = name.trim_start_matches('*').trim_matches('.');
    // A single label is no name that could be scored, and a domain of ours all the same.
    Name::parse(name.as_bytes())
        .map_or_else(|_| name.to_ascii_lowercase(), |name| name.as_str().to_owned())
}

/// The name that a record asks for, as it stands there.
fn text(batch: &Batch, row: usize) -> Option<Cow<'_, [u8]>> {
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

/// What a record says of its name: that it exists, that it does not (RFC 8020), or neither. A
/// refusal, a failure or no answer says nothing.
fn answer(batch: &Batch, row: usize) -> Option<bool> {
    if batch.log() != Log::Dns {
        return Some(true);
    }
    match (batch.count(dns::RCODE, row), batch.text(dns::RCODE_NAME, row)) {
        (Some(0), _) | (None, Some(b"NOERROR")) => Some(true),
        (Some(3), _) | (None, Some(b"NXDOMAIN")) => Some(false),
        _ => None,
    }
}

impl Fold for Names {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let batch = input.batch;
        self.look(batch);
        for (row, seen) in self.seen.iter().enumerate() {
            // A server of ours that outsiders ask is not who wants to know.
            let (Some(Seen { score, domain }), Some(client)) = (seen, input.parties[row].orig)
            else {
                continue;
            };
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
        &self.scores
    }
}
