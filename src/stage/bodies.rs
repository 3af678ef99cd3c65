//! What the body of an answer is: by the type that Zeek saw in it, and by what its name says.
//!
//! The table is `bodies.csv`: extensions in lower case, and types, of which the first one counts
//! that a type begins with. What a difference between the two is worth belongs to the stages.

use std::sync::LazyLock;

use smallvec::SmallVec;

/// What a body, or what a name promises, is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Image,
    Audio,
    Video,
    Font,
    /// Text that nobody runs; what it is called may say otherwise.
    Text,
    /// A web page and what belongs to it.
    Page,
    /// What programs tell each other.
    Data,
    Document,
    /// A document that may run something.
    Macro,
    Archive,
    Script,
    Program,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::read);

struct Table {
    extensions: Vec<(String, Family)>,
    types: Vec<(String, Family)>,
}

impl Table {
    fn read() -> Self {
        let mut table = Self { extensions: Vec::new(), types: Vec::new() };
        let mut reader = csv::Reader::from_reader(include_str!("bodies.csv").as_bytes());
        for record in reader.records() {
            let record = record.expect("a table inside the program");
            let family = Family::named(&record[2]).expect("a table inside the program");
            let row = (record[1].to_owned(), family);
            match &record[0] {
                "extension" => table.extensions.push(row),
                _ => table.types.push(row),
            }
        }
        table.extensions.sort_by(|a, b| a.0.cmp(&b.0));
        table
    }
}

impl Family {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "image" => Self::Image,
            "audio" => Self::Audio,
            "video" => Self::Video,
            "font" => Self::Font,
            "text" => Self::Text,
            "page" => Self::Page,
            "data" => Self::Data,
            "document" => Self::Document,
            "macro" => Self::Macro,
            "archive" => Self::Archive,
            "script" => Self::Script,
            "program" => Self::Program,
            _ => return None,
        })
    }

    /// What an extension promises, in whatever case.
    pub(super) fn of_extension(extension: &[u8]) -> Option<Self> {
        let small = lower(extension);
        let all = &TABLE.extensions;
        let at = all.binary_search_by(|(known, _)| known.as_bytes().cmp(&small)).ok()?;
        all.get(at).map(|(_, family)| *family)
    }

    /// What a type (`application/x-dosexec`) is; nothing of one that says nothing.
    pub(super) fn of_type(mime: &[u8]) -> Option<Self> {
        let begins = |(prefix, _): &&(String, Self)| mime.starts_with(prefix.as_bytes());
        TABLE.types.iter().find(begins).map(|(_, family)| *family)
    }

    /// Whether a body of this family has a name that promises another, which nobody would run.
    pub(super) fn is_disguised(self, named: Self) -> bool {
        let is_harmless = !matches!(
            named,
            Self::Page | Self::Macro | Self::Archive | Self::Script | Self::Program
        );
        match self {
            Self::Program | Self::Script => is_harmless,
            // The newer office formats are archives, and Zeek does not always look inside.
            Self::Archive | Self::Macro => is_harmless && named != Self::Document,
            _ => false,
        }
    }
}

/// The last part of a path, without a query.
pub(super) fn file_name(uri: &[u8]) -> &[u8] {
    let path = uri.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    path.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default()
}

/// The extension of the last part of a path.
pub(super) fn extension(uri: &[u8]) -> Option<&[u8]> {
    let name = file_name(uri);
    let at = memchr::memrchr(b'.', name)?;
    let extension = &name[at + 1..];
    (1..=8).contains(&extension.len()).then_some(extension)
}

/// A text in lower case; what is no longer than usual takes no memory.
pub(super) fn lower(text: &[u8]) -> SmallVec<[u8; 192]> {
    text.iter().map(u8::to_ascii_lowercase).collect()
}

/// Whether a name ends as something to look at, and then as something to run: `invoice.pdf.exe`.
pub(super) fn has_double_extension(uri: &[u8]) -> bool {
    let mut ends = file_name(uri).rsplit(|&byte| byte == b'.');
    let (Some(last), Some(before)) = (ends.next(), ends.next()) else { return false };
    // What is left is its name.
    let is_named = ends.next().is_some();
    let family = Family::of_extension;
    let runs = matches!(family(last), Some(Family::Program | Family::Script | Family::Archive));
    is_named && runs && family(before).is_some_and(|it| Family::Program.is_disguised(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        assert_eq!(extension(b"/a/b.jpg?x=/y.exe"), Some(b"jpg".as_slice()));
        assert_eq!(extension(b"/a.b/c"), None);
        assert_eq!(extension(b""), None);
        assert_eq!(extension(b"C:\\x\\y.Exe"), Some(b"Exe".as_slice()));
        assert_eq!(Family::of_extension(b"EXE"), Some(Family::Program));
        assert_eq!(Family::of_extension(b"nosuch"), None);
        for (name, expected) in [
            ("invoice.pdf.exe", true),
            ("/x/photo.JPG.Scr?a=b.c", true),
            ("pdf.exe", false),
            ("a.tar.gz", false),
            ("a.min.js", false),
            ("a.exe.pdf", false),
            ("jquery.txt.js", false),
        ] {
            assert_eq!(has_double_extension(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn types() {
        for (mime, expected) in [
            ("application/x-dosexec", Some(Family::Program)),
            ("application/vnd.ms-excel.sheet.macroenabled.12", Some(Family::Macro)),
            ("application/vnd.ms-excel", Some(Family::Document)),
            ("text/plain", Some(Family::Text)),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(Family::of_type(mime.as_bytes()), expected, "{mime}");
        }
        assert!(TABLE.extensions.windows(2).all(|two| two[0].0 < two[1].0), "one stands twice");
        for (at, (prefix, _)) in TABLE.types.iter().enumerate() {
            let hidden = TABLE.types[..at].iter().find(|(it, _)| prefix.starts_with(it.as_str()));
            assert_eq!(hidden, None, "{prefix} is never reached");
        }
    }

    #[test]
    fn disguises() {
        assert!(Family::Program.is_disguised(Family::Image));
        assert!(Family::Archive.is_disguised(Family::Text));
        assert!(!Family::Archive.is_disguised(Family::Document));
        assert!(Family::Program.is_disguised(Family::Data));
        // Pages hand out what they like.
        assert!(!Family::Program.is_disguised(Family::Page));
        assert!(!Family::Image.is_disguised(Family::Text));
    }
}
