//! What can go wrong with a model.

use std::path::PathBuf;

/// An error of loading, computing with or saving a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model folder or file cannot be read.
    #[error(transparent)]
    Artifact(#[from] temper_artifact::Error),
    /// A batch that the model cannot take.
    #[error("batch has {field} {value}: {reason}")]
    Batch {
        /// The batch's field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// The rule it breaks.
        reason: String,
    },
    /// An adapter folder that does not fit the model.
    #[error("{}: {field} {reason}", path.display())]
    Adapter {
        /// The adapter's file.
        path: PathBuf,
        /// The tensor or field.
        field: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A setting that this model cannot be used with.
    #[error("{field} {value}: {reason}")]
    Setting {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// libtorch raised an error, such as running out of memory.
    #[error("{what} failed: {reason}")]
    Libtorch {
        /// What was attempted.
        what: &'static str,
        /// The first line of libtorch's own message.
        reason: String,
    },
    /// A call of the c10d bridge failed.
    #[error(transparent)]
    Bridge(#[from] temper_c10d::Error),
    /// A file cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err` on a tch call: `what` is the thing attempted, in words.
    pub(crate) fn libtorch(what: &'static str) -> impl FnOnce(tch::TchError) -> Self {
        move |error| Self::Libtorch { what, reason: error.to_string().lines().next().unwrap_or_default().to_owned() }
    }
}
