//! What profiles hold, beside what is kept here.

use super::*;
use crate::base::log2::log2;
use crate::record::Reason;
use crate::stage::activity::{RECEIVED, Row, SENT, Span, WIDTH, Window};
use crate::stage::profile::{Known, Outcome};

/// Bytes sent and received over TLS in an hour, of which a day has ten.
type Habit = (u64, u64);

const PULLS: Habit = (2_000_000, 30_000_000);
const GIVES: Habit = (40_000_000, 2_000_000);

fn row((sent, received): Habit) -> Row {
    let mut row = [0; WIDTH];
    row[SENT + TLS] = log2(sent + 1) as i16;
    row[RECEIVED + TLS] = log2(received + 1) as i16;
    row
}

fn outcome<'a>(row: &'a Row, season: &'a Row) -> Outcome<'a> {
    let known = Known::of(|_| true);
    Outcome { row, season, known, apart: None, score: 0, is_suspicious: false }
}

/// A month of such days before the script begins; with an hour in which most was sent.
fn profile(habit: Habit, most: u64) -> Profile {
    let mut profile = Profile::new(0);
    let (window, season) = (Window::default(), [0; WIDTH]);
    for day in 0..30 {
        for hour in 0..10 {
            profile.learn_hour(day * 24 + hour, &window, &outcome(&row(habit), &season));
        }
        if day == 20 {
            profile.learn_hour(day * 24 + 10, &window, &outcome(&row((most, habit.1)), &season));
        }
        let sent = habit.0 * 10 + if day == 20 { most } else { 0 };
        profile.learn_day(day, &outcome(&row((sent, habit.1 * 10)), &season));
    }
    profile
}

fn beside(profile: Profile) -> Beside {
    let host = Entity::Host(Addr::parse(HOST.as_bytes()).unwrap());
    let profiles = BTreeMap::from([(host, Box::new(profile))]);
    Beside { kept: Some((profiles, Crowds::default())), ..Beside::default() }
}

const BURST: &str = "5 19:10 10.0.0.7 > 203.0.113.9 443 ssl 700000000/3000000\n";
const FOUND: &str = "5 19 10.0.0.7 hour tls 203.0.113.9";

fn check(bursts: &str, profile: Profile, expected: &[&str]) {
    let script = ordinary(HOST, 0, 6) + bursts;
    let found = run(built(1000).as_mut(), cells(&script, BATCH_ROWS_MAX), &beside(profile));
    assert_eq!(shown(&found), expected, "{found:#?}");
}

#[test]
fn a_change_of_role_is_one_against_the_profile_too() {
    check(BURST, profile(PULLS, 0), &[FOUND]);
    check(BURST, profile(GIVES, 0), &[]);
    // A profile that knows nothing says nothing.
    check(BURST, Profile::new(0), &[FOUND]);
    check(BURST, profile((900, 900), 0), &[FOUND]);
}

#[test]
fn what_is_usual_of_all_stands_in_while_a_profile_is_short() {
    let script = ordinary(HOST, 0, 6) + BURST;
    let found = |habit: Habit| {
        let mut beside = beside(Profile::new(0));
        if let Some((_, crowds)) = &mut beside.kept {
            let of = |span: Span| {
                let profile = profile(habit, 0);
                let usual = |at: usize| Prior::of(&[*profile.usual(span, at).unwrap(); 5]);
                (0..WIDTH).map(usual).collect()
            };
            crowds.hosts.set_priors(of(Span::Hour), of(Span::Day));
        }
        shown(&run(built(1000).as_mut(), cells(&script, BATCH_ROWS_MAX), &beside))
    };
    assert_eq!(found(PULLS), [FOUND]);
    assert_eq!(found(GIVES), [""; 0]);
}

