//! In the lanes: what may be a download makes a cell, with the model's score of its URL.
//!
//! A picture or a page is none, and neither is what failed or is empty: such rows are most, and
//! leave nothing behind. `http` has the types that `files` has, so that a row of one log that is
//! left out has its like in the other left out as well.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::address::Addr;
use crate::base::keys::Settings;
use crate::base::limits::SUBJECT_BYTES_MAX;
use crate::base::score::Ppm;
use crate::feature::link::{MALICIOUS_DOWNLOAD, push};
use crate::feature::{Host, Matrix, Url};
use crate::model::Models;
use crate::record::schema::{files, http};
use crate::record::{Batch, Entity, Log};

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::super::names::Local;
use super::super::targets::{asked_of_proxy, url};
use super::super::texts::{Read, Texts};
use super::part::{Part, file};
use super::rules::Facts;

/// Files of one answer that are looked at: Zeek splits what comes in parts.
const FILES_MAX: usize = 8;

/// A URL without a name or a body that says more is below this probability nobody's reason.
const FLOOR: Ppm = Ppm::new(20_000);

/// See the module.
pub(super) struct Downloads {
    urls: Texts<Urls>,
    local: Local,
    /// Which rows of a batch may be a download.
    may_be: Vec<bool>,
}

impl Downloads {
    pub(super) fn new(settings: &Settings, models: &Models) -> Self {
        let local = || Local::new(settings);
        let urls = Texts::new(Urls { local: local() }, &MALICIOUS_DOWNLOAD, models);
        Self { urls, local: local(), may_be: Vec::new() }
    }
}

/// Scores URLs, but those of our domains.
struct Urls {
    local: Local,
}

/// Whether a URL is of one of our domains.
fn is_in(local: &Local, url: &Url) -> bool {
    matches!(url.host(), Host::Name(name) if local.has(name))
}

/// What is remembered of a URL.
#[derive(Clone)]
struct Known {
    /// It all, decoded, or the beginning of it.
    text: Arc<str>,
    is_address: bool,
}

impl Read for Urls {
    type Item = Url;
    type Known = Known;

    fn parse(&self, text: &[u8]) -> Option<Url> {
        Url::parse(text).ok().filter(|url| !is_in(&self.local, url))
    }

    fn key(url: &Url) -> &[u8] {
        url.key()
    }

    fn push(url: &Url, matrix: &mut Matrix) {
        push(url, matrix);
    }

    fn known(url: &Url) -> Known {
        let text = url.as_str();
        let end = text.floor_char_boundary(SUBJECT_BYTES_MAX.min(text.len()));
        let is_address = matches!(url.host(), Host::Address(..));
        Known { text: text.get(..end).unwrap_or_default().into(), is_address }
    }
}

/// What a row asks for that the model does not score; nothing of one of our domains.
fn unscored(input: &Input<'_>, row: usize, local: &Local) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    if !url(input, row, true, &mut whole) {
        whole.clear();
    }
    match Url::parse(&whole) {
        Ok(url) if is_in(local, &url) => None,
        Ok(url) => Some(url.as_str().as_bytes().to_vec()),
        Err(_) => Some(whole.strip_prefix(b"http://").unwrap_or(&whole).to_vec()),
    }
}

/// Whether a server of this network answered by itself: what the model knows of names and addresses
/// out there does not hold of it.
fn is_ours(input: &Input<'_>, row: usize) -> bool {
    input.parties[row].resp.is_some() && asked_of_proxy(input.batch, row).is_none()
}

/// What the body of an answer is called: by the server, or else by the URL.
fn name(batch: &Batch, row: usize) -> &[u8] {
    let named = batch.list(http::RESP_FILENAMES, row).flatten().find(|name| !name.is_empty());
    named.or_else(|| batch.text(http::URI, row)).unwrap_or_default()
}

/// The files of an answer, each with the type of its body: one without a name where there is none.
fn bodies(batch: &Batch, row: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    let list = |id| -> SmallVec<[&[u8]; FILES_MAX]> {
        let items = batch.list(id, row).flatten().filter(|item| !item.is_empty());
        items.take(FILES_MAX).collect()
    };
    let (fuids, types) = (list(http::RESP_FUIDS), list(http::RESP_MIME_TYPES));
    // Types stand there only of the files that have one: whose they are is known of all or none.
    let are_paired = types.len() == fuids.len() || fuids.is_empty();
    (0..fuids.len().max(1)).map(move |at| {
        let mime = types.get(at).filter(|_| are_paired);
        (fuids.get(at).copied().unwrap_or_default(), mime.copied().unwrap_or_default())
    })
}

