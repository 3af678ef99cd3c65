//! What a download is worth: the probability of its URL as odds, times what each rule that holds
//! says. Integers only, so that it is the same on every machine.
//!
//! The rules are no model: on the lists that there are to learn from, what Zeek saw of a body tells
//! who collected it and not whether it is malicious. Each rule holds or does not, whatever the
//! others do, so that one sign more never lowers a score and none that lowers it raises one.
//!
//! Not here: where the facts come from (`fold`, `cli`), how findings read (`verdict`).

use super::super::agents::is_scripted;
use super::super::bodies::{Family, extension, has_double_extension, lower};
use super::super::odds::{ALERT, Odds, Scale};
use crate::base::score::Ppm;
use crate::feature::link::MALICIOUS_DOWNLOAD;
use crate::model::Models;

/// What a download is worth of which no URL is known, or none that the model reads.
const PRIOR: Ppm = Ppm::new(50_000);

/// What is known of a download, as far as rules ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The model's probability of its URL.
    pub(super) url: Option<Ppm>,
    content: Option<Family>,
    named: Option<Family>,
    has_double_extension: bool,
    is_bare_address: bool,
    is_scripted: bool,
    is_silent: bool,
    is_site_known: bool,
    has_failed: bool,
}

impl Facts {
    /// The same of another URL, of which a model says that.
    #[must_use]
    pub fn with_url(self, url: Option<Ppm>) -> Self {
        Self { url, ..self }
    }

    /// The type that Zeek saw in the body; it is the more telling one of several.
    pub fn see_type(&mut self, mime: &[u8]) {
        let content = Family::of_type(&lower(mime));
        if rank(content) > rank(self.content) {
            self.content = content;
        }
    }

    /// A path or the name of a file: what it is called.
    pub fn see_name(&mut self, name: &[u8]) {
        self.see_extension(extension(name).unwrap_or_default());
        self.has_double_extension |= has_double_extension(name);
    }

    /// The extension of a name; of several that say something the last counts.
    pub(super) fn see_extension(&mut self, extension: &[u8]) {
        self.named = Family::of_extension(extension).or(self.named);
    }

    /// How the server answered: what failed or is empty is no download. Of what nobody says it is
    /// taken that all went well.
    pub fn see_answer(&mut self, status: Option<u64>, size: Option<u64>) {
        let is_success = status.is_none_or(|status| (200..300).contains(&status));
        self.has_failed |= !is_success || size == Some(0);
    }

    /// What the client says that it is; nothing is said by an empty text.
    pub fn see_agent(&mut self, agent: &[u8]) {
        self.is_scripted |= is_scripted(agent);
    }

    pub(super) fn see_double_extension(&mut self) {
        self.has_double_extension = true;
    }

    /// Its URL; one whose path has the name of a picture, of a script of the server or of nothing
    /// does not say that there is a program.
    pub fn see_url(&mut self, path: &[u8]) {
        let named = Family::of_extension(extension(path).unwrap_or_default());
        self.is_silent = !matches!(
            named,
            Some(Family::Program | Family::Script | Family::Macro | Family::Archive)
        );
    }

    pub(super) fn see_silent_url(&mut self) {
        self.is_silent = true;
    }

    /// Whether its URL does not say that it is a program.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Its server has no name.
    pub fn see_bare_address(&mut self) {
        self.is_bare_address = true;
    }

    /// Somebody fetched something from there on a day before.
    pub(super) fn see_known_site(&mut self) {
        self.is_site_known = true;
    }

    /// Whether there is something in it to be afraid of: what failed, a picture, a page or what
    /// programs tell each other is no download.
    #[must_use]
    pub fn is_download(&self) -> bool {
        !self.has_failed && rank(self.content) != VOID
    }

    /// Whether the body or its name says that it is something to be run or opened.
    pub(super) fn looks_like_one(&self) -> bool {
        let is_told = |family| !matches!(family, Family::Text) && rank(Some(family)) > VOID;
        self.content.is_some_and(is_told) || self.named.is_some_and(is_told)
    }

