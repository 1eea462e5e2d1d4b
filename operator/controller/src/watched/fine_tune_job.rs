//! What is kept of a FineTuneJob: all of it while it is active, next to nothing once it is finished.

use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::Deserialize;
use std::borrow::Cow;
use temper_crds::condition::{COMPLETE, ConditionStatus, FAILED};
use temper_crds::{FineTuneJob, FineTuneJobSpec, FineTuneJobStatus};

/// A FineTuneJob.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Whole")]
pub struct KnownJob {
    /// Name, UID, generation.
    pub metadata: ObjectMeta,
    /// The rest.
    pub body: Body,
}

/// What is kept besides the metadata.
#[derive(Clone, Debug)]
pub enum Body {
    /// Everything.
    Active(Box<Active>),
    /// What the time after the end depends on.
    Finished(Finished),
}

/// A job that may still change.
#[derive(Clone, Debug)]
pub struct Active {
    /// What is asked for.
    pub spec: FineTuneJobSpec,
    /// What was last written.
    pub status: FineTuneJobStatus,
}

/// A job that is complete or has failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Complete rather than failed.
    pub complete: bool,
    /// When it ended.
    pub at: Timestamp,
    /// `spec.ttlSecondsAfterFinished`.
    pub ttl_seconds: Option<u32>,
    /// The generation that the status is about.
    pub observed_generation: Option<i64>,
    /// Whether the model lies on the claim that was made for the job, which is kept then.
    pub keeps_claim: bool,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default, deserialize_with = "super::metadata::without_managed_fields")]
    metadata: ObjectMeta,
    spec: FineTuneJobSpec,
    #[serde(default)]
    status: Option<FineTuneJobStatus>,
}

impl From<Whole> for KnownJob {
    fn from(whole: Whole) -> Self {
        let Whole { mut metadata, spec, status } = whole;
        super::prune(&mut metadata, &[]);
        let status = status.unwrap_or_default();
        let is_end = |type_: &str| type_ == COMPLETE || type_ == FAILED;
        let end = status.conditions.iter().find(|condition| is_end(&condition.type_) && condition.status == ConditionStatus::True);
        let Some(end) = end else { return Self { metadata, body: Body::Active(Box::new(Active { spec, status })) } };
        let finished = Finished {
            complete: end.type_ == COMPLETE,
            at: end.last_transition_time.0,
            ttl_seconds: spec.ttl_seconds_after_finished,
            observed_generation: status.observed_generation,
            keeps_claim: end.type_ == FAILED || spec.output.storage_uri.is_none(),
        };
        metadata.labels = None;
        Self { metadata, body: Body::Finished(finished) }
    }
}

impl kube::Resource for KnownJob {
    type DynamicType = ();
    type Scope = <FineTuneJob as kube::Resource>::Scope;

    fn kind(_: &()) -> Cow<'_, str> {
        FineTuneJob::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        FineTuneJob::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        FineTuneJob::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        FineTuneJob::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl KnownJob {
    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether it is not finished.
    pub fn is_active(&self) -> bool {
        matches!(self.body, Body::Active(_))
    }

    /// The whole of an active job.
    pub fn whole(&self) -> Option<FineTuneJob> {
        match &self.body {
            Body::Active(active) => {
                Some(FineTuneJob { metadata: self.metadata.clone(), spec: active.spec.clone(), status: Some(active.status.clone()) })
            }
            Body::Finished(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, KnownJob};
    use serde_json::json;

    fn known(status: serde_json::Value) -> KnownJob {
        let job = json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
            "metadata": { "name": "tiny", "namespace": "ml", "uid": "u", "labels": { "a": "b" } },
            "spec": {
                "baseModel": { "storageUri": "pvc://models/tiny" },
                "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
                "method": { "type": "full" },
                "hyperparameters": { "maxSteps": 60 },
                "output": { "storageUri": "pvc://models/out" },
                "ttlSecondsAfterFinished": 60,
            },
            "status": status,
        });
        serde_json::from_value(job).expect("a job")
    }

    #[test]
    fn an_active_job_is_kept_whole() {
        let job = known(json!({ "restarts": 2 }));
        let whole = job.whole().expect("active");
        assert_eq!((whole.spec.hyperparameters.max_steps, whole.status.map(|status| status.restarts)), (Some(60), Some(2)));
        assert!(job.metadata.labels.is_some(), "Kueue's labels are read from it");
    }

    #[test]
    fn of_a_finished_job_only_what_comes_after_is_kept() {
        let complete = json!({ "type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let job = known(json!({ "observedGeneration": 3, "conditions": [complete] }));
        let Body::Finished(finished) = job.body else { panic!("finished") };
        assert!(finished.complete && !finished.keeps_claim);
        assert_eq!((finished.ttl_seconds, finished.observed_generation), (Some(60), Some(3)));
    }
}
