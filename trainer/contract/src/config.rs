//! The configuration that the operator (or the local executor) writes and `temper-trainer` reads: one JSON file a job.
//!
//! Everything in it is resolved: defaults are filled in, patterned strings are numbers, URIs that mean a local folder are paths. The
//! trainer checks what only it can know (the model, the data) and trusts the rest.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// All that one job's `temper-trainer` processes need to know. Every stage of a job reads the same file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainerConfig {
    /// The job's name, for logs, metric labels and the model card.
    pub job_name: String,
    /// The folder of this job's run; `layout` names what is in it.
    pub run_folder: PathBuf,
    /// Where the checkpoints go (by default a folder inside `run_folder`).
    pub checkpoint_folder: PathBuf,
    /// Where `publish` puts the finished model (a folder that it makes).
    pub output_folder: PathBuf,
    /// Where the base model is.
    pub base_model: BaseModel,
    /// What to train on and how to turn it into tokens.
    pub dataset: Dataset,
    /// LoRA or full.
    pub method: Method,
    /// How to train.
    pub hyperparameters: Hyperparameters,
    /// When to evaluate and when to stop early.
    pub evaluation: Evaluation,
    /// How many processes, and how a global batch is divided among them.
    pub parallelism: Parallelism,
    /// When to save a checkpoint and how many to keep.
    pub checkpoint: Checkpoint,
    /// What to put up with before failing.
    pub failure: Failure,
    /// What `publish` makes.
    pub output: Output,
}

/// A model folder (Hugging Face safetensors) or one `.gguf` file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaseModel {
    /// The folder or file on this machine.
    pub path: PathBuf,
    /// The URI the user wrote, recorded in the adapter's configuration and the model card.
    pub uri: String,
    /// Where `prepare` takes it from first, if it is not on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Remote>,
}

/// A place on an object store or a hub, that is read from or written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remote {
    /// `hf://`, `s3://`, `gs://` or `az://`.
    pub uri: String,
    /// The branch, tag or commit of a hub's repository; `main` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The folder that a Secret with the credentials is mounted at; without it the surroundings' own identity is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// A Secret that is mounted as files. It may be missing: whoever reads it says so, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The Secret's name, for messages.
    pub secret: String,
    /// The folder that it is mounted at; empty where there is no such Secret.
    pub folder: PathBuf,
}

/// The training data and its preparation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// A file, or a folder of shards read in name order.
    pub path: PathBuf,
    /// Where `prepare` takes it from first, if it is not on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Remote>,
    /// The same for held-out rows of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_validation: Option<Remote>,
    /// What a row looks like.
    pub format: DatasetFormat,
    /// Where held-out rows come from.
    pub validation: Option<Validation>,
    /// How messages become text.
    pub chat_template: ChatTemplate,
    /// The longest example, in tokens.
    pub max_length: usize,
    /// What to do with a longer one.
    pub excess_length_strategy: ExcessLengthStrategy,
    /// Whether to fill rows of `max_length` tokens with several examples each.
    pub packing: bool,
    /// Which rows to leave out.
    pub filters: Filters,
    /// The seed of the validation split.
    pub seed: u64,
}

/// The shape of a data row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// `{"text": ...}`: every token is a target.
    Text,
    /// `{"prompt": ..., "completion": ...}`: the completion's tokens are targets.
    PromptCompletion,
    /// `{"messages": [{"role": ..., "content": ...}]}`: every assistant turn with its end token is a target.
    Messages,
    /// `{"instruction": ..., "input": ..., "output": ...}`: the output's tokens are targets.
    Alpaca,
}

/// Where held-out rows come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Validation {
    /// This fraction of the accepted rows, chosen by the seed and the row's content, not by its position.
    Split(f64),
    /// Rows of their own.
    Path(PathBuf),
}

/// How messages become text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChatTemplate {
    /// The template that comes with the tokenizer.
    TokenizerDefault,
    /// This Jinja text.
    Inline(String),
}

/// What to do with an example longer than `max_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExcessLengthStrategy {
    /// Keep the first `max_length` tokens.
    Truncate,
    /// Leave the example out and count it.
    Drop,
    /// Fail the job and name the row.
    Fail,
}

/// Which rows to leave out. Lengths are in characters of the row's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filters {
    /// Shortest text kept.
    pub min_length: Option<u64>,
    /// Longest text kept.
    pub max_length: Option<u64>,
    /// Whether to keep only the first of rows with equal normalised content.
    pub exact_deduplication: bool,
    /// Keep only rows whose text matches.
    pub include_pattern: Option<String>,
    /// Leave out rows whose text matches.
    pub exclude_pattern: Option<String>,
    /// The job fails when more than this fraction of the rows is rejected.
    pub max_rejected_fraction: f64,
}

