//! Jobs to build objects for.

use serde_json::{Value, json};
use std::path::Path;
use temper_crds::finetunejob::trainer::ImagePullPolicy;
use temper_crds::{FineTuneJob, Resource, parse_manifest};
use temper_objects::{Object, Owner, Settings, prepare, publish, trainers};
use temper_planner::{Capabilities, ValidatedFineTuneJob, validate};

/// A job with its owner.
pub(crate) struct Example {
    pub(crate) job: ValidatedFineTuneJob,
    pub(crate) owner: Owner,
}

impl Example {
    fn of(mut job: FineTuneJob) -> Self {
        job.metadata.namespace = Some("ml".to_owned());
        job.metadata.uid = Some("0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55".to_owned());
        let owner = Owner::of(&job).expect("the API server has filled in the metadata");
        let validated = validate(&job, Capabilities::CLUSTER).unwrap_or_else(|problems| panic!("{problems:#?}"));
        Self { job: validated, owner }
    }

    /// Everything that is built for all its stages, a second try at each included.
    pub(crate) fn objects(&self) -> Vec<Object> {
        self.objects_with(&settings())
    }

    /// The same by an operator with other settings.
    pub(crate) fn objects_with(&self, settings: &Settings) -> Vec<Object> {
        let parallelism = &self.job.parallelism;
        let (nodes, processes) = (parallelism.num_nodes, parallelism.num_proc_per_node);
        let tries = (0..2).flat_map(|attempt| {
            [
                prepare(&self.job, &self.owner, settings, attempt),
                trainers(&self.job, &self.owner, settings, attempt, nodes, processes, 3),
                publish(&self.job, &self.owner, settings, attempt, None),
            ]
        });
        tries.flatten().collect()
    }

    /// The pod templates of all its stages.
    pub(crate) fn pod_templates(&self) -> Vec<Value> {
        self.pod_templates_with(&settings())
    }

    /// The same by an operator with other settings.
    pub(crate) fn pod_templates_with(&self, settings: &Settings) -> Vec<Value> {
        let jobs = self.objects_with(settings).into_iter().filter(|object| object.kind() == "Job");
        jobs.map(|job| job.to_value()["spec"]["template"].clone()).collect()
    }
}

/// The operator's settings.
pub(crate) fn settings() -> Settings {
    Settings {
        trainer_image: "ghcr.io/temper-dev/temper-trainer:0.1.0".to_owned(),
        trainer_image_pull_policy: Some(ImagePullPolicy::IfNotPresent),
        run_volume_size: "50Gi".to_owned(),
        run_volume_storage_class: Some("fast".to_owned()),
        operator_namespace: Some("temper-system".to_owned()),
        metrics_namespaces: vec!["monitoring".to_owned()],
        environment: [("HF_ENDPOINT".to_owned(), "https://hub.example.com".to_owned())].into(),
        pods_without_user: false,
    }
}

/// The sample with every field, without those that this version refuses by name: 4 machines of 8 GPUs.
pub(crate) fn large() -> Example {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/reference/finetunejob.yaml");
    let text = std::fs::read_to_string(path).expect("the sample is there");
    let manifests = parse_manifest(&text).unwrap_or_else(|error| panic!("{error}"));
    let Some(Resource::FineTuneJob(job)) = manifests.into_iter().next().map(|manifest| manifest.resource) else { panic!("no FineTuneJob") };
    let mut job = serde_json::to_value(job).expect("plain data");
    for unsupported in [
        "/spec/dataset/filters/nearDeduplication",
        "/spec/dataset/filters/repetition",
        "/spec/hyperparameters/gradientCheckpointing",
        "/spec/evaluation/metrics",
        "/spec/tracking",
        "/spec/cost",
    ] {
        let (parent, field) = unsupported.rsplit_once('/').expect("a pointer");
        let parent = job.pointer_mut(parent).and_then(Value::as_object_mut).expect("the sample has every field");
        assert!(parent.remove(field).is_some(), "{unsupported} is not in the sample");
    }
    Example::of(serde_json::from_value(job).expect("still a job"))
}

/// A job of one process on a CPU, which says no more than it must.
pub(crate) fn small() -> Example {
    with(&[])
}

/// A base model from the hub, a dataset and held-out rows and results on object stores, each with its Secret.
pub(crate) fn remote() -> Example {
    with(&[
        ("baseModel", json!({ "storageUri": "hf://org/model", "revision": "v1", "secretRef": { "name": "hf-token" } })),
        (
            "dataset",
            json!({
                "storageUri": "gs://data/rows", "format": "text", "secretRef": { "name": "gs-key" },
                "validation": { "storageUri": "gs://data/held-out.jsonl" },
            }),
        ),
        ("checkpoint", json!({ "storageUri": "az://checkpoints/team/", "secretRef": { "name": "az-key" } })),
        ("output", json!({ "storageUri": "s3://models/tuned", "secretRef": { "name": "s3-key" } })),
    ])
}

/// The small job with annotations.
pub(crate) fn annotated(annotations: &Value) -> Example {
    let mut job = manifest();
    job["metadata"]["annotations"] = annotations.clone();
    Example::of(serde_json::from_value(job).expect("a job"))
}

/// The small job with fields of its spec replaced.
pub(crate) fn with(fields: &[(&str, Value)]) -> Example {
    let mut job = manifest();
    for (field, value) in fields {
        job["spec"][field] = value.clone();
    }
    Example::of(serde_json::from_value(job).expect("a job"))
}

fn manifest() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny.gguf" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
            "method": { "type": "lora", "lora": {} },
            "hyperparameters": { "maxSteps": 60 },
            "output": { "storageUri": "pvc://models/tuned" },
        },
    })
}

/// One of each sort.
pub(crate) fn all() -> [(&'static str, Example); 3] {
    [("large", large()), ("small", small()), ("remote", remote())]
}
