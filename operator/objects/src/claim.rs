//! The claim of a job that names none for its checkpoints.

use crate::metadata::{metadata, of_job};
use crate::owner::Owner;
use crate::settings::Settings;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// The job's own claim. Pods on several machines write to it only where the job has several nodes; a job that is resized from one node to
/// more keeps the claim that it has.
pub(crate) fn claim(owner: &Owner, settings: &Settings, name: &str, num_nodes: usize) -> PersistentVolumeClaim {
    let access_mode = if num_nodes > 1 { "ReadWriteMany" } else { "ReadWriteOnce" };
    PersistentVolumeClaim {
        metadata: metadata(owner, name.to_owned(), of_job(&owner.name)),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode.to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(settings.run_volume_size.clone()))])),
                limits: None,
            }),
            storage_class_name: settings.run_volume_storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
