//! What profiles say of a host to stages that are no judges.
//!
//! Not here: how anything is learned (`Profile`), what to think of it (the stages).

use std::collections::BTreeMap;

use crate::base::address::Addr;
use crate::record::Entity;

use super::super::activity::Span;
use super::Profile;
use super::crowd::{Crowd, Crowds};
use super::usual::Expected;

/// All profiles, and what is usual of crowds.
#[derive(Clone, Copy, Debug)]
pub struct Profiles<'a> {
    profiles: &'a BTreeMap<Entity, Box<Profile>>,
    crowds: &'a Crowds,
}

/// A profile beside its crowd.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    profile: &'a Profile,
    crowd: &'a Crowd,
}

impl<'a> Profiles<'a> {
    /// Of these.
    #[must_use]
    pub fn new(profiles: &'a BTreeMap<Entity, Box<Profile>>, crowds: &'a Crowds) -> Self {
        Self { profiles, crowds }
    }

    /// What is held of a host; nothing of one that was never heard.
    #[must_use]
    pub fn of(&self, host: Addr) -> Option<Held<'a>> {
        let entity = Entity::Host(host);
        let profile = self.profiles.get(&entity)?;
        let crowd = self.crowds.get(self.crowds.which(&entity, profile.group));
        Some(Held { profile, crowd })
    }
}

impl Held<'_> {
    /// What is to be expected of a measure, without season and however steady; nothing before
    /// anything is known of the host or of its crowd.
    #[must_use]
    pub fn expected(&self, span: Span, measure: usize) -> Option<Expected> {
        let (own, prior) =
            (self.profile.usual(span, measure), self.crowd.priors(span).get(measure));
        if own.is_none() && prior.is_none() {
            return None;
        }
        let own = own.copied().unwrap_or_default();
        Some(own.expected(self.profile.count(span), prior, 1))
    }

    /// The most that was learned of a measure.
    #[must_use]
    pub fn high(&self, span: Span, measure: usize) -> i16 {
        self.profile.usual(span, measure).map_or(0, |usual| usual.high)
    }

    /// How much is known, in words.
    #[must_use]
    pub fn history(&self, span: Span) -> String {
        self.profile.history(span)
    }
}
