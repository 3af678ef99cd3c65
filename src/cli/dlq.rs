//! `dlq`: dead letters shown, sent again, let go.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::sink::letters::{Dealt, Done, Key, Letter, Letters, Lock, files};
use crate::wiring::dlq::{Resend, Resent};

use super::args::{Args, Dlq, Which};
use super::exit::Exit;
use super::{Failed, plan, print, shown, shown_bytes};

/// Letters that are sent again at once.
const AT_ONCE: usize = 100;
/// Characters of a reason in a list.
const DETAIL_MAX: usize = 80;

/// Does what is asked for.
pub(super) fn run(args: &Args, dlq: &Dlq) -> Result<Exit, Failed> {
    let plan = plan(args)?;
    let state = plan.state.as_path();
    match dlq {
        Dlq::List { which, all, json } => list(state, which, *all, *json),
        Dlq::Show { key } => show(state, key),
        Dlq::Replay { which, within } => {
            let resend = Resend::new(&plan).map_err(|error| Failed::new(Exit::Config, error))?;
            replay(state, which, &resend, Duration::from_secs(*within))
        }
        Dlq::Drop { which, all } => {
            let says_nothing =
                which.keys.is_empty() && which.sink.is_none() && which.reason.is_none();
            if says_nothing && !*all {
                let why = anyhow::anyhow!("which ones? KEY, --sink, --reason or --all");
                return Err(Failed::new(Exit::Usage, why));
            }
            drop_letters(state, which)
        }
    }
}

fn failed(state: &Path) -> impl Fn(io::Error) -> Failed + '_ {
    let what = format!("dead letters in {}", state.display());
    move |error| Failed::new(Exit::Io, anyhow::Error::from(error).context(what.clone()))
}

impl Which {
    fn keys(&self) -> Result<Vec<Key>, Failed> {
        let parse = |text: &String| {
            let why = || anyhow::anyhow!("{}: not the key of a dead letter", shown(text));
            Key::parse(text).ok_or_else(|| Failed::new(Exit::Usage, why()))
        };
        self.keys.iter().map(parse).collect()
    }
}

/// Sees a letter, with its key and line; whether to go on.
type See<'a> = dyn FnMut(Key, &[u8], Letter) -> Result<bool, Failed> + 'a;

/// Shows every letter that is asked for to `see`.
fn each(state: &Path, which: &Which, see: &mut See<'_>) -> Result<(), Failed> {
    let keys = which.keys()?;
    let mut found = vec![false; keys.len()];
    for path in files(state).map_err(failed(state))? {
        let mut letters = Letters::open(&path).map_err(failed(state))?;
        while let Some((key, line)) = letters.line().map_err(failed(state))? {
            let at = keys.iter().position(|it| *it == key);
            if !keys.is_empty() && at.is_none() {
                continue;
            }
            let Some(letter) = Letter::parse(line) else { continue };
            let is_of = |asked: &Option<String>, is: Option<&str>| {
                asked.as_deref().is_none_or(|asked| is == Some(asked))
            };
            if !is_of(&which.sink, letter.sink.as_deref())
                || !is_of(&which.reason, Some(&letter.reason))
            {
                continue;
            }
            if let Some(found) = at.and_then(|at| found.get_mut(at)) {
                *found = true;
            }
            if !see(key, line, letter)? {
                return Ok(());
            }
        }
    }
    match found.iter().position(|found| !found) {
        Some(at) => {
            Err(Failed::new(Exit::Usage, anyhow::anyhow!("there is no dead letter {}", keys[at])))
        }
        None => Ok(()),
    }
}

/// Where what a letter is of stands.
fn place(letter: &Letter) -> String {
    match (&letter.sink, &letter.event_id) {
        (Some(sink), id) => format!("{sink} {}", id.as_deref().unwrap_or("")),
        (None, _) => format!("{}:{}", letter.file, letter.offset),
    }
}

fn list(state: &Path, which: &Which, all: bool, json: bool) -> Result<Exit, Failed> {
    let done = Done::read(state).map_err(failed(state))?;
    let (mut count, mut dealt_with) = (0_u64, 0_u64);
    each(state, which, &mut |key, line, letter| {
        let dealt = done.get(&key);
        dealt_with += u64::from(dealt.is_some());
        if dealt.is_some() && !all {
            return Ok(true);
        }
        count += 1;
        if json {
            print(&format!("{}\n", String::from_utf8_lossy(line)))?;
            return Ok(true);
        }
        let detail: String = letter.detail.chars().take(DETAIL_MAX).collect();
        let dealt = dealt.map_or(String::new(), |dealt| format!("  ({})", dealt.name()));
        print(&format!(
            "{key}  {:<16}  {:<10}  {:>8}  {}  {}{dealt}\n",
            shown(&letter.reason),
            shown(&letter.log),
            letter.length,
            shown(place(&letter)),
            shown(detail),
        ))?;
        Ok(true)
    })?;
    if !json {
        let plural = if count == 1 { "letter" } else { "letters" };
        let rest = if all { "" } else { " not shown" };
        print(&format!("{count} {plural}, {dealt_with} dealt with{rest}\n"))?;
    }
    Ok(Exit::Done)
}

