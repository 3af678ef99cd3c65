//! Names and their rows, in text form; and the laws: any bytes give a row or a reason.

use proptest::prelude::*;

use super::dga::{DGA, push};
use super::{Matrix, Name, Tensor, Unusable, Url, link, url_parts};
use crate::base::limits::ITEM_BYTES_MAX;

/// `label | suffix`, or the reason.
fn read(line: &[u8]) -> String {
    match Name::parse(line) {
        Ok(name) => format!("{} | {}", name.shown_label(), name.suffix()),
        Err(unusable) => unusable.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(read(line.as_bytes()), *expected, "{line:?}");
    }
}

#[test]
fn names_have_a_registered_domain() {
    check(&[
        ("example.com", "example | com"),
        ("  WWW.Example.COM.\r", "example | com"),
        ("a.b.example.co.uk", "example | co.uk"),
        ("x7f3.duckdns.org", "x7f3 | duckdns.org"),
        ("deep.below.x7f3.duckdns.org", "x7f3 | duckdns.org"),
        ("x7f3.mooo.com", "x7f3 | mooo.com"),
        ("a.x7f3.mooo.com", "x7f3 | mooo.com"),
        ("mooo.com", "mooo | com"),
        ("github.io", "github | io"),
        ("duckdns.org", "duckdns | org"),
        ("host.name.nosuchtop", "name | nosuchtop"),
        ("_ldap._tcp.example.com", "example | com"),
        ("a_b.com", "a_b | com"),
        ("https://user@www.example.com:8443/a?b#c", "example | com"),
        ("example.com:8080", "example | com"),
    ]);
}

#[test]
fn lists_are_in_order() {
    for list in [super::suffix::LOCAL, super::suffix::DYNAMIC] {
        assert!(list.is_sorted(), "a search in it misses names");
    }
}

#[test]
fn unicode_and_punycode_are_the_same_name() {
    check(&[
        ("bücher.example.de", "example | de"),
        ("BÜCHER.de", "bücher | de"),
        ("xn--bcher-kva.de", "bücher | de"),
        ("食狮.公司.cn", "食狮 | xn--55qx5d.cn"),
        ("xn--85x722f.xn--55qx5d.cn", "食狮 | xn--55qx5d.cn"),
        ("xn--85x722f.xn--fiqs8s", "食狮 | xn--fiqs8s"),
        ("pаypal.com", "pаypal | com"),
        ("xn--99999999999.com", "broken punycode"),
        ("xn--.com", "broken punycode"),
        ("xn--abc-.com", "broken punycode"),
        ("xn--99999999999.example.com", "example | com"),
    ]);
}

#[test]
fn what_is_no_name_is_named() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = format!("{}com", "abc.".repeat(70));
    let labels = vec!["a"; 127].join(".");
    let huge = "a".repeat(ITEM_BYTES_MAX);
    check(&[
        ("", "empty: there is no name"),
        ("-", "empty: there is no name"),
        (".", "empty: there is no name"),
        ("(empty)", "empty: there is no name"),
        ("a\0b.com", "a control character, a space or a delimiter in the name"),
        ("a\u{7}.com", "a control character, a space or a delimiter in the name"),
        ("a b.com", "a control character, a space or a delimiter in the name"),
        ("a:b.com:6", "a control character, a space or a delimiter in the name"),
        ("a.com. :81", "a control character, a space or a delimiter in the name"),
        ("a..com", "an empty label"),
        (".com", "an empty label"),
        ("192.0.2.1", "an address, not a name"),
        ("192.0.2.1.", "an address, not a name"),
        ("192.0.2.1:53", "an address, not a name"),
        ("2001:db8::1", "an address, not a name"),
        ("[2001:db8::1]:443", "an address, not a name"),
        ("fe80::1%eth0", "an address, not a name"),
        ("256.1.1.1", "the last label is a number"),
        ("1.2.0.192.in-addr.arpa", "a reverse zone"),
        ("0/25.2.0.192.in-addr.arpa", "a reverse zone"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "a reverse zone"),
        ("printer.local", "of this network"),
        ("router.home.arpa", "of this network"),
        ("nas.lan", "of this network"),
        ("wpad", "a single label"),
        ("co.uk", "a public suffix"),
        ("_dmarc.com", "service labels without a registered name"),
        (&long_label, "a label longer than 63 bytes"),
        (&long_name, "longer than the 253 bytes of a DNS name"),
        (&huge, "longer than the 253 bytes of a DNS name"),
        (&labels, "a | a"),
        ("\u{202e}moc.example", "not a name by IDNA"),
    ]);
    assert_eq!(read(b"\xff\xfe.com"), "not UTF-8");
}

