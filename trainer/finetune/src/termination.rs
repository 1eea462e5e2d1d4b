//! The last word of this process.

use crate::failure::Failure;
use std::path::Path;
use temper_contract::{TerminationMessage, env};

/// Logs a failure and leaves it where the environment says; a place that cannot be written must not hide the failure.
pub(crate) fn report(failure: &Failure) {
    tracing::error!(reason = ?failure.reason, rank = failure.rank, next_step = %failure.next_step, "{}", failure.message);
    leave(&failure.termination_message());
}

/// Writes the message to the path in the environment, if there is one.
pub(crate) fn leave(message: &TerminationMessage) {
    if let Some(path) = std::env::var_os(env::TERMINATION_MESSAGE_PATH)
        && let Err(error) = std::fs::write(&path, message.to_json())
    {
        tracing::warn!("failed to write the termination message to {}: {error}", path.display());
    }
}

/// What a child left at `path`; `None` when it died without a word.
pub(crate) fn read(path: &Path) -> Option<TerminationMessage> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
