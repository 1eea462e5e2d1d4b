//! What the operator is configured with and jobs do not say.

use std::collections::BTreeMap;
use temper_crds::finetunejob::trainer::ImagePullPolicy;

/// What the operator is configured with and jobs do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The trainer's image where a job names none.
    pub trainer_image: String,
    /// When that image is pulled; a job that names its own image says so itself.
    pub trainer_image_pull_policy: Option<ImagePullPolicy>,
    /// Size of the claim that is made for a job without one for its checkpoints, such as `50Gi`.
    pub run_volume_size: String,
    /// StorageClass of that claim; the cluster's default if it is not given.
    pub run_volume_storage_class: Option<String>,
    /// The namespace that the operator runs in: its pods may read the trainers' metrics. `None` where it runs outside the cluster.
    pub operator_namespace: Option<String>,
    /// Other namespaces whose pods may read them: Prometheus'.
    pub metrics_namespaces: Vec<String>,
    /// Environment variables of every pod, about the cluster they run in: `HTTPS_PROXY`, `HF_ENDPOINT`. A job's own go before them.
    pub environment: BTreeMap<String, String>,
    /// Whether pods name no user and no group, so that the platform assigns them, as OpenShift does.
    pub pods_without_user: bool,
}
