//! Characters as ids, and what kind of character an id is.

/// How many ids there are; 0 is the end of a label.
pub(super) const COUNT: usize = 41;

const LETTER_FIRST: i32 = 1;
const LETTER_LAST: i32 = 26;
const DIGIT_FIRST: i32 = 27;
const DIGIT_LAST: i32 = 36;
/// The hyphen.
pub(super) const HYPHEN: i32 = 37;
const UNDERSCORE: i32 = 38;
const OTHER_ASCII: i32 = 39;
/// Every letter and sign beyond ASCII.
pub(super) const UNICODE: i32 = 40;

/// The id of `c`.
pub(super) fn id(c: char) -> i32 {
    match c {
        'a'..='z' => LETTER_FIRST + (c as i32 - 'a' as i32),
        '0'..='9' => DIGIT_FIRST + (c as i32 - '0' as i32),
        '-' => HYPHEN,
        '_' => UNDERSCORE,
        _ if c.is_ascii() => OTHER_ASCII,
        _ => UNICODE,
    }
}

/// The id of a character of a URL: as in labels, and each sign of ASCII for itself.
pub(super) fn url_id(c: char) -> i32 {
    const SIGNS: &str = "./?=&%~+,;:@!$'()*#[]{}|^`<>\"\\ ";
    let sign = |c: char| SIGNS.find(c).and_then(|at| i32::try_from(at).ok());
    match id(c) {
        OTHER_ASCII => sign(c).map_or(OTHER_ASCII, |at| UNICODE + 1 + at),
        id => id,
    }
}

/// The letter of ASCII that `id` is.
pub(super) fn letter(id: i32) -> Option<u8> {
    let is_letter = (LETTER_FIRST..=LETTER_LAST).contains(&id);
    is_letter.then(|| b'a' + u8::try_from(id - LETTER_FIRST).unwrap_or_default())
}

/// The digit that `id` is.
pub(super) fn digit(id: i32) -> Option<u8> {
    let is_digit = (DIGIT_FIRST..=DIGIT_LAST).contains(&id);
    is_digit.then(|| u8::try_from(id - DIGIT_FIRST).unwrap_or_default())
}

/// Whether `id` is a vowel; `y` is none.
pub(super) fn is_vowel(id: i32) -> bool {
    letter(id).is_some_and(|letter| b"aeiou".contains(&letter))
}
