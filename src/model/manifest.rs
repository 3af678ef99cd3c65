//! `models.toml`: which models there are, and what each has to be.
//!
//! Here belong reading it and holding a model to it. What is written beside that for people (data,
//! metrics) is kept as it stands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{ROWS, Trouble};
use crate::feature::{Element, FeatureDef};

/// The name of the list in the directory of the models.
pub(super) const NAME: &str = "models.toml";

/// The largest list, and the largest model: all that ship have 16 MiB together.
const LIST_BYTES_MAX: u64 = 1 << 20;
const MODEL_BYTES_MAX: u64 = 64 << 20;

/// The name of what a model gives.
pub(super) const OUTPUT: &str = "probability";

/// What `models.toml` says of one model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its file, in the same directory.
    pub file: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Its version, by year, month and count.
    pub version: String,
    /// The version of ONNX's operators.
    pub opset: u32,
    /// The version of the features that it was trained on.
    pub features: u32,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// The probability from which an item alone would be worth an alert.
    pub threshold: f64,
    /// The share of positives that its probabilities are calibrated for.
    #[serde(default)]
    pub prior: f64,
    /// What it was trained on.
    #[serde(default)]
    pub data: toml::Table,
    /// How it was judged.
    #[serde(default)]
    pub metrics: toml::Table,
}

/// One input of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// `f32` or `i32`.
    pub element: String,
    /// Columns; it has 64 rows.
    pub width: usize,
}

/// Reads the list of a directory.
pub(super) fn read(dir: &Path) -> Result<BTreeMap<String, Entry>, Trouble> {
    let path = dir.join(NAME);
    let wrong = |why: String| Trouble::Manifest { path: path.clone(), why };
    let bytes = bounded(&path, LIST_BYTES_MAX).map_err(wrong)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8".to_owned()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
}

fn bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > max {
        return Err(format!("{length} bytes, and at most {max} are read"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

impl Entry {
    /// What stands for a model in tests.
    #[cfg(test)]
    pub(super) fn fixed() -> Self {
        Self {
            file: String::new(),
            sha256: "0".repeat(64),
            version: "0".to_owned(),
            opset: 17,
            features: 1,
            inputs: Vec::new(),
            threshold: 0.5,
            prior: 0.0,
            data: toml::Table::new(),
            metrics: toml::Table::new(),
        }
    }

    /// The bytes of the model, if they are those of the list and want what this program gives.
    pub(super) fn bytes(&self, dir: &Path, def: &FeatureDef) -> Result<Vec<u8>, Trouble> {
        let path = dir.join(&self.file);
        let wrong = |why: String| Trouble::Model {
            detector: def.detector.to_owned(),
            path: path.clone(),
            why,
        };
        // The list names what lies beside it, and leads nowhere else.
        if Path::new(&self.file).components().count() != 1 || self.file.starts_with('.') {
            return Err(wrong("not the name of a file in the directory of the models".to_owned()));
        }
        let bytes = bounded(&path, MODEL_BYTES_MAX).map_err(wrong)?;
        let found = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        if found != self.sha256.to_lowercase() {
            return Err(wrong(format!("its SHA-256 is {found}, and {NAME} says {}", self.sha256)));
        }
        if self.features != def.version {
            let (wants, gives) = (self.features, def.version);
            return Err(wrong(format!("it wants features {wants}, and this program has {gives}")));
        }
        let same = |(input, def): (&Input, &crate::feature::InputDef)| {
            (input.name.as_str(), input.element.as_str(), input.width)
                == (def.name, element(def.element), def.width)
        };
        let are_same = self.inputs.iter().zip(def.inputs).all(same);
        if self.inputs.len() != def.inputs.len() || !are_same {
            let wanted =
                shown(def.inputs.iter().map(|it| (it.name, element(it.element), it.width)));
            let listed = self.inputs.iter().map(|it| (&*it.name, &*it.element, it.width));
            let listed = shown(listed);
            return Err(wrong(format!(
                "{NAME} lists the inputs {listed}, and this program gives {wanted}"
            )));
        }
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            return Err(wrong(format!(
                "a threshold of {}, which is no probability",
                self.threshold
            )));
        }
        Ok(bytes)
    }

    /// Holds a session to the list: its inputs, its output, its operators.
    pub(super) fn check(&self, session: &Session) -> Result<(), String> {
        let found = shown(session.inputs().iter().map(|it| (it.name(), element_of(it), width(it))));
        let listed = self.inputs.iter().map(|it| (&*it.name, &*it.element, it.width));
        let listed = shown(listed);
        if found != listed {
            return Err(format!("its inputs are {found}, and {NAME} says {listed}"));
        }
        let outputs: Vec<&str> = session.outputs().iter().map(Outlet::name).collect();
        if outputs != [OUTPUT] {
            return Err(format!("its outputs are {}, and not {OUTPUT}", outputs.join(", ")));
        }
        let opset = session.opset_for_domain("");
        if opset != Some(self.opset) {
            let found = opset.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
            let wanted = self.opset;
            return Err(format!("its operators are of version {found}, and {NAME} says {wanted}"));
        }
        Ok(())
    }
}

fn element(element: Element) -> &'static str {
    match element {
        Element::F32 => "f32",
        Element::I32 => "i32",
    }
}

fn element_of(outlet: &Outlet) -> &'static str {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, .. } => "f32",
        ValueType::Tensor { ty: TensorElementType::Int32, .. } => "i32",
        _ => "something else",
    }
}

/// The columns of an input of so many rows as every call has; 0 if it has another shape.
fn width(outlet: &Outlet) -> usize {
    let ValueType::Tensor { shape, .. } = outlet.dtype() else { return 0 };
    match shape[..] {
        [rows, width] if rows == ROWS as i64 => usize::try_from(width).unwrap_or_default(),
        _ => 0,
    }
}

fn shown<'a>(inputs: impl Iterator<Item = (&'a str, &'a str, usize)>) -> String {
    let shown: Vec<String> =
        inputs.map(|(name, element, width)| format!("{name} {element}[{ROWS}, {width}]")).collect();
    shown.join(", ")
}
