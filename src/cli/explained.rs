//! An explanation for a terminal.
//!
//! Whatever stands in a log, or in a file that says it is one of ours, cannot speak to the
//! terminal: characters that would are escaped.

use crate::base::hash::Id;
use crate::base::score::Points;
use crate::document::{Explanation, Line, Part};
use crate::record::{Finding, Observed, Spot, Why};

use super::{is_invisible, shown, shown_bytes};

/// Characters of a line, or of a value, that are shown; `--json` has all of them.
const CHARS_MAX: usize = 1000;

/// A document of JSON with characters that would speak to a terminal escaped as JSON has it: they
/// stand in its strings only.
pub(super) fn json(document: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(document).chars() {
        match c {
            '\n' => out.push(c),
            _ if c.is_control() || is_invisible(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

/// At most so many characters of it.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((at, _)) => {
            format!("{}… ({} bytes)", text.get(..at).unwrap_or_default(), text.len())
        }
    }
}

fn short(text: &str) -> String {
    cut(&shown(text))
}

/// All of it, from the score down to the lines.
pub(super) fn text(it: &Explanation) -> String {
    let mut out = String::new();
    head(it, &mut out);
    for part in &it.modules {
        module(it, part, &mut out);
    }
    if let Some(event) = it.event {
        let is_told = it.modules.iter().flat_map(|part| &part.findings);
        let is_told = is_told.flat_map(|it| &it.records).any(|record| record.event_id == event);
        if !is_told {
            out.push('\n');
            record(it, event, None, &mut out);
        }
    }
    out
}

fn head(it: &Explanation, out: &mut String) {
    match (it.kind.as_str(), &it.entity) {
        ("entity", _) => line!(out, "{}", short(&it.id)),
        (kind, Some(entity)) => line!(out, "{kind} {} of {}", short(&it.id), short(entity)),
        (kind, None) => line!(out, "{kind} {}", short(&it.id)),
    }
    let Some(risk) = &it.risk else {
        if it.entity.is_some() {
            line!(out, "  risk  none was told");
        }
        return;
    };
    let level = short(&risk.level);
    let criticality = Points(risk.criticality);
    line!(out, "  risk  {} ({level}), {} before", risk.score, risk.previous);
    line!(out, "        at {}, criticality {criticality}", risk.time);
}

fn module(it: &Explanation, part: &Part, out: &mut String) {
    let name = short(&part.module);
    match part.share {
        Some(share) => line!(
            out,
            "\n{name}  {} points of the score (value {}, weight {})",
            share.points,
            share.value,
            share.weight
        ),
        None => line!(out, "\n{name}"),
    }
    reasons(&part.reasons, "  ", out);
    for found in &part.findings {
        finding(it, found, out);
    }
    if part.share.is_some() && part.findings.is_empty() && part.events.is_empty() && !it.is_event()
    {
        line!(out, "  its findings are forgotten");
    }
    for event in &part.events {
        record(it, *event, None, out);
    }
}

fn finding(it: &Explanation, finding: &Finding, out: &mut String) {
    let what = if finding.is_alert { "alert" } else { "finding" };
    line!(out, "  {what} {}  score {}  {}", finding.id, finding.score, finding.time);
    line!(out, "    window  {} to {}", finding.window.0, finding.window.1);
    match (finding.source, finding.destination) {
        (Some(source), Some(destination)) => line!(out, "    from    {source} to {destination}"),
        (Some(source), None) => line!(out, "    from    {source}"),
        (None, Some(destination)) => line!(out, "    to      {destination}"),
        (None, None) => {}
    }
    reasons(&finding.reasons, "    ", out);
    for spot in &finding.records {
        record(it, spot.event_id, Some(spot), out);
    }
}

fn reasons(reasons: &[Why], indent: &str, out: &mut String) {
    for why in reasons {
        let feature = short(&why.feature);
        let [observed, expected] = [&why.observed, &why.expected].map(value);
        line!(out, "{indent}because {feature} is {observed}, and not {expected}");
        line!(out, "{indent}        {} of the score", why.contribution);
    }
}

fn value(observed: &Observed) -> String {
    match observed {
        Observed::Text(text) if text.is_empty() => "\"\"".to_owned(),
        Observed::Text(text) => short(text),
        Observed::Number(millionths) => {
            let sign = if *millionths < 0 { "-" } else { "" };
            let text = Points(millionths.unsigned_abs()).to_string();
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{sign}{text}")
        }
    }
}

fn record(it: &Explanation, id: Id, spot: Option<&Spot>, out: &mut String) {
    let nothing = Line::default();
    let line = it.lines.get(&id).unwrap_or(&nothing);
    let log = spot.map(|spot| spot.log).or(line.log);
    let log = log.map_or_else(|| "record".to_owned(), |log| log.to_string());
    let uid = spot.map(|spot| spot.uid.as_str()).or(line.uid.as_deref()).unwrap_or_default();
    line!(out, "    {log} {}  event {id}", short(uid));
    let found = line.found.as_ref();
    let place = match (spot.map(|spot| spot.file.as_ref()), found) {
        (Some(file), Some(Ok(found))) if found.file != file && !file.is_empty() => {
            format!("{}, then called {}", short(&found.file), short(file))
        }
        (_, Some(Ok(found))) => short(&found.file),
        (Some(file), _) => short(file),
        (None, _) => "a file".to_owned(),
    };
    line!(out, "      at byte {} of {place}", id.offset());
    if let Some(scores) = line.scores.as_ref().filter(|scores| !scores.is_empty()) {
        let scores: Vec<String> =
            scores.iter().map(|(name, score)| format!("{} {score}", short(name))).collect();
        line!(out, "      scores  {}", scores.join(", "));
    }
    match found {
        None => {}
        Some(Err(why)) => line!(out, "      its line cannot be shown: {}", short(why)),
        Some(Ok(found)) => match &found.line {
            Some(line) => line!(out, "      > {}", cut(&shown_bytes(line))),
            None => line!(out, "      > {}  (parts are hidden)", cut(&shown_bytes(&found.record))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_speaks_to_the_terminal() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(shown_bytes(bytes), expected);
        check(b"a\tb", "a\tb");
        check(b"\x1b[2J\r\n\x07", "\\u{1b}[2J\\u{d}\\u{a}\\u{7}");
        check("\u{9b}31m\u{202e}x\u{feff}ä".as_bytes(), "\\u{9b}31m\\u{202e}x\\u{feff}ä");
        check(b"\xff\x80", "\\xff\\x80");
        let long = "ä".repeat(2000);
        let cut = short(&long);
        assert!(cut.starts_with(&"ä".repeat(CHARS_MAX)) && cut.ends_with("… (4000 bytes)"));
    }
}
