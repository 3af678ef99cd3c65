//! The files of one lane: live ones in turn, the older of a directory first; files that were put
//! away before they were read to their end, one after another.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::base::clock::now;
use crate::base::limits::IDENTIFY_BYTES;
use crate::engine::{Mark, Tail};
use crate::read::Reader;
use crate::record::{Batch, Lane, Log, Source};
use crate::zeek::{self, Parser, Settings, identify};

use super::board::{Board, FileKey, Known};
use super::follow::{Bytes, Follow, HEAD_BYTES, Identity, Look};
use super::scan::{News, seconds_now};

/// Time between two looks at files that grow.
const BUSY: Duration = Duration::from_micros(1500);
/// Time between two looks at files that are quiet.
const IDLE: Duration = Duration::from_millis(50);
/// So long after the last record a lane still looks often.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// Time between two times that the gauges are shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// A live file whose first record is not there yet.
struct Waiting {
    file: File,
    path: PathBuf,
    relative: String,
    key: FileKey,
    /// What was cut off in the same file said how records look.
    like: Option<Parser>,
    /// Bytes at the last look.
    seen: u64,
    /// When it is looked at again although it has not changed.
    again: Option<Instant>,
    is_final: bool,
}

/// See the module.
pub struct LaneTail {
    lane: Lane,
    settings: BTreeMap<Log, Settings>,
    sensor_id: String,
    board: Arc<Board>,
    news: Receiver<News>,
    waiting: Vec<Waiting>,
    /// Live files, the older first; with their directories.
    live: Vec<(PathBuf, Follow)>,
    backlog: VecDeque<Box<Follow>>,
    /// The file to read next, and how a look at it went.
    turn: Option<(Place, Look)>,
    /// Whose turn it is among the live files.
    next: usize,
    /// Whether what stood unread at the start is all here, and whether it was read.
    is_sent: bool,
    is_caught_up: bool,
    /// Whether the last turn was a live file's.
    was_live: bool,
    heard: Option<Instant>,
    /// When there was nothing to read last.
    caught_up: Instant,
    /// When the gauges were shown last.
    shown: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Place {
    Live(usize),
    Backlog,
}

impl LaneTail {
    /// The tail of `lane`; `news` comes from the scanner.
    #[must_use]
    pub fn new(
        lane: Lane,
        settings: &BTreeMap<Log, Settings>,
        sensor_id: &str,
        board: Arc<Board>,
        news: Receiver<News>,
    ) -> Self {
        Self {
            lane,
            settings: settings.clone(),
            sensor_id: sensor_id.to_owned(),
            board,
            news,
            waiting: Vec::new(),
            live: Vec::new(),
            backlog: VecDeque::new(),
            turn: None,
            next: 0,
            is_sent: false,
            is_caught_up: false,
            was_live: true,
            heard: None,
            caught_up: now(),
            shown: None,
        }
    }

