//! What kind of traffic a connection is, and how many bytes were seen of it.
//!
//! Not here: whose bytes they are.

use crate::record::Batch;
use crate::record::schema::{ColumnId, conn};

/// Channels that a connection is one of: the kinds of traffic that are looked at apart.
pub(super) const PARTS: usize = 4;

pub(super) const DNS: usize = 0;
pub(super) const TLS: usize = 1;
pub(super) const HTTP: usize = 2;
pub(super) const OTHER: usize = 3;

/// No connection carries more than a pebibyte: counters that say so are wrong.
const PLAUSIBLE_MAX: u64 = 1 << 50;

/// The channel of a connection with this `service` and `port` of the responder.
pub(super) fn channel(service: &[u8], port: u64) -> usize {
    let is = |name: &[u8]| service.split(|byte| *byte == b',').any(|one| one == name);
    let is_nothing = service.is_empty();
    if is(b"dns") || (is_nothing && port == 53) {
        DNS
    } else if is(b"ssl") || is(b"quic") || (is_nothing && port == 443) {
        TLS
    } else if is(b"http") || (is_nothing && port == 80) {
        HTTP
    } else {
        OTHER
    }
}

/// Bytes from originator and responder as far as they were seen, and those that were not; nothing
/// where none were.
///
/// `orig_bytes` and `resp_bytes` come from sequence numbers: they hold what the sensor missed, and
/// a reset can make gigabytes of nothing. So `missed_bytes` are taken off, from each side by its
/// proportion, and no side has more than its packets carried where that is known.
pub(super) fn bytes(batch: &Batch, row: usize) -> Option<(u64, u64, u64)> {
    let count = |id: ColumnId| batch.count(id, row);
    let carried = [count(conn::ORIG_IP_BYTES), count(conn::RESP_IP_BYTES)];
    let missed = count(conn::MISSED_BYTES).unwrap_or_default();
    let (orig, resp) =
        (count(conn::ORIG_BYTES).unwrap_or_default(), count(conn::RESP_BYTES).unwrap_or_default());
    let all = u128::from(orig) + u128::from(resp);
    let seen = |bytes: u64, carried: Option<u64>| {
        // Nearly always nothing was missed, and a division of 128 bits is dear.
        let lost = match missed {
            0 => 0,
            _ => u128::from(missed).min(all) * u128::from(bytes) / all.max(1),
        };
        let bytes = bytes - u64::try_from(lost).unwrap_or(bytes).min(bytes);
        carried.map_or(bytes, |carried| bytes.min(carried))
    };
    let (orig, resp) = (seen(orig, carried[0]), seen(resp, carried[1]));
    // What a wild sequence number makes missing says nothing of the sensor.
    let missed = match carried {
        [Some(orig), Some(resp)] => missed.min(orig.saturating_add(resp).saturating_mul(4)),
        _ => missed,
    };
    let is_plausible = orig <= PLAUSIBLE_MAX && resp <= PLAUSIBLE_MAX;
    (orig.saturating_add(resp) > 0 && is_plausible).then_some((
        orig,
        resp,
        missed.min(PLAUSIBLE_MAX),
    ))
}
