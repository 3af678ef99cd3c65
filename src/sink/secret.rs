//! Secrets of sinks: from a file of their own or from the environment, never from the configuration
//! itself, and never into a message.

use std::path::PathBuf;

use super::CannotConfigure;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a variable of the environment.
    Variable(String),
    /// In a file, without the line feed at its end.
    File(PathBuf),
}

impl Secret {
    /// What a configuration says: `${NAME}` in one key, or the path of a file in the other. A
    /// secret that stands in the configuration itself is none.
    #[must_use]
    pub fn of(text: Option<&str>, file: Option<&str>) -> Option<Self> {
        match text {
            Some(text) => Some(Self::Variable(variable(text)?.to_owned())),
            None => Some(Self::File(file?.into())),
        }
    }

    /// The secret of `key`.
    ///
    /// # Errors
    /// When it is not where it should be.
    pub(super) fn read(&self, key: &str) -> Result<String, CannotConfigure> {
        match self {
            Self::Variable(name) => from_environment(key, name),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    CannotConfigure::File(format!("{key}_file"), path.clone(), error)
                })?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

/// `NAME`, where the text is `${NAME}`.
#[must_use]
pub fn variable(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

pub(super) fn from_environment(key: &str, name: &str) -> Result<String, CannotConfigure> {
    environment(name).map_err(|_| CannotConfigure::NoVariable(key.to_owned(), name.to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "secrets come from the environment, as asked for")]
fn environment(name: &str) -> Result<String, std::env::VarError> {
    std::env::var(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Option<&str>, file: Option<&str>, expected: &str) {
        let secret = Secret::of(text, file).unwrap();
        let shown = format!("{secret:?}");
        let found = secret.read("sink.x.password").unwrap_or_else(|error| error.to_string());
        assert!(found.contains(expected), "{found}");
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn secrets_are_read_from_where_they_belong() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("password");
        std::fs::write(&path, "hidden \n").unwrap();
        check(None, path.to_str(), "hidden ");
        check(None, Some("/no/such/file"), "sink.x.password_file");
        check(Some("${NO_SUCH_VARIABLE}"), None, "NO_SUCH_VARIABLE");
        check(Some("${PATH}"), None, "/");
        assert_eq!(Secret::of(None, None), None);
        assert_eq!(Secret::of(Some("hidden"), None), None);
    }
}
