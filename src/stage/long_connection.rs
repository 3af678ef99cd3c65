//! `long-connection`: connections that stay open for hours, while they are open and when they end.
//!
//! A window stage. The score is RITA's ladder for long connections (RITA v5, `analysis/`): 0.2 at
//! one hour, 0.4 at four, 0.6 at eight, 0.8 at twelve, in between by straight lines; nothing below
//! an hour. A connection is spoken of again only when it has reached the next rung, so that one of
//! three days that stands in seventy `open_conn` logs alerts once.

use std::collections::BTreeSet;

use crate::base::keys::{KeyDef, Kind};
use crate::base::recent::Recent;
use crate::base::score::Ppm;
use crate::base::time::{HOUR, Minute, Time};
use crate::record::schema::{ORIG_P, RESP_P, UID, conn};
use crate::record::{Entity, Log, Names, Observed, Reason, Technique};

use super::input::{Cell, CellRow, Deltas, Finding, Findings, Input};
use super::keys::{HALF_LIFE, alert, enabled, weight};
use super::{Build, Changes, Close, Combine, Context, Fold, StageDef};

pub(super) const STAGE: StageDef = StageDef {
    name: "long-connection",
    doc: "a connection that stays open for hours",
    version: 1,
    reads: &[
        (Log::Conn, &[UID, conn::DURATION, ORIG_P, RESP_P]),
        (Log::OpenConn, &[UID, conn::DURATION, ORIG_P, RESP_P]),
    ],
    techniques: TECHNIQUES,
    keys: &[
        enabled("score connections that stay open"),
        weight("40"),
        alert("0.6"),
        HALF_LIFE,
        KeyDef {
            name: "max_open",
            kind: Kind::Integer { min: 1, max: 10_000_000 },
            default: Some("100000"),
            example: "",
            doc: "connections remembered so that each alerts once",
        },
    ],
    group: "command-and-control",
    example: "enabled = true\nweight = 40\nalert = 0.6\nmax_open = 100000\n",
    window_us: 0,
    models: &[],
    build: Build::Window {
        fold: |_, _| Box::new(Candidates),
        close: |settings, _| {
            let alert = (settings.real("alert") * 1e6).round() as u32;
            Box::new(Ladder::new(settings.integer("max_open"), alert))
        },
        combine: Combine::Max,
    },
};

const TECHNIQUES: &[Technique] = &[Technique { id: "T1071", name: "Application Layer Protocol" }];

/// Hours, and the score from there on, in parts per million.
const RUNGS: [(i64, i64); 4] = [(1, 200_000), (4, 400_000), (8, 600_000), (12, 800_000)];

/// The score of a duration; 0 below an hour.
fn score(duration_us: i64) -> u32 {
    let reached = RUNGS.iter().rposition(|(hours, _)| duration_us >= hours * HOUR);
    let Some(rung) = reached else { return 0 };
    let (hours, base) = RUNGS[rung];
    let Some((next_hours, next)) = RUNGS.get(rung + 1) else { return base as u32 };
    let share = i128::from(duration_us - hours * HOUR) * i128::from(next - base);
    (i128::from(base) + share / i128::from((next_hours - hours) * HOUR)) as u32
}

/// How many rungs a duration has reached.
fn rungs(duration_us: i64) -> u8 {
    RUNGS.iter().filter(|(hours, _)| duration_us >= hours * HOUR).count() as u8
}

/// In the lanes: connections of an hour and more, the longest duration of each.
struct Candidates;

impl Fold for Candidates {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let durations = input.batch.column(conn::DURATION);
        for row in 0..input.batch.rows() {
            match durations.micros(row) {
                Some(duration) if duration >= HOUR => {
                    let is_closed = u64::from(input.batch.log() == Log::Conn);
                    let value = duration.unsigned_abs() * 2 + is_closed;
                    let Some(entity) = input.parties[row].host() else { continue };
                    let uid = input.batch.text(UID, row).filter(|uid| !uid.is_empty());
                    let uid = uid.map_or_else(|| without_uid(input, row), <[u8]>::to_vec);
                    let found = CellRow::new(input, row, value, input.batch.ts(row));
                    let at = (input.minutes[row], entity);
                    out.add(at, &uid, [value, 0, 0], Some(found));
                }
                _ => {}
            }
        }
    }
}

/// What tells a connection without a uid from others of the same host.
fn without_uid(input: &Input<'_>, row: usize) -> Vec<u8> {
    let (batch, sides) = (input.batch, input.sides[row]);
    let ports = [ORIG_P, RESP_P].map(|id| batch.count(id, row).unwrap_or_default().to_be_bytes());
    let addrs = [sides.orig, sides.resp].map(|addr| addr.unwrap_or_default().to_bytes());
    [batch.ts(row).0.to_be_bytes().as_slice(), &addrs.concat(), &ports.concat()].concat()
}

