//! How a stage fails: an exit code of the contract, what went wrong, and what to do next.

use std::any::Any;
use std::io::ErrorKind;
use std::path::Path;
use temper_contract::{ExitCode, TerminationMessage};

/// The result of everything in this crate that can fail.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a process ends early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// The meaning of the exit code.
    pub(crate) reason: ExitCode,
    /// Field or file, value, reason.
    pub(crate) message: String,
    /// What a person does next.
    pub(crate) next_step: String,
    /// The rank it concerns, if one.
    pub(crate) rank: Option<usize>,
}

impl Failure {
    /// A failure with all its words.
    pub(crate) fn new(reason: ExitCode, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { reason, message: message.into(), next_step: next_step.into(), rank: None }
    }

    /// The configuration, the model or the data is wrong.
    pub(crate) fn invalid(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(ExitCode::InvalidInput, message, next_step)
    }

    /// Something that the job names is not there (yet).
    pub(crate) fn unavailable(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(ExitCode::Unavailable, message, next_step)
    }

    /// Nobody expected this.
    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unexpected, message, "read the log above this line; if the cause is not there, report it with the log")
    }

    /// A file or folder could not be written or read.
    pub(crate) fn storage(action: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::new(ExitCode::Storage, format!("failed to {action} {}: {source}", path.display()), storage_next_step(source))
    }

    /// The system refused to read or write a file: one that is not there is waited for, and anything else another try may get past.
    fn of_file(action: &str, path: &Path, source: &std::io::Error) -> Self {
        if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            return Self::unavailable(format!("failed to {action} {}: {source}", path.display()), MISSING);
        }
        Self::storage(action, path, source)
    }

    /// For `map_err` on an I/O call.
    pub(crate) fn at<'a>(action: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::storage(action, path, &source)
    }

    /// What is left behind for Kubernetes or the local executor.
    pub(crate) fn termination_message(&self) -> TerminationMessage {
        TerminationMessage { rank: self.rank, ..TerminationMessage::new(self.reason, &*self.message, &*self.next_step) }
    }

    /// What a child process left behind, as a failure of this process.
    pub(crate) fn from_termination(message: TerminationMessage) -> Self {
        Self { reason: message.reason, message: message.message, next_step: message.next_step, rank: message.rank }
    }
}

/// What to do about something that is not there.
const MISSING: &str = "put the file or folder back, or correct the path; the job tries again";

/// What a panic says, for a log line or a failure.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("a panic without a message")
}

fn storage_next_step(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room on that volume and run again; the last checkpoint is intact"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let this user read and write there and run again; the last checkpoint is intact"
        }
        _ => "check that volume and run again; the last checkpoint is intact",
    }
}

impl From<temper_c10d::Error> for Failure {
    fn from(error: temper_c10d::Error) -> Self {
        use temper_c10d::Error as E;
        let (reason, next_step) = match &error {
            // Whoever holds it may be gone by the next try, or that is given another port.
            E::PortInUse { .. } => (ExitCode::Unexpected, "try again, or set MASTER_PORT to a free port; a single node needs none"),
            E::PeerLost { .. } | E::Timeout { .. } => {
                (ExitCode::PeerLost, "look at the rank that ended first; the others stop when they lose it")
            }
            _ => (ExitCode::Unexpected, "read the log above this line; if the cause is not there, report it with the log"),
        };
        Self::new(reason, error.to_string(), next_step)
    }
}

impl From<temper_artifact::Error> for Failure {
    fn from(error: temper_artifact::Error) -> Self {
        match error {
            // The file may be sound: a disk that is full, or a file system that hiccups, says nothing about it.
            temper_artifact::Error::Io { action, path, source } => Self::of_file(action, &path, &source),
            error => Self::invalid(error.to_string(), "correct the file or the field that is named and run again"),
        }
    }
}

