//! Names of what is made for a job, from the job's name. A name tells which job it belongs to: no two jobs share one.

use temper_contract::layout;
use temper_planner::Stage;

/// The field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "temper-operator";
/// The container of every pod.
pub const CONTAINER: &str = "trainer";
/// The file in the ConfigMap.
pub const CONFIG_KEY: &str = layout::CONFIG;

/// The ConfigMap with the trainer's configuration.
pub fn config_map(job: &str) -> String {
    format!("{job}-trainer")
}

/// The PersistentVolumeClaim of a job that names none for its checkpoints.
pub fn run_claim(job: &str) -> String {
    format!("{job}-run")
}

/// The headless Service by which ranks find each other.
pub fn service(job: &str) -> String {
    format!("{job}-ranks")
}

/// The NetworkPolicy of the training pods.
pub fn ranks_policy(job: &str) -> String {
    format!("{job}-ranks")
}

/// The NetworkPolicy of the pods that fetch and upload.
pub fn transfer_policy(job: &str) -> String {
    format!("{job}-transfer")
}

/// The Job of one try at a stage.
pub fn batch_job(job: &str, stage: Stage, attempt: u64) -> String {
    match stage {
        Stage::Prepare => format!("{job}-prepare-{attempt}"),
        Stage::Train => format!("{job}-a{attempt}"),
        Stage::Publish => format!("{job}-publish-{attempt}"),
    }
}

/// The host name of a training attempt's node: what the Job controller calls an Indexed Job's pod.
pub fn node_host(job: &str, attempt: u64, node: usize) -> String {
    format!("{}-{node}", batch_job(job, Stage::Train, attempt))
}

/// The address of a training attempt's node within the namespace.
pub fn node_address(job: &str, attempt: u64, node: usize) -> String {
    format!("{}.{}", node_host(job, attempt, node), service(job))
}

/// The ModelVersion that is this version of a model.
pub fn model_version(model: &str, version: u32) -> String {
    format!("{model}-v{version}")
}
