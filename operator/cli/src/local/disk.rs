//! What the system refuses of files, as a reason to end that says what to do: a full disk is nothing unexpected.

use crate::exit::Stop;
use anyhow::Error;
use std::io::{self, ErrorKind};

/// What else a person can do about the home folder.
const HOME: &str = "or choose another --home";
/// What else a person can do about the folder for temporary files.
const TEMPORARY: &str = "or set TMPDIR to another folder";

/// For `map_err` on a call about a file in the home folder: `what` could not be done.
pub fn refused(what: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> Error {
    move |error| end(what(), error, HOME)
}

/// The same for a file among the temporary ones.
pub fn refused_temporary(what: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> Error {
    move |error| end(what(), error, TEMPORARY)
}

/// The same for what `temper_artifact` could not read or write in the home folder; its errors say themselves what that is.
pub fn refused_artifact(error: temper_artifact::Error) -> Error {
    let remedy = match &error {
        temper_artifact::Error::Io { source, .. } => remedy(source.kind()),
        _ => None,
    };
    match remedy {
        Some(remedy) => Stop::invalid(error.to_string(), format!("{remedy}, {HOME}")).into(),
        None => error.into(),
    }
}

fn end(what: String, error: io::Error, otherwise: &str) -> Error {
    match remedy(error.kind()) {
        Some(remedy) => Stop::invalid(format!("{what}: {error}"), format!("{remedy}, {otherwise}")).into(),
        None => Error::new(error).context(what),
    }
}

/// What a person can do about it; `None` for what is unexpected indeed.
fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("make room there and run the same command again"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some("make it readable and writable for this user"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Some("move the file away that lies where a folder is to be"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{refused, refused_artifact, refused_temporary};
    use crate::exit::{Exit, report};
    use rustix::io::Errno;
    use std::io;

    #[test]
    fn what_a_person_can_mend_ends_with_what_to_do() {
        let table = [
            (Errno::NOSPC, "make room"),
            (Errno::DQUOT, "make room"),
            (Errno::ACCESS, "writable for this user"),
            (Errno::ROFS, "writable for this user"),
            (Errno::NOTDIR, "where a folder is to be"),
            (Errno::EXIST, "where a folder is to be"),
        ];
        for (errno, remedy) in table {
            let (exit, text) = report(&refused(|| "cannot write x".to_owned())(io::Error::from(errno)));
            assert_eq!(exit, Exit::InvalidInput, "{text}");
            assert!(text.starts_with("error: cannot write x: ") && text.contains(remedy) && text.ends_with("--home"), "{text}");
            let source = io::Error::from(errno);
            let (exit, again) = report(&refused_artifact(temper_artifact::Error::Io { action: "write", path: "x".into(), source }));
            assert_eq!(exit, Exit::InvalidInput, "{again}");
            assert!(again.starts_with("error: failed to write x: ") && again.contains(remedy), "{again}");
        }
        let (_, text) = report(&refused_temporary(|| "cannot write x".to_owned())(io::Error::from(Errno::NOSPC)));
        assert!(text.contains("TMPDIR") && !text.contains("--home"), "{text}");
    }

    #[test]
    fn anything_else_stays_unexpected() {
        let (exit, text) = report(&refused(|| "cannot read x".to_owned())(io::Error::from(Errno::IO)));
        assert!(exit == Exit::Unexpected && text.starts_with("error: cannot read x: ") && !text.contains("next:"), "{text}");
    }
}
