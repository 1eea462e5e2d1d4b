//! `spec.tracking`.

use super::base_model::SecretReference;
use crate::rule;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Experiment trackers that get the metrics.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::rule("has(self.wandb) || has(self.mlflow)", "name a tracker: set wandb or mlflow, or remove tracking"))]
pub struct Tracking {
    /// Weights & Biases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wandb: Option<Wandb>,
    /// MLflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<Mlflow>,
}

/// A project on Weights & Biases.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wandb {
    /// The project.
    #[schemars(length(min = 1, max = 128))]
    pub project: String,
    /// The user or team that the project belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub entity: Option<String>,
    /// The Secret with the API key.
    pub secret_ref: SecretReference,
}

/// An experiment on an MLflow server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mlflow {
    /// The server's address.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^\s]+$"))]
    pub tracking_uri: String,
    /// The experiment's name.
    #[schemars(length(min = 1, max = 256))]
    pub experiment: String,
    /// The Secret with the server's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}
