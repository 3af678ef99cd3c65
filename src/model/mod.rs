//! Floor 2: what models say of items: ONNX Runtime, the models that ship, their scores.
//!
//! A score depends on the model and the item only: every call has the same shape ([`ROWS`] rows,
//! the last of them empty where there are fewer), one thread computes it, and what comes out is
//! rounded once, to parts per million. Which items there are and what a score means belongs to
//! `stage`; what a model sees of an item to `feature`.

mod cache;
mod manifest;
mod occlusion;
mod runtime;
mod scorer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::feature::FeatureDef;

pub use cache::Cache;
pub use manifest::Entry;
pub use occlusion::{Part, strongest};
pub use runtime::{LEAST, load, version};
pub use scorer::{ROWS, Scorer};

/// Why models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no library, or there are no models, beside the program, and none are named.
    /// Everything that needs no model works.
    #[error("{0} beside the program; `make build` puts it there, or [model] names it")]
    Absent(&'static str),
    /// A library that is named, or there, and that is none or too old.
    #[error("{0}; `make onnxruntime` puts the right one beside the program")]
    Library(String),
    /// The list of models cannot be read.
    #[error("{}: {why}; [model] dir names the directory of the models", path.display())]
    Manifest {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A model is not what the list of models says.
    #[error("{}: {why}; `git checkout onnx` or `make train DETECTOR={detector}` mends it", path.display())]
    Model {
        /// Its detector.
        detector: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Trouble {
    /// Whether there is just nothing there, and nothing that is wrong.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}

/// Where models and the library are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The directory of the models; by itself `onnx` beside the program.
    pub dir: Option<PathBuf>,
    /// The library; by itself beside the program.
    pub library: Option<PathBuf>,
    /// Items whose scores a scorer remembers; 0 remembers none.
    pub cache: usize,
}

/// The models that are in service, each with its bytes.
#[derive(Clone, Default)]
pub struct Models {
    loaded: BTreeMap<&'static str, Loaded>,
    cache: usize,
}

#[derive(Clone)]
struct Loaded {
    entry: Entry,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Onnx(Arc<[u8]>),
    /// A score that tests can foresee.
    #[cfg(test)]
    Fixed,
}

impl Models {
    /// Opens the models of these detectors, and tries each once.
    ///
    /// # Errors
    /// [`Trouble::Library`] when nothing can be scored; the others when a model is not the one that
    /// ships.
    pub fn open(places: &Places, wanted: &[&'static FeatureDef]) -> Result<Self, Trouble> {
        let mut models = Self { loaded: BTreeMap::new(), cache: places.cache };
        if wanted.is_empty() {
            return Ok(models);
        }
        load(places.library.as_deref())?;
        let beside = || runtime::beside("onnx").ok_or(Trouble::Absent("no models are in onnx"));
        let dir = places.dir.clone().map_or_else(beside, Ok)?;
        let mut entries = manifest::read(&dir)?;
        for def in wanted {
            let missing = || Trouble::Manifest {
                path: dir.join(manifest::NAME),
                why: format!("no model of {}", def.detector),
            };
            let entry = entries.remove(def.detector).ok_or_else(missing)?;
            let bytes = entry.bytes(&dir, def)?;
            let source = Source::Onnx(bytes.into());
            models.loaded.insert(def.detector, Loaded { entry, source });
            let wrong = |why| Trouble::Model {
                detector: def.detector.to_owned(),
                path: dir.join(&models.loaded[def.detector].entry.file),
                why,
            };
            let scorer = models.scorer(def);
            scorer.into_iter().try_for_each(|mut it| it.try_once()).map_err(wrong)?;
        }
        Ok(models)
    }

    /// Models of these detectors whose scores tests can foresee.
    #[cfg(test)]
    pub(crate) fn fixed(wanted: &[&'static FeatureDef]) -> Self {
        let loaded = |def: &&'static FeatureDef| {
            (def.detector, Loaded { entry: Entry::fixed(), source: Source::Fixed })
        };
        Self { loaded: wanted.iter().map(loaded).collect(), cache: 16 }
    }

    /// What is in service for a detector.
    #[must_use]
    pub fn entry(&self, detector: &str) -> Option<&Entry> {
        self.loaded.get(detector).map(|loaded| &loaded.entry)
    }

    /// All that are in service, by detector.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &Entry)> {
        self.loaded.iter().map(|(detector, loaded)| (*detector, &loaded.entry))
    }

    /// Names whose scores are remembered.
    #[must_use]
    pub fn cache(&self) -> usize {
        self.cache
    }

    /// A scorer for one thread, which opens its model when it is first asked; nothing where no such
    /// model is in service.
    #[must_use]
    pub fn scorer(&self, def: &'static FeatureDef) -> Option<Scorer> {
        let Loaded { entry, source } = self.loaded.get(def.detector)?;
        let model = match source {
            Source::Onnx(bytes) => scorer::Model::Closed(Arc::clone(bytes), entry.clone()),
            #[cfg(test)]
            Source::Fixed => scorer::Model::Fixed,
        };
        Some(Scorer::new(def, model, self.cache))
    }
}

/// By their hashes: the same models give the same scores.
impl PartialEq for Models {
    fn eq(&self, other: &Self) -> bool {
        self.cache == other.cache
            && self
                .entries()
                .map(|(_, entry)| &entry.sha256)
                .eq(other.entries().map(|(_, entry)| &entry.sha256))
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}
