//! What is read of a Pod.

use super::stands_for;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use serde::Deserialize;

/// The annotation that tells which of an Indexed Job's pods it is.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The conditions that decisions depend on.
const READ_CONDITIONS: [&str; 4] = ["PodScheduled", "Ready", "ContainersReady", "DisruptionTarget"];

/// A Pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Pod {
    /// Name, owner, labels.
    #[serde(default, deserialize_with = "super::metadata::without_managed_fields")]
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: PodSpec,
    /// What has become of it.
    #[serde(default)]
    pub status: PodStatus,
}

stands_for!(Pod, k8s_openapi::api::core::v1::Pod);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// The machine it is bound to.
    pub node_name: Option<String>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: String,
    /// Why, in one word, where the kubelet ended it (`Evicted`).
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub message: Option<String>,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Those that decisions depend on, after [`Pod::keep_what_is_read`].
    pub conditions: Vec<PodCondition>,
    /// Its containers.
    pub container_statuses: Vec<ContainerStatus>,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodCondition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub message: Option<String>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Waiting, running or ended.
    pub state: ContainerState,
}

/// A container's state; a running one has neither part.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It is not started yet.
    pub waiting: Option<Waiting>,
    /// It has ended.
    pub terminated: Option<Terminated>,
}

/// Why a container is not started.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// In one word: ContainerCreating, ErrImagePull, CreateContainerConfigError, ...
    pub reason: Option<String>,
    /// In a sentence.
    pub message: Option<String>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// Its exit code; 128 + n where signal n ended it.
    pub exit_code: i32,
    /// `OOMKilled`, `Error`, `Completed`, ...
    pub reason: Option<String>,
    /// The termination message.
    pub message: Option<String>,
    /// When.
    pub finished_at: Option<Time>,
}

impl Pod {
    /// Lets conditions go that no decision depends on; they change, too.
    pub fn keep_what_is_read(&mut self) {
        self.status.conditions.retain(|condition| READ_CONDITIONS.contains(&condition.type_.as_str()));
        self.status.conditions.shrink_to_fit();
    }

    /// The condition, whatever its status.
    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The end of its container, if it has ended.
    pub fn terminated(&self) -> Option<&Terminated> {
        self.status.container_statuses.iter().find_map(|status| status.state.terminated.as_ref())
    }

    /// Why its container is not started, if it is not.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.status.container_statuses.iter().find_map(|status| status.state.waiting.as_ref())
    }

    /// Whether it has ended for good.
    pub fn is_over(&self) -> bool {
        self.status.phase == "Succeeded" || self.status.phase == "Failed"
    }

    /// The name, for people.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}
