//! What can be taken out of a name, to see what its score hangs on.

use super::Name;

/// Parts of a name at most, so that the work for a reason is bounded.
const PARTS_MAX: usize = 48;

/// Parts of the label of the registered domain, each with the name that is left without it: a third
/// of the label and two thirds of it, wherever they may begin.
#[must_use]
pub fn parts(name: &Name) -> Vec<(String, Name)> {
    let label: Vec<char> = name.shown_label().chars().collect();
    let mut found = Vec::new();
    for share in [3, 2] {
        let length = (label.len() * (4 - share) / 3).max(1);
        if length >= label.len() {
            continue;
        }
        let places = label.len() - length + 1;
        let step = places.div_ceil(PARTS_MAX / 2);
        for at in (0..places).step_by(step) {
            let part: String = label[at..at + length].iter().collect();
            let left: String = label[..at].iter().chain(&label[at + length..]).collect();
            if let Ok(left) = Name::parse(format!("{left}.{}", name.suffix()).as_bytes()) {
                found.push((part, left));
            }
        }
    }
    found
}
