//! What the operator would make of a job, by the very functions that it makes it with. Decides only.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::Value;
use std::collections::BTreeSet;
use temper_crds::FineTuneJobStatus;
use temper_crds::finetunejob::attempts::StageName;
use temper_objects::{Object, Owner, Settings, prepare, publish, trainers};
use temper_planner::{Stage, ValidatedFineTuneJob};

/// Stands for the operator's own image, which only it knows.
const OPERATORS_IMAGE: &str = "temper-trainer";
/// The size of the volume that a job gets when it names none, unless the operator is told otherwise.
const RUN_VOLUME_SIZE: &str = "50Gi";

/// One object, and what for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) stage: Stage,
    pub(super) object: Object,
}

/// What the operator makes for each stage's next try; what several stages share stands with the first.
pub(super) fn parts(job: &ValidatedFineTuneJob, owner: &Owner, status: &FineTuneJobStatus, pods_without_user: bool) -> Vec<Part> {
    let settings = settings(pods_without_user);
    let parallelism = &job.parallelism;
    let (nodes, processes) = (parallelism.num_nodes, parallelism.num_proc_per_node);
    let stages = [
        (Stage::Prepare, prepare(job, owner, &settings, next(status, StageName::Prepare))),
        (Stage::Train, trainers(job, owner, &settings, next(status, StageName::Train), nodes, processes, job.max_restarts)),
        (Stage::Publish, publish(job, owner, &settings, next(status, StageName::Publish), None)),
    ];
    let mut seen = BTreeSet::new();
    let all = stages.into_iter().flat_map(|(stage, objects)| objects.into_iter().map(move |object| Part { stage, object }));
    all.filter(|part| seen.insert((part.object.kind(), part.object.name().to_owned()))).collect()
}

/// The operator's settings, as far as this can know them.
fn settings(pods_without_user: bool) -> Settings {
    Settings {
        trainer_image: OPERATORS_IMAGE.to_owned(),
        run_volume_size: RUN_VOLUME_SIZE.to_owned(),
        pods_without_user,
        ..Settings::default()
    }
}

/// The number of a stage's next try.
fn next(status: &FineTuneJobStatus, stage: StageName) -> u64 {
    let earlier = status.earlier_attempts.unwrap_or_default();
    let earlier = match stage {
        StageName::Prepare => earlier.prepare,
        StageName::Train => earlier.train,
        StageName::Publish => earlier.publish,
    };
    earlier.saturating_add(status.attempts.iter().filter(|attempt| attempt.stage == stage).count() as u64)
}

/// A Job's first pod, and how many like it run at the same time.
pub(super) fn pod(job: &Job) -> Option<(Pod, u64)> {
    let spec = job.spec.as_ref()?;
    let mut metadata = spec.template.metadata.clone().unwrap_or_default();
    metadata.name = job.metadata.name.as_ref().map(|name| format!("{name}-0"));
    metadata.namespace.clone_from(&job.metadata.namespace);
    let pods = u64::try_from(spec.parallelism.unwrap_or(1)).unwrap_or(1);
    Some((Pod { metadata, spec: spec.template.spec.clone(), status: None }, pods))
}

/// The pods that train: the template, and how many.
pub(super) fn training(parts: &[Part]) -> Option<(PodSpec, usize)> {
    parts.iter().find_map(|part| match &part.object {
        Object::Job(job) if part.stage == Stage::Train => {
            let (pod, count) = pod(job)?;
            Some((pod.spec?, usize::try_from(count).ok()?))
        }
        _ => None,
    })
}

/// A pod's manifest as it is sent.
pub(super) fn pod_manifest(pod: &Pod) -> Value {
    let mut manifest = serde_json::to_value(pod).unwrap_or_default();
    (manifest["apiVersion"], manifest["kind"]) = ("v1".into(), "Pod".into());
    manifest
}

/// What a pod asks for, in words.
pub(super) fn requests(pod: &PodSpec) -> String {
    let requests = pod.containers.iter().filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let shown: Vec<String> = requests.flatten().map(|(name, amount)| format!("{name} {}", amount.0)).collect();
    shown.join(", ")
}
