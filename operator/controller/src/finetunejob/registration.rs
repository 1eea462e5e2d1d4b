//! Which version a job's model is, or becomes. Decides only.

use kube::api::ObjectMeta;
use temper_crds::label::{MODEL_NAME, MODEL_VERSION};
use temper_planner::Registration;

/// What is remembered of a ModelVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// The object's name.
    pub name: String,
    /// The model's name.
    pub model_name: String,
    /// The version's number.
    pub version: u64,
    /// UID of the job that made it.
    pub source_uid: Option<String>,
    /// Where the model is.
    pub uri: String,
    /// The SHA-256 of its files.
    pub digest: String,
}

/// The version that a job has made of a model already.
pub fn existing<'a>(versions: impl IntoIterator<Item = &'a KnownVersion>, job_uid: &str, digest: &str) -> Registration {
    let own = |version: &&KnownVersion| version.source_uid.as_deref() == Some(job_uid) && version.digest == digest;
    versions.into_iter().find(own).map_or(Registration::Pending, |version| Registration::Registered {
        name: version.name.clone(),
        version: version.version,
        uri: version.uri.clone(),
    })
}

/// The number of a model's next version. It is one more than any that is there, so a deleted version's number comes again only if it was
/// the highest.
pub fn next_version<'a>(versions: impl IntoIterator<Item = &'a KnownVersion>, model_name: &str) -> u64 {
    versions.into_iter().filter(|version| version.model_name == model_name).map(|version| version.version).max().unwrap_or(0) + 1
}

/// A ModelVersion's model and number by its labels, where nothing else of it is read.
pub fn by_labels(metadata: &ObjectMeta) -> Option<(&str, u64)> {
    let labels = metadata.labels.as_ref()?;
    Some((labels.get(MODEL_NAME)?, labels.get(MODEL_VERSION)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{KnownVersion, existing, next_version};
    use temper_planner::Registration;

    fn version(model_name: &str, version: u64, uid: &str) -> KnownVersion {
        KnownVersion {
            name: format!("{model_name}-v{version}"),
            model_name: model_name.to_owned(),
            version,
            source_uid: Some(uid.to_owned()),
            uri: "pvc://models/x".to_owned(),
            digest: "sha256:1".to_owned(),
        }
    }

    #[test]
    fn versions_of_each_model_are_counted_by_themselves() {
        let versions = [version("a", 1, "u1"), version("a", 3, "u2"), version("b", 7, "u3")];
        assert_eq!(["a", "b", "c"].map(|name| next_version(&versions, name)), [4, 8, 1]);
    }

    #[test]
    fn a_job_finds_what_it_has_registered_before_it_was_interrupted() {
        let versions = [version("a", 1, "u1"), version("a", 2, "u2")];
        let Registration::Registered { name, version, .. } = existing(&versions, "u2", "sha256:1") else { panic!("it is there") };
        assert_eq!((name.as_str(), version), ("a-v2", 2));
        assert_eq!(existing(&versions, "u3", "sha256:1"), Registration::Pending);
        assert_eq!(existing(&versions, "u2", "sha256:2"), Registration::Pending, "another model of the same job is another version");
    }
}
