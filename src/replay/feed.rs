//! The records of planned files, as the engine wants them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits::{BATCH_ROWS_MAX, READ_BYTES, READ_BYTES_CROWDED};
use crate::base::time::Time;
use crate::engine::{Feed, Feeds, Started};
use crate::read::{Buffer, Reader, Trouble};
use crate::record::{Batch, Source};
use crate::zeek::{Parser, Settings};

use super::inventory::Planned;

/// The files of one lane, in the order of their first records.
pub struct LaneFeeds {
    files: VecDeque<Planned>,
    settings: std::collections::BTreeMap<crate::record::Log, Settings>,
    sensor_id: String,
}

impl LaneFeeds {
    /// Feeds for `files`, which are in order.
    #[must_use]
    pub fn new(
        files: Vec<Planned>,
        settings: &std::collections::BTreeMap<crate::record::Log, Settings>,
        sensor_id: &str,
    ) -> Self {
        Self { files: files.into(), settings: settings.clone(), sensor_id: sensor_id.to_owned() }
    }
}

impl Feeds for LaneFeeds {
    fn next_start(&self) -> Option<Time> {
        self.files.front().map(|file| file.start.unwrap_or(Time::MIN))
    }

    fn open(&mut self) -> Option<Started> {
        let file = self.files.pop_front()?;
        let settings = self.settings.get(&file.log)?;
        let source = Source {
            log: file.log,
            generation: file.generation,
            event_prefix: file.generation.event_prefix(&self.sensor_id, file.log),
            path: file.found.relative,
        };
        let (reader, trouble) = match Reader::open(&file.found.path) {
            Ok(reader) => (Some(reader), None),
            Err(error) => (None, Some(Trouble::Io(error))),
        };
        let feed = FileFeed {
            reader,
            trouble,
            source: Arc::new(source),
            parser: Parser::new(settings),
            line_max: settings.line_bytes_max,
            buffer: Buffer::default(),
            is_done: false,
            bytes: 0,
        };
        let (log, start, rank) = (file.log, file.start, file.rank);
        Some(Started { feed: Box::new(feed), log, start, rank })
    }
}

/// One file.
struct FileFeed {
    /// Nothing once the end was reached.
    reader: Option<Reader>,
    trouble: Option<Trouble>,
    source: Arc<Source>,
    parser: Parser,
    line_max: usize,
    buffer: Buffer,
    is_done: bool,
    /// Bytes of the file read and not told of, once it is closed.
    bytes: u64,
}

impl Feed for FileFeed {
    fn read(&mut self, rows_max: usize, batch: &mut Batch) -> Option<Arc<Source>> {
        while !self.is_done {
            let progress = self.parser.parse(self.buffer.get(), rows_max, batch);
            self.buffer.consume(progress.consumed);
            if progress.is_full {
                return Some(Arc::clone(&self.source));
            }
            if self.reader.is_some() {
                self.refill(if rows_max < BATCH_ROWS_MAX {
                    READ_BYTES_CROWDED
                } else {
                    READ_BYTES
                });
            } else {
                self.parser.finish(self.buffer.get(), batch);
                self.say_trouble(batch);
                (self.buffer, self.is_done) = (Buffer::default(), true);
            }
        }
        (!batch.is_empty()).then(|| Arc::clone(&self.source))
    }

    fn take_bytes(&mut self) -> u64 {
        let open = self.reader.as_ref().map_or(0, Reader::take_bytes);
        open + std::mem::take(&mut self.bytes)
    }
}

impl FileFeed {
    /// Reads on behind what is left of a line.
    fn refill(&mut self, bytes: usize) {
        let Some(reader) = &mut self.reader else { return };
        let trouble = match reader.read(self.buffer.room(bytes, self.line_max)) {
            Ok(0) => None,
            Ok(count) => {
                self.buffer.filled(count);
                return;
            }
            Err(trouble) => Some(trouble),
        };
        (self.bytes, self.trouble) = (reader.take_bytes(), trouble);
        self.reader = None;
    }

    /// What went wrong with the file is a dead letter at the place where it did.
    fn say_trouble(&mut self, batch: &mut Batch) {
        let Some(trouble) = self.trouble.take() else { return };
        batch.rejects.push(trouble.reject(batch.rows(), self.parser.offset()));
    }
}
