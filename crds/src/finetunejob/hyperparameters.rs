//! `spec.hyperparameters`.

use crate::default::number;
use crate::{Decimal, rule};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to train; names as in transformers' TrainingArguments, the optimizer is AdamW.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::rule(
    "has(self.numTrainEpochs) || has(self.maxSteps)",
    "say how long to train: set numTrainEpochs or maxSteps (maxSteps wins where both are given)"
))]
pub struct Hyperparameters {
    /// Passes over the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub num_train_epochs: Option<u32>,
    /// Optimizer steps; wins over numTrainEpochs where both are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_steps: Option<u32>,
    /// Examples (rows with dataset.packing) that one process handles at a time.
    #[serde(default = "number::<8>")]
    #[schemars(range(min = 1, max = 4096))]
    pub per_device_train_batch_size: u32,
    /// Micro-batches of each process in one optimizer step.
    #[serde(default = "number::<1>")]
    #[schemars(range(min = 1, max = 65_536))]
    pub gradient_accumulation_steps: u32,
    /// The peak learning rate; if it is not given, "2e-4" for lora and "2e-5" for full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rule::positive("10.0"))]
    pub learning_rate: Option<Decimal>,
    /// The learning rate's course after warm-up: linear and cosine fall to zero, constant stays.
    #[serde(default)]
    pub lr_scheduler_type: LrSchedulerType,
    /// Steps over which the learning rate rises from zero to its peak.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub warmup_steps: u32,
    /// Decoupled weight decay; norms and biases are exempt.
    #[serde(default = "weight_decay")]
    #[x_kube(validation = rule::between("0.0", "1.0"))]
    pub weight_decay: Decimal,
    /// Decay of AdamW's first moment.
    #[serde(default = "adam_beta1")]
    #[x_kube(validation = rule::fraction_below_one())]
    pub adam_beta1: Decimal,
    /// Decay of AdamW's second moment.
    #[serde(default = "adam_beta2")]
    #[x_kube(validation = rule::fraction_below_one())]
    pub adam_beta2: Decimal,
    /// AdamW's epsilon, which keeps a division from zero.
    #[serde(default = "adam_epsilon")]
    #[x_kube(validation = rule::positive("1.0"))]
    pub adam_epsilon: Decimal,
    /// Gradients are scaled down to this global norm; "0" leaves them as they are.
    #[serde(default = "max_grad_norm")]
    #[x_kube(validation = rule::between("0.0", "1e6"))]
    pub max_grad_norm: Decimal,
    /// The number type of weights and activations; parameters in training keep an fp32 master copy.
    #[serde(default)]
    pub precision: Precision,
    /// Whether activations are computed again in the backward pass instead of kept: less memory, more time.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// The seed of the data order, the validation split, the adapter's first values and dropout.
    #[serde(default = "number::<42>")]
    #[schemars(range(min = 0, max = 4_294_967_295u32))]
    pub seed: u32,
}

fn weight_decay() -> Decimal {
    Decimal::from("0.0")
}

fn adam_beta1() -> Decimal {
    Decimal::from("0.9")
}

fn adam_beta2() -> Decimal {
    Decimal::from("0.999")
}

fn adam_epsilon() -> Decimal {
    Decimal::from("1e-8")
}

fn max_grad_norm() -> Decimal {
    Decimal::from("1.0")
}

/// The learning rate's course after warm-up.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedulerType {
    /// A straight line from the peak to zero.
    #[default]
    Linear,
    /// Half a cosine from the peak to zero.
    Cosine,
    /// The peak throughout.
    Constant,
}

/// The number type of weights and activations.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bfloat16 with fp32 accumulation.
    #[default]
    Bf16,
    /// IEEE single precision.
    Fp32,
}
