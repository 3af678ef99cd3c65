//! One side of a download: what a row of `http` or of `files` says of it, as a cell of its minute
//! carries it, and as it waits for the other side.
//!
//! A cell has a subject and three numbers, so that is where it all is: short, because many wait.
//! Texts that find no room are cut, after all that rules need was taken out of them.

use crate::base::hash;
use crate::base::limits::SUBJECT_BYTES_MAX;
use crate::base::score::Ppm;

use super::super::bodies::{extension, has_double_extension};
use super::super::input::Amounts;
use super::rules::Facts;

/// What names a file: Zeek's fuid, by a hash; nothing of a row that has none.
pub(super) type File = Option<[u8; 12]>;

/// Bytes of the type of a body that are kept: what is longer is none that is known.
const TYPE_MAX: usize = 48;
/// Bytes of what a client calls itself: browsers have up to some 130.
const AGENT_MAX: usize = 128;
/// Before the texts: which log, the file, and the lengths of two of them.
const HEAD: usize = 1 + 12 + 2;

const FILES: u8 = b'f';
const HTTP: u8 = b'h';
/// Of `http` without a fuid.
const ALONE: u8 = b'a';

const IS_ADDRESS: u64 = 1;
const HAS_DOUBLE_EXTENSION: u64 = 2;
const IS_SILENT: u64 = 4;

/// What a row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Whether it stands in `http`.
    pub(super) is_http: bool,
    pub(super) file: File,
    /// The model's probability of its URL.
    pub(super) score: Option<Ppm>,
    /// The type that Zeek saw in the body.
    pub(super) mime: &'a [u8],
    pub(super) agent: &'a [u8],
    /// The URL, or of `files` the name of the file.
    pub(super) text: &'a [u8],
    /// The extension of what it is called.
    pub(super) extension: [u8; 8],
    pub(super) is_address: bool,
    pub(super) has_double_extension: bool,
    /// Of `http`: its URL does not say that it is a program.
    pub(super) is_silent: bool,
}

/// The name of a file.
pub(super) fn file(fuid: &[u8]) -> File {
    let hash = hash::id(&[fuid]).0;
    let mut file = [0; 12];
    file.copy_from_slice(&hash[..12]);
    (!fuid.is_empty()).then_some(file)
}

impl<'a> Part<'a> {
    /// Takes out of a name what rules ask for.
    pub(super) fn call(&mut self, name: &[u8]) {
        let extension = extension(name).unwrap_or_default();
        self.extension = [0; 8];
        self.extension[..extension.len()].copy_from_slice(extension);
        self.has_double_extension |= has_double_extension(name);
    }

    /// The subject and the amounts of its cell.
    pub(super) fn cell(&self) -> (Vec<u8>, Amounts) {
        let mime = self.mime.get(..TYPE_MAX).unwrap_or(self.mime);
        let agent = self.agent.get(..AGENT_MAX).unwrap_or(self.agent);
        let log = match (self.is_http, self.file) {
            (false, _) => FILES,
            (true, Some(_)) => HTTP,
            (true, None) => ALONE,
        };
        let mut out = Vec::with_capacity(SUBJECT_BYTES_MAX);
        out.push(log);
        out.extend_from_slice(&self.file.unwrap_or_default());
        out.extend([mime.len() as u8, agent.len() as u8]);
        out.extend_from_slice(mime);
        out.extend_from_slice(agent);
        let room = SUBJECT_BYTES_MAX - out.len();
        out.extend_from_slice(self.text.get(..room).unwrap_or(self.text));
        let flag = |is: bool, flag| if is { flag } else { 0 };
        let flags = flag(self.is_address, IS_ADDRESS)
            | flag(self.has_double_extension, HAS_DOUBLE_EXTENSION)
            | flag(self.is_silent, IS_SILENT);
        let score = self.score.map_or(0, |score| u64::from(score.get()) + 1);
        (out, [score, flags, u64::from_be_bytes(self.extension)])
    }

