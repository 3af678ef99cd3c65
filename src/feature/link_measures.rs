//! Measures of a URL: of its registered label those of `dga`, then of host and path.

use super::address::Notation;
use super::brands::{self, Borrowed};
use super::characters::{digit, id, is_vowel, letter};
use super::link::share;
use super::measures::{self, entropy, flag, ratio, run};
use super::name::Name;
use super::url::{Host, Url};

/// Characters of a path that are measured: long ones are counted by their length.
const PATH_MAX: usize = 512;

/// What is measured, in the order of the columns, each about from 0 to 1.
pub(super) const NAMES: &[&str] = &[
    "label_length",
    "label_digits",
    "label_vowels",
    "label_hyphens",
    "label_distinct",
    "label_alphabet",
    "label_entropy",
    "label_consonant_run",
    "label_vowel_run",
    "label_digit_run",
    "label_letter_run",
    "label_switches",
    "label_doubled",
    "label_hex",
    "label_all_hex",
    "label_starts_with_digit",
    "label_ends_with_digit",
    "label_unicode",
    "label_vowel_turns",
    "label_commonest",
    "label_distinct_pairs",
    "label_rare_letters",
    "suffix_labels",
    "suffix_private",
    "suffix_listed",
    "suffix_length",
    "label_letter_span",
    "label_base32",
    "label_parts",
    "label_longest_part",
    "label_echoes",
    "label_common_pairs",
    "host_length",
    "labels_in_front",
    "front_length",
    "front_digits",
    "front_hyphens",
    "front_longest",
    "front_entropy",
    "punycode",
    "scripts_mixed",
    "address",
    "address_odd",
    "address_six",
    "port",
    "port_high",
    "user",
    "brand_own",
    "brand_in_front",
    "brand_word",
    "brand_glued",
    "brand_near",
    "brand_in_path",
    "host_bait",
    "path_bait",
    "path",
    "path_length",
    "segments",
    "query_length",
    "parameters",
    "path_digits",
    "path_letters",
    "path_upper",
    "path_signs",
    "path_distinct",
    "path_entropy",
    "path_vowels",
    "path_digit_run",
    "path_consonant_run",
    "layers",
    "dots",
    "longest_segment",
    "last_segment",
    "mean_segment",
    "hex_segment",
    "mixed_segment",
    "number_segments",
    "word_segments",
    "double_extension",
    "ends_with_slash",
    "double_slash",
    "url_within",
    "mail_within",
    "tilde",
    "hidden_segment",
    "strange_characters",
    "content_management",
    "extension_page",
    "extension_script",
    "extension_program",
    "extension_archive",
    "extension_document",
    "extension_media",
    "extension_asset",
    "extension_machine",
    "extension_other",
    "extension_none",
    "bare_word",
    "file_length",
    "file_digits",
    "file_letters",
    "file_upper",
    "file_vowels",
    "file_distinct",
    "file_entropy",
    "file_consonant_run",
    "file_digit_run",
    "file_letter_run",
    "file_switches",
    "file_humps",
    "file_hyphens",
    "file_underscores",
    "file_dots",
    "file_hex",
    "file_number",
    "file_one",
    "file_version",
    "file_machine",
    "extension_length",
    "extension_before",
    "directory_mean",
    "directory_least",
    "directory_digits",
    "directory_upper",
    "directory_entropy",
    "directory_vowels",
    "directory_consonant_run",
    "query_digits",
    "query_upper",
    "query_entropy",
    "query_vowels",
    "query_digit_run",
    "query_bare",
    "words",
    "word_mean",
    "word_longest",
    "label_in_path",
];

/// Words that lure somebody into giving something away.
const BAIT: &[&str] = &[
    "account",
    "alert",
    "auth",
    "authenticate",
    "bank",
    "banking",
    "billing",
    "bonus",
    "card",
    "claim",
    "client",
    "confirm",
    "customer",
    "delivery",
    "gift",
    "help",
    "identity",
    "info",
    "invoice",
    "login",
    "logon",
    "mail",
    "member",
    "mobile",
    "online",
    "owa",
    "pay",
    "payment",
    "portal",
    "recover",
    "refund",
    "reward",
    "secure",
    "security",
    "service",
    "session",
    "sign",
    "signin",
    "support",
    "suspend",
    "tax",
    "token",
    "track",
    "unlock",
    "update",
    "user",
    "validate",
    "verification",
    "verify",
    "wallet",
    "webmail",
];

/// Directories and scripts of content management that those who break in use.
const MANAGED: &[&str] = &[
    "administrator",
    "cgi-bin",
    "components",
    "includes",
    "modules",
    "wp-admin",
    "wp-content",
    "wp-includes",
];

