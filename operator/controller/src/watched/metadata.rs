//! Metadata without what only servers read of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// All of an object's metadata that somebody here reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Read {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    uid: Option<String>,
}

/// Decodes metadata and skips `managedFields`. They are the larger part of most objects that are applied, and decoding them makes a tree of
/// values of each, which would be thrown away at once.
pub(super) fn without_managed_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let read = Read::deserialize(deserializer)?;
    Ok(ObjectMeta {
        annotations: read.annotations,
        creation_timestamp: read.creation_timestamp,
        deletion_grace_period_seconds: read.deletion_grace_period_seconds,
        deletion_timestamp: read.deletion_timestamp,
        generation: read.generation,
        labels: read.labels,
        name: read.name,
        namespace: read.namespace,
        owner_references: read.owner_references,
        resource_version: read.resource_version,
        uid: read.uid,
        ..ObjectMeta::default()
    })
}

/// An object of which only the metadata is decoded: what there is of a kind, and the answer to a write.
#[derive(Deserialize)]
#[serde(bound = "")]
pub struct Marker<K> {
    /// Name, labels, version.
    #[serde(default, deserialize_with = "without_managed_fields")]
    pub metadata: ObjectMeta,
    #[serde(skip)]
    of: PhantomData<fn() -> K>,
}

impl<K> Clone for Marker<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), of: PhantomData }
    }
}

impl<K> fmt::Debug for Marker<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Marker").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl<K: kube::Resource<DynamicType = ()>> kube::Resource for Marker<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> std::borrow::Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> std::borrow::Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> std::borrow::Cow<'_, str> {
        K::version(&())
    }

    fn plural(_: &()) -> std::borrow::Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::Marker;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use serde_json::json;

    #[test]
    fn all_is_read_but_managed_fields() {
        let object = json!({
            "kind": "ConfigMap", "data": { "a": "b" },
            "metadata": {
                "name": "x", "namespace": "ml", "uid": "u", "resourceVersion": "7", "generation": 2,
                "labels": { "l": "1" }, "annotations": { "a": "2" },
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z", "deletionGracePeriodSeconds": 30,
                "ownerReferences": [{ "apiVersion": "v1", "kind": "K", "name": "n", "uid": "o", "controller": true }],
            },
        });
        let mut managed = object.clone();
        managed["metadata"]["managedFields"] = json!([{ "manager": "m", "fieldsV1": { "f:data": { "f:a": {} } } }]);
        let marker: Marker<ConfigMap> = serde_json::from_value(managed).expect("an object");
        let whole: ConfigMap = serde_json::from_value(object).expect("a ConfigMap");
        assert_eq!(marker.metadata, whole.metadata);
        assert!(marker.managed_fields().is_empty());
    }
}
