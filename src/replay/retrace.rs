//! The records of a journal's steps, from the files that hold them now.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::limits::BATCH_ROWS_MAX;
use crate::engine::Mark;
use crate::read::{Reader, Trouble};
use crate::record::{Batch, Generation, Log, Source};
use crate::zeek::{Parser, Settings};

use super::inventory::Planned;

/// Why a step cannot be taken again.
#[derive(Debug, thiserror::Error)]
pub enum CannotRetrace {
    /// No file under the paths has this content.
    #[error("{0} of {1}, which the journal speaks of, is not under the given paths")]
    Gone(String, Log),
    /// It is shorter than it was, or does not decode that far.
    #[error("{0} cannot be read up to byte {1}")]
    Short(String, u64),
}

/// Reads what steps speak of.
pub struct Retracer {
    files: BTreeMap<Generation, Planned>,
    open: BTreeMap<Generation, Open>,
    settings: BTreeMap<Log, Settings>,
    sensor_id: String,
}

struct Open {
    reader: Reader,
    parser: Parser,
    source: Arc<Source>,
    at: u64,
}

/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;

impl Retracer {
    /// Of these files.
    #[must_use]
    pub fn new(files: Vec<Planned>, settings: &BTreeMap<Log, Settings>, sensor_id: &str) -> Self {
        let files = files.into_iter().map(|file| (file.generation, file)).collect();
        let (open, sensor_id) = (BTreeMap::new(), sensor_id.to_owned());
        Self { files, open, settings: settings.clone(), sensor_id }
    }

    /// Shows the records of one step, with their file under the name that it had then.
    ///
    /// # Errors
    /// When they are not there.
    pub fn read(
        &mut self,
        log: Log,
        mark: &Mark,
        path: Option<&str>,
        show: &mut dyn FnMut(&Batch, &Arc<Source>),
    ) -> Result<(), CannotRetrace> {
        let generation = mark.generation;
        if !self.open.contains_key(&generation) {
            let open = self.begin(log, generation, path.unwrap_or_default())?;
            self.open.insert(generation, open);
        }
        let Some(open) = self.open.get_mut(&generation) else {
            return Err(CannotRetrace::Gone(path.unwrap_or_default().to_owned(), log));
        };
        if let Some(path) = path
            && open.source.path != path
        {
            let Source { log, generation, event_prefix, .. } = *open.source;
            let path = path.to_owned();
            open.source = Arc::new(Source { log, generation, event_prefix, path });
        }
        let source = Arc::clone(&open.source);
        let mut batch = self.settings[&log].batch();
        // A journal that was cut begins in mid-file.
        open.parse(mark.range.start, &mut batch, &mut |_| {})?;
        batch.clear();
        let tail = open.parse(mark.range.end, &mut batch, &mut |batch| show(batch, &source))?;
        if mark.is_last {
            open.parser.finish(&tail, &mut batch);
            self.open.remove(&generation);
        }
        show(&batch, &source);
        Ok(())
    }

    fn begin(&self, log: Log, generation: Generation, path: &str) -> Result<Open, CannotRetrace> {
        let gone = || CannotRetrace::Gone(path.to_owned(), log);
        let file = self.files.get(&generation).ok_or_else(gone)?;
        let reader = Reader::open(&file.found.path).map_err(|_| gone())?;
        let parser = Parser::new(&self.settings[&log]);
        let event_prefix = generation.event_prefix(&self.sensor_id, log);
        let path = path.to_owned();
        let source = Arc::new(Source { log, generation, event_prefix, path });
        Ok(Open { reader, parser, source, at: 0 })
    }
}

impl Open {
    /// Parses up to `offset`; `full` sees every batch that could take no more. What is left is a
    /// line without an end.
    fn parse(
        &mut self,
        offset: u64,
        batch: &mut Batch,
        full: &mut dyn FnMut(&Batch),
    ) -> Result<Vec<u8>, CannotRetrace> {
        let mut bytes = Vec::new();
        while self.at < offset {
            bytes.extend(self.take(offset.min(self.at + PIECE))?);
            let mut start = 0;
            loop {
                let progress = self.parser.parse(&bytes[start..], BATCH_ROWS_MAX, batch);
                start += progress.consumed;
                if !progress.is_full || start == bytes.len() {
                    break;
                }
                full(batch);
                batch.clear();
            }
            bytes.drain(..start);
        }
        Ok(bytes)
    }

    /// The bytes up to `end`.
    fn take(&mut self, end: u64) -> Result<Vec<u8>, CannotRetrace> {
        let short = || CannotRetrace::Short(self.source.path.clone(), end);
        let length = usize::try_from(end.saturating_sub(self.at)).map_err(|_| short())?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) | Err(Trouble::Gzip(_) | Trouble::Io(_)) => return Err(short()),
                Ok(count) => filled += count,
            }
        }
        self.at = end;
        Ok(bytes)
    }
}