/// What extensions stand for.
const EXTENSIONS: &[(&str, &[&str])] = &[
    (
        "extension_page",
        &[
            "asp", "aspx", "cfm", "do", "htm", "html", "jsf", "jsp", "php", "php3", "phtml",
            "shtml", "xhtml",
        ],
    ),
    (
        "extension_script",
        &["bat", "cmd", "hta", "js", "jse", "lnk", "ps1", "psm1", "py", "sh", "vbe", "vbs", "wsf"],
    ),
    (
        "extension_program",
        &[
            "apk", "app", "bin", "com", "cpl", "dll", "dmg", "elf", "exe", "jar", "msi", "ocx",
            "pif", "pkg", "run", "scr", "so", "sys", "xpi",
        ],
    ),
    (
        "extension_archive",
        &[
            "7z", "ace", "arj", "bz2", "cab", "deb", "gz", "img", "iso", "r00", "rar", "rpm",
            "tar", "tbz", "tgz", "xz", "zip",
        ],
    ),
    (
        "extension_document",
        &[
            "csv", "doc", "docm", "docx", "odt", "pdf", "ppt", "pptx", "rtf", "txt", "xls", "xlsb",
            "xlsm", "xlsx", "xml",
        ],
    ),
    (
        "extension_media",
        &[
            "avi", "bmp", "flv", "gif", "ico", "jpeg", "jpg", "mov", "mp3", "mp4", "png", "svg",
            "swf", "wav", "webm", "webp",
        ],
    ),
    ("extension_asset", &["css", "json", "map", "mjs", "rss", "ttf", "woff", "woff2"]),
    (
        "extension_machine",
        &[
            "arc", "arm", "arm4", "arm5", "arm6", "arm7", "armv4l", "armv5l", "armv6l", "armv7l",
            "i486", "i586", "i686", "m68k", "mips", "mipsel", "mpsl", "ppc", "sh4", "sparc", "spc",
            "x32", "x64", "x86", "x86_64",
        ],
    ),
];

/// Puts measures in the order of [`NAMES`].
struct Out<'a> {
    slots: &'a mut [f32],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, name: &str, value: f32) {
        debug_assert_eq!(NAMES[self.at], name, "the order of the columns");
        self.slots[self.at] = value;
        self.at += 1;
    }
}

/// Fills a row; `host` is the host without `www.`.
pub(super) fn measure(url: &Url, host: &str, slots: &mut [f32]) {
    let name = match url.host() {
        Host::Name(name) => Some(name),
        Host::Address(..) => None,
    };
    if let Some(name) = name {
        of_label(name, slots);
    }
    let path: String = url.path().chars().take(PATH_MAX).collect();
    let small = path.to_lowercase();
    let mut out = Out { slots, at: LABEL };
    of_host(url, name, host, &mut out);
    let borrowed = name.map(|name| brands::borrowed(name, &small)).unwrap_or_default();
    of_lures(borrowed, host, &small, &mut out);
    of_path(url, &path, &small, &mut out);
    of_segments(&small, &mut out);
    of_extension(&small, &mut out);
    of_file(&path, &mut out);
    of_directories(&path, &mut out);
    of_query(&path, &mut out);
    of_words(name, &small, &mut out);
    debug_assert_eq!(out.at, NAMES.len(), "a column without a measure");
}

/// Measures of the registered label and the suffix.
const LABEL: usize = 32;

fn of_label(name: &Name, slots: &mut [f32]) {
    let label: Vec<i32> = name.shown_label().chars().take(64).map(id).collect();
    measures::measure(&label, slots);
    measures::of_suffix(name, slots);
}

fn of_host(url: &Url, name: Option<&Name>, host: &str, out: &mut Out<'_>) {
    let front = name.map_or("", |name| host.strip_suffix(name.registered()).unwrap_or_default());
    let labels = || front.split('.').filter(|label| !label.is_empty());
    let notation = match url.host() {
        Host::Address(_, notation) => Some(*notation),
        Host::Name(_) => None,
    };
    out.put("host_length", ratio(host.len(), 64));
    out.put("labels_in_front", ratio(labels().count(), 8));
    out.put("front_length", ratio(front.len(), 64));
    out.put("front_digits", share(front, |c| c.is_ascii_digit()));
    out.put("front_hyphens", ratio(front.matches('-').count(), 8));
    out.put("front_longest", ratio(labels().map(str::len).max().unwrap_or_default(), 64));
    out.put("front_entropy", entropy(front));
    out.put("punycode", flag(host.split('.').any(|label| label.starts_with("xn--"))));
    out.put("scripts_mixed", flag(name.is_some_and(|name| is_mixed(name.shown_label()))));
    out.put("address", flag(notation.is_some()));
    out.put("address_odd", flag(notation == Some(Notation::Odd)));
    out.put("address_six", flag(notation == Some(Notation::Six)));
    out.put("port", flag(url.port().is_some()));
    out.put("port_high", flag(url.port().is_some_and(|port| port >= 10_000)));
    out.put("user", flag(url.has_user()));
}

