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
use crate::model::{Models, Part, Scorer, Trouble, strongest};
use crate::stage::malicious_download::Judge;

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
    let usable = items.iter().filter_map(|item| item.as_ref().ok());
    let usable: Vec<&Item> = usable.filter(|item| item.has_row()).collect();
    let scores = scorer.score(&usable, |item| item.key(), |item, rows| item.push(rows));
    let mut scores = scores.into_iter();
    for (line, item) in lines.iter().zip(items) {
        write!(out, "{{\"input\":{}", quoted(&String::from_utf8_lossy(line)))?;
        match item {
            Ok(item) => {
                let of_model = item.has_row().then(|| scores.next().unwrap_or_default());
                let Said { score, is_alert, reasons } =
                    say((item, of_model), threshold, with_reasons.then_some(&mut *scorer));
                write!(out, ",\"score\":{score},\"alert\":{is_alert}")?;
                if with_reasons {
                    write!(out, ",\"reasons\":[{reasons}]")?;
                }
            }
            Err(error) => write!(out, ",\"error\":{}", quoted(error))?,
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

/// What is said of an item.
struct Said {
    score: Ppm,
    is_alert: bool,
    reasons: String,
}

/// What an item is worth of which the model says `of_model`; with a scorer there are reasons.
fn say(
    (item, of_model): (&Item, Option<Ppm>),
    threshold: Ppm,
    scorer: Option<&mut Scorer>,
) -> Said {
    let score = of_model.unwrap_or_default();
    let part = |scorer| hangs_on(item, score, scorer);
    let Item::Download(download) = item else {
        let part = scorer.and_then(part);
        let reasons = part.map(|part| reason(item, &part, score)).unwrap_or_default();
        return Said { score, is_alert: score >= threshold, reasons };
    };
    let judge = Judge::new(threshold);
    let judged = judge.judge(&download.facts.with_url(of_model));
    let mut reasons = Vec::new();
    if let Some(scorer) = scorer {
        let without = |part: Part| {
            let left = judge.judge(&download.facts.with_url(Some(part.left))).url;
            format!("\"observed\":{},\"without\":{left},", quoted(&part.text))
        };
        let part = part(scorer).map_or_else(String::new, without);
        let feature = if item.has_row() { "url" } else { "no_url" };
        reasons.push(format!("{{\"feature\":{feature:?},{part}\"contribution\":{}}}", judged.url));
        for (rule, share) in &judged.rules {
            let (name, shown) = (rule.name, quoted(download.shown(rule.shows)));
            let reason = format!("\"feature\":{name:?},\"observed\":{shown}");
            reasons.push(format!("{{{reason},\"contribution\":{share}}}"));
        }
    }
    let is_alert = judged.score >= Judge::ALERT;
    Said { score: judged.score, is_alert, reasons: reasons.join(",") }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The part of an item that its score hangs on.
fn hangs_on(item: &Item, score: Ppm, scorer: &mut Scorer) -> Option<Part> {
    if score.get() < REASON_MIN {
        return None;
    }
    strongest(scorer, score, &item.parts(), Item::key, Item::push)
}

/// A part of an item, with what is left of its score without it.
fn reason(item: &Item, part: &Part, score: Ppm) -> String {
    let (text, left) = (quoted(&part.text), part.left);
    let share = Ppm::new(score.get().saturating_sub(left.get()));
    format!(
        "{{\"feature\":{:?},\"observed\":{text},\"without\":{left},\"contribution\":{share}}}",
        item.part_name(),
    )
}