fn show(state: &Path, key: &str) -> Result<Exit, Failed> {
    let which = Which { keys: vec![key.to_owned()], ..Which::default() };
    let done = Done::read(state).map_err(failed(state))?;
    each(state, &which, &mut |key, _, letter| {
        let mut out = String::new();
        line!(out, "letter    {key}");
        line!(out, "reason    {}", shown(&letter.reason));
        line!(out, "detail    {}", shown(&letter.detail));
        line!(out, "log       {}", shown(&letter.log));
        match &letter.sink {
            Some(sink) => line!(out, "sink      {}", shown(sink)),
            None => line!(out, "line      {} at byte {}", shown(&letter.file), letter.offset),
        }
        if let Some(id) = &letter.event_id {
            line!(out, "event id  {}", shown(id));
        }
        line!(out, "bytes     {}", letter.length);
        line!(out, "sha256    {}", shown(&letter.sha256));
        if let Some(dealt) = done.get(&key) {
            line!(out, "dealt     {}", dealt.name());
        }
        let raw = letter.raw();
        let kept = match raw.len() {
            0 => "\n(its bytes are not kept: they stand in the log)".to_owned(),
            length if (length as u64) < letter.length => format!("\n(its first {length} bytes)"),
            _ => String::new(),
        };
        line!(out, "{kept}");
        line!(out, "{}", shown_bytes(&raw));
        print(&out)?;
        Ok(false)
    })?;
    Ok(Exit::Done)
}

fn lock(state: &Path) -> Result<Lock, Failed> {
    let busy = || anyhow::anyhow!("somebody else deals with the dead letters now");
    let lock = Lock::take(state).map_err(failed(state))?;
    lock.ok_or_else(|| Failed::new(Exit::Unavailable, busy()))
}

fn replay(
    state: &Path,
    which: &Which,
    resend: &Resend<'_>,
    within: Duration,
) -> Result<Exit, Failed> {
    let lock = lock(state)?;
    let done = Done::read(state).map_err(failed(state))?;
    let (mut batch, mut seen) = (Vec::new(), BTreeSet::new());
    let mut all = Resent::default();
    let send = |batch: &mut Vec<(Key, Letter)>, all: &mut Resent| {
        let resent = resend.send(batch, within).map_err(failed(state))?;
        Done::note(state, &lock, &resent.replayed, Dealt::Replayed).map_err(failed(state))?;
        all.replayed.extend(resent.replayed);
        all.rejected.extend(resent.rejected);
        all.impossible.extend(resent.impossible);
        if resent.unanswered > 0 {
            let (count, seconds) = (all.replayed.len(), within.as_secs());
            let why = format!("a sink did not answer within {seconds} s; {count} were replayed");
            return Err(Failed::new(Exit::Unavailable, anyhow::Error::msg(why)));
        }
        batch.clear();
        Ok(())
    };
    let is_asked_for = !which.keys.is_empty();
    each(state, which, &mut |key, _, letter| {
        let is_of_line = letter.sink.is_none() && !is_asked_for;
        // The same letter may stand there twice.
        if done.get(&key).is_none() && !is_of_line && seen.insert(key) {
            batch.push((key, letter));
        }
        if batch.len() == AT_ONCE {
            send(&mut batch, &mut all)?;
        }
        Ok(true)
    })?;
    if !batch.is_empty() {
        send(&mut batch, &mut all)?;
    }
    let mut out = String::new();
    for (key, why) in &all.rejected {
        line!(out, "{key}  rejected again: {}", shown(why));
    }
    for (key, why) in &all.impossible {
        line!(out, "{key}  not sent: {}", shown(why));
    }
    let (replayed, rejected, impossible) =
        (all.replayed.len(), all.rejected.len(), all.impossible.len());
    line!(out, "{replayed} replayed, {rejected} rejected again, {impossible} not sent");
    print(&out)?;
    Ok(if rejected + impossible == 0 { Exit::Done } else { Exit::Data })
}

fn drop_letters(state: &Path, which: &Which) -> Result<Exit, Failed> {
    let lock = lock(state)?;
    let done = Done::read(state).map_err(failed(state))?;
    let mut keys = Vec::new();
    each(state, which, &mut |key, _, _| {
        if done.get(&key).is_none() {
            keys.push(key);
        }
        Ok(true)
    })?;
    Done::note(state, &lock, &keys, Dealt::Dropped).map_err(failed(state))?;
    print(&format!("{} dropped\n", keys.len()))?;
    Ok(Exit::Done)
}
