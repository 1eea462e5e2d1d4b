//! The registry's versions, as the watch shows them. There may be many more than jobs that run, so little is kept of each: its number, and
//! a mark of the job and the files that it was made of.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use temper_crds::ModelVersion;
use temper_objects::names;

/// What a version was made of: two hashes of the job's UID and the digest of the files, 128 bits in all. Nobody makes two alike by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark([u64; 2]);

/// One version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    number: u32,
    /// The listing that last brought it.
    listing: u32,
    made_of: Option<Mark>,
    /// The object's name, where it is not the one that this operator gives.
    name: Option<Box<str>>,
}

#[derive(Debug, Default)]
struct Registry {
    /// Versions by namespace and model.
    models: HashMap<Box<str>, HashMap<Box<str>, Vec<Known>>>,
    listing: u32,
}

/// Every namespace's versions.
#[derive(Debug, Default)]
pub struct Versions(Mutex<Registry>);

impl Mark {
    fn of(job_uid: &str, digest: &str) -> Self {
        Self([0_u8, 1].map(|salt| {
            let mut hasher = DefaultHasher::new();
            (salt, job_uid, digest).hash(&mut hasher);
            hasher.finish()
        }))
    }
}

impl Known {
    fn of(version: &ModelVersion, listing: u32) -> Option<Self> {
        let (spec, name) = (&version.spec, version.metadata.name.as_deref()?);
        let job = spec.source_ref.as_ref().and_then(|source| source.uid.as_deref());
        let is_ours = name == names::model_version(&spec.model_name, spec.version);
        Some(Self {
            number: spec.version,
            listing,
            made_of: job.map(|uid| Mark::of(uid, &spec.digest)),
            name: (!is_ours).then(|| name.into()),
        })
    }

    fn is(&self, other: &Self) -> bool {
        self.number == other.number && self.name == other.name
    }
}

impl Versions {
    /// A version is there.
    pub fn put(&self, version: &ModelVersion) {
        let mut registry = self.lock();
        let (Some(namespace), Some(known)) = (version.metadata.namespace.as_deref(), Known::of(version, registry.listing)) else { return };
        let models = registry.models.entry(namespace.into()).or_default();
        let versions = models.entry(version.spec.model_name.as_str().into()).or_default();
        match versions.iter_mut().find(|there| there.is(&known)) {
            Some(there) => *there = known,
            None => {
                // Most models have one.
                versions.reserve_exact(1);
                versions.push(known);
            }
        }
    }

    /// A version is gone.
    pub fn remove(&self, version: &ModelVersion) {
        let mut registry = self.lock();
        let (Some(namespace), Some(gone)) = (version.metadata.namespace.as_deref(), Known::of(version, 0)) else { return };
        let Some(models) = registry.models.get_mut(namespace) else { return };
        if let Some(versions) = models.get_mut(version.spec.model_name.as_str()) {
            versions.retain(|known| !known.is(&gone));
            if versions.is_empty() {
                models.remove(version.spec.model_name.as_str());
            }
        }
    }

    /// They are listed anew from here on.
    pub fn begin_listing(&self) {
        self.lock().listing += 1;
    }

    /// The listing is done: what it did not bring is gone.
    pub fn end_listing(&self) {
        let mut registry = self.lock();
        let current = registry.listing;
        for models in registry.models.values_mut() {
            models.retain(|_, versions| {
                versions.retain(|known| known.listing == current);
                !versions.is_empty()
            });
        }
    }

    /// The number of a model's next version. It is one more than any that is there, so a deleted version's number comes again only if it was
    /// the highest.
    pub fn next_number(&self, namespace: &str, model: &str) -> u64 {
        let registry = self.lock();
        let versions = registry.models.get(namespace).and_then(|models| models.get(model));
        versions.into_iter().flatten().map(|known| u64::from(known.number)).max().unwrap_or(0) + 1
    }

    /// Name and number of the version of a model that a job has made of these files already.
    pub fn made_of(&self, namespace: &str, model: &str, job_uid: &str, digest: &str) -> Option<(String, u64)> {
        let mark = Mark::of(job_uid, digest);
        let registry = self.lock();
        let known = registry.models.get(namespace)?.get(model)?.iter().find(|known| known.made_of == Some(mark))?;
        let name = known.name.as_deref().map_or_else(|| names::model_version(model, known.number), str::to_owned);
        Some((name, known.number.into()))
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic elsewhere leaves the registry as good as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Versions;
    use serde_json::json;
    use temper_crds::ModelVersion;

    fn version(name: &str, model: &str, number: u32, uid: &str) -> ModelVersion {
        let spec = json!({
            "modelName": model, "version": number, "uri": "pvc://models/x", "digest": "sha256:1", "format": "PeftAdapter",
            "sourceRef": { "kind": "FineTuneJob", "name": "j", "uid": uid },
        });
        serde_json::from_value(json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion", "metadata": { "namespace": "ml", "name": name }, "spec": spec,
        }))
        .expect("a ModelVersion")
    }

    fn some() -> Versions {
        let versions = Versions::default();
        for (name, model, number, uid) in
            [("a-v1", "a", 1, "u1"), ("a-v3", "a", 3, "u2"), ("b-v7", "b", 7, "u3"), ("by-hand", "b", 7, "u4")]
        {
            versions.put(&version(name, model, number, uid));
        }
        versions
    }

    #[test]
    fn versions_of_each_model_are_counted_by_themselves() {
        let versions = some();
        assert_eq!(["a", "b", "c"].map(|model| versions.next_number("ml", model)), [4, 8, 1]);
        assert_eq!(versions.next_number("other", "a"), 1);
        versions.remove(&version("a-v3", "a", 3, "u2"));
        versions.remove(&version("b-v7", "b", 7, "u3"));
        assert_eq!(["a", "b"].map(|model| versions.next_number("ml", model)), [2, 8], "another object has that number, too");
    }

    #[test]
    fn a_job_finds_what_it_has_registered_before_it_was_interrupted() {
        let versions = some();
        let found = |model: &str, uid: &str, digest: &str| versions.made_of("ml", model, uid, digest);
        assert_eq!(found("a", "u2", "sha256:1"), Some(("a-v3".to_owned(), 3)));
        assert_eq!(found("b", "u4", "sha256:1"), Some(("by-hand".to_owned(), 7)));
        assert_eq!(found("a", "u3", "sha256:1"), None);
        assert_eq!(found("a", "u2", "sha256:2"), None, "another model of the same job is another version");
    }

    #[test]
    fn what_a_new_listing_does_not_bring_is_gone() {
        let versions = some();
        versions.begin_listing();
        versions.put(&version("a-v1", "a", 1, "u1"));
        versions.end_listing();
        assert_eq!(["a", "b"].map(|model| versions.next_number("ml", model)), [2, 1]);
    }
}
