//! Any bytes as a name: a row of finite numbers or a named error, and the same row for the name
//! written again; what is left without a part is a name too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::feature::dga::{DGA, push};
use zeek_ueba::feature::{Matrix, Name, parts};

fn row(name: &Name) -> Vec<f32> {
    let mut matrix = Matrix::new(&DGA);
    push(name, &mut matrix);
    matrix.row(0).collect()
}

fuzz_target!(|data: &[u8]| {
    let name = match Name::parse(data) {
        Ok(name) => name,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let numbers = row(&name);
    assert!(numbers.iter().all(|number| number.is_finite()), "{name:?}");
    assert!(name.as_str().is_ascii() && name.as_str().ends_with(name.registered()));
    assert_eq!(name.registered(), format!("{}.{}", name.label(), name.suffix()));
    let again = Name::parse(name.as_str().as_bytes()).expect("a name is a name");
    assert_eq!(again.registered(), name.registered());
    assert_eq!(row(&again), numbers, "{name:?}");
    for (part, left) in parts(&name) {
        assert!(!part.is_empty() && row(&left).iter().all(|number| number.is_finite()));
    }
});