    /// Whether what was fetched can run, by what was seen or else by its name.
    fn runs(&self) -> bool {
        let runs = |family| matches!(family, Family::Program | Family::Script | Family::Macro);
        match self.content {
            Some(Family::Archive | Family::Text) | None => {
                self.content == Some(Family::Archive) || self.named.is_some_and(runs)
            }
            Some(content) => runs(content),
        }
    }
}

const VOID: u8 = 1;

/// How telling a body is: of two that are said of one the higher counts.
fn rank(content: Option<Family>) -> u8 {
    match content {
        None => 0,
        Some(
            Family::Image
            | Family::Audio
            | Family::Video
            | Family::Font
            | Family::Page
            | Family::Data,
        ) => VOID,
        Some(Family::Text) => 2,
        Some(Family::Document) => 3,
        Some(Family::Archive) => 4,
        Some(Family::Macro) => 5,
        Some(Family::Script) => 6,
        Some(Family::Program) => 7,
    }
}

/// What a rule looks at, and its reason shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The type of the body.
    Type,
    /// The file's name, or else the URL.
    Name,
    /// The server.
    Host,
    /// The client.
    Agent,
}

/// How much a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The odds are so many times as high.
    Times(u32),
    /// The odds are so many times as low.
    Over(u32),
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What its reason is called.
    pub name: &'static str,
    /// What it shows.
    pub shows: Shows,
    /// What is usual.
    pub expected: &'static str,
    worth: Worth,
    holds: fn(&Facts) -> bool,
}

/// All of them; docs/detection.md explains each.
static RULES: &[Rule] = &[
    Rule {
        name: "document",
        shows: Shows::Type,
        expected: "a program",
        worth: Worth::Over(4),
        holds: |it| it.content == Some(Family::Document),
    },
    Rule {
        name: "text",
        shows: Shows::Type,
        expected: "a program",
        worth: Worth::Over(4),
        holds: |it| it.content == Some(Family::Text),
    },
    Rule {
        name: "nameless",
        shows: Shows::Name,
        expected: "the name or the body of a program, an archive or a document",
        worth: Worth::Over(8),
        holds: |it| matches!(it.content, None | Some(Family::Text)) && !it.looks_like_one(),
    },
    Rule {
        name: "known_site",
        shows: Shows::Host,
        expected: "a site that nobody fetched from on a day before",
        worth: Worth::Over(4),
        holds: |it| it.is_site_known,
    },
    Rule {
        name: "program",
        shows: Shows::Type,
        expected: "no program",
        worth: Worth::Times(4),
        holds: |it| it.content == Some(Family::Program),
    },
    Rule {
        name: "unannounced",
        shows: Shows::Name,
        expected: "a program whose URL says that it is one",
        worth: Worth::Times(2),
        holds: |it| it.content == Some(Family::Program) && it.is_silent,
    },
    Rule {
        name: "script",
        shows: Shows::Type,
        expected: "nothing that runs",
        worth: Worth::Times(2),
        holds: |it| matches!(it.content, Some(Family::Script | Family::Macro)),
    },
    Rule {
        name: "program_name",
        shows: Shows::Name,
        expected: "no name of a program",
        worth: Worth::Times(2),
        holds: |it| {
            matches!(it.content, None | Some(Family::Archive | Family::Text))
                && matches!(it.named, Some(Family::Program | Family::Script | Family::Macro))
        },
    },
    Rule {
        name: "disguise",
        shows: Shows::Name,
        expected: "a body of the kind that its name says",
        worth: Worth::Times(8),
        holds: |it| {
            let both = it.content.zip(it.named);
            both.is_some_and(|(content, named)| content.is_disguised(named))
        },
    },
    Rule {
        name: "double_extension",
        shows: Shows::Name,
        expected: "one extension",
        worth: Worth::Times(4),
        holds: |it| it.has_double_extension,
    },
    Rule {
        name: "bare_address",
        shows: Shows::Host,
        expected: "a server with a name",
        worth: Worth::Times(2),
        holds: |it| it.is_bare_address && it.runs(),
    },
    Rule {
        name: "agent",
        shows: Shows::Agent,
        expected: "a browser",
        worth: Worth::Times(3),
        holds: |it| it.is_scripted && it.runs(),
    },
];

