//! In the entity lane: which odd sites clients ask for, since when, and when that is said.

use std::collections::BTreeSet;

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::keys::Settings;
use crate::base::recent::Recent;
use crate::base::time::{DAY, Minute, Time};
use crate::model::{Models, Scorer};
use crate::record::{Entity, Names};

use super::super::input::{Cell, CellRow, Finding, Findings};
use super::super::keys::alert_from;
use super::super::known::{self, Known};
use super::super::odds::Scale;
use super::super::said::Said;
use super::super::{Changes, Close, Context};
use super::Detector;
use super::verdict::Verdict;

/// The first byte of a key: of a contact, of a site.
const CONTACT: u8 = b'c';
const SITE: u8 = b's';

/// A client and a site.
type Contact = (Addr, known::Key);

/// See the module.
pub(super) struct Sites {
    detector: &'static Detector,
    scale: Scale,
    alert: u32,
    popular: usize,
    known: Known,
    /// What was said on the day that goes on.
    said: Recent<Contact, Said, Minute>,
    changed: BTreeSet<Contact>,
    /// For reasons; without one they say less.
    scorer: Option<Scorer>,
}

/// The site and the URL of a cell.
fn names(cell: &Cell) -> Option<(&str, &str)> {
    std::str::from_utf8(&cell.subject).ok()?.split_once('\0')
}

impl Sites {
    pub(super) fn new(detector: &'static Detector, settings: &Settings, models: &Models) -> Self {
        let count = |key| usize::try_from(settings.integer(key)).unwrap_or(usize::MAX);
        let popular = count("popular");
        Self {
            detector,
            scale: Scale::of(detector.def, models),
            alert: alert_from(settings),
            popular,
            known: Known::new(count("max_sites"), popular),
            said: Recent::new(count("max_said")),
            changed: BTreeSet::new(),
            scorer: models.scorer(detector.def),
        }
    }

    /// Takes the cells of one client and one site, and says what is new.
    fn take(&mut self, addr: Addr, minute: Minute, cells: &[Cell], out: &mut Findings) {
        let mut found: Vec<(&CellRow, &Cell)> =
            cells.iter().filter_map(|cell| Some((cell.row.as_ref()?, cell))).collect();
        found.sort_by(|(a, _), (b, _)| b.outranks(a).cmp(&a.outranks(b)));
        let Some((row, strongest)) = found.first() else { return };
        let Some((site, url)) = names(strongest) else { return };
        let fame = self.known.get(site.as_bytes(), minute);
        let Some(verdict) = Verdict::new(self.scale, fame, (site, url), row) else { return };
        let contact = (addr, known::key(site.as_bytes()));
        let mut said = self.said.get(&contact).copied().unwrap_or(Said::NOTHING);
        let day = minute.start().floor(DAY);
        if !said.say(day, verdict.score.get(), self.alert) {
            return;
        }
        let mut reasons = verdict.reasons(self.popular, self.scorer.as_mut());
        if fame.is_news {
            reasons.push(self.known.history(minute));
        }
        let domain = (!verdict.is_destination()).then(|| site.to_owned());
        let finding = Finding {
            subject: site.as_bytes().to_vec(),
            // What tells findings apart: one of a client, a site and a day.
            window: (day, day.plus(DAY)),
            score: verdict.score,
            reasons,
            techniques: self.detector.techniques,
            names: Names { domain, ..Names::default() },
        };
        let rows: Vec<&CellRow> = found.iter().map(|(row, _)| *row).collect();
        let time = rows.iter().map(|row| row.time).fold(Time::MIN, Time::max);
        out.push(&Entity::Host(addr), &rows, time, finding);
        self.changed.insert(contact);
        self.changed.extend(self.said.set(contact, said, minute));
    }

    /// Forgets what was said on days before.
    fn forget(&mut self, minute: Minute) {
        let day = minute.start().floor(DAY).minute();
        while let Some((contact, _)) = self.said.oldest().filter(|(_, last)| *last < day) {
            self.changed.insert(*contact);
            self.said.pop();
        }
    }
}

impl Close for Sites {
    fn close(&mut self, minute: Minute, cells: &[Cell], context: &Context<'_>, out: &mut Findings) {
        self.forget(minute);
        let is_one = |a: &Cell, b: &Cell| {
            a.entity == b.entity && names(a).map(|it| it.0) == names(b).map(|it| it.0)
        };
        // Who asks for others asks for everything.
        let client =
            |cell: &Cell| cell.entity.addr().filter(|addr| context.roles.get(*addr).is_none());
        // Who else asked in this minute counts as well, whoever comes first.
        for cells in cells.chunk_by(is_one) {
            if let Some((site, _)) = names(&cells[0]) {
                self.known.note(site.as_bytes(), minute, client(&cells[0]));
            }
        }
        for cells in cells.chunk_by(is_one) {
            if let Some(addr) = client(&cells[0]) {
                self.take(addr, minute, cells, out);
            }
        }
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
        self.known.forget_changes();
    }

    fn save(&mut self, sink: &mut Changes<'_>) {
        for contact in std::mem::take(&mut self.changed) {
            let value = self.said.entry(&contact).map(encode);
            let (addr, site) = contact;
            let key = [[CONTACT].as_slice(), &addr.to_bytes(), &site].concat();
            sink(&key, value.as_deref());
        }
        self.known.save(SITE, sink);
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || format!("not a key of {}", self.detector.def.detector);
        match key.split_first().ok_or_else(wrong)? {
            (&CONTACT, contact) => {
                let (addr, site) = contact.split_first_chunk::<16>().ok_or_else(wrong)?;
                let site = known::Key::try_from(site).map_err(|_| wrong())?;
                let (said, last) = decode(value).map_err(|error| error.to_string())?;
                let gone = self.said.set((Addr::from_bytes(*addr), site), said, last);
                self.changed.extend(gone);
                Ok(())
            }
            (&SITE, site) => self.known.load(site, value),
            _ => Err(wrong()),
        }
    }
}
