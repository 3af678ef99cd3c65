//! Profiles as people read them.

use crate::base::time::{DAY, HOUR, Time};
use crate::document::{MeasureView, ProfileView, UsualView};
use crate::record::Entity;
use crate::stage::activity::{MEASURES, Measure, Span, shown};
use crate::stage::profile::{Profile, Usual, certainty};

use super::activity::Activity;
use super::core::Core;

impl Core {
    /// What the keys begin with that [`Core::profile`] needs of an entity, and no others.
    #[must_use]
    pub fn profile_keys_of(entity: &Entity) -> Vec<Vec<u8>> {
        Activity::keys_of(entity)
    }

    /// What the keys begin with that [`Core::profiles`] needs.
    #[must_use]
    pub fn profile_keys() -> Vec<Vec<u8>> {
        Activity::keys()
    }

    /// What is usual of an entity; nothing of one that has no profile.
    #[must_use]
    pub fn profile(&self, entity: &Entity) -> Option<ProfileView> {
        let profile = self.activity.profile(entity)?;
        let mut view = self.head(entity, profile);
        view.week = profile.week().by_hour();
        view.measures =
            MEASURES.iter().enumerate().map(|(at, it)| measure(profile, at, it)).collect();
        Some(view)
    }

    /// All of them without their measures, at most so many, by entity.
    #[must_use]
    pub fn profiles(&self, most: usize) -> Vec<ProfileView> {
        let all = self.activity.profiles().take(most);
        all.map(|(entity, profile)| self.head(entity, profile)).collect()
    }

    fn head(&self, entity: &Entity, profile: &Profile) -> ProfileView {
        let hour = |hour: i64| Time(hour.saturating_mul(HOUR)).plus(0);
        ProfileView {
            entity: entity.id(&self.identity.scope),
            first: Time(profile.first_day.saturating_mul(DAY)).plus(0),
            last: hour(profile.last_hour.saturating_add(1)),
            hours: profile.heard.into(),
            days: profile.days.into(),
            certainty: certainty(profile.days),
            group: profile.group.map(|group| (group, self.activity.members(group))),
            ..ProfileView::default()
        }
    }
}

fn measure(profile: &Profile, at: usize, measure: &'static Measure) -> MeasureView {
    let usual = |span: Span| profile.usual(span, at).map(|usual| view(measure, usual));
    MeasureView {
        name: measure.name,
        hour: usual(Span::Hour),
        day: usual(Span::Day),
        drift: profile.drift(at).into(),
    }
}

fn view(measure: &Measure, usual: &Usual) -> UsualView {
    let Usual { centre, spread, high } = *usual;
    let number = |value: i16| shown(measure, value).unsigned_abs();
    UsualView {
        centre: number(centre),
        low: number(centre.saturating_sub(spread)),
        high: number(centre.saturating_add(spread)),
        most: number(high),
    }
}