/// Which parameters are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// Low-rank adapters (Hu et al. 2021), as PEFT defines them.
    Lora(Lora),
    /// Every parameter.
    Full,
}

/// LoRA settings, with PEFT's names and meanings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lora {
    /// The rank.
    pub r: usize,
    /// The update is scaled by `lora_alpha / r` (by `lora_alpha / sqrt(r)` with `use_rslora`).
    pub lora_alpha: f64,
    /// Probability of dropping an input of the adapter.
    pub lora_dropout: f64,
    /// Module names or suffixes, or `all-linear`.
    pub target_modules: Vec<String>,
    /// Rank-stabilised scaling (Kalajdzievski 2023).
    pub use_rslora: bool,
}

/// How to train. Names as in transformers' `TrainingArguments`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hyperparameters {
    /// Passes over the data; `max_steps` wins where it is given.
    pub num_train_epochs: f64,
    /// Optimizer steps.
    pub max_steps: Option<u64>,
    /// Examples (rows with `packing`) in a micro-batch.
    pub per_device_train_batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape of the schedule after warm-up.
    pub lr_scheduler_type: LrSchedulerType,
    /// Steps of linear warm-up from zero.
    pub warmup_steps: u64,
    /// Decoupled weight decay; norms and biases are exempt.
    pub weight_decay: f64,
    /// First moment's decay.
    pub adam_beta1: f64,
    /// Second moment's decay.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Gradients are scaled down to this global norm; 0 leaves them.
    pub max_grad_norm: f64,
    /// Type of the weights and activations that matrices are multiplied in; parameters being trained keep an fp32 master.
    pub precision: Precision,
    /// Seed of the data order, the adapters' initial values and dropout.
    pub seed: u64,
}

/// Shape of the learning-rate schedule after warm-up, as in transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedulerType {
    /// Half a cosine from the peak to zero.
    Cosine,
    /// A straight line from the peak to zero.
    Linear,
    /// The peak throughout.
    Constant,
}

/// Number type of matrix multiplications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    Fp32,
    /// bfloat16 with fp32 accumulation.
    Bf16,
}

/// When to evaluate and when to stop early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    /// Steps between evaluations; `None` evaluates at the end only.
    pub eval_steps: Option<u64>,
    /// Examples in an evaluation micro-batch.
    pub per_device_eval_batch_size: usize,
    /// Stop after this many evaluations in a row without a lower validation loss.
    pub early_stopping_patience: Option<u64>,
}

/// How many processes there are, and how a global batch is divided among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parallelism {
    /// Machines (pods).
    pub num_nodes: usize,
    /// Ranks on each.
    pub num_proc_per_node: usize,
    /// Intra-op threads of a rank. Results are bit-equal only for equal thread counts, so it comes from the manifest, never from the
    /// machine.
    pub threads_per_proc: usize,
    /// Micro-batches in one optimizer step over all ranks together. A job that resumes with another number of ranks keeps the value of
    /// its first run (the checkpoint carries it), so that each step still sees the same examples.
    pub micro_batches_per_step: usize,
    /// CPU or CUDA.
    pub device: Device,
}

impl Parallelism {
    /// The number of ranks.
    pub fn world_size(&self) -> usize {
        self.num_nodes * self.num_proc_per_node
    }
}

/// What a rank computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor, gradients by Gloo.
    Cpu,
    /// An NVIDIA GPU a rank, gradients by NCCL.
    Cuda,
}

/// When to save and how many to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps between checkpoints; `None` saves only on SIGTERM and at the end.
    pub save_steps: Option<u64>,
    /// The newest this many are kept.
    pub save_total_limit: usize,
    /// Where checkpoints are copied to as well, and taken from when this machine has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Remote>,
}

/// What to put up with before failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// Restarts of the ranks in place, counted over all attempts of the run (`layout::RESTARTS`).
    pub max_restarts: u64,
    /// A rank or node whose heartbeat stops for so long is taken for dead.
    pub heartbeat_timeout_seconds: u64,
    /// Without an optimizer step for so long the ranks are restarted.
    pub stall_timeout_seconds: u64,
    /// Steps in a row with a non-finite gradient that are skipped before the job fails.
    pub max_non_finite_steps: u64,
    /// How long nodes, and then their ranks, wait for each other at the start.
    pub rendezvous_timeout_seconds: u64,
}

/// What `publish` makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Fold the adapter into the base weights and publish a whole model.
    pub merge_adapter: bool,
    /// Where the checked model is copied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Remote>,
}
