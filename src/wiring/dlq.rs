//! Dead letters of sinks, sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::hash::Id;
use crate::config::Plan;
use crate::engine::Kind;
use crate::sink::letters::{Key, Letter};
use crate::sink::{CannotConfigure, Network};

use super::again::make_again;
use super::live::networks;

/// Sinks that letters are sent to again.
pub struct Resend<'a> {
    plan: &'a Plan,
    networks: Vec<Arc<dyn Network>>,
}

/// Bytes of letters that are on their way at once: less than any window.
const OPEN_MAX: usize = 512 << 10;

/// What became of letters.
#[derive(Debug, Default)]
pub struct Resent {
    /// Their sink has them.
    pub replayed: Vec<Key>,
    /// It does not take them, and why.
    pub rejected: Vec<(Key, String)>,
    /// They cannot be sent, and why.
    pub impossible: Vec<(Key, String)>,
}

/// The kind of document that a letter is of.
fn kind(letter: &Letter) -> Kind {
    match letter.log.as_str() {
        "ueba.alert" => Kind::Alert,
        "ueba.risk" => Kind::Risk,
        _ => Kind::Event,
    }
}

impl<'a> Resend<'a> {
    /// To the sinks of a configuration.
    ///
    /// # Errors
    /// When one of them cannot work, whatever servers there are.
    pub fn new(plan: &'a Plan) -> Result<Self, CannotConfigure> {
        Ok(Self { plan, networks: networks(plan)? })
    }

    /// Sends letters again and waits, at most so long, for what becomes of them; nothing if the
    /// sink did not answer for all of them in time.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, letters: &[(Key, Letter)], within: Duration) -> io::Result<Option<Resent>> {
        let mut resent = Resent::default();
        let mut sent: BTreeMap<&str, BTreeMap<String, Vec<Key>>> = BTreeMap::new();
        let made = self.made_again(letters);
        let mut open = 0;
        for (key, letter) in letters {
            let mut wrong = |why: String| resent.impossible.push((*key, why));
            let Some(sink) = &letter.sink else {
                wrong("it is of a line: mend what is wrong and replay the log".to_owned());
                continue;
            };
            let network = self.networks.iter().find(|it| it.name() == sink);
            let Some(network) = network else {
                wrong(format!("the sink {sink} is not configured"));
                continue;
            };
            let id = letter.event_id.clone().unwrap_or_default();
            let made = || made.get(&Id::parse(&id)?).cloned();
            let Some(mut document) = letter.document().or_else(made) else {
                wrong("only its first 64 KiB are kept, and its line was not found".to_owned());
                continue;
            };
            if document.last() != Some(&b'\n') {
                document.push(b'\n');
            }
            open += document.len();
            network.shared().send(kind(letter), &document)?;
            sent.entry(network.name()).or_default().entry(id).or_default().push(*key);
            // A sink that is away must not hold it up with a full window.
            if open > OPEN_MAX {
                open = 0;
                let waits = |it: &Arc<dyn Network>| {
                    it.shared().settled_within(&it.shared().handed(), within)
                };
                if !self.networks.iter().all(waits) {
                    return Ok(None);
                }
            }
        }
        for network in &self.networks {
            let Some(mut keys) = sent.remove(network.name()) else { continue };
            let handed = network.shared().handed();
            if !network.shared().settled_within(&handed, within) {
                return Ok(None);
            }
            for line in network.shared().take_letters(&handed).split(|byte| *byte == b'\n') {
                let Some(again) = Letter::parse(line) else { continue };
                let again_of = again.event_id.as_ref().and_then(|id| keys.remove(id));
                let rejected = again_of.into_iter().flatten();
                resent.rejected.extend(rejected.map(|key| (key, again.detail.clone())));
            }
            resent.replayed.extend(keys.into_values().flatten());
        }
        Ok(Some(resent))
    }

    /// Events that letters do not hold whole, made of their lines.
    fn made_again(&self, letters: &[(Key, Letter)]) -> BTreeMap<Id, Vec<u8>> {
        let is_part = |letter: &&Letter| {
            letter.sink.is_some() && kind(letter) == Kind::Event && letter.document().is_none()
        };
        let parts = letters.iter().map(|(_, letter)| letter).filter(is_part);
        let ids: BTreeSet<Id> =
            parts.filter_map(|letter| Id::parse(letter.event_id.as_deref()?)).collect();
        if ids.is_empty() {
            return BTreeMap::new();
        }
        make_again(self.plan, &ids.into_iter().collect::<Vec<_>>())
    }
}
