//! The features of `dga`: the characters of the registered label and measures of them, and the
//! suffix. The labels in front say nothing here: generated names are registered ones, and so scores
//! can be kept by registered domain.

use super::characters::id;
use super::measures::{measure, of_suffix};
use super::suffix::{SUFFIX_WIDTH, suffix_ids};
use super::{Element, FeatureDef, InputDef, Matrix, Row};

pub use super::{Name, Unusable};

/// Characters of a label that are seen: those of the longest.
const LABEL_WIDTH: usize = 64;
/// What is measured of a label and its suffix, each about from 0 to 1.
const MEASURES: &[&str] = &[
    "length",
    "digits",
    "vowels",
    "hyphens",
    "distinct",
    "alphabet",
    "entropy",
    "consonant_run",
    "vowel_run",
    "digit_run",
    "letter_run",
    "switches",
    "doubled",
    "hex",
    "all_hex",
    "starts_with_digit",
    "ends_with_digit",
    "unicode",
    "vowel_turns",
    "commonest",
    "distinct_pairs",
    "rare_letters",
    "suffix_labels",
    "suffix_private",
    "suffix_listed",
    "suffix_length",
    "letter_span",
    "base32",
    "parts",
    "longest_part",
    "echoes",
    "common_pairs",
];

/// What the model of `dga` reads.
pub static DGA: FeatureDef = FeatureDef {
    detector: "dga",
    version: 1,
    inputs: &[
        InputDef { name: "label", element: Element::I32, width: LABEL_WIDTH },
        InputDef { name: "suffix", element: Element::I32, width: SUFFIX_WIDTH },
        InputDef { name: "measures", element: Element::F32, width: MEASURES.len() },
    ],
    measures: MEASURES,
};

/// Appends the row of `name`.
pub fn push(name: &Name, matrix: &mut Matrix) {
    assert_eq!(matrix.def(), &DGA, "rows of another detector");
    let mut characters = [0; LABEL_WIDTH];
    let mut len = 0;
    for (slot, c) in characters.iter_mut().zip(name.shown_label().chars()) {
        *slot = id(c);
        len += 1;
    }
    for (at, row) in matrix.grow().enumerate() {
        match row {
            Row::Ids(out) if at == 0 => out.copy_from_slice(&characters),
            Row::Ids(out) => out.copy_from_slice(&suffix_ids(name)),
            Row::Measures(out) => {
                measure(&characters[..len], out);
                of_suffix(name, out);
            }
        }
    }
}