/// The measures of a name by their columns, those that are not 0.
fn measures(line: &str) -> String {
    let name = Name::parse(line.as_bytes()).unwrap();
    let mut matrix = Matrix::new(&DGA);
    push(&name, &mut matrix);
    let columns: Vec<String> = DGA.columns().collect();
    let told = columns.iter().zip(matrix.row(0)).filter(|(_, value)| *value > 0.0);
    told.map(|(column, value)| format!("{column}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_row_says_what_is_in_the_name() {
    assert_eq!(
        measures("ab-1.co.uk"),
        "label_0=1 label_1=2 label_2=37 label_3=28 suffix_0=3776 suffix_1=85 suffix_2=2 \
         suffix_3=2 length=0.0625 digits=0.25 vowels=0.5 hyphens=0.25 distinct=1 \
         alphabet=0.10810811 entropy=0.33333334 consonant_run=0.0625 vowel_run=0.0625 \
         digit_run=0.0625 letter_run=0.0625 switches=0.25 hex=0.75 ends_with_digit=1 \
         vowel_turns=0.25 commonest=0.25 distinct_pairs=0.75 suffix_labels=0.5 suffix_listed=1 \
         suffix_length=0.15625 letter_span=0.04 base32=0.5 parts=0.25 longest_part=0.03125"
    );
}

#[test]
fn rows_are_padded_with_zeros() {
    let mut matrix = Matrix::new(&DGA);
    push(&Name::parse(b"example.com").unwrap(), &mut matrix);
    matrix.pad(3);
    assert_eq!(matrix.rows(), 3);
    assert!(matrix.row(0).any(|value| value > 0.0));
    assert!(matrix.row(1).chain(matrix.row(2)).all(|value| value == 0.0));
    for (tensor, input) in matrix.tensors().iter().zip(DGA.inputs) {
        let len = match tensor {
            Tensor::F32(values) => values.len(),
            Tensor::I32(values) => values.len(),
        };
        assert_eq!(len, 3 * input.width);
    }
    matrix.clear();
    assert_eq!(matrix, Matrix::new(&DGA));
}

#[test]
fn ids_are_below_what_a_model_has() {
    let mut matrix = Matrix::new(&DGA);
    for line in ["zz99--__.com", "a~b.xn--fiqs8s", "bücher.github.io", "x.y.z.no.such.suffix"] {
        push(&Name::parse(line.as_bytes()).unwrap(), &mut matrix);
    }
    for row in 0..matrix.rows() {
        let row: Vec<f32> = matrix.row(row).collect();
        assert!(row[..64].iter().all(|id| *id <= 40.0));
        assert!((1.0..4096.0).contains(&row[64]) && (1.0..1024.0).contains(&row[65]));
        assert!((1.0..=3.0).contains(&row[66]) && (1.0..=7.0).contains(&row[67]));
    }
}

/// Lines that are nearly names, and any bytes.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    let text =
        r"(xn--)?[a-z0-9_.\-äж公\x{202e}\PC]{0,40}(\.(com|co\.uk|duckdns\.org|公司\.cn|local))?";
    prop_oneof![bytes, text.prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn any_line_gives_a_row_or_a_reason(line in lines()) {
        let Ok(name) = Name::parse(&line) else { return Ok(()) };
        prop_assert!(name.as_str().len() <= 253 && name.as_str().is_ascii());
        prop_assert_eq!(format!("{}.{}", name.label(), name.suffix()), name.registered());
        prop_assert!(name.as_str().ends_with(name.registered()) && !name.label().is_empty());
        let mut matrix = Matrix::new(&DGA);
        push(&name, &mut matrix);
        let row: Vec<f32> = matrix.row(0).collect();
        prop_assert_eq!(row.len(), DGA.width());
        prop_assert!(row.iter().all(|value| value.is_finite() && *value >= 0.0));
        prop_assert!(row[68..].iter().all(|measure| *measure <= 8.0), "{:?}", &row[68..]);
        // The registered domain alone gives the same row.
        let registered = Name::parse(name.registered().as_bytes());
        prop_assert_eq!(registered.as_ref().map(Name::registered), Ok(name.registered()));
        push(&registered.unwrap(), &mut matrix);
        prop_assert!(matrix.row(1).eq(row));
    }

    /// Whatever is done more than once is done on names of a length that IDNA is asked for; the
    /// longest lines take one pass and are known for what they are.
    #[test]
    fn the_longest_lines_are_too_long(piece in r"[a-zä公.\-]{1,8}") {
        let mut line = piece.repeat(ITEM_BYTES_MAX / piece.len());
        line.push('a');
        prop_assert_eq!(Name::parse(line.as_bytes()), Err(Unusable::TooLong));
    }
}

/// `site | host | port | path`, with `user@` and layers, or the reason.
fn read_url(line: &[u8]) -> String {
    match Url::parse(line) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let user = if url.has_user() { "user@" } else { "" };
            format!("{} | {user}{}{port} | {}", url.site(), url.host_text(), url.path())
        }
        Err(why) => why.to_string(),
    }
}

