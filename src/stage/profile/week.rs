//! At which hours of a week an entity works.

use serde::{Deserialize, Serialize};

/// Hours of a week.
pub(super) const HOURS: usize = 168;
/// Days of history without which no hour is odd.
const DAYS_MIN: u8 = 4;

/// How often an entity worked in each hour of the week: two hours in a byte, none before it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    worked: Box<[u8]>,
    /// Days that are in it: from Monday to Friday, and of weekends.
    days: [u8; 2],
    /// Hours of the day that is not over, a bit for each.
    today: u32,
}

/// Days of a kind that say what is usual of it.
const KIND_MIN: u8 = 3;
/// The most that is counted: then all is halved, so that what was long ago counts less.
const MOST: u8 = 15;

/// The hour of the week of an hour since 1970, Monday first.
pub(super) fn hour_of_week(hour: i64) -> usize {
    // 1970-01-01 was a Thursday.
    (hour + 3 * 24).rem_euclid(HOURS as i64) as usize
}

/// 1 for weekends.
fn kind(of_week: usize) -> usize {
    usize::from(of_week >= 5 * 24)
}

impl Week {
    /// How often it worked in each hour, Monday first.
    #[must_use]
    pub fn by_hour(&self) -> Vec<u8> {
        (0..HOURS).map(|hour| self.get(hour)).collect()
    }

    fn get(&self, of_week: usize) -> u8 {
        let byte = self.worked.get(of_week / 2).copied().unwrap_or_default();
        byte >> (of_week % 2 * 4) & 0xf
    }

    /// The entity worked in this hour. What it does today says nothing of what it does otherwise.
    pub fn work(&mut self, hour: i64) {
        self.today |= 1 << (hour_of_week(hour) % 24);
    }

    /// A day on which it was heard is over.
    pub fn end_day(&mut self, day: i64) {
        let first = hour_of_week(day * 24);
        let today = std::mem::take(&mut self.today);
        for of_day in (0..24).filter(|of_day| today >> of_day & 1 == 1) {
            self.count(first + of_day);
        }
        let days = &mut self.days[kind(first)];
        *days = days.saturating_add(1);
    }

    fn count(&mut self, of_week: usize) {
        if self.get(of_week) == MOST {
            self.worked.iter_mut().for_each(|byte| *byte = *byte >> 1 & 0x77);
            self.days = self.days.map(|days| days.div_ceil(2));
        }
        if self.worked.is_empty() {
            self.worked = [0; HOURS / 2].into();
        }
        if let Some(byte) = self.worked.get_mut(of_week / 2) {
            *byte += 1 << (of_week % 2 * 4);
        }
    }

    /// How far it is unlike the entity to work in this hour, of which 1024 is the most: by the same
    /// hour and its neighbours on days of the same kind. Before enough days are known nothing is.
    #[must_use]
    pub fn odd(&self, hour: i64) -> i16 {
        let of_week = hour_of_week(hour);
        let kind = kind(of_week);
        let seen = self.days[kind];
        if self.days[0].saturating_add(self.days[1]) < DAYS_MIN {
            return 0;
        }
        // Where few days of a kind were seen, all days have to do.
        let (first, days, seen) = match (kind, seen) {
            (0, KIND_MIN..) => (0, 5, seen),
            (1, KIND_MIN..) => (5, 2, seen),
            _ => (0, 7, self.days[0].saturating_add(self.days[1])),
        };
        let of_day = of_week % 24;
        let worked = |of_day: usize| -> u32 {
            (first..first + days).map(|day| u32::from(self.get(day * 24 + of_day))).sum()
        };
        let near = [of_day, (of_day + 1) % 24, (of_day + 23) % 24];
        let on_days = near.into_iter().map(worked).max().unwrap_or_default();
        // What is done once a week, and not for the first time, is as good as done each day.
        let weekly = [of_week, (of_week + 1) % HOURS, (of_week + HOURS - 1) % HOURS];
        let on_this = weekly.into_iter().map(|hour| u32::from(self.get(hour))).max();
        let on_this = on_this.filter(|count| *count > 1).unwrap_or_default();
        let most = on_days.max(on_this * days as u32);
        let share = (most * 1024 / u32::from(seen.max(1))).min(1024);
        1024 - share as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_are_odd_for_who_works_by_day() {
        let mut week = Week::default();
        // Five weeks from Monday 2024-01-01 on, nine to five.
        let monday = 1_704_067_200 / 3600;
        assert_eq!(hour_of_week(monday), 0);
        for day in (0..35).filter(|day| day % 7 < 5) {
            assert!(day > 3 || week.odd(monday + day * 24 + 3) == 0, "too little is known");
            (9..17).for_each(|hour| week.work(monday + day * 24 + hour));
            week.end_day(monday / 24 + day);
        }
        let odd = |day: i64, hour: i64| week.odd(monday + (35 + day) * 24 + hour);
        assert_eq!((odd(0, 10), odd(3, 8), odd(4, 17)), (0, 0, 0));
        assert_eq!((odd(0, 3), odd(2, 22)), (1024, 1024));
        assert_eq!(
            (odd(5, 3), odd(5, 10)),
            (1024, 0),
            "a weekend is as other days, until some are seen"
        );
    }

    #[test]
    fn what_was_long_ago_counts_less() {
        let mut week = Week::default();
        for day in 0..400 {
            let hour = if day < 200 { 3 } else { 15 };
            week.work(day * 24 + hour);
            week.end_day(day);
        }
        assert!(week.odd(400 * 24 + 15) < 300, "{}", week.odd(400 * 24 + 15));
        assert!(week.odd(400 * 24 + 3) > 700, "{}", week.odd(400 * 24 + 3));
    }
}
