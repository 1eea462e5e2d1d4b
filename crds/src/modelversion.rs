//! ModelVersion: one entry of the model registry, an immutable artifact in a movable stage.

use crate::rule::{immutable, immutable_optional, rule};
use crate::{Condition, Decimal, pattern};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A model as it was published. Everything but `stage` is immutable.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "temper.dev",
    version = "v1alpha1",
    kind = "ModelVersion",
    plural = "modelversions",
    shortname = "mv",
    category = "temper",
    namespaced,
    status = "ModelVersionStatus",
    derive = "PartialEq",
    selectable = ".spec.modelName",
    selectable = ".spec.stage",
    doc = "ModelVersion is one version of a named model in the registry: what it is made of, where it is and which stage it is in.",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.modelName", description = "The model's name."),
    printcolumn(name = "Version", type_ = "integer", json_path = ".spec.version", description = "The version of it."),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage", description = "The stage it is in."),
    printcolumn(name = "Format", type_ = "string", json_path = ".spec.format", description = "Adapter or whole model."),
    printcolumn(
        name = "Perplexity",
        type_ = "string",
        json_path = ".spec.metrics.validationPerplexity",
        description = "Held-out perplexity when it was published."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = immutable("modelName"),
    validation = immutable("version"),
    validation = immutable("uri"),
    validation = immutable("digest"),
    validation = immutable("format"),
    validation = immutable_optional("baseModel"),
    validation = immutable_optional("chatTemplateDigest"),
    validation = immutable_optional("trainingConfig"),
    validation = immutable_optional("metrics"),
    validation = immutable_optional("sourceRef"),
    validation = rule("self.format != 'PeftAdapter' || has(self.baseModel)", "an adapter needs its base model: set baseModel")
)]
pub struct ModelVersionSpec {
    /// The model that this is a version of.
    #[schemars(length(min = 1, max = 52), regex(pattern = pattern::LABEL_NAME))]
    pub model_name: String,
    /// The version, counted from 1 for each model name.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub version: u32,
    /// The folder that the model is in.
    #[schemars(length(max = 2048), regex(pattern = pattern::TARGET_URI))]
    pub uri: String,
    /// The SHA-256 over the folder's file names and contents; what is served must have it.
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub digest: String,
    /// What kind of folder it is.
    pub format: ModelFormat,
    /// The model that an adapter belongs to, or that a whole model was tuned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseModelReference>,
    /// The SHA-256 of the chat template that the model was trained with; a server uses no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub chat_template_digest: Option<String>,
    /// The settings that it was trained with, by field name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::text_map")]
    pub training_config: BTreeMap<String, String>,
    /// What was measured when it was published, such as trainingLoss, validationLoss and validationPerplexity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::decimal_map")]
    pub metrics: BTreeMap<String, Decimal>,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceReference>,
    /// The stage it is in; deployments follow stages.
    #[serde(default)]
    pub stage: Stage,
}

/// What kind of folder a model is.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelFormat {
    /// A PEFT adapter: adapter_config.json and adapter_model.safetensors.
    PeftAdapter,
    /// A whole model in Hugging Face's layout.
    HuggingFace,
}

/// A base model and the digest it had.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseModelReference {
    /// Where the base model was read from.
    #[schemars(length(max = 2048), regex(pattern = pattern::SOURCE_URI))]
    pub uri: String,
    /// The SHA-256 of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = pattern::DIGEST))]
    pub digest: Option<String>,
}

/// The resource that made the model version.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReference {
    /// Its kind, such as FineTuneJob.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its UID; a local run's identity stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub uid: Option<String>,
}

/// The stage that a model version is in.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// In none: kept, but nobody follows it.
    #[default]
    None,
    /// To be tried.
    Staging,
    /// To be served.
    Production,
    /// No longer to be used.
    Archived,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// What has become of a model version.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Aspects of the model version's state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The stages it has been in, oldest first; the latest 64 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<StageRecord>,
    /// Names of the ModelDeployments that serve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub deployed_by: Vec<String>,
}

/// A time in one stage.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageRecord {
    /// The stage.
    pub stage: Stage,
    /// When it entered it.
    pub from: Time,
    /// When it left it; none while it is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
    /// Who moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
}
