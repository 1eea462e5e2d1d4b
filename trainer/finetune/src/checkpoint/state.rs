//! The small part of a checkpoint: where training is, as JSON.

use crate::early_stopping::EarlyStopping;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that training goes on from, beside the tensors. The sampler and dropout are functions of (seed, step), so the step is
/// their position too, and the schedule's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrainingState {
    /// What the checkpoint belongs to.
    pub(crate) identity: Identity,
    /// Finished optimizer steps.
    pub(crate) step: u64,
    /// Of these, those that were not skipped: AdamW's own count.
    pub(crate) updates: u64,
    /// Skipped steps in a row, up to now.
    pub(crate) non_finite_in_a_row: u64,
    /// The loss of the last step that was not skipped, in nats a target token.
    #[serde(deserialize_with = "temper_contract::number::nan_if_null")]
    pub(crate) training_loss: f64,
    /// Tokens seen.
    pub(crate) tokens: u64,
    /// Wall time of steps, over all attempts.
    pub(crate) step_seconds: f64,
    /// Wall time of evaluations, over all attempts.
    pub(crate) evaluation_seconds: f64,
    /// The evaluation of the base model.
    pub(crate) baseline: Option<Evaluation>,
    /// The last evaluation.
    pub(crate) last_evaluation: Option<Evaluation>,
    /// The best evaluation and how long ago it was.
    pub(crate) early_stopping: EarlyStopping,
}

/// What a checkpoint belongs to. A checkpoint of another job, or of this one with other settings, must not be gone on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    /// Digest of the prepared tokens.
    pub(crate) data_digest: String,
    /// Digest of the base model.
    pub(crate) base_model_digest: String,
    /// Seed of the data order and dropout.
    pub(crate) seed: u64,
    /// Examples in a micro-batch.
    pub(crate) per_device_train_batch_size: usize,
    /// Micro-batches in a step; a job that resumes on another number of ranks keeps it.
    pub(crate) micro_batches_per_step: usize,
    /// The last step that was planned.
    pub(crate) total_steps: u64,
}

impl Identity {
    /// The first field in which a checkpoint differs from what this job expects, with both values.
    pub(crate) fn difference(&self, expected: &Self) -> Option<String> {
        let fields = [
            ("dataDigest", self.data_digest.clone(), expected.data_digest.clone()),
            ("baseModelDigest", self.base_model_digest.clone(), expected.base_model_digest.clone()),
            ("seed", self.seed.to_string(), expected.seed.to_string()),
            ("perDeviceTrainBatchSize", self.per_device_train_batch_size.to_string(), expected.per_device_train_batch_size.to_string()),
            ("totalSteps", self.total_steps.to_string(), expected.total_steps.to_string()),
        ];
        fields
            .into_iter()
            .find(|(_, found, wanted)| found != wanted)
            .map(|(name, found, wanted)| format!("{name} {found} instead of {wanted}"))
    }
}

/// A whole checkpoint that this job must not go on from: in `difference` it is another's.
pub(crate) fn of_another(folder: &Path, difference: &str) -> Failure {
    Failure::invalid(
        format!("the checkpoint {} belongs to another job or to other settings: {difference}", folder.display()),
        "give this job a checkpoint folder of its own (spec.checkpoint.storageUri), or start it over in a fresh one",
    )
}

/// A held-out loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evaluation {
    /// After this step.
    pub(crate) step: u64,
    /// Nats a target token.
    #[serde(deserialize_with = "temper_contract::number::nan_if_null")]
    pub(crate) loss: f64,
}

impl TrainingState {
    /// Before the first step.
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            step: 0,
            updates: 0,
            non_finite_in_a_row: 0,
            training_loss: f64::NAN,
            tokens: 0,
            step_seconds: 0.0,
            evaluation_seconds: 0.0,
            baseline: None,
            last_evaluation: None,
            early_stopping: EarlyStopping::default(),
        }
    }
}
