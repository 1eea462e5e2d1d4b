//! How much memory a job's GPUs have, as far as machines tell it.

use crate::validated::ValidatedFineTuneJob;
use std::collections::BTreeMap;

/// The label with the memory of each of a machine's GPUs in MiB, as NVIDIA's GPU feature discovery sets it.
pub const LABEL: &str = "nvidia.com/gpu.memory";

/// The memory in bytes of the largest GPU among the machines that the job's node selector admits; `None` where none of them tells it. The
/// largest, since the scheduler may choose any of them.
pub fn largest<'a>(job: &ValidatedFineTuneJob, machines: impl IntoIterator<Item = &'a BTreeMap<String, String>>) -> Option<u64> {
    let admitted =
        |labels: &&BTreeMap<String, String>| job.placement.node_selector.iter().all(|(label, value)| labels.get(label) == Some(value));
    let mebibytes = machines.into_iter().filter(admitted).filter_map(|labels| labels.get(LABEL)?.parse::<u64>().ok());
    mebibytes.max().and_then(|mebibytes| mebibytes.checked_mul(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::{LABEL, largest};
    use crate::{ValidatedFineTuneJob, memory_policy};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn job(node_selector: Value) -> ValidatedFineTuneJob {
        memory_policy::tests::job(json!({ "nodeSelector": node_selector, "resourcesPerNode": { "limits": { "nvidia.com/gpu": 1 } } }))
    }

    fn machine(pool: &str, memory: &str) -> BTreeMap<String, String> {
        [("pool", pool), (LABEL, memory)].map(|(label, value)| (label.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn the_largest_that_the_selector_admits() {
        let machines = [machine("small", "24576"), machine("large", "81559"), machine("large", "40960"), machine("odd", "many")];
        assert_eq!(largest(&job(json!({})), &machines), Some(81_559 << 20));
        assert_eq!(largest(&job(json!({ "pool": "small" })), &machines), Some(24_576 << 20));
        assert_eq!(largest(&job(json!({ "pool": "not there yet" })), &machines), None, "an autoscaler may bring it");
        assert_eq!(largest(&job(json!({ "pool": "odd" })), &machines), None);
    }
}
