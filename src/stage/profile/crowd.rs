//! What is usual of many: of all entities of a kind, and of each group of peers; and its seasons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Entity;

use super::super::activity::{Row, Span};
use super::usual::{Prior, short};
use super::week::{HOURS, hour_of_week};

/// The name of a group of peers, which lasts.
pub type GroupId = u32;

/// Members that are asked for what is usual, at most.
pub(super) const MEMBERS_MAX: usize = 2000;
/// Members that must be heard in a window for it to say anything of the crowd.
pub(super) const MEMBERS_MIN: usize = 5;
/// One week moves a season by no less than a quarter of its distance.
const SEASON_PART: i32 = 4;

/// What is usual of a crowd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowd {
    /// Of a newcomer's hours, and of its days, by measure; nothing before enough is known.
    of_hour: Vec<Prior>,
    of_day: Vec<Prior>,
    /// How far each hour of the week, and each day of it, lies above the centres of its members.
    hours: Vec<Season>,
    days: Vec<Season>,
    /// Of a group, how many members it was made of.
    pub members: u64,
}

/// What an hour or a day of the week is like, of so many weeks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Season {
    weeks: u8,
    row: Row,
}

impl Crowd {
    /// What is usual of a member of which nothing is known, by measure; nothing before enough is.
    #[must_use]
    pub fn priors(&self, span: Span) -> &[Prior] {
        match span {
            Span::Hour => &self.of_hour,
            Span::Day => &self.of_day,
        }
    }

    /// Says what is usual of members.
    pub(in super::super) fn set_priors(&mut self, of_hour: Vec<Prior>, of_day: Vec<Prior>) {
        (self.of_hour, self.of_day) = (of_hour, of_day);
    }

    /// How far a window lies above the centres, by its number.
    #[must_use]
    pub fn season(&self, span: Span, number: i64) -> Row {
        let (rows, at) = self.rows(span, number);
        rows.get(at).map(|season| season.row).unwrap_or_default()
    }

    fn rows(&self, span: Span, number: i64) -> (&[Season], usize) {
        match span {
            Span::Hour => (&self.hours, hour_of_week(number)),
            Span::Day => (&self.days, hour_of_week(number * 24) / 24),
        }
    }

    /// Learns by how much a window lay above what was expected of most members.
    pub(super) fn learn(&mut self, span: Span, number: i64, shift: &Row) {
        let (_, at) = self.rows(span, number);
        let (rows, all) = match span {
            Span::Hour => (&mut self.hours, HOURS),
            Span::Day => (&mut self.days, 7),
        };
        rows.resize(all, Season::default());
        let season = &mut rows[at];
        season.weeks = season.weeks.saturating_add(1);
        let part = i32::from(season.weeks).min(SEASON_PART);
        for (season, shift) in season.row.iter_mut().zip(shift) {
            *season = short(i32::from(*season) + i32::from(*shift) / part);
        }
    }
}

/// All crowds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowds {
    /// All hosts, and all users.
    pub hosts: Crowd,
    /// See above.
    pub users: Crowd,
    /// Groups of peers.
    pub groups: BTreeMap<GroupId, Crowd>,
}

/// Which crowd: a group, or all hosts or users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Hosts,
    Users,
    Group(GroupId),
}

impl Which {
    /// All hosts or all users.
    pub(super) fn of(entity: &Entity) -> Self {
        if entity.addr().is_some() { Self::Hosts } else { Self::Users }
    }
}

impl Crowds {
    /// Groups that are no more are forgotten, those that are new begin with what is usual of all.
    pub fn regroup(&mut self, sizes: &BTreeMap<GroupId, u64>) {
        self.groups.retain(|group, _| sizes.contains_key(group));
        for (group, size) in sizes {
            let crowd = self.groups.entry(*group).or_insert_with(|| self.hosts.clone());
            crowd.members = *size;
        }
    }

    /// How many members a group has.
    #[must_use]
    pub fn members(&self, group: GroupId) -> u64 {
        self.groups.get(&group).map_or(0, |crowd| crowd.members)
    }

    pub(super) fn which(&self, entity: &Entity, group: Option<GroupId>) -> Which {
        match group.filter(|group| self.groups.contains_key(group)) {
            Some(group) => Which::Group(group),
            None => Which::of(entity),
        }
    }

    pub(super) fn get(&self, which: Which) -> &Crowd {
        match which {
            Which::Users => &self.users,
            Which::Group(group) => self.groups.get(&group).unwrap_or(&self.hosts),
            Which::Hosts => &self.hosts,
        }
    }

    pub(super) fn get_mut(&mut self, which: Which) -> &mut Crowd {
        match which {
            Which::Users => &mut self.users,
            Which::Group(group) => self.groups.entry(group).or_default(),
            Which::Hosts => &mut self.hosts,
        }
    }
}
