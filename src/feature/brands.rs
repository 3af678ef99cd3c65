//! Whose name a host borrows: brands that phishing imitates, against `brands.csv`, which names each
//! with its own domains. The brands are those that feeds of phishing name as targets most often
//! (the columns for it of JPCERT/CC's and PhishTank's public lists), their domains facts.
//!
//! A brand is looked for as a word, glued to other words, misspelt by one character, and by its
//! skeleton (UTS 39): characters that look like others are folded first.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::link::words;
use super::name::Name;

const TABLE: &str = include_str!("brands.csv");

/// Brands that are shorter are words of other languages too: they count as a word of their own
/// only.
const GLUED_MIN: usize = 5;
/// Brands that are shorter have too many neighbours.
const NEAR_MIN: usize = 6;
/// Words of a host that are compared.
const WORDS_MAX: usize = 24;

/// How a host and a path use the name of a brand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Borrowed {
    /// The host is the brand's own.
    pub(super) own: bool,
    /// A label in front of somebody else's registered domain is or has it.
    pub(super) in_front: bool,
    /// A word of the registered label is it.
    pub(super) word: bool,
    /// The registered label has it within a longer word.
    pub(super) glued: bool,
    /// A word of the host is it but for one character, or for what looks alike.
    pub(super) near: bool,
    /// The path has it as a word.
    pub(super) in_path: bool,
}

struct Brands {
    /// Brands in order, each as one word.
    words: Vec<&'static str>,
    /// Brands that may be glued, by their first two letters.
    glued: BTreeMap<[u8; 2], Vec<&'static str>>,
    domains: Vec<&'static str>,
}

static BRANDS: LazyLock<Brands> = LazyLock::new(|| {
    let (mut words, mut domains) = (Vec::new(), Vec::new());
    let mut glued: BTreeMap<[u8; 2], Vec<&str>> = BTreeMap::new();
    for line in TABLE.lines().skip(1) {
        let (brand, own) = line.split_once(',').unwrap_or((line, ""));
        words.push(brand);
        domains.extend(own.split(' '));
        if let (GLUED_MIN.., [first, second, ..]) = (brand.len(), brand.as_bytes()) {
            glued.entry([*first, *second]).or_default().push(brand);
        }
    }
    domains.sort_unstable();
    domains.dedup();
    Brands { words, glued, domains }
});

/// How `name` and the words of a path, which are in lower case, use the names of brands.
pub(super) fn borrowed(name: &Name, path: &str) -> Borrowed {
    let mut found = Borrowed { own: is_own(name), ..Borrowed::default() };
    found.in_path = !found.own && words(path).any(is_brand);
    if found.own {
        return found;
    }
    let label = name.shown_label();
    let front = name.as_str().strip_suffix(name.registered()).unwrap_or_default();
    found.in_front = front.split('.').any(|label| words(label).any(is_brand) || has_glued(label));
    found.word = words(label).any(is_brand);
    let folded = skeleton(label);
    found.glued = !found.word && has_glued(&folded);
    let parts = words(&folded).chain(words(front));
    found.near = !found.word && parts.take(WORDS_MAX).any(is_near)
        || folded != label && words(&folded).any(is_brand);
    found
}

fn is_own(name: &Name) -> bool {
    let own = |domain: &str| BRANDS.domains.binary_search(&domain).is_ok();
    own(name.registered()) || own(name.as_str())
}

fn is_brand(word: &str) -> bool {
    BRANDS.words.binary_search(&word).is_ok()
}

/// Whether a brand stands within a text, however it is glued.
fn has_glued(text: &str) -> bool {
    (0..text.len().saturating_sub(1)).any(|at| {
        let Some(&[first, second]) = text.as_bytes().get(at..at + 2) else { return false };
        let brands = BRANDS.glued.get(&[first, second]);
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        brands.is_some_and(|brands| brands.iter().any(|brand| rest.starts_with(brand.as_bytes())))
    })
}

