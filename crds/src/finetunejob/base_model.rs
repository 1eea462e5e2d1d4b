//! `spec.baseModel`.

use crate::pattern;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model to start from: a Hugging Face safetensors folder or one GGUF file.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rule::rule(
    "!has(self.revision) || self.storageUri.startsWith('hf://')",
    "revision is for hf:// models only: remove it, or name the revision in the path"
))]
pub struct BaseModel {
    /// Where the model is: hf://OWNER/NAME, s3://, gs:// or az://BUCKET/PATH, pvc://CLAIM/PATH, or (local runs only) file://PATH.
    #[schemars(length(max = 2048), regex(pattern = pattern::SOURCE_URI))]
    pub storage_uri: String,
    /// The branch, tag or commit of a Hugging Face repository; main if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub revision: Option<String>,
    /// The Secret with the credentials that reading the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// A Secret in the job's own namespace, mounted into the pods as files and never read by the operator.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::OBJECT_NAME))]
    pub name: String,
}
