//! `score`: items as a model of their detector sees them, one JSON object for each line, in order.
//!
//! What the daemon says of a client is not said here: one item, whatever its score, may be no
//! alert there.

use std::io::{self, BufWriter, Write};

use super::args::{Args, Score};
use super::exit::Exit;
use super::items::{self, Item, Items};
use super::{Failed, plan};
use crate::base::limits::BATCH_ROWS_MAX;
use crate::base::score::Ppm;
use crate::model::{Models, Scorer, Trouble, strongest};

/// A score below this needs no reason, in parts per million.
const REASON_MIN: u32 = 100_000;

/// Scores every item.
pub(super) fn run(args: &Args, score: &Score) -> Result<Exit, Failed> {
    let def = items::def(score.detector);
    let plan = plan(args)?;
    let models = Models::open(&plan.places, &[def]).map_err(|trouble| {
        let exit = match trouble {
            Trouble::Absent(_) | Trouble::Library(_) => Exit::Unavailable,
            _ => Exit::Config,
        };
        Failed::new(exit, trouble)
    })?;
    let entry = models.entry(def.detector).expect("just opened");
    let threshold = Ppm::new((entry.threshold * 1e6).round() as u32);
    let mut scorer = models.scorer(def).expect("just opened");
    let mut source = items::open(score.file.as_deref())?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut lines = Vec::new();
    loop {
        let is_over = !fill(&mut source, &mut lines)?;
        let items: Vec<_> = lines.iter().map(|line| Item::parse(score.detector, line)).collect();
        let written =
            write((&lines, &items), &mut scorer, (threshold, !score.no_reasons), &mut out);
        // Somebody may wait for what is written before he says more.
        let is_due = is_over || source.buffer().is_empty();
        match written.and_then(|()| if is_due { out.flush() } else { Ok(()) }) {
            // A reader that went away has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
            Err(error) => return Err(Failed::new(Exit::Io, error)),
            Ok(()) if is_over => return Ok(Exit::Done),
            Ok(()) => {}
        }
    }
}

/// Takes as many lines as there are at once; whether more may come. Somebody who types gets an
/// answer to each.
fn fill(source: &mut Items, lines: &mut Vec<Vec<u8>>) -> Result<bool, Failed> {
    lines.clear();
    let mut bytes = 0;
    while lines.len() < BATCH_ROWS_MAX && bytes < 1 << 20 {
        let mut line = Vec::new();
        if !items::next(source, &mut line)? {
            return Ok(false);
        }
        bytes += line.len();
        lines.push(line);
        if source.buffer().is_empty() {
            break;
        }
    }
    Ok(true)
}

fn write(
    (lines, items): (&[Vec<u8>], &[Result<Item, String>]),
    scorer: &mut Scorer,
    (threshold, with_reasons): (Ppm, bool),
    out: &mut impl Write,
) -> io::Result<()> {
    let usable: Vec<&Item> = items.iter().filter_map(|item| item.as_ref().ok()).collect();
    let scores = scorer.score(&usable, |item| item.key(), |item, rows| item.push(rows));
    let mut scores = scores.into_iter();
    for (line, item) in lines.iter().zip(items) {
        write!(out, "{{\"input\":{}", quoted(&String::from_utf8_lossy(line)))?;
        match item {
            Ok(item) => {
                let score = scores.next().unwrap_or_default();
                write!(out, ",\"score\":{score},\"alert\":{}", score >= threshold)?;
                if with_reasons {
                    let reason = reason(item, score, scorer).unwrap_or_default();
                    write!(out, ",\"reasons\":[{reason}]")?;
                }
            }
            Err(error) => write!(out, ",\"error\":{}", quoted(error))?,
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The part of an item that its score hangs on, with what is left of the score without it.
fn reason(item: &Item, score: Ppm, scorer: &mut Scorer) -> Option<String> {
    if score.get() < REASON_MIN {
        return None;
    }
    let part = strongest(scorer, score, &item.parts(), Item::key, Item::push)?;
    let share = Ppm::new(score.get() - part.left.get());
    let (text, left) = (quoted(&part.text), part.left);
    Some(format!(
        "{{\"feature\":{:?},\"observed\":{text},\"without\":{left},\"contribution\":{share}}}",
        item.part_name(),
    ))
}
