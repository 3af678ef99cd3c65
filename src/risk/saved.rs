//! The ledger as a commit keeps it: accounts and evidence of open minutes, key by key, modules by
//! name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::score::Points;
use crate::base::time::Minute;
use crate::record::Entity;

use super::account::Account;
use super::ledger::Ledger;
use super::level::Level;
use super::value::{Pending, Value};

/// What changed since the last [`Ledger::save`].
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) accounts: BTreeSet<Entity>,
    pub(super) pending: BTreeSet<PendingKey>,
}

type PendingKey = (Minute, Entity, usize);

/// An account as it is saved: its modules by name.
#[derive(Serialize, Deserialize)]
struct Saved {
    entity: Entity,
    values: Vec<(String, Value)>,
    told: Points,
    rank: (Points, i64),
    due: Option<Minute>,
}

/// Evidence of an open minute as it is saved.
#[derive(Serialize, Deserialize)]
struct SavedPending {
    minute: Minute,
    entity: Entity,
    module: String,
    pending: Pending,
}

impl Ledger {
    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
        self.alarm.track();
    }

    /// The key of an entity's account.
    #[must_use]
    pub fn key_of(entity: &Entity) -> Vec<u8> {
        [b"a".as_slice(), &encode(entity)].concat()
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        let Some(changed) = self.changed.as_mut().map(std::mem::take) else { return };
        self.alarm.save(sink);
        let name = |module: usize| self.policy.modules[module].name;
        for entity in changed.accounts {
            let key = Self::key_of(&entity);
            let slot = self.accounts.slot(&entity);
            let view = slot.and_then(|slot| self.accounts.view(slot, &self.policy));
            let saved = view.map(|view| {
                let values = view.values();
                encode(&Saved {
                    entity,
                    values: values
                        .map(|value| (name(usize::from(value.module)).to_owned(), value.clone()))
                        .collect(),
                    told: view.account.told,
                    rank: view.account.rank,
                    due: view.account.due,
                })
            });
            sink(&key, saved.as_deref());
        }
        for (minute, entity, module) in changed.pending {
            let key = encode(&(b'p', minute, &entity, name(module)));
            let of = (entity, module);
            let pending = self.pending.get(&minute).and_then(|all| all.get(&of));
            let entity = of.0;
            let module = name(module).to_owned();
            let saved = pending
                .map(|it| encode(&SavedPending { minute, entity, module, pending: it.clone() }));
            sink(&key, saved.as_deref());
        }
    }

    /// Takes back a key that [`Ledger::save`] handed out; modules that are gone are passed over.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        if key.first() == Some(&b'h') {
            return self.alarm.load(key);
        }
        let index = |name: &str| self.policy.modules.iter().position(|it| it.name == name);
        if key.first() == Some(&b'a') {
            let saved: Saved = decode(value)?;
            let mut account = Account::new(saved.entity, &self.policy);
            (account.told, account.rank, account.due) = (saved.told, saved.rank, saved.due);
            *self.levels.entry(Level::of(account.told)).or_default() += 1;
            let slot = self.accounts.insert(account);
            for (name, value) in saved.values {
                if let Some(module) = index(&name) {
                    self.accounts.set_value(slot, module, value, &self.policy);
                }
            }
        } else {
            let saved: SavedPending = decode(value)?;
            if let Some(module) = index(&saved.module) {
                let minute = self.pending.entry(saved.minute).or_default();
                self.waiting += 1;
                self.waiting_users += usize::from(saved.entity.addr().is_none());
                *minute.entry((saved.entity, module)) = saved.pending;
            }
        }
        Ok(())
    }
}
