//! SIGTERM and SIGINT: finish the step, write a checkpoint, exit with 143.

use crate::failure::{Failure, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a signal to stop has arrived. Copies see the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Registers for the signals.
    pub(crate) fn listen() -> Result<Self> {
        let signal = Self::default();
        for number in [SIGTERM, SIGINT] {
            signal_hook::flag::register(number, Arc::clone(&signal.0))
                .map_err(|error| Failure::unexpected(format!("failed to listen for signal {number}: {error}")))?;
        }
        Ok(signal)
    }

    /// Whether one has arrived.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