/// Whether a word is a long brand with one character changed, added, left out or swapped.
fn is_near(word: &str) -> bool {
    if is_brand(word) {
        return false;
    }
    let word = word.as_bytes();
    BRANDS.words.iter().any(|brand| {
        brand.len() >= NEAR_MIN
            && brand.len().abs_diff(word.len()) <= 1
            && differs_by_one(brand.as_bytes(), word)
    })
}

/// Whether one edit makes `a` into `b`: of their common beginning and end all but one character is
/// covered, or two that changed places.
#[must_use]
pub fn differs_by_one(a: &[u8], b: &[u8]) -> bool {
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[front..], &b[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - back], &b[..b.len() - back]);
    match (a, b) {
        ([_], [_]) | ([], [_]) | ([_], []) => true,
        ([first, second], [third, fourth]) => first == fourth && second == third,
        _ => false,
    }
}

/// A label with what looks like a Latin letter folded to it: the pairs of UTS 39's table that a
/// registry may let pass, and digits that are read as letters.
pub(super) fn skeleton(label: &str) -> String {
    label.chars().map(folded).collect::<String>().replace("rn", "m").replace("vv", "w")
}

fn folded(c: char) -> char {
    match c {
        '0' | 'о' | 'ο' | 'օ' | 'ö' | 'ó' | 'ò' | 'ô' | 'õ' | 'ø' => 'o',
        '1' | 'і' | 'ı' | 'ї' | 'í' | 'ì' | 'î' | 'ï' | 'ι' => 'i',
        '3' | 'е' | 'ё' | 'é' | 'è' | 'ê' | 'ë' | 'ẹ' | 'ė' => 'e',
        '4' | 'а' | 'α' | 'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ạ' => 'a',
        '5' | 'ѕ' | 'ś' | 'š' => 's',
        'с' | 'ç' | 'ć' | 'č' => 'c',
        'р' | 'ρ' => 'p',
        'у' | 'ý' | 'ÿ' | 'γ' => 'y',
        'х' | 'χ' => 'x',
        'ո' | 'ñ' | 'ń' => 'n',
        'ü' | 'ú' | 'ù' | 'û' | 'υ' => 'u',
        'κ' | 'к' => 'k',
        'т' | 'τ' => 't',
        'м' => 'm',
        'н' | 'һ' => 'h',
        'ԁ' => 'd',
        'ɡ' | 'ġ' => 'g',
        'ł' | 'ӏ' => 'l',
        'ż' | 'ź' | 'ž' => 'z',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'ԛ' => 'q',
        'ј' => 'j',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let (host, path) = url.split_once('/').unwrap_or((url, ""));
        let found = borrowed(&Name::parse(host.as_bytes()).unwrap(), path);
        let all = [
            (found.own, "own"),
            (found.in_front, "in front"),
            (found.word, "word"),
            (found.glued, "glued"),
            (found.near, "near"),
            (found.in_path, "in path"),
        ];
        let said: Vec<&str> = all.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        assert_eq!(said.join(", "), expected, "{url}");
    }

    #[test]
    fn brands_are_in_order() {
        assert!(BRANDS.words.is_sorted(), "a search in it misses some");
        assert!(TABLE.lines().skip(1).all(|line| line.matches(',').count() == 1));
    }

    #[test]
    fn names_that_are_borrowed() {
        check("www.paypal.com/paypal", "own");
        check("www.gov.uk", "own");
        check("paypal.com.example.ru", "in front");
        check("paypal-login.example.ru", "in front");
        check("paypal-login.com", "word");
        check("mypaypallogin.com", "glued");
        check("paypa1.com", "near");
        check("paypai.com", "near");
        check("payapl.com", "near");
        check("pаypal.com", "glued, near");
        check("arnazon.com", "glued, near");
        check("example.com/paypal/login", "in path");
        check("example.com", "");
        check("lining.com", "");
    }
}
