//! A line that is no record, with what is needed to find it, to understand it and to try again.

use data_encoding::{BASE64, HEXLOWER};

use crate::record::Reject;

use super::text;

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
    out.extend_from_slice(b",\"sink\":null,\"raw\":\"");
    out.extend_from_slice(BASE64.encode(&reject.raw).as_bytes());
    out.extend_from_slice(b"\",\"sha256\":\"");
    out.extend_from_slice(HEXLOWER.encode(&reject.sha256).as_bytes());
    out.extend_from_slice(b"\"}\n");
}
