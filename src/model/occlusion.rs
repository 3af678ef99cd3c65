//! Which part of an item its score hangs on: parts are taken out, one at a time, and what is left
//! is scored again. Bounded, since who asks gives the parts; only for scores that are shown to
//! somebody.

use super::Scorer;
use crate::base::score::Ppm;
use crate::feature::Matrix;

/// A part of an item, and by how much the score is lower without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part.
    pub text: String,
    /// The score of what is left.
    pub left: Ppm,
}

/// The part without which the score is lowest, if that is lower than `whole`; of equals the
/// shorter, then the first. Nothing where the library fails: a reason is no reason to end. Each of
/// `parts` comes with the item that is left without it.
pub fn strongest<T>(
    scorer: &mut Scorer,
    whole: Ppm,
    parts: &[(String, T)],
    key: impl Fn(&T) -> &[u8],
    push: impl Fn(&T, &mut Matrix),
) -> Option<Part> {
    let row = |(_, left): &(String, T), matrix: &mut Matrix| push(left, matrix);
    let scores = scorer.try_score(parts, |(_, left)| key(left), row).ok()?;
    let lower = parts.iter().zip(scores).filter(|(_, left)| *left < whole);
    let best = lower.min_by_key(|((text, _), left)| (*left, text.len()))?;
    Some(Part { text: best.0.0.clone(), left: best.1 })
}
