//! Reasons whose shares add up to the score exactly.

use crate::base::limits::SHARES_MAX;
use crate::base::score::Ppm;
use crate::record::schema::ColumnId;
use crate::record::{Observed, Reason};

/// Adds reasons up to a score of at most 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    reasons: Vec<Reason>,
}

impl Sum {
    /// Adds one reason: what was looked at and which columns that shows, what was seen in them,
    /// what is usual, and its share in parts per million.
    pub(super) fn add(
        &mut self,
        (feature, columns): (&'static str, &'static [ColumnId]),
        seen: &[u8],
        expected: &str,
        share: u32,
    ) {
        self.reasons.push(Reason {
            feature,
            log: None,
            columns,
            observed: Observed::Text(shown(seen)),
            expected: Observed::Text(expected.to_owned()),
            contribution: Ppm::new(share),
        });
    }

    /// The score and its reasons, the strongest first; what goes beyond 1 is taken from the
    /// weakest.
    pub(super) fn finish(mut self) -> (Ppm, Vec<Reason>) {
        self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution));
        self.reasons.truncate(SHARES_MAX);
        let mut total = 0;
        for reason in &mut self.reasons {
            let left = Ppm::ONE.get() - total;
            reason.contribution = Ppm::new(reason.contribution.get().min(left));
            total += reason.contribution.get();
        }
        (Ppm::new(total), self.reasons)
    }
}

/// A text as a reason shows it: at most 256 bytes, what is no UTF-8 replaced.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..256).unwrap_or(text)).into_owned()
}
