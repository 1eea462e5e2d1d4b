//! The last word of this process: what it did, or why it did not.

use crate::durable::read_json;
use crate::failure::{Failure, Result};
use serde::de::DeserializeOwned;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use std::path::Path;
use temper_contract::{ExitCode, StageReport, TerminationMessage, env};

/// Logs a failure and leaves it where the environment says; a place that cannot be written must not hide the failure.
pub(crate) fn report(failure: &Failure, in_place_restarts: Option<u64>) {
    tracing::error!(reason = ?failure.reason, rank = failure.rank, next_step = %failure.next_step, "{}", failure.message);
    leave(&TerminationMessage { in_place_restarts, ..failure.termination_message() });
}

/// Writes the message to the path in the environment, if there is one.
pub(crate) fn leave(message: &TerminationMessage) {
    write(&message.to_json());
}

/// Leaves a stage's report, as it stands in the run's folder, for those who cannot read that folder.
pub(crate) fn leave_report<R: DeserializeOwned>(path: &Path, of_stage: impl FnOnce(R) -> StageReport) -> Result<()> {
    let report = read_json(path)?.ok_or_else(|| Failure::unexpected(format!("{} is missing, though the stage is done", path.display())))?;
    write(&of_stage(report).to_json());
    Ok(())
}

/// What a child left at `path`; `None` when it died without a word.
pub(crate) fn read(path: &Path) -> Option<TerminationMessage> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// From now on SIGTERM ends this process with a word and the right exit code, wherever it is. For stages that may be ended at any moment
/// and begun again: process 1 of a container, which a stage is there, would else not even be ended by it.
pub(crate) fn end_on_signal() -> Result<()> {
    let failed = |error: std::io::Error| Failure::unexpected(format!("failed to listen for SIGTERM: {error}"));
    let mut signals = Signals::new([SIGTERM]).map_err(failed)?;
    let end = move || {
        if signals.forever().next().is_some() {
            tracing::info!("stopped by a signal");
            leave(&TerminationMessage::new(ExitCode::Terminated, "stopped by a signal", "run again; what was finished is kept"));
            signal_hook::low_level::exit(i32::from(ExitCode::Terminated.code()));
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(end).map(drop).map_err(failed)
}

fn write(text: &str) {
    if let Some(path) = std::env::var_os(env::TERMINATION_MESSAGE_PATH)
        && let Err(error) = std::fs::write(&path, text)
    {
        tracing::warn!("failed to write the termination message to {}: {error}", path.display());
    }
}
