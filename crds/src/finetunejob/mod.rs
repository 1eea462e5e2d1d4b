//! FineTuneJob: fine-tune one model on one dataset.

pub mod attempts;
pub mod base_model;
pub mod checkpoint;
pub mod cost;
pub mod dataset;
pub mod evaluation;
pub mod failure_policy;
pub mod filters;
pub mod hyperparameters;
pub mod method;
pub mod output;
pub mod status;
pub mod tracking;
pub mod trainer;

use crate::rule::{immutable, immutable_optional, rule};
use base_model::BaseModel;
use checkpoint::Checkpoint;
use cost::Cost;
use dataset::Dataset;
use evaluation::Evaluation;
use failure_policy::FailurePolicy;
use hyperparameters::Hyperparameters;
use kube::{CustomResource, KubeSchema};
use method::Method;
use output::Output;
use serde::{Deserialize, Serialize};
use status::FineTuneJobStatus;
use tracking::Tracking;
use trainer::Trainer;

/// What to train, on what, and how. Immutable except `suspend`, `cost.maxCost`, `ttlSecondsAfterFinished` and, while the job is
/// suspended, `trainer.numNodes` and `trainer.numProcPerNode`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "temper.dev",
    version = "v1alpha1",
    kind = "FineTuneJob",
    plural = "finetunejobs",
    shortname = "ftj",
    category = "temper",
    namespaced,
    status = "FineTuneJobStatus",
    derive = "PartialEq",
    doc = "FineTuneJob fine-tunes one language model on one dataset, publishes the result and enters it in the model registry.",
    validation = rule(
        "self.metadata.name.size() <= 48 && !self.metadata.name.contains('.')",
        "metadata.name may have at most 48 characters and no dots: names of pods are made from it"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "What the job is doing."
    ),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.trainerStatus.step", description = "Optimizer steps done."),
    printcolumn(
        name = "Total",
        type_ = "integer",
        json_path = ".status.trainerStatus.totalSteps",
        description = "Optimizer steps planned."
    ),
    printcolumn(
        name = "Loss",
        type_ = "string",
        json_path = ".status.trainerStatus.metrics.trainingLoss",
        description = "Training loss of the last step."
    ),
    printcolumn(
        name = "ETA",
        type_ = "string",
        json_path = ".status.trainerStatus.estimatedRemaining",
        description = "Estimated time until the last step."
    ),
    printcolumn(name = "Restarts", type_ = "integer", json_path = ".status.restarts", description = "Restarts after failures."),
    printcolumn(
        name = "Model",
        type_ = "string",
        json_path = ".status.modelVersion.name",
        description = "The ModelVersion that the job made.",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = immutable("baseModel"),
    validation = immutable("dataset"),
    validation = immutable("method"),
    validation = immutable("hyperparameters"),
    validation = immutable("evaluation"),
    validation = immutable("checkpoint"),
    validation = immutable("failurePolicy"),
    validation = immutable("output"),
    validation = immutable_optional("tracking"),
    validation = immutable_optional("activeDeadlineSeconds"),
    validation = rule(
        "has(self.cost) == has(oldSelf.cost)",
        "cost can be neither added nor removed: change cost.maxCost, or create a new FineTuneJob"
    ),
    validation = rule(
        "oldSelf.suspend || (self.trainer.numNodes == oldSelf.trainer.numNodes && self.trainer.numProcPerNode == oldSelf.trainer.numProcPerNode)",
        "trainer.numNodes and trainer.numProcPerNode can be changed only while the job is suspended: set suspend: true first"
    ),
    validation = rule(
        "!has(self.evaluation.earlyStoppingPatience) || has(self.dataset.validation)",
        "evaluation.earlyStoppingPatience needs held-out rows: set dataset.validation"
    ),
    validation = rule(
        "!has(self.evaluation.evalSteps) || has(self.dataset.validation)",
        "evaluation.evalSteps needs held-out rows: set dataset.validation"
    ),
    validation = rule(
        "self.method.type == 'lora' || !self.output.mergeAdapter",
        "output.mergeAdapter needs an adapter: set method.type to lora, or mergeAdapter to false"
    )
)]
pub struct FineTuneJobSpec {
    /// Whether the job is held: true stops it with a checkpoint and frees its pods; false lets it continue from there.
    #[serde(default)]
    pub suspend: bool,
    /// The model to start from.
    pub base_model: BaseModel,
    /// What to train on, and how it becomes tokens.
    pub dataset: Dataset,
    /// Which parameters are trained: a LoRA adapter or all of them.
    pub method: Method,
    /// How to train; names as in transformers' TrainingArguments.
    pub hyperparameters: Hyperparameters,
    /// When to measure the held-out loss, and when to stop early because of it.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// The training processes: how many, with what resources, where.
    #[serde(default)]
    pub trainer: Trainer,
    /// Where checkpoints go, how often, and how many are kept.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// What to put up with before the job fails.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Seconds that the job may be active (not suspended) before it is stopped and fails. Without it there is no deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<u32>,
    /// Seconds after the end until the job's pods and services are deleted; the FineTuneJob itself stays. Without it they stay too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<u32>,
    /// Where the finished model goes, and whether it is entered in the registry.
    #[serde(default)]
    pub output: Output,
    /// Experiment trackers that get the metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// What the job may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}
