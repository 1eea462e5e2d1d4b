//! Storage URIs: which of them can be read and written, and with whose credentials.

use super::findings::Findings;
use crate::storage_uri::StorageUri;
use crate::validated::Location;
use temper_crds::finetunejob::base_model::{BaseModel, SecretReference};

/// The base model's location.
pub(super) fn base_model(base_model: &BaseModel, findings: &mut Findings) -> Location {
    if let Some(revision) = &base_model.revision
        && !base_model.storage_uri.starts_with("hf://")
    {
        findings.wrong("spec.baseModel.revision", revision, "is for hf:// models only", "remove it, or name the revision in the path");
    }
    let secret = secret(base_model.secret_ref.as_ref(), "spec.baseModel.secretRef", findings);
    let location = location(&base_model.storage_uri, secret, "spec.baseModel.storageUri", findings);
    Location { revision: base_model.revision.clone(), ..location }
}

/// A location that is read or written.
pub(super) fn location(uri: &str, secret: Option<String>, path: &str, findings: &mut Findings) -> Location {
    let storage = match StorageUri::parse(uri) {
        Ok(storage) => storage,
        Err(reason) => {
            findings.wrong(path, uri, reason, "write pvc://CLAIM/PATH, or file://PATH in a local run");
            StorageUri::File { path: uri.into() }
        }
    };
    if matches!(storage, StorageUri::File { .. }) && !findings.is_local() {
        findings.wrong(path, uri, "a pod cannot see this machine's files", "put it on a volume and name that: pvc://CLAIM/PATH");
    }
    Location { uri: uri.to_owned(), revision: None, storage, secret }
}

/// A location that is written, if one is named.
pub(super) fn target(uri: Option<&String>, secret: Option<String>, path: &str, findings: &mut Findings) -> Option<Location> {
    let uri = uri?;
    if uri.starts_with("hf://") {
        findings.wrong(path, uri, "the hub is not written to", "write pvc://CLAIM/PATH, or file://PATH in a local run");
        return None;
    }
    Some(location(uri, secret, path, findings))
}

/// The name of a Secret.
pub(super) fn secret(secret: Option<&SecretReference>, path: &str, findings: &mut Findings) -> Option<String> {
    let name = &secret?.name;
    if !crate::storage_uri::is_object_name(name) {
        findings.wrong(
            &format!("{path}.name"),
            name,
            "is not a name that Kubernetes takes",
            "use lower-case letters, digits and '-', a letter or digit first and last",
        );
    }
    Some(name.clone())
}
