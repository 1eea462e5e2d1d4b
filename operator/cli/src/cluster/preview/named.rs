//! What a spec names that must be there: claims, Secrets, classes, accounts. Decides only.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use std::collections::BTreeMap;
use temper_crds::label;
use temper_objects::{Owner, Places};
use temper_planner::{Stage, StorageUri, ValidatedFineTuneJob};

/// A kind of thing that a spec names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamedKind {
    PersistentVolumeClaim,
    Secret,
    ServiceAccount,
    PriorityClass,
    RuntimeClass,
    LocalQueue,
}

impl NamedKind {
    /// Group, version, kind and plural, and whether it lives in a namespace.
    pub(super) const fn resource(self) -> (&'static str, &'static str, &'static str, &'static str, bool) {
        match self {
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
            Self::Secret => ("", "v1", "Secret", "secrets", true),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts", true),
            Self::PriorityClass => ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false),
            Self::RuntimeClass => ("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", false),
            Self::LocalQueue => ("kueue.x-k8s.io", "v1beta1", "LocalQueue", "localqueues", true),
        }
    }
}

/// What is named, with the fields that name it.
pub(super) fn named(job: &ValidatedFineTuneJob) -> Vec<(NamedKind, String, Vec<String>)> {
    let mut found: BTreeMap<(NamedKind, String), Vec<String>> = BTreeMap::new();
    let mut add = |kind: NamedKind, name: &str, field: &str| {
        let fields = found.entry((kind, name.to_owned())).or_default();
        if !fields.iter().any(|known| known == field) {
            fields.push(field.to_owned());
        }
    };
    for named in job.locations() {
        match &named.location.storage {
            StorageUri::Pvc { claim, .. } => add(NamedKind::PersistentVolumeClaim, claim, named.uri_field),
            _ => named.location.secret.iter().for_each(|secret| add(NamedKind::Secret, secret, named.secret_field)),
        }
    }
    let placement = &job.placement;
    placement.image_pull_secrets.iter().for_each(|name| add(NamedKind::Secret, name, "spec.trainer.imagePullSecrets"));
    let mut add_some = |kind, name: &Option<String>, field| name.iter().for_each(|name| add(kind, name, field));
    add_some(NamedKind::ServiceAccount, &placement.service_account_name, "spec.trainer.serviceAccountName");
    add_some(NamedKind::PriorityClass, &placement.priority_class_name, "spec.trainer.priorityClassName");
    add_some(NamedKind::RuntimeClass, &placement.runtime_class_name, "spec.trainer.runtimeClassName");
    let queue = placement.queue_labels.get(label::KUEUE_QUEUE_NAME);
    queue.into_iter().for_each(|name| add(NamedKind::LocalQueue, name, "metadata.labels"));
    found.into_iter().map(|((kind, name), fields)| (kind, name, fields)).collect()
}

/// How a claim is, in words.
pub(super) fn claim_detail(claim: &PersistentVolumeClaim) -> String {
    let phase = claim.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_else(|| "Pending".to_owned());
    let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage")).map(|size| format!(", {}", size.0));
    let modes = access_modes(claim).join(", ");
    format!("{phase}{}{}", capacity.unwrap_or_default(), if modes.is_empty() { String::new() } else { format!(", {modes}") })
}

/// Why a claim may not do for the job, though it is there.
pub(super) fn claim_warning(claim: &PersistentVolumeClaim, job: &ValidatedFineTuneJob, owner: &Owner) -> Option<String> {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    if claim.metadata.deletion_timestamp.is_some() {
        return Some(format!("claim {name} is being deleted"));
    }
    let places = Places::of(job, owner);
    let is_shared = job.parallelism.num_nodes > 1 && places.claims(Stage::Train).any(|(claim, _)| claim == name);
    let modes = access_modes(claim);
    if modes.contains(&"ReadWriteOncePod") {
        return Some(format!("claim {name} is ReadWriteOncePod: only one pod at a time can mount it"));
    }
    let is_single = !modes.is_empty() && !modes.iter().any(|mode| mode.ends_with("Many"));
    (is_shared && is_single).then(|| {
        format!(
            "claim {name} is {}: {} nodes find room only on one machine; use a ReadWriteMany claim",
            modes.join(", "),
            job.parallelism.num_nodes
        )
    })
}

fn access_modes(claim: &PersistentVolumeClaim) -> Vec<&str> {
    claim.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten()).map(String::as_str).collect()
}
