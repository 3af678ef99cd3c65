//! Files of one kind of documents: frames are appended, read again in their order, and let go once
//! a commit has passed them.
//!
//! A segment is named by the number of its first document. Beside a segment of events stand their
//! ids, in frames of their own: where a frame is damaged they say which lines have to be read
//! again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::base::hash::Id;
use crate::document::Parts;
use crate::engine::Kind;
use crate::sink::ndjson::remove;

use super::frame::{self, HEAD, Head, Packer, unpack};

/// Bytes of documents that wait to become a frame, unless a commit wants them.
const PENDING_MAX: usize = 1 << 20;

/// Damaged segments that are kept for somebody to look at.
const QUARANTINED_MAX: usize = 4;

/// What is read again.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Documents from this number on, each with a line feed at its end.
    Documents(u64, Vec<u8>),
    /// Documents that are not there any more.
    Lost(Lost),
}

/// Numbers whose documents are not there any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
    /// Runs of events, of which the ids are known.
    pub known: Vec<(u64, Vec<Id>)>,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    bytes: u64,
    ids: u64,
    is_damaged: bool,
}

#[derive(Debug)]
struct Reader {
    /// The segment.
    first: u64,
    file: File,
    at: u64,
}

impl Reader {
    /// The frame here, with its documents, in a segment of so many bytes; nothing where it is not
    /// as it was written.
    fn frame(&self, bytes: u64) -> io::Result<Option<(Head, Vec<u8>)>> {
        let mut frame = vec![0; HEAD];
        if !self.fill(&mut frame, self.at)? {
            return Ok(None);
        }
        let Some(head) = Head::read(&frame).filter(|head| head.length() <= bytes - self.at) else {
            return Ok(None);
        };
        frame.resize(HEAD + head.packed as usize, 0);
        if !self.fill(&mut frame[HEAD..], self.at + HEAD as u64)? {
            return Ok(None);
        }
        let block = unpack(&head, &frame).filter(|it| count(it) as u64 == u64::from(head.count));
        Ok(block.map(|block| (head, block)))
    }

    /// Whether there are as many bytes as are asked for.
    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<bool> {
        match self.file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true),
        }
    }
}

/// Documents that are in no frame yet.
#[derive(Debug, Default)]
struct Pending {
    first: u64,
    count: u32,
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    directory: PathBuf,
    kind: Kind,
    /// Bytes of a segment from which another one begins.
    segment_max: u64,
    segments: VecDeque<Segment>,
    /// The files of the last segment, where it can be written to.
    tail: Option<[Option<File>; 2]>,
    /// Whether something was written that is not synced, and whether a file was made.
    is_dirty: bool,
    is_fresh: bool,
    /// The number behind the last document that is, or was, in a frame.
    end: u64,
    pending: Pending,
    reader: Option<Reader>,
    /// The number of the next document that is read again.
    next: u64,
}

const fn stem(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "events",
        Kind::Alert => "alerts",
        Kind::Risk | Kind::DeadLetter => "risk",
    }
}

/// The name of a segment's documents or ids.
fn path(directory: &Path, kind: Kind, first: u64, is_ids: bool) -> PathBuf {
    let what = if is_ids { "ids" } else { "spool" };
    directory.join(format!("{}.{first:020}.{what}", stem(kind)))
}

/// The segments in a directory.
fn segments(directory: &Path, kind: Kind) -> io::Result<VecDeque<Segment>> {
    let mut found: BTreeMap<u64, Segment> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let parts = name.to_str().map(|name| name.split('.').collect::<Vec<_>>());
        let Some([kind_of, first, what]) = parts.as_deref() else { continue };
        let (Ok(first), true) = (first.parse::<u64>(), *kind_of == stem(kind)) else { continue };
        let empty = Segment { first, bytes: 0, ids: 0, is_damaged: false };
        let length = entry.metadata()?.len();
        match *what {
            "spool" => found.entry(first).or_insert(empty).bytes = length,
            "ids" => found.entry(first).or_insert(empty).ids = length,
            _ => {}
        }
    }
    Ok(found.into_values().collect())
}

