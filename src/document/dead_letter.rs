//! A line that is no record, with what is needed to find it, to understand it and to try again.

use data_encoding::{BASE64, HEXLOWER};

use crate::base::limits::DEAD_LETTER_BYTES;
use crate::record::Reject;

use super::{Parts, text};

/// Appends the document of a reject of the file at `path`, which is, or is called, `log`.
///
/// `sink` is `null` here: the reader rejected it. Redaction does not reach `raw`, since a line that
/// is no record has no fields; the file's mode (0600) protects it.
pub fn write_dead_letter(reject: &Reject, log: &str, path: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"reason\":");
    text::string(out, reject.reason.name().as_bytes(), false);
    out.extend_from_slice(b",\"detail\":");
    text::string(out, reject.detail.as_bytes(), false);
    out.extend_from_slice(b",\"log\":");
    text::string(out, log.as_bytes(), false);
    out.extend_from_slice(b",\"file\":");
    text::string(out, path.as_bytes(), false);
    out.extend_from_slice(b",\"offset\":");
    text::number(out, reject.offset);
    out.extend_from_slice(b",\"length\":");
    text::number(out, reject.length);
    out.extend_from_slice(b",\"sink\":null");
    raw(&reject.raw, &reject.sha256, out);
}

/// Appends the document of a document that `sink` will never take, for the reason `why`.
///
/// Its place is in its id: of an event the last 12 hex digits are the offset of its line, what is
/// before them stands for its file, whose name no sink knows: `file` is empty here.
pub fn write_rejected(document: &[u8], sink: &str, why: &str, out: &mut Vec<u8>) {
    let parts = Parts::of(document);
    let dataset = parts.map_or("", |parts| parts.dataset);
    let log = dataset.strip_prefix("zeek.");
    let id = parts.map_or("", |parts| parts.id);
    let offset = log.and_then(|_| u64::from_str_radix(id.get(20..)?, 16).ok());
    out.extend_from_slice(b"{\"reason\":\"rejected_by_sink\",\"detail\":");
    text::string(out, why.as_bytes(), false);
    out.extend_from_slice(b",\"log\":");
    text::string(out, log.unwrap_or(dataset).as_bytes(), false);
    out.extend_from_slice(b",\"file\":\"\",\"event_id\":");
    text::string(out, id.as_bytes(), false);
    out.extend_from_slice(b",\"offset\":");
    text::number(out, offset.unwrap_or_default());
    out.extend_from_slice(b",\"length\":");
    text::number(out, document.len() as u64);
    out.extend_from_slice(b",\"sink\":");
    text::string(out, sink.as_bytes(), false);
    let kept = &document[..document.len().min(DEAD_LETTER_BYTES)];
    raw(kept, &crate::zeek::sha256(document), out);
}

fn raw(bytes: &[u8], sha256: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"raw\":\"");
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.extend_from_slice(b"\",\"sha256\":\"");
    out.extend_from_slice(HEXLOWER.encode(sha256).as_bytes());
    out.extend_from_slice(b"\"}\n");
}
