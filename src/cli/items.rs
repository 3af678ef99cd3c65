//! Items of `features` and `score`: one on a line, from a file or standard input, and what each
//! detector's model sees of one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::Failed;
use super::args::Detector;
use super::download::Download;
use super::exit::Exit;
use crate::base::limits::ITEM_BYTES_MAX;
use crate::feature::{FeatureDef, Matrix, Name, Url, dga, link, parts, url_parts};

/// Where items come from.
pub(super) type Items = BufReader<Box<dyn Read>>;

/// The file, or standard input where none is named.
pub(super) fn open(path: Option<&Path>) -> Result<Items, Failed> {
    let source: Box<dyn Read> = match path {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(
            File::open(path)
                .with_context(|| path.display().to_string())
                .map_err(|error| Failed::new(Exit::Io, error))?,
        ),
    };
    Ok(BufReader::with_capacity(1 << 16, source))
}

/// Reads the next line into `item`, without its end; whether there was one. Of a line that is
/// longer than [`ITEM_BYTES_MAX`] one byte more is kept, so that its reader finds it too long.
pub(super) fn next(items: &mut dyn BufRead, item: &mut Vec<u8>) -> Result<bool, Failed> {
    item.clear();
    read(items, item).context("the items").map_err(|error| Failed::new(Exit::Io, error))
}

/// What a line is for a detector.
pub(super) enum Item {
    /// A name.
    Name(Name),
    /// A URL, or a host.
    Url(Url),
    /// What is known of a download.
    Download(Download),
}

/// What the model of a detector reads.
pub(super) fn def(detector: Detector) -> &'static FeatureDef {
    match detector {
        Detector::Dga => &dga::DGA,
        Detector::Phishing => &link::PHISHING,
        Detector::MaliciousUrl => &link::MALICIOUS_URL,
        Detector::MaliciousDownload => &link::MALICIOUS_DOWNLOAD,
    }
}

impl Item {
    /// Reads a line.
    ///
    /// # Errors
    /// Says why it is no item; a line that was cut is none, whatever it begins with.
    pub(super) fn parse(detector: Detector, line: &[u8]) -> Result<Self, String> {
        if line.len() > ITEM_BYTES_MAX {
            return Err("longer than 64 KiB".to_owned());
        }
        match detector {
            Detector::Dga => {
                Name::parse(line).map(Self::Name).map_err(|unusable| unusable.to_string())
            }
            Detector::Phishing | Detector::MaliciousUrl => {
                Url::parse(line).map(Self::Url).map_err(|unusable| unusable.to_string())
            }
            Detector::MaliciousDownload => Download::parse(line).map(Self::Download),
        }
    }

    /// All that the model sees of it.
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Name(name) => name.registered().as_bytes(),
            Self::Url(url) => url.key(),
            Self::Download(download) => download.url.as_ref().map_or(&[], Url::key),
        }
    }

    /// Whether the model sees anything of it.
    pub(super) fn has_row(&self) -> bool {
        !matches!(self, Self::Download(Download { url: None, .. }))
    }

    /// Appends its row, if it has one.
    pub(super) fn push(&self, matrix: &mut Matrix) {
        match self {
            Self::Name(name) => dga::push(name, matrix),
            Self::Url(url) | Self::Download(Download { url: Some(url), .. }) => {
                link::push(url, matrix);
            }
            Self::Download(_) => {}
        }
    }

    /// What a part of it is called.
    pub(super) fn part_name(&self) -> &'static str {
        match self {
            Self::Name(_) => "part_of_name",
            Self::Url(_) | Self::Download(_) => "part_of_url",
        }
    }

    /// What can be taken out of it, each with what is left.
    pub(super) fn parts(&self) -> Vec<(String, Self)> {
        match self {
            Self::Name(name) => {
                parts(name).into_iter().map(|(part, left)| (part, Self::Name(left))).collect()
            }
            Self::Download(Download { url: None, .. }) => Vec::new(),
            Self::Url(url) | Self::Download(Download { url: Some(url), .. }) => {
                url_parts(url).into_iter().map(|(part, left)| (part, Self::Url(left))).collect()
            }
        }
    }
}

fn read(items: &mut dyn BufRead, item: &mut Vec<u8>) -> io::Result<bool> {
    let mut any = false;
    loop {
        let bytes = items.fill_buf()?;
        if bytes.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', bytes);
        let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = (ITEM_BYTES_MAX + 1).saturating_sub(item.len());
        item.extend_from_slice(line.get(..room.min(line.len())).unwrap_or_default());
        let used = line.len() + usize::from(end.is_some());
        items.consume(used);
        if end.is_some() {
            if item.last() == Some(&b'\r') {
                item.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[usize]) {
        for capacity in [1, 7, 1 << 16] {
            let mut reader = BufReader::with_capacity(capacity, text);
            let (mut item, mut lens) = (Vec::new(), Vec::new());
            while next(&mut reader, &mut item).expect("memory can be read") {
                lens.push(item.len());
            }
            assert_eq!(lens, expected, "capacity {capacity}");
        }
    }

    #[test]
    fn every_line_is_an_item() {
        check(b"", &[]);
        check(b"a", &[1]);
        check(b"a\n", &[1]);
        check(b"a\r\n\nbcd\n\n", &[1, 0, 3, 0]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut text = vec![b'a'; 3 * ITEM_BYTES_MAX];
        text.extend_from_slice(b"\nb\n");
        check(&text, &[ITEM_BYTES_MAX + 1, 1]);
    }
}
