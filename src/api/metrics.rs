//! Metrics in the text format of Prometheus.
//!
//! For each log `records = events + filtered + sum of rejected` in every answer, across restarts:
//! all four are taken from one commit. A label's values come from tables of ours or from the
//! operator, never from what was read.

use std::time::{Duration, Instant};

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily,
    MetricType,
};

use crate::base::clock::now;
use crate::engine::{
    BOUNDS_US, Counts, Files, Histogram, LettersStatus, SinkStatus, SpoolStatus, Status,
};
use crate::record::Lane;

use super::process;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics.
pub(super) fn text(status: &Status) -> Option<String> {
    let mut families = Families::default();
    lines(&mut families, status);
    findings(&mut families, status);
    sources(&mut families, status);
    sinks(&mut families, status);
    spools(&mut families, status);
    letters(&mut families, status);
    times(&mut families, status);
    let version = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("ZEEK_UEBA_COMMIT"))];
    families.gauge("build_info", "1, with what the program was built from", [(&version[..], 1.0)]);
    process::metrics(&mut families);
    TextEncoder::new().encode_to_string(&families.0).ok()
}

/// What became of lines.
fn lines(families: &mut Families, status: &Status) {
    let logs = &status.counted.logs;
    let mut by_log = |name: &str, help: &str, count: fn(&Counts) -> u64| {
        let series = logs.iter().map(|(log, it)| ([("log", log.name())], count(it) as f64));
        families.counter(name, help, series);
    };
    let help = "Lines read: each became an event, was filtered or was rejected";
    by_log("records_total", help, |it| it.lines);
    by_log("events_total", "Records with an event", |it| it.events);
    by_log("filtered_total", "Records that event.emit leaves without an event", |it| it.filtered);
    by_log("read_bytes_total", "Bytes of logs read, decompressed", |it| it.bytes);
    by_log("empty_lines_total", "Lines with nothing in them; no records", |it| it.empty_lines);
    by_log("late_total", "Records too late for their own minute", |it| it.late);
    by_log("early_total", "Records more than a day ahead of their lane", |it| it.early);
    let help = "Records more than seven days from their lane's time";
    by_log("out_of_range_total", help, |it| it.out_of_range);
    let rejected = logs.iter().flat_map(|(log, counts)| {
        let reasons = counts.rejected.iter();
        reasons.map(move |(reason, count)| {
            ([("log", log.name()), ("reason", reason.name())], *count as f64)
        })
    });
    families.counter("rejected_total", "Lines that were no records", rejected);
}

