//! In the lanes: a score for each name or URL that a row asks for, and of the odd ones a cell for
//! each client, site and URL.

use std::sync::Arc;

use crate::base::address::Addr;
use crate::base::keys::Settings;
use crate::base::limits::SUBJECT_BYTES_MAX;
use crate::base::score::Ppm;
use crate::feature::link::push;
use crate::feature::{Host, Matrix, Url};
use crate::model::Models;
use crate::record::{Entity, Log};

use super::super::Fold;
use super::super::input::{CellRow, Deltas, Input};
use super::super::names::{self, Local};
use super::super::odds::Scale;
use super::super::targets::url;
use super::super::texts::{Read, Texts};
use super::verdict::{evidence, weight};
use super::{Detector, FLOOR, cut};

/// See the module.
pub(super) struct Links {
    detector: &'static Detector,
    scale: Scale,
    texts: Texts<Reader>,
}

impl Links {
    pub(super) fn new(detector: &'static Detector, settings: &Settings, models: &Models) -> Self {
        let reader = Reader { local: Local::new(settings) };
        Self {
            detector,
            scale: Scale::of(detector.def, models),
            texts: Texts::new(reader, detector.def, models),
        }
    }
}

/// What is scored of a text: the URL that it is.
struct Reader {
    local: Local,
}

impl Read for Reader {
    type Item = Url;
    type Known = Link;

    fn parse(&self, text: &[u8]) -> Option<Url> {
        let is_ours = |url: &Url| match url.host() {
            Host::Name(name) => self.local.has(name),
            Host::Address(..) => false,
        };
        Url::parse(text).ok().filter(|url| !is_ours(url))
    }

    fn key(url: &Url) -> &[u8] {
        url.key()
    }

    fn push(url: &Url, matrix: &mut Matrix) {
        push(url, matrix);
    }

    fn known(url: &Url) -> Link {
        let addr = match url.host() {
            Host::Address(addr, _) => Some(Addr::from(*addr)),
            Host::Name(_) => None,
        };
        Link { subject: subject(url), addr }
    }
}

/// What is remembered of a URL.
#[derive(Clone)]
struct Link {
    /// The subject of its cells.
    subject: Arc<[u8]>,
    /// Its host, if that is an address.
    addr: Option<Addr>,
}

/// The site and, behind a NUL, the URL, as much of it as there is room for.
pub(super) fn subject(url: &Url) -> Arc<[u8]> {
    let site = url.site().as_bytes();
    let room = SUBJECT_BYTES_MAX.saturating_sub(site.len() + 1);
    [site, b"\0", cut(url.as_str(), room).as_bytes()].concat().into()
}

/// Appends the URL that a row asks for, or the name alone where the log has no more; whether there
/// is any.
fn text(detector: &Detector, input: &Input<'_>, row: usize, out: &mut Vec<u8>) -> bool {
    let batch = input.batch;
    match batch.log() {
        Log::Http => url(input, row, detector.takes_address, out),
        // Nobody was reached under a name that does not exist.
        Log::Dns if names::answer(batch, row) != Some(true) => false,
        _ => names::text(batch, row, out) && is_bare(out),
    }
}

/// Whether a text is a name and nothing else that a URL may have.
fn is_bare(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'@' | b':' | b'%'))
}

impl Fold for Links {
    fn fold(&mut self, input: &Input<'_>, out: &mut Deltas) {
        let batch = input.batch;
        self.texts.look(batch.rows(), |row, out| text(self.detector, input, row, out));
        for (row, seen) in self.texts.rows().iter().enumerate() {
            // A server of ours that outsiders ask is not who asks.
            let parties = &input.parties[row];
            let (Some(seen), Some(client)) = (seen, parties.orig) else { continue };
            // And an address of ours is nobody's trap.
            let is_ours = seen.known.addr.is_some() && seen.known.addr == parties.resp;
            if is_ours || evidence(self.scale, seen.score.get(), 1) < FLOOR {
                continue;
            }
            let found = CellRow::new(input, row, weight(seen.score, batch.log()), batch.ts(row));
            let at = (input.minutes[row], Entity::Host(client));
            out.add(at, &seen.known.subject, [0; 3], Some(found));
        }
    }

