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
    /// How many their sinks did not answer for in time.
    pub unanswered: usize,
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

    /// Sends letters again and waits, at most so long, for what becomes of them.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, letters: &[(Key, Letter)], within: Duration) -> io::Result<Resent> {
        let mut resent = Resent::default();
        let mut sent = Vec::new();
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
            let id = letter.event_id.as_deref().unwrap_or_default();
            let made = || made.get(&Id::parse(id)?).cloned();
            let Some(mut document) = letter.document().or_else(made) else {
                wrong("only its first 64 KiB are kept, and its line was not found".to_owned());
                continue;
            };
            if document.last() != Some(&b'\n') {
                document.push(b'\n');
            }
            open += document.len();
            let (kind, shared) = (kind(letter), network.shared());
            let number = shared.handed()[kind as usize];
            shared.send(kind, &document)?;
            sent.push((*key, network, kind, number, id));
            // A sink that is away must not hold it up with a full window.
            if open > OPEN_MAX {
                open = 0;
                if !self.wait(within) {
                    break;
                }
            }
        }
        self.wait(within);
        let mut again: BTreeMap<(&str, String), String> = BTreeMap::new();
        for network in &self.networks {
            let letters = network.shared().take_letters(&network.shared().handed());
            let letters = letters.split(|byte| *byte == b'\n').filter_map(Letter::parse);
            let of = |it: Letter| ((network.name(), it.event_id.unwrap_or_default()), it.detail);
            again.extend(letters.map(of));
        }
        for (key, network, kind, number, id) in sent {
            match again.get(&(network.name(), id.to_owned())) {
                _ if network.shared().lacks(kind, number) => {}
                Some(why) => resent.rejected.push((key, why.clone())),
                None => resent.replayed.push(key),
            }
        }
        let answered = resent.rejected.len() + resent.replayed.len() + resent.impossible.len();
        resent.unanswered = letters.len() - answered;
        Ok(resent)
    }

    /// Waits for all sinks, at most so long for each; whether they have everything.
    fn wait(&self, within: Duration) -> bool {
        let waits =
            |it: &Arc<dyn Network>| it.shared().settled_within(&it.shared().handed(), within);
        self.networks.iter().map(waits).fold(true, |all, has_all| all & has_all)
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
