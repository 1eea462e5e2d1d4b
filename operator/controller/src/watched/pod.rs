//! What is read of a Pod.

use super::{Kept, stands_for};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use serde::Deserialize;
use temper_objects::names;

/// The annotation that tells which of an Indexed Job's pods it is.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The conditions that decisions depend on.
const READ_CONDITIONS: [&str; 4] = ["PodScheduled", "Ready", "ContainersReady", "DisruptionTarget"];

/// A Pod, as it is kept: only what decisions depend on, so that two that are equal lead to the same decisions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "PodEvent")]
pub struct Pod {
    /// Name, owner, times.
    pub metadata: Kept,
    /// Which of an Indexed Job's pods it is.
    pub completion_index: Option<u32>,
    /// The machine it is bound to.
    pub node_name: Option<Box<str>>,
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Box<str>,
    /// Why, in one word, where the kubelet ended it (`Evicted`).
    pub reason: Option<Box<str>>,
    /// Its address.
    pub pod_ip: Option<Box<str>>,
    conditions: Box<[PodCondition]>,
    waiting: Option<Box<Waiting>>,
    terminated: Option<Box<Terminated>>,
}

/// A Pod, as a watch tells it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodEvent {
    /// All of the metadata but managed fields.
    #[serde(default, deserialize_with = "super::metadata::without_managed_fields")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

stands_for!(PodEvent, k8s_openapi::api::core::v1::Pod);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: Box<str>,
    reason: Option<Box<str>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<Box<str>>,
    conditions: Vec<PodCondition>,
    container_statuses: Vec<ContainerStatus>,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodCondition {
    #[serde(rename = "type")]
    type_: Box<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Box<str>,
    /// Why, in one word.
    pub reason: Option<Box<str>>,
    /// Why, in a sentence.
    pub message: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: Box<str>,
    state: ContainerState,
}

/// A container's state; a running one has neither part.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Box<Waiting>>,
    terminated: Option<Box<Terminated>>,
}

/// Why a container is not started.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// In one word: ContainerCreating, ErrImagePull, CreateContainerConfigError, ...
    pub reason: Option<Box<str>>,
    /// In a sentence.
    pub message: Option<Box<str>>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// Its exit code; 128 + n where signal n ended it.
    pub exit_code: i32,
    /// `OOMKilled`, `Error`, `Completed`, ...
    pub reason: Option<Box<str>>,
    /// The termination message.
    pub message: Option<Box<str>>,
    /// When.
    pub finished_at: Option<Time>,
}

impl From<PodEvent> for Pod {
    fn from(event: PodEvent) -> Self {
        let PodEvent { metadata, spec, status } = event;
        let index = metadata.annotations.as_ref().and_then(|all| all.get(COMPLETION_INDEX));
        let is_read = |condition: &PodCondition| READ_CONDITIONS.contains(&&*condition.type_);
        // Others are injected: a service mesh's proxy may wait or end by itself, and says nothing about the training.
        let own = status.container_statuses.into_iter().find(|container| &*container.name == names::CONTAINER);
        let ContainerState { waiting, terminated } = own.map(|container| container.state).unwrap_or_default();
        Self {
            metadata: Kept::of(&metadata),
            completion_index: index.and_then(|index| index.parse().ok()),
            node_name: spec.node_name,
            phase: status.phase,
            reason: status.reason,
            pod_ip: status.pod_ip,
            conditions: status.conditions.into_iter().filter(is_read).collect(),
            waiting,
            terminated,
        }
    }
}

impl Pod {
    /// The condition, whatever its status.
    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        self.conditions.iter().find(|condition| &*condition.type_ == type_)
    }

    /// The end of its container, if it has ended.
    pub fn terminated(&self) -> Option<&Terminated> {
        self.terminated.as_deref()
    }

    /// Why its container is not started, if it is not.
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_deref()
    }

    /// Whether it has ended for good.
    pub fn is_over(&self) -> bool {
        matches!(&*self.phase, "Succeeded" | "Failed")
    }

    /// The name, for people.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }
}

#[cfg(test)]
mod tests {
    use super::Pod;
    use serde_json::json;

    #[test]
    fn only_the_trainers_container_speaks_for_the_pod() {
        let proxy = json!({ "name": "istio-proxy", "state": { "terminated": { "exitCode": 0, "message": "bye" } } });
        let trainer = json!({ "name": "trainer", "state": { "waiting": { "reason": "ErrImagePull" } } });
        let pod = json!({ "metadata": { "name": "p" }, "status": { "phase": "Pending", "containerStatuses": [proxy, trainer] } });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        assert!(pod.terminated().is_none());
        assert_eq!(pod.waiting().and_then(|waiting| waiting.reason.as_deref()), Some("ErrImagePull"));
    }
}