    fn scores(&self) -> &[Option<Ppm>] {
        self.texts.scores()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FOR_MALICIOUS, FOR_PHISHING, MALICIOUS_URL, PHISHING};
    use super::*;
    use crate::base::keys::Value;
    use crate::base::limits::BATCH_ROWS_MAX;
    use crate::stage::StageDef;
    use crate::stage::script::{Place, batches, defaults};

    /// What is scored of one record, as site and URL.
    fn read(detector: &'static Detector, log: Log, record: &str) -> Option<(String, String)> {
        let stage: &StageDef = if detector.takes_address { &MALICIOUS_URL } else { &PHISHING };
        let mut settings = defaults(stage);
        settings.insert("local", Value::TextList(vec!["*.Corp.example.".to_owned()]));
        let mut links = Links::new(detector, &settings, &Models::fixed(&[detector.def]));
        let text = format!("{{\"ts\":1700000000,{record}}}\n");
        let batch = batches(log, &text, BATCH_ROWS_MAX).remove(0);
        let place = Place::new(&batch);
        links.fold(&place.input(&batch), &mut Deltas::default());
        assert_eq!(links.scores().len(), 1);
        let seen = links.texts.rows()[0].as_ref()?;
        assert_eq!(links.scores()[0], Some(seen.score));
        let subject = String::from_utf8(seen.known.subject.to_vec()).unwrap();
        let (site, url) = subject.split_once('\0').unwrap();
        Some((site.to_owned(), url.to_owned()))
    }

    fn check(log: Log, record: &str, expected: Option<(&str, &str)>) {
        let expected = expected.map(|(site, url)| (site.to_owned(), url.to_owned()));
        assert_eq!(read(&FOR_PHISHING, log, record), expected, "{log} {record}");
    }