/// A score, with what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// How sure the stage is.
    pub score: Ppm,
    /// The part of it that is the URL's, with what the rules that lower it left.
    pub url: Ppm,
    /// The rules that hold, each with its part: none of those that lower it.
    pub rules: Vec<(&'static Rule, Ppm)>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

/// Judges downloads by the threshold of the model of URLs.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    scale: Scale,
}

impl Judge {
    /// The score of what is an alert by itself.
    pub const ALERT: Ppm = Ppm::new(ALERT.1);

    /// `threshold` is the probability from which the model's card calls a URL malicious.
    #[must_use]
    pub fn new(threshold: Ppm) -> Self {
        Self { scale: Scale::new(threshold) }
    }

    /// By the model in service.
    pub(super) fn of(models: &Models) -> Self {
        Self { scale: Scale::of(&MALICIOUS_DOWNLOAD, models) }
    }

    /// The score of a download; nothing of what is none.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Judged {
        let mut odds = match facts.url {
            _ if !facts.is_download() => Odds::of(Ppm::new(0)),
            Some(url) => self.scale.odds(url),
            None => Odds::of(PRIOR),
        };
        let holding = || RULES.iter().filter(|rule| (rule.holds)(facts));
        for rule in holding() {
            if let Worth::Over(times) = rule.worth {
                odds = odds.over(times);
            }
        }
        let url = odds.score();
        let (mut score, mut rules) = (url, Vec::new());
        for rule in holding() {
            if let Worth::Times(times) = rule.worth {
                odds = odds.times(times);
            }
            rules.push((rule, Ppm::new(odds.score().get() - score.get())));
            score = odds.score();
        }
        Judged { score, url, rules }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(url: u32) -> Facts {
        Facts { url: Some(Ppm::new(url)), ..Facts::default() }
    }

    /// All that can be known of a download.
    fn any_facts() -> impl Strategy<Value = Facts> {
        let family = || {
            proptest::option::of(prop_oneof![
                Just(Family::Image),
                Just(Family::Text),
                Just(Family::Page),
                Just(Family::Document),
                Just(Family::Macro),
                Just(Family::Archive),
                Just(Family::Script),
                Just(Family::Program),
            ])
        };
        (proptest::option::of(0..=1_000_000_u32), family(), family(), any::<[bool; 5]>()).prop_map(
            |(url, content, named, flags)| Facts {
                url: url.map(Ppm::new),
                content,
                named,
                has_double_extension: flags[0],
                is_bare_address: flags[1],
                is_scripted: flags[2],
                is_site_known: flags[3],
                is_silent: flags[4],
                has_failed: false,
            },
        )
    }

    proptest! {
        #[test]
        fn parts_add_up(facts in any_facts(), threshold in 0..=1_000_000_u32) {
            let judged = Judge::new(Ppm::new(threshold)).judge(&facts);
            let rules: u32 = judged.rules.iter().map(|(_, part)| part.get()).sum();
            prop_assert_eq!(judged.url.get() + rules, judged.score.get());
        }

        #[test]
        fn one_sign_more_never_lowers_it(facts in any_facts(), more in 0..50_000_u32) {
            let judge = Judge::new(Ppm::new(900_000));
            let score = judge.judge(&facts).score;
            let with = |change: fn(&mut Facts)| {
                let mut facts = facts;
                change(&mut facts);
                judge.judge(&facts).score
            };
            prop_assert!(with(|it| it.has_double_extension = true) >= score);
            prop_assert!(with(|it| it.is_bare_address = true) >= score);
            prop_assert!(with(|it| it.is_scripted = true) >= score);
            prop_assert!(with(|it| it.is_silent = true) >= score);
            prop_assert!(with(|it| it.is_site_known = true) <= score);
            if facts.content.is_none() {
                prop_assert!(with(|it| it.content = Some(Family::Program)) >= score);
                prop_assert!(with(|it| it.content = Some(Family::Image)) <= score);
            }
            if let Some(url) = facts.url {
                let higher = Facts { url: Some(Ppm::new(url.get() + more)), ..facts };
                prop_assert!(judge.judge(&higher).score >= score);
            }
        }
    }