impl From<temper_data::Error> for Failure {
    fn from(error: temper_data::Error) -> Self {
        match error {
            temper_data::Error::Artifact(error) => error.into(),
            error if error.is_missing() => Self::unavailable(error.to_string(), MISSING),
            error if error.is_storage() => {
                Self::new(ExitCode::Storage, error.to_string(), "check that the path is there and that its volume has room")
            }
            error => Self::invalid(error.to_string(), "correct the data, the file or the field that is named and run again"),
        }
    }
}

impl From<temper_model::Error> for Failure {
    fn from(error: temper_model::Error) -> Self {
        use temper_model::Error as E;
        match error {
            E::Artifact(error) => error.into(),
            E::Bridge(error) => error.into(),
            E::Read { path, source } => Self::of_file("read", &path, &source),
            E::Write { path, source } => Self::storage("write", &path, &source),
            E::Libtorch { .. } => {
                Self::new(ExitCode::Unexpected, error.to_string(), "if memory ran out, lower perDeviceTrainBatchSize or dataset.maxLength")
            }
            _ => Self::invalid(error.to_string(), "correct the file or the field that is named and run again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use std::io::{Error, ErrorKind};
    use std::path::{Path, PathBuf};
    use temper_contract::ExitCode;

    #[test]
    fn a_full_disk_names_the_path_and_what_to_do() {
        let failure = Failure::storage("write", Path::new("/ckpt/step-1"), &Error::from(ErrorKind::StorageFull));
        assert_eq!(failure.reason, ExitCode::Storage);
        assert!(failure.message.contains("/ckpt/step-1"), "{failure}");
        assert!(failure.next_step.contains("make room"), "{}", failure.next_step);
    }

    #[test]
    fn a_file_that_cannot_be_read_or_written_is_no_final_failure() {
        let table = [
            (ErrorKind::NotFound, ExitCode::Unavailable, "put the file"),
            (ErrorKind::NotADirectory, ExitCode::Unavailable, "put the file"),
            (ErrorKind::StorageFull, ExitCode::Storage, "make room"),
            (ErrorKind::PermissionDenied, ExitCode::Storage, "read and write"),
            (ErrorKind::StaleNetworkFileHandle, ExitCode::Storage, "check that volume"),
            (ErrorKind::Other, ExitCode::Storage, "check that volume"),
        ];
        for (kind, reason, next_step) in table {
            let path = || PathBuf::from("/model/weights");
            let artifact = || temper_artifact::Error::Io { action: "open", path: path(), source: Error::from(kind) };
            let failures = [
                Failure::from(artifact()),
                Failure::from(temper_data::Error::Artifact(artifact())),
                Failure::from(temper_model::Error::Artifact(artifact())),
                Failure::from(temper_model::Error::Read { path: path(), source: Error::from(kind) }),
            ];
            for failure in failures {
                assert_eq!(failure.reason, reason, "{kind:?}: {failure}");
                assert!(failure.message.contains("/model/weights") && failure.next_step.contains(next_step), "{kind:?}: {failure:?}");
            }
        }
    }

    #[test]
    fn a_taken_port_is_no_final_failure() {
        let failure = Failure::from(temper_c10d::Error::PortInUse { port: 29_500 });
        assert!(failure.reason.is_retryable() && failure.message.contains("29500"), "{failure:?}");
        assert!(failure.next_step.contains("MASTER_PORT"), "{}", failure.next_step);
    }

    #[test]
    fn a_file_that_is_wrong_is_a_final_failure() {
        let damaged = temper_artifact::Error::Damaged { path: PathBuf::from("/model/weights"), reason: "it is cut short".to_owned() };
        assert_eq!(Failure::from(damaged).reason, ExitCode::InvalidInput);
    }

    #[test]
    fn a_failure_passes_through_a_termination_message() {
        let failure = Failure { rank: Some(3), ..Failure::invalid("a", "b") };
        assert_eq!(Failure::from_termination(failure.termination_message()), failure);
    }
}
