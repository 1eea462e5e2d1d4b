//! Tells the supervisor each second that this process is not stopped.

use crate::events::emit;
use crate::failure::{Failure, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use temper_contract::Event;

const PERIOD: Duration = Duration::from_secs(1);

/// The last step this process has finished, for its heartbeats.
static STEP: AtomicU64 = AtomicU64::new(0);

/// Beats until it is dropped.
pub(super) struct Heartbeat {
    _stop: Sender<()>,
}

/// Starts at once, before the model is loaded.
pub(super) fn start(rank: usize) -> Result<Heartbeat> {
    let (stop, stopped) = channel();
    let beat = move || {
        loop {
            emit(&Event::Heartbeat { rank, step: STEP.load(Ordering::Relaxed) });
            if stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(beat);
    thread.map_err(|error| Failure::unexpected(format!("failed to start the heartbeat's thread: {error}")))?;
    Ok(Heartbeat { _stop: stop })
}

/// From now on heartbeats say this step.
pub(super) fn step_done(step: u64) {
    STEP.store(step, Ordering::Relaxed);
}
