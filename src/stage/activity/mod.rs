//! What entities do: for each hour and day a row of measures, built once and read by the stages
//! that know what is usual.
//!
//! Lanes say what their records add to an hour of an entity ([`Fold`]), already summed by batch:
//! sums, bits of sets, and records that may stand for it. These commute, so it does not matter in
//! which order lanes meet. The entity lane adds them to open windows ([`Window`]); when an hour or
//! a day is over it becomes numbers ([`Window::measure`]); between its hours a day is put away
//! ([`Day`]). Records that are late count in the oldest minute that is open, so in its hour.
//!
//! Only what an entity does counts: there is no window where it did nothing, and a silence is no
//! behaviour. No measure is a port, an address or a time as a number.
//!
//! Not here: what is usual (`profile`), when a window ends (`engine`).

mod fold;
mod measures;
mod packed;
#[cfg(test)]
mod tests;
mod window;

pub use fold::{Deed, Deeds, Fold, READS};
pub use measures::{Aspect, MEASURES, Measure, Row, Scale, WIDTH, shown};
pub(super) use measures::{CONNECTIONS, RECEIVED, REQUESTS, SENT};
pub use packed::{Day, Held};
pub use window::{Sample, Span, Told, Window};