#[test]
fn the_most_of_all_days_counts_but_for_that_of_today() {
    check(BURST, profile(PULLS, 100_000_000), &[FOUND]);
    // Faded, a gigabyte is left of it.
    check(BURST, profile(PULLS, 3_000_000_000), &[]);
    // What went out today may be what it is: two such hours are more.
    let before = BURST.replace("5 19:10", "5 17:10") + &BURST.replace("5 19:10", "5 18:10");
    let other = "5 19:10 10.0.0.7 > 203.0.113.10 443 ssl 700000000/3000000\n";
    let found = "5 19 10.0.0.7 hour tls 203.0.113.10";
    check(&(before + other), profile(PULLS, 3_000_000_000), &[found]);
}

#[test]
fn an_hour_that_is_judged_late_is_not_excused_by_itself() {
    let script = ordinary(HOST, 0, 6) + BURST;
    let late = |profile: Profile, minutes: i64| {
        let (mut close, beside) = (built(1000), beside(profile));
        let mut out = Findings::new(0);
        for (minute, cells) in cells(&script, BATCH_ROWS_MAX) {
            while let Some(due) = close.due().filter(|due| *due < minute) {
                close.close(due, &[], &beside.at(due), &mut out);
            }
            close.close(minute, &cells, &beside.at(minute), &mut out);
        }
        let then = Minute(close.due().unwrap().0 + minutes);
        close.close(then, &[], &beside.at(then), &mut out);
        (shown(&out.take()), close.due())
    };
    // It has learned the burst in the meantime.
    let learned = || profile(PULLS, 3_000_000_000);
    assert_eq!(late(learned(), 0).0, [""; 0]);
    assert_eq!(late(learned(), 1).0, [FOUND]);
}

#[test]
fn what_is_an_alert_is_told_to_be_suspicious() {
    let host = || Entity::Host(Addr::parse(HOST.as_bytes()).unwrap());
    let hour = START / 3600 + 5 * 24 + 19;
    let suspects = |bursts: &str| {
        let mut close = built(1000);
        let (mut cells, beside) =
            (cells(&(ordinary(HOST, 0, 6) + bursts), 1024), Beside::default());
        let mut all = Vec::new();
        while let Some(minute) = cells.keys().next().copied().into_iter().chain(close.due()).min() {
            let mut out = Findings::new(0);
            let found = cells.remove(&minute).unwrap_or_default();
            close.close(minute, &found, &beside.at(minute), &mut out);
            let told = out.suspects().into_iter().map(|suspect| (minute, suspect));
            all.extend(told);
        }
        all
    };
    assert_eq!(suspects(""), []);
    let ends = |hour: i64| Minute((hour + 1) * 60 - 1);
    let expected = [
        (ends(hour), (Span::Hour, hour, host())),
        (ends(hour + 4), (Span::Day, hour / 24, host())),
    ];
    assert_eq!(suspects(BURST), expected, "with the minutes that end them");
}

#[test]
fn reasons_say_how_much_was_seen() {
    let script = ordinary(HOST, 0, 6) + BURST;
    let said = |beside: &Beside| {
        let found = run(built(1000).as_mut(), cells(&script, BATCH_ROWS_MAX), beside);
        let reasons = &found.last().unwrap().reasons;
        let of = |feature: &str| {
            let reason: &Reason = reasons.iter().find(|reason| reason.feature == feature)?;
            assert_eq!(reason.contribution.get(), 0);
            Some((reason.observed.clone(), reason.expected.clone()))
        };
        (of("history"), of("profile"))
    };
    let text = |text: &str| Observed::Text(text.to_owned());
    let history = Some((text("32 hours and 5 days of tls, known for 5 days"), text("")));
    assert_eq!(said(&Beside::default()), (history.clone(), None));
    let (own, held) = said(&beside(profile(PULLS, 0)));
    let (usual, hours) = held.unwrap();
    assert_eq!((own, hours), (history, text("301 hours on 30 days")));
    // Two to thirty.
    assert!(matches!(usual, Observed::Number(-880_000..-870_000)), "{usual:?}");
}
