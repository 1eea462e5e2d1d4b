//! The one error of this crate. Each message names the file or field, the value, the reason and the next step.

use crate::rejections::Rejections;
use std::path::{Path, PathBuf};

/// Why data, a tokenizer or a template was not accepted.
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
    /// The data set is not there.
    #[error("failed to find the data set {}: there is no such file or folder; check spec.dataset.storageUri", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// The data set is of a kind that is not read.
    #[error("failed to read the data set {}: {reason}", path.display())]
    Dataset {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Too many rows were rejected, or none was left.
    #[error("failed to accept the data set {}: {reason}\n{}", path.display(), rejections.table())]
    Rejected {
        /// The file or folder.
        path: PathBuf,
        /// The limit that was passed and what to do.
        reason: String,
        /// The rows left out, by reason.
        rejections: Box<Rejections>,
    },
    /// One row made the job fail, as its settings ask for.
    #[error("failed to accept row {place}: {reason}")]
    Row {
        /// `file:line`.
        place: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A setting has a value that cannot be used.
    #[error("failed to use {field}: {value:?}: {reason}")]
    Setting {
        /// The manifest's field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The chat template cannot be compiled, fails on a conversation, or has no day to write.
    #[error("failed to {action} the chat template{}: {reason}", at_line(*line))]
    Template {
        /// `compile`, `render` or `date`.
        action: &'static str,
        /// The line of the template, from 1, where it is known.
        line: Option<usize>,
        /// What the template engine or the template itself says.
        reason: String,
    },
    /// There is no chat template, and the data or the request needs one.
    #[error("failed to find a chat template: {reason}")]
    NoTemplate {
        /// Where it was looked for and what to do.
        reason: String,
    },
    /// The tokenizer's files cannot be used.
    #[error("failed to load the tokenizer: {reason}")]
    Tokenizer {
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The tokenizer could not encode a text.
    #[error("failed to tokenise a text of {bytes} bytes: {reason}")]
    Encode {
        /// The text's length.
        bytes: usize,
        /// What the tokenizer says.
        reason: String,
    },
    /// The tokenizer makes ids that the model has no embedding for.
    #[error(
        "failed to match the tokenizer with the model: id {id} is outside the model's vocabulary of {vocab_size}; use the tokenizer that belongs to the model"
    )]
    Vocabulary {
        /// The id.
        id: u32,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },
    /// A token cache is torn, incomplete or of another format.
    #[error("failed to open the token cache {}: {reason}", path.display())]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// What is wrong; `prepare` makes it anew.
        reason: String,
    },
    /// The base model could not be read.
    #[error(transparent)]
    Artifact(#[from] temper_artifact::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    pub(crate) fn dataset(path: &Path, reason: impl Into<String>) -> Error {
        Error::Dataset { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn cache(path: &Path, reason: impl Into<String>) -> Error {
        Error::Cache { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn tokenizer(reason: impl Into<String>) -> Error {
        Error::Tokenizer { reason: reason.into() }
    }

    /// Whether a file or folder is not there, or not there any more: another try may succeed once somebody has put it back.
    pub fn is_missing(&self) -> bool {
        match self {
            Error::Missing { .. } => true,
            Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether another try may succeed without anybody changing the job (the disk was full, a file system hiccuped).
    pub fn is_storage(&self) -> bool {
        matches!(self, Error::Io { .. })
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

/// At most 200 characters of a value taken from a file, so that a hostile one cannot fill a log.
pub(crate) fn shortened(value: &str) -> String {
    const LIMIT: usize = 200;
    match value.char_indices().nth(LIMIT) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_owned(),
    }
}
