//! The notation of the case files.
//!
//! The first lines say what the case is. Then come inputs, `--- tsv` or `--- json`, each followed by
//! what is expected of it, `--- expect`. In an input `→` is a TAB, `«HH»` a byte, `«HH*N»` N of them,
//! `«|»` the border of two writes, and `«end»` says that the last line has no end; all else stands
//! for itself. Words behind `--- tsv` and `--- json`: `log=` (`conn` if not said), `line_max=`,
//! `configured=` for the names of columns, `alias=from:to`, `live` for a file that may still grow,
//! `same` for the same typed rows as the input before.

/// A case file: a title, then an input and its expectation, again and again.
pub(super) struct Case {
    pub(super) title: String,
    pub(super) inputs: Vec<Input>,
}

/// One input and what is expected of it.
pub(super) struct Input {
    /// What stands behind `---`.
    pub(super) words: String,
    pub(super) body: String,
    pub(super) expected: String,
}

impl Case {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.split("--- ");
        let title = parts.next().unwrap_or_default().to_owned();
        let mut inputs: Vec<Input> = Vec::new();
        for part in parts {
            let (words, body) = part.split_once('\n').expect("a line end after ---");
            match (words, inputs.last_mut()) {
                ("expect", Some(input)) => body.clone_into(&mut input.expected),
                _ => inputs.push(Input {
                    words: words.to_owned(),
                    body: body.to_owned(),
                    expected: String::new(),
                }),
            }
        }
        assert!(!inputs.is_empty(), "no input");
        Self { title, inputs }
    }

    pub(super) fn render(&self) -> String {
        let mut text = self.title.clone();
        for Input { words, body, expected } in &self.inputs {
            text.push_str(&format!("--- {words}\n{body}--- expect\n{expected}"));
        }
        text
    }
}

impl Input {
    pub(super) fn is(&self, word: &str) -> bool {
        self.words.split(' ').any(|it| it == word)
    }

    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.words.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// The bytes of the input, in the writes that they came in.
    pub(super) fn writes(&self) -> Vec<Vec<u8>> {
        assert!(!self.body.contains('\t'), "write a TAB as →");
        let mut writes = vec![Vec::new()];
        let body = self.body.strip_suffix("«end»\n").unwrap_or(&self.body);
        let mut rest = body;
        while let Some(at) = rest.find(['→', '«']) {
            let (plain, found) = rest.split_at(at);
            let bytes = writes.last_mut().expect("never empty");
            bytes.extend_from_slice(plain.as_bytes());
            if let Some(after) = found.strip_prefix('→') {
                bytes.push(b'\t');
                rest = after;
                continue;
            }
            let (inside, after) = found.trim_start_matches('«').split_once('»').expect("a »");
            rest = after;
            if inside == "|" {
                writes.push(Vec::new());
                continue;
            }
            let (byte, times) = inside.split_once('*').unwrap_or((inside, "1"));
            let byte = u8::from_str_radix(byte, 16).expect("two hexadecimal digits");
            let count = times.parse().expect("a number");
            bytes.extend(std::iter::repeat_n(byte, count));
        }
        writes.last_mut().expect("never empty").extend_from_slice(rest.as_bytes());
        writes
    }
}
