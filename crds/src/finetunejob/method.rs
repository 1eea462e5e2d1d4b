//! `spec.method`.

use crate::default::{default_is_empty_object, number};
use crate::{Decimal, rule};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The target module name that stands for every linear layer but the output head.
pub const ALL_LINEAR: &str = "all-linear";

/// Which parameters are trained.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::rule(
    "(self.type == 'lora') == has(self.lora)",
    "lora is required when type is lora (lora: {} takes every default) and not allowed when type is full"
))]
pub struct Method {
    /// lora trains a low-rank adapter; full trains every parameter.
    #[serde(rename = "type")]
    pub type_: MethodType,
    /// The adapter's settings, with PEFT's names and meanings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
}

/// Which parameters are trained.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodType {
    /// A low-rank adapter.
    Lora,
    /// Every parameter.
    Full,
}

/// Low-rank adaptation, with PEFT's names and meanings.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lora {
    /// The adapter's rank: more learns more and costs more.
    #[serde(default = "number::<16>")]
    #[schemars(range(min = 1, max = 1024))]
    pub r: u32,
    /// The adapter's output is scaled by loraAlpha / r (by loraAlpha / sqrt(r) with useRslora).
    #[serde(default = "number::<32>")]
    #[schemars(range(min = 1, max = 65_536))]
    pub lora_alpha: u32,
    /// The probability that an input of the adapter is dropped in training.
    #[serde(default = "zero")]
    #[x_kube(validation = rule::fraction_below_one())]
    pub lora_dropout: Decimal,
    /// The modules that get an adapter: names such as q_proj, or all-linear for every linear layer but the output head.
    #[serde(default = "all_linear")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub target_modules: Vec<String>,
    /// Whether the scale is loraAlpha / sqrt(r) (rank-stabilised LoRA).
    #[serde(default)]
    pub use_rslora: bool,
}

default_is_empty_object!(Lora);

fn zero() -> Decimal {
    Decimal::from("0.0")
}

fn all_linear() -> Vec<String> {
    vec![ALL_LINEAR.to_owned()]
}
