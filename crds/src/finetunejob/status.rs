//! `status` of a FineTuneJob: written by the operator, read by people and programs.

use super::attempts::{AttemptStatus, EarlierAttempts};
use crate::modelversion::ModelFormat;
use crate::{Condition, Decimal, pattern};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the job stands.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FineTuneJobStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Aspects of the job's state: Ready, Reconciling, Stalled, DataReady, Running, Suspended, Complete, Failed, ModelRegistered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The number of the current or last training attempt, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub attempt: Option<u64>,
    /// How far training is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainer_status: Option<TrainerStatus>,
    /// The model's size and how much of it is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// What became of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetCounts>,
    /// What `prepare` found out about the base model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseModelStatus>,
    /// What training came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TrainingResult>,
    /// Tries at each stage, in the order of their starts; of many, the latest ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub attempts: Vec<AttemptStatus>,
    /// Tries that are no longer in `attempts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_attempts: Option<EarlierAttempts>,
    /// The newest durable checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
    /// Restarts after failures: in place and new attempts together.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub restarts: u64,
    /// How the last failed process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// What the job has cost so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostStatus>,
    /// The model that the job made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<ModelVersionReference>,
}

/// How far training is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainerStatus {
    /// Optimizer steps done.
    #[schemars(range(min = 0))]
    pub step: u64,
    /// Optimizer steps planned.
    #[schemars(range(min = 0))]
    pub total_steps: u64,
    /// Passes over the data so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Decimal>,
    /// Steps done, in percent of those planned.
    #[schemars(range(min = 0, max = 100))]
    pub progress_percentage: u32,
    /// Estimated seconds until the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub estimated_remaining_seconds: Option<u64>,
    /// The same for people, such as 1h5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub estimated_remaining: Option<String>,
    /// What was last measured.
    #[serde(default)]
    pub metrics: TrainerMetrics,
    /// When the trainer last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_time: Option<Time>,
}

/// What was last measured; each is text because a float's digits would drift.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainerMetrics {
    /// Mean loss of a target token in the last step, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_loss: Option<Decimal>,
    /// Mean loss of a held-out target token in the last evaluation, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<Decimal>,
    /// Learning rate of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Decimal>,
    /// Global norm of the last gradient before clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<Decimal>,
    /// Tokens a second over all processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<Decimal>,
    /// GPU memory in use by one process, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpu_memory_bytes: Option<u64>,
}

/// The model's size and how much of it is trained, counted as PEFT counts.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// All parameters, the adapter's included.
    #[schemars(range(min = 0))]
    pub total: u64,
    /// Those that training changes.
    #[schemars(range(min = 0))]
    pub trainable: u64,
    /// Their share, in percent.
    pub trainable_percent: Decimal,
}

/// What became of the rows.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetCounts {
    /// Rows read.
    #[schemars(range(min = 0))]
    pub rows: u64,
    /// Rows trained on.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub accepted: u64,
    /// Rows held out.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub validation: u64,
    /// Rows left out, by reason.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count_map")]
    pub rejected: BTreeMap<String, u64>,
    /// Tokens in one pass.
    #[schemars(range(min = 0))]
    pub tokens: u64,
    /// The SHA-256 of everything that the tokens depend on: data, tokenizer, template and settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub digest: Option<String>,
    /// The SHA-256 of the chat template, if one was used; a server uses no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub chat_template_digest: Option<String>,
}

/// What `prepare` found out about the base model.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseModelStatus {
    /// The SHA-256 of its files.
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub digest: String,
    /// Estimated peak memory of one process in training, in bytes.
    #[schemars(range(min = 0))]
    pub memory_estimate_bytes: u64,
}

/// What training came to.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingResult {
    /// The last optimizer step.
    #[schemars(range(min = 0))]
    pub step: u64,
    /// Why it ended: complete or earlyStopping.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Loss of the last step, in nats a target token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_loss: Option<Decimal>,
    /// Held-out loss of the base model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss_before: Option<Decimal>,
    /// Held-out loss of the tuned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss_after: Option<Decimal>,
    /// Tokens seen.
    #[schemars(range(min = 0))]
    pub tokens: u64,
    /// Tokens a second over all processes, evaluation and checkpoints not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<Decimal>,
    /// Wall time of training over all attempts, in seconds.
    #[schemars(range(min = 0))]
    pub seconds: u64,
    /// Peak resident memory of one process, in bytes.
    #[schemars(range(min = 0))]
    pub peak_memory_bytes: u64,
}

/// A durable checkpoint.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointStatus {
    /// Optimizer steps done when it was written.
    #[schemars(range(min = 0))]
    pub step: u64,
    /// Its folder.
    #[schemars(length(max = 4096))]
    pub uri: String,
}

/// How a failed process ended.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// The pod it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// The rank it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rank: Option<u64>,
    /// Its exit code; 128 + n where signal n ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
}

/// What the job has cost so far.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostStatus {
    /// GPUs times hours held.
    pub gpu_hours: Decimal,
    /// The price of that.
    pub total: Decimal,
    /// The price book's currency.
    #[schemars(length(min = 3, max = 3))]
    pub currency: String,
}

/// The model that the job made.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionReference {
    /// The ModelVersion's name; none where the job does not register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Its version number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<u64>,
    /// Where the model is.
    #[schemars(length(max = 4096))]
    pub uri: String,
    /// The SHA-256 of its files.
    #[schemars(length(max = 128), regex(pattern = pattern::DIGEST))]
    pub digest: String,
    /// Adapter or whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ModelFormat>,
}
