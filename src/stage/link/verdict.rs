//! What a URL is worth as evidence, and why.

use crate::base::address::Addr;
use crate::base::limits::EVIDENCE_TEXT_BYTES_MAX;
use crate::base::score::Ppm;
use crate::feature::link::push;
use crate::feature::{Url, url_parts};
use crate::model::{Part, Scorer, strongest};
use crate::record::schema::{ColumnId, RESP_H, http};
use crate::record::{Log, Observed, Reason};

use super::super::input::CellRow;
use super::super::known::Fame;
use super::super::names::columns;
use super::super::odds::Scale;
use super::{CUT, cut};

/// By how much the odds fall where a site is known for a day: what is put up to deceive or to
/// infect lives for hours or days, and what people use they have used before.
const KNOWN_ODDS: u32 = 4;

/// Bytes that a reason shows of a URL, and of the part that its score hangs on.
const URL_SHOWN: usize = 160;
const PART_SHOWN: usize = 48;

/// What a row weighs for its cell: first its score, and of equal ones the log that says the most.
pub(super) fn weight(score: Ppm, log: Log) -> u64 {
    let says = match log {
        Log::Http => 2,
        Log::Dns => 0,
        _ => 1,
    };
    u64::from(score.get()) * 4 + says
}

/// The score in what a row weighs, in parts per million.
pub(super) fn score(row: &CellRow) -> u32 {
    u32::try_from(row.weight / 4).unwrap_or(u32::MAX)
}

/// What `score` is worth, in parts per million; the odds count `divisor` times less.
pub(super) fn evidence(scale: Scale, score: u32, divisor: u32) -> u32 {
    scale.odds(Ppm::new(score)).over(divisor).score().get()
}

/// What is said of a client and a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'a> {
    pub(super) score: Ppm,
    /// What of it the URL is worth of a site that is known for a day.
    looks: u32,
    fame: Fame,
    site: &'a str,
    url: &'a str,
    row: &'a CellRow,
}

impl<'a> Verdict<'a> {
    /// Judges the strongest URL of a site. Nothing is said of a site that many ask for.
    pub(super) fn new(
        scale: Scale,
        fame: Fame,
        (site, url): (&'a str, &'a str),
        row: &'a CellRow,
    ) -> Option<Self> {
        if fame.is_popular {
            return None;
        }
        let looks = evidence(scale, score(row), KNOWN_ODDS);
        let score = if fame.is_news { evidence(scale, score(row), 1) } else { looks };
        Some(Self { score: Ppm::new(score), looks, fame, site, url, row })
    }

    /// Whether the site is the address that answered, which the record has elsewhere.
    pub(super) fn is_destination(&self) -> bool {
        self.row.destination.is_some() && Addr::parse(self.site.as_bytes()) == self.row.destination
    }

    /// Why: what the URL looks like, and what is added because the site is new here. That it is
    /// known to few is said with it, and adds nothing: where it is known to many, nothing is said.
    pub(super) fn reasons(&self, popular: usize, scorer: Option<&mut Scorer>) -> Vec<Reason> {
        let log = self.row.record.source.log;
        let columns: &'static [ColumnId] = match log {
            Log::Http if self.is_destination() => &[http::HOST, http::URI, RESP_H],
            log => columns(log),
        };
        let reason = |feature, observed: &str, expected: &str, share| Reason {
            feature,
            log: Some(log),
            columns,
            observed: Observed::Text(cut(observed, EVIDENCE_TEXT_BYTES_MAX).into_owned()),
            expected: Observed::Text(expected.to_owned()),
            contribution: Ppm::new(share),
        };
        let usual = "a URL like those that people use";
        let mut reasons = vec![reason("url", &self.shown(scorer), usual, self.looks)];
        let added = self.score.get() - self.looks;
        if added > 0 {
            let usual = format!("known here for a day, or to {popular} clients");
            reasons.push(reason("new_site", &self.known(), &usual, added));
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution));
        }
        reasons
    }

    /// `example.com/login.php 0.981234, 0.120000 without "login.php"`.
    fn shown(&self, scorer: Option<&mut Scorer>) -> String {
        let score = score(self.row);
        let mut text = format!("{} {}", cut(self.url, URL_SHOWN), Ppm::new(score));
        let whole = Some(self.url).filter(|url| !url.ends_with(CUT));
        if let (Some(url), Some(scorer)) = (whole, scorer)
            && let Some(part) = hangs_on(url, Ppm::new(score), scorer)
        {
            text.push_str(&format!(", {} without {:?}", part.left, cut(&part.text, PART_SHOWN)));
        }
        text
    }

    /// `example.com, first asked for 2026-11-27T18:04:00.000000Z, by 1 client`.
    fn known(&self) -> String {
        let mut first = Vec::new();
        self.fame.first.start().write(&mut first);
        let clients = self.fame.clients.max(1);
        let plural = if clients == 1 { "" } else { "s" };
        let first = String::from_utf8_lossy(&first);
        format!("{}, first asked for {first}, by {clients} client{plural}", self.site)
    }
}

/// The part of a URL that its score hangs on most; nothing where that cannot be told of the URL as
/// it is shown.
pub(in super::super) fn hangs_on(shown: &str, score: Ppm, scorer: &mut Scorer) -> Option<Part> {
    let url = Url::parse_shown(shown).ok()?;
    let scores = scorer.try_score(std::slice::from_ref(&url), Url::key, push).ok()?;
    if scores.first() != Some(&score) {
        return None;
    }
    strongest(scorer, score, &url_parts(&url), Url::key, push)
}