/// What was found in them.
fn findings(families: &mut Families, status: &Status) {
    let counted = &status.counted;
    let alerts = counted.alerts.iter().map(|(name, it)| ([("detector", *name)], *it as f64));
    families.counter("alerts_total", "Alerts", alerts);
    let suppressed = counted.suppressed.iter();
    let suppressed = suppressed.map(|(rule, it)| ([("rule", rule.as_str())], *it as f64));
    let help = "What was kept from being an alert, by the rule that did";
    families.counter("suppressed_total", help, suppressed);
    let budget = &status.budget;
    let bar = [([], f64::from(budget.bar.get()) / 1e6)];
    families.gauge("alert_bar", "Score that a repeat has to reach to be an alert, 0 to 1", bar);
    let help = "Alerts a day from which weaker repeats are held back";
    families.gauge("alert_budget", help, [([], budget.per_day as f64)]);
    let hosts = [([], budget.hosts as f64)];
    families.gauge("hosts", "Internal hosts that opened something in the last day, about", hosts);
    let incidents = [([], status.incidents as f64)];
    families.gauge("incidents", "Incidents that are open", incidents);
    let panics = counted.panics.iter().map(|(name, it)| ([("stage", *name)], *it as f64));
    families.counter("stage_panics_total", "Panics of stages that were caught", panics);
    let stages = status.stages.iter();
    let stages = stages.map(|(name, is_on)| ([("stage", *name)], f64::from(u8::from(*is_on))));
    let help = "1 where a stage that is enabled runs, 0 where it lacks its model";
    families.gauge("stage_up", help, stages);
    let models = status.models.iter().map(|model| {
        let labels = [
            ("detector", model.name),
            ("version", model.version.as_str()),
            ("sha256", model.sha256.as_str()),
            ("role", "active"),
        ];
        (labels, 1.0)
    });
    families.gauge("model_info", "1 for each model in service", models);
    let entries = [([], status.allow_entries as f64)];
    families.gauge("allow_list_entries", "Entries of the allow-list in force", entries);
    let mut one = |name, help, count: u64| families.counter(name, help, [([], count as f64)]);
    one("risk_documents_total", "Risk documents", counted.risk);
    let help = "Findings whose minute was closed when they came; they count in the first open one";
    one("clamped_total", help, counted.clamped);
    one("entities_evicted_total", "Entities forgotten beyond entity.max", status.evicted);
    let help = "Cells of windows and evidence that found no room";
    one("dropped_total", help, status.dropped);
    let help = "Allow-lists that SIGHUP brought and that were refused";
    one("allow_list_rejected_total", help, status.allow_rejected);
    let entities = [([], status.entities() as f64)];
    families.gauge("entities", "Entities that have a score", entities);
    let levels = status.levels.iter();
    let levels = levels.map(|(level, count)| ([("level", level.name())], *count as f64));
    families.gauge("risk_entities", "Entities by the level that was told of them", levels);
}

/// How far behind the logs it is.
fn sources(families: &mut Families, status: &Status) {
    let files = &status.files;
    let mut by_lane = |name: &str, help: &str, value: fn(&Files) -> f64| {
        let value = |(lane, it): (&Lane, &Files)| ([("log", lane.name())], value(it));
        families.gauge(name, help, files.iter().map(value));
    };
    by_lane("source_open_files", "Logs that are open", |it| it.open as f64);
    let help = "Bytes of open logs that are not read yet; of compressed ones nobody knows";
    by_lane("source_lag_bytes", help, |it| it.lag_bytes as f64);
    let help = "Time since everything that was there was read; 0 if that is so now";
    by_lane("source_lag_seconds", help, |it| it.lag(now()).as_secs_f64());
    // A log that a site does not write is not silent.
    let is_read = |lane: Lane| {
        let mut logs = status.counted.logs.iter().filter(|(log, _)| log.lane() == lane);
        logs.any(|(_, counts)| counts.lines > 0)
    };
    let lanes = files.keys().filter(|lane| !lane.is_optional() || is_read(**lane));
    let silent = lanes.map(|lane| {
        let silent = status.heard.get(lane).map_or(0.0, |heard| age(*heard));
        ([("log", lane.name())], silent)
    });
    let help = "Time since the last record, or since the start";
    families.gauge("source_silent_seconds", help, silent);
    let sum = |count: fn(&Files) -> u64| [([], files.values().map(count).sum::<u64>() as f64)];
    let help = "Unread bytes of open logs that have no name any more";
    families.gauge("held_deleted_bytes", help, sum(|it| it.held_deleted_bytes));
    let mut one = |name, help, count| families.counter(name, help, sum(count));
    let help = "Logs that were cut while they were followed";
    one("source_truncated_total", help, |it| it.truncated);
    let help = "Bytes destroyed before they were read, at least";
    one("source_lost_bytes_total", help, |it| it.lost_bytes);
    let help = "Logs that began like a known one and went on differently";
    one("source_forked_total", help, |it| it.forked);
    let help = "Logs with something unread that were not found again";
    one("source_missing_total", help, |it| it.missing);
    let roots = [([], status.roots as f64)];
    families.gauge("source_roots", "Directories of source.roots that are there", roots);
}

