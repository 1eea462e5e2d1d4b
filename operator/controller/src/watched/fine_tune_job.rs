//! What is kept of a FineTuneJob: its text while it is active, next to nothing once it is finished.

use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use temper_crds::condition::{COMPLETE, ConditionStatus, FAILED, READY, reason};
use temper_crds::{FineTuneJob, FineTuneJobStatus, label};

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
    Active(Active),
    /// What the time after the end depends on.
    Finished(Finished),
}

/// A job that may still change: as the API server wrote it, for that takes a third of what the decoded values would.
#[derive(Clone, Debug)]
pub struct Active {
    spec: Box<RawValue>,
    status: Option<Box<RawValue>>,
    /// The reason of its `Ready` condition, if it has one.
    pub ready: Option<Box<str>>,
}

/// Why jobs fail. Each reason is kept as one of these, so that thousands of jobs that are over cost no strings.
const FAILURES: [&str; 7] = [
    reason::INVALID_INPUT,
    reason::DIVERGED,
    reason::RESTARTS_EXHAUSTED,
    reason::DEADLINE_EXCEEDED,
    reason::VERSION_SKEW,
    reason::INSUFFICIENT_MEMORY,
    reason::REGISTRATION_FAILED,
];

/// A job that is complete or has failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// `Complete`, or why it failed; `Failed` where this version knows no such reason.
    pub reason: &'static str,
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
    spec: Box<RawValue>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// What tells a finished job from one that is active.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ends {
    conditions: Vec<Condition>,
    observed_generation: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: ConditionStatus,
    reason: Box<str>,
    last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
}

/// What the time after the end depends on.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AfterTheEnd {
    ttl_seconds_after_finished: Option<u32>,
    output: Output,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Output {
    storage_uri: Option<String>,
}

impl From<Whole> for KnownJob {
    fn from(whole: Whole) -> Self {
        let Whole { mut metadata, spec, status } = whole;
        // What Kueue reads the training Job carries on. The others are of use to other programs. Managed fields were never decoded.
        if let Some(annotations) = &mut metadata.annotations {
            annotations.retain(|name, _| name.starts_with(label::KUEUE_PREFIX));
        }
        metadata.annotations = metadata.annotations.filter(|kept| !kept.is_empty());
        // What cannot be read as ends counts as none; `whole` says then what is wrong.
        let ends: Ends = status.as_ref().and_then(|status| serde_json::from_str(status.get()).ok()).unwrap_or_default();
        let is_end = |condition: &&Condition| {
            (condition.type_ == COMPLETE || condition.type_ == FAILED) && condition.status == ConditionStatus::True
        };
        let Some(end) = ends.conditions.iter().find(is_end) else {
            let ready = ends.conditions.into_iter().find(|condition| condition.type_ == READY).map(|condition| condition.reason);
            return Self { metadata, body: Body::Active(Active { spec, status, ready }) };
        };
        let after: AfterTheEnd = serde_json::from_str(spec.get()).unwrap_or_default();
        let finished = Finished {
            reason: if end.type_ == COMPLETE { COMPLETE } else { why_it_failed(&end.reason) },
            at: end.last_transition_time.0,
            ttl_seconds: after.ttl_seconds_after_finished,
            observed_generation: ends.observed_generation,
            keeps_claim: end.type_ == FAILED || after.output.storage_uri.is_none(),
        };
        (metadata.labels, metadata.annotations) = (None, None);
        Self { metadata, body: Body::Finished(finished) }
    }
}

fn why_it_failed(reason: &str) -> &'static str {
    FAILURES.into_iter().find(|known| *known == reason).unwrap_or(FAILED)
}

impl Finished {
    /// Complete rather than failed.
    pub fn is_complete(&self) -> bool {
        self.reason == COMPLETE
    }

    /// Whether nothing is left to come: nothing is to be freed, and the status is about this generation.
    pub fn is_settled(&self, generation: Option<i64>) -> bool {
        self.ttl_seconds.is_none() && self.observed_generation >= generation
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

    /// The whole of an active job; `None` for a finished one.
    ///
    /// # Errors
    /// When its spec or status is not what this version of the API has.
    pub fn whole(&self) -> serde_json::Result<Option<FineTuneJob>> {
        let Body::Active(active) = &self.body else { return Ok(None) };
        let status = active.status.as_ref().map(|status| serde_json::from_str::<FineTuneJobStatus>(status.get())).transpose()?;
        let spec = serde_json::from_str(active.spec.get())?;
        // A job without a status is one whose status says nothing yet.
        Ok(Some(FineTuneJob { metadata: self.metadata.clone(), spec, status: Some(status.unwrap_or_default()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, KnownJob};
    use serde_json::json;

    const TOPOLOGY: &str = "kueue.x-k8s.io/podset-required-topology";

    fn known(status: serde_json::Value) -> KnownJob {
        let annotations = json!({ TOPOLOGY: "rack", "kubectl.kubernetes.io/last-applied-configuration": "{}" });
        let job = json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
            "metadata": { "name": "tiny", "namespace": "ml", "uid": "u", "labels": { "a": "b" }, "annotations": annotations },
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
        let whole = job.whole().expect("a job of this version").expect("active");
        assert_eq!((whole.spec.hyperparameters.max_steps, whole.status.map(|status| status.restarts)), (Some(60), Some(2)));
        assert!(job.metadata.labels.is_some(), "Kueue's labels are read from it");
        let annotations = whole.metadata.annotations.expect("and its annotations");
        assert_eq!(annotations.keys().collect::<Vec<_>>(), [TOPOLOGY], "the others are nobody's here");
    }

    #[test]
    fn a_job_of_another_version_of_the_api_is_active_and_says_what_is_wrong() {
        let error = known(json!({ "restarts": "many" })).whole().expect_err("no number").to_string();
        assert!(error.contains("many"), "{error}");
    }

    #[test]
    fn of_a_finished_job_only_what_comes_after_is_kept() {
        let complete = json!({ "type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let job = known(json!({ "observedGeneration": 3, "conditions": [complete] }));
        assert_eq!((&job.metadata.labels, &job.metadata.annotations), (&None, &None));
        let Body::Finished(finished) = job.body else { panic!("finished") };
        assert!(finished.is_complete() && !finished.keeps_claim);
        assert_eq!((finished.ttl_seconds, finished.observed_generation), (Some(60), Some(3)));
        assert!(!finished.is_settled(Some(3)), "it is to be freed");
    }

    #[test]
    fn why_a_job_failed_is_kept() {
        let kept = |reason: &str| {
            let failed = json!({ "type": "Failed", "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
            let Body::Finished(finished) = known(json!({ "conditions": [failed] })).body else { panic!("finished") };
            (finished.is_complete(), finished.reason)
        };
        assert_eq!(kept("Diverged"), (false, "Diverged"));
        assert_eq!(kept("OfANewerVersion"), (false, "Failed"));
        assert_eq!(kept("Complete"), (false, "Failed"));
    }
}
