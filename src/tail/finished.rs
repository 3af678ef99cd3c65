//! A file that was read to its end by a replay, as the tail would know it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::base::codec::encode;
use crate::read::Reader;
use crate::record::{Generation, Log};

use super::board::Position;
use super::check::Running;
use super::follow::Bytes;
use super::lane::first_record;
use super::scan::seconds_now;

/// What a commit keeps of the file at `path`, all of which was read as `generation`.
///
/// # Errors
/// When it cannot be read any more.
pub fn position_of(
    path: &Path,
    relative: &str,
    log: Log,
    generation: Generation,
) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let head = first_record(&file, relative, &[]).map_or(generation, |identity| identity.head);
    let mut reader = Reader::new(file)?;
    let mut running = Running::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match Bytes(&mut reader).read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => running.update(&buffer[..count]),
            // What does not decode was told as a dead letter.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
            Err(_) => {}
        }
    }
    Ok(encode(&Position {
        log,
        head,
        path: relative.to_owned(),
        check: running.check(),
        schema: (0, 0),
        mode: 0,
        size: running.check_length(),
        is_done: true,
        touched: seconds_now(),
    }))
}
