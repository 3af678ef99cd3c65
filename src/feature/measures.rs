//! Measures of a label: counts, longest runs and shares, in integers that are divided once.

use super::characters::{COUNT, HYPHEN, UNICODE, digit, is_vowel, letter};
use super::name::Name;
use super::suffix::Kind;

/// 1,000 c log2 c, rounded, by c: entropy without a logarithm.
const WEIGHTED: [u32; 65] = [
    0, 0, 2000, 4755, 8000, 11_610, 15_510, 19_651, 24_000, 28_529, 33_219, 38_054, 43_020, 48_106,
    53_303, 58_603, 64_000, 69_487, 75_059, 80_711, 86_439, 92_239, 98_107, 104_042, 110_039,
    116_096, 122_211, 128_382, 134_606, 140_881, 147_207, 153_580, 160_000, 166_465, 172_974,
    179_525, 186_117, 192_750, 199_421, 206_131, 212_877, 219_660, 226_477, 233_329, 240_215,
    247_133, 254_084, 261_066, 268_078, 275_121, 282_193, 289_294, 296_423, 303_580, 310_764,
    317_975, 325_212, 332_475, 339_763, 347_076, 354_413, 361_775, 369_160, 376_569, 384_000,
];

/// The fifty commonest pairs of letters in English, in order.
const COMMON_PAIRS: [&[u8; 2]; 50] = [
    b"al", b"an", b"ar", b"as", b"at", b"be", b"ce", b"ch", b"co", b"de", b"ea", b"ed", b"en",
    b"er", b"es", b"ha", b"he", b"hi", b"ic", b"in", b"io", b"is", b"it", b"le", b"li", b"ll",
    b"ma", b"me", b"nd", b"ne", b"ng", b"nt", b"of", b"om", b"on", b"or", b"ou", b"ra", b"re",
    b"ri", b"ro", b"se", b"si", b"st", b"te", b"th", b"ti", b"to", b"ur", b"ve",
];

/// What is measured of a label, in the order of the columns; `out` has room for more.
pub(super) fn measure(label: &[i32], out: &mut [f32]) {
    let len = label.len();
    let (letters, digits) = (count(label, is_letter), count(label, is_digit));
    let turns = label.windows(2).filter(|pair| is_turn(pair)).count();
    let hex = count(label, is_hex);
    out[0] = ratio(len, 64);
    out[1] = ratio(digits, len);
    out[2] = ratio(count(label, is_vowel), letters);
    out[3] = ratio(count(label, |id| id == HYPHEN), len);
    shape(label, out);
    out[7] = ratio(run(label, |id| is_letter(id) && !is_vowel(id)), 16);
    out[8] = ratio(run(label, is_vowel), 16);
    out[9] = ratio(run(label, is_digit), 16);
    out[10] = ratio(run(label, is_letter), 32);
    out[11] = ratio(pairs(label, |a, b| is_digit(a) != is_digit(b)), len);
    out[12] = ratio(pairs(label, |a, b| a == b), len);
    out[13] = ratio(hex, len);
    out[14] = flag(hex == len);
    out[15] = flag(label.first().is_some_and(|id| is_digit(*id)));
    out[16] = flag(label.last().is_some_and(|id| is_digit(*id)));
    out[17] = ratio(count(label, |id| id == UNICODE), len);
    out[18] = ratio(turns, len);
    out[21] = ratio(count(label, is_rare), letters);
    out[26] = ratio(span(label), 25);
    out[27] = ratio(count(label, is_base32), len);
    let parts = || label.split(|id| *id == HYPHEN);
    out[28] = ratio(parts().count(), 8);
    out[29] = ratio(parts().map(<[i32]>::len).max().unwrap_or_default(), 64);
    out[30] = ratio(label.windows(3).filter(|three| three[0] == three[2]).count(), len);
    out[31] = ratio(pairs(label, is_common), len);
}

/// What is measured of the suffix of a name, among the measures of its label.
pub(super) fn of_suffix(name: &Name, out: &mut [f32]) {
    let kind = name.kind();
    out[22] = ratio(name.suffix().split('.').count(), 4);
    out[23] = flag(kind == Kind::Private);
    out[24] = flag(kind != Kind::Unlisted);
    out[25] = ratio(name.suffix().len(), 32);
}

