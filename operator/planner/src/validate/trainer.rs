//! `spec.trainer`: how many processes, on what, and how a global batch is divided among them.

use super::findings::Findings;
use crate::validated::Placement;
use std::collections::BTreeMap;
use temper_contract::config::{Device, Parallelism};
use temper_crds::finetunejob::hyperparameters::Hyperparameters;
use temper_crds::finetunejob::trainer::{NVIDIA_GPU, Strategy, Trainer};
use temper_crds::{FineTuneJob, Quantity, label};

/// A process's threads where the spec limits no CPU.
pub(super) const DEFAULT_THREADS: usize = 1;
/// Prefixes of environment variables that tune libraries.
const TUNING_PREFIXES: [&str; 10] = ["NCCL_", "GLOO_", "OMP_", "MKL_", "KMP_", "GOMP_", "UCX_", "FI_", "CUDA_", "TORCH_NCCL_"];

pub(super) fn resolve(trainer: &Trainer, hyperparameters: &Hyperparameters, findings: &mut Findings) -> Parallelism {
    findings.whole(trainer.num_nodes, 1..=1024, "spec.trainer.numNodes");
    findings.whole(trainer.num_proc_per_node, 1..=64, "spec.trainer.numProcPerNode");
    if trainer.strategy != Strategy::Ddp {
        findings.not_supported("spec.trainer.strategy", "fsdp", "set strategy: ddp");
    }
    quantities(trainer, findings);
    let num_nodes = trainer.num_nodes as usize;
    let num_proc_per_node = trainer.num_proc_per_node as usize;
    let device = device(trainer, findings);
    if findings.is_local() && num_nodes > 1 && device == Device::Cuda {
        findings.wrong(
            "spec.trainer.numNodes",
            trainer.num_nodes,
            "the nodes of a local run are on one machine and would share its GPUs",
            "set numNodes: 1 and raise numProcPerNode",
        );
    }
    Parallelism {
        num_nodes,
        num_proc_per_node,
        threads_per_proc: threads(trainer.resources_per_node.limits.get("cpu"), num_proc_per_node),
        micro_batches_per_step: (hyperparameters.gradient_accumulation_steps as usize)
            .saturating_mul(num_nodes)
            .saturating_mul(num_proc_per_node),
        device,
    }
}

/// The CPU limit divided among the node's processes, rounded down, at least one. It comes from the manifest and never from the machine,
/// because results are bit-equal only for equal numbers of threads.
fn threads(cpu: Option<&Quantity>, num_proc_per_node: usize) -> usize {
    let Some(millicores) = cpu.and_then(Quantity::thousandths) else { return DEFAULT_THREADS };
    let cores = usize::try_from(millicores / 1000).unwrap_or(usize::MAX);
    (cores / num_proc_per_node.max(1)).max(1)
}

fn device(trainer: &Trainer, findings: &mut Findings) -> Device {
    const PATH: &str = "spec.trainer.resourcesPerNode.limits[nvidia.com/gpu]";
    let Some(quantity) = trainer.resources_per_node.limits.get(NVIDIA_GPU) else { return Device::Cpu };
    let gpus = match quantity.whole() {
        Some(0) => return Device::Cpu,
        Some(gpus) => gpus,
        // Reported as no amount by `quantities`, but for amounts such as 500m.
        None if quantity.thousandths().is_none() => return Device::Cpu,
        None => {
            findings.wrong(PATH, quantity, "must be a whole number", "write the number of GPUs");
            return Device::Cuda;
        }
    };
    if gpus != u64::from(trainer.num_proc_per_node) {
        let reason = format!("must equal numProcPerNode ({}): each process has one GPU", trainer.num_proc_per_node);
        findings.wrong(PATH, quantity, reason, "make the two equal");
    }
    if findings.is_local() && !findings.capabilities.cuda {
        findings.wrong(PATH, quantity, "there is no GPU here that the trainer can use", "remove it to train on the processor");
    }
    Device::Cuda
}

