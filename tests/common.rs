//! Runs the program on files that a test writes, and reads what it wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The header of a log with Zeek's separators.
pub(crate) fn header(path: &str, fields: &str, types: &str) -> String {
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n\
         #path\t{path}\n#open\t2024-01-01-00-00-00\n#fields\t{}\n#types\t{}\n",
        fields.replace(' ', "\t"),
        types.replace(' ', "\t"),
    )
}

/// A `conn.log` with these rows of `ts uid orig resp duration orig_bytes`.
pub(crate) fn conn(rows: &[&str]) -> String {
    let mut log = header(
        "conn",
        "ts uid id.orig_h id.resp_h duration orig_bytes",
        "time string addr addr interval count",
    );
    for row in rows {
        log.push_str(&row.replace(' ', "\t"));
        log.push('\n');
    }
    log
}

/// An `http.log` with these rows, separated by `|`.
pub(crate) fn http(rows: &[&str]) -> String {
    let mut log = header(
        "http",
        "ts uid id.orig_h id.resp_h method host uri version status_code password resp_mime_types",
        "time string addr addr string string string string count string vector[string]",
    );
    for row in rows {
        log.push_str(&row.replace('|', "\t"));
        log.push('\n');
    }
    log
}

/// A `dns.log` with these rows of `ts uid orig resp query`.
pub(crate) fn dns(rows: &[&str]) -> String {
    let mut log = header("dns", "ts uid id.orig_h id.resp_h query", "time string addr addr string");
    for row in rows {
        log.push_str(&row.replace(' ', "\t"));
        log.push('\n');
    }
    log
}

/// A directory with logs, and one beside it for the results.
pub(crate) struct Place {
    directory: TempDir,
}

/// What a replay wrote and said.
pub(crate) struct Run {
    /// The files by name: the directory may be gone.
    files: BTreeMap<String, Vec<u8>>,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("logs")).unwrap();
        Self { directory }
    }

    /// The same, where replays use no model: they are trained again, and what other tests look at need
    /// not change for it.
    pub(crate) fn without_models(self) -> Self {
        fs::write(self.path().join("pipeline.toml"), without_models()).unwrap();
        self
    }

    pub(crate) fn with(files: &[(&str, &[u8])]) -> Self {
        let place = Self::new();
        for (name, bytes) in files {
            place.write(name, bytes);
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.logs().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Replays the logs with `args` into a directory of this name.
    pub(crate) fn replay_as(&self, name: &str, args: &[&str]) -> Run {
        self.replay_paths(name, &[self.logs()], args)
    }

    pub(crate) fn replay(&self, args: &[&str]) -> Run {
        self.replay_as("out", args)
    }

    pub(crate) fn replay_paths(&self, name: &str, paths: &[PathBuf], args: &[&str]) -> Run {
        let output = self.path().join(name);
        let mut command = program();
        command.current_dir(self.path()).arg("replay").arg("-o").arg(&output);
        let result = command.args(args).args(paths).output().unwrap();
        Run::new(&output, &result)
    }
}

/// The program.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_zeek-ueba"))
}

impl Run {
    pub(crate) fn new(output: &Path, result: &Output) -> Self {
        let entries = fs::read_dir(output).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            Some((name, fs::read(entry.path()).ok()?))
        });
        Self {
            files: files.collect(),
            code: result.status.code(),
            stdout: String::from_utf8_lossy(&result.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&result.stderr).into_owned(),
        }
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.get(name).unwrap_or_else(|| panic!("{name}: {}", self.stderr)).clone()
    }

    pub(crate) fn documents(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.bytes(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.documents("events.ndjson")
    }

    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.documents("alerts.ndjson")
    }

    /// Alerts without the ends of incidents.
    pub(crate) fn found(&self) -> Vec<Value> {
        let mut alerts = self.alerts();
        alerts.retain(|alert| alert["event"]["action"] != "closed");
        alerts
    }

    pub(crate) fn risk(&self) -> Vec<Value> {
        self.documents("risk.ndjson")
    }

    pub(crate) fn letters(&self) -> Vec<Value> {
        self.documents("dead-letter.ndjson")
    }

    /// `reason offset length` of each dead letter.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let line = |letter: &Value| {
            format!(
                "{} {} {}",
                letter["reason"].as_str().unwrap(),
                letter["offset"],
                letter["length"]
            )
        };
        self.letters().iter().map(line).collect()
    }

    /// The uids of the events, in order.
    pub(crate) fn uids(&self) -> Vec<String> {
        let uid = |event: &Value| {
            let logs = event["zeek"].as_object().unwrap();
            logs.values().next().unwrap()["uid"].as_str().unwrap_or("-").to_owned()
        };
        self.events().iter().map(uid).collect()
    }

    /// The four files, to compare runs.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        ["events.ndjson", "alerts.ndjson", "risk.ndjson", "dead-letter.ndjson"]
            .map(|name| self.bytes(name))
            .to_vec()
    }

    /// That it ended well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }
}

/// `bytes` as one gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The bundled sample.
pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample/apt29-day1")
}

/// Configuration that turns the stages with models off.
pub(crate) fn without_models() -> String {
    let off = |stage| format!("[stage.{stage}]\nenabled = false\n");
    ["dga", "phishing", "malicious-url", "malicious-download"].map(off).concat()
}
