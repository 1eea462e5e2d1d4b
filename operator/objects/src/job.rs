//! The Job of one try at a stage.

use crate::failure_policy::pod_failure_policy;
use crate::metadata::{metadata, of_try};
use crate::names;
use crate::owner::Owner;
use crate::pod;
use crate::settings::Settings;
use crate::work::{Try, Work};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use temper_crds::label;
use temper_planner::{Stage, ValidatedFineTuneJob};

/// The Job of this try. One that trains is an Indexed one, of one pod a node; no queue holds another, which takes no accelerator.
pub(crate) fn of(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, attempt: Try) -> Job {
    let mut batch_job = batch_job(owner, attempt.stage(), attempt.number, pod::of(job, owner, settings, attempt));
    if let Work::Train { num_nodes, .. } = attempt.work {
        train(&mut batch_job, job, num_nodes);
    }
    batch_job
}

/// What a Job that trains has beside the others.
fn train(batch_job: &mut Job, job: &ValidatedFineTuneJob, num_nodes: usize) {
    batch_job.metadata.labels.get_or_insert_default().extend(job.placement.queue_labels.clone());
    if let Some(spec) = &mut batch_job.spec {
        let topology = &job.placement.topology;
        if !topology.is_empty() {
            spec.template.metadata.get_or_insert_default().annotations.get_or_insert_default().extend(topology.clone());
        }
        let nodes = i32::try_from(num_nodes).unwrap_or(i32::MAX);
        spec.completion_mode = Some("Indexed".to_owned());
        (spec.completions, spec.parallelism) = (Some(nodes), Some(nodes));
        // The queue says when it begins, and whether it goes on; without one nobody is to be asked.
        spec.suspend = job.placement.queue_labels.contains_key(label::KUEUE_QUEUE_NAME).then_some(true);
    }
}

fn batch_job(owner: &Owner, stage: Stage, attempt: u64, template: PodTemplateSpec) -> Job {
    Job {
        metadata: metadata(owner, names::batch_job(&owner.name, stage, attempt), of_try(&owner.name, stage, attempt)),
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            completion_mode: Some("NonIndexed".to_owned()),
            completions: Some(1),
            parallelism: Some(1),
            pod_failure_policy: Some(pod_failure_policy()),
            // A pod that is ending still holds its accelerators and may still write.
            pod_replacement_policy: Some("Failed".to_owned()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}
