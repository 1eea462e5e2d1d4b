//! CPU, memory and accelerators of a stage's pods.

use crate::quantity::{Quantities, quantities};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;
use temper_crds::finetunejob::trainer::Resources;

/// What a pod without accelerators is promised: enough to be placed with care, little enough to be placed.
const CPU_REQUEST_MILLICORES: u64 = 1000;
const MEMORY_REQUEST: &str = "1Gi";
const MEBIBYTE: u64 = 1 << 20;
/// What publishing takes beside the model: the process, and twice the largest tensor of all but the largest models.
const MEBIBYTES_TO_PUBLISH: u64 = 512;

/// Of a training pod: what the spec says; requests that it does not name are the limits.
pub(crate) fn of_trainer(resources: &Resources) -> ResourceRequirements {
    let limits = quantities(&resources.limits);
    let mut requests = limits.clone();
    requests.extend(quantities(&resources.requests));
    requirements(limits, requests)
}

/// Of a pod that prepares or publishes: as many cores as a trainer may use, no accelerator. Its memory has no limit, because it depends on
/// the model and not on how training is set up. `parameters` is how many the pod holds in memory, in fp32, if it does and that is known.
pub(crate) fn without_accelerator(trainer: &Resources, parameters: Option<u64>) -> ResourceRequirements {
    let cpu = trainer.limits.get("cpu");
    let millicores = cpu.and_then(temper_crds::Quantity::thousandths).unwrap_or(CPU_REQUEST_MILLICORES).min(CPU_REQUEST_MILLICORES);
    let limits = cpu.map(|cpu| ("cpu".to_owned(), Quantity(cpu.to_string()))).into_iter().collect();
    let requests = BTreeMap::from([
        ("cpu".to_owned(), Quantity(if millicores == 1000 { "1".to_owned() } else { format!("{millicores}m") })),
        ("memory".to_owned(), Quantity(parameters.map_or(MEMORY_REQUEST.to_owned(), memory_to_publish))),
    ]);
    requirements(limits, requests)
}

/// 4 bytes a parameter, and a tenth more for an adapter: they are loaded once at a time. The file that they are read from is mapped, and
/// needs no memory of its own.
fn memory_to_publish(parameters: u64) -> String {
    let model = parameters.saturating_mul(4).saturating_mul(11) / 10;
    format!("{}Mi", model.div_ceil(MEBIBYTE) + MEBIBYTES_TO_PUBLISH)
}

fn requirements(limits: Quantities, requests: Quantities) -> ResourceRequirements {
    let some = |quantities: Quantities| Some(quantities).filter(|quantities| !quantities.is_empty());
    ResourceRequirements { limits: some(limits), requests: some(requests), claims: None }
}

#[cfg(test)]
mod tests {
    use super::{of_trainer, without_accelerator};
    use crate::quantity::Quantities;
    use temper_crds::Quantity;
    use temper_crds::finetunejob::trainer::Resources;

    fn resources(limits: &[(&str, &str)], requests: &[(&str, &str)]) -> Resources {
        let all = |list: &[(&str, &str)]| list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity::from(*amount))).collect();
        Resources { limits: all(limits), requests: all(requests) }
    }

    fn shown(quantities: Option<Quantities>) -> Vec<String> {
        quantities.into_iter().flatten().map(|(name, amount)| format!("{name}={}", amount.0)).collect()
    }

    #[test]
    fn a_trainer_is_promised_its_limits_unless_the_spec_says_otherwise() {
        let built = of_trainer(&resources(&[("nvidia.com/gpu", "8"), ("memory", "64Gi")], &[("memory", "32Gi"), ("cpu", "4")]));
        assert_eq!(shown(built.limits), ["memory=64Gi", "nvidia.com/gpu=8"]);
        assert_eq!(shown(built.requests), ["cpu=4", "memory=32Gi", "nvidia.com/gpu=8"]);
        assert_eq!(of_trainer(&Resources::default()).requests, None);
    }

    #[test]
    fn who_publishes_a_model_is_promised_the_memory_for_it() {
        let of = |parameters| shown(without_accelerator(&Resources::default(), Some(parameters)).requests);
        assert_eq!(of(0), ["cpu=1", "memory=512Mi"]);
        assert_eq!(of(8_000_000_000), ["cpu=1", "memory=34082Mi"]);
    }

    #[test]
    fn other_stages_take_no_accelerator_and_no_more_cores_than_the_spec_allows() {
        let built = without_accelerator(&resources(&[("nvidia.com/gpu", "8"), ("cpu", "64"), ("memory", "512Gi")], &[("cpu", "32")]), None);
        assert_eq!(shown(built.limits), ["cpu=64"]);
        assert_eq!(shown(built.requests), ["cpu=1", "memory=1Gi"]);
        assert_eq!(shown(without_accelerator(&resources(&[("cpu", "0.5")], &[]), None).requests), ["cpu=500m", "memory=1Gi"]);
        let free = without_accelerator(&Resources::default(), None);
        assert_eq!((shown(free.limits), shown(free.requests)), (vec![], vec!["cpu=1".to_owned(), "memory=1Gi".to_owned()]));
    }
}
