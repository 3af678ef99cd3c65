//! A host with a Zeek: where it logs, where its logs are archived, and what happens to them.
//!
//! ```text
//! spool/zeek/             the process logs here
//! spool/tmp/              directories of processes that are gone
//! logs/current            a symbolic link to spool/zeek
//! logs/2026-01-20/        archives
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::emulator::actions::Action;
use crate::emulator::archiver::{self, Archiving};
use crate::emulator::ledger::{Expected, Ledger};
use crate::emulator::rows::{Form, Log};
use crate::emulator::writer::{Finished, Names, Writer};

/// Between the end of a process and the next.
const RESTART_S: u64 = 2;

/// How a Zeek is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) form: Form,
    pub(crate) names: Names,
    pub(crate) archiving: Archiving,
}

impl Setup {
    /// As zeekctl does it.
    pub(crate) fn zeekctl() -> Self {
        Self { form: Form::Tsv, names: Names::Dated, archiving: Archiving::Zeekctl }
    }

    /// As a supervised Zeek with JSON logs does it.
    pub(crate) fn supervised() -> Self {
        Self { form: Form::Json, names: Names::Queue, archiving: Archiving::ZeekArchiver }
    }
}

/// See the module.
pub(crate) struct World {
    root: PathBuf,
    setup: Setup,
    live: PathBuf,
    ledger: Ledger,
    /// The writers of the process that runs, if one does.
    zeek: Option<Vec<Writer>>,
    /// Rotated or left behind, oldest first, not archived yet.
    finished: Vec<Finished>,
    /// Names for what needs a new name.
    names: u32,
}

