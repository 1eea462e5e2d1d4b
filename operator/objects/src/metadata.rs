//! Names, labels and owners of objects.

use crate::owner::Owner;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use std::collections::BTreeMap;
use temper_crds::label;
use temper_planner::Stage;

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// Labels of everything that is made for a job.
pub(crate) fn of_job(job: &str) -> Labels {
    labels(&[(label::JOB_NAME, job), (label::MANAGED_BY, label::MANAGER)])
}

/// Labels of one try at a stage and of its pods.
pub(crate) fn of_try(job: &str, stage: Stage, attempt: u64) -> Labels {
    let mut all = of_job(job);
    all.extend(labels(&[(label::STAGE, stage.name()), (label::ATTEMPT, &attempt.to_string())]));
    all
}

/// An object's metadata.
pub(crate) fn metadata(owner: &Owner, name: String, labels: Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels),
        annotations: Some(self::labels(&[(label::JOB_UID, &owner.uid)])),
        owner_references: Some(vec![owner.reference()]),
        ..ObjectMeta::default()
    }
}

/// Selects a job's training pods.
pub(crate) fn training_pods(job: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(training_labels(job)), match_expressions: None }
}

/// Labels that a job's training pods have, and no other pods.
pub(crate) fn training_labels(job: &str) -> Labels {
    labels(&[(label::JOB_NAME, job), (label::STAGE, Stage::Train.name())])
}

/// Selects a job's pods of some stages.
pub(crate) fn pods_of(job: &str, stages: &[Stage]) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels(&[(label::JOB_NAME, job)])),
        match_expressions: Some(vec![one_of(label::STAGE, stages.iter().map(|stage| stage.name().to_owned()))]),
    }
}

/// Requires that a label has one of some values.
pub(crate) fn one_of(label: &str, values: impl IntoIterator<Item = String>) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: label.to_owned(), operator: "In".to_owned(), values: Some(values.into_iter().collect()) }
}

/// Pairs as labels.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