    fn hear(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Live { file, path, relative } => self.meet(file, path, relative, None),
                News::Backlog(follow) => self.backlog.push_back(follow),
                News::CaughtUp => self.is_sent = true,
                News::Moved { key, relative, is_live } => {
                    for (_, follow) in self.live.iter_mut().filter(|(_, it)| it.key == key) {
                        follow.rename(&relative);
                        follow.is_final = !is_live;
                    }
                    for waiting in self.waiting.iter_mut().filter(|it| it.key == key) {
                        waiting.relative.clone_from(&relative);
                        waiting.is_final = !is_live;
                    }
                }
                News::Gone(key) => {
                    for (_, follow) in self.live.iter_mut().filter(|(_, it)| it.key == key) {
                        follow.is_final = true;
                    }
                    for waiting in self.waiting.iter_mut().filter(|it| it.key == key) {
                        waiting.is_final = true;
                    }
                }
            }
        }
    }

    fn meet(&mut self, file: File, path: PathBuf, relative: String, like: Option<Parser>) {
        tracing::debug!(path = %path.display(), "waits for its first record");
        let Ok(meta) = file.metadata() else { return };
        let key = FileKey::of(&meta);
        let seen = u64::MAX;
        let (again, is_final) = (None, false);
        self.waiting.push(Waiting { file, path, relative, key, like, seen, again, is_final });
    }

    /// Looks which of the waiting files have a first record by now.
    fn identify_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            if let Some(waiting) = self.identify_one(waiting) {
                self.waiting.push(waiting);
            }
        }
    }

    fn identify_one(&mut self, mut waiting: Waiting) -> Option<Waiting> {
        let size = waiting.file.metadata().map_or(0, |meta| meta.len());
        if size == waiting.seen && waiting.again.is_none_or(|again| again > now()) {
            if waiting.is_final {
                self.board.lock().followed.remove(&waiting.key);
                return None;
            }
            return Some(waiting);
        }
        (waiting.seen, waiting.again) = (size, None);
        let name = waiting.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let alias = &self.settings.values().next()?.alias;
        let found = first_record(&waiting.file, &name.unwrap_or_default(), alias);
        let Some(identity) = found else { return Some(waiting) };
        if identity.log.lane() != self.lane {
            tracing::warn!(path = %waiting.path.display(), log = %identity.log, "another log's records");
            return Some(waiting);
        }
        match self.follow(&waiting, identity) {
            Ok(Some(mut follow)) => {
                if let Some(like) = waiting.like.take() {
                    follow.use_parser(like);
                }
                follow.is_final = waiting.is_final;
                let directory = waiting.path.parent().map(PathBuf::from).unwrap_or_default();
                self.live.push((directory, follow));
                None
            }
            // A copy of what is still being read.
            Ok(None) => {
                waiting.again = Some(now() + Duration::from_secs(1));
                Some(waiting)
            }
            Err(error) => {
                tracing::warn!(path = %waiting.path.display(), %error, "cannot be read now");
                waiting.seen = u64::MAX;
                Some(waiting)
            }
        }
    }

    /// Goes on with a content that is known, or begins with a new one.
    fn follow(&self, waiting: &Waiting, identity: Identity) -> std::io::Result<Option<Follow>> {
        let alike = self.board.lock().alike(identity.head);
        let settings = &self.settings[&identity.log];
        let begin = |identity: Identity, known: Option<(&Known, super::check::Running)>| {
            let file = waiting.file.try_clone()?;
            let seen = known.as_ref().map(|(known, _)| *known);
            let position = known.map(|(known, running)| (&known.position, running));
            let path = waiting.relative.clone();
            let (generation, sensor_id) = (identity.generation, &self.sensor_id);
            let follow = Follow::new(file, identity, path, position, settings, sensor_id)?;
            let is_ours =
                self.board.lock().claim(generation, seen, follow.position(false, seconds_now()));
            Ok(is_ours.then_some(follow))
        };
        for (generation, known) in &alike {
            let Some(running) = resume_plain(&waiting.file, known) else { continue };
            if known.is_open {
                return Ok(None);
            }
            let identity = Identity { generation: *generation, ..identity };
            return begin(identity, Some((known, running)));
        }
        if alike.is_empty() {
            return begin(identity, None);
        }
        let line = super::scan::differing_line(&waiting.file, &identity);
        self.board.lock().gauge(self.lane).forked += 1;
        let generation = identity.head.fork(&line);
        begin(Identity { generation, ..identity }, None)
    }

    /// The next file with something to read.
    fn choose(&mut self) -> Option<(Place, Look)> {
        let is_backlogged = !self.backlog.is_empty();
        self.is_caught_up |= self.is_sent && !is_backlogged;
        if is_backlogged && (!self.is_caught_up || self.was_live) {
            self.was_live = false;
            return Some((Place::Backlog, Look::More));
        }
        // What stood unread at the start comes first, so that time does not run backwards.
        let count = if self.is_caught_up { self.live.len() } else { 0 };
        self.was_live = true;
        for step in 0..count {
            let index = (self.next + step) % count;
            let (directory, _) = &self.live[index];
            // Of one directory the older file is read to its end before the next one begins.
            let is_first = !self.live[..index].iter().any(|(other, follow)| {
                other == directory
                    && follow.identity.log == self.live[index].1.identity.log
                    && follow.unread() > 0
            });
            if !is_first {
                continue;
            }
            let look = self.live[index].1.look();
            if look != Look::Quiet {
                self.next = index.wrapping_add(1);
                return Some((Place::Live(index), look));
            }
        }
        is_backlogged.then_some((Place::Backlog, Look::More))
    }

    /// Lets go of files that are quiet, where others wait for a place.
    fn make_room(&mut self) {
        let mut board = self.board.lock();
        if !board.is_crowded {
            return;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.is_final || waiting.like.is_some() || waiting.seen == u64::MAX {
                self.waiting.push(waiting);
            } else {
                board.followed.remove(&waiting.key);
                board.parked.insert(waiting.key, waiting.seen);
            }
        }
        for (directory, follow) in std::mem::take(&mut self.live) {
            if follow.is_quiet() {
                board.followed.remove(&follow.key);
                board.parked.insert(follow.key, follow.size);
                let position = follow.position(false, seconds_now());
                board.note(follow.identity.generation, position, false);
            } else {
                self.live.push((directory, follow));
            }
        }
    }

    fn show_gauges(&mut self) {
        let is_behind = self.turn.is_some() || !self.is_caught_up;
        if !is_behind {
            self.caught_up = now();
        }
        if self.shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY) {
            self.show(is_behind);
        }
    }

    fn show(&mut self, is_behind: bool) {
        self.shown = Some(now());
        let mut board = self.board.lock();
        let gauge = board.gauge(self.lane);
        let put_away = self.backlog.iter().map(|follow| &**follow);
        let all = || self.live.iter().map(|(_, follow)| follow).chain(put_away.clone());
        gauge.open = (all().count() + self.waiting.len()) as u64;
        gauge.lag_bytes = all().map(Follow::unread).sum();
        gauge.behind_since = is_behind.then_some(self.caught_up);
        gauge.looked = self.shown;
        gauge.held_deleted_bytes = all().filter(|it| it.is_unlinked).map(Follow::unread).sum();
    }
}

