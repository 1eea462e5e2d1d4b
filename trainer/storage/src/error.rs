//! How reading from or writing to a remote place fails.

use std::path::Path;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is: it decides whether another try can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The URI, or what is at it, is of no use: trying again cannot help.
    Invalid,
    /// There is no such bucket, repository, revision or object.
    NotFound,
    /// The server knows who asks, or that nobody in particular does, and refuses.
    Denied,
    /// Credentials are missing, incomplete or not valid.
    Credentials,
    /// The server does not answer, or not in time, or only with its own failures, however often it is asked.
    Unreachable,
    /// What arrived is not what was promised.
    Corrupt,
    /// The local disk is full or cannot be written.
    Storage,
    /// A newer attempt of the same run has written there already.
    Superseded,
}

/// A failure: which URI or file, why, and what to do next. It holds no secret: values of credentials are struck out before it is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Error {
    /// What kind of failure it is.
    pub kind: Kind,
    /// The URI or the path.
    pub place: String,
    /// Why.
    pub reason: String,
    /// What a person does next.
    pub next_step: String,
}

impl Error {
    /// A failure with all its words.
    pub(crate) fn new(kind: Kind, place: impl Into<String>, reason: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { kind, place: place.into(), reason: reason.into(), next_step: next_step.into() }
    }

    /// The URI, or what is at it, is of no use.
    pub(crate) fn invalid(place: impl Into<String>, reason: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, place, reason, next_step)
    }

    /// What arrived is not what was promised.
    pub(crate) fn corrupt(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(
            Kind::Corrupt,
            place,
            reason,
            "run again; if it happens again, put the file there anew: the copy at that place is damaged",
        )
    }

    /// A local file or folder failed.
    pub(crate) fn storage(action: &str, path: &Path, source: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let next_step = match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => "make room on that volume, or give it more, and run again: it goes on from there",
            PermissionDenied | ReadOnlyFilesystem => "make the folder writable for this user and run again",
            _ => "check that volume and run again: it goes on from there",
        };
        Self::new(Kind::Storage, path.display().to_string(), format!("failed to {action}: {source}"), next_step)
    }

    /// For `map_err` on an I/O call.
    pub(crate) fn at<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::storage(action, path, &source)
    }

    /// Whether the same may work in a while, without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Kind};
    use std::io::{Error as IoError, ErrorKind};
    use std::path::Path;

    #[test]
    fn a_full_disk_names_the_path_and_what_to_do() {
        let error = Error::storage("write", Path::new("/models/a.part"), &IoError::from(ErrorKind::StorageFull));
        assert_eq!(error.kind, Kind::Storage);
        assert!(error.to_string().contains("/models/a.part"), "{error}");
        assert!(error.next_step.contains("make room"), "{}", error.next_step);
    }
}
