//! Why a trainer process ended: its termination message, or else what its exit status and log can tell.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use temper_contract::{ExitCode, TerminationMessage};

/// The end of a log that is searched for its last lines.
const TAIL_BYTES: u64 = 8192;
/// Lines of the log that are shown.
const TAIL_LINES: usize = 8;

/// How a process ended, as a shell would number it: its exit code, or 128 + the signal.
pub fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

/// The termination message that a process left at `path`, or one made up from its exit status and the end of its log.
pub fn read(path: &Path, status: ExitStatus, log: &Path) -> TerminationMessage {
    let left = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<TerminationMessage>(&text).ok());
    left.filter(|message| !message.message.is_empty()).unwrap_or_else(|| from_status(status, log))
}

fn from_status(status: ExitStatus, log: &Path) -> TerminationMessage {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("it exited with code {code}"),
        (None, Some(9)) => "it was killed (signal 9), perhaps because memory ran out".to_owned(),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    };
    let tail = tail(log);
    let reason = status.code().and_then(ExitCode::from_code).unwrap_or(ExitCode::Unexpected);
    let message = if tail.is_empty() { how } else { format!("{how}; its log ends:\n{tail}") };
    TerminationMessage::new(reason, message, format!("see {}", log.display()))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{code, read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use temper_contract::{ExitCode, TerminationMessage};

    #[test]
    fn a_termination_message_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("message");
        let message = TerminationMessage::new(ExitCode::InvalidInput, "spec.baseModel: no such file", "mend it");
        std::fs::write(&path, message.to_json()).expect("written");
        assert_eq!(read(&path, ExitStatus::from_raw(10 << 8), &folder.path().join("log")), message);
    }

    #[test]
    fn without_one_the_status_and_the_log_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        std::fs::write(&log, "one\n\ntwo\n").expect("written");
        let message = read(&folder.path().join("none"), ExitStatus::from_raw(12 << 8), &log);
        assert_eq!(message.reason, ExitCode::Storage);
        assert_eq!(message.message, "it exited with code 12; its log ends:\n  one\n  two");
        let killed = read(&folder.path().join("none"), ExitStatus::from_raw(9), &folder.path().join("no-log"));
        assert_eq!((killed.reason, code(ExitStatus::from_raw(9))), (ExitCode::Unexpected, 137));
        assert!(killed.message.contains("memory"), "{}", killed.message);
    }
}
