//! Floor 1: what models see of an item: a row of numbers, made here for training and for serving
//! alike. One file per detector.
//!
//! Nothing here is learned: tables that are fitted to data belong into the model. No ONNX, no IO,
//! and no arithmetic whose last bit depends on the machine: integers, divided once.

mod address;
mod brands;
mod characters;
pub mod dga;
pub mod link;
mod link_measures;
mod measures;
mod name;
mod parts;
mod percent;
mod suffix;
mod url;

pub use address::Notation;
pub use brands::differs_by_one;
pub use name::{Name, Unusable};
pub use parts::{parts, url_parts};
pub use url::{Host, NoUrl, Url};

/// What the elements of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Measures.
    F32,
    /// Ids, by which a model looks into its tables.
    I32,
}

/// One input of a model: a tensor of shape `[rows, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputDef {
    /// Its name in the model.
    pub name: &'static str,
    /// What its elements are.
    pub element: Element,
    /// Elements of a row.
    pub width: usize,
}

/// What a detector's model reads.
#[derive(Debug, PartialEq, Eq)]
pub struct FeatureDef {
    /// The detector.
    pub detector: &'static str,
    /// Raised whenever a row changes for the same item: a model is of one version.
    pub version: u32,
    /// The inputs, in their order.
    pub inputs: &'static [InputDef],
    /// The names of the columns of measures, for people.
    pub measures: &'static [&'static str],
}

impl FeatureDef {
    /// The names of all columns, inputs side by side.
    pub fn columns(&self) -> impl Iterator<Item = String> {
        self.inputs.iter().flat_map(|input| {
            (0..input.width).map(|at| match input.element {
                Element::F32 => self.measures.get(at).map_or_else(
                    || format!("{}_{at}", input.name),
                    |measure| (*measure).to_owned(),
                ),
                Element::I32 => format!("{}_{at}", input.name),
            })
        })
    }

    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.inputs.iter().map(|input| input.width).sum()
    }
}

/// The rows of one input, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Measures.
    F32(Vec<f32>),
    /// Ids.
    I32(Vec<i32>),
}

impl Tensor {
    fn new(element: Element) -> Self {
        match element {
            Element::F32 => Self::F32(Vec::new()),
            Element::I32 => Self::I32(Vec::new()),
        }
    }

    fn resize(&mut self, len: usize) {
        match self {
            Self::F32(values) => values.resize(len, 0.0),
            Self::I32(values) => values.resize(len, 0),
        }
    }
}

/// Rows of a detector's model: a tensor for each input.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    def: &'static FeatureDef,
    rows: usize,
    tensors: Vec<Tensor>,
}

impl Matrix {
    /// One without rows.
    #[must_use]
    pub fn new(def: &'static FeatureDef) -> Self {
        let tensors = def.inputs.iter().map(|input| Tensor::new(input.element)).collect();
        Self { def, rows: 0, tensors }
    }

    /// What its columns are.
    #[must_use]
    pub fn def(&self) -> &'static FeatureDef {
        self.def
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes all rows out.
    pub fn clear(&mut self) {
        self.rows = 0;
        for tensor in &mut self.tensors {
            tensor.resize(0);
        }
    }

    /// Appends rows of zeros until there are `rows`: models are called with a fixed number.
    pub fn pad(&mut self, rows: usize) {
        assert!(rows >= self.rows, "{} rows do not fit into {rows}", self.rows);
        self.rows = rows;
        for (tensor, input) in self.tensors.iter_mut().zip(self.def.inputs) {
            tensor.resize(rows * input.width);
        }
    }

    /// The tensors, in the order of the inputs.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The elements of row `row` side by side, as they stand in the columns of `features`. Ids are
    /// far below 2^24, so a float has them exactly.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        self.tensors.iter().zip(self.def.inputs).flat_map(move |(tensor, input)| {
            let range = row * input.width..(row + 1) * input.width;
            range.map(move |at| match tensor {
                Tensor::F32(values) => values[at],
                #[expect(clippy::cast_precision_loss, reason = "ids are below 2^24")]
                Tensor::I32(values) => values[at] as f32,
            })
        })
    }

    /// Appends a row of zeros and hands out its parts: ids by input, then measures by input.
    fn grow(&mut self) -> impl Iterator<Item = Row<'_>> {
        self.pad(self.rows + 1);
        let last = self.rows - 1;
        self.tensors.iter_mut().zip(self.def.inputs).map(move |(tensor, input)| {
            let range = last * input.width..(last + 1) * input.width;
            match tensor {
                Tensor::F32(values) => Row::Measures(&mut values[range]),
                Tensor::I32(values) => Row::Ids(&mut values[range]),
            }
        })
    }
}

/// The part of a row that one input has.
enum Row<'a> {
    Measures(&'a mut [f32]),
    Ids(&'a mut [i32]),
}

#[cfg(test)]
mod tests;
