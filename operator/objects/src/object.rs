//! One object, of the kinds that jobs are made of.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};
use temper_crds::label::CONTENT_DIGEST;

/// One object. All of them live in their job's namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// The trainer's configuration.
    ConfigMap(Box<ConfigMap>),
    /// The job's own volume.
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    /// Who may talk to a stage's pods, and whom they may talk to.
    NetworkPolicy(Box<NetworkPolicy>),
    /// The ranks' names.
    Service(Box<Service>),
    /// One try at a stage.
    Job(Box<Job>),
}

impl Object {
    /// Its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ConfigMap(_) => "ConfigMap",
            Self::PersistentVolumeClaim(_) => "PersistentVolumeClaim",
            Self::NetworkPolicy(_) => "NetworkPolicy",
            Self::Service(_) => "Service",
            Self::Job(_) => "Job",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::ConfigMap(object) => &object.metadata,
            Self::PersistentVolumeClaim(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::Job(object) => &object.metadata,
        }
    }

    /// The digest of all but its metadata, which it carries as an annotation: an object in the cluster with the same one is current. What
    /// is made once has none.
    pub fn content_digest(&self) -> Option<&str> {
        self.metadata().annotations.as_ref()?.get(CONTENT_DIGEST).map(String::as_str)
    }

    /// Whether the API server refuses to change what matters of it: it is created where it is missing, and never applied again. (Another
    /// manager may have changed it since: a queue unsuspends a Job, the volume controller binds a claim.)
    pub const fn is_made_once(&self) -> bool {
        matches!(self, Self::PersistentVolumeClaim(_) | Self::Job(_))
    }

    /// The object as JSON, with `apiVersion` and `kind`: what is sent to be created or applied.
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::ConfigMap(object) => serde_json::to_value(object),
            Self::PersistentVolumeClaim(object) => serde_json::to_value(object),
            Self::NetworkPolicy(object) => serde_json::to_value(object),
            Self::Service(object) => serde_json::to_value(object),
            Self::Job(object) => serde_json::to_value(object),
        };
        value.expect("objects are plain data with texts for keys")
    }

    /// The object with the annotation that `content_digest` reads, if it is one that may change.
    pub(crate) fn stamped(mut self) -> Self {
        if !self.is_made_once() {
            let mut content = self.to_value();
            if let Some(fields) = content.as_object_mut() {
                fields.remove("metadata");
            }
            let digest: String = Sha256::digest(content.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
            let annotations = self.metadata_mut().annotations.get_or_insert_default();
            annotations.insert(CONTENT_DIGEST.to_owned(), format!("sha256:{digest}"));
        }
        self
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ConfigMap(object) => &mut object.metadata,
            Self::PersistentVolumeClaim(object) => &mut object.metadata,
            Self::NetworkPolicy(object) => &mut object.metadata,
            Self::Service(object) => &mut object.metadata,
            Self::Job(object) => &mut object.metadata,
        }
    }
}
