//! `spec.checkpoint`.

use super::base_model::SecretReference;
use crate::default::{default_is_empty_object, number};
use crate::pattern;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where checkpoints go, how often, and how many are kept.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// A folder: pvc://CLAIM/PATH, s3://, gs://, az:// or (local runs only) file://PATH. If it is not given, a folder of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = pattern::TARGET_URI))]
    pub storage_uri: Option<String>,
    /// The Secret with the credentials that writing takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Steps between checkpoints: what a crash can cost at most. One is also written on suspension, on SIGTERM and at the end.
    #[serde(default = "number::<500>")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub save_steps: u32,
    /// How many checkpoints are kept: the newest ones.
    #[serde(default = "number::<3>")]
    #[schemars(range(min = 1, max = 1000))]
    pub save_total_limit: u32,
}

default_is_empty_object!(Checkpoint);