/// Whether a row may be a download, by what costs nothing to see.
fn may_be(input: &Input<'_>, row: usize) -> bool {
    let batch = input.batch;
    if input.parties[row].orig.is_none() || batch.text(http::METHOD, row) == Some(b"CONNECT") {
        return false;
    }
    let mut facts = Facts::default();
    let count = |id| batch.count(id, row);
    facts.see_answer(count(http::STATUS_CODE), count(http::RESPONSE_BODY_LEN));
    let is_download = |mime| {
        let mut facts = facts;
        facts.see_type(mime);
        facts.is_download()
    };
    facts.is_download() && bodies(batch, row).any(|(_, mime)| is_download(mime))
}

impl Downloads {
    fn fold_http(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let batch = input.batch;
        self.may_be.clear();
        self.may_be.extend((0..batch.rows()).map(|row| may_be(input, row)));
        let may_be = &self.may_be;
        self.urls.look(batch.rows(), |row, out| {
            may_be[row] && !is_ours(input, row) && url(input, row, true, out)
        });
        for row in (0..batch.rows()).filter(|row| self.may_be[*row]) {
            let Some(client) = input.parties[row].orig else { continue };
            let seen = self.urls.rows()[row].as_ref();
            let mut asked = Facts::default();
            asked.see_url(batch.text(http::URI, row).unwrap_or_default());
            let part = |(fuid, mime)| {
                let mut part = Part {
                    is_http: true,
                    file: file(fuid),
                    score: seen.map(|it| it.score),
                    mime,
                    agent: batch.text(http::USER_AGENT, row).unwrap_or_default(),
                    is_address: seen.is_some_and(|it| it.known.is_address),
                    is_silent: asked.is_silent(),
                    ..Part::default()
                };
                part.call(name(batch, row));
                part
            };
            let is_one = |part: &Part<'_>| {
                let facts = part.facts();
                let is_odd = part.file.is_some() && part.score >= Some(FLOOR);
                facts.is_download() && (facts.looks_like_one() || is_odd)
            };
            // Of most rows nobody wants to know the text.
            if !bodies(batch, row).map(part).any(|part| is_one(&part)) {
                continue;
            }
            let whole: Cow<'_, [u8]> = match seen {
                Some(seen) => seen.known.text.as_bytes().into(),
                None => match unscored(input, row, &self.local) {
                    Some(whole) => whole.into(),
                    None => continue,
                },
            };
            for part in bodies(batch, row).map(part).filter(is_one) {
                add(input, row, (client, &Part { text: &whole, ..part }), out);
            }
        }
    }
}

fn fold_files(input: &Input<'_>, out: &mut Deltas) {
    let batch = input.batch;
    for row in 0..batch.rows() {
        // Who opened the connection receives what the other side sent.
        let Some(client) = input.parties[row].orig else { continue };
        let count = |id| batch.count(id, row);
        let bytes = count(files::SEEN_BYTES)
            .map(|seen| seen.saturating_add(count(files::MISSING_BYTES).unwrap_or_default()));
        if batch.flag(files::IS_ORIG, row) == Some(true) {
            continue;
        }
        let text = |id| batch.text(id, row).unwrap_or_default();
        let name = text(files::FILENAME);
        let mut part = Part {
            file: file(text(files::FUID)),
            mime: text(files::MIME_TYPE),
            text: name,
            ..Part::default()
        };
        part.call(name);
        let mut facts = part.facts();
        facts.see_answer(None, bytes);
        if facts.is_download() {
            add(input, row, (client, &part), out);
        }
    }
}

fn add(input: &Input<'_>, row: usize, (client, part): (Addr, &Part<'_>), out: &mut Deltas) {
    let (subject, amounts) = part.cell();
    let found = CellRow::new(input, row, amounts[0], input.batch.ts(row));
    let at = (input.minutes[row], Entity::Host(client));
    out.add(at, &subject, amounts, Some(found));
}

impl Fold for Downloads {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        if input.batch.log() == Log::Http {
            self.fold_http(input, out);
        } else {
            self.urls.look(0, |_, _| false);
            fold_files(input, out);
        }
    }

    fn scores(&self) -> &[Option<Ppm>] {
        self.urls.scores()
    }
}
