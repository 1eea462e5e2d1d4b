//! The metadata that is kept of what belongs to a job. Kubernetes' own type takes some 1.5 kB of each object, most of it for what nobody reads.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;

/// Who an object is, since when, until when and of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: Box<str>,
    /// Its UID; none of what was asked for and has not been seen.
    pub uid: Option<Box<str>>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it is to be gone, if it is being deleted.
    pub deleted: Option<Timestamp>,
    owners: Box<[OwnedBy]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnedBy {
    uid: Box<str>,
    is_controller: bool,
}

impl Kept {
    /// Of an object as the API server tells it.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            name: metadata.name.as_deref().unwrap_or_default().into(),
            uid: metadata.uid.as_deref().map(Into::into),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            deleted: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            owners: metadata.owner_references.iter().flatten().map(OwnedBy::of).collect(),
        }
    }

    /// Of an object that was asked for.
    pub fn asked_for(name: &str, owner: &OwnerReference) -> Self {
        Self { name: name.into(), owners: Box::new([OwnedBy::of(owner)]), ..Self::default() }
    }

    /// The UID of what it belongs to, of which there is at most one.
    pub fn controller(&self) -> Option<&str> {
        self.owners.iter().find(|owner| owner.is_controller).map(|owner| &*owner.uid)
    }

    /// Whether the object with this UID is among its owners, so that it goes when that goes.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| &*owner.uid == uid)
    }
}

impl OwnedBy {
    fn of(owner: &OwnerReference) -> Self {
        Self { uid: owner.uid.as_str().into(), is_controller: owner.controller == Some(true) }
    }
}