/// Whether letters of ASCII stand beside others of one that looks like them: Greek, Cyrillic,
/// Armenian.
fn is_mixed(label: &str) -> bool {
    label.chars().any(|c| c.is_ascii_alphabetic())
        && label.chars().any(|c| matches!(c, '\u{370}'..='\u{58f}'))
}

fn of_lures(borrowed: Borrowed, host: &str, path: &str, out: &mut Out<'_>) {
    out.put("brand_own", flag(borrowed.own));
    out.put("brand_in_front", flag(borrowed.in_front));
    out.put("brand_word", flag(borrowed.word));
    out.put("brand_glued", flag(borrowed.glued));
    out.put("brand_near", flag(borrowed.near));
    out.put("brand_in_path", flag(borrowed.in_path));
    out.put("host_bait", ratio(bait(host), 4));
    out.put("path_bait", ratio(bait(path), 4));
}

/// How many words lure.
fn bait(text: &str) -> usize {
    let words = text.split(|c: char| !c.is_ascii_lowercase());
    words.filter(|word| BAIT.binary_search(word).is_ok()).count().min(8)
}

fn of_path(url: &Url, path: &str, small: &str, out: &mut Out<'_>) {
    let (segments, query) = small.split_once('?').unwrap_or((small, ""));
    let ids: Vec<i32> = small.chars().take(PATH_MAX).map(id).collect();
    let is_letter = |c: char| c.is_ascii_alphabetic();
    out.put("path", flag(!small.is_empty()));
    out.put("path_length", ratio(url.path().len().min(512), 128));
    out.put("segments", ratio(parts(segments).count().min(16), 8));
    out.put("query_length", ratio(query.len(), 128));
    let parameters = if query.is_empty() { 0 } else { query.matches('&').count() + 1 };
    out.put("parameters", ratio(parameters.min(16), 8));
    out.put("path_digits", share(path, |c| c.is_ascii_digit()));
    out.put("path_letters", share(path, is_letter));
    out.put("path_upper", share(path, |c| c.is_ascii_uppercase()));
    out.put("path_signs", share(path, |c| c.is_ascii_punctuation() && c != '/'));
    out.put("path_distinct", ratio(distinct(small), 40));
    out.put("path_entropy", entropy(small));
    out.put("path_vowels", vowels(small));
    out.put("path_digit_run", ratio(run(&ids, |id| digit(id).is_some()).min(32), 16));
    let is_consonant = |id| letter(id).is_some() && !is_vowel(id);
    out.put("path_consonant_run", ratio(run(&ids, is_consonant).min(32), 16));
    out.put("layers", ratio(url.rounds(), 4));
    out.put("dots", ratio(url.dots().min(8), 4));
}

/// Segments with something in them.
fn parts(segments: &str) -> impl Iterator<Item = &str> {
    segments.split('/').filter(|part| !part.is_empty())
}

/// How many different characters there are, those beyond ASCII being one.
fn distinct(text: &str) -> usize {
    let seen = text.bytes().fold(0_u128, |seen, byte| seen | 1 << byte.min(127));
    seen.count_ones() as usize
}

