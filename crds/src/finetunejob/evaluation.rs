//! `spec.evaluation`.

use crate::default::{default_is_empty_object, number};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When to measure the held-out loss, and when to stop early because of it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rule::rule(
    "!has(self.earlyStoppingPatience) || has(self.evalSteps)",
    "earlyStoppingPatience counts evaluations: set evalSteps too"
))]
pub struct Evaluation {
    /// Steps between evaluations; without it the model is evaluated before the first step and after the last only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub eval_steps: Option<u32>,
    /// Examples in an evaluation micro-batch of one process.
    #[serde(default = "number::<8>")]
    #[schemars(range(min = 1, max = 4096))]
    pub per_device_eval_batch_size: u32,
    /// What is measured besides the loss.
    #[serde(default = "perplexity")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "set"))]
    pub metrics: Vec<EvaluationMetric>,
    /// Training stops after so many evaluations in a row without a lower validation loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub early_stopping_patience: Option<u32>,
}

default_is_empty_object!(Evaluation);

fn perplexity() -> Vec<EvaluationMetric> {
    vec![EvaluationMetric::Perplexity]
}

/// A measure of the held-out rows.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationMetric {
    /// The exponential of the mean loss of a target token.
    Perplexity,
    /// Overlap of generated with expected text, as sacreBLEU counts it.
    Bleu,
}
