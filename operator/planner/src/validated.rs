//! A job whose every field is known to be good: defaults filled in, texts turned into numbers, URIs taken apart.

use crate::storage_uri::StorageUri;
use serde::Serialize;
use std::collections::BTreeMap;
use temper_contract::config;
use temper_crds::Stage;
use temper_crds::finetunejob::trainer::{ImagePullPolicy, Resources, Toleration};

/// What `validate` makes of a FineTuneJob; the only input of the deciders.
///
/// The serialised form (JSON) is what the job's identity is computed from, so fields that may change in mid-job are left out of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatedFineTuneJob {
    /// `metadata.name`.
    #[serde(skip)]
    pub name: String,
    /// `metadata.generation`, if there is one.
    #[serde(skip)]
    pub generation: Option<i64>,
    /// Whether the job is to hold.
    #[serde(skip)]
    pub suspend: bool,
    /// The base model.
    pub base_model: Location,
    /// The dataset's location.
    pub dataset: Location,
    /// The location of held-out rows of their own, if any.
    pub validation: Option<Location>,
    /// How rows become tokens (paths are filled in by `trainer_config`).
    pub preparation: Preparation,
    /// LoRA or full.
    pub method: config::Method,
    /// How to train.
    pub hyperparameters: config::Hyperparameters,
    /// When to evaluate and when to stop early.
    pub evaluation: config::Evaluation,
    /// Nodes, processes, threads, and micro-batches a step.
    pub parallelism: config::Parallelism,
    /// Environment variables of the trainer's processes, by name; they tune libraries and change nothing that is trained.
    pub env: Vec<(String, String)>,
    /// Where the pods run, and as what; nothing of it changes what is trained.
    #[serde(skip)]
    pub placement: Placement,
    /// Where checkpoints go; `None` for the run's own folder.
    pub checkpoint_location: Option<Location>,
    /// When to save and how many to keep.
    pub checkpoint: config::Checkpoint,
    /// Restarts after failures that are put up with, in place and new attempts together.
    pub max_restarts: u64,
    /// Seconds without a step after which ranks are started again.
    pub stall_timeout_seconds: u64,
    /// Seconds that the job may be active.
    pub active_deadline_seconds: Option<u64>,
    /// Seconds after the end until what the job holds is freed.
    #[serde(skip)]
    pub ttl_seconds_after_finished: Option<u64>,
    /// Where the model goes; `None` for the run's own folder.
    pub output_location: Option<Location>,
    /// What `publish` makes.
    pub output: config::Output,
    /// The registry entry, if one is asked for.
    pub register: Option<Register>,
}

/// A location as the user wrote it and taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The URI.
    pub uri: String,
    /// The branch, tag or commit of a hub's repository, where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it names.
    #[serde(skip)]
    pub storage: StorageUri,
    /// The Secret with the credentials that it takes.
    #[serde(skip)]
    pub secret: Option<String>,
}

impl Placement {
    /// The fields of `spec.trainer` that are given and of use to pods alone.
    pub fn named(&self) -> Vec<&'static str> {
        let fields = [
            (self.image.is_some(), "image"),
            (self.image_pull_policy.is_some(), "imagePullPolicy"),
            (!self.image_pull_secrets.is_empty(), "imagePullSecrets"),
            (!self.node_selector.is_empty(), "nodeSelector"),
            (!self.tolerations.is_empty(), "tolerations"),
            (self.priority_class_name.is_some(), "priorityClassName"),
            (self.runtime_class_name.is_some(), "runtimeClassName"),
            (self.service_account_name.is_some(), "serviceAccountName"),
        ];
        fields.into_iter().filter_map(|(is_given, name)| is_given.then_some(name)).collect()
    }
}

/// A location and the fields of the spec that are about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedLocation<'a> {
    /// Where it is.
    pub location: &'a Location,
    /// The field with its URI.
    pub uri_field: &'static str,
    /// The field that names its Secret, if one is named. Held-out rows take the Secret of the other rows.
    pub secret_field: &'static str,
}

impl ValidatedFineTuneJob {
    /// Every location that the spec names.
    pub fn locations(&self) -> impl Iterator<Item = NamedLocation<'_>> {
        let all = [
            (Some(&self.base_model), "spec.baseModel.storageUri", "spec.baseModel.secretRef.name"),
            (Some(&self.dataset), "spec.dataset.storageUri", "spec.dataset.secretRef.name"),
            (self.validation.as_ref(), "spec.dataset.validation.storageUri", "spec.dataset.secretRef.name"),
            (self.checkpoint_location.as_ref(), "spec.checkpoint.storageUri", "spec.checkpoint.secretRef.name"),
            (self.output_location.as_ref(), "spec.output.storageUri", "spec.output.secretRef.name"),
        ];
        all.into_iter()
            .filter_map(|(location, uri_field, secret_field)| Some(NamedLocation { location: location?, uri_field, secret_field }))
    }
}

impl Location {
    /// Whether it lies on a hub or an object store, so that the trainer fetches what is read there and sends what is written there.
    pub fn is_remote(&self) -> bool {
        match self.storage {
            StorageUri::HuggingFace { .. } | StorageUri::ObjectStore { .. } => true,
            StorageUri::Pvc { .. } | StorageUri::File { .. } => false,
        }
    }

    /// The URI of a folder below it. Places that the spec names may serve many jobs: each has its own folder in them.
    pub fn folder_of(&self, run_name: &str) -> String {
        format!("{}/{run_name}", self.uri.trim_end_matches('/'))
    }
}

/// Where the training pods run, and as what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The trainer's image; `None` for the one that belongs to the operator.
    pub image: Option<String>,
    /// When it is pulled.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with credentials of the image's registry.
    pub image_pull_secrets: Vec<String>,
    /// Resources of each pod.
    pub resources: Resources,
    /// Labels that a machine must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods put up with.
    pub tolerations: Vec<Toleration>,
    /// The pods' PriorityClass.
    pub priority_class_name: Option<String>,
    /// The pods' RuntimeClass.
    pub runtime_class_name: Option<String>,
    /// The pods' ServiceAccount.
    pub service_account_name: Option<String>,
    /// Kueue's labels on the job (`kueue.x-k8s.io/...`), which the training Job carries on.
    pub queue_labels: BTreeMap<String, String>,
    /// What the queue is asked of the network between the training's pods, as annotations of their template.
    pub topology: BTreeMap<String, String>,
}

/// How rows become tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preparation {
    /// What a row looks like.
    pub format: config::DatasetFormat,
    /// The fraction of the rows that is held out, if held-out rows come from the dataset.
    pub validation_split: Option<f64>,
    /// How messages become text.
    pub chat_template: config::ChatTemplate,
    /// The longest example, in tokens.
    pub max_length: usize,
    /// What to do with a longer one.
    pub excess_length_strategy: config::ExcessLengthStrategy,
    /// Whether rows are filled with several examples each.
    pub packing: bool,
    /// Which rows to leave out.
    pub filters: config::Filters,
}

/// A registry entry that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The model's name.
    pub model_name: String,
    /// The stage that the version starts in.
    pub stage: Stage,
}
