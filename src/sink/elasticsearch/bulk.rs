//! Requests of the bulk interface as text, and what an answer means for each document.
//!
//! Every document goes to its index by `create` with its own id: where it is already, the answer is
//! 409, and it has arrived. A risk document goes into the index of entities as well, as the latest
//! unless a later one is there. No IO here.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::base::hash;
use crate::document::Parts;
use crate::engine::Kind;

use super::client::Reply;
use super::{Layout, Settings};
use crate::sink::window::{Document, Ticket};

/// What is asked; of the answer only what is looked at.
pub(super) const PATH: &str = concat!(
    "/_bulk?filter_path=errors,items.*.status,items.*.error.type,",
    "items.*.error.reason,items.*.error.caused_by.reason"
);

/// Bytes of an `_id`, at most: one more, and the whole request is refused.
const ID_MAX: usize = 512;

/// Actions of one request, at most: two for each document of risk.
const ACTIONS_MAX: usize = 2 * super::AT_ONCE;

/// Characters of what servers say that are kept.
const SAID_MAX: usize = 400;
/// Characters of one reason of several: servers show the value in the first, and then say what is
/// wrong with it.
const REASON_MAX: usize = 190;

/// Which index a document goes to.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    prefix: String,
    layout: Layout,
}

impl Targets {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { prefix: settings.index_prefix.clone(), layout: settings.layout }
    }

    /// Appends what a document's index is called.
    fn index(&self, kind: Kind, parts: &Parts<'_>, out: &mut Vec<u8>) {
        let (name, length) = match kind {
            Kind::Event => ("-events", "-YYYY-MM-DD".len()),
            Kind::Alert => ("-alerts", "-YYYY-MM".len()),
            Kind::Risk | Kind::DeadLetter => ("-risk", "-YYYY-MM".len()),
        };
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(name.as_bytes());
        if self.layout == Layout::DataStream {
            return;
        }
        out.push(b'-');
        let start = out.len();
        parts.filed.write(out);
        out.truncate(start + length - 1);
        for byte in &mut out[start..] {
            if *byte == b'-' {
                *byte = b'.';
            }
        }
    }
}

/// What is done with a document in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// It is put there, unless it is there.
    Create,
    /// It takes the place of an earlier one.
    Replace,
}

/// One action of a request: which document, and what is done.
pub(super) type Action = (Ticket, Operation);

/// Writes requests, one after the other.
#[derive(Debug)]
pub(super) struct Writer {
    targets: Targets,
    is_compressed: bool,
    text: Vec<u8>,
    compressed: Vec<u8>,
    actions: Vec<Action>,
}

impl Writer {
    pub(super) fn new(targets: Targets, is_compressed: bool) -> Self {
        let (text, compressed) = (Vec::new(), Vec::new());
        Self { targets, is_compressed, text, compressed, actions: Vec::new() }
    }

    /// Begins a new request, with these documents; those that are none of this program come back.
    pub(super) fn write(&mut self, documents: &[(Ticket, Document)]) -> Vec<Ticket> {
        self.text.clear();
        self.actions.clear();
        let mut strange = Vec::new();
        for (number, document) in documents {
            match Parts::of(document.bytes()) {
                Some(parts) => self.document(*number, document, &parts),
                None => strange.push(*number),
            }
        }
        self.compressed.clear();
        if self.is_compressed {
            let mut encoder = GzEncoder::new(&mut self.compressed, Compression::fast());
            // Writing into memory does not fail; if it did, the request goes as it is.
            let done = encoder.write_all(&self.text).and_then(|()| encoder.try_finish());
            self.is_compressed = done.is_ok();
        }
        strange
    }