fn check_urls(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(read_url(line.as_bytes()), *expected, "{line:?}");
    }
}

#[test]
fn urls_have_a_site() {
    check_urls(&[
        ("example.com", "example.com | example.com | "),
        ("http://www.Example.COM/", "example.com | www.example.com | "),
        ("https://a.example.co.uk:443/Path?q=1#x", "example.co.uk | a.example.co.uk | /Path?q=1"),
        ("example.com:8080/a", "example.com | example.com:8080 | /a"),
        ("foo.web.app/login", "foo.web.app | foo.web.app | /login"),
        ("http://paypal.com@evil.ru/x", "evil.ru | user@evil.ru | /x"),
        ("http://paypal.com:80@evil.ru:81", "evil.ru | user@evil.ru:81 | "),
        ("http:\\\\example.com\\a\\b", "example.com | example.com | /a/b"),
        ("http:///example.com/a", "example.com | example.com | /a"),
        ("//example.com/a", "example.com | example.com | /a"),
        (" htt\tp://exam\nple.com ", "example.com | example.com | "),
        ("hxxp://example.com?x", "example.com | example.com | ?x"),
        ("http://0x5db8d822/i", "93.184.216.34 | 93.184.216.34 | /i"),
        ("1.2.3.4:5/Mozi.m", "1.2.3.4 | 1.2.3.4:5 | /Mozi.m"),
        ("http://[2001:DB8::1]:8080/", "2001:db8::1 | [2001:db8::1]:8080 | "),
        ("http://exam%70le.com/%2561", "example.com | example.com | /a"),
        ("a.com/x/../%2e%2e/%2e/etc", "a.com | a.com | /etc"),
        ("a.com/\u{202e}cod.exe\0", "a.com | a.com | /\u{202e}cod.exe\0"),
    ]);
}

#[test]
fn what_is_no_url_is_named() {
    check_urls(&[
        ("", "the host: empty: there is no name"),
        ("http://", "the host: empty: there is no name"),
        ("/only/a/path", "the host: empty: there is no name"),
        ("http://[::1]:99999/", "the port is no number up to 65535"),
        ("example.com:x/", "the port is no number up to 65535"),
        ("http://[::1/", "the host is a broken address"),
        ("http://300.1.1.1/", "the host is a broken address"),
        ("javascript:alert(1)", "not a URL of http, https, ftp or ws"),
        ("mailto:somebody@example.com", "not a URL of http, https, ftp or ws"),
        ("file:///etc/passwd", "not a URL of http, https, ftp or ws"),
        ("http://localhost/", "the host: of this network"),
        ("http://192.168.1.1/setup.cgi", "the host: of this network"),
        ("http://0x7f.1/", "the host: of this network"),
        ("http://[::1]:8080/", "the host: of this network"),
        ("http://[fe80::1%25eth0]/", "the host: of this network"),
        ("http://a b.com/", "the host: a control character, a space or a delimiter in the name"),
        ("http://a%00b.com/", "the host: a control character, a space or a delimiter in the name"),
        ("http://a%2fb.com/", "the host: a control character, a space or a delimiter in the name"),
        (&format!("a.com/{}", "a".repeat(ITEM_BYTES_MAX)), "longer than 64 KiB"),
    ]);
}

fn url_row(url: &Url) -> Vec<f32> {
    let mut matrix = Matrix::new(&link::PHISHING);
    link::push(url, &mut matrix);
    matrix.row(0).collect()
}

