//! The one error of this crate. Each message names the file, the field or tensor, the value, the reason and, where there is one, the way out.

use std::path::{Path, PathBuf};

/// Why a model folder, a file in it, or a request against it was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On this file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A JSON file is not JSON.
    #[error("failed to parse {} as JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field of a file has a value that is wrong, or that is not supported.
    #[error("failed to accept {}: {field} is {value}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field's name, as in the file.
        field: String,
        /// Its value, shortened.
        value: String,
        /// Why not, and what would do.
        reason: String,
    },
    /// A file's structure is broken.
    #[error("failed to read {}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A tensor is missing, has another shape than the configuration says, or a type that is not supported.
    #[error("failed to use tensor {tensor} of {}: {reason}", path.display())]
    Tensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The path is not a model that can be read.
    #[error("failed to find a model at {}: {reason}", path.display())]
    NotAModel {
        /// The path given.
        path: PathBuf,
        /// What is there, and what is expected.
        reason: String,
    },
    /// The file is a pickle (or an archive around one), which can run code when it is loaded.
    #[error("refused {}: it is {found}, which can run code when it is loaded; convert to safetensors and use that file", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What its first bytes say it is.
        found: &'static str,
    },
    /// `targetModules` does not name linear modules of the model.
    #[error("failed to match targetModules: {value:?} {reason}")]
    TargetModules {
        /// The name in question.
        value: String,
        /// Why not, with the names that exist.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    pub(crate) fn field(path: &Path, field: impl Into<String>, value: impl std::fmt::Display, reason: impl Into<String>) -> Error {
        Error::Field { path: path.to_owned(), field: field.into(), value: shortened(&value.to_string()), reason: reason.into() }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Error {
        Error::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, reason: impl Into<String>) -> Error {
        Error::Tensor { path: path.to_owned(), tensor: shortened(tensor), reason: reason.into() }
    }
}

/// At most 120 characters of a value taken from a file, so that a hostile one cannot fill a log.
pub(crate) fn shortened(value: &str) -> String {
    const LIMIT: usize = 120;
    match value.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_owned(),
    }
}
