//! Any bytes, in any chunks, as any log: never a panic, the same rows and rejects as at once, and
//! every byte of the file in one of them.

use libfuzzer_sys::Corpus;
use zeek_ueba::record::Log;
use zeek_ueba::record::schema::ColumnId;
use zeek_ueba::zeek::{Mode, Parser, Settings, identify};

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/zeek_cases/reading.rs"]
mod reading;

/// Reads `data` as a log if it is one of this format: its first bytes say which log it is, how
/// long the chunks are and how many rows a batch has.
pub fn check(data: &[u8], format: Mode) -> Corpus {
    let [log, chunk, rows, bytes @ ..] = data else { return Corpus::Reject };
    let log = Log::ALL[usize::from(*log) % Log::ALL.len()];
    let wanted = (0..log.columns().len()).map(|index| ColumnId(index as u8)).collect();
    let settings =
        Settings { log, wanted, line_bytes_max: 4096, configured: None, alias: Vec::new() };
    if mode(&settings, bytes) != format {
        return Corpus::Reject;
    }
    drop(identify(bytes, true, "conn.log", &[]));
    let chunk = usize::from(*chunk) + 1;
    let whole = reading::read(&settings, [bytes], 1024, false);
    let pieces = reading::read(&settings, bytes.chunks(chunk), usize::from(*rows) % 16 + 1, false);
    assert_eq!(whole, pieces);
    reading::tiles(bytes, &whole);
    Corpus::Keep
}

/// Which format the parser takes it for.
fn mode(settings: &Settings, bytes: &[u8]) -> Mode {
    let (mut parser, mut batch) = (Parser::new(settings), settings.batch());
    let mut at = 0;
    while parser.mode() == Mode::Undecided {
        let progress = parser.parse(&bytes[at..], 1, &mut batch);
        at += progress.consumed;
        batch.clear();
        if !progress.is_full {
            break;
        }
    }
    parser.mode()
}
