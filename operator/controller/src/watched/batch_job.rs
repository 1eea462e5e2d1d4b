//! What is read of a `batch/v1` Job.

use super::stands_for;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use serde::Deserialize;

/// A Job.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BatchJob {
    /// Name, owner, labels.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: BatchJobSpec,
    /// What has become of it.
    #[serde(default)]
    pub status: BatchJobStatus,
}

stands_for!(BatchJob, k8s_openapi::api::batch::v1::Job);

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchJobSpec {
    /// Whether a queue holds it.
    pub suspend: Option<bool>,
    /// Pods that must succeed.
    pub completions: Option<i32>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchJobStatus {
    /// Complete, Failed, FailureTarget, SuccessCriteriaMet, Suspended.
    pub conditions: Vec<JobCondition>,
    /// Pods that run or wait to.
    pub active: Option<i32>,
}

/// One condition.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobCondition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Since when.
    pub last_transition_time: Option<Time>,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub message: Option<String>,
}

impl BatchJob {
    /// The condition, if it holds.
    pub fn condition(&self, type_: &str) -> Option<&JobCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
    }

    /// Whether its pods have done what it is for.
    pub fn has_succeeded(&self) -> bool {
        self.condition("Complete").or_else(|| self.condition("SuccessCriteriaMet")).is_some()
    }

    /// Whether it is given up, though pods of it may still be ending.
    pub fn has_failed(&self) -> bool {
        self.condition("Failed").or_else(|| self.condition("FailureTarget")).is_some()
    }

    /// Whether a queue holds it.
    pub fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether it is being deleted.
    pub fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}
