//! In the entity lane: the sides of downloads come together, and are judged by where they come from
//! as well.

use std::collections::BTreeSet;

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::hash;
use crate::base::keys::Settings;
use crate::base::recent::Recent;
use crate::base::time::{DAY, MINUTE, Minute};
use crate::feature::link::MALICIOUS_DOWNLOAD;
use crate::model::{Models, Scorer};
use crate::record::Entity;

use super::super::input::{Cell, Finding, Findings};
use super::super::keys::alert_from;
use super::super::known::Known;
use super::super::said::Said;
use super::super::{Changes, Close, Context};
use super::part::Part;
use super::rules::Judge;
use super::verdict::{Verdict, site};
use super::waiting::{Side, Waiting, Whole};
use super::{STAGE, TECHNIQUES};

/// The first byte of a key: of a row that waits, of a site, of what was said.
const WAITING: u8 = b'w';
const SITE: u8 = b's';
const SAID: u8 = b'd';

/// A client and a site, by a hash.
type About = [u8; 12];

/// See the module.
pub(super) struct Judged {
    alert: u32,
    waiting: Waiting,
    known: Known,
    said: Recent<About, Said, Minute>,
    changed: BTreeSet<About>,
    judge: Judge,
    /// For reasons; without one they say less.
    scorer: Option<Scorer>,
}

impl Judged {
    pub(super) fn new(settings: &Settings, models: &Models) -> Self {
        let count = |key| usize::try_from(settings.integer(key)).unwrap_or(usize::MAX);
        let wait_minutes = (settings.micros("wait") / MINUTE).max(1);
        Self {
            alert: alert_from(settings),
            waiting: Waiting::new(count("max_open"), wait_minutes),
            known: Known::new(count("max_sites"), count("popular")),
            said: Recent::new(count("max_said")),
            changed: BTreeSet::new(),
            judge: Judge::of(models),
            scorer: models.scorer(&MALICIOUS_DOWNLOAD),
        }
    }

    /// Judges a download, and says what is new. `minute` is only how old what is kept of it is: two
    /// rows say the same in whichever minutes they come.
    fn judge(&mut self, whole: &Whole, minute: Minute, out: &mut Findings) {
        let Some(mut verdict) = Verdict::new(whole) else { return };
        let fame = self.known.get(verdict.site.as_bytes(), verdict.time.minute());
        if fame.is_popular {
            return;
        }
        if !fame.is_news {
            verdict.facts.see_known_site();
        }
        let judged = self.judge.judge(&verdict.facts);
        let client = whole.client.to_bytes();
        let mut about = About::default();
        about.copy_from_slice(&hash::id(&[&client, verdict.site.as_bytes()]).0[..12]);
        let mut said = self.said.get(&about).copied().unwrap_or(Said::NOTHING);
        if !said.say(verdict.time, judged.score.get(), self.alert) {
            return;
        }
        self.changed.insert(about);
        self.changed.extend(self.said.set(about, said, minute));
        let mut reasons = verdict.reasons(&judged, self.scorer.as_mut());
        if fame.is_news {
            reasons.push(self.known.history(verdict.time.minute()));
        }
        let day = verdict.time.floor(DAY);
        let finding = Finding {
            subject: verdict.site.clone().into_bytes(),
            // What tells findings apart: one of a client, a site and a day.
            window: (day, day.plus(DAY)),
            score: judged.score,
            reasons,
            techniques: TECHNIQUES,
            names: verdict.names(),
        };
        out.push(&Entity::Host(whole.client), &verdict.rows(), verdict.time, finding);
    }

    /// Judges what has waited for long enough by the end of a minute.
    fn expire(&mut self, minute: Minute, out: &mut Findings) {
        while let Some(whole) = self.waiting.expired(minute) {
            self.judge(&whole, minute, out);
        }
    }

    /// What was said on a day before matters no more.
    fn forget(&mut self, minute: Minute) {
        while let Some((about, at)) = self.said.oldest() {
            if minute.0 - at.0 <= 2 * DAY / MINUTE {
                return;
            }
            self.changed.insert(*about);
            self.said.pop();
        }
    }

    /// A row that came.
    fn take(&mut self, client: Addr, cell: &Cell, minute: Minute, out: &mut Findings) {
        let Some(row) = &cell.row else { return };
        let side = Side::new(minute, &cell.subject, cell.amounts, row);
        let Some(file) = side.part().map(|part| part.file) else { return };
        let whole = match file {
            Some(file) => self.waiting.take((client, file), side),
            None => Some(Whole::alone(client, side)),
        };
        if let Some(whole) = whole {
            self.judge(&whole, minute, out);
        }
    }
}

impl Close for Judged {
    fn close(&mut self, minute: Minute, cells: &[Cell], context: &Context<'_>, out: &mut Findings) {
        self.forget(minute);
        // Who fetches for others fetches everything.
        let client = |cell: &Cell| {
            let addr = cell.entity.addr();
            addr.filter(|addr| context.roles.get(*addr).is_none())
        };
        self.expire(Minute(minute.0 - 1), out);
        // Who else fetches in this minute counts as well, whoever comes first.
        for cell in cells {
            let Some(addr) = client(cell) else { continue };
            let part = Part::read(&cell.subject, cell.amounts).filter(|part| part.is_http);
            let sender = cell.row.as_ref().and_then(|row| row.destination);
            if let Some(part) = part {
                self.known.note(site(Some(&part), sender).as_bytes(), minute, Some(addr));
            }
        }
        for cell in cells {
            if let Some(addr) = client(cell) {
                self.take(addr, cell, minute, out);
            }
        }
        self.expire(minute, out);
    }

    fn due(&self) -> Option<Minute> {
        self.waiting.due()
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
        self.waiting.forget_changes();
        self.known.forget_changes();
    }

    fn save(&mut self, sink: &mut Changes<'_>) {
        for about in std::mem::take(&mut self.changed) {
            let value = self.said.entry(&about).map(encode);
            sink(&[[SAID].as_slice(), &about].concat(), value.as_deref());
        }
        self.waiting.save(WAITING, sink);
        self.known.save(SITE, sink);
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || format!("not a key of {}", STAGE.name);
        match key.split_first().ok_or_else(wrong)? {
            (&SAID, about) => {
                let about = about.try_into().map_err(|_| wrong())?;
                let (said, minute) = decode(value).map_err(|error| error.to_string())?;
                self.changed.extend(self.said.set(about, said, minute));
                Ok(())
            }
            (&WAITING, key) => self.waiting.load(key, value),
            (&SITE, site) => self.known.load(site, value),
            _ => Err(wrong()),
        }
    }
}
