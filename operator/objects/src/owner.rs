//! The FineTuneJob that objects are made for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use temper_crds::{API_VERSION, FineTuneJob};

/// So much of the UID tells jobs of one name apart.
const UID_IN_NAMES: usize = 8;

/// The FineTuneJob that objects are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Owner {
    /// The owner that a job is; `None` where the API server has not given it its metadata yet.
    pub fn of(job: &FineTuneJob) -> Option<Self> {
        let metadata = &job.metadata;
        Some(Self { namespace: metadata.namespace.clone()?, name: metadata.name.clone()?, uid: metadata.uid.clone()? })
    }

    /// `J-UID8`: the folder of this job wherever it writes. Jobs of the same name, one after the other, do not share one.
    pub fn run_name(&self) -> String {
        let uid: String = self.uid.chars().take(UID_IN_NAMES).collect();
        format!("{}-{uid}", self.name)
    }

    /// The reference by which the job controls an object: deleted with it, and by nobody else's garbage collection.
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: "FineTuneJob".to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}
