//! What is read of a `batch/v1` Job.

use super::{Kept, stands_for};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use serde::Deserialize;
use temper_crds::label;

/// A Job, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "BatchJobEvent")]
pub struct BatchJob {
    /// Name, owner, times.
    pub metadata: Kept,
    /// The UID of the job that it was made for, by its annotation.
    made_for: Option<Box<str>>,
    /// What is asked for.
    pub spec: BatchJobSpec,
    /// What has become of it.
    pub status: BatchJobStatus,
}

/// A Job, as a watch tells it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BatchJobEvent {
    /// All of the metadata but managed fields.
    #[serde(default, deserialize_with = "super::metadata::without_managed_fields")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: BatchJobSpec,
    #[serde(default)]
    status: BatchJobStatus,
}

stands_for!(BatchJobEvent, k8s_openapi::api::batch::v1::Job);

impl From<BatchJobEvent> for BatchJob {
    fn from(event: BatchJobEvent) -> Self {
        let BatchJobEvent { metadata, spec, status } = event;
        let made_for = metadata.annotations.as_ref().and_then(|all| all.get(label::JOB_UID)).map(|uid| uid.as_str().into());
        Self { metadata: Kept::of(&metadata), made_for, spec, status }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchJobSpec {
    /// Whether a queue holds it.
    pub suspend: Option<bool>,
    /// Pods that must succeed.
    pub completions: Option<i32>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchJobStatus {
    /// Complete, Failed, FailureTarget, SuccessCriteriaMet, Suspended.
    pub conditions: Vec<JobCondition>,
    /// Pods that run or wait to.
    pub active: Option<i32>,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobCondition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: Box<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Box<str>,
    /// Since when.
    pub last_transition_time: Option<Time>,
    /// Why, in one word.
    pub reason: Option<Box<str>>,
    /// Why, in a sentence.
    pub message: Option<Box<str>>,
}

impl BatchJob {
    /// One that was asked for and has not been seen.
    pub fn asked_for(metadata: Kept) -> Self {
        Self { metadata, ..Self::default() }
    }

    /// The condition, if it holds.
    pub fn condition(&self, type_: &str) -> Option<&JobCondition> {
        self.status.conditions.iter().find(|condition| &*condition.type_ == type_ && &*condition.status == "True")
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

    /// Whether it belongs to the job with this UID: by its owner reference, or by what it was made with if somebody took that away.
    pub fn is_of(&self, uid: &str) -> bool {
        self.is_owned_by(uid) || self.metadata.controller().is_none() && self.made_for.as_deref() == Some(uid)
    }

    /// Whether the job with this UID is its owner, so that it goes when that goes.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.metadata.is_owned_by(uid)
    }

    /// Whether it is being deleted.
    pub fn is_going(&self) -> bool {
        self.metadata.deleted.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::BatchJob;
    use serde_json::{Value, json};

    fn job(owners: Value, made_for: &str) -> BatchJob {
        let annotations = json!({ "temper.dev/job-uid": made_for });
        serde_json::from_value(json!({ "metadata": { "ownerReferences": owners, "annotations": annotations } })).expect("a Job")
    }

    #[test]
    fn a_job_is_known_again_without_its_owner_and_never_taken_from_another() {
        let owner = |uid: &str| json!([{ "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "name": "x", "uid": uid, "controller": true }]);
        let table = [
            (job(owner("1"), "1"), (true, true)),
            (job(json!([]), "1"), (true, false)),
            (job(owner("2"), "2"), (false, false)),
            (job(owner("2"), "1"), (false, false)),
            (job(json!([]), "2"), (false, false)),
        ];
        for (job, expected) in table {
            assert_eq!((job.is_of("1"), job.is_owned_by("1")), expected, "{:?}", job.metadata);
        }
    }
}