    fn document(&mut self, number: Ticket, document: &Document, parts: &Parts<'_>) {
        let out = &mut self.text;
        out.extend_from_slice(b"{\"create\":{\"_index\":\"");
        self.targets.index(document.kind, parts, out);
        out.extend_from_slice(b"\",\"_id\":\"");
        out.extend_from_slice(parts.id.as_bytes());
        out.extend_from_slice(b"\"}}\n");
        out.extend_from_slice(document.bytes());
        out.push(b'\n');
        self.actions.push((number, Operation::Create));
        let Some(entity) = parts.entity.filter(|_| document.kind == Kind::Risk) else { return };
        out.extend_from_slice(b"{\"index\":{\"_index\":\"");
        out.extend_from_slice(self.targets.prefix.as_bytes());
        out.extend_from_slice(b"-entities\",\"_id\":\"");
        if entity.len() <= ID_MAX {
            out.extend_from_slice(entity);
        } else {
            out.extend_from_slice(b"long:");
            out.extend_from_slice(&hash::id(&[entity]).hex());
        }
        out.extend_from_slice(b"\",\"version_type\":\"external_gte\",\"version\":");
        // Versions begin at 0, time does not.
        let version = parts.time.0.max(0);
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(b"}}\n");
        out.extend_from_slice(document.bytes());
        out.push(b'\n');
        self.actions.push((number, Operation::Replace));
    }

    /// What goes over the wire.
    pub(super) fn body(&self) -> &[u8] {
        if self.is_compressed { &self.compressed } else { &self.text }
    }

    /// Whether that is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Bytes of the request before they were compressed.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// What becomes of each document, by what became of its actions: the worst counts.
    pub(super) fn outcomes<'a>(
        &'a self,
        outcomes: &'a [Outcome],
    ) -> impl Iterator<Item = (Ticket, &'a Outcome)> {
        let mut both = self.actions.iter().zip(outcomes).peekable();
        std::iter::from_fn(move || {
            let (&(number, _), mut worst) = both.next()?;
            while let Some((_, outcome)) = both.next_if(|((next, _), _)| *next == number) {
                if outcome.badness() > worst.badness() {
                    worst = outcome;
                }
            }
            Some((number, worst))
        })
    }
}

/// What a server did with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has it.
    Done,
    /// It had it already.
    Known,
    /// It will never take it.
    Rejected(String),
    /// It does not take it now.
    Again(String),
}

impl Outcome {
    fn badness(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Known => 1,
            Self::Rejected(_) => 2,
            Self::Again(_) => 3,
        }
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One outcome for each action.
    Items(Vec<Outcome>),
    /// Less at once.
    TooLarge(String),
    /// Something in it is such that nothing was done.
    Spoilt(String),
    /// Later, perhaps after a time that was named.
    Busy(String, Option<Duration>),
    /// Somebody has to put something right.
    Refused(String),
}

#[derive(Deserialize)]
struct Items {
    #[serde(deserialize_with = "items")]
    items: Vec<Item>,
}