fn of_segments(small: &str, out: &mut Out<'_>) {
    let (segments, query) = small.split_once('?').unwrap_or((small, ""));
    let length = |part: &str| part.len().min(128);
    let count = parts(segments).count();
    let sum: usize = parts(segments).map(length).sum();
    let any = |is: fn(&str) -> bool| flag(parts(segments).any(is));
    let share_of = |is: fn(&str) -> bool| ratio(parts(segments).filter(|it| is(it)).count(), count);
    out.put("longest_segment", ratio(parts(segments).map(length).max().unwrap_or_default(), 64));
    out.put("last_segment", ratio(parts(segments).last().map(length).unwrap_or_default(), 64));
    out.put("mean_segment", ratio(sum, 32 * count.max(1)));
    out.put("hex_segment", any(|it| it.len() >= 8 && it.bytes().all(|b| b.is_ascii_hexdigit())));
    out.put("mixed_segment", any(|it| switches(it) >= 4));
    out.put("number_segments", share_of(|it| it.bytes().all(|byte| byte.is_ascii_digit())));
    out.put("word_segments", share_of(|it| it.bytes().all(|byte| byte.is_ascii_lowercase())));
    out.put("double_extension", flag(has_double_extension(segments)));
    out.put("ends_with_slash", flag(segments.ends_with('/')));
    out.put("double_slash", flag(segments.contains("//")));
    let within = small.get(1..).unwrap_or_default();
    let is_url =
        |text: &str| text.contains("http:") || text.contains("https:") || text.contains("www.");
    out.put("url_within", flag(is_url(within)));
    out.put("mail_within", flag(query.contains('@') || segments.contains('@')));
    out.put("tilde", flag(segments.contains("/~")));
    out.put("hidden_segment", any(|it| it.len() > 1 && it.starts_with('.')));
    out.put("strange_characters", share(small, |c| !c.is_ascii() || c.is_ascii_control()));
    let managed = |it: &str| MANAGED.binary_search(&it).is_ok();
    out.put("content_management", flag(parts(segments).any(managed)));
}

/// How often letters and digits take turns.
fn switches(text: &str) -> usize {
    let bytes = text.as_bytes();
    bytes.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count()
}

/// Whether a name ends in an extension of something to look at and then in one of something to run.
fn has_double_extension(segments: &str) -> bool {
    let file = segments.rsplit('/').next().unwrap_or_default();
    let mut ends = file.rsplit('.');
    let (Some(last), Some(before)) = (ends.next(), ends.next()) else { return false };
    // What is left is its name.
    let is = |end: &str, kinds: &[&str]| kind(end).is_some_and(|kind| kinds.contains(&kind));
    ends.next().is_some()
        && is(last, &["extension_script", "extension_program", "extension_archive"])
        && is(before, &["extension_document", "extension_media", "extension_page"])
}

/// What an extension stands for, as the column of it.
pub(super) fn kind(extension: &str) -> Option<&'static str> {
    let is = |(_, all): &&(&str, &[&str])| all.binary_search(&extension).is_ok();
    EXTENSIONS.iter().find(is).map(|(name, _)| *name)
}

/// The extension of the last segment of a path in lower case.
pub(super) fn extension(path: &str) -> Option<&str> {
    let segments = path.split('?').next().unwrap_or_default();
    let (name, extension) = segments.rsplit('/').next()?.rsplit_once('.')?;
    let is_one = !name.is_empty()
        && (1..=8).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_one.then_some(extension)
}

fn of_extension(small: &str, out: &mut Out<'_>) {
    let extension = extension(small);
    let found = extension.and_then(kind);
    for (name, _) in EXTENSIONS {
        out.put(name, flag(found == Some(*name)));
    }
    out.put("extension_other", flag(extension.is_some() && found.is_none()));
    out.put("extension_none", flag(extension.is_none()));
    // `/i` and `/bin` and their like.
    let last = small.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let bare = small.matches('/').count() == 1 && (1..=8).contains(&last.len());
    out.put("bare_word", flag(bare && last.bytes().all(|byte| byte.is_ascii_alphanumeric())));
}

/// What is measured of a file's name without its extension.
fn of_file(path: &str, out: &mut Out<'_>) {
    let segments = path.split('?').next().unwrap_or_default();
    let last = segments.rsplit('/').next().unwrap_or_default();
    let small = last.to_lowercase();
    let end = extension(&small);
    let length = last.len() - end.map_or(0, |end| end.len() + 1);
    // Only letters that change their length in lower case could make this miss.
    let file = last.get(..length).unwrap_or(last);
    let low = file.to_lowercase();
    let ids: Vec<i32> = low.chars().map(id).collect();
    let len = file.chars().count();
    out.put("file_length", ratio(len.min(128), 32));
    out.put("file_digits", share(file, |c| c.is_ascii_digit()));
    out.put("file_letters", share(file, |c| c.is_ascii_alphabetic()));
    out.put("file_upper", share(file, |c| c.is_ascii_uppercase()));
    out.put("file_vowels", vowels(&low));
    out.put("file_distinct", ratio(distinct(&low), len));
    out.put("file_entropy", entropy(&low));
    let is_consonant = |id| letter(id).is_some() && !is_vowel(id);
    out.put("file_consonant_run", ratio(run(&ids, is_consonant).min(32), 16));
    out.put("file_digit_run", ratio(run(&ids, |id| digit(id).is_some()).min(32), 16));
    out.put("file_letter_run", ratio(run(&ids, |id| letter(id).is_some()).min(32), 16));
    out.put("file_switches", ratio(switches(file).min(32), 16));
    out.put("file_humps", ratio(humps(file).min(16), 8));
    out.put("file_hyphens", ratio(file.matches('-').count().min(8), 4));
    out.put("file_underscores", ratio(file.matches('_').count().min(8), 4));
    out.put("file_dots", ratio(file.matches('.').count().min(8), 4));
    out.put("file_hex", flag(len >= 6 && low.bytes().all(|byte| byte.is_ascii_hexdigit())));
    out.put("file_number", flag(len > 0 && file.bytes().all(|byte| byte.is_ascii_digit())));
    out.put("file_one", flag(len == 1));
    out.put("file_version", flag(has_version(last)));
    let is_machine = |name: &str| kind(name) == Some("extension_machine");
    out.put("file_machine", flag(is_machine(&low) || low.split('.').any(is_machine)));
    out.put("extension_length", ratio(end.map_or(0, str::len), 8));
    let before = low.rsplit_once('.').map(|(_, before)| before);
    out.put("extension_before", flag(before.is_some_and(|before| kind(before).is_some())));
}

