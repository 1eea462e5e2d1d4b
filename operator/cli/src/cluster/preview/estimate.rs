//! What training takes, from the headers of a model that is here too.

use crate::cluster::preview::report::Memory;
use crate::local::model_check;
use crate::local::volumes::Volumes;
use k8s_openapi::api::core::v1::Node;
use temper_objects::{Owner, trainer_config};
use temper_planner::{StorageUri, ValidatedFineTuneJob, gpu_memory, memory_policy};

/// The estimate, or why there is none.
pub(super) fn estimate(job: &ValidatedFineTuneJob, owner: &Owner, volumes: &Volumes, nodes: &[Node]) -> Result<Memory, String> {
    if !matches!(job.base_model.storage, StorageUri::Pvc { .. }) {
        return Err(format!("the headers of {} are read by the prepare stage, before a GPU is held", job.base_model.uri));
    }
    let path = volumes
        .existing(&job.base_model, "spec.baseModel.storageUri")
        .map_err(|problem| format!("{}; {}", problem.reason, problem.next_step))?;
    let mut config = trainer_config(job, owner, job.max_restarts);
    config.base_model.path = path;
    let model = model_check::check(&config).map_err(|problem| format!("{}; {}", problem.reason, problem.next_step))?;
    let bytes_per_process = model.memory.total;
    let device_memory = gpu_memory::largest(job, nodes.iter().filter_map(|node| node.metadata.labels.as_ref()));
    Ok(Memory {
        family: model.family,
        parameters: model.parameters.total,
        trainable: model.parameters.trainable,
        bytes_per_process,
        bytes_per_pod: bytes_per_process.saturating_mul(job.parallelism.num_proc_per_node as u64),
        excess: memory_policy::excess(job, bytes_per_process, device_memory),
    })
}
