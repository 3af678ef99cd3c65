//! The features of `dga`: the characters of the registered label and measures of them, and the
//! suffix. The labels in front say nothing here: generated names are registered ones, and so scores
//! can be kept by registered domain.

use super::characters::id;
use super::measures::{flag, measure, ratio};
use super::suffix::Kind;
use super::{Element, FeatureDef, InputDef, Matrix, Row};

pub use super::{Name, Unusable};

/// Characters of a label that are seen: those of the longest.
const LABEL_WIDTH: usize = 64;
/// What a suffix says: its own id, that of its last label, who keeps it, how many labels it has.
const SUFFIX_WIDTH: usize = 4;

/// Ids of whole suffixes; 0 is none.
const SUFFIX_IDS: u32 = 4096;
/// Ids of last labels; 0 is none.
const TOP_IDS: u32 = 1024;

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
    let labels = name.suffix().split('.').count();
    for (at, row) in matrix.grow().enumerate() {
        match row {
            Row::Ids(out) if at == 0 => out.copy_from_slice(&characters),
            Row::Ids(out) => out.copy_from_slice(&suffix(name, labels)),
            Row::Measures(out) => {
                measure(&characters[..len], out);
                let kind = name.kind();
                out[22] = ratio(labels, 4);
                out[23] = flag(kind == Kind::Private);
                out[24] = flag(kind != Kind::Unlisted);
                out[25] = ratio(name.suffix().len(), 32);
            }
        }
    }
}

/// The ids of a suffix, as in [`SUFFIX_WIDTH`].
fn suffix(name: &Name, labels: usize) -> [i32; SUFFIX_WIDTH] {
    let suffix = name.suffix();
    let top = suffix.rsplit('.').next().unwrap_or(suffix);
    let bucket = |text: &str, ids: u32| (fnv(text) % (ids - 1) + 1).cast_signed();
    [bucket(suffix, SUFFIX_IDS), bucket(top, TOP_IDS), name.kind() as i32, labels.min(7) as i32]
}

/// FNV-1a: the same on every machine, and in the training's tests.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
