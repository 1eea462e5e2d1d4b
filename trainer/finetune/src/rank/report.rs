//! What `train` leaves for `publish` and for people.

use super::Ending;
use super::training::Training;
use crate::durable::write_json;
use crate::failure::Result;
use crate::kill_point::{self, kill_point};
use crate::process_memory::peak_resident_bytes;
use crate::restarts;
use temper_contract::layout;
use temper_contract::report::{BeforeAfter, TrainReport};

/// Writes the report; from then on the stage is done.
pub(super) fn write(training: &Training, ending: Ending) -> Result<()> {
    let Training { config, state, saved, data, .. } = training;
    let validation =
        state.baseline.zip(state.last_evaluation).map(|(before, after)| BeforeAfter { before: before.loss, after: after.loss });
    let report = TrainReport {
        step: state.step,
        total_steps: training.total_steps(),
        reason: ending.word().to_owned(),
        checkpoint: saved.as_ref().map(|(_, folder)| folder.clone()).unwrap_or_default(),
        parameters: data.report.parameters,
        training_loss: state.training_loss,
        validation,
        tokens: state.tokens,
        tokens_per_second: if state.step_seconds > 0.0 { state.tokens as f64 / state.step_seconds } else { 0.0 },
        seconds: state.step_seconds + state.evaluation_seconds,
        evaluation_seconds: state.evaluation_seconds,
        restarts: restarts::count(&config.run_folder)?,
        peak_memory_bytes: peak_resident_bytes(),
    };
    kill_point(kill_point::TRAIN_REPORT);
    write_json(&config.run_folder.join(layout::TRAIN_REPORT), &report)
}