impl World {
    /// An empty host in an existing directory, with a Zeek that has not written anything yet.
    pub(crate) fn new(root: &Path, setup: Setup) -> Self {
        let live = root.join("spool/zeek");
        fs::create_dir_all(&live).unwrap();
        fs::create_dir_all(root.join("spool/tmp")).unwrap();
        fs::create_dir_all(root.join("logs")).unwrap();
        archiver::repoint(&root.join("logs/current"), Path::new("../spool/zeek"), &mut || {});
        let root = root.to_owned();
        let (ledger, finished) = (Ledger::new(), Vec::new());
        let mut world = Self { root, setup, live, ledger, zeek: None, finished, names: 0 };
        world.start();
        world
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory in which Zeek logs; `logs/current` points there.
    pub(crate) fn live(&self) -> &Path {
        &self.live
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The reader has read everything that could be read up to now: see `Ledger::settled`.
    pub(crate) fn settled(&mut self) {
        self.ledger.settled();
    }

    pub(crate) fn expected(&self) -> Expected {
        self.ledger.expected()
    }

    /// Does `action`; what cannot be done (a write without a process, say) does nothing, so that
    /// any part of a sequence is a sequence.
    pub(crate) fn apply(&mut self, action: &Action) {
        self.apply_with(action, &mut || {});
    }

    /// As `apply`; `between` is called wherever a reader may look in the middle of the action.
    pub(crate) fn apply_with(&mut self, action: &Action, between: &mut dyn FnMut()) {
        match *action {
            Action::Write { log, records } => {
                self.with_writer(log, |writer, ledger| writer.write(ledger, usize::from(records)));
            }
            Action::WritePart { log, percent } => {
                self.with_writer(log, |writer, ledger| writer.write_part(ledger, percent));
            }
            Action::FinishPart { log } => {
                self.with_writer(log, |writer, ledger| writer.finish_part(ledger));
            }
            Action::Rotate => self.rotate(between),
            Action::Archive => {
                if let Some(finished) = self.take_finished() {
                    let (archiving, logs) = (self.setup.archiving, self.logs());
                    archiver::archive(&mut self.ledger, archiving, &finished, &logs, between);
                }
            }
            Action::Remove => {
                if let Some(finished) = self.take_finished() {
                    archiver::remove(&mut self.ledger, &finished.path);
                }
            }
            Action::MoveDirectory => self.move_directory(between),
            Action::TruncateRestart { log } => {
                self.kill();
                between();
                self.start();
                self.with_writer(log, |writer, ledger| writer.write(ledger, 1));
            }
            Action::Kill => self.kill(),
            Action::Stop => self.stop(between),
            Action::Restart => {
                self.kill();
                self.start();
            }
            Action::Pause { milliseconds } => {
                std::thread::sleep(Duration::from_millis(u64::from(milliseconds)));
                self.ledger.clock.advance_seconds(1);
            }
            Action::Copy { log } => self.copy(log),
            Action::Hollow { log, keeps_copy } => self.hollow(log, keeps_copy),
            Action::Repoint => self.repoint(between),
        }
    }

    /// Writes a record of which `edit` made another line, neither with a newline; its key, if there
    /// is a process.
    pub(crate) fn write_edited(
        &mut self,
        log: Log,
        edit: impl FnOnce(Form, &str) -> String,
    ) -> Option<String> {
        let (form, mut written) = (self.setup.form, None);
        self.with_writer(log, |writer, ledger| {
            let (key, line) = ledger.next_record(log, form);
            let line = edit(form, line.trim_end_matches('\n'));
            writer.write_line(ledger, &key, line.as_bytes(), &mut || {});
            written = Some(key);
        });
        written
    }

    fn with_writer(&mut self, log: Log, act: impl FnOnce(&mut Writer, &mut Ledger)) {
        let writers = self.zeek.iter_mut().flatten();
        if let Some(writer) = writers.into_iter().find(|writer| writer.log() == log) {
            act(writer, &mut self.ledger);
        }
    }

    fn start(&mut self) {
        let writer = |log| Writer::new(&self.live, log, self.setup.form);
        self.zeek = Some(Log::ALL.map(writer).into());
        self.ledger.clock.advance_seconds(RESTART_S);
    }

    /// All logs rotate, one after the other.
    fn rotate(&mut self, between: &mut dyn FnMut()) {
        self.ledger.clock.advance_to_rotation();
        for writer in self.zeek.iter_mut().flatten() {
            self.finished.extend(writer.rotate(&mut self.ledger, self.setup.names));
            between();
        }
    }

    fn kill(&mut self) {
        for mut writer in self.zeek.take().into_iter().flatten() {
            writer.kill(&mut self.ledger);
        }
    }

    /// A clean stop: Zeek rotates first, and then writes what it still had in mind (a connection
    /// for each that is open, say) into new files, which are closed and not renamed.
    fn stop(&mut self, between: &mut dyn FnMut()) {
        let was_open = |writer: &Writer| writer.is_open().then_some(writer.log());
        let open: Vec<Log> = self.zeek.iter().flatten().filter_map(was_open).collect();
        self.rotate(between);
        for mut writer in self.zeek.take().into_iter().flatten() {
            if open.contains(&writer.log()) {
                writer.write(&mut self.ledger, 2);
                between();
                writer.close(&mut self.ledger);
                between();
            }
        }
    }

    /// The oldest finished file.
    fn take_finished(&mut self) -> Option<Finished> {
        (!self.finished.is_empty()).then(|| self.finished.remove(0))
    }

    /// After the end of the process its directory is moved away, and all logs in it are finished.
    fn move_directory(&mut self, between: &mut dyn FnMut()) {
        self.kill();
        let name = self.next_name();
        let to = self.root.join(format!("spool/tmp/post-terminate-{name}-crash"));
        let from = self.live.clone();
        archiver::move_directory(&mut self.ledger, &from, &to, between);
        for finished in &mut self.finished {
            if let Ok(below) = finished.path.strip_prefix(&from) {
                finished.path = to.join(below);
            }
        }
        self.ledger.clock.advance_to_rotation();
        let closed_s = self.ledger.clock.seconds();
        for log in Log::ALL {
            let form = self.setup.form;
            let path = to.join(Writer::new(&from, log, form).path().file_name().unwrap());
            if path.exists() {
                let opened_s = closed_s - RESTART_S;
                self.finished.push(Finished { path, log, form, opened_s, closed_s });
            }
        }
    }

    /// Somebody copies the live file to a name beside it.
    fn copy(&mut self, log: Log) {
        let from = Writer::new(&self.live, log, self.setup.form).path();
        if from.exists() {
            let name = from.file_name().unwrap().to_string_lossy().into_owned();
            let name = name.replace(".log", &format!(".copy{}.log", self.next_name()));
            archiver::copy(&mut self.ledger, &from, &from.with_file_name(name));
        }
    }

    /// A foreign rotator copies, if at all, and truncates the live file.
    fn hollow(&mut self, log: Log, keeps_copy: bool) {
        let path = Writer::new(&self.live, log, self.setup.form).path();
        // A compressed file with a hole is no file that anybody could read.
        if path.exists() && self.setup.form != Form::Gzip {
            if keeps_copy {
                self.copy(log);
            }
            archiver::truncate(&mut self.ledger, &path);
        }
    }

    /// A new process logs into a new directory, to which `logs/current` is re-pointed.
    fn repoint(&mut self, between: &mut dyn FnMut()) {
        self.kill();
        let name = format!("zeek-{}", self.next_name());
        self.live = self.root.join("spool").join(&name);
        fs::create_dir(&self.live).unwrap();
        let target = Path::new("../spool").join(name);
        archiver::repoint(&self.root.join("logs/current"), &target, between);
        self.start();
    }

    fn next_name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }
}
