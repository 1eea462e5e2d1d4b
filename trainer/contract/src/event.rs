//! What a trainer process tells its parent: one JSON object a line on standard output. Logs go to standard error.
//!
//! A rank's events reach its node's supervisor, which passes on those that concern the job and keeps heartbeats to itself. A reader
//! ignores lines that it does not understand, so that a newer trainer may say more.

use crate::report::{DatasetCounts, Parameters};
use serde::{Deserialize, Serialize};

/// One line of a trainer's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// `prepare` read so many rows or bytes of the whole.
    Preparing {
        /// What is being done: `fetching`, `reading`, `tokenising`, `writing`, `evaluating`, `uploading`.
        stage: String,
        /// Done so far, in the stage's own unit.
        done: u64,
        /// The whole, 0 where it is not known.
        total: u64,
    },
    /// `prepare` is done.
    Prepared {
        /// Rows by fate.
        counts: DatasetCounts,
        /// Whether an earlier run's token cache was used.
        reused: bool,
    },
    /// The rank is alive (once a second).
    Heartbeat {
        /// The rank.
        rank: usize,
        /// The last optimizer step it finished.
        step: u64,
    },
    /// All ranks met and training starts. Each rank says so to its supervisor, which passes on rank 0's.
    Started {
        /// Number of ranks.
        world_size: usize,
        /// The step that training goes on from: 0, or that of the checkpoint.
        resumed_from_step: u64,
        /// The last step.
        total_steps: u64,
        /// Parameters and how many of them are trained.
        parameters: Parameters,
    },
    /// An optimizer step is done (rank 0 only).
    Step(StepRecord),
    /// An evaluation is done (rank 0 only).
    Evaluated {
        /// After this step.
        step: u64,
        /// Mean loss of a held-out target token, in nats.
        #[serde(deserialize_with = "crate::number::nan_if_null")]
        validation_loss: f64,
        /// Target tokens.
        target_tokens: u64,
    },
    /// A checkpoint is durable (rank 0 only).
    CheckpointSaved {
        /// At this step.
        step: u64,
        /// Its folder.
        path: String,
    },
    /// Ranks are being started again in place.
    Restarting {
        /// The generation that starts.
        generation: u64,
        /// Why: which rank, how it ended.
        reason: String,
    },
    /// The stage is done.
    Finished {
        /// The last step.
        step: u64,
        /// Why it ended: `complete`, `earlyStopping`, `terminated`.
        reason: String,
    },
    /// Something a person should know.
    Warning {
        /// In a sentence.
        message: String,
    },
}

/// What is known about one optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// The step, from 1.
    pub step: u64,
    /// Passes over the data so far.
    pub epoch: f64,
    /// Mean loss of a target token over the global batch, in nats.
    #[serde(deserialize_with = "crate::number::nan_if_null")]
    pub training_loss: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    #[serde(deserialize_with = "crate::number::nan_if_null")]
    pub gradient_norm: f64,
    /// Tokens (not padding) that the step saw, over all ranks.
    pub tokens: u64,
    /// Target tokens of the step, over all ranks.
    pub target_tokens: u64,
    /// Wall time of the step.
    pub seconds: f64,
    /// Whether the update was skipped because the gradient was not finite.
    pub skipped: bool,
}

impl Event {
    /// The event as one line, without the line end.
    pub fn to_line(&self) -> String {
        // Serialising a tagged enum of plain fields cannot fail; an empty line is ignored by every reader.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The event on a line, if it is one.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}
