//! What is usual of an entity, as `profile show` tells it.

use crate::base::time::Time;

use super::alert::list;
use super::text::{self, Clock};

/// A profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileView {
    /// Whose.
    pub entity: String,
    /// When it was first heard, and the end of the last hour in which it was.
    pub first: Time,
    /// See above.
    pub last: Time,
    /// Hours in which it was heard, and days.
    pub hours: u64,
    /// See above.
    pub days: u64,
    /// How far anything is said of it yet, in parts per million.
    pub certainty: u64,
    /// The group of its peers, and how many they are.
    pub group: Option<(u32, u64)>,
    /// How often it works in each hour of the week, Monday first, of fifteen.
    pub week: Vec<u8>,
    /// What is usual of it.
    pub measures: Vec<MeasureView>,
}

/// One measure of a profile, of an hour and of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasureView {
    /// Its name.
    pub name: &'static str,
    /// Of an hour.
    pub hour: Option<UsualView>,
    /// Of a day.
    pub day: Option<UsualView>,
    /// How far it has risen slowly, in parts per million of what is a change.
    pub drift: u64,
}

/// What is usual, in millionths of what is counted; a share is a part of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsualView {
    /// The middle.
    pub centre: u64,
    /// One spread below and above.
    pub low: u64,
    /// See above.
    pub high: u64,
    /// The most there was.
    pub most: u64,
}

/// Appends the document.
pub fn write_profile(it: &ProfileView, out: &mut Vec<u8>) {
    head(it, out);
    out.extend_from_slice(b",\"week\":[");
    list(out, &it.week, |worked, out| text::number(out, u64::from(*worked)));
    out.extend_from_slice(b"],\"measures\":[");
    list(out, &it.measures, |measure, out| {
        out.extend_from_slice(b"{\"name\":");
        text::string(out, measure.name.as_bytes(), false);
        for (name, usual) in [("hour", &measure.hour), ("day", &measure.day)] {
            if let Some(usual) = usual {
                write_usual(name, usual, out);
            }
        }
        millionths("drift", measure.drift, out);
        out.push(b'}');
    });
    out.extend_from_slice(b"]}\n");
}

/// Appends what a list has of it.
pub fn write_profile_line(it: &ProfileView, out: &mut Vec<u8>) {
    head(it, out);
    out.extend_from_slice(b"}\n");
}

fn head(it: &ProfileView, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"entity\":");
    text::string(out, it.entity.as_bytes(), false);
    for (name, time) in [("first", it.first), ("last", it.last)] {
        key(name, out);
        out.push(b'"');
        Clock::default().write(time, out);
        out.push(b'"');
    }
    for (name, count) in [("hours", it.hours), ("days", it.days)] {
        key(name, out);
        text::number(out, count);
    }
    millionths("certainty", it.certainty, out);
    if let Some((id, size)) = it.group {
        out.extend_from_slice(b",\"group\":{\"id\":");
        text::number(out, u64::from(id));
        key("size", out);
        text::number(out, size);
        out.push(b'}');
    }
}

fn key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
}

fn millionths(name: &str, value: u64, out: &mut Vec<u8>) {
    key(name, out);
    text::millionths(out, value);
}

fn write_usual(name: &str, it: &UsualView, out: &mut Vec<u8>) {
    key(name, out);
    out.extend_from_slice(b"{\"centre\":");
    text::millionths(out, it.centre);
    millionths("low", it.low, out);
    millionths("high", it.high, out);
    millionths("most", it.most, out);
    out.push(b'}');
}
