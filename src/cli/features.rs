//! `features`: items as the columns that their model reads, for training. CSV on standard output,
//! or one array of 32-bit floats in numpy's format. A line that is unusable is a row all the same,
//! so that labels stay beside their items: without values in CSV, of NaN in the array.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;

use super::args::Features;
use super::exit::Exit;
use super::items::{self, Item};
use super::{Failed, tell};
use crate::feature::{FeatureDef, Matrix};

/// Bytes in front of the array: numpy wants a multiple of 64, and the number of rows has room.
const HEADER_BYTES: usize = 128;

/// Writes the features of every item, and says how many had none.
pub(super) fn run(features: &Features) -> Result<Exit, Failed> {
    let io = |error: anyhow::Error| Failed::new(Exit::Io, error);
    if let Some(path) = &features.out {
        if path.extension().is_none_or(|extension| extension != "npy") {
            let error = anyhow::anyhow!("{}: --out names a file that ends in .npy", path.display());
            return Err(Failed::new(Exit::Usage, error));
        }
        let array = Array::create(path, items::def(features.detector)).map_err(io)?;
        write(features, Out::Array(array))
    } else {
        write(features, Out::Csv(BufWriter::new(Box::new(io::stdout().lock()))))
    }
}

fn write(features: &Features, mut out: Out<'_>) -> Result<Exit, Failed> {
    let mut items = items::open(features.file.as_deref())?;
    let (mut item, mut matrix) = (Vec::new(), Matrix::new(items::def(features.detector)));
    let (mut rows, mut unusable) = (0_usize, 0_usize);
    let mut result = out.begin(matrix.def());
    while result.is_ok() && items::next(&mut items, &mut item)? {
        rows += 1;
        matrix.clear();
        if let Ok(item) = Item::parse(features.detector, &item) {
            item.push(&mut matrix);
        }
        unusable += usize::from(matrix.rows() == 0);
        result = out.row(&matrix);
    }
    match result.and_then(|()| out.end(rows)) {
        // A reader that went away has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
        Err(error) => return Err(Failed::new(Exit::Io, anyhow::Error::from(error))),
        Ok(()) => {}
    }
    if unusable > 0 {
        tell(&format!("{unusable} of {rows} lines are nothing that could be scored: empty rows"));
    }
    Ok(Exit::Done)
}

/// Where rows go.
enum Out<'a> {
    Csv(BufWriter<Box<dyn Write + 'a>>),
    Array(Array),
}

impl Out<'_> {
    fn begin(&mut self, def: &FeatureDef) -> io::Result<()> {
        let Self::Csv(out) = self else { return Ok(()) };
        let columns: Vec<String> = def.columns().collect();
        writeln!(out, "{}", columns.join(","))
    }

    /// The one row of `matrix`, or an empty one where it has none.
    fn row(&mut self, matrix: &Matrix) -> io::Result<()> {
        match self {
            Self::Csv(out) => {
                if matrix.rows() == 0 {
                    return writeln!(out, "{}", ",".repeat(matrix.def().width() - 1));
                }
                for (at, value) in matrix.row(0).enumerate() {
                    if at > 0 {
                        out.write_all(b",")?;
                    }
                    write!(out, "{value}")?;
                }
                out.write_all(b"\n")
            }
            Self::Array(array) => array.row(matrix),
        }
    }

    fn end(self, rows: usize) -> io::Result<()> {
        match self {
            Self::Csv(mut out) => out.flush(),
            Self::Array(array) => array.end(rows),
        }
    }
}

/// A file of numpy: its header says how many rows there are, so it is written last.
struct Array {
    file: BufWriter<File>,
    width: usize,
}

impl Array {
    fn create(path: &Path, def: &FeatureDef) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&[b' '; HEADER_BYTES]).with_context(|| path.display().to_string())?;
        Ok(Self { file, width: def.width() })
    }

    fn row(&mut self, matrix: &Matrix) -> io::Result<()> {
        if matrix.rows() == 0 {
            let empty = f32::NAN.to_le_bytes().repeat(self.width);
            return self.file.write_all(&empty);
        }
        matrix.row(0).try_for_each(|value| self.file.write_all(&value.to_le_bytes()))
    }

    fn end(mut self, rows: usize) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(rows, self.width))?;
        self.file.flush()
    }
}

/// The header of numpy's format, version 1.
fn header(rows: usize, width: usize) -> Vec<u8> {
    let shape = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(HEADER_BYTES - 10).unwrap_or_default();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(shape.as_bytes());
    out.resize(HEADER_BYTES - 1, b' ');
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::super::args::Detector;
    use super::*;
    use crate::feature::dga;

    #[test]
    fn an_array_says_how_long_it_is() {
        let header = header(461_257, 100);
        assert_eq!(header.len(), HEADER_BYTES);
        let text = String::from_utf8_lossy(&header[10..]);
        assert!(text.contains("'shape': (461257, 100)"), "{text}");
        assert!(text.ends_with(" \n"));
    }

    #[test]
    fn a_row_stands_for_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let (file, out) = (directory.path().join("names"), directory.path().join("x.npy"));
        std::fs::write(&file, b"example.com\n-\n\xff\nwww.example.com\n").unwrap();
        let features =
            Features { detector: Detector::Dga, file: Some(file), out: Some(out.clone()) };
        assert_eq!(run(&features).unwrap(), Exit::Done);
        let bytes = std::fs::read(out).unwrap();
        let rows: Vec<&[u8]> = bytes[HEADER_BYTES..].chunks(4 * dga::DGA.width()).collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0], rows[3], "labels in front say nothing");
        assert!(rows[1].chunks(4).all(|value| value == f32::NAN.to_le_bytes()));
        assert_eq!(rows[1], rows[2]);
    }
}
