//! Events that a spool could not give back, made again of the lines that their ids name.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::hash::{Id, Prefix};
use crate::base::limits::BATCH_ROWS_MAX;
use crate::config::Plan;
use crate::document::Parts;
use crate::engine::{Again, Feeds};
use crate::replay::{LaneFeeds, Planned, discover, locate};

use super::{parsers, worker};

/// The events of these ids, each with a line feed at its end, as far as their lines are still where
/// the daemon looks for logs, live or archived.
#[must_use]
pub(super) fn make_again(plan: &Plan, ids: &[Id]) -> BTreeMap<Id, Vec<u8>> {
    let mut wanted: BTreeMap<Prefix, BTreeSet<u64>> = BTreeMap::new();
    for id in ids {
        wanted.entry(id.prefix()).or_default().insert(id.offset());
    }
    let settings = parsers(plan);
    let prefixes = wanted.keys().copied().collect();
    let (files, _) = discover(&plan.roots);
    let located = locate(files, &settings, &plan.sensor_id, &prefixes);
    let mut made = BTreeMap::new();
    for (prefix, located) in located {
        let Some(offsets) = wanted.get(&prefix) else { continue };
        let (log, generation) = (located.log, located.generation);
        for found in located.files {
            let planned = Planned { found, log, generation, start: None, rank: Id::default() };
            let mut feeds = LaneFeeds::new(vec![planned], &settings, &plan.sensor_id);
            let Some(mut started) = feeds.open() else { continue };
            let mut again = Again::new(worker(plan, log));
            let mut batch = settings[&log].batch();
            while let Some(source) = started.feed.read(BATCH_ROWS_MAX, &mut batch) {
                for document in again.documents(&batch, &source).split_inclusive(|it| *it == b'\n')
                {
                    let id = Parts::of(document).and_then(|parts| Id::parse(parts.id));
                    if let Some(id) = id.filter(|id| offsets.contains(&id.offset())) {
                        made.insert(id, document.to_vec());
                    }
                }
                let last = batch.lines.last().map_or(0, |line| line.offset);
                if offsets.last().is_none_or(|wanted| *wanted <= last) {
                    break;
                }
                batch.clear();
            }
            if offsets.iter().all(|offset| made.contains_key(&prefix.id(*offset))) {
                break;
            }
        }
    }
    made
}