/// How many different characters and pairs there are, and how even they are.
fn shape(label: &[i32], out: &mut [f32]) {
    let mut counts = [0_usize; COUNT];
    let mut seen = [[false; COUNT]; COUNT];
    for id in label {
        counts[place(*id)] += 1;
    }
    let mut distinct_pairs = 0;
    for pair in label.windows(2) {
        let slot = &mut seen[place(pair[0])][place(pair[1])];
        distinct_pairs += usize::from(!*slot);
        *slot = true;
    }
    let distinct = counts.iter().filter(|count| **count > 0).count();
    let len = label.len();
    out[4] = ratio(distinct, len);
    out[5] = ratio(distinct, 37);
    out[6] = evenness(&counts, len);
    out[19] = ratio(counts.iter().copied().max().unwrap_or_default(), len);
    out[20] = ratio(distinct_pairs, len);
}

/// Entropy in bits, of which six are the most: (len log2 len - sum of c log2 c) / len.
fn evenness(counts: &[usize], len: usize) -> f32 {
    let weighted: u32 = counts.iter().map(|count| WEIGHTED[*count]).sum();
    ratio((WEIGHTED[len] - weighted) as usize, 6000 * len)
}

/// Entropy of the first 64 characters of a text, from 0 to 1; those beyond ASCII are one.
pub(super) fn entropy(text: &str) -> f32 {
    let mut counts = [0; 129];
    let mut len = 0;
    for c in text.chars().take(WEIGHTED.len() - 1) {
        counts[(c as usize).min(128)] += 1;
        len += 1;
    }
    evenness(&counts, len)
}

fn place(id: i32) -> usize {
    usize::try_from(id).unwrap_or_default()
}

/// `part` of `whole`: both are far below 2^24, so this is the one rounding.
#[expect(clippy::cast_precision_loss, reason = "both are below 2^24")]
pub(super) fn ratio(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// 1 for yes.
pub(super) fn flag(yes: bool) -> f32 {
    if yes { 1.0 } else { 0.0 }
}

fn is_letter(id: i32) -> bool {
    letter(id).is_some()
}

fn is_digit(id: i32) -> bool {
    digit(id).is_some()
}

fn is_hex(id: i32) -> bool {
    is_digit(id) || letter(id).is_some_and(|letter| letter <= b'f')
}

fn is_base32(id: i32) -> bool {
    is_letter(id) || digit(id).is_some_and(|digit| (2..=7).contains(&digit))
}

fn is_rare(id: i32) -> bool {
    letter(id).is_some_and(|letter| b"jkqvwxyz".contains(&letter))
}

fn is_common(a: i32, b: i32) -> bool {
    let (Some(a), Some(b)) = (letter(a), letter(b)) else { return false };
    COMMON_PAIRS.binary_search(&&[a, b]).is_ok()
}

fn is_turn(pair: &[i32]) -> bool {
    is_letter(pair[0]) && is_letter(pair[1]) && is_vowel(pair[0]) != is_vowel(pair[1])
}

/// From the first to the last letter of the alphabet that is used.
fn span(label: &[i32]) -> usize {
    let letters = || label.iter().filter_map(|id| letter(*id));
    letters().max().zip(letters().min()).map_or(0, |(last, first)| usize::from(last - first))
}

fn count(label: &[i32], is: impl Fn(i32) -> bool) -> usize {
    label.iter().filter(|id| is(**id)).count()
}

fn pairs(label: &[i32], is: impl Fn(i32, i32) -> bool) -> usize {
    label.windows(2).filter(|pair| is(pair[0], pair[1])).count()
}

/// The longest run of such characters.
pub(super) fn run(label: &[i32], is: impl Fn(i32) -> bool) -> usize {
    let step = |(longest, run): (usize, usize), id: &i32| {
        let run = if is(*id) { run + 1 } else { 0 };
        (longest.max(run), run)
    };
    label.iter().fold((0, 0), step).0
}
