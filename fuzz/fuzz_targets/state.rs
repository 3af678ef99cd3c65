//! Any bytes as what lasts: keys and values, what a commit left, the journal. Each is refused or
//! taken, never a panic and never a huge allocation; what was taken explains, is saved and can be
//! taken again. How long a made-up score takes to fade is no matter of this: who can write the state
//! is the daemon.

#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use zeek_ueba::base::codec::{Damaged, decode};
use zeek_ueba::config::Plan;
use zeek_ueba::engine::Applier;
use zeek_ueba::record::Entity;
use zeek_ueba::state::{Journaled, Left, Owner};
use zeek_ueba::tail::Board;
use zeek_ueba::wiring;

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// One piece of the input: its kind, its length, itself.
fn piece<'a>(data: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [kind, low, high, rest @ ..] = *data else { return None };
    let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (piece, rest) = rest.split_at(length);
    *data = rest;
    Some((*kind, piece))
}

/// A key and its value.
fn pair(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = piece.split_first()?;
    Some(rest.split_at(usize::from(*length).min(rest.len())))
}

fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let mut crc = flate2::Crc::new();
    crc.update(payload);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(payload);
}

/// The state as it is taken back at a start.
struct Taken {
    applier: Applier,
    board: Board,
    entities: Vec<Entity>,
}

impl Taken {
    fn new(plan: &Plan) -> Self {
        let applier = Applier::new(wiring::core(plan));
        Self { applier, board: Board::default(), entities: Vec::new() }
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        match Applier::file_of(key) {
            Some(generation) => self.board.load(generation, value)?,
            None => self.applier.load(key, value)?,
        }
        self.entities.extend(decode::<Entity>(key.get(1..).unwrap_or_default()));
        Ok(())
    }
}

/// Where the journal is put: in memory, where there is such a place.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("zeek-ueba-fuzz-{}", std::process::id()))
}

fn journal(snapshot: &[u8], journal: &[u8]) -> Option<Journaled> {
    let place = place();
    fs::create_dir_all(&place).expect("a directory");
    fs::write(place.join("00000003.snapshot"), snapshot).expect("room");
    fs::write(place.join("00000003.journal"), journal).expect("room");
    let found = Journaled::read(&place).ok();
    fs::remove_dir_all(&place).expect("it was there");
    found
}

fn check(plan: &Plan, mut data: &[u8]) {
    let mut taken = Taken::new(plan);
    let (mut snapshot, mut steps) = (Vec::new(), Vec::new());
    let mut is_refused = false;
    while let Some((kind, piece)) = piece(&mut data) {
        match kind {
            b'L' => drop(decode::<Left>(piece)),
            b'O' => drop(decode::<Owner>(piece)),
            b'S' => frame(piece, &mut snapshot),
            b'J' => frame(piece, &mut steps),
            b's' => snapshot.extend_from_slice(piece),
            b'j' => steps.extend_from_slice(piece),
            _ => {
                let Some((key, value)) = pair(piece) else { continue };
                is_refused |= taken.load(key, value).is_err();
            }
        }
    }
    if !snapshot.is_empty() || !steps.is_empty() {
        for (key, value) in journal(&snapshot, &steps).unwrap_or_default().keys {
            is_refused |= taken.load(&key, &value).is_err();
        }
    }
    // A daemon does not start with a state of which it refused something.
    if is_refused {
        return;
    }
    for entity in &taken.entities {
        drop(taken.applier.core.explain(entity));
    }
    taken.applier.begin();
    let mut again = Taken::new(plan);
    for (key, value) in taken.applier.save().keys {
        if let Some(value) = value {
            again.load(&key, &value).expect("what was saved can be taken");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    PLAN.with_borrow_mut(|plan| check(plan.get_or_insert_with(zeek_ueba_fuzz::plan), data));
});
