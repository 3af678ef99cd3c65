//! Items of `features` and `score`: one on a line, from a file or standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::Failed;
use super::exit::Exit;
use crate::base::limits::ITEM_BYTES_MAX;
use crate::feature::{Name, Unusable};

/// Where items come from.
pub(super) type Items = BufReader<Box<dyn Read>>;

/// The file, or standard input where none is named.
pub(super) fn open(path: Option<&Path>) -> Result<Items, Failed> {
    let source: Box<dyn Read> = match path {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(
            File::open(path)
                .with_context(|| path.display().to_string())
                .map_err(|error| Failed::new(Exit::Io, error))?,
        ),
    };
    Ok(BufReader::with_capacity(1 << 16, source))
}

/// Reads the next line into `item`, without its end; whether there was one. Of a line that is
/// longer than [`ITEM_BYTES_MAX`] one byte more is kept, so that its reader finds it too long.
pub(super) fn next(items: &mut dyn BufRead, item: &mut Vec<u8>) -> Result<bool, Failed> {
    item.clear();
    read(items, item).context("the items").map_err(|error| Failed::new(Exit::Io, error))
}

/// The name in an item.
///
/// # Errors
/// Says why there is none; a line that was cut has none, whatever it begins with.
pub(super) fn name(item: &[u8]) -> Result<Name, Unusable> {
    if item.len() > ITEM_BYTES_MAX {
        return Err(Unusable::TooLong);
    }
    Name::parse(item)
}

fn read(items: &mut dyn BufRead, item: &mut Vec<u8>) -> io::Result<bool> {
    let mut any = false;
    loop {
        let bytes = items.fill_buf()?;
        if bytes.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', bytes);
        let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = (ITEM_BYTES_MAX + 1).saturating_sub(item.len());
        item.extend_from_slice(line.get(..room.min(line.len())).unwrap_or_default());
        let used = line.len() + usize::from(end.is_some());
        items.consume(used);
        if end.is_some() {
            if item.last() == Some(&b'\r') {
                item.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[usize]) {
        for capacity in [1, 7, 1 << 16] {
            let mut reader = BufReader::with_capacity(capacity, text);
            let (mut item, mut lens) = (Vec::new(), Vec::new());
            while next(&mut reader, &mut item).expect("memory can be read") {
                lens.push(item.len());
            }
            assert_eq!(lens, expected, "capacity {capacity}");
        }
    }

    #[test]
    fn every_line_is_an_item() {
        check(b"", &[]);
        check(b"a", &[1]);
        check(b"a\n", &[1]);
        check(b"a\r\n\nbcd\n\n", &[1, 0, 3, 0]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut text = vec![b'a'; 3 * ITEM_BYTES_MAX];
        text.extend_from_slice(b"\nb\n");
        check(&text, &[ITEM_BYTES_MAX + 1, 1]);
    }
}
