//! In the entity lane: what clients asked for within the window, and when that says something.

use std::collections::BTreeSet;

use crate::base::address::Addr;
use crate::base::codec::{decode, encode};
use crate::base::keys::Settings;
use crate::base::recent::Recent;
use crate::base::time::{DAY, MINUTE, Minute, Time};
use crate::feature::dga::DGA;
use crate::model::{Models, Scorer};
use crate::record::{Entity, Names, Reason};

use super::super::input::{Cell, CellRow, Finding, Findings};
use super::super::keys::alert_from;
use super::super::known::Known;
use super::super::{Changes, Close, Context};
use super::client::Client;
use super::verdict::Verdict;
use super::{STAGE, TECHNIQUES};

/// The first byte of a key: of a client, of a name.
const CLIENT: u8 = b'c';
const NAME: u8 = b'n';

/// See the module.
pub(super) struct Clients {
    window_minutes: i64,
    alert: u32,
    known: Known,
    clients: Recent<Addr, Client, Minute>,
    changed: BTreeSet<Addr>,
    /// For reasons; without one they say less.
    scorer: Option<Scorer>,
}

impl Clients {
    pub(super) fn new(settings: &Settings, models: &Models) -> Self {
        let count = |key| usize::try_from(settings.integer(key)).unwrap_or(usize::MAX);
        Self {
            window_minutes: (settings.micros("window") / MINUTE).max(1),
            alert: alert_from(settings),
            known: Known::new(count("max_names"), count("popular")),
            clients: Recent::new(count("max_clients")),
            changed: BTreeSet::new(),
            scorer: models.scorer(&DGA),
        }
    }

    /// Takes the cells of one client, and says what is new.
    fn take(&mut self, addr: Addr, minute: Minute, cells: &[&Cell], out: &mut Findings) {
        // What is said of a day rests on what was asked for on it, so that nothing counts twice.
        let day = minute.start().floor(DAY);
        let from = Minute((minute.0 - self.window_minutes + 1).max(day.minute().0));
        let mut client = self.clients.get(&addr).cloned().unwrap_or_else(Client::new);
        client.take(minute, cells, from, &|name| self.known.is_usual(name, minute));
        let verdict = Verdict::new(&client.names);
        if client.said.say(day, verdict.score.get(), self.alert) {
            let mut reasons = verdict.reasons(self.scorer.as_mut());
            reasons.push(self.known.history(minute));
            tell(addr, &verdict, day, reasons, out);
        }
        self.changed.insert(addr);
        self.changed.extend(self.clients.set(addr, client, minute));
    }

    /// Forgets who asked for nothing odd within the window.
    fn forget(&mut self, minute: Minute) {
        while let Some((addr, last)) = self.clients.oldest() {
            let addr = *addr;
            // What was said on this day is not said again.
            if minute.0 - last.0 <= self.window_minutes.max(DAY / MINUTE) {
                return;
            }
            self.changed.insert(addr);
            self.clients.pop();
        }
    }
}

fn tell(addr: Addr, verdict: &Verdict<'_>, day: Time, reasons: Vec<Reason>, out: &mut Findings) {
    let rows: Vec<&CellRow> = verdict.names.iter().map(|named| &named.row).collect();
    let Some(time) = rows.iter().map(|row| row.time).max() else { return };
    let finding = Finding {
        subject: b"names".to_vec(),
        // What tells findings apart: one of a client and day, however long it goes on.
        window: (day, day.plus(DAY)),
        score: verdict.score,
        reasons,
        techniques: TECHNIQUES,
        names: Names::default(),
    };
    out.push(&Entity::Host(addr), &rows, time, finding);
}

impl Close for Clients {
    fn close(&mut self, minute: Minute, cells: &[Cell], context: &Context<'_>, out: &mut Findings) {
        self.forget(minute);
        let of = |cell: &Cell| cell.entity.addr();
        // Who asks for others asks for everything.
        let is_shared = |addr: Addr| context.roles.get(addr).is_some();
        // Who else asked in this minute counts as well, whoever comes first.
        for cell in cells {
            let Some(addr) = of(cell) else { continue };
            let knows = cell.amounts[0] > 0 && !is_shared(addr);
            self.known.note(&cell.subject, minute, knows.then_some(addr));
        }
        for cells in cells.chunk_by(|a, b| a.entity == b.entity) {
            let Some(addr) = of(&cells[0]).filter(|addr| !is_shared(*addr)) else { continue };
            let cells: Vec<&Cell> = cells.iter().collect();
            self.take(addr, minute, &cells, out);
        }
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
        self.known.forget_changes();
    }

    fn save(&mut self, sink: &mut Changes<'_>) {
        for addr in std::mem::take(&mut self.changed) {
            let value = self.clients.get(&addr).map(encode);
            sink(&[[CLIENT].as_slice(), &addr.to_bytes()].concat(), value.as_deref());
        }
        self.known.save(NAME, sink);
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || format!("not a key of {}", STAGE.name);
        match key.split_first().ok_or_else(wrong)? {
            (&CLIENT, addr) => {
                let addr = Addr::from_bytes(addr.try_into().map_err(|_| wrong())?);
                let client: Client = decode(value).map_err(|error| error.to_string())?;
                let last = client.last;
                self.changed.extend(self.clients.set(addr, client, last));
                Ok(())
            }
            (&NAME, name) => self.known.load(name, value),
            _ => Err(wrong()),
        }
    }
}
