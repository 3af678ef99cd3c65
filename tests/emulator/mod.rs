//! An emulator of Zeek as the writer of logs: the same system calls on the same names, so that a
//! reader can be tested against rotation, archiving, kills and restarts without a Zeek.
//!
//! A `World` is a host as zeekctl or a supervisor lays it out; `Action`s happen to it; its `Ledger`
//! says what a reader must have found. A `Timeline` makes recorded calls of a real Zeek again.

pub(crate) mod actions;
pub(crate) mod archiver;
mod checks;
pub(crate) mod clock;
pub(crate) mod ledger;
mod replays;
pub(crate) mod rows;
pub(crate) mod timeline;
pub(crate) mod world;
pub(crate) mod writer;