/// A connection: whose, which, since when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    entity: Entity,
    uid: Vec<u8>,
    since: Time,
}

/// In the entity lane: for how long each connection had been open when it was last spoken of; the
/// one not heard of for longest is forgotten first.
struct Ladder {
    /// Parts per million from which a score is an alert.
    alert: u32,
    known: Recent<Connection, i64, Minute>,
    changed: BTreeSet<Connection>,
}

/// For how long a connection is open, or was.
#[derive(Clone, Copy)]
struct Open {
    duration: i64,
    is_closed: bool,
}

impl Ladder {
    fn new(max: i64, alert: u32) -> Self {
        let known = Recent::new(usize::try_from(max).unwrap_or(1));
        Self { alert, known, changed: BTreeSet::new() }
    }

    /// Notes for how long a connection is open; whether there is something new to say of it: it has
    /// reached a rung, or the score that is an alert, or it is over.
    fn climb(&mut self, connection: &Connection, open: Open, minute: Minute) -> bool {
        let before = self.known.get(connection).copied().unwrap_or_default();
        let duration = open.duration;
        let is_news = rungs(duration) > rungs(before)
            || (score(duration) >= self.alert && score(before) < self.alert)
            || (open.is_closed && duration > before);
        self.changed.insert(connection.clone());
        let spoken = if is_news { duration.max(before) } else { before };
        let gone = self.known.set(connection.clone(), spoken, minute);
        self.changed.extend(gone);
        is_news
    }
}

impl Close for Ladder {
    fn close(&mut self, minute: Minute, cells: &[Cell], _: &Context<'_>, out: &mut Findings) {
        for cell in cells {
            let Some(row) = &cell.row else { continue };
            let duration = i64::try_from(cell.amounts[0] / 2).unwrap_or(i64::MAX);
            let since = row.time;
            let connection =
                Connection { entity: cell.entity.clone(), uid: cell.subject.to_vec(), since };
            let open = Open { duration, is_closed: cell.amounts[0] % 2 == 1 };
            if !self.climb(&connection, open, minute) {
                continue;
            }
            let end = since.plus(duration);
            let score = Ppm::new(score(duration));
            let reason = Reason {
                feature: "duration_seconds",
                log: None,
                columns: &[conn::DURATION],
                observed: Observed::Number(duration),
                expected: Observed::Number(HOUR),
                contribution: score,
            };
            let finding = Finding {
                subject: cell.subject.to_vec(),
                window: (since, end),
                score,
                reasons: vec![reason],
                techniques: TECHNIQUES,
                names: Names::default(),
            };
            out.push(&cell.entity, &[row], end, finding);
        }
    }

    fn save(&mut self, sink: &mut Changes<'_>) {
        for connection in std::mem::take(&mut self.changed) {
            // Only hosts have connections.
            let addr = connection.entity.addr().unwrap_or_default();
            let key =
                [addr.to_bytes().as_slice(), &connection.since.0.to_be_bytes(), &connection.uid]
                    .concat();
            match self.known.entry(&connection) {
                Some((spoken, last)) => {
                    sink(&key, Some(&[spoken.to_be_bytes(), last.0.to_be_bytes()].concat()));
                }
                None => sink(&key, None),
            }
        }
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || "not a connection of long-connection".to_owned();
        let (addr, rest) = key.split_first_chunk::<16>().ok_or_else(wrong)?;
        let (since, uid) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (spoken, last) = value.split_first_chunk::<8>().ok_or_else(wrong)?;
        let last = <[u8; 8]>::try_from(last).map_err(|_| wrong())?;
        let connection = Connection {
            entity: Entity::Host(crate::base::address::Addr::from_bytes(*addr)),
            uid: uid.to_vec(),
            since: Time::new(i64::from_be_bytes(*since)).ok_or_else(wrong)?,
        };
        let last = Minute::try_from(i64::from_be_bytes(last)).map_err(|_| wrong())?;
        self.known.set(connection, i64::from_be_bytes(*spoken), last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladder() {
        let check = |hours: f64, expected: u32| {
            assert_eq!(score((hours * HOUR as f64) as i64), expected, "{hours} h");
        };
        check(0.0, 0);
        check(-5.0, 0);
        check(0.999, 0);
        check(1.0, 200_000);
        check(2.5, 300_000);
        check(4.0, 400_000);
        check(8.0, 600_000);
        check(12.0, 800_000);
        check(72.0, 800_000);
        assert_eq!(score(i64::MAX), 800_000);
    }
}
