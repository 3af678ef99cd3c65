//! Any bytes as a URL: a row of finite numbers or a named error, the same row under another scheme;
//! what is left without a part is a URL too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::feature::link::{MALICIOUS_URL, push};
use zeek_ueba::feature::{Matrix, Url, url_parts};

fn row(url: &Url) -> Vec<f32> {
    let mut matrix = Matrix::new(&MALICIOUS_URL);
    push(url, &mut matrix);
    matrix.row(0).collect()
}

fuzz_target!(|data: &[u8]| {
    let url = match Url::parse(data) {
        Ok(url) => url,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let numbers = row(&url);
    assert!(numbers.iter().all(|number| number.is_finite()), "{url:?}");
    assert!(url.as_str().starts_with(url.host_text()) && url.as_str().ends_with(url.path()));
    assert!(url.host_text().contains(url.site()), "{url:?}");
    for (part, left) in url_parts(&url) {
        assert!(!part.is_empty() && row(&left).iter().all(|number| number.is_finite()));
    }
});
