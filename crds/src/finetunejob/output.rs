//! `spec.output`.

use super::base_model::SecretReference;
use crate::default::default_is_empty_object;
use crate::modelversion::Stage;
use crate::pattern;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where the finished model goes, and whether it is entered in the registry.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// A folder: pvc://CLAIM/PATH, s3://, gs://, az:// or (local runs only) file://PATH. If it is not given, a folder of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = pattern::TARGET_URI))]
    pub storage_uri: Option<String>,
    /// The Secret with the credentials that writing takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Whether the adapter is folded into the base weights and a whole model is published.
    #[serde(default)]
    pub merge_adapter: bool,
    /// Enters the model in the registry as the next version of a name. Without it the model is only written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<Register>,
}

default_is_empty_object!(Output);

/// The entry in the registry.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The model's name; versions are counted for each name.
    #[schemars(length(min = 1, max = 52), regex(pattern = pattern::LABEL_NAME))]
    pub model_name: String,
    /// The stage that the new version starts in.
    #[serde(default)]
    pub stage: Stage,
}
