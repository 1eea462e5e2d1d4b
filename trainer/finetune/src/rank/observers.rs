//! Whom to tell what happens: the step log, the metrics, the supervisor.

use super::heartbeat;
use crate::events::emit;
use crate::failure::Result;
use crate::kill_point::{self, kill_point};
use crate::metrics::{Exporter, Metrics};
use crate::step_log::StepLog;
use std::sync::Arc;
use temper_contract::Event;
use temper_contract::event::StepRecord;

/// Rank 0 writes the log and speaks for all; every rank has metrics and heartbeats.
pub(super) struct Observers {
    /// Rank 0's.
    pub(super) log: Option<StepLog>,
    pub(super) metrics: Arc<Metrics>,
    /// Kept to go on serving.
    pub(super) _exporter: Option<Exporter>,
}

impl Observers {
    pub(super) fn step_done(&mut self, record: StepRecord) -> Result<()> {
        heartbeat::step_done(record.step);
        self.metrics.step_done(&record);
        if let Some(log) = &mut self.log {
            log.append(&record)?;
            kill_point(kill_point::STEP_LOGGED);
            emit(&Event::Step(record));
        }
        Ok(())
    }

    pub(super) fn evaluated(&self, step: u64, validation_loss: f64, target_tokens: u64) {
        self.metrics.evaluated(validation_loss);
        if self.log.is_some() {
            emit(&Event::Evaluated { step, validation_loss, target_tokens });
        }
    }
}