impl Tail for LaneTail {
    fn next(&mut self) -> Option<Log> {
        self.hear();
        self.identify_waiting();
        self.turn = self.choose();
        self.show_gauges();
        let Some((place, _)) = self.turn else {
            self.make_room();
            let is_busy = self.heard.is_some_and(|heard| heard.elapsed() < BUSY_FOR);
            std::thread::sleep(if is_busy { BUSY } else { IDLE });
            return None;
        };
        Some(match place {
            Place::Live(index) => self.live[index].1.identity.log,
            Place::Backlog => self.backlog.front()?.identity.log,
        })
    }

    fn watch(&mut self) {
        if self.shown.is_some_and(|shown| shown.elapsed() < SHOW_EVERY) {
            return;
        }
        self.hear();
        let put_away = self.backlog.iter_mut().map(|follow| &mut **follow);
        for follow in self.live.iter_mut().map(|(_, follow)| follow).chain(put_away) {
            follow.look();
        }
        self.show(true);
    }

    fn read(&mut self, rows_max: usize, batch: &mut Batch) -> Option<(Arc<Source>, Mark, bool)> {
        let (place, look) = self.turn.take()?;
        let follow = match place {
            Place::Live(index) => &mut self.live.get_mut(index)?.1,
            Place::Backlog => self.backlog.front_mut()?,
        };
        let is_truncated = look == Look::Truncated;
        // What is still in the buffer of a file that was cut is all that is left of it.
        let is_full = match is_truncated {
            true => follow.read_buffered(rows_max, batch),
            false => follow.read(rows_max, batch),
        };
        let is_last = match place {
            _ if is_truncated => !is_full,
            Place::Live(_) => look == Look::Over && !is_full,
            Place::Backlog => !is_full,
        };
        if is_last {
            follow.finish(batch);
        }
        let position = follow.position(is_last, seconds_now());
        let (source, mark) = follow.mark(&position);
        let is_empty = mark.range.is_empty() && batch.is_empty() && !is_last;
        let generation = mark.generation;
        self.board.lock().note(generation, position, !is_last);
        if is_last {
            tracing::debug!(path = source.path, read = mark.range.end, "read to its end");
            self.close(place, is_truncated);
        }
        if is_empty {
            return None;
        }
        self.heard = Some(now());
        let is_behind = is_full || !self.backlog.is_empty();
        Some((source, mark, is_behind))
    }
}

