//! What a stage leaves behind for the next one and for people: small JSON files, written aside and renamed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters of the model in training, counted as PEFT's `print_trainable_parameters` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// All of them, adapters included, tied ones once.
    pub total: u64,
    /// Those that training changes.
    pub trainable: u64,
}

impl Parameters {
    /// Share of the parameters that is trained, in percent.
    pub fn trainable_percent(&self) -> f64 {
        100.0 * self.trainable as f64 / self.total.max(1) as f64
    }
}

/// Rows by fate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetCounts {
    /// Rows read, empty lines not counted.
    pub rows: u64,
    /// Rows that are trained on.
    pub accepted: u64,
    /// Rows held out for validation.
    pub validation: u64,
    /// Rows left out, by reason.
    pub rejected: BTreeMap<String, Rejection>,
    /// Rows cut to the maximum length.
    pub truncated: u64,
    /// Tokens trained on, in one pass.
    pub tokens: u64,
    /// Of these, tokens that the loss counts.
    pub target_tokens: u64,
    /// Held-out tokens.
    pub validation_tokens: u64,
    /// Examples (rows of `maxLength` with packing) in one pass.
    pub examples: u64,
}

impl DatasetCounts {
    /// Rows left out for any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().map(|rejection| rejection.count).sum()
    }
}

/// Rows left out for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// How many.
    pub count: u64,
    /// Where the first few are, as `file:line`.
    pub first: Vec<String>,
}

/// What `prepare` did; its presence means that the stage is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrepareReport {
    /// Rows by fate.
    pub counts: DatasetCounts,
    /// Digest of everything the tokens depend on (data, tokenizer, template, settings).
    pub digest: String,
    /// Digest of the chat template's text, if one was used; a server refuses another.
    pub chat_template_digest: Option<String>,
    /// Digest of the base model's files.
    pub base_model_digest: String,
    /// Parameters the job will train.
    pub parameters: Parameters,
    /// Estimated peak memory of one rank, in bytes.
    pub memory_estimate_bytes: u64,
    /// Wall time.
    pub seconds: f64,
}

/// What `train` did; its presence means that the stage is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainReport {
    /// Last step.
    pub step: u64,
    /// Step that was planned as the last.
    pub total_steps: u64,
    /// Why it ended: `complete` or `earlyStopping`.
    pub reason: String,
    /// Folder of the final checkpoint.
    pub checkpoint: String,
    /// Parameters and how many were trained.
    pub parameters: Parameters,
    /// Loss of the last step that was not skipped.
    #[serde(deserialize_with = "crate::number::nan_if_null")]
    pub training_loss: f64,
    /// Held-out loss before the first step and after the last; none without validation rows.
    pub validation: Option<BeforeAfter>,
    /// Tokens seen.
    pub tokens: u64,
    /// Tokens a second over all ranks, evaluation and checkpoints not counted.
    pub tokens_per_second: f64,
    /// Wall time of training, over all attempts.
    pub seconds: f64,
    /// Wall time of evaluations.
    pub evaluation_seconds: f64,
    /// In-place restarts.
    pub restarts: u64,
    /// Peak resident memory of rank 0, in bytes.
    pub peak_memory_bytes: u64,
}

/// In-place restarts of a run over all its attempts; they draw on the same `maxRestarts` as new attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restarts {
    /// How many.
    pub in_place: u64,
}

/// A held-out loss (nats a target token) before and after training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BeforeAfter {
    /// Of the base model.
    #[serde(deserialize_with = "crate::number::nan_if_null")]
    pub before: f64,
    /// Of the tuned model.
    #[serde(deserialize_with = "crate::number::nan_if_null")]
    pub after: f64,
}

/// What `publish` made; its presence means that the stage is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishReport {
    /// The model's folder.
    pub path: String,
    /// `PeftAdapter` or `HuggingFace`.
    pub format: ArtifactFormat,
    /// SHA-256 over the folder's file names and contents.
    pub digest: String,
    /// Each file's SHA-256.
    pub files: BTreeMap<String, String>,
}

/// What kind of folder was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactFormat {
    /// `adapter_config.json` and `adapter_model.safetensors`.
    PeftAdapter,
    /// A whole model in Hugging Face's layout.
    HuggingFace,
}

/// What `evaluate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationReport {
    /// Mean loss of a target token, in nats.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// Target tokens.
    pub target_tokens: u64,
    /// Examples.
    pub examples: u64,
    /// Wall time.
    pub seconds: f64,
}

/// What `generate` prints for one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The user's text.
    pub prompt: String,
    /// The model's answer.
    pub text: String,
    /// Tokens of the prompt, template included.
    pub prompt_tokens: usize,
    /// Ids of the answer.
    pub token_ids: Vec<u32>,
    /// `stop` (an end token) or `length`.
    pub finish_reason: String,
}