    /// What a cell says; nothing of one that [`Part::cell`] did not make.
    pub(super) fn read(subject: &'a [u8], amounts: Amounts) -> Option<Self> {
        let (head, texts) = subject.split_at_checked(HEAD)?;
        let (mime, rest) = texts.split_at_checked(usize::from(head[HEAD - 2]))?;
        let (agent, text) = rest.split_at_checked(usize::from(head[HEAD - 1]))?;
        let file: [u8; 12] = head.get(1..13)?.try_into().ok()?;
        let [score, flags, extension] = amounts;
        let ppm = |score: u64| Ppm::new(u32::try_from(score).unwrap_or(u32::MAX));
        Some(Self {
            is_http: head[0] != FILES,
            file: (head[0] != ALONE && file != [0; 12]).then_some(file),
            score: score.checked_sub(1).map(ppm),
            mime,
            agent,
            text,
            extension: extension.to_be_bytes(),
            is_address: flags & IS_ADDRESS != 0,
            has_double_extension: flags & HAS_DOUBLE_EXTENSION != 0,
            is_silent: flags & IS_SILENT != 0,
        })
    }

    /// Whether its text is all that there was.
    pub(super) fn is_whole(&self) -> bool {
        HEAD + self.mime.len() + self.agent.len() + self.text.len() < SUBJECT_BYTES_MAX
    }

    /// What is known of a download of which there is nothing else.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        self.tell(&mut facts);
        facts
    }

    /// Adds what it says to what is known of a download.
    pub(super) fn tell(&self, facts: &mut Facts) {
        facts.see_type(self.mime);
        let end = self.extension.iter().position(|byte| *byte == 0).unwrap_or(8);
        facts.see_extension(&self.extension[..end]);
        if self.has_double_extension {
            facts.see_double_extension();
        }
        if !self.is_http {
            return;
        }
        facts.url = self.score;
        facts.see_agent(self.agent);
        if self.is_address {
            facts.see_bare_address();
        }
        if self.is_silent {
            facts.see_silent_url();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cell_says_what_the_row_said(
            (is_http, fuid) in (any::<bool>(), "[A-Za-z0-9]{0,20}"),
            score in proptest::option::of(0..=1_000_000_u32),
            (mime, agent, text) in (".{0,60}", ".{0,200}", ".{0,300}"),
            name in "[a-z.]{0,20}",
        ) {
            let mut part = Part {
                is_http,
                file: file(fuid.as_bytes()),
                score: score.map(Ppm::new),
                mime: mime.as_bytes(),
                agent: agent.as_bytes(),
                text: text.as_bytes(),
                is_silent: is_http,
                ..Part::default()
            };
            part.call(name.as_bytes());
            let (subject, amounts) = part.cell();
            prop_assert!(subject.len() <= SUBJECT_BYTES_MAX);
            let read = Part::read(&subject, amounts).unwrap();
            prop_assert!(part.mime.starts_with(read.mime) && part.agent.starts_with(read.agent));
            prop_assert!(part.text.starts_with(read.text));
            prop_assert!(!read.is_whole() || read.text == part.text);
            let same = Part { mime: part.mime, agent: part.agent, text: part.text, ..read };
            prop_assert_eq!(same, part);
        }

        #[test]
        fn garbage_is_no_part(subject in proptest::collection::vec(any::<u8>(), 0..300)) {
            // Or it is one, whatever it says.
            if let Some(part) = Part::read(&subject, [u64::MAX; 3]) {
                part.tell(&mut Facts::default());
            }
        }
    }

    #[test]
    fn a_url_finds_room_beside_what_is_long() {
        let part =
            Part { is_http: true, mime: &[b'm'; 99], agent: &[b'a'; 999], ..Part::default() };
        assert!(SUBJECT_BYTES_MAX - part.cell().0.len() >= 64);
    }
}