/// Items, of which there are no more than a request may have actions: an item takes fifty times the
/// bytes that an empty one has in an answer, so a hostile server could fill the memory.
fn items<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Item>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {ACTIONS_MAX} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<Item>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = all.next_element()? {
                if items.len() == ACTIONS_MAX {
                    return Err(de::Error::invalid_length(items.len() + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    from.deserialize_seq(Bounded)
}

#[derive(Deserialize)]
struct Item {
    create: Option<Done>,
    index: Option<Done>,
}

#[derive(Deserialize)]
struct Done {
    status: u16,
    error: Option<Failure>,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    name: Option<String>,
    reason: Option<String>,
    caused_by: Option<Box<Self>>,
}

#[derive(Deserialize)]
struct Whole {
    error: Failure,
}

impl Failure {
    fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// In words, not too many.
    fn said(&self, status: u16) -> String {
        let mut said = format!("{status} {}", self.name.as_deref().unwrap_or("error"));
        let mut cause = Some(self);
        while let Some(failure) = cause {
            if let Some(reason) = &failure.reason {
                said.push_str(": ");
                said.push_str(&short(reason, REASON_MAX));
            }
            cause = failure.caused_by.as_deref();
        }
        short(&said, SAID_MAX)
    }
}

fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What an answer to a request with these actions means (the table of docs/elasticsearch.md).
pub(super) fn answer(reply: &Reply, actions: &[Action]) -> Answer {
    let said = || said(reply);
    match reply.status {
        200 => match serde_json::from_slice::<Items>(&reply.body) {
            Ok(Items { items }) if items.len() == actions.len() => {
                let outcomes = items.into_iter().zip(actions).map(|(item, (_, operation))| {
                    let done = match operation {
                        Operation::Create => item.create,
                        Operation::Replace => item.index,
                    };
                    done.map(|done| outcome(*operation, &done))
                });
                let outcomes: Option<Vec<Outcome>> = outcomes.collect();
                let strange = || "the answer is about something else".to_owned();
                outcomes.map_or_else(|| Answer::Busy(strange(), None), Answer::Items)
            }
            // What was done nobody knows; done twice it is done once.
            Ok(Items { items }) => {
                let why = format!("{} answers to {} actions", items.len(), actions.len());
                Answer::Busy(why, None)
            }
            Err(error) => {
                Answer::Busy(short(&format!("an answer that is none: {error}"), SAID_MAX), None)
            }
        },
        413 => Answer::TooLarge(format!("413: {} actions are too much at once", actions.len())),
        // With an error of its own kind: a gate in between says the same of other things.
        400 if serde_json::from_slice::<Whole>(&reply.body).is_ok() => Answer::Spoilt(said()),
        408 | 429 | 500..=599 => Answer::Busy(said(), reply.retry_after),
        _ => Answer::Refused(said()),
    }
}

/// The error of a whole answer in words.
pub(super) fn said(reply: &Reply) -> String {
    match serde_json::from_slice::<Whole>(&reply.body) {
        Ok(Whole { error }) => error.said(reply.status),
        Err(_) => {
            let text = String::from_utf8_lossy(&reply.body);
            short(format!("{} {}", reply.status, text.trim()).trim_end(), SAID_MAX)
        }
    }
}

fn outcome(operation: Operation, done: &Done) -> Outcome {
    let nothing = Failure::default();
    let failure = done.error.as_ref().unwrap_or(&nothing);
    let said = || failure.said(done.status);
    match (done.status, operation) {
        (200..=299, _) => Outcome::Done,
        (409, Operation::Create) => Outcome::Known,
        // A later one is there.
        (409, Operation::Replace) => Outcome::Done,
        (429 | 500..=599, _) => Outcome::Again(said()),
        _ if failure.is("es_rejected_execution_exception") => Outcome::Again(said()),
        // An index that nobody may write to now, and rights that are missing.
        _ if failure.is("cluster_block_exception") => Outcome::Again(said()),
        (401 | 403, _) => Outcome::Again(said()),
        _ => Outcome::Rejected(said()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::window::{Window, ticket};

    const EVENT: &str = r#"{"@timestamp":"2018-03-24T17:15:20.865716Z","event":{"id":"9f","kind":"event","dataset":"zeek.dns"},"ueba":{"scores":{}}}"#;
    const FAR: &str = r#"{"@timestamp":"0001-01-01T00:00:00.000000Z","event":{"id":"9f","kind":"event","dataset":"zeek.dns","created":"2018-03-24T17:15:20.865716Z"},"ueba":{"scores":{}}}"#;
    const ALERT: &str = r#"{"@timestamp":"2018-03-24T17:15:20.865716Z","event":{"id":"a0","kind":"alert","dataset":"ueba.alert"},"ueba":{"entity":"host:10.0.0.5"}}"#;
    const RISK: &str = r#"{"@timestamp":"2018-03-24T17:15:20.865716Z","event":{"id":"b1","kind":"metric","dataset":"ueba.risk"},"ueba":{"entity":"host:10.0.0.5@\"s\""}}"#;

    fn writer(layout: Layout, documents: &[(Kind, &str)]) -> Writer {
        let targets = Targets { prefix: "z".to_owned(), layout };
        let mut window = Window::new(1 << 20);
        for (kind, document) in documents {
            window.push(*kind, format!("{document}\n").into_bytes(), None);
        }
        let mut writer = Writer::new(targets, false);
        let strange = writer.write(&window.take(usize::MAX, usize::MAX));
        assert!(strange.is_empty());
        writer
    }

    /// The action lines of one document.
    fn check(layout: Layout, kind: Kind, document: &str, expected: &[&str]) {
        let writer = writer(layout, &[(kind, document)]);
        let text = std::str::from_utf8(writer.body()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.ends_with('\n') && lines.len() == 2 * expected.len(), "{text}");
        for (lines, expected) in lines.chunks(2).zip(expected) {
            assert_eq!(lines, [*expected, document]);
            assert!(serde_json::from_str::<serde_json::Value>(lines[0]).unwrap().is_object());
        }
    }

    #[test]
    fn indices_are_chosen_by_event_time_that_can_be_trusted() {
        let daily = Layout::Daily;
        let event = r#"{"create":{"_index":"z-events-2018.03.24","_id":"9f"}}"#;
        check(daily, Kind::Event, EVENT, &[event]);
        check(daily, Kind::Event, FAR, &[event]);
        let alert = r#"{"create":{"_index":"z-alerts-2018.03","_id":"a0"}}"#;
        check(daily, Kind::Alert, ALERT, &[alert]);
        let entity = r#"{"index":{"_index":"z-entities","_id":"host:10.0.0.5@\"s\"","version_type":"external_gte","version":1521911720865716}}"#;
        let risk = r#"{"create":{"_index":"z-risk-2018.03","_id":"b1"}}"#;
        check(daily, Kind::Risk, RISK, &[risk, entity]);
        let stream = Layout::DataStream;
        check(stream, Kind::Event, FAR, &[r#"{"create":{"_index":"z-events","_id":"9f"}}"#]);
        let risk = r#"{"create":{"_index":"z-risk","_id":"b1"}}"#;
        check(stream, Kind::Risk, RISK, &[risk, entity]);
    }

    #[test]
    fn a_long_entity_has_an_id_that_servers_take() {
        let long = RISK.replace("10.0.0.5", &"x".repeat(600));
        let writer = writer(Layout::Daily, &[(Kind::Risk, &long)]);
        let text = std::str::from_utf8(writer.body()).unwrap();
        let action: serde_json::Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
        assert_eq!(action["index"]["_id"].as_str().unwrap().len(), "long:".len() + 32);
    }

    #[test]
    fn compressed_requests_are_the_same_requests() {
        let mut window = Window::new(1 << 20);
        window.push(Kind::Event, format!("{EVENT}\nnot ours\n").into_bytes(), None);
        let documents = window.take(usize::MAX, usize::MAX);
        let targets = Targets { prefix: "z".to_owned(), layout: Layout::Daily };
        let mut writer = Writer::new(targets, true);
        for _ in 0..2 {
            assert_eq!(writer.write(&documents), [1_u64]);
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(writer.body());
            std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
            assert_eq!((text.len(), text.lines().count()), (writer.bytes(), 2));
        }
    }

    fn replied(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.as_bytes().to_vec() }
    }

    /// What an item of an answer means.
    fn check_item(operation: Operation, status: u16, error: &str, expected: &str) {
        let name = if operation == Operation::Create { "create" } else { "index" };
        let error = match error {
            "" => String::new(),
            name => format!(r#","error":{{"type":"{name}","reason":"why"}}"#),
        };
        let body =
            format!(r#"{{"errors":true,"items":[{{"{name}":{{"status":{status}{error}}}}}]}}"#);
        let Answer::Items(found) = answer(&replied(200, &body), &[(0, operation)]) else {
            panic!("{body}")
        };
        let found = format!("{:?}", found[0]);
        assert!(found.starts_with(expected), "{body}: {found}");
    }

    #[test]
    fn items_are_taken_known_tried_again_or_rejected() {
        use Operation::{Create, Replace};
        for operation in [Create, Replace] {
            check_item(operation, 201, "", "Done");
            check_item(operation, 200, "", "Done");
            check_item(operation, 429, "es_rejected_execution_exception", "Again");
            check_item(operation, 429, "circuit_breaking_exception", "Again");
            check_item(operation, 429, "cluster_block_exception", "Again");
            check_item(operation, 403, "cluster_block_exception", "Again");
            check_item(operation, 403, "security_exception", "Again");
            check_item(operation, 503, "unavailable_shards_exception", "Again");
            check_item(operation, 500, "", "Again");
            check_item(operation, 400, "document_parsing_exception", "Rejected(\"400 document");
            check_item(operation, 400, "mapper_parsing_exception", "Rejected");
            check_item(operation, 400, "illegal_argument_exception", "Rejected");
            check_item(operation, 400, "strict_dynamic_mapping_exception", "Rejected");
            check_item(operation, 400, "index_closed_exception", "Rejected");
            check_item(operation, 404, "index_not_found_exception", "Rejected");
        }
        check_item(Create, 409, "version_conflict_engine_exception", "Known");
        check_item(Replace, 409, "version_conflict_engine_exception", "Done");
    }

    #[test]
    fn what_is_wrong_is_said_behind_a_long_value() {
        let shown = "x".repeat(1000);
        let cause = r#""caused_by":{"reason":"immense term"}"#;
        let error = format!(r#"{{"type":"t","reason":"{shown}",{cause}}}"#);
        let body = format!(r#"{{"items":[{{"create":{{"status":400,"error":{error}}}}}]}}"#);
        let Answer::Items(found) = answer(&replied(200, &body), &[(0, Operation::Create)]) else {
            panic!("{body}")
        };
        let Outcome::Rejected(why) = &found[0] else { panic!("{found:?}") };
        assert!(why.ends_with("…: immense term"), "{why}");
    }

    #[test]
    fn whole_answers() {
        let actions = [(0, Operation::Create)];
        let check = |status, body: &str, expected: &str| {
            let found = format!("{:?}", answer(&replied(status, body), &actions));
            assert!(found.starts_with(expected), "{status} {body}: {found}");
        };
        check(200, "", "Busy(\"an answer that is none");
        check(200, r#"{"items":[]}"#, "Busy(\"0 answers to 1");
        check(200, r#"{"items":[{"index":{"status":201}}]}"#, "Busy");
        let many = format!(r#"{{"items":[{}{{}}]}}"#, "{},".repeat(ACTIONS_MAX));
        check(200, &many, "Busy(\"an answer that is none: invalid length 20001");
        let long = format!(r#"{{"items":"{}"}}"#, "x".repeat(1 << 20));
        check(200, &long, "Busy(\"an answer that is none: invalid type: string");
        assert!(format!("{:?}", answer(&replied(200, &long), &actions)).len() < 2 * SAID_MAX);
        check(413, "", "TooLarge");
        let error = r#"{"error":{"type":"action_request_validation_exception","reason":"id"}}"#;
        check(400, error, "Spoilt(\"400 action_request");
        check(400, "<html>", "Refused(\"400 <html>");
        check(429, "", "Busy");
        check(503, "", "Busy(\"503\"");
        check(401, r#"{"error":{"type":"security_exception","reason":"no"}}"#, "Refused(\"401 sec");
        check(403, "", "Refused");
        check(404, "", "Refused");
        check(302, "", "Refused");
    }

    #[test]
    fn a_document_stands_as_its_worst_action() {
        let writer = writer(Layout::Daily, &[(Kind::Risk, RISK), (Kind::Event, EVENT)]);
        let (again, done) = (Outcome::Again("x".to_owned()), Outcome::Done);
        let outcomes = [Outcome::Known, done, again.clone()];
        let found: Vec<_> = writer.outcomes(&outcomes).collect();
        let risk = ticket(Kind::Risk as usize, 0);
        assert_eq!(found, [(0, &Outcome::Known), (risk, &again)]);
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(status in 100..600_u16, body in any::<Vec<u8>>()) {
            let reply = Reply { status, retry_after: None, body };
            let found = answer(&reply, &[(0, Operation::Create)]);
            prop_assert!(!matches!(found, Answer::Items(_)));
        }

        #[test]
        fn strange_items_are_not_taken_for_success(
            items in prop::collection::vec((any::<bool>(), 100..600_u16), 0..4),
        ) {
            let text: Vec<String> = items
                .iter()
                .map(|(is_create, status)| {
                    let name = if *is_create { "create" } else { "index" };
                    format!(r#"{{"{name}":{{"status":{status}}}}}"#)
                })
                .collect();
            let body = format!(r#"{{"items":[{}]}}"#, text.join(","));
            let actions = [(0, Operation::Create), (1, Operation::Create)];
            let found = answer(&replied(200, &body), &actions);
            let fits = items.len() == 2 && items.iter().all(|(is_create, _)| *is_create);
            prop_assert_eq!(matches!(found, Answer::Items(_)), fits);
        }
    }
}