    #[test]
    fn the_threshold_of_the_model_is_an_alert() {
        for threshold in [1, 300_000, 487_000, 999_999] {
            let judge = Judge::new(Ppm::new(threshold));
            let mut facts = facts(threshold);
            facts.see_name(b"/a.zip");
            assert_eq!(judge.judge(&facts).score.get(), 600_000, "{threshold}");
        }
        let judge = Judge::new(Ppm::ONE);
        assert_eq!(judge.judge(&facts(1_000_000)).score, Ppm::ONE);
        assert_eq!(judge.judge(&facts(0)).score.get(), 0);
    }

    /// The score of a download in percent, with the rules that hold.
    fn check(change: fn(&mut Facts), expected: &str) {
        let mut facts = facts(500_000);
        change(&mut facts);
        let judged = Judge::new(Ppm::new(900_000)).judge(&facts);
        let names: Vec<&str> = judged.rules.iter().map(|(rule, _)| rule.name).collect();
        let found = format!("{} {}", judged.score.get() / 10_000, names.join(" "));
        assert_eq!(found.trim_end(), expected);
    }

    #[test]
    fn rules() {
        check(|_| {}, "2 nameless");
        check(|it| it.see_name(b"/a.zip"), "14");
        check(|it| it.see_type(b"application/x-dosexec"), "40 program");
        check(|it| it.see_type(b"Application/X-DosExec"), "40 program");
        check(
            |it| {
                it.see_type(b"application/x-dosexec");
                it.see_url(b"/get.php?id=7");
            },
            "57 program unannounced",
        );
        check(
            |it| {
                it.see_type(b"application/x-dosexec");
                it.see_url(b"/a/b.EXE?x=1");
            },
            "40 program",
        );
        check(|it| it.see_name(b"/a/b.EXE?x=1"), "25 program_name");
        check(|it| it.see_type(b"text/x-shellscript"), "25 script");
        check(|it| it.see_type(b"application/pdf"), "4 document");
        check(
            |it| {
                it.see_type(b"application/x-dosexec");
                it.see_name(b"a.jpg");
            },
            "84 program disguise",
        );
        check(
            |it| {
                it.see_type(b"application/x-dosexec");
                it.see_agent(b"curl/8");
                it.see_bare_address();
            },
            "80 program bare_address agent",
        );
        // What does not run is fetched by scripts all day long.
        check(
            |it| {
                it.see_type(b"application/pdf");
                it.see_agent(b"curl/8");
            },
            "4 document",
        );
        check(|it| it.see_name(b"invoice.pdf.exe"), "57 program_name double_extension");
        check(|it| it.see_type(b"image/png"), "0");
        check(|it| it.see_type(b"text/plain"), "0 text nameless");
        // Whichever is said first, the more telling one counts.
        check(
            |it| {
                it.see_type(b"image/png");
                it.see_type(b"application/x-dosexec");
                it.see_type(b"application/octet-stream");
            },
            "40 program",
        );
        check(
            |it| {
                it.see_type(b"application/x-dosexec");
                it.see_known_site();
            },
            "14 known_site program",
        );
    }

    #[test]
    fn what_was_not_fetched() {
        let answered = |status, size| {
            let mut facts = Facts::default();
            facts.see_answer(status, size);
            facts.is_download()
        };
        assert!(answered(None, None) && answered(Some(206), Some(1)));
        for (status, size) in [(Some(404), None), (Some(302), Some(9)), (Some(200), Some(0))] {
            assert!(!answered(status, size), "{status:?} {size:?}");
        }
    }
}
