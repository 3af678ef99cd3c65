//! The library of ONNX Runtime: where it is, that it is new enough, sessions of it.
//!
//! It is loaded once in the life of the program, from a path that is named or beside the program;
//! never from where the system would look, so that nobody can slip another one in.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use super::Trouble;
use super::manifest::Entry;

/// The name of the library beside the program.
const LIBRARY: &str = "libonnxruntime.so";

/// The oldest version that does: as the feature `api-24` of the crate says.
pub const LEAST: &str = "1.24";

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// What lies beside the program; of tests and benches, which cargo puts into `deps`, beside that.
pub(super) fn beside(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut directory = program.parent()?;
    if directory.file_name().is_some_and(|name| name == "deps") {
        directory = directory.parent()?;
    }
    let path = directory.join(name);
    path.exists().then_some(path)
}

/// Loads the library, if it is not there yet.
///
/// # Errors
/// [`Trouble::Absent`], [`Trouble::Library`].
pub fn load(configured: Option<&Path>) -> Result<(), Trouble> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if environment.is_some() {
        return Ok(());
    }
    let path = match configured {
        Some(path) => path.to_owned(),
        None => {
            beside(LIBRARY).ok_or(Trouble::Absent("ONNX Runtime (libonnxruntime.so) is not"))?
        }
    };
    // A relative path is looked for beside the program first by the crate: say which is meant.
    let path = std::path::absolute(&path).unwrap_or(path);
    let failed = |why: String| Trouble::Library(format!("ONNX Runtime cannot be used: {why}"));
    let loaded = ort::init_from(&path).map_err(|error| failed(error.to_string()))?;
    let made = loaded.with_name("zeek-ueba").with_telemetry(false).build();
    *environment = Some(made.map_err(|error| failed(error.to_string()))?);
    Ok(())
}

/// What the library says of itself; nothing where none is loaded.
#[must_use]
pub fn version() -> Option<String> {
    let environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    environment.as_ref().map(|_| {
        let info = ort::info();
        info.strip_prefix("ORT Build Info: ").unwrap_or(info).to_owned()
    })
}

/// A session of a model, held to what the list of models says of it.
pub(super) fn session(bytes: &[u8], entry: &Entry) -> Result<Session, String> {
    let environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    let environment = environment.as_ref().ok_or("ONNX Runtime is not loaded")?;
    let text = |error: ort::Error| error.to_string();
    let mut builder = Session::builder(environment)
        .map_err(text)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| error.to_string())?
        .with_intra_threads(1)
        .map_err(|error| error.to_string())?
        .with_inter_threads(1)
        .map_err(|error| error.to_string())?
        .with_deterministic_compute(true)
        .map_err(|error| error.to_string())?;
    let session = builder.commit_from_memory(bytes).map_err(text)?;
    entry.check(&session)?;
    Ok(session)
}