/// Where the pods are to run, and as what.
pub(super) fn placement(job: &FineTuneJob) -> Placement {
    // Kueue reads what is asked of the network between pods from annotations, and the rest from labels.
    const PODSET: &str = "kueue.x-k8s.io/podset-";
    let is_topology = |name: &str| {
        let asked = name.strip_prefix(PODSET).unwrap_or_default();
        matches!(asked, "required-topology" | "preferred-topology" | "unconstrained-topology") || asked.starts_with("slice-")
    };
    let trainer = &job.spec.trainer;
    let labels = job.metadata.labels.iter().flatten().filter(|(name, _)| name.starts_with(label::KUEUE_PREFIX));
    let annotations = job.metadata.annotations.iter().flatten().filter(|(name, _)| is_topology(name));
    Placement {
        image: trainer.image.clone(),
        image_pull_policy: trainer.image_pull_policy,
        image_pull_secrets: trainer.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        resources: trainer.resources_per_node.clone(),
        node_selector: trainer.node_selector.clone(),
        tolerations: trainer.tolerations.clone(),
        priority_class_name: trainer.priority_class_name.clone(),
        runtime_class_name: trainer.runtime_class_name.clone(),
        service_account_name: trainer.service_account_name.clone(),
        queue_labels: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
        topology: annotations.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

/// The variables that tune libraries, sorted by name.
pub(super) fn environment(trainer: &Trainer, findings: &mut Findings) -> Vec<(String, String)> {
    let plain = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    let mut seen = BTreeMap::new();
    for (index, variable) in trainer.env.iter().enumerate() {
        let path = format!("spec.trainer.env[{index}].name");
        let name = &variable.name;
        if !TUNING_PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix)) || !name.chars().all(plain) {
            let reason =
                format!("only variables that tune libraries may be set: {}", TUNING_PREFIXES.map(|prefix| format!("{prefix}*")).join(", "));
            findings.wrong(&path, name, reason, "remove it; what is trained is said in the spec alone");
        } else if name.ends_with("_NUM_THREADS") {
            findings.wrong(
                &path,
                name,
                "threads come from resourcesPerNode.limits.cpu divided by numProcPerNode",
                "remove it and set limits.cpu",
            );
        } else if variable.value.contains('\0') {
            findings.wrong(&path, name, "its value has a NUL character in it", "remove the character");
        } else if seen.insert(name.clone(), variable.value.clone()).is_some() {
            findings.wrong(&path, name, "is there twice", "remove one of them");
        }
    }
    seen.into_iter().collect()
}

fn quantities(trainer: &Trainer, findings: &mut Findings) {
    let resources = &trainer.resources_per_node;
    for (list, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, quantity) in quantities {
            let path = format!("spec.trainer.resourcesPerNode.{list}[{name}]");
            match quantity.thousandths() {
                None => findings.wrong(&path, quantity, "is not an amount", "write it as in \"2\", \"500m\" or \"16Gi\""),
                Some(0) if name == "cpu" || name == "memory" => findings.wrong(&path, quantity, "must be above 0", "raise it"),
                Some(amount) => {
                    let limit = resources.limits.get(name).and_then(Quantity::thousandths);
                    if list == "requests" && limit.is_some_and(|limit| amount > limit) {
                        findings.wrong(&path, quantity, "is more than the limit", "lower it or raise the limit");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::threads;
    use temper_crds::Quantity;

    #[test]
    fn threads_come_from_the_cpu_limit() {
        let table = [
            (None, 2, 1),
            (Some("2"), 2, 1),
            (Some("4"), 2, 2),
            (Some("7"), 2, 3),
            (Some("500m"), 1, 1),
            (Some("16"), 1, 16),
            (Some("1"), 8, 1),
        ];
        for (cpu, processes, wanted) in table {
            assert_eq!(threads(cpu.map(Quantity::from).as_ref(), processes), wanted, "{cpu:?} for {processes}");
        }
    }
}