impl LaneTail {
    fn close(&mut self, place: Place, is_truncated: bool) {
        let Place::Live(index) = place else {
            let mut board = self.board.lock();
            if let Some(follow) = self.backlog.pop_front() {
                board.followed.remove(&follow.key);
                board.backlog.entry(self.lane).and_modify(|count| *count -= 1);
            }
            return;
        };
        let (directory, follow) = self.live.remove(index);
        if !is_truncated {
            self.board.lock().followed.remove(&follow.key);
            return;
        }
        let mut board = self.board.lock();
        let gauge = board.gauge(self.lane);
        gauge.truncated += 1;
        gauge.lost_bytes += follow.size.saturating_sub(follow.read_to());
        drop(board);
        tracing::warn!(
            path = %follow.relative(), read = follow.read_to(), had = follow.size,
            "cut while it was followed; what comes now is another file"
        );
        let path = directory.join(follow.relative().rsplit('/').next().unwrap_or_default());
        let (like, relative) = (follow.parser_like(), follow.relative().to_owned());
        let Some(file) = follow.into_file() else { return };
        let mut first = [0];
        let has_hole = (&file).rewind_and_read(&mut first) && first == [0];
        self.meet(file, path, relative, has_hole.then_some(like));
    }
}

/// Reads the first bytes of a file.
trait FirstByte {
    fn rewind_and_read(&self, into: &mut [u8]) -> bool;
}

impl FirstByte for &File {
    fn rewind_and_read(&self, into: &mut [u8]) -> bool {
        std::os::unix::fs::FileExt::read_exact_at(*self, into, 0).is_ok()
    }
}

/// What a file is, if its first record is complete.
pub(super) fn first_record(
    file: &File,
    name: &str,
    alias: &[(String, String)],
) -> Option<Identity> {
    let mut reader = Reader::new(file.try_clone().ok()?).ok()?;
    let is_gzip = reader.is_gzip();
    let mut head = vec![0; IDENTIFY_BYTES];
    let (count, _) = reader.fill(&mut head);
    head.truncate(count);
    let end = memchr::memrchr(b'\n', &head).map_or(0, |at| at + 1);
    if end > 0 || !is_gzip {
        let is_long = end == 0 && count == IDENTIFY_BYTES;
        head.truncate(if is_long { count } else { end });
    }
    match identify(&head, false, name, alias) {
        zeek::Identity::Ours { log, generation } => {
            head.truncate(HEAD_BYTES);
            Some(Identity { log, head: generation, generation, first: head })
        }
        _ => None,
    }
}

/// The hash to go on with, if the file still ends where it was left as it did then.
pub(super) fn resume_plain(file: &File, known: &Known) -> Option<super::check::Running> {
    let check = known.position.check;
    let from = check.tail_from();
    let mut tail = vec![0; usize::try_from(check.length - from).ok()?];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut tail, from).ok()?;
    check.resume(&tail)
}

/// Whether what a reader decodes begins with all that was read of `known`; the hash to go on with.
pub(super) fn resume_any(reader: &mut Reader, known: &Known) -> Option<super::check::Running> {
    let mut bytes = Bytes(reader);
    known.position.check.compare(&mut bytes as &mut dyn Read).ok().flatten()
}
