//! What may happen to the logs of a host, and sequences of it that proptest makes and shrinks.

use proptest::prelude::{Just, Strategy};
use proptest::{collection, prop_oneof, sample};

use crate::emulator::rows::Log;

/// Something that happens. What a moment does not allow does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// So many whole records.
    Write { log: Log, records: u16 },
    /// The first bytes of a record.
    WritePart { log: Log, percent: u8 },
    /// The rest of it; any other write finishes it first.
    FinishPart { log: Log },
    /// Every log that has a file.
    Rotate,
    /// The oldest finished file is compressed and removed.
    Archive,
    /// The oldest finished file is removed, and no copy is left.
    Remove,
    /// The process dies and its directory is moved away.
    MoveDirectory,
    /// The process dies, and the next one truncates the file of this log in place.
    TruncateRestart { log: Log },
    /// The process dies, maybe in the middle of a record.
    Kill,
    /// A clean stop, which rotates and then leaves a few records in new files.
    Stop,
    /// A new process in the same directory; the one that ran dies.
    Restart,
    /// Real time passes, and a second of the emulated time.
    Pause { milliseconds: u8 },
    /// Somebody copies the live file to a name beside it.
    Copy { log: Log },
    /// Somebody truncates the live file, whose writer goes on at its old offset.
    Hollow { log: Log, keeps_copy: bool },
    /// A new process in a new directory, to which `logs/current` is re-pointed.
    Repoint,
}

fn log() -> impl Strategy<Value = Log> {
    sample::select(Log::ALL.as_slice())
}

/// What Zeek and its archivers do. The simplest come first: proptest shrinks towards them.
pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (log(), 1..40_u16).prop_map(|(log, records)| Action::Write { log, records }),
        3 => (log(), 0..=100_u8).prop_map(|(log, percent)| Action::WritePart { log, percent }),
        2 => log().prop_map(|log| Action::FinishPart { log }),
        4 => Just(Action::Rotate),
        4 => Just(Action::Archive),
        2 => Just(Action::Remove),
        3 => Just(Action::Restart),
        1 => Just(Action::Kill),
        1 => Just(Action::Stop),
        2 => log().prop_map(|log| Action::TruncateRestart { log }),
        1 => Just(Action::MoveDirectory),
        1 => (0..20_u8).prop_map(|milliseconds| Action::Pause { milliseconds }),
    ]
}

/// All of that, and what others may do to the files.
pub(crate) fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        30 => action(),
        1 => log().prop_map(|log| Action::Copy { log }),
        1 => (log(), proptest::bool::ANY)
            .prop_map(|(log, keeps_copy)| Action::Hollow { log, keeps_copy }),
        1 => Just(Action::Repoint),
    ]
}

/// Up to `longest` of `action`; every part of a sequence is one, so they shrink well.
pub(crate) fn sequence(
    action: impl Strategy<Value = Action>,
    longest: usize,
) -> impl Strategy<Value = Vec<Action>> {
    collection::vec(action, 1..=longest)
}
