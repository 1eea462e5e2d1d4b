//! The registry's versions, as the watch shows them: little of each, for there may be many.

use super::registration::KnownVersion;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use temper_crds::ModelVersion;

/// Versions by namespace and name, each with the number of the listing that last brought it.
type ByNamespace = HashMap<String, BTreeMap<String, (u64, KnownVersion)>>;

/// Every namespace's versions by name.
#[derive(Debug, Default)]
pub struct Versions {
    known: Mutex<ByNamespace>,
    listing: AtomicU64,
}

impl KnownVersion {
    /// What is remembered of a ModelVersion; `None` for one without a name.
    pub fn of(version: &ModelVersion) -> Option<Self> {
        Some(Self {
            name: version.metadata.name.clone()?,
            model_name: version.spec.model_name.clone(),
            version: version.spec.version.into(),
            source_uid: version.spec.source_ref.as_ref().and_then(|source| source.uid.clone()),
            uri: version.spec.uri.clone(),
            digest: version.spec.digest.clone(),
        })
    }
}

impl Versions {
    /// A version is there.
    pub fn put(&self, namespace: &str, version: KnownVersion) {
        let listing = self.listing.load(Ordering::Relaxed);
        self.lock().entry(namespace.to_owned()).or_default().insert(version.name.clone(), (listing, version));
    }

    /// A version is gone.
    pub fn remove(&self, namespace: &str, name: &str) {
        if let Some(versions) = self.lock().get_mut(namespace) {
            versions.remove(name);
        }
    }

    /// They are listed anew from here on.
    pub fn begin_listing(&self) {
        self.listing.fetch_add(1, Ordering::Relaxed);
    }

    /// The listing is done: what it did not bring is gone.
    pub fn end_listing(&self) {
        let current = self.listing.load(Ordering::Relaxed);
        self.lock().values_mut().for_each(|versions| versions.retain(|_, (listing, _)| *listing == current));
    }

    /// The versions of a model.
    pub fn of_model(&self, namespace: &str, model_name: &str) -> Vec<KnownVersion> {
        self.matching(namespace, |version| version.model_name == model_name)
    }

    /// The versions that a job made.
    pub fn of_job(&self, namespace: &str, uid: &str) -> Vec<KnownVersion> {
        self.matching(namespace, |version| version.source_uid.as_deref() == Some(uid))
    }

    fn matching(&self, namespace: &str, wanted: impl Fn(&KnownVersion) -> bool) -> Vec<KnownVersion> {
        let known = self.lock();
        let versions = known.get(namespace).into_iter().flat_map(BTreeMap::values).map(|(_, version)| version);
        versions.filter(|version| wanted(version)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, ByNamespace> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