/// How the sinks beyond this machine stand.
fn sinks(families: &mut Families, status: &Status) {
    let all = |value: fn(&SinkStatus) -> f64| {
        let value = move |(name, it): (&&'static str, &SinkStatus)| ([("sink", *name)], value(it));
        status.sinks.iter().map(value).collect::<Vec<_>>()
    };
    let help = "Whether the server took something since it last failed";
    families.gauge("sink_up", help, all(|it| f64::from(u8::from(it.is_up))));
    let help = "Documents that the server does not have yet";
    families.gauge("sink_lag_records", help, all(|it| it.lag as f64));
    let sent = status.sinks.iter().flat_map(|(name, it)| {
        let kinds = [("event", it.sent[0]), ("alert", it.sent[1]), ("risk", it.sent[2])];
        kinds.map(|(kind, count)| ([("sink", *name), ("kind", kind)], count as f64))
    });
    families.counter("sink_sent_total", "Documents that the sink was given to send", sent);
    let help = "Documents that the server has";
    families.counter("sink_acked_total", help, all(|it| it.acked as f64));
    let help = "Of these, documents that it had already";
    families.counter("sink_duplicates_total", help, all(|it| it.duplicates as f64));
    let help = "Documents that were sent again";
    families.counter("sink_retries_total", help, all(|it| it.retries as f64));
    let rejected = status
        .sinks
        .iter()
        .map(|(name, it)| ([("sink", *name), ("reason", "rejected_by_sink")], it.rejected as f64));
    let help = "Bytes sent, compressed where they are";
    families.counter("sink_bytes_total", help, all(|it| it.bytes as f64));
    let took = status.sinks.iter().map(|(name, it)| ([("sink", *name)], &it.requests));
    families.histogram("sink_request_seconds", "Time of a request until its answer", took);
    let took = status.sinks.iter().map(|(name, it)| ([("sink", *name)], &it.acknowledged));
    let help = "From being handed to the sink until the server has it, of what never was on disk";
    families.histogram("sink_acknowledged_seconds", help, took);
    let help = "How old the oldest document is that the server does not have";
    families.gauge("sink_lag_seconds", help, all(|it| it.oldest.as_secs_f64()));
    let help = "Documents that the server will never take; they are in dead-letter.ndjson";
    families.counter("dead_letters_total", help, rejected);
}

/// How the dead letters stand.
fn letters(families: &mut Families, status: &Status) {
    let LettersStatus { bytes, bytes_max, dropped, is_full } = status.letters;
    let mut gauge = |name: &str, help: &str, value: f64| families.gauge(name, help, [([], value)]);
    gauge("dead_letter_bytes", "Bytes of dead-letter.ndjson", bytes as f64);
    gauge("dead_letter_max_bytes", "Bytes that it may have", bytes_max as f64);
    let help = "Whether dead letters wait for room: nothing is read meanwhile";
    gauge("dead_letters_full", help, f64::from(u8::from(is_full)));
    let help = "Dead letters that had to go to make room, as configured";
    families.counter("dead_letters_dropped_total", help, [([], dropped as f64)]);
}

/// What sinks lack, on disk.
fn spools(families: &mut Families, status: &Status) {
    let all = |value: fn(&SpoolStatus) -> f64| {
        let value =
            move |(name, it): (&&'static str, &SinkStatus)| ([("sink", *name)], value(&it.spool));
        status.sinks.iter().map(value).collect::<Vec<_>>()
    };
    families.gauge("spool_bytes", "Bytes of the spool's files", all(|it| it.bytes as f64));
    let help = "Bytes that the spool's files may have";
    families.gauge("spool_max_bytes", help, all(|it| it.bytes_max as f64));
    let help = "Documents that are in the spool and not in memory";
    families.gauge("spool_documents", help, all(|it| it.documents as f64));
    let help = "Whether there is no room for more in the spool";
    families.gauge("spool_full", help, all(|it| f64::from(u8::from(it.is_full))));
    let lasts = status.sinks.iter().filter_map(|(name, it)| {
        it.spool.lasts().map(|lasts| ([("sink", *name)], lasts.as_secs_f64()))
    });
    let help = "How long the server may be away from now on before the spool is full";
    families.gauge("spool_lasts_seconds", help, lasts);
    let help = "Bytes of documents a second, over some ten minutes";
    families.gauge("sink_handed_bytes_per_second", help, all(|it| it.rate as f64));
    let help = "Events that found the spool full and were dropped, as configured";
    families.counter("spool_dropped_total", help, all(|it| it.dropped as f64));
    let help = "Documents of the spool that could not be read again";
    families.counter("spool_lost_total", help, all(|it| it.lost as f64));
    let help = "Events that the spool could not give back and that were made again of their lines";
    families.counter("spool_made_again_total", help, all(|it| it.made_again as f64));
    let took = status.sinks.iter().map(|(name, it)| ([("sink", *name)], &it.spool.syncs));
    let help = "Time to make what was written into the spool last";
    families.histogram("spool_sync_seconds", help, took);
}

/// How long things take.
fn times(families: &mut Families, status: &Status) {
    let stages = status.stage_seconds.iter();
    let stages = stages.map(|(name, histogram)| ([("stage", *name)], histogram));
    families.histogram("stage_seconds", "Time of a batch in a stage", stages);
    let help = "From reading a line to its event being written";
    let written = [([("sink", "ndjson")], &status.end_to_end)];
    families.histogram("end_to_end_seconds", help, written);
    let help = "Age of what is committed; next to nothing where there is nothing to commit";
    families.gauge("checkpoint_age_seconds", help, [([], age(status.committed))]);
}

fn age(since: Instant) -> f64 {
    (now() - since).as_secs_f64()
}

/// Metrics on their way into a text.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    fn counter<'a, L: AsRef<[(&'a str, &'a str)]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) {
        let metric = |(labels, value): (L, f64)| {
            let mut counter = Counter::default();
            counter.set_value(value);
            let mut metric = labelled(labels.as_ref());
            metric.set_counter(counter);
            metric
        };
        let metrics = series.into_iter().map(metric).collect();
        self.family(&prefixed(name), help, MetricType::COUNTER, metrics);
    }

    fn gauge<'a, L: AsRef<[(&'a str, &'a str)]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) {
        let metrics = series.into_iter().map(|(labels, value)| gauge(labels.as_ref(), value));
        self.family(&prefixed(name), help, MetricType::GAUGE, metrics.collect());
    }

    fn histogram<'a, L: AsRef<[(&'a str, &'a str)]>>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, &'a Histogram)>,
    ) {
        let metric = |(labels, histogram): (L, &Histogram)| {
            let mut metric = labelled(labels.as_ref());
            metric.set_histogram(proto(histogram));
            metric
        };
        let metrics = series.into_iter().map(metric).collect();
        self.family(&prefixed(name), help, MetricType::HISTOGRAM, metrics);
    }

    /// A metric of the process, whose names everybody shares.
    pub(super) fn process(&mut self, name: &str, help: &str, value: f64) {
        let kind = if name.ends_with("_total") { MetricType::COUNTER } else { MetricType::GAUGE };
        let mut metric = gauge(&[], value);
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        self.family(name, help, kind, vec![metric]);
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        // A family without a series says nothing, and the encoder refuses it.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn prefixed(name: &str) -> String {
    format!("zeek_ueba_{name}")
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    metric
}

fn proto(histogram: &Histogram) -> ProtoHistogram {
    let mut sum = 0;
    let bucket = |(bound, count): (&u64, &u64)| {
        sum += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(Duration::from_micros(*bound).as_secs_f64());
        bucket.set_cumulative_count(sum);
        bucket
    };
    let buckets = BOUNDS_US.iter().zip(&histogram.buckets).map(bucket).collect();
    let mut out = ProtoHistogram::default();
    out.set_bucket(buckets);
    out.set_sample_count(histogram.count);
    out.set_sample_sum(histogram.sum.as_secs_f64());
    out
}