/// The share of vowels in the letters of a text.
fn vowels(text: &str) -> f32 {
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    ratio(text.chars().filter(|c| "aeiou".contains(*c)).count(), letters)
}

/// How often a capital follows a small letter.
fn humps(text: &str) -> usize {
    let is_hump = |two: &&[u8]| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase();
    text.as_bytes().windows(2).filter(is_hump).count()
}

/// Whether a dot stands between digits.
fn has_version(text: &str) -> bool {
    let is_dot =
        |three: &[u8]| three[1] == b'.' && three[0].is_ascii_digit() && three[2].is_ascii_digit();
    text.as_bytes().windows(3).any(is_dot)
}

/// What is measured of the segments in front of the file.
fn of_directories(path: &str, out: &mut Out<'_>) {
    let segments = path.split('?').next().unwrap_or_default();
    let end = segments.rfind('/').unwrap_or_default();
    let directories = || parts(segments.get(..end).unwrap_or_default());
    let sum: usize = directories().map(|it| it.len().min(128)).sum();
    out.put("directory_mean", ratio(sum, 16 * directories().count().max(1)));
    out.put("directory_least", ratio(directories().map(str::len).min().unwrap_or(0).min(64), 16));
    // Of equals the last.
    let longest = directories().max_by_key(|it| it.len()).unwrap_or_default();
    let low = longest.to_lowercase();
    let ids: Vec<i32> = low.chars().map(id).collect();
    out.put("directory_digits", share(longest, |c| c.is_ascii_digit()));
    out.put("directory_upper", share(longest, |c| c.is_ascii_uppercase()));
    out.put("directory_entropy", entropy(&low));
    out.put("directory_vowels", vowels(&low));
    let is_consonant = |id| letter(id).is_some() && !is_vowel(id);
    out.put("directory_consonant_run", ratio(run(&ids, is_consonant).min(32), 16));
}

fn of_query(path: &str, out: &mut Out<'_>) {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let low = query.to_lowercase();
    let ids: Vec<i32> = low.chars().map(id).collect();
    out.put("query_digits", share(query, |c| c.is_ascii_digit()));
    out.put("query_upper", share(query, |c| c.is_ascii_uppercase()));
    out.put("query_entropy", entropy(&low));
    out.put("query_vowels", vowels(&low));
    out.put("query_digit_run", ratio(run(&ids, |id| digit(id).is_some()).min(32), 16));
    out.put("query_bare", flag(!query.is_empty() && !query.contains('=')));
}

/// What is measured of runs of letters.
fn of_words(name: Option<&Name>, small: &str, out: &mut Out<'_>) {
    let words = || small.split(|c: char| !c.is_ascii_lowercase()).filter(|word| !word.is_empty());
    let sum: usize = words().map(str::len).sum();
    out.put("words", ratio(words().filter(|word| word.len() >= 3).count().min(32), 16));
    out.put("word_mean", ratio(sum, 8 * words().count().max(1)));
    out.put("word_longest", ratio(words().map(str::len).max().unwrap_or_default().min(64), 16));
    let is_in = |name: &Name| name.label().len() > 3 && small.contains(name.label());
    out.put("label_in_path", flag(name.is_some_and(is_in)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_order() {
        let extensions = EXTENSIONS.iter().map(|(_, list)| *list);
        for list in [BAIT, MANAGED].into_iter().chain(extensions) {
            assert!(list.is_sorted(), "a search in it misses some: {list:?}");
        }
    }
}
