//! Items of `score malicious-download`: what is known of a download, as one JSON object.

use serde_json::{Map, Value};

use crate::feature::{Host, Url};
use crate::stage::malicious_download::{Facts, Shows};

/// The keys that mean something; others are passed over.
const KEYS: [&str; 6] = ["url", "filename", "mime_type", "user_agent", "status_code", "size"];

/// A download.
pub(super) struct Download {
    /// Where it came from, if that is said.
    pub(super) url: Option<Url>,
    /// What rules ask for.
    pub(super) facts: Facts,
    /// What they show: the name, the type of the body, the client.
    texts: [String; 3],
}

impl Download {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("JSON: {error}"))?;
        let Value::Object(said) = value else { return Err("not a JSON object".to_owned()) };
        if KEYS.iter().all(|key| said.get(*key).is_none_or(Value::is_null)) {
            return Err(format!("none of {}", KEYS.join(", ")));
        }
        let url = match text(&said, "url")? {
            Some(url) => {
                Some(Url::parse(url.as_bytes()).map_err(|unusable| format!("url: {unusable}"))?)
            }
            None => None,
        };
        let mut facts = Facts::default();
        if let Some(url) = &url {
            facts.see_name(url.path().as_bytes());
            facts.see_url(url.path().as_bytes());
            if matches!(url.host(), Host::Address(..)) {
                facts.see_bare_address();
            }
        }
        let [name, mime, agent] = ["filename", "mime_type", "user_agent"];
        let [name, mime, agent] = [text(&said, name)?, text(&said, mime)?, text(&said, agent)?];
        facts.see_name(name.unwrap_or_default().as_bytes());
        facts.see_type(mime.unwrap_or_default().as_bytes());
        if let Some(agent) = agent {
            facts.see_agent(agent.as_bytes());
        }
        facts.see_answer(count(&said, "status_code")?, count(&said, "size")?);
        let name = name.or_else(|| url.as_ref().map(Url::as_str));
        let texts = [name, mime, agent].map(|text| text.unwrap_or_default().to_owned());
        Ok(Self { url, facts, texts })
    }

    /// What a rule looks at.
    pub(super) fn shown(&self, shows: Shows) -> &str {
        let [name, mime, agent] = &self.texts;
        match shows {
            Shows::Name => name,
            Shows::Type => mime,
            Shows::Agent => agent,
            Shows::Host => self.url.as_ref().map_or("", Url::host_text),
        }
    }
}

fn text<'a>(said: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match said.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: not a text")),
    }
}

fn count(said: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match said.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("{key}: not a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::score::Ppm;
    use crate::stage::malicious_download::Judge;

    fn check(line: &str, expected: &str) {
        let found = match Download::parse(line.as_bytes()) {
            Err(error) => error,
            Ok(Download { url, facts, .. }) => {
                let judged = Judge::new(Ppm::new(500_000)).judge(&facts);
                let rules: Vec<&str> = judged.rules.iter().map(|(rule, _)| rule.name).collect();
                let url = url.as_ref().map_or("-", Url::as_str);
                format!("{url} {} {}", judged.score, rules.join(" ")).trim_end().to_owned()
            }
        };
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn items() {
        check(r#"{"url":"http://a.com/x.zip","more":[1]}"#, "a.com/x.zip 0.050000");
        check(r#"{"url":"a.com","size":12}"#, "a.com 0.006535 nameless");
        check(
            r#"{"url":"http://192.0.2.1/x","mime_type":"application/x-dosexec","user_agent":"curl/8"}"#,
            "192.0.2.1/x 0.716417 program unannounced bare_address agent",
        );
        check(
            r#"{"filename":"a.jpg","mime_type":"application/x-dosexec","url":null}"#,
            "- 0.627450 program disguise",
        );
        check(r#"{"filename":"a.pdf.exe"}"#, "- 0.296296 program_name double_extension");
        check(r#"{"filename":"a.exe","user_agent":""}"#, "- 0.240000 program_name agent");
        check(r#"{"filename":"a.exe","status_code":404}"#, "- 0.000000 program_name");
        check(r#"{"filename":"a.exe","size":0}"#, "- 0.000000 program_name");
        check(r#"{"mime_type":"image/png"}"#, "- 0.000000");
    }

    #[test]
    fn what_is_no_item() {
        for line in ["", "a.com", "{", r#"{"url":"a.com"} x"#, "\u{0}"] {
            let error = Download::parse(line.as_bytes()).err().unwrap();
            assert!(error.starts_with("JSON: "), "{line:?} {error}");
        }
        assert!(Download::parse(b"\xff\xfe").is_err());
        assert!(Download::parse("[".repeat(60_000).as_bytes()).is_err());
        for line in ["[]", "1", "null", "\"a.com\""] {
            check(line, "not a JSON object");
        }
        let none = "none of url, filename, mime_type, user_agent, status_code, size";
        check("{}", none);
        check(r#"{"host":"a.com","url":null}"#, none);
        check(r#"{"url":1}"#, "url: not a text");
        check(r#"{"filename":["a.exe"]}"#, "filename: not a text");
        check(r#"{"mime_type":{}}"#, "mime_type: not a text");
        check(r#"{"user_agent":true}"#, "user_agent: not a text");
        check(r#"{"size":"1"}"#, "size: not a whole number");
        for number in ["-1", "200.5", "1e400", "18446744073709551616"] {
            let error = Download::parse(format!("{{\"status_code\":{number}}}").as_bytes());
            assert!(error.is_err(), "{number}");
        }
        check(r#"{"url":"http://[::1]:99999/"}"#, "url: the port is no number up to 65535");
    }
}