    #[test]
    fn what_records_ask_for() {
        let http = |record: &str, expected| check(Log::Http, record, expected);
        let whole = Some(("e.co.uk", "www.e.co.uk/a?b=1"));
        http(r#""host":"www.e.co.uk","uri":"/a?b=1""#, whole);
        http(r#""host":"www.E.co.uk:80","uri":"/a?b=1#c""#, whole);
        http(
            r#""host":"www.e.co.uk","uri":"*","method":"OPTIONS""#,
            Some(("e.co.uk", "www.e.co.uk")),
        );
        http(r#""host":"www.e.co.uk""#, Some(("e.co.uk", "www.e.co.uk")));
        // A proxy goes by the URI.
        http(r#""host":"other.com","uri":"http://www.e.co.uk/a?b=1""#, whole);
        http(r#""host":"other.com","uri":"http://a:b@e.com:81/""#, Some(("e.com", "e.com:81")));
        http(r#""host":"p","uri":"e.com:443","method":"CONNECT""#, Some(("e.com", "e.com")));
        http(r#""host":"p","uri":"e.com:8443","method":"CONNECT""#, Some(("e.com", "e.com:8443")));
        http(r#""host":"0x5db8d822","uri":"/a""#, Some(("93.184.216.34", "93.184.216.34/a")));
        // Ours, or nobody's.
        http(r#""host":"a.corp.example","uri":"/a""#, None);
        http(r#""host":"printer","uri":"/a""#, None);
        http(r#""uri":"/a","id.resp_h":"1.2.3.4","id.resp_p":80"#, None);
        http(r#""host":"","uri":"/a","id.resp_h":"1.2.3.4""#, None);
        let dns = |record: &str, expected| check(Log::Dns, record, expected);
        let name = Some(("e.com", "a.e.com"));
        dns(r#""query":"a.e.com","rcode":0"#, name);
        dns(r#""query":"A.e.com.","rcode_name":"NOERROR""#, name);
        dns(r#""query":"a.e.com","rcode":3"#, None);
        dns(r#""query":"a.e.com""#, None);
        dns(r#""query":"a.e.com/login","rcode":0"#, None);
        dns(r#""query":"x@e.com","rcode":0"#, None);
        for log in [Log::Ssl, Log::Quic] {
            check(log, r#""server_name":"a.e.com""#, name);
            check(log, r#""server_name":"a.e.com:443/b""#, None);
        }
    }

    #[test]
    fn a_program_leaves_the_host_out() {
        let check = |record: &str, site: &str, url: &str| {
            let expected = Some((site.to_owned(), url.to_owned()));
            assert_eq!(read(&FOR_MALICIOUS, Log::Http, record), expected, "{record}");
        };
        let path = r#""uri":"/mozi.m","id.resp_p""#;
        check(&format!(r#""id.resp_h":"1.2.3.4",{path}:80"#), "1.2.3.4", "1.2.3.4/mozi.m");
        check(&format!(r#""id.resp_h":"1.2.3.4",{path}:8080"#), "1.2.3.4", "1.2.3.4:8080/mozi.m");
        let six = format!(r#""id.resp_h":"2001:db8::1",{path}:8080"#);
        check(&six, "2001:db8::1", "[2001:db8::1]:8080/mozi.m");
        let proxy = r#""id.resp_h":"10.0.0.1","uri":"1.2.3.4:81","method":"CONNECT""#;
        check(proxy, "1.2.3.4", "1.2.3.4:81");
    }

    /// Who has a cell of one request.
    fn clients(record: &str) -> Vec<Entity> {
        let models = Models::fixed(&[FOR_MALICIOUS.def]);
        let text: String =
            (0..40).map(|n| format!("{{\"ts\":1700000000,\"uri\":\"/{n}\",{record}}}\n")).collect();
        let cells = crate::stage::script::folded((&MALICIOUS_URL, &models), Log::Http, &text, 1000);
        let mut found: Vec<Entity> = cells.into_iter().map(|(_, cell)| cell.entity).collect();
        found.dedup();
        found
    }

    #[test]
    fn only_clients_of_ours_that_ask_others() {
        let us = vec![Entity::Host(Addr::parse(b"10.0.0.5").unwrap())];
        let out = r#""id.orig_h":"10.0.0.5","id.resp_h":"1.2.3.4""#;
        assert_eq!(clients(&format!(r#"{out},"host":"1.2.3.4""#)), us);
        assert_eq!(clients(&format!(r#"{out},"host":"e.com""#)), us);
        assert_eq!(clients(out), us);
        // A name that is ours would stand in `local`; an address need not.
        let inside = r#""id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.9""#;
        assert_eq!(clients(&format!(r#"{inside},"host":"e.com""#)), us);
        assert_eq!(clients(&format!(r#"{inside},"host":"10.0.0.9""#)), []);
        assert_eq!(clients(inside), []);
        let of_ours = r#""id.orig_h":"1.2.3.4","id.resp_h":"10.0.0.5","host":"e.com""#;
        assert_eq!(clients(of_ours), []);
    }

    #[test]
    fn whatever_stands_there_subjects_are_short_texts() {
        let nested = (0..1000).fold("a".to_owned(), |text, _| text.replace('%', "%25") + "%61");
        let paths = ["x".repeat(64 << 10), nested, "é".repeat(500), "%00\\u0000\\u202e".to_owned()];
        let hosts = ["e.com", "a:b@e.com", "[2001:db8::1]", "xn--80ak6aa92e.com", "017700000001"];
        for (host, path) in hosts.iter().flat_map(|host| paths.iter().map(move |it| (host, it))) {
            let record = format!(r#""host":"{host}","uri":"/{path}""#);
            if let Some((site, url)) = read(&FOR_MALICIOUS, Log::Http, &record) {
                assert!(site.len() + 1 + url.len() <= SUBJECT_BYTES_MAX, "{site} {url}");
                assert_eq!(url.ends_with(super::super::CUT), path.len() > 200, "{url}");
            }
        }
    }
}
