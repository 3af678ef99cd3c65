//! Any bytes, in any chunks, as any log: never a panic, and the same rows and rejects as at once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeek_ueba::record::Log;
use zeek_ueba::record::schema::ColumnId;
use zeek_ueba::zeek::{Parser, Settings, identify};

/// Offsets of rows, and reason, offset and length of rejects, in order.
fn read(bytes: &[u8], log: Log, chunk: usize, rows_max: usize) -> Vec<(u64, u64)> {
    let wanted = (0..log.columns().len()).map(|index| ColumnId(index as u8)).collect();
    let settings =
        Settings { log, wanted, line_bytes_max: 4096, configured: None, alias: Vec::new() };
    let mut parser = Parser::new(&settings);
    let mut batch = settings.batch();
    let mut found = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        let progress = parser.parse(&bytes[start..end], rows_max, &mut batch);
        start += progress.consumed;
        let is_over = !progress.is_full && end == bytes.len();
        if is_over {
            parser.finish(&bytes[start..], &mut batch);
        }
        if progress.is_full || is_over {
            let mut rejects = batch.rejects.iter().peekable();
            for row in 0..=batch.rows() {
                while let Some(reject) = rejects.next_if(|reject| reject.row == row) {
                    found.push((reject.offset, reject.length));
                }
                if row < batch.rows() {
                    found.push((batch.lines[row].offset, 0));
                }
            }
            batch.clear();
        }
        if is_over {
            assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "in the order of the file");
            return found;
        }
        if !progress.is_full {
            end = (end + chunk).min(bytes.len());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [log, chunk, rows, bytes @ ..] = data else { return };
    let log = Log::ALL[usize::from(*log) % Log::ALL.len()];
    drop(identify(bytes, true, "conn.log", &[]));
    let whole = read(bytes, log, bytes.len().max(1), 1024);
    let pieces = read(bytes, log, usize::from(*chunk) + 1, usize::from(*rows) % 16 + 1);
    assert_eq!(whole, pieces);
});
