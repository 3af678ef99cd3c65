//! What is said of a download, and why.

use crate::base::address::Addr;
use crate::base::host::host_name;
use crate::base::limits::SHARES_MAX;
use crate::base::score::Ppm;
use crate::base::time::Time;
use crate::feature::Url;
use crate::model::{Part as UrlPart, Scorer};
use crate::record::schema::{ColumnId, files, http};
use crate::record::{Log, Names, Observed, Reason};

use super::super::bodies::extension;
use super::super::input::CellRow;
use super::super::link::hangs_on;
use super::part::Part;
use super::rules::{Facts, Judged, Rule, Shows};
use super::waiting::{Side, Whole};

/// What both sides of a download say together.
pub(super) struct Verdict<'a> {
    pub(super) facts: Facts,
    /// The registered domain or the address that answers for it.
    pub(super) site: String,
    /// When the later of the two rows was written.
    pub(super) time: Time,
    http: Option<(Part<'a>, &'a CellRow)>,
    file: Option<(Part<'a>, &'a CellRow)>,
}

/// What a reason shows, and where it stands.
type Shown = (String, Log, &'static [ColumnId]);

impl<'a> Verdict<'a> {
    /// Nothing of what no row of ours made.
    pub(super) fn new(whole: &'a Whole) -> Option<Self> {
        let side =
            |side: &'a Option<Side>| side.as_ref().and_then(|side| Some((side.part()?, &side.row)));
        let (http, file) = (side(&whole.http), side(&whole.file));
        let mut facts = Facts::default();
        // What `files` says of the name comes last, and so counts: it is what the server says.
        for (part, _) in http.iter().chain(&file) {
            part.tell(&mut facts);
        }
        let rows = || http.iter().chain(&file).map(|(_, row)| *row);
        let time = rows().map(|row| row.time).max()?;
        let sender = rows().find_map(|row| row.destination);
        let site = site(http.as_ref().map(|(part, _)| part), sender);
        Some(Self { facts, site, time, http, file })
    }

    /// The records behind it, of `http` first.
    pub(super) fn rows(&self) -> Vec<&'a CellRow> {
        self.http.iter().chain(&self.file).map(|(_, row)| *row).collect()
    }

    /// What allow-lists may look at.
    pub(super) fn names(&self) -> Names {
        let Some((part, _)) = &self.http else { return Names::default() };
        let agent = String::from_utf8_lossy(part.agent).into_owned();
        let user_agent = Some(agent).filter(|agent| !agent.is_empty());
        Names { domain: host_name(part.text), user_agent, user: None }
    }

    /// Why: the URL, and each rule that holds, the strongest first. Those that lower the score have
    /// no share of it, and come where there is room.
    pub(super) fn reasons(&self, judged: &Judged, scorer: Option<&mut Scorer>) -> Vec<Reason> {
        let mut reasons = vec![self.url(judged, scorer)];
        for (rule, share) in &judged.rules {
            let (observed, log, columns) = self.shown(rule);
            reasons.push(Reason {
                feature: rule.name,
                log: Some(log),
                columns,
                observed: Observed::Text(observed),
                expected: Observed::Text(rule.expected.to_owned()),
                contribution: *share,
            });
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution));
        let rest = reasons.split_off(reasons.len().min(SHARES_MAX));
        if let Some(last) = reasons.last_mut().filter(|_| rest.iter().any(has_share)) {
            let all = || std::iter::once(&*last).chain(&rest).filter(|reason| has_share(reason));
            let names: Vec<&str> = all().map(|reason| reason.feature).collect();
            let share = all().map(|reason| reason.contribution.get()).sum();
            *last = Reason {
                feature: "more_rules",
                log: None,
                columns: &[],
                observed: Observed::Text(names.join(", ")),
                expected: Observed::Text("none of them".to_owned()),
                contribution: Ppm::new(share),
            };
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution));
        }
        reasons
    }

    /// `host/path 0.981234, 0.120000 without "/path"`: what the model says, and what it hangs on.
    fn url(&self, judged: &Judged, scorer: Option<&mut Scorer>) -> Reason {
        let (mut text, log, columns) = match &self.http {
            Some((part, _)) => (lossy(part.text), Log::Http, URL),
            None => ("no URL is known".to_owned(), Log::Files, [].as_slice()),
        };
        if let Some(url) = self.facts.url {
            text.push_str(&format!(" {url}"));
            if let Some(part) = scorer.and_then(|scorer| self.hangs_on(url, scorer)) {
                text.push_str(&format!(", {} without {:?}", part.left, part.text));
            }
        }
        Reason {
            feature: "url",
            log: Some(log),
            columns,
            observed: Observed::Text(text),
            expected: Observed::Text("a URL that benign files come from".to_owned()),
            contribution: judged.url,
        }
    }

    /// The part of the URL that its score hangs on most, where the URL is whole.
    fn hangs_on(&self, score: Ppm, scorer: &mut Scorer) -> Option<UrlPart> {
        let (part, _) = self.http.as_ref().filter(|(part, _)| part.is_whole())?;
        hangs_on(std::str::from_utf8(part.text).ok()?, score, scorer)
    }

    fn shown(&self, rule: &Rule) -> Shown {
        let http = self.http.as_ref().map(|(part, _)| part);
        let file = self.file.as_ref().map(|(part, _)| part);
        match (rule.shows, http, file) {
            (Shows::Type, Some(part), _) if !part.mime.is_empty() => {
                (lossy(part.mime), Log::Http, &[http::RESP_MIME_TYPES])
            }
            (Shows::Type, _, Some(part)) => (lossy(part.mime), Log::Files, &[files::MIME_TYPE]),
            (Shows::Name, _, Some(part)) if part.extension != [0; 8] => {
                (lossy(part.text), Log::Files, &[files::FILENAME])
            }
            (Shows::Name, Some(part), _) => named(part),
            (Shows::Host, ..) => (self.site.clone(), Log::Http, URL),
            (Shows::Agent, Some(part), _) => (lossy(part.agent), Log::Http, &[http::USER_AGENT]),
            _ => (String::new(), Log::Files, &[]),
        }
    }
}

/// Who answers for what a row of `http` fetched: the registered domain or the address; else who
/// sent it.
pub(super) fn site(http: Option<&Part<'_>>, sender: Option<Addr>) -> String {
    match (http.and_then(|part| host_name(part.text)), sender) {
        (Some(host), _) => Url::parse(host.as_bytes()).map_or(host, |url| url.site().to_owned()),
        (None, Some(addr)) => addr.to_ip().to_string(),
        (None, None) => "nobody".to_owned(),
    }
}

const URL: &[ColumnId] = &[http::HOST, http::URI];

/// What `http` calls a file: the URL, or where the server has another name for it, what that ends
/// in.
fn named(part: &Part<'_>) -> Shown {
    let end = part.extension.split(|byte| *byte == 0).next().unwrap_or_default();
    if end.is_empty() || extension(part.text) == Some(end) {
        return (lossy(part.text), Log::Http, URL);
    }
    (format!(".{}", lossy(end)), Log::Http, &[http::URI, http::RESP_FILENAMES])
}

fn has_share(reason: &Reason) -> bool {
    reason.contribution.get() > 0
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
