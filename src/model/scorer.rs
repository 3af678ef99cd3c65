//! Scores items: those that the cache knows from there, the others [`ROWS`] at a time.

use std::sync::Arc;

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::cache::Cache;
use super::manifest::{Entry, OUTPUT};
use super::runtime;
use crate::base::lookup::Lookup;
use crate::base::score::Ppm;
use crate::feature::{FeatureDef, Matrix, Tensor};

/// Rows of every call: near the best speed of small networks, and a fixed shape for all, so that
/// batches cannot change a bit.
pub const ROWS: usize = 64;

/// What computes.
pub(super) enum Model {
    /// A network that nobody has asked yet: most sensors have lanes that are never heard, and each
    /// session has weights of its own.
    Closed(Arc<[u8]>, Entry),
    /// A network.
    Onnx(Session),
    /// The sum of a row's first input, for tests.
    #[cfg(test)]
    Fixed,
}

/// A model for one thread.
pub struct Scorer {
    model: Model,
    matrix: Matrix,
    cache: Cache<Ppm>,
    /// Items of the call that is filled.
    waiting: Vec<usize>,
    /// Of one batch, which item has the score of another with the same key.
    first: Lookup<Box<[u8]>, usize>,
}

impl Scorer {
    pub(super) fn new(def: &'static FeatureDef, model: Model, cache: usize) -> Self {
        Self {
            model,
            matrix: Matrix::new(def),
            cache: Cache::new(cache),
            waiting: Vec::with_capacity(ROWS),
            first: Lookup::default(),
        }
    }

    /// Scores items, in their order. `key` names all that the model sees of an item; `push` adds
    /// its row.
    ///
    /// # Panics
    /// When the library fails, as for want of memory; who calls is guarded (`engine::guard`).
    pub fn score<T>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &[u8],
        push: impl Fn(&T, &mut Matrix),
    ) -> Vec<Ppm> {
        match self.try_score(items, key, push) {
            Ok(scores) => scores,
            Err(why) => panic!("ONNX Runtime: {why}"),
        }
    }

    /// The same, for who can do without.
    ///
    /// # Errors
    /// When the library fails, as for want of memory.
    pub fn try_score<T>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &[u8],
        push: impl Fn(&T, &mut Matrix),
    ) -> Result<Vec<Ppm>, String> {
        let mut scores = vec![Ppm::default(); items.len()];
        // A call that failed may have left something.
        self.waiting.clear();
        self.matrix.clear();
        // Who has the same key as one before it in these items, with that one.
        let mut same = Vec::new();
        self.first = Lookup::default();
        for (at, item) in items.iter().enumerate() {
            let key_of = key(item);
            if let Some(score) = self.cache.get(key_of) {
                scores[at] = score;
                continue;
            }
            if let Some(first) = self.first.get(key_of) {
                same.push((at, *first));
                continue;
            }
            self.first.insert(key_of.into(), at);
            push(item, &mut self.matrix);
            self.waiting.push(at);
            if self.waiting.len() == ROWS {
                self.call(items, &key, &mut scores)?;
            }
        }
        if !self.waiting.is_empty() {
            self.call(items, &key, &mut scores)?;
        }
        for (at, first) in same {
            scores[at] = scores[first];
        }
        Ok(scores)
    }

    /// Computes what waits.
    fn call<T>(
        &mut self,
        items: &[T],
        key: &impl Fn(&T) -> &[u8],
        scores: &mut [Ppm],
    ) -> Result<(), String> {
        self.matrix.pad(ROWS);
        let found = self.compute()?;
        for (at, score) in self.waiting.drain(..).zip(found) {
            scores[at] = score;
            self.cache.set(key(&items[at]), score);
        }
        self.matrix.clear();
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<Ppm>, String> {
        if let Model::Closed(bytes, entry) = &self.model {
            self.model = Model::Onnx(runtime::session(bytes, entry)?);
        }
        match &mut self.model {
            Model::Closed(..) => Err("a model that is closed".to_owned()),
            Model::Onnx(session) => {
                let inputs: Result<Vec<SessionInputValue<'_>>, ort::Error> = self
                    .matrix
                    .tensors()
                    .iter()
                    .zip(self.matrix.def().inputs)
                    .map(|(tensor, input)| value(tensor, input.width))
                    .collect();
                let inputs = inputs.map_err(|error| error.to_string())?;
                let outputs = session.run(inputs.as_slice()).map_err(|error| error.to_string())?;
                let output = outputs.get(OUTPUT).ok_or("no output")?;
                let (_, found) =
                    output.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
                if found.len() != ROWS {
                    return Err(format!("{} scores of {ROWS}", found.len()));
                }
                found.iter().copied().map(rounded).collect()
            }
            #[cfg(test)]
            Model::Fixed => {
                let width = self.matrix.def().inputs[0].width;
                let tensor = &self.matrix.tensors()[0];
                let sum = |row: usize| -> f32 {
                    let cells = row * width..(row + 1) * width;
                    match tensor {
                        Tensor::F32(values) => values[cells].iter().sum(),
                        Tensor::I32(values) => values[cells].iter().map(|it| *it as f32).sum(),
                    }
                };
                (0..ROWS).map(|row| rounded((sum(row) * 0.37).fract().abs())).collect()
            }
        }
    }

    /// Computes an empty call: whether the model runs at all.
    pub(super) fn try_once(&mut self) -> Result<(), String> {
        self.matrix.pad(ROWS);
        let done = self.compute().map(|_| ());
        self.matrix.clear();
        done
    }
}

fn value(tensor: &Tensor, width: usize) -> Result<SessionInputValue<'_>, ort::Error> {
    Ok(match tensor {
        Tensor::F32(values) => TensorRef::from_array_view(([ROWS, width], &values[..]))?.into(),
        Tensor::I32(values) => TensorRef::from_array_view(([ROWS, width], &values[..]))?.into(),
    })
}

/// A probability in parts per million.
fn rounded(probability: f32) -> Result<Ppm, String> {
    if !(0.0..=1.0).contains(&probability) {
        return Err(format!("{probability} is no probability"));
    }
    Ok(Ppm::new((f64::from(probability) * 1e6).round() as u32))
}
