//! What is mounted into a stage's pods.

use crate::names;
use crate::places::{Access, CONFIG_FOLDER, Places, SECRETS, claim_folder};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};
use temper_planner::Stage;

/// Read by the pod's group, written by nobody.
const SECRET_MODE: i32 = 0o440;
/// Where scratch files go; also the home folder.
pub(crate) const SCRATCH: &str = "/tmp";
/// Shared memory: ranks of one machine exchange through it, and the 64 MiB that containers have by default are too little for NCCL.
const SHARED_MEMORY: &str = "/dev/shm";

/// A pod's volumes, and where its container has them.
pub(crate) struct Mounted {
    pub(crate) volumes: Vec<Volume>,
    pub(crate) mounts: Vec<VolumeMount>,
}

/// What a stage's pods have mounted.
pub(crate) fn mounted(job: &str, places: &Places, stage: Stage) -> Mounted {
    let mut mounted = Mounted { volumes: Vec::new(), mounts: Vec::new() };
    mounted.add(config(job), CONFIG_FOLDER, Access::Read);
    mounted.add(scratch("tmp", None), SCRATCH, Access::Write);
    if stage == Stage::Train {
        mounted.add(scratch("shm", Some("Memory")), SHARED_MEMORY, Access::Write);
    }
    // Names of claims and Secrets may be longer than those of volumes, and have dots.
    for (number, (name, access)) in places.claims(stage).enumerate() {
        mounted.add(claim(&format!("claim-{number}"), name, access), &claim_folder(name).to_string_lossy(), access);
    }
    for (number, name) in places.secrets(stage).enumerate() {
        mounted.add(secret(&format!("secret-{number}"), name), &format!("{SECRETS}/{name}"), Access::Read);
    }
    mounted
}

impl Mounted {
    fn add(&mut self, volume: Volume, at: &str, access: Access) {
        self.mounts.push(VolumeMount {
            name: volume.name.clone(),
            mount_path: at.to_owned(),
            read_only: (access == Access::Read).then_some(true),
            ..VolumeMount::default()
        });
        self.volumes.push(volume);
    }
}

fn config(job: &str) -> Volume {
    let item = KeyToPath { key: names::CONFIG_KEY.to_owned(), path: names::CONFIG_KEY.to_owned(), mode: None };
    Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: names::config_map(job),
            items: Some(vec![item]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn scratch(name: &str, medium: Option<&str>) -> Volume {
    let empty_dir = EmptyDirVolumeSource { medium: medium.map(str::to_owned), size_limit: None };
    Volume { name: name.to_owned(), empty_dir: Some(empty_dir), ..Volume::default() }
}

/// A claim that is only read is attached for reading, so that volumes that many machines read at once can be.
fn claim(volume: &str, claim: &str, access: Access) -> Volume {
    let read_only = (access == Access::Read).then_some(true);
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only };
    Volume { name: volume.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}

/// A Secret that may be missing: the pod says which one it misses, where the kubelet would only wait.
fn secret(volume: &str, secret: &str) -> Volume {
    let source =
        SecretVolumeSource { secret_name: Some(secret.to_owned()), optional: Some(true), default_mode: Some(SECRET_MODE), items: None };
    Volume { name: volume.to_owned(), secret: Some(source), ..Volume::default() }
}