/// Lines in a block.
fn count(block: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', block).count()
}

/// What is behind the first `lines` of a block.
fn behind(block: &[u8], lines: u64) -> usize {
    let Some(last) = lines.checked_sub(1).and_then(|it| usize::try_from(it).ok()) else { return 0 };
    memchr::memchr_iter(b'\n', block).nth(last).map_or(block.len(), |at| at + 1)
}

/// The ids of events, 16 bytes each; zeros for what has none.
fn ids(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        let id = Parts::of(line).and_then(|parts| Id::parse(parts.id));
        out.extend_from_slice(&id.map_or([0; 16], |id| id.0));
    }
    out
}

impl Queue {
    /// Opens what is in `directory`: documents from number `cursor` on are still to be read, those
    /// from `handed` on belong to no commit and go. Without these numbers everything is still to be
    /// read. Returns them as they are now.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(
        directory: &Path,
        kind: Kind,
        segment_max: u64,
        marks: Option<(u64, u64)>,
        packer: &mut Packer,
    ) -> io::Result<(Self, (u64, u64))> {
        let mut segments = segments(directory, kind)?;
        let (cursor, handed) = marks.unwrap_or_else(|| {
            let first = segments.front().map_or(0, |segment| segment.first);
            (first, u64::MAX)
        });
        let is_over = |segments: &VecDeque<Segment>| {
            segments.get(1).is_some_and(|second| second.first <= cursor)
        };
        while is_over(&segments) {
            segments.pop_front().map_or(Ok(()), |old| drop_segment(directory, kind, &old))?;
        }
        while segments.back().is_some_and(|last| last.first >= handed) {
            segments.pop_back().map_or(Ok(()), |new| drop_segment(directory, kind, &new))?;
        }
        let mut queue = Self {
            directory: directory.to_owned(),
            kind,
            segment_max,
            segments,
            tail: None,
            is_dirty: false,
            is_fresh: false,
            end: cursor,
            pending: Pending::default(),
            reader: None,
            next: cursor,
        };
        let end = queue.mend(handed, packer)?.unwrap_or(cursor);
        let handed = if marks.is_some() { handed } else { end.max(cursor) };
        queue.end = handed;
        queue.sync()?;
        queue.forget(cursor)?;
        Ok((queue, (cursor, handed)))
    }

    /// Cuts off what is torn at the end of the last segment, and what is from `handed` on; the
    /// number behind what is left.
    fn mend(&mut self, handed: u64, packer: &mut Packer) -> io::Result<Option<u64>> {
        let Some(last) = self.segments.back_mut() else { return Ok(None) };
        let mut end = None;
        for is_ids in [false, true] {
            let path = path(&self.directory, self.kind, last.first, is_ids);
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            let frames = frame::frames(&bytes);
            let whole = frames.iter().take_while(|(_, head)| head.end() <= handed);
            let kept = whole.last().map_or(0, |(at, head)| at + head.length() as usize);
            // A frame of which only a part is committed.
            let part = frames.iter().find(|(_, head)| head.end() > handed);
            let part = part.filter(|(_, head)| head.first < handed).and_then(|(at, head)| {
                let block = unpack(head, bytes.get(*at..*at + head.length() as usize)?)?;
                let count = handed - head.first;
                let length = if is_ids { count as usize * 16 } else { behind(&block, count) };
                Some((*head, block.get(..length)?.to_vec()))
            });
            let mut left = bytes[..kept].to_vec();
            if let Some((head, block)) = part {
                let count = u32::try_from(handed - head.first).map_err(io::Error::other)?;
                left.extend_from_slice(packer.pack(head.first, count, &block)?);
            }
            let torn = frames.last().map_or(0, |(at, head)| at + head.length() as usize);
            if !is_ids {
                end = frames.last().map(|(_, head)| head.end().min(handed));
                if torn < bytes.len() && end.is_none_or(|end| end < handed) {
                    // Committed documents may be in there.
                    quarantine(&self.directory, &path, &bytes[torn..]);
                }
            }
            *(if is_ids { &mut last.ids } else { &mut last.bytes }) = left.len() as u64;
            if left != bytes {
                replace(&path, &left)?;
            }
        }
        Ok(end)
    }

    /// Opens the last segment to append to it.
    fn reopen(&mut self) -> io::Result<()> {
        let Some(last) = self.segments.back() else { return Ok(()) };
        let open = |is_ids: bool| {
            let path = path(&self.directory, self.kind, last.first, is_ids);
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o600).open(path)
        };
        let ids = if self.kind == Kind::Event { Some(open(true)?) } else { None };
        self.tail = Some([Some(open(false)?), ids]);
        Ok(())
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes + segment.ids).sum()
    }

    /// The number behind the last document of a frame.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds documents, from number `first` on, to those that wait to become a frame; how many.
    /// They stay there if there is no room for the frame.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn pend(
        &mut self,
        first: u64,
        block: &[u8],
        packer: &mut Packer,
    ) -> io::Result<u64> {
        if self.pending.count == 0 {
            self.pending.first = first;
        }
        let count = count(block);
        self.pending.count += u32::try_from(count).map_err(io::Error::other)?;
        self.pending.bytes.extend_from_slice(block);
        if self.pending.bytes.len() >= PENDING_MAX {
            self.flush(packer)?;
        }
        Ok(count as u64)
    }

    /// Whether something waits.
    pub(super) fn has_pending(&self) -> bool {
        self.pending.count > 0
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// What the system says; it waits on.
    pub(super) fn flush(&mut self, packer: &mut Packer) -> io::Result<()> {
        if self.pending.count == 0 {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        let written = self.write(pending.first, &pending.bytes, packer);
        if written.is_err() {
            // A part of it may be in frames by now.
            let known = self.end.saturating_sub(pending.first).min(u64::from(pending.count));
            pending.bytes.drain(..behind(&pending.bytes, known));
            pending.first += known;
            pending.count -= u32::try_from(known).map_err(io::Error::other)?;
            self.pending = pending;
        }
        written
    }

    /// What waits, if something does; it waits no more.
    pub(super) fn take_pending(&mut self) -> Option<(u64, Vec<u8>)> {
        let Pending { first, count, bytes } = std::mem::take(&mut self.pending);
        (count > 0).then_some((first, bytes))
    }

    /// Appends documents from number `first` on. Where that fails the files are as before.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(
        &mut self,
        mut first: u64,
        block: &[u8],
        packer: &mut Packer,
    ) -> io::Result<()> {
        let mut rest = block;
        while !rest.is_empty() {
            // A line that makes it larger than a block has a frame to itself.
            let most = memchr::memrchr(b'\n', &rest[..rest.len().min(2 * PENDING_MAX)]);
            let end = most.or_else(|| memchr::memchr(b'\n', rest)).map_or(rest.len(), |at| at + 1);
            let (part, after) = rest.split_at(end);
            self.write_frame(first, part, packer)?;
            first += count(part) as u64;
            rest = after;
        }
        Ok(())
    }

    fn write_frame(&mut self, first: u64, block: &[u8], packer: &mut Packer) -> io::Result<()> {
        if self.tail.is_none() || self.segments.back().is_none_or(|it| it.bytes >= self.segment_max)
        {
            self.sync()?;
            self.tail = None;
            self.segments.push_back(Segment { first, bytes: 0, ids: 0, is_damaged: false });
            self.is_fresh = true;
            if let Err(error) = self.reopen() {
                self.segments.pop_back();
                return Err(error);
            }
        }
        let lines = u32::try_from(count(block)).map_err(io::Error::other)?;
        let (Some(segment), Some([Some(file), of_ids])) =
            (self.segments.back_mut(), self.tail.as_mut())
        else {
            return Err(io::Error::other("the last segment is not open"));
        };
        self.is_dirty = true;
        let before = [segment.ids, segment.bytes];
        let mut grown = before;
        let parts = [of_ids.as_mut().map(|file| (file, ids(block))), Some((file, Vec::new()))];
        let mut written = Ok(());
        for (part, length) in parts.into_iter().zip(&mut grown) {
            let Some((file, ids)) = part.filter(|_| written.is_ok()) else { continue };
            let payload = if ids.is_empty() { block } else { &ids };
            written = packer.pack(first, lines, payload).and_then(|frame| {
                *length += frame.len() as u64;
                file.write_all(frame)
            });
        }
        if let Err(error) = written {
            let files = self.tail.iter().flatten().flatten().zip([before[1], before[0]]);
            for (file, length) in files {
                file.set_len(length)?;
            }
            return Err(error);
        }
        [segment.ids, segment.bytes] = grown;
        self.end = self.end.max(first + u64::from(lines));
        Ok(())
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// What the system says: what was written may be lost then.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            for file in self.tail.iter().flatten().flatten() {
                file.sync_data()?;
            }
        }
        if std::mem::take(&mut self.is_fresh) {
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(())
    }

    /// From now on what is written behind the present end is read again.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read_from_end(&mut self, next: u64) -> io::Result<()> {
        self.next = next;
        self.reader = match self.segments.back() {
            Some(last) => {
                let file = File::open(path(&self.directory, self.kind, last.first, false))?;
                Some(Reader { first: last.first, file, at: last.bytes })
            }
            None => None,
        };
        Ok(())
    }

    /// What comes next, of what is in frames; nothing at their end.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(&mut self) -> io::Result<Option<Read>> {
        while self.next < self.end {
            let Some((reader, bytes)) = self.reader()? else {
                return self.lost(self.end).map(Some);
            };
            let (at, frame) = (reader.at, reader.frame(bytes)?);
            let Some((head, block)) = frame else {
                self.pass_damage(at)?;
                continue;
            };
            if head.end() > self.next && head.first > self.next {
                return self.lost(head.first).map(Some);
            }
            if let Some(reader) = &mut self.reader {
                reader.at = at + head.length();
            }
            if head.end() > self.next {
                let known = behind(&block, self.next - head.first);
                let first = std::mem::replace(&mut self.next, head.end());
                let block = if known == 0 { block } else { block[known..].to_vec() };
                return Ok(Some(Read::Documents(first, block)));
            }
        }
        Ok(None)
    }

    /// Where it goes on, with the bytes of that segment; nothing at the end.
    fn reader(&mut self) -> io::Result<Option<(&mut Reader, u64)>> {
        loop {
            let now = self.reader.as_ref().map(|reader| (reader.first, reader.at));
            let has_more = |it: &&Segment| {
                now.is_some_and(|(first, at)| it.first == first && at + HEAD as u64 <= it.bytes)
            };
            if let Some(bytes) = self.segments.iter().find(has_more).map(|it| it.bytes) {
                return Ok(self.reader.as_mut().map(|reader| (reader, bytes)));
            }
            let mut all = self.segments.iter();
            let segment = match now {
                Some((before, _)) => all.find(|it| it.first > before),
                None => {
                    let before = all.rfind(|it| it.first <= self.next);
                    before.or_else(|| self.segments.front())
                }
            };
            let Some(first) = segment.map(|it| it.first) else { return Ok(None) };
            let path = path(&self.directory, self.kind, first, false);
            let file = match File::open(&path) {
                // Its ids only are there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => File::open("/dev/null")?,
                file => file?,
            };
            self.reader = Some(Reader { first, file, at: 0 });
        }
    }

    /// Goes on behind a frame that is not as it was written.
    fn pass_damage(&mut self, at: u64) -> io::Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let Some(segment) = self.segments.iter_mut().find(|it| it.first == reader.first) else {
            return Ok(());
        };
        segment.is_damaged = true;
        segment.bytes = segment.bytes.min(reader.file.metadata()?.len());
        let path = path(&self.directory, self.kind, reader.first, false);
        tracing::error!(path = %path.display(), at, "damaged; what is whole in it is sent");
        let length = usize::try_from(segment.bytes.saturating_sub(at + 1)).unwrap_or_default();
        let mut bytes = vec![0; length];
        reader.file.read_exact_at(&mut bytes, at + 1)?;
        let next = frame::frames(&bytes).first().map(|(place, _)| at + 1 + *place as u64);
        reader.at = next.unwrap_or(segment.bytes);
        Ok(())
    }

    /// What is missing up to a number, or to the end of a segment.
    fn lost(&mut self, to: u64) -> io::Result<Read> {
        let from = self.next;
        let others = self.segments.iter().map(|it| it.first).find(|first| *first > from);
        let to = others.map_or(to, |first| first.min(to));
        self.next = to;
        let (mut known, mut told) = (Vec::new(), from);
        let segment = self.segments.iter().rfind(|it| it.first <= from && it.ids > 0);
        let bytes = match segment {
            Some(segment) => fs::read(path(&self.directory, self.kind, segment.first, true))?,
            None => Vec::new(),
        };
        for (at, head) in frame::frames(&bytes) {
            let ids = unpack(&head, &bytes[at..at + head.length() as usize]).unwrap_or_default();
            let numbered = (head.first..).zip(ids.as_chunks::<16>().0);
            let within: Vec<_> = numbered.filter(|(n, _)| (told..to).contains(n)).collect();
            if let Some((first, _)) = within.first() {
                told = first + within.len() as u64;
                known.push((*first, within.iter().map(|(_, id)| Id(**id)).collect()));
            }
        }
        Ok(Read::Lost(Lost { from, to, known }))
    }

    /// Lets go what is before `cursor`, which a commit has passed.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn forget(&mut self, cursor: u64) -> io::Result<()> {
        while let Some(first) = self.segments.front() {
            let end = self.segments.get(1).map_or(self.end, |second| second.first);
            if end > cursor {
                break;
            }
            drop_segment(&self.directory, self.kind, first)?;
            self.segments.pop_front();
        }
        if self.segments.is_empty() {
            self.tail = None;
            self.is_dirty = false;
        }
        Ok(())
    }
}

/// Removes the files of a segment, or puts them away for somebody to look at.
fn drop_segment(directory: &Path, kind: Kind, segment: &Segment) -> io::Result<()> {
    let documents = path(directory, kind, segment.first, false);
    if segment.is_damaged && documents.exists() {
        fs::rename(&documents, documents.with_extension("damaged"))?;
        forget_damaged(directory)?;
    }
    remove(&documents)?;
    remove(&path(directory, kind, segment.first, true))
}

/// Puts other bytes into the place of a file: at any moment it is one or the other.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Keeps bytes for somebody to look at, if there is room.
fn quarantine(directory: &Path, of: &Path, bytes: &[u8]) {
    let mut options = OpenOptions::new();
    let path = of.with_extension("torn.damaged");
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    let kept = file.and_then(|mut file| file.write_all(bytes));
    if let Err(error) = kept.and_then(|()| forget_damaged(directory)) {
        tracing::warn!(path = %path.display(), %error, "what is torn cannot be kept");
    }
}

fn forget_damaged(directory: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "damaged") {
            found.push(path);
        }
    }
    found.sort_unstable();
    let more = found.len().saturating_sub(QUARANTINED_MAX);
    found.iter().take(more).try_for_each(|path| remove(path))
}
