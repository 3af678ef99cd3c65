//! The header of a TSV log, resolved: names, types, separators.

use super::schema::ColumnId;

/// What one value of a field is, as far as JSON is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `count`, `int`, `port`, `double`, `time`, `interval`: a JSON number.
    Number,
    /// `bool`.
    Flag,
    /// Everything else.
    Text,
}

/// One value, or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One(Scalar),
    /// `set[...]`, `vector[...]`, `table[...]`.
    Many(Scalar),
}

/// A column as the header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; of columns we know, the canonical one; where the header gives it again, with `#`
    /// and a number behind it.
    pub name: String,
    /// The column of our table, if it is one.
    pub column: Option<ColumnId>,
    /// How its values go into JSON.
    pub shape: Shape,
}

/// All that the lines before the first record said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The columns in the order of the file.
    pub fields: Vec<Field>,
    /// Between two columns.
    pub separator: Vec<u8>,
    /// Between two elements.
    pub set_separator: Vec<u8>,
    /// Stands for an empty string or container.
    pub empty: Vec<u8>,
    /// Stands for a value that is not there.
    pub unset: Vec<u8>,
    /// Whether lines end in CR LF, as a tool on another system leaves them.
    pub crlf: bool,
}
