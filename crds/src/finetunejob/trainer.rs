//! `spec.trainer`.

use super::base_model::SecretReference;
use crate::default::{default_is_empty_object, number};
use crate::rule::{immutable, immutable_optional, rule};
use crate::{Quantity, pattern};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The resource name of NVIDIA GPUs.
pub const NVIDIA_GPU: &str = "nvidia.com/gpu";

/// The training processes: how many, with what resources, where.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = immutable_optional("image"),
    validation = immutable_optional("imagePullPolicy"),
    validation = immutable_optional("imagePullSecrets"),
    validation = immutable_optional("env"),
    validation = immutable("strategy"),
    validation = immutable("resourcesPerNode"),
    validation = immutable_optional("nodeSelector"),
    validation = immutable_optional("tolerations"),
    validation = immutable_optional("priorityClassName"),
    validation = immutable_optional("runtimeClassName"),
    validation = immutable_optional("serviceAccountName")
)]
pub struct Trainer {
    /// The trainer's image; if it is not given, the one that belongs to the operator's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with credentials of the image's registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<SecretReference>,
    /// Environment variables that tune libraries (NCCL_*, GLOO_*, OMP_*, MKL_*, CUDA_* and the like); no others, and not their numbers of threads, which come from limits.cpu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Machines (pods).
    #[serde(default = "number::<1>")]
    #[schemars(range(min = 1, max = 1024))]
    pub num_nodes: u32,
    /// Processes (ranks) on each machine: one for each GPU.
    #[serde(default = "number::<1>")]
    #[schemars(range(min = 1, max = 64))]
    pub num_proc_per_node: u32,
    /// How the work is divided: ddp gives every process the whole model and a share of the data.
    #[serde(default)]
    pub strategy: Strategy,
    /// Resources of each pod.
    #[serde(default)]
    pub resources_per_node: Resources,
    /// Labels that a machine must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of machines that the pods put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// The pods' PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::OBJECT_NAME))]
    pub priority_class_name: Option<String>,
    /// The pods' RuntimeClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::OBJECT_NAME))]
    pub runtime_class_name: Option<String>,
    /// The pods' ServiceAccount, for clouds that give credentials to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::OBJECT_NAME))]
    pub service_account_name: Option<String>,
}

default_is_empty_object!(Trainer);

/// When an image is pulled.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the machine does not have it.
    IfNotPresent,
    /// Never: the machine must have it.
    Never,
}

/// An environment variable that tunes a library.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// The variable's name: NCCL_*, GLOO_*, OMP_*, MKL_*, KMP_*, GOMP_*, UCX_*, FI_*, CUDA_* or TORCH_NCCL_*.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rule(
        format!("self.matches('{}')", pattern::TUNING_ENV),
        "only variables that tune libraries may be set: NCCL_*, GLOO_*, OMP_*, MKL_*, KMP_*, GOMP_*, UCX_*, FI_*, CUDA_*, TORCH_NCCL_*"
    ))]
    #[x_kube(validation = rule(
        "!self.endsWith('_NUM_THREADS')",
        "a process's threads come from resourcesPerNode.limits.cpu divided by numProcPerNode: remove the variable"
    ))]
    pub name: String,
    /// The variable's value.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// How the work is divided among processes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Every process has the whole model and a share of the data.
    #[default]
    Ddp,
    /// Parameters, gradients and optimizer state are divided too.
    Fsdp,
}

/// Resources of one pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// The most that the pod gets. limits.cpu divided by numProcPerNode is a process's number of threads (1 without it), so that
    /// results do not depend on the machine; nvidia.com/gpu must equal numProcPerNode. A local run takes these two from here, no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::quantity_map")]
    pub limits: BTreeMap<String, Quantity>,
    /// What the pod is promised; if it is not given, the limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::quantity_map")]
    pub requests: BTreeMap<String, Quantity>,
}

/// A taint that the pods put up with.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// The taint's key; none with operator Exists tolerates every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    pub key: Option<String>,
    /// Equal compares the value; Exists takes any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The taint's effect; none means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds that a NoExecute taint is put up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub toleration_seconds: Option<u32>,
}

/// How a toleration compares a taint's value.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TolerationOperator {
    /// The value must be equal.
    Equal,
    /// Any value will do.
    Exists,
}

/// What a taint does.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaintEffect {
    /// New pods are kept away.
    NoSchedule,
    /// New pods are kept away where possible.
    PreferNoSchedule,
    /// Running pods are evicted.
    NoExecute,
}
