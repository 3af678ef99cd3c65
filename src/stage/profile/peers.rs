//! Groups of peers: who is like whom, by what is usual of their days.
//!
//! Not here: how groups are found (`learn::groups`), when they are found anew (`engine::refit`),
//! what it means to be far from one's own (`peer_group`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::learn::Table;
use crate::learn::groups::{Groups, Settings};
use crate::record::Entity;

use super::super::activity::{Row, Span, WIDTH};
use super::Profile;
use super::crowd::GroupId;

/// Days of history without which an entity is in no group.
const DAYS_MIN: u16 = 3;
/// Hosts without which there are no groups.
const HOSTS_MIN: usize = 10;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    groups: Groups,
    /// Of each group those that are nearest to its middle.
    nearest: BTreeMap<GroupId, Vec<Entity>>,
}

/// Where an entity stands among its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its group, how many they are, and who is nearest to the middle.
    pub group: GroupId,
    /// See above.
    pub size: u64,
    /// See above.
    pub nearest: Vec<Entity>,
    /// How far it is from the middle, in 256ths of the group's spread beyond what is usual there.
    pub beyond: i64,
    /// What each measure has of the distance.
    pub parts: Vec<i64>,
    /// The day without what is the day's and everybody's, and the middle of the group.
    pub row: Vec<i16>,
    /// See above.
    pub centre: Vec<i16>,
    /// The group that it is nearer to, if that is another one, and how many times as far away its
    /// own is, in 256ths.
    pub nearer: Option<(GroupId, u64)>,
}

impl Peers {
    /// Where one of `group` stands that was measured like this; what was not is as in its middle.
    #[must_use]
    pub fn place(&self, group: GroupId, measured: &[Option<i16>; WIDTH]) -> Option<Place> {
        let at = self.groups.place_of(group)?;
        let centre = self.groups.centre(at);
        let middle = centre.iter().copied();
        let row: Vec<i16> =
            measured.iter().zip(middle).map(|(own, middle)| own.unwrap_or(middle)).collect();
        let stand = self.groups.stand(at, &row);
        let (near, distance) = self.groups.nearest(&row);
        let times = stand.distance * 256 / distance.max(1);
        let nearer = self.groups.all().get(near).filter(|_| near != at);
        Some(Place {
            group,
            size: self.groups.all().get(at).map_or(0, |group| u64::from(group.size)),
            nearest: self.nearest.get(&group).cloned().unwrap_or_default(),
            beyond: stand.beyond(),
            parts: self.groups.parts(at, &row),
            row,
            centre,
            nearer: nearer.map(|group| (group.id, times)),
        })
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.groups.len()
    }
}

/// What groups are found from: a snapshot, so that profiles go on meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// With the group that each was in.
    entities: Vec<(Entity, Option<GroupId>)>,
    table: Table,
    before: Groups,
    seed: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Fitted {
    /// The groups.
    pub peers: Peers,
    /// Who is in which.
    pub members: Vec<(Entity, GroupId)>,
    /// How many are in each.
    pub sizes: BTreeMap<GroupId, u64>,
}

impl Fit {
    /// Of all hosts of which enough is known, by entity; nothing where they are few.
    #[must_use]
    pub fn new<'a>(
        profiles: impl Iterator<Item = (&'a Entity, &'a Profile)>,
        before: &Peers,
        seed: u64,
    ) -> Option<Self> {
        let (mut entities, mut table) = (Vec::new(), Table::new(WIDTH));
        for (entity, profile) in profiles {
            if entity.addr().is_none() || profile.count(Span::Day) < DAYS_MIN {
                continue;
            }
            let centre = |at| profile.usual(Span::Day, at).map_or(0, |usual| usual.centre);
            let row: Row = std::array::from_fn(centre);
            if table.push(&row) {
                entities.push((entity.clone(), profile.group));
            }
        }
        let before = before.groups.clone();
        (entities.len() >= HOSTS_MIN).then_some(Self { entities, table, before, seed })
    }

    /// Whether it may have been saved.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.table.width() == WIDTH && self.table.len() == self.entities.len()
    }

    /// Finds groups: takes seconds. Who was in a group stays until another one is clearly nearer.
    #[must_use]
    pub fn run(&self) -> Fitted {
        let Self { entities, table, before, seed } = self;
        let groups = Groups::fit(table, Settings::default(), *seed, Some(before));
        let mut members = Vec::with_capacity(entities.len());
        let mut sizes = BTreeMap::new();
        for ((entity, own), row) in entities.iter().zip(table.rows()) {
            let (nearest, distance) = groups.nearest(row);
            let own = own.and_then(|own| groups.place_of(own));
            let stays = own.filter(|own| groups.distance(*own, row) * 4 <= distance * 5);
            let Some(group) = groups.all().get(stays.unwrap_or(nearest)) else { continue };
            members.push((entity.clone(), group.id));
            *sizes.entry(group.id).or_default() += 1;
        }
        let named = |places: &Vec<usize>| {
            places.iter().filter_map(|at| Some(entities.get(*at)?.0.clone())).collect()
        };
        let closest = groups.closest(table);
        let nearest = groups.all().iter().zip(&closest).map(|(group, it)| (group.id, named(it)));
        Fitted { peers: Peers { nearest: nearest.collect(), groups }, members, sizes }
    }
}
