//! Whether the memory that training is estimated to take fits what the job may use: checked before an accelerator is held.

use crate::validated::ValidatedFineTuneJob;
use temper_contract::config::Device;
use temper_crds::Quantity;

/// The estimate is within so many percent of what is measured, so only a clear excess is refused.
pub const TOLERANCE_PERCENT: u64 = 15;

/// Why training cannot fit, with what to do; `None` where it may. `per_process` is the estimated peak of one process in bytes,
/// `device_memory` that of one accelerator of the kind asked for, where it is known.
pub fn excess(job: &ValidatedFineTuneJob, per_process: u64, device_memory: Option<u64>) -> Option<String> {
    let remedy = "lower perDeviceTrainBatchSize or dataset.maxLength, use a smaller r or fewer targetModules, or ask for more memory";
    told(job, per_process, device_memory, remedy)
}

/// The same of a job that has been resized since it first trained: what it has learned is not given up, and only its size can be changed.
pub fn excess_of_resize(job: &ValidatedFineTuneJob, per_process: u64, device_memory: Option<u64>) -> Option<String> {
    let remedy = "give trainer.numProcPerNode a smaller number (on a cluster while suspend is true); it goes on from its last checkpoint";
    told(job, per_process, device_memory, remedy)
}

fn told(job: &ValidatedFineTuneJob, per_process: u64, device_memory: Option<u64>, remedy: &str) -> Option<String> {
    let processes = job.parallelism.num_proc_per_node as u64;
    let (needed, available, what) = match job.parallelism.device {
        Device::Cuda => (per_process, device_memory?, "one GPU has"),
        Device::Cpu => {
            let limit = job.placement.resources.limits.get("memory").and_then(Quantity::thousandths)? / 1000;
            (per_process.saturating_mul(processes), limit, "resourcesPerNode.limits.memory allows a pod")
        }
    };
    let surely = u128::from(needed) * 100 / u128::from(100 + TOLERANCE_PERCENT);
    let (needed, allowed) = (gibibytes(needed), gibibytes(available));
    (surely > u128::from(available)).then(|| format!("training is estimated to take {needed} where {what} {allowed}; {remedy}"))
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::excess;
    use crate::{Capabilities, ValidatedFineTuneJob, validate};
    use serde_json::{Value, json};

    const GIB: u64 = 1 << 30;

    /// A job with this `spec.trainer`.
    pub(crate) fn job(trainer: Value) -> ValidatedFineTuneJob {
        let job = json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
            "spec": {
                "baseModel": { "storageUri": "pvc://models/tiny" },
                "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
                "method": { "type": "full" },
                "hyperparameters": { "maxSteps": 60 },
                "trainer": trainer,
            },
        });
        validate(&serde_json::from_value(job).expect("a job"), Capabilities::CLUSTER).expect("valid")
    }

    #[test]
    fn every_process_of_a_pod_counts_against_its_limit() {
        let job = job(json!({ "numProcPerNode": 2, "resourcesPerNode": { "limits": { "memory": "8Gi" } } }));
        assert_eq!(excess(&job, 4 * GIB, None), None);
        assert_eq!(excess(&job, 4 * GIB + GIB / 2, None), None, "within the estimate's tolerance");
        let message = excess(&job, 5 * GIB, None).expect("too much");
        assert!(message.contains("10.0 GiB") && message.contains("8.0 GiB") && message.contains("perDeviceTrainBatchSize"), "{message}");
    }

    #[test]
    fn a_gpu_is_judged_by_its_own_memory_where_it_is_known() {
        let gpus = job(json!({ "numProcPerNode": 8, "resourcesPerNode": { "limits": { "nvidia.com/gpu": 8, "memory": "1Gi" } } }));
        assert_eq!(excess(&gpus, 100 * GIB, None), None);
        assert_eq!(excess(&gpus, 80 * GIB, Some(80 * GIB)), None);
        assert!(excess(&gpus, 100 * GIB, Some(80 * GIB)).is_some());
    }

    #[test]
    fn without_a_limit_nothing_is_too_much() {
        assert_eq!(excess(&job(json!({})), u64::MAX, None), None);
    }
}
