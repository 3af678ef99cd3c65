//! Any bytes as a file, compressed or not: never a panic, the same bytes and the same end however
//! much is asked for at once, and a file that is cut begins as the whole one does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::read::{Reader, Trouble};
use zeek_ueba_fuzz::file;

/// A small file may stand for very many bytes: it is read so far.
const BYTES_MAX: usize = 1 << 20;

/// What is read of `bytes`, `at_once` bytes at a time, and how it ends.
fn read(bytes: &[u8], at_once: usize) -> (Vec<u8>, Option<&'static str>) {
    let mut reader = Reader::new(file(bytes)).expect("memory can be read");
    let (mut out, mut buffer) = (Vec::new(), vec![0; at_once]);
    loop {
        let room = buffer.len().min(BYTES_MAX - out.len());
        let (count, trouble) = reader.fill(&mut buffer[..room]);
        out.extend_from_slice(&buffer[..count]);
        match trouble {
            Some(Trouble::Io(error)) => panic!("{error}"),
            Some(trouble) => return (out, Some(trouble.parts().0.name())),
            None if count < room || room == 0 => return (out, None),
            None => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [at_once, cut, bytes @ ..] = data else { return };
    let whole = read(bytes, 256 << 10);
    let pieces = read(bytes, usize::from(*at_once) * 16 + 1);
    let ends = [&whole, &pieces].map(|(out, end)| (out.len(), end));
    assert!(whole == pieces, "{ends:?}");
    // What one byte is, nobody knows.
    let cut = (bytes.len() * usize::from(*cut) / 256).max(2.min(bytes.len()));
    let (torn, _) = read(&bytes[..cut], 32 << 10);
    assert!(whole.0.starts_with(&torn), "{cut}: {} of {}", torn.len(), whole.0.len());
});
