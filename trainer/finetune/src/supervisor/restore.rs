//! The checkpoint that training goes on from, brought from where copies are kept if this machine has none.

use super::link::POLL;
use crate::checkpoint;
use crate::failure::{Failure, Result};
use crate::stop_signal::StopSignal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use temper_contract::TrainerConfig;

/// How bringing it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What there is, is here.
    Complete,
    /// A signal to stop came first.
    Stopped,
}

/// Brings the checkpoint on a thread of its own, which may take a while, and looks for a signal to stop meanwhile. After one, the thread
/// goes on until the process ends: what it has not finished, nobody takes for a checkpoint.
pub(super) fn run(config: &TrainerConfig, stop: &StopSignal) -> Result<Ending> {
    if config.checkpoint.mirror.is_none() {
        return Ok(Ending::Complete);
    }
    let (sender, outcome) = channel();
    let config = config.clone();
    let bring = move || {
        // Nobody listens any more after a signal to stop.
        let _ = sender.send(checkpoint::restore(&config));
    };
    let thread = std::thread::Builder::new().name("restore".to_owned()).spawn(bring);
    thread.map_err(|error| Failure::unexpected(format!("failed to start a thread: {error}")))?;
    loop {
        match outcome.recv_timeout(POLL) {
            Ok(restored) => return restored.map(|()| Ending::Complete),
            Err(RecvTimeoutError::Timeout) if stop.is_set() => return Ok(Ending::Stopped),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::unexpected("the thread that brings the checkpoint panicked"));
            }
        }
    }
}