#[test]
fn a_column_says_what_it_is() {
    let columns: Vec<String> = link::PHISHING.columns().collect();
    let check = |url: &str, expected: &[(&str, f32)]| {
        let row = url_row(&Url::parse(url.as_bytes()).unwrap());
        for (column, value) in expected {
            let at = columns.iter().position(|it| it == column).unwrap();
            assert_eq!(row[at].to_bits(), value.to_bits(), "{url}: {column} is {}", row[at]);
        }
    };
    check(
        "http://0x5db8d822:8081/i",
        &[
            ("address", 1.0),
            ("address_odd", 1.0),
            ("port", 1.0),
            ("port_high", 0.0),
            ("bare_word", 1.0),
            ("extension_none", 1.0),
            ("label_length", 0.0),
            ("path", 1.0),
        ],
    );
    check(
        "paypal.com.login-secure.example.com/a/invoice.pdf.exe?x=1&y=2",
        &[
            ("brand_in_front", 1.0),
            ("brand_own", 0.0),
            ("labels_in_front", 0.375),
            ("host_bait", 0.5),
            ("double_extension", 1.0),
            ("extension_program", 1.0),
            ("extension_none", 0.0),
            ("parameters", 0.25),
            ("path_bait", 0.25),
            ("segments", 0.25),
        ],
    );
    check(
        "xn--pypal-4ve.com/%2541",
        &[("punycode", 1.0), ("scripts_mixed", 1.0), ("layers", 0.5), ("brand_near", 1.0)],
    );
    check("a.com/wp-content/x.php", &[("content_management", 1.0), ("extension_page", 1.0)]);
    check("a.com", &[("path", 0.0), ("path_length", 0.0), ("extension_none", 1.0)]);
    check(
        "u@a.com/~b/.c/d//1/deadbeef/",
        &[
            ("user", 1.0),
            ("tilde", 1.0),
            ("hidden_segment", 1.0),
            ("double_slash", 1.0),
            ("hex_segment", 1.0),
            ("ends_with_slash", 1.0),
            ("number_segments", 0.2),
        ],
    );
}

/// URLs of all kinds, odd ones among them.
fn any_url() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-z0-9-]{1,12}(\\.[a-z0-9-]{1,8}){0,3}\\.(com|de|co\\.uk|web\\.app)",
        "(paypal|amazon|pаypal)[.-][a-z]{1,6}\\.com",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        "0x[0-9a-f]{8}",
    ];
    let path = "(/[a-zA-Z0-9%._~-]{0,12}){0,5}(\\?[a-z]=[%a-z0-9./:@]{0,20})?";
    ("(https?://)?(u@)?", host, "(:[0-9]{1,4})?", path)
        .prop_map(|(scheme, host, port, path)| format!("{scheme}{host}{port}{path}"))
}

proptest! {
    #[test]
    fn any_bytes_are_a_url_or_a_reason(line in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(url) = Url::parse(&line) {
            prop_assert!(url_row(&url).iter().all(|number| number.is_finite()));
        }
    }

    #[test]
    fn scheme_www_and_fragment_say_nothing(line in any_url()) {
        let Ok(url) = Url::parse(line.as_bytes()) else { return Ok(()) };
        let bare = line.trim_start_matches("http://").trim_start_matches("https://");
        for other in [format!("HTTPS://{bare}"), format!("{line}#fragment")] {
            let other = Url::parse(other.as_bytes()).unwrap();
            prop_assert_eq!(url.key(), other.key());
            prop_assert_eq!(url_row(&url), url_row(&other));
        }
        let with = Url::parse(format!("www.{bare}").as_bytes()).ok();
        if let Some(with) = with.filter(|it| it.site() == url.site() && !line.contains('@')) {
            prop_assert_eq!(url_row(&url), url_row(&with));
        }
    }

    /// Whoever remembers scores by the key remembers the right ones.
    #[test]
    fn the_key_tells_rows_apart(a in any_url(), b in any_url()) {
        let (Ok(a), Ok(b)) = (Url::parse(a.as_bytes()), Url::parse(b.as_bytes())) else {
            return Ok(());
        };
        prop_assert!(a.key() != b.key() || url_row(&a) == url_row(&b));
    }

    #[test]
    fn every_part_leaves_a_url(line in any_url()) {
        let Ok(url) = Url::parse(line.as_bytes()) else { return Ok(()) };
        let parts = url_parts(&url);
        prop_assert!(parts.len() <= 30, "{}", parts.len());
        for (part, left) in parts {
            prop_assert!(!part.is_empty());
            prop_assert!(left.as_str().len() < url.as_str().len(), "{left:?}");
            prop_assert!(url_row(&left).iter().all(|number| number.is_finite()));
        }
    }
}
